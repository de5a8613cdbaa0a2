//! The hard choice of one latent vector per word, and what gradient reaches the scores behind it.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::collections::BTreeMap;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::batch_norm::keeps;
use super::matmul::{Packed, View};
use super::rows::{RowGradients, Table};
use super::scratch::Scratch;
use super::tape::{data, matrix, on_host, record};
use crate::config::{Estimator, Precision};
use crate::device::{Dev, Matrix};

/// How a word chooses.
#[derive(Clone, Copy)]
pub struct Choice {
    /// Probability of a random one of the best `top`.
    pub exploration: f32,
    /// How many of the best a random choice and the estimator take into account.
    pub top: usize,
    /// Of the softmax over their scores.
    pub temperature: f32,
    /// What gradient the scores get.
    pub estimator: Estimator,
    /// Of the random choices.
    pub seed: u64,
}

/// What a word is compared with to choose its latent token.
#[derive(Clone, Copy)]
pub enum Keys<'a> {
    /// The directions of the latent vectors themselves; queries have unit length, scores are cosines.
    Latents,
    /// The rows of a fully connected layer (latents, width + 1), the last number of each its bias; it is trained by the estimator.
    Layer(&'a Table),
}

/// For each row of `query` (words, width) the latent vector with the highest score — or, with probability `exploration`, one of the `top`
/// highest at random → (words, width).
///
/// The latent vectors chosen get the gradient as it is. The scores get one that the paper does not give:
/// straight-through, as if the softmax-weighted mean of the top had been taken; or gate, as if the chosen vector had been
/// multiplied by its softmax weight over itself.
pub fn choose<T: Tape<f32, Dev> + 'static>(
    query: Matrix<T>,
    keys: Keys,
    latents: &Table,
    choice: Choice,
) -> Matrix<T> {
    let (q, tape) = query.split_tape();
    let (words, width) = *q.shape();
    let choice = Choice { top: choice.top.min(latents.rows()), ..choice };
    let picks = picks(words, choice);
    #[cfg(feature = "cuda")]
    if let (Some(gpu), Keys::Latents) =
        (crate::device::cuda::gpu().filter(|gpu| gpu.chooses(choice.top)), keys)
    {
        return gpu.choose(q, tape, latents, &picks, choice);
    }
    let (asked, keys, layer) = match keys {
        Keys::Latents => (data(&q).to_vec(), unit_keys(latents), None),
        Keys::Layer(table) => (with_one(&data(&q), width), table.data().to_vec(), table.sink()),
    };
    let across = keys.len() / latents.rows().max(1);
    let top = nearest_few(&asked, &keys, across, choice.top);
    let chosen: Vec<u32> = picks.iter().zip(&top).map(|(&p, t)| t[p as usize].0).collect();
    let out: Vec<f32> = chosen.iter().flat_map(|&c| latents.row(c as usize)).copied().collect();
    let (sink, values) = (latents.sink(), latents.data().to_vec());
    record!(tape, matrix(out, words, width), |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&q)?);
        if choice.estimator != Estimator::None {
            let of_word = |(w, to): (usize, &mut [f32])| {
                let slopes =
                    slopes(&g[w * width..(w + 1) * width], &top[w], picks[w] as usize, &values, choice);
                for (slope, &(row, _)) in slopes.iter().zip(&top[w]) {
                    let key = &keys[row as usize * across..][..width];
                    to.iter_mut().zip(key).for_each(|(t, k)| *t += slope * k);
                }
                slopes
            };
            let slopes: Vec<Vec<f32>> = to.par_chunks_mut(width).enumerate().map(of_word).collect();
            if let Some(layer) = &layer {
                let asked = asked.chunks(across);
                let all = top.iter().zip(&slopes).zip(asked).flat_map(|((top, slopes), asked)| {
                    top.iter().zip(slopes).map(move |(&(row, _), &slope)| (row, slope, asked))
                });
                layer.lock().expect("gradients are taken without panicking").push(summed(all, across));
            }
        }
        if let Some(sink) = &sink {
            let all = chosen.iter().zip(g.chunks(width)).map(|(&row, g)| (row, 1.0, g));
            sink.lock().expect("gradients are taken without panicking").push(summed(all, width));
        }
    })
}

/// The sum of factor times vector for each row.
fn summed<'a>(all: impl Iterator<Item = (u32, f32, &'a [f32])>, width: usize) -> RowGradients {
    let mut sums: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
    for (row, factor, g) in all {
        let sum = sums.entry(row).or_insert_with(|| vec![0.0; width]);
        sum.iter_mut().zip(g).for_each(|(s, g)| *s += factor * g);
    }
    let rows = sums.keys().copied().collect();
    let sums: Vec<f32> = sums.into_values().flatten().collect();
    (rows, sums.into())
}

/// Rows (n, width), each followed by a 1, which takes the bias of [`Keys::Layer`] → (n, width + 1).
pub fn with_one(rows: &[f32], width: usize) -> Vec<f32> {
    rows.chunks(width).flat_map(|row| row.iter().copied().chain([1.0])).collect()
}

/// Which of its nearest each word takes.
fn picks(words: usize, choice: Choice) -> Vec<u32> {
    let of = |w: usize| {
        let random = choice.exploration > 0.0 && !keeps(choice.seed, 2 * w, choice.exploration);
        if random { pick(choice.seed, 2 * w + 1, choice.top) as u32 } else { 0 }
    };
    (0..words).map(of).collect()
}

/// The gradient with respect to each of the `top` scores; `g` (width) is that of the vector chosen, `latents` are (latents, width).
fn slopes(g: &[f32], top: &[(u32, f32)], pick: usize, latents: &[f32], choice: Choice) -> Vec<f32> {
    let width = g.len();
    let weights: Vec<f32> = top.iter().map(|t| ((t.1 - top[0].1) / choice.temperature).exp()).collect();
    let total: f32 = weights.iter().sum();
    let along = |row: u32| {
        let z = &latents[row as usize * width..][..width];
        g.iter().zip(z).map(|(g, z)| g * z).sum::<f32>()
    };
    match choice.estimator {
        Estimator::StraightThrough => {
            let values: Vec<f32> = top.iter().map(|t| along(t.0)).collect();
            let mean: f32 = values.iter().zip(&weights).map(|(v, w)| v * w / total).sum();
            values.iter().zip(&weights).map(|(v, w)| w / total * (v - mean) / choice.temperature).collect()
        }
        Estimator::Gate => {
            let value = along(top[pick].0);
            let own = |m: usize| if m == pick { 1.0 } else { 0.0 };
            weights
                .iter()
                .enumerate()
                .map(|(m, w)| value * (own(m) - w / total) / choice.temperature)
                .collect()
        }
        Estimator::None => vec![0.0; top.len()],
    }
}

/// The table's rows at unit length: (latents, width).
pub fn unit_keys(latents: &Table) -> Vec<f32> {
    let mut keys = latents.data().to_vec();
    keys.par_chunks_mut(latents.width).for_each(|row| {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x /= length);
    });
    keys
}

/// For each query the `top` keys with the highest scalar product, as row and product, best first; the first of equals wins.
///
/// `queries` (n, width), `keys` (k, width).
pub fn nearest_few(queries: &[f32], keys: &[f32], width: usize, top: usize) -> Vec<Vec<(u32, f32)>> {
    const TILE: usize = 48;
    let (n, k) = (queries.len() / width, keys.len() / width);
    let packed = Packed::new(View::new(keys, k, width).t(), Precision::F32);
    (0..n.div_ceil(TILE))
        .into_par_iter()
        .flat_map_iter(|t| {
            let rows = TILE.min(n - t * TILE);
            let mut scores = Scratch::dirty(rows * k);
            packed.multiply(View::new(&queries[t * TILE * width..], rows, width), &mut scores, k, false);
            let best: Vec<Vec<(u32, f32)>> = scores
                .chunks(k)
                .map(|row| {
                    let mut best: Vec<(u32, f32)> = Vec::with_capacity(top + 1);
                    for (j, &s) in row.iter().enumerate() {
                        if best.len() < top || s > best[top - 1].1 {
                            let at = best.partition_point(|b| b.1 >= s);
                            best.insert(at, (j as u32, s));
                            best.truncate(top);
                        }
                    }
                    best
                })
                .collect();
            best
        })
        .collect()
}

/// A repeatable number below `n`.
fn pick(seed: u64, index: usize, n: usize) -> usize {
    (0..n - 1).find(|&i| !keeps(seed ^ 0x5bd1_e995, index * n + i, 1.0 / (n - i) as f32)).unwrap_or(n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{differences, noise, probe};
    use crate::ops::linear::unit_rows;

    fn choice(estimator: Estimator) -> Choice {
        Choice { exploration: 0.0, top: 3, temperature: 0.5, estimator, seed: 1 }
    }

    fn queries() -> Matrix {
        unit_rows(matrix(noise(5 * 4, 1), 5, 4))
    }

    #[test]
    fn takes_the_nearest_and_explores_at_the_given_rate() {
        let latents = Table::new(4, noise(9 * 4, 2));
        let (q, keys) = (queries(), unit_keys(&latents));
        let y = choose(q.clone(), Keys::Latents, &latents, choice(Estimator::None));
        for (w, top) in nearest_few(&data(&q), &keys, 4, 9).iter().enumerate() {
            assert!(top.windows(2).all(|t| t[0].1 >= t[1].1));
            assert_eq!(&data(&y)[w * 4..(w + 1) * 4], latents.row(top[0].0 as usize));
        }
        let many = matrix(data(&q)[..4].repeat(6000), 6000, 4);
        let y = choose(many, Keys::Latents, &latents, Choice { exploration: 0.3, ..choice(Estimator::None) });
        let first = data(&y)[..].chunks(4).map(|r| r.to_vec()).collect::<Vec<_>>();
        let best = nearest_few(&data(&q)[..4], &keys, 4, 3).remove(0);
        for (m, expected) in [0.8f64, 0.1, 0.1].iter().enumerate() {
            let share =
                first.iter().filter(|r| r[..] == *latents.row(best[m].0 as usize)).count() as f64 / 6000.0;
            assert!((share - expected).abs() < 0.02, "{m}: {share}");
        }
    }

    /// Straight-through pretends that the softmax-weighted mean was taken: its gradient is that function's slope.
    #[test]
    fn straight_through_has_the_slope_of_the_soft_choice() {
        let latents = Table::new(4, noise(3 * 4, 2));
        let q = queries();
        let y = choose(q.leaky_trace(), Keys::Latents, &latents, choice(Estimator::StraightThrough));
        let grads = probe(y).backward();
        let keys = unit_keys(&latents);
        differences("query", &data(&q), &grads.get(&q).as_vec(), 1e-3, 1e-2, |x| {
            let rows = x.chunks(4).flat_map(|x| {
                let dot = |k: &[f32]| x.iter().zip(k).map(|(a, b)| a * b).sum::<f32>();
                let w: Vec<f32> = keys.chunks(4).map(|k| (dot(k) / 0.5).exp()).collect();
                let total: f32 = w.iter().sum();
                (0..4)
                    .map(|j| (0..3).map(|m| w[m] / total * latents.data()[m * 4 + j]).sum())
                    .collect::<Vec<f32>>()
            });
            probe(matrix(rows.collect(), 5, 4)).array()
        });
        let [(rows, _)] = &latents.take_grads()[..] else { panic!("one entry") };
        assert!(rows.windows(2).all(|r| r[0] < r[1]), "distinct rows");
    }

    #[test]
    fn gate_has_the_slope_of_the_chosen_weight() {
        let latents = Table::new(4, noise(3 * 4, 2));
        let q = queries();
        let y = choose(q.leaky_trace(), Keys::Latents, &latents, choice(Estimator::Gate));
        let picked = y.as_vec();
        let grads = probe(y).backward();
        let keys = unit_keys(&latents);
        let weight = |x: &[f32], picked: &[f32]| {
            let dot = |k: &[f32]| x.iter().zip(k).map(|(a, b)| a * b).sum::<f32>();
            let w: Vec<f32> = keys.chunks(4).map(|k| (dot(k) / 0.5).exp()).collect();
            let own = (0..3).find(|&m| latents.row(m) == picked).unwrap();
            w[own] / w.iter().sum::<f32>()
        };
        let before: Vec<f32> = data(&q).chunks(4).zip(picked.chunks(4)).map(|(x, p)| weight(x, p)).collect();
        differences("query", &data(&q), &grads.get(&q).as_vec(), 1e-3, 1e-2, |x| {
            let rows = x.chunks(4).zip(picked.chunks(4)).enumerate().flat_map(|(w, (x, p))| {
                let gate = weight(x, p) / before[w];
                p.iter().map(move |v| v * gate)
            });
            probe(matrix(rows.collect(), 5, 4)).array()
        });
    }

    /// The layer is trained by the soft choice, too: straight-through over all tokens has its slope in weights and biases.
    #[test]
    fn a_layer_scores_with_its_bias_and_has_the_slope_of_the_soft_choice() {
        let (latents, layer) = (Table::new(4, noise(3 * 4, 2)), Table::new(5, noise(3 * 5, 3)));
        let q = queries();
        let chosen = choose(q.clone(), Keys::Layer(&layer), &latents, choice(Estimator::None));
        let score = |x: &[f32], key: &[f32]| x.iter().zip(key).map(|(a, b)| a * b).sum::<f32>() + key[4];
        for (x, y) in data(&q).chunks(4).zip(data(&chosen).chunks(4)) {
            let best =
                (0..3).max_by(|&a, &b| score(x, layer.row(a)).total_cmp(&score(x, layer.row(b)))).unwrap();
            assert_eq!(y, latents.row(best));
        }
        let soft = |q: &[f32], layer: &[f32]| {
            let rows = q.chunks(4).flat_map(|x| {
                let w: Vec<f32> = layer.chunks(5).map(|k| (score(x, k) / 0.5).exp()).collect();
                let total: f32 = w.iter().sum();
                (0..4)
                    .map(|j| (0..3).map(|m| w[m] / total * latents.data()[m * 4 + j]).sum())
                    .collect::<Vec<f32>>()
            });
            probe(matrix(rows.collect(), 5, 4)).array()
        };
        let y = choose(q.leaky_trace(), Keys::Layer(&layer), &latents, choice(Estimator::StraightThrough));
        let grads = probe(y).backward();
        differences("query", &data(&q), &grads.get(&q).as_vec(), 1e-3, 1e-2, |x| soft(x, layer.data()));
        let [(rows, slopes)] = &layer.take_grads()[..] else { panic!("one entry") };
        assert_eq!(rows, &[0, 1, 2]);
        differences("layer", layer.data(), slopes.host(), 1e-3, 1e-2, |w| soft(&data(&q), w));
    }
}
