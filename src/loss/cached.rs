//! Gradients of a loss that compares a whole batch, of which the encoder holds only a part in memory (gradient caching; Gao et al. 2021).

use dfdx::prelude::*;

use super::terms::Taped;
use super::{Value, on_tape};
#[cfg(feature = "cuda")]
use crate::device::cuda::at_buffer;
use crate::device::{Buffer, Matrix, Scalar};
use crate::ops::on_gpu;
use crate::ops::rows::stack;
use crate::ops::tape::{Grads, data, on_host};
use crate::optim::ParameterTree;

/// A batch that is encoded part by part.
pub trait Parts<M> {
    /// How many parts there are, at least one.
    fn count(&self) -> usize;

    /// The vectors of a part, (its items, width), the same whenever they are asked for.
    fn forward(&self, model: &M, part: usize) -> Matrix<Taped>;
}

/// The gradients of a loss, with those that there are already. `loss` gets the vectors of all parts below each other, (items, width), and is
/// to trace them; it may stand on other parameters of the model, too.
///
/// With several parts the vectors are computed first, and their tapes dropped; the loss compares them all and gives each its
/// gradient; then every part is computed again and pulled by its vectors' gradients. That is the gradient of the whole batch.
/// With one part its tape serves at once.
pub fn cached<M: ParameterTree, P: Parts<M>>(
    model: &mut M,
    parts: &P,
    before: Option<Grads>,
    loss: impl FnOnce(&mut M, &Matrix) -> Scalar<Taped>,
) -> Grads {
    if parts.count() == 1 {
        let (vectors, tape) = parts.forward(model, 0).split_tape();
        let (loss, last) = loss(model, &vectors).split_tape();
        let grads = loss.put_tape(last.merge(tape)).backward();
        return match before {
            None => grads,
            Some(total) => sum(model, total, grads),
        };
    }
    let all = vectors(model, parts);
    let grads = loss(model, &all).backward();
    let pull = grads.get(&all);
    let total = sum(model, before.unwrap_or_else(Grads::leaky), grads);
    pull_parts(model, parts, total, &pull)
}

/// The vectors of all parts below each other, (items, width), as one step on the tape: parts are computed again when their gradient is asked
/// for, so that the tape keeps no more of them than their vectors. That is the gradient of the whole batch for whatever stands on them.
///
/// `model` is a copy of what the parts are made of; its tensors are those of the original, and so are their gradients. It has no tables.
pub fn in_parts<M, P>(mut model: M, parts: P) -> Matrix<Taped>
where
    M: ParameterTree + 'static,
    P: Parts<M> + 'static,
{
    if parts.count() == 1 {
        return parts.forward(&model, 0);
    }
    let all = vectors(&model, &parts);
    let (ghost, mut tape) = (all.ghost(), Taped::default());
    tape.add_backward_op(move |grads| {
        grads.get_or_alloc_mut(&ghost)?;
        let pull = grads.get(&ghost);
        let total = std::mem::replace(grads, Grads::leaky());
        *grads = pull_parts(&mut model, &parts, total, &pull);
        Ok(())
    });
    all.put_tape(tape)
}

/// The vectors of all parts below each other, (items, width); their tapes are dropped.
fn vectors<M, P: Parts<M>>(model: &M, parts: &P) -> Matrix {
    stack::<NoneTape>((0..parts.count()).map(|n| parts.forward(model, n).split_tape().0).collect())
}

/// Adds the gradients of all parts to `total`, one part after another; `pull` (items, width) is that of their vectors.
fn pull_parts<M: ParameterTree, P: Parts<M>>(
    model: &mut M,
    parts: &P,
    mut total: Grads,
    pull: &Matrix,
) -> Grads {
    let mut first = 0;
    for n in 0..parts.count() {
        let y = parts.forward(model, n);
        let count = y.shape().0;
        let grads = pulled(y, pull, first).backward();
        first += count;
        total = sum(model, total, grads);
    }
    total
}

/// A scalar whose gradient with respect to y (n, width) are the rows of `pull` (any, width) from `first` on.
fn pulled(y: Matrix<Taped>, pull: &Matrix, first: usize) -> Scalar<Taped> {
    on_gpu!(|gpu| gpu.pull_rows(y, pull.clone(), first));
    let (rows, width) = *y.shape();
    let grad = data(pull)[first * width..][..rows * width].to_vec();
    on_tape(y, |_| Value { value: 0.0, grad })
}

/// The sum of two gradients of all that is trained; what lies between is dropped. Those of tables are kept outside.
fn sum(model: &mut impl ParameterTree, mut total: Grads, mut grads: Grads) -> Grads {
    model.visit(&mut |_, parameter| {
        if let (true, Some(to), Some(from)) =
            (parameter.trained(), parameter.gradient(&mut total), parameter.gradient(&mut grads))
        {
            add(to, from, parameter.count());
        }
    });
    total
}

/// Adds one buffer of so many numbers to another.
fn add(to: &mut Buffer, from: &mut Buffer, count: usize) {
    on_gpu!(|gpu| gpu.add_scaled(at_buffer(to), at_buffer(from), 1.0, count));
    let (mut to, from) = (on_host(to), on_host(from));
    debug_assert_eq!(to.len(), count, "a number for each of the parameter's");
    to.iter_mut().zip(&from[..]).for_each(|(t, g)| *t += g);
}
