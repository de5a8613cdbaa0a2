//! Evaluations by name: what each needs, what it measures and how, and its result in one form, whatever the family of the model.
//!
//! Another task is a file with an implementation of [`Task`] and its place in [`TASKS`].

pub mod classification;
pub mod consistency;
pub mod recall;
mod result;

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::classification::Labelled;
use super::encoder::DualEncoder;
use super::{Fitted, Parameters, Scope};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::{Error, Result};

pub use result::{Metric, TaskResult};

/// All tasks, in the order in which they are run.
pub const TASKS: [&dyn Task; 3] =
    [&recall::Retrieving, &consistency::AskingTogether, &classification::Classifying];

/// The task of a name.
pub fn task(name: &str) -> Option<&'static dyn Task> {
    TASKS.into_iter().find(|task| task.name() == name)
}

/// What a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The captions and pictures of a corpus: [`Setting::corpus`].
    Captions,
    /// Pictures with classes: [`Setting::labelled`].
    Classes,
}

/// An evaluation with a name.
pub trait Task: Sync {
    /// What results are kept by, and asked for.
    fn name(&self) -> &'static str;

    /// What it measures, in a phrase.
    fn about(&self) -> &'static str;

    /// What it reads.
    fn reads(&self) -> Reads;

    /// Why it cannot be run on the data at hand; nothing where it can.
    fn lacks(&self, data: &Setting) -> Option<String>;

    /// Measures a model.
    ///
    /// # Errors
    /// Data that cannot be used, or what [`Task::lacks`] tells.
    fn run(&self, model: &dyn DualEncoder, data: &Setting) -> Result<TaskResult>;

    /// A result for people.
    fn table(&self, result: &TaskResult) -> String {
        result.to_string()
    }
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
    /// Pictures with classes, where some are given.
    pub labelled: Option<&'a Labelled>,
    /// Told how queries in several languages are joined, as validation teaches it.
    pub fitted: &'a dyn Fn(&Fitted),
}

impl<'a> Setting<'a> {
    /// The captions and pictures.
    ///
    /// # Errors
    /// Data, where none are at hand.
    pub fn captions(&self) -> Result<(&'a Corpus, Scope)> {
        self.corpus.ok_or_else(|| Error::data("no captions and pictures were given"))
    }
}

/// The details of a result for people, as the task prints what it has found.
fn shown<T: DeserializeOwned + Display>(result: &TaskResult) -> String {
    T::deserialize(&result.details).map_or_else(|_| result.to_string(), |found| found.to_string())
}

/// What a task has found as a document, with numbers as short as they are written.
pub(crate) fn document(found: &impl Serialize) -> Value {
    let text = serde_json::to_string(found).expect("plain data");
    serde_json::from_str(&text).expect("JSON that was just written")
}
