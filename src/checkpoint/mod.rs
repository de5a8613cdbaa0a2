//! The only module that knows the format of a run folder and its checkpoints.
//!
//! Files are written beside their place, synced and renamed; a checkpoint is a folder that is swapped as a whole, so a
//! full disk or a kill leaves the previous one.

mod joining;
mod json;
mod kept;
mod snapshot;
mod tensors;
mod training;
mod words;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use tensors::write_tensors;
pub use tensors::{Stored, TensorFile, write_tensors_with};
pub use writer::LEARNING;

use crate::building::remove;
use crate::config::Config;
use crate::embedding::characters::{CharacterWords, Spellings};
use crate::embedding::encoder::Encoder;
use crate::embedding::hybrid::OwnWords;
use crate::embedding::{HybridEmbedding, Lexicon};
use crate::eval::{Evaluation, Growth};
use crate::init::Init;
use crate::lock::Lock;
use crate::model::{Model, Trained};
use crate::ops::linear::LinearWeights;
use crate::ops::mirrored::Mirrored;
use crate::ops::rows::Table;
use crate::ops::tape::{matrix, vector};
use crate::optim::Adam;
use crate::sizes::{self, WordSizes};
use crate::write::{clear_partial, sync_folder, write_whole};
use crate::{Error, Result, names};

/// Version of the run folder; another one is refused.
pub const VERSION: u32 = 1;

const DAMAGED: &str = "the run is damaged: copy it again";
const MIXED: &str = "the run's `config.toml` was changed, or files of two runs were mixed";

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Latest,
    Best,
}

/// `run.json`: what a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    pub version: u32,
    pub tinyglot: String,
    pub device: String,
    pub seed: u64,
    pub languages: Vec<String>,
    /// Languages with human captions.
    pub human: Vec<bool>,
    /// Width of the picture features.
    pub features: usize,
    /// SHA-256 of the training captions and features.
    pub data: String,
    /// Latent tokens before and after unused ones were dropped.
    pub latents: [usize; 2],
    /// Trainable parameters by part.
    pub parameters: Vec<(String, usize)>,
    pub parameters_train: usize,
    /// With every word's universal vector precomputed.
    pub parameters_test: usize,
    /// SHA-256 of all that the languages share and that those have which were not added later: what adding a language
    /// must leave as it is. Runs to which nothing was added have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// The configuration that it was trained with, defaults included, but for its data and what may change; runs of earlier
    /// programs have none. Set where the description is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_with: Option<toml::Table>,
    /// CRC-32 of files that stay as they were written, by their path in the run; set as above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// `state.json`: where training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    pub version: u32,
    pub step: usize,
    pub best: f64,
    pub best_step: usize,
    /// Epochs since the best one.
    pub stale: usize,
    /// Updates of the average of the weights.
    pub averaged: usize,
    pub seconds: f64,
    /// CRC-32 of the files that the checkpoint is of: tensors beside it, and those of the run that say what a token is. Set
    /// where it is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

impl TrainState {
    /// Before the first step.
    pub fn start() -> Self {
        TrainState { version: VERSION, best: -1.0, ..Default::default() }
    }
}

/// A run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    pub path: PathBuf,
    /// Held by one who writes.
    lock: Option<Arc<Lock>>,
}

impl RunFolder {
    pub fn new(path: &Path) -> Self {
        RunFolder { path: path.to_path_buf(), lock: None }
    }

    /// Makes the folder for a new run; one that holds a run already is refused.
    pub fn create(path: &Path) -> Result<Self> {
        Self::refuse_run(path)?;
        fs::create_dir_all(path).map_err(|e| Error::writing(path, e))?;
        Ok(Self::new(path))
    }

    /// An error where a run is in the folder already.
    pub fn refuse_run(path: &Path) -> Result<()> {
        if path.join("run.json").exists() || path.join("config.toml").exists() {
            return Err(Error::usage("there is a run already")
                .at(path)
                .hint("`train` and `add-language` go on with it by `--resume`; or give another `--out`"));
        }
        Ok(())
    }

    pub fn config(&self) -> Result<Config> {
        self.config_with(&[])
    }

    /// The configuration with `key=value`s set over it.
    pub fn config_with(&self, set: &[String]) -> Result<Config> {
        let file = self.path.join("config.toml");
        if !file.exists() {
            return Err(Error::data("no run here: `config.toml` is missing")
                .at(&self.path)
                .hint("give the folder that `tinyglot train --out` made"));
        }
        Config::load_run(&file, set)
    }

    /// Keeps an evaluation in `evaluation/`, by its name, in place of an earlier one.
    pub fn write_evaluation(&self, evaluation: &Evaluation) -> Result<()> {
        let folder = self.path.join("evaluation");
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        clear_partial(&folder)?;
        let text = serde_json::to_string_pretty(evaluation).expect("plain data") + "\n";
        write_whole(&names::file(&folder, &evaluation.name(), "json")?, text.as_bytes())
    }

    /// The evaluations kept: test, then val, then train, then others by name.
    pub fn evaluations(&self) -> Result<Vec<Evaluation>> {
        let folder = self.path.join("evaluation");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|e| Error::reading(&folder, e))? {
            let name = entry.map_err(|e| Error::reading(&folder, e))?.file_name();
            names.extend(name.to_str().and_then(|n| n.strip_suffix(".json")).map(String::from));
        }
        let first = |name: &String| ["test", "val", "train"].iter().position(|n| n == name).unwrap_or(3);
        names.sort_by(|a, b| first(a).cmp(&first(b)).then_with(|| a.cmp(b)));
        let mut kept = Vec::new();
        for name in names {
            kept.extend(self.evaluation(&name)?);
        }
        Ok(kept)
    }

    /// The evaluation kept by a name.
    pub fn evaluation(&self, name: &str) -> Result<Option<Evaluation>> {
        let file = self.path.join(format!("evaluation/{name}.json"));
        if !file.exists() {
            return Ok(None);
        }
        json::read(&file, "an evaluation", "make it again with `tinyglot evaluate`").map(Some)
    }

    /// Keeps the record of an added language in `growth/`.
    pub fn write_growth(&self, growth: &Growth) -> Result<()> {
        let folder = self.path.join("growth");
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        let text = serde_json::to_string_pretty(growth).expect("plain data") + "\n";
        write_whole(&names::file(&folder, &growth.language, "json")?, text.as_bytes())
    }

    /// The records of the given languages, of those that were added, in their order.
    pub fn growths(&self, languages: &[String]) -> Result<Vec<Growth>> {
        let folder = self.path.join("growth");
        let files = languages.iter().map(|l| names::file(&folder, l, "json")).collect::<Result<Vec<_>>>()?;
        let read = |file: PathBuf| json::read(&file, "the record of an added language", DAMAGED);
        files.into_iter().filter(|file| file.exists()).map(read).collect()
    }

    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Writes a checkpoint; `adam` and `average` only where training is to go on from it.
    pub fn save(
        &self,
        which: Which,
        model: &mut dyn Trained,
        training: Option<(&Adam, &BTreeMap<String, Mirrored>)>,
        state: &TrainState,
    ) -> Result<()> {
        let checkpoints = self.path.join("checkpoints");
        let [now, old, new] = which.folders(&checkpoints);
        remove(&new).and_then(|()| fs::create_dir_all(&new)).map_err(|e| Error::writing(&new, e))?;
        let written = self.write_checkpoint(&new, model, training, state);
        if written.is_err() {
            // Nothing half-written stays; the error that matters is the first one.
            let _ = remove(&new);
        }
        written?;
        let swap = || {
            if now.exists() {
                remove(&old)?;
                fs::rename(&now, &old)?;
            }
            fs::rename(&new, &now)?;
            sync_folder(&checkpoints)?;
            remove(&old)
        };
        swap().map_err(|e| Error::writing(&now, e))
    }

    /// The model and reader of a finished or running run, without its training data.
    pub fn open(&self, which: Which) -> Result<(Config, RunInfo, Encoder, Model, TrainState)> {
        self.open_with(which, &[])
    }

    /// As [`Self::open`], with `key=value`s set over the configuration.
    pub fn open_with(
        &self,
        which: Which,
        set: &[String],
    ) -> Result<(Config, RunInfo, Encoder, Model, TrainState)> {
        // The description first: it says whether the rest can be read.
        let (info, config) = (self.info()?, self.config_with(set)?);
        if !self.has(which) {
            return Err(Error::data(format!("the run has no `{}` checkpoint", which.name()))
                .at(&self.path)
                .hint("let it train for an epoch first"));
        }
        let encoder = self.read_words(&config, &info.languages)?;
        let mut model = self.empty_model(which, &config, &info, &encoder)?;
        let state = self.read_model(which, &mut model)?;
        // A change that shows in shapes was told by the model's file.
        self.check_config()?;
        Ok((config, info, encoder, model, state))
    }
}

impl RunFolder {
    /// A model of the right shape, to be filled from a checkpoint.
    ///
    /// # Errors
    /// Data, where the checkpoint holds more or less than such a model: nothing of a wrong size is made.
    pub fn empty_model(
        &self,
        which: Which,
        config: &Config,
        info: &RunInfo,
        encoder: &Encoder,
    ) -> Result<Model> {
        let words = WordSizes::of(&encoder.lexicon, encoder.vector_width());
        let parts = sizes::parts(config, &words, info.features);
        self.check_count(which, parts.iter().map(|part| part.trained + part.fixed).sum())?;
        let embedding = empty_embedding(config, &encoder.lexicon, encoder.vector_width());
        Ok(Model::new(config, embedding, info.features, 0))
    }
}

/// An embedding of the right shape, to be filled from a checkpoint.
pub fn empty_embedding(config: &Config, lexicon: &Lexicon, fasttext: usize) -> HybridEmbedding {
    let e = config.embedding();
    let word_width = if e.word_width == 0 { fasttext } else { e.word_width };
    let zero_layer = |word_width: usize| LinearWeights {
        weight: matrix(vec![0.0; e.width * word_width], e.width, word_width),
        bias: vector(vec![0.0; e.width]),
    };
    let own = |l: usize| {
        let rows = lexicon.own(l);
        let width = match config.added().get(&lexicon.languages[l]) {
            Some(added) => added.word_width,
            None => word_width,
        };
        match rows {
            0 => OwnWords::none(),
            _ => OwnWords { words: Table::new(width, vec![0.0; rows * width]), layer: zero_layer(width) },
        }
    };
    let any = e.top_k > 0 || config.added().values().any(|added| added.words > 0);
    let languages = if lexicon.spellings.is_none() && any { lexicon.languages.len() } else { 0 };
    let spelled = |s: &Arc<Spellings>| CharacterWords::new(e, s.clone(), &mut Init::new(0));
    HybridEmbedding {
        latents: Table::new(e.width, vec![0.0; lexicon.latents * e.width]),
        own: (0..languages).map(own).collect(),
        mask: (config.loss().mclm.lstm > 0.0).then(|| matrix(vec![0.0; e.width], 1, e.width)),
        train_words: e.train_words,
        characters: lexicon.spellings.as_ref().map(spelled),
    }
}
