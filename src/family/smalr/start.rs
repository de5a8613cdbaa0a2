//! How a training begins, and how it goes on from its folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::batch::Captions;
use super::embedding::encoder::Encoder;
use super::learner::SmalrLearner;
use super::model::Model;
use super::prepare::{encode, prepare};
use crate::Result;
use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo, TrainState, Which, description};
use crate::config::Config;
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, Split, fingerprint};
use crate::family::{Begun, LearnerSource};
use crate::optim::Adam;
use crate::seed::derive;
use crate::train::{Learner, Progress};
use crate::words::Segmenter;

/// All that a trainer needs; its latest checkpoint is in the folder.
pub struct Start {
    /// Where the run is kept.
    pub folder: RunFolder,
    /// As the run keeps it.
    pub config: Config,
    /// What reads sentences.
    pub encoder: Encoder,
    /// Captions by language.
    pub train: Vec<Captions>,
    /// Training captions that are longer than `words.max_tokens` and lost their end.
    pub cut: usize,
    /// Validation captions by language.
    pub validation: Vec<Captions>,
    /// What training goes on from.
    pub model: Model,
}

impl Start {
    /// The run, with what its learner will be made of.
    pub(super) fn begun(self) -> Result<Begun> {
        let Start { folder, config, encoder, train, cut, validation, model } = self;
        let info = folder.info()?;
        let source = Source { encoder, train, cut, ahead: Some((validation, model)) };
        Ok(Begun { folder, config, info, source: Box::new(source) })
    }
}

/// What is trained, and its data; what a learner takes along, until it does.
struct Source {
    encoder: Encoder,
    train: Vec<Captions>,
    cut: usize,
    ahead: Option<(Vec<Captions>, Model)>,
}

impl LearnerSource for Source {
    fn learner<'a>(&'a mut self, config: &'a Config, corpus: &'a Corpus) -> Result<Box<dyn Learner + 'a>> {
        let (validation, model) = self.ahead.take().expect("one learner of a run");
        let encoder = &self.encoder;
        let mut learner = SmalrLearner::new(config, corpus, encoder, &self.train, validation, model);
        learner.truncated = self.cut;
        Ok(Box::new(learner))
    }
}

/// Begins a run: refuses leaked test captions, prepares, and writes the folder with a checkpoint of step 0.
///
/// # Errors
/// Data, for leaked test captions; as [`prepare`]; run, where the folder cannot be written.
pub fn begin(
    config: &Config,
    corpus: &Corpus,
    place: ReservedFolder,
    cache: Option<&Path>,
    progress: Progress,
) -> Result<Start> {
    let segmenters = Segmenter::all(&corpus.languages, config.words(), config.base())?;
    refuse_test_leak(corpus, &|language, text| segmenters[language].segment(text))?;
    let data = fingerprint(corpus)?;
    let prepared = prepare(config, corpus, cache, progress)?;
    let features = &corpus.train.features;
    let seed = derive(config.seed(), "model", 0);
    let mut model = Model::new(config, prepared.embedding, features.width(), seed);
    model.image.fit_input(features.rows(), features.width(), |i, x| features.copy_row(i, x));
    let parameters = model.parameter_counts().into();
    let latents = [prepared.latents_before, prepared.encoder.lexicon.latents];
    let info = RunInfo { latents, ..description(config, corpus, &mut model, parameters, data) };
    let (encoder, cut) = (prepared.encoder, prepared.cut);
    let folder = place.fill(|folder| {
        folder.write_words(&encoder)?;
        let fresh = (&Adam::new(config.train(), 1), &BTreeMap::new());
        folder.save(Which::Latest, &mut model, Some(fresh), &TrainState::start())?;
        folder.write_config(config)?;
        folder.write_info(&info)
    })?;
    let config = folder.config()?;
    let validation = every_language(&encoder, &corpus.val);
    Ok(Start { folder, config, encoder, train: prepared.train, cut, validation, model })
}

/// A run to go on with: its words, and the captions by them.
///
/// # Errors
/// Data: other training data than the run was begun with, or a damaged run; run, where `config.toml` cannot be written.
pub fn go_on(earlier: Earlier, corpus: &Corpus) -> Result<Start> {
    let (folder, config, info) = earlier.with_data(&fingerprint(corpus)?)?;
    folder.keep_config(&config)?;
    let encoder = folder.read_words(&config, &info.languages)?;
    let model = folder.empty_model(Which::Latest, &config, &info, &encoder)?;
    let train = every_language(&encoder, &corpus.train);
    let validation = every_language(&encoder, &corpus.val);
    // It was told when the run began.
    Ok(Start { folder, config, encoder, train, cut: 0, validation, model })
}

/// The captions of a split in every language.
pub(crate) fn every_language(encoder: &Encoder, split: &Split) -> Vec<Captions> {
    (0..encoder.lexicon.languages.len()).map(|l| encode(encoder, split, l)).collect()
}
