//! How far a picture of vectors can be trusted.

use super::Point;
use crate::eval::similarity::each_row;
use crate::{Error, Result};

/// Trustworthiness of points for vectors (rows, width) of unit length (Venna & Kaski 2001), 0 to 1: 1 − 2 / (n k (2n − 3k − 1)) times the sum, over
/// each of a point's k nearest points, of how far beyond k its vector's rank among the nearest vectors is. Equal distances are in the order of the rows.
///
/// # Errors
/// Data, unless 0 < k < n / 2.
pub fn trustworthiness(vectors: &[f32], width: usize, points: &[Point], k: usize) -> Result<f64> {
    let n = points.len();
    if k == 0 || 2 * k >= n {
        return Err(Error::data(format!("trust in {n} points is not defined by {k} neighbours"))
            .hint("neighbours are fewer than half of the points"));
    }
    let beyond = each_row(vectors, vectors, width, |row, scores| {
        let near = nearest(row, points, k);
        near.iter().map(|&other| rank(row, other, scores).saturating_sub(k)).sum::<usize>()
    });
    let (n, k, beyond) = (n as f64, k as f64, beyond.iter().sum::<usize>() as f64);
    Ok(1.0 - 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)) * beyond)
}

/// The `k` nearest points of a point but itself.
fn nearest(row: usize, points: &[Point], k: usize) -> Vec<usize> {
    let square =
        |n: &usize| (points[*n][0] - points[row][0]).powi(2) + (points[*n][1] - points[row][1]).powi(2);
    let mut all: Vec<(f64, usize)> =
        (0..points.len()).filter(|&n| n != row).map(|n| (square(&n), n)).collect();
    all.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all[..k].iter().map(|(_, n)| *n).collect()
}

/// The rank of `other` among the nearest rows of `row` but itself, from 1.
fn rank(row: usize, other: usize, scores: &[f32]) -> usize {
    let own = scores[other];
    let before = |(n, score): (usize, &f32)| n != row && (*score > own || (*score == own && n < other));
    1 + scores.iter().enumerate().filter(|one| before(*one)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::space::tests::clusters;

    #[test]
    fn what_keeps_all_neighbours_is_trusted_and_what_reverses_them_is_not() {
        // On a part of a circle neighbours of the vectors are those of the angles, which are nowhere equally far apart.
        let angle = |n: usize| n as f64 * 0.07 + (n * n) as f64 * 0.001;
        let vectors: Vec<f32> =
            (0..20).flat_map(|n| [angle(n).cos() as f32, angle(n).sin() as f32]).collect();
        let kept: Vec<Point> = (0..20).map(|n| [angle(n), 0.0]).collect();
        assert_eq!(trustworthiness(&vectors, 2, &kept, 3).unwrap(), 1.0);
        let mixed: Vec<Point> = (0..20).map(|n| [(n * 7 % 20) as f64, 0.0]).collect();
        assert!(trustworthiness(&vectors, 2, &mixed, 3).unwrap() < 0.7);
    }

    #[test]
    fn half_of_the_points_are_too_many_neighbours() {
        let (vectors, points) = (clusters(10, 3, 2, 1), vec![[0.0; 2]; 10]);
        for k in [0, 5, 12] {
            let error = trustworthiness(&vectors, 3, &points, k).unwrap_err().to_string();
            assert!(error.contains(&format!("not defined by {k} neighbours")), "{error}");
        }
    }
}
