//! What validation teaches of joining languages: CLC-C and the weights of joined vectors.

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::weighted::Weighted;
use super::{ParallelScores, clc_a};
use crate::config::{ConsistencyConfig, TripletConfig};
use crate::eval::Retrieval;
use crate::{Error, Result};

/// How scores of several languages become one, fitted on the validation split.
///
/// There is one CLC-C, whatever the language of the query: the paper counts 352 parameters and trains them with all pairs at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Parts")]
pub struct Fitted {
    /// The languages that are joined, in the order of the network's inputs.
    pub languages: Vec<String>,
    /// Validation queries that it was fitted on.
    pub queries: usize,
    /// CLC-C, which joins scores.
    pub network: Network,
    /// One for each language: of joined vectors.
    pub weights: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    languages: Vec<String>,
    queries: usize,
    network: Network,
    weights: Vec<f32>,
}

impl TryFrom<Parts> for Fitted {
    type Error = String;

    fn try_from(parts: Parts) -> std::result::Result<Fitted, String> {
        let Parts { languages, queries, network, weights } = parts;
        let (n, inputs) = (languages.len(), network.languages());
        if inputs != n || weights.len() != n {
            return Err(format!("{n} languages, but a network of {inputs} and {} weights", weights.len()));
        }
        if let Some(l) = (0..n).find(|&l| languages[..l].contains(&languages[l])) {
            return Err(format!("`{}` stands twice", languages[l]));
        }
        match weights.iter().position(|w| !w.is_finite()) {
            Some(l) => Err(format!("the weight of `{}` is {}", languages[l], weights[l])),
            None => Ok(Fitted { languages, queries, network, weights }),
        }
    }
}

/// Recall of queries in several languages, joined in each way.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// CLC-A.
    pub mean: Retrieval,
    /// CLC-C.
    pub network: Retrieval,
    /// Vectors joined with fitted weights.
    pub weighted: Retrieval,
}

impl Fitted {
    /// `validation`: one or more sets of queries in the same languages.
    ///
    /// # Errors
    /// Data, where `validation` is empty, or its sets are in different languages.
    pub fn fit(
        config: &ConsistencyConfig,
        triplet: &TripletConfig,
        validation: &[ParallelScores],
        seed: u64,
    ) -> Result<Fitted> {
        let Some(first) = validation.first() else {
            return Err(Error::data("there are no validation queries to fit CLC-C on"));
        };
        let languages = first.languages.clone();
        if let Some(other) = validation.iter().find(|set| set.languages != languages) {
            return Err(unlike("some validation queries", &languages, &other.languages));
        }
        Ok(Fitted {
            queries: validation.iter().map(ParallelScores::queries).sum(),
            network: Network::fit(config, triplet, validation, seed),
            weights: Weighted::fit(validation).weights,
            languages,
        })
    }

    /// Measures every way on queries in the same languages.
    ///
    /// # Errors
    /// Data, where the queries are in other languages, or in another order of them.
    pub fn join(&self, test: &ParallelScores) -> Result<Joined> {
        if self.languages != test.languages {
            return Err(unlike("the test", &self.languages, &test.languages));
        }
        let scores = test.scores();
        Ok(Joined {
            mean: test.retrieval(&clc_a(&scores)),
            network: test.retrieval(&self.clc_c(&scores)),
            weighted: test.retrieval(&test.joined(&self.weights)),
        })
    }

    /// CLC-C: joined scores of equally long slices, one for each of the languages.
    pub fn clc_c(&self, scores: &[&[f32]]) -> Vec<f32> {
        self.network.forward(scores)
    }

    /// Each language with its share of the weights.
    pub fn shares(&self) -> Vec<(String, f32)> {
        let total: f32 = self.weights.iter().map(|w| w.abs()).sum();
        self.languages.iter().cloned().zip(self.weights.iter().map(|w| w / total)).collect()
    }
}

fn unlike(what: &str, fitted: &[String], found: &[String]) -> Error {
    Error::data(format!("parallel queries in {fitted:?} for validation, but {found:?} for {what}"))
        .hint("fit again with `tinyglot evaluate`")
}
