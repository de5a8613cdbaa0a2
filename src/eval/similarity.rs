//! Inner products of two sets of rows, in small tiles.
//!
//! A score is one chain of sums over the columns in their order, wherever it stands in a tile, whatever the vector
//! width of the processor and however many threads work. So equal rows get bitwise equal scores, a tie is a tie, and a
//! pair's score may be taken alone ([`Kernel::dot`]) or out of a tile ([`Kernel::tile`]): both are the same number.
//! (With fused multiply-add, everywhere but on processors without it, where each step is rounded twice.)

use rayon::prelude::*;

use crate::{Error, Result};

/// Rows (captions) of a tile.
pub const ROWS: usize = 8;
/// Columns (pictures) of a tile.
pub const COLUMNS: usize = 32;

/// The scores of [`ROWS`] captions with [`COLUMNS`] pictures.
pub type Tile = [[f32; COLUMNS]; ROWS];

/// Rows turned for the tiles: panels of [`COLUMNS`] rows, in each the rows' first columns, then the second, …
pub struct Panels {
    width: usize,
    rows: usize,
    data: Vec<f32>, // (panels, width, COLUMNS); missing rows at the end are zero
}

impl Panels {
    /// `rows`: (n, width), row-major.
    pub fn new(rows: &[f32], width: usize) -> Panels {
        let count = rows.len() / width;
        let mut data = vec![0.0; count.div_ceil(COLUMNS) * COLUMNS * width];
        data.par_chunks_mut(COLUMNS * width).enumerate().for_each(|(panel, out)| {
            let first = panel * COLUMNS;
            for column in 0..COLUMNS.min(count - first) {
                let row = &rows[(first + column) * width..][..width];
                for (slot, &value) in out[column..].iter_mut().step_by(COLUMNS).zip(row) {
                    *slot = value;
                }
            }
        });
        Panels { width, rows: count, data }
    }

    /// The panels in order: number of the first row, how many of the [`COLUMNS`] are rows, the numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        self.data.chunks_exact(COLUMNS * self.width).enumerate().map(|(panel, data)| {
            let first = panel * COLUMNS;
            (first, COLUMNS.min(self.rows - first), data)
        })
    }
}

/// Which instructions compute the sums; all fused kinds give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Instructions);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Kernel {
    /// The fastest that this processor runs.
    pub fn detect() -> Kernel {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Kernel(Instructions::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Kernel(Instructions::Avx2);
            }
        }
        Kernel(Instructions::Portable)
    }

    /// The inner product of two rows of one length, bitwise as in a tile.
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the kind exists only where `detect` found the instructions.
            Instructions::Avx512 | Instructions::Avx2 => unsafe { dot_fma(a, b) },
            Instructions::Portable => chain::<PORTABLE_FUSES>(a, b),
        }
    }

    /// All scores of `captions` ([`ROWS`] rows) with a panel (width × [`COLUMNS`]).
    pub fn tile(self, captions: &[&[f32]; ROWS], panel: &[f32], out: &mut Tile) {
        assert!(
            captions.iter().all(|row| row.len() * COLUMNS == panel.len()),
            "rows and panel differ in width"
        );
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Instructions::Avx512 => unsafe { tile_avx512(captions, panel, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Instructions::Avx2 => unsafe { tile_avx2(captions, panel, out) },
            Instructions::Portable => tile_portable(captions, panel, out),
        }
    }

    /// The whole matrix (captions, pictures), row-major; for small sets only.
    pub fn matrix(self, captions: &[f32], pictures: &[f32], width: usize) -> Vec<f32> {
        let panels = Panels::new(pictures, width);
        let mut scores = vec![0.0; captions.len() / width * panels.rows];
        if scores.is_empty() {
            return scores;
        }
        scores.par_chunks_mut(ROWS * panels.rows).zip(captions.par_chunks(ROWS * width)).for_each(
            |(out, block)| {
                let rows = tile_rows(block, width);
                let mut tile = [[0.0; COLUMNS]; ROWS];
                for (first, count, panel) in panels.iter() {
                    self.tile(&rows, panel, &mut tile);
                    for (out, scores) in out.chunks_exact_mut(panels.rows).zip(&tile) {
                        out[first..first + count].copy_from_slice(&scores[..count]);
                    }
                }
            },
        );
        scores
    }
}

/// Rows of [`each_row`] whose scores are in memory at a time.
const BLOCK: usize = 256;

/// What `of` makes of the number of each row of `asked` (n, width) and its scores with all rows of `among` (m, width), in the order of the rows.
/// Memory grows with the rows, not with their product.
pub fn each_row<T: Send>(
    asked: &[f32],
    among: &[f32],
    width: usize,
    of: impl Fn(usize, &[f32]) -> T + Sync,
) -> Vec<T> {
    let (kernel, columns) = (Kernel::detect(), among.len() / width);
    let mut all = Vec::with_capacity(asked.len() / width);
    for (block, some) in asked.chunks(BLOCK * width).enumerate() {
        let scores = kernel.matrix(some, among, width);
        let row = |(n, scores)| of(block * BLOCK + n, scores);
        all.extend(scores.par_chunks(columns).enumerate().map(row).collect::<Vec<T>>());
    }
    all
}

/// Up to [`ROWS`] rows of a block; the last one stands in for those that a short block lacks.
pub fn tile_rows(block: &[f32], width: usize) -> [&[f32]; ROWS] {
    let last = block.len() / width - 1;
    std::array::from_fn(|r| &block[r.min(last) * width..][..width])
}

/// Refuses NaN and infinities: `rows` (n, width); `what` names the rows in the message.
///
/// # Errors
/// Data, naming the first such number's row and column, counted from 0.
pub fn check_finite(rows: &[f32], width: usize, what: &str) -> Result<()> {
    match rows.par_iter().position_first(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::data(format!(
            "{what} row {} holds {} in column {} (counted from 0)",
            at / width,
            rows[at],
            at % width
        ))
        .hint("look for non-finite features or weights; scores with such rows cannot be ranked")),
    }
}

// Without these instructions `mul_add` is a slow library call; elsewhere they are always there.
const PORTABLE_FUSES: bool = cfg!(target_arch = "aarch64");

#[inline(always)]
fn step<const FUSED: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if FUSED { a.mul_add(b, sum) } else { a * b + sum }
}

#[inline(always)]
fn chain<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (&a, &b)| step::<FUSED>(a, b, sum))
}

/// The tile without vector instructions named; the compiler may find some.
fn tile_portable(captions: &[&[f32]; ROWS], panel: &[f32], out: &mut Tile) {
    for (row, sums) in captions.iter().zip(out) {
        sums.fill(0.0);
        for (&a, column) in row.iter().zip(panel.chunks_exact(COLUMNS)) {
            for (sum, &b) in sums.iter_mut().zip(column) {
                *sum = step::<PORTABLE_FUSES>(a, b, *sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma")]
fn dot_fma(a: &[f32], b: &[f32]) -> f32 {
    chain::<true>(a, b)
}

/// The tile in blocks of $rows × ($vectors × $lanes) sums: as many as the registers hold.
#[cfg(target_arch = "x86_64")]
macro_rules! vector_tile {
    ($name:ident, $features:literal, $rows:literal x $vectors:literal x $lanes:literal,
     $zero:ident, $broadcast:ident, $load:ident, $fma:ident, $store:ident) => {
        #[target_feature(enable = $features)]
        fn $name(captions: &[&[f32]; ROWS], panel: &[f32], out: &mut Tile) {
            use std::arch::x86_64::*;
            for (rows, out) in captions.chunks_exact($rows).zip(out.chunks_exact_mut($rows)) {
                for first in (0..COLUMNS).step_by($vectors * $lanes) {
                    let mut sums = [[$zero(); $vectors]; $rows];
                    for (k, column) in panel.chunks_exact(COLUMNS).enumerate() {
                        for v in 0..$vectors {
                            // SAFETY: `column` and `out` hold COLUMNS numbers, and `Kernel::tile` has checked that
                            // each row is as long as the panel is deep.
                            let b = unsafe { $load(column.as_ptr().add(first + v * $lanes)) };
                            for r in 0..$rows {
                                // SAFETY: as above: k is below the depth of the panel.
                                let a = $broadcast(unsafe { *rows[r].get_unchecked(k) });
                                sums[r][v] = $fma(a, b, sums[r][v]);
                            }
                        }
                    }
                    for (out, sums) in out.iter_mut().zip(sums) {
                        for (v, sum) in sums.into_iter().enumerate() {
                            // SAFETY: as above.
                            unsafe { $store(out.as_mut_ptr().add(first + v * $lanes), sum) };
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector_tile!(tile_avx512, "avx512f", 8 x 2 x 16, _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
#[cfg(target_arch = "x86_64")]
vector_tile!(tile_avx2, "avx2,fma", 4 x 2 x 8, _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_storeu_ps);

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn rows(n: usize, width: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * width).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn a_score_is_the_same_alone_and_in_any_tile() {
        let kernel = Kernel::detect();
        for (m, n, width) in [(1, 1, 1), (8, 32, 16), (13, 71, 37), (9, 33, 512)] {
            let (a, b) = (rows(m, width, 1), rows(n, width, 2));
            let matrix = kernel.matrix(&a, &b, width);
            assert_eq!(matrix.len(), m * n);
            for (at, &score) in matrix.iter().enumerate() {
                let (a, b) = (&a[at / n * width..][..width], &b[at % n * width..][..width]);
                assert_eq!(score.to_bits(), kernel.dot(a, b).to_bits());
                let exact: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                assert!((f64::from(score) - exact).abs() < 1e-4, "{score} is not {exact}");
            }
        }
    }

    #[test]
    fn rows_are_told_in_their_order_with_all_their_scores() {
        let (a, b) = (rows(2 * BLOCK + 3, 5, 6), rows(7, 5, 7));
        let matrix = Kernel::detect().matrix(&a, &b, 5);
        let found = each_row(&a, &b, 5, |row, scores| (row, scores.to_vec()));
        assert_eq!(found.len(), 2 * BLOCK + 3);
        assert!(found.iter().enumerate().all(|(n, (row, of))| *row == n && *of == matrix[7 * n..][..7]));
        assert_eq!(each_row(&[], &b, 5, |_, _| ()).len(), 0);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_kind_of_instructions_agrees() {
        let (a, b) = (rows(11, 65, 3), rows(40, 65, 4));
        let portable = Kernel(Instructions::Portable).matrix(&a, &b, 65);
        let best = Kernel::detect().matrix(&a, &b, 65);
        assert!(portable.iter().zip(&best).all(|(x, y)| (x - y).abs() < 1e-5));
        if is_x86_feature_detected!("avx512f") {
            assert_eq!(best, Kernel(Instructions::Avx2).matrix(&a, &b, 65));
        }
    }

    #[test]
    fn rows_that_are_not_finite_are_named() {
        let mut x = rows(4, 3, 5);
        assert!(check_finite(&x, 3, "caption").is_ok());
        x[7] = f32::NAN;
        let error = check_finite(&x, 3, "caption").unwrap_err().to_string();
        assert!(error.contains("caption row 2 holds NaN in column 1"), "{error}");
    }
}
