//! What the acquisition of languages will need.

use std::path::Path;

use super::data::{Source, foreign_texts, lines};
use super::sizes::{check, said};
use super::words::Words;
use crate::Result;
use crate::config::{AcquireConfig, AcquireEncoder, AcquirerShape, Config};
use crate::corpus::Corpus;
use crate::estimate::{Counts, Estimate, Share, bytes};
use crate::family::towers::{self, Kept, Need, Sentences, block, copies, packed, rest, wide};
use crate::ops::sequences::Sequences;
use crate::tower::{TowerConfig, TowerTokenizer};

/// The tower that languages are acquired on, and M-BERT, or what stands for it: where languages enter the tower, only its token
/// embedding is there.
pub(crate) struct Acquired {
    pub(crate) counts: towers::Counts,
    pub(crate) tower: TowerConfig,
    pub(crate) words: TowerConfig,
}

/// What configurations must have in common to share the counts.
pub(super) fn key(config: &Config) -> String {
    let acquire = config.acquire();
    let (nlt, le) = (&acquire.nlt, &acquire.le);
    let checkpoints = (&acquire.tower, &acquire.embedding, acquire.encoder, acquire.fresh.vocabulary);
    let stages = (&acquire.own, &nlt.source, &nlt.target, acquire.translates(), le.epochs > 0);
    format!("{:?}{checkpoints:?}{:?}{stages:?}", config.data(), acquire.sizes)
}

impl Counts for Acquired {
    fn estimate(&self, config: &Config) -> Estimate {
        self.counts.estimate(config, self.need(config))
    }
}

impl Acquired {
    pub(super) fn of(config: &Config, corpus: &Corpus) -> Result<Acquired> {
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
            AcquireEncoder::Tower => tower.tokens(),
            AcquireEncoder::Bert => words.tokens(),
        };
        let tokenizer = tokenizer.map(|tokenizer| tokenizer.with_context(context));
        let ids = |language: &str, texts: &[&str]| match &tokenizer {
            Some(tokenizer) => tokenizer.encode(language, texts).ids,
            None => most(texts, context),
        };
        let languages: Vec<&str> = acquired(config).map(String::as_str).collect();
        let mut stages = vec![Sentences::default(), Sentences::default()];
        if acquire.translates() {
            let (mut known, mut new) = (Vec::new(), Vec::new());
            let sources = languages.iter().zip(Source::all(config, &languages));
            for (language, source) in sources.flat_map(|(l, all)| all.into_iter().map(move |s| (l, s))) {
                let texts = lines(&source.new)?;
                known.push((source.known, texts.len()));
                new.push(ids(language, &texts.iter().map(String::as_str).collect::<Vec<_>>()));
            }
            known.sort();
            known.dedup();
            stages[0] = Sentences::of(&new, known.iter().map(|k| k.1).sum());
        }
        if acquire.le.epochs > 0 {
            let mut all = Vec::new();
            for language in languages {
                let captions = &corpus.train.captions[corpus.language(language)?];
                all.push(ids(language, &captions.iter().map(|c| &c.text[..]).collect::<Vec<_>>()));
            }
            stages[1] = Sentences::of(&all, corpus.train.features.rows());
        }
        Ok(Acquired { counts: towers::Counts::of(stages, corpus), tower, words })
    }

    /// Parameters in training and at test, and what else the training takes.
    pub(crate) fn need(&self, config: &Config) -> ((usize, usize), Need) {
        let (tower, words) = (&self.tower, &self.words);
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
        // Types are part of the positions.
        let used = |tower: &TowerConfig| rest(tower) - tower.types * tower.width;
        let mut test = used(tower) + acquirers;
        if cross_modal {
            frozen += table + rest(words) + packed(words, precision, true);
            test = used(words) + into + acquirers;
        }
        let kept_table = if cross_modal || acquire.train_embedding { 0 } else { table };
        let (nlt, le) = (&acquire.nlt, &acquire.le);
        let micro =
            |batch: usize| if acquire.micro_batch == 0 { batch } else { batch.min(acquire.micro_batch) };
        // Translations that have a part in the second stage go through the model after its captions.
        let batches =
            [(nlt.epochs > 0, 0, nlt.batch), (le.epochs > 0, 1, le.batch), (le.translates(), 0, le.batch)];
        let tokens = batches.iter().filter(|(there, ..)| *there);
        let tokens = tokens.map(|&(_, stage, batch)| micro(batch) as f64 * self.counts.stages[stage].length);
        let need = Need {
            trained,
            tables,
            stored: trained + kept_table,
            frozen,
            data: self.counts.stages.iter().map(|stage| stage.held(joint)).sum(),
            step: per_token(acquire, body, words).of(tokens.fold(0.0, f64::max)),
            // The larger checkpoint as it is read and copied, beside what was made of it.
            start: frozen + 2 * (body.vocabulary * body.width + rest(body)),
        };
        ((trained, test), need)
    }
}

/// What the memory of an acquisition goes to at least, counted of the configuration alone: no text is read. What it has of a checkpoint is as large as its files.
pub(super) fn shares(config: &Config, corpus: &Corpus) -> Vec<Share> {
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

/// Texts as so many tokens as they can have, at most, where there is no tokenizer: one for each character, and both ends.
fn most(texts: &[&str], context: usize) -> Sequences {
    let mut ids = Sequences::new();
    texts.iter().for_each(|text| ids.push((0..(text.chars().count() + 2).min(context)).map(|_| 0)));
    ids
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
