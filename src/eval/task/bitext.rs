//! Bitext retrieval: every sentence looks for its translation, for every pair of languages that the data have.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mteb::Subset;
use super::{Metric, Reads, Setting, Task, TaskResult, document, shown, told};
use crate::eval::TIE_RULE;
use crate::eval::encoder::DualEncoder;
use crate::eval::given::{Bitext, Groups, Side, mean};
use crate::eval::mining::{NEIGHBOURS, Way, mine};
use crate::{Error, Result};

/// The task `bitext`.
pub struct FindingTranslations;

/// Its name.
pub const NAME: &str = "bitext";

/// The language that means from and into it are taken of.
const PIVOT: &str = "en";

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Translations {
    /// Nearest sentences that margins are taken of.
    pub neighbours: usize,
    /// Every pair both ways.
    pub directions: Vec<Direction>,
    /// Means over directions, where there are any.
    pub means: Vec<Mean>,
}

/// Sentences of one language that look for those of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Direction {
    /// The language of those that look.
    pub source: String,
    /// The language of those that are looked for.
    pub target: String,
    /// How many there are of each.
    pub sentences: usize,
    /// What they find.
    pub found: Way,
}

/// Means over some directions, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// Of which directions: `X→en`, `en→X`, `all pairs`, or those of a group.
    pub of: String,
    /// How many directions it is over.
    pub directions: usize,
    /// Accuracy by cosine.
    pub cosine: f64,
    /// Accuracy by margin.
    pub margin: f64,
}

impl Task for FindingTranslations {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "how often a sentence finds its translation among all, by cosine and by margin (xsim)"
    }

    fn reads(&self) -> Reads {
        Reads::Given
    }

    fn lacks(&self, data: &Setting) -> Option<String> {
        data.given.bitext.is_none().then(|| "no parallel sentences are given: `--bitext` names them".into())
    }

    fn run(&self, model: &dyn DualEncoder, data: &Setting) -> Result<TaskResult> {
        match (&data.given.bitext, self.lacks(data)) {
            (Some(bitext), _) => find(model, bitext, &data.given.groups),
            (None, why) => Err(Error::data(why.unwrap_or_default())),
        }
    }

    fn table(&self, result: &TaskResult) -> String {
        shown::<Translations>(result)
    }

    fn mteb(&self, result: &TaskResult) -> Option<Vec<Subset>> {
        let found = Translations::deserialize(&result.details).ok()?;
        let of = |d: Direction| {
            let share = |percent: f64| percent / 100.0;
            let (accuracy, f1) = (share(d.found.cosine), share(d.found.f1));
            let scores = json!({ "main_score": f1, "f1": f1, "precision": share(d.found.precision), "recall": accuracy,
                "accuracy": accuracy, "margin_accuracy": share(d.found.margin) });
            Subset::new(&[&d.source, &d.target], scores)
        };
        Some(found.directions.into_iter().map(of).collect())
    }
}

/// Lets the sentences of every pair of sides look for their translations.
///
/// # Errors
/// Data: a vector that is not finite, with file and line.
pub fn find(model: &dyn DualEncoder, bitext: &Bitext, groups: &Groups) -> Result<TaskResult> {
    let (known, width) = (model.languages(), model.joint());
    let code = |n: usize| known[bitext.sides[n].language].as_str();
    let mut vectors: Vec<Option<Vec<f32>>> = bitext.sides.iter().map(|_| None).collect();
    let (mut warnings, mut directions) = (bitext.notes.clone(), Vec::new());
    for (at, &[a, b]) in bitext.pairs.iter().enumerate() {
        for side in [a, b] {
            if vectors[side].is_none() {
                vectors[side] = Some(embed(model, &bitext.sides[side], code(side), &mut warnings)?);
            }
        }
        let of = |side: usize| vectors[side].as_deref().unwrap_or_default();
        let sentences = bitext.sides[a].sentences.len();
        let ways = mine(of(a), of(b), width)?;
        for ([source, target], found) in [[a, b], [b, a]].into_iter().zip(ways) {
            let (source, target) = (code(source).to_string(), code(target).to_string());
            directions.push(Direction { source, target, sentences, found });
        }
        // What no later pair needs is let go.
        let later = &bitext.pairs[at + 1..];
        [a, b].into_iter().filter(|side| !later.iter().flatten().any(|s| s == side)).for_each(|side| {
            vectors[side] = None;
        });
    }
    let means = means(&directions, groups);
    let found = Translations { neighbours: NEIGHBOURS, directions, means };
    Ok(TaskResult { warnings, ..found.result(bitext.name.clone(), bitext.data.clone()) })
}

fn embed(model: &dyn DualEncoder, side: &Side, code: &str, warnings: &mut Vec<String>) -> Result<Vec<f32>> {
    let texts: Vec<&str> = side.sentences.iter().map(String::as_str).collect();
    let sentences = model.sentences(side.language, &texts);
    warnings.extend(told(&sentences, &texts, code, &side.file));
    super::finite(&sentences.vectors, model.joint(), &side.file, |row| row + 1)?;
    Ok(sentences.vectors)
}

/// The means of tables: into and from English, all directions, and each group's.
fn means(directions: &[Direction], groups: &Groups) -> Vec<Mean> {
    let mut all = Vec::new();
    let mut add = |of: String, some: &dyn Fn(&Direction) -> bool| {
        let some: Vec<&Way> = directions.iter().filter(|d| some(d)).map(|d| &d.found).collect();
        let over = |value: fn(&Way) -> f64| mean(&some.iter().map(|way| value(way)).collect::<Vec<_>>());
        if let (Some(cosine), Some(margin)) = (over(|w| w.cosine), over(|w| w.margin)) {
            all.push(Mean { of, directions: some.len(), cosine, margin });
        }
    };
    add(format!("X→{PIVOT}"), &|d| d.target == PIVOT);
    add(format!("{PIVOT}→X"), &|d| d.source == PIVOT);
    add("all pairs".into(), &|_| true);
    for (group, members) in &groups.0 {
        let inside = |code: &String| members.contains(code);
        add(format!("{group}→{PIVOT}"), &|d| d.target == PIVOT && inside(&d.source));
        add(format!("{PIVOT}→{group}"), &|d| d.source == PIVOT && inside(&d.target));
        add(format!("pairs of {group}"), &|d| inside(&d.source) && inside(&d.target));
    }
    all
}

impl Translations {
    fn result(&self, name: String, data: String) -> TaskResult {
        let mut metrics = Vec::new();
        let rows = self.directions.iter().map(|d| {
            (format!("{}→{}", d.source, d.target), d.found.cosine, d.found.margin, Some(d.found.f1))
        });
        let means = self.means.iter().map(|m| (m.of.clone(), m.cosine, m.margin, None));
        for (of, cosine, margin, f1) in rows.chain(means) {
            let of = Some(of.as_str());
            metrics.push(Metric::percent("cosine.accuracy", of, cosine));
            metrics.push(Metric::error("cosine.error", of, 100.0 - cosine));
            metrics.push(Metric::percent("margin.accuracy", of, margin));
            metrics.push(Metric::error("margin.error", of, 100.0 - margin));
            metrics.extend(f1.map(|f1| Metric::percent("cosine.F1", of, f1)));
        }
        TaskResult {
            task: NAME.into(),
            name,
            data: Some(data),
            protocol: self.protocol(),
            metrics,
            details: document(self),
            warnings: Vec::new(),
        }
    }

    /// How the figures were made, in a sentence.
    pub fn protocol(&self) -> String {
        let counts: Vec<usize> = self.directions.iter().map(|d| d.sentences).collect();
        let (least, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
        let count = if least == most { most.to_string() } else { format!("{least} to {most}") };
        format!(
            "{count} sentences a pair, each looks for its translation among all of the other language: the nearest by cosine, and of the {k} nearest \
             the one with the highest ratio margin, k = {k} (xsim; Artetxe & Schwenk 2019), whose error is 100 less accuracy; {TIE_RULE}; means are \
             over directions; percent",
            k = self.neighbours
        )
    }
}

impl fmt::Display for Translations {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let label = |d: &Direction| format!("{}→{}", d.source, d.target);
        let names = self.directions.iter().map(label).chain(self.means.iter().map(|m| m.of.clone()));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(9);
        writeln!(f, "{:width$} sentences  cosine  margin  error (xsim)", "direction")?;
        for d in &self.directions {
            let Way { cosine, margin, .. } = d.found;
            writeln!(
                f,
                "{:width$} {:9} {cosine:7.1} {margin:7.1} {:7.1}",
                label(d),
                d.sentences,
                100.0 - margin
            )?;
        }
        for Mean { of, cosine, margin, directions } in &self.means {
            let over = format!("({directions})");
            writeln!(f, "{of:width$} {over:>9} {cosine:7.1} {margin:7.1} {:7.1}", 100.0 - margin)?;
        }
        let ties: usize = self.directions.iter().map(|d| d.found.ties).sum();
        write!(f, "{}; {ties} sentences met ties", self.protocol())
    }
}
