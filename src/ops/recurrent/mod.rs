//! GRU and LSTM over sentences of different lengths: value and gradient in one fused operation.
//!
//! Inputs are distinct tokens, so the input projection and its gradients are computed once per distinct token of the batch; what
//! sentences begin with alike is run once ([`prefixes`]). The prefixes are dealt to a fixed number of trees; each tree runs its
//! whole forward and backward on one thread, so the bits do not depend on the number of threads.

mod bidirectional;
mod cell;
mod cpu;
pub mod prefixes;

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::sync::Arc;

use dfdx::prelude::*;

use super::leaf::Rate;
use super::on_gpu;
use super::packs::Packs;
use super::sequences::Sequences;
use super::tape::{data, matrix, record};
use crate::config::{Pooling, Precision};
use crate::device::{Dev, Matrix, Vector};
pub use bidirectional::bidirectional_gru;
use cell::{Cell, GruCell, LstmCell};

/// Weights in PyTorch's layout: `weight_ih` (G·hidden, inputs), `weight_hh` (G·hidden, hidden) and two biases
/// (G·hidden), gates in the order r, z, n (GRU, G = 3) or i, f, g, o (LSTM, G = 4).
#[derive(Clone)]
pub struct RecurrentWeights {
    /// (G·hidden, inputs)
    pub weight_ih: Matrix,
    /// (G·hidden, hidden)
    pub weight_hh: Matrix,
    /// (G·hidden), added to the inputs' product.
    pub bias_ih: Vector,
    /// (G·hidden), added to the state's product.
    pub bias_hh: Vector,
    /// Where these are frozen, only the gradient of the tokens is computed.
    pub rate: Rate,
    /// Of `weight_ih`, while it is frozen.
    pub packs_ih: Packs,
    /// Of `weight_hh`, while it is frozen.
    pub packs_hh: Packs,
}

/// How a recurrent network reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// How the states of a sentence become one.
    pub pooling: Pooling,
    /// What the inputs of products are rounded to.
    pub precision: Precision,
}

/// GRU (Cho et al. 2014, in the form of cuDNN: the reset gate is applied after the recurrent product).
///
/// `tokens` (distinct tokens, inputs); result (sentences, hidden), pooled over each sentence's states.
/// The state of a sentence without tokens is zero.
pub fn gru<T: Tape<f32, Dev> + 'static>(
    tokens: Matrix<T>,
    weights: &RecurrentWeights,
    sentences: &Arc<Sequences>,
    reading: Reading,
) -> Matrix<T> {
    recurrent::<GruCell, T>(tokens, weights, sentences, reading)
}

/// LSTM (Hochreiter & Schmidhuber 1997) with zero initial state; otherwise as [`gru`]: `tokens` (distinct tokens, inputs) →
/// (sentences, hidden).
pub fn lstm<T: Tape<f32, Dev> + 'static>(
    tokens: Matrix<T>,
    weights: &RecurrentWeights,
    sentences: &Arc<Sequences>,
    reading: Reading,
) -> Matrix<T> {
    recurrent::<LstmCell, T>(tokens, weights, sentences, reading)
}

/// `tokens` (distinct tokens, inputs) → (sentences, hidden).
fn recurrent<C: Cell, T: Tape<f32, Dev> + 'static>(
    tokens: Matrix<T>,
    weights: &RecurrentWeights,
    sentences: &Arc<Sequences>,
    reading: Reading,
) -> Matrix<T> {
    on_gpu!(|gpu| gpu.recurrent(C::GATES, tokens, weights, sentences, reading));
    let (x, tape) = tokens.split_tape();
    let hidden = weights.weight_hh.shape().1;
    let (out, saved) = cpu::forward::<C>(&data(&x), x.shape().0, weights, sentences, reading, T::OWNS_TAPE);
    let out = matrix(out, sentences.len(), hidden);
    let Some(saved) = saved else { return out.put_tape(tape) };
    let weights = weights.clone();
    record!(tape, out, |grads, g| {
        cpu::backward::<C>(&g, &x, &weights, saved, grads)?;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{matrix_gradient, noise, probe, vector_gradient};
    use crate::ops::tape::on_host;
    use crate::ops::tape::vector;
    use crate::optim::{TensorMut, visit_recurrent};

    const HIDDEN: usize = 5;
    const INPUTS: usize = 4;

    fn setup(gates: usize) -> (Matrix, RecurrentWeights, Arc<Sequences>) {
        let g = gates * HIDDEN;
        let weights = RecurrentWeights {
            weight_ih: matrix(noise(g * INPUTS, 1), g, INPUTS),
            weight_hh: matrix(noise(g * HIDDEN, 2), g, HIDDEN),
            bias_ih: vector(noise(g, 3)),
            bias_hh: vector(noise(g, 4)),
            rate: Rate::TRAINED,
            packs_ih: Packs::default(),
            packs_hh: Packs::default(),
        };
        let mut sentences = Sequences::new();
        // Repeated tokens, sentences that begin alike, that end in another, twice the same and without tokens.
        for s in 0..19u32 {
            sentences.push((0..1 + s % 5).map(|t| (s * 3 + t * t) % 7));
            sentences.push((0..s % 6).map(|t| (s / 6 + t * t) % 7));
        }
        (matrix(noise(7 * INPUTS, 5), 7, INPUTS), weights, Arc::new(sentences))
    }

    const POOLINGS: [Pooling; 3] = [Pooling::Last, Pooling::Mean, Pooling::Max];

    fn reading(pooling: Pooling) -> Reading {
        Reading { pooling, precision: Precision::F32 }
    }

    type Op<T> = fn(Matrix<T>, &RecurrentWeights, &Arc<Sequences>, Reading) -> Matrix<T>;

    fn check(gates: usize, train: Op<OwnedTape<f32, Dev>>, infer: Op<NoneTape>) {
        let (x, w, s) = setup(gates);
        for reading in POOLINGS.map(reading) {
            let value = |x: &Matrix, w: &RecurrentWeights| probe(infer(x.clone(), w, &s, reading)).array();
            let loss = probe(train(x.leaky_trace(), &w, &s, reading));
            assert_eq!(loss.array(), value(&x, &w), "training and inference differ");
            let grads = loss.backward();
            matrix_gradient("tokens", &x, &grads, 3e-3, 5e-3, |x| value(x, &w));
            let with = |f: &dyn Fn(&mut RecurrentWeights)| {
                let mut w = w.clone();
                f(&mut w);
                value(&x, &w)
            };
            matrix_gradient("weight_ih", &w.weight_ih, &grads, 3e-3, 5e-3, |m| {
                with(&|w| w.weight_ih = m.clone())
            });
            matrix_gradient("weight_hh", &w.weight_hh, &grads, 3e-3, 5e-3, |m| {
                with(&|w| w.weight_hh = m.clone())
            });
            vector_gradient("bias_ih", &w.bias_ih, &grads, 3e-3, 5e-3, |v| with(&|w| w.bias_ih = v.clone()));
            vector_gradient("bias_hh", &w.bias_hh, &grads, 3e-3, 5e-3, |v| with(&|w| w.bias_hh = v.clone()));
        }
    }

    #[test]
    fn gradients_of_the_gru_are_its_slopes() {
        check(3, gru, gru);
    }

    #[test]
    fn gradients_of_the_lstm_are_its_slopes() {
        check(4, lstm, lstm);
    }

    #[test]
    fn frozen_weights_get_no_gradient_and_tokens_the_same() {
        for (gates, op) in [(3, gru as Op<OwnedTape<f32, Dev>>), (4, lstm)] {
            let (x, w, s) = setup(gates);
            let grads = |rate| {
                let w = RecurrentWeights { rate, ..w.clone() };
                probe(op(x.leaky_trace(), &w, &s, reading(Pooling::Max))).backward()
            };
            let (whole, mut through) = (grads(Rate::TRAINED), grads(Rate::FROZEN));
            assert_eq!(whole.get(&x).as_vec(), through.get(&x).as_vec());
            assert!(whole.get(&w.weight_hh).as_vec().iter().any(|&g| g != 0.0));
            for weight in [&w.weight_ih, &w.weight_hh] {
                assert!(on_host(through.get_or_alloc_mut(weight).unwrap()).iter().all(|&g| g == 0.0));
            }
            assert!(on_host(through.get_or_alloc_mut(&w.bias_ih).unwrap()).iter().all(|&g| g == 0.0));
        }
    }

    #[test]
    fn what_stays_packed_has_the_bits_of_what_is_packed_anew_and_goes_when_weights_change() {
        for (gates, op) in [(3, gru as Op<NoneTape>), (4, lstm)] {
            let (x, trained, s) = setup(gates);
            let value = |w: &RecurrentWeights, precision| {
                let reading = Reading { pooling: Pooling::Mean, precision };
                data(&op(x.clone(), w, &s, reading)).to_vec()
            };
            let mut frozen = RecurrentWeights { rate: Rate::FROZEN, ..trained.clone() };
            for precision in [Precision::F32, Precision::Bf16, Precision::F32] {
                let anew = value(&trained, precision);
                assert!(value(&frozen, precision) == anew && value(&frozen, precision) == anew);
                // Tensors of a GPU stay in their thread.
                #[cfg(not(feature = "cuda"))]
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    assert!(pool.install(|| value(&frozen, precision)) == anew);
                }
            }
            let others = |rows: usize, cols: usize| matrix(noise(rows * cols, 9), rows, cols);
            let g = gates * HIDDEN;
            visit_recurrent("gru", &mut frozen, &mut |name, mut parameter| {
                if let TensorMut::Matrix(m) = parameter.tensor() {
                    *m = others(g, if name.ends_with("ih") { INPUTS } else { HIDDEN });
                }
            });
            let (weight_ih, weight_hh) = (others(g, INPUTS), others(g, HIDDEN));
            let changed = RecurrentWeights { weight_ih, weight_hh, ..trained.clone() };
            assert!(value(&frozen, Precision::F32) == value(&changed, Precision::F32));
            assert!(value(&changed, Precision::F32) != value(&trained, Precision::F32));
        }
    }

    #[test]
    fn sentences_have_the_same_states_alone_and_in_a_tree() {
        for (gates, op) in [(3, gru as Op<NoneTape>), (4, lstm)] {
            let (x, w, s) = setup(gates);
            for reading in POOLINGS.map(reading) {
                let together = op(x.clone(), &w, &s, reading);
                for i in 0..s.len() {
                    let mut alone = Sequences::new();
                    alone.push(s.get(i).iter().copied());
                    let alone = op(x.clone(), &w, &Arc::new(alone), reading);
                    for (a, b) in data(&together)[i * HIDDEN..][..HIDDEN].iter().zip(&*data(&alone)) {
                        assert!((a - b).abs() < 1e-6, "{reading:?}, sentence {i}: {a}, alone {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_nan_is_not_pooled_away() {
        let (x, w, s) = setup(3);
        let mut floats = data(&x).to_vec();
        floats[0] = f32::NAN; // of token 0
        let x = matrix(floats, 7, INPUTS);
        for reading in POOLINGS.map(reading) {
            let out = gru(x.clone(), &w, &s, reading);
            for i in 0..s.len() {
                let nan = data(&out)[i * HIDDEN..][..HIDDEN].iter().any(|x| x.is_nan());
                assert_eq!(nan, s.get(i).contains(&0), "{reading:?}, sentence {i}");
            }
        }
    }

    #[test]
    fn gru_agrees_with_a_plain_loop() {
        let (x, w, s) = setup(3);
        let got = POOLINGS.map(|pooling| data(&gru(x.clone(), &w, &s, reading(pooling))).to_vec());
        let (wi, wh) = (data(&w.weight_ih), data(&w.weight_hh));
        let (bi, bh) = (w.bias_ih.as_vec(), w.bias_hh.as_vec());
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        for i in 0..s.len() {
            let mut h = vec![0f32; HIDDEN];
            let mut pooled = [vec![0f32; HIDDEN], vec![0f32; HIDDEN], vec![f32::MIN; HIDDEN]];
            for &token in s.get(i) {
                let x = &data(&x)[token as usize * INPUTS..][..INPUTS];
                let dot = |w: &[f32], v: &[f32]| w.iter().zip(v).map(|(a, b)| a * b).sum::<f32>();
                let a = |g: usize| dot(&wi[g * INPUTS..][..INPUTS], x) + bi[g];
                let b = |g: usize| dot(&wh[g * HIDDEN..][..HIDDEN], &h) + bh[g];
                h = (0..HIDDEN)
                    .map(|j| {
                        let (r, z) = (sigmoid(a(j) + b(j)), sigmoid(a(HIDDEN + j) + b(HIDDEN + j)));
                        let n = (a(2 * HIDDEN + j) + r * b(2 * HIDDEN + j)).tanh();
                        (1.0 - z) * n + z * h[j]
                    })
                    .collect();
                for (j, &h) in h.iter().enumerate() {
                    pooled[0][j] = h;
                    pooled[1][j] += h / s.length(i) as f32;
                    pooled[2][j] = pooled[2][j].max(h);
                }
            }
            for (got, want) in got.iter().zip(&pooled).filter(|_| s.length(i) > 0) {
                for (got, want) in got[i * HIDDEN..][..HIDDEN].iter().zip(want) {
                    assert!((got - want).abs() < 1e-6);
                }
            }
        }
    }
}
