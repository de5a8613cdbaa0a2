//! Layer normalisation (Ba et al. 2016): each row to mean 0 and variance 1, then scale and shift by column.

use std::borrow::Cow;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::{cut, row_groups, sum_rows};
use crate::device::{Dev, Matrix, Vector};
use crate::ops::leaf::Rate;
use crate::ops::on_gpu;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Loop, dot, fma, vectorise};
use crate::ops::tape::{data, data1, matrix, on_host, record};

/// Scale and shift, both (width).
#[derive(Clone)]
pub struct NormWeights {
    /// (width)
    pub scale: Vector,
    /// (width)
    pub shift: Vector,
    /// Added to the variance.
    pub epsilon: f32,
    /// Of scale and shift.
    pub rate: Rate,
}

/// x (rows, width) → (rows, width): each row to mean 0 and variance 1, then times scale and plus shift (Ba et al. 2016).
pub fn layer_norm<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, weights: &NormWeights) -> Matrix<T> {
    on_gpu!(|gpu| gpu.layer_norm(x, weights));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    assert_eq!(width, weights.scale.shape().0, "layer_norm: width of the input");
    let mut out = vec![0.0; rows * width];
    let groups = row_groups(rows);
    let (from, norm) = (data(&x), weights.on_host());
    cut(&mut out, width, &groups).into_par_iter().zip(&groups).for_each(|(out, group)| {
        norm.normalise(&from[group.start * width..group.end * width], out);
    });
    drop((from, norm));
    let weights = weights.clone();
    record!(tape, matrix(out, rows, width), |grads, g| {
        let (from, norm) = (data(&x), weights.on_host());
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        cut(&mut to, width, &groups).into_par_iter().zip(&groups).for_each(|(to, group)| {
            let rows = group.start * width..group.end * width;
            norm.pull(&from[rows.clone()], &g[rows], to);
        });
        drop(to);
        weights.weight_gradients(&from, &g, grads)?;
    })
}

/// Scale and shift for threads to share.
pub(super) struct NormOnHost<'a> {
    scale: Cow<'a, [f32]>,
    shift: Cow<'a, [f32]>,
    epsilon: f32,
}

impl NormOnHost<'_> {
    /// Writes the normalised rows of x (rows, width) to `out`, of the same shape.
    pub(super) fn normalise(&self, x: &[f32], out: &mut [f32]) {
        vectorise(Normalise { x, out, scale: &self.scale, shift: &self.shift, epsilon: self.epsilon });
    }

    /// Adds the gradient with respect to x to `to`; `g` is the one with respect to the normalised rows; all are (rows, width).
    pub(super) fn pull(&self, x: &[f32], g: &[f32], to: &mut [f32]) {
        vectorise(Pull { x, g, to, scale: &self.scale, epsilon: self.epsilon });
    }

    /// x (rows, width), normalised into `normed` where there is a norm.
    pub(super) fn of<'a>(norm: &Option<Self>, x: &'a [f32], normed: &'a mut Scratch) -> &'a [f32] {
        match norm {
            Some(norm) => {
                *normed = Scratch::dirty(x.len());
                norm.normalise(x, normed);
                normed
            }
            None => x,
        }
    }

    /// Adds the gradient of x, of which x + f(x) or x + f(norm(x)) was made: `g` is that of the sum, `d_input` that of what
    /// went into f.
    pub(super) fn pull_both(norm: &Option<Self>, x: &[f32], g: &[f32], d_input: &[f32], to: &mut [f32]) {
        to.iter_mut().zip(g).for_each(|(t, g)| *t += g);
        match norm {
            Some(norm) => norm.pull(x, d_input, to),
            None => to.iter_mut().zip(d_input).for_each(|(t, d)| *t += d),
        }
    }
}

impl NormWeights {
    pub(super) fn on_host(&self) -> NormOnHost<'_> {
        NormOnHost { scale: data1(&self.scale), shift: data1(&self.shift), epsilon: self.epsilon }
    }

    /// Adds the gradients of scale and shift, if they are trained.
    pub(super) fn weight_gradients(
        &self,
        x: &[f32],
        g: &[f32],
        grads: &mut Gradients<f32, Dev>,
    ) -> Result<(), <Dev as HasErr>::Err> {
        if !self.rate.trained() {
            return Ok(());
        }
        let width = self.scale.shape().0;
        let mut product = Scratch::dirty(x.len());
        let (one, zero) = (vec![1.0; width], vec![0.0; width]);
        vectorise(Normalise { x, out: &mut product, scale: &one, shift: &zero, epsilon: self.epsilon });
        product.iter_mut().zip(g).for_each(|(p, g)| *p *= g);
        sum_rows(&product, &mut on_host(grads.get_or_alloc_mut(&self.scale)?));
        sum_rows(g, &mut on_host(grads.get_or_alloc_mut(&self.shift)?));
        Ok(())
    }
}

/// Mean and 1 / √(variance + ε) of a row.
#[inline(always)]
fn statistics<const FMA: bool>(row: &[f32], centred: &mut [f32], epsilon: f32) -> (f32, f32) {
    let mut lanes = [0f32; 16];
    let chunks = row.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    chunks.for_each(|c| (0..16).for_each(|i| lanes[i] += c[i]));
    let n = row.len() as f32;
    let mean = (lanes.iter().sum::<f32>() + rest) / n;
    centred.iter_mut().zip(row).for_each(|(c, x)| *c = x - mean);
    (mean, 1.0 / (dot::<FMA>(centred, centred) / n + epsilon).sqrt())
}

struct Normalise<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    epsilon: f32,
}

impl Loop for Normalise<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let width = self.scale.len();
        for (row, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (_, inverse) = statistics::<FMA>(row, out, self.epsilon);
            for ((o, s), b) in out.iter_mut().zip(self.scale).zip(self.shift) {
                *o = fma::<FMA>(*o * inverse, *s, *b);
            }
        }
    }
}

struct Pull<'a> {
    x: &'a [f32],
    g: &'a [f32],
    to: &'a mut [f32],
    scale: &'a [f32],
    epsilon: f32,
}

impl Loop for Pull<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let width = self.scale.len();
        let (mut normal, mut slope) = (vec![0f32; width], vec![0f32; width]);
        let ones = vec![1f32; width];
        let rows = self.x.chunks_exact(width).zip(self.g.chunks_exact(width));
        for ((row, g), to) in rows.zip(self.to.chunks_exact_mut(width)) {
            let (_, inverse) = statistics::<FMA>(row, &mut normal, self.epsilon);
            normal.iter_mut().for_each(|x| *x *= inverse);
            slope.iter_mut().zip(g).zip(self.scale).for_each(|((d, g), s)| *d = g * s);
            let mean = dot::<FMA>(&slope, &ones) / width as f32;
            let along = dot::<FMA>(&slope, &normal) / width as f32;
            for ((t, d), x) in to.iter_mut().zip(&slope).zip(&normal) {
                *t += inverse * (d - mean - x * along);
            }
        }
    }
}
