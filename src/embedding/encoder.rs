//! Text → slots: segmentation, vocabulary, and the scorer for words not seen in training.

use rayon::prelude::*;

use super::lexicon::{Lexicon, Slot};
use super::scorer::Scorer;
use crate::config::Unseen;
use crate::words::{Segmenter, WordVectors};

/// What a run needs to read sentences.
pub struct Encoder {
    pub lexicon: Lexicon,
    pub segmenters: Vec<Segmenter>,
    /// FastText by language, for unseen words; none where words are made of characters.
    pub vectors: Vec<WordVectors>,
    pub scorer: Scorer,
    pub unseen: Unseen,
}

impl Encoder {
    /// The width of the FastText vectors, 0 without them.
    pub fn vector_width(&self) -> usize {
        self.vectors.first().map_or(0, WordVectors::width)
    }

    /// The slots of a sentence; words that have none are left out.
    pub fn encode(&self, language: usize, text: &str) -> Vec<Slot> {
        self.slots(language, &self.segmenters[language].segment(text))
    }

    /// The slots of a segmented sentence.
    pub fn slots(&self, language: usize, words: &[String]) -> Vec<Slot> {
        words.iter().filter_map(|w| self.slot(language, w)).collect()
    }

    fn slot(&self, language: usize, word: &str) -> Option<Slot> {
        if let Some(slot) = self.lexicon.slot(language, word) {
            return Some(slot);
        }
        if self.unseen == Unseen::Drop || self.scorer.keys.is_empty() {
            return None;
        }
        let vectors = &self.vectors[language];
        let mut vector = vec![0.0; vectors.width()];
        vectors.vector(word, &mut vector).then(|| Slot::Latent(self.scorer.assign(language, &vector)[0]))
    }

    /// Many sentences of one language, on all threads.
    pub fn encode_all(&self, language: usize, texts: &[&str]) -> Vec<Vec<Slot>> {
        texts.par_iter().map(|t| self.encode(language, t)).collect()
    }
}
