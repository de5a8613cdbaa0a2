//! SigLIP's pooling (Zhai et al. 2023): one learnt query attends to all patches of a picture.

use dfdx::shapes::HasShape;

use crate::device::Matrix;
use crate::ops::simd::{Loop, dot, exp, fma, vectorise};
use crate::ops::tape::{data, matrix};
use crate::ops::transformer::{FeedForwardWeights, Pass, Projection, feed_forward, project};

/// output(attention(query, x)), and a feed-forward part behind it.
pub(super) struct Head {
    /// (width)
    pub query: Vec<f32>,
    /// Keys and values below each other (2 · width, width).
    pub input: Projection,
    /// (width, width)
    pub output: Projection,
    pub heads: usize,
    pub feed_forward: FeedForwardWeights,
}

impl Head {
    /// x (pictures · tokens, width) → (pictures, width).
    pub fn pool(&self, x: Matrix, pictures: usize, pass: Pass) -> Matrix {
        let width = self.query.len();
        let tokens = x.shape().0 / pictures.max(1);
        let keys_values = project(x, &self.input, pass.precision);
        let keys_values = data(&keys_values);
        let mut context = vec![0f32; pictures * width];
        let of_pictures = keys_values.chunks_exact(tokens * 2 * width).zip(context.chunks_exact_mut(width));
        of_pictures.for_each(|(keys_values, out)| {
            vectorise(Attend { query: &self.query, keys_values, out, heads: self.heads });
        });
        let x = project(matrix(context, pictures, width), &self.output, pass.precision);
        feed_forward(x, &self.feed_forward, pass)
    }
}

/// softmax(q kᵀ / √d) v of one query, head by head.
struct Attend<'a> {
    /// (width)
    query: &'a [f32],
    /// (tokens, 2 · width)
    keys_values: &'a [f32],
    /// (width), zero before.
    out: &'a mut [f32],
    heads: usize,
}

impl Loop for Attend<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (width, d) = (self.query.len(), self.query.len() / self.heads);
        let scale = 1.0 / (d as f32).sqrt();
        let rows = self.keys_values.chunks_exact(2 * width);
        for (head, out) in self.out.chunks_exact_mut(d).enumerate() {
            let (from, q) = (head * d, &self.query[head * d..][..d]);
            let scores = rows.clone().map(|row| scale * dot::<FMA>(q, &row[from..from + d]));
            let mut shares: Vec<f32> = scores.collect();
            let highest = shares.iter().fold(f32::NEG_INFINITY, |h, &s| if s > h { s } else { h });
            shares.iter_mut().for_each(|s| *s = exp::<FMA>(*s - highest));
            let sum: f32 = shares.iter().sum();
            for (row, share) in rows.clone().zip(&shares) {
                let values = &row[width + from..][..d];
                out.iter_mut().zip(values).for_each(|(o, v)| *o = fma::<FMA>(share / sum, *v, *o));
            }
        }
    }
}
