//! A trained run of words in use.

use std::path::Path;

use super::embedding::encoder::Encoder;
use super::inference::embed_sentences;
use super::model::Model;
use crate::Result;
use crate::checkpoint::{RunFolder, RunInfo, TrainState, Which};
use crate::config::Config;
use crate::corpus::{Corpus, Features};
use crate::eval::{Evaluation, Fitted, Parameters, Scope};
use crate::retrieve::{Retriever, Sentences, pictures, same_features, same_languages, settable};

/// A trained model, its best checkpoint, and what it needs to read.
pub struct SmalrRun {
    pub folder: RunFolder,
    pub config: Config,
    pub info: RunInfo,
    pub encoder: Encoder,
    pub model: Model,
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

    /// Gives pictures as vectors, some at a time: `take` gets the first one's number and (pictures, joint) of unit length.
    /// So features and results may be larger than memory.
    ///
    /// # Errors
    /// Data: features of another width, or with numbers that are too large; those of `take`.
    pub fn pictures(
        &self,
        features: &Features,
        mut take: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        self.check_width(features)?;
        pictures(&self.model.image, features, &mut take)
    }

    /// Refuses features of another width than those the model was trained on.
    ///
    /// # Errors
    /// Data, naming their first file.
    pub fn check_width(&self, features: &Features) -> Result<()> {
        same_features(features, &self.info)
    }
}

impl Retriever for SmalrRun {
    fn folder(&self) -> &RunFolder {
        &self.folder
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn joint(&self) -> usize {
        self.config.text().joint
    }

    fn languages(&self) -> Vec<String> {
        self.encoder.lexicon.languages.clone()
    }

    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        SmalrRun::sentences(self, language, texts)
    }

    fn check_width(&self, features: &Features) -> Result<()> {
        SmalrRun::check_width(self, features)
    }

    fn pictures(&self, features: &Features, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        SmalrRun::pictures(self, features, take)
    }

    fn evaluate(&self, corpus: &Corpus, scope: Scope) -> Result<Evaluation> {
        SmalrRun::evaluate(self, corpus, scope)
    }

    fn fit_joining(&self, corpus: &Corpus) -> Result<()> {
        self.fit_consistency(corpus).map(|_| ())
    }

    fn fitted(&self) -> Result<Option<Fitted>> {
        self.folder.fitted(self.state.step)
    }
}
