//! The layers of a transformer (Vaswani et al. 2017) over packed sentences, each one operation on the tape.
//!
//! Tokens of all sentences stand below each other, x (tokens, width), without padding; [`Sequences::starts`] says where
//! each sentence begins. A layer adds to its input: `attend` and `feed_forward` return x + f(x), or x + f(norm(x)) where
//! the layer has a norm (CLIP); BERT norms the sum instead, with `layer_norm` after them.
//!
//! Each leaf of weights is trained or frozen. Frozen layers are packed for the matrix product once, and no frozen leaf gets a gradient.
//! Rows go to the threads in fixed groups and every sum has one order: the bits are the same for any number of threads.
//!
//! [`Sequences::starts`]: super::sequences::Sequences::starts

pub mod activation;
pub mod attention;
pub mod feed_forward;
pub mod norm;
pub mod projection;

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::ops::Range;

use crate::config::Precision;
use crate::ops::rows::add_columns;

pub use activation::{Activation, activate};
pub use attention::{AttentionWeights, attend};
pub use feed_forward::{FeedForwardWeights, feed_forward};
pub use norm::{NormWeights, layer_norm};
pub use projection::{Projection, project};

/// How a pass through a layer is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// What the inputs of products are rounded to.
    pub precision: Precision,
    /// Computes what backward needs a second time instead of keeping it (gradient checkpointing, Chen et al. 2016):
    /// about a third more time for a third of the memory.
    pub recompute: bool,
}

/// Rows that a thread takes through a layer at once: they stay in its cache. A multiple of the tiles of `matmul`.
const ROWS: usize = 96;

/// Groups of [`ROWS`] rows.
fn row_groups(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(ROWS).map(|first| first..rows.min(first + ROWS)).collect()
}

/// Cuts x (rows, width) into the rows of each range; the ranges follow one another from row 0.
fn cut<'a>(mut x: &'a mut [f32], width: usize, parts: &[Range<usize>]) -> Vec<&'a mut [f32]> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let (mine, rest) = std::mem::take(&mut x).split_at_mut(part.len() * width);
        out.push(mine);
        x = rest;
    }
    out
}

/// The floats of some rows.
fn floats(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Adds the sum of `rows` (n, width) to `to` (width).
fn sum_rows(rows: &[f32], to: &mut [f32]) {
    let rows: Vec<&[f32]> = rows.chunks(to.len().max(1)).collect();
    add_columns(to, &rows);
}

#[cfg(test)]
mod tests;
