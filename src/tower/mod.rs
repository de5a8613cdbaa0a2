//! Text towers: transformers read from checkpoints in Hugging Face's layout and kept frozen, or new and trained here.
//!
//! A folder holds `config.json`, `model.safetensors` (or shards) and `tokenizer.json`. CLIP's text tower turns English
//! into the joint space of pictures and text; BERT's is a multilingual encoder. Sentences are packed, not padded.

mod config;
mod files;
mod new;
mod read;
mod tokens;
mod write;

use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::device::{Dev, Matrix};
use crate::ops::linear::blend;
use crate::ops::rows::{Table, lookup, select};
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, data1, matrix};
use crate::ops::transformer::{
    AttentionWeights, FeedForwardWeights, NormWeights, Pass, Projection, attend, feed_forward, layer_norm,
    project,
};

pub use config::{Architecture, Pooled, TowerConfig};
pub use files::Tensors;
pub use read::token_embedding;
pub use tokens::{Encoded, TowerTokenizer};

/// A transformer over token ids. One from a checkpoint is frozen; a new one is trained, all of it.
pub struct Tower {
    pub config: TowerConfig,
    /// (vocabulary, width)
    tokens: Table,
    /// (context, width); BERT's with the embedding of the first sentence's type added.
    positions: Table,
    /// BERT normalises the sum of embeddings.
    embedding_norm: Option<NormWeights>,
    blocks: Vec<Block>,
    /// CLIP normalises the last states.
    final_norm: Option<NormWeights>,
    /// CLIP's layer into the joint space, without bias.
    projection: Option<Projection>,
}

/// Attention and feed-forward; BERT normalises behind each.
struct Block {
    attention: AttentionWeights,
    attention_norm: Option<NormWeights>,
    feed_forward: FeedForwardWeights,
    feed_forward_norm: Option<NormWeights>,
}

impl Block {
    fn forward<T: Tape<f32, Dev> + 'static>(
        &self,
        x: Matrix<T>,
        sentences: &Arc<Sequences>,
        pass: Pass,
    ) -> Matrix<T> {
        let norm = |x: Matrix<T>, norm: &Option<NormWeights>| match norm {
            Some(norm) => layer_norm(x, norm),
            None => x,
        };
        let x = norm(attend(x, &self.attention, sentences, pass), &self.attention_norm);
        norm(feed_forward(x, &self.feed_forward, pass), &self.feed_forward_norm)
    }
}

impl Tower {
    /// Width of the vectors of [`Self::pool`].
    pub fn outputs(&self) -> usize {
        self.projection.as_ref().map_or(self.config.width, Projection::outputs)
    }

    /// What goes into the first block: the embedding of every token and its place. (tokens, width)
    ///
    /// `sentences` holds token ids.
    ///
    /// # Panics
    /// With an id beyond the vocabulary or a sentence longer than the context; [`TowerTokenizer`] gives neither.
    pub fn embed(&self, sentences: &Sequences) -> Matrix {
        let width = self.config.width;
        let mut out = Vec::with_capacity(sentences.rows.len() * width);
        sentences.rows.iter().for_each(|&id| out.extend_from_slice(self.tokens.row(id as usize)));
        self.add_positions(&mut out, sentences);
        let x = matrix(out, sentences.rows.len(), width);
        match &self.embedding_norm {
            Some(norm) => layer_norm(x, norm),
            None => x,
        }
    }

    /// As [`Self::embed`], (tokens, width), with gradients for the embeddings of a new tower; without the norm behind them.
    pub fn embed_trained<T: Tape<f32, Dev> + 'static>(&self, sentences: &Sequences) -> Matrix<T> {
        let distinct = distinct(&sentences.rows);
        let place = |id: &u32| distinct.binary_search(id).expect("an id of the sentences") as u32;
        let ids: Vec<u32> = sentences.rows.iter().map(place).collect();
        let places: Vec<u32> = (0..sentences.len()).flat_map(|s| 0..sentences.length(s) as u32).collect();
        let longest: Vec<u32> = (0..places.iter().max().map_or(0, |n| n + 1)).collect();
        let tokens = select(lookup::<T>(&self.tokens, &distinct), &ids); // (tokens, width)
        let positions = select(lookup::<T>(&self.positions, &longest), &places);
        blend(tokens, 1.0, positions, 1.0)
    }

    /// Adds the embedding of each token's place in its sentence to its row of `x` (tokens, width).
    pub fn add_positions(&self, x: &mut [f32], sentences: &Sequences) {
        let width = self.config.width;
        let mut rows = x.chunks_exact_mut(width);
        for s in 0..sentences.len() {
            let places = self.positions.data().chunks_exact(width);
            assert!(sentences.length(s) <= self.config.context, "a sentence longer than the context");
            for (row, place) in rows.by_ref().take(sentences.length(s)).zip(places) {
                row.iter_mut().zip(place).for_each(|(x, p)| *x += p);
            }
        }
    }

    /// Takes x (tokens, width) through all blocks. `between` gets the number of each block and what comes out of it, and
    /// gives what goes on.
    pub fn blocks<T: Tape<f32, Dev> + 'static>(
        &self,
        x: Matrix<T>,
        sentences: &Arc<Sequences>,
        pass: Pass,
        between: impl FnMut(usize, Matrix<T>) -> Matrix<T>,
    ) -> Matrix<T> {
        self.some_blocks(0..self.blocks.len(), x, sentences, pass, between)
    }

    /// As [`Self::blocks`], x (tokens, width) → (tokens, width), through some of them.
    pub fn some_blocks<T: Tape<f32, Dev> + 'static>(
        &self,
        some: Range<usize>,
        x: Matrix<T>,
        sentences: &Arc<Sequences>,
        pass: Pass,
        mut between: impl FnMut(usize, Matrix<T>) -> Matrix<T>,
    ) -> Matrix<T> {
        some.fold(x, |x, n| between(n, self.blocks[n].forward(x, sentences, pass)))
    }

    /// The states in the given rows of x (tokens, width) as vectors (rows, [`Self::outputs`]), not of unit length.
    pub fn pool<T: Tape<f32, Dev> + 'static>(&self, x: Matrix<T>, rows: &[u32], pass: Pass) -> Matrix<T> {
        let mut x = select(x, rows);
        if let Some(norm) = &self.final_norm {
            x = layer_norm(x, norm);
        }
        match &self.projection {
            Some(layer) => project(x, layer, pass.precision),
            None => x,
        }
    }

    /// The row of each sentence's pooled token.
    pub fn pooled_rows(&self, sentences: &Sequences) -> Vec<u32> {
        let place = |s: usize| {
            let ids = sentences.get(s);
            let place = match self.config.pooled {
                Pooled::First => Some(0),
                Pooled::Token(id) => ids.iter().position(|&i| i == id),
                Pooled::HighestId => ids.iter().max().and_then(|m| ids.iter().position(|i| i == m)),
            };
            sentences.starts[s] + place.unwrap_or(0) as u32
        };
        (0..sentences.len()).map(place).collect()
    }

    /// Every weight by name, in a fixed order.
    pub fn visit(&self, f: &mut dyn FnMut(&str, &[f32])) {
        f("tokens", self.tokens.data());
        f("positions", self.positions.data());
        let norm = |name: &str, norm: &Option<NormWeights>, f: &mut dyn FnMut(&str, &[f32])| {
            if let Some(norm) = norm {
                f(&format!("{name}.scale"), &data1(&norm.scale));
                f(&format!("{name}.shift"), &data1(&norm.shift));
            }
        };
        let layer = |name: &str, layer: &Projection, f: &mut dyn FnMut(&str, &[f32])| {
            f(&format!("{name}.weight"), &data(&layer.weights.weight));
            f(&format!("{name}.bias"), &data1(&layer.weights.bias));
        };
        norm("embedding_norm", &self.embedding_norm, f);
        for (n, block) in self.blocks.iter().enumerate() {
            let name = |part: &str| format!("blocks.{n}.{part}");
            norm(&name("attention.norm"), &block.attention.norm, f);
            layer(&name("attention.input"), &block.attention.input, f);
            layer(&name("attention.output"), &block.attention.output, f);
            norm(&name("attention_norm"), &block.attention_norm, f);
            norm(&name("feed_forward.norm"), &block.feed_forward.norm, f);
            layer(&name("feed_forward.inner"), &block.feed_forward.inner, f);
            layer(&name("feed_forward.outer"), &block.feed_forward.outer, f);
            norm(&name("feed_forward_norm"), &block.feed_forward_norm, f);
        }
        norm("final_norm", &self.final_norm, f);
        if let Some(projection) = &self.projection {
            layer("projection", projection, f);
        }
    }

    /// Sentences of token ids as vectors (sentences, [`Self::outputs`]), not of unit length.
    pub fn encode(&self, sentences: &Arc<Sequences>, pass: Pass) -> Vec<f32> {
        let rows = self.pooled_rows(sentences);
        let x = self.blocks(self.embed(sentences), sentences, pass, |_, x: Matrix| x);
        data(&self.pool(x, &rows, pass)).to_vec()
    }
}

/// Sentences encoded at a time.
const SENTENCES: usize = 256;

/// Runs sentences through `encode` some at a time, neighbours in length together, and puts the vectors in order.
pub fn by_length(
    sentences: &Sequences,
    width: usize,
    mut encode: impl FnMut(&Arc<Sequences>) -> Vec<f32>,
) -> Vec<f32> {
    let mut out = vec![0.0; sentences.len() * width];
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by_key(|&s| sentences.length(s));
    for some in order.chunks(SENTENCES) {
        let mut batch = Sequences::new();
        some.iter().for_each(|&s| batch.push(sentences.get(s).iter().copied()));
        for (&s, row) in some.iter().zip(encode(&Arc::new(batch)).chunks(width)) {
            out[s * width..(s + 1) * width].copy_from_slice(row);
        }
    }
    out
}

/// Numbers in ascending order, each once.
pub fn distinct(numbers: &[u32]) -> Vec<u32> {
    let mut rows = numbers.to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows
}

#[cfg(test)]
mod tests;
