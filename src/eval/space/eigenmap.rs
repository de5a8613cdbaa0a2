//! Laplacian eigenmaps (Belkin & Niyogi 2003): things in the plane by their similarity.

use ndarray::Array2;

use super::Point;
use super::eigen::eigenvectors;
use crate::{Error, Result};

/// The plane of n ≥ 3 things by their similarity (n, n), symmetric, greater than 0 beside the diagonal, which does not count: the solutions of
/// L f = λ D f with the smallest λ but 0, where D has the sums of the rows and L = D − W.
///
/// # Errors
/// Data: fewer than three things, or similarity that is not greater than 0; run, where the solutions are not found.
pub fn eigenmap(similarity: &Array2<f64>) -> Result<Vec<Point>> {
    let n = similarity.nrows();
    if n < 3 {
        return Err(Error::data(format!("{n} languages make no map")).hint("give three or more"));
    }
    let off = similarity.indexed_iter().filter(|((i, j), _)| i != j);
    if let Some(((i, j), value)) = off.into_iter().find(|(_, value)| value.is_nan() || **value <= 0.0) {
        return Err(Error::data(format!("the similarity of {i} and {j} (from 0) is {value}")));
    }
    let degree: Vec<f64> = (0..n).map(|i| similarity.row(i).sum() - similarity[[i, i]]).collect();
    // D^−½ W D^−½ has the eigenvectors D^½ f, its largest eigenvalues first.
    let scaled = Array2::from_shape_fn((n, n), |(i, j)| match i == j {
        true => 0.0,
        false => similarity[[i, j]] / (degree[i] * degree[j]).sqrt(),
    });
    // As far from the smallest eigenvalue as the solver likes: a multiple of one changes no vector.
    let (_, columns) = eigenvectors(&scaled)?;
    let at = |n: usize, column: usize| columns[[n, column]] / degree[n].sqrt();
    Ok((0..n).map(|n| [at(n, 1), at(n, 2)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_lies_together() {
        let family = [0, 0, 0, 1, 1, 1];
        let w = Array2::from_shape_fn((6, 6), |(i, j)| {
            if family[i] == family[j] { 0.9 } else { 0.2 + 0.01 * (i + j) as f64 }
        });
        let points = eigenmap(&w).unwrap();
        let sides: Vec<bool> = points.iter().map(|p| p[0] > 0.0).collect();
        assert!(
            sides[..3].iter().all(|s| *s == sides[0]) && sides[3..].iter().all(|s| *s != sides[0]),
            "{points:?}"
        );
    }

    #[test]
    fn what_makes_no_map_is_told() {
        let error = |w: Array2<f64>| eigenmap(&w).unwrap_err().to_string();
        assert!(error(Array2::ones((2, 2))).contains("2 languages make no map"));
        assert!(error(Array2::zeros((3, 3))).contains("the similarity of 0 and 1 (from 0) is 0"));
        assert!(error(Array2::from_elem((3, 3), f64::NAN)).contains("is NaN"));
    }
}
