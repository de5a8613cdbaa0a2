//! Batch normalisation, ReLU (or leaky ReLU) and dropout in one pass; dropout alone.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::leaf::Rate;
use super::on_gpu;
use super::simd::{Loop, vectorise};
use super::tape::{data, data1, data1_mut, matrix, on_host, record, vector};
use crate::device::{Dev, Matrix, Vector};

/// Scale and shift are weights; the running mean and variance are those of inference. All (width). A frozen leaf normalises by the
/// running statistics in training, too, and these stay as they are.
#[derive(Clone)]
pub struct BatchNormWeights {
    /// (width): the factor of normalised values.
    pub scale: Vector,
    /// (width): added to their product.
    pub shift: Vector,
    /// (width): the running mean.
    pub mean: Vector,
    /// (width): the running variance.
    pub variance: Vector,
    /// Of scale and shift.
    pub rate: Rate,
}

impl BatchNormWeights {
    /// To be trained, as it starts: scale 1, shift 0, mean 0 and variance 1.
    pub fn new(width: usize) -> Self {
        let [scale, shift, mean, variance] = [1.0, 0.0, 0.0, 1.0].map(|x| vector(vec![x; width]));
        BatchNormWeights { scale, shift, mean, variance, rate: Rate::TRAINED }
    }
}

/// Added to the variance.
pub const EPSILON: f32 = 1e-5;
/// Share of a batch's statistics in the running ones, as in PyTorch.
pub const MOMENTUM: f32 = 0.1;

/// Whether the place `index` is kept under drop probability `p`: a hash of place and seed, so any thread can ask.
#[inline]
pub fn keeps(seed: u64, index: usize, p: f32) -> bool {
    let mut x = seed.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 40) as f32 / (1u64 << 24) as f32 >= p
}

/// x (rows, width) → (rows, width): normalised over rows (Ioffe & Szegedy 2015), ReLU, dropout `p`.
///
/// In training the running statistics move and dropout draws from `seed`; without a tape the running statistics are used
/// and nothing is dropped.
pub fn batch_norm_relu_dropout<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    weights: &mut BatchNormWeights,
    p: f32,
    seed: u64,
) -> Matrix<T> {
    normalise(x, weights, 0.0, p, seed)
}

/// As [`batch_norm_relu_dropout`], x (rows, width) → (rows, width), without dropout, and with `slope` times what is below 0 in place
/// of 0 (Maas et al. 2013).
pub fn batch_norm_leaky<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    weights: &mut BatchNormWeights,
    slope: f32,
) -> Matrix<T> {
    normalise(x, weights, slope, 0.0, 0)
}

/// x (rows, width) → (rows, width); `slope` counts below 0.
fn normalise<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    weights: &mut BatchNormWeights,
    slope: f32,
    p: f32,
    seed: u64,
) -> Matrix<T> {
    on_gpu!(|gpu| gpu.batch_norm(x, weights, slope, p, seed));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    let (mean, variance) = if T::OWNS_TAPE && weights.rate.trained() {
        let (mean, variance) = statistics(&data(&x), rows, width);
        let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
        let move_to = |running: &mut Vector, batch: &[f32], factor: f32| {
            data1_mut(running).iter_mut().zip(batch).for_each(|(r, b)| *r += MOMENTUM * (b * factor - *r));
        };
        move_to(&mut weights.mean, &mean, 1.0);
        move_to(&mut weights.variance, &variance, unbiased);
        (mean, variance)
    } else {
        (weights.mean.as_vec(), weights.variance.as_vec())
    };
    let inverse: Vec<f32> = variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect();
    let (scale, shift) = (data1(&weights.scale), data1(&weights.shift));
    let (p, keep) = if T::OWNS_TAPE { (p, 1.0 / (1.0 - p)) } else { (0.0, 1.0) };
    let mut out = data(&x).to_vec();
    out.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
        vectorise(Activate { row, mean: &mean, inverse: &inverse, scale: &scale, shift: &shift, slope });
        if p > 0.0 {
            vectorise(Drop { row, p, keep, seed, first: i * width });
        }
    });
    let out = matrix(out, rows, width);
    let (result, weights) = (out.clone(), weights.clone());
    record!(tape, out, |grads, g| {
        let (n, from, y) = (rows as f32, data(&x), data(&result));
        let normal = |i: usize, j: usize| (from[i * width + j] - mean[j]) * inverse[j];
        // What dropout has taken is 0, as is what ReLU without a slope has.
        let passed = |i: usize, j: usize| {
            let (y, g) = (y[i * width + j], g[i * width + j]);
            if y > 0.0 {
                g * keep
            } else if y < 0.0 {
                g * keep * slope
            } else {
                0.0
            }
        };
        let (mut d_scale, mut d_shift) = (vec![0f32; width], vec![0f32; width]);
        // Statistics that stay take no part in the gradient of x.
        let trained = weights.rate.trained();
        for i in 0..if trained { rows } else { 0 } {
            for j in 0..width {
                let d = passed(i, j);
                d_shift[j] += d;
                d_scale[j] += d * normal(i, j);
            }
        }
        let scale = data1(&weights.scale);
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        to.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
            for (j, t) in row.iter_mut().enumerate() {
                *t += scale[j] * inverse[j] * (passed(i, j) - (d_shift[j] + normal(i, j) * d_scale[j]) / n);
            }
        });
        drop(to);
        for (leaf, d) in
            [(&weights.scale, &d_scale), (&weights.shift, &d_shift)].into_iter().filter(|_| trained)
        {
            on_host(grads.get_or_alloc_mut(leaf)?).iter_mut().zip(d).for_each(|(t, d)| *t += d);
        }
    })
}

/// Normalises a row, scales and shifts it; what is below 0 then counts `slope` times.
struct Activate<'a> {
    row: &'a mut [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    slope: f32,
}

impl Loop for Activate<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let n = self.row.len();
        let (mean, inverse) = (&self.mean[..n], &self.inverse[..n]);
        let (scale, shift) = (&self.scale[..n], &self.shift[..n]);
        for (j, o) in self.row.iter_mut().enumerate() {
            let y = (*o - mean[j]) * inverse[j] * scale[j] + shift[j];
            // Without a slope that is 0, not −0.
            *o = if y > 0.0 { y } else { y * self.slope + 0.0 };
        }
    }
}

/// Drops elements of a row whose first one has the place `first`; the others are multiplied by `keep`.
struct Drop<'a> {
    row: &'a mut [f32],
    p: f32,
    keep: f32,
    seed: u64,
    first: usize,
}

impl Loop for Drop<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (j, o) in self.row.iter_mut().enumerate() {
            *o = if keeps(self.seed, self.first + j, self.p) { *o * self.keep } else { 0.0 };
        }
    }
}

/// Mean and biased variance (width) of each column of x (rows, width), summed in f64.
fn statistics(x: &[f32], rows: usize, width: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut sum, mut square) = (vec![0f64; width], vec![0f64; width]);
    for row in x.chunks(width) {
        for (j, &x) in row.iter().enumerate() {
            sum[j] += x as f64;
            square[j] += x as f64 * x as f64;
        }
    }
    let n = rows as f64;
    let variance = sum.iter().zip(&square).map(|(s, q)| (q / n - s / n * s / n).max(0.0) as f32).collect();
    (sum.iter().map(|s| (s / n) as f32).collect(), variance)
}

/// x (rows, width), each element set to 0 with probability `p` and the others divided by 1 − p (Srivastava et al. 2014); without a
/// tape nothing is dropped.
pub fn dropout<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, p: f32, seed: u64) -> Matrix<T> {
    if !T::OWNS_TAPE || p == 0.0 {
        return x;
    }
    on_gpu!(|gpu| gpu.dropout(x, p, seed));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    let factor = move |i: usize| if keeps(seed, i, p) { 1.0 / (1.0 - p) } else { 0.0 };
    let out: Vec<f32> = data(&x).par_iter().enumerate().map(|(i, x)| x * factor(i)).collect();
    record!(tape, matrix(out, rows, width), |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        to.par_iter_mut().zip(&g).enumerate().for_each(|(i, (t, g))| *t += g * factor(i));
    })
}

/// [`dropout`] by each row's number (rows) in place of its place, with a tape or without: a row is dropped alike wherever it stands.
pub fn dropout_rows<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    numbers: &[u32],
    p: f32,
    seed: u64,
) -> Matrix<T> {
    if p == 0.0 {
        return x;
    }
    on_gpu!(|gpu| gpu.drop_rows(x, (p, seed, numbers)));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    let (mut out, numbers) = (data(&x).to_vec(), numbers.to_vec());
    // Multiplies the elements of a row by what dropout does to them.
    let apply = move |i: usize, row: &mut [f32]| {
        let first = numbers[i] as usize * width;
        let factor = 1.0 / (1.0 - p);
        let kept = |j: usize| if keeps(seed, first + j, p) { factor } else { 0.0 };
        row.iter_mut().enumerate().for_each(|(j, x)| *x *= kept(j));
    };
    out.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, row)| apply(i, row));
    record!(tape, matrix(out, rows, width), |grads, g| {
        let mut g = g;
        g.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, row)| apply(i, row));
        on_host(grads.get_or_alloc_mut(&x)?).iter_mut().zip(&g).for_each(|(t, g)| *t += g);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{get, get1, matrix_gradient, noise, probe, vector_gradient};
    use crate::loss::{Value, on_tape};

    fn weights(width: usize) -> BatchNormWeights {
        BatchNormWeights {
            scale: vector(noise(width, 1).iter().map(|x| x + 1.0).collect()),
            shift: vector(noise(width, 2)),
            ..BatchNormWeights::new(width)
        }
    }

    #[test]
    fn gradients_in_training_are_slopes() {
        let x = matrix(noise(24, 3), 6, 4);
        let w = weights(4);
        let value = |x: &Matrix, w: &BatchNormWeights| {
            probe(batch_norm_relu_dropout(x.leaky_trace(), &mut w.clone(), 0.3, 9)).array()
        };
        let grads = probe(batch_norm_relu_dropout(x.leaky_trace(), &mut w.clone(), 0.3, 9)).backward();
        matrix_gradient("x", &x, &grads, 1e-3, 2e-2, |x| value(x, &w));
        let scale = |v: &Vector| value(&x, &BatchNormWeights { scale: v.clone(), ..w.clone() });
        vector_gradient("scale", &w.scale, &grads, 1e-3, 1e-2, scale);
        let shift = |v: &Vector| value(&x, &BatchNormWeights { shift: v.clone(), ..w.clone() });
        vector_gradient("shift", &w.shift, &grads, 1e-3, 1e-2, shift);
    }

    #[test]
    fn leaky_gradients_are_slopes_on_both_sides() {
        let x = matrix(noise(24, 3), 6, 4);
        let w = weights(4);
        let value = |x: &Matrix, w: &BatchNormWeights| {
            probe(batch_norm_leaky(x.leaky_trace(), &mut w.clone(), 0.1)).array()
        };
        let y = batch_norm_leaky(x.clone(), &mut w.clone(), 0.1);
        let relu = batch_norm_relu_dropout(x.clone(), &mut w.clone(), 0.0, 0);
        let (y, relu) = (data(&y), data(&relu));
        let sides = y.iter().zip(&relu[..]);
        assert!(sides.clone().all(|(y, r)| if *y > 0.0 { y == r } else { *r == 0.0 }));
        assert!(sides.filter(|(y, _)| **y < 0.0).count() > 5);
        let identity = batch_norm_leaky(x.clone(), &mut w.clone(), 1.0);
        assert!(y.iter().zip(&data(&identity)[..]).all(|(y, i)| *i > 0.0 || (y - 0.1 * i).abs() < 1e-7));
        let grads = probe(batch_norm_leaky(x.leaky_trace(), &mut w.clone(), 0.1)).backward();
        matrix_gradient("x", &x, &grads, 1e-3, 2e-2, |x| value(x, &w));
        let scale = |v: &Vector| value(&x, &BatchNormWeights { scale: v.clone(), ..w.clone() });
        vector_gradient("scale", &w.scale, &grads, 1e-3, 1e-2, scale);
    }

    #[test]
    fn a_frozen_norm_passes_the_slopes_of_inference_and_stays() {
        let x = matrix(noise(24, 3), 6, 4);
        let before = BatchNormWeights { rate: Rate::FROZEN, ..weights(4) };
        let mut w = before.clone();
        let value = |x: &Matrix| probe(batch_norm_leaky(x.clone(), &mut before.clone(), 0.1)).array();
        let loss = probe(batch_norm_leaky(x.leaky_trace(), &mut w, 0.1));
        assert_eq!(loss.array(), value(&x));
        assert_eq!(w.mean.as_vec(), before.mean.as_vec());
        assert_eq!(w.variance.as_vec(), before.variance.as_vec());
        let mut grads = loss.backward();
        matrix_gradient("x", &x, &grads, 1e-3, 1e-2, value);
        assert!(on_host(grads.get_or_alloc_mut(&w.scale).unwrap()).iter().all(|&g| g == 0.0));
    }

    #[test]
    fn running_statistics_approach_those_of_the_data() {
        let x = matrix((0..400).map(|i| (i / 2 % 7) as f32 + (i % 2) as f32 * 10.0).collect(), 200, 2);
        let mut w = weights(2);
        for _ in 0..200 {
            batch_norm_relu_dropout(x.leaky_trace(), &mut w, 0.0, 0);
        }
        let (mean, variance) = statistics(&data(&x), 200, 2);
        for j in 0..2 {
            assert!((get1(&w.mean, j) - mean[j]).abs() < 1e-3);
            assert!((get1(&w.variance, j) - variance[j] * 200.0 / 199.0).abs() < 1e-2);
        }
        let y = batch_norm_relu_dropout(x.clone(), &mut w, 0.5, 0);
        let want = (get(&x, 3, 1) - mean[1]) / variance[1].sqrt() * get1(&w.scale, 1) + get1(&w.shift, 1);
        assert!((get(&y, 3, 1) - want.max(0.0)).abs() < 2e-2, "inference drops nothing");
    }

    #[test]
    fn dropout_keeps_its_share_and_has_the_gradient_of_its_mask() {
        let x = matrix(vec![1.0; 10_000], 100, 100);
        let y = dropout(x.leaky_trace(), 0.3, 5);
        let kept = data(&y).iter().filter(|&&y| y > 0.0).count();
        assert!((6_800..7_200).contains(&kept), "{kept}");
        let mask = data(&y).to_vec();
        let ones = |x: &[f32]| Value { value: x.iter().sum(), grad: vec![1.0; x.len()] };
        let grads = on_tape(y, ones).backward();
        assert_eq!(grads.get(&x).as_vec(), mask);
        assert_eq!(dropout(x.clone(), 0.3, 5).as_vec(), x.as_vec(), "inference drops nothing");
    }

    #[test]
    fn rows_are_dropped_by_their_numbers() {
        let x = matrix(noise(12 * 5, 4), 12, 5);
        let whole = data(&dropout(x.leaky_trace(), 0.4, 8)).to_vec();
        let some = crate::ops::rows::select(x.clone(), &[3, 9, 4]);
        let y = dropout_rows(some.leaky_trace(), &[3, 9, 4], 0.4, 8);
        let expected: Vec<f32> = [3, 9, 4].iter().flat_map(|r| &whole[5 * r..][..5]).copied().collect();
        assert_eq!(*data(&y), expected[..]);
    }
}
