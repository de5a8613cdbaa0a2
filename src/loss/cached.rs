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
    let vectors: Vec<Matrix> = (0..parts.count()).map(|n| parts.forward(model, n).split_tape().0).collect();
    let all = stack::<NoneTape>(vectors);
    let grads = loss(model, &all).backward();
    let pull = grads.get(&all);
    let mut first = 0;
    let mut total = sum(model, before.unwrap_or_else(Grads::leaky), grads);
    for n in 0..parts.count() {
        let y = parts.forward(model, n);
        let count = y.shape().0;
        let grads = pulled(y, &pull, first).backward();
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
