//! Which latent token a word belongs to, predicted from its FastText vector; also for words never seen in training.

use super::kmeans::nearest;
use crate::config::{Precision, Score};
use crate::ops::choose::with_one;
use crate::ops::linear::unit_row;
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::tape::{data, matrix};
use dfdx::prelude::*;

/// A layer per language from FastText's space into the universal one, and what every latent token is known by.
#[derive(Clone)]
pub struct Scorer {
    /// By language: (width, FastText width).
    pub layers: Vec<LinearWeights>,
    /// With [`Score::Cosine`] the tokens' directions (latents, width) at unit length; with [`Score::Layer`] the rows of a layer
    /// (latents, width + 1), the last number of each its bias.
    pub keys: Vec<f32>,
    /// What the keys are.
    pub score: Score,
}

impl Scorer {
    /// FastText vectors (words, FastText width) in the universal space: (words, width).
    pub fn map(&self, language: usize, vectors: &[f32]) -> Vec<f32> {
        let layer = &self.layers[language];
        let inputs = layer.weight.shape().1;
        let x = matrix(vectors.to_vec(), vectors.len() / inputs, inputs);
        data(&linear(x, layer, Precision::F32)).to_vec()
    }

    /// As [`Self::map`], (words, FastText width) → (words, width), at unit length.
    pub fn project(&self, language: usize, vectors: &[f32]) -> Vec<f32> {
        let layer = &self.layers[language];
        let mut y = self.map(language, vectors);
        y.chunks_mut(layer.weight.shape().0).for_each(unit_row);
        y
    }

    /// Numbers of a key, for a universal space so wide.
    pub fn key_width(score: Score, width: usize) -> usize {
        match score {
            Score::Cosine => width,
            Score::Layer => width + 1,
        }
    }

    /// The latent token of each word, from `vectors` (words, FastText width).
    pub fn assign(&self, language: usize, vectors: &[f32]) -> Vec<u32> {
        let width = self.layers[language].weight.shape().0;
        let words = match self.score {
            Score::Cosine => self.project(language, vectors),
            Score::Layer => with_one(&self.project(language, vectors), width),
        };
        nearest(&words, &self.keys, Self::key_width(self.score, width)).0
    }

    /// The directions in which the tokens' scores grow: (latents, width), unit length.
    pub fn directions(&self, width: usize) -> Vec<f32> {
        match self.score {
            Score::Cosine => self.keys.clone(),
            Score::Layer => {
                let rows = self.keys.chunks(width + 1).flat_map(|key| &key[..width]);
                let mut rows: Vec<f32> = rows.copied().collect();
                rows.chunks_mut(width).for_each(unit_row);
                rows
            }
        }
    }

    /// Keeps only the given tokens, in this order.
    pub fn keep(&mut self, tokens: &[u32]) {
        let width = Self::key_width(self.score, self.layers[0].weight.shape().0);
        self.keys = tokens.iter().flat_map(|&t| &self.keys[t as usize * width..][..width]).copied().collect();
    }
}
