//! Bitext retrieval: every sentence looks for its translation among all sentences of the other language, both ways, by cosine and by margin.
//!
//! One pass over tiles of scores keeps the [`NEIGHBOURS`] nearest of every row and of every column: memory grows with the rows, never with
//! their product. From these follow the margins (Artetxe & Schwenk 2019, "ratio"), as LASER's xsim has them: of the k nearest targets y of
//! x the one with the highest cos(x, y) / (a(x)/2 + a(y)/2) is taken, where a is the mean cosine of a sentence with its k nearest of the other
//! side.
//!
//! Ties: where the right answer is among n equally good ones it counts 1/n, as for recall. So a model that gives all pairs one score gets
//! chance. Which of equal cosines are among the k nearest, and what F1 counts as the answer, goes by their order in the file.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::similarity::{COLUMNS, Kernel, Panels, ROWS, Tile, check_finite, tile_rows};
use crate::{Error, Result};

/// Nearest sentences of a sentence that its mean cosine is over, k.
pub const NEIGHBOURS: usize = 4;

/// How often the translation is found in one direction, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Percent of sentences whose nearest one by cosine is the translation.
    pub cosine: f64,
    /// Percent where it is the best one by margin.
    pub margin: f64,
    /// Mean over the targets of F1 by cosine, where every target is a class (mteb's main score of bitext mining).
    #[serde(rename = "F1")]
    pub f1: f64,
    /// The mean precision of it.
    pub precision: f64,
    /// Sentences whose nearest one by cosine ties with another.
    pub ties: usize,
}

/// Looks for the row of `y` that belongs to each row of `x`, and the other way round: row i of both (n, width) belong together, rows of
/// unit length.
///
/// # Errors
/// Data: no rows, not equally many, not rows of `width`, or numbers that are not finite.
pub fn mine(x: &[f32], y: &[f32], width: usize) -> Result<[Way; 2]> {
    if width == 0 || x.is_empty() || x.len() != y.len() || !x.len().is_multiple_of(width) {
        let what = format!("{} and {} numbers are not equally many rows of width {width}", x.len(), y.len());
        return Err(Error::data(what));
    }
    check_finite(x, width, "source")?;
    check_finite(y, width, "target")?;
    let kernel = Kernel::detect();
    let own: Vec<f32> =
        x.par_chunks_exact(width).zip(y.par_chunks_exact(width)).map(|(x, y)| kernel.dot(x, y)).collect();
    let [forth, back] = nearest(kernel, x, y, width);
    let [a, b] = [&forth, &back].map(|all| all.iter().map(Nearest::mean).collect::<Vec<f64>>());
    Ok([Way::of(&own, &forth, &a, &b), Way::of(&own, &back, &b, &a)])
}

/// The nearest ones of a sentence, the best first; equal ones by their place.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Nearest {
    scores: [f32; NEIGHBOURS],
    rows: [u32; NEIGHBOURS],
    /// How many there are with the best score.
    best: u32,
}

impl Nearest {
    const NONE: Nearest =
        Nearest { scores: [f32::NEG_INFINITY; NEIGHBOURS], rows: [u32::MAX; NEIGHBOURS], best: 0 };

    /// The score that another one must reach.
    fn least(&self) -> f32 {
        self.scores[NEIGHBOURS - 1]
    }

    fn count(&self) -> usize {
        self.rows.iter().filter(|row| **row != u32::MAX).count()
    }

    /// The mean cosine of the nearest ones.
    fn mean(&self) -> f64 {
        let count = self.count();
        self.scores[..count].iter().map(|&s| f64::from(s)).sum::<f64>() / count as f64
    }

    fn add(&mut self, score: f32, row: u32) {
        if score > self.scores[0] {
            self.best = 1;
        } else if score == self.scores[0] {
            self.best += 1;
        }
        self.insert(score, row);
    }

    /// Puts one in its place, whatever the order in which they come.
    fn insert(&mut self, score: f32, row: u32) {
        let worse = |n: &usize| score > self.scores[*n] || (score == self.scores[*n] && row < self.rows[*n]);
        let Some(place) = (0..NEIGHBOURS).find(worse) else { return };
        for n in (place + 1..NEIGHBOURS).rev() {
            (self.scores[n], self.rows[n]) = (self.scores[n - 1], self.rows[n - 1]);
        }
        (self.scores[place], self.rows[place]) = (score, row);
    }

    /// Adds those of other rows.
    fn join(&mut self, other: &Nearest) {
        if other.scores[0] > self.scores[0] {
            self.best = other.best;
        } else if other.scores[0] == self.scores[0] {
            self.best += other.best;
        }
        for (&score, &row) in other.scores.iter().zip(&other.rows).take(other.count()) {
            self.insert(score, row);
        }
    }
}

/// Rows of one task: enough that a panel is used often while it is in the cache.
const BLOCK: usize = 16 * ROWS;

/// The nearest rows of `y` of each row of `x`, and the other way round. Each thread takes blocks of `x` as they come and keeps columns of its
/// own: which ones are nearest does not depend on the order.
fn nearest(kernel: Kernel, x: &[f32], y: &[f32], width: usize) -> [Vec<Nearest>; 2] {
    let (count, panels, next) = (x.len() / width, Panels::new(y, width), AtomicUsize::new(0));
    let threads = rayon::current_num_threads().min(count.div_ceil(BLOCK));
    let work = |_| {
        let (mut columns, mut blocks) = (vec![Nearest::NONE; count], Vec::new());
        loop {
            let first = next.fetch_add(1, Relaxed) * BLOCK;
            if first >= count {
                return (columns, blocks);
            }
            let rows = &x[first * width..(first + BLOCK).min(count) * width];
            blocks.push((first, block(kernel, rows, first, &panels, &mut columns, width)));
        }
    };
    let parts: Vec<_> = (0..threads).into_par_iter().map(work).collect();
    let (mut rows, mut columns) = (vec![Nearest::NONE; count], vec![Nearest::NONE; count]);
    for (part, blocks) in parts {
        columns.par_iter_mut().zip(&part).for_each(|(all, part)| all.join(part));
        blocks.iter().for_each(|(first, block)| rows[*first..][..block.len()].copy_from_slice(block));
    }
    [rows, columns]
}

/// The nearest columns of some rows, the first of which is row `first`; adds the rows to those of the columns.
fn block(
    kernel: Kernel,
    rows: &[f32],
    first: usize,
    panels: &Panels,
    columns: &mut [Nearest],
    width: usize,
) -> Vec<Nearest> {
    let mut found = vec![Nearest::NONE; rows.len() / width];
    let mut tile: Tile = [[0.0; COLUMNS]; ROWS];
    for (column, filled, panel) in panels.iter() {
        let columns = &mut columns[column..column + filled];
        let mut least = [f32::INFINITY; COLUMNS];
        least.iter_mut().zip(columns.iter()).for_each(|(least, nearest)| *least = nearest.least());
        for (group, (rows, found)) in rows.chunks(ROWS * width).zip(found.chunks_mut(ROWS)).enumerate() {
            kernel.tile(&tile_rows(rows, width), panel, &mut tile);
            for (n, (scores, nearest)) in tile.iter().zip(found).enumerate() {
                let row = (first + group * ROWS + n) as u32;
                if reached(scores, &[nearest.least(); COLUMNS]) {
                    for (c, &score) in scores[..filled].iter().enumerate() {
                        if score >= nearest.least() {
                            nearest.add(score, (column + c) as u32);
                        }
                    }
                }
                if reached(scores, &least) {
                    for (c, (&score, nearest)) in scores.iter().zip(columns.iter_mut()).enumerate() {
                        if score >= least[c] {
                            nearest.add(score, row);
                            least[c] = nearest.least();
                        }
                    }
                }
            }
        }
    }
    found
}

/// Whether any score is as high as what it must reach.
fn reached(scores: &[f32; COLUMNS], least: &[f32; COLUMNS]) -> bool {
    scores.iter().zip(least).map(|(score, least)| u32::from(score >= least)).sum::<u32>() > 0
}

impl Way {
    /// `own`: the cosine of each sentence with its translation; `nearest`: those found; `a` and `b`: the mean cosines of the sentences that ask,
    /// and of those that are asked for.
    fn of(own: &[f32], nearest: &[Nearest], a: &[f64], b: &[f64]) -> Way {
        let n = nearest.len();
        let percent = |sum: f64| 100.0 * sum / n as f64;
        let cosine = |i: usize| match own[i] == nearest[i].scores[0] {
            true => 1.0 / f64::from(nearest[i].best),
            false => 0.0,
        };
        let margin = |i: usize| {
            let found = &nearest[i];
            let margin = |j: usize| {
                let row = found.rows[j] as usize;
                // Without a cosine above 0 there may be nothing to divide by.
                let ratio = f64::from(found.scores[j]) / ((a[i] + b[row]) / 2.0);
                if ratio.is_nan() { f64::NEG_INFINITY } else { ratio }
            };
            let margins: Vec<f64> = (0..found.count()).map(margin).collect();
            let best = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let right = margins.iter().zip(&found.rows).any(|(m, row)| *m == best && *row as usize == i);
            match right {
                true => 1.0 / margins.iter().filter(|m| **m == best).count() as f64,
                false => 0.0,
            }
        };
        let mut picked = vec![0u32; n];
        nearest.iter().for_each(|found| picked[found.rows[0] as usize] += 1);
        let right = |i: &usize| nearest[*i].rows[0] as usize == *i;
        Way {
            cosine: percent((0..n).map(cosine).sum()),
            margin: percent((0..n).map(margin).sum()),
            f1: percent((0..n).filter(right).map(|i| 2.0 / f64::from(picked[i] + 1)).sum()),
            precision: percent((0..n).filter(right).map(|i| 1.0 / f64::from(picked[i])).sum()),
            ties: nearest.iter().filter(|found| found.best > 1).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn rows(n: usize, width: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut rows: Vec<f32> = (0..n * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        for row in rows.chunks_exact_mut(width) {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= length);
        }
        rows
    }

    /// All scores in order, sorted: what [`nearest`] must give.
    fn sorted(x: &[f32], y: &[f32], width: usize) -> Vec<Nearest> {
        let kernel = Kernel::detect();
        let of = |x: &[f32]| {
            let mut all: Vec<(f32, u32)> =
                y.chunks(width).enumerate().map(|(n, y)| (kernel.dot(x, y), n as u32)).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut nearest = Nearest::NONE;
            nearest.best = all.iter().filter(|s| s.0 == all[0].0).count() as u32;
            for (n, (score, row)) in all.into_iter().take(NEIGHBOURS).enumerate() {
                (nearest.scores[n], nearest.rows[n]) = (score, row);
            }
            nearest
        };
        x.chunks(width).map(of).collect()
    }

    #[test]
    fn the_nearest_are_those_of_all_scores_sorted_whatever_the_threads() {
        for (n, width, repeated) in [(1, 3, 0), (3, 2, 0), (300, 7, 0), (300, 7, 40), (517, 3, 517)] {
            let (mut x, mut y) = (rows(n, width, 1), rows(n, width, 2));
            // Rows that are there several times tie; at the end all are one.
            for row in 0..repeated {
                y.copy_within(0..width, row * width);
                x.copy_within(0..width, row * width);
            }
            let expected = [sorted(&x, &y, width), sorted(&y, &x, width)];
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| nearest(Kernel::detect(), &x, &y, width));
                assert!(found == expected, "{n} rows, {repeated} equal, {threads} threads");
            }
        }
    }

    #[test]
    fn a_model_that_scores_all_pairs_alike_gets_chance() {
        let x = vec![1.0; 200];
        let [forth, back] = mine(&x, &x, 1).unwrap();
        assert!((forth.cosine - 0.5).abs() < 1e-9 && (forth.margin - 0.5).abs() < 1e-9, "{forth:?}");
        assert_eq!((forth.ties, &forth), (200, &back));
        assert!((forth.f1 - 100.0 * 2.0 / 201.0 / 200.0).abs() < 1e-9);
        assert_eq!(mine(&[1.0], &[1.0], 1).unwrap()[0].margin, 100.0);
    }

    #[test]
    fn a_hub_is_passed_over_by_margin() {
        // Every source is nearer to the first target than to its own, which only it is near to.
        let (n, width) = (8, 10);
        let unit = |of: &[(usize, f32)]| {
            let length = of.iter().map(|(_, x)| x * x).sum::<f32>().sqrt();
            let mut row = vec![0.0; width];
            of.iter().for_each(|(at, x)| row[*at] = x / length);
            row
        };
        let x: Vec<f32> = (0..n).flat_map(|i| unit(&[(i, 1.0), (8, 1.0)])).collect();
        let own = |i| if i == 0 { unit(&[(8, 1.0)]) } else { unit(&[(i, 1.0), (9, 0.3)]) };
        let y: Vec<f32> = (0..n).flat_map(own).collect();
        let [forth, _] = mine(&x, &y, width).unwrap();
        assert_eq!((forth.cosine, forth.margin), (12.5, 100.0));
    }

    #[test]
    fn rows_that_cannot_be_compared_are_refused() {
        let said = |x: &[f32], y: &[f32]| mine(x, y, 2).unwrap_err().to_string();
        assert!(said(&[1.0, 0.0], &[1.0, 0.0, 0.0, 1.0]).contains("2 and 4 numbers"));
        assert!(said(&[], &[]).contains("are not equally many rows"));
        let nan = said(&[1.0, 0.0], &[1.0, f32::NAN]);
        assert!(nan.contains("target row 0 holds NaN in column 1"), "{nan}");
    }
}
