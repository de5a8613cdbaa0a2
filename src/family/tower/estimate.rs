//! What the training of a new tower will need.

use super::{ENDS, sizes, vocabulary};
use crate::Result;
use crate::config::Config;
use crate::corpus::{Caption, Corpus};
use crate::estimate::{Counts, Estimate, Share, bytes};
use crate::family::towers::{self, Kept, Need, Sentences, block, blocks, copies, rest, wide};
use crate::ops::sequences::Sequences;
use crate::tower::{TowerConfig, TowerTokenizer};

/// A tower that is new: the tokens of its vocabulary, and the one that closes a text.
pub(crate) struct NewTower {
    pub(crate) counts: towers::Counts,
    pub(crate) size: usize,
    pub(crate) end: u32,
}

/// What configurations must have in common to share the counts.
pub(super) fn key(config: &Config) -> String {
    let tower = config.tower();
    format!("{:?}{} {}", config.data(), tower.vocabulary, tower.context)
}

impl Counts for NewTower {
    fn estimate(&self, config: &Config) -> Estimate {
        let tower = sizes(config, self.size, self.end);
        let estimate = self.counts.estimate(config, self.need(config, &tower));
        let (train, length) = (config.train(), self.counts.stages[0].length);
        let captions = config.data().languages.iter().map(|l| train.captions.get(l).copied().unwrap_or(1));
        let sentences = (train.images * captions.sum::<usize>()) as f64;
        // Forward, and twice as much for the gradients.
        let text = blocks(&tower, sentences * length, length)
            + sentences * (tower.width * config.text().joint) as f64;
        let updates = self.counts.updates(config);
        let products = updates as f64 * (3.0 * text + self.counts.of_pictures(config));
        Estimate { updates: Some(updates), products: Some(products), ..estimate }
    }
}

impl NewTower {
    /// Learns the tokenizer, to count tokens.
    pub(super) fn of(config: &Config, corpus: &Corpus) -> Result<NewTower> {
        let (words, read_by) = vocabulary(config, corpus)?;
        let (size, end) = (words.size(), words.id(ENDS[1]).expect("a special token"));
        let tokenizer = TowerTokenizer::new(words, "tokenizer.json".as_ref(), &read_by)?;
        let ids = |(language, captions): (&String, &Vec<Caption>)| {
            tokenizer.encode(language, &captions.iter().map(|c| &c.text[..]).collect::<Vec<_>>()).ids
        };
        let ids: Vec<Sequences> = corpus.languages.iter().zip(&corpus.train.captions).map(ids).collect();
        let stages = vec![Sentences::of(&ids, 0)];
        Ok(NewTower { counts: towers::Counts::of(stages, corpus), size, end })
    }

    pub(crate) fn need(&self, config: &Config, tower: &TowerConfig) -> ((usize, usize), Need) {
        let (width, train, image) = (tower.width, config.train(), config.image());
        let joint = config.text().joint;
        let tables = (tower.vocabulary + tower.context) * width;
        // The bias behind the projection is no parameter.
        let scale = usize::from(config.tower().learn_temperature);
        let parameters = tables + rest(tower) - tower.context * width - joint
            + image.hidden * (self.counts.features + 3)
            + joint * (image.hidden + 1)
            + scale;
        let captions = config.data().languages.iter();
        let captions: usize = captions.map(|l| train.captions.get(l).copied().unwrap_or(1)).sum();
        let stage = &self.counts.stages[0];
        let batch = train.images * captions;
        let sentences = match config.tower().micro_batch {
            0 => batch,
            size => batch.min(size),
        };
        let tokens = sentences as f64 * stage.length;
        // Vectors on their way into the tower, and gradients; the parts of which weights' gradients are made.
        let mut kept = block(tower, false).times(tower.layers);
        kept.tape += 6 * width;
        kept.buffers += (6 * width).max(2 * (width + tower.hidden));
        let pictures = train.images * (2 * self.counts.features + 6 * image.hidden);
        let need = Need {
            trained: parameters,
            tables,
            stored: parameters + 2 * (image.hidden + self.counts.features),
            frozen: 0,
            data: stage.held(joint),
            step: Kept { tape: kept.of(tokens).tape + pictures, ..kept.of(tokens) },
            start: 0,
        };
        ((parameters, parameters - tower.vocabulary * width - scale), need)
    }
}

/// What the memory of a training of a new tower goes to at least, counted of the configuration alone: no tokenizer is learnt, and no
/// text is read.
pub(super) fn shares(config: &Config, corpus: &Corpus) -> Vec<Share> {
    let (train, image) = (config.train(), config.image());
    let (copies, features) = (copies(config), &corpus.train.features);
    let tower = sizes(config, config.tower().vocabulary, 0);
    let tokens = wide(tower.vocabulary) * wide(tower.width);
    let pictures = wide(image.hidden) * wide(features.width() + config.text().joint + 5);
    let batch = wide(train.images) * wide(2 * features.width() + 6 * image.hidden + 3 * tower.width);
    vec![
        Share { what: "features", key: "data.features", bytes: u128::from(bytes(features)) },
        Share::floats("tower.tokens", "tower.vocabulary", copies * tokens),
        Share::floats("tower.blocks", "tower.width", copies * (tower.numbers() - tokens)),
        Share::floats("image", "image.hidden", copies * pictures),
        Share::floats("a batch", "train.images", batch),
    ]
}
