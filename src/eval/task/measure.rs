//! What makes a task of what it finds: everything that tasks have in common stands here.

use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clip_benchmark::Entry;
use super::mteb::Subset;
use super::{Kept, Metric, Reads, Setting, Sheet, Task, TaskResult, document};
use crate::eval::encoder::DualEncoder;
use crate::{Error, Result};

/// What a task finds, and how: the document that its result keeps as `details`, which prints itself as a table.
pub trait Measure: Serialize + DeserializeOwned + Display + 'static {
    /// What results are kept by, and asked for.
    const NAME: &'static str;

    /// What it measures, in a phrase.
    const ABOUT: &'static str;

    /// The metrics that stand for it in a table of models.
    const MAIN: &'static [&'static str];

    /// What it reads.
    const READS: Reads = Reads::Given;

    /// What it is measured on.
    type Set<'a>;

    /// What of the data at hand it is measured on.
    ///
    /// # Errors
    /// What they lack for it.
    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String>;

    /// What the result is kept by.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn kept(set: &Self::Set<'_>, data: &Setting) -> Result<Kept>;

    /// Measures a model; with it what the user should know of the data.
    ///
    /// # Errors
    /// Data that cannot be used.
    fn measure(model: &dyn DualEncoder, set: Self::Set<'_>, data: &Setting) -> Result<(Self, Vec<String>)>;

    /// How the figures were made, in a sentence.
    fn protocol(&self) -> String;

    /// The figures, in the order in which they are printed.
    fn metrics(&self) -> Vec<Metric>;

    /// By language as CLIP_benchmark has it; nothing where it has no such task.
    fn clip_benchmark(&self) -> Vec<Entry> {
        Vec::new()
    }

    /// Tables that are kept beside the result, for programs that draw.
    fn sheets(&self) -> Vec<Sheet> {
        Vec::new()
    }

    /// By the subsets of mteb; nothing where mteb has no such task.
    fn mteb(&self) -> Option<Vec<Subset>> {
        None
    }

    /// As it is kept.
    fn result(&self, (name, data): Kept) -> TaskResult {
        TaskResult {
            task: Self::NAME.into(),
            name,
            data,
            protocol: self.protocol(),
            metrics: self.metrics(),
            details: document(self),
            warnings: Vec::new(),
        }
    }

    /// What a result has found; nothing where the program that kept it had another form.
    fn of(result: &TaskResult) -> Option<Self> {
        Self::deserialize(&result.details).ok()
    }
}

/// The task that finds `T`.
struct Of<T>(PhantomData<fn() -> T>);

/// The task that finds `T`.
pub(super) const fn of<T: Measure>() -> &'static dyn Task {
    &Of::<T>(PhantomData)
}

impl<T: Measure> Of<T> {
    fn set<'a>(data: &Setting<'a>) -> Result<T::Set<'a>> {
        let hint = || format!("leave the task `{}` out", T::NAME);
        T::set(data).map_err(|why| Error::data(why).hint(hint()))
    }
}

impl<T: Measure> Task for Of<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn about(&self) -> &'static str {
        T::ABOUT
    }

    fn reads(&self) -> Reads {
        T::READS
    }

    fn main(&self) -> &'static [&'static str] {
        T::MAIN
    }

    fn lacks(&self, data: &Setting) -> Option<String> {
        T::set(data).err()
    }

    fn kept(&self, data: &Setting) -> Result<Kept> {
        T::kept(&Self::set(data)?, data)
    }

    fn run(&self, model: &dyn DualEncoder, data: &Setting) -> Result<TaskResult> {
        let set = Self::set(data)?;
        let kept = T::kept(&set, data)?;
        let (found, warnings) = T::measure(model, set, data)?;
        Ok(TaskResult { warnings, ..found.result(kept) })
    }

    fn table(&self, result: &TaskResult) -> String {
        T::of(result).map_or_else(|| result.to_string(), |found| found.to_string())
    }

    fn clip_benchmark(&self, result: &TaskResult) -> Vec<Entry> {
        T::of(result).map_or_else(Vec::new, |found| found.clip_benchmark())
    }

    fn sheets(&self, result: &TaskResult) -> Vec<Sheet> {
        T::of(result).map_or_else(Vec::new, |found| found.sheets())
    }

    fn mteb(&self, result: &TaskResult) -> Option<Vec<Subset>> {
        T::of(result)?.mteb()
    }
}
