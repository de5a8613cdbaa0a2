//! Losses as pure functions: similarities in, value and gradient out.
//!
//! All of them speak of a matrix of cosines between row items and column items, each of which belongs to a picture.
//! Two items of one picture match; they are never negatives of each other.

pub mod adversary;
pub mod info_nce;
pub mod mclm;
pub mod triplet;

use dfdx::prelude::*;

use crate::config::LossConfig;
use crate::device::{Dev, Matrix, Scalar};
use crate::ops::tape::{data, record, scalar};

/// The value of a loss and its gradient with respect to its input, of the input's length.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub value: f32,
    pub grad: Vec<f32>,
}

/// A matrix of similarities with the picture of every row and every column.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    /// (rows, columns), row by row
    pub similarity: &'a [f32],
    pub rows: &'a [u32],
    pub columns: &'a [u32],
}

/// The losses between pictures (rows) and sentences (columns) that a configuration weighs: name, weight, and the value before
/// weighting.
pub fn image_text(pairs: Pairs, config: &LossConfig) -> Vec<(&'static str, f32, Value)> {
    let (triplet, nce) = (&config.triplet, &config.info_nce);
    let mut terms = Vec::new();
    if triplet.weight > 0.0 {
        terms.push(("triplet", triplet.weight, triplet::bidirectional(pairs, triplet)));
    }
    if nce.weight > 0.0 {
        let value = info_nce::info_nce(pairs, nce.temperature, nce.label_smoothing);
        terms.push(("info_nce", nce.weight, value));
    }
    terms
}

/// Puts a pure loss on the tape.
pub fn on_tape<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, loss: impl FnOnce(&[f32]) -> Value) -> Scalar<T> {
    let (x, tape) = x.split_tape();
    let Value { value, grad } = loss(data(&x));
    record!(tape, scalar(value), |grads, g| {
        let factor = g[0];
        grads.get_or_alloc_mut(&x)?.iter_mut().zip(&grad).for_each(|(t, d)| *t += factor * d);
    })
}

/// The transpose of a row-major matrix.
fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[j * rows + i] = x[i * columns + j];
        }
    }
    out
}
