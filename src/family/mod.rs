//! Families of models. What a family does in its own way stands in its folder, behind [`Family`]; all else treats them alike.
//!
//! Another family is a folder with an implementation of [`Family`], a name in [`FamilyName`], and a line in [`of`].

mod chunks;
pub mod contrastive;
pub mod mla;
mod packing;
pub mod smalr;
pub mod tower;
mod towers;

use std::path::Path;

pub use packing::{Limit, Packer, bytes_of};

use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo};
use crate::config::{Config, FamilyName};
use crate::corpus::Corpus;
use crate::corpus::check::Report;
use crate::estimate::{Counts, Share};
use crate::eval::Growth;
use crate::grow::{Addition, AskTeacher};
use crate::retrieve::Retriever;
use crate::train::{Event, Learner, Progress};
use crate::{Error, Result};

/// The code of the family that a configuration names.
pub fn of(config: &Config) -> &'static dyn Family {
    match config.family() {
        FamilyName::Smalr => &smalr::SmalrFamily,
        FamilyName::Tower => &tower::TowerFamily,
        FamilyName::Mla => &mla::MlaFamily,
        FamilyName::Contrastive => &contrastive::ContrastiveFamily,
    }
}

/// What a family of models does in its own way.
pub trait Family: Sync {
    /// Begins a run: prepares what its model needs, refuses leaked test captions, and writes the folder, with a checkpoint of step 0.
    ///
    /// # Errors
    /// Data that cannot be used; run, where the folder cannot be written.
    fn begin(
        &self,
        config: &Config,
        corpus: &Corpus,
        place: ReservedFolder,
        cache: Option<&Path>,
        progress: Progress,
    ) -> Result<Begun>;

    /// A run to go on with, from its latest checkpoint: nothing is prepared anew.
    ///
    /// # Errors
    /// Data: other training data than the run was begun with, or a damaged run.
    fn go_on(&self, earlier: Earlier, corpus: &Corpus) -> Result<Begun>;

    /// Completes a run whose training is over, before its best checkpoint is evaluated. Gives what to tell the user.
    ///
    /// # Errors
    /// Run, where something cannot be written.
    fn complete(&self, _folder: &RunFolder, _corpus: &Corpus) -> Result<Option<String>> {
        Ok(None)
    }

    /// Opens the best checkpoint for use; `set` as in [`crate::run::open`].
    ///
    /// # Errors
    /// Data, for a run that is not whole.
    fn open(&self, path: &Path, set: &[String]) -> Result<Box<dyn Retriever>>;

    /// What configurations must have in common to share what is counted of their corpus.
    fn counts_key(&self, config: &Config) -> String;

    /// Counts a corpus, for estimates.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn count(&self, config: &Config, corpus: &Corpus) -> Result<Box<dyn Counts>>;

    /// What the memory of a training goes to.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn shares(&self, config: &Config, corpus: &Corpus) -> Result<Vec<Share>>;

    /// Adds to a report on a corpus what the models that the configuration trains would lose of its captions, as far as that is known
    /// before the training.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn with_lost(&self, config: &Config, corpus: &Corpus, report: Report) -> Result<Report>;

    /// Facts for the report, as names and values.
    fn facts(&self, info: &RunInfo, config: &Config) -> Vec<(String, String)>;

    /// Makes a new run with a language added, which a teacher may teach; see [`crate::run::add_language`].
    ///
    /// # Errors
    /// As [`crate::run::add_language`].
    fn add_language(
        &self,
        addition: &Addition,
        ask: AskTeacher,
        progress: Progress,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Growth>;

    /// Opens a run to be packed; see [`crate::run::pack`]. Where languages are named, only these are.
    ///
    /// # Errors
    /// Usage, for a run that is packed already, a language that it does not know, or languages in a family that cannot leave one out; data, for a run
    /// that is not whole.
    fn packer(&self, run: &Path, languages: &[String]) -> Result<Box<dyn Packer>>;

    /// The model as ONNX, for programs that run that; see [`crate::export::onnx`].
    ///
    /// # Errors
    /// Usage, where the model is none that can be written so; data, for a run that is not whole.
    fn onnx(&self, run: &Path) -> Result<Onnx> {
        Err(Error::usage("a run of this family cannot be written as ONNX")
            .at(run)
            .hint("the family `smalr` can; a contrastive run's encoder goes by `--to sentence-transformers`"))
    }

    /// The words of a language and their vectors, where sentences are their means; see [`crate::export::static_table`].
    ///
    /// # Errors
    /// Usage, where the model is none of that kind, or does not know the language; data, for a run that is not whole.
    fn table(&self, run: &Path, _language: &str) -> Result<StaticTable> {
        Err(Error::usage("a run of this family has no table of words")
            .at(run)
            .hint("the family `smalr` may have one"))
    }

    /// Makes a new run without a language, in `place`.
    ///
    /// # Errors
    /// As [`crate::run::remove_language`].
    fn remove_language(&self, run: &Path, code: &str, place: ReservedFolder) -> Result<RunFolder>;
}

/// A model of words as ONNX.
pub struct Onnx {
    /// Sentences: `words` (batch, length), places of words, and `lengths` (batch) → `vectors` (batch, joint).
    pub text: Vec<u8>,
    /// Pictures: `features` (batch, width) → `vectors` (batch, joint).
    pub pictures: Vec<u8>,
    /// The words, each with the code of its language, in the order of their places.
    pub words: Vec<(String, String)>,
}

/// Vectors of the words of a language, whose mean is a sentence's vector but for its length.
pub struct StaticTable {
    /// Each once.
    pub words: Vec<String>,
    /// (words, joint)
    pub vectors: Vec<f32>,
    /// Whether sentences are read in small letters.
    pub lowercase: bool,
}

/// A run that was packed.
pub struct Packed {
    /// The folder of the packed run.
    pub folder: RunFolder,
    /// By language; empty where the run has no vectors for unseen words.
    pub unseen: Vec<UnseenWords>,
    /// What was left out for a limit.
    pub left_out: LeftOut,
}

/// What was left out of a packed run to make it smaller, and what there was of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Words of all vocabularies, which are guessed or passed over then.
    pub words: [usize; 2],
    /// Vectors that words had of their own; they share a latent one then.
    pub own: [usize; 2],
    /// Latent vectors; words take the nearest of the others then.
    pub latents: [usize; 2],
}

impl LeftOut {
    /// Whether all is there.
    pub fn nothing(&self) -> bool {
        [self.words, self.own, self.latents].iter().all(|[left_out, _]| *left_out == 0)
    }
}

impl From<RunFolder> for Packed {
    /// One without vectors for unseen words.
    fn from(folder: RunFolder) -> Packed {
        Packed { folder, unseen: Vec::new(), left_out: LeftOut::default() }
    }
}

/// What packing costs words that training has not seen, of a language.
pub struct UnseenWords {
    /// Its code.
    pub language: String,
    /// Words that FastText has seen and the model has not; all that FastText has seen, where there are few.
    pub words: usize,
    /// The share of them that keeps its latent token, from 0 to 1.
    pub same: f64,
    /// The mean cosine of their vectors before and after in the space of all languages.
    pub cosine: f64,
}

/// A run in its folder, ready to be trained.
pub struct Begun {
    /// Where the run is kept.
    pub folder: RunFolder,
    /// As the run keeps it.
    pub config: Config,
    /// Its `run.json`.
    pub info: RunInfo,
    /// Gives the learner once.
    pub source: Box<dyn LearnerSource>,
}

/// A model and what it is trained on.
pub trait LearnerSource {
    /// The learner. Once only: it takes the model along.
    ///
    /// # Errors
    /// Data that cannot be used.
    fn learner<'a>(&'a mut self, config: &'a Config, corpus: &'a Corpus) -> Result<Box<dyn Learner + 'a>>;
}
