//! The hybrid embedding (Burns et al. 2020, section 3.1) as parameters and a function of them.

use dfdx::prelude::*;

use super::characters::CharacterWords;
use super::lexicon::TokenRows;
use crate::config::Precision;
use crate::device::{Dev, Matrix};
use crate::ops::leaf::Leaf;
use crate::ops::linear::{LinearWeights, linear, linear_of_data};
use crate::ops::rows::{Table, lookup, stack};
use crate::ops::tape::{matrix, vector};
use crate::optim::{Parameter, ParameterTree, visit_linear};

/// Vectors of all words. With no own words it is the language-agnostic model (LA).
#[derive(Clone)]
pub struct HybridEmbedding {
    /// (latents, width); no rows where every known word has a vector of its own.
    pub latents: Table,
    /// Per language (own words, word width) and the layer into the universal space; none when K is 0.
    pub own: Vec<OwnWords>,
    /// The vector of `[MASK]` (1, width); only models with a masked loss have one.
    pub mask: Option<Leaf<Matrix>>,
    /// What makes vectors of characters in place of the latent ones; such a model has no own words.
    pub characters: Option<CharacterWords>,
}

/// The own words of a language (own words, word width), and the layer into the universal space (width, word width).
#[derive(Clone)]
pub struct OwnWords {
    /// (own words, word width)
    pub words: Table,
    /// (width, word width)
    pub layer: LinearWeights,
}

impl OwnWords {
    /// Of a language whose words are all latent tokens, beside languages that have words of their own.
    pub fn none() -> OwnWords {
        let layer = LinearWeights::new(matrix(Vec::new(), 0, 1), vector(Vec::new()));
        OwnWords { words: Table::new(1, Vec::new()), layer }
    }

    fn is_none(&self) -> bool {
        self.words.rows() == 0
    }
}

impl HybridEmbedding {
    /// The vectors of a batch's distinct rows, in their order: (distinct, width).
    pub fn forward<T: Tape<f32, Dev> + 'static>(&self, rows: &TokenRows, precision: Precision) -> Matrix<T> {
        self.forward_with(self.own.iter(), rows, precision)
    }

    /// As [`Self::forward`], where the rows' languages are those of `own`: (distinct, width).
    pub fn forward_with<'a, T: Tape<f32, Dev> + 'static>(
        &self,
        own: impl Iterator<Item = &'a OwnWords>,
        rows: &TokenRows,
        precision: Precision,
    ) -> Matrix<T> {
        let mut parts = Vec::new();
        if !rows.latents.is_empty() {
            parts.push(match &self.characters {
                Some(characters) => characters.forward(&rows.latents, precision),
                None => lookup(&self.latents, &rows.latents),
            });
        }
        for (own, rows) in own.zip(&rows.own).filter(|(_, rows)| !rows.is_empty()) {
            parts.push(match own.words.rate.trained() {
                true => linear(lookup::<T>(&own.words, rows), &own.layer, precision),
                false => linear_of_data(lookup(&own.words, rows), &own.layer, precision),
            });
        }
        if let (Some(mask), true) = (&self.mask, rows.mask) {
            parts.push(mask.on_tape());
        }
        match parts.is_empty() {
            true => matrix(Vec::new(), 0, self.latents.width).put_tape(T::default()),
            false => stack(parts),
        }
    }

    /// Every parameter by name. Languages are named by `languages`.
    pub fn visit(&mut self, languages: &[String], f: &mut dyn FnMut(&str, Parameter)) {
        if self.latents.rows() > 0 {
            f("embedding.latent", Parameter::table(&mut self.latents));
        }
        if let Some(characters) = &mut self.characters {
            characters.visit(f);
        }
        for (own, language) in self.own.iter_mut().zip(languages).filter(|(own, _)| !own.is_none()) {
            f(&format!("embedding.{language}.words"), Parameter::table(&mut own.words));
            visit_linear(&format!("embedding.{language}.layer"), &mut own.layer, f);
        }
        if let Some(mask) = &mut self.mask {
            f("embedding.mask", Parameter::matrix(&mut mask.value, &mut mask.rate));
        }
    }
}
