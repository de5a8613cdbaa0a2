//! A loss of one's own: a pure function of similarities, checked by finite differences, then under a layer that learns by it.
//!
//!     cargo run --release --example 05-a-loss-of-ones-own

use dfdx::prelude::*;
use tinyglot::config::Precision;
use tinyglot::device::{Dev, Matrix, Scalar};
use tinyglot::gradcheck::{differences, matrix_gradient, noise};
use tinyglot::init::Init;
use tinyglot::loss::{Value, on_tape};
use tinyglot::ops::linear::{LinearWeights, linear, similarity, unit_rows};
use tinyglot::ops::tape::{data_mut, matrix};

const PICTURES: usize = 6;

/// Σ log(1 + exp(−y z)) / n with z = t·s + b, y = 1 for a picture with its own sentence and −1 else (Zhai et al. 2023,
/// SigLIP). `similarities`: (n, n) cosines, sentence i belongs to picture i. The derivative by s is −y·t / (1 + exp(y z)) / n.
fn sigmoid_loss(similarities: &[f32]) -> Value {
    let (t, b, n) = (10.0, -5.0, PICTURES);
    let (mut value, mut grad) = (0.0, Vec::new());
    for (place, s) in similarities.iter().enumerate() {
        let y = if place / n == place % n { 1.0 } else { -1.0 };
        let z: f32 = t * s + b;
        value += (-y * z).exp().ln_1p() / n as f32;
        grad.push(-y * t / (1.0 + (y * z).exp()) / n as f32);
    }
    Value { value, grad }
}

fn main() {
    let cosines = noise(PICTURES * PICTURES, 1);
    differences("similarity", &cosines, &sigmoid_loss(&cosines).grad, 1e-2, 1e-2, |s| sigmoid_loss(s).value);

    let (pictures, sentences) =
        (matrix(noise(PICTURES * 8, 2), PICTURES, 8), matrix(noise(PICTURES * 8, 3), PICTURES, 8));
    let mut layer = Init::new(0).linear(8, 8);
    let loss = |weight: &Matrix, layer: &LinearWeights| -> Scalar<OwnedTape<f32, Dev>> {
        let layer = LinearWeights::new(weight.clone(), layer.bias.clone());
        let projected = unit_rows(linear(pictures.leaky_trace(), &layer, Precision::F32)); // (pictures, 8)
        let sentences = unit_rows(sentences.leaky_trace());
        on_tape(similarity(projected, sentences), sigmoid_loss)
    };
    let grads = loss(&layer.weight, &layer).backward();
    matrix_gradient("weight", &layer.weight, &grads, 1e-2, 1e-2, |w| loss(w, &layer).array());
    println!("the gradient is that of the loss: of similarities, and of the layer below them");

    for step in 0..=100 {
        let value = loss(&layer.weight, &layer);
        if step % 25 == 0 {
            println!("step {step:3}: {:.3}", value.array());
        }
        let gradient = value.backward().get(&layer.weight).as_vec();
        data_mut(&mut layer.weight).iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.1 * g);
    }
}
