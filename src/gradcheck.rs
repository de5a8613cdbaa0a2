//! Finite differences: the test of every gradient in this crate, and of one's own. What differs panics, as assertions do.

use crate::device::{Dev, Matrix, Scalar, Vector};
use crate::loss::{Value, on_tape};
use crate::ops::tape::{Grads, data, data1, matrix, on_host, vector};
use crate::optim::Visitor;
use dfdx::prelude::*;

/// Repeatable noise in −0.5..0.5.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random::<f32>() - 0.5).collect()
}

/// An element of a matrix.
pub fn get(m: &Matrix, row: usize, column: usize) -> f32 {
    data(m)[row * m.shape().1 + column]
}

/// An element of a vector.
pub fn get1(v: &Vector, place: usize) -> f32 {
    data1(v)[place]
}

/// A fixed weighted sum of a matrix: a scalar whose gradient with respect to the matrix is known and not uniform.
pub fn probe<T: Tape<f32, Dev> + 'static>(m: Matrix<T>) -> Scalar<T> {
    on_tape(m, |x| {
        let grad = noise(x.len(), 77);
        Value { value: x.iter().zip(&grad).map(|(x, w)| x * w).sum(), grad }
    })
}

/// Compares `grad` with central differences of `f` at every element of `at`; both are equally long. Panics at the first that differs by
/// more than `tolerance` of the largest gradient (or of 1e-3, where that is more).
pub fn differences(
    name: &str,
    at: &[f32],
    grad: &[f32],
    step: f32,
    tolerance: f32,
    f: impl Fn(&[f32]) -> f32,
) {
    assert_eq!(at.len(), grad.len(), "{name}: length of the gradient");
    let scale = grad.iter().fold(0f32, |m, g| m.max(g.abs())).max(1e-3);
    let mut x = at.to_vec();
    for i in 0..at.len() {
        x[i] = at[i] + step;
        let high = f(&x);
        x[i] = at[i] - step;
        let low = f(&x);
        x[i] = at[i];
        let slope = (high - low) / (2.0 * step);
        assert!(
            (slope - grad[i]).abs() <= tolerance * scale,
            "{name}[{i}]: gradient {}, slope {slope}",
            grad[i]
        );
    }
}

/// Every gradient of what is trained now, by its parameter's name; those of tables whole, zeros where no row was read.
pub fn by_name(grads: &mut Grads, visit: &mut dyn FnMut(Visitor)) -> Vec<(String, Vec<f32>)> {
    let mut named = Vec::new();
    visit(&mut |name, parameter| {
        let of_rows = || {
            let t = parameter.as_table().expect("what has no gradient on the tape is a table");
            let mut whole = vec![0.0; t.data().len()];
            for (rows, values) in t.take_grads() {
                for (r, g) in rows.iter().zip(values.host().chunks(t.width)) {
                    let to = &mut whole[*r as usize * t.width..][..t.width];
                    to.iter_mut().zip(g).for_each(|(t, g)| *t += g);
                }
            }
            whole
        };
        if parameter.trained() {
            let g = parameter.gradient(grads).map_or_else(of_rows, |g| on_host(g).to_vec());
            named.push((name.to_string(), g));
        }
    });
    named
}

/// Checks the gradient of a scalar function of one matrix.
pub fn matrix_gradient(
    name: &str,
    at: &Matrix,
    grads: &Grads,
    step: f32,
    tolerance: f32,
    f: impl Fn(&Matrix) -> f32,
) {
    let (rows, cols) = *at.shape();
    let grad = grads.get(at);
    differences(name, &data(at), &data(&grad), step, tolerance, |x| f(&matrix(x.to_vec(), rows, cols)));
}

/// Checks the gradient of a scalar function of one vector.
pub fn vector_gradient(
    name: &str,
    at: &Vector,
    grads: &Grads,
    step: f32,
    tolerance: f32,
    f: impl Fn(&Vector) -> f32,
) {
    let grad = grads.get(at);
    differences(name, &data1(at), &data1(&grad), step, tolerance, |x| f(&vector(x.to_vec())));
}
