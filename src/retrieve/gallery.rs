//! The pictures of a gallery that fit a query best.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::Retriever;
use crate::Result;
use crate::corpus::PictureSource;
use crate::eval::encoder::add_pictures;
use crate::eval::similarity::{Kernel, check_finite};

/// A picture found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Row of the gallery.
    pub row: u32,
    /// Cosine of query and picture.
    pub score: f32,
}

/// Queries compared with pictures at a time: their scores are never all in memory.
const QUERIES: usize = 1024;

/// Makes one score of those of several languages, for each of equally many queries and pictures.
pub type Join<'a> = &'a dyn Fn(&[&[f32]]) -> Vec<f32>;

/// Pictures as vectors of a model, some at a time: all in memory, in an index, or made as they are asked for.
pub trait PictureVectors {
    /// Width of the vectors.
    fn joint(&self) -> usize;

    /// Gives all of them in order: `take` gets the first one's number and (pictures, joint) of unit length.
    ///
    /// # Errors
    /// Data, where pictures cannot be used; those of `take`.
    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()>;

    /// What [`search`] finds, where there is a faster way than to score all: nearly the best, with the scores that they have. `queries` are finite.
    fn faster(&self, queries: &[f32], k: usize) -> Option<Vec<Vec<Hit>>> {
        let _ = (queries, k);
        None
    }
}

/// Pictures that become vectors as they are asked for: a gallery that is larger than memory, or searched once.
pub struct Embedding<'a> {
    /// Makes vectors of pictures.
    pub model: &'a dyn Retriever,
    /// Read as they are needed.
    pub pictures: &'a dyn PictureSource,
}

impl PictureVectors for Embedding<'_> {
    fn joint(&self) -> usize {
        self.model.joint()
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        self.model.pictures(self.pictures, take)
    }
}

impl PictureVectors for Gallery {
    fn joint(&self) -> usize {
        self.joint
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        take(0, &self.vectors)
    }
}

/// Pictures as vectors, made once and searched often, from many threads.
#[derive(Debug, Clone)]
pub struct Gallery {
    /// (pictures, joint), unit length.
    vectors: Vec<f32>,
    joint: usize,
}

impl Gallery {
    /// The pictures of a source as a model sees them. All of them are in memory: (pictures, joint) numbers of 4 bytes.
    ///
    /// # Errors
    /// Data: pictures of another width than those that the model was trained on, or with numbers that are too large.
    pub fn new(model: &dyn Retriever, pictures: &dyn PictureSource) -> Result<Gallery> {
        let (mut vectors, encoder) = (Vec::new(), model.encoder());
        add_pictures(&*encoder, pictures, &mut vectors)?;
        Ok(Gallery { vectors, joint: encoder.joint() })
    }

    /// Pictures whose vectors are there: (pictures, joint), finite, unit length.
    ///
    /// # Panics
    /// Where these are no whole vectors.
    pub fn of_vectors(vectors: Vec<f32>, joint: usize) -> Gallery {
        assert!(vectors.len().is_multiple_of(joint), "vectors of {joint} numbers");
        Gallery { vectors, joint }
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.vectors.len() / self.joint
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// The `k` best pictures of each query, the best first, equal scores by row.
    ///
    /// `queries`: (queries, joint), finite, unit length.
    pub fn search(&self, queries: &[f32], k: usize) -> Vec<Vec<Hit>> {
        self.search_joined(&[queries], &alone, k)
    }

    /// As [`Gallery::search`], for queries in several languages whose scores are joined.
    ///
    /// `queries`: for each language (queries, joint), finite, unit length.
    pub fn search_joined(&self, queries: &[&[f32]], join: Join, k: usize) -> Vec<Vec<Hit>> {
        let mut best = Best::of_each(queries[0].len() / self.joint, k);
        offer(&mut best, (0, &self.vectors), queries, join, self.joint);
        best.into_iter().map(Best::into_sorted).collect()
    }
}

/// The join of one language.
fn alone(scores: &[&[f32]]) -> Vec<f32> {
    scores[0].to_vec()
}

/// The `k` best pictures of each query, the best first, equal scores by row, one tile of vectors at a time; or by a faster way, where the pictures have
/// one ([`PictureVectors::faster`]).
///
/// `queries`: (queries, joint), unit length.
///
/// # Errors
/// Data: as [`PictureVectors::tiles`]; queries that are not finite.
pub fn search(pictures: &dyn PictureVectors, queries: &[f32], k: usize) -> Result<Vec<Vec<Hit>>> {
    check_finite(queries, pictures.joint(), "query")?;
    match pictures.faster(queries, k) {
        Some(found) => Ok(found),
        None => search_joined(pictures, &[queries], &alone, k),
    }
}

/// As [`search`], for queries in several languages whose scores are joined.
///
/// `queries`: for each language (queries, joint), unit length.
///
/// # Errors
/// As [`search`].
pub fn search_joined(
    pictures: &dyn PictureVectors,
    queries: &[&[f32]],
    join: Join,
    k: usize,
) -> Result<Vec<Vec<Hit>>> {
    let joint = pictures.joint();
    queries.iter().try_for_each(|of| check_finite(of, joint, "query"))?;
    let mut best = Best::of_each(queries[0].len() / joint, k);
    pictures.tiles(&mut |first, some| {
        offer(&mut best, (first, some), queries, join, joint);
        Ok(())
    })?;
    Ok(best.into_iter().map(Best::into_sorted).collect())
}

/// Compares queries with pictures, the first of which is in row `first`.
fn offer(
    best: &mut [Best],
    (first, pictures): (usize, &[f32]),
    queries: &[&[f32]],
    join: Join,
    joint: usize,
) {
    let (kernel, count) = (Kernel::detect(), pictures.len() / joint);
    if count == 0 {
        return;
    }
    for (block, best) in best.chunks_mut(QUERIES).enumerate() {
        let rows = block * QUERIES * joint..(block * QUERIES + best.len()) * joint;
        let each: Vec<Vec<f32>> =
            queries.iter().map(|of| kernel.matrix(&of[rows.clone()], pictures, joint)).collect();
        let scores = join(&each.iter().map(Vec::as_slice).collect::<Vec<_>>()); // (queries, count)
        best.par_iter_mut().zip(scores.par_chunks(count)).for_each(|(best, scores)| {
            for (row, &score) in (first as u32..).zip(scores) {
                best.offer(Hit { row, score });
            }
        });
    }
}

/// The best so far.
pub(super) struct Best {
    k: usize,
    worst_first: BinaryHeap<ByWorst>,
}

impl Best {
    fn of_each(queries: usize, k: usize) -> Vec<Best> {
        (0..queries).map(|_| Best::new(k)).collect()
    }

    pub(super) fn new(k: usize) -> Best {
        Best { k, worst_first: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, found: Hit) {
        if self.worst_first.len() < self.k {
            self.worst_first.push(ByWorst(found));
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            && ByWorst(found) < *worst
        {
            *worst = ByWorst(found);
        }
    }

    pub(super) fn into_sorted(self) -> Vec<Hit> {
        self.worst_first.into_sorted_vec().into_iter().map(|by| by.0).collect()
    }
}

/// Greater is worse: a lower score, or the same in a later row.
struct ByWorst(Hit);

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

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn models_and_galleries_are_used_from_many_threads() {
        fn shared<T: Send + Sync + ?Sized>() {}
        shared::<dyn Retriever>();
        shared::<Gallery>();
    }

    #[test]
    fn a_gallery_is_searched_often_and_says_the_same() {
        let gallery = Gallery::of_vectors(vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2);
        assert_eq!((gallery.len(), gallery.is_empty()), (3, false));
        let rows = |queries: &[f32]| -> Vec<Vec<u32>> {
            gallery.search(queries, 2).iter().map(|found| found.iter().map(|hit| hit.row).collect()).collect()
        };
        assert_eq!(rows(&[1.0, 0.0, 0.0, 1.0]), [[0, 2], [1, 2]]);
        std::thread::scope(|scope| {
            let both: Vec<_> = (0..2).map(|_| scope.spawn(|| rows(&[0.6, 0.8]))).collect();
            both.into_iter().for_each(|rows| assert_eq!(rows.join().unwrap(), [[2, 1]]));
        });
        let joined = gallery.search_joined(
            &[&[1.0, 0.0], &[0.0, 1.0]],
            &|scores| scores[0].iter().zip(scores[1]).map(|(a, b)| a + b).collect(),
            1,
        );
        assert_eq!(joined[0][0].row, 2);
    }

    #[test]
    fn the_best_are_kept_in_order_and_equal_scores_by_row() {
        let scores = [0.1, 0.9, -0.5, 0.9, 0.3, 0.9, 0.2];
        let rows = |k: usize, order: &mut dyn Iterator<Item = usize>| -> Vec<u32> {
            let mut best = Best::new(k);
            order.for_each(|row| best.offer(Hit { row: row as u32, score: scores[row] }));
            best.into_sorted().iter().map(|f| f.row).collect()
        };
        assert_eq!(rows(2, &mut (0..7)), [1, 3]);
        assert_eq!(rows(2, &mut (0..7).rev()), [1, 3]);
        assert_eq!(rows(5, &mut (0..7)), [1, 3, 5, 4, 6]);
        assert_eq!(rows(50, &mut (0..7)), [1, 3, 5, 4, 6, 0, 2]);
    }
}
