//! Retrieval where each language has its own pictures.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clip_benchmark::Entry;
use super::recall::evaluate;
use super::{Kept, Measure, Metric, Setting};
use crate::Result;
use crate::eval::encoder::DualEncoder;
use crate::eval::given::{Galleries, Given, Protocol, mean};
use crate::eval::{Retrieval, Scope, TIE_RULE};

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apart {
    /// Which captions ask: `all`, `first-five` or `1k`.
    pub protocol: String,
    /// Galleries that the pictures of each language were cut into.
    pub folds: usize,
    /// By language.
    pub languages: Vec<Gallery>,
    /// Mean mR over the languages, in percent.
    #[serde(rename = "AR")]
    pub ar: f64,
    /// Mean mR over the languages of each group, in percent.
    pub groups: Vec<(String, f64)>,
}

/// The retrieval of a language among its own pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gallery {
    /// Its code.
    pub language: String,
    /// Pictures in its gallery.
    pub images: usize,
    /// Both ways.
    pub found: Retrieval,
}

impl Measure for Apart {
    const NAME: &'static str = "galleries";

    const ABOUT: &'static str = "recall both ways where each language has its own pictures, mR and AR";

    const MAIN: &'static [&'static str] = &["mR"];

    type Set<'a> = &'a Galleries;

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        let none = "no pictures for each language are given: `--galleries` names them";
        data.given.galleries.as_ref().ok_or(none.into())
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data.clone())))
    }

    fn measure(
        model: &dyn DualEncoder,
        galleries: Self::Set<'_>,
        data: &Setting,
    ) -> Result<(Self, Vec<String>)> {
        retrieve(model, galleries, data)
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for Gallery { language, found, .. } in &self.languages {
            let of = Some(language.as_str());
            metrics.push(Metric::percent("mR", of, found.mr));
            for (way, side) in [("t2i", &found.t2i), ("i2t", &found.i2t)] {
                for (name, value) in [("R@1", side.r1), ("R@5", side.r5), ("R@10", side.r10)] {
                    metrics.push(Metric::percent(format!("{way}.{name}"), of, value));
                }
            }
        }
        metrics.push(Metric::percent("mR", Some("AR"), self.ar));
        metrics.extend(self.groups.iter().map(|(group, mr)| Metric::percent("mR", Some(group), *mr)));
        metrics
    }

    fn protocol(&self) -> String {
        let who = match &self.protocol[..] {
            "first-five" => "the first five captions of each picture ask",
            _ => "every caption asks",
        };
        let folds = match self.folds {
            1 => String::new(),
            folds => format!(", mean over {folds} galleries of equally many"),
        };
        format!(
            "each language among its own pictures{folds}; {who} for its picture, every picture for any of its captions; mR is the mean of the six \
             recalls, AR that of all languages; {TIE_RULE}; percent"
        )
    }

    fn clip_benchmark(&self) -> Vec<Entry> {
        self.languages.iter().map(|gallery| Entry::retrieval(&gallery.language, &gallery.found)).collect()
    }
}

/// Retrieval in every language among its own pictures, as the task `recall` has it.
///
/// # Errors
/// As [`evaluate`].
fn retrieve(model: &dyn DualEncoder, given: &Galleries, data: &Setting) -> Result<(Apart, Vec<String>)> {
    let Given { folds, groups, .. } = data.given;
    let folds = if given.protocol == Protocol::OneK { 5 } else { (*folds).max(1) };
    let scope = Scope { folds, translated: false, ..Scope::whole(given.split) };
    let mut languages = Vec::new();
    for (language, corpus) in &given.corpora {
        let found = evaluate(model, corpus, scope, data.parameters).map_err(|e| e.within(language))?;
        let images = found.images;
        let found = found.languages.into_iter().find(|(l, _)| l == language);
        let (_, found) = found.ok_or_else(|| scope.nobody_asks())?;
        languages.push(Gallery { language: language.clone(), images, found });
    }
    let values: Vec<(Vec<&str>, f64)> =
        languages.iter().map(|g| (vec![g.language.as_str()], g.found.mr)).collect();
    let ar = mean(&values.iter().map(|v| v.1).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    let groups = groups.means(&values).into_iter().map(|(name, mr)| (name.to_string(), mr)).collect();
    let apart = Apart { protocol: given.protocol.name().into(), folds, languages, ar, groups };
    Ok((apart, given.notes.clone()))
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = self.languages.iter().map(|g| &g.language).chain(self.groups.iter().map(|g| &g.0));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(8);
        writeln!(f, "{:width$}                      text → image        image → text", "")?;
        writeln!(f, "{:width$} pictures captions   R@1   R@5  R@10   R@1   R@5  R@10    mR", "language")?;
        for Gallery { language, images, found } in &self.languages {
            write!(f, "{language:width$} {images:8} {:8}", found.captions)?;
            for side in [&found.t2i, &found.i2t] {
                write!(f, " {:5.1} {:5.1} {:5.1}", side.r1, side.r5, side.r10)?;
            }
            writeln!(f, " {:5.1}", found.mr)?;
        }
        for (name, mr) in std::iter::once(("AR", self.ar)).chain(self.groups.iter().map(|g| (&g.0[..], g.1)))
        {
            writeln!(f, "{name:width$} {:59.1}", mr)?;
        }
        write!(f, "{}", self.protocol())
    }
}
