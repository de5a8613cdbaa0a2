//! Triplet losses: max(0, m + d(anchor, match) − d(anchor, negative)), the worst N negatives of every matching pair.

use rayon::prelude::*;

use super::{Pairs, Value, transposed};
use crate::config::{Distance, TripletConfig};

/// What one side of a triplet loss is about.
#[derive(Clone, Copy)]
struct Rule {
    margin: f32,
    top_n: usize,
    distance: Distance,
    same_image_negatives: bool,
}

/// One violated triplet: anchor row, matching column, negative column.
struct Violation {
    anchor: usize,
    matching: usize,
    negative: usize,
    hinge: f32,
}

/// Bidirectional triplet loss (Burns et al. 2020, equation 3): rows as anchors (weight 1; pictures against wrong
/// sentences) plus columns as anchors (weight `sentence_anchor`; sentences against wrong pictures). Each side is the mean
/// over matching pairs × N, zeros included; N is at most the number of items that an anchor is compared with.
///
/// `similarity` holds cosines of unit vectors.
pub fn bidirectional(pairs: Pairs, config: &TripletConfig) -> Value {
    let rule = Rule {
        margin: config.margin,
        top_n: config.top_n,
        distance: config.distance,
        same_image_negatives: config.same_image_negatives,
    };
    let (rows, columns) = (pairs.rows.len(), pairs.columns.len());
    let mut out = Value { value: 0.0, grad: vec![0.0; pairs.similarity.len()] };
    one_sided(pairs, rule, 1.0, Matches::Each, &mut out, |i, j| i * columns + j);
    let flipped = transposed(pairs.similarity, rows, columns);
    let flipped = Pairs { similarity: &flipped, rows: pairs.columns, columns: pairs.rows };
    one_sided(flipped, rule, config.sentence_anchor, Matches::Each, &mut out, |i, j| j * columns + i);
    out
}

/// Neighbourhood constraint (Wang et al. 2018; MULE's code): rows as anchors, their farthest match as the positive.
pub fn neighbourhood(pairs: Pairs, config: &TripletConfig) -> Value {
    let rule = Rule {
        margin: config.margin,
        top_n: config.top_n,
        distance: config.distance,
        same_image_negatives: false,
    };
    let columns = pairs.columns.len();
    let mut out = Value { value: 0.0, grad: vec![0.0; pairs.similarity.len()] };
    one_sided(pairs, rule, 1.0, Matches::Farthest, &mut out, |i, j| i * columns + j);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Matches {
    Each,
    Farthest,
}

fn one_sided(
    pairs: Pairs,
    rule: Rule,
    weight: f32,
    matches: Matches,
    out: &mut Value,
    place: impl Fn(usize, usize) -> usize,
) {
    if weight == 0.0 {
        return;
    }
    let columns = pairs.columns.len();
    let found: Vec<(usize, Vec<Violation>)> =
        (0..pairs.rows.len()).into_par_iter().map(|i| violations(pairs, i, rule, matches)).collect();
    let count: usize = found.iter().map(|f| f.0).sum();
    if count == 0 {
        return;
    }
    let scale = weight / (count * rule.top_n.min(columns)) as f32;
    let slope =
        |i: usize, j: usize| closeness_slope(pairs.similarity[i * columns + j], rule.distance) * scale;
    let mut sum = 0f64;
    for v in found.iter().flat_map(|f| &f.1) {
        sum += v.hinge as f64;
        out.grad[place(v.anchor, v.negative)] += slope(v.anchor, v.negative);
        out.grad[place(v.anchor, v.matching)] -= slope(v.anchor, v.matching);
    }
    out.value += (sum * scale as f64) as f32;
}

/// The number of positive pairs of row `i` and its worst violations.
fn violations(pairs: Pairs, i: usize, rule: Rule, matches: Matches) -> (usize, Vec<Violation>) {
    let columns = pairs.columns.len();
    let row = &pairs.similarity[i * columns..(i + 1) * columns];
    let own = |j: usize| pairs.columns[j] == pairs.rows[i];
    let mut positives: Vec<usize> = (0..columns).filter(|&j| own(j)).collect();
    if matches == Matches::Farthest {
        positives = positives.into_iter().min_by(|&a, &b| row[a].total_cmp(&row[b])).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut worst: Vec<usize> = Vec::with_capacity(rule.top_n + 1);
    for (k, &positive) in positives.iter().enumerate() {
        // The worst negatives are the closest ones: the same for every positive, unless siblings count as negatives.
        if k == 0 || rule.same_image_negatives {
            worst.clear();
            for j in 0..columns {
                let negative = if rule.same_image_negatives { j != positive } else { !own(j) };
                if negative && (worst.len() < rule.top_n || row[j] > row[worst[worst.len() - 1]]) {
                    let at = worst.partition_point(|&w| row[w] >= row[j]);
                    worst.insert(at, j);
                    worst.truncate(rule.top_n);
                }
            }
        }
        for &j in &worst {
            let hinge =
                rule.margin + closeness(row[j], rule.distance) - closeness(row[positive], rule.distance);
            // A hinge that is not a number must reach the trainer, not vanish here.
            if hinge > 0.0 || hinge.is_nan() {
                found.push(Violation { anchor: i, matching: positive, negative: j, hinge });
            }
        }
    }
    (positives.len(), found)
}

/// Minus the distance, up to a constant: cos, or −√(2 − 2 cos + 1e-4).
fn closeness(cosine: f32, distance: Distance) -> f32 {
    match distance {
        Distance::Cosine => cosine,
        Distance::Euclidean => -(2.0 - 2.0 * cosine + 1e-4).max(1e-8).sqrt(),
    }
}

fn closeness_slope(cosine: f32, distance: Distance) -> f32 {
    match distance {
        Distance::Cosine => 1.0,
        Distance::Euclidean => -1.0 / closeness(cosine, distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{differences, noise};

    fn pairs<'a>(similarity: &'a [f32], rows: &'a [u32], columns: &'a [u32]) -> Pairs<'a> {
        Pairs { similarity, rows, columns }
    }

    #[test]
    fn value_of_a_small_matrix() {
        // Two pictures, a caption each: cosines 0.5 on the diagonal, 0.48 and 0.2 beside it.
        let s = [0.5, 0.48, 0.2, 0.5];
        let config = TripletConfig { margin: 0.05, top_n: 1, sentence_anchor: 2.0, ..Default::default() };
        let v = bidirectional(pairs(&s, &[0, 1], &[0, 1]), &config);
        // Picture 0 against caption 1: 0.05 + 0.48 − 0.5 = 0.03; caption 1 against picture 0 likewise, twice as heavy.
        assert!((v.value - (0.03 / 2.0 + 2.0 * 0.03 / 2.0)).abs() < 1e-6, "{}", v.value);
    }

    #[test]
    fn siblings_are_no_negatives_unless_asked_for() {
        let s = [0.2, 0.9, 0.1, 0.0];
        let mut config = TripletConfig { margin: 0.05, top_n: 1, sentence_anchor: 0.0, ..Default::default() };
        let one = bidirectional(pairs(&s, &[0], &[0, 0, 1, 1]), &config);
        assert_eq!(one.value, 0.0);
        config.same_image_negatives = true;
        let ablated = bidirectional(pairs(&s, &[0], &[0, 0, 1, 1]), &config);
        assert!((ablated.value - (0.05 + 0.9 - 0.2) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn neighbourhood_takes_the_farthest_match() {
        let s = [1.0, 0.3, 0.29];
        let config = TripletConfig { margin: 0.05, top_n: 1, ..Default::default() };
        let v = neighbourhood(pairs(&s, &[0], &[0, 0, 1]), &config);
        assert!((v.value - 0.04).abs() < 1e-6);
        assert_eq!(v.grad[0], 0.0);
    }

    #[test]
    fn gradients_are_slopes_for_both_distances() {
        let s: Vec<f32> = noise(5 * 8, 3).iter().map(|x| x * 0.6).collect();
        let (rows, columns) = ([0, 1, 2, 3, 4], [0, 0, 1, 1, 2, 3, 4, 4]);
        for distance in [Distance::Cosine, Distance::Euclidean] {
            for same_image_negatives in [false, true] {
                let config = TripletConfig {
                    distance,
                    same_image_negatives,
                    top_n: 3,
                    margin: 0.31,
                    ..Default::default()
                };
                let v = bidirectional(pairs(&s, &rows, &columns), &config);
                differences("triplet", &s, &v.grad, 1e-4, 2e-2, |s| {
                    bidirectional(pairs(s, &rows, &columns), &config).value
                });
                let v = neighbourhood(pairs(&s, &rows, &columns), &config);
                differences("neighbourhood", &s, &v.grad, 1e-4, 2e-2, |s| {
                    neighbourhood(pairs(s, &rows, &columns), &config).value
                });
            }
        }
    }

    #[test]
    fn not_a_number_is_not_hidden() {
        let s = [f32::NAN, 0.1, 0.2, 0.3];
        assert!(bidirectional(pairs(&s, &[0, 1], &[0, 1]), &TripletConfig::default()).value.is_nan());
    }
}
