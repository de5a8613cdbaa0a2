//! What a task has found, in one form for all of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskResult {
    /// The name of the task.
    pub task: String,
    /// What it is kept by, among the results of the task: the set of pictures or sentences, and how it was asked.
    pub name: String,
    /// SHA-256 of what it was measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// How the figures were made, in a sentence.
    pub protocol: String,
    /// The figures, in the order in which they are printed.
    pub metrics: Vec<Metric>,
    /// All that the task has found, as it writes it.
    pub details: Value,
    /// What the user should know of the data, e.g. words that the model does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// E.g. `mR` or `t2i.median_rank`.
    pub name: String,
    /// The language, the pair of languages (`de→en`) or the mean that it is of; nothing where it is of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// In `unit`.
    pub value: f64,
    /// `percent`, `rank`, or `correlation` (times 100).
    pub unit: String,
    /// Whether a larger value is the better one.
    pub higher_is_better: bool,
}

impl Metric {
    /// Percent, of which more is better.
    pub fn percent(name: impl Into<String>, language: Option<&str>, value: f64) -> Metric {
        let (unit, language) = ("percent".into(), language.map(String::from));
        Metric { name: name.into(), language, value, unit, higher_is_better: true }
    }

    /// Percent, of which less is better.
    pub fn error(name: impl Into<String>, language: Option<&str>, value: f64) -> Metric {
        Metric { higher_is_better: false, ..Metric::percent(name, language, value) }
    }

    /// A correlation, −1 to 1, which is given times 100 as in tables.
    pub fn correlation(name: impl Into<String>, language: Option<&str>, value: f64) -> Metric {
        Metric { unit: "correlation".into(), ..Metric::percent(name, language, 100.0 * value) }
    }

    /// A rank, counted from 1.
    pub fn rank(name: impl Into<String>, language: Option<&str>, value: f64) -> Metric {
        Metric { unit: "rank".into(), higher_is_better: false, ..Metric::percent(name, language, value) }
    }
}

/// A figure with a name among all that a run keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Its name: `TASK/NAME/METRIC/LANGUAGE` (or pair, or group), without the last where it is of all languages.
    pub of: String,
    /// In the metric's unit.
    pub value: f64,
    /// Whether a larger one is the better one.
    pub higher_is_better: bool,
}

impl Figure {
    /// Of two figures of one name the larger is the better one.
    pub fn worth(&self) -> f64 {
        if self.higher_is_better { self.value } else { -self.value }
    }

    /// A hint for a name that no figure of `all` has.
    pub(crate) fn near(name: &str, all: &[String]) -> String {
        let mut near: Vec<(usize, &str)> =
            all.iter().map(|of| (strsim::osa_distance(of, name), of.as_str())).collect();
        near.sort();
        near.dedup();
        let near: Vec<&str> = near.into_iter().take(5).map(|(_, of)| of).collect();
        format!("a figure is named as TASK/NAME/METRIC/LANGUAGE; near it are `{}`", near.join("`, `"))
    }
}

impl TaskResult {
    /// Its figures by name, in the order of its metrics.
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        self.metrics.iter().map(|Metric { name, language, value, higher_is_better, .. }| {
            let below = language.as_ref().map_or(String::new(), |language| format!("/{language}"));
            let of = format!("{}/{}/{name}{below}", self.task, self.name);
            Figure { of, value: *value, higher_is_better: *higher_is_better }
        })
    }
}

/// A table that a result has beside its figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What it is kept by, after the name of the result.
    pub name: &'static str,
    /// The rows with a head (RFC 4180).
    pub csv: String,
}

impl Sheet {
    pub(super) fn new(name: &'static str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Sheet {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(head).expect("to memory");
        rows.for_each(|row| writer.write_record(row).expect("to memory"));
        Sheet { name, csv: String::from_utf8(writer.into_inner().expect("to memory")).expect("of texts") }
    }
}

impl fmt::Display for TaskResult {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for Metric { name, language, value, .. } in &self.metrics {
            writeln!(f, "{:8} {name:16} {value:6.1}", language.as_deref().unwrap_or("all"))?;
        }
        write!(f, "`{}`: {}", self.name, self.protocol)
    }
}
