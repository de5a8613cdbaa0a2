//! Text towers: transformers read from checkpoints in Hugging Face's layout, kept frozen.
//!
//! A folder holds `config.json`, `model.safetensors` (or shards) and `tokenizer.json`. CLIP's text tower turns English
//! into the joint space of pictures and text; BERT's is a multilingual encoder. Sentences are packed, not padded.

mod config;
mod files;
mod read;
mod tokens;

use std::sync::Arc;

use dfdx::prelude::*;

use crate::device::{Dev, Matrix};
use crate::ops::rows::select;
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

/// A transformer over token ids, all of it frozen.
pub struct Tower {
    pub config: TowerConfig,
    /// (vocabulary, width)
    tokens: Vec<f32>,
    /// (context, width); BERT's with the embedding of the first sentence's type added.
    positions: Vec<f32>,
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
        sentences
            .rows
            .iter()
            .for_each(|&id| out.extend_from_slice(&self.tokens[id as usize * width..][..width]));
        self.add_positions(&mut out, sentences);
        let x = matrix(out, sentences.rows.len(), width);
        match &self.embedding_norm {
            Some(norm) => layer_norm(x, norm),
            None => x,
        }
    }

    /// Adds the embedding of each token's place in its sentence to its row of `x` (tokens, width).
    pub fn add_positions(&self, x: &mut [f32], sentences: &Sequences) {
        let width = self.config.width;
        let mut rows = x.chunks_exact_mut(width);
        for s in 0..sentences.len() {
            let places = self.positions.chunks_exact(width);
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
        mut between: impl FnMut(usize, Matrix<T>) -> Matrix<T>,
    ) -> Matrix<T> {
        self.blocks.iter().enumerate().fold(x, |x, (n, block)| between(n, block.forward(x, sentences, pass)))
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
        f("tokens", &self.tokens);
        f("positions", &self.positions);
        let norm = |name: &str, norm: &Option<NormWeights>, f: &mut dyn FnMut(&str, &[f32])| {
            if let Some(norm) = norm {
                f(&format!("{name}.scale"), data1(&norm.scale));
                f(&format!("{name}.shift"), data1(&norm.shift));
            }
        };
        let layer = |name: &str, layer: &Projection, f: &mut dyn FnMut(&str, &[f32])| {
            f(&format!("{name}.weight"), data(&layer.weights.weight));
            f(&format!("{name}.bias"), data1(&layer.weights.bias));
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

#[cfg(test)]
mod tests;
