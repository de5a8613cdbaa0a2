//! Evaluations by name: what each needs, what it measures and how, and its result in one form, whatever the family of the model.
//!
//! Another task is a file with what it finds, an implementation of [`Measure`], and its place in [`TASKS`].

pub mod bitext;
pub mod classification;
pub mod clip_benchmark;
pub mod consistency;
pub mod cxc;
pub mod galleries;
mod measure;
pub mod mteb;
pub mod nli;
pub mod probe;
pub mod recall;
mod result;
pub mod space;
pub mod sts;
pub mod table;

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::encoder::{DualEncoder, Sentences, start};
use super::given::Given;
use super::{Evaluation, Fitted, Parameters, Scope};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::{Error, Result};

pub use measure::Measure;
pub use result::{Figure, Metric, Sheet, TaskResult};

use measure::of;

/// All tasks, in the order in which they are run.
pub const TASKS: [&dyn Task; 10] = [
    of::<Evaluation>(),
    of::<consistency::Joint>(),
    of::<classification::Classification>(),
    of::<bitext::Translations>(),
    of::<sts::Correlations>(),
    of::<galleries::Apart>(),
    of::<probe::Probed>(),
    of::<nli::Inferred>(),
    of::<space::Space>(),
    of::<cxc::Crossed>(),
];

/// The task of a name.
pub fn task(name: &str) -> Option<&'static dyn Task> {
    TASKS.into_iter().find(|task| task.name() == name)
}

/// What a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The captions and pictures of a corpus: [`Setting::corpus`].
    Captions,
    /// Data of its own, which options name: [`Setting::given`].
    Given,
}

/// What a result is kept by, and the SHA-256 of what it was measured on, where that is known.
pub type Kept = (String, Option<String>);

/// An evaluation with a name, whatever it finds. Tasks implement [`Measure`].
pub trait Task: Sync {
    /// What results are kept by, and asked for.
    fn name(&self) -> &'static str;

    /// What it measures, in a phrase.
    fn about(&self) -> &'static str;

    /// What it reads.
    fn reads(&self) -> Reads;

    /// The metrics that stand for it in a table of models.
    fn main(&self) -> &'static [&'static str];

    /// Why it cannot be run on the data at hand; nothing where it can.
    fn lacks(&self, data: &Setting) -> Option<String>;

    /// What its result on the data at hand will be kept by.
    ///
    /// # Errors
    /// Data that cannot be read, or what [`Task::lacks`] tells.
    fn kept(&self, data: &Setting) -> Result<Kept>;

    /// Measures a model.
    ///
    /// # Errors
    /// Data that cannot be used, or what [`Task::lacks`] tells.
    fn run(&self, model: &dyn DualEncoder, data: &Setting) -> Result<TaskResult>;

    /// A result for people.
    fn table(&self, result: &TaskResult) -> String;

    /// A result by language as CLIP_benchmark has it; nothing where it has no such task.
    fn clip_benchmark(&self, result: &TaskResult) -> Vec<clip_benchmark::Entry>;

    /// Tables of a result that are kept beside it, for programs that draw.
    fn sheets(&self, result: &TaskResult) -> Vec<Sheet>;

    /// A result by the subsets of mteb; nothing where mteb has no such task.
    fn mteb(&self, result: &TaskResult) -> Option<Vec<mteb::Subset>>;
}

/// What tasks are run on, and what is known of the model beside its vectors.
pub struct Setting<'a> {
    /// What the results are kept by, less how it was asked: [`super::name`].
    pub set: &'a str,
    /// That of the run.
    pub config: &'a Config,
    /// Numbers of parameters of the model.
    pub parameters: Parameters,
    /// Captions and pictures, and what of them is asked.
    pub corpus: Option<(&'a Corpus, Scope)>,
    /// Of the captions and pictures that ask, [`crate::corpus::fingerprint_of`].
    pub fingerprint: Option<String>,
    /// Data of tasks that read no corpus.
    pub given: &'a Given,
    /// Told how queries in several languages are joined, as validation teaches it.
    pub fitted: &'a dyn Fn(&Fitted),
}

impl<'a> Setting<'a> {
    /// The captions and pictures; as an error, that there are none.
    fn captions(&self) -> Result<(&'a Corpus, Scope), String> {
        self.corpus.ok_or("no captions and pictures were given".into())
    }

    /// What results on captions and pictures are kept by.
    fn kept(&self, scope: Scope) -> Kept {
        (super::name(self.set, scope.by, scope.distractors, scope.folds), self.fingerprint.clone())
    }
}

/// Sentences of a file in a language, by its place, as vectors (sentences, joint); `line` gives the line of a sentence. What the user should know of them is
/// added to `warnings`.
///
/// # Errors
/// Data, with file and line: a vector that is not finite.
fn embed(
    model: &dyn DualEncoder,
    language: usize,
    texts: &[&str],
    file: &Path,
    line: impl Fn(usize) -> usize,
    warnings: &mut Vec<String>,
) -> Result<Vec<f32>> {
    let sentences = model.sentences(language, texts);
    warnings.extend(told(&sentences, texts, &model.languages()[language], file));
    finite(&sentences.vectors, model.joint(), file, line)?;
    Ok(sentences.vectors)
}

/// Refuses vectors (rows, width) that are not finite; `line` gives the line of a row in `file`.
fn finite(vectors: &[f32], width: usize, file: &Path, line: impl Fn(usize) -> usize) -> Result<()> {
    match crate::finite::first_fault(vectors) {
        Some(at) => Err(Error::data("the model's vector of this sentence is not finite")
            .at(file)
            .line(line(at / width))
            .hint("its weights are damaged, or its training went astray: train it again")),
        None => Ok(()),
    }
}

/// What is to be told of the sentences of a file, in at most two lines.
fn told(sentences: &Sentences, texts: &[&str], code: &str, file: &Path) -> Vec<String> {
    let of = |which: &[usize], what: &str| {
        let (file, all) = (file.display(), texts.len());
        which.first().map(|&n| {
            format!(
                "`{file}`: {} of {all} sentences in `{code}` {what}, as `{}`",
                which.len(),
                start(texts[n])
            )
        })
    };
    let unknown = of(&sentences.unknown, "have no word that the model knows");
    let cut = of(&sentences.truncated, "are longer than the model reads and lose their end");
    unknown.into_iter().chain(cut).collect()
}

/// What a task has found as a document, with numbers as short as they are written.
pub(crate) fn document(found: &impl Serialize) -> Value {
    let text = serde_json::to_string(found).expect("plain data");
    serde_json::from_str(&text).expect("JSON that was just written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_that_is_not_finite_is_told_with_the_line_of_its_sentence() {
        let file = Path::new("test.de");
        assert!(finite(&[1.0, 0.0, 0.5, 0.5], 2, file, |row| row + 1).is_ok());
        let error = finite(&[1.0, 0.0, f32::NAN, 0.5], 2, file, |row| row + 1).unwrap_err();
        assert!(
            error.to_string().starts_with("`test.de`:2: the model's vector of this sentence is not finite"),
            "{error}"
        );
    }

    #[test]
    fn tasks_have_names_of_their_own() {
        let names: Vec<&str> = TASKS.iter().map(|task| task.name()).collect();
        assert!(names.iter().all(|name| task(name).is_some_and(|task| !task.about().is_empty())));
        assert!((1..names.len()).all(|n| !names[..n].contains(&names[n])), "{names:?}");
    }
}
