//! The shapes of things: a few simple forms each, inside the circle of radius 1.1 (x right, y down).

use super::scene::Thing;

/// The colour of a part, told from the colour of the thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tone {
    Fill,
    /// A lighter tint of the fill.
    Pale,
    /// Darker than a light fill, lighter than a dark one.
    Contrast,
    Outline,
    Wood,
}

pub(super) enum Form {
    /// Centre x, y and half widths along x and y.
    Oval(f32, f32, f32, f32),
    /// Corners in order.
    Polygon(&'static [[f32; 2]]),
    /// Points of length 1; the share of it that the notches reach.
    Spikes(f32, f32),
    /// Discs round the centre: number, distance from the centre, radius.
    Petals(f32, f32, f32),
    /// The unit disc less the disc with this x and radius.
    Crescent(f32, f32),
}

pub(super) type Parts = &'static [(Form, Tone)];

/// The parts of a thing, the uppermost last.
pub(super) fn parts(thing: Thing) -> Parts {
    use Form::*;
    use Tone::*;
    const TRUNK: Form = Polygon(&[[-0.14, 0.2], [0.14, 0.2], [0.17, 0.98], [-0.17, 0.98]]);
    const ROOF: Form = Polygon(&[[-0.95, -0.1], [0.0, -0.95], [0.95, -0.1]]);
    match thing {
        Thing::Ball => &[(Oval(0.0, 0.0, 0.92, 0.92), Fill), (Oval(-0.32, -0.36, 0.2, 0.2), Pale)],
        Thing::Square => &[(Polygon(&[[-0.75, -0.75], [0.75, -0.75], [0.75, 0.75], [-0.75, 0.75]]), Fill)],
        Thing::Triangle => &[(Polygon(&[[0.0, -1.0], [0.86, 0.62], [-0.86, 0.62]]), Fill)],
        Thing::Star => &[(Spikes(5.0, 0.42), Fill)],
        Thing::Heart => &[
            (Oval(-0.45, -0.33, 0.5, 0.5), Fill),
            (Oval(0.45, -0.33, 0.5, 0.5), Fill),
            (
                Polygon(&[
                    [-0.87, -0.06],
                    [0.0, 0.95],
                    [0.87, -0.06],
                    [0.45, -0.4],
                    [0.0, -0.35],
                    [-0.45, -0.4],
                ]),
                Fill,
            ),
        ],
        Thing::House => &[
            (Polygon(&[[-0.7, -0.15], [0.7, -0.15], [0.7, 0.82], [-0.7, 0.82]]), Fill),
            (ROOF, Contrast),
            (Polygon(&[[-0.45, 0.3], [-0.05, 0.3], [-0.05, 0.82], [-0.45, 0.82]]), Contrast),
            (Polygon(&[[0.18, 0.15], [0.5, 0.15], [0.5, 0.45], [0.18, 0.45]]), Contrast),
        ],
        Thing::Tree => &[
            (TRUNK, Wood),
            (Oval(-0.36, -0.02, 0.4, 0.38), Fill),
            (Oval(0.36, -0.02, 0.4, 0.38), Fill),
            (Oval(0.0, -0.4, 0.55, 0.55), Fill),
        ],
        Thing::Fish => &[
            (Polygon(&[[-0.3, 0.0], [-0.95, -0.5], [-0.8, 0.0], [-0.95, 0.5]]), Fill),
            (Oval(0.2, 0.0, 0.76, 0.46), Fill),
            (Oval(0.6, -0.1, 0.1, 0.1), Contrast),
        ],
        Thing::Boat => &[
            (Polygon(&[[-0.06, -0.95], [0.06, -0.95], [0.06, 0.35], [-0.06, 0.35]]), Wood),
            (Polygon(&[[0.04, -0.85], [0.75, 0.15], [0.04, 0.15]]), Pale),
            (Polygon(&[[-0.04, -0.6], [-0.04, 0.15], [-0.6, 0.15]]), Pale),
            (Polygon(&[[-0.95, 0.28], [0.95, 0.28], [0.6, 0.8], [-0.6, 0.8]]), Fill),
        ],
        Thing::Sun => &[(Spikes(12.0, 0.66), Fill), (Oval(0.0, 0.0, 0.4, 0.4), Pale)],
        Thing::Moon => &[(Crescent(0.58, 0.8), Fill)],
        Thing::Flower => &[(Petals(6.0, 0.62, 0.34), Fill), (Oval(0.0, 0.0, 0.3, 0.3), Contrast)],
    }
}

impl Form {
    /// The distance to the edge: negative inside, near enough outside.
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        match *self {
            Form::Oval(cx, cy, rx, ry) => (length((x - cx) / rx, (y - cy) / ry) - 1.0) * rx.min(ry),
            Form::Polygon(corners) => polygon(corners, x, y),
            Form::Spikes(n, notch) => {
                let (u, v) = sector(n, x, y);
                let half = std::f32::consts::PI / n;
                let (ax, ay) = (notch * half.cos() - 1.0, notch * half.sin());
                // The side of the line from the point (1, 0) to the notch.
                (ay * (u - 1.0) - ax * v) / length(ax, ay)
            }
            Form::Petals(n, away, radius) => {
                let (u, v) = sector(n, x, y);
                length(u - away, v) - radius
            }
            Form::Crescent(away, radius) => (length(x, y) - 1.0).max(radius - length(x - away, y)),
        }
    }
}

/// The point turned and mirrored into the first half of the first of `n` equal sectors.
fn sector(n: f32, x: f32, y: f32) -> (f32, f32) {
    let width = std::f32::consts::TAU / n;
    let angle = y.atan2(x);
    let folded = (angle - width * (angle / width).round()).abs();
    let radius = length(x, y);
    (radius * folded.cos(), radius * folded.sin())
}

/// The plain formula: `hypot` guards against overflow, which costs most of the drawing's time.
fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

fn polygon(corners: &[[f32; 2]], x: f32, y: f32) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut last = corners[corners.len() - 1];
    for &[bx, by] in corners {
        let [ax, ay] = last;
        let (ex, ey) = (bx - ax, by - ay);
        let t = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
        nearest = nearest.min(length(x - ax - t * ex, y - ay - t * ey));
        if (ay > y) != (by > y) && x < ax + ex * (y - ay) / ey {
            inside = !inside;
        }
        last = [bx, by];
    }
    if inside { -nearest } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_lies_in_its_circle_and_covers_a_good_part_of_it() {
        for &thing in Thing::ALL {
            let inside = |x: f32, y: f32| parts(thing).iter().any(|(form, _)| form.distance(x, y) < 0.0);
            let (mut covered, mut all) = (0, 0);
            for i in -60..=60 {
                for j in -60..=60 {
                    let (x, y) = (i as f32 / 50.0, j as f32 / 50.0);
                    all += usize::from(x.hypot(y) < 1.0);
                    covered += usize::from(inside(x, y));
                    assert!(!inside(x, y) || x.hypot(y) < 1.1, "{thing:?} reaches {x}, {y}");
                }
            }
            let share = covered as f32 / all as f32;
            assert!((0.25..0.95).contains(&share), "{thing:?} covers {share}");
        }
    }

    #[test]
    fn distances_have_the_right_sign_and_size() {
        let square = Form::Polygon(&[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]);
        assert!((square.distance(0.5, 0.0) + 0.5).abs() < 1e-6);
        assert!((square.distance(2.0, 0.0) - 1.0).abs() < 1e-6);
        assert!(Form::Crescent(0.5, 0.8).distance(-0.9, 0.0) < 0.0);
        assert!(Form::Crescent(0.5, 0.8).distance(0.5, 0.0) > 0.0);
        assert!(Form::Spikes(5.0, 0.4).distance(0.95, 0.0) < 0.0);
        assert!(Form::Spikes(5.0, 0.4).distance(-0.95, 0.0) > 0.0);
    }
}
