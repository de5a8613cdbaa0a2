//! Cross-lingual consistency: one query in several languages, their scores joined into one (Burns et al. 2020, 3.4).
//!
//! CLC-A is the mean of the scores. CLC-C is a small network fitted on the validation split ([`network`]). Its equal
//! start leaves it one weight per language, so [`weighted`] fits such weights directly, to the best of a convex loss, and
//! joins the sentences' vectors instead of their scores: a sum of unit vectors is the shorter the less they agree, which
//! makes the scores of different queries incomparable where pictures look for theirs.
//!
//! What is fitted ([`Fitted`]) is measured on the captions of each query language with their translations ([`ByLanguage`]), as in
//! the paper's tables 1 and 2, and on parallel captions ([`Consistency`]).

mod by_language;
mod fitted;
pub mod network;
mod parallel;
pub(crate) mod together;
pub mod triplet;
pub mod weighted;

use super::recall::{Retrieval, Standing, best_own, fold_size};
use super::similarity::{Kernel, check_finite};
use crate::ops::linear::unit_row;
use crate::{Error, Result};

pub use by_language::{ByLanguage, Coverage, MeanRecalls, WAYS};
pub use fitted::{Fitted, Joined};
pub use parallel::Consistency;

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
    folds: usize,
}

impl ParallelScores {
    /// Row q of every language is the same sentence, about picture `image_of[q]`.
    ///
    /// `sentences`: for each language its code and (queries, width); `images`: (images, width); rows of unit length.
    ///
    /// # Errors
    /// Data: numbers that are not finite or not rows of `width`, languages with different numbers of queries, no queries, or one of a
    /// picture that is not there.
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
            return Err(Error::data("consistency needs queries in at least one language").hint(
                "set `data.translations`, or `data.parallel` to captions that are translations of each other",
            ));
        }
        if let Some(q) = image_of.iter().position(|&i| i as usize >= images_len) {
            return Err(Error::data(format!("query {q} speaks of picture {} of {images_len}", image_of[q])));
        }
        let (languages, sentences) = sentences.iter().cloned().unzip();
        let (image_of, pictures) = (image_of.to_vec(), images.to_vec());
        Ok(ParallelScores {
            languages,
            images: images_len,
            image_of,
            scores,
            sentences,
            pictures,
            width,
            folds: 1,
        })
    }

    /// Measured as the mean over `folds` galleries of the `queried` pictures, none of which may be a distractor; with one fold
    /// over all pictures.
    ///
    /// # Errors
    /// Data, where the folds do not divide the pictures, or some pictures are distractors.
    pub fn in_folds(self, queried: usize, folds: usize) -> Result<ParallelScores> {
        if folds > 1 {
            fold_size(queried, self.images, folds)?;
        }
        Ok(ParallelScores { folds, ..self })
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

    /// The number of queries.
    pub fn queries(&self) -> usize {
        self.image_of.len()
    }

    /// Recall of one matrix (queries, images) of scores for these queries.
    pub fn retrieval(&self, scores: &[f32]) -> Retrieval {
        if self.folds <= 1 {
            return retrieval(scores, &self.image_of, self.images);
        }
        let size = self.images / self.folds;
        let gallery = |first: usize| {
            let inside = |i: u32| (i as usize).checked_sub(first).filter(|i| *i < size);
            let own = scores.chunks_exact(self.images).zip(&self.image_of);
            let own = own.filter_map(|(row, &i)| Some((&row[first..first + size], inside(i)? as u32)));
            let (rows, image_of): (Vec<&[f32]>, Vec<u32>) = own.unzip();
            retrieval(&rows.concat(), &image_of, size)
        };
        let parts: Vec<Retrieval> = (0..self.folds).map(|fold| gallery(fold * size)).collect();
        Retrieval::mean(self.queries(), &parts)
    }
}

/// Recall of a matrix (queries, images) of scores.
fn retrieval(scores: &[f32], image_of: &[u32], images: usize) -> Retrieval {
    let own: Vec<f32> = scores.chunks_exact(images).zip(image_of).map(|(row, &i)| row[i as usize]).collect();
    let best = best_own(&own, image_of, images);
    let mut pictures = vec![(0, 0); images];
    let mut queries = Vec::with_capacity(own.len());
    for (row, &own) in scores.chunks_exact(images).zip(&own) {
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

/// Each set with its share of all queries, which is its share of the pairs of a query and its picture.
fn shares(sets: &[ParallelScores]) -> impl Iterator<Item = (f64, &ParallelScores)> {
    let all = sets.iter().map(ParallelScores::queries).sum::<usize>() as f64;
    sets.iter().map(move |set| (set.queries() as f64 / all, set))
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

/// CLC-A: the mean of equally long slices of scores, one for each language.
pub fn clc_a(scores: &[&[f32]]) -> Vec<f32> {
    weighted_sum(&vec![1.0 / scores.len() as f32; scores.len()], scores)
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
