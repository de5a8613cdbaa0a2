//! A trained run of words in use.

use std::ops::Range;
use std::path::Path;

use super::embedding::encoder::Encoder;
use super::inference::embed_sentences;
use super::model::Model;
use crate::Result;
use crate::checkpoint::{RunFolder, RunInfo, TrainState, Which};
use crate::config::Config;
use crate::corpus::{PictureSource, same_width};
use crate::eval::{DualEncoder, Parameters, Sentences};
use crate::image::embed_images;
use crate::retrieve::{Retriever, same_languages, settable};

/// A trained model, its best checkpoint, and what it needs to read.
pub struct SmalrRun {
    /// Where it is kept.
    pub folder: RunFolder,
    /// The configuration that the run keeps.
    pub config: Config,
    /// Its `run.json`.
    pub info: RunInfo,
    /// What reads sentences.
    pub encoder: Encoder,
    /// The weights of the checkpoint that was read.
    pub model: Model,
    /// Numbers of parameters, trained and needed for queries.
    pub parameters: Parameters,
    /// Where training stood at its checkpoint.
    pub state: TrainState,
}

impl SmalrRun {
    /// Opens the best checkpoint. `set` changes where the data are (`data.…`) or how languages are joined
    /// (`consistency.…`); the model itself stays as it was trained.
    ///
    /// # Errors
    /// Usage, for other keys, or languages that are not those of the run; config, for settings that cannot be used; data, for a run that
    /// is not whole.
    pub fn open(path: &Path, set: &[String]) -> Result<SmalrRun> {
        settable(set)?;
        let folder = RunFolder::new(path);
        let (config, info, encoder, mut model, state) = folder.open_with(Which::Best, set)?;
        same_languages(&folder, &config, &info)?;
        let parameters = model.parameter_counts().into();
        Ok(SmalrRun { folder, config, info, encoder, model, parameters, state })
    }

    /// The place of a language.
    ///
    /// # Errors
    /// Usage, where the model does not know the language.
    pub fn language(&self, code: &str) -> Result<usize> {
        self.encoder.lexicon.language(code)
    }

    /// Sentences of a language as vectors.
    pub fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        let (slots, truncated) = self.encoder.read(language, texts);
        let unknown = (0..slots.len()).filter(|&s| slots[s].is_empty()).collect();
        let precision = self.config.train().precision;
        let vectors = embed_sentences(&self.model, &self.encoder.lexicon, language, &slots, precision);
        Sentences { vectors, unknown, truncated }
    }

    /// Refuses pictures of another width than those the model was trained on.
    ///
    /// # Errors
    /// Data, naming their first file.
    pub fn check_width(&self, pictures: &dyn PictureSource) -> Result<()> {
        same_width(pictures, self.info.features)
    }
}

impl DualEncoder for &SmalrRun {
    fn joint(&self) -> usize {
        self.config.text().joint
    }

    fn languages(&self) -> Vec<String> {
        self.encoder.lexicon.languages.clone()
    }

    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        SmalrRun::sentences(self, language, texts)
    }

    fn check_width(&self, pictures: &dyn PictureSource) -> Result<()> {
        SmalrRun::check_width(self, pictures)
    }

    fn some_pictures(&self, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32> {
        embed_images(&self.model.image, pictures, rows)
    }
}

impl Retriever for SmalrRun {
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
        Box::new(self)
    }
}
