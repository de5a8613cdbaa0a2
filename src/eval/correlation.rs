//! Correlation of two lists of numbers: Pearson's r, and Spearman's ρ, which is that of the ranks.

use crate::{Error, Result};

/// Pearson's correlation, −1 to 1.
///
/// # Errors
/// Data, where it is undefined: lists that are not equally long, fewer than two pairs, numbers that are not finite, or a list of equal
/// numbers.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<f64> {
    check_defined(x, y)?;
    Ok(correlation(x, y))
}

/// Spearman's correlation, −1 to 1: Pearson's of the ranks, where equal numbers share the mean of their ranks.
///
/// # Errors
/// As [`pearson`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64> {
    check_defined(x, y)?;
    Ok(correlation(&ranks(x), &ranks(y)))
}

fn check_defined(x: &[f64], y: &[f64]) -> Result<()> {
    if x.len() != y.len() {
        return Err(Error::data(format!("{} numbers have no correlation with {}", x.len(), y.len())));
    }
    if x.len() < 2 {
        let what = format!("a correlation of {} pairs is undefined: it takes two at least", x.len());
        return Err(Error::data(what));
    }
    if let Some(n) = x.iter().zip(y).position(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return Err(Error::data(format!("pair {n} (from 0) is {} and {}: not finite", x[n], y[n])));
    }
    match [x, y].into_iter().find(|list| list.iter().all(|v| v == &list[0])) {
        Some(list) => {
            let (count, all) = (list.len(), list[0]);
            Err(Error::data(format!("the correlation is undefined: all {count} scores are equal ({all})")))
        }
        None => Ok(()),
    }
}

/// Pearson's r where it is defined.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let sum = |of: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(x, y)| of(x - mx, y - my)).sum::<f64>();
    let (xx, yy, xy) = (sum(&|x, _| x * x), sum(&|_, y| y * y), sum(&|x, y| x * y));
    (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)
}

/// Ranks from 1; equal numbers have the mean of theirs.
fn ranks(list: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by(|&a, &b| list[a].total_cmp(&list[b]));
    let (mut ranks, mut first) = (vec![0.0; list.len()], 0);
    for run in order.chunk_by(|&a, &b| list[a] == list[b]) {
        let mean = first as f64 + (run.len() + 1) as f64 / 2.0;
        run.iter().for_each(|&n| ranks[n] = mean);
        first += run.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, -0.0, 0.0, 3.0]), [5.0, 3.0, 5.0, 1.5, 1.5, 5.0]);
    }

    #[test]
    fn the_order_is_all_that_spearman_sees() {
        let x = [0.1, 0.2, 0.5, 0.9];
        assert!((spearman(&x, &[1.0, 10.0, 100.0, 1000.0]).unwrap() - 1.0).abs() < 1e-12);
        assert!((spearman(&x, &[4.0, 3.0, 2.0, -9.0]).unwrap() + 1.0).abs() < 1e-12);
        assert!(pearson(&x, &[1.0, 10.0, 100.0, 1000.0]).unwrap() < 0.95);
    }

    #[test]
    fn what_is_undefined_is_told() {
        for (x, y, said) in [
            (&[1.0][..], &[2.0][..], "of 1 pairs is undefined"),
            (&[], &[], "of 0 pairs is undefined"),
            (&[1.0, 2.0], &[3.0, 3.0], "all 2 scores are equal (3)"),
            (&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0], "all 3 scores are equal (0.1)"),
            (&[1.0, f64::NAN], &[3.0, 4.0], "pair 1 (from 0) is NaN and 4"),
            (&[1.0, 2.0], &[3.0], "2 numbers have no correlation with 1"),
        ] {
            for error in [pearson(x, y), spearman(x, y)].map(|r| r.unwrap_err().to_string()) {
                assert!(error.contains(said), "{error}");
            }
        }
    }
}
