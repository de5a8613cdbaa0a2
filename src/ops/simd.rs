//! Loops compiled for several instruction sets and chosen at run time, and functions that vectorise in them.

use std::sync::OnceLock;

/// A loop body; `run` must be `#[inline(always)]`, so that it is compiled inside each wrapper below.
/// `FMA` says whether fused multiply-add is one instruction.
pub trait Loop {
    /// The loop; `FMA` goes to [`fma`] and the functions made of it.
    fn run<const FMA: bool>(self);
}

/// The instruction sets that this processor has, the widest first.
pub fn levels() -> Vec<&'static str> {
    let mut all = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            all.push("avx512");
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push("avx2");
        }
    }
    all.push("portable");
    all
}

/// The instruction set that all operations use: the widest. `TINYGLOT_ISA` = `avx2` or `portable` forces a narrower one, to measure it.
pub fn level() -> &'static str {
    static LEVEL: OnceLock<&str> = OnceLock::new();
    LEVEL.get_or_init(|| {
        let forced = std::env::var("TINYGLOT_ISA").unwrap_or_default();
        levels().into_iter().find(|level| forced.is_empty() || *level == forced).unwrap_or("portable")
    })
}

/// Runs the loop with the widest instructions of this processor.
pub fn vectorise(l: impl Loop) {
    #[cfg(target_arch = "x86_64")]
    match level() {
        // SAFETY: the processor has what the level is named for.
        "avx512" => return unsafe { avx512(l) },
        // SAFETY: as above.
        "avx2" => return unsafe { avx2(l) },
        _ => {}
    }
    l.run::<false>()
}

/// # Safety
/// The processor has AVX-512F, AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512(l: impl Loop) {
    l.run::<true>()
}

/// # Safety
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(l: impl Loop) {
    l.run::<true>()
}

/// a · b + c; rounded once, where `FMA` says so.
#[inline(always)]
pub fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x to 2 ulp; below −87 and above 88 it stays at the ends, infinities too. NaN gives NaN.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -0.693_359_4, x);
    let r = fma::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5, 1.0, 1.0] {
        p = fma::<FMA>(p, r, c);
    }
    // The last bits of `shifted` are n, in −126..=127: the exponent stays normal. Of NaN, which `clamp` lets through, they are
    // anything, and p is NaN.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    p * f32::from_bits(n.wrapping_add(127) << 23)
}

/// 1 / (1 + e^−x), by [`exp`].
#[inline(always)]
pub fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// 1 − 2 / (1 + e^2x), by [`exp`].
#[inline(always)]
pub fn tanh<const FMA: bool>(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp::<FMA>(2.0 * x))
}

/// Σ a·b, summed in 16 lanes: the order of additions is the same on every processor.
#[inline(always)]
pub fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (ca, cb) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ca.zip(cb) {
        for i in 0..16 {
            lanes[i] = fma::<FMA>(x[i], y[i], lanes[i]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_family_takes_any_number() {
        let (low, high) = ((-87f32).exp(), 88f32.exp());
        for x in [f32::INFINITY, f32::MAX, 1e30, 89.0] {
            for (got, want) in [
                (exp::<true>(x), high),
                (exp::<false>(x), high),
                (exp::<true>(-x), low),
                (exp::<false>(-x), low),
                (sigmoid::<true>(x), 1.0),
                (tanh::<true>(-x), -1.0),
            ] {
                assert!((got - want).abs() <= 1e-6 * want.abs(), "{x}: {got}, not {want}");
            }
        }
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)] {
            let all = [exp::<true>(nan), exp::<false>(nan), sigmoid::<true>(nan), tanh::<false>(nan)];
            assert!(all.iter().all(|y| y.is_nan()), "{all:?}");
        }
        for tiny in [0.0, -0.0, f32::MIN_POSITIVE, f32::from_bits(1)] {
            assert_eq!(exp::<true>(tiny), 1.0);
        }
    }

    #[test]
    fn exponential_family_agrees_with_the_standard_library() {
        for i in -2000..=2000 {
            let x = i as f32 * 0.04;
            for (name, got, want) in [
                ("exp", exp::<true>(x), x.exp()),
                ("exp without fma", exp::<false>(x), x.exp()),
                ("sigmoid", sigmoid::<true>(x), 1.0 / (1.0 + (-x as f64).exp()) as f32),
                ("tanh", tanh::<true>(x), x.tanh()),
            ] {
                assert!((got - want).abs() <= 3e-7 * want.abs().max(1.0), "{name}({x}) = {got}, not {want}");
            }
        }
    }
}
