//! Cross-lingual consistency: one query in several languages, their scores joined into one (Burns et al. 2020, 3.4).
//!
//! CLC-A is the mean of the scores. CLC-C is a small network fitted on the validation split ([`network`]). Its equal
//! start leaves it one weight per language, so [`weighted`] fits such weights directly, to the best of a convex loss.

pub mod network;
pub mod triplet;
pub mod weighted;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ordered;
use super::recall::{Retrieval, Standing, best_own};
use super::similarity::{Kernel, check_finite};
use crate::config::{ConsistencyConfig, ConsistencyMethod, TripletConfig};
use crate::{Error, Result};
use network::Network;
use weighted::Weighted;

/// The scores of queries in several languages with all pictures of a split.
#[derive(Debug, Clone)]
pub struct ParallelScores {
    languages: Vec<String>,
    images: usize,
    image_of: Vec<u32>,
    scores: Vec<Vec<f32>>, // for each language (queries, images)
}

impl ParallelScores {
    /// Row q of every language is the same sentence, about picture `image_of[q]`.
    ///
    /// `sentences`: for each language its code and (queries, width); `images`: (images, width); rows of unit length.
    pub fn new(
        sentences: &[(String, Vec<f32>)],
        image_of: &[u32],
        images: &[f32],
        width: usize,
    ) -> Result<ParallelScores> {
        if width == 0 || !images.len().is_multiple_of(width) {
            return Err(Error::data(format!(
                "{} picture numbers are not rows of width {width}",
                images.len()
            )));
        }
        check_finite(images, width, "picture")?;
        let kernel = Kernel::detect();
        let mut scores = Vec::with_capacity(sentences.len());
        for (language, rows) in sentences {
            if rows.len() != image_of.len() * width {
                return Err(Error::data(format!(
                    "{} parallel queries in `{language}`, expected {}",
                    rows.len() / width,
                    image_of.len()
                )));
            }
            check_finite(rows, width, &format!("`{language}` query"))?;
            scores.push(kernel.matrix(rows, images, width));
        }
        let languages = sentences.iter().map(|(language, _)| language.clone()).collect();
        ParallelScores::from_scores(languages, images.len() / width, image_of.to_vec(), scores)
    }

    /// From ready scores, for each language (queries, images).
    pub fn from_scores(
        languages: Vec<String>,
        images: usize,
        image_of: Vec<u32>,
        scores: Vec<Vec<f32>>,
    ) -> Result<ParallelScores> {
        if languages.is_empty() || image_of.is_empty() {
            return Err(Error::data("consistency needs queries in at least one language")
                .hint("set `data.parallel` to captions that are translations of each other"));
        }
        if let Some(q) = image_of.iter().position(|&i| i as usize >= images) {
            return Err(Error::data(format!("query {q} speaks of picture {} of {images}", image_of[q])));
        }
        if scores.len() != languages.len() || scores.iter().any(|s| s.len() != image_of.len() * images) {
            return Err(Error::data("the languages' scores differ in number"));
        }
        for (language, scores) in languages.iter().zip(&scores) {
            check_finite(scores, images, &format!("`{language}` score"))?;
        }
        Ok(ParallelScores { languages, images, image_of, scores })
    }

    pub fn languages(&self) -> &[String] {
        &self.languages
    }

    /// For each language (queries, images).
    pub fn scores(&self) -> Vec<&[f32]> {
        self.scores.iter().map(Vec::as_slice).collect()
    }

    /// Recall of one matrix (queries, images) of scores for these queries.
    pub fn retrieval(&self, scores: &[f32]) -> Retrieval {
        let own: Vec<f32> =
            scores.chunks_exact(self.images).zip(&self.image_of).map(|(row, &i)| row[i as usize]).collect();
        let best = best_own(&own, &self.image_of, self.images);
        let mut pictures = vec![(0, 0); self.images];
        let mut queries = Vec::with_capacity(own.len());
        for (row, &own) in scores.chunks_exact(self.images).zip(&own) {
            let count = |test: fn(&f32, &f32) -> bool| row.iter().filter(|s| test(s, &own)).count() as u32;
            queries.push(Standing { better: count(f32::gt), tied: count(f32::eq) - 1, right: 1 });
            for ((score, best), (better, equal)) in row.iter().zip(&best.scores).zip(&mut pictures) {
                *better += u32::from(score > best);
                *equal += u32::from(score == best);
            }
        }
        let pictures: Vec<Standing> = pictures
            .iter()
            .zip(&best.tied)
            .filter(|&(_, &right)| right > 0)
            .map(|(&(better, equal), &right)| Standing { better, tied: equal - right, right })
            .collect();
        Retrieval::of(&queries, &pictures)
    }
}

/// What joins the scores of several languages; kept in the run folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Combiner {
    /// CLC-A.
    Mean,
    /// CLC-C.
    Network(Network),
    Weighted(Weighted),
}

impl Combiner {
    /// Fits the configured method on the validation split.
    pub fn fit(
        config: &ConsistencyConfig,
        triplet: &TripletConfig,
        validation: &ParallelScores,
        seed: u64,
    ) -> Combiner {
        match config.method {
            ConsistencyMethod::Mean => Combiner::Mean,
            ConsistencyMethod::Network => Combiner::Network(Network::fit(config, triplet, validation, seed)),
            ConsistencyMethod::Weighted => Combiner::Weighted(Weighted::fit(validation)),
        }
    }

    /// Joins scores, for each language in the order of the fit, element by element.
    pub fn combine(&self, scores: &[&[f32]]) -> Result<Vec<f32>> {
        let expected = match self {
            Combiner::Mean => scores.len(),
            Combiner::Network(network) => network.languages(),
            Combiner::Weighted(weighted) => weighted.weights.len(),
        };
        if scores.is_empty() || scores.len() != expected || scores.iter().any(|s| s.len() != scores[0].len())
        {
            return Err(Error::data(format!(
                "scores in {} languages for a consistency module of {expected}",
                scores.len()
            ))
            .hint("give the query in every language that the module was fitted on"));
        }
        Ok(match self {
            Combiner::Mean => weighted_sum(&vec![1.0 / scores.len() as f32; scores.len()], scores),
            Combiner::Network(network) => network.forward(scores),
            Combiner::Weighted(weighted) => weighted_sum(&weighted.weights, scores),
        })
    }
}

fn weighted_sum(weights: &[f32], scores: &[&[f32]]) -> Vec<f32> {
    let mut sum = vec![0.0; scores[0].len()];
    for (&weight, scores) in weights.iter().zip(scores) {
        sum.iter_mut().zip(*scores).for_each(|(sum, s)| *sum += weight * s);
    }
    sum
}

/// (rows, columns) turned to (columns, rows).
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| matrix[c..].iter().step_by(columns).copied()).collect()
}

/// Recall of parallel queries in each language alone and joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    pub queries: usize,
    pub images: usize,
    #[serde(with = "ordered")]
    pub languages: Vec<(String, Retrieval)>,
    #[serde(rename = "CLC-A")]
    pub mean: Retrieval,
    #[serde(rename = "CLC-C")]
    pub network: Retrieval,
    #[serde(rename = "Weighted")]
    pub weighted: Retrieval,
    /// The share of each language in `weighted`.
    #[serde(with = "ordered")]
    pub weights: Vec<(String, f32)>,
}

impl Consistency {
    /// Fits every method on `validation` and measures them on `test`.
    pub fn measure(
        config: &ConsistencyConfig,
        triplet: &TripletConfig,
        validation: &ParallelScores,
        test: &ParallelScores,
        seed: u64,
    ) -> Result<Consistency> {
        if validation.languages != test.languages {
            return Err(Error::data(format!(
                "parallel queries in {:?} for validation, but {:?} for the test",
                validation.languages, test.languages
            )));
        }
        let network = Network::fit(config, triplet, validation, seed);
        let weighted = Weighted::fit(validation);
        let total: f32 = weighted.weights.iter().map(|w| w.abs()).sum();
        let shares = weighted.weights.iter().map(|w| w / total);
        let weights = test.languages.iter().cloned().zip(shares).collect();
        let scores = test.scores();
        let of = |combiner: Combiner| Ok(test.retrieval(&combiner.combine(&scores)?));
        Ok(Consistency {
            queries: test.image_of.len(),
            images: test.images,
            languages: test.languages.iter().cloned().zip(scores.iter().map(|s| test.retrieval(s))).collect(),
            mean: of(Combiner::Mean)?,
            network: of(Combiner::Network(network))?,
            weighted: of(Combiner::Weighted(weighted))?,
            weights,
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
