//! x + output(attention(input(x))): the first half of a transformer block (Vaswani et al. 2017, section 3.2).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::norm::NormOnHost;
use super::{NormWeights, Pass, Projection, ROWS, cut, floats};
use crate::config::Precision;
use crate::device::{Dev, Matrix};
use crate::ops::matmul::{Packed, View};
use crate::ops::scratch::Scratch;
use crate::ops::sequences::Sequences;
use crate::ops::simd::{Loop, dot, exp, fma, vectorise};
use crate::ops::tape::{data, matrix, on_host, record};

/// The two layers of [`attend`], and how tokens see one another between them.
#[derive(Clone)]
pub struct AttentionWeights {
    /// Normalises what goes into `input`; x itself is added as it is.
    pub norm: Option<NormWeights>,
    /// Queries, keys and values below each other (3 · width, width).
    pub input: Projection,
    /// (width, width)
    pub output: Projection,
    /// Width is a multiple of it.
    pub heads: usize,
    /// Whether a token sees only itself and those before it.
    pub causal: bool,
}

/// x (tokens, width) → (tokens, width); tokens of `sentences` stand below each other and see those of their sentence.
pub fn attend<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    weights: &AttentionWeights,
    sentences: &Arc<Sequences>,
    pass: Pass,
) -> Matrix<T> {
    let (tokens, width) = *x.shape();
    assert_eq!(tokens, sentences.rows.len(), "attend: a row for every token");
    assert_eq!((width, 3 * width), (weights.input.inputs(), weights.input.outputs()), "attend: input layer");
    assert_eq!((width, width), (weights.output.inputs(), weights.output.outputs()), "attend: output layer");
    assert_eq!(width % weights.heads, 0, "attend: heads of equal width");
    #[cfg(feature = "cuda")]
    if let Some(gpu) = crate::device::cuda::gpu().filter(|gpu| gpu.attends(weights, sentences)) {
        return gpu.attend(x, weights, sentences, pass);
    }
    let (x, tape) = x.split_tape();
    let keep = if T::OWNS_TAPE && !pass.recompute { 3 * width } else { 0 };
    let mut kept = Scratch::dirty(tokens * keep);
    let mut out = data(&x).to_vec();
    let groups = Groups::new(sentences);
    weights.forward(&data(&x), &mut out, &mut kept, keep, &groups, pass.precision);
    let weights = weights.clone();
    record!(tape, matrix(out, tokens, width), |grads, g| {
        let trained = weights.trained();
        let mut parts = Parts::new(tokens, width, trained);
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        weights.backward(&data(&x), &g, &kept, &mut to, &mut parts, &groups, pass.precision);
        drop(to);
        if trained {
            weights.input.weight_gradients(&parts.input, &parts.d_qkv, pass.precision, grads)?;
            weights.output.weight_gradients(&parts.context, &g, pass.precision, grads)?;
            if let Some(norm) = &weights.norm {
                norm.weight_gradients(&data(&x), &parts.d_input, grads)?;
            }
        }
    })
}

/// Whole sentences that a thread takes through the layer at once.
struct Groups {
    /// Rows of each group.
    rows: Vec<Range<usize>>,
    /// Rows of each sentence of a group, counted from the group's first.
    sentences: Vec<Vec<Range<usize>>>,
}

impl Groups {
    fn new(sentences: &Sequences) -> Self {
        let mut groups = Groups { rows: Vec::new(), sentences: Vec::new() };
        for bounds in sentences.starts.windows(2).filter(|b| b[0] < b[1]) {
            let (from, to) = (bounds[0] as usize, bounds[1] as usize);
            match groups.rows.last_mut().filter(|rows| to - rows.start <= ROWS) {
                Some(rows) => rows.end = to,
                None => {
                    groups.rows.push(from..to);
                    groups.sentences.push(Vec::new());
                }
            }
            let last = groups.rows.len() - 1;
            let first = groups.rows[last].start;
            groups.sentences[last].push(from - first..to - first);
        }
        groups
    }
}

/// What the gradients of trained weights are made of; empty where all are frozen.
struct Parts {
    /// What went into `input` (tokens, width).
    input: Scratch,
    /// What went into `output` (tokens, width).
    context: Scratch,
    d_qkv: Scratch,
    d_input: Scratch,
}

impl Parts {
    fn new(tokens: usize, width: usize, trained: bool) -> Self {
        let n = if trained { tokens * width } else { 0 };
        Parts {
            input: Scratch::dirty(n),
            context: Scratch::dirty(n),
            d_qkv: Scratch::dirty(3 * n),
            d_input: Scratch::dirty(n),
        }
    }
}

/// What threads share of a layer, on the host.
struct Shared<'a> {
    norm: Option<NormOnHost<'a>>,
    input_bias: Cow<'a, [f32]>,
    output_bias: Cow<'a, [f32]>,
    width: usize,
    heads: usize,
    causal: bool,
}

impl Shared<'_> {
    /// Queries, keys and values (tokens, 3 · width).
    /// x (tokens, width), normalised, as queries, keys and values (tokens, 3 · width).
    fn projected(&self, x: &[f32], input: &Packed) -> Scratch {
        let (width, rows) = (self.width, x.len() / self.width);
        let mut normed = Scratch::dirty(0);
        let mut qkv = Projection::biases(&self.input_bias, rows);
        let x = NormOnHost::of(&self.norm, x, &mut normed);
        input.multiply(View::new(x, rows, width), &mut qkv, 3 * width, true);
        qkv
    }

    /// What the heads gather (tokens, width) from queries, keys and values (tokens, 3 · width), sentence by sentence.
    fn contexts(&self, qkv: &[f32], sentences: &[Range<usize>], context: &mut [f32]) {
        let (width, heads, causal) = (self.width, self.heads, self.causal);
        for sentence in sentences {
            let qkv = &qkv[floats(sentence, 3 * width)];
            let context = &mut context[floats(sentence, width)];
            vectorise(Forward { qkv, context, width, heads, causal });
        }
    }
}

impl AttentionWeights {
    /// Whether any of its leaves is trained.
    pub fn trained(&self) -> bool {
        let norm = self.norm.as_ref().is_some_and(|norm| norm.rate.trained());
        norm || self.input.trained() || self.output.trained()
    }

    fn shared(&self) -> Shared<'_> {
        Shared {
            norm: self.norm.as_ref().map(|norm| norm.on_host()),
            input_bias: self.input.bias(),
            output_bias: self.output.bias(),
            width: self.input.inputs(),
            heads: self.heads,
            causal: self.causal,
        }
    }

    /// Adds the layer's result for x (tokens, width) to `out` (tokens, width); `kept` (tokens, `keep`) receives queries, keys and values.
    fn forward(
        &self,
        x: &[f32],
        out: &mut [f32],
        kept: &mut [f32],
        keep: usize,
        groups: &Groups,
        precision: Precision,
    ) {
        let (width, shared) = (self.input.inputs(), self.shared());
        let (input, output) = (self.input.forward(precision), self.output.forward(precision));
        let tasks = cut(out, width, &groups.rows).into_par_iter().zip(cut(kept, keep, &groups.rows));
        tasks.zip(&groups.rows).zip(&groups.sentences).for_each(|(((out, kept), rows), sentences)| {
            let qkv = shared.projected(&x[floats(rows, width)], &input);
            if keep > 0 {
                kept.copy_from_slice(&qkv);
            }
            let mut context = Scratch::dirty(out.len());
            shared.contexts(&qkv, sentences, &mut context);
            out.chunks_mut(width)
                .for_each(|row| row.iter_mut().zip(&shared.output_bias[..]).for_each(|(o, b)| *o += b));
            output.multiply(View::new(&context, rows.len(), width), out, width, true);
        });
    }

    /// Adds the gradient of x to `to`, given that of the result, `g`, all of them (tokens, width); fills the parts of trained weights.
    #[allow(clippy::too_many_arguments)]
    fn backward(
        &self,
        x: &[f32],
        g: &[f32],
        kept: &[f32],
        to: &mut [f32],
        parts: &mut Parts,
        groups: &Groups,
        precision: Precision,
    ) {
        let (width, shared) = (self.input.inputs(), self.shared());
        let trained = self.trained();
        let again = kept.is_empty().then(|| self.input.forward(precision));
        let (input, output) = (self.input.backward(precision), self.output.backward(precision));
        let wide = |n: usize| if trained { n } else { 0 };
        let tasks = cut(to, width, &groups.rows)
            .into_par_iter()
            .zip(&groups.rows)
            .zip(&groups.sentences)
            .zip(cut(&mut parts.input, wide(width), &groups.rows))
            .zip(cut(&mut parts.context, wide(width), &groups.rows))
            .zip(cut(&mut parts.d_qkv, wide(3 * width), &groups.rows))
            .zip(cut(&mut parts.d_input, wide(width), &groups.rows));
        tasks.for_each(|((((((to, rows), sentences), part_in), part_context), part_dqkv), part_di)| {
            let (count, x, g) = (rows.len(), &x[floats(rows, width)], &g[floats(rows, width)]);
            let computed = again.as_ref().map(|input| shared.projected(x, input));
            let qkv = computed.as_deref().unwrap_or_else(|| &kept[floats(rows, 3 * width)]);
            let mut d_context = Scratch::dirty(count * width);
            output.multiply(View::new(g, count, width), &mut d_context, width, false);
            let mut d_qkv = Scratch::zeroed(count * 3 * width);
            for sentence in sentences {
                let (three, one) = (floats(sentence, 3 * width), floats(sentence, width));
                let (heads, causal) = (shared.heads, shared.causal);
                let (qkv, g, d_qkv) = (&qkv[three.clone()], &d_context[one], &mut d_qkv[three]);
                vectorise(Backward { qkv, g, d_qkv, width, heads, causal });
            }
            let mut d_input = Scratch::dirty(count * width);
            input.multiply(View::new(&d_qkv, count, 3 * width), &mut d_input, width, false);
            NormOnHost::pull_both(&shared.norm, x, g, &d_input, to);
            if trained {
                let mut normed = Scratch::dirty(0);
                part_in.copy_from_slice(NormOnHost::of(&shared.norm, x, &mut normed));
                shared.contexts(qkv, sentences, part_context);
                part_dqkv.copy_from_slice(&d_qkv);
                part_di.copy_from_slice(&d_input);
            }
        });
    }
}

/// softmax(q kᵀ / √d) v of one sentence, head by head.
struct Forward<'a> {
    /// (tokens, 3 · width)
    qkv: &'a [f32],
    /// (tokens, width)
    context: &'a mut [f32],
    width: usize,
    heads: usize,
    causal: bool,
}

impl Loop for Forward<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Forward { qkv, context, width, heads, causal } = self;
        let (tokens, d) = (context.len() / width, width / heads);
        let mut shares = vec![0f32; tokens];
        for head in 0..heads {
            for i in 0..tokens {
                let seen = if causal { i + 1 } else { tokens };
                let shares = &mut shares[..seen];
                attention::<FMA>(qkv, width, head * d, d, i, shares);
                let out = &mut context[i * width + head * d..][..d];
                out.fill(0.0);
                for (j, &p) in shares.iter().enumerate() {
                    let v = &qkv[j * 3 * width + 2 * width + head * d..][..d];
                    out.iter_mut().zip(v).for_each(|(o, v)| *o = fma::<FMA>(p, *v, *o));
                }
            }
        }
    }
}

/// The shares of token i's attention to the first `shares.len()` tokens, in the head at column `first`.
#[inline(always)]
fn attention<const FMA: bool>(
    qkv: &[f32],
    width: usize,
    first: usize,
    d: usize,
    i: usize,
    shares: &mut [f32],
) {
    let scale = 1.0 / (d as f32).sqrt();
    let q = &qkv[i * 3 * width + first..][..d];
    let mut highest = f32::NEG_INFINITY;
    for (j, s) in shares.iter_mut().enumerate() {
        *s = scale * dot::<FMA>(q, &qkv[j * 3 * width + width + first..][..d]);
        highest = if *s > highest { *s } else { highest };
    }
    shares.iter_mut().for_each(|s| *s = exp::<FMA>(*s - highest));
    let sum = shares.iter().sum::<f32>();
    shares.iter_mut().for_each(|s| *s /= sum);
}

struct Backward<'a> {
    /// (tokens, 3 · width)
    qkv: &'a [f32],
    /// With respect to the context (tokens, width).
    g: &'a [f32],
    /// (tokens, 3 · width), zero before.
    d_qkv: &'a mut [f32],
    width: usize,
    heads: usize,
    causal: bool,
}

impl Loop for Backward<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Backward { qkv, g, d_qkv, width, heads, causal } = self;
        let (tokens, d) = (g.len() / width, width / heads);
        let scale = 1.0 / (d as f32).sqrt();
        let (mut shares, mut slopes) = (vec![0f32; tokens], vec![0f32; tokens]);
        for head in 0..heads {
            let (q, k, v) = (head * d, width + head * d, 2 * width + head * d);
            for i in 0..tokens {
                let seen = if causal { i + 1 } else { tokens };
                let (shares, slopes) = (&mut shares[..seen], &mut slopes[..seen]);
                attention::<FMA>(qkv, width, q, d, i, shares);
                let g = &g[i * width + head * d..][..d];
                for (j, s) in slopes.iter_mut().enumerate() {
                    *s = dot::<FMA>(g, &qkv[j * 3 * width + v..][..d]);
                }
                let mean: f32 = slopes.iter().zip(&*shares).map(|(s, p)| s * p).sum();
                for (j, (s, &p)) in slopes.iter().zip(&*shares).enumerate() {
                    let ds = scale * p * (s - mean);
                    let (qi, kj, at) = (i * 3 * width + q, j * 3 * width + k, j * 3 * width + v);
                    // With respect to v_j, q_i and k_j.
                    let to = &mut d_qkv[at..at + d];
                    to.iter_mut().zip(g).for_each(|(t, g)| *t = fma::<FMA>(p, *g, *t));
                    let to = &mut d_qkv[qi..qi + d];
                    to.iter_mut().zip(&qkv[kj..kj + d]).for_each(|(t, k)| *t = fma::<FMA>(ds, *k, *t));
                    let to = &mut d_qkv[kj..kj + d];
                    to.iter_mut().zip(&qkv[qi..qi + d]).for_each(|(t, q)| *t = fma::<FMA>(ds, *q, *t));
                }
            }
        }
    }
}
