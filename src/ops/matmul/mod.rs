//! Matrix products with weights packed once and used many times, in f32 or with bf16 inputs and f32 sums.
//!
//! Results are bitwise the same for any number of threads: work is split over rows of C only, and every element is
//! summed over k in one fixed order.

mod kernel;

use std::ops::Range;

use rayon::prelude::*;

use super::scratch::Scratch;
use super::simd::{Loop, vectorise};
use crate::config::Precision;
pub use kernel::{Kernel, available, kernel};
use kernel::{MAX_MR, MAX_NR, Rows, bf16, pairs_across, pairs_along};

/// Columns of A (rows of B) per pass: a panel of B stays in the first-level cache.
const KC: usize = 256;
/// Rows of A copied at once: they stay in the second-level cache.
const MC: usize = 96;
/// Panels of B packed side by side, and lines of each at a time: what is read stays in the caches until it is written.
const TOGETHER: usize = 4;
const LINES: usize = 64;
/// Words between the ends of copied rows: rows a power of two apart would fall on the same cache lines.
const PAD: usize = 16;

/// A matrix in memory that can be read transposed.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    /// Rows as they are read, after transposing.
    pub rows: usize,
    /// Columns as they are read, after transposing.
    pub cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A dense row-major matrix (rows, cols).
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix (rows, cols) whose rows start `stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            stride >= cols && (rows == 0 || (rows - 1) * stride + cols <= data.len()),
            "matrix out of bounds"
        );
        View { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// The floats from the first element on.
    pub fn data(self) -> &'a [f32] {
        self.data
    }

    /// The transpose.
    pub fn t(self) -> Self {
        View {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The given rows and columns.
    fn part(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        let first = (rows.start * self.row_stride + cols.start * self.col_stride).min(self.data.len());
        View { data: &self.data[first..], rows: rows.len(), cols: cols.len(), ..self }
    }
}

/// The right-hand matrix `k × n`, cut into panels of `nr` columns.
pub struct Packed {
    panels: Scratch,
    k: usize,
    n: usize,
    kernel: Kernel,
    pairs: bool,
    rounded: bool,
}

/// Floats of the columns of k rows that a kernel takes at once; two bf16 numbers stand in one where it multiplies them.
fn panel(k: usize, precision: Precision, kernel: &Kernel) -> usize {
    let pairs = precision == Precision::Bf16 && kernel.bf16.is_some();
    (if pairs { k.div_ceil(2) } else { k }) * kernel.nr
}

impl Packed {
    /// Packs b (k, n).
    pub fn new(b: View, precision: Precision) -> Self {
        Self::with(b, precision, kernel())
    }

    /// Floats that a packed matrix (k × n) takes on this machine.
    pub fn floats(k: usize, n: usize, precision: Precision) -> usize {
        let kernel = kernel();
        panel(k, precision, &kernel) * n.div_ceil(kernel.nr)
    }

    fn with(b: View, precision: Precision, kernel: Kernel) -> Self {
        let bf16 = precision == Precision::Bf16;
        let pairs = bf16 && kernel.bf16.is_some();
        let panel = panel(b.rows, precision, &kernel);
        let depth = panel / kernel.nr;
        let mut panels = Scratch::dirty(panel * b.cols.div_ceil(kernel.nr));
        let rounded = bf16 && !pairs;
        let per_line = if pairs { 2 } else { 1 };
        if panel > 0 {
            panels.par_chunks_mut(panel * TOGETHER).enumerate().for_each(|(group, out)| {
                for line in (0..depth).step_by(LINES) {
                    let end = (line + LINES).min(depth);
                    for (p, out) in out.chunks_mut(panel).enumerate() {
                        let j = (group * TOGETHER + p) * kernel.nr;
                        let rows = line * per_line..(end * per_line).min(b.rows);
                        let part = b.part(rows, j..(j + kernel.nr).min(b.cols));
                        pack(&mut out[line * kernel.nr..end * kernel.nr], part, kernel.nr, pairs, rounded);
                    }
                }
            });
        }
        Packed { panels, k: b.rows, n: b.cols, kernel, pairs, rounded }
    }

    /// c = a · self, added to what c holds with `add`, on the calling thread: a (rows, k), self (k, n), c (rows, n) with rows that
    /// start `ldc` elements apart.
    pub fn multiply(&self, a: View, c: &mut [f32], ldc: usize, add: bool) {
        assert_eq!(a.cols, self.k, "inner dimensions differ");
        if a.rows == 0 {
            return;
        }
        assert!(ldc >= self.n && (a.rows - 1) * ldc + self.n <= c.len(), "result out of bounds");
        let (mr, nr) = (self.kernel.mr, self.kernel.nr);
        if self.k == 0 {
            if !add {
                c.chunks_mut(ldc).take(a.rows).for_each(|row| row[..self.n].fill(0.0));
            }
            return;
        }
        let mut block = Scratch::dirty((MC * (KC + PAD)).max(KC * MC));
        let step = if self.pairs { 2 } else { 1 };
        let depth_all = self.k.div_ceil(step);
        for k0 in (0..self.k).step_by(KC) {
            let k1 = (k0 + KC).min(self.k);
            let depth = (k1 - k0).div_ceil(step);
            for i0 in (0..a.rows).step_by(MC) {
                let rows = MC.min(a.rows - i0);
                let part = a.part(i0..i0 + rows, k0..k1);
                let strides = copy_block(&mut block, part, self.pairs, self.rounded);
                for (q, b) in self.panels.chunks(depth_all * nr).enumerate() {
                    let b = &b[k0 / step * nr..];
                    for i in (0..rows).step_by(mr) {
                        let j = q * nr;
                        let size = (mr.min(rows - i), nr.min(self.n - j));
                        let c = &mut c[(i0 + i) * ldc + j..];
                        self.tile(depth, (&block[i * strides.0..], strides), b, c, ldc, size, add || k0 > 0);
                    }
                }
            }
        }
    }

    /// `a` is a block from its first element on, with the strides of rows and of k.
    #[allow(clippy::too_many_arguments)]
    fn tile(
        &self,
        k: usize,
        (a, (row, step)): (&[f32], (usize, usize)),
        b: &[f32],
        c: &mut [f32],
        ldc: usize,
        size: (usize, usize),
        add: bool,
    ) {
        let Kernel { nr, f32, bf16, .. } = self.kernel;
        let tiles = if self.pairs { bf16.expect("pairs are packed for a bf16 kernel only") } else { f32 };
        let run = tiles[size.0 - 1];
        assert!((size.0 - 1) * row + (k - 1) * step < a.len() && b.len() >= k * nr);
        let rows = Rows { first: a.as_ptr(), row, step };
        if size.1 == nr {
            assert!((size.0 - 1) * ldc + nr <= c.len());
            // SAFETY: block, panel and tile were just checked; the kernel was chosen by what the processor has.
            unsafe { run(k, rows, b.as_ptr(), c.as_mut_ptr(), ldc, add) };
            return;
        }
        let mut edge = [0f32; MAX_MR * MAX_NR];
        // SAFETY: as above, and the edge tile holds mr × nr.
        unsafe { run(k, rows, b.as_ptr(), edge.as_mut_ptr(), nr, false) };
        for (i, row) in edge.chunks(nr).take(size.0).enumerate() {
            for (c, x) in c[i * ldc..i * ldc + size.1].iter_mut().zip(row) {
                *c = if add { *c + x } else { *x };
            }
        }
    }

    /// As [`Packed::multiply`], with the rows dealt to all threads.
    pub fn par_multiply(&self, a: View, c: &mut [f32], ldc: usize, add: bool) {
        let mr = self.kernel.mr;
        let rows = a.rows.div_ceil(8 * mr).clamp(1, MC / mr) * mr;
        let first = |t: usize| t * rows;
        c[..(a.rows.max(1) - 1) * ldc + if a.rows == 0 { 0 } else { self.n }]
            .par_chunks_mut(rows * ldc)
            .enumerate()
            .for_each(|(t, c)| {
                let count = rows.min(a.rows - first(t));
                self.multiply(a.part(first(t)..first(t) + count, 0..a.cols), c, ldc, add);
            });
    }
}

/// c = a · b, added to what c holds with `add`, on all threads: a (rows, k), b (k, n), c (rows, n).
pub fn matmul(a: View, b: View, c: &mut [f32], add: bool, precision: Precision) {
    let n = b.cols;
    Packed::new(b, precision).par_multiply(a, c, n, add);
}

/// c += Σ aᵢ · bᵢ, in this order, on all threads: each aᵢ (rows, kᵢ), bᵢ (kᵢ, n), c (rows, n).
pub fn add_products(pairs: &[(View, View)], c: &mut [f32], precision: Precision) {
    let packed: Vec<Packed> = pairs.par_iter().map(|(_, b)| Packed::new(*b, precision)).collect();
    let Some((a, b)) = pairs.first() else { return };
    let (rows, n) = (a.rows.div_ceil(8 * MAX_MR).max(1) * MAX_MR, b.cols);
    c.par_chunks_mut(rows * n).enumerate().for_each(|(t, c)| {
        let mine = t * rows..t * rows + c.len() / n;
        for ((a, _), b) in pairs.iter().zip(&packed) {
            b.multiply(a.part(mine.clone(), 0..a.cols), c, n, true);
        }
    });
}

/// Copies a block of A as the kernels read it, contiguous along whichever side it was. Returns the strides of its rows
/// and of k, in words; with `pairs` a word holds two numbers along k.
fn copy_block(out: &mut [f32], a: View, pairs: bool, rounded: bool) -> (usize, usize) {
    let depth = if pairs { a.cols.div_ceil(2) } else { a.cols };
    let across = a.col_stride != 1;
    let (stride, lines, length) = if across { (MC, depth, a.rows) } else { (KC + PAD, a.rows, depth) };
    vectorise(Lines { out, stride, lines, length, from: a, across, pairs, rounded });
    if across { (1, stride) } else { (stride, 1) }
}

/// Lines of a panel of B: for each k (or pair) `width` words, the missing ones zero. At most [`LINES`] of them.
fn pack(out: &mut [f32], b: View, width: usize, pairs: bool, rounded: bool) {
    let lines = out.len() / width;
    if b.col_stride == 1 {
        for line in out.chunks_exact_mut(width) {
            line[b.cols..].fill(0.0);
        }
        let (from, across) = (b.t(), true);
        return vectorise(Lines { out, stride: width, lines, length: b.cols, from, across, pairs, rounded });
    }
    // The columns are contiguous: each is read as a line of its own, then all are turned.
    let mut columns = [0f32; MAX_NR * LINES];
    let (from, across) = (b.t(), false);
    let (stride, read) = (LINES, &mut columns[..]);
    vectorise(Lines { out: read, stride, lines: b.cols, length: lines, from, across, pairs, rounded });
    vectorise(Turn { columns: &columns, out, width });
}

/// Writes columns, which begin [`LINES`] apart, as lines of `width` words.
struct Turn<'a> {
    columns: &'a [f32; MAX_NR * LINES],
    out: &'a mut [f32],
    width: usize,
}

impl Loop for Turn<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (k, line) in self.out.chunks_exact_mut(self.width).enumerate() {
            line.iter_mut().zip(self.columns.chunks_exact(LINES)).for_each(|(o, column)| *o = column[k]);
        }
    }
}

/// Copies rows of `from`, or (`across`) its columns, to lines of `length` words that begin `stride` apart. What is copied is
/// contiguous; k runs along the columns of `from`.
struct Lines<'a> {
    out: &'a mut [f32],
    stride: usize,
    lines: usize,
    length: usize,
    from: View<'a>,
    across: bool,
    pairs: bool,
    rounded: bool,
}

impl Loop for Lines<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Lines { out, stride, lines, length, from, across, pairs, rounded } = self;
        for (line, out) in out.chunks_mut(stride).take(lines).enumerate() {
            let out = &mut out[..length];
            match (pairs, across) {
                (false, false) => copy(out, &from.data[line * from.row_stride..][..length]),
                (false, true) => copy(out, &from.data[line * from.col_stride..][..length]),
                (true, false) => pairs_along(out, &from.data[line * from.row_stride..][..from.cols]),
                (true, true) => {
                    let low = &from.data[2 * line * from.col_stride..][..length];
                    match 2 * line + 1 < from.cols {
                        true => {
                            pairs_across(out, low, &from.data[(2 * line + 1) * from.col_stride..][..length])
                        }
                        false => pairs_across(out, low, &vec![0.0; length]),
                    }
                }
            }
            if rounded {
                out.iter_mut().for_each(|x| *x = f32::from_bits(bf16(*x) << 16));
            }
        }
    }
}

/// Copies a line; for the width of a panel that is two instructions instead of a call.
#[inline(always)]
fn copy(out: &mut [f32], from: &[f32]) {
    match (<&mut [f32; MAX_NR]>::try_from(&mut *out), <&[f32; MAX_NR]>::try_from(from)) {
        (Ok(out), Ok(from)) => *out = *from,
        _ => out.copy_from_slice(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut s = seed.wrapping_mul(2654435761).wrapping_add(1);
        (0..n)
            .map(|_| {
                s = s.wrapping_mul(1664525).wrapping_add(1013904223);
                (s >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect()
    }

    fn slow(a: &[f32], b: &[f32], m: usize, k: usize, n: usize) -> Vec<f64> {
        let mut c = vec![0.0; m * n];
        for i in 0..m {
            for p in 0..k {
                for j in 0..n {
                    c[i * n + j] += a[i * k + p] as f64 * b[p * n + j] as f64;
                }
            }
        }
        c
    }

    #[test]
    fn every_kernel_agrees_with_the_definition_at_odd_sizes_and_transposes() {
        for kernel in available() {
            for (m, k, n) in [(1, 1, 1), (13, 7, 33), (97, 300, 65), (12, 512, 32), (5, 0, 3)] {
                let (a, b) = (noise(m * k, 1), noise(k * n, 2));
                let want = slow(&a, &b, m, k, n);
                let transposed: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
                let b_t: Vec<f32> = (0..k * n).map(|i| b[i % k * n + i / k]).collect();
                for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Bf16, 2e-2)] {
                    for b in [View::new(&b, k, n), View::new(&b_t, n, k).t()] {
                        let packed = Packed::with(b, precision, kernel);
                        for a in [View::new(&a, m, k), View::new(&transposed, k, m).t()] {
                            let mut c = vec![1.0; m * n];
                            packed.par_multiply(a, &mut c, n, false);
                            packed.multiply(a, &mut c, n, true);
                            for (c, w) in c.iter().zip(&want) {
                                let error = (*c as f64 - 2.0 * w).abs();
                                assert!(error < tolerance * (1.0 + w.abs()), "{} {c} {w}", kernel.name);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let (m, k, n) = (301, 517, 130);
        let (a, b) = (noise(m * k, 3), noise(k * n, 4));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            let mut c = vec![0.0; m * n];
            pool.install(|| matmul(View::new(&a, m, k), View::new(&b, k, n), &mut c, false, Precision::F32));
            c
        };
        let one = run(1);
        assert!(run(2) == one && run(8) == one);
    }
}
