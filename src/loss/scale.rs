//! InfoNCE at a trained temperature τ: the parameter is the logarithm of the scale 1/τ (Radford et al. 2021, section 2.5).

use dfdx::prelude::*;

use super::info_nce::info_nce;
use super::{InfoNce, Pairs, Value};
use crate::config::MOST_SCALE;
use crate::device::{Dev, Matrix, Scalar, Vector};
use crate::ops::leaf::Leaf;
use crate::ops::on_gpu;
use crate::ops::tape::{data, data1, data1_mut, on_host, record, scalar, vector};

/// The parameter (1) for a temperature τ: log 1/τ.
pub fn log_scale(temperature: f32) -> Vector {
    vector(vec![-temperature.ln()])
}

/// 1/τ of a parameter (1).
pub fn scale(log_scale: &Vector) -> f32 {
    data1(log_scale)[0].exp()
}

/// Takes a parameter (1) whose scale a step has made larger than [`MOST_SCALE`] back to it; before a step reads it.
pub fn clip(log_scale: &mut Vector) {
    on_gpu!(|gpu| gpu.at_most(log_scale, MOST_SCALE.ln()));
    if data1(log_scale)[0] > MOST_SCALE.ln() {
        data1_mut(log_scale)[0] = MOST_SCALE.ln();
    }
}

/// As [`super::contrast`] by InfoNCE: `similarity` (rows, columns), the pictures of each, and `log_scale` (1). The gradient of the
/// logarithm of the scale is Σ (similarity, less the margin where it matches) · gradient of similarity.
pub(super) fn scaled_info_nce<T: Tape<f32, Dev> + 'static>(
    similarity: Matrix<T>,
    log_scale: &Leaf<Vector>,
    rows: &[u32],
    columns: &[u32],
    by: InfoNce,
) -> Scalar<T> {
    let (s, tape) = similarity.split_tape();
    let pairs = Pairs { similarity: &data(&s), rows, columns };
    let Value { value, grad } = info_nce(pairs, by);
    let along = |(at, (d, s)): (usize, (&f32, &f32))| {
        let own = rows[at / columns.len()] == columns[at % columns.len()];
        d * if own { s - by.margin } else { *s }
    };
    let along: f32 = grad.iter().zip(&data(&s)[..]).enumerate().map(along).sum();
    let log_scale = log_scale.clone();
    record!(tape, scalar(value), |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&s)?);
        to.iter_mut().zip(&grad).for_each(|(t, d)| *t += g[0] * d);
        drop(to);
        if log_scale.rate.trained() {
            on_host(grads.get_or_alloc_mut(&log_scale.value)?)[0] += g[0] * along;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{matrix_gradient, noise, vector_gradient};
    use crate::loss::{Anchors, Contrast, Temperature, contrast};
    use crate::ops::tape::matrix;

    #[test]
    fn gradients_are_slopes_and_the_value_is_that_of_the_temperature() {
        let s = matrix(noise(12, 1), 3, 4);
        let (rows, columns) = ([0, 1, 2], [0, 1, 1, 2]);
        let plain = InfoNce::at(Temperature::Fixed(0.2));
        let hard = InfoNce { margin: 0.3, anchors: Anchors::Rows, ..plain };
        for by in [plain, InfoNce { smoothing: 0.1, ..plain }, hard] {
            let loss = |s: &Matrix, l: &Leaf<Vector>| {
                let by = InfoNce { temperature: Temperature::Trained(l), ..by };
                contrast(s.leaky_trace(), &rows, &columns, Contrast::InfoNce(by))
            };
            let l = Leaf::trained(log_scale(0.2));
            let fixed = contrast(s.clone(), &rows, &columns, Contrast::InfoNce(by)).array();
            assert!((loss(&s, &l).array() - fixed).abs() < 1e-6);
            let grads = loss(&s, &l).backward();
            matrix_gradient("similarity", &s, &grads, 1e-3, 1e-2, |s| loss(s, &l).array());
            let with = |l: &Vector| loss(&s, &Leaf::trained(l.clone())).array();
            vector_gradient("scale", &l.value, &grads, 1e-3, 1e-2, with);
        }
    }

    #[test]
    fn a_scale_stays_at_most_at_100() {
        for (temperature, kept) in [(0.07, 1.0 / 0.07), (0.01, 100.0), (0.005, 100.0)] {
            let mut l = log_scale(temperature);
            clip(&mut l);
            assert!((scale(&l) - kept).abs() < 1e-3, "{}", scale(&l));
        }
    }
}
