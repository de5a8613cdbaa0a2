//! Text → slots: segmentation, vocabulary, and the scorer for words not seen in training.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::lexicon::{Lexicon, Slot};
use super::scorer::Scorer;
use crate::config::Unseen;
use crate::words::{Segmenter, WordVectors};

/// What a run needs to read sentences.
pub struct Encoder {
    /// The words that training has seen.
    pub lexicon: Lexicon,
    /// One a language.
    pub segmenters: Vec<Segmenter>,
    /// FastText by language, for unseen words; none where words are made of characters.
    pub vectors: Vec<WordVectors>,
    /// Places unseen words among the latent tokens.
    pub scorer: Scorer,
    /// Whether unseen words are placed, or left out.
    pub unseen: Unseen,
}

impl Encoder {
    /// The width of the FastText vectors, 0 without them.
    pub fn vector_width(&self) -> usize {
        self.vectors.first().map_or(0, WordVectors::width)
    }

    /// The slots of a sentence; words that have none are left out.
    pub fn encode(&self, language: usize, text: &str) -> Vec<Slot> {
        self.encode_all(language, &[text]).remove(0)
    }

    /// Many sentences of one language, on all threads.
    pub fn encode_all(&self, language: usize, texts: &[&str]) -> Vec<Vec<Slot>> {
        self.read(language, texts).0
    }

    /// As [`Self::encode_all`], with the places of the sentences that are longer than `words.max_tokens` and lost their end.
    pub fn read(&self, language: usize, texts: &[&str]) -> (Vec<Vec<Slot>>, Vec<usize>) {
        let segmenter = &self.segmenters[language];
        let (sentences, cut): (Vec<Vec<String>>, Vec<bool>) = texts
            .par_iter()
            .map(|text| {
                let tokens = segmenter.tokens(text);
                (tokens.tokens, tokens.cut)
            })
            .unzip();
        let cut = (0..cut.len()).filter(|&n| cut[n]).collect();
        (self.slots(language, &sentences), cut)
    }

    /// The slots of segmented sentences. Unseen words are scored all at once, each of them once.
    pub fn slots(&self, language: usize, sentences: &[Vec<String>]) -> Vec<Vec<Slot>> {
        let unseen = self.unseen(language, sentences);
        let lexicon = &self.lexicon;
        let slot = |word: &String| {
            lexicon.slot(language, word).or_else(|| unseen.get(word.as_str()).copied().map(Slot::Latent))
        };
        sentences.par_iter().map(|words| words.iter().filter_map(slot).collect()).collect()
    }

    /// The latent token of each unseen word that has a vector.
    fn unseen<'w>(&self, language: usize, sentences: &'w [Vec<String>]) -> HashMap<&'w str, u32> {
        if self.unseen == Unseen::Drop || self.scorer.keys.is_empty() {
            return HashMap::new();
        }
        let lexicon = &self.lexicon;
        let unseen = |word: &&String| lexicon.slot(language, word).is_none();
        let words: BTreeSet<&str> =
            sentences.par_iter().flat_map_iter(|s| s.iter().filter(unseen).map(String::as_str)).collect();
        let vectors = &self.vectors[language];
        let (mut known, mut all, mut vector) = (Vec::new(), Vec::new(), vec![0.0; vectors.width()]);
        for word in words {
            if vectors.vector(word, &mut vector) {
                known.push(word);
                all.extend_from_slice(&vector);
            }
        }
        known.into_iter().zip(self.scorer.assign(language, &all)).collect()
    }
}
