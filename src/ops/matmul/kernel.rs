//! The inner loops: one tile of C from a panel of A (`k × mr`) and a panel of B (`k × nr`), chosen at run time.
//!
//! Every element of C is a chain of fused multiply-adds over k in ascending order, so the result of a product does not
//! depend on how rows and columns are dealt to threads.

use std::sync::OnceLock;

/// `c[i * ldc + j] (+)= Σ_k a[k * mr + i] · b[k * nr + j]` for i < mr, j < nr.
pub type Tile = unsafe fn(k: usize, a: *const f32, b: *const f32, c: *mut f32, ldc: usize, add: bool);

/// A family of kernels and its tile size.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub mr: usize,
    pub nr: usize,
    /// By the number of rows less one: panels are always `mr` wide, but only these rows are computed and written.
    pub f32: &'static [Tile],
    /// As `f32`, but k counts pairs: each word holds two bf16 numbers, the lower k in the lower half.
    pub bf16: Option<&'static [Tile]>,
    pub name: &'static str,
}

pub const MAX_MR: usize = 12;
pub const MAX_NR: usize = 32;

/// The fastest kernels of this processor. `TINYGLOT_ISA` = `avx2` or `portable` forces slower ones, to measure them.
pub fn kernel() -> Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    *KERNEL.get_or_init(|| {
        let forced = std::env::var("TINYGLOT_ISA").unwrap_or_default();
        available().into_iter().find(|k| forced.is_empty() || k.name == forced).unwrap_or(PORTABLE)
    })
}

/// All kernels this processor can run, fastest first.
pub fn available() -> Vec<Kernel> {
    let mut all = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            let bf16 = is_x86_feature_detected!("avx512bf16").then_some(x86::AVX512_BF16);
            all.push(Kernel { mr: 12, nr: 32, f32: x86::AVX512, bf16, name: "avx512" });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(Kernel { mr: 6, nr: 16, f32: x86::AVX2, bf16: None, name: "avx2" });
        }
    }
    all.push(PORTABLE);
    all
}

const PORTABLE_TILES: &[Tile] = &[portable::<1>, portable::<2>, portable::<3>, portable::<4>];
const PORTABLE: Kernel = Kernel { mr: 4, nr: 8, f32: PORTABLE_TILES, bf16: None, name: "portable" };

/// # Safety
/// `a`, `b` hold `k` rows of 4 and 8 floats; `c` is an R × 8 tile with row stride `ldc`.
unsafe fn portable<const R: usize>(
    k: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    ldc: usize,
    add: bool,
) {
    let mut sum = [[0f32; 8]; R];
    for p in 0..k {
        for (i, row) in sum.iter_mut().enumerate() {
            for (j, s) in row.iter_mut().enumerate() {
                // SAFETY: in bounds by the contract.
                *s += unsafe { *a.add(p * 4 + i) * *b.add(p * 8 + j) };
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

    use super::Tile;

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

    /// # Safety
    /// Needs AVX-512F; panels of 12 and 32, an R × 32 tile.
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512<const R: usize>(
        k: usize,
        mut a: *const f32,
        mut b: *const f32,
        c: *mut f32,
        ldc: usize,
        add: bool,
    ) {
        unsafe {
            let mut sum = [[_mm512_setzero_ps(); 2]; R];
            for _ in 0..k {
                let (b0, b1) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
                for (i, row) in sum.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(i));
                    row[0] = _mm512_fmadd_ps(x, b0, row[0]);
                    row[1] = _mm512_fmadd_ps(x, b1, row[1]);
                }
                a = a.add(12);
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
    /// Needs AVX-512 BF16; panels of 12 and 32 pairs, an R × 32 tile.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn avx512_bf16<const R: usize>(
        k: usize,
        mut a: *const f32,
        mut b: *const f32,
        c: *mut f32,
        ldc: usize,
        add: bool,
    ) {
        use std::mem::transmute as bits;
        unsafe {
            let mut sum = [[_mm512_setzero_ps(); 2]; R];
            for _ in 0..k {
                let b0: __m512bh = bits(_mm512_loadu_ps(b));
                let b1: __m512bh = bits(_mm512_loadu_ps(b.add(16)));
                for (i, row) in sum.iter_mut().enumerate() {
                    let x: __m512bh = bits(_mm512_set1_ps(*a.add(i)));
                    row[0] = _mm512_dpbf16_ps(row[0], x, b0);
                    row[1] = _mm512_dpbf16_ps(row[1], x, b1);
                }
                a = a.add(12);
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
    /// Needs AVX2 and FMA; panels of 6 and 16, an R × 16 tile.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const R: usize>(
        k: usize,
        mut a: *const f32,
        mut b: *const f32,
        c: *mut f32,
        ldc: usize,
        add: bool,
    ) {
        unsafe {
            let mut sum = [[_mm256_setzero_ps(); 2]; R];
            for _ in 0..k {
                let (b0, b1) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
                for (i, row) in sum.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*a.add(i));
                    row[0] = _mm256_fmadd_ps(x, b0, row[0]);
                    row[1] = _mm256_fmadd_ps(x, b1, row[1]);
                }
                a = a.add(6);
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
