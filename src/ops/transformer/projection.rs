//! A linear layer that is packed once while it is frozen.

use std::borrow::Cow;

use dfdx::prelude::*;

use super::sum_rows;
use crate::config::Precision;
use crate::device::{Dev, Matrix};
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::matmul::{View, matmul};
use crate::ops::on_gpu;
use crate::ops::packs::{Pack, Packs};
use crate::ops::scratch::Scratch;
use crate::ops::tape::{data, data1, matrix, on_host, record};

/// y = x Wᵀ + b.
#[derive(Clone)]
pub struct Projection {
    /// W (outputs, inputs) and b (outputs).
    pub weights: LinearWeights,
    /// Of the weights, while they are frozen; [`Packs::clear`] where they change.
    pub packs: Packs,
}

impl Projection {
    /// A layer of weights (outputs, inputs).
    pub fn new(weights: LinearWeights) -> Self {
        Projection { weights, packs: Packs::default() }
    }

    /// Whether its weights get gradients.
    pub fn trained(&self) -> bool {
        self.weights.rate.trained()
    }

    /// Width of what goes in.
    pub fn inputs(&self) -> usize {
        self.weights.weight.shape().1
    }

    /// Width of what comes out.
    pub fn outputs(&self) -> usize {
        self.weights.weight.shape().0
    }

    pub(super) fn bias(&self) -> Cow<'_, [f32]> {
        data1(&self.weights.bias)
    }

    /// The bias in each of some rows (rows, outputs), for a product to be added to.
    pub(super) fn biases(bias: &[f32], rows: usize) -> Scratch {
        let mut out = Scratch::dirty(rows * bias.len());
        out.chunks_mut(bias.len().max(1)).for_each(|row| row.copy_from_slice(bias));
        out
    }

    /// Adds the gradients of weight and bias, if they are trained; x (rows, inputs) went in, g (rows, outputs) is the gradient of what came
    /// out.
    pub(super) fn weight_gradients(
        &self,
        x: &[f32],
        g: &[f32],
        precision: Precision,
        grads: &mut Gradients<f32, Dev>,
    ) -> Result<(), <Dev as HasErr>::Err> {
        if !self.trained() {
            return Ok(());
        }
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let rows = g.len() / outputs.max(1);
        let (g_t, x) = (View::new(g, rows, outputs).t(), View::new(x, rows, inputs));
        matmul(g_t, x, &mut on_host(grads.get_or_alloc_mut(&self.weights.weight)?), true, precision);
        sum_rows(g, &mut on_host(grads.get_or_alloc_mut(&self.weights.bias)?));
        Ok(())
    }

    /// Wᵀ (inputs, outputs).
    pub(super) fn forward(&self, precision: Precision) -> Pack<'_> {
        self.packs.forward(&self.weights.weight, self.weights.rate, precision)
    }

    /// W (outputs, inputs).
    pub(super) fn backward(&self, precision: Precision) -> Pack<'_> {
        self.packs.backward(&self.weights.weight, self.weights.rate, precision)
    }
}

/// x (rows, inputs) → (rows, outputs).
pub fn project<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    layer: &Projection,
    precision: Precision,
) -> Matrix<T> {
    if layer.trained() {
        return linear(x, &layer.weights, precision);
    }
    on_gpu!(|gpu| gpu.project(x, layer, precision));
    let (x, tape) = x.split_tape();
    let ((rows, inputs), outputs) = (*x.shape(), layer.outputs());
    assert_eq!(inputs, layer.inputs(), "project: width of the input");
    let mut out = Vec::with_capacity(rows * outputs);
    let bias = layer.bias();
    (0..rows).for_each(|_| out.extend_from_slice(&bias));
    layer.forward(precision).par_multiply(View::new(&data(&x), rows, inputs), &mut out, outputs, true);
    let layer = layer.clone();
    record!(tape, matrix(out, rows, outputs), |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        layer.backward(precision).par_multiply(View::new(&g, rows, outputs), &mut to, inputs, true);
    })
}
