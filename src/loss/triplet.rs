//! Triplet losses: max(0, m + d(anchor, match) − d(anchor, negative)), for the worst N negatives of every matching pair or for all.

use rayon::prelude::*;

use super::{Pairs, Value, transposed};
use crate::config::{Distance, TripletConfig};

/// What one side of a triplet loss is about.
#[derive(Clone, Copy)]
struct Rule {
    margin: f32,
    mined: Mined,
    distance: Distance,
    same_image_negatives: bool,
}

/// Which negatives of a matching pair count.
#[derive(Clone, Copy)]
enum Mined {
    /// The closest ones, so many.
    Worst(usize),
    /// All, with the weight 1 − `hardest`; the closest one with the weight `hardest` on top.
    All { hardest: f32 },
}

/// One violated triplet: anchor row, matching column, negative column.
struct Violation {
    anchor: usize,
    matching: usize,
    negative: usize,
    hinge: f32,
    weight: f32,
}

/// Bidirectional triplet loss (Burns et al. 2020, equation 3): rows as anchors (weight 1; pictures against wrong
/// sentences) plus columns as anchors (weight `sentence_anchor`; sentences against wrong pictures). Each side is the mean
/// over matching pairs × N, zeros included; N is at most the number of items that an anchor is compared with.
///
/// `similarity` holds cosines of unit vectors (rows, columns); so does the gradient.
pub fn bidirectional(pairs: Pairs, config: &TripletConfig) -> Value {
    both_sided(pairs, Rule::new(config, Mined::Worst(config.top_n)), config.sentence_anchor)
}

/// The loss of LIWE (Wehrmann et al. 2019): of every matching pair (1 − `hardest`) · the sum of all its violations + `hardest` · its
/// worst one, summed over pairs; rows as anchors plus `columns` times columns as anchors. See [`hardest`].
pub fn summed(pairs: Pairs, config: &TripletConfig, hardest: f32, columns: f32) -> Value {
    both_sided(pairs, Rule::new(config, Mined::All { hardest }), columns)
}

/// k = 1 − β^n in the n-th step, `step` being counted from 0: how far the hardest negatives have taken over.
pub fn hardest(beta: f32, step: usize) -> f32 {
    let n = i32::try_from(step.saturating_add(1)).unwrap_or(i32::MAX);
    (1.0 - f64::from(beta).powi(n)) as f32
}

/// Neighbourhood constraint (Wang et al. 2018; MULE's code): rows as anchors, their farthest match as the positive.
pub fn neighbourhood(pairs: Pairs, config: &TripletConfig) -> Value {
    let rule = Rule { same_image_negatives: false, ..Rule::new(config, Mined::Worst(config.top_n)) };
    let columns = pairs.columns.len();
    let mut out = Value { value: 0.0, grad: vec![0.0; pairs.similarity.len()] };
    one_sided(pairs, rule, 1.0, Matches::Farthest, &mut out, |i, j| i * columns + j);
    out
}

impl Rule {
    fn new(config: &TripletConfig, mined: Mined) -> Self {
        Rule {
            margin: config.margin,
            mined,
            distance: config.distance,
            same_image_negatives: config.same_image_negatives,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Matches {
    Each,
    Farthest,
}

/// Rows as anchors, and columns as anchors with a weight.
fn both_sided(pairs: Pairs, rule: Rule, weight: f32) -> Value {
    let (rows, columns) = (pairs.rows.len(), pairs.columns.len());
    let mut out = Value { value: 0.0, grad: vec![0.0; pairs.similarity.len()] };
    one_sided(pairs, rule, 1.0, Matches::Each, &mut out, |i, j| i * columns + j);
    let flipped = transposed(pairs.similarity, rows, columns);
    let flipped = Pairs { similarity: &flipped, rows: pairs.columns, columns: pairs.rows };
    one_sided(flipped, rule, weight, Matches::Each, &mut out, |i, j| j * columns + i);
    out
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
    let scale = match rule.mined {
        Mined::Worst(n) => weight / (count * n.min(columns)) as f32,
        Mined::All { .. } => weight,
    };
    let slope =
        |i: usize, j: usize| closeness_slope(pairs.similarity[i * columns + j], rule.distance) * scale;
    let mut sum = 0f64;
    for v in found.iter().flat_map(|f| &f.1) {
        sum += v.hinge as f64 * v.weight as f64;
        out.grad[place(v.anchor, v.negative)] += slope(v.anchor, v.negative) * v.weight;
        out.grad[place(v.anchor, v.matching)] -= slope(v.anchor, v.matching) * v.weight;
    }
    out.value += (sum * scale as f64) as f32;
}

/// The number of positive pairs of row `i` and its violations that count.
fn violations(pairs: Pairs, i: usize, rule: Rule, matches: Matches) -> (usize, Vec<Violation>) {
    let columns = pairs.columns.len();
    let row = &pairs.similarity[i * columns..(i + 1) * columns];
    let own = |j: usize| pairs.columns[j] == pairs.rows[i];
    let mut positives: Vec<usize> = (0..columns).filter(|&j| own(j)).collect();
    if matches == Matches::Farthest {
        positives = positives.into_iter().min_by(|&a, &b| row[a].total_cmp(&row[b])).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut mined: Vec<(usize, f32)> = Vec::new();
    for (k, &positive) in positives.iter().enumerate() {
        // The worst negatives are the closest ones: the same for every positive, unless siblings count as negatives.
        if k == 0 || rule.same_image_negatives {
            let negative = |&j: &usize| if rule.same_image_negatives { j != positive } else { !own(j) };
            mined = rule.mined.of(row, (0..columns).filter(negative));
        }
        for &(j, weight) in &mined {
            let hinge =
                rule.margin + closeness(row[j], rule.distance) - closeness(row[positive], rule.distance);
            // A hinge that is not a number must reach the trainer, not vanish here.
            if hinge > 0.0 || hinge.is_nan() {
                found.push(Violation { anchor: i, matching: positive, negative: j, hinge, weight });
            }
        }
    }
    (positives.len(), found)
}

impl Mined {
    /// Those of an anchor's negatives that count, with their weights; of equally close ones the first is the worst.
    fn of(self, row: &[f32], negatives: impl Iterator<Item = usize>) -> Vec<(usize, f32)> {
        match self {
            Mined::Worst(n) => {
                let mut worst: Vec<usize> = Vec::new();
                for j in negatives {
                    if worst.len() < n || row[j] > row[worst[worst.len() - 1]] {
                        let at = worst.partition_point(|&w| row[w] >= row[j]);
                        worst.insert(at, j);
                        worst.truncate(n);
                    }
                }
                worst.into_iter().map(|j| (j, 1.0)).collect()
            }
            Mined::All { hardest } => {
                let mut all: Vec<(usize, f32)> = negatives.map(|j| (j, 1.0 - hardest)).collect();
                let closer =
                    |best: usize, now: usize| if row[all[now].0] > row[all[best].0] { now } else { best };
                if let Some(closest) = (0..all.len()).reduce(closer) {
                    all[closest].1 += hardest;
                }
                all
            }
        }
    }
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
    use crate::gradcheck::{differences, noise};

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

    /// Pictures 0 and 1; captions 0 and 1 are of picture 0, caption 2 of picture 1.
    #[test]
    fn sums_turn_to_the_hardest() {
        let s = [0.5, 0.4, 0.45, 0.6, 0.3, 0.35];
        let config = TripletConfig { margin: 0.2, ..Default::default() };
        let of = |k: f32, columns: f32| summed(pairs(&s, &[0, 1], &[0, 0, 1]), &config, k, columns);
        // Picture 0: .15 and .25 against caption 2. Picture 1: .45 and .15 against captions 0 and 1.
        assert!((of(0.0, 0.0).value - (0.15 + 0.25 + 0.45 + 0.15)).abs() < 1e-6);
        assert!((of(1.0, 0.0).value - (0.15 + 0.25 + 0.45)).abs() < 1e-6);
        assert!((of(0.3, 0.0).value - (0.15 + 0.25 + 0.45 + 0.7 * 0.15)).abs() < 1e-6);
        // Captions have one wrong picture each: .3, .1 and .3, whatever k is.
        for k in [0.0, 0.4, 1.0] {
            assert!((of(k, 2.0).value - of(k, 0.0).value - 2.0 * 0.7).abs() < 1e-6, "{k}");
        }
        // Caption 0 is the hardest of picture 1: it pulls with all its weight, caption 1 with what is left.
        assert_eq!(of(0.75, 0.0).grad[3..], [1.0, 0.25, -1.25]);
    }

    #[test]
    fn the_hardest_take_over_by_step() {
        assert!((hardest(0.991, 0) - 0.009).abs() < 1e-6);
        assert!((hardest(0.91, 1) - (1.0 - 0.91 * 0.91)).abs() < 1e-6);
        assert_eq!([hardest(0.0, 0), hardest(0.991, usize::MAX)], [1.0, 1.0]);
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
                for k in [0.0, 0.3, 1.0] {
                    let v = summed(pairs(&s, &rows, &columns), &config, k, 1.5);
                    differences("summed", &s, &v.grad, 1e-4, 2e-2, |s| {
                        summed(pairs(s, &rows, &columns), &config, k, 1.5).value
                    });
                }
            }
        }
    }

    #[test]
    fn not_a_number_is_not_hidden() {
        let s = [f32::NAN, 0.1, 0.2, 0.3];
        let (pairs, config) = (pairs(&s, &[0, 1], &[0, 1]), TripletConfig::default());
        assert!(bidirectional(pairs, &config).value.is_nan());
        assert!(summed(pairs, &config, 1.0, 1.0).value.is_nan());
    }
}
