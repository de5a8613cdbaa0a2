//! One self-contained HTML page for each run or sweep: no fonts, scripts or files from elsewhere.

mod along;
mod cells;
mod errors;
mod frame;
mod groups;
mod growth;
mod models;
mod page;
mod picture;
pub mod plot;
mod space;
mod sweep;
mod tasks;
mod together;

use crate::eval::{Consistency, Evaluation, Growth, TaskResult};

pub use crate::checkpoint::metrics::{MetricsLine, Step, Term, Validation};
pub use models::{Measured, Models};
pub use page::html;
pub use picture::Picture;
pub(crate) use picture::media_type;
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
    /// Parallel queries, alone and joined, where they were evaluated.
    pub consistency: Option<Consistency>,
    /// Results of further tasks.
    pub results: Vec<TaskResult>,
    /// Queries before and after CLC-C.
    pub compared: Vec<Compared>,
    /// Languages that were added.
    pub growths: Vec<Growth>,
    /// The lines of `metrics.jsonl`, in the order of the steps.
    pub metrics: Vec<MetricsLine>,
    /// Parameters, by part of the model.
    pub parts: Vec<Part>,
    /// Queries with the pictures that were found.
    pub examples: Vec<Example>,
    /// What is found best and worst, and what is confused.
    pub errors: Errors,
    /// The resolved configuration, as TOML.
    pub config: String,
}

impl RunReport {
    /// All pictures that the page shows, each as often as it does.
    fn pictures(&self) -> Vec<&Picture> {
        let Errors { languages, side_by_side, confusions } = &self.errors;
        let mut hits: Vec<&ReportHit> = Vec::new();
        let told = languages.iter().flat_map(|told| told.texts.best.iter().chain(&told.texts.worst));
        for example in self.examples.iter().chain(told) {
            hits.extend(&example.hits);
            hits.extend(example.missed.as_ref().map(|(_, hit)| hit));
        }
        for one in &self.compared {
            hits.extend([&one.before, &one.after]);
            hits.extend(one.said.iter().map(|said| &said.hit));
        }
        hits.extend(side_by_side.iter().flatten().flat_map(|one| &one.hits));
        let asked = languages.iter().flat_map(|told| told.pictures.best.iter().chain(&told.pictures.worst));
        let others = asked.map(|one| &one.picture).chain(confusions.iter().flat_map(|one| &one.pictures));
        hits.into_iter().map(|hit| &hit.picture).chain(others).collect()
    }
}

/// A part of the model and its numbers of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As the table of the page names it.
    pub name: String,
    /// Trained parameters.
    pub train: u64,
    /// Parameters needed to answer queries.
    pub test: u64,
}

/// A query and the pictures found for it, the best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Code of the query's language.
    pub language: String,
    /// The caption that asks.
    pub query: String,
    /// The same in a language that the reader may know.
    pub translation: Option<String>,
    /// The best first.
    pub hits: Vec<ReportHit>,
    /// The picture that the query speaks of, where it is not among these, and its rank, from 1.
    pub missed: Option<(usize, ReportHit)>,
}

/// A query before and after it is joined with its translations by CLC-C.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Code of the query's language.
    pub language: String,
    /// The caption that asks.
    pub query: String,
    /// The pictures found first.
    pub before: ReportHit,
    /// The picture found first by CLC-C.
    pub after: ReportHit,
    /// The query in each language.
    pub said: Vec<Said>,
}

/// A query in one language, and the picture that it finds first alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its code.
    pub language: String,
    /// The query in this language.
    pub text: String,
    /// The picture that it finds first.
    pub hit: ReportHit,
}

/// What is found best and worst, and what is confused, on the test pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Errors {
    /// By language.
    pub languages: Vec<Told>,
    /// The same query in several languages, of queries whose ranks differ much.
    pub side_by_side: Vec<Vec<SideBySide>>,
    /// Two pictures of which captions of the one find the other, the most often first.
    pub confusions: Vec<Confusion>,
}

/// The best and the worst of a language.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its code.
    pub language: String,
    /// Captions that were looked at, and all there are.
    pub captions: [usize; 2],
    /// Captions, with the pictures that they find.
    pub texts: Extremes<Example>,
    /// Pictures, with the captions that they find.
    pub pictures: Extremes<OfPicture>,
}

/// The best and the worst of something, the most so first.
#[derive(Debug, Clone, PartialEq)]
pub struct Extremes<T> {
    /// What is found first, by the widest margins.
    pub best: Vec<T>,
    /// What has the last ranks.
    pub worst: Vec<T>,
}

/// A picture and the captions found for it, the best first.
#[derive(Debug, Clone, PartialEq)]
pub struct OfPicture {
    /// As the page shows it.
    pub picture: Picture,
    /// The best first.
    pub found: Vec<FoundText>,
    /// The best of its own captions, where none is among these, and its rank, from 1.
    pub missed: Option<(usize, FoundText)>,
}

/// A caption that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundText {
    /// What it says.
    pub text: String,
    /// Similarity of the picture and the caption.
    pub score: f32,
    /// Whether it speaks of the picture.
    pub right: bool,
}

/// A query in one of several languages.
#[derive(Debug, Clone, PartialEq)]
pub struct SideBySide {
    /// Its code.
    pub language: String,
    /// The query in this language.
    pub text: String,
    /// The rank of its picture, from 1.
    pub rank: usize,
    /// The pictures found first.
    pub hits: Vec<ReportHit>,
}

/// Two pictures that are confused.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    /// As the page shows them.
    pub pictures: [Picture; 2],
    /// By language how many captions of the first find the second first, and the other way round.
    pub queries: Vec<(String, [usize; 2])>,
}

/// A picture that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportHit {
    /// As the page shows it.
    pub picture: Picture,
    /// Similarity of the query and the picture.
    pub score: f32,
    /// Whether the query speaks of this picture.
    pub right: bool,
}
