//! What the training of a multilingual encoder will need, counted of sizes and sentences. No checkpoint's tensors are read.

use std::sync::Arc;

use super::encoder::Encoder;
use super::model::layers;
use crate::Result;
use crate::config::{Config, DrawnIn, PictureHead, TrainedPart};
use crate::corpus::{Caption, Corpus, SentencePairs};
use crate::estimate::{Counts, Estimate, Share, bytes};
use crate::family::towers::{self, Kept, Need, Sentences, block, blocks, copies, packed, wide};
use crate::ops::sequences::Sequences;
use crate::sampler::pairs::PairSampler;
use crate::tower::TowerConfig;

/// An encoder by its sizes, and its sentences.
pub(super) struct Counted {
    counts: towers::Counts,
    sizes: TowerConfig,
    /// Tokens of a sentence of the pairs, in the mean.
    pairs: f64,
    texts: Arc<SentencePairs>,
    languages: usize,
}

/// Steps of a pass over sentence pairs alone.
fn steps_of_pairs(config: &Config, pairs: &SentencePairs) -> usize {
    PairSampler::new(0, &config.train().pairs, pairs).steps_per_epoch()
}

/// What configurations must have in common to share the counts.
pub(super) fn key(config: &Config) -> String {
    let contrastive = config.contrastive();
    let encoder = (&contrastive.checkpoint, &contrastive.start, &contrastive.fresh, contrastive.context);
    format!("{:?}{encoder:?}", config.data())
}

/// Sentences of the pairs that are counted, at most.
const PAIRS: u64 = 2000;

impl Counted {
    pub(super) fn of(config: &Config, corpus: &Corpus) -> Result<Counted> {
        let encoder = Encoder::sized(config, corpus)?;
        let ids = |(language, captions): (&String, &Vec<Caption>)| {
            encoder.tokenizer.encode(language, &captions.iter().map(|c| &c.text[..]).collect::<Vec<_>>()).ids
        };
        let ids: Vec<Sequences> = corpus.languages.iter().zip(&corpus.train.captions).map(ids).collect();
        let (mut tokens, mut sentences) = (0, 0);
        for (n, text) in corpus.pairs.texts.iter().enumerate() {
            for line in 0..text.lines().min(PAIRS) {
                for &l in text.languages() {
                    if let Some(sentence) = corpus.pairs.sentence(n, line, l) {
                        let ids = encoder.tokenizer.encode(&corpus.languages[l], &[&sentence]).ids;
                        (tokens, sentences) = (tokens + ids.rows.len(), sentences + 1);
                    }
                }
            }
        }
        Ok(Counted {
            counts: towers::Counts::of(vec![Sentences::of(&ids, 0)], corpus),
            sizes: encoder.sizes,
            pairs: tokens as f64 / f64::from(sentences.max(1)),
            texts: corpus.pairs.clone(),
            languages: corpus.languages.len(),
        })
    }
}

impl Counted {
    /// Sentences of a step: captions, and those of pairs.
    pub(super) fn sentences(&self, config: &Config) -> [usize; 2] {
        let (contrastive, train) = (config.contrastive(), config.train());
        let captions = config.data().languages.iter().zip(&self.counts.captions).filter(|(_, n)| **n > 0);
        let captions = captions.map(|(l, _)| train.captions.get(l).copied().unwrap_or(1));
        let in_languages = match train.pairs.draw {
            DrawnIn::All => self.languages,
            DrawnIn::Pair => 2,
        };
        let pairs = if contrastive.reads_pairs() { train.pairs.lines * in_languages } else { 0 };
        [train.images * captions.sum::<usize>(), pairs]
    }

    /// Steps of the training, and the multiply–adds of all of them.
    pub(super) fn products(&self, config: &Config) -> (usize, f64) {
        let (contrastive, sizes, stage) = (config.contrastive(), &self.sizes, &self.counts.stages[0]);
        let updates = match self.counts.captions.iter().all(|n| *n == 0) {
            true => config.train().epochs * steps_of_pairs(config, &self.texts),
            false => self.counts.updates(config),
        };
        let [captions, pairs] = self.sentences(config).map(|n| n as f64);
        let text = blocks(sizes, captions * stage.length, stage.length);
        let paired = blocks(sizes, pairs * self.pairs, self.pairs);
        let steps = updates as f64;
        let encoder = match contrastive.train {
            TrainedPart::All | TrainedPart::Blocks => 3.0 * steps * (text + paired),
            // The gradient of the tokens goes through all blocks.
            TrainedPart::Tokens => 2.0 * steps * (text + paired),
            // Each caption is read once.
            TrainedPart::Nothing => blocks(sizes, stage.tokens as f64, stage.length) + steps * paired,
        };
        let head =
            (captions + pairs) * (sizes.projection.unwrap_or(sizes.width) * config.text().joint) as f64;
        (updates, encoder + steps * (3.0 * head + self.counts.of_pictures(config)))
    }
}

impl Counts for Counted {
    fn estimate(&self, config: &Config) -> Estimate {
        let (contrastive, train, sizes) = (config.contrastive(), config.train(), &self.sizes);
        let (joint, features) = (config.text().joint, self.counts.features);
        let encoder = sizes.numbers() as usize;
        let tokens = sizes.vocabulary * sizes.width;
        let further_tables = (sizes.positions() + sizes.types) * sizes.width;
        let (trained, tables) = match contrastive.train {
            TrainedPart::All => (encoder, tokens + further_tables),
            TrainedPart::Blocks => (encoder - tokens, further_tables),
            TrainedPart::Tokens => (tokens, tokens),
            TrainedPart::Nothing => (0, 0),
        };
        let [layers, needed] =
            layers(config, sizes.projection.unwrap_or(sizes.width), features).map(|n| n as usize);
        let stage = &self.counts.stages[0];
        let [captions, pairs] = self.sentences(config).map(|n| n as f64);
        let mut all = captions * stage.length + pairs * self.pairs;
        if contrastive.micro_batch > 0 {
            all = all.min(contrastive.micro_batch as f64 * stage.length.max(self.pairs));
        }
        let mut kept = block(sizes, contrastive.recompute).times(sizes.layers);
        kept.tape += 6 * sizes.width;
        kept.buffers += 2 * (sizes.width + sizes.hidden);
        let kept = kept.of(all);
        let hidden = if contrastive.pictures == PictureHead::Mlp { 6 * config.image().hidden } else { joint };
        let pictures = train.images * (2 * features + hidden);
        let need = Need {
            trained: trained + layers,
            tables,
            stored: encoder + layers + 2 * (config.image().hidden + features),
            frozen: if trained == 0 { packed(sizes, train.precision, false) } else { 0 },
            // States that are kept of captions.
            data: stage.held(joint) + if trained == 0 { stage.count * sizes.width } else { 0 },
            step: Kept { tape: kept.tape + pictures, ..kept },
            start: 0,
        };
        let estimate = self.counts.estimate(config, ((trained + layers, encoder + needed - tokens), need));
        let (updates, products) = self.products(config);
        Estimate { updates: Some(updates), products: Some(products), ..estimate }
    }
}

/// What the memory of a training goes to at least, counted of the sizes alone.
pub(super) fn shares(config: &Config, corpus: &Corpus) -> Result<Vec<Share>> {
    let sizes = Encoder::announced(config)?;
    let (copies, features) = (copies(config), &corpus.train.features);
    let tokens = wide(sizes.vocabulary) * wide(sizes.width);
    let [layers, _] = layers(config, sizes.projection.unwrap_or(sizes.width), features.width());
    let batch = wide(config.train().images) * wide(2 * features.width() + 3 * sizes.width);
    Ok(vec![
        Share { what: "features", key: "data.features", bytes: u128::from(bytes(features)) },
        Share::floats("encoder.tokens", "contrastive.train", copies * tokens),
        Share::floats("encoder.blocks", "contrastive.train", copies * (sizes.numbers() - tokens)),
        Share::floats("heads", "image.hidden", copies * layers),
        Share::floats("a batch", "train.images", batch),
    ])
}
