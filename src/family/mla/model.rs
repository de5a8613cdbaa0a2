//! Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters.
//!
//! English takes the tower's own way and is untouched. Another language: ids of a multilingual tokenizer → its embedding
//! (M-BERT's to begin with) → a linear layer to the tower's width → the tower's blocks, each followed by the language's
//! adapter → the state at the last token → the tower's projection. Sources: the supplement of the MLA paper and its code
//! (AIM3-RUC/MLA). Or all languages, English too, go through a frozen M-BERT with adapters instead ([`bert`]).

use std::sync::Arc;

use dfdx::prelude::*;
use sha2::{Digest, Sha256};

use crate::device::{Dev, Matrix, Vector};
use crate::ops::batch_norm::dropout_rows;
use crate::ops::leaf::Leaf;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, data1};
use crate::ops::transformer::Pass;
use crate::optim::{Adam, Parameter, ParameterTree, Visitor, trained_count, visit_linear};
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
    /// The English tower, frozen.
    pub tower: Tower,
    /// The tower's own tokenizer, of sentences in its own language.
    pub tokenizer: TowerTokenizer,
    /// The code of the tower's own language.
    pub own: String,
    /// What sentences in acquired languages go through.
    pub encoder: Encoder,
    /// One for each acquired language.
    pub acquirers: Vec<Acquirer>,
    /// log 1/τ of the contrast with pictures, where it is trained: (1)
    pub scale: Option<Leaf<Vector>>,
}

/// Dropout on the vectors that enter the tower, for training.
#[derive(Clone, Copy)]
pub struct Drop<'a> {
    /// Probability that an element is dropped.
    pub p: f32,
    /// Seed of what is dropped, the step's own.
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

    /// Whether anything that sentences go through before the first block is trained.
    fn entrance_trained(&self) -> bool {
        match self {
            Encoder::Tower(entrance) => entrance.trained(),
            Encoder::Bert(bert) => bert.tower.embedding_trained(),
        }
    }
}

/// The acquirers stand on the towers, which the folder of a run holds: of these the tree has what is trained now.
impl ParameterTree for Mla {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        visit_trained("tower.", &mut self.tower, f);
        match &mut self.encoder {
            Encoder::Tower(entrance) => entrance.visit(f),
            Encoder::Bert(bert) => {
                visit_trained("bert.tower.", &mut bert.tower, f);
                visit_linear("bert.layer", &mut bert.layer, f);
            }
        }
        self.acquirers.visit(f);
        if let Some(scale) = &mut self.scale {
            f("scale", Parameter::vector(&mut scale.value, &mut scale.rate));
        }
    }
}

/// All of a model: its towers too, which a run that is trained on keeps in files of their own.
pub(super) struct Whole<'a>(pub &'a mut Mla);

impl ParameterTree for Whole<'_> {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.0.tower.visit(&mut |name, parameter| f(&format!("tower.{name}"), parameter));
        match &mut self.0.encoder {
            Encoder::Tower(entrance) => entrance.visit(f),
            Encoder::Bert(bert) => {
                bert.tower.visit(&mut |name, parameter| f(&format!("bert.tower.{name}"), parameter));
                visit_linear("bert.layer", &mut bert.layer, f);
            }
        }
        self.0.acquirers.visit(f);
        if let Some(scale) = &mut self.0.scale {
            f("scale", Parameter::vector(&mut scale.value, &mut scale.rate));
        }
    }
}

fn visit_trained(prefix: &str, tower: &mut Tower, f: Visitor) {
    tower.visit(&mut |part, parameter| {
        if parameter.trained() {
            f(&format!("{prefix}{part}"), parameter);
        }
    });
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
        match &mut self.encoder {
            Encoder::Tower(entrance) => {
                entrance.catch_up(adam, sentences);
                self.tower.catch_up_positions("tower.", adam, sentences);
            }
            Encoder::Bert(bert) => bert.tower.catch_up("bert.tower.", adam, sentences),
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
    pub fn base(&mut self) -> String {
        let mut hash = Sha256::new();
        let floats = |hash: &mut Sha256, x: &[f32]| hash.update(bytemuck::cast_slice::<f32, u8>(x));
        // As files of acquirers have it since there are any: types are part of the positions, and the projection has a bias of 0.
        let tower = |hash: &mut Sha256, tower: &mut Tower| {
            let (positions, bias) = (tower.position_table(), vec![0.0; tower.config.projection.unwrap_or(0)]);
            tower.visit(&mut |name, x| {
                if name != "types" {
                    hash.update(name);
                    let own = x.floats();
                    floats(hash, if name == "positions" { &positions } else { &own });
                }
                if name == "projection.weight" {
                    hash.update("projection.bias");
                    floats(hash, &bias);
                }
            })
        };
        tower(&mut hash, &mut self.tower);
        let layer = match &mut self.encoder {
            Encoder::Tower(entrance) => {
                floats(&mut hash, entrance.table.data());
                &entrance.layer
            }
            Encoder::Bert(bert) => {
                tower(&mut hash, &mut bert.tower);
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
        let x = match self.trained_before_acquirers() {
            true => {
                let x = self.entered::<T>(sentences, drop, pass);
                body.some_blocks(0..1, x, sentences, pass, acquired)
            }
            // No gradient goes there.
            false => {
                let x = self.entered::<NoneTape>(sentences, drop, pass);
                let x = body.some_blocks(0..1, x, sentences, pass, |_, x| x);
                acquired(0, x.put_tape(T::default()))
            }
        };
        let x = body.some_blocks(1..body.config.layers, x, sentences, pass, acquired);
        match &self.encoder {
            Encoder::Tower(_) => self.tower.pool_as(self.tower.config.pooled.by_place(), x, sentences, pass),
            Encoder::Bert(bert) => bert.pool(x, sentences, pass),
        }
    }

    /// Whether anything that sentences go through before the first acquirer is trained.
    pub fn trained_before_acquirers(&self) -> bool {
        self.encoder.entrance_trained() || self.body().block_trained(0)
    }

    /// Whether nothing but acquirers is trained.
    pub fn acquirers_alone(&mut self) -> bool {
        trained_count(self) == trained_count(&mut self.acquirers)
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
                dropped(self.tower.place(entrance.forward::<T>(sentences, pass), sentences), drop)
            }
            Encoder::Bert(bert) => dropped(bert.tower.embed::<T>(sentences), drop),
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
}

/// x (tokens, width), of which elements are dropped, if asked to.
fn dropped<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, drop: Option<Drop>) -> Matrix<T> {
    match drop {
        Some(Drop { p, seed, tokens }) => dropout_rows(x, tokens, p, seed),
        None => x,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
