//! The run folder of a tower that is trained here: how it begins and goes on, and how it hands over the tower.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::{
    Earlier, Packing, ReservedFolder, RunFolder, RunInfo, TrainState, Which, description,
};
use crate::config::Config;
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, fingerprint};
use crate::eval::{DualEncoder, Parameters};
use crate::family::packing::Shipped;
use crate::family::tower::model::ClipEncoder;
use crate::family::tower::{Clip, ENDS, parameters};
use crate::family::{Limit, Packed, Packer};
use crate::optim::Adam;
use crate::retrieve::{Retriever, same_languages};
use crate::seed::derive;
use crate::tower::{Pooled, TowerConfig, TowerTokenizer};
use crate::write::write_whole;
use crate::{Error, Result};

/// A trained tower with its image branch, and its folder.
pub struct TowerRun {
    /// Where it is kept.
    pub folder: RunFolder,
    /// The configuration that the run keeps.
    pub config: Config,
    /// Its `run.json`.
    pub info: RunInfo,
    /// Both branches.
    pub clip: Clip,
    /// Numbers of parameters, trained and needed for queries.
    pub parameters: Parameters,
    /// Where training stood at the checkpoint that was read.
    pub state: TrainState,
}

/// Where the checkpoint in Hugging Face's layout is.
const TOWER: &str = "tower";

impl TowerRun {
    /// Begins a run: learns the tokenizer, and writes the folder with it and a checkpoint of step 0.
    ///
    /// # Errors
    /// Data: leaked test captions, no training captions, or features that cannot be read; run, where the folder cannot be written.
    pub fn begin(config: &Config, corpus: &Corpus, place: ReservedFolder) -> Result<TowerRun> {
        refuse_test_leak(corpus, &|_, text| text.split_whitespace().map(String::from).collect())?;
        let data = fingerprint(corpus)?;
        let (words, sizes) = super::vocabulary(config, corpus)?;
        let json = words.to_json()?;
        let start = words.id(ENDS[0]).expect("a special token");
        let tokenizer = TowerTokenizer::new(words, Path::new("tokenizer.json"), &sizes)?;
        let features = &corpus.train.features;
        let seed = derive(config.seed(), "model", 0);
        let mut clip = Clip::new(config, sizes.clone(), tokenizer, features.width(), seed);
        clip.image.fit_input(features.rows(), features.width(), |i, x| features.copy_row(i, x));
        let parameters = clip.parameters();
        let info = description(config, corpus, &mut clip, parameters, data);
        let folder = place.fill(|run| {
            let tower = run.path.join(TOWER);
            fs::create_dir_all(&tower).map_err(|e| Error::writing(&tower, e))?;
            write_whole(&tower.join("config.json"), sizes.to_json(start).as_bytes())?;
            write_whole(&tower.join("tokenizer.json"), json.as_bytes())?;
            let first = (&Adam::new(config.train(), 1), &BTreeMap::new());
            run.save(Which::Latest, &mut clip, Some(first), &TrainState::start())?;
            run.write_config(config)?;
            run.write_info(&info)
        })?;
        let config = folder.config()?;
        let parameters = clip.parameters();
        Ok(TowerRun { folder, config, info, clip, parameters, state: TrainState::start() })
    }

    /// A run to go on with.
    ///
    /// # Errors
    /// Data: other training data than the run was begun with, or a damaged run; run, where `config.toml` cannot be written.
    pub fn go_on(earlier: Earlier, corpus: &Corpus) -> Result<TowerRun> {
        let (folder, config, info) = earlier.with_data(&fingerprint(corpus)?)?;
        folder.keep_config(&config)?;
        Self::read(folder, config, info, Which::Latest)
    }

    /// Opens the best checkpoint.
    ///
    /// # Errors
    /// Data, for a run that is not whole; usage, for languages set over those of the run; config, for settings that cannot be used.
    pub fn open(path: &Path, set: &[String]) -> Result<TowerRun> {
        let folder = RunFolder::new(path);
        let (config, info) = (folder.config_with(set)?, folder.info()?);
        same_languages(&folder, &config, &info)?;
        Self::read(folder, config, info, Which::Best)
    }

    fn read(folder: RunFolder, config: Config, info: RunInfo, which: Which) -> Result<TowerRun> {
        if !folder.has(which) {
            return Err(Error::data("the run has no checkpoint to read")
                .at(&folder.path)
                .hint("let it train for an epoch first"));
        }
        let tower = folder.path.join(TOWER);
        let sizes = TowerConfig::read(&tower.join("config.json"))?;
        let end = if let Pooled::Token(end) = sizes.pooled { end } else { 0 };
        let TowerConfig { vocabulary, case_of_language, .. } = sizes;
        if sizes != (TowerConfig { case_of_language, ..super::sizes(&config, vocabulary, end) }) {
            return Err(Error::data("has other sizes than `config.toml`")
                .at(tower.join("config.json"))
                .hint("the run is damaged, or files of two runs were mixed: copy it again"));
        }
        let tokenizer = TowerTokenizer::open(&tower.join("tokenizer.json"), &sizes)?;
        folder.check_count(which, parameters(&config, &sizes, info.features))?;
        let mut clip = Clip::new(&config, sizes, tokenizer, info.features, 0);
        let state = folder.read_model(which, &mut clip)?;
        folder.check_config()?;
        folder.check_files(TOWER)?;
        let parameters = clip.parameters();
        Ok(TowerRun { folder, config, info, clip, parameters, state })
    }

    /// Completes the checkpoint for `acquire.tower` with its tensors, and writes the vectors of all pictures for
    /// `data.features`. Gives the checkpoint's folder.
    ///
    /// # Errors
    /// Data, where features are of another width than the model's; run, where a file cannot be written.
    pub fn hand_over(&self, corpus: &Corpus) -> Result<PathBuf> {
        self.write_pictures(corpus)?;
        let tower = self.folder.path.join(TOWER);
        write_whole(&tower.join("model.safetensors"), &self.clip.tower.to_safetensors())?;
        Ok(tower)
    }
}

impl Packer for TowerRun {
    fn pack(&mut self, packing: Packing, _: Option<Limit>, place: ReservedFolder) -> Result<Packed> {
        let TowerRun { folder, config, info, state, clip, .. } = self;
        let shipped = Shipped { run: folder, info, config, state, packing };
        let made = place.fill(|to| {
            shipped.copy(to, TOWER, &["config.json", "tokenizer.json"])?;
            shipped.write(to, clip)
        });
        made.map(Packed::from)
    }
}

impl Retriever for TowerRun {
    fn folder(&self) -> &RunFolder {
        &self.folder
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn step(&self) -> usize {
        self.state.step
    }

    fn parameters(&self) -> Parameters {
        self.parameters
    }

    fn encoder(&self) -> Box<dyn DualEncoder + '_> {
        Box::new(ClipEncoder { clip: &self.clip, languages: &self.info.languages })
    }
}
