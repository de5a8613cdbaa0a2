//! The run folder of contrastive training: how it begins and goes on, and what it hands over.

use std::collections::BTreeMap;
use std::path::Path;

use super::encoder::{Encoder, FILES, FOLDER, write_files};
use super::model::{Contrastive, ContrastiveEncoder, layers};
use crate::checkpoint::{
    Earlier, Packing, ReservedFolder, RunFolder, RunInfo, TrainState, Which, description,
};
use crate::config::{Config, DrawnCaptions, TextTextSource};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, fingerprint};
use crate::eval::{DualEncoder, Parameters};
use crate::family::packing::Shipped;
use crate::family::{Limit, Packed, Packer};
use crate::init::Init;
use crate::optim::Adam;
use crate::retrieve::{Retriever, same_languages};
use crate::seed::derive;
use crate::tower::{TokenizerFiles, Tower};
use crate::{Error, Result};

/// A trained encoder with its heads, and its folder.
pub struct ContrastiveRun {
    /// Where it is kept.
    pub folder: RunFolder,
    /// The configuration that the run keeps.
    pub config: Config,
    /// Its `run.json`.
    pub info: RunInfo,
    /// Encoder and heads.
    pub model: Contrastive,
    /// Numbers of parameters, trained and needed for queries.
    pub parameters: Parameters,
    /// Where training stood at the checkpoint that was read.
    pub state: TrainState,
}

/// Where the encoder with its head is, as sentence-transformers reads it.
const SENTENCES: &str = "sentence_transformer";

impl ContrastiveRun {
    /// Begins a run: reads the encoder or makes a new one, and writes the folder with its tokenizer and a checkpoint of step 0.
    ///
    /// # Errors
    /// Data: leaked test captions, a checkpoint or features that cannot be used; run, where the folder cannot be written.
    pub fn begin(config: &Config, corpus: &Corpus, place: ReservedFolder) -> Result<ContrastiveRun> {
        refuse_test_leak(corpus, &|_, text| text.split_whitespace().map(String::from).collect())?;
        comparable(config, corpus)?;
        let data = fingerprint(corpus)?;
        let encoder = Encoder::sized(config, corpus)?;
        let tower = encoder.tower(config, derive(config.seed(), "encoder", 0))?;
        let features = &corpus.train.features;
        let seed = derive(config.seed(), "model", 0);
        let Encoder { tokenizer, files, .. } = encoder;
        let mut model = Contrastive::new(config, tower, tokenizer, features.width(), seed);
        model.fit_input(features.rows(), features.width(), |i, x| features.copy_row(i, x));
        if let Some(start) = &config.contrastive().start {
            let hint = "the runs' encoders and layers must be alike: set `contrastive.head_layers`, `shared_head`, `pictures`, \
                        `learn_temperature`, `text.joint` and `image` as the run has them, and use its features";
            let start = RunFolder::new(start);
            if !start.has(Which::Best) {
                return Err(Error::data("has no best checkpoint to begin with")
                    .at(&start.path)
                    .hint("let that run train for an epoch first"));
            }
            start.read_model(Which::Best, &mut model).map_err(|e| e.hint(hint))?;
        }
        let parameters = model.parameters();
        let info = description(config, corpus, &mut model, parameters, data);
        let folder = place.fill(|run| {
            write_files(&run.path, &files)?;
            let first = (&Adam::new(config.train(), 1), &BTreeMap::new());
            run.save(Which::Latest, &mut model, Some(first), &TrainState::start())?;
            run.write_config(config)?;
            run.write_info(&info)
        })?;
        let config = folder.config()?;
        Ok(ContrastiveRun { folder, config, info, model, parameters, state: TrainState::start() })
    }

    /// A run to go on with.
    ///
    /// # Errors
    /// Data: other training data than the run was begun with, or a damaged run; run, where `config.toml` cannot be written.
    pub fn go_on(earlier: Earlier, corpus: &Corpus) -> Result<ContrastiveRun> {
        let (folder, config, info) = earlier.with_data(&fingerprint(corpus)?)?;
        folder.keep_config(&config)?;
        Self::read(folder, config, info, Which::Latest)
    }

    /// Opens the best checkpoint.
    ///
    /// # Errors
    /// Data, for a run that is not whole; usage, for languages set over those of the run; config, for settings that cannot be used.
    pub fn open(path: &Path, set: &[String]) -> Result<ContrastiveRun> {
        let folder = RunFolder::new(path);
        let (config, info) = (folder.config_with(set)?, folder.info()?);
        same_languages(&folder, &config, &info)?;
        Self::read(folder, config, info, Which::Best)
    }

    fn read(folder: RunFolder, config: Config, info: RunInfo, which: Which) -> Result<ContrastiveRun> {
        if !folder.has(which) {
            return Err(Error::data("the run has no checkpoint to read")
                .at(&folder.path)
                .hint("let it train for an epoch first"));
        }
        let encoder = Encoder::kept(&config, &folder.path)?;
        let states = encoder.sizes.projection.unwrap_or(encoder.sizes.width);
        folder.check_count(which, encoder.sizes.numbers() + layers(&config, states, info.features)[0])?;
        let tower = Tower::new(encoder.sizes.clone(), &mut Init::new(0));
        let mut model = Contrastive::new(&config, tower, encoder.tokenizer, info.features, 0);
        let state = folder.read_model(which, &mut model)?;
        folder.check_config()?;
        folder.check_files(FOLDER)?;
        let parameters = model.parameters();
        Ok(ContrastiveRun { folder, config, info, model, parameters, state })
    }

    /// Writes the vectors of all pictures and, where its head is one linear layer, the encoder with it as sentence-transformers reads it. Gives
    /// what to tell the user.
    ///
    /// # Errors
    /// Data, where features are of another width than the model's; run, where a file cannot be written.
    pub fn hand_over(&self, corpus: &Corpus) -> Result<String> {
        let pictures = self.write_pictures(corpus)?;
        let Some(head) = self.model.linear_head() else {
            return Ok(format!("the pictures' vectors: {}", pictures.display()));
        };
        let folder = self.folder.path.join(SENTENCES);
        let tokenizer = TokenizerFiles::read(&self.folder.path.join(FOLDER))?;
        self.model.tower.write_sentence_transformer(&folder, &tokenizer, Some(head))?;
        Ok(format!(
            "the pictures' vectors: {}; for `SentenceTransformer`: {}",
            pictures.display(),
            folder.display()
        ))
    }
}

/// Refuses a corpus in which a loss that is asked for never has two captions of a picture to compare.
fn comparable(config: &Config, corpus: &Corpus) -> Result<()> {
    let contrastive = config.contrastive();
    let from_captions =
        contrastive.text_text.weight > 0.0 && contrastive.text_text.source == TextTextSource::Captions;
    let key = match contrastive.triple.weight > 0.0 {
        true => "contrastive.triple.weight",
        false if from_captions => "contrastive.text_text.source",
        false => return Ok(()),
    };
    let mut spoken = vec![0; corpus.train.features.rows()];
    for captions in &corpus.train.captions {
        let mut last = None;
        for caption in captions.iter().filter(|c| last.replace(c.image) != Some(c.image)) {
            spoken[caption.image as usize] += 1;
        }
    }
    match spoken.iter().any(|languages| *languages > 1) && contrastive.captions == DrawnCaptions::Each {
        true => Ok(()),
        false => Err(Error::data(format!("no picture has captions in two languages, which `{key}` compares"))
            .hint("add captions of the same pictures in another language, draw them with `contrastive.captions = \"each\"`, or leave the loss out")),
    }
}

impl Packer for ContrastiveRun {
    fn pack(&mut self, packing: Packing, _: Option<Limit>, place: ReservedFolder) -> Result<Packed> {
        let ContrastiveRun { folder, config, info, state, model, .. } = self;
        let shipped = Shipped { run: folder, info, config, state, packing };
        let made = place.fill(|to| {
            shipped.copy(to, FOLDER, &FILES)?;
            shipped.write(to, model)
        });
        made.map(Packed::from)
    }
}

impl Retriever for ContrastiveRun {
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
        Box::new(ContrastiveEncoder { model: &self.model, languages: &self.info.languages })
    }
}
