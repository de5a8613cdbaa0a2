//! What a trial will need, before it is run: parameters, memory, time.

mod towers;

use std::fs;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::folder::{Status, SweepFolder};
use super::{Plan, Trial};
use crate::batch::{CaptionIndex, Sampler};
use crate::checkpoint::Which;
use crate::config::{Config, EmbeddingKind, FamilyName, MaskedEncoder, Precision};
use crate::corpus::{Corpus, Features};
use crate::embedding::characters::Spellings;
use crate::ops::matmul::{Packed, View};
use crate::sizes::{self, Part, WordSizes};
use crate::words::{Segmenter, Vocabulary};
use crate::work::{Spoken, Work};
use crate::{Error, Result};

/// What a trial needs; what cannot be known is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Trained parameters, and those at test time: at most so many, as latent tokens that no word uses are dropped. Of a
    /// trial that is done, or differs from one in its seed alone, what they were.
    pub parameters: Option<(usize, usize)>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Wall time, where a trial that differs in its seed alone is done.
    pub seconds: Option<f64>,
    /// Steps of the main training; of a trial that is done, or differs from one in its seed alone, what they were.
    pub updates: Option<usize>,
    /// Multiply–adds of training and pretraining.
    pub products: Option<f64>,
}

/// The share of a large product's rate that whole trainings reach on a CPU (0.45 to 0.6 for LA, HEM and SMALR; benches/RESULTS.md, "What a trial
/// takes").
const SHARE: f64 = 0.5;

/// Seconds for so many multiply–adds on so many threads, by the rate that a large product has on this machine now, which takes a moment
/// to measure.
pub fn seconds(products: f64, precision: Precision, threads: usize) -> f64 {
    let (rows, inner, columns) = (512, 512, 1536);
    let (a, b) = (vec![0.5; rows * inner], vec![0.5; inner * columns]);
    let (packed, mut c) = (Packed::new(View::new(&b, inner, columns), precision), vec![0.0; rows * columns]);
    let (clock, mut times) = (Instant::now(), 0);
    while clock.elapsed() < Duration::from_millis(100) {
        packed.multiply(View::new(&a, rows, inner), &mut c, columns, false);
        times += 1;
    }
    let rate = (times * rows * inner * columns) as f64 / clock.elapsed().as_secs_f64();
    products / (rate * SHARE * threads.max(1) as f64)
}

/// Of memory that can be counted: so many times as much is reserved, for what cannot.
const MARGIN: f64 = 1.5;
/// A process that has done nothing.
const EMPTY: u64 = 50_000_000;

/// What is counted of a corpus for trials of one kind.
enum Counted {
    Words(Counts),
    Towers(towers::Counts),
}

impl Counted {
    /// What trials must have in common to share it.
    fn key(config: &Config) -> String {
        match config.family() {
            FamilyName::Smalr => format!("{:?}{:?}", config.data(), config.words()),
            _ => towers::Counts::key(config),
        }
    }

    fn of(config: &Config) -> Result<Counted> {
        let corpus = Corpus::of(config)?;
        match config.family() {
            FamilyName::Smalr => Counts::of(config, &corpus).map(Counted::Words),
            _ => towers::Counts::of(config, &corpus).map(Counted::Towers),
        }
    }

    fn estimate(&self, config: &Config) -> Estimate {
        match self {
            Counted::Words(counts) => counts.estimate(config),
            Counted::Towers(counts) => counts.estimate(config),
        }
    }
}

/// Estimates for the trials at `places` of a plan; in the plan's order, and nothing for the others. The words of the corpus
/// are counted, which takes seconds; `notes` gets what could not be.
///
/// # Errors
/// Where the folder of the sweep cannot be read.
pub fn of(
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    notes: &mut Vec<String>,
) -> Result<Vec<Estimate>> {
    let mut counted: Vec<(String, Option<Counted>)> = Vec::new();
    let mut estimates = vec![Estimate::default(); plan.trials.len()];
    for &n in places {
        let trial = &plan.trials[n];
        let known = known(plan, folder, trial)?;
        let whole = known.parameters.is_some() && known.memory.is_some();
        if whole {
            estimates[n] = known;
            continue;
        }
        let key = Counted::key(&trial.config);
        let place = match counted.iter().position(|(other, _)| *other == key) {
            Some(place) => place,
            None => {
                let counts = Counted::of(&trial.config).map_err(|e| notes.push(e.to_string())).ok();
                counted.push((key, counts));
                counted.len() - 1
            }
        };
        let guess = counted[place].1.as_ref().map(|counts| counts.estimate(&trial.config));
        let guess = guess.unwrap_or_default();
        estimates[n] = Estimate {
            parameters: known.parameters.or(guess.parameters),
            memory: known.memory.or(guess.memory),
            seconds: known.seconds,
            updates: known.updates.or(guess.updates),
            ..guess
        };
    }
    Ok(estimates)
}

/// What trials of the same name that are done have needed.
fn known(plan: &Plan, folder: &SweepFolder, trial: &Trial) -> Result<Estimate> {
    let (mut estimate, mut seconds) = (Estimate::default(), Vec::new());
    for other in plan.trials.iter().filter(|other| other.name == trial.name) {
        let trial_folder = folder.trial(&other.id);
        let state = trial_folder.state(other)?;
        if state.status != Status::Done {
            continue;
        }
        let info = trial_folder.run().info()?;
        estimate.parameters = estimate.parameters.max(Some((info.parameters_train, info.parameters_test)));
        estimate.memory = estimate.memory.max(state.peak_memory);
        estimate.updates = Some(trial_folder.run().read_state(Which::Latest)?.step);
        seconds.push(state.seconds);
    }
    if !seconds.is_empty() {
        estimate.seconds = Some(seconds.iter().sum::<f64>() / seconds.len() as f64);
    }
    Ok(estimate)
}

/// What a part of the memory goes to, and the key to lower for less of it.
#[derive(Debug, Clone, PartialEq)]
struct Share {
    what: &'static str,
    key: &'static str,
    bytes: u128,
}

impl Share {
    fn floats(what: &'static str, key: &'static str, floats: u128) -> Share {
        Share { what, key, bytes: 4 * floats }
    }
}

/// What shares come to, with what cannot be counted.
fn total(shares: &[Share]) -> u64 {
    let counted: u128 = shares.iter().map(|share| share.bytes).sum();
    EMPTY.saturating_add((counted as f64 * MARGIN) as u64)
}

/// Refuses a training that needs more memory than is free, before it takes any; `limit` in GB stands for what is free, 0 for no
/// limit.
///
/// # Errors
/// Config, naming what takes most and the key to lower.
pub fn refuse_training(config: &Config, corpus: &Corpus, limit: Option<f64>) -> Result<()> {
    let free = match limit {
        Some(0.0) => return Ok(()),
        Some(gigabytes) => (gigabytes * 1e9) as u64,
        None => match machine() {
            Some((_, free)) => free,
            None => return Ok(()),
        },
    };
    let shares = match config.family() {
        FamilyName::Smalr => Counts::of(config, corpus)?.shares(config),
        _ => towers::shares(config, corpus),
    };
    let needed = total(&shares);
    if needed <= free {
        return Ok(());
    }
    let most = shares.iter().max_by_key(|share| share.bytes).expect("a training takes memory");
    let what = format!(
        "the training needs about {} of memory, and {} are free; most goes to `{}`: {}",
        gigabytes(needed),
        gigabytes(free),
        most.what,
        gigabytes(u64::try_from(most.bytes).unwrap_or(u64::MAX))
    );
    Err(Error::config(what).hint(format!(
        "lower `{}`; or give `--memory 0` to train anyway, if you know better than this estimate",
        most.key
    )))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Bytes of the files of some features.
fn bytes(features: &Features) -> u64 {
    features.files().map(|file| fs::metadata(file).map_or(0, |m| m.len())).sum()
}

/// What is counted of a corpus for models of words.
struct Counts {
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
}

impl Counts {
    fn of(config: &Config, corpus: &Corpus) -> Result<Counts> {
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
            features: features.width(),
            feature_bytes,
            caption_bytes,
        })
    }

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

    fn steps_per_epoch(&self, config: &Config) -> usize {
        let index = self.captions.iter().map(|&n| CaptionIndex::even(n, self.pictures)).collect();
        Sampler::new(0, config.train(), &config.data().languages, index).steps_per_epoch()
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
        let versions =
            1 + usize::from(config.loss().mclm.reads_thinned()) + usize::from(config.loss().mclm.lstm > 0.0);
        let work = Work::of_training(config, self.features, self.pictures, &spoken, versions, updates);
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
    fn shares(&self, config: &Config) -> Vec<Share> {
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
        let steps = (self.tokens_of_batch(config) * self.floats_of_token(config)) as u128;
        let hidden = 2 * self.features as u128 + 6 * config.image().hidden as u128;
        shares.push(Share::floats("a batch", "train.images", steps + train.images as u128 * hidden));
        let data = u128::from(self.feature_bytes) + 4 * u128::from(self.caption_bytes);
        shares.push(Share { what: "features and captions", key: "data.features", bytes: data });
        shares
    }

    fn tokens_of_batch(&self, config: &Config) -> f64 {
        let (train, mclm) = (config.train(), &config.loss().mclm);
        let masked = usize::from(mclm.reads_thinned()) + usize::from(mclm.lstm > 0.0);
        let of = |(language, tokens): (&String, &f64)| {
            (train.captions.get(language).copied().unwrap_or(1) * train.images) as f64 * tokens
        };
        let once: f64 = config.data().languages.iter().zip(&self.tokens).map(of).sum();
        once * (1 + masked) as f64
    }

    /// Token vector, the GRU's gates and state, each with its gradient; the LSTM of a masked model likewise.
    fn floats_of_token(&self, config: &Config) -> f64 {
        let (width, hidden) = (config.embedding().width, config.text().hidden);
        let mclm = &config.loss().mclm;
        let own = mclm.lstm > 0.0 && mclm.encoder == MaskedEncoder::Own;
        let masked = if own { 2 * (width + 5 * width) } else { 0 };
        (2 * (width + 4 * hidden) + masked) as f64
    }
}

/// The memory of this machine, or of the share of it that this process may use: all of it, and what is free; in bytes.
pub fn machine() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let (total, free) = (of("MemTotal:")?, of("MemAvailable:")?);
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max").or(number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    let limit = limit.unwrap_or(u64::MAX);
    Some((total.min(limit), free.min(limit.saturating_sub(used))))
}

/// Refuses trials that this machine cannot hold at all.
///
/// # Errors
/// Config, naming the first such trial.
pub fn refuse_too_large(plan: &Plan, places: &[usize], estimates: &[Estimate], total: u64) -> Result<()> {
    let too_large: Vec<usize> =
        places.iter().copied().filter(|&place| estimates[place].memory > Some(total)).collect();
    let Some(&first) = too_large.first() else { return Ok(()) };
    let others = match too_large.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} others likewise)"),
    };
    let what = format!(
        "`{}` needs about {} of memory, and there are {}{others}",
        plan.trials[first].title(),
        gigabytes(estimates[first].memory.unwrap_or(0)),
        gigabytes(total)
    );
    Err(Error::config(what)
        .hint("take the trial out, lower `train.images` or sizes of the model, or give `--memory` if you know better"))
}
