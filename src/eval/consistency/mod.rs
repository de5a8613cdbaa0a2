//! Cross-lingual consistency: one query in several languages, their scores joined into one (Burns et al. 2020, 3.4).
//!
//! CLC-A is the mean of the scores. CLC-C is a small network fitted on the validation split ([`network`]). Its equal
//! start leaves it one weight per language, so [`weighted`] fits such weights directly, to the best of a convex loss, and
//! joins the sentences' vectors instead of their scores: a sum of unit vectors is the shorter the less they agree, which
//! makes the scores of different queries incomparable where pictures look for theirs.

pub mod network;
pub mod triplet;
pub mod weighted;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ordered;
use super::recall::{Retrieval, Standing, best_own};
use super::similarity::{Kernel, check_finite};
use crate::config::{ConsistencyConfig, TripletConfig};
use crate::ops::linear::unit_row;
use crate::{Error, Result};
use network::Network;
use weighted::Weighted;

/// The scores of queries in several languages with all pictures of a split.
#[derive(Debug, Clone)]
pub struct ParallelScores {
    languages: Vec<String>,
    images: usize,
    image_of: Vec<u32>,
    scores: Vec<Vec<f32>>,    // for each language (queries, images)
    sentences: Vec<Vec<f32>>, // for each language (queries, width)
    pictures: Vec<f32>,       // (images, width)
    width: usize,
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
        let images_len = images.len() / width;
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
        if sentences.is_empty() || image_of.is_empty() {
            return Err(Error::data("consistency needs queries in at least one language")
                .hint("set `data.parallel` to captions that are translations of each other"));
        }
        if let Some(q) = image_of.iter().position(|&i| i as usize >= images_len) {
            return Err(Error::data(format!("query {q} speaks of picture {} of {images_len}", image_of[q])));
        }
        let (languages, sentences) = sentences.iter().cloned().unzip();
        let (image_of, pictures) = (image_of.to_vec(), images.to_vec());
        Ok(ParallelScores { languages, images: images_len, image_of, scores, sentences, pictures, width })
    }

    pub fn languages(&self) -> &[String] {
        &self.languages
    }

    /// For each language (queries, images).
    pub fn scores(&self) -> Vec<&[f32]> {
        self.scores.iter().map(Vec::as_slice).collect()
    }

    /// The scores of the joined sentences with all pictures (queries, images); `weights` by language.
    fn joined(&self, weights: &[f32]) -> Vec<f32> {
        let sentences: Vec<&[f32]> = self.sentences.iter().map(Vec::as_slice).collect();
        let joined = joined(&sentences, weights, self.width);
        Kernel::detect().matrix(&joined, &self.pictures, self.width)
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

/// Sentences in several languages as one: the weighted sum of their vectors at unit length, so that its cosine with a picture
/// says as much as that of a single sentence, whatever the query.
///
/// `sentences`: for each language (queries, width); `weights`: one for each. Sentences that cancel each other are zero.
pub fn joined(sentences: &[&[f32]], weights: &[f32], width: usize) -> Vec<f32> {
    let mut sum = weighted_sum(weights, sentences);
    sum.chunks_mut(width).for_each(unit_row);
    sum
}

fn weighted_sum(weights: &[f32], rows: &[&[f32]]) -> Vec<f32> {
    let mut sum = vec![0.0; rows[0].len()];
    for (&weight, rows) in weights.iter().zip(rows) {
        sum.iter_mut().zip(*rows).for_each(|(sum, x)| *sum += weight * x);
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
        let mean = weighted_sum(&vec![1.0 / scores.len() as f32; scores.len()], &scores);
        Ok(Consistency {
            queries: test.image_of.len(),
            images: test.images,
            languages: test.languages.iter().cloned().zip(scores.iter().map(|s| test.retrieval(s))).collect(),
            mean: test.retrieval(&mean),
            network: test.retrieval(&network.forward(&scores)),
            weighted: test.retrieval(&test.joined(&weighted.weights)),
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
