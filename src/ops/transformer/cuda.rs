//! The layers of a transformer over packed sentences (`ops/transformer`).

use std::sync::Arc;

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use crate::config::Precision;
use crate::device::cuda::pinned::Sent;
use crate::device::cuda::{
    Gpu, GpuPtr, Operand, Target, args, at, at_slice, gradient_at, matrix, record_on_gpu,
};
use crate::device::{Dev, Matrix};
use crate::ops::linear::LinearWeights;
use crate::ops::rows::cuda::NONE;
use crate::ops::sequences::Sequences;
use crate::ops::tape::Grads;
use crate::ops::transformer::{
    Activation, AttentionWeights, FeedForwardWeights, NormWeights, Pass, Projection,
};

/// As many tokens of a sentence, and numbers of a head, as the kernels can remember.
const MOST_TOKENS: usize = 1024;
const MOST_NUMBERS: usize = 256;

impl Gpu {
    /// [`crate::ops::transformer::layer_norm`]
    pub fn layer_norm<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        weights: &NormWeights,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let out = matrix(rows, width);
        self.normed(at(&out), at(&x), weights, rows, width);
        let weights = weights.clone();
        record_on_gpu!(tape, out, |grads, g| {
            self.norm_back(grads, &x, g, &weights)?;
        })
    }

    fn normed(&self, out: GpuPtr, x: GpuPtr, weights: &NormWeights, rows: usize, width: usize) {
        let args = args![out, x, at(&weights.scale), at(&weights.shift), weights.epsilon, width];
        self.rows("layer_norm", rows, args);
    }

    /// Adds the gradients of x and, if they are trained, of scale and shift, given that of the normalised rows.
    fn norm_back(
        &self,
        grads: &mut Grads,
        x: &Matrix,
        g: GpuPtr,
        weights: &NormWeights,
    ) -> Result<(), <Dev as HasErr>::Err> {
        let (rows, width) = *x.shape();
        let products = weights.rate.trained().then(|| self.alloc(rows * width));
        let place = products.as_ref().map_or(NONE, at_slice);
        let to = gradient_at!(grads, x);
        let args = args![to, place, at(x), g, at(&weights.scale), weights.epsilon, width];
        self.rows("layer_norm_back", rows, args);
        if products.is_some() {
            self.sum_columns(gradient_at!(grads, &weights.scale), place, rows, width, width);
            self.sum_columns(gradient_at!(grads, &weights.shift), g, rows, width, width);
        }
        Ok(())
    }

    /// out = x Wᵀ + b; `out` has room for (rows, outputs).
    fn projected(&self, out: GpuPtr, x: GpuPtr, rows: usize, layer: &LinearWeights, precision: Precision) {
        let (outputs, inputs) = *layer.weight.shape();
        self.each("fill_rows", rows * outputs, args![out, at(&layer.bias), rows, outputs]);
        let weight = Operand::new(at(&layer.weight), outputs, inputs);
        let to = Target { at: out, stride: outputs };
        self.gemm(Operand::new(x, rows, inputs), weight.t(), to, true, precision);
    }

    /// to (rows, inputs) = g W, or added to it
    fn pulled(
        &self,
        to: GpuPtr,
        g: GpuPtr,
        rows: usize,
        layer: &LinearWeights,
        add: bool,
        precision: Precision,
    ) {
        let (outputs, inputs) = *layer.weight.shape();
        let weight = Operand::new(at(&layer.weight), outputs, inputs);
        let to = Target { at: to, stride: inputs };
        self.gemm(Operand::new(g, rows, outputs), weight, to, add, precision);
    }

    /// Adds the gradients of a trained layer whose input was x.
    fn weights_back(
        &self,
        (weight, bias): (GpuPtr, GpuPtr),
        g: GpuPtr,
        x: GpuPtr,
        rows: usize,
        layer: &LinearWeights,
        precision: Precision,
    ) {
        let (outputs, inputs) = *layer.weight.shape();
        let to = Target { at: weight, stride: inputs };
        self.gemm(Operand::new(g, rows, outputs).t(), Operand::new(x, rows, inputs), to, true, precision);
        self.sum_columns(bias, g, rows, outputs, outputs);
    }

    /// [`crate::ops::transformer::project`] through a layer that stays as it is
    pub fn project<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        layer: &Projection,
        precision: Precision,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let rows = x.shape().0;
        let out = matrix(rows, layer.outputs());
        self.projected(at(&out), at(&x), rows, &layer.weights, precision);
        let layer = layer.clone();
        record_on_gpu!(tape, out, |grads, g| {
            self.pulled(gradient_at!(grads, &x), g, rows, &layer.weights, true, precision);
        })
    }

    /// Whether the kernels can remember such sentences.
    pub fn attends(&self, weights: &AttentionWeights, sentences: &Sequences) -> bool {
        let longest = (0..sentences.len()).map(|s| sentences.length(s)).max().unwrap_or(0);
        longest <= MOST_TOKENS && weights.input.inputs() / weights.heads <= MOST_NUMBERS
    }

    /// [`crate::ops::transformer::attend`]
    pub fn attend<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        weights: &AttentionWeights,
        sentences: &Arc<Sequences>,
        pass: Pass,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (tokens, width) = *x.shape();
        let bounds: Vec<u32> = (0..sentences.len())
            .flat_map(|s| {
                let bounds = [sentences.starts[s], sentences.starts[s + 1]];
                std::iter::repeat_n(bounds, sentences.length(s)).flatten()
            })
            .collect();
        let bounds = self.numbers(&bounds);
        let qkv = self.queries(&x, weights, pass);
        let (context, lse) = self.contexts(&qkv, &bounds, weights, tokens);
        let out = matrix(tokens, width);
        self.projected(at(&out), at_slice(&context), tokens, &weights.output.weights, pass.precision);
        self.add_scaled(at(&out), at(&x), 1.0, tokens * width);
        let kept = (T::OWNS_TAPE && !pass.recompute).then_some(qkv);
        let weights = weights.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let again;
            let qkv = match &kept {
                Some(qkv) => qkv,
                None => {
                    again = self.queries(&x, &weights, pass);
                    &again
                }
            };
            let (input, output) = (&weights.input.weights, &weights.output.weights);
            let d_context = self.alloc(tokens * width);
            self.pulled(at_slice(&d_context), g, tokens, output, false, pass.precision);
            let d_qkv = self.alloc(3 * tokens * width);
            let along = self.alloc(tokens * weights.heads);
            let (heads, causal) = (weights.heads, weights.causal);
            let grid = (tokens, heads);
            let args = args![&d_qkv, &along, qkv, &d_context, &lse, &bounds, width, heads, causal];
            self.launch("attention_back_queries", grid, (128, 1), args);
            let args = args![&d_qkv, qkv, &d_context, &lse, &along, &bounds, width, heads, causal];
            self.launch("attention_back_keys", grid, (128, 1), args);
            if weights.output.trained() {
                let (context, _) = self.contexts(qkv, &bounds, &weights, tokens);
                let to = (gradient_at!(grads, &output.weight), gradient_at!(grads, &output.bias));
                self.weights_back(to, g, at_slice(&context), tokens, output, pass.precision);
            }
            if weights.input.trained() {
                let normed = self.input(&x, &weights.norm);
                let to = (gradient_at!(grads, &input.weight), gradient_at!(grads, &input.bias));
                let from = normed.as_ref().map_or(at(&x), at_slice);
                self.weights_back(to, at_slice(&d_qkv), from, tokens, input, pass.precision);
            }
            let d_input = self.alloc(tokens * width);
            self.pulled(at_slice(&d_input), at_slice(&d_qkv), tokens, input, false, pass.precision);
            self.residual_back(grads, &x, g, at_slice(&d_input), &weights.norm)?;
        })
    }

    /// The gradients of x and the norm in x + f(norm(x)), given those of the sum and of what went into f.
    fn residual_back(
        &self,
        grads: &mut Grads,
        x: &Matrix,
        g: GpuPtr,
        d_input: GpuPtr,
        norm: &Option<NormWeights>,
    ) -> Result<(), <Dev as HasErr>::Err> {
        let (rows, width) = *x.shape();
        let to = gradient_at!(grads, x);
        self.add_scaled(to, g, 1.0, rows * width);
        match norm {
            Some(norm) => self.norm_back(grads, x, d_input, norm),
            None => {
                self.add_scaled(to, d_input, 1.0, rows * width);
                Ok(())
            }
        }
    }

    /// x normalised, where there is a norm.
    fn input(&self, x: &Matrix, norm: &Option<NormWeights>) -> Option<CudaSlice<f32>> {
        let (rows, width) = *x.shape();
        norm.as_ref().map(|norm| {
            let normed = self.alloc(rows * width);
            self.normed(at_slice(&normed), at(x), norm, rows, width);
            normed
        })
    }

    /// Queries, keys and values (tokens, 3 · width).
    fn queries(&self, x: &Matrix, weights: &AttentionWeights, pass: Pass) -> CudaSlice<f32> {
        let (tokens, width) = *x.shape();
        let normed = self.input(x, &weights.norm);
        let qkv = self.alloc(3 * tokens * width);
        let from = normed.as_ref().map_or(at(x), at_slice);
        self.projected(at_slice(&qkv), from, tokens, &weights.input.weights, pass.precision);
        qkv
    }

    /// What the heads give (tokens, width), and the logarithms of their sums (tokens, heads).
    fn contexts(
        &self,
        qkv: &CudaSlice<f32>,
        bounds: &Sent,
        weights: &AttentionWeights,
        tokens: usize,
    ) -> (CudaSlice<f32>, CudaSlice<f32>) {
        let (width, heads) = (weights.input.inputs(), weights.heads);
        let (context, lse) = (self.alloc(tokens * width), self.alloc(tokens * heads));
        let args = args![&context, &lse, qkv, bounds, width, heads, weights.causal];
        self.launch("attention", (tokens, heads), (128, 1), args);
        (context, lse)
    }

    /// [`crate::ops::transformer::activate`]
    pub fn activate<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        activation: Activation,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let ((rows, width), kind) = (*x.shape(), activation as usize);
        let (n, out) = (rows * width, matrix(rows, width));
        self.each("activate", n, args![at(&out), at(&x), kind, n]);
        record_on_gpu!(tape, out, |grads, g| {
            let slopes = self.alloc(n);
            self.copy(at_slice(&slopes), g, n);
            self.each("activate_back", n, args![&slopes, at(&x), kind, n]);
            self.add_scaled(gradient_at!(grads, &x), at_slice(&slopes), 1.0, n);
        })
    }

    /// [`crate::ops::transformer::feed_forward`]
    pub fn feed_forward<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        weights: &FeedForwardWeights,
        pass: Pass,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let ((rows, width), hidden) = (*x.shape(), weights.inner.outputs());
        let before = self.before(&x, weights, pass);
        let active = self.active(&before, weights, rows);
        let out = matrix(rows, width);
        self.projected(at(&out), at_slice(&active), rows, &weights.outer.weights, pass.precision);
        self.add_scaled(at(&out), at(&x), 1.0, rows * width);
        drop(active);
        let kept = (T::OWNS_TAPE && !pass.recompute).then_some(before);
        let weights = weights.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let again;
            let before = match &kept {
                Some(before) => before,
                None => {
                    again = self.before(&x, &weights, pass);
                    &again
                }
            };
            let (inner, outer) = (&weights.inner.weights, &weights.outer.weights);
            let d_hidden = self.alloc(rows * hidden);
            self.pulled(at_slice(&d_hidden), g, rows, outer, false, pass.precision);
            let n = rows * hidden;
            let kind = weights.activation as usize;
            self.each("activate_back", n, args![&d_hidden, before, kind, n]);
            if weights.outer.trained() {
                let active = self.active(before, &weights, rows);
                let to = (gradient_at!(grads, &outer.weight), gradient_at!(grads, &outer.bias));
                self.weights_back(to, g, at_slice(&active), rows, outer, pass.precision);
            }
            if weights.inner.trained() {
                let normed = self.input(&x, &weights.norm);
                let to = (gradient_at!(grads, &inner.weight), gradient_at!(grads, &inner.bias));
                let from = normed.as_ref().map_or(at(&x), at_slice);
                self.weights_back(to, at_slice(&d_hidden), from, rows, inner, pass.precision);
            }
            let d_input = self.alloc(rows * width);
            self.pulled(at_slice(&d_input), at_slice(&d_hidden), rows, inner, false, pass.precision);
            self.residual_back(grads, &x, g, at_slice(&d_input), &weights.norm)?;
        })
    }

    /// What goes into the activation (rows, hidden).
    fn before(&self, x: &Matrix, weights: &FeedForwardWeights, pass: Pass) -> CudaSlice<f32> {
        let rows = x.shape().0;
        let normed = self.input(x, &weights.norm);
        let before = self.alloc(rows * weights.inner.outputs());
        let from = normed.as_ref().map_or(at(x), at_slice);
        self.projected(at_slice(&before), from, rows, &weights.inner.weights, pass.precision);
        before
    }

    fn active(&self, before: &CudaSlice<f32>, weights: &FeedForwardWeights, rows: usize) -> CudaSlice<f32> {
        let n = rows * weights.inner.outputs();
        let active = self.alloc(n);
        self.each("activate", n, args![&active, before, weights.activation as usize, n]);
        active
    }
}
