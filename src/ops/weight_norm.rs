//! Weight normalisation.

use dfdx::prelude::*;

use super::on_gpu;
use super::tape::{data, data1, matrix, on_host, record};
use crate::device::{Dev, Matrix, Vector};

/// Each row of `directions` (outputs, inputs) at the length that `gains` (outputs) gives it: w = g·v/‖v‖ (Salimans & Kingma
/// 2016). A row shorter than 1e-12 is divided by that.
pub fn weight_norm<T: Tape<f32, Dev> + 'static>(directions: Matrix<T>, gains: &Vector) -> Matrix<T> {
    let (v, tape) = directions.split_tape();
    let (outputs, inputs) = *v.shape();
    assert_eq!(gains.shape().0, outputs, "weight_norm: one gain a row");
    on_gpu!(|gpu| gpu.weight_norm(v, tape, gains));
    let mut out = data(&v).to_vec();
    let lengths: Vec<f32> =
        out.chunks(inputs).map(|v| v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12)).collect();
    for ((row, length), gain) in out.chunks_mut(inputs).zip(&lengths).zip(&data1(gains)[..]) {
        row.iter_mut().for_each(|x| *x *= gain / length);
    }
    let gains = gains.clone();
    record!(tape, matrix(out, outputs, inputs), |grads, g| {
        let (gain, from) = (data1(&gains), data(&v));
        // The part of each row's gradient along its direction is the gain's.
        let along = |row: usize| -> f32 {
            let both = g[row * inputs..][..inputs].iter().zip(&from[row * inputs..][..inputs]);
            both.map(|(g, v)| g * v).sum::<f32>() / lengths[row]
        };
        let along: Vec<f32> = (0..outputs).map(along).collect();
        on_host(grads.get_or_alloc_mut(&gains)?).iter_mut().zip(&along).for_each(|(t, a)| *t += a);
        let mut to = on_host(grads.get_or_alloc_mut(&v)?);
        for (i, to) in to.chunks_mut(inputs).enumerate() {
            let (factor, length) = (gain[i] / lengths[i], lengths[i]);
            let both = g[i * inputs..][..inputs].iter().zip(&from[i * inputs..][..inputs]);
            to.iter_mut().zip(both).for_each(|(t, (g, v))| *t += factor * (g - along[i] * v / length));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use crate::gradcheck::{matrix_gradient, noise, probe, vector_gradient};
    use crate::ops::linear::{LinearWeights, linear};
    use crate::ops::tape::vector;

    #[test]
    fn rows_have_the_length_of_their_gain() {
        let w = weight_norm(matrix(vec![3.0, 4.0, 0.0, -2.0], 2, 2), &vector(vec![10.0, 0.5]));
        assert_eq!(w.as_vec(), [6.0, 8.0, 0.0, -0.5]);
    }

    /// Through the layer that the weight is used in.
    #[test]
    fn gradients_of_direction_and_gain_are_slopes() {
        let (v, g, bias) = (matrix(noise(15, 1), 5, 3), vector(noise(5, 2)), vector(noise(5, 3)));
        let x = matrix(noise(12, 4), 4, 3);
        let layer = |w: Matrix| LinearWeights::new(w, bias.clone());
        let value = |v: &Matrix, g: &Vector| {
            probe(linear(x.clone(), &layer(weight_norm(v.clone(), g)), Precision::F32)).array()
        };
        let (w, tape) = weight_norm(v.leaky_trace(), &g).split_tape();
        let grads = probe(linear(x.clone().put_tape(tape), &layer(w), Precision::F32)).backward();
        matrix_gradient("directions", &v, &grads, 1e-3, 5e-3, |v| value(v, &g));
        vector_gradient("gains", &g, &grads, 1e-3, 5e-3, |g| value(&v, g));
    }
}
