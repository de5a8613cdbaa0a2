//! t-SNE (van der Maaten & Hinton 2008), with forces by a quadtree (van der Maaten 2014): the one file that touches `barnes-hut-tree`.
//!
//! Of vector i each of its k nearest ones j is a neighbour with probability p(j|i) ∝ exp(−βᵢ dᵢⱼ²), where βᵢ makes the perplexity; p ᵢⱼ =
//! (p(j|i) + p(i|j)) / 2n. Points y have qᵢⱼ ∝ 1 / (1 + |yᵢ − yⱼ|²), and go down the gradient of KL(P‖Q),
//! 4 Σⱼ (pᵢⱼ − qᵢⱼ) (yᵢ − yⱼ) / (1 + |yᵢ − yⱼ|²). What it takes is as in scikit-learn: 12 times too strong an attraction for the first 250 of 1000
//! steps, n / 12 as rate (Belkina et al. 2019), and a start at the two first principal components (Kobak & Berens 2019), here with a little noise
//! from the seed that parts equal vectors.

use barnes_hut_tree::{BarnesHutTree, Dim, Morton};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Point, eigen};
use crate::eval::similarity::each_row;
use crate::{Error, Result};

/// Neighbours that count, about, where there are points enough.
pub const PERPLEXITY: f64 = 30.0;

/// Steps down the gradient, and those of them with exaggerated attraction and little momentum.
const STEPS: usize = 1000;
const EARLY: usize = 250;
const EXAGGERATION: f64 = 12.0;
/// A cell of the tree counts as one point where its side is shorter than this share of its distance.
const THETA: f64 = 0.5;
/// Standard deviation of the first coordinate at the start, and of the noise beside it.
const START: f64 = 1e-4;
const NOISE: f64 = 1e-6;
/// Steps that look for the width of a neighbourhood, and how near its entropy must come.
const HALVINGS: usize = 64;
const NEAR: f64 = 1e-5;
/// Points that a thread takes at a time.
const SHARE: usize = 64;

/// How likely points are neighbours: a symmetric matrix that adds up to 1, of which what is not 0 is kept.
pub struct Affinities {
    /// For each row the columns, rising, and their values.
    rows: Vec<Vec<(u32, f64)>>,
}

/// The perplexity for so many points: [`PERPLEXITY`], or what three times as many neighbours allow.
pub fn perplexity(points: usize) -> f64 {
    PERPLEXITY.min((points as f64 - 1.0) / 3.0).max(1.0)
}

/// Places vectors (rows, width) of unit length in the plane. `perplexity` is 1 or more, and less than the rows.
///
/// # Errors
/// Data: fewer than three rows; run, where the principal components are not found.
pub fn tsne(vectors: &[f32], width: usize, perplexity: f64, seed: u64) -> Result<Vec<Point>> {
    let rows = vectors.len() / width;
    if rows < 3 {
        return Err(Error::data(format!("{rows} sentences make no picture")).hint("give three or more"));
    }
    let affinities = Affinities::of(vectors, width, perplexity);
    let mut fit = Fit::new(start(vectors, width, seed)?);
    let rate = (rows as f64 / EXAGGERATION / 4.0).max(50.0);
    for step in 0..STEPS {
        let (exaggeration, momentum) = if step < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        fit.step(&affinities, exaggeration, momentum, rate);
    }
    Ok(fit.points)
}

impl Affinities {
    /// Those of vectors (rows, width) of unit length, of which there are two or more: each row's neighbourhood has the perplexity, among the three
    /// times as many nearest rows.
    pub fn of(vectors: &[f32], width: usize, perplexity: f64) -> Affinities {
        let count = vectors.len() / width;
        let k = ((3.0 * perplexity) as usize).clamp(1, count - 1);
        let near =
            each_row(vectors, vectors, width, |row, scores| neighbours(row, scores, k, perplexity.ln()));
        let mut rows: Vec<Vec<(u32, f64)>> = vec![Vec::with_capacity(2 * k); count];
        for (i, near) in near.iter().enumerate() {
            for &(j, p) in near {
                let half = p / (2 * count) as f64;
                rows[i].push((j, half));
                rows[j as usize].push((i as u32, half));
            }
        }
        rows.par_iter_mut().for_each(|row| {
            row.sort_by_key(|(column, _)| *column);
            row.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                kept.1 += if same { later.1 } else { 0.0 };
                same
            });
        });
        Affinities { rows }
    }

    /// The probabilities that are not 0, by row: columns, rising, and values.
    pub fn rows(&self) -> &[Vec<(u32, f64)>] {
        &self.rows
    }

    /// KL(P‖Q) of points, in nats, over all pairs: quadratic in their number.
    pub fn divergence(&self, points: &[Point]) -> f64 {
        let q = |i: usize, j: usize| 1.0 / (1.0 + square(points[i], points[j]));
        let sum = |i: usize| (0..points.len()).filter(|&j| j != i).map(|j| q(i, j)).sum::<f64>();
        let total: f64 = (0..points.len()).into_par_iter().map(sum).collect::<Vec<_>>().iter().sum();
        let of = |(i, row): (usize, &Vec<(u32, f64)>)| {
            row.iter().map(|&(j, p)| p * (p * total / q(i, j as usize)).ln()).sum::<f64>()
        };
        self.rows.par_iter().enumerate().map(of).collect::<Vec<_>>().iter().sum()
    }
}

fn square(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// The `k` nearest rows of a row but itself, equal ones in their order, and how likely each is, with an entropy of `wanted` nats.
fn neighbours(row: usize, scores: &[f32], k: usize, wanted: f64) -> Vec<(u32, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&n| n != row).collect();
    let nearer = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, nearer);
        order.truncate(k);
    }
    order.sort_unstable_by(nearer);
    // Squared distances of unit vectors; those beyond the nearest decide.
    let squares: Vec<f64> = order.iter().map(|&n| 2.0 - 2.0 * f64::from(scores[n])).collect();
    let beyond: Vec<f64> = squares.iter().map(|d| d - squares[0]).collect();
    let (mut beta, mut low, mut high) = (1.0, 0.0, f64::INFINITY);
    let mut shares = vec![0.0; k];
    for _ in 0..HALVINGS {
        shares.iter_mut().zip(&beyond).for_each(|(p, d)| *p = (-beta * d).exp());
        let sum: f64 = shares.iter().sum();
        let entropy = sum.ln() + beta * shares.iter().zip(&beyond).map(|(p, d)| p * d).sum::<f64>() / sum;
        shares.iter_mut().for_each(|p| *p /= sum);
        if (entropy - wanted).abs() < NEAR {
            break;
        }
        if entropy > wanted {
            low = beta;
            beta = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * beta };
        } else {
            high = beta;
            beta = (low + high) / 2.0;
        }
    }
    order.iter().zip(shares).map(|(&n, p)| (n as u32, p)).collect()
}

/// Where points begin: the two first principal components, small, and noise.
fn start(vectors: &[f32], width: usize, seed: u64) -> Result<Vec<Point>> {
    let mut points = eigen::principal(vectors, width)?;
    let spread = (points.iter().map(|p| p[0] * p[0]).sum::<f64>() / points.len() as f64).sqrt();
    let scale = if spread > 0.0 { START / spread } else { 0.0 };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for value in points.iter_mut().flatten() {
        *value = *value * scale + NOISE * rng.random_range(-1.0..1.0);
    }
    Ok(points)
}

/// Points on their way.
struct Fit {
    points: Vec<Point>,
    /// The last step of each coordinate.
    moved: Vec<Point>,
    /// What the rate is multiplied by, of each coordinate (Jacobs 1988).
    gains: Vec<Point>,
    tree: BarnesHutTree<f64, <Dim<2> as Morton<2>>::Word, 2>,
}

/// What acts on a point: towards its neighbours, away from all, and its share of what normalises Q.
#[derive(Clone, Copy, Default)]
struct Force {
    together: Point,
    apart: Point,
    sum: f64,
}

impl Fit {
    fn new(points: Vec<Point>) -> Fit {
        let count = points.len();
        Fit {
            points,
            moved: vec![[0.0; 2]; count],
            gains: vec![[1.0; 2]; count],
            tree: BarnesHutTree::empty(),
        }
    }

    /// The gradient of KL(P‖Q), with P `exaggeration` times as strong.
    fn gradient(&mut self, affinities: &Affinities, exaggeration: f64, theta: f64) -> Vec<Point> {
        let flat = self.points.as_flattened();
        self.tree.rebuild_uniform(flat);
        let (points, tree) = (&self.points, &self.tree);
        let force = |(n, row): (usize, &Vec<(u32, f64)>)| {
            let mut force = Force::default();
            let own = points[n];
            for &(other, p) in row {
                let other = points[other as usize];
                let pull = p / (1.0 + square(own, other));
                (0..2).for_each(|axis| force.together[axis] += pull * (own[axis] - other[axis]));
            }
            let mut stack = <Dim<2> as Morton<2>>::empty_stack();
            let Force { apart, sum, .. } = &mut force;
            tree.compute_non_edge_forces(n, theta * theta, flat, apart, sum, stack.as_mut());
            force
        };
        let rows = affinities.rows.par_iter().enumerate().with_min_len(SHARE);
        let forces: Vec<Force> = rows.map(force).collect();
        let sum: f64 = forces.iter().map(|force| force.sum).sum();
        let of = |f: &Force| [0, 1].map(|axis| 4.0 * (exaggeration * f.together[axis] - f.apart[axis] / sum));
        forces.iter().map(of).collect()
    }

    fn step(&mut self, affinities: &Affinities, exaggeration: f64, momentum: f64, rate: f64) {
        let gradient = self.gradient(affinities, exaggeration, THETA);
        let all = self.points.as_flattened_mut().iter_mut().zip(self.moved.as_flattened_mut());
        for (((point, moved), gain), slope) in
            all.zip(self.gains.as_flattened_mut()).zip(gradient.as_flattened())
        {
            // On in the same direction faster, back and forth slower.
            *gain = if slope * *moved < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
            *moved = momentum * *moved - rate * *gain * slope;
            *point += *moved;
        }
        let count = self.points.len() as f64;
        let mean = [0, 1].map(|axis| self.points.iter().map(|p| p[axis]).sum::<f64>() / count);
        self.points.iter_mut().for_each(|p| (0..2).for_each(|axis| p[axis] -= mean[axis]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::space::tests::clusters;
    use crate::eval::space::trust::trustworthiness;

    #[test]
    fn probabilities_are_symmetric_add_up_to_one_and_have_the_perplexity() {
        let vectors = clusters(60, 6, 3, 1);
        let affinities = Affinities::of(&vectors, 6, 8.0);
        let sum: f64 = affinities.rows.iter().flatten().map(|(_, p)| p).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        for (i, row) in affinities.rows.iter().enumerate() {
            assert!(row.windows(2).all(|two| two[0].0 < two[1].0), "columns rise");
            for &(j, p) in row {
                let back = affinities.rows[j as usize].iter().find(|(column, _)| *column as usize == i);
                assert!(j as usize != i && back.is_some_and(|(_, q)| (p - q).abs() < 1e-15));
            }
        }
        let scores: Vec<f32> = (0..40).map(|n| 1.0 - 0.02 * n as f32).collect();
        let near = neighbours(0, &scores, 24, 8f64.ln());
        let entropy: f64 = near.iter().map(|(_, p)| -p * p.ln()).sum();
        assert!((entropy.exp() - 8.0).abs() < 1e-3 && near[0].0 == 1, "{}", entropy.exp());
    }

    #[test]
    fn equal_distances_are_equally_likely() {
        let near = neighbours(2, &[0.5; 9], 5, 2f64.ln());
        assert_eq!(near.iter().map(|n| n.0).collect::<Vec<_>>(), [0, 1, 3, 4, 5], "in their order");
        assert!(near.iter().all(|(_, p)| (p - 0.2).abs() < 1e-12));
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let vectors = clusters(20, 5, 2, 3);
        let affinities = Affinities::of(&vectors, 5, 4.0);
        let points: Vec<Point> =
            (0..20u32).map(|n| [f64::from(n * 7 % 11) * 0.3, f64::from(n * 5 % 13) * 0.2]).collect();
        // No cell is narrow enough: every point acts alone.
        let gradient = Fit::new(points.clone()).gradient(&affinities, 1.0, 1e-9);
        for (n, axis) in (0..20).flat_map(|n| [(n, 0), (n, 1)]) {
            let mut moved = points.clone();
            let mut at = |by: f64| {
                moved[n][axis] = points[n][axis] + by;
                affinities.divergence(&moved)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (gradient[n][axis] - slope).abs() < 1e-7,
                "{n}, {axis}: {} is not {slope}",
                gradient[n][axis]
            );
        }
        // With the tree's cells it is nearly the same.
        let rough = Fit::new(points).gradient(&affinities, 1.0, THETA);
        let length = |rows: &[Point]| rows.as_flattened().iter().map(|x| x * x).sum::<f64>().sqrt();
        let apart: Vec<Point> =
            gradient.iter().zip(&rough).map(|(a, b)| [a[0] - b[0], a[1] - b[1]]).collect();
        assert!(length(&apart) < 0.05 * length(&gradient), "{} of {}", length(&apart), length(&gradient));
    }

    #[test]
    fn points_are_the_same_bits_whatever_the_threads_and_others_by_another_seed() {
        let vectors = clusters(90, 6, 3, 5);
        let with = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| tsne(&vectors, 6, 20.0, seed)).unwrap()
        };
        let one = with(1, 7);
        assert_eq!(one, with(3, 7));
        assert_eq!(one, with(2, 7));
        assert_ne!(one, with(2, 8));
    }

    #[test]
    fn clusters_stay_apart_and_equal_vectors_are_no_trouble() {
        let mut vectors = clusters(90, 6, 3, 9);
        let first = vectors[..6].to_vec();
        vectors[18..24].copy_from_slice(&first);
        let points = tsne(&vectors, 6, 20.0, 1).unwrap();
        assert!(points.as_flattened().iter().all(|x| x.is_finite()));
        assert!(trustworthiness(&vectors, 6, &points, 5).unwrap() > 0.9);
        let mean = |cluster: usize| {
            let own: Vec<Point> = points.iter().skip(cluster).step_by(3).copied().collect();
            [0, 1].map(|axis| own.iter().map(|p| p[axis]).sum::<f64>() / own.len() as f64)
        };
        let own = (0..90).filter(|&n| {
            let nearest =
                (0..3).min_by(|&a, &b| square(points[n], mean(a)).total_cmp(&square(points[n], mean(b))));
            nearest == Some(n % 3)
        });
        assert_eq!(own.count(), 90);
        assert!(
            tsne(&[1.0; 40], 1, perplexity(40), 1).unwrap().as_flattened().iter().all(|x| x.is_finite()),
            "all alike"
        );
        let error = tsne(&vectors[..12], 6, 1.0, 1).unwrap_err().to_string();
        assert!(error.contains("2 sentences make no picture"), "{error}");
    }
}
