//! Ranks and recall, both ways, in one pass over tiles of scores: memory grows with the rows, never with their product.
//!
//! Text to image: a caption asks, all pictures (and distractors) are ranked, its own picture is right.
//! Image to text: a picture asks, all captions are ranked, it is a hit when any of its own captions is among the
//! first K. A picture without captions (a language may lack some) asks nothing and stays in the gallery.
//!
//! Ties: every order of equal scores counts as equally likely, and the recall is the expected one. So no order of the
//! rows matters, and a model that gives all pairs one score gets exactly chance: K of N.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::similarity::{COLUMNS, Kernel, Panels, ROWS, Tile, check_finite, tile_rows};
use crate::{Error, Result};

/// The tie rule in words, for reports.
pub const TIE_RULE: &str = "equal scores count in expectation over their orders";

/// Recall in one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recall {
    /// Percent of queries with a right answer first.
    #[serde(rename = "R@1")]
    pub r1: f64,
    /// Percent with a right answer among the first five.
    #[serde(rename = "R@5")]
    pub r5: f64,
    /// Percent with a right answer among the first ten.
    #[serde(rename = "R@10")]
    pub r10: f64,
    /// Median rank of the best right answer, counted from 1; an expected rank where scores tie.
    pub median_rank: f64,
    /// Mean of those ranks.
    pub mean_rank: f64,
    /// Queries whose best right answer ties with a wrong one.
    pub ties: usize,
}

/// Recall in both directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieval {
    /// Captions that asked.
    pub captions: usize,
    /// Mean of the six recalls, in percent.
    #[serde(rename = "mR")]
    pub mr: f64,
    /// Captions that look for their picture.
    pub t2i: Recall,
    /// Pictures that look for their captions.
    pub i2t: Recall,
}

/// Where the best right answer of a query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Wrong answers with a higher score.
    pub better: u32,
    /// Wrong answers with the same score.
    pub tied: u32,
    /// Right answers with that score, at least one.
    pub right: u32,
}

impl Standing {
    /// Probability that a right answer is among the first `k`, over all orders of the tied.
    fn hit(self, k: u32) -> f64 {
        let places = k.saturating_sub(self.better);
        // Each of the free places in turn goes to a wrong answer.
        let miss: f64 = (0..places.min(self.tied + 1))
            .map(|taken| f64::from(self.tied - taken) / f64::from(self.tied + self.right - taken))
            .product();
        1.0 - miss
    }

    /// Expected rank of the first right answer: `right` among `tied` cut them into `right + 1` runs of equal mean.
    fn rank(self) -> f64 {
        f64::from(self.better) + 1.0 + f64::from(self.tied) / (f64::from(self.right) + 1.0)
    }
}

impl Recall {
    pub(super) fn of(standings: &[Standing]) -> Recall {
        let n = standings.len() as f64;
        let at = |k| 100.0 * standings.iter().map(|s| s.hit(k)).sum::<f64>() / n;
        let mut ranks: Vec<f64> = standings.iter().map(|s| s.rank()).collect();
        ranks.sort_by(f64::total_cmp);
        Recall {
            r1: at(1),
            r5: at(5),
            r10: at(10),
            median_rank: (ranks[(ranks.len() - 1) / 2] + ranks[ranks.len() / 2]) / 2.0,
            mean_rank: ranks.iter().sum::<f64>() / n,
            ties: standings.iter().filter(|s| s.tied > 0).count(),
        }
    }

    /// The mean of the three recalls.
    pub(super) fn mean_of_three(&self) -> f64 {
        (self.r1 + self.r5 + self.r10) / 3.0
    }

    /// Means over several galleries; ties are added.
    fn mean(recalls: &[&Recall]) -> Recall {
        let mean =
            |field: fn(&Recall) -> f64| recalls.iter().map(|r| field(r)).sum::<f64>() / recalls.len() as f64;
        Recall {
            r1: mean(|r| r.r1),
            r5: mean(|r| r.r5),
            r10: mean(|r| r.r10),
            median_rank: mean(|r| r.median_rank),
            mean_rank: mean(|r| r.mean_rank),
            ties: recalls.iter().map(|r| r.ties).sum(),
        }
    }
}

impl Retrieval {
    fn new(captions: usize, t2i: Recall, i2t: Recall) -> Retrieval {
        let mr = (t2i.r1 + t2i.r5 + t2i.r10 + i2t.r1 + i2t.r5 + i2t.r10) / 6.0;
        Retrieval { captions, mr, t2i, i2t }
    }

    /// The mean over galleries, in which `captions` asked altogether.
    pub(super) fn mean(captions: usize, parts: &[Retrieval]) -> Retrieval {
        let t2i: Vec<&Recall> = parts.iter().map(|p| &p.t2i).collect();
        let i2t: Vec<&Recall> = parts.iter().map(|p| &p.i2t).collect();
        Retrieval::new(captions, Recall::mean(&t2i), Recall::mean(&i2t))
    }

    pub(super) fn of(captions: &[Standing], pictures: &[Standing]) -> Retrieval {
        Retrieval::new(captions.len(), Recall::of(captions), Recall::of(pictures))
    }
}

/// Recall of captions (c, width) and pictures (p, width), rows of unit length.
///
/// `image_of[c]` is the picture row that caption c speaks of. The first `queried` pictures may have captions; the rows
/// behind them are distractors, in the gallery of text to image only.
///
/// # Errors
/// Data: numbers that are not finite or not rows of `width`, fewer pictures than `queried`, no captions, or one of a picture that is not
/// among the `queried`.
pub fn retrieval(
    captions: &[f32],
    image_of: &[u32],
    images: &[f32],
    queried: usize,
    width: usize,
) -> Result<Retrieval> {
    retrieval_with(Kernel::detect(), captions, image_of, images, queried, width)
}

/// The mean over `folds` galleries, each the next `queried / folds` pictures with their captions: COCO's "1K" is the
/// 5,000 test pictures in five folds. With one fold it is [`retrieval`].
///
/// # Errors
/// As [`retrieval`], for each fold; data, where the folds do not divide the pictures, or there are distractors.
pub fn retrieval_in_folds(
    captions: &[f32],
    image_of: &[u32],
    images: &[f32],
    queried: usize,
    width: usize,
    folds: usize,
) -> Result<Retrieval> {
    if folds <= 1 {
        return retrieval(captions, image_of, images, queried, width);
    }
    check_shapes(captions, image_of, images, queried, width)?;
    let size = fold_size(queried, images.len() / width, folds)?;
    let mut parts = Vec::with_capacity(folds);
    for fold in 0..folds {
        let first = fold * size;
        let mut rows = Vec::new();
        let mut own = Vec::new();
        for (row, &image) in captions.chunks_exact(width).zip(image_of) {
            if let Some(image) = (image as usize).checked_sub(first).filter(|&i| i < size) {
                rows.extend_from_slice(row);
                own.push(image as u32);
            }
        }
        parts.push(retrieval(&rows, &own, &images[first * width..][..size * width], size, width)?);
    }
    Ok(Retrieval::mean(image_of.len(), &parts))
}

/// Pictures of a fold, where `queried` of all `images` have captions.
pub(super) fn fold_size(queried: usize, images: usize, folds: usize) -> Result<usize> {
    if folds > 0 && queried.is_multiple_of(folds) && images == queried {
        return Ok(queried / folds);
    }
    let more = images - queried;
    Err(Error::data(format!("{queried} pictures and {more} distractors cannot be cut into {folds} folds"))
        .hint("folds need a number of pictures that they divide, and no distractors"))
}

fn check_shapes(
    captions: &[f32],
    image_of: &[u32],
    images: &[f32],
    queried: usize,
    width: usize,
) -> Result<()> {
    if width == 0 || captions.len() != image_of.len() * width || !images.len().is_multiple_of(width) {
        return Err(Error::data(format!(
            "{} caption numbers for {} captions and {} picture numbers are not rows of width {width}",
            captions.len(),
            image_of.len(),
            images.len()
        )));
    }
    if queried > images.len() / width {
        let rows = images.len() / width;
        return Err(Error::data(format!("{queried} pictures with captions, but only {rows} picture rows")));
    }
    if image_of.is_empty() {
        return Err(Error::data("no captions to evaluate").hint("check the split and the language"));
    }
    match image_of.iter().position(|&image| image as usize >= queried) {
        Some(c) => Err(Error::data(format!(
            "caption row {c} speaks of picture {}, but there are {queried}",
            image_of[c]
        ))),
        None => Ok(()),
    }
}

fn retrieval_with(
    kernel: Kernel,
    captions: &[f32],
    image_of: &[u32],
    images: &[f32],
    queried: usize,
    width: usize,
) -> Result<Retrieval> {
    check_shapes(captions, image_of, images, queried, width)?;
    check_finite(captions, width, "caption")?;
    check_finite(images, width, "picture")?;
    let own: Vec<f32> = captions
        .par_chunks_exact(width)
        .zip(image_of)
        .map(|(caption, &image)| kernel.dot(caption, &images[image as usize * width..][..width]))
        .collect();
    let best = best_own(&own, image_of, queried);
    let panels = Panels::new(images, width);
    let counts = Counts::of(kernel, captions, &panels, &own, &best.scores, width);
    let caption_standings: Vec<Standing> = counts
        .captions
        .iter()
        .map(|&(better, equal)| Standing { better, tied: equal - 1, right: 1 }) // its own picture is equal
        .collect();
    let picture_standings: Vec<Standing> = (0..queried)
        .filter(|&i| best.tied[i] > 0)
        .map(|i| {
            let (better, equal) = (counts.better[i].load(Relaxed), counts.equal[i].load(Relaxed));
            Standing { better, tied: equal - best.tied[i], right: best.tied[i] }
        })
        .collect();
    Ok(Retrieval::of(&caption_standings, &picture_standings))
}

/// For each picture the highest score of its own captions, and how many of them have it.
pub(super) struct Best {
    /// +∞ without captions: no score counts against it.
    pub scores: Vec<f32>,
    pub tied: Vec<u32>,
}

pub(super) fn best_own(own: &[f32], image_of: &[u32], pictures: usize) -> Best {
    let mut best = Best { scores: vec![f32::INFINITY; pictures], tied: vec![0; pictures] };
    for (&score, &image) in own.iter().zip(image_of) {
        let image = image as usize;
        if best.tied[image] == 0 || score > best.scores[image] {
            best.scores[image] = score;
            best.tied[image] = 1;
        } else if score == best.scores[image] {
            best.tied[image] += 1;
        }
    }
    best
}

/// How many scores are higher than, and equal to, the own score of each caption and each picture.
struct Counts {
    captions: Vec<(u32, u32)>,
    // Sums of whole numbers: the order in which threads add to them does not matter.
    better: Vec<AtomicU32>,
    equal: Vec<AtomicU32>,
}

/// Captions of one task: enough that a panel is used often while it is in the cache.
const BLOCK: usize = 16 * ROWS;

impl Counts {
    fn of(
        kernel: Kernel,
        captions: &[f32],
        panels: &Panels,
        own: &[f32],
        best: &[f32],
        width: usize,
    ) -> Counts {
        let zeros = |n: usize| (0..n).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        let mut counts =
            Counts { captions: vec![(0, 0); own.len()], better: zeros(best.len()), equal: zeros(best.len()) };
        let (better, equal) = (&counts.better, &counts.equal);
        counts
            .captions
            .par_chunks_mut(BLOCK)
            .zip(captions.par_chunks(BLOCK * width))
            .zip(own.par_chunks(BLOCK))
            .for_each(|((counts, captions), own)| {
                let mut tile: Tile = [[0.0; COLUMNS]; ROWS];
                for (first, filled, panel) in panels.iter() {
                    let mut columns = Columns::new(best.get(first..).unwrap_or(&[]));
                    for (rows, (counts, own)) in
                        captions.chunks(ROWS * width).zip(counts.chunks_mut(ROWS).zip(own.chunks(ROWS)))
                    {
                        kernel.tile(&tile_rows(rows, width), panel, &mut tile);
                        for ((row, count), &own) in tile.iter_mut().zip(counts).zip(own) {
                            row[filled..].fill(f32::NEG_INFINITY); // columns that are no rows
                            columns.add(row);
                            count.0 += row.iter().map(|&s| u32::from(s > own)).sum::<u32>();
                            count.1 += row.iter().map(|&s| u32::from(s == own)).sum::<u32>();
                        }
                    }
                    for (column, slot) in (first..best.len().min(first + COLUMNS)).enumerate() {
                        better[slot].fetch_add(columns.better[column], Relaxed);
                        equal[slot].fetch_add(columns.equal[column], Relaxed);
                    }
                }
            });
        counts
    }
}

/// Counts of the pictures of one panel.
struct Columns {
    best: [f32; COLUMNS],
    better: [u32; COLUMNS],
    equal: [u32; COLUMNS],
}

impl Columns {
    fn new(best: &[f32]) -> Columns {
        let best = std::array::from_fn(|c| best.get(c).copied().unwrap_or(f32::INFINITY));
        Columns { best, better: [0; COLUMNS], equal: [0; COLUMNS] }
    }

    fn add(&mut self, scores: &[f32; COLUMNS]) {
        for (((score, best), better), equal) in
            scores.iter().zip(&self.best).zip(&mut self.better).zip(&mut self.equal)
        {
            *better += u32::from(score > best);
            *equal += u32::from(score == best);
        }
    }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
