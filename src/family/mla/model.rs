//! Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters.
//!
//! English takes the tower's own way and is untouched. Another language: ids of a multilingual tokenizer → its embedding
//! (M-BERT's to begin with) → a linear layer to the tower's width → the tower's blocks, each followed by the language's
//! adapter → the state at the last token → the tower's projection. Sources: the supplement of the MLA paper and its code
//! (AIM3-RUC/MLA). Or all languages, English too, go through a frozen M-BERT with adapters instead ([`bert`]).

use std::sync::Arc;

use dfdx::prelude::*;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::device::{Dev, Matrix, Vector};
use crate::ops::batch_norm::keeps;
use crate::ops::on_gpu;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, data1, matrix, on_host, record};
use crate::ops::transformer::Pass;
use crate::optim::{Adam, Parameter};
use crate::tower::{Encoded, Tower, TowerTokenizer, by_length};

use super::{Acquirer, Bert, InputEmbedding};

/// What makes vectors of the joint space of sentences in acquired languages; all of them share it.
pub enum Encoder {
    /// The tower's own blocks, behind an entrance for other languages (MLA).
    Tower(Box<InputEmbedding>),
    /// A multilingual encoder (CMA).
    Bert(Box<Bert>),
}

/// Whose way a sentence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// That of the English tower, as it was trained.
    Tower,
    /// That of an acquirer, by its place in [`Mla::acquirers`].
    Acquired(usize),
}

/// An English tower and the languages that were acquired on it.
pub struct Mla {
    pub tower: Tower,
    pub tokenizer: TowerTokenizer,
    /// The code of the tower's own language.
    pub own: String,
    pub encoder: Encoder,
    /// Whether the acquirers alone are trained.
    pub frozen: bool,
    pub acquirers: Vec<Acquirer>,
    /// log 1/τ of the contrast with pictures, where it is trained: (1)
    pub scale: Option<Vector>,
}

/// Dropout on the vectors that enter the tower, for training.
#[derive(Clone, Copy)]
pub struct Drop<'a> {
    /// Probability that an element is dropped.
    pub p: f32,
    pub seed: u64,
    /// The number of each token in the whole batch: what is dropped does not depend on how the batch is cut.
    pub tokens: &'a [u32],
}

impl Encoder {
    /// What makes token ids of sentences in acquired languages.
    pub fn tokenizer(&self) -> &TowerTokenizer {
        match self {
            Encoder::Tower(entrance) => &entrance.tokenizer,
            Encoder::Bert(bert) => &bert.tokenizer,
        }
    }

    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        match self {
            Encoder::Tower(entrance) => entrance.visit(f),
            Encoder::Bert(bert) => bert.visit(f),
        }
    }
}

impl Mla {
    /// Width of the vectors.
    pub fn joint(&self) -> usize {
        self.tower.outputs()
    }

    /// The tower whose blocks the acquirers stand behind.
    pub fn body(&self) -> &Tower {
        match &self.encoder {
            Encoder::Tower(_) => &self.tower,
            Encoder::Bert(bert) => &bert.tower,
        }
    }

    /// Width and number of the blocks that acquirers stand behind.
    pub fn size(&self) -> (usize, usize) {
        (self.body().config.width, self.body().config.layers)
    }

    /// Brings all that sentences read up to the optimiser's present step.
    pub fn catch_up(&mut self, adam: &mut Adam, sentences: &Sequences) {
        if let (Encoder::Tower(entrance), false) = (&mut self.encoder, self.frozen) {
            entrance.catch_up(adam, sentences);
        }
    }

    /// The codes of all languages, the tower's own first.
    pub fn languages(&self) -> Vec<&str> {
        let others = self.acquirers.iter().map(|a| &a.language[..]).filter(|l| *l != self.own);
        std::iter::once(&self.own[..]).chain(others).collect()
    }

    /// The way of a language: its acquirer's; the tower's own language goes the tower's way, where it has none.
    pub fn way(&self, language: &str) -> Option<Way> {
        let place = self.acquirers.iter().position(|a| a.language == language);
        place.map(Way::Acquired).or((language == self.own).then_some(Way::Tower))
    }

    /// The way of sentences whose translations are taught: the tower teaches its own language, acquired or not.
    pub fn teacher(&self, language: &str) -> Option<Way> {
        if language == self.own { Some(Way::Tower) } else { self.way(language) }
    }

    /// SHA-256 of all that the acquirers stand on: the tower and the encoder.
    pub fn base(&self) -> String {
        let mut hash = Sha256::new();
        let floats = |hash: &mut Sha256, x: &[f32]| hash.update(bytemuck::cast_slice::<f32, u8>(x));
        let tower = |hash: &mut Sha256, tower: &Tower| {
            tower.visit(&mut |name, x| {
                hash.update(name);
                floats(hash, x);
            })
        };
        tower(&mut hash, &self.tower);
        let layer = match &self.encoder {
            Encoder::Tower(entrance) => {
                floats(&mut hash, entrance.table.data());
                &entrance.layer
            }
            Encoder::Bert(bert) => {
                tower(&mut hash, &bert.tower);
                &bert.layer
            }
        };
        floats(&mut hash, &data(&layer.weight));
        floats(&mut hash, &data1(&layer.bias));
        if let Encoder::Tower(entrance) = &self.encoder
            && let Some(low) = &entrance.low_rank
        {
            floats(&mut hash, low.rows.data());
            floats(&mut hash, &data(&low.layer.weight));
        }
        crate::checksum::sha256(hash)
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
    /// `sentences` holds ids of the encoder's tokenizer.
    pub fn forward<T: Tape<f32, Dev> + 'static>(
        &self,
        acquirer: &Acquirer,
        sentences: &Arc<Sequences>,
        drop: Option<Drop>,
        pass: Pass,
    ) -> Matrix<T> {
        let body = self.body();
        let acquired = |n: usize, x: Matrix<T>| acquirer.forward(n, x, pass);
        let x = match self.frozen || matches!(self.encoder, Encoder::Bert(_)) {
            // Nothing before the first acquirer is trained: no gradient goes there.
            true => {
                let x = self.entered::<NoneTape>(sentences, drop, pass);
                let x = body.some_blocks(0..1, x, sentences, pass, |_, x| x);
                acquired(0, x.put_tape(T::default()))
            }
            false => {
                let x = self.entered::<T>(sentences, drop, pass);
                body.some_blocks(0..1, x, sentences, pass, acquired)
            }
        };
        let x = body.some_blocks(1..body.config.layers, x, sentences, pass, acquired);
        match &self.encoder {
            Encoder::Tower(_) => {
                let last: Vec<u32> = sentences.starts[1..].iter().map(|&end| end - 1).collect();
                self.tower.pool(x, &last, pass)
            }
            Encoder::Bert(bert) => bert.pool(x, sentences, pass),
        }
    }

    /// What goes into the first block (tokens, width); elements are dropped, if asked to.
    fn entered<T: Tape<f32, Dev> + 'static>(
        &self,
        sentences: &Sequences,
        drop: Option<Drop>,
        pass: Pass,
    ) -> Matrix<T> {
        match &self.encoder {
            Encoder::Tower(entrance) => {
                let x = entrance.forward::<T>(sentences, pass);
                dropped(x, |x| self.tower.add_positions(x, sentences), drop)
            }
            Encoder::Bert(bert) => dropped(bert.tower.embed(sentences).put_tape(T::default()), |_| (), drop),
        }
    }

    /// Texts as the token ids of their way.
    pub fn tokens(&self, way: Way, texts: &[&str]) -> Encoded {
        match way {
            Way::Tower => self.tokenizer.encode(&self.own, texts),
            Way::Acquired(n) => self.acquired_tokens(&self.acquirers[n].language, texts),
        }
    }

    /// Texts of a language that is acquired, or to be, as token ids.
    pub fn acquired_tokens(&self, language: &str, texts: &[&str]) -> Encoded {
        self.encoder.tokenizer().encode(language, texts)
    }

    /// Token ids of a way as vectors (sentences, joint), not of unit length.
    pub fn encode(&self, way: Way, sentences: &Sequences, pass: Pass) -> Vec<f32> {
        by_length(sentences, self.joint(), |some| match way {
            Way::Tower => self.tower.encode(some, pass),
            Way::Acquired(n) => {
                data(&self.forward::<NoneTape>(&self.acquirers[n], some, None, pass)).to_vec()
            }
        })
    }

    /// Every trained parameter by name: where the model is frozen, those of the acquirers alone.
    pub fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        if !self.frozen {
            self.encoder.visit(f);
        }
        self.acquirers.iter_mut().for_each(|a| a.visit(f));
        if let (Some(scale), false) = (&mut self.scale, self.frozen) {
            f("scale", Parameter::Vector(scale));
        }
    }
}

/// x (tokens, width) with something constant added to it, and elements dropped, if asked to.
fn dropped<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    add: impl FnOnce(&mut [f32]),
    drop: Option<Drop>,
) -> Matrix<T> {
    let (rows, width) = *x.shape();
    on_gpu!(|gpu| {
        let mut constant = vec![0.0; rows * width];
        add(&mut constant);
        gpu.shifted(x, &constant, drop.filter(|d| d.p > 0.0).map(|d| (d.p, d.seed, d.tokens)))
    });
    let (x, tape) = x.split_tape();
    let mut out = data(&x).to_vec();
    add(&mut out);
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

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
