//! From the pretrained latent vocabulary to the embedding that training begins with.

use std::collections::BTreeMap;

use super::mask;
use crate::Result;
use crate::config::{Config, EmbeddingConfig};
use crate::device::Matrix;
use crate::family::smalr::embedding::hybrid::OwnWords;
use crate::family::smalr::embedding::{HybridEmbedding, Slot};
use crate::family::smalr::pretrain::{Pretrained, Words};
use crate::ops::linear::LinearWeights;
use crate::ops::matmul::{View, matmul};
use crate::ops::rows::Table;
use crate::ops::tape::{data, data1, matrix, vector};
use crate::words::{Pca, Vocabulary};

/// The embedding that the pretrained latent vocabulary gives.
pub(super) struct Build<'a> {
    pub config: &'a EmbeddingConfig,
    pub words: Words<'a>,
    pub vocabularies: &'a [Vocabulary],
}

impl Build<'_> {
    /// The slots of all words, and which latent tokens are used: those of words outside their language's top K.
    pub fn slots(&self, trained: &Pretrained) -> (Vec<Vec<Slot>>, Vec<u32>) {
        let k = self.config.top_k;
        if self.config.latents == 0 {
            let own = |v: &Vocabulary| (0..v.len() as u32).map(Slot::Own).collect();
            return (self.vocabularies.iter().map(own).collect(), Vec::new());
        }
        let assigned: Vec<Vec<u32>> =
            self.words.vectors.iter().enumerate().map(|(l, v)| trained.scorer.assign(l, v)).collect();
        let rare = assigned.iter().flat_map(|a| a.iter().skip(k));
        let mut new: BTreeMap<u32, u32> = rare.map(|&t| (t, 0)).collect();
        new.values_mut().enumerate().for_each(|(i, n)| *n = i as u32);
        let slot = |w: usize, t: &u32| if w < k { Slot::Own(w as u32) } else { Slot::Latent(new[t]) };
        let slots =
            assigned.iter().map(|a| a.iter().enumerate().map(|(w, t)| slot(w, t)).collect()).collect();
        (slots, new.into_keys().collect())
    }

    pub fn embedding(
        &self,
        config: &Config,
        trained: &Pretrained,
        slots: &[Vec<Slot>],
        used: &[u32],
    ) -> Result<HybridEmbedding> {
        let width = self.config.width;
        let mut latents: Vec<f32> =
            used.iter().flat_map(|&t| &trained.latents[t as usize * width..][..width]).copied().collect();
        scale_rows(&mut latents, &latent_counts(self.vocabularies, slots, used.len()), self.config.norm);
        let mut own = Vec::new();
        if self.config.top_k > 0 {
            for l in 0..self.words.languages.len() {
                own.push(self.own_words(l, &trained.scorer.layers[l])?);
            }
        }
        let latents = Table::new(width, latents);
        Ok(HybridEmbedding { latents, own, mask: mask(config), characters: None })
    }

    /// The language's frequent words, reduced by PCA, and the layer that takes them where the scorer's layer takes their full
    /// vectors: A (Cᵀ y + mean) + b, so both kinds of words start in one aligned space.
    fn own_words(&self, language: usize, aligned: &LinearWeights) -> Result<OwnWords> {
        let (full, vectors) = (self.words.width, &self.words.vectors[language]);
        let count = self.vocabularies[language].len();
        let top = self.config.top_k.min(count);
        let to = if self.config.word_width == 0 { full } else { self.config.word_width };
        let width = self.config.width;
        let (words, mut layer) = if to == full {
            (vectors[..top * full].to_vec(), LinearWeights::new(aligned.weight.clone(), aligned.bias.clone()))
        } else {
            let pca = Pca::fit(count, full, vectors, to)?;
            let mut words = vec![0.0; top * to];
            for (x, y) in vectors.chunks(full).zip(words.chunks_mut(to)) {
                pca.transform(x, y);
            }
            let mut weight = vec![0.0; width * to];
            let components = View::new(pca.components(), to, full);
            let a = data(&aligned.weight);
            let a = View::new(&a, width, full);
            matmul(a, components.t(), &mut weight, false, crate::config::Precision::F32);
            let mut bias = data1(&aligned.bias).to_vec();
            matmul(a, View::new(pca.mean(), full, 1), &mut bias, true, crate::config::Precision::F32);
            (words, LinearWeights::new(matrix(weight, width, to), vector(bias)))
        };
        let counts: Vec<u64> = (0..top).map(|w| self.vocabularies[language].count(w as u32)).collect();
        let x = matrix(words.clone(), top, to);
        let y: Matrix = crate::ops::linear::linear(x, &layer, crate::config::Precision::F32);
        let factor = self.config.norm / mean_length(&data(&y), width, &counts).max(1e-12);
        crate::ops::tape::data_mut(&mut layer.weight).iter_mut().for_each(|w| *w *= factor);
        crate::ops::tape::data1_mut(&mut layer.bias).iter_mut().for_each(|b| *b *= factor);
        Ok(OwnWords { words: Table::new(to, words), layer })
    }
}

/// How often each latent token occurs in the training captions.
fn latent_counts(vocabularies: &[Vocabulary], slots: &[Vec<Slot>], latents: usize) -> Vec<u64> {
    let mut counts = vec![0; latents];
    for (vocabulary, slots) in vocabularies.iter().zip(slots) {
        for (w, slot) in slots.iter().enumerate() {
            if let Slot::Latent(t) = slot {
                counts[*t as usize] += vocabulary.count(w as u32);
            }
        }
    }
    counts
}

/// Scales all rows (as many as counts, width) by one factor, so that their mean length, weighted by counts, is `norm`.
fn scale_rows(rows: &mut [f32], counts: &[u64], norm: f32) {
    if counts.is_empty() {
        return;
    }
    let factor = norm / mean_length(rows, rows.len() / counts.len(), counts).max(1e-12);
    rows.iter_mut().for_each(|x| *x *= factor);
}

/// The mean length of rows (as many as counts, width), weighted by counts.
fn mean_length(rows: &[f32], width: usize, counts: &[u64]) -> f32 {
    let total: u64 = counts.iter().sum();
    let lengths = rows.chunks(width).map(|r| r.iter().map(|x| (x * x) as f64).sum::<f64>().sqrt());
    (lengths.zip(counts).map(|(l, &c)| l * c as f64).sum::<f64>() / total.max(1) as f64) as f32
}
