//! Sentence encoders: token vectors → sentence vectors of unit length in the joint space.

mod adapter;

use std::sync::Arc;

use dfdx::prelude::*;

use crate::config::{Encoder, Precision, TextConfig};
use crate::device::{Dev, Matrix};
use crate::family::smalr::parts::read_in_parts;
use crate::init::Init;
use crate::loss::terms::Taped;
use crate::ops::batch_norm::{dropout, dropout_rows};
pub use adapter::{Adapter, Spoken};

use crate::ops::leaf::Rate;
use crate::ops::linear::{LinearWeights, blend, linear, unit_rows};
use crate::ops::recurrent::{Reading, RecurrentWeights, bidirectional_gru, gru};
use crate::ops::rows::{hconcat, mean};
use crate::ops::sequences::Sequences;
use crate::optim::{Parameter, ParameterTree, visit_linear, visit_recurrent};

/// GRU (one or both ways, or an average) → linear → unit length; shared by all languages.
#[derive(Clone)]
pub struct TextEncoder {
    /// (3 · hidden, width) and (3 · hidden, hidden); none, where the words are averaged.
    pub gru: Option<RecurrentWeights>,
    /// The GRU that reads from the end.
    pub backward: Option<RecurrentWeights>,
    /// Into the joint space; without it the pooled sentence is in it.
    pub output: Option<LinearWeights>,
    /// By language; only added ones have one.
    pub adapters: Vec<Option<Adapter>>,
    config: TextConfig,
    precision: Precision,
}

impl TextEncoder {
    /// `width` is that of the token vectors.
    pub fn new(config: &TextConfig, width: usize, precision: Precision, init: &mut Init) -> Self {
        let gru = (config.encoder == Encoder::Gru).then(|| init.recurrent(3, width, config.hidden));
        let backward = config.bidirectional.then(|| init.recurrent(3, width, config.hidden));
        let output = config.projection.then(|| init.linear(Self::pooled(config, width), config.joint));
        TextEncoder { gru, backward, output, adapters: Vec::new(), config: config.clone(), precision }
    }

    /// tokens (distinct, width) → (sentences, joint), unit length; as [`Self::states`].
    pub fn forward<T: Tape<f32, Dev> + 'static>(
        &self,
        tokens: Matrix<T>,
        sentences: &Arc<Sequences>,
        spoken: Spoken,
        seed: u64,
    ) -> Matrix<T> {
        unit_rows(self.states(tokens, sentences, spoken, seed))
    }

    /// tokens (distinct, width) → (sentences, joint), as long as the last layer makes them. `spoken` says which language a sentence is in;
    /// `seed` is for dropout, which only a tape turns on.
    pub fn states<T: Tape<f32, Dev> + 'static>(
        &self,
        tokens: Matrix<T>,
        sentences: &Arc<Sequences>,
        spoken: Spoken,
        seed: u64,
    ) -> Matrix<T> {
        self.states_from(0, tokens, sentences, spoken, seed)
    }

    /// As [`Self::states`] on a tape that keeps what is needed of `text.micro_batch` sentences at a time.
    pub fn states_in_parts(
        &self,
        tokens: &Matrix,
        sentences: &Arc<Sequences>,
        spoken: Spoken,
        seed: u64,
    ) -> Matrix<Taped> {
        let spoken = spoken.to_vec();
        read_in_parts(self, tokens, sentences, self.config.micro_batch, move |text, part| {
            let spoken = adapter::within(&spoken, &part.places);
            text.states_from(part.places.start, part.tokens, part.sentences, &spoken, seed)
        })
    }

    /// As [`Self::states`] of sentences from number `first` of a batch on, which draw their dropout by these numbers.
    fn states_from<T: Tape<f32, Dev> + 'static>(
        &self,
        first: usize,
        tokens: Matrix<T>,
        sentences: &Arc<Sequences>,
        spoken: Spoken,
        seed: u64,
    ) -> Matrix<T> {
        let bag = self.config.bag.then(|| mean(tokens.with_empty_tape(), sentences));
        let precision = self.precision;
        let reading = Reading { pooling: self.config.pooling, precision };
        let mut pooled = match (&self.gru, &self.backward) {
            (Some(one), Some(other)) => bidirectional_gru(tokens, [one, other], sentences, reading),
            (Some(weights), None) => gru(tokens, weights, sentences, reading),
            (None, _) => mean(tokens, sentences),
        };
        if let Some(bag) = bag {
            // Token vectors are long for the GRU's sake; beside its states they count as one more unit vector.
            pooled = hconcat(pooled, unit_rows(bag));
        }
        let p = self.config.dropout;
        let pooled = match first {
            0 => dropout(pooled, p, seed),
            _ => {
                let numbers: Vec<u32> = (first as u32..).take(sentences.len()).collect();
                dropout_rows(pooled, &numbers, p, seed)
            }
        };
        let own = adapter::adapt(&self.adapters, pooled.with_empty_tape(), spoken, precision);
        let shared = match &self.output {
            Some(output) => linear(pooled, output, precision),
            None => pooled,
        };
        match own {
            Some(own) => blend(shared, 1.0, own, 1.0),
            None => shared,
        }
    }

    /// Freezes the recurrent networks, for use: a frozen one is packed for its products once, not for every sentence.
    pub fn fix_recurrent(&mut self) {
        self.gru.iter_mut().chain(&mut self.backward).for_each(|gru| gru.rate = Rate::FROZEN);
    }

    /// Width of a pooled sentence.
    pub fn pooled(config: &TextConfig, width: usize) -> usize {
        let state = match config.encoder {
            Encoder::Gru => config.hidden,
            Encoder::Average => width,
        };
        state + if config.bag { width } else { 0 }
    }

    /// Languages are named by `languages`.
    pub fn visit(&mut self, languages: &[String], f: &mut dyn FnMut(&str, Parameter)) {
        if let Some(gru) = &mut self.gru {
            visit_recurrent("text.gru", gru, f);
        }
        if let Some(backward) = &mut self.backward {
            visit_recurrent("text.backward", backward, f);
        }
        if let Some(output) = &mut self.output {
            visit_linear("text.output", output, f);
        }
        for (adapter, language) in self.adapters.iter_mut().zip(languages) {
            if let Some(adapter) = adapter {
                adapter.visit(&format!("text.adapter.{language}"), f);
            }
        }
    }
}

/// Adapters by their numbers, in place of their languages' names.
impl ParameterTree for TextEncoder {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        let numbers: Vec<String> = (0..self.adapters.len()).map(|n| n.to_string()).collect();
        TextEncoder::visit(self, &numbers, f);
    }
}
