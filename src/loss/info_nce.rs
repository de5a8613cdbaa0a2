//! Softmax contrast over the batch with a temperature (InfoNCE: van den Oord et al. 2018), in both directions.

use rayon::prelude::*;

use super::{Pairs, Value, transposed};

/// For every matching pair −log softmax of its similarity / `temperature` among itself and the row's (column's)
/// non-matching items; mean over pairs, half of each direction. `smoothing` spreads that share of the target evenly over
/// the candidates. The gradient is (rows, columns), row by row.
pub fn info_nce(pairs: Pairs, temperature: f32, smoothing: f32) -> Value {
    let (rows, columns) = (pairs.rows.len(), pairs.columns.len());
    let (value, mut grad) = one_direction(pairs, temperature, smoothing);
    let flipped = transposed(pairs.similarity, rows, columns);
    let flipped = Pairs { similarity: &flipped, rows: pairs.columns, columns: pairs.rows };
    let (flipped_value, flipped_grad) = one_direction(flipped, temperature, smoothing);
    grad.par_iter_mut().enumerate().for_each(|(at, g)| {
        *g = 0.5 * (*g + flipped_grad[at % columns * rows + at / columns]);
    });
    Value { value: 0.5 * (value + flipped_value), grad }
}

/// Rows as anchors.
fn one_direction(pairs: Pairs, temperature: f32, smoothing: f32) -> (f32, Vec<f32>) {
    let columns = pairs.columns.len();
    let mut grad = vec![0f32; pairs.similarity.len()];
    let sums: Vec<(usize, f64)> = grad
        .par_chunks_mut(columns.max(1))
        .enumerate()
        .map(|(i, grad)| row(pairs, i, temperature, smoothing, grad))
        .collect();
    let count: usize = sums.iter().map(|s| s.0).sum();
    if count == 0 {
        return (0.0, grad);
    }
    let scale = 1.0 / count as f32;
    grad.par_iter_mut().for_each(|g| *g *= scale / temperature);
    ((sums.iter().map(|s| s.1).sum::<f64>() / count as f64) as f32, grad)
}

/// The number of matches of row `i` and the sum of their losses; `grad` becomes the gradient with respect to
/// similarity / temperature.
fn row(pairs: Pairs, i: usize, temperature: f32, smoothing: f32, grad: &mut [f32]) -> (usize, f64) {
    let columns = pairs.columns.len();
    let logits: Vec<f32> =
        pairs.similarity[i * columns..(i + 1) * columns].iter().map(|s| s / temperature).collect();
    let own = |j: usize| pairs.columns[j] == pairs.rows[i];
    let highest = logits.iter().fold(f32::NEG_INFINITY, |m, &x| if x.is_nan() { x } else { m.max(x) });
    let weight: Vec<f32> = logits.iter().map(|x| (x - highest).exp()).collect();
    let (mut negatives, mut negative_logits, mut count) = (0f64, 0f64, 0usize);
    for j in (0..columns).filter(|&j| !own(j)) {
        negatives += weight[j] as f64;
        negative_logits += logits[j] as f64;
        count += 1;
    }
    let (mut loss, mut matches, mut shared) = (0f64, 0, 0f64);
    let even = smoothing as f64 / (count + 1) as f64;
    for j in (0..columns).filter(|&j| own(j)) {
        matches += 1;
        let total = negatives + weight[j] as f64;
        let log_total = total.ln() + highest as f64;
        let target = 1.0 - smoothing as f64;
        let x = logits[j] as f64;
        loss += log_total - target * x - even * (negative_logits + x);
        grad[j] += (weight[j] as f64 / total - target - even) as f32;
        shared += 1.0 / total;
    }
    for j in (0..columns).filter(|&j| !own(j)) {
        grad[j] += (weight[j] as f64 * shared - even * matches as f64) as f32;
    }
    (matches, loss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{differences, noise};

    #[test]
    fn value_of_a_small_matrix() {
        let s = [0.8f32, 0.2, 0.1, 0.6];
        let v = info_nce(Pairs { similarity: &s, rows: &[0, 1], columns: &[0, 1] }, 0.5, 0.0);
        let term = |own: f64, other: f64| ((other - own) / 0.5).exp().ln_1p();
        let want = (term(0.8, 0.2) + term(0.6, 0.1) + term(0.8, 0.1) + term(0.6, 0.2)) / 4.0;
        assert!((v.value as f64 - want).abs() < 1e-6);
    }

    #[test]
    fn siblings_do_not_compete() {
        let alone = info_nce(Pairs { similarity: &[0.5, 0.1], rows: &[0], columns: &[0, 1] }, 0.1, 0.0);
        let both =
            info_nce(Pairs { similarity: &[0.5, 0.5, 0.1], rows: &[0], columns: &[0, 0, 1] }, 0.1, 0.0);
        assert!((alone.value - both.value).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_slopes_with_and_without_smoothing() {
        let s = noise(4 * 7, 5);
        let (rows, columns) = ([0, 1, 2, 2], [0, 0, 1, 1, 2, 3, 3]);
        for smoothing in [0.0, 0.2] {
            let f =
                |s: &[f32]| info_nce(Pairs { similarity: s, rows: &rows, columns: &columns }, 0.2, smoothing);
            differences("info_nce", &s, &f(&s).grad, 1e-3, 5e-3, |s| f(s).value);
        }
    }
}
