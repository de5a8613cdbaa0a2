//! The inner loops: one tile of C from rows of A and a panel of B (`k × nr`), chosen at run time.
//!
//! Every element of C is a chain of fused multiply-adds over k in ascending order, so the result of a product does not
//! depend on how rows and columns are dealt to threads.

use crate::ops::simd::{level, levels};
use std::sync::OnceLock;

/// `c[i * ldc + j] (+)= Σ_p a[i][p] · b[p * nr + j]` over p < k, for i < R ≤ mr, j < nr; it adds to `c` where `add` is set.
///
/// # Safety
/// The processor has the instructions of the kernel (see [`available`]). `a` holds R rows of `k` words, `b` `k` rows of nr; `c`
/// is an R × nr tile of floats with row stride `ldc`, which nothing else uses meanwhile.
pub type Tile = unsafe fn(k: usize, a: Rows, b: *const f32, c: *mut f32, ldc: usize, add: bool);

/// Rows of A in memory: element (i, k) lies at `first + i * row + k * step`, whichever of the two is contiguous.
#[derive(Clone, Copy)]
pub struct Rows {
    pub first: *const f32,
    pub row: usize,
    pub step: usize,
}

/// A family of kernels and its tile size.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// Rows of a tile, at most.
    pub mr: usize,
    /// Columns of a tile and of a panel.
    pub nr: usize,
    /// By the number of rows less one.
    pub f32: &'static [Tile],
    /// As `f32`, but k counts pairs: each word holds two bf16 numbers, the lower k in the lower half.
    pub bf16: Option<&'static [Tile]>,
    /// Of the instructions that it needs, e.g. `avx512`; or `portable`.
    pub name: &'static str,
}

pub const MAX_MR: usize = 12;
pub const MAX_NR: usize = 32;

/// The kernels of the instruction set that operations use.
pub fn kernel() -> Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    *KERNEL.get_or_init(|| of_level(level()))
}

/// All kernels this processor can run, fastest first.
pub fn available() -> Vec<Kernel> {
    levels().into_iter().map(of_level).collect()
}

fn of_level(level: &str) -> Kernel {
    match level {
        #[cfg(target_arch = "x86_64")]
        "avx512" => {
            let bf16 = is_x86_feature_detected!("avx512bf16").then_some(x86::AVX512_BF16);
            Kernel { mr: 12, nr: 32, f32: x86::AVX512, bf16, name: "avx512" }
        }
        #[cfg(target_arch = "x86_64")]
        "avx2" => Kernel { mr: 6, nr: 16, f32: x86::AVX2, bf16: None, name: "avx2" },
        _ => PORTABLE,
    }
}

/// Two bf16 numbers in one word.
#[inline(always)]
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(bf16(low) | bf16(high) << 16)
}

/// The nearest bf16, ties to even, in the lower half.
#[inline(always)]
pub fn bf16(x: f32) -> u32 {
    let b = x.to_bits();
    let rounded = (b.wrapping_add(0x7fff + (b >> 16 & 1))) >> 16;
    if x.is_nan() { 0x7fc0 } else { rounded }
}

/// The numbers of `from`, two by two, as bf16 in one word each, as `x86::pairs_along` makes them: `out` (half as many, rounded up).
/// Only for what a kernel of pairs multiplies.
pub fn pairs_along(out: &mut [f32], from: &[f32]) {
    assert!(out.len() == from.len().div_ceil(2));
    #[cfg(target_arch = "x86_64")]
    // SAFETY: pairs are made only where the processor has the kernel for them.
    unsafe {
        x86::pairs_along(out, from)
    }
}

/// The numbers of `low` and `high`, one of each in a word, as bf16, as `x86::pairs_across` makes them: all three are equally long. Only
/// for what a kernel of pairs multiplies.
pub fn pairs_across(out: &mut [f32], low: &[f32], high: &[f32]) {
    assert!(out.len() == low.len() && low.len() == high.len());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        x86::pairs_across(out, low, high)
    }
}

const PORTABLE_TILES: &[Tile] = &[portable::<1>, portable::<2>, portable::<3>, portable::<4>];
const PORTABLE: Kernel = Kernel { mr: 4, nr: 8, f32: PORTABLE_TILES, bf16: None, name: "portable" };

/// # Safety
/// `a` holds R rows of `k` floats, `b` `k` rows of 8; `c` is an R × 8 tile with row stride `ldc`, which nothing else uses
/// meanwhile.
unsafe fn portable<const R: usize>(k: usize, a: Rows, b: *const f32, c: *mut f32, ldc: usize, add: bool) {
    let mut sum = [[0f32; 8]; R];
    for p in 0..k {
        for (i, row) in sum.iter_mut().enumerate() {
            for (j, s) in row.iter_mut().enumerate() {
                // SAFETY: in bounds by the contract.
                *s += unsafe { *a.first.add(i * a.row + p * a.step) * *b.add(p * 8 + j) };
            }
        }
    }
    for (i, row) in sum.iter().enumerate() {
        for (j, s) in row.iter().enumerate() {
            // SAFETY: in bounds by the contract.
            unsafe {
                let at = c.add(i * ldc + j);
                *at = if add { *at + s } else { *s };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Rows, Tile};

    pub const AVX512: &[Tile] = &[
        avx512::<1>,
        avx512::<2>,
        avx512::<3>,
        avx512::<4>,
        avx512::<5>,
        avx512::<6>,
        avx512::<7>,
        avx512::<8>,
        avx512::<9>,
        avx512::<10>,
        avx512::<11>,
        avx512::<12>,
    ];
    pub const AVX512_BF16: &[Tile] = &[
        avx512_bf16::<1>,
        avx512_bf16::<2>,
        avx512_bf16::<3>,
        avx512_bf16::<4>,
        avx512_bf16::<5>,
        avx512_bf16::<6>,
        avx512_bf16::<7>,
        avx512_bf16::<8>,
        avx512_bf16::<9>,
        avx512_bf16::<10>,
        avx512_bf16::<11>,
        avx512_bf16::<12>,
    ];
    pub const AVX2: &[Tile] = &[avx2::<1>, avx2::<2>, avx2::<3>, avx2::<4>, avx2::<5>, avx2::<6>];

    /// Pointers to every third row: with one stride the processor addresses the two between.
    ///
    /// # Safety
    /// A pointer may lie past the last row of `a`, and may only be read where the row exists.
    #[inline(always)]
    unsafe fn thirds<const N: usize>(a: Rows) -> [*const f32; N] {
        std::array::from_fn(|j| a.first.wrapping_add(3 * j * a.row))
    }

    /// # Safety
    /// Needs AVX-512F. `a` holds R rows of `k` floats, `b` `k` rows of 32; `c` is an R × 32 tile with row stride `ldc`, which
    /// nothing else uses meanwhile.
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512<const R: usize>(
        k: usize,
        a: Rows,
        mut b: *const f32,
        c: *mut f32,
        ldc: usize,
        add: bool,
    ) {
        // SAFETY: by the contract, k columns of A's R rows, k rows of 32 floats of the panel and R rows of 32 floats of the
        // tile may be read or written; unaligned loads and stores ask for no more.
        unsafe {
            let mut sum = [[_mm512_setzero_ps(); 2]; R];
            let mut rows = thirds::<4>(a);
            for _ in 0..k {
                let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
                for (i, row) in sum.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*rows[i / 3].add(i % 3 * a.row));
                    row[0] = _mm512_fmadd_ps(x, b0, row[0]);
                    row[1] = _mm512_fmadd_ps(x, b1, row[1]);
                }
                rows = rows.map(|r| r.wrapping_add(a.step));
                b = b.add(32);
            }
            for (i, row) in sum.iter().enumerate() {
                for (j, &s) in row.iter().enumerate() {
                    let at = c.add(i * ldc + 16 * j);
                    _mm512_storeu_ps(at, if add { _mm512_add_ps(_mm512_loadu_ps(at), s) } else { s });
                }
            }
        }
    }

    /// # Safety
    /// Needs AVX-512F and AVX-512 BF16. `a` holds R rows of `k` words of two bf16, `b` `k` rows of 32 such words; `c` is an
    /// R × 32 tile of floats with row stride `ldc`, which nothing else uses meanwhile.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn avx512_bf16<const R: usize>(
        k: usize,
        a: Rows,
        mut b: *const f32,
        c: *mut f32,
        ldc: usize,
        add: bool,
    ) {
        use std::mem::transmute as bits;
        // SAFETY: as in `avx512`, with words that hold pairs; a vector of 16 floats and one of 32 bf16 have the same 64 bytes.
        unsafe {
            let mut sum = [[_mm512_setzero_ps(); 2]; R];
            let mut rows = thirds::<4>(a);
            for _ in 0..k {
                let b0: __m512bh = bits(_mm512_loadu_ps(b));
                let b1: __m512bh = bits(_mm512_loadu_ps(b.add(16)));
                for (i, row) in sum.iter_mut().enumerate() {
                    let x: __m512bh = bits(_mm512_set1_ps(*rows[i / 3].add(i % 3 * a.row)));
                    row[0] = _mm512_dpbf16_ps(row[0], x, b0);
                    row[1] = _mm512_dpbf16_ps(row[1], x, b1);
                }
                rows = rows.map(|r| r.wrapping_add(a.step));
                b = b.add(32);
            }
            for (i, row) in sum.iter().enumerate() {
                for (j, &s) in row.iter().enumerate() {
                    let at = c.add(i * ldc + 16 * j);
                    _mm512_storeu_ps(at, if add { _mm512_add_ps(_mm512_loadu_ps(at), s) } else { s });
                }
            }
        }
    }

    /// The numbers of `from`, two by two, as bf16 (nearest, ties to even); a missing last one is zero.
    ///
    /// # Safety
    /// Needs AVX-512 BF16; `out` holds half as many words, rounded up.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn pairs_along(out: &mut [f32], from: &[f32]) {
        use std::mem::transmute as bits;
        let (whole, rest) = from.as_chunks::<32>();
        let (words, last) = out.split_at_mut(16 * whole.len());
        for (w, x) in words.as_chunks_mut::<16>().0.iter_mut().zip(whole) {
            // SAFETY: a chunk holds two vectors, its words one.
            unsafe {
                let (low, high) = (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16)));
                let both: __m512 = bits(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_ps(w.as_mut_ptr(), both);
            }
        }
        for (w, x) in last.iter_mut().zip(rest.chunks(2)) {
            *w = super::pair(x[0], x.get(1).copied().unwrap_or(0.0));
        }
    }

    /// The numbers of `low` and of `high`, one of each in a word, as bf16.
    ///
    /// # Safety
    /// Needs AVX-512 BF16; the three are equally long.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn pairs_across(out: &mut [f32], low: &[f32], high: &[f32]) {
        use std::mem::transmute as bits;
        let ((lows, low_rest), (highs, high_rest)) = (low.as_chunks::<16>(), high.as_chunks::<16>());
        let (words, last) = out.as_chunks_mut::<16>();
        for ((w, l), h) in words.iter_mut().zip(lows).zip(highs) {
            // SAFETY: chunks hold one vector each.
            unsafe {
                let half = |x: &[f32; 16]| {
                    let short: __m256i = bits(_mm512_cvtneps_pbh(_mm512_loadu_ps(x.as_ptr())));
                    _mm512_cvtepu16_epi32(short)
                };
                let word = _mm512_or_si512(half(l), _mm512_slli_epi32::<16>(half(h)));
                _mm512_storeu_si512(w.as_mut_ptr().cast(), word);
            }
        }
        for ((w, l), h) in last.iter_mut().zip(low_rest).zip(high_rest) {
            *w = super::pair(*l, *h);
        }
    }

    /// # Safety
    /// Needs AVX2 and FMA. `a` holds R rows of `k` floats, `b` `k` rows of 16; `c` is an R × 16 tile with row stride `ldc`,
    /// which nothing else uses meanwhile.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const R: usize>(k: usize, a: Rows, mut b: *const f32, c: *mut f32, ldc: usize, add: bool) {
        // SAFETY: as in `avx512`, with 16 columns.
        unsafe {
            let mut sum = [[_mm256_setzero_ps(); 2]; R];
            let mut rows = thirds::<2>(a);
            for _ in 0..k {
                let (b0, b1) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
                for (i, row) in sum.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*rows[i / 3].add(i % 3 * a.row));
                    row[0] = _mm256_fmadd_ps(x, b0, row[0]);
                    row[1] = _mm256_fmadd_ps(x, b1, row[1]);
                }
                rows = rows.map(|r| r.wrapping_add(a.step));
                b = b.add(16);
            }
            for (i, row) in sum.iter().enumerate() {
                for (j, &s) in row.iter().enumerate() {
                    let at = c.add(i * ldc + 8 * j);
                    _mm256_storeu_ps(at, if add { _mm256_add_ps(_mm256_loadu_ps(at), s) } else { s });
                }
            }
        }
    }
}
