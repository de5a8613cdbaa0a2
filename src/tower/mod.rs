//! Text towers: transformers read from checkpoints in Hugging Face's layout and frozen until they are thawed, or new.
//!
//! A folder holds `config.json`, `model.safetensors` (or shards) and `tokenizer.json`. CLIP's text tower turns English
//! into the joint space of pictures and text; BERT, RoBERTa, XLM-R and DistilBERT are encoders, with the pooling that
//! sentence-transformers keeps beside them, if it does. Sentences are packed, not padded.

mod config;
mod files;
mod keys;
mod modules;
mod names;
mod new;
mod read;
mod sentence;
mod tokens;
pub mod vision;
mod write;

use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::device::{Dev, Matrix};
use crate::ops::linear::blend;
use crate::ops::rows::{Table, lookup, mean, select};
use crate::ops::sequences::Sequences;
use crate::ops::tape::data;
use crate::ops::transformer::{
    Activation, AttentionWeights, FeedForwardWeights, NormWeights, Pass, Projection, activate, attend,
    feed_forward, layer_norm, project,
};
use crate::optim::{Adam, Parameter, ParameterTree, Visitor, visit_norm, visit_projection, visit_weight};

pub use config::{Architecture, Pooled, TowerConfig};
pub use files::Tensors;
pub use read::token_embedding;
pub use sentence::TokenizerFiles;
pub use tokens::{Encoded, TowerTokenizer};

/// A transformer over token ids. One from a checkpoint is frozen until it is thawed ([`crate::optim::thaw`]); a new one is trained.
pub struct Tower {
    /// Its sizes.
    pub config: TowerConfig,
    /// (vocabulary, width)
    tokens: Table,
    /// ([`TowerConfig::positions`], width)
    positions: Table,
    /// Embeddings of the types of an encoder's sentences (types, width). All sentences here are of the first.
    types: Option<Table>,
    /// BERT normalises the sum of embeddings.
    embedding_norm: Option<NormWeights>,
    blocks: Vec<Block>,
    /// CLIP normalises the last states.
    final_norm: Option<NormWeights>,
    /// The layer into the joint space: CLIP's, without bias, or the dense one of sentence-transformers.
    projection: Option<Projection>,
    /// Tensors of the checkpoint that are no part of the tower, by name.
    pub unused: Vec<String>,
}

/// Every weight by name. The bias behind a projection that has none is 0 and stays so.
impl ParameterTree for Tower {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        f("tokens", Parameter::table(&mut self.tokens));
        f("positions", Parameter::table(&mut self.positions));
        if let Some(types) = &mut self.types {
            f("types", Parameter::table(types));
        }
        let norm = |name: &str, norm: &mut Option<NormWeights>, f: Visitor| {
            if let Some(norm) = norm {
                visit_norm(name, norm, f);
            }
        };
        norm("embedding_norm", &mut self.embedding_norm, f);
        for (n, block) in self.blocks.iter_mut().enumerate() {
            let name = |part: &str| format!("blocks.{n}.{part}");
            norm(&name("attention.norm"), &mut block.attention.norm, f);
            visit_projection(&name("attention.input"), &mut block.attention.input, f);
            visit_projection(&name("attention.output"), &mut block.attention.output, f);
            norm(&name("attention_norm"), &mut block.attention_norm, f);
            norm(&name("feed_forward.norm"), &mut block.feed_forward.norm, f);
            visit_projection(&name("feed_forward.inner"), &mut block.feed_forward.inner, f);
            visit_projection(&name("feed_forward.outer"), &mut block.feed_forward.outer, f);
            norm(&name("feed_forward_norm"), &mut block.feed_forward_norm, f);
        }
        norm("final_norm", &mut self.final_norm, f);
        if let Some(projection) = &mut self.projection {
            match self.config.projection_bias {
                true => visit_projection("projection", projection, f),
                false => visit_weight("projection", projection, f),
            }
        }
    }
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
    pub fn embed<T: Tape<f32, Dev> + 'static>(&self, sentences: &Sequences) -> Matrix<T> {
        if T::OWNS_TAPE && !self.embedding_trained() {
            return self.embed::<NoneTape>(sentences).put_tape(T::default());
        }
        let distinct = distinct(&sentences.rows);
        let place = |id: &u32| distinct.binary_search(id).expect("an id of the sentences") as u32;
        let ids: Vec<u32> = sentences.rows.iter().map(place).collect();
        let tokens = select(lookup::<T>(&self.tokens, &distinct), &ids); // (tokens, width)
        self.place(tokens, sentences)
    }

    /// Vectors of tokens (tokens, width) as they go into the first block: with the embedding of each one's place, and at an encoder's norm.
    pub fn place<T: Tape<f32, Dev> + 'static>(&self, tokens: Matrix<T>, sentences: &Sequences) -> Matrix<T> {
        let x = blend(tokens, 1.0, self.embed_positions(sentences), 1.0);
        match &self.embedding_norm {
            Some(norm) => layer_norm(x, norm),
            None => x,
        }
    }

    /// The embedding of each token's place in its sentence (tokens, width); an encoder's with that of the first sentence's type.
    pub fn embed_positions<T: Tape<f32, Dev> + 'static>(&self, sentences: &Sequences) -> Matrix<T> {
        if T::OWNS_TAPE && !self.positions_trained() {
            return self.embed_positions::<NoneTape>(sentences).put_tape(T::default());
        }
        let places: Vec<u32> = (0..sentences.len()).flat_map(|s| 0..sentences.length(s) as u32).collect();
        let rows = self.position_rows(sentences);
        assert!(rows.len() <= self.config.context, "a sentence longer than the context");
        let mut positions = lookup::<T>(&self.positions, &rows);
        if let Some(types) = &self.types {
            let first = select(lookup::<T>(types, &[0]), &vec![0; rows.len()]);
            positions = blend(positions, 1.0, first, 1.0);
        }
        select(positions, &places)
    }

    /// The rows of the positions that sentences read: those of the longest.
    fn position_rows(&self, sentences: &Sequences) -> Vec<u32> {
        let longest = (0..sentences.len()).map(|s| sentences.length(s)).max().unwrap_or(0);
        let first = self.config.first_position;
        (first as u32..(first + longest) as u32).collect()
    }

    /// Whether anything that [`Self::embed`] reads is trained.
    pub fn embedding_trained(&self) -> bool {
        let norm = self.embedding_norm.as_ref().is_some_and(|norm| norm.rate.trained());
        norm || self.tokens.rate.trained() || self.positions_trained()
    }

    fn positions_trained(&self) -> bool {
        self.positions.rate.trained() || self.types.as_ref().is_some_and(|types| types.rate.trained())
    }

    /// Whether anything of a block is trained.
    pub fn block_trained(&self, block: usize) -> bool {
        let Block { attention, attention_norm, feed_forward, feed_forward_norm } = &self.blocks[block];
        let norms = [attention_norm, feed_forward_norm];
        norms.into_iter().flatten().any(|n| n.rate.trained()) || attention.trained() || feed_forward.trained()
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

    /// Says what stands for a sentence from now on, whatever the checkpoint says.
    pub fn set_pooling(&mut self, pooled: Pooled) {
        self.config.pooled = pooled;
    }

    /// The states behind the last block, x (tokens, width), as vectors of the sentences (sentences, [`Self::outputs`]), not of unit length,
    /// by the tower's own pooling.
    pub fn pool<T: Tape<f32, Dev> + 'static>(
        &self,
        x: Matrix<T>,
        sentences: &Sequences,
        pass: Pass,
    ) -> Matrix<T> {
        self.pool_as(self.config.pooled, x, sentences, pass)
    }

    /// As [`Self::pool`], x (tokens, width) → (sentences, [`Self::outputs`]), by another pooling.
    pub fn pool_as<T: Tape<f32, Dev> + 'static>(
        &self,
        pooled: Pooled,
        x: Matrix<T>,
        sentences: &Sequences,
        pass: Pass,
    ) -> Matrix<T> {
        let norm = |x: Matrix<T>| match &self.final_norm {
            Some(norm) => layer_norm(x, norm),
            None => x,
        };
        let x = match pooled {
            Pooled::Mean => mean(norm(x), &Arc::new(sentences.apart())),
            _ => norm(select(x, &pooled.rows(sentences))),
        }; // (sentences, width)
        let x = match &self.projection {
            Some(layer) => project(x, layer, pass.precision),
            None => x,
        };
        match self.config.projection_tanh {
            true => activate(x, Activation::Tanh),
            false => x,
        }
    }

    /// Brings the embeddings that sentences read up to the optimiser's present step; `prefix` stands before the names of the tree.
    pub fn catch_up(&mut self, prefix: &str, adam: &mut Adam, sentences: &Sequences) {
        adam.catch_up(&format!("{prefix}tokens"), &mut self.tokens, &distinct(&sentences.rows));
        self.catch_up_positions(prefix, adam, sentences);
    }

    /// As [`Self::catch_up`], of what [`Self::embed_positions`] reads.
    pub fn catch_up_positions(&mut self, prefix: &str, adam: &mut Adam, sentences: &Sequences) {
        let rows = self.position_rows(sentences);
        adam.catch_up(&format!("{prefix}positions"), &mut self.positions, &rows);
        if let Some(types) = &mut self.types {
            adam.catch_up(&format!("{prefix}types"), types, &[0]);
        }
    }

    /// The embeddings of positions ([`TowerConfig::positions`], width) as they are read: an encoder's with that of the first sentence's
    /// type.
    pub fn position_table(&self) -> Vec<f32> {
        let mut positions = self.positions.data().to_vec();
        if let Some(types) = &self.types {
            let rows = positions.chunks_exact_mut(self.config.width);
            rows.for_each(|row| row.iter_mut().zip(types.row(0)).for_each(|(p, t)| *p += t));
        }
        positions
    }

    /// Sentences of token ids as vectors (sentences, [`Self::outputs`]), not of unit length. No gradient is computed of what lies before
    /// everything that is trained.
    pub fn forward<T: Tape<f32, Dev> + 'static>(&self, sentences: &Arc<Sequences>, pass: Pass) -> Matrix<T> {
        let layers = self.blocks.len();
        let first = match self.embedding_trained() {
            true => 0,
            false => (0..layers).find(|&n| self.block_trained(n)).unwrap_or(layers),
        };
        let x = match first {
            0 => self.embed::<T>(sentences),
            _ => {
                let x = self.embed::<NoneTape>(sentences);
                self.some_blocks(0..first, x, sentences, pass, |_, x| x).put_tape(T::default())
            }
        };
        let x = self.some_blocks(first..layers, x, sentences, pass, |_, x| x);
        self.pool(x, sentences, pass)
    }

    /// As [`Self::forward`], without a tape.
    pub fn encode(&self, sentences: &Arc<Sequences>, pass: Pass) -> Vec<f32> {
        data(&self.forward::<NoneTape>(sentences, pass)).to_vec()
    }
}

impl Pooled {
    /// The row of the token that stands for each sentence.
    ///
    /// # Panics
    /// With the mean, which is no token's.
    fn rows(self, sentences: &Sequences) -> Vec<u32> {
        let place = |s: usize| {
            let ids = sentences.get(s);
            let place = match self {
                Pooled::First => Some(0),
                Pooled::Mean => panic!("the mean is the state of no token"),
                Pooled::Last => ids.len().checked_sub(1),
                Pooled::Token(id) => ids.iter().position(|&i| i == id),
                Pooled::HighestId => ids.iter().max().and_then(|m| ids.iter().position(|i| i == m)),
            };
            sentences.starts[s] + place.unwrap_or(0) as u32
        };
        (0..sentences.len()).map(place).collect()
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
