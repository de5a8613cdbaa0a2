//! Batch normalisation with ReLU and dropout; dropout alone; what happens to features before the image branch.

use dfdx::prelude::*;

use crate::device::cuda::{Gpu, args, at, at_buffer, gradient_at, matrix, record_on_gpu, unwritten, zeroed};
use crate::device::{Dev, Matrix, Vector};
use crate::ops::batch_norm::{BatchNormWeights, MOMENTUM};

impl Gpu {
    /// [`crate::ops::batch_norm::batch_norm_relu_dropout`] and its leaky form
    pub fn batch_norm<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        weights: &mut BatchNormWeights,
        slope: f32,
        p: f32,
        seed: u64,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let columns = ((width.div_ceil(32), 1), (32, 8));
        let trained = weights.rate.trained();
        let (mean, variance) = match T::OWNS_TAPE && trained {
            true => {
                let (mean, variance) = (self.vector(width), self.vector(width));
                // A clone shares the buffer of the running ones: they move to others.
                let running = (self.vector(width), self.vector(width));
                let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
                let args = args![
                    at(&mean),
                    at(&variance),
                    at(&running.0),
                    at(&running.1),
                    at(&weights.mean),
                    at(&weights.variance),
                    at(&x),
                    MOMENTUM,
                    unbiased,
                    rows,
                    width
                ];
                self.launch("column_statistics", columns.0, columns.1, args);
                (weights.mean, weights.variance) = running;
                (mean, variance)
            }
            false => (weights.mean.clone(), weights.variance.clone()),
        };
        let (p, keep) = if T::OWNS_TAPE { (p, 1.0 / (1.0 - p)) } else { (0.0, 1.0) };
        let out = matrix(rows, width);
        let (scale, shift) = (at(&weights.scale), at(&weights.shift));
        let statistics = (at(&mean), at(&variance));
        let args =
            args![at(&out), at(&x), statistics.0, statistics.1, scale, shift, slope, p, seed, rows, width];
        self.each("batch_norm", rows * width, args);
        let (result, weights) = (out.clone(), weights.clone());
        record_on_gpu!(tape, out, |grads, g| {
            let (x_at, y, statistics) = (at(&x), at(&result), (at(&mean), at(&variance)));
            // Statistics that stay take no part in the gradient of x.
            let kept = if trained { unwritten(2 * width) } else { zeroed(2 * width) };
            let kept = at_buffer(&kept);
            if trained {
                let (to_scale, to_shift) =
                    (gradient_at!(grads, &weights.scale), gradient_at!(grads, &weights.shift));
                let (mean, variance) = statistics;
                let args =
                    args![kept, to_scale, to_shift, x_at, y, g, mean, variance, slope, keep, rows, width];
                self.launch("batch_norm_back_weights", columns.0, columns.1, args);
            }
            let (to, scale) = (gradient_at!(grads, &x), at(&weights.scale));
            let args =
                args![to, x_at, y, g, statistics.0, statistics.1, scale, kept, slope, keep, rows, width];
            self.each("batch_norm_back", rows * width, args);
        })
    }

    /// A vector of zeros.
    fn vector(&self, n: usize) -> Vector {
        crate::device::cuda::must(self.dev.try_zeros_like(&(n,)))
    }

    /// [`crate::ops::weight_norm::weight_norm`]
    pub fn weight_norm<T: Tape<f32, Dev> + 'static>(
        &'static self,
        directions: Matrix,
        tape: T,
        gains: &Vector,
    ) -> Matrix<T> {
        let (rows, width) = *directions.shape();
        let (out, lengths) = (matrix(rows, width), self.alloc(rows));
        self.rows("weight_norm", rows, args![at(&out), &lengths, at(&directions), at(gains), width]);
        let gains = gains.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let (to, to_gains) = (gradient_at!(grads, &directions), gradient_at!(grads, &gains));
            let args = args![to, to_gains, g, at(&directions), &lengths, at(&gains), width];
            self.rows("weight_norm_back", rows, args);
        })
    }

    /// [`crate::ops::batch_norm::dropout`], with a tape
    pub fn dropout<T: Tape<f32, Dev> + 'static>(&'static self, x: Matrix<T>, p: f32, seed: u64) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let (n, out) = (rows * width, matrix(rows, width));
        self.each("drop", n, args![at(&out), at(&x), p, seed, n, false]);
        record_on_gpu!(tape, out, |grads, g| {
            self.each("drop", n, args![gradient_at!(grads, &x), g, p, seed, n, true]);
        })
    }

    /// Dropout of x (rows, width) by probability, seed and each row's number: a row is dropped alike wherever it stands.
    pub fn drop_rows<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        (p, seed, numbers): (f32, u64, &[u32]),
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let (n, out) = (rows * width, matrix(rows, width));
        let numbers = self.numbers(numbers);
        self.each("drop_rows", n, args![at(&out), at(&x), &numbers, p, seed, n, width, false]);
        record_on_gpu!(tape, out, |grads, g| {
            let to = gradient_at!(grads, &x);
            self.each("drop_rows", n, args![to, g, &numbers, p, seed, n, width, true]);
        })
    }

    /// [`crate::ops::rows::signed_root`]
    pub fn signed_root(&self, x: &Matrix) -> Matrix {
        let (rows, width) = *x.shape();
        let (n, out) = (rows * width, matrix(rows, width));
        self.add_scaled(at(&out), at(x), 1.0, n);
        self.each("signed_root", n, args![at(&out), n]);
        out
    }

    /// [`crate::ops::rows::standardise`]
    pub fn standardise(&self, x: &Matrix, centre: &Vector, inverse: &Vector) -> Matrix {
        let (rows, width) = *x.shape();
        let out = matrix(rows, width);
        self.add_scaled(at(&out), at(x), 1.0, rows * width);
        self.each("standardise", rows * width, args![at(&out), at(centre), at(inverse), rows, width]);
        out
    }
}
