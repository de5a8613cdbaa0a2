//! A trained model in use: sentences and pictures as vectors of one space, and what follows from them.

mod classify;
mod gallery;

use crate::checkpoint::{RunFolder, RunInfo};
use crate::config::{Config, same_code};
use crate::corpus::{Corpus, Features};
use crate::device::Shareable;
use crate::error::InFile;
use crate::eval::similarity::check_finite;
use crate::eval::{Evaluation, Fitted, Scope};
use crate::image::{ImageBranch, embed_images};
use crate::{Error, Result, finite};

pub use classify::classify;
pub use gallery::{Gallery, Hit, Join, search, search_joined};

/// Pictures turned into vectors at a time.
pub(crate) const TILE: usize = 1024;

/// Sentences as vectors.
pub struct Sentences {
    /// (sentences, joint), unit length.
    pub vectors: Vec<f32>,
    /// Places of the sentences of which no word is known; all of them have the vector of an empty sentence.
    pub unknown: Vec<usize>,
    /// Places of the sentences that were longer than the model reads (`words.max_tokens`, or a tower's context) and lost their end.
    pub truncated: Vec<usize>,
}

/// A trained run of any family: texts and pictures as vectors of one space, and what follows from them. On the CPU it is `Send + Sync`.
pub trait Retriever: Shareable {
    /// The folder of the run.
    fn folder(&self) -> &RunFolder;
    /// The configuration that it was opened with.
    fn config(&self) -> &Config;
    /// Width of the vectors.
    fn joint(&self) -> usize;
    /// The codes of its languages, in the order of their places.
    fn languages(&self) -> Vec<String>;
    /// Sentences of a language as vectors.
    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences;
    /// Refuses features of another width than those the model was trained on.
    ///
    /// # Errors
    /// Data, naming their first file.
    fn check_width(&self, features: &Features) -> Result<()>;
    /// Gives pictures as vectors, some at a time: `take` gets the first one's number and (pictures, joint) of unit length.
    /// So features and results may be larger than memory.
    ///
    /// # Errors
    /// Data: features of another width, or with numbers that are too large; those of `take`.
    fn pictures(&self, features: &Features, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()>;
    /// Retrieval on a split.
    ///
    /// # Errors
    /// Data: no distractors where they are asked for, features of another width, no captions that ask, or vectors that are not finite.
    fn evaluate(&self, corpus: &Corpus, scope: Scope) -> Result<Evaluation>;

    /// Fits how queries in several languages are joined, on validation, and keeps it in the run's folder: where the run can and the
    /// corpus has such queries.
    ///
    /// # Errors
    /// Data, where features or queries cannot be used; run, where the file cannot be written.
    fn fit_joining(&self, _corpus: &Corpus) -> Result<()> {
        Ok(())
    }

    /// What was fitted for the open checkpoint of how queries in several languages are joined; nothing where nothing was.
    ///
    /// # Errors
    /// Data, where the file is damaged, or of another checkpoint.
    fn fitted(&self) -> Result<Option<Fitted>> {
        Ok(None)
    }

    /// Refuses queries that are no vectors of this model: (queries, joint), unit length.
    ///
    /// # Errors
    /// Data, naming the run, the row and the column of a number that is not finite.
    fn check_queries(&self, queries: &[f32]) -> Result<()> {
        check_finite(queries, self.joint(), "query").in_file(&self.folder().path)
    }

    /// The place of a language.
    ///
    /// # Errors
    /// Usage, where the model does not know the language.
    fn language(&self, code: &str) -> Result<usize> {
        let languages = self.languages();
        languages.iter().position(|l| same_code(l, code)).ok_or_else(|| {
            Error::usage(format!("the model does not know the language `{code}`"))
                .hint(format!("it knows {}", languages.join(", ")))
        })
    }
}

/// Refuses keys that would change a trained model.
pub(crate) fn settable(set: &[String]) -> Result<()> {
    for written in set {
        if !["data.", "consistency."].iter().any(|section| written.trim_start().starts_with(section)) {
            return Err(Error::usage(format!("`--set {written}` would change a trained model"))
                .hint("only keys of `data` and `consistency` can be set here"));
        }
    }
    Ok(())
}

/// Refuses languages set over those that a run was trained on.
pub(crate) fn same_languages(folder: &RunFolder, config: &Config, info: &RunInfo) -> Result<()> {
    if config.data().languages == info.languages {
        return Ok(());
    }
    let what = format!("the run was trained on {}", info.languages.join(", "));
    Err(Error::usage(what).at(&folder.path).hint("leave `data.languages` as it is"))
}

/// Refuses a gallery with further pictures where the corpus has none.
pub(crate) fn asked_pictures_there(corpus: &Corpus, scope: Scope, config: &Config) -> Result<()> {
    match corpus.distractors {
        _ if !scope.distractors => Ok(()),
        Some(_) => Ok(()),
        None => Err(Error::data("the corpus has no distractors")
            .at(&config.data().root)
            .hint("they are the split `distractors` of `data.features`")),
    }
}

/// Refuses features of another width than those that a run was trained on.
pub(crate) fn same_features(features: &Features, info: &RunInfo) -> Result<()> {
    if features.width() == info.features {
        return Ok(());
    }
    let (width, expected) = (features.width(), info.features);
    Err(Error::data(format!("has rows of {width} numbers; the model was trained on rows of {expected}"))
        .at(features.place(0).0)
        .hint("compute the features as those of the training pictures"))
}

/// Gives pictures of some features as vectors, some at a time.
pub(crate) fn pictures(
    branch: &ImageBranch,
    features: &Features,
    mut take: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let width = features.width();
    for first in (0..features.rows()).step_by(TILE) {
        let count = TILE.min(features.rows() - first);
        let row = |i: usize, x: &mut [f32]| features.copy_row(first + i, x);
        let vectors = embed_images(branch, count, width, row);
        refuse_overflow(features, first, count, &vectors)?;
        take(first, &vectors)?;
    }
    Ok(())
}

/// Refuses pictures, the first of them at `first`, whose vectors are not finite: what follows from them is no score.
pub(crate) fn refuse_overflow(
    features: &Features,
    first: usize,
    count: usize,
    vectors: &[f32],
) -> Result<()> {
    let Some(at) = finite::first_fault(vectors) else { return Ok(()) };
    let (file, row) = features.place(first + at / (vectors.len() / count));
    Err(Error::data(format!("row {row} (from 0) has a vector that is not finite: its numbers are too large"))
        .at(file)
        .hint("compute the features of this picture again, as those of the training pictures"))
}
