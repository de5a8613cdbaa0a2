//! How a training begins, and how it goes on from its folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::batch::Captions;
use super::embedding::encoder::Encoder;
use super::learner::SmalrLearner;
use super::model::Model;
use super::prepare::{encode, prepare};
use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo, TrainState, Which, description};
use crate::config::{Config, PictureBranch};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, Split, fingerprint};
use crate::family::{Begun, LearnerSource};
use crate::optim::Adam;
use crate::seed::derive;
use crate::train::{Learner, Progress};
use crate::words::Segmenter;
use crate::{Error, Result};

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
    refuse_unmet(config, corpus)?;
    let prepared = prepare(config, corpus, cache, progress)?;
    let seed = derive(config.seed(), "model", 0);
    let mut model = Model::new(config, prepared.embedding, corpus.width(), seed);
    let pictures_by = pictures(config, corpus, &mut model)?;
    let parameters = model.parameter_counts().into();
    let latents = [prepared.latents_before, prepared.encoder.lexicon.latents];
    let info = RunInfo { latents, pictures_by, ..description(config, corpus, &mut model, parameters, data) };
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

/// Refuses what would leave words or pictures untrained.
fn refuse_unmet(config: &Config, corpus: &Corpus) -> Result<()> {
    let bare = corpus.train.captions.iter().position(Vec::is_empty);
    if let Some(l) = bare.filter(|_| config.embedding().pairs == 0) {
        let what = format!("`embedding.pairs` is 0, and `{}` has no training caption", corpus.languages[l]);
        return Err(Error::config(what)
            .hint("words are learnt from so many lines of `data.pairs`: set it, e.g. to 100000"));
    }
    let given = config.image().branch == PictureBranch::Given;
    if given && corpus.width() != config.text().joint {
        let what = format!(
            "`text.joint` is {}, but pictures are given as {} numbers",
            config.text().joint,
            corpus.width()
        );
        return Err(Error::config(what)
            .hint("with `image.branch = \"given\"` features are vectors of the joint space"));
    }
    if !corpus.has_captions() && !given && !config.teacher().pictures {
        let what = "no caption is learnt from, so that the image branch would stay untrained";
        return Err(Error::config(what)
            .hint("set `teacher.pictures`, or give the teacher's vectors of pictures with `image.branch = \"given\"`"));
    }
    Ok(())
}

/// Fits the image branch to the training pictures, or takes it from the teacher, and says then what makes the vectors of pictures.
fn pictures(config: &Config, corpus: &Corpus, model: &mut Model) -> Result<Option<String>> {
    let teacher =
        config.teacher().run.as_ref().filter(|_| config.teacher().pictures).map(|run| RunFolder::new(run));
    let Some(teacher) = teacher else {
        let features = &corpus.train.features;
        model.image.fit_input(features.rows(), features.width(), |i, x| features.copy_row(i, x));
        return Ok(None);
    };
    if model.image.layers.is_some() {
        let image = teacher.config()?.image().clone();
        if image.input != config.image().input {
            let what = "`image.input` is not that of the teacher, whose image branch the student has";
            return Err(Error::config(what)
                .hint(format!("its configuration: `{}`", teacher.path.join("config.toml").display())));
        }
        teacher.read_part(Which::Best, "image.", &mut model.image).map_err(|e| {
            e.hint(
                "`teacher.pictures` needs `image.hidden`, `image.input`, `text.joint` and the features of the teacher, and a teacher with \
                 such a branch; of others give the vectors of pictures with `image.branch = \"given\"`",
            )
        })?;
    }
    teacher.pictures_by().map(Some)
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
