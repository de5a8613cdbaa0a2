//! What a training of words will need.

use std::sync::Arc;

use rayon::prelude::*;

use super::cost::{Cost, Spoken};
use super::embedding::characters::Spellings;
use super::paired::of_step;
use super::sizes::{self, Part, WordSizes};
use crate::Result;
use crate::config::{Config, EmbeddingKind, MaskedEncoder};
use crate::corpus::{Corpus, SentencePairs};
use crate::estimate::{Estimate, Share, bytes, total};
use crate::sampler::Sampler;
use crate::words::{Segmenter, Vocabulary};

/// What is counted of a corpus for models of words.
pub struct Counts {
    vocabularies: Vec<Vocabulary>,
    /// Mean tokens of a training caption, by language.
    tokens: Vec<f64>,
    /// Training captions by language, and pictures.
    captions: Vec<usize>,
    pictures: usize,
    /// Width of the picture features, and the bytes of their files.
    features: usize,
    feature_bytes: u64,
    /// Bytes of all captions.
    caption_bytes: u64,
    /// Sentences without pictures.
    pairs: Arc<SentencePairs>,
    segmenters: Vec<Segmenter>,
}

impl crate::estimate::Counts for Counts {
    fn estimate(&self, config: &Config) -> Estimate {
        let parts = self.parts(config);
        let trained: u128 = parts.iter().map(|part| part.trained).sum();
        // The encoder and the image branch, and what makes words of characters.
        let at_test = |part: &&Part| ["text", "image", "embedding.characters"].contains(&part.name);
        let test: u128 = parts.iter().filter(at_test).map(|part| part.trained).sum();
        let per_epoch = self.steps_per_epoch(config);
        let updates = config.train().epochs * per_epoch;
        Estimate {
            parameters: Some((trained as usize, test as usize)),
            memory: Some(total(&self.shares(config))),
            seconds: None,
            updates: Some(updates),
            products: Some(self.products(config, updates, per_epoch)),
        }
    }
}

impl Counts {
    pub fn of(config: &Config, corpus: &Corpus) -> Result<Counts> {
        let segmenters = Segmenter::all(&corpus.languages, config.words(), config.base())?;
        let (mut vocabularies, mut tokens, mut caption_bytes) = (Vec::new(), Vec::new(), 0);
        for (segmenter, captions) in segmenters.iter().zip(&corpus.train.captions) {
            let cut: Vec<Vec<String>> = captions.par_iter().map(|c| segmenter.segment(&c.text)).collect();
            let words: usize = cut.iter().map(Vec::len).sum();
            tokens.push(words as f64 / cut.len().max(1) as f64);
            caption_bytes += captions.iter().map(|c| c.text.len() as u64).sum::<u64>();
            vocabularies.push(Vocabulary::build(cut.iter().map(|t| &t[..]), config.words().min_count));
        }
        let features = &corpus.train.features;
        let feature_bytes = bytes(features);
        Ok(Counts {
            vocabularies,
            tokens,
            captions: corpus.train.captions.iter().map(Vec::len).collect(),
            pictures: features.rows(),
            features: corpus.width(),
            feature_bytes,
            caption_bytes,
            pairs: corpus.pairs.clone(),
            segmenters,
        })
    }

    fn steps_per_epoch(&self, config: &Config) -> usize {
        Sampler::steps_of(config.train(), &config.data().languages, &self.captions, self.pictures)
    }

    /// Multiply–adds of training and, for the words of its batches, of alignment and pretraining.
    fn products(&self, config: &Config, updates: usize, per_epoch: usize) -> f64 {
        let (e, languages) = (config.embedding(), &config.data().languages);
        let counts = self.captions.iter().zip(&self.tokens);
        let spoken = counts.zip(languages).map(|((&captions, tokens), language)| Spoken {
            language,
            captions,
            tokens: (tokens * captions as f64) as usize,
        });
        let spoken: Vec<Spoken> = spoken.collect();
        let versions = Self::versions(config);
        let mut work = Cost::of_training(config, self.features, self.pictures, &spoken, versions, updates);
        let (sentences, tokens) = self.paired(config);
        work.learnt(updates * sentences, updates * tokens);
        if e.kind == EmbeddingKind::Characters {
            return work.products as f64;
        }
        // At most the distinct words of all languages, mapped, and in pretraining compared with every latent token.
        let all: usize = self.vocabularies.iter().map(Vocabulary::len).sum();
        let distinct = self.tokens_of_batch(config).min(all as f64);
        let mapped = 2.0 * distinct * (e.width * config.words().fasttext.width) as f64;
        let pretrained = mapped + distinct * (e.latents * e.width) as f64;
        let pretraining = if e.latents > 0 { e.pretrain.epochs } else { 0 };
        let before = per_epoch as f64 * (e.align.epochs as f64 * mapped + pretraining as f64 * pretrained);
        work.products as f64 + before
    }

    /// Sentences and tokens of pairs in a step.
    fn paired(&self, config: &Config) -> (usize, usize) {
        of_step(config, &self.pairs, |l, text| self.segmenters[l].segment(text).len())
    }

    /// The parts of a model: the K most frequent words of each language have vectors, the rest share latent tokens; or words are
    /// made of their characters.
    fn parts(&self, config: &Config) -> Vec<Part> {
        let e = config.embedding();
        let vectors = config.words().fasttext.width;
        if e.kind == EmbeddingKind::Characters {
            let words = self.vocabularies.iter().flat_map(Vocabulary::iter);
            let all = words.flat_map(|(word, count)| std::iter::repeat_n(word, count as usize));
            let spellings = Spellings::of(all, e.characters.min_count, e.characters.length);
            let words = WordSizes { characters: Some(spellings.characters()), vectors, ..Default::default() };
            return sizes::parts(config, &words, self.features);
        }
        let rare: usize = self.vocabularies.iter().map(|words| words.len().saturating_sub(e.top_k)).sum();
        let own = self.vocabularies.iter().map(|words| words.len().min(e.top_k)).collect();
        let words = WordSizes { own, latents: e.latents.min(rare), vectors, characters: None };
        sizes::parts(config, &words, self.features)
    }

    /// What memory goes to. Counted are the model's values, their gradients, the optimiser's two moments, the copies that
    /// validation and checkpoints take, their average; the word vectors; features and captions; what a step keeps of a batch
    /// for its gradients.
    pub fn shares(&self, config: &Config) -> Vec<Share> {
        let (train, words, embedding) = (config.train(), config.words(), config.embedding());
        let copies = if train.average > 0.0 { 8 } else { 6 };
        let model = self
            .parts(config)
            .into_iter()
            .map(|part| Share::floats(part.name, part.key, copies * (part.trained + part.fixed)));
        let mut shares: Vec<Share> = model.collect();
        let width = words.fasttext.width as u128;
        let all: u128 = self.vocabularies.iter().map(|v| v.len() as u128).sum();
        let buckets = if words.vectors.is_some() { 0 } else { words.fasttext.buckets as u128 };
        if embedding.kind == EmbeddingKind::Hybrid {
            // Those of the words also in a table, for pretraining.
            shares.push(Share::floats("vectors of words", "words.fasttext.width", 2 * all * width));
            let buckets = buckets * self.vocabularies.len() as u128 * width;
            shares.push(Share::floats("vectors of n-grams", "words.fasttext.buckets", buckets));
        }
        let pretraining = 4 * embedding.latents as u128 * embedding.width as u128;
        shares.push(Share::floats("pretraining of latent tokens", "embedding.latents", pretraining));
        let steps = self.floats_of_batch(config) as u128;
        let hidden = 2 * self.features as u128 + 6 * config.image().hidden as u128;
        shares.push(Share::floats("a batch", "train.images", steps + train.images as u128 * hidden));
        let data = u128::from(self.feature_bytes) + 4 * u128::from(self.caption_bytes);
        shares.push(Share { what: "features and captions", key: "data.features", bytes: data });
        let held = self.pairs.held().into();
        shares.push(Share { what: "sentence pairs", key: "data.pairs", bytes: held });
        shares
    }

    /// Of the text of a step: token vectors; what is kept of the tokens whose gradient is computed at a time; and where these are not all, the
    /// sentences' vectors, before and after they are brought to unit length, each with its gradient.
    fn floats_of_batch(&self, config: &Config) -> f64 {
        let (text, width) = (config.text(), config.embedding().width);
        let (sentences, tokens) = self.paired(config);
        let (sentences, tokens) = (
            self.sentences_of_batch(config) + sentences as f64,
            self.tokens_of_batch(config) + tokens as f64,
        );
        let vectors = tokens * (2 * width) as f64;
        let part = text.micro_batch as f64;
        if text.micro_batch == 0 || part >= sentences {
            return vectors + tokens * self.kept_of_token(config);
        }
        let read = part * tokens / sentences;
        vectors
            + read * ((2 * width) as f64 + self.kept_of_token(config))
            + sentences * (4 * text.joint) as f64
    }

    /// Versions of each caption that a step reads.
    fn versions(config: &Config) -> usize {
        let mclm = &config.loss().mclm;
        1 + usize::from(mclm.reads_thinned()) + usize::from(mclm.lstm > 0.0)
    }

    fn captions_of_batch<'c>(config: &'c Config) -> impl Iterator<Item = f64> + 'c {
        let train = config.train();
        let of = move |language: &String| {
            (train.captions.get(language).copied().unwrap_or(1) * train.images) as f64
        };
        config.data().languages.iter().map(of)
    }

    fn sentences_of_batch(&self, config: &Config) -> f64 {
        Self::captions_of_batch(config).sum::<f64>() * Self::versions(config) as f64
    }

    fn tokens_of_batch(&self, config: &Config) -> f64 {
        let once: f64 = Self::captions_of_batch(config).zip(&self.tokens).map(|(n, tokens)| n * tokens).sum();
        once * Self::versions(config) as f64
    }

    /// The GRU's gates and state, each with its gradient; the LSTM of a masked model likewise.
    fn kept_of_token(&self, config: &Config) -> f64 {
        let (width, hidden) = (config.embedding().width, config.text().hidden);
        let mclm = &config.loss().mclm;
        let own = mclm.lstm > 0.0 && mclm.encoder == MaskedEncoder::Own;
        let masked = if own { 2 * (width + 5 * width) } else { 0 };
        (2 * 4 * hidden + masked) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CaptionSource, RawConfig};
    use crate::estimate::Counts as _;

    /// Of two languages with twelve words a caption and no pairs.
    fn memory(change: impl FnOnce(&mut RawConfig)) -> u64 {
        let mut raw = RawConfig::default();
        raw.data.languages = ["en", "de"].map(String::from).to_vec();
        raw.data.captions.push(CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        });
        (raw.train.images, raw.loss.mclm.lstm) = (1000, 0.1);
        change(&mut raw);
        let counts = Counts {
            vocabularies: Vec::new(),
            tokens: vec![12.0; 2],
            captions: vec![5000; 2],
            pictures: 1000,
            features: 64,
            feature_bytes: 0,
            caption_bytes: 0,
            pairs: Arc::default(),
            segmenters: Vec::new(),
        };
        counts.estimate(&raw.check("/base".into()).expect("a good configuration")).memory.expect("memory")
    }

    #[test]
    fn less_is_kept_of_fewer_sentences_at_a_time() {
        let of = |size| memory(|raw| raw.text.micro_batch = size);
        let whole = of(0);
        // Two languages, whole and masked.
        assert_eq!(of(4000), whole);
        assert!(of(2000) < whole && of(100) < of(2000), "{} {} {whole}", of(100), of(2000));
        // Token vectors of all sentences and these themselves stay.
        let bigger = memory(|raw| (raw.text.micro_batch, raw.train.images) = (100, 2000));
        assert!(bigger > of(100) && bigger < whole, "{bigger}");
    }
}
