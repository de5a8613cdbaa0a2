//! Which latent token a word belongs to, predicted from its FastText vector; also for words never seen in training.

use super::kmeans::nearest;
use crate::config::Precision;
use crate::ops::linear::unit_row;
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::tape::{data, matrix};
use dfdx::prelude::*;

/// A layer per language from FastText's space into the universal one, and the direction of every latent token.
pub struct Scorer {
    /// By language: (width, FastText width).
    pub layers: Vec<LinearWeights>,
    /// (latents, width), unit length.
    pub keys: Vec<f32>,
}

impl Scorer {
    /// FastText vectors (words, FastText width) in the universal space: (words, width).
    pub fn map(&self, language: usize, vectors: &[f32]) -> Vec<f32> {
        let layer = &self.layers[language];
        let inputs = layer.weight.shape().1;
        let x = matrix(vectors.to_vec(), vectors.len() / inputs, inputs);
        data(&linear(x, layer, Precision::F32)).to_vec()
    }

    /// As [`Self::map`], at unit length.
    pub fn project(&self, language: usize, vectors: &[f32]) -> Vec<f32> {
        let layer = &self.layers[language];
        let mut y = self.map(language, vectors);
        y.chunks_mut(layer.weight.shape().0).for_each(unit_row);
        y
    }

    /// The latent token of each word.
    pub fn assign(&self, language: usize, vectors: &[f32]) -> Vec<u32> {
        nearest(&self.project(language, vectors), &self.keys, self.layers[language].weight.shape().0).0
    }

    /// Keeps only the given tokens, in this order.
    pub fn keep(&mut self, tokens: &[u32]) {
        let width = self.layers[0].weight.shape().0;
        self.keys = tokens.iter().flat_map(|&t| &self.keys[t as usize * width..][..width]).copied().collect();
    }
}
