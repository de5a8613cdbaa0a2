//! What trainings of text towers will need, new ones and those that languages are acquired on: what they hold, counted of sizes and sentences.
//! No checkpoint's tensors are read.

use std::path::Path;

use crate::Result;
use crate::config::{AcquireConfig, AcquireEncoder, AcquirerShape, Config, Precision};
use crate::corpus::{Corpus, Features};
use crate::estimate::{EMPTY, Estimate, Share, bytes};
use crate::family::mla::data::{Source, lines};
use crate::family::mla::run::foreign_texts;
use crate::family::mla::sizes::{check, said};
use crate::family::mla::words::Words;
use crate::family::tower::{ENDS, sizes, training_texts};
use crate::ops::matmul::Packed;
use crate::ops::sequences::Sequences;
use crate::tower::{Architecture, TowerConfig, TowerTokenizer};
use crate::words::HuggingFace;

/// Of memory that can be counted: so many times as much is reserved, for what cannot.
const MARGIN: f64 = 1.25;
/// Floats that the allocator keeps of what was freed (`ops::scratch::keep_freed_memory`).
const KEPT_FREE: usize = 64 << 20;

/// What is counted of a corpus and of checkpoints.
pub(super) struct Counts {
    towers: Towers,
    /// What each stage trains on. A new tower has one stage; acquisition NLT and LE.
    stages: Vec<Sentences>,
    features: usize,
    feature_bytes: u64,
    /// Bytes of all captions.
    caption_bytes: u64,
}

enum Towers {
    /// A new one: the tokens of its vocabulary, and the one that closes a text.
    New { size: usize, end: u32 },
    /// The tower that languages are acquired on, and M-BERT, or what stands for it: where languages enter the tower, only its
    /// token embedding is there.
    Acquired { tower: TowerConfig, words: TowerConfig },
}

/// Training sentences of a stage.
#[derive(Default)]
struct Sentences {
    count: usize,
    tokens: usize,
    /// Tokens of a sentence in the mean, in the language that has most.
    length: f64,
    /// Vectors that they are compared with.
    targets: usize,
}

impl Sentences {
    /// Those of each language; a batch has one language's, or all of them come as one.
    fn of(languages: &[Sequences], targets: usize) -> Self {
        let length = |ids: &Sequences| ids.rows.len() as f64 / ids.len().max(1) as f64;
        Sentences {
            count: languages.iter().map(Sequences::len).sum(),
            tokens: languages.iter().map(|ids| ids.rows.len()).sum(),
            length: languages.iter().map(length).fold(0.0, f64::max),
            targets,
        }
    }

    /// Floats that are held of them: ids, places and groups, and the vectors.
    fn held(&self, joint: usize) -> usize {
        self.tokens + 4 * self.count + self.targets * joint
    }
}

/// What configurations must have in common to share the counts.
pub(super) fn key(config: &Config) -> String {
    let (tower, acquire) = (config.tower(), config.acquire());
    let (nlt, le) = (&acquire.nlt, &acquire.le);
    let new = (tower.vocabulary, tower.context);
    let checkpoints = (&acquire.tower, &acquire.embedding, acquire.encoder, acquire.fresh.vocabulary);
    let checkpoints = (checkpoints, &acquire.sizes);
    let stages = (&acquire.own, &nlt.source, &nlt.target, acquire.translates(), le.epochs > 0);
    format!("{:?}{:?}{new:?}{checkpoints:?}{stages:?}", config.family(), config.data())
}

impl crate::estimate::Counts for Counts {
    fn estimate(&self, config: &Config) -> Estimate {
        let (parameters, need) = match &self.towers {
            Towers::New { size, end } => self.new_tower(config, &sizes(config, *size, *end)),
            Towers::Acquired { tower, words } => self.acquisition(config, tower, words),
        };
        let counted =
            4 * need.floats(config.train().average > 0.0) + self.feature_bytes + 4 * self.caption_bytes;
        let memory = EMPTY + (counted as f64 * MARGIN) as u64;
        Estimate { parameters: Some(parameters), memory: Some(memory), ..Default::default() }
    }
}

impl Counts {
    /// Of a tower that is new.
    pub fn of_new(config: &Config, corpus: &Corpus) -> Result<Counts> {
        let (towers, stages) = Towers::new(config, corpus)?;
        Ok(Self::with(towers, stages, corpus))
    }

    /// Of a tower that languages are acquired on.
    pub fn of_acquired(config: &Config, corpus: &Corpus) -> Result<Counts> {
        let (towers, stages) = Towers::acquired(config, corpus)?;
        Ok(Self::with(towers, stages, corpus))
    }

    fn with(towers: Towers, stages: Vec<Sentences>, corpus: &Corpus) -> Counts {
        let features: &Features = &corpus.train.features;
        let captions = corpus.train.captions.iter().flatten();
        Counts {
            towers,
            stages,
            features: features.width(),
            feature_bytes: bytes(features),
            caption_bytes: captions.map(|c| c.text.len() as u64).sum(),
        }
    }

    fn new_tower(&self, config: &Config, tower: &TowerConfig) -> ((usize, usize), Need) {
        let (width, train, image) = (tower.width, config.train(), config.image());
        let joint = config.text().joint;
        let tables = (tower.vocabulary + tower.context) * width;
        // The bias behind the projection is no parameter.
        let scale = usize::from(config.tower().learn_temperature);
        let parameters = tables + rest(tower) - tower.context * width - joint
            + image.hidden * (self.features + 3)
            + joint * (image.hidden + 1)
            + scale;
        let captions = config.data().languages.iter();
        let captions: usize = captions.map(|l| train.captions.get(l).copied().unwrap_or(1)).sum();
        let stage = &self.stages[0];
        let tokens = (train.images * captions) as f64 * stage.length;
        // Vectors on their way into the tower, and gradients; the parts of which weights' gradients are made.
        let mut kept = block(tower, false).times(tower.layers);
        kept.tape += 6 * width;
        kept.buffers += (6 * width).max(2 * (width + tower.hidden));
        let pictures = train.images * (2 * self.features + 6 * image.hidden);
        let need = Need {
            trained: parameters,
            tables,
            stored: parameters + 2 * (image.hidden + self.features),
            frozen: 0,
            data: stage.held(joint),
            step: Kept { tape: kept.of(tokens).tape + pictures, ..kept.of(tokens) },
            start: 0,
        };
        ((parameters, parameters - tower.vocabulary * width - scale), need)
    }

    fn acquisition(
        &self,
        config: &Config,
        tower: &TowerConfig,
        words: &TowerConfig,
    ) -> ((usize, usize), Need) {
        let (acquire, precision) = (config.acquire(), config.train().precision);
        let joint = tower.projection.unwrap_or(tower.width);
        let cross_modal = acquire.encoder == AcquireEncoder::Bert;
        let body = if cross_modal { words } else { tower };
        let acquirers = acquired(config).count() * body.layers * acquirer(acquire, body.width);
        let table = words.vocabulary * words.width;
        let (into, tables) = match cross_modal {
            true => (body.width * joint + joint, 0),
            false => {
                let low = acquire.rank * words.vocabulary;
                let tables = low + if acquire.train_embedding { table } else { 0 };
                let layers = words.width * tower.width + tower.width + acquire.rank * words.width;
                (tables + layers, tables)
            }
        };
        let trained = into + acquirers + usize::from(acquire.le.learn_temperature);
        // The English tower goes forward only where M-BERT takes its place.
        let mut frozen =
            tower.vocabulary * tower.width + rest(tower) + packed(tower, precision, !cross_modal);
        let mut test = rest(tower) + acquirers;
        if cross_modal {
            frozen += table + rest(words) + packed(words, precision, true);
            test = rest(words) + into + acquirers;
        }
        let kept_table = if cross_modal || acquire.train_embedding { 0 } else { table };
        let (nlt, le) = (&acquire.nlt, &acquire.le);
        let micro =
            |batch: usize| if acquire.micro_batch == 0 { batch } else { batch.min(acquire.micro_batch) };
        // Translations that have a part in the second stage go through the model after its captions.
        let batches =
            [(nlt.epochs > 0, 0, nlt.batch), (le.epochs > 0, 1, le.batch), (le.translates(), 0, le.batch)];
        let tokens = batches.iter().filter(|(there, ..)| *there);
        let tokens = tokens.map(|&(_, stage, batch)| micro(batch) as f64 * self.stages[stage].length);
        let need = Need {
            trained,
            tables,
            stored: trained + kept_table,
            frozen,
            data: self.stages.iter().map(|stage| stage.held(joint)).sum(),
            step: per_token(acquire, body, words).of(tokens.fold(0.0, f64::max)),
            // The larger checkpoint as it is read and copied, beside what was made of it.
            start: frozen + 2 * (body.vocabulary * body.width + rest(body)),
        };
        ((trained, test), need)
    }
}

impl Towers {
    fn new(config: &Config, corpus: &Corpus) -> Result<(Towers, Vec<Sentences>)> {
        let texts = training_texts(corpus)?;
        let words = HuggingFace::train(&texts, config.tower().vocabulary, ENDS)?;
        let (size, end) = (words.size(), words.id(ENDS[1]).expect("a special token"));
        let read_by = sizes(config, size, end);
        let tokenizer = TowerTokenizer::new(words, "tokenizer.json".as_ref(), &read_by)?;
        Ok((Towers::New { size, end }, vec![Sentences::of(&[tokenizer.encode(&texts).ids], 0)]))
    }

    fn acquired(config: &Config, corpus: &Corpus) -> Result<(Towers, Vec<Sentences>)> {
        let acquire = config.acquire();
        let folder = acquire.tower.as_deref().expect("a configuration of acquisition has a tower");
        let said = said(config);
        // A checkpoint that is not there has the sizes that are said of it.
        let read = |folder: &Path, n: usize| match &said {
            Some(said) if !folder.join("config.json").exists() => Ok(said[n].clone()),
            _ => TowerConfig::read(&folder.join("config.json")),
        };
        let tower = read(folder, 0)?;
        let (words, tokenizer) = match &acquire.embedding {
            Some(folder) => {
                let (sizes, file) = (read(folder, 1)?, folder.join("tokenizer.json"));
                let there = said.is_none() || file.exists();
                let tokenizer = there.then(|| TowerTokenizer::open(&file, &sizes)).transpose()?;
                (sizes, tokenizer)
            }
            None => {
                let words = Words::new(config, || foreign_texts(config, corpus))?;
                (words.sizes, Some(words.tokenizer))
            }
        };
        check(config, &tower, &words)?;
        let context = match acquire.encoder {
            AcquireEncoder::Tower => tower.context,
            AcquireEncoder::Bert => words.context,
        };
        let tokenizer = tokenizer.map(|tokenizer| tokenizer.with_context(context));
        let ids = |texts: &[&str]| match &tokenizer {
            Some(tokenizer) => tokenizer.encode(texts).ids,
            None => most(texts, context),
        };
        let languages: Vec<&str> = acquired(config).map(String::as_str).collect();
        let mut stages = vec![Sentences::default(), Sentences::default()];
        if acquire.translates() {
            let (mut known, mut new) = (Vec::new(), Vec::new());
            for source in Source::all(config, &languages).into_iter().flatten() {
                let texts = lines(&source.new)?;
                known.push((source.known, texts.len()));
                new.push(ids(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
            }
            known.sort();
            known.dedup();
            stages[0] = Sentences::of(&new, known.iter().map(|k| k.1).sum());
        }
        if acquire.le.epochs > 0 {
            let mut all = Vec::new();
            for language in languages {
                let captions = &corpus.train.captions[corpus.language(language)?];
                all.push(ids(&captions.iter().map(|c| &c.text[..]).collect::<Vec<_>>()));
            }
            stages[1] = Sentences::of(&all, corpus.train.features.rows());
        }
        Ok((Towers::Acquired { tower, words }, stages))
    }
}

/// Texts as so many tokens as they can have, at most, where there is no tokenizer: one for each character, and both ends.
fn most(texts: &[&str], context: usize) -> Sequences {
    let mut ids = Sequences::new();
    texts.iter().for_each(|text| ids.push((0..(text.chars().count() + 2).min(context)).map(|_| 0)));
    ids
}

/// What the memory of a training of a new tower goes to at least, counted of the configuration alone: no tokenizer is learnt, and no
/// text is read.
pub(super) fn shares_of_new(config: &Config, corpus: &Corpus) -> Vec<Share> {
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

/// As [`shares_of_new`], for languages that are acquired. What it has of a checkpoint is as large as its files.
pub(super) fn shares_of_acquired(config: &Config, corpus: &Corpus) -> Vec<Share> {
    let (acquire, copies, features) = (config.acquire(), copies(config), &corpus.train.features);
    let mut shares =
        vec![Share { what: "features", key: "data.features", bytes: u128::from(bytes(features)) }];
    // What the folders of the tower and of M-BERT hold is read once, and once more as it is copied.
    for (folder, key) in [(&acquire.tower, "acquire.tower"), (&acquire.embedding, "acquire.embedding")] {
        let files = folder.iter().flat_map(std::fs::read_dir).flatten().flatten();
        let held: u64 = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        shares.push(Share { what: "checkpoints", key, bytes: 2 * u128::from(held) });
    }
    let tower = acquire.tower.as_ref().and_then(|folder| TowerConfig::read(&folder.join("config.json")).ok());
    if let Some(tower) = tower {
        let each = wide(acquired(config).count()) * wide(tower.layers);
        let acquirers = each * wide(acquirer(acquire, tower.width));
        shares.push(Share::floats("acquirers", "acquire.hidden", copies * acquirers));
    }
    if acquire.embedding.is_none() {
        let table = wide(acquire.fresh.vocabulary) * wide(acquire.fresh.width);
        shares.push(Share::floats("entrance", "acquire.fresh.vocabulary", copies * table));
    }
    shares
}

/// Copies of a trained number: its value, gradient, moments, those that validation and checkpoints take, and the average.
fn copies(config: &Config) -> u128 {
    if config.train().average > 0.0 { 8 } else { 6 }
}

fn wide(n: usize) -> u128 {
    n as u128
}

/// The languages that are acquired.
fn acquired(config: &Config) -> impl Iterator<Item = &String> {
    let acquire = config.acquire();
    config.data().languages.iter().filter(|l| acquire.own_too() || **l != acquire.own)
}

/// Parameters behind one block.
fn acquirer(acquire: &AcquireConfig, width: usize) -> usize {
    match acquire.shape {
        AcquirerShape::Mlp | AcquirerShape::Product => acquire.hidden * (2 * width + 1) + width,
        AcquirerShape::Linear => width * (width + 1),
    }
}

/// The layers of a tower's blocks, and the projection: inputs and outputs, and how many there are of each.
fn layers(tower: &TowerConfig) -> Vec<([usize; 2], usize)> {
    let (width, hidden) = (tower.width, tower.hidden);
    let of_block = [[width, 3 * width], [width, width], [width, hidden], [hidden, width]];
    let projection = tower.projection.map(|joint| ([width, joint], 1));
    of_block.into_iter().map(|size| (size, tower.layers)).chain(projection).collect()
}

/// Numbers of a tower beside its token embedding.
fn rest(tower: &TowerConfig) -> usize {
    let width = tower.width;
    let layers = layers(tower).into_iter().map(|([inputs, outputs], count)| count * outputs * (inputs + 1));
    // Two norms in a block, and one behind the last, or of the embedding.
    layers.sum::<usize>() + tower.context * width + 2 * width * (2 * tower.layers + 1)
}

/// Floats of the layers of a frozen tower as they are packed for products, forward and for the gradient, if there is one.
fn packed(tower: &TowerConfig, precision: Precision, gradient: bool) -> usize {
    let of = |([inputs, outputs], count): ([usize; 2], usize)| {
        let back = if gradient { Packed::floats(outputs, inputs, precision) } else { 0 };
        count * (Packed::floats(inputs, outputs, precision) + back)
    };
    layers(tower).into_iter().map(of).sum()
}

/// Floats that are kept for a gradient: results on the tape, and buffers within operations.
#[derive(Clone, Copy)]
struct Kept {
    tape: usize,
    buffers: usize,
}

impl Kept {
    fn times(self, n: usize) -> Kept {
        Kept { tape: n * self.tape, buffers: n * self.buffers }
    }

    fn of(self, tokens: f64) -> Kept {
        let all = |floats: usize| (tokens * floats as f64) as usize;
        Kept { tape: all(self.tape), buffers: all(self.buffers) }
    }
}

/// Of a token in a block: the results of its two halves and of norms behind them; queries, keys and values, and what goes into
/// the activation.
fn block(tower: &TowerConfig, recompute: bool) -> Kept {
    let norms = if tower.architecture == Architecture::Bert { 2 } else { 0 };
    let buffers = if recompute { 0 } else { 3 * tower.width + tower.hidden };
    Kept { tape: (2 + norms) * tower.width, buffers }
}

/// Of a token in a step of acquisition.
fn per_token(acquire: &AcquireConfig, body: &TowerConfig, words: &TowerConfig) -> Kept {
    let width = body.width;
    let mut kept = block(body, acquire.recompute);
    match acquire.shape {
        AcquirerShape::Mlp => {
            kept.tape += width;
            kept.buffers += if acquire.recompute { 0 } else { acquire.hidden };
        }
        AcquirerShape::Linear => kept.tape += 2 * width,
        AcquirerShape::Product => kept.tape += acquire.hidden + 2 * width,
    }
    let Kept { tape, buffers } = kept.times(body.layers);
    // The entrance and running gradients; the parts of which an acquirer's gradient is made.
    Kept { tape: tape + words.width + 5 * width, buffers: buffers + 2 * (width + acquire.hidden) }
}

/// Floats that a training takes.
struct Need {
    trained: usize,
    /// Of the trained ones, those in tables: only the rows that a step reads have a gradient.
    tables: usize,
    /// Those in checkpoints.
    stored: usize,
    frozen: usize,
    data: usize,
    /// What a step keeps of its sentences and pictures.
    step: Kept,
    /// What begins the training.
    start: usize,
}

impl Need {
    /// At once: all values, the optimiser's moments and the average; and a step's gradients and what they are made of, or the
    /// copies that validation and checkpoints take.
    fn floats(&self, average: bool) -> u64 {
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
