//! From a scene to pixels, smoothed at the edges, and to a PNG file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use super::dice::Dice;
use super::scene::{Item, Scene, Setting, Thing};
use super::shape::{Tone, parts};
use crate::error::{Error, Result};

/// The width and the height of a picture in pixels.
pub(super) const SIDE: usize = 96;
/// Samples along each side of a pixel.
const FINE: usize = 3;
/// The width of the outline in pixels.
const OUTLINE: f32 = 0.9;

/// `SIDE` rows of `SIDE` pixels, sRGB.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture(pub Vec<[u8; 3]>);

impl Picture {
    /// Draws the scene; the grain of the ground comes from `dice`.
    pub fn draw(scene: &Scene, dice: &mut Dice) -> Picture {
        let mut canvas = ground(scene, dice);
        for item in &scene.items {
            paint(&mut canvas, item, scene.setting == Setting::Night);
        }
        Picture(canvas.iter().map(|p| p.map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8)).collect())
    }

    /// Writes an 8-bit RGB PNG.
    pub fn write(&self, file: &Path) -> Result<()> {
        let io = |e| Error::writing(file, e);
        let out = BufWriter::new(File::create(file).map_err(io)?);
        let mut encoder = png::Encoder::new(out, SIDE as u32, SIDE as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header().map_err(|e| io(e.into()))?;
        writer.write_image_data(self.0.as_flattened()).map_err(|e| io(e.into()))?;
        writer.finish().map_err(|e| io(e.into()))
    }
}

/// Sky over ground, each a little lighter or darker towards the horizon, with a fine grain.
fn ground(scene: &Scene, dice: &mut Dice) -> Vec<[f32; 3]> {
    let (sky, earth): ([f32; 3], [f32; 3]) = match scene.setting {
        Setting::Meadow => ([0.70, 0.85, 0.97], [0.62, 0.84, 0.45]),
        Setting::Sea => ([0.82, 0.91, 0.96], [0.36, 0.66, 0.80]),
        Setting::Night => ([0.09, 0.10, 0.24], [0.17, 0.18, 0.30]),
        Setting::Sand => ([0.76, 0.87, 0.95], [0.91, 0.80, 0.57]),
        Setting::Snow => ([0.74, 0.77, 0.83], [0.92, 0.93, 0.96]),
    };
    let light = dice.between(-0.03, 0.03);
    let tilt = dice.between(-0.06, 0.06);
    let mut canvas = Vec::with_capacity(SIDE * SIDE);
    for row in 0..SIDE {
        let y = (row as f32 + 0.5) / SIDE as f32;
        let base = if y < scene.horizon { sky } else { earth };
        for _ in 0..SIDE {
            let grain = light + tilt * (y - scene.horizon) + dice.between(-0.008, 0.008);
            canvas.push(base.map(|c| c + grain));
        }
    }
    canvas
}

/// Lays one thing over the canvas: each pixel takes the mean of `FINE`² samples.
fn paint(canvas: &mut [[f32; 3]], item: &Item, night: bool) {
    let side = SIDE as f32;
    let (cx, cy, reach) = (item.x * side, item.y * side, item.radius * side * 1.1 + 1.0);
    let range = |c: f32| ((c - reach).max(0.0) as usize)..((c + reach).ceil().min(side) as usize);
    let (sin, cos) = item.turn.sin_cos();
    let unit = item.radius * side;
    for row in range(cy) {
        for column in range(cx) {
            let mut colour = [0.0f32; 3];
            let mut hits = 0.0;
            for sample in 0..FINE * FINE {
                let dx = column as f32 + ((sample % FINE) as f32 + 0.5) / FINE as f32 - cx;
                let dy = row as f32 + ((sample / FINE) as f32 + 0.5) / FINE as f32 - cy;
                let x = (cos * dx + sin * dy) / unit;
                let y = (cos * dy - sin * dx) / unit;
                let x = if item.mirrored { -x } else { x };
                if let Some(tone) = tone_at(item.thing, x, y, OUTLINE / unit) {
                    let tint = tint(item.fill, tone, night);
                    (0..3).for_each(|i| colour[i] += tint[i]);
                    hits += 1.0;
                }
            }
            let pixel = &mut canvas[row * SIDE + column];
            let samples = (FINE * FINE) as f32;
            (0..3).for_each(|i| pixel[i] = (colour[i] + pixel[i] * (samples - hits)) / samples);
        }
    }
}

/// What a thing shows at a point, or None outside it.
fn tone_at(thing: Thing, x: f32, y: f32, outline: f32) -> Option<Tone> {
    let mut nearest = f32::INFINITY;
    let mut top = None;
    for (form, tone) in parts(thing) {
        let distance = form.distance(x, y);
        nearest = nearest.min(distance);
        if distance < 0.0 {
            top = Some(*tone);
        }
    }
    if nearest > -outline { top.map(|_| Tone::Outline) } else { top }
}

fn tint(fill: [f32; 3], tone: Tone, night: bool) -> [f32; 3] {
    let luma = 0.3 * fill[0] + 0.59 * fill[1] + 0.11 * fill[2];
    match tone {
        Tone::Fill => fill,
        Tone::Pale => fill.map(|c| 0.6 * c + 0.4),
        Tone::Contrast if luma > 0.33 => fill.map(|c| 0.42 * c),
        Tone::Contrast => fill.map(|c| 0.35 * c + 0.6),
        // What is dark needs a light edge before a dark ground.
        Tone::Outline if night && luma < 0.45 => fill.map(|c| 0.6 * c + 0.36),
        Tone::Outline => fill.map(|c| 0.4 * c),
        Tone::Wood => [0.42, 0.27, 0.15],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(index: u64) -> Picture {
        let scene = Scene::sample(&mut Dice::new([1, 0, index, 0]));
        Picture::draw(&scene, &mut Dice::new([1, 0, index, 1]))
    }

    #[test]
    fn a_png_decodes_to_the_same_pixels() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.png");
        let drawn = picture(5);
        drawn.write(&file).unwrap();
        let mut reader =
            png::Decoder::new(std::io::BufReader::new(File::open(&file).unwrap())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width, info.height), (SIDE as u32, SIDE as u32));
        assert_eq!(bytes, drawn.0.as_flattened());
    }

    #[test]
    fn the_same_dice_draw_the_same_picture_and_others_another() {
        assert_eq!(picture(2), picture(2));
        assert_ne!(picture(2), picture(3));
    }

    #[test]
    fn a_thing_shows_its_colour_at_its_middle() {
        let fill = [0.9, 0.1, 0.1];
        let item =
            Item { thing: Thing::Square, x: 0.5, y: 0.5, radius: 0.2, turn: 0.3, mirrored: false, fill };
        let scene = Scene { setting: Setting::Snow, horizon: 0.5, groups: vec![], items: vec![item] };
        let picture = Picture::draw(&scene, &mut Dice::new([0; 4]));
        assert_eq!(picture.0[SIDE / 2 * SIDE + SIDE / 2], fill.map(|c| (c * 255.0f32).round() as u8));
        assert!(picture.0[0][2] > 150, "the corner is sky");
    }

    #[test]
    fn an_unwritable_file_is_named() {
        let error = picture(0).write(Path::new("no/such/folder/a.png")).unwrap_err().to_string();
        assert!(error.contains("no/such/folder/a.png"), "{error}");
    }
}
