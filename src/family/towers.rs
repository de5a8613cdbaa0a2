//! What trainings of text towers will need, counted of sizes and sentences, new ones and those that languages are acquired on.
//! No checkpoint's tensors are read.

use crate::config::{Config, Precision};
use crate::corpus::Corpus;
use crate::estimate::{EMPTY, Estimate, bytes};
use crate::eval::growth::Pieces;
use crate::ops::matmul::Packed;
use crate::ops::sequences::Sequences;
use crate::sampler::Sampler;
use crate::tower::{TowerConfig, TowerTokenizer};

/// What is counted of a corpus.
pub(crate) struct Counts {
    /// What each stage trains on. A new tower has one stage; acquisition NLT and LE.
    pub(crate) stages: Vec<Sentences>,
    /// Width of the features, and the training pictures.
    pub(crate) features: usize,
    pub(crate) pictures: usize,
    /// Training captions, by language.
    pub(crate) captions: Vec<usize>,
    pub(crate) feature_bytes: u64,
    /// Bytes of all captions.
    pub(crate) caption_bytes: u64,
}

impl Counts {
    pub(crate) fn of(stages: Vec<Sentences>, corpus: &Corpus) -> Counts {
        let (features, captions) = (&corpus.train.features, corpus.train.captions.iter().flatten());
        Counts {
            stages,
            features: features.width(),
            pictures: features.rows(),
            captions: corpus.train.captions.iter().map(Vec::len).collect(),
            feature_bytes: bytes(features),
            caption_bytes: captions.map(|c| c.text.len() as u64).sum(),
        }
    }

    /// With parameters in training and at test, and what else a training takes.
    pub(crate) fn estimate(&self, config: &Config, (parameters, need): ((usize, usize), Need)) -> Estimate {
        let counted =
            4 * need.floats(config.train().average > 0.0) + self.feature_bytes + 4 * self.caption_bytes;
        let memory = EMPTY + (counted as f64 * MARGIN) as u64;
        Estimate { parameters: Some(parameters), memory: Some(memory), ..Default::default() }
    }

    /// Steps of a training on pictures and captions.
    pub(crate) fn updates(&self, config: &Config) -> usize {
        let (train, languages) = (config.train(), &config.data().languages);
        train.epochs * Sampler::steps_of(train, languages, &self.captions, self.pictures)
    }

    /// Multiply–adds of the image branch in a step, with its gradients.
    pub(crate) fn of_pictures(&self, config: &Config) -> f64 {
        let (hidden, joint) = (config.image().hidden as f64, config.text().joint as f64);
        // Features have no gradient.
        config.train().images as f64 * (2.0 * self.features as f64 * hidden + 3.0 * hidden * joint)
    }
}

/// Multiply–adds of a tower's blocks, forward, for so many tokens in sentences of a length.
pub(crate) fn blocks(tower: &TowerConfig, tokens: f64, length: f64) -> f64 {
    let (width, hidden, layers) = (tower.width as f64, tower.hidden as f64, tower.layers as f64);
    let seen = if tower.architecture.causal() { (length + 1.0) / 2.0 } else { length };
    layers * tokens * (4.0 * width * width + 2.0 * width * hidden + 2.0 * width * seen)
}

/// Of memory that can be counted: so many times as much is reserved, for what cannot.
pub(crate) const MARGIN: f64 = 1.25;
/// Floats that the allocator keeps of what was freed (`ops::scratch::keep_freed_memory`).
pub(crate) const KEPT_FREE: usize = 64 << 20;

/// Training sentences of a stage.
#[derive(Default)]
pub(crate) struct Sentences {
    pub(crate) count: usize,
    pub(crate) tokens: usize,
    /// Tokens of a sentence in the mean, in the language that has most.
    pub(crate) length: f64,
    /// Vectors that they are compared with.
    pub(crate) targets: usize,
}

impl Sentences {
    /// Those of each language; a batch has one language's, or all of them come as one.
    pub(crate) fn of(languages: &[Sequences], targets: usize) -> Self {
        let length = |ids: &Sequences| ids.rows.len() as f64 / ids.len().max(1) as f64;
        Sentences {
            count: languages.iter().map(Sequences::len).sum(),
            tokens: languages.iter().map(|ids| ids.rows.len()).sum(),
            length: languages.iter().map(length).fold(0.0, f64::max),
            targets,
        }
    }

    /// Floats that are held of them: ids, places and groups, and the vectors.
    pub(crate) fn held(&self, joint: usize) -> usize {
        self.tokens + 4 * self.count + self.targets * joint
    }
}

/// How a frozen tokenizer takes sentences of a language.
pub(crate) fn pieces_of(tokenizer: &TowerTokenizer, language: &str, texts: &[&str]) -> Pieces {
    let (ids, unknown) = (tokenizer.encode(language, texts).ids, tokenizer.unknown());
    // All but those of start and end.
    let tokens = ids.rows.len().saturating_sub(2 * ids.len()).max(1) as f64;
    let characters: usize = texts.iter().map(|t| t.chars().filter(|c| !c.is_whitespace()).count()).sum();
    let unknown = ids.rows.iter().filter(|&&id| Some(id) == unknown).count() as f64;
    let (characters, unknown) = (characters as f64 / tokens, 100.0 * unknown / tokens);
    Pieces { language: language.to_string(), characters, unknown }
}

/// Copies of a trained number: its value, gradient, moments, those that validation and checkpoints take, and the average.
pub(crate) fn copies(config: &Config) -> u128 {
    if config.train().average > 0.0 { 8 } else { 6 }
}

pub(crate) fn wide(n: usize) -> u128 {
    n as u128
}

/// The layers of a tower's blocks, and the projection: inputs and outputs, and how many there are of each.
pub(crate) fn layers(tower: &TowerConfig) -> Vec<([usize; 2], usize)> {
    let (width, hidden) = (tower.width, tower.hidden);
    let of_block = [[width, 3 * width], [width, width], [width, hidden], [hidden, width]];
    let projection = tower.projection.map(|joint| ([width, joint], 1));
    of_block.into_iter().map(|size| (size, tower.layers)).chain(projection).collect()
}

/// Numbers of a tower beside its token embedding.
pub(crate) fn rest(tower: &TowerConfig) -> usize {
    let width = tower.width;
    let layers = layers(tower).into_iter().map(|([inputs, outputs], count)| count * outputs * (inputs + 1));
    // Two norms in a block, and one behind the last, or of the embedding.
    layers.sum::<usize>() + (tower.positions() + tower.types) * width + 2 * width * (2 * tower.layers + 1)
}

/// Floats of the layers of a frozen tower as they are packed for products, forward and for the gradient, if there is one.
pub(crate) fn packed(tower: &TowerConfig, precision: Precision, gradient: bool) -> usize {
    let of = |([inputs, outputs], count): ([usize; 2], usize)| {
        let back = if gradient { Packed::floats(outputs, inputs, precision) } else { 0 };
        count * (Packed::floats(inputs, outputs, precision) + back)
    };
    layers(tower).into_iter().map(of).sum()
}

/// Floats that are kept for a gradient: results on the tape, and buffers within operations.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) tape: usize,
    pub(crate) buffers: usize,
}

impl Kept {
    pub(crate) fn times(self, n: usize) -> Kept {
        Kept { tape: n * self.tape, buffers: n * self.buffers }
    }

    pub(crate) fn of(self, tokens: f64) -> Kept {
        let all = |floats: usize| (tokens * floats as f64) as usize;
        Kept { tape: all(self.tape), buffers: all(self.buffers) }
    }
}

/// Of a token in a block: the results of its two halves and of norms behind them; queries, keys and values, and what goes into
/// the activation.
pub(crate) fn block(tower: &TowerConfig, recompute: bool) -> Kept {
    let norms = if tower.architecture.norm_first() { 0 } else { 2 };
    let buffers = if recompute { 0 } else { 3 * tower.width + tower.hidden };
    Kept { tape: (2 + norms) * tower.width, buffers }
}

/// Floats that a training takes.
pub(crate) struct Need {
    pub(crate) trained: usize,
    /// Of the trained ones, those in tables: only the rows that a step reads have a gradient.
    pub(crate) tables: usize,
    /// Those in checkpoints.
    pub(crate) stored: usize,
    pub(crate) frozen: usize,
    pub(crate) data: usize,
    /// What a step keeps of its sentences and pictures.
    pub(crate) step: Kept,
    /// What begins the training.
    pub(crate) start: usize,
}

impl Need {
    /// At once: all values, the optimiser's moments and the average; and a step's gradients and what they are made of, or the
    /// copies that validation and checkpoints take.
    pub(crate) fn floats(&self, average: bool) -> u64 {
        let (average, settled) = if average { (self.stored, self.stored) } else { (0, self.tables) };
        let held = self.stored + self.frozen + self.data + 2 * self.trained + average;
        let step = self.trained - self.tables + self.step.tape;
        let saved = (2 * self.stored).max(2 * self.trained + average) + settled;
        let training = held + self.step.buffers + step.max(saved + self.step.tape.min(KEPT_FREE));
        training.max(self.start) as u64
    }
}

#[cfg(test)]
#[path = "towers_tests.rs"]
mod tests;
