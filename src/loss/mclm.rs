//! Masked cross-language model (Burns et al. 2020, equation 2): from two masked captions of one picture in two languages
//! predict what each has lost.

use dfdx::prelude::*;

use crate::config::Precision;
use crate::device::{Dev, Matrix, Scalar};
use crate::loss::combined;
use crate::ops::linear::{LinearWeights, blend, linear, unit_rows};
use crate::ops::on_gpu;
use crate::ops::rows::{columns, hconcat};
use crate::ops::tape::{data, on_host, record, scalar};

/// ‖ℓ₂(Sᵐᵢ + S′ᵢ) − ℓ₂(Sᵢ)‖ + the same for j, each the mean over rows, where (S′ᵢ, S′ⱼ) = layer(Sᵐᵢ, Sᵐⱼ).
///
/// `masked` and `whole` hold the two languages' vectors, each (pairs, width), row n of both about one picture;
/// `layer` maps 2·width to 2·width and is shared by all language pairs.
pub fn masked_pair<T: Tape<f32, Dev> + 'static>(
    masked: [Matrix<T>; 2],
    whole: [Matrix<T>; 2],
    layer: &LinearWeights,
    precision: Precision,
) -> Scalar<T> {
    let width = masked[0].shape().1;
    let [a, b] = masked;
    let (copy_a, copy_b) = (a.with_empty_tape(), b.with_empty_tape());
    let lost = linear(hconcat(copy_a, copy_b), layer, precision); // (pairs, 2 · width)
    let lost_b = columns(lost.with_empty_tape(), width, width);
    let lost_a = columns(lost, 0, width);
    let [whole_a, whole_b] = whole;
    let of_a = mean_distance(unit_rows(blend(a, 1.0, lost_a, 1.0)), unit_rows(whole_a));
    let of_b = mean_distance(unit_rows(blend(b, 1.0, lost_b, 1.0)), unit_rows(whole_b));
    combined(vec![(of_a, 1.0), (of_b, 1.0)], 1.0)
}

/// The mean over rows of ‖a − b‖, both (rows, width); where a = b the gradient is zero.
fn mean_distance<T: Tape<f32, Dev> + 'static>(a: Matrix<T>, b: Matrix<T>) -> Scalar<T> {
    on_gpu!(|gpu| gpu.mean_distance(a, b));
    let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
    let (rows, width) = *a.shape();
    let lengths: Vec<f32> = (data(&a).chunks(width).zip(data(&b).chunks(width)))
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt())
        .collect();
    let value = lengths.iter().sum::<f32>() / rows.max(1) as f32;
    record!(ta.merge(tb), scalar(value), |grads, g| {
        let (left, right) = (data(&a), data(&b));
        let slopes: Vec<f32> = (0..rows * width)
            .map(|i| {
                let length = lengths[i / width];
                if length > 0.0 { g[0] * (left[i] - right[i]) / (length * rows as f32) } else { 0.0 }
            })
            .collect();
        on_host(grads.get_or_alloc_mut(&a)?).iter_mut().zip(&slopes).for_each(|(t, s)| *t += s);
        on_host(grads.get_or_alloc_mut(&b)?).iter_mut().zip(&slopes).for_each(|(t, s)| *t -= s);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{matrix_gradient, noise, vector_gradient};
    use crate::ops::tape::{matrix, vector};

    #[test]
    fn gradients_are_slopes_for_every_input() {
        let m = |seed| matrix(noise(3 * 4, seed), 3, 4);
        let (a, b, wa, wb) = (m(1), m(2), m(3), m(4));
        let layer = LinearWeights::new(matrix(noise(64, 5), 8, 8), vector(noise(8, 6)));
        let value = |a: &Matrix, b: &Matrix, wa: &Matrix, wb: &Matrix, l: &LinearWeights| {
            masked_pair([a.clone(), b.clone()], [wa.clone(), wb.clone()], l, Precision::F32).array()
        };
        let traced = |x: &Matrix| x.leaky_trace();
        let masked = [traced(&a), traced(&b)];
        let grads = masked_pair(masked, [traced(&wa), traced(&wb)], &layer, Precision::F32).backward();
        matrix_gradient("masked i", &a, &grads, 1e-3, 1e-2, |x| value(x, &b, &wa, &wb, &layer));
        matrix_gradient("masked j", &b, &grads, 1e-3, 1e-2, |x| value(&a, x, &wa, &wb, &layer));
        matrix_gradient("whole i", &wa, &grads, 1e-3, 1e-2, |x| value(&a, &b, x, &wb, &layer));
        matrix_gradient("whole j", &wb, &grads, 1e-3, 1e-2, |x| value(&a, &b, &wa, x, &layer));
        matrix_gradient("weight", &layer.weight, &grads, 1e-3, 1e-2, |w| {
            value(&a, &b, &wa, &wb, &LinearWeights { weight: w.clone(), ..layer.clone() })
        });
        vector_gradient("bias", &layer.bias, &grads, 1e-3, 1e-2, |v| {
            value(&a, &b, &wa, &wb, &LinearWeights { bias: v.clone(), ..layer.clone() })
        });
    }

    #[test]
    fn a_sentence_that_lost_nothing_costs_nothing() {
        let x = matrix(noise(8, 1), 2, 4);
        let layer = LinearWeights::new(matrix(vec![0.0; 64], 8, 8), vector(vec![0.0; 8]));
        let loss = masked_pair([x.clone(), x.clone()], [x.clone(), x], &layer, Precision::F32);
        assert!(loss.array() < 1e-6);
    }
}
