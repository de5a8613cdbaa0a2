//! Eigenvectors and eigenvalues of symmetric matrices in double precision: with `words::procrustes` what touches `linfa-linalg`.

use linfa_linalg::eigh::{EigSort, EigValsh, Eigh};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::Point;
use crate::{Error, Result};

/// Eigenvalues of a symmetric matrix, falling, and their eigenvectors as columns, each of length 1 with a positive largest number.
///
/// # Errors
/// Run, where they are not found.
pub(super) fn eigenvectors(symmetric: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    // On what is not finite the decomposition would go on for ever.
    if symmetric.iter().any(|x| !x.is_finite()) {
        return Err(Error::run("a matrix with numbers that are not finite has no eigenvectors"));
    }
    let found = symmetric.eigh().map_err(|e| Error::run("eigenvectors cannot be had").because(e))?;
    let (values, mut columns) = found.sort_eig_desc();
    for mut column in columns.columns_mut() {
        let largest = column.iter().fold(0f64, |a, &b| if b.abs() > a.abs() { b } else { a });
        column *= largest.signum();
    }
    Ok((values, columns))
}

/// The singular values of a matrix, as the roots of the eigenvalues of its smaller Gram matrix: those near 0 are exact to about 1e-8 of the largest.
///
/// # Errors
/// Run, where they are not found.
pub(super) fn singular_values(matrix: &Array2<f64>) -> Result<Vec<f64>> {
    let gram = match matrix.nrows() < matrix.ncols() {
        true => matrix.dot(&matrix.t()),
        false => matrix.t().dot(matrix),
    };
    let squares = gram.eigvalsh().map_err(|e| Error::run("singular values cannot be had").because(e))?;
    Ok(squares.iter().map(|square| square.max(0.0).sqrt()).collect())
}

/// Rows (rows, width) less their mean.
pub(super) fn centred(vectors: &[f32], width: usize) -> Array2<f64> {
    let view = ArrayView2::from_shape((vectors.len() / width, width), vectors).expect("whole rows");
    let mut rows = view.mapv(f64::from);
    let mean = rows.mean_axis(Axis(0)).expect("one row or more");
    rows -= &mean;
    rows
}

/// The two first principal components of vectors (rows, width), of each row; a vector of one number has no second one.
///
/// # Errors
/// Run, where they are not found.
pub(super) fn principal(vectors: &[f32], width: usize) -> Result<Vec<Point>> {
    let rows = centred(vectors, width);
    let (_, columns) = eigenvectors(&rows.t().dot(&rows))?;
    let axis = |n: usize| (n < width).then(|| rows.dot(&columns.column(n)));
    let (first, second) = (axis(0), axis(1));
    let at = |axis: &Option<Array1<f64>>, n: usize| axis.as_ref().map_or(0.0, |axis| axis[n]);
    Ok((0..rows.nrows()).map(|n| [at(&first, n), at(&second, n)]).collect())
}
