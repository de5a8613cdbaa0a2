//! What a picture looks like, in numbers: computed from its pixels alone, never from the scene.
//!
//! | block | width | |
//! |---|---|---|
//! | colours of the picture | 30 | soft histogram in Oklab |
//! | colours of the foreground | 300 | the whole, then 3×3 cells |
//! | edges | 288 | 8 orientations in 6×6 cells |
//! | thumbnail | 108 | 6×6 pixels in Oklab |
//! | silhouettes | 144 | 12×12, the sum over the objects |
//! | colours of objects | 30 | each object counts the same |
//! | colours by size | 60 | the same, small and large objects apart |
//! | sizes, number, middles | 8 + 8 + 25 | of the objects |

mod colour;
mod objects;

use super::draw::{Picture, SIDE};
use colour::{BINS, split};
use objects::{Object, SILHOUETTE};

/// Numbers per picture.
pub(super) const WIDTH: usize = BINS
    + 10 * BINS
    + EDGES * CELLS * CELLS
    + 3 * CELLS * CELLS
    + SILHOUETTE * SILHOUETTE
    + 3 * BINS
    + 8
    + 8
    + 25;
const EDGES: usize = 8;
const CELLS: usize = 6;

/// The features of a picture, `WIDTH` numbers, all finite and not all zero.
pub(super) fn features(picture: &Picture) -> Vec<f32> {
    let lab: Vec<[f32; 3]> = picture.0.iter().map(|&rgb| colour::oklab(rgb)).collect();
    let ground = objects::ground(&lab);
    let objects = objects::find(&ground);
    let mut all = Vec::with_capacity(WIDTH);
    let mut block = |mut values: Vec<f32>, length: f32| {
        unit(&mut values, length);
        all.extend(values);
    };
    block(roots(whole_colours(&lab)), 1.0);
    block(roots(foreground_colours(&lab, &ground)), 1.5);
    block(edges(&lab), 0.7);
    block(thumbnail(&lab), 0.5);
    block(sum(SILHOUETTE * SILHOUETTE, &objects, |o| o.silhouette(&lab)), 2.0);
    block(sum(BINS, &objects, |o| object_colours(o, &lab)), 1.5);
    block(sum(2 * BINS, &objects, |o| colours_by_size(o, &lab)), 1.0);
    block(sum(8, &objects, |o| soft(8, (o.extent() - 0.1) * 25.0)), 1.0);
    block((0..8).map(|n| if n < objects.len() { 1.0 } else { 0.0 }).collect(), 0.8);
    block(sum(25, &objects, middles), 1.0);
    all
}

/// Scales to the given length; all zero stays so.
fn unit(values: &mut [f32], length: f32) {
    let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 {
        values.iter_mut().for_each(|v| *v *= length / norm);
    }
}

/// Square roots: a small area of a rare colour matters as much as it does to the eye.
fn roots(values: Vec<f32>) -> Vec<f32> {
    values.into_iter().map(f32::sqrt).collect()
}

fn sum(width: usize, objects: &[Object], of: impl Fn(&Object) -> Vec<f32>) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for object in objects {
        total.iter_mut().zip(of(object)).for_each(|(t, v)| *t += v);
    }
    total
}

fn soft(bins: usize, position: f32) -> Vec<f32> {
    let mut histogram = vec![0.0; bins];
    let (low, part) = split(position, bins);
    histogram[low] = 1.0 - part;
    histogram[low + 1] = part;
    histogram
}

fn whole_colours(lab: &[[f32; 3]]) -> Vec<f32> {
    let mut histogram = vec![0.0; BINS];
    lab.iter().for_each(|&p| colour::count(&mut histogram, p, 1.0));
    histogram
}

fn foreground_colours(lab: &[[f32; 3]], ground: &[bool]) -> Vec<f32> {
    let mut histograms = vec![0.0; 10 * BINS];
    for (i, &p) in lab.iter().enumerate().filter(|&(i, _)| !ground[i]) {
        let cell = 1 + (i / SIDE * 3 / SIDE) * 3 + i % SIDE * 3 / SIDE;
        colour::count(&mut histograms[..BINS], p, 1.0);
        colour::count(&mut histograms[cell * BINS..][..BINS], p, 1.0);
    }
    histograms
}

/// Orientations of the lightness gradient (without sign), weighted by its strength.
fn edges(lab: &[[f32; 3]]) -> Vec<f32> {
    let mut cells = vec![0.0; EDGES * CELLS * CELLS];
    for row in 1..SIDE - 1 {
        for column in 1..SIDE - 1 {
            let i = row * SIDE + column;
            let dx = lab[i + 1][0] - lab[i - 1][0];
            let dy = lab[i + SIDE][0] - lab[i - SIDE][0];
            let strength = (dx * dx + dy * dy).sqrt();
            let turn = (dy.atan2(dx) / std::f32::consts::PI).rem_euclid(1.0) * EDGES as f32;
            let (first, part) = (turn as usize % EDGES, turn.fract());
            let cell = (row * CELLS / SIDE * CELLS + column * CELLS / SIDE) * EDGES;
            cells[cell + first] += strength * (1.0 - part);
            cells[cell + (first + 1) % EDGES] += strength * part;
        }
    }
    cells
}

/// The mean colour of each cell.
fn thumbnail(lab: &[[f32; 3]]) -> Vec<f32> {
    let mut cells = vec![0.0; 3 * CELLS * CELLS];
    for (i, p) in lab.iter().enumerate() {
        let cell = (i / SIDE * CELLS / SIDE * CELLS + i % SIDE * CELLS / SIDE) * 3;
        (0..3).for_each(|c| cells[cell + c] += p[c]);
    }
    cells
}

fn object_colours(object: &Object, lab: &[[f32; 3]]) -> Vec<f32> {
    let mut histogram = vec![0.0; BINS];
    let share = 1.0 / object.pixels.len() as f32;
    object.pixels.iter().for_each(|&i| colour::count(&mut histogram, lab[i], share));
    histogram
}

fn colours_by_size(object: &Object, lab: &[[f32; 3]]) -> Vec<f32> {
    let large = ((object.extent() - 0.14) * 20.0).clamp(0.0, 1.0);
    let colours = object_colours(object, lab);
    let small = colours.iter().map(|c| c * (1.0 - large));
    small.chain(colours.iter().map(|c| c * large)).collect()
}

/// A 5×5 grid of the objects' middles.
fn middles(object: &Object) -> Vec<f32> {
    let (x, y) = object.centre();
    let (columns, rows) = (soft(5, x * 5.0 - 0.5), soft(5, y * 5.0 - 0.5));
    rows.iter().flat_map(|r| columns.iter().map(move |c| r * c)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::super::scene::Scene;
    use super::*;

    fn sample(index: u64) -> Vec<f32> {
        let scene = Scene::sample(&mut Dice::new([4, 0, index, 0]));
        features(&Picture::draw(&scene, &mut Dice::new([4, 0, index, 1])))
    }

    #[test]
    fn features_are_finite_not_zero_and_of_the_stated_width() {
        for index in 0..50 {
            let row = sample(index);
            assert_eq!(row.len(), WIDTH);
            assert!(row.iter().all(|v| v.is_finite()));
            assert!(row.iter().any(|&v| v != 0.0));
        }
        assert_ne!(sample(0), sample(1));
    }

    #[test]
    fn a_picture_without_things_has_features_too() {
        let row = features(&Picture(vec![[90, 120, 200]; SIDE * SIDE]));
        assert!(row.iter().all(|v| v.is_finite()) && row.iter().any(|&v| v != 0.0));
        let black = features(&Picture(vec![[0; 3]; SIDE * SIDE]));
        assert!(black.iter().all(|v| v.is_finite()) && black.iter().any(|&v| v != 0.0));
    }
}
