//! Softmax contrast over the batch with a temperature (InfoNCE: van den Oord et al. 2018).

use rayon::prelude::*;

use super::{Anchors, InfoNce, Pairs, Value, transposed};

/// For every matching pair −log softmax of (its similarity − margin) / temperature among itself and the row's (column's)
/// non-matching items; mean over pairs, half of each direction where both have anchors. Smoothing spreads that share of the target evenly
/// over the candidates. The gradient is (rows, columns), row by row.
pub fn info_nce(pairs: Pairs, by: InfoNce) -> Value {
    let (rows, columns) = (pairs.rows.len(), pairs.columns.len());
    if by.anchors == Anchors::Rows {
        let (value, grad) = one_direction(pairs, by);
        return Value { value, grad };
    }
    let flipped = transposed(pairs.similarity, rows, columns);
    let flipped = Pairs { similarity: &flipped, rows: pairs.columns, columns: pairs.rows };
    let (flipped_value, flipped_grad) = one_direction(flipped, by);
    if by.anchors == Anchors::Columns {
        return Value { value: flipped_value, grad: transposed(&flipped_grad, columns, rows) };
    }
    let (value, mut grad) = one_direction(pairs, by);
    grad.par_iter_mut().enumerate().for_each(|(at, g)| {
        *g = 0.5 * (*g + flipped_grad[at % columns * rows + at / columns]);
    });
    Value { value: 0.5 * (value + flipped_value), grad }
}

/// [`InfoNce`] as numbers.
#[derive(Clone, Copy)]
struct Numbers {
    temperature: f32,
    smoothing: f32,
    margin: f32,
}

/// Rows as anchors.
fn one_direction(pairs: Pairs, by: InfoNce) -> (f32, Vec<f32>) {
    // A temperature on a GPU does not go to other threads.
    let by = Numbers { temperature: by.temperature.value(), smoothing: by.smoothing, margin: by.margin };
    let columns = pairs.columns.len();
    let mut grad = vec![0f32; pairs.similarity.len()];
    let sums: Vec<(usize, f64)> =
        grad.par_chunks_mut(columns.max(1)).enumerate().map(|(i, grad)| row(pairs, i, by, grad)).collect();
    let count: usize = sums.iter().map(|s| s.0).sum();
    if count == 0 {
        return (0.0, grad);
    }
    let scale = 1.0 / count as f32;
    grad.par_iter_mut().for_each(|g| *g *= scale / by.temperature);
    ((sums.iter().map(|s| s.1).sum::<f64>() / count as f64) as f32, grad)
}

/// The number of matches of row `i` and the sum of their losses; `grad` becomes the gradient with respect to
/// similarity / temperature.
fn row(pairs: Pairs, i: usize, by: Numbers, grad: &mut [f32]) -> (usize, f64) {
    let columns = pairs.columns.len();
    let own = |j: usize| pairs.columns[j] == pairs.rows[i];
    let shifted =
        |(j, s): (usize, &f32)| if own(j) { (s - by.margin) / by.temperature } else { s / by.temperature };
    let similarities = &pairs.similarity[i * columns..(i + 1) * columns];
    let logits: Vec<f32> = similarities.iter().enumerate().map(shifted).collect();
    let highest = logits.iter().fold(f32::NEG_INFINITY, |m, &x| if x.is_nan() { x } else { m.max(x) });
    let weight: Vec<f32> = logits.iter().map(|x| (x - highest).exp()).collect();
    let (mut negatives, mut negative_logits, mut count) = (0f64, 0f64, 0usize);
    for j in (0..columns).filter(|&j| !own(j)) {
        negatives += weight[j] as f64;
        negative_logits += logits[j] as f64;
        count += 1;
    }
    let (mut loss, mut matches, mut shared) = (0f64, 0, 0f64);
    let even = by.smoothing as f64 / (count + 1) as f64;
    for j in (0..columns).filter(|&j| own(j)) {
        matches += 1;
        let total = negatives + weight[j] as f64;
        let log_total = total.ln() + highest as f64;
        let target = 1.0 - by.smoothing as f64;
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
    use crate::loss::Temperature;

    fn at(temperature: f32, smoothing: f32) -> InfoNce<'static> {
        InfoNce { smoothing, ..InfoNce::at(Temperature::Fixed(temperature)) }
    }

    #[test]
    fn value_of_a_small_matrix() {
        let s = [0.8f32, 0.2, 0.1, 0.6];
        let v = info_nce(Pairs { similarity: &s, rows: &[0, 1], columns: &[0, 1] }, at(0.5, 0.0));
        let term = |own: f64, other: f64| ((other - own) / 0.5).exp().ln_1p();
        let want = (term(0.8, 0.2) + term(0.6, 0.1) + term(0.8, 0.1) + term(0.6, 0.2)) / 4.0;
        assert!((v.value as f64 - want).abs() < 1e-6);
    }

    #[test]
    fn siblings_do_not_compete() {
        let alone = info_nce(Pairs { similarity: &[0.5, 0.1], rows: &[0], columns: &[0, 1] }, at(0.1, 0.0));
        let both =
            info_nce(Pairs { similarity: &[0.5, 0.5, 0.1], rows: &[0], columns: &[0, 0, 1] }, at(0.1, 0.0));
        assert!((alone.value - both.value).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_slopes_with_and_without_smoothing() {
        let s = noise(4 * 7, 5);
        let (rows, columns) = ([0, 1, 2, 2], [0, 0, 1, 1, 2, 3, 3]);
        for (smoothing, margin) in [(0.0, 0.0), (0.2, 0.0), (0.2, 0.3)] {
            for anchors in [Anchors::Both, Anchors::Rows, Anchors::Columns] {
                let by = InfoNce { margin, anchors, ..at(0.2, smoothing) };
                let f = |s: &[f32]| info_nce(Pairs { similarity: s, rows: &rows, columns: &columns }, by);
                differences("info_nce", &s, &f(&s).grad, 1e-3, 5e-3, |s| f(s).value);
            }
        }
    }

    /// 0.8 and 0.6 match, less a margin of 0.3: of rows and columns alone, and half of each.
    #[test]
    fn a_margin_makes_matches_harder_and_directions_are_halves() {
        let s = [0.8f32, 0.2, 0.1, 0.6];
        let of = |margin: f32, anchors: Anchors| {
            let by = InfoNce { margin, anchors, ..at(0.5, 0.0) };
            info_nce(Pairs { similarity: &s, rows: &[0, 1], columns: &[0, 1] }, by).value as f64
        };
        let term = |own: f64, other: f64| ((other - own) / 0.5).exp().ln_1p();
        let rows = (term(0.5, 0.2) + term(0.3, 0.1)) / 2.0;
        let columns = (term(0.5, 0.1) + term(0.3, 0.2)) / 2.0;
        assert!((of(0.3, Anchors::Rows) - rows).abs() < 1e-6);
        assert!((of(0.3, Anchors::Columns) - columns).abs() < 1e-6);
        assert!((of(0.3, Anchors::Both) - (rows + columns) / 2.0).abs() < 1e-6);
    }
}
