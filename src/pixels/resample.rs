//! Resizing to the bits of Pillow's `Image.resize`: two passes of fixed-point sums, columns first, with 8 bits in between. Where a picture
//! becomes smaller, the filter becomes as much wider (antialiasing).

use super::Rgb;
use crate::ops::simd::{Loop, vectorise};

/// How pixels are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The mean of the area (support 0.5).
    Box,
    /// A triangle (support 1).
    Bilinear,
    /// A cosine window (support 1).
    Hamming,
    /// Cubic convolution, a = −0.5 (support 2).
    Bicubic,
    /// A windowed sinc (support 3).
    Lanczos,
}

/// Bits behind the point of a weight: sums of 8-bit pixels stay within 32 bits.
const PRECISION: u32 = 32 - 8 - 2;

impl Filter {
    /// The filter by Pillow's number; nearest neighbour (0) is none of them.
    pub fn of_pillow(number: u64) -> Option<Filter> {
        Some(match number {
            1 => Filter::Lanczos,
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            4 => Filter::Box,
            5 => Filter::Hamming,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Filter::Box => "box",
            Filter::Bilinear => "bilinear",
            Filter::Hamming => "hamming",
            Filter::Bicubic => "bicubic",
            Filter::Lanczos => "lanczos",
        }
    }

    /// The distance from which on it is 0.
    fn support(self) -> f64 {
        match self {
            Filter::Box => 0.5,
            Filter::Bilinear | Filter::Hamming => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let sinc = |x: f64| {
            let x = x * std::f64::consts::PI;
            if x == 0.0 { 1.0 } else { x.sin() / x }
        };
        let distance = x.abs();
        match self {
            Filter::Box => f64::from(x > -0.5 && x <= 0.5),
            Filter::Bilinear => (1.0 - distance).max(0.0),
            Filter::Hamming if distance == 0.0 => 1.0,
            Filter::Hamming if distance >= 1.0 => 0.0,
            Filter::Hamming => sinc(distance) * (0.54 + 0.46 * (distance * std::f64::consts::PI).cos()),
            Filter::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Filter::Bicubic if distance < 2.0 => {
                (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5
            }
            Filter::Bicubic => 0.0,
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }

    /// For each place of the result: where its pixels begin, and their weights in fixed point.
    fn weights(self, from: usize, to: usize) -> Vec<(usize, Vec<i32>)> {
        let scale = from as f64 / to as f64;
        let wide = scale.max(1.0);
        let support = self.support() * wide;
        let fixed = |w: f64| {
            let w = w * f64::from(1u32 << PRECISION);
            (if w < 0.0 { w - 0.5 } else { w + 0.5 }) as i32
        };
        let weights = |place: usize| {
            let centre = (place as f64 + 0.5) * scale;
            // Casts cut towards 0, and below 0 to it.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let inverse = 1.0 / wide;
            let mut weights: Vec<f64> =
                (first..end).map(|n| self.at((n as f64 - centre + 0.5) * inverse)).collect();
            let sum: f64 = weights.iter().sum();
            if sum != 0.0 {
                weights.iter_mut().for_each(|w| *w /= sum);
            }
            (first, weights.into_iter().map(fixed).collect())
        };
        (0..to).map(weights).collect()
    }
}

/// The picture at another size, as Pillow's `resize((width, height), filter)`.
pub fn resize(picture: &Rgb, width: usize, height: usize, filter: Filter) -> Rgb {
    let mut data = None;
    if width != picture.width {
        data = Some(columns(picture, &filter.weights(picture.width, width)));
    }
    if height != picture.height {
        let from = data.as_deref().unwrap_or(&picture.data);
        let mut out = vec![0; height * width * 3];
        let weights = filter.weights(picture.height, height);
        let rows = out.chunks_exact_mut((width * 3).max(1));
        rows.zip(&weights).for_each(|(out, weights)| vectorise(Sum { from, weights, out }));
        data = Some(out);
    }
    Rgb::new(width, height, data.unwrap_or_else(|| picture.data.clone()))
}

/// Rows whose columns are summed together.
const ROWS: usize = 16;
/// Numbers of a column of them.
const LINE: usize = 3 * ROWS;

/// The picture with other columns. Some rows at a time are laid out column by column, so that one sum takes all of them.
fn columns(picture: &Rgb, weights: &[(usize, Vec<i32>)]) -> Vec<u8> {
    let (width, to) = (picture.width, weights.len());
    let mut out = vec![0; picture.height * to * 3];
    let mut turned = vec![0u8; width * LINE];
    let mut column = [0u8; LINE];
    let blocks = picture.data.chunks(width * 3 * ROWS).zip(out.chunks_mut(to * 3 * ROWS));
    for (from, out) in blocks {
        for (r, row) in from.chunks_exact(width * 3).enumerate() {
            for (pixel, line) in row.chunks_exact(3).zip(turned.chunks_exact_mut(LINE)) {
                line[3 * r..3 * r + 3].copy_from_slice(pixel);
            }
        }
        for (x, weights) in weights.iter().enumerate() {
            vectorise(Sum { from: &turned, weights, out: &mut column });
            for (r, row) in out.chunks_exact_mut(to * 3).enumerate() {
                row[3 * x..3 * x + 3].copy_from_slice(&column[3 * r..3 * r + 3]);
            }
        }
    }
    out
}

/// A weighted sum of lines, which are as long as the result and follow one another in `from`.
struct Sum<'a> {
    from: &'a [u8],
    weights: &'a (usize, Vec<i32>),
    out: &'a mut [u8],
}

impl Loop for Sum<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sum { from, weights: (first, weights), out } = self;
        let length = out.len();
        // As many numbers as stay in registers while all lines go by.
        for (at, out) in out.chunks_mut(LINE).enumerate() {
            let mut sums = [1i32 << (PRECISION - 1); LINE];
            for (n, &weight) in weights.iter().enumerate() {
                let line = &from[(first + n) * length + at * LINE..][..out.len()];
                match <&[u8; LINE]>::try_from(line) {
                    Ok(line) => sums.iter_mut().zip(line).for_each(|(s, &p)| *s += i32::from(p) * weight),
                    Err(_) => sums.iter_mut().zip(line).for_each(|(s, &p)| *s += i32::from(p) * weight),
                }
            }
            out.iter_mut().zip(&sums).for_each(|(o, s)| *o = (s >> PRECISION).clamp(0, 255) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize) -> Rgb {
        let mut s = 1u32;
        let mut next = || {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (s >> 24) as u8
        };
        Rgb::new(width, height, (0..width * height * 3).map(|_| next()).collect())
    }

    #[test]
    fn one_colour_stays_and_the_same_size_is_the_same_picture() {
        for filter in [Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos] {
            let grey = Rgb::new(37, 23, [9, 130, 255].repeat(37 * 23));
            for (width, height) in [(5, 3), (91, 50), (37, 7), (1, 1)] {
                let out = resize(&grey, width, height, filter);
                assert_eq!(out, Rgb::new(width, height, [9, 130, 255].repeat(width * height)), "{filter:?}");
            }
            let picture = noise(19, 8);
            assert_eq!(resize(&picture, 19, 8, filter), picture);
        }
    }

    #[test]
    fn halving_by_box_is_the_mean_of_four() {
        let picture = noise(40, 36);
        let half = resize(&picture, 20, 18, Filter::Box);
        let at = |p: &Rgb, x: usize, y: usize, c: usize| f32::from(p.row(y)[3 * x + c]);
        for (x, y, c) in [(0, 0, 0), (19, 17, 2), (7, 11, 1)] {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| at(&picture, 2 * x + i, 2 * y + j, c));
            // Rounded twice.
            assert!((at(&half, x, y, c) - four.iter().sum::<f32>() / 4.0).abs() <= 1.0);
        }
    }

    #[test]
    fn columns_and_rows_are_resized_alike() {
        let picture = noise(33, 50);
        let turned = |p: &Rgb| {
            let pixel = |x: usize, y: usize| p.row(y)[3 * x..3 * x + 3].to_vec();
            let data = (0..p.width).flat_map(|x| (0..p.height).flat_map(move |y| pixel(x, y))).collect();
            Rgb::new(p.height, p.width, data)
        };
        let by_columns = resize(&picture, 14, 50, Filter::Lanczos);
        let by_rows = resize(&turned(&picture), 50, 14, Filter::Lanczos);
        assert_eq!(turned(&by_columns), by_rows);
    }
}
