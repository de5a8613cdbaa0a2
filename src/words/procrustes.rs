//! An orthogonal map between two spaces of vectors: the one file that touches `linfa-linalg`.

use linfa_linalg::svd::SVD;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::{Error, Result, finite};

/// y ≈ s Q x + t with Q of orthonormal columns (or rows, where `to` is less than `from`): the best such map in least
/// squares (Schönemann 1966). Returns s Q (to, from) and t (to).
///
/// `x` (rows, from) and `y` (rows, to) hold matching vectors, row by row.
///
/// # Errors
/// Data, without rows, where one side does not vary, or with a number that is not finite, on which the decomposition would
/// go on for ever; run, where it fails.
pub fn procrustes(x: &[f32], from: usize, y: &[f32], to: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let rows = x.len() / from;
    assert_eq!((rows * from, rows * to), (x.len(), y.len()), "as many rows on both sides");
    for (side, data, width) in [("own", x, from), ("known", y, to)] {
        if let Some(at) = finite::first_fault(data) {
            let what = format!("the {side} vector of sentence {} holds {}", at / width, data[at]);
            return Err(Error::data(what).hint("check the word vectors: their numbers are too large"));
        }
    }
    let ((x, x_mean), (y, y_mean)) = (centred(x, rows, from), centred(y, rows, to));
    let spread = x.iter().map(|v| v * v).sum::<f64>();
    if rows == 0 || spread == 0.0 {
        return Err(Error::data("there is nothing to align: all sentences have the same vector")
            .hint("give more captions, and check their word vectors"));
    }
    let product = y.t().dot(&x); // (to, from)
    let failed = |e| Error::run("the alignment's singular values cannot be had").because(e);
    let (u, s, vt) = match product.svd(true, true).map_err(failed)? {
        (Some(u), s, Some(vt)) => (u, s, vt),
        _ => unreachable!("both sides were asked for"),
    };
    let scale = s.sum() / spread;
    let map = u.dot(&vt) * scale;
    let shift: Array1<f64> = &y_mean - &map.dot(&x_mean);
    Ok((map.iter().map(|&v| v as f32).collect(), shift.iter().map(|&v| v as f32).collect()))
}

/// The rows less their mean, and the mean.
fn centred(data: &[f32], rows: usize, width: usize) -> (Array2<f64>, Array1<f64>) {
    let view = ArrayView2::from_shape((rows, width), data).expect("whole rows");
    let mut all = view.mapv(f64::from);
    let mean = all.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(width));
    all -= &mean;
    (all, mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise;

    #[test]
    fn finds_a_rotation_a_scale_and_a_shift() {
        // A quarter turn in the first two of three numbers, doubled, into four.
        let x = noise(30 * 3, 1);
        let y: Vec<f32> =
            x.chunks(3).flat_map(|x| [-2.0 * x[1] + 1.0, 2.0 * x[0], 2.0 * x[2] - 3.0, 0.5]).collect();
        let (map, shift) = procrustes(&x, 3, &y, 4).unwrap();
        for (x, y) in x.chunks(3).zip(y.chunks(4)) {
            for (i, y) in y.iter().enumerate() {
                let got: f32 = (0..3).map(|j| map[i * 3 + j] * x[j]).sum::<f32>() + shift[i];
                assert!((got - y).abs() < 1e-5, "{got} {y}");
            }
        }
    }

    #[test]
    fn columns_stay_orthogonal_where_nothing_fits() {
        let (x, y) = (noise(40 * 5, 1), noise(40 * 7, 2));
        let (map, _) = procrustes(&x, 5, &y, 7).unwrap();
        let dot = |a: usize, b: usize| (0..7).map(|i| map[i * 5 + a] * map[i * 5 + b]).sum::<f32>();
        for a in 0..5 {
            assert!((dot(a, a) / dot(0, 0) - 1.0).abs() < 1e-4);
            assert!((0..a).all(|b| dot(a, b).abs() < 1e-5 * dot(0, 0)));
        }
    }

    #[test]
    fn without_rows_or_spread_there_is_no_map() {
        assert_eq!(procrustes(&[], 2, &[], 2).unwrap_err().exit_status(), 4);
        assert_eq!(procrustes(&[1.0, 2.0, 1.0, 2.0], 2, &[1.0, 3.0], 1).unwrap_err().exit_status(), 4);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_and_large_ones_end() {
        let x = noise(30 * 3, 1);
        for value in [f32::NAN, f32::INFINITY] {
            let mut broken = x.clone();
            broken[7] = value;
            let text = procrustes(&broken, 3, &x, 3).unwrap_err().to_string();
            assert!(text.contains(&format!("own vector of sentence 2 holds {value}")), "{text}");
            assert!(procrustes(&x, 3, &broken, 3).unwrap_err().to_string().contains("known vector"));
        }
        for scale in [1e38, 1e-38, f32::MIN_POSITIVE * 1e-5] {
            let scaled: Vec<f32> = x.iter().map(|x| x * scale).collect();
            let _ = procrustes(&scaled, 3, &x, 3);
            let _ = procrustes(&x, 3, &scaled, 3);
        }
    }
}
