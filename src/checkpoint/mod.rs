//! The only module that knows the format of a run folder and its checkpoints.
//!
//! Files are written beside their place, synced and renamed; a checkpoint is a folder that is swapped as a whole, so a
//! full disk or a kill leaves the previous one.

mod joining;
mod snapshot;
mod tensors;
mod words;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
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
use crate::optim::{Adam, AdamState, Parameter};
use crate::write::{sync_folder, write_whole};
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

    pub fn info(&self) -> Result<RunInfo> {
        let file = self.path.join("run.json");
        if !file.exists() {
            return Err(Error::data("no run here: `run.json` is missing")
                .at(&self.path)
                .hint("give the folder that `tinyglot train --out` made"));
        }
        read_json(&file, "a run's description")
    }

    pub fn write_info(&self, info: &RunInfo) -> Result<()> {
        let text = serde_json::to_string_pretty(info).expect("plain data");
        write_whole(&self.path.join("run.json"), text.as_bytes())
    }

    /// Keeps an evaluation in `evaluation/`, by its name, in place of an earlier one.
    pub fn write_evaluation(&self, evaluation: &Evaluation) -> Result<()> {
        let folder = self.path.join("evaluation");
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
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
        let text = fs::read_to_string(&file).map_err(|e| Error::reading(&file, e))?;
        serde_json::from_str(&text).map(Some).map_err(|e| {
            let e = Error::data("not an evaluation").at(&file).line(e.line()).because(e);
            e.hint("make it again with `tinyglot evaluate`")
        })
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
        let read = |file: PathBuf| {
            let text = fs::read_to_string(&file).map_err(|e| Error::reading(&file, e))?;
            serde_json::from_str(&text).map_err(|e| {
                let e =
                    Error::data("not the record of an added language").at(&file).line(e.line()).because(e);
                e.hint(DAMAGED)
            })
        };
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

    fn write_checkpoint(
        &self,
        folder: &Path,
        model: &mut dyn Trained,
        training: Option<(&Adam, &BTreeMap<String, Mirrored>)>,
        state: &TrainState,
    ) -> Result<()> {
        let mut tensors = Vec::new();
        model.visit_stored(&mut |name, x| {
            tensors.push(Stored::floats(name, &x.shape(), x.floats().into_owned()));
        });
        write_tensors(&folder.join("model.safetensors"), tensors)?;
        if let Some((adam, average)) = training {
            let mut tensors = Vec::new();
            for (name, s) in &adam.state {
                tensors.push(Stored::floats(&format!("m.{name}"), &[s.m.len()], s.m.host()));
                tensors.push(Stored::floats(&format!("v.{name}"), &[s.v.len()], s.v.host()));
                if !s.last.is_empty() {
                    tensors.push(Stored::words(&format!("last.{name}"), &s.last));
                }
            }
            for (name, x) in average {
                tensors.push(Stored::floats(&format!("average.{name}"), &[x.len()], x.host()));
            }
            write_tensors(&folder.join("optimizer.safetensors"), tensors)?;
        }
        let text = serde_json::to_string_pretty(state).expect("plain data");
        write_whole(&folder.join("state.json"), text.as_bytes())
    }

    /// Fills a model of the right shape from a checkpoint; gives where training stood then.
    ///
    /// # Errors
    /// Data, for files that are missing, broken or of another model.
    pub fn read_model(&self, which: Which, model: &mut dyn Trained) -> Result<TrainState> {
        let (state, file) = self.snapshot(which)?;
        let path = self.checkpoint(which).join("model.safetensors");
        let mut problem = None;
        let mut names = BTreeSet::new();
        model.visit_stored(&mut |name, mut x| {
            let shape = x.shape();
            names.insert(name.to_string());
            match file.floats(name) {
                Ok((stored, s)) if s == shape => x.set(&stored),
                Ok((_, s)) => {
                    let e = Error::data(format!(
                        "`{name}` has shape {s:?}, the configuration asks for {shape:?}"
                    ));
                    problem.get_or_insert(e.at(&path).hint(MIXED));
                }
                Err(e) => {
                    problem.get_or_insert(e);
                }
            }
        });
        if let Some(extra) = file.names().into_iter().find(|n| !names.contains(n)) {
            let e = Error::data(format!("`{extra}` is not a parameter of this model")).at(&path);
            problem.get_or_insert(e.hint(MIXED));
        }
        problem.map_or(Ok(state), Err)
    }

    /// Reads the optimiser's moments and the average of the weights; refuses those of another model.
    pub fn read_optimizer(
        &self,
        adam: &mut Adam,
        model: &mut dyn Trained,
    ) -> Result<BTreeMap<String, Mirrored>> {
        let path = self.checkpoint(Which::Latest).join("optimizer.safetensors");
        let file = TensorFile::open(&path)?;
        let mut average = BTreeMap::new();
        for name in file.names() {
            let (kind, parameter) = name.split_once('.').ok_or_else(|| {
                Error::data(format!("`{name}` is no optimiser state")).at(&path).hint(MIXED)
            })?;
            let state: &mut AdamState = adam.state.entry(parameter.to_string()).or_default();
            match kind {
                "m" => state.m = file.floats(&name)?.0.into(),
                "v" => state.v = file.floats(&name)?.0.into(),
                "last" => state.last = file.words(&name)?,
                "average" => {
                    average.insert(parameter.to_string(), file.floats(&name)?.0.into());
                }
                _ => {
                    return Err(Error::data(format!("`{name}` is no optimiser state")).at(&path).hint(MIXED));
                }
            }
        }
        adam.state.retain(|_, s| !s.m.is_empty());
        match misfit(adam, &average, model) {
            Some(name) => {
                let what = format!("the state of `{name}` does not fit the model");
                Err(Error::data(what).at(&path).hint(MIXED))
            }
            None => Ok(average),
        }
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
        let embedding = empty_embedding(&config, &encoder.lexicon, encoder.vector_width());
        let mut model = Model::new(&config, embedding, info.features, 0);
        let state = self.read_model(which, &mut model)?;
        Ok((config, info, encoder, model, state))
    }
}

/// A name whose moments or average have not the size of its parameter, are missing, or belong to no parameter.
fn misfit(adam: &Adam, average: &BTreeMap<String, Mirrored>, model: &mut dyn Trained) -> Option<String> {
    let mut left: BTreeSet<String> = adam.state.keys().cloned().collect();
    let mut left_average: BTreeSet<String> = average.keys().cloned().collect();
    let mut wrong = None;
    model.visit_stored(&mut |name, x| {
        left_average.remove(name);
        if !average.is_empty() && average.get(name).is_none_or(|a| a.len() != x.count()) {
            wrong.get_or_insert(name.to_string());
        }
    });
    model.visit(&mut |name, parameter| {
        let rows = if let Parameter::Table(table) = &parameter { table.rows() } else { 0 };
        let size = parameter.count();
        left.remove(name);
        let sizes = adam.state.get(name).map_or([0; 3], |s| [s.m.len(), s.v.len(), s.last.len()]);
        // Before the first step nothing has moments.
        if !adam.state.is_empty() && sizes != [size, size, rows] {
            wrong.get_or_insert(name.to_string());
        }
    });
    wrong.or_else(|| left.into_iter().chain(left_average).next())
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

/// Reads a file of this version; `what` says what it should be.
fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|e| Error::reading(path, e).hint(DAMAGED))?;
    check_version(path, &text, what, "use the program that wrote it, or train again")?;
    serde_json::from_str(&text).map_err(|e| not(path, what, e).hint(DAMAGED))
}

fn not(path: &Path, what: &str, error: serde_json::Error) -> Error {
    Error::data(format!("not {what}")).at(path).line(error.line()).because(error)
}

/// Refuses a JSON document of another version; `remedy` says what to do then.
fn check_version(path: &Path, text: &str, what: &str, remedy: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    // Other fields may be those of another version.
    let Head { version } = serde_json::from_str(text).map_err(|e| not(path, what, e).hint(DAMAGED))?;
    if version != VERSION {
        let what = format!("{what} of version {version}; this program reads version {VERSION}");
        return Err(Error::data(what).at(path).hint(remedy));
    }
    Ok(())
}
