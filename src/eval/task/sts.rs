//! Semantic textual similarity: how well cosines of sentences go with scores by people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mteb::Subset;
use super::{Kept, Measure, Metric, Setting, embed};
use crate::error::InFile;
use crate::eval::correlation::{pearson, spearman};
use crate::eval::encoder::DualEncoder;
use crate::eval::given::{Groups, Scored, Sts, mean};
use crate::{Error, Result};

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlations {
    /// By languages.
    pub sets: Vec<Correlated>,
    /// Means over sets, where there are any.
    pub means: Vec<Mean>,
}

/// Correlations of cosines and scores, −1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlated {
    /// The language of the first sentences.
    pub first: String,
    /// The language of the second ones.
    pub second: String,
    /// How many pairs there are.
    pub pairs: usize,
    /// Spearman's ρ.
    pub spearman: f64,
    /// Pearson's r.
    pub pearson: f64,
    /// Whether the sentences are of two files, line by line translations with the same scores.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

/// Means of correlations, −1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// Of which sets.
    pub of: String,
    /// How many sets it is over.
    pub sets: usize,
    /// Spearman's ρ.
    pub spearman: f64,
    /// Pearson's r.
    pub pearson: f64,
}

impl Measure for Correlations {
    const NAME: &'static str = "sts";

    const ABOUT: &'static str =
        "correlation of cosines of sentences with scores by people, within and across languages";

    const MAIN: &'static [&'static str] = &["spearman"];

    type Set<'a> = &'a Sts;

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        data.given.sts.as_ref().ok_or("no scored pairs of sentences are given: `--sts` names them".into())
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data.clone())))
    }

    fn measure(model: &dyn DualEncoder, sts: Self::Set<'_>, data: &Setting) -> Result<(Self, Vec<String>)> {
        correlate(model, sts, &data.given.groups)
    }

    fn metrics(&self) -> Vec<Metric> {
        let rows = self.sets.iter().map(|c| (c.label(), c.spearman, c.pearson));
        let means = self.means.iter().map(|m| (m.of.clone(), m.spearman, m.pearson));
        let of = |(of, spearman, pearson): (String, f64, f64)| {
            [("spearman", spearman), ("pearson", pearson)]
                .map(|(name, r)| Metric::correlation(name, Some(&of), r))
        };
        rows.chain(means).flat_map(of).collect()
    }

    fn protocol(&self) -> String {
        let joined = match self.sets.iter().any(|set| set.joined) {
            true => {
                "; across languages, the first sentence is of the one file and the second of its translation with the same scores"
            }
            false => "",
        };
        format!(
            "cosines of {} pairs beside scores by people: Spearman's ρ, where equal numbers share the mean of their ranks, and Pearson's r{joined}; \
             all × 100",
            self.sets.iter().map(|set| set.pairs).max().unwrap_or(0)
        )
    }

    fn mteb(&self) -> Option<Vec<Subset>> {
        let of = |c: &Correlated| {
            let Correlated { spearman, pearson, .. } = *c;
            let scores = json!({ "main_score": spearman, "spearman": spearman, "pearson": pearson,
                "cosine_spearman": spearman, "cosine_pearson": pearson });
            match c.first == c.second {
                true => Subset::new(&[&c.first], scores),
                false => Subset::new(&[&c.first, &c.second], scores),
            }
        };
        Some(self.sets.iter().map(of).collect())
    }
}

/// Correlates the cosines of all sets with their scores.
///
/// # Errors
/// Data, with the file: a vector that is not finite (and its line), or a correlation that is undefined.
fn correlate(model: &dyn DualEncoder, sts: &Sts, groups: &Groups) -> Result<(Correlations, Vec<String>)> {
    let (known, mut warnings) = (model.languages(), sts.notes.clone());
    let code = |language: usize| known[language].clone();
    // The vectors of the first and of the second sentences of each set.
    let mut vectors = Vec::new();
    for set in &sts.sets {
        let mut of = |side: usize, texts: &[String]| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            embed(model, set.languages[side], &texts, &set.file, |row| set.lines[row], &mut warnings)
        };
        vectors.push([of(0, &set.first)?, of(1, &set.second)?]);
    }
    let of = |a: usize, b: usize| -> Result<Correlated> {
        let rows = |set: usize, side: usize| vectors[set][side].chunks_exact(model.joint());
        // In f64: what rounding makes of equal cosines would be taken for an order.
        let cosine = |(x, y): (&[f32], &[f32])| {
            x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
        };
        let cosines: Vec<f64> = rows(a, 0).zip(rows(b, 1)).map(cosine).collect();
        let scores = &sts.sets[a].scores;
        let undefined = |e: Error| {
            e.hint("a model that scores all pairs alike, or a set of one score, has no correlation")
        };
        Ok(Correlated {
            first: code(sts.sets[a].languages[0]),
            second: code(sts.sets[b].languages[1]),
            pairs: scores.len(),
            spearman: spearman(&cosines, scores).map_err(undefined).in_file(&sts.sets[a].file)?,
            pearson: pearson(&cosines, scores).map_err(undefined).in_file(&sts.sets[a].file)?,
            joined: a != b,
        })
    };
    let mut found: BTreeMap<(bool, [usize; 2]), Correlated> = BTreeMap::new();
    for (a, one) in sts.sets.iter().enumerate() {
        let [first, second] = one.languages;
        found.insert((first != second, one.languages), of(a, a)?);
        for (b, other) in sts.sets.iter().enumerate().filter(|(_, other)| joins(one, other)) {
            let languages = [first, other.languages[1]];
            if sts.sets.iter().all(|set| set.languages != languages) {
                found.insert((true, languages), of(a, b)?);
            }
        }
    }
    let sets: Vec<Correlated> = found.into_values().collect();
    let means = means(&sets, groups);
    Ok((Correlations { sets, means }, warnings))
}

/// Whether two sets, each in one language, are translations line by line: they have the same scores.
fn joins(a: &Scored, b: &Scored) -> bool {
    let alone = |set: &Scored| set.languages[0] == set.languages[1];
    a.languages != b.languages && alone(a) && alone(b) && a.scores == b.scores
}

fn means(sets: &[Correlated], groups: &Groups) -> Vec<Mean> {
    let mut all = Vec::new();
    let mut add = |of: String, some: &dyn Fn(&Correlated) -> bool| {
        let some: Vec<&Correlated> = sets.iter().filter(|set| some(set)).collect();
        let over =
            |value: fn(&Correlated) -> f64| mean(&some.iter().map(|set| value(set)).collect::<Vec<_>>());
        if let (Some(spearman), Some(pearson)) = (over(|c| c.spearman), over(|c| c.pearson)) {
            all.push(Mean { of, sets: some.len(), spearman, pearson });
        }
    };
    let alone = |c: &Correlated| c.first == c.second;
    add("one language".into(), &alone);
    add("two languages".into(), &|c| !alone(c));
    for (group, members) in &groups.0 {
        let inside = |c: &Correlated| members.contains(&c.first) && members.contains(&c.second);
        add(group.clone(), &|c| inside(c) && alone(c));
        add(format!("{group}, two languages"), &|c| inside(c) && !alone(c));
    }
    all
}

impl Correlated {
    fn label(&self) -> String {
        match self.first == self.second {
            true => self.first.clone(),
            false => format!("{}–{}", self.first, self.second),
        }
    }
}

impl fmt::Display for Correlations {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = self.sets.iter().map(Correlated::label).chain(self.means.iter().map(|m| m.of.clone()));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(9);
        writeln!(f, "{:width$}   pairs  spearman  pearson", "languages")?;
        for set in &self.sets {
            let (spearman, pearson) = (100.0 * set.spearman, 100.0 * set.pearson);
            writeln!(f, "{:width$} {:7} {spearman:9.1} {pearson:8.1}", set.label(), set.pairs)?;
        }
        for Mean { of, sets, spearman, pearson } in &self.means {
            writeln!(
                f,
                "{of:width$} {:>7} {:9.1} {:8.1}",
                format!("({sets})"),
                100.0 * spearman,
                100.0 * pearson
            )?;
        }
        write!(f, "{}", self.protocol())
    }
}
