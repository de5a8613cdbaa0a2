//! One weight per language, at the best of a convex loss: what CLC-C amounts to, without its detours.
//!
//! The joined score is Σ w_l s_l; the loss is the symmetric softmax loss over the validation split, of queries over
//! pictures and of pictures over queries, plus a ridge that is small against a unit of standardised scores. It is
//! convex in w, so Newton's method finds the one optimum; there is no learning rate and no start to choose. The scale
//! of w is the softmax's inverse temperature, fitted along with the weights, and changes no rank.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ParallelScores, shares, transposed};

/// Weights in the order of the languages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// One a language.
    pub weights: Vec<f32>,
}

/// Ridge on the weights of standardised scores.
const RIDGE: f64 = 1e-3;
/// Newton steps at most; five to ten reach the optimum.
const STEPS: usize = 50;

/// Loss, gradient and Hessian (row-major).
#[derive(Clone)]
struct Expansion {
    value: f64,
    gradient: Vec<f64>,
    hessian: Vec<f64>,
}

impl Weighted {
    /// One weighting for all queries of `validation`, in which every pair counts once; as for the network.
    pub fn fit(validation: &[ParallelScores]) -> Weighted {
        let of_language =
            |l: usize| spread(&validation.iter().map(|set| &set.scores[l][..]).collect::<Vec<_>>());
        let spreads: Vec<f64> = (0..validation[0].languages.len()).map(of_language).collect();
        let sides = Sides(shares(validation).map(|(share, set)| (share, Side::new(set, &spreads))).collect());
        let mut weights = vec![1.0 / spreads.len() as f64; spreads.len()];
        let mut here = sides.expand(&weights);
        for _ in 0..STEPS {
            let direction = solve(&here.hessian, &here.gradient);
            let slope: f64 = direction.iter().zip(&here.gradient).map(|(d, g)| d * g).sum();
            if slope < 1e-12 {
                break;
            }
            // Halve the step until the loss falls as a convex function must.
            let tries = (0..20).map(|halvings| {
                let moved = |(w, d): (&f64, &f64)| w - d * 0.5f64.powi(halvings);
                let moved: Vec<f64> = weights.iter().zip(&direction).map(moved).collect();
                let there = sides.expand(&moved);
                (moved, there)
            });
            match tries.into_iter().find(|(_, there)| there.value < here.value) {
                Some(better) => (weights, here) = better,
                None => break, // no progress within rounding: this is the optimum
            }
        }
        Weighted { weights: weights.iter().zip(&spreads).map(|(w, s)| (w / s) as f32).collect() }
    }
}

/// Standard deviation; 1 for a language that gives every pair the same score.
fn spread(scores: &[&[f32]]) -> f64 {
    let scores = || scores.iter().copied().flatten().map(|&s| f64::from(s));
    let n = scores().count() as f64;
    let mean = scores().sum::<f64>() / n;
    let variance = scores().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
    if variance > 1e-20 { variance.sqrt() } else { 1.0 }
}

/// Sets of queries, and each one's share of the pairs.
struct Sides(Vec<(f64, Side)>);

/// The standardised scores of a set with queries as rows, and with pictures as rows.
struct Side {
    queries: Vec<Vec<f32>>,
    pictures: Vec<Vec<f32>>,
    image_of: Vec<u32>,
    numbers: Vec<u32>,
}

impl Side {
    fn new(data: &ParallelScores, spreads: &[f64]) -> Side {
        let scaled = |(s, spread): (&Vec<f32>, &f64)| s.iter().map(|s| s / *spread as f32).collect();
        let queries: Vec<Vec<f32>> = data.scores.iter().zip(spreads).map(scaled).collect();
        let pictures = queries.iter().map(|s| transposed(s, data.images)).collect();
        Side {
            queries,
            pictures,
            image_of: data.image_of.clone(),
            numbers: (0..data.images as u32).collect(),
        }
    }
}

impl Sides {
    fn expand(&self, weights: &[f64]) -> Expansion {
        let l = weights.len();
        let mut sum = Expansion {
            value: RIDGE * weights.iter().map(|w| w * w).sum::<f64>(),
            gradient: weights.iter().map(|w| 2.0 * RIDGE * w).collect(),
            hessian: (0..l * l).map(|at| if at % (l + 1) == 0 { 2.0 * RIDGE } else { 0.0 }).collect(),
        };
        for (share, set) in &self.0 {
            for side in [
                one_way(&set.queries, &set.image_of, &set.numbers, weights),
                one_way(&set.pictures, &set.numbers, &set.image_of, weights),
            ] {
                sum.value += share * side.value;
                sum.gradient.iter_mut().zip(side.gradient).for_each(|(sum, g)| *sum += share * g);
                sum.hessian.iter_mut().zip(side.hessian).for_each(|(sum, h)| *sum += share * h);
            }
        }
        sum
    }
}

/// Mean softmax loss of rows over columns; a column is right where its picture is the row's, and against a right
/// column stand all the wrong ones.
fn one_way(scores: &[Vec<f32>], rows: &[u32], columns: &[u32], weights: &[f64]) -> Expansion {
    let l = weights.len();
    let anchors: Vec<Vec<Expansion>> = (0..rows.len())
        .into_par_iter()
        .map(|r| {
            let row: Vec<&[f32]> = scores.iter().map(|s| &s[r * columns.len()..][..columns.len()]).collect();
            let right = (0..columns.len()).filter(|&c| columns[c] == rows[r]);
            right.map(|c| pair(&row, columns, c, weights)).collect()
        })
        .collect();
    let pairs = anchors.iter().map(Vec::len).sum::<usize>() as f64;
    let mut mean = Expansion { value: 0.0, gradient: vec![0.0; l], hessian: vec![0.0; l * l] };
    for one in anchors.iter().flatten() {
        mean.value += one.value / pairs;
        mean.gradient.iter_mut().zip(&one.gradient).for_each(|(m, g)| *m += g / pairs);
        mean.hessian.iter_mut().zip(&one.hessian).for_each(|(m, h)| *m += h / pairs);
    }
    mean
}

/// −log softmax of the right column: gradient E[s] − s⁺, Hessian the covariance of s, under the softmax.
fn pair(row: &[&[f32]], columns: &[u32], right: usize, weights: &[f64]) -> Expansion {
    let l = weights.len();
    let joined = |c: usize| -> f64 { row.iter().zip(weights).map(|(s, w)| f64::from(s[c]) * w).sum() };
    let against: Vec<usize> =
        (0..columns.len()).filter(|&c| c == right || columns[c] != columns[right]).collect();
    let logits: Vec<f64> = against.iter().map(|&c| joined(c)).collect();
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|x| (x - top).exp()).sum();
    let (mut mean, mut hessian) = (vec![0.0; l], vec![0.0; l * l]);
    for (&c, logit) in against.iter().zip(&logits) {
        let p = (logit - top).exp() / total;
        for a in 0..l {
            let weighted = p * f64::from(row[a][c]);
            mean[a] += weighted;
            for b in 0..l {
                hessian[a * l + b] += weighted * f64::from(row[b][c]);
            }
        }
    }
    for (at, h) in hessian.iter_mut().enumerate() {
        *h -= mean[at / l] * mean[at % l];
    }
    let gradient = mean.iter().zip(row).map(|(m, s)| m - f64::from(s[right])).collect();
    Expansion { value: top + total.ln() - joined(right), gradient, hessian }
}

/// Solves A x = b for a symmetric positive definite A (row-major), by Cholesky factors.
fn solve(a: &[f64], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let rest = a[i * n + j] - (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum::<f64>();
            // The ridge keeps the diagonal positive; the floor guards against rounding.
            l[i * n + j] = if i == j { rest.max(1e-12).sqrt() } else { rest / l[j * n + j] };
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        x[i] = (x[i] - (0..i).map(|k| l[i * n + k] * x[k]).sum::<f64>()) / l[i * n + i];
    }
    for i in (0..n).rev() {
        x[i] = (x[i] - (i + 1..n).map(|k| l[k * n + i] * x[k]).sum::<f64>()) / l[i * n + i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::tests::noisy;
    use super::*;

    #[test]
    fn gradient_and_hessian_agree_with_finite_differences() {
        let data = [noisy(&[0.3, 0.6, 0.9], 12, 1), noisy(&[0.2, 0.9, 0.4], 7, 5)];
        let side = |(share, set)| (share, Side::new(set, &[0.5, 0.7, 0.9]));
        let sides = Sides(shares(&data).map(side).collect());
        let weights = [0.8, 0.4, 0.1];
        let here = sides.expand(&weights);
        for a in 0..3 {
            let at = |offset: f64| {
                let mut moved = weights;
                moved[a] += offset;
                sides.expand(&moved)
            };
            let (up, down) = (at(1e-5), at(-1e-5));
            assert!(((up.value - down.value) / 2e-5 - here.gradient[a]).abs() < 1e-6);
            for b in 0..3 {
                let numeric = (up.gradient[b] - down.gradient[b]) / 2e-5;
                assert!((numeric - here.hessian[a * 3 + b]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn fit_ends_where_the_gradient_is_nothing() {
        let data = noisy(&[0.2, 0.5, 1.5], 30, 2);
        let weighted = Weighted::fit(std::slice::from_ref(&data));
        let spreads: Vec<f64> = data.scores.iter().map(|s| spread(&[s])).collect();
        let scaled: Vec<f64> =
            weighted.weights.iter().zip(&spreads).map(|(&w, s)| f64::from(w) * s).collect();
        let gradient = Sides(vec![(1.0, Side::new(&data, &spreads))]).expand(&scaled).gradient;
        assert!(gradient.iter().all(|g| g.abs() < 1e-5), "{gradient:?}");
        assert!(weighted.weights[0] > weighted.weights[1] && weighted.weights[1] > weighted.weights[2]);
    }

    #[test]
    fn a_language_that_says_nothing_gets_no_weight() {
        let mut data = noisy(&[0.3, 0.3], 20, 3);
        data.scores[1].fill(0.7);
        let weighted = Weighted::fit(&[data]);
        assert!(weighted.weights[0] > 1.0 && weighted.weights[1].abs() < 1e-6, "{:?}", weighted.weights);
    }
}
