//! A GRU that reads both ways.

use std::sync::Arc;

use dfdx::prelude::*;

use super::{Reading, RecurrentWeights, gru};
use crate::config::Pooling;
use crate::device::{Dev, Matrix};
use crate::ops::linear::blend;
use crate::ops::sequences::Sequences;

/// The mean of two GRUs, one of which reads each sentence from its end (Schuster & Paliwal 1997; the mean is LIWE's); otherwise as
/// [`gru`]: `tokens` (distinct tokens, inputs) → (sentences, hidden), both of one shape.
///
/// `Pooling::Last` takes both states at the last word, where the second GRU has read that word alone. `Pooling::Max` is not
/// defined for a mean of two.
pub fn bidirectional_gru<T: Tape<f32, Dev> + 'static>(
    tokens: Matrix<T>,
    [forward, backward]: [&RecurrentWeights; 2],
    sentences: &Arc<Sequences>,
    reading: Reading,
) -> Matrix<T> {
    assert!(reading.pooling != Pooling::Max, "bidirectional_gru: the maximum of a mean");
    let mut reversed = Sequences::new();
    for s in 0..sentences.len() {
        let count = if reading.pooling == Pooling::Last { 1 } else { usize::MAX };
        reversed.push(sentences.get(s).iter().rev().take(count).copied());
    }
    let back = gru(tokens.with_empty_tape(), backward, &Arc::new(reversed), reading);
    blend(gru(tokens, forward, sentences, reading), 0.5, back, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use crate::gradcheck::{matrix_gradient, noise, probe};
    use crate::ops::leaf::Rate;
    use crate::ops::packs::Packs;
    use crate::ops::tape::{data, matrix, vector};

    const HIDDEN: usize = 4;

    fn reading(pooling: Pooling) -> Reading {
        Reading { pooling, precision: Precision::F32 }
    }

    fn weights(seed: u64) -> RecurrentWeights {
        let g = 3 * HIDDEN;
        RecurrentWeights {
            weight_ih: matrix(noise(g * 3, seed), g, 3),
            weight_hh: matrix(noise(g * HIDDEN, seed + 1), g, HIDDEN),
            bias_ih: vector(noise(g, seed + 2)),
            bias_hh: vector(noise(g, seed + 3)),
            rate: Rate::TRAINED,
            packs_ih: Packs::default(),
            packs_hh: Packs::default(),
        }
    }

    fn sequences(of: &[&[u32]]) -> Arc<Sequences> {
        let mut sentences = Sequences::new();
        of.iter().for_each(|s| sentences.push(s.iter().copied()));
        Arc::new(sentences)
    }

    #[test]
    fn value_is_the_mean_of_both_ways() {
        let (x, w, v) = (matrix(noise(15, 1), 5, 3), weights(2), weights(6));
        let mean = |s: &[&[u32]], pooling| {
            let both = bidirectional_gru(x.clone(), [&w, &v], &sequences(s), reading(pooling));
            data(&both).to_vec()
        };
        let one = |w: &RecurrentWeights, s: &[u32], pooling| {
            data(&gru(x.clone(), w, &sequences(&[s]), reading(pooling))).to_vec()
        };
        let half =
            |a: Vec<f32>, b: Vec<f32>| -> Vec<f32> { a.iter().zip(&b).map(|(a, b)| (a + b) * 0.5).collect() };
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        let last = half(one(&w, &[3, 0, 4], Pooling::Last), one(&v, &[4], Pooling::Last));
        assert!(near(&mean(&[&[3, 0, 4]], Pooling::Last), &last));
        let whole = half(one(&w, &[3, 0, 4], Pooling::Mean), one(&v, &[4, 0, 3], Pooling::Mean));
        assert!(near(&mean(&[&[3, 0, 4]], Pooling::Mean), &whole));
        assert_eq!(mean(&[&[]], Pooling::Last), [0.0; HIDDEN]);
        assert_eq!(mean(&[&[]], Pooling::Mean), [0.0; HIDDEN]);
    }

    #[test]
    fn gradients_of_tokens_and_of_both_weights_are_slopes() {
        let (x, w, v) = (matrix(noise(15, 1), 5, 3), weights(2), weights(6));
        let s = sequences(&[&[0, 1, 0], &[4], &[3, 2]]);
        for pooling in [Pooling::Last, Pooling::Mean] {
            let value = |x: &Matrix, w: &RecurrentWeights, v: &RecurrentWeights| {
                probe(bidirectional_gru(x.clone(), [w, v], &s, reading(pooling))).array()
            };
            let traced = bidirectional_gru(x.leaky_trace(), [&w, &v], &s, reading(pooling));
            let grads = probe(traced).backward();
            matrix_gradient("tokens", &x, &grads, 3e-3, 5e-3, |x| value(x, &w, &v));
            let with =
                |w: &RecurrentWeights, m: &Matrix| RecurrentWeights { weight_ih: m.clone(), ..w.clone() };
            matrix_gradient("forward", &w.weight_ih, &grads, 3e-3, 5e-3, |m| value(&x, &with(&w, m), &v));
            matrix_gradient("backward", &v.weight_ih, &grads, 3e-3, 5e-3, |m| value(&x, &w, &with(&v, m)));
        }
    }
}
