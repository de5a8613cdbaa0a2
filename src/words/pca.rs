//! Principal components of word vectors: the one file that touches `linfa`, `linfa-reduction` and `ndarray`.

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::Array2;

use crate::{Error, Result};

/// An affine map to fewer dimensions that keeps most of the variance of the rows it was fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Mean of the rows. (width)
    mean: Vec<f32>,
    /// Orthonormal rows by falling variance; rows beyond the rank of the data are 0. (to × width)
    components: Vec<f32>,
}

/// Share of the whole variance below which a direction counts as having none: it is rounding.
const NOTHING: f64 = 1e-12;

/// The variance that the solver sees. Its tolerance, 1e-10, is absolute: so small a variance makes its exact first
/// step the last. Further steps would divide by what is rounding, and can replace directions by zeros.
const SCALE: f64 = 1e-4;

impl Pca {
    /// Fits `to` components to `rows` vectors of `width` numbers, one after the other in `data`.
    ///
    /// Rows may be fewer than `to`: the components that cannot be had are 0, and so are the last numbers of every
    /// transformed vector. (A direction with less than 1e-9 of the largest variance counts as none.) The sign of a component is such that its largest number is positive; the result depends on the data alone.
    ///
    /// # Errors
    /// Config, unless 0 < `to` ≤ `width`; data, without rows or with a number that is not finite.
    pub fn fit(rows: usize, width: usize, data: &[f32], to: usize) -> Result<Pca> {
        if to == 0 || to > width {
            return Err(Error::config(format!("vectors of width {width} cannot be reduced to {to}")).hint(
                format!("set `embedding.word_width` between 1 and {width}, or to 0 to keep the width"),
            ));
        }
        if rows == 0 || data.len() != rows * width {
            return Err(Error::data(format!(
                "{} numbers are not {rows} vectors of width {width}",
                data.len()
            )));
        }
        if let Some(at) = data.iter().position(|x| !x.is_finite()) {
            return Err(Error::data(format!(
                "number {} of vector {} is {}",
                at % width + 1,
                at / width + 1,
                data[at]
            )));
        }
        let mean = mean(width, data);
        let mut root = covariance(&mean, data);
        let variance: f64 = (0..width).map(|i| root[[i, i]]).sum();
        let mut components = vec![0.0; to * width];
        if variance > 0.0 {
            root *= SCALE / variance;
            cholesky(&mut root);
            for (into, from) in components.chunks_exact_mut(width).zip(principal(&root, to)?) {
                into.copy_from_slice(&from);
            }
        }
        Ok(Pca { mean: mean.iter().map(|&x| x as f32).collect(), components })
    }

    /// `out` = components · (`x` − mean). `x` has [`Self::width`] numbers, `out` has [`Self::to`].
    pub fn transform(&self, x: &[f32], out: &mut [f32]) {
        assert_eq!((x.len(), out.len()), (self.width(), self.to()), "widths of the vectors");
        for (out, component) in out.iter_mut().zip(self.components.chunks_exact(self.width())) {
            *out = component.iter().zip(x.iter().zip(&self.mean)).map(|(c, (x, m))| c * (x - m)).sum();
        }
    }

    /// Width of the vectors that go in.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Width of the vectors that come out.
    pub fn to(&self) -> usize {
        self.components.len() / self.width()
    }

    /// (width)
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// (to × width), row by row
    pub fn components(&self) -> &[f32] {
        &self.components
    }
}

fn mean(width: usize, data: &[f32]) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for row in data.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(m, &x)| *m += x as f64);
    }
    let rows = (data.len() / width) as f64;
    mean.iter_mut().for_each(|m| *m /= rows);
    mean
}

/// Sum over the rows of the outer product of their deviation with itself. (width × width)
fn covariance(mean: &[f64], data: &[f32]) -> Array2<f64> {
    /// Rows multiplied at once: bounds the memory and keeps the copy in cache.
    const BLOCK: usize = 512;
    let width = mean.len();
    let mut sum = Array2::zeros((width, width));
    for block in data.chunks(BLOCK * width) {
        let x = Array2::from_shape_fn((block.len() / width, width), |(i, j)| {
            block[i * width + j] as f64 - mean[j]
        });
        ndarray::linalg::general_mat_mul(1.0, &x.t(), &x, 1.0, &mut sum);
    }
    sum
}

/// Replaces C, symmetric with trace [`SCALE`] and no negative eigenvalue, by the upper triangle R with RᵀR = C.
fn cholesky(c: &mut Array2<f64>) {
    let n = c.nrows();
    for k in 0..n {
        let pivot = c[[k, k]];
        // No variance is left in this direction, so none is shared with others.
        let scale = if pivot > NOTHING * SCALE { pivot.sqrt().recip() } else { 0.0 };
        (0..n).for_each(|j| c[[k, j]] *= if j < k { 0.0 } else { scale });
        for i in k + 1..n {
            let factor = c[[k, i]];
            (i..n).for_each(|j| c[[i, j]] -= factor * c[[k, j]]);
        }
    }
}

/// At most `to` principal directions of data whose covariance is RᵀR.
///
/// The solver walks over all rows in every step, so it gets few: R above −R has mean 0 and the same
/// directions as the data, in 2 × width rows however large the vocabulary. And it is asked for all directions: its
/// first step is exact then, while its search for a few can stop early, far from the answer, without a word.
fn principal(root: &Array2<f64>, to: usize) -> Result<Vec<Vec<f32>>> {
    let rows = ndarray::concatenate![ndarray::Axis(0), root.view(), (-root).view()];
    let fitted = linfa_reduction::Pca::params(root.ncols())
        .fit(&DatasetBase::from(rows))
        .map_err(|e| Error::data("the word vectors cannot be reduced").because(e))?;
    if !diagonal(root, fitted.components()) {
        return Err(Error::run("the principal components of the word vectors were not found")
            .hint("set `embedding.word_width = 0` to keep the vectors as they are"));
    }
    let components = fitted.components().rows().into_iter().take(to);
    Ok(components
        .map(|row| {
            let largest = row.iter().fold(0.0, |a: f64, &b| if b.abs() > a.abs() { b } else { a });
            row.iter().map(|x| (x * largest.signum()) as f32).collect()
        })
        .collect())
}

/// Whether the rows of V are orthonormal and VRᵀRVᵀ is diagonal, so that they are principal directions indeed.
fn diagonal(root: &Array2<f64>, v: &Array2<f64>) -> bool {
    const ROUNDING: f64 = 1e-6; // an f32 holds no more
    let seen = root.dot(&v.t());
    let (unit, spread) = (v.dot(&v.t()), seen.t().dot(&seen));
    unit.indexed_iter().all(|((i, j), x)| (x - (i == j) as u8 as f64).abs() < ROUNDING)
        && spread.indexed_iter().all(|((i, j), x)| i == j || x.abs() < ROUNDING * SCALE)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Rows of rank `rank` around a mean, with variance falling from direction to direction.
    fn rows(rows: usize, width: usize, rank: usize) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut draw = || rng.random::<f32>() - 0.5;
        let basis: Vec<f32> = (0..rank * width).map(|i| draw() / (1 + i / width) as f32).collect();
        let mut data = vec![0.25; rows * width];
        for row in data.chunks_exact_mut(width) {
            for direction in basis.chunks_exact(width) {
                let share = draw();
                row.iter_mut().zip(direction).for_each(|(x, d)| *x += share * d);
            }
        }
        data
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Variances of the transformed rows, after a check that the first `rank` components are orthonormal and the rest 0.
    fn variances(pca: &Pca, data: &[f32], rank: usize) -> Vec<f32> {
        let component = |i: usize| &pca.components[i * pca.width()..][..pca.width()];
        for i in 0..pca.to() {
            for j in 0..pca.to() {
                let expected = (i == j && i < rank) as u8 as f32;
                assert!((dot(component(i), component(j)) - expected).abs() < 1e-5, "{i} {j}");
            }
        }
        let mut sums = vec![0.0; pca.to()];
        let mut out = sums.clone();
        for row in data.chunks_exact(pca.width()) {
            pca.transform(row, &mut out);
            sums.iter_mut().zip(&out).for_each(|(s, x)| *s += x * x);
        }
        sums
    }

    #[test]
    fn components_are_orthonormal_by_falling_variance() {
        for (n, width, to) in [(400, 30, 8), (400, 30, 30), (2000, 60, 50), (300, 2, 1)] {
            let data = rows(n, width, width);
            let variances = variances(&Pca::fit(n, width, &data, to).unwrap(), &data, to);
            assert!(variances.is_sorted_by(|a, b| a >= b), "{variances:?}");
        }
    }

    #[test]
    fn known_direction_is_found() {
        // (1, 1, 0) carries nearly all, (0, 0, 1) a little.
        let data = [2.0, 2.0, 0.1, -2.0, -2.0, 0.1, 1.0, 1.0, -0.1, -1.0, -1.0, -0.1];
        let pca = Pca::fit(4, 3, &data, 2).unwrap();
        let half = 0.5f32.sqrt();
        for (a, b) in pca.components().iter().zip([half, half, 0.0, 0.0, 0.0, 1.0]) {
            assert!((a - b).abs() < 1e-6, "{:?}", pca.components());
        }
        assert_eq!(pca.mean(), [0.0; 3]);
    }

    #[test]
    fn as_many_components_as_the_rank_reconstruct_the_rows() {
        for (n, width, rank) in [(500, 40, 12), (20, 64, 19), (300, 24, 24)] {
            let data = rows(n, width, rank);
            let pca = Pca::fit(n, width, &data, rank).unwrap();
            let mut out = vec![0.0; rank];
            for row in data.chunks_exact(width) {
                pca.transform(row, &mut out);
                for (j, x) in row.iter().enumerate() {
                    let column: Vec<f32> = pca.components.iter().skip(j).step_by(width).copied().collect();
                    assert!((dot(&column, &out) + pca.mean[j] - x).abs() < 1e-4, "{n} {width} {rank}");
                }
            }
        }
    }

    #[test]
    fn fewer_rows_than_components_leave_zeros() {
        let data = rows(6, 20, 20);
        let pca = Pca::fit(6, 20, &data, 10).unwrap();
        assert_eq!((pca.to(), pca.width()), (10, 20));
        assert!(variances(&pca, &data, 5)[5..].iter().all(|&v| v == 0.0));
        let same = Pca::fit(3, 2, &[1.5; 6], 2).unwrap();
        assert_eq!((same.mean(), same.components()), (&[1.5; 2][..], &[0.0; 4][..]));
    }

    #[test]
    fn fitting_is_deterministic() {
        let data = rows(200, 16, 16);
        let pca = Pca::fit(200, 16, &data, 5).unwrap();
        assert_eq!(pca, Pca::fit(200, 16, &data, 5).unwrap());
    }

    #[test]
    fn scale_does_not_matter() {
        let data = rows(100, 12, 12);
        let pca = Pca::fit(100, 12, &data, 4).unwrap();
        for scale in [1e-6, 1e6] {
            let scaled: Vec<f32> = data.iter().map(|x| x * scale).collect();
            let other = Pca::fit(100, 12, &scaled, 4).unwrap();
            assert!(other.components().iter().zip(pca.components()).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn width_that_cannot_be_had_is_an_error() {
        assert_eq!(Pca::fit(2, 3, &[0.0; 6], 4).unwrap_err().exit_status(), 3);
        assert_eq!(Pca::fit(2, 3, &[0.0; 6], 0).unwrap_err().exit_status(), 3);
        assert_eq!(Pca::fit(0, 3, &[], 1).unwrap_err().exit_status(), 4);
        let e = Pca::fit(2, 2, &[0.0, 1.0, f32::NAN, 0.0], 1).unwrap_err();
        assert!(e.to_string().contains("number 1 of vector 2 is NaN"), "{e}");
    }

    #[test]
    fn every_width_can_be_fitted() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for width in (1..40).chain([50, 64, 100, 128, 200, 300]) {
            let data: Vec<f32> =
                (0..2 * width * width).map(|i| rng.random::<f32>() / (1 + i % width) as f32).collect();
            let pca = Pca::fit(2 * width, width, &data, width).unwrap();
            let all = variances(&pca, &data, width);
            let deviation =
                |row: &[f32]| row.iter().zip(pca.mean()).map(|(x, m)| (x - m).powi(2)).sum::<f32>();
            let there: f32 = data.chunks_exact(width).map(deviation).sum();
            assert!((all.iter().sum::<f32>() / there - 1.0).abs() < 1e-4, "{width}");
            assert!(all.is_sorted_by(|a, b| *a >= b * 0.999), "{width}: {all:?}");
            let few = Pca::fit(2 * width, width, &data, width.div_ceil(3)).unwrap();
            assert_eq!(few.components(), &pca.components()[..few.components().len()]);
        }
    }
}
