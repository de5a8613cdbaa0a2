//! Matrix products with weights packed once and used many times, in f32 or with bf16 inputs and f32 sums.
//!
//! Results are bitwise the same for any number of threads: work is split over rows of C only, and every element is
//! summed over k in one fixed order.

mod kernel;

use rayon::prelude::*;

use super::scratch::Scratch;
use super::simd::{Loop, vectorise};
use crate::config::Precision;
pub use kernel::{Kernel, available, kernel};
use kernel::{MAX_MR, MAX_NR};

/// Columns of A (rows of B) per pass: a panel of B stays in the first-level cache.
const KC: usize = 256;
/// Rows of A packed at once: they stay in the second-level cache.
const MC: usize = 96;

/// A matrix in memory that can be read transposed.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A dense row-major matrix.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows start `stride` elements apart.
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

    fn rows_from(self, first: usize, rows: usize) -> Self {
        View { data: &self.data[(first * self.row_stride).min(self.data.len())..], rows, ..self }
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

impl Packed {
    /// Packs `b` (k × n).
    pub fn new(b: View, precision: Precision) -> Self {
        Self::with(b, precision, kernel())
    }

    fn with(b: View, precision: Precision, kernel: Kernel) -> Self {
        let bf16 = precision == Precision::Bf16;
        let pairs = bf16 && kernel.bf16.is_some();
        let depth = if pairs { b.rows.div_ceil(2) } else { b.rows };
        let panel = depth * kernel.nr;
        let mut panels = Scratch::dirty(panel * b.cols.div_ceil(kernel.nr));
        let rounded = bf16 && !pairs;
        if panel > 0 {
            panels.par_chunks_mut(panel).enumerate().for_each(|(p, out)| {
                let j = p * kernel.nr;
                let columns = View { data: &b.data[(j * b.col_stride).min(b.data.len())..], ..b };
                pack(out, columns.t(), kernel.nr.min(b.cols - j), b.rows, kernel.nr, pairs, rounded);
            });
        }
        Packed { panels, k: b.rows, n: b.cols, kernel, pairs, rounded }
    }

    /// `c (rows × n, row stride ldc) (+)= a · self`, on the calling thread.
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
        let mut block = Scratch::dirty(MC.min(a.rows).div_ceil(mr) * mr * KC);
        let step = if self.pairs { 2 } else { 1 };
        let depth_all = self.k.div_ceil(step);
        for k0 in (0..self.k).step_by(KC) {
            let k1 = (k0 + KC).min(self.k);
            let depth = (k1 - k0).div_ceil(step);
            for i0 in (0..a.rows).step_by(MC) {
                let rows = MC.min(a.rows - i0);
                for (p, panel) in block.chunks_mut(depth * mr).take(rows.div_ceil(mr)).enumerate() {
                    let first = i0 + p * mr;
                    let at = first * a.row_stride + k0 * a.col_stride;
                    let part = View { data: &a.data[at..], ..a };
                    pack(panel, part, mr.min(a.rows - first), k1 - k0, mr, self.pairs, self.rounded);
                }
                for (q, b) in self.panels.chunks(depth_all * nr).enumerate() {
                    let b = &b[k0 / step * nr..];
                    for p in 0..rows.div_ceil(mr) {
                        let (i, j) = (i0 + p * mr, q * nr);
                        let size = (mr.min(a.rows - i), nr.min(self.n - j));
                        let c = &mut c[i * ldc + j..];
                        self.tile(depth, &block[p * depth * mr..], b, c, ldc, size, add || k0 > 0);
                    }
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn tile(
        &self,
        k: usize,
        a: &[f32],
        b: &[f32],
        c: &mut [f32],
        ldc: usize,
        size: (usize, usize),
        add: bool,
    ) {
        let Kernel { mr, nr, f32, bf16, .. } = self.kernel;
        let tiles = if self.pairs { bf16.expect("pairs are packed for a bf16 kernel only") } else { f32 };
        let run = tiles[size.0 - 1];
        assert!(a.len() >= k * mr && b.len() >= k * nr);
        if size.1 == nr {
            assert!((size.0 - 1) * ldc + nr <= c.len());
            // SAFETY: panels and tile were just checked; the kernel was chosen by what the processor has.
            unsafe { run(k, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), ldc, add) };
            return;
        }
        let mut edge = [0f32; MAX_MR * MAX_NR];
        // SAFETY: as above, and the edge tile holds mr × nr.
        unsafe { run(k, a.as_ptr(), b.as_ptr(), edge.as_mut_ptr(), nr, false) };
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
                self.multiply(a.rows_from(first(t), count), c, ldc, add);
            });
    }
}

/// `c (a.rows × b.cols, dense) (+)= a · b` on all threads.
pub fn matmul(a: View, b: View, c: &mut [f32], add: bool, precision: Precision) {
    let n = b.cols;
    Packed::new(b, precision).par_multiply(a, c, n, add);
}

/// Writes `lanes` rows of `m` (each `k` long) as columns of a `k × width` panel; missing lanes are zero.
fn pack(out: &mut [f32], m: View, lanes: usize, k: usize, width: usize, pairs: bool, rounded: bool) {
    let (data, rs, cs) = (m.data, m.row_stride, m.col_stride);
    if pairs {
        return vectorise(PackPairs { out, m, lanes, k, width });
    }
    if rs == 1 {
        for (p, row) in out.chunks_exact_mut(width).take(k).enumerate() {
            row[..lanes].copy_from_slice(&data[p * cs..p * cs + lanes]);
            row[lanes..].fill(0.0);
        }
    } else {
        for lane in 0..lanes {
            for p in 0..k {
                out[p * width + lane] = data[lane * rs + p * cs];
            }
        }
        for row in out.chunks_exact_mut(width).take(k) {
            row[lanes..].fill(0.0);
        }
    }
    if rounded {
        out[..k * width].iter_mut().for_each(|x| *x = f32::from_bits(bf16(*x) << 16));
    }
}

/// As `pack`, with two numbers along k in each word.
struct PackPairs<'a> {
    out: &'a mut [f32],
    m: View<'a>,
    lanes: usize,
    k: usize,
    width: usize,
}

impl Loop for PackPairs<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let PackPairs { out, m, lanes, k, width } = self;
        let (rs, cs) = (m.row_stride, m.col_stride);
        for (p, words) in out.chunks_exact_mut(width).take(k.div_ceil(2)).enumerate() {
            words[lanes..].fill(0.0);
            let (low, high) = (2 * p * cs, (2 * p + 1) * cs);
            if rs == 1 {
                let rows = m.data[low..low + lanes].iter();
                if 2 * p + 1 < k {
                    for ((w, l), h) in words.iter_mut().zip(rows).zip(&m.data[high..high + lanes]) {
                        *w = f32::from_bits(bf16(*l) | bf16(*h) << 16);
                    }
                } else {
                    words.iter_mut().zip(rows).for_each(|(w, l)| *w = f32::from_bits(bf16(*l)));
                }
            } else {
                for (lane, w) in words[..lanes].iter_mut().enumerate() {
                    let l = m.data[lane * rs + low];
                    let h = if 2 * p + 1 < k { m.data[lane * rs + high] } else { 0.0 };
                    *w = f32::from_bits(bf16(l) | bf16(h) << 16);
                }
            }
        }
    }
}

/// The nearest bf16, ties to even, in the lower half.
#[inline(always)]
fn bf16(x: f32) -> u32 {
    let b = x.to_bits();
    let rounded = (b.wrapping_add(0x7fff + (b >> 16 & 1))) >> 16;
    if x.is_nan() { 0x7fc0 } else { rounded }
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
