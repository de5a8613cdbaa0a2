//! Singular vector canonical correlation analysis (Raghu et al. 2017): how alike two sets of vectors of the same sentences are, whatever linear map
//! lies between them.

use ndarray::{Array2, s};

use super::eigen::{centred, eigenvectors, singular_values};
use crate::{Error, Result};

/// Share of the variance that the kept directions of a language have.
pub const KEPT: f64 = 0.99;

/// The directions of a language's vectors that have [`KEPT`] of their variance: orthonormal columns (sentences, directions).
pub struct Subspace(Array2<f64>);

impl Subspace {
    /// Of vectors (sentences, width), in the order of the sentences.
    ///
    /// # Errors
    /// Data, where all vectors are equal; run, where the directions are not found.
    pub fn of(vectors: &[f32], width: usize) -> Result<Subspace> {
        let rows = centred(vectors, width);
        let (values, columns) = eigenvectors(&rows.t().dot(&rows))?;
        let total: f64 = values.iter().sum();
        if total <= 1e-12 * rows.nrows() as f64 {
            return Err(Error::data("all sentences have one vector")
                .hint("a language without differences is like no other"));
        }
        let mut sum = 0.0;
        let enough = values.iter().position(|value| {
            sum += value;
            sum >= KEPT * total
        });
        let count = enough.map_or(values.len(), |last| last + 1);
        let mut kept = rows.dot(&columns.slice(s![.., ..count]));
        kept.columns_mut().into_iter().zip(&values).for_each(|(mut column, value)| column /= value.sqrt());
        Ok(Subspace(kept))
    }

    /// How many directions there are.
    pub fn directions(&self) -> usize {
        self.0.ncols()
    }

    /// The mean canonical correlation with another language's directions on the same sentences, 0 to 1: over as many correlations as the smaller one has
    /// directions. Where both together have as many directions as there are sentences, some are 1 by need.
    ///
    /// # Errors
    /// Run, where the correlations are not found.
    pub fn similarity(&self, other: &Subspace) -> Result<f64> {
        let correlations = singular_values(&self.0.t().dot(&other.0))?;
        let sum: f64 = correlations.iter().map(|r| r.clamp(0.0, 1.0)).sum();
        Ok(sum / correlations.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise;

    #[test]
    fn a_linear_map_changes_nothing_and_what_is_apart_is_unlike() {
        let rows = noise(200 * 4, 1);
        let turned: Vec<f32> =
            rows.chunks(4).flat_map(|x| [2.0 * x[1] + 1.0, -x[0], x[3] + 0.5 * x[2], x[2]]).collect();
        let [a, b, c] = [&rows, &turned, &noise(200 * 4, 2)].map(|rows| Subspace::of(rows, 4).unwrap());
        assert_eq!(a.directions(), 4);
        assert!((a.similarity(&b).unwrap() - 1.0).abs() < 1e-9);
        assert!(a.similarity(&c).unwrap() < 0.2);
        assert!((a.similarity(&c).unwrap() - c.similarity(&a).unwrap()).abs() < 1e-12);
    }

    #[test]
    fn directions_of_little_variance_are_left_out() {
        let mut rows = noise(100 * 3, 3);
        rows.chunks_mut(3).for_each(|row| row[1] *= 1e-3);
        assert_eq!(Subspace::of(&rows, 3).unwrap().directions(), 2);
        let error = Subspace::of(&[0.5; 30], 3).err().unwrap().to_string();
        assert!(error.contains("all sentences have one vector"), "{error}");
    }
}
