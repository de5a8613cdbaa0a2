//! How a run folder begins, and how one is gone on with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{LEARNING, RunFolder, RunInfo, VERSION, Which};
use crate::config::{Config, TextRules, changes, may_change};
use crate::corpus::Corpus;
use crate::eval::Parameters;
use crate::optim::{ParameterTree, parameters_by_part};
use crate::write::write_whole;
use crate::{Error, Result};

/// An empty folder for a run to be, locked. Until the run is written, dropping it leaves the disk as it was.
pub struct ReservedFolder {
    folder: RunFolder,
    /// Whether the folder was made for the run.
    made: bool,
    kept: bool,
}

impl ReservedFolder {
    /// Makes the folder, if it is not there, and locks it, before anything is computed.
    ///
    /// # Errors
    /// Usage, where a run or anything else is in the folder; run, where it cannot be written, or another process does.
    pub fn new(path: &Path) -> Result<ReservedFolder> {
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
        let place = ReservedFolder { folder, made, kept: false };
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

impl Drop for ReservedFolder {
    fn drop(&mut self) {
        if !self.kept {
            self.folder.abandon(self.made);
        }
    }
}

/// What a run that begins is, without latent tokens; `data` is the hash of what it is trained on.
pub(crate) fn description(
    config: &Config,
    corpus: &Corpus,
    model: &mut dyn ParameterTree,
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
        features: corpus.width(),
        features_by: corpus.made_by().cloned(),
        data,
        latents: [0, 0],
        parameters: parameters_by_part(model),
        parameters_train: parameters.train as usize,
        parameters_test: parameters.test as usize,
        shared: None,
        packed: None,
        pictures_by: None,
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
        folder.refuse_packed()?;
        let (kept, info) = (folder.config()?, folder.info()?);
        let given = &of_its_rules(given, &kept)?;
        let family = kept.family();
        let changed = changes(&kept, given).into_iter().filter(|key| !may_change(family, key));
        let other = (given.family() != family).then(|| "family".to_string());
        let differing: Vec<String> = other.into_iter().chain(changed).collect();
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

    /// The configuration that the run goes on with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Refuses other training data than those with the hash of the run. The caller keeps the configuration, where it differs from
    /// the run's.
    ///
    /// # Errors
    /// Data, where the hashes differ.
    pub(crate) fn with_data(self, hash: &str) -> Result<(RunFolder, Config, RunInfo)> {
        let Earlier { folder, config, info } = self;
        if hash != info.data {
            let what = "the training captions, translations or features are not those the run was begun with";
            return Err(Error::data(what)
                .at(&config.data().root)
                .hint("give the same data with `--set data.root=…`, or another `--out` for a new run"));
        }
        Ok((folder, config, info))
    }
}

/// A configuration with the normalisation of a run from before there was a choice; its own says nothing of it.
fn of_its_rules(given: &Config, kept: &Config) -> Result<Config> {
    let mut raw = given.raw().clone();
    if kept.words().normalisation == TextRules::Nfkc {
        raw.words.normalisation = TextRules::Nfkc;
    }
    raw.check(given.base().to_path_buf()).map_err(|problems| problems.into_error())
}

impl RunFolder {
    /// As [`RunFolder::write_config`], where the run's own says something else.
    pub(crate) fn keep_config(&self, config: &Config) -> Result<()> {
        if self.config()? == *config { Ok(()) } else { self.write_config(config) }
    }

    /// Writes `config.toml` so that it holds wherever the run is moved: a tokenizer's file goes along, in `words/`; the
    /// folder of the data is a full path.
    ///
    /// # Errors
    /// Data, where the tokenizer's file cannot be read; run, where the folder cannot be written.
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
