use std::sync::Arc;

use dfdx::prelude::*;

use super::*;
use crate::device::{Matrix, Vector};
use crate::gradcheck::{differences, get, get1, matrix_gradient, noise, probe, vector_gradient};
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, data1, matrix, on_host, vector};

const PASS: Pass = Pass { precision: Precision::F32, recompute: false };
const WIDTH: usize = 6;
const ACTIVATIONS: [Activation; 5] =
    [Activation::Relu, Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh, Activation::Tanh];

fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
    matrix(noise(rows * cols, seed), rows, cols)
}

fn layer(outputs: usize, inputs: usize, seed: u64) -> LinearWeights {
    LinearWeights::new(random(outputs, inputs, seed), vector(noise(outputs, seed + 50)))
}

fn norm(seed: u64, trained: bool) -> NormWeights {
    let scale = noise(WIDTH, seed).iter().map(|x| x + 1.0).collect();
    NormWeights {
        scale: vector(scale),
        shift: vector(noise(WIDTH, seed + 1)),
        epsilon: 1e-5,
        rate: rate(trained),
    }
}

fn rate(trained: bool) -> Rate {
    if trained { Rate::TRAINED } else { Rate::FROZEN }
}

fn projection(weights: LinearWeights, trained: bool) -> Projection {
    Projection::new(LinearWeights { rate: rate(trained), ..weights })
}

fn forward_layer(activation: Activation, trained: bool) -> FeedForwardWeights {
    FeedForwardWeights {
        norm: Some(norm(1, trained)),
        inner: projection(layer(9, WIDTH, 2), trained),
        activation,
        outer: projection(layer(WIDTH, 9, 3), trained),
    }
}

fn attention_layer(causal: bool, trained: bool) -> AttentionWeights {
    AttentionWeights {
        norm: Some(norm(4, trained)),
        input: projection(layer(3 * WIDTH, WIDTH, 5), trained),
        output: projection(layer(WIDTH, WIDTH, 6), trained),
        heads: 2,
        causal,
    }
}

/// Sentences of the given lengths.
fn sentences(lengths: &[usize]) -> Arc<Sequences> {
    let mut all = Sequences::new();
    for &n in lengths {
        let first = all.rows.len() as u32;
        all.push(first..first + n as u32);
    }
    Arc::new(all)
}

#[test]
fn an_activation_alone_has_its_slope_as_gradient() {
    let x = random(5, WIDTH, 1);
    for activation in ACTIVATIONS {
        let grads = probe(activate(x.leaky_trace(), activation)).backward();
        matrix_gradient("x", &x, &grads, 1e-3, 5e-3, |x| probe(activate(x.clone(), activation)).array());
    }
}

#[test]
fn activations_have_the_values_of_their_formulas_and_slopes_as_gradients() {
    let x: Vec<f32> = (-60..=60).map(|i| i as f32 / 10.0 + 0.03).collect();
    for activation in ACTIVATIONS {
        let value = |x: &[f32]| {
            let mut y = x.to_vec();
            activation.apply(&mut y);
            y
        };
        for (x, y) in x.iter().zip(value(&x)) {
            let x = *x as f64;
            let want = match activation {
                Activation::Relu => x.max(0.0),
                Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
                Activation::Gelu => x * normal(x),
                Activation::GeluTanh => {
                    0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh())
                }
                Activation::Tanh => x.tanh(),
            };
            assert!((y as f64 - want).abs() < 1e-6, "{activation:?}({x}) is {y}, not {want}");
        }
        let mut slopes = vec![1.0; x.len()];
        activation.pull(&x, &mut slopes);
        differences("slope", &x, &slopes, 1e-2, 2e-3, |x| value(x).iter().sum());
    }
}

/// Φ by Simpson's rule.
fn normal(x: f64) -> f64 {
    let n = 2000;
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let inner = |k: usize| (if k % 2 == 1 { 4.0 } else { 2.0 }) * density(x * k as f64 / n as f64);
    let sum = density(0.0) + density(x) + (1..n).map(inner).sum::<f64>();
    0.5 + sum * x / n as f64 / 3.0
}

#[test]
fn layer_norm_has_unit_rows_before_scale_and_shift_and_all_gradients() {
    let weights = norm(1, true);
    let x = random(5, WIDTH, 7);
    let y = layer_norm(x.clone(), &weights);
    let plain: Vec<f32> =
        (0..WIDTH).map(|j| (get(&y, 2, j) - get1(&weights.shift, j)) / get1(&weights.scale, j)).collect();
    let mean: f32 = plain.iter().sum::<f32>() / WIDTH as f32;
    let variance = plain.iter().map(|x| x * x).sum::<f32>() / WIDTH as f32;
    assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    let grads = probe(layer_norm(x.leaky_trace(), &weights)).backward();
    let value = |x: &Matrix, w: &NormWeights| probe(layer_norm(x.clone(), w)).array();
    matrix_gradient("x", &x, &grads, 3e-3, 1e-2, |x| value(x, &weights));
    let scale = |v: &Vector| value(&x, &NormWeights { scale: v.clone(), ..weights.clone() });
    vector_gradient("scale", &weights.scale, &grads, 1e-2, 2e-3, scale);
    let shift = |v: &Vector| value(&x, &NormWeights { shift: v.clone(), ..weights.clone() });
    vector_gradient("shift", &weights.shift, &grads, 1e-2, 2e-3, shift);
}

#[test]
fn feed_forward_has_all_gradients() {
    let x = random(7, WIDTH, 8);
    for activation in [Activation::QuickGelu, Activation::Gelu] {
        let w = forward_layer(activation, true);
        let value = |x: &Matrix, w: &FeedForwardWeights| probe(feed_forward(x.clone(), w, PASS)).array();
        let grads = probe(feed_forward(x.leaky_trace(), &w, PASS)).backward();
        matrix_gradient("x", &x, &grads, 3e-3, 1e-2, |x| value(x, &w));
        let scale = |v: &Vector| {
            let norm = NormWeights { scale: v.clone(), ..norm(1, true) };
            value(&x, &FeedForwardWeights { norm: Some(norm), ..w.clone() })
        };
        vector_gradient("scale", &w.norm.as_ref().unwrap().scale, &grads, 3e-3, 1e-2, scale);
        type Change = fn(&FeedForwardWeights, LinearWeights) -> FeedForwardWeights;
        let changes: [(&Projection, Change); 2] = [
            (&w.inner, |w, l| FeedForwardWeights { inner: Projection::new(l), ..w.clone() }),
            (&w.outer, |w, l| FeedForwardWeights { outer: Projection::new(l), ..w.clone() }),
        ];
        for (projection, change) in changes {
            let l = &projection.weights;
            let weight =
                |m: &Matrix| value(&x, &change(&w, LinearWeights { weight: m.clone(), ..l.clone() }));
            matrix_gradient("weight", &l.weight, &grads, 3e-3, 1e-2, weight);
            let bias = |v: &Vector| value(&x, &change(&w, LinearWeights { bias: v.clone(), ..l.clone() }));
            vector_gradient("bias", &l.bias, &grads, 3e-3, 1e-2, bias);
        }
    }
}

#[test]
fn attention_has_all_gradients() {
    let sentences = sentences(&[3, 1, 0, 4]);
    let x = random(8, WIDTH, 9);
    for causal in [false, true] {
        let w = attention_layer(causal, true);
        let value = |x: &Matrix, w: &AttentionWeights| probe(attend(x.clone(), w, &sentences, PASS)).array();
        let grads = probe(attend(x.leaky_trace(), &w, &sentences, PASS)).backward();
        matrix_gradient("x", &x, &grads, 3e-3, 1e-2, |x| value(x, &w));
        let shift = |v: &Vector| {
            let norm = NormWeights { shift: v.clone(), ..norm(4, true) };
            value(&x, &AttentionWeights { norm: Some(norm), ..w.clone() })
        };
        vector_gradient("shift", &w.norm.as_ref().unwrap().shift, &grads, 3e-3, 1e-2, shift);
        type Change = fn(&AttentionWeights, LinearWeights) -> AttentionWeights;
        let changes: [(&Projection, Change); 2] = [
            (&w.input, |w, l| AttentionWeights { input: Projection::new(l), ..w.clone() }),
            (&w.output, |w, l| AttentionWeights { output: Projection::new(l), ..w.clone() }),
        ];
        for (projection, change) in changes {
            let l = &projection.weights;
            let weight =
                |m: &Matrix| value(&x, &change(&w, LinearWeights { weight: m.clone(), ..l.clone() }));
            matrix_gradient("weight", &l.weight, &grads, 3e-3, 1e-2, weight);
            let bias = |v: &Vector| value(&x, &change(&w, LinearWeights { bias: v.clone(), ..l.clone() }));
            vector_gradient("bias", &l.bias, &grads, 3e-3, 1e-2, bias);
        }
    }
}

/// Softmax attention of one head over one sentence, as written in the paper.
#[test]
fn attention_has_the_value_of_its_formula() {
    let w = AttentionWeights { norm: None, heads: 1, ..attention_layer(true, false) };
    let x = random(3, WIDTH, 9);
    let y = attend(x.clone(), &w, &sentences(&[3]), PASS);
    let row = |l: &LinearWeights, x: &[f32], r: usize| {
        x.iter().enumerate().map(|(k, x)| x * get(&l.weight, r, k)).sum::<f32>() + get1(&l.bias, r)
    };
    let all = data(&x);
    let token = |i: usize| &all[i * WIDTH..(i + 1) * WIDTH];
    let part = |i: usize, p: usize| -> Vec<f32> {
        (0..WIDTH).map(|r| row(&w.input.weights, token(i), p * WIDTH + r)).collect()
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    // The second token sees the first and itself.
    let scores: Vec<f32> =
        (0..2).map(|j| (dot(&part(1, 0), &part(j, 1)) / (WIDTH as f32).sqrt()).exp()).collect();
    let share = scores[0] / (scores[0] + scores[1]);
    let (a, b) = (part(0, 2), part(1, 2));
    let context: Vec<f32> = a.iter().zip(&b).map(|(a, b)| share * a + (1.0 - share) * b).collect();
    for r in 0..WIDTH {
        let want = token(1)[r] + row(&w.output.weights, &context, r);
        assert!((get(&y, 1, r) - want).abs() < 1e-5, "{} {want}", get(&y, 1, r));
    }
}

#[test]
fn frozen_layers_have_the_same_values_and_input_gradients_and_no_others() {
    let sentences = sentences(&[3, 5]);
    let x = random(8, WIDTH, 9);
    let run = |trained: bool, pass: Pass| {
        let (a, f) = (attention_layer(true, trained), forward_layer(Activation::Gelu, trained));
        let last = projection(layer(4, WIDTH, 30), trained);
        let y = attend(x.leaky_trace(), &a, &sentences, pass);
        let y = layer_norm(feed_forward(y, &f, pass), &norm(20, trained));
        let y = project(y, &last, pass.precision);
        let value = y.as_vec();
        let mut grads = probe(y).backward();
        let weights = [&a.input, &a.output, &f.inner, &f.outer, &last].map(|p| &p.weights);
        let sum: f32 = weights
            .iter()
            .map(|l| {
                let w =
                    on_host(grads.get_or_alloc_mut(&l.weight).unwrap()).iter().map(|x| x.abs()).sum::<f32>();
                w + on_host(grads.get_or_alloc_mut(&l.bias).unwrap()).iter().map(|x| x.abs()).sum::<f32>()
            })
            .sum();
        (value, grads.get(&x).as_vec(), sum)
    };
    let (trained, frozen) = (run(true, PASS), run(false, PASS));
    assert!(trained.0 == frozen.0 && trained.1 == frozen.1);
    assert!(trained.2 > 0.0 && frozen.2 == 0.0);
    let again = run(true, Pass { recompute: true, ..PASS });
    assert!(again == trained, "what is computed twice is the same twice");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_sentence_has_the_same_bits_alone_and_among_others_on_any_number_of_threads() {
    let w = attention_layer(true, false);
    let f = forward_layer(Activation::QuickGelu, false);
    let lengths: Vec<usize> = (0..60).map(|i| 1 + i * 7 % 13).collect();
    let all = sentences(&lengths);
    let x = random(all.rows.len(), WIDTH, 11);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        pool.install(|| {
            let y = feed_forward(attend(x.leaky_trace(), &w, &all, PASS), &f, PASS);
            (y.as_vec(), probe(y).backward().get(&x).as_vec())
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(7) == one);
    let first: usize = lengths[..20].iter().sum();
    let rows = first * WIDTH..(first + lengths[20]) * WIDTH;
    let alone = matrix(data(&x)[rows.clone()].to_vec(), lengths[20], WIDTH);
    let alone = feed_forward(attend(alone, &w, &sentences(&lengths[20..21]), PASS), &f, PASS);
    assert_eq!(data(&alone), &one.0[rows]);
}

#[test]
fn bias_of_a_frozen_projection_is_added() {
    let p = projection(layer(2, 3, 1), false);
    let y = project(matrix(vec![0.0; 3], 1, 3), &p, Precision::F32);
    assert_eq!(data(&y), data1(&p.weights.bias));
}
