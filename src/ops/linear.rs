//! y = x Wᵀ + b, and the product of two matrices of vectors.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::ops::Range;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::leaf::Rate;
use super::matmul::{View, matmul};
use super::on_gpu;
use super::rows::{add_columns, select};
use super::tape::{data, data1, matrix, on_host, record};
use crate::config::Precision;
use crate::device::{Dev, Matrix, Vector};

/// A fully connected layer in PyTorch's layout: weight (outputs, inputs), bias (outputs).
#[derive(Clone)]
pub struct LinearWeights {
    /// (outputs, inputs)
    pub weight: Matrix,
    /// (outputs)
    pub bias: Vector,
    /// Of weight and bias.
    pub rate: Rate,
}

impl LinearWeights {
    /// A layer to be trained: weight (outputs, inputs), bias (outputs).
    pub fn new(weight: Matrix, bias: Vector) -> Self {
        LinearWeights { weight, bias, rate: Rate::TRAINED }
    }
}

/// x (rows, inputs) → x Wᵀ + b (rows, outputs). Sums are f32, whatever the inputs are rounded to. A frozen layer gets no gradient.
pub fn linear<T: Tape<f32, Dev> + 'static>(
    x: Matrix<T>,
    layer: &LinearWeights,
    precision: Precision,
) -> Matrix<T> {
    let (x, tape) = x.split_tape();
    layer_of(x, tape, layer, precision, true)
}

/// As [`linear`], x (rows, inputs) → (rows, outputs), for an input that nothing trained lies before: its gradient is not
/// computed, and with a frozen layer none is.
pub fn linear_of_data<T: Tape<f32, Dev> + 'static>(
    x: Matrix,
    layer: &LinearWeights,
    precision: Precision,
) -> Matrix<T> {
    match layer.rate.trained() {
        true => layer_of(x, T::default(), layer, precision, false),
        false => layer_of(x, NoneTape, layer, precision, false).put_tape(T::default()),
    }
}

/// x (rows, inputs) → (rows, outputs), with the gradient of the layer, if it is trained, and with that of `x` where `through` says so.
fn layer_of<T: Tape<f32, Dev> + 'static>(
    x: Matrix,
    tape: T,
    layer: &LinearWeights,
    precision: Precision,
    through: bool,
) -> Matrix<T> {
    let ((rows, inputs), outputs) = (*x.shape(), layer.weight.shape().0);
    assert_eq!(inputs, layer.weight.shape().1, "linear: width of the input");
    on_gpu!(|gpu| gpu.linear(x, tape, layer, precision, through));
    let bias = data1(&layer.bias);
    let mut out = vec![0.0; rows * outputs];
    out.par_chunks_mut(outputs).with_min_len(16).for_each(|row| row.copy_from_slice(&bias));
    let weight = data(&layer.weight);
    let weight = View::new(&weight, outputs, inputs);
    matmul(View::new(&data(&x), rows, inputs), weight.t(), &mut out, true, precision);
    let layer = layer.clone();
    record!(tape, matrix(out, rows, outputs), |grads, g| {
        let g = View::new(&g, rows, outputs);
        if through {
            let weight = data(&layer.weight);
            let weight = View::new(&weight, outputs, inputs);
            matmul(g, weight, &mut on_host(grads.get_or_alloc_mut(&x)?), true, precision);
        }
        if layer.rate.trained() {
            let mut weight = on_host(grads.get_or_alloc_mut(&layer.weight)?);
            matmul(g.t(), View::new(&data(&x), rows, inputs), &mut weight, true, precision);
            drop(weight);
            let rows: Vec<&[f32]> = g.data().chunks(outputs).collect();
            add_columns(&mut on_host(grads.get_or_alloc_mut(&layer.bias)?), &rows);
        }
    })
}

/// [`similarity`] of a (m, width) with the given rows of b (any, width) → (m, rows).
pub fn similarity_with<T: Tape<f32, Dev> + 'static>(
    a: Matrix<T>,
    b: Matrix<T>,
    rows: Range<usize>,
) -> Matrix<T> {
    on_gpu!(|gpu| gpu.similarity(a, b, rows));
    similarity(a, select(b, &rows.map(|row| row as u32).collect::<Vec<_>>()))
}

/// a (m, width) · bᵀ, b (n, width) → (m, n): cosines when the rows have unit length. Always in f32.
pub fn similarity<T: Tape<f32, Dev> + 'static>(a: Matrix<T>, b: Matrix<T>) -> Matrix<T> {
    assert_eq!(a.shape().1, b.shape().1, "similarity: widths differ");
    on_gpu!(|gpu| {
        let rows = b.shape().0;
        gpu.similarity(a, b, 0..rows)
    });
    let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
    let ((m, width), n) = (*a.shape(), b.shape().0);
    let mut out = vec![0.0; m * n];
    matmul(
        View::new(&data(&a), m, width),
        View::new(&data(&b), n, width).t(),
        &mut out,
        false,
        Precision::F32,
    );
    record!(ta.merge(tb), matrix(out, m, n), |grads, g| {
        let g = View::new(&g, m, n);
        matmul(
            g,
            View::new(&data(&b), n, width),
            &mut on_host(grads.get_or_alloc_mut(&a)?),
            true,
            Precision::F32,
        );
        matmul(
            g.t(),
            View::new(&data(&a), m, width),
            &mut on_host(grads.get_or_alloc_mut(&b)?),
            true,
            Precision::F32,
        );
    })
}

/// x (width) at unit length, in place; zeros stay.
pub fn unit_row(x: &mut [f32]) {
    let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
}

/// x (rows, width), each row divided by its length (Euclidean norm); a row shorter than 1e-12 is divided by that.
pub fn unit_rows<T: Tape<f32, Dev> + 'static>(x: Matrix<T>) -> Matrix<T> {
    on_gpu!(|gpu| gpu.unit_rows(x));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    let mut out = data(&x).to_vec();
    let mut lengths = vec![0f32; rows];
    out.par_chunks_mut(width.max(1)).zip(&mut lengths).for_each(|(row, length)| {
        *length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x /= *length);
    });
    let out = matrix(out, rows, width);
    let unit = out.clone();
    record!(tape, out, |grads, g| {
        let mut to = on_host(grads.get_or_alloc_mut(&x)?);
        let unit = data(&unit);
        let rows = to.chunks_mut(width).zip(g.chunks(width)).zip(unit.chunks(width)).zip(&lengths);
        for (((to, g), u), length) in rows {
            let along: f32 = g.iter().zip(u).map(|(g, u)| g * u).sum();
            to.iter_mut().zip(g).zip(u).for_each(|((t, g), u)| *t += (g - along * u) / length);
        }
    })
}

/// p · a + q · b, of two matrices (rows, width).
pub fn blend<T: Tape<f32, Dev> + 'static>(a: Matrix<T>, p: f32, b: Matrix<T>, q: f32) -> Matrix<T> {
    assert_eq!(a.shape(), b.shape(), "blend: shapes differ");
    on_gpu!(|gpu| gpu.blend(a, p, b, q));
    let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
    let (rows, width) = *a.shape();
    let out = data(&a).iter().zip(&data(&b)[..]).map(|(a, b)| p * a + q * b).collect();
    record!(ta.merge(tb), matrix(out, rows, width), |grads, g| {
        for (x, factor) in [(&a, p), (&b, q)] {
            let mut to = on_host(grads.get_or_alloc_mut(x)?);
            to.iter_mut().zip(&g).for_each(|(t, g)| *t += factor * g);
        }
    })
}

/// x (rows, width) as it is, with the gradient multiplied by −`factor` (Ganin & Lempitsky 2015).
pub fn reverse_gradient<T: Tape<f32, Dev> + 'static>(x: Matrix<T>, factor: f32) -> Matrix<T> {
    on_gpu!(|gpu| gpu.scale_gradient(x, -factor));
    let (x, tape) = x.split_tape();
    let (rows, width) = *x.shape();
    record!(tape, matrix(data(&x).to_vec(), rows, width), |grads, g| {
        on_host(grads.get_or_alloc_mut(&x)?).iter_mut().zip(&g).for_each(|(t, g)| *t -= factor * g);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{get, get1, matrix_gradient, noise, probe, vector_gradient};
    use crate::ops::tape::vector;

    fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
        matrix(noise(rows * cols, seed), rows, cols)
    }

    #[test]
    fn linear_value_and_gradient() {
        let layer = LinearWeights::new(random(5, 3, 1), vector(noise(5, 2)));
        let x = random(4, 3, 3);
        let value = |x: &Matrix, l: &LinearWeights| probe(linear(x.clone(), l, Precision::F32)).array();
        let y = linear(x.clone(), &layer, Precision::F32);
        let want: f32 =
            (0..3).map(|k| get(&x, 2, k) * get(&layer.weight, 4, k)).sum::<f32>() + get1(&layer.bias, 4);
        assert!((get(&y, 2, 4) - want).abs() < 1e-6);
        let grads = probe(linear(x.leaky_trace(), &layer, Precision::F32)).backward();
        matrix_gradient("x", &x, &grads, 1e-2, 1e-3, |x| value(x, &layer));
        let weight = |w: &Matrix| value(&x, &LinearWeights { weight: w.clone(), ..layer.clone() });
        matrix_gradient("weight", &layer.weight, &grads, 1e-2, 1e-3, weight);
        let bias = |b: &Vector| value(&x, &LinearWeights { bias: b.clone(), ..layer.clone() });
        vector_gradient("bias", &layer.bias, &grads, 1e-2, 1e-3, bias);
        let of_data =
            probe(linear_of_data::<OwnedTape<f32, Dev>>(x.clone(), &layer, Precision::F32)).backward();
        assert_eq!(of_data.get(&layer.weight).as_vec(), grads.get(&layer.weight).as_vec());
        let frozen = LinearWeights { rate: Rate::FROZEN, ..layer };
        let mut through = probe(linear(x.leaky_trace(), &frozen, Precision::F32)).backward();
        assert_eq!(through.get(&x).as_vec(), grads.get(&x).as_vec());
        assert!(on_host(through.get_or_alloc_mut(&frozen.weight).unwrap()).iter().all(|&g| g == 0.0));
        let nothing = linear_of_data::<OwnedTape<f32, Dev>>(x.clone(), &frozen, Precision::F32);
        assert_eq!(nothing.as_vec(), y.as_vec());
        let mut none = probe(nothing).backward();
        assert!(on_host(none.get_or_alloc_mut(&frozen.weight).unwrap()).iter().all(|&g| g == 0.0));
    }

    #[test]
    fn similarity_of_a_matrix_with_itself_has_both_gradients() {
        let (a, b) = (random(4, 3, 1), random(5, 3, 2));
        let grads = probe(similarity(a.leaky_trace(), b.clone().put_tape(OwnedTape::default()))).backward();
        matrix_gradient("a", &a, &grads, 1e-2, 1e-3, |a| probe(similarity(a.clone(), b.clone())).array());
        matrix_gradient("b", &b, &grads, 1e-2, 1e-3, |b| probe(similarity(a.clone(), b.clone())).array());
        let traced = a.leaky_trace();
        let grads = probe(similarity(traced.with_empty_tape(), traced)).backward();
        matrix_gradient("both", &a, &grads, 1e-2, 1e-3, |a| probe(similarity(a.clone(), a.clone())).array());
    }

    #[test]
    fn unit_rows_have_length_one_and_a_tangent_gradient() {
        let x = random(4, 6, 1);
        let y = unit_rows(x.clone());
        let length: f32 = (0..6).map(|j| get(&y, 1, j) * get(&y, 1, j)).sum();
        assert!((length - 1.0).abs() < 1e-6);
        let grads = probe(unit_rows(x.leaky_trace())).backward();
        matrix_gradient("x", &x, &grads, 3e-3, 3e-3, |x| probe(unit_rows(x.clone())).array());
    }

    #[test]
    fn reversed_gradient_has_the_other_sign() {
        let x = random(2, 3, 1);
        let grads = probe(reverse_gradient(x.leaky_trace(), 0.5)).backward();
        let plain = probe(x.leaky_trace()).backward();
        let (a, b) = (grads.get(&x).as_vec(), plain.get(&x).as_vec());
        assert!(a.iter().zip(&b).all(|(a, b)| (a + 0.5 * b).abs() < 1e-6));
    }
}
