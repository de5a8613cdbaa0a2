//! x + outer(activation(inner(x))): the second half of a transformer block, and a language acquirer.

use std::borrow::Cow;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::norm::NormOnHost;
use super::{Activation, NormWeights, Pass, Projection, cut, floats, row_groups};
use crate::config::Precision;
use crate::device::{Dev, Matrix};
use crate::ops::matmul::{Packed, View};
use crate::ops::on_gpu;
use crate::ops::scratch::Scratch;
use crate::ops::tape::{data, matrix, on_host, record};

/// The two layers of [`feed_forward`], and the function between them.
#[derive(Clone)]
pub struct FeedForwardWeights {
    /// Normalises what goes into `inner`; x itself is added as it is.
    pub norm: Option<NormWeights>,
    /// (hidden, width)
    pub inner: Projection,
    /// Between the two layers.
    pub activation: Activation,
    /// (width, hidden)
    pub outer: Projection,
}

/// x (rows, width) → (rows, width).
pub fn feed_forward<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    weights: &FeedForwardWeights,
    pass: Pass,
) -> Matrix<T> {
    let (rows, width) = *x.shape();
    let hidden = weights.inner.outputs();
    assert_eq!(width, weights.inner.inputs(), "feed_forward: width of the input");
    assert_eq!((width, hidden), (weights.outer.outputs(), weights.outer.inputs()), "feed_forward: layers");
    on_gpu!(|gpu| gpu.feed_forward(x, weights, pass));
    let (x, tape) = x.split_tape();
    let keep = if T::OWNS_TAPE && !pass.recompute { hidden } else { 0 };
    let mut kept = Scratch::dirty(rows * keep);
    let mut out = data(&x).to_vec();
    weights.forward(&data(&x), &mut out, &mut kept, keep, pass.precision);
    let weights = weights.clone();
    record!(tape, matrix(out, rows, width), |grads, g| {
        let trained = weights.trained();
        let mut parts = Parts::new(rows, width, hidden, trained);
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        weights.backward(&data(&x), &g, &kept, &mut to, &mut parts, pass.precision);
        drop(to);
        if trained {
            weights.inner.weight_gradients(&parts.input, &parts.d_hidden, pass.precision, grads)?;
            weights.outer.weight_gradients(&parts.hidden, &g, pass.precision, grads)?;
            if let Some(norm) = &weights.norm {
                norm.weight_gradients(&data(&x), &parts.d_input, grads)?;
            }
        }
    })
}

/// What the gradients of trained weights are made of; empty where all are frozen.
struct Parts {
    /// What went into `inner` (rows, width).
    input: Scratch,
    /// Behind the activation (rows, hidden).
    hidden: Scratch,
    d_hidden: Scratch,
    d_input: Scratch,
}

impl Parts {
    fn new(rows: usize, width: usize, hidden: usize, trained: bool) -> Self {
        let rows = if trained { rows } else { 0 };
        Parts {
            input: Scratch::dirty(rows * width),
            hidden: Scratch::dirty(rows * hidden),
            d_hidden: Scratch::dirty(rows * hidden),
            d_input: Scratch::dirty(rows * width),
        }
    }
}

/// What threads share of a layer, on the host.
struct Shared<'a> {
    norm: Option<NormOnHost<'a>>,
    inner_bias: Cow<'a, [f32]>,
    outer_bias: Cow<'a, [f32]>,
    width: usize,
    activation: Activation,
}

impl Shared<'_> {
    /// What goes into the activation (rows, hidden).
    fn before(&self, x: &[f32], inner: &Packed) -> Scratch {
        let (width, hidden, rows) = (self.width, self.inner_bias.len(), x.len() / self.width);
        let mut normed = Scratch::dirty(0);
        let mut h = Projection::biases(&self.inner_bias, rows);
        let x = NormOnHost::of(&self.norm, x, &mut normed);
        inner.multiply(View::new(x, rows, width), &mut h, hidden, true);
        h
    }
}

impl FeedForwardWeights {
    /// Whether any of its leaves is trained.
    pub fn trained(&self) -> bool {
        let norm = self.norm.as_ref().is_some_and(|norm| norm.rate.trained());
        norm || self.inner.trained() || self.outer.trained()
    }

    fn shared(&self) -> Shared<'_> {
        Shared {
            norm: self.norm.as_ref().map(|norm| norm.on_host()),
            inner_bias: self.inner.bias(),
            outer_bias: self.outer.bias(),
            width: self.inner.inputs(),
            activation: self.activation,
        }
    }

    /// Adds the layer's result for x (rows, width) to `out` (rows, width); `kept` (rows, `keep`) receives what goes into the activation.
    fn forward(&self, x: &[f32], out: &mut [f32], kept: &mut [f32], keep: usize, precision: Precision) {
        let (width, hidden, shared) = (self.inner.inputs(), self.inner.outputs(), self.shared());
        let groups = row_groups(x.len() / width.max(1));
        let (inner, outer) = (self.inner.forward(precision), self.outer.forward(precision));
        let tasks = cut(out, width, &groups).into_par_iter().zip(cut(kept, keep, &groups)).zip(&groups);
        tasks.for_each(|((out, kept), group)| {
            let mut h = shared.before(&x[floats(group, width)], &inner);
            if keep > 0 {
                kept.copy_from_slice(&h);
            }
            shared.activation.apply(&mut h);
            out.chunks_mut(width)
                .for_each(|row| row.iter_mut().zip(&shared.outer_bias[..]).for_each(|(o, b)| *o += b));
            outer.multiply(View::new(&h, group.len(), hidden), out, width, true);
        });
    }

    /// Adds the gradient of x to `to`, given that of the result, `g`, all of them (rows, width); fills the parts of trained weights.
    fn backward(
        &self,
        x: &[f32],
        g: &[f32],
        kept: &[f32],
        to: &mut [f32],
        parts: &mut Parts,
        precision: Precision,
    ) {
        let (width, hidden, shared) = (self.inner.inputs(), self.inner.outputs(), self.shared());
        let trained = self.trained();
        let groups = row_groups(x.len() / width.max(1));
        let again = kept.is_empty().then(|| self.inner.forward(precision));
        let (inner, outer) = (self.inner.backward(precision), self.outer.backward(precision));
        let wide = |n: usize| if trained { n } else { 0 };
        let tasks = cut(to, width, &groups)
            .into_par_iter()
            .zip(&groups)
            .zip(cut(&mut parts.input, wide(width), &groups))
            .zip(cut(&mut parts.hidden, wide(hidden), &groups))
            .zip(cut(&mut parts.d_hidden, wide(hidden), &groups))
            .zip(cut(&mut parts.d_input, wide(width), &groups));
        tasks.for_each(|(((((to, group), part_in), part_hidden), part_dh), part_di)| {
            let (rows, x, g) = (group.len(), &x[floats(group, width)], &g[floats(group, width)]);
            let computed = again.as_ref().map(|inner| shared.before(x, inner));
            let before = computed.as_deref().unwrap_or_else(|| &kept[floats(group, hidden)]);
            let mut d_hidden = Scratch::dirty(rows * hidden);
            outer.multiply(View::new(g, rows, width), &mut d_hidden, hidden, false);
            shared.activation.pull(before, &mut d_hidden);
            let mut d_input = Scratch::dirty(rows * width);
            inner.multiply(View::new(&d_hidden, rows, hidden), &mut d_input, width, false);
            NormOnHost::pull_both(&shared.norm, x, g, &d_input, to);
            if trained {
                let mut normed = Scratch::dirty(0);
                part_in.copy_from_slice(NormOnHost::of(&shared.norm, x, &mut normed));
                part_hidden.copy_from_slice(before);
                shared.activation.apply(part_hidden);
                part_dh.copy_from_slice(&d_hidden);
                part_di.copy_from_slice(&d_input);
            }
        });
    }
}
