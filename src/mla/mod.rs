//! Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters.
//!
//! English takes the tower's own way and is untouched. Another language: ids of a multilingual tokenizer → its embedding
//! (M-BERT's to begin with) → a linear layer to the tower's width → the tower's blocks, each followed by the language's
//! adapter → the state at the last token → the tower's projection. Sources: the supplement of the MLA paper and its code
//! (AIM3-RUC/MLA).

pub mod acquirer;
pub mod data;
mod evaluate;
pub mod objective;
pub mod train;
pub mod words;

use std::sync::Arc;

use dfdx::prelude::*;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::device::{Dev, Matrix, Vector};
use crate::image::Init;
use crate::ops::batch_norm::keeps;
use crate::ops::linear::{LinearWeights, blend, linear};
use crate::ops::rows::{Table, lookup, select};
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, data1, matrix, on_host, record, vector};
use crate::ops::transformer::Pass;
use crate::optim::{Adam, Parameter};
use crate::text::visit_linear;
use crate::tower::{Encoded, Tower, TowerTokenizer, by_length, distinct};

pub use acquirer::{Acquirer, Adapter};

/// Where sentences of other languages than the tower's enter it; all of them share it.
pub struct Entrance {
    pub tokenizer: TowerTokenizer,
    /// (vocabulary, width of the multilingual embedding)
    pub table: Table,
    /// Whether the table is trained.
    pub train_table: bool,
    /// What is added to a table that stays as it is.
    pub low_rank: Option<LowRank>,
    /// To the width of the tower.
    pub layer: LinearWeights,
}

/// A · Bᵀ, trained beside a table E: the vectors are those of E + A · Bᵀ (Hu et al. 2022).
pub struct LowRank {
    /// A (vocabulary, rank); it starts at 0, so tokens that training never reads keep their vector.
    pub rows: Table,
    /// B (width of the embedding, rank); the bias stays 0.
    pub layer: LinearWeights,
}

/// An English tower and the languages it has acquired.
pub struct Mla {
    pub tower: Tower,
    pub tokenizer: TowerTokenizer,
    /// The code of the tower's own language.
    pub own: String,
    pub entrance: Entrance,
    pub acquirers: Vec<Acquirer>,
    /// log 1/τ of the contrast with pictures, where it is trained: (1)
    pub scale: Option<Vector>,
}

/// Dropout on the vectors that enter the tower, for training.
#[derive(Clone, Copy)]
pub struct Drop<'a> {
    pub p: f32,
    pub seed: u64,
    /// The number of each token in the whole batch: what is dropped does not depend on how the batch is cut.
    pub tokens: &'a [u32],
}

impl Entrance {
    /// A table and a fresh layer from it to `width`.
    pub fn new(
        tokenizer: TowerTokenizer,
        table: Table,
        train_table: bool,
        width: usize,
        init: &mut Init,
    ) -> Self {
        let layer = init.linear(table.width, width);
        Entrance { tokenizer, table, train_table, low_rank: None, layer }
    }

    /// With a product of this rank added to the table; 0 adds none.
    pub fn with_rank(mut self, rank: usize, init: &mut Init) -> Self {
        let width = self.table.width;
        self.low_rank = (rank > 0).then(|| LowRank {
            rows: Table::new(rank, vec![0.0; self.table.rows() * rank]),
            layer: LinearWeights { bias: vector(vec![0.0; width]), ..init.linear(rank, width) },
        });
        self
    }

    /// Brings all that sentences read up to the optimiser's present step.
    pub fn catch_up(&mut self, adam: &mut Adam, sentences: &Sequences) {
        let rows = Self::rows(sentences);
        if self.train_table {
            adam.catch_up("entrance.table", &mut self.table, &rows);
        }
        if let Some(low) = &mut self.low_rank {
            adam.catch_up("entrance.low_rank.rows", &mut low.rows, &rows);
        }
    }

    /// The rows of the table that sentences need, ascending.
    pub fn rows(sentences: &Sequences) -> Vec<u32> {
        distinct(&sentences.rows)
    }

    /// Token vectors of the tower's width (tokens, width), without positions. Each distinct token is projected once.
    fn forward<T: Tape<f32, Dev> + 'static>(&self, sentences: &Sequences, pass: Pass) -> Matrix<T> {
        let rows = Self::rows(sentences);
        let vectors = match self.train_table {
            true => lookup::<T>(&self.table, &rows),
            false => lookup::<NoneTape>(&self.table, &rows).put_tape(T::default()),
        };
        let vectors = match &self.low_rank {
            Some(low) => {
                let product = linear(lookup::<T>(&low.rows, &rows), &low.layer, pass.precision);
                blend(vectors, 1.0, product, 1.0)
            }
            None => vectors,
        };
        let vectors = linear(vectors, &self.layer, pass.precision); // (distinct, width)
        let place = |id: &u32| rows.binary_search(id).expect("a token of the sentences") as u32;
        let places: Vec<u32> = sentences.rows.iter().map(place).collect();
        select(vectors, &places)
    }

    pub fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        if self.train_table {
            f("entrance.table", Parameter::Table(&mut self.table));
        }
        if let Some(low) = &mut self.low_rank {
            f("entrance.low_rank.rows", Parameter::Table(&mut low.rows));
            f("entrance.low_rank.weight", Parameter::Matrix(&mut low.layer.weight));
        }
        visit_linear("entrance.layer", &mut self.layer, f);
    }
}

impl Mla {
    /// Width of the vectors.
    pub fn joint(&self) -> usize {
        self.tower.outputs()
    }

    /// The codes of all languages, the tower's own first.
    pub fn languages(&self) -> Vec<&str> {
        std::iter::once(&self.own).chain(self.acquirers.iter().map(|a| &a.language)).map(|l| &l[..]).collect()
    }

    /// SHA-256 of all that the acquirers stand on: the tower and the entrance.
    pub fn base(&self) -> String {
        let mut hash = Sha256::new();
        self.tower.visit(&mut |name, x| {
            hash.update(name);
            hash.update(bytemuck::cast_slice::<f32, u8>(x));
        });
        for x in [
            self.entrance.table.data(),
            &data(&self.entrance.layer.weight),
            &data1(&self.entrance.layer.bias),
        ] {
            hash.update(bytemuck::cast_slice::<f32, u8>(x));
        }
        if let Some(low) = &self.entrance.low_rank {
            hash.update(bytemuck::cast_slice::<f32, u8>(low.rows.data()));
            hash.update(bytemuck::cast_slice::<f32, u8>(&data(&low.layer.weight)));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds a language, in place of one with the same code.
    pub fn add(&mut self, acquirer: Acquirer) {
        self.remove(&acquirer.language.clone());
        self.acquirers.push(acquirer);
    }

    /// Removes a language; whether it was there.
    pub fn remove(&mut self, language: &str) -> bool {
        let before = self.acquirers.len();
        self.acquirers.retain(|a| a.language != language);
        self.acquirers.len() < before
    }

    /// Sentences of an acquired language as vectors (sentences, joint), not of unit length.
    ///
    /// `sentences` holds ids of the entrance's tokenizer.
    pub fn forward<T: Tape<f32, Dev> + 'static>(
        &self,
        acquirer: &Acquirer,
        sentences: &Arc<Sequences>,
        drop: Option<Drop>,
        pass: Pass,
    ) -> Matrix<T> {
        let x = self.entrance.forward::<T>(sentences, pass);
        let x = self.placed(x, sentences, drop);
        let x = self.tower.blocks(x, sentences, pass, |n, x: Matrix<T>| acquirer.forward(n, x, pass));
        let last: Vec<u32> = sentences.starts[1..].iter().map(|&end| end - 1).collect();
        self.tower.pool(x, &last, pass)
    }

    /// Adds positions; drops elements, if asked to.
    fn placed<T: Tape<f32, Dev> + 'static>(
        &self,
        x: Matrix<T>,
        sentences: &Sequences,
        drop: Option<Drop>,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let mut out = data(&x).to_vec();
        self.tower.add_positions(&mut out, sentences);
        let drop = drop.filter(|d| d.p > 0.0).map(|d| (d.p, d.seed, d.tokens.to_vec()));
        // Multiplies the elements of a row by what dropout does to them.
        let apply = move |i: usize, row: &mut [f32]| {
            if let Some((p, seed, tokens)) = &drop {
                let first = tokens[i] as usize * width;
                let factor = 1.0 / (1.0 - p);
                let kept = |j: usize| if keeps(*seed, first + j, *p) { factor } else { 0.0 };
                row.iter_mut().enumerate().for_each(|(j, x)| *x *= kept(j));
            }
        };
        out.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, row)| apply(i, row));
        record!(tape, matrix(out, rows, width), |grads, g| {
            let mut g = g;
            g.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, row)| apply(i, row));
            on_host(grads.get_or_alloc_mut(&x)?).iter_mut().zip(&g).for_each(|(t, g)| *t += g);
        })
    }

    /// Texts of a language (0 is the tower's own) as token ids.
    pub fn tokens(&self, language: usize, texts: &[&str]) -> Encoded {
        if language == 0 { self.tokenizer.encode(texts) } else { self.entrance.tokenizer.encode(texts) }
    }

    /// Token ids of a language as vectors (sentences, joint), not of unit length.
    pub fn encode(&self, language: usize, sentences: &Sequences, pass: Pass) -> Vec<f32> {
        by_length(sentences, self.joint(), |some| match language {
            0 => self.tower.encode(some, pass),
            n => data(&self.forward::<NoneTape>(&self.acquirers[n - 1], some, None, pass)).to_vec(),
        })
    }

    pub fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.entrance.visit(f);
        self.acquirers.iter_mut().for_each(|a| a.visit(f));
        if let Some(scale) = &mut self.scale {
            f("scale", Parameter::Vector(scale));
        }
    }
}

#[cfg(test)]
mod tests;
