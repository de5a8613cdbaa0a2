//! Bitext retrieval: every sentence looks for its translation, for every pair of languages that the data have.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mteb::Subset;
use super::{Kept, Measure, Metric, Setting, embed};
use crate::Result;
use crate::eval::TIE_RULE;
use crate::eval::encoder::DualEncoder;
use crate::eval::given::{Bitext, Groups, mean};
use crate::eval::mining::{NEIGHBOURS, Way, mine};

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

impl Measure for Translations {
    const NAME: &'static str = "bitext";

    const ABOUT: &'static str =
        "how often a sentence finds its translation among all, by cosine and by margin (xsim)";

    const MAIN: &'static [&'static str] = &["cosine.accuracy", "margin.accuracy"];

    type Set<'a> = &'a Bitext;

    fn set<'a>(data: &Setting<'a>) -> Result<&'a Bitext, String> {
        data.given.bitext.as_ref().ok_or("no parallel sentences are given: `--bitext` names them".into())
    }

    fn kept(set: &&Bitext, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data.clone())))
    }

    /// Lets the sentences of every pair of sides look for their translations.
    fn measure(
        model: &dyn DualEncoder,
        bitext: &Bitext,
        data: &Setting,
    ) -> Result<(Translations, Vec<String>)> {
        let (known, width) = (model.languages(), model.joint());
        let code = |n: usize| known[bitext.sides[n].language].as_str();
        let mut vectors: Vec<Option<Vec<f32>>> = bitext.sides.iter().map(|_| None).collect();
        let (mut warnings, mut directions) = (bitext.notes.clone(), Vec::new());
        for (at, &[a, b]) in bitext.pairs.iter().enumerate() {
            for n in [a, b].into_iter().filter(|&n| vectors[n].is_none()).collect::<Vec<_>>() {
                let side = &bitext.sides[n];
                let texts: Vec<&str> = side.sentences.iter().map(String::as_str).collect();
                vectors[n] =
                    Some(embed(model, side.language, &texts, &side.file, |row| row + 1, &mut warnings)?);
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
        let means = means(&directions, &data.given.groups);
        Ok((Translations { neighbours: NEIGHBOURS, directions, means }, warnings))
    }

    fn metrics(&self) -> Vec<Metric> {
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
        metrics
    }

    fn mteb(&self) -> Option<Vec<Subset>> {
        let of = |d: &Direction| {
            let share = |percent: f64| percent / 100.0;
            let (accuracy, f1) = (share(d.found.cosine), share(d.found.f1));
            let scores = json!({ "main_score": f1, "f1": f1, "precision": share(d.found.precision), "recall": accuracy,
                "accuracy": accuracy, "margin_accuracy": share(d.found.margin) });
            Subset::new(&[&d.source, &d.target], scores)
        };
        Some(self.directions.iter().map(of).collect())
    }

    fn protocol(&self) -> String {
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
