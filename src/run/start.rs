//! How a training begins, and how it goes on from its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::batch::{Captions, derive};
use crate::checkpoint::{LEARNING, RunFolder, RunInfo, TrainState, VERSION, Which};
use crate::config::{Config, TextRules, changes, may_change};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, Split, fingerprint};
use crate::embedding::encoder::Encoder;
use crate::eval::Parameters;
use crate::model::{Model, Trained, parameters_by_part};
use crate::optim::Adam;
use crate::prepare::{encode, prepare};
use crate::pretrain::Progress;
use crate::words::Segmenter;
use crate::write::write_whole;
use crate::{Error, Result};

/// All that a trainer needs; its latest checkpoint is in the folder.
pub struct Start {
    pub folder: RunFolder,
    /// As the run keeps it.
    pub config: Config,
    pub encoder: Encoder,
    /// Captions by language.
    pub train: Vec<Captions>,
    /// Training captions that are longer than `words.max_tokens` and lost their end.
    pub cut: usize,
    pub validation: Vec<Captions>,
    pub model: Model,
}

/// An empty folder for a run to be, locked. Until the run is written, dropping it leaves the disk as it was.
pub struct Place {
    folder: RunFolder,
    /// Whether the folder was made for the run.
    made: bool,
    kept: bool,
}

impl Place {
    /// Makes the folder, if it is not there, and locks it, before anything is computed.
    ///
    /// # Errors
    /// Usage, where a run or anything else is in the folder; run, where it cannot be written, or another process does.
    pub fn new(path: &Path) -> Result<Place> {
        RunFolder::refuse_run(path).inspect_err(|_| {
            // With it goes what a killed process has left beside the run.
            drop(RunFolder::locked(path));
        })?;
        let made = !path.exists();
        fs::create_dir_all(path).map_err(|e| Error::writing(path, e))?;
        let folder = RunFolder::locked(path).inspect_err(|_| {
            if made {
                let _ = fs::remove_dir(path);
            }
        })?;
        let place = Place { folder, made, kept: false };
        // It may have been begun, or completed, meanwhile.
        RunFolder::refuse_run(path)?;
        match &place.folder.entries()?[..] {
            [] => Ok(place),
            [learning] if learning == LEARNING => Err(Error::usage("a language is being added here")
                .at(path)
                .hint("`--resume` goes on with it; or give another `--out`")),
            _ => Err(Error::usage("the folder is not empty")
                .at(path)
                .hint("give a new or an empty folder with `--out`")),
        }
    }

    /// Writes all of the run, or nothing.
    pub(crate) fn fill(mut self, write: impl FnOnce(&RunFolder) -> Result<()>) -> Result<RunFolder> {
        self.folder.build(write)?;
        self.kept = true;
        Ok(self.folder.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            self.folder.abandon(self.made);
        }
    }
}

/// Begins a run: refuses leaked test captions, prepares, and writes the folder with a checkpoint of step 0.
pub fn begin(
    config: &Config,
    corpus: &Corpus,
    place: Place,
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
    let (train, test) = model.parameter_counts();
    let parameters = Parameters { train: train as u64, test: test as u64 };
    let latents = [prepared.latents_before, prepared.encoder.lexicon.latents];
    let info = RunInfo { latents, ..info(config, corpus, &mut model, parameters, data) };
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

/// What a run that begins is, without latent tokens; `data` is the hash of what it is trained on.
pub(super) fn info(
    config: &Config,
    corpus: &Corpus,
    model: &mut dyn Trained,
    parameters: Parameters,
    data: String,
) -> RunInfo {
    RunInfo {
        version: VERSION,
        tinyglot: env!("CARGO_PKG_VERSION").into(),
        device: crate::device::name(),
        seed: config.seed(),
        languages: corpus.languages.clone(),
        human: corpus.human.clone(),
        features: corpus.train.features.width(),
        data,
        latents: [0, 0],
        parameters: parameters_by_part(model),
        parameters_train: parameters.train as usize,
        parameters_test: parameters.test as usize,
        shared: None,
        trained_with: None,
        files: BTreeMap::new(),
    }
}

/// A run to go on with, and the configuration it goes on with.
pub struct Earlier {
    folder: RunFolder,
    config: Config,
    info: RunInfo,
}

impl Earlier {
    /// Opens a run for `given`, which may differ from its configuration in where the data are, and in how long to train.
    ///
    /// # Errors
    /// Config, naming the keys that differ elsewhere; data, for a folder that is no whole run.
    pub fn open(path: &Path, given: &Config) -> Result<Earlier> {
        let folder = RunFolder::to_go_on(path)?;
        let (kept, info) = (folder.config()?, folder.info()?);
        let given = &of_its_rules(given, &kept)?;
        let differing: Vec<String> =
            changes(&kept, given).into_iter().filter(|key| !may_change(given.family(), key)).collect();
        if !differing.is_empty() {
            let what = format!("the run was begun with other values of `{}`", differing.join("`, `"));
            return Err(Error::config(what)
                .at(path)
                .hint("give the configuration it was begun with, or another `--out` for a new run"));
        }
        folder.check_config()?;
        if !folder.has(Which::Latest) {
            return Err(Error::data("the run has no checkpoint to go on from")
                .at(path)
                .hint("remove the folder and train again without `--resume`"));
        }
        let mut raw = given.raw().clone();
        raw.words.tokenizer = kept.words().tokenizer.clone();
        let config = raw.check(given.base().to_path_buf()).map_err(|problems| problems.into_error())?;
        Ok(Earlier { folder, config, info })
    }

    /// Refuses other training data, and keeps the configuration that the run goes on with.
    pub(super) fn with_data(self, corpus: &Corpus) -> Result<(RunFolder, Config, RunInfo)> {
        let Earlier { folder, config, info } = self;
        if fingerprint(corpus)? != info.data {
            return Err(Error::data(
                "the training captions or features are not those the run was begun with",
            )
            .at(&config.data().root)
            .hint("give the same data with `--set data.root=…`, or another `--out` for a new run"));
        }
        if folder.config()? != config {
            folder.write_config(&config)?;
        }
        Ok((folder, config, info))
    }

    /// Reads the words of the run, and the captions by them: nothing is prepared anew.
    pub fn go_on(self, corpus: &Corpus) -> Result<Start> {
        let (folder, config, info) = self.with_data(corpus)?;
        let encoder = folder.read_words(&config, &info.languages)?;
        let model = folder.empty_model(Which::Latest, &config, &info, &encoder)?;
        let train = every_language(&encoder, &corpus.train);
        let validation = every_language(&encoder, &corpus.val);
        // It was told when the run began.
        Ok(Start { folder, config, encoder, train, cut: 0, validation, model })
    }
}

/// A configuration with the normalisation of a run from before there was a choice; its own says nothing of it.
pub(super) fn of_its_rules(given: &Config, kept: &Config) -> Result<Config> {
    let mut raw = given.raw().clone();
    if kept.words().normalisation == TextRules::Nfkc {
        raw.words.normalisation = TextRules::Nfkc;
    }
    raw.check(given.base().to_path_buf()).map_err(|problems| problems.into_error())
}

/// The captions of a split in every language.
pub(crate) fn every_language(encoder: &Encoder, split: &Split) -> Vec<Captions> {
    (0..encoder.lexicon.languages.len()).map(|l| encode(encoder, split, l)).collect()
}

impl RunFolder {
    /// Writes `config.toml` so that it holds wherever the run is moved: a tokenizer's file goes along, in `words/`; the
    /// folder of the data is a full path.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let mut raw = config.raw().clone();
        if let Some(file) = &raw.words.tokenizer {
            let inside = Path::new("words").join("tokenizer.json");
            fs::create_dir_all(self.path.join("words")).map_err(|e| Error::writing(&self.path, e))?;
            let content = fs::read(file).map_err(|e| Error::reading(file, e))?;
            write_whole(&self.path.join(&inside), &content)?;
            raw.words.tokenizer = Some(inside);
        }
        let text = toml::to_string_pretty(&raw).expect("the rules keep to what TOML can say");
        write_whole(&self.path.join("config.toml"), text.as_bytes())
    }
}
