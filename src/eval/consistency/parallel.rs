//! Consistency on parallel captions: one sentence a picture in every language.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fitted, Joined, ParallelScores};
use crate::Result;
use crate::eval::{Retrieval, ordered};

/// Recall of parallel queries in each language alone and joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// Queries, each in all languages.
    pub queries: usize,
    /// Pictures that are searched.
    pub images: usize,
    /// By language, each alone.
    #[serde(with = "ordered")]
    pub languages: Vec<(String, Retrieval)>,
    /// Joined by the mean of the languages' scores.
    #[serde(rename = "CLC-A")]
    pub mean: Retrieval,
    /// Joined by the network, fitted on validation.
    #[serde(rename = "CLC-C")]
    pub network: Retrieval,
    /// Joined by a weighted sum of the sentences' vectors, fitted on validation.
    #[serde(rename = "Weighted")]
    pub weighted: Retrieval,
    /// The share of each language in `weighted`.
    #[serde(with = "ordered")]
    pub weights: Vec<(String, f32)>,
}

impl Consistency {
    /// Measures what was fitted on validation.
    ///
    /// # Errors
    /// As [`Fitted::join`].
    pub fn measure(fitted: &Fitted, test: &ParallelScores) -> Result<Consistency> {
        let Joined { mean, network, weighted } = fitted.join(test)?;
        let alone = test.scores().into_iter().map(|scores| test.retrieval(scores));
        Ok(Consistency {
            queries: test.queries(),
            images: test.images,
            languages: test.languages.iter().cloned().zip(alone).collect(),
            mean,
            network,
            weighted,
            weights: fitted.shares(),
        })
    }

    /// What is compared, by name: the languages, then CLC-A, CLC-C and Weighted.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Retrieval)> {
        let joined = [("CLC-A", &self.mean), ("CLC-C", &self.network), ("Weighted", &self.weighted)];
        self.languages.iter().map(|(l, r)| (l.as_str(), r)).chain(joined)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} parallel queries, {} pictures", self.queries, self.images)?;
        writeln!(f, "           text → image        image → text")?;
        writeln!(f, "           R@1   R@5  R@10    R@1   R@5  R@10    mR")?;
        for (name, r) in self.rows() {
            write!(f, "{name:8}")?;
            for side in [&r.t2i, &r.i2t] {
                write!(f, " {:5.1} {:5.1} {:5.1} ", side.r1, side.r5, side.r10)?;
            }
            writeln!(f, "{:5.1}", r.mr)?;
        }
        write!(f, "Weighted:")?;
        self.weights.iter().try_for_each(|(language, weight)| write!(f, " {language} {weight:.2}"))
    }
}
