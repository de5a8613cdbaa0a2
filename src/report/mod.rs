//! One self-contained HTML page for each run or sweep: no fonts, scripts or files from elsewhere.

mod along;
mod cells;
mod frame;
mod groups;
mod growth;
mod page;
mod picture;
pub mod plot;
mod sweep;
mod tasks;
mod together;

use crate::eval::{Consistency, Evaluation, Growth, TaskResult};

pub use crate::checkpoint::metrics::{MetricsLine, Step, Term, Validation};
pub use page::html;
pub use picture::Picture;
pub use sweep::html as sweep_html;

/// Everything that the page of a run shows; what is empty is left out of it.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// The configuration's name, or the run folder's.
    pub name: String,
    /// What was trained, on what and when: seed, date, device, version, duration, …
    pub facts: Vec<(String, String)>,
    /// The splits that were evaluated, the most important first.
    pub evaluations: Vec<Evaluation>,
    pub consistency: Option<Consistency>,
    /// Results of further tasks.
    pub results: Vec<TaskResult>,
    /// Queries before and after CLC-C.
    pub compared: Vec<Compared>,
    /// Languages that were added.
    pub growths: Vec<Growth>,
    pub metrics: Vec<MetricsLine>,
    pub parts: Vec<Part>,
    pub examples: Vec<Example>,
    /// The resolved configuration, as TOML.
    pub config: String,
}

/// A part of the model and its numbers of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub train: u64,
    pub test: u64,
}

/// A query and the pictures found for it, the best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub language: String,
    pub query: String,
    /// The same in a language that the reader may know.
    pub translation: Option<String>,
    pub hits: Vec<ReportHit>,
}

/// A query before and after it is joined with its translations by CLC-C.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    pub language: String,
    pub query: String,
    /// The pictures found first.
    pub before: ReportHit,
    pub after: ReportHit,
    /// The query in each language.
    pub said: Vec<Said>,
}

/// A query in one language, and the picture that it finds first alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub language: String,
    pub text: String,
    pub hit: ReportHit,
}

/// A picture that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportHit {
    pub picture: Picture,
    pub score: f32,
    /// Whether the query speaks of this picture.
    pub right: bool,
}
