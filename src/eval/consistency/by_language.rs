//! Consistency by the language of the query: its captions by people with their translations (Burns et al. 2020, tables 1, 2 and 7 to 12).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fitted, Joined, ParallelScores};
use crate::Result;
use crate::eval::{Retrieval, ordered};

/// The languages that people wrote captions in: recall of those captions alone, and with their translations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByLanguage {
    /// The languages that ask together.
    pub joined: Vec<String>,
    /// Validation queries, of all query languages together, that CLC-C was fitted on.
    pub fitted: usize,
    /// By query language.
    #[serde(with = "ordered")]
    pub languages: Vec<(String, Coverage)>,
    /// Means over the languages; nothing where a language has captions without translations.
    #[serde(rename = "HA")]
    pub ha: Option<MeanRecalls>,
}

/// One query language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Captions by people.
    pub captions: usize,
    /// Those of them that have translations.
    pub translated: usize,
    /// The captions in their own language alone, and joined; only where all of them have translations, so that the four are over the
    /// same queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Retrieval>,
    /// CLC-A: by the mean of the languages' scores.
    #[serde(rename = "CLC-A", default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Retrieval>,
    /// CLC-C: by the network, fitted on validation.
    #[serde(rename = "CLC-C", default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Retrieval>,
    /// By a weighted sum of the sentences' vectors, fitted on validation.
    #[serde(rename = "Weighted", default, skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Retrieval>,
}

/// Mean mR in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanRecalls {
    /// Captions in their own language.
    pub alone: f64,
    /// By the mean of the languages' scores.
    #[serde(rename = "CLC-A")]
    pub mean: f64,
    /// By the network.
    #[serde(rename = "CLC-C")]
    pub network: f64,
    /// By a weighted sum of the sentences' vectors.
    #[serde(rename = "Weighted")]
    pub weighted: f64,
}

/// What the four ways of asking are called.
pub const WAYS: [&str; 4] = ["alone", "CLC-A", "CLC-C", "Weighted"];

impl Coverage {
    /// A language of whose `captions` only some, `translated`, have translations: there is nothing to measure.
    pub fn lacking(captions: usize, translated: usize) -> Coverage {
        Coverage { captions, translated, alone: None, mean: None, network: None, weighted: None }
    }

    /// `test`: all captions by people in `language`, with their translations.
    ///
    /// # Errors
    /// Data, where the queries of `test` are in other languages than those that were fitted.
    pub fn measure(fitted: &Fitted, language: &str, test: &ParallelScores) -> Result<Coverage> {
        let Joined { mean, network, weighted } = fitted.join(test)?;
        let place = test.languages.iter().position(|l| l == language);
        Ok(Coverage {
            captions: test.queries(),
            translated: test.queries(),
            alone: place.map(|l| test.retrieval(&test.scores[l])),
            mean: Some(mean),
            network: Some(network),
            weighted: Some(weighted),
        })
    }

    /// By name, in the order of [`WAYS`]; empty where some captions have no translations.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &Retrieval)> {
        let all = [&self.alone, &self.mean, &self.network, &self.weighted];
        WAYS.into_iter().zip(all).filter_map(|(name, r)| Some((name, r.as_ref()?)))
    }
}

impl MeanRecalls {
    /// In the order of [`WAYS`].
    pub fn values(&self) -> [f64; 4] {
        [self.alone, self.mean, self.network, self.weighted]
    }
}

impl ByLanguage {
    /// `languages`: all that people wrote captions in.
    pub fn new(fitted: &Fitted, languages: Vec<(String, Coverage)>) -> ByLanguage {
        let mrs: Vec<Vec<f64>> =
            languages.iter().map(|(_, c)| c.rows().map(|(_, r)| r.mr).collect()).collect();
        let whole = !mrs.is_empty() && mrs.iter().all(|mrs| mrs.len() == WAYS.len());
        let mean = |way: usize| mrs.iter().map(|mrs| mrs[way]).sum::<f64>() / mrs.len() as f64;
        let ha =
            whole.then(|| MeanRecalls { alone: mean(0), mean: mean(1), network: mean(2), weighted: mean(3) });
        ByLanguage { joined: fitted.languages.clone(), fitted: fitted.queries, languages, ha }
    }

    /// Which numbers are over what, in sentences.
    pub fn note(&self) -> String {
        let mut note = format!(
            "Every caption by people asks with its translations, joined over {}; CLC-C is one network for all query languages, \
             fitted on {} captions of val.",
            self.joined.join(", "),
            self.fitted
        );
        let lacking: Vec<String> = self
            .languages
            .iter()
            .filter(|(_, c)| c.translated < c.captions)
            .map(|(l, c)| format!("{l} ({} of {})", c.translated, c.captions))
            .collect();
        if !lacking.is_empty() {
            note += &format!(
                " Not all captions have translations in {}: no row for it, and no HA.",
                lacking.join(", ")
            );
        }
        note
    }
}

impl fmt::Display for ByLanguage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.languages.iter().any(|(_, c)| c.alone.is_some()) {
            writeln!(f, "                           text → image        image → text")?;
            writeln!(f, "language captions          R@1   R@5  R@10    R@1   R@5  R@10    mR")?;
        }
        for (language, coverage) in &self.languages {
            for (way, r) in coverage.rows() {
                write!(f, "{language:8} {:8} {way:8}", r.captions)?;
                for side in [&r.t2i, &r.i2t] {
                    write!(f, " {:5.1} {:5.1} {:5.1} ", side.r1, side.r5, side.r10)?;
                }
                writeln!(f, "{:5.1}", r.mr)?;
            }
        }
        if let Some(ha) = &self.ha {
            let each: Vec<String> =
                WAYS.iter().zip(ha.values()).map(|(way, x)| format!("{way} {x:.1}")).collect();
            writeln!(f, "HA: {}", each.join(", "))?;
        }
        write!(f, "{}", self.note())
    }
}

#[cfg(test)]
#[path = "by_language_tests.rs"]
mod tests;
