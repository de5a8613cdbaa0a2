//! Spherical k-means: the start of the latent vocabulary.

use crate::ops::linear::unit_row;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::config::Precision;
use crate::ops::matmul::{Packed, View};

/// Centres (k, width) of unit length for points (n, width) of unit length, by Lloyd's iterations from random points
/// (Dhillon & Modha 2001).
/// A centre that loses all its points moves to the point that is farthest from its own centre. With k ≥ n the points
/// themselves come first and the rest are random directions.
pub fn spherical(points: &[f32], width: usize, k: usize, iterations: usize, seed: u64) -> Vec<f32> {
    let n = points.len() / width;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    if k >= n {
        let mut centres = points.to_vec();
        centres.extend((0..(k - n) * width).map(|_| rng.random::<f32>() - 0.5));
        centres.chunks_mut(width).for_each(unit_row);
        return centres;
    }
    let mut order: Vec<usize> = (0..n).collect();
    for i in 0..k {
        let j = rng.random_range(i..n);
        order.swap(i, j);
    }
    let mut centres: Vec<f32> =
        order[..k].iter().flat_map(|&p| &points[p * width..(p + 1) * width]).copied().collect();
    for _ in 0..iterations {
        let (owner, closeness) = nearest(points, &centres, width);
        let mut sums = vec![0f32; k * width];
        let mut counts = vec![0usize; k];
        for (p, &c) in owner.iter().enumerate() {
            counts[c as usize] += 1;
            let sum = &mut sums[c as usize * width..(c as usize + 1) * width];
            sum.iter_mut().zip(&points[p * width..]).for_each(|(s, x)| *s += x);
        }
        let mut far: Vec<usize> = (0..n).collect();
        far.sort_by(|&a, &b| closeness[a].total_cmp(&closeness[b]).then(a.cmp(&b)));
        let mut far = far.into_iter();
        for c in (0..k).filter(|&c| counts[c] == 0) {
            let p = far.next().expect("fewer centres than points");
            sums[c * width..(c + 1) * width].copy_from_slice(&points[p * width..(p + 1) * width]);
        }
        sums.chunks_mut(width).for_each(unit_row);
        centres = sums;
    }
    centres
}

/// For every one of `points` (n, width) the row of `centres` (k, width) with the highest scalar product (the first of equals), and that
/// product.
pub fn nearest(points: &[f32], centres: &[f32], width: usize) -> (Vec<u32>, Vec<f32>) {
    let (n, k) = (points.len() / width, centres.len() / width);
    let packed = Packed::new(View::new(centres, k, width).t(), Precision::F32);
    const TILE: usize = 48;
    (0..n.div_ceil(TILE))
        .into_par_iter()
        .flat_map_iter(|t| {
            let rows = TILE.min(n - t * TILE);
            let mut scores = crate::ops::scratch::Scratch::dirty(rows * k);
            packed.multiply(View::new(&points[t * TILE * width..], rows, width), &mut scores, k, false);
            let best: Vec<(u32, f32)> = scores
                .chunks(k)
                .map(|row| {
                    let better =
                        |b: (u32, f32), (j, &s): (usize, &f32)| if s > b.1 { (j as u32, s) } else { b };
                    row.iter().enumerate().fold((0, f32::NEG_INFINITY), better)
                })
                .collect();
            best
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three bundles of directions.
    fn bundles() -> Vec<f32> {
        let mut points: Vec<f32> = (0..30)
            .flat_map(|i| {
                let mut p = [0.01 * i as f32, 0.005 * (30 - i) as f32, 0.0];
                p[i % 3] += 3.0;
                p
            })
            .collect();
        points.chunks_mut(3).for_each(unit_row);
        points
    }

    #[test]
    fn finds_separate_bundles() {
        let points = bundles();
        let centres = spherical(&points, 3, 3, 10, 1);
        let (owner, closeness) = nearest(&points, &centres, 3);
        assert!(closeness.iter().all(|&c| c > 0.98), "{closeness:?}");
        assert!((0..27).all(|i| owner[i] == owner[i + 3]));
    }

    #[test]
    fn more_centres_than_points_keep_every_point() {
        let points = bundles();
        let centres = spherical(&points, 3, 40, 10, 1);
        assert_eq!(centres.len(), 120);
        assert!(centres.iter().zip(&points).all(|(c, p)| (c - p).abs() < 1e-6));
    }
}
