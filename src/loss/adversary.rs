//! Which language is this? InfoNce cross-entropy of a classifier whose input passed gradient reversal.

use dfdx::prelude::*;

use super::{Value, on_tape};
use crate::device::{Dev, Matrix, Scalar};
use crate::ops::on_gpu;

/// [`cross_entropy`] on the tape: logits (rows, classes).
pub fn classification<T: Tape<f32, Dev> + 'static>(logits: Matrix<T>, classes: &[u32]) -> Scalar<T> {
    on_gpu!(|gpu| gpu.cross_entropy(logits, classes));
    on_tape(logits, |x| cross_entropy(x, classes))
}

/// Mean over rows of `−log softmax(logits)[class]`; logits (rows, classes).
pub fn cross_entropy(logits: &[f32], classes: &[u32]) -> Value {
    let rows = classes.len();
    let width = logits.len() / rows.max(1);
    let mut grad = Vec::with_capacity(logits.len());
    let mut sum = 0f64;
    for (row, &class) in logits.chunks(width.max(1)).zip(classes) {
        let highest = row.iter().fold(f32::NEG_INFINITY, |m, &x| if x.is_nan() { x } else { m.max(x) });
        let total: f64 = row.iter().map(|x| ((x - highest) as f64).exp()).sum();
        sum += total.ln() + (highest - row[class as usize]) as f64;
        grad.extend(row.iter().enumerate().map(|(j, x)| {
            let p = ((x - highest) as f64).exp() / total;
            ((p - (j == class as usize) as u8 as f64) / rows as f64) as f32
        }));
    }
    Value { value: (sum / rows.max(1) as f64) as f32, grad }
}

/// How far the reversed gradient counts at training progress p in 0..1: 2 / (1 + e^(−10 p)) − 1 (Ganin & Lempitsky 2015).
pub fn reversal_ramp(progress: f32) -> f32 {
    2.0 / (1.0 + (-10.0 * progress).exp()) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{differences, noise};

    #[test]
    fn even_logits_cost_the_logarithm_of_the_classes() {
        assert!((cross_entropy(&[1.0; 8], &[0, 3]).value - 4f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn gradient_is_the_slope() {
        let x = noise(15, 1);
        let classes = [0, 2, 1, 1, 4 % 3];
        differences("logits", &x, &cross_entropy(&x, &classes).grad, 1e-3, 1e-2, |x| {
            cross_entropy(x, &classes).value
        });
    }

    #[test]
    fn reversal_grows_from_nothing_to_one() {
        assert_eq!(reversal_ramp(0.0), 0.0);
        assert!(reversal_ramp(1.0) > 0.999);
    }
}
