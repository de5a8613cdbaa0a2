//! The only module that knows the format of a run folder and its checkpoints.
//!
//! Files are written beside their place, synced and renamed; a checkpoint is a folder that is swapped as a whole, so a
//! full disk or a kill leaves the previous one.

mod begun;
mod joining;
pub(crate) mod json;
mod kept;
pub mod metrics;
mod packed;
mod results;
mod snapshot;
mod tensors;
mod training;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use begun::description;
pub use begun::{Earlier, ReservedFolder};
pub use packed::{Numbers, Packing};
pub(crate) use tensors::write_tensors;
pub use tensors::{Stored, TensorFile, write_tensors_with};
pub use writer::LEARNING;

use crate::building::remove;
use crate::config::Config;
use crate::corpus::{MadeBy, PictureSource, same_maker};
use crate::eval::Growth;
use crate::lock::Lock;
use crate::numbers::Format;
use crate::ops::host_device::HostDeviceBuffer;
use crate::optim::Adam;
use crate::optim::ParameterTree;
use crate::write::{sync_folder, write_whole};
use crate::{Error, Result, names};

/// Version of the run folder; another one is refused.
pub const VERSION: u32 = 1;

pub(crate) const DAMAGED: &str = "the run is damaged: copy it again";
pub(crate) const MIXED: &str = "the run's `config.toml` was changed, or files of two runs were mixed";

/// Folders that a family writes before training: what the model reads with, and what of other checkpoints it stands on. Their files stay as they
/// are.
const PREPARED: [&str; 4] = ["words", "tower", "embedding", "encoder"];

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The last one saved, with the state of the optimiser, to go on from.
    Latest,
    /// The parameters that were best on validation, to be used.
    Best,
}

/// `run.json`: what a run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// Version of the program that wrote it.
    pub tinyglot: String,
    /// Name of the device it was trained on.
    pub device: String,
    /// `seed` of the configuration.
    pub seed: u64,
    /// Language codes, in the order of the tables; those added later come last.
    pub languages: Vec<String>,
    /// Languages with human captions.
    pub human: Vec<bool>,
    /// Width of the picture features.
    pub features: usize,
    /// What made the picture features, where that is noted beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features_by: Option<MadeBy>,
    /// SHA-256 of the training captions and features.
    pub data: String,
    /// Latent tokens before and after unused ones were dropped.
    pub latents: [usize; 2],
    /// Trainable parameters by part.
    pub parameters: Vec<(String, usize)>,
    /// All trainable parameters.
    pub parameters_train: usize,
    /// With every word's universal vector precomputed.
    pub parameters_test: usize,
    /// SHA-256 of all that the languages share and that those have which were not added later: what adding a language
    /// must leave as it is. Runs to which nothing was added have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// How it was packed, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<Packing>,
    /// What [`RunFolder::pictures_by`] says of another run: of a packed one that it was made of, of a student that stands in for its teacher's sentence
    /// encoder that of the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures_by: Option<String>,
    /// The configuration that it was trained with, defaults included, but for its data and what may change; runs of earlier
    /// programs have none. Set where the description is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_with: Option<toml::Table>,
    /// CRC-32 of files that stay as they were written, by their path in the run; set as above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

impl RunInfo {
    /// Refuses pictures that something else made than those that the run was trained on; where that is not known of both, nothing.
    ///
    /// # Errors
    /// Data, naming their first file and both makers.
    pub fn check_maker(&self, pictures: &dyn PictureSource) -> Result<()> {
        same_maker(pictures, self.features_by.as_ref(), "the run was trained on features")
    }
}

/// `state.json`: where training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// Steps taken, of all stages.
    pub step: usize,
    /// Largest value on validation so far of the metric that `train.best` names, in percent; −1 before the first.
    pub best: f64,
    /// Steps taken when it was measured.
    pub best_step: usize,
    /// Epochs since the best one.
    pub stale: usize,
    /// Updates of the average of the weights, of steps that changed nothing, too.
    pub averaged: usize,
    /// Steps of the present stage that had nothing to compare.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// Time of the training, in all its parts.
    pub seconds: f64,
    /// CRC-32 of the files that the checkpoint is of: tensors beside it, and those of the run that say what a token is. Set
    /// where it is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
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
    /// The folder itself.
    pub path: PathBuf,
    /// Held by one who writes.
    lock: Option<Arc<Lock>>,
}

impl RunFolder {
    /// The run folder of this path, whatever is there: nothing is read, made or locked.
    pub fn new(path: &Path) -> Self {
        RunFolder { path: path.to_path_buf(), lock: None }
    }

    /// Makes the folder for a new run; one that holds a run already is refused.
    ///
    /// # Errors
    /// Usage, where there is a run already; run, where the folder cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        Self::refuse_run(path)?;
        fs::create_dir_all(path).map_err(|e| Error::writing(path, e))?;
        Ok(Self::new(path))
    }

    /// An error where a run is in the folder already.
    ///
    /// # Errors
    /// Usage, where there is a run.
    pub fn refuse_run(path: &Path) -> Result<()> {
        if path.join("run.json").exists() || path.join("config.toml").exists() {
            return Err(Error::usage("there is a run already")
                .at(path)
                .hint("`train` and `add-language` go on with it by `--resume`; or give another `--out`"));
        }
        Ok(())
    }

    /// The configuration that the run keeps.
    ///
    /// # Errors
    /// As [`Self::config_with`].
    pub fn config(&self) -> Result<Config> {
        self.config_with(&[])
    }

    /// The configuration with `key=value`s set over it.
    ///
    /// # Errors
    /// Data, where there is no `config.toml`; config, where it cannot be used; config or usage, for a setting that cannot be set.
    pub fn config_with(&self, set: &[String]) -> Result<Config> {
        let file = self.path.join("config.toml");
        if !file.exists() {
            return Err(Error::data("no run here: `config.toml` is missing")
                .at(&self.path)
                .hint("give the folder that `tinyglot train --out` made"));
        }
        Config::load_run(&file, set)
    }

    /// Keeps the record of an added language in `growth/`.
    ///
    /// # Errors
    /// Data, where the language is no code; run, where the folder cannot be written.
    pub fn write_growth(&self, growth: &Growth) -> Result<()> {
        let folder = self.path.join("growth");
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        let text = serde_json::to_string_pretty(growth).expect("plain data") + "\n";
        write_whole(&names::file(&folder, &growth.language, "json")?, text.as_bytes())
    }

    /// The records of the given languages, of those that were added, in their order.
    ///
    /// # Errors
    /// Data, where a language is no code, or its record cannot be read.
    pub fn growths(&self, languages: &[String]) -> Result<Vec<Growth>> {
        let folder = self.path.join("growth");
        let files = languages.iter().map(|l| names::file(&folder, l, "json")).collect::<Result<Vec<_>>>()?;
        let read = |file: PathBuf| json::read(&file, "the record of an added language", DAMAGED);
        files.into_iter().filter(|file| file.exists()).map(read).collect()
    }

    /// The path of `metrics.jsonl`, which may not be there yet.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Writes a checkpoint; `adam` and `average` only where training is to go on from it.
    ///
    /// # Errors
    /// Run, naming what cannot be written: the checkpoint before stays then. Data, where a file of the run that says what a token is
    /// cannot be read.
    pub fn save(
        &self,
        which: Which,
        model: &mut dyn ParameterTree,
        training: Option<(&Adam, &BTreeMap<String, HostDeviceBuffer>)>,
        state: &TrainState,
    ) -> Result<()> {
        self.save_as(which, model, training, state, [Format::F32; 2])
    }

    /// As [`Self::save`], the model's layers in the first format, its tables in the second.
    fn save_as(
        &self,
        which: Which,
        model: &mut dyn ParameterTree,
        training: Option<(&Adam, &BTreeMap<String, HostDeviceBuffer>)>,
        state: &TrainState,
        formats: [Format; 2],
    ) -> Result<()> {
        self.swap_in(which, |new| self.write_checkpoint(new, model, training, state, formats))
    }

    /// Lets `write` fill a folder, and puts that in the place of a checkpoint.
    fn swap_in(&self, which: Which, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let checkpoints = self.path.join("checkpoints");
        let [now, old, new] = which.folders(&checkpoints);
        remove(&new).and_then(|()| fs::create_dir_all(&new)).map_err(|e| Error::writing(&new, e))?;
        let written = write(&new);
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
}
