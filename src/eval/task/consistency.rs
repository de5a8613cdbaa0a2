//! The same queries in several languages, asked together (Burns et al. 2020, 3.4): how they are joined is fitted on validation and measured on
//! test.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::recall::gallery;
use super::{Kept, Measure, Metric, Reads, Setting, TaskResult};
use crate::config::{Config, Source};
use crate::corpus::{Corpus, SplitName};
use crate::eval::consistency::together::{Together, covered, together};
use crate::eval::consistency::{ByLanguage, Consistency, Coverage, Fitted, ParallelScores, WAYS};
use crate::eval::encoder::{DualEncoder, add_pictures};
use crate::eval::{Evaluation, Scope};
use crate::{Error, Result};

/// What queries in several languages find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {
    /// Parallel captions, where the corpus has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Captions with their translations, by the language of the captions.
    pub by_language: ByLanguage,
}

impl Measure for Joint {
    const NAME: &'static str = "consistency";

    const ABOUT: &'static str =
        "recall of captions joined with their translations: CLC-A, CLC-C and weighted";

    const MAIN: &'static [&'static str] = &["HA.CLC-C", "parallel.CLC-C"];

    const READS: Reads = Reads::Captions;

    type Set<'a> = (&'a Corpus, Scope);

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        let (corpus, scope) = data.captions()?;
        lacks(corpus, scope).map_or(Ok((corpus, scope)), Err)
    }

    fn kept(&(_, scope): &Self::Set<'_>, data: &Setting) -> Result<Kept> {
        Ok(data.kept(scope))
    }

    fn measure(
        model: &dyn DualEncoder,
        (corpus, scope): Self::Set<'_>,
        data: &Setting,
    ) -> Result<(Self, Vec<String>)> {
        Ok((evaluate(model, corpus, scope, data.config, data.fitted)?, Vec::new()))
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for (language, coverage) in &self.by_language.languages {
            metrics.extend(coverage.rows().map(|(way, r)| Metric::percent(way, Some(language), r.mr)));
        }
        for (way, mr) in self.by_language.ha.iter().flat_map(|ha| WAYS.into_iter().zip(ha.values())) {
            metrics.push(Metric::percent(format!("HA.{way}"), None, mr));
        }
        for (row, r) in self.consistency.iter().flat_map(Consistency::rows) {
            metrics.push(match WAYS.contains(&row) {
                true => Metric::percent(format!("parallel.{row}"), None, r.mr),
                false => Metric::percent("parallel.alone", Some(row), r.mr),
            });
        }
        metrics
    }

    fn protocol(&self) -> String {
        let note = self.by_language.note();
        format!("{note} mR is the mean of the six recalls; percent")
    }
}

/// Why nothing asks in several languages; nothing where something does.
pub fn lacks(corpus: &Corpus, scope: Scope) -> Option<String> {
    if scope.split != SplitName::Test {
        let split = scope.split;
        return Some(format!("joining is fitted on `val` and measured on other pictures, not on `{split}`"));
    }
    if scope.by == Source::Machine {
        return Some("captions by machines are compared, which ask alone".into());
    }
    together(corpus, SplitName::Val).is_empty().then(|| {
        "no query of `val` is there in several languages: set `data.translations` or `data.parallel`".into()
    })
}

/// Fits how queries in several languages are joined, on validation. Nothing where the corpus has no such queries.
///
/// # Errors
/// Data, where pictures or queries cannot be used.
pub fn fit(model: &dyn DualEncoder, corpus: &Corpus, config: &Config) -> Result<Option<Fitted>> {
    let sets = together(corpus, SplitName::Val);
    if sets.is_empty() {
        return Ok(None);
    }
    let mut images = Vec::new();
    add_pictures(model, &corpus.val.features, &mut images)?;
    let scores = |set: &Together| {
        ParallelScores::new(&vectors(model, corpus, set)?, &set.image_of, &images, model.joint())
    };
    let validation = sets.iter().map(scores).collect::<Result<Vec<ParallelScores>>>()?;
    let (consistency, triplet) = (config.consistency(), &config.loss().triplet);
    Fitted::fit(consistency, triplet, &validation, config.seed()).map(Some)
}

/// Fits the joining on validation, tells `fitted` of it, and measures it on test.
///
/// # Errors
/// Data: nothing to fit it on; pictures, queries or folds that cannot be used.
pub fn evaluate(
    model: &dyn DualEncoder,
    corpus: &Corpus,
    scope: Scope,
    config: &Config,
    fitted: &dyn Fn(&Fitted),
) -> Result<Joint> {
    let found = fit(model, corpus, config)?
        .ok_or_else(|| Error::data("no query of `val` is there in several languages"))?;
    fitted(&found);
    let (joint, queried) = (model.joint(), corpus.test.features.rows());
    let images = gallery(model, corpus, scope)?;
    let sets = together(corpus, SplitName::Test);
    let all = sets.iter().map(|set| vectors(model, corpus, set)).collect::<Result<Vec<_>>>()?;
    let (known, mut languages) = (model.languages(), Vec::new());
    let asked = scope.asked(corpus);
    for asked in asked.iter().filter(|asked| asked.human && known.iter().any(|l| l == asked.reader)) {
        // Languages that are read as another one have no place, and no translations.
        let place = corpus.languages.iter().position(|l| l == asked.language);
        let coverage = match place.and_then(|place| covered(corpus, SplitName::Test, place, &sets)) {
            None => Coverage::lacking(asked.captions.len(), 0),
            Some(c) if c.rows.len() < c.captions => Coverage::lacking(c.captions, c.rows.len()),
            Some(c) => {
                let image_of: Vec<u32> = c.rows.iter().map(|&row| sets[c.set].image_of[row]).collect();
                let queries = rows(&all[c.set], &c.rows, joint);
                let scores = ParallelScores::new(&queries, &image_of, &images, joint)?;
                Coverage::measure(&found, asked.language, &scores.in_folds(queried, scope.folds)?)?
            }
        };
        languages.push((asked.language.to_string(), coverage));
    }
    let parallel = sets.iter().position(|set| set.language.is_none()).map(|n| {
        let scores = ParallelScores::new(&all[n], &sets[n].image_of, &images[..queried * joint], joint)?;
        Consistency::measure(&found, &scores)
    });
    Ok(Joint { consistency: parallel.transpose()?, by_language: ByLanguage::new(&found, languages) })
}

/// For each language its code and the vectors of the queries.
fn vectors(model: &dyn DualEncoder, corpus: &Corpus, set: &Together) -> Result<Vec<(String, Vec<f32>)>> {
    let known = model.languages();
    let of = |(&l, texts): (&usize, &Vec<&str>)| {
        let code = &corpus.languages[l];
        let place = known.iter().position(|l| l == code).ok_or_else(|| {
            Error::data(format!("the model does not know `{code}`, a language of the queries"))
                .hint(format!("it knows `{}`", known.join("`, `")))
        })?;
        Ok((code.clone(), model.sentences(place, texts).vectors))
    };
    set.languages.iter().zip(&set.texts).map(of).collect()
}

/// The given rows of each language's vectors.
fn rows(vectors: &[(String, Vec<f32>)], rows: &[usize], width: usize) -> Vec<(String, Vec<f32>)> {
    let some = |all: &[f32]| rows.iter().flat_map(|&row| &all[row * width..][..width]).copied().collect();
    vectors.iter().map(|(code, all)| (code.clone(), some(all))).collect()
}

impl fmt::Display for Joint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.by_language)?;
        self.consistency.iter().try_for_each(|consistency| write!(f, "\n\n{consistency}"))
    }
}

impl Evaluation {
    /// What queries in several languages find, where it was measured.
    pub fn joint(&self) -> Option<Joint> {
        let by_language = self.by_language.clone()?;
        Some(Joint { consistency: self.consistency.clone(), by_language })
    }

    /// With what queries in several languages find.
    pub fn with_joint(self, joint: Option<Joint>) -> Evaluation {
        match joint {
            Some(Joint { consistency, by_language }) => {
                Evaluation { consistency, by_language: Some(by_language), ..self }
            }
            None => self,
        }
    }

    /// As it is kept: a result for each task.
    pub fn results(&self) -> Vec<TaskResult> {
        let joint = self.joint().map(|joint| joint.result((self.name(), self.data.clone())));
        std::iter::once(TaskResult::from(self)).chain(joint).collect()
    }
}
