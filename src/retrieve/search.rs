//! The pictures of a gallery that fit a query best.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::Retriever;
use crate::Result;
use crate::corpus::Features;
use crate::error::InFile;
use crate::eval::similarity::{Kernel, check_finite};

/// A picture found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Row of the gallery.
    pub row: u32,
    /// Cosine of query and picture.
    pub score: f32,
}

/// Queries compared with a tile of pictures at a time: their scores are never all in memory.
const QUERIES: usize = 1024;

/// Makes one score of those of several languages, for each of equally many queries and pictures.
pub type Join<'a> = &'a dyn Fn(&[&[f32]]) -> Vec<f32>;

/// What [`Retriever::search_joined`] does.
pub(super) fn search<R: Retriever + ?Sized>(
    run: &mut R,
    gallery: &Features,
    queries: &[&[f32]],
    join: Join,
    k: usize,
) -> Result<Vec<Vec<Found>>> {
    let width = run.joint();
    let kernel = Kernel::detect();
    for of in queries {
        check_finite(of, width, "query").in_file(&run.folder().path)?;
    }
    let asked = queries[0].len() / width;
    let mut best: Vec<Best> = (0..asked).map(|_| Best::new(k)).collect();
    run.pictures(gallery, &mut |first, pictures| {
        let count = pictures.len() / width;
        for (block, best) in (0..asked).step_by(QUERIES).zip(best.chunks_mut(QUERIES)) {
            let rows = block * width..(block + best.len()) * width;
            let each: Vec<Vec<f32>> =
                queries.iter().map(|of| kernel.matrix(&of[rows.clone()], pictures, width)).collect();
            let scores = join(&each.iter().map(Vec::as_slice).collect::<Vec<_>>()); // (queries, count)
            best.par_iter_mut().zip(scores.par_chunks(count)).for_each(|(best, scores)| {
                for (row, &score) in (first as u32..).zip(scores) {
                    best.offer(Found { row, score });
                }
            });
        }
        Ok(())
    })?;
    Ok(best.into_iter().map(Best::into_sorted).collect())
}

/// The best so far.
struct Best {
    k: usize,
    worst_first: BinaryHeap<ByWorst>,
}

impl Best {
    fn new(k: usize) -> Best {
        Best { k, worst_first: BinaryHeap::new() }
    }

    fn offer(&mut self, found: Found) {
        if self.worst_first.len() < self.k {
            self.worst_first.push(ByWorst(found));
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            && ByWorst(found) < *worst
        {
            *worst = ByWorst(found);
        }
    }

    fn into_sorted(self) -> Vec<Found> {
        self.worst_first.into_sorted_vec().into_iter().map(|by| by.0).collect()
    }
}

/// Greater is worse: a lower score, or the same in a later row.
struct ByWorst(Found);

impl Ord for ByWorst {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.row.cmp(&other.0.row))
    }
}

impl PartialOrd for ByWorst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByWorst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByWorst {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order_and_equal_scores_by_row() {
        let scores = [0.1, 0.9, -0.5, 0.9, 0.3, 0.9, 0.2];
        let rows = |k: usize, order: &mut dyn Iterator<Item = usize>| -> Vec<u32> {
            let mut best = Best::new(k);
            order.for_each(|row| best.offer(Found { row: row as u32, score: scores[row] }));
            best.into_sorted().iter().map(|f| f.row).collect()
        };
        assert_eq!(rows(2, &mut (0..7)), [1, 3]);
        assert_eq!(rows(2, &mut (0..7).rev()), [1, 3]);
        assert_eq!(rows(5, &mut (0..7)), [1, 3, 5, 4, 6]);
        assert_eq!(rows(50, &mut (0..7)), [1, 3, 5, 4, 6, 0, 2]);
    }
}
