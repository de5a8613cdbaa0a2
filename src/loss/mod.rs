//! Losses as pure functions: similarities in, value and gradient out.
//!
//! All but those of a teacher ([`imitation`]) speak of a matrix of cosines between row items and column items, each of which belongs to a picture.
//! Two items of one picture match; they are never negatives of each other.

pub mod adversary;
pub mod cached;
pub mod imitation;
pub mod info_nce;
pub mod list;
pub mod mclm;
pub mod scale;
pub mod terms;
pub mod triplet;

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::ops::Range;

use dfdx::prelude::*;

use crate::config::{Mining, TripletConfig};
use crate::device::{Dev, Matrix, Scalar, Vector};
use crate::ops::leaf::Leaf;
use crate::ops::on_gpu;
use crate::ops::tape::{data, on_host, record, scalar};

/// The value of a loss and its gradient with respect to its input, of the input's length.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// The loss.
    pub value: f32,
    /// Of the input's length, in its order.
    pub grad: Vec<f32>,
}

/// A matrix of similarities with the picture of every row and every column.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    /// (rows, columns), row by row
    pub similarity: &'a [f32],
    /// The picture of each row.
    pub rows: &'a [u32],
    /// The picture of each column.
    pub columns: &'a [u32],
}

/// What a matrix of similarities is judged by.
#[derive(Clone, Copy)]
pub enum Contrast<'a> {
    /// [`triplet::bidirectional`]
    Triplet(&'a TripletConfig),
    /// [`triplet::neighbourhood`]
    Neighbourhood(&'a TripletConfig),
    /// [`triplet::summed`]
    Summed {
        /// Margin, distance and what counts as a negative.
        config: &'a TripletConfig,
        /// k, the share of the hardest violations, from 0 to 1.
        hardest: f32,
        /// Weight of columns as anchors, where rows have 1.
        columns: f32,
    },
    /// [`info_nce::info_nce`]
    InfoNce(InfoNce<'a>),
}

/// A softmax contrast.
#[derive(Clone, Copy)]
pub struct InfoNce<'a> {
    /// What similarities are divided by.
    pub temperature: Temperature<'a>,
    /// Share of the target spread evenly over the candidates, from 0 to 1.
    pub smoothing: f32,
    /// Subtracted from the similarity of what matches, before it is divided (additive margin; Yang et al. 2019).
    pub margin: f32,
    /// What looks for its match.
    pub anchors: Anchors,
}

impl<'a> InfoNce<'a> {
    /// At a temperature; in both directions, without margin and smoothing.
    pub fn at(temperature: Temperature<'a>) -> Self {
        InfoNce { temperature, smoothing: 0.0, margin: 0.0, anchors: Anchors::Both }
    }
}

/// What looks for its match in a softmax contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchors {
    /// Rows among columns and columns among rows, half of each.
    Both,
    /// Rows among columns alone.
    Rows,
    /// Columns among rows alone.
    Columns,
}

/// τ of a softmax.
#[derive(Clone, Copy)]
pub enum Temperature<'a> {
    /// τ itself, which stays.
    Fixed(f32),
    /// log 1/τ, (1): [`scale::scaled_info_nce`].
    Trained(&'a Leaf<Vector>),
}

impl Temperature<'_> {
    /// τ as it is now.
    pub fn value(self) -> f32 {
        match self {
            Temperature::Fixed(temperature) => temperature,
            Temperature::Trained(log_scale) => 1.0 / scale::scale(&log_scale.value),
        }
    }
}

impl<'a> Contrast<'a> {
    /// Of pictures (rows) with sentences (columns) in a step of training, counted from 0, as `config` mines its negatives.
    pub fn image_text(config: &'a TripletConfig, step: usize) -> Self {
        match config.mining {
            Mining::TopN => Contrast::Triplet(config),
            Mining::SumToHardest => {
                let hardest = triplet::hardest(config.beta, step);
                Contrast::Summed { config, hardest, columns: config.sentence_anchor }
            }
        }
    }

    /// Of sentences with sentences, likewise.
    pub fn near(config: &'a TripletConfig, step: usize) -> Self {
        match config.mining {
            Mining::TopN => Contrast::Neighbourhood(config),
            Mining::SumToHardest => {
                let hardest = triplet::hardest(config.text_beta, step);
                Contrast::Summed { config, hardest, columns: 1.0 }
            }
        }
    }
}

/// A loss over similarities (rows, columns) on the tape; `rows` and `columns` are the pictures of each.
pub fn contrast<T: Tape<f32, Dev> + 'static>(
    similarity: Matrix<T>,
    rows: &[u32],
    columns: &[u32],
    by: Contrast,
) -> Scalar<T> {
    let all = 0..columns.len();
    grouped_contrast(similarity, rows, columns, std::slice::from_ref(&all), by)
}

/// The mean over groups of columns (e.g. one a language) of [`contrast`] of all rows with a group's columns. On a GPU the groups are judged
/// at once.
///
/// # Panics
/// On the host with several groups and a trained temperature.
pub fn grouped_contrast<T: Tape<f32, Dev> + 'static>(
    similarity: Matrix<T>,
    rows: &[u32],
    columns: &[u32],
    groups: &[Range<usize>],
    by: Contrast,
) -> Scalar<T> {
    #[cfg(feature = "cuda")]
    if let Some(gpu) = crate::device::cuda::gpu().filter(|gpu| gpu.contrasts(&by)) {
        return gpu.contrast(similarity, rows, columns, groups, by);
    }
    if matches!(groups, [all] if *all == (0..columns.len())) {
        if let Contrast::InfoNce(softmax @ InfoNce { temperature: Temperature::Trained(log_scale), .. }) = by
        {
            return scale::scaled_info_nce(similarity, log_scale, rows, columns, softmax);
        }
        return on_tape(similarity, |similarity| judged(Pairs { similarity, rows, columns }, by));
    }
    let trained = matches!(by, Contrast::InfoNce(InfoNce { temperature: Temperature::Trained(_), .. }));
    assert!(!trained, "several groups at a trained temperature");
    let (width, share) = (columns.len(), 1.0 / groups.len().max(1) as f32);
    on_tape(similarity, |all| {
        let mut sum = Value { value: 0.0, grad: vec![0.0; all.len()] };
        for group in groups {
            let some: Vec<f32> = all.chunks(width).flat_map(|row| &row[group.clone()]).copied().collect();
            let one = judged(Pairs { similarity: &some, rows, columns: &columns[group.clone()] }, by);
            sum.value += share * one.value;
            for (to, from) in sum.grad.chunks_mut(width).zip(one.grad.chunks(group.len().max(1))) {
                to[group.clone()].iter_mut().zip(from).for_each(|(to, from)| *to += share * from);
            }
        }
        sum
    })
}

fn judged(pairs: Pairs, by: Contrast) -> Value {
    match by {
        Contrast::Triplet(config) => triplet::bidirectional(pairs, config),
        Contrast::Neighbourhood(config) => triplet::neighbourhood(pairs, config),
        Contrast::Summed { config, hardest, columns } => triplet::summed(pairs, config, hardest, columns),
        Contrast::InfoNce(softmax) => info_nce::info_nce(pairs, softmax),
    }
}

/// The mean over all numbers of (a − b)² on the GPU, with the gradient for a alone. The host's losses keep their own order of sums.
#[cfg(feature = "cuda")]
pub(crate) fn mean_square_on_gpu<T: Tape<f32, Dev> + 'static>(a: Matrix<T>, b: Matrix) -> Scalar<T> {
    let count = a.shape().0 * a.shape().1;
    combined(vec![(half_square(a, b), 2.0 / count.max(1) as f32)], 1.0)
}

/// ½ Σ (a − b)² of two matrices (rows, width), with the gradient for a alone.
pub fn half_square<T: Tape<f32, Dev> + 'static>(a: Matrix<T>, b: Matrix) -> Scalar<T> {
    on_gpu!(|gpu| gpu.half_square(a, b));
    on_tape(a, |a| {
        let grad: Vec<f32> = a.iter().zip(&data(&b)[..]).map(|(a, b)| a - b).collect();
        Value { value: 0.5 * grad.iter().map(|d| d * d).sum::<f32>(), grad }
    })
}

/// Σ factor · part / `divisor`.
pub fn combined<T: Tape<f32, Dev> + 'static>(parts: Vec<(Scalar<T>, f32)>, divisor: f32) -> Scalar<T> {
    let (mut tape, mut inputs) = (T::default(), Vec::new());
    for (part, factor) in parts {
        let (part, t) = part.split_tape();
        tape = tape.merge(t);
        inputs.push((part, factor));
    }
    on_gpu!(|gpu| gpu.combined(inputs, tape, divisor));
    let sum: f32 = inputs.iter().map(|(part, factor)| factor * part.array()).sum();
    record!(tape, scalar(sum / divisor), |grads, g| {
        for (part, factor) in &inputs {
            on_host(grads.get_or_alloc_mut(part)?)[0] += factor * g[0] / divisor;
        }
    })
}

/// Losses by value, in their order; on a GPU all of them are waited for at once.
pub fn values(losses: Vec<&Scalar>) -> Vec<f32> {
    on_gpu!(|gpu| gpu.values(&losses));
    losses.iter().map(|loss| loss.array()).collect()
}

/// Puts a pure loss of x (rows, columns) on the tape. It is computed on the host, and gets the numbers row by row.
pub fn on_tape<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, loss: impl FnOnce(&[f32]) -> Value) -> Scalar<T> {
    let (x, tape) = x.split_tape();
    let Value { value, grad } = loss(&data(&x));
    record!(tape, scalar(value), |grads, g| {
        let factor = g[0];
        on_host(grads.get_or_alloc_mut(&x)?).iter_mut().zip(&grad).for_each(|(t, d)| *t += factor * d);
    })
}

/// The transpose (columns, rows) of x (rows, columns), both row by row.
fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[j * rows + i] = x[i * columns + j];
        }
    }
    out
}
