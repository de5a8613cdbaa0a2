//! The bidirectional triplet loss on a matrix of scores (Burns et al. 2020, equations 1 and 3), with its gradient.
//!
//! ```text
//! L = mean over pairs and their N worst of  λ1 · max(0, m + s(q, i⁻) − s(q, i⁺)) + max(0, m + s(q⁻, i) − s(q⁺, i))
//! ```
//! A pair has fewer than N negatives where the split is small; other queries of the same picture are no negatives.

use rayon::prelude::*;

use super::transposed;
use crate::config::TripletConfig;

/// The loss, and its derivative with respect to those scores that it depends on, as (place in the matrix, derivative).
pub struct Loss {
    /// L.
    pub value: f64,
    /// (place in the matrix of scores, row by row; derivative).
    pub gradient: Vec<(usize, f64)>,
}

/// `scores`: (queries, images); `image_of[q]` is the picture of query q.
pub fn loss(config: &TripletConfig, scores: &[f32], image_of: &[u32]) -> Loss {
    let images = scores.len() / image_of.len();
    let numbers: Vec<u32> = (0..images as u32).collect();
    let turned = transposed(scores, images);
    let by_query = one_way(config, scores, image_of, &numbers);
    let by_image = one_way(config, &turned, &numbers, image_of);
    let weight = f64::from(config.sentence_anchor);
    let queries = image_of.len();
    let gradient = by_query
        .gradient
        .into_iter()
        .map(|(at, g)| (at, weight * g))
        .chain(by_image.gradient.into_iter().map(|(at, g)| (at % queries * images + at / queries, g)))
        .collect();
    Loss { value: weight * by_query.value + by_image.value, gradient }
}

/// Anchors are rows, a column is right where its picture is the row's.
fn one_way(config: &TripletConfig, scores: &[f32], rows: &[u32], columns: &[u32]) -> Loss {
    let anchors: Vec<Vec<Loss>> = scores
        .par_chunks_exact(columns.len())
        .zip(rows)
        .enumerate()
        .map(|(r, (scores, picture))| {
            let right = (0..columns.len()).filter(|&c| columns[c] == *picture);
            right.map(|c| pair(config, scores, columns, c, r * columns.len())).collect()
        })
        .collect();
    let pairs = rows.iter().map(|r| columns.iter().filter(|c| *c == r).count()).sum::<usize>() as f64;
    let mut total = Loss { value: 0.0, gradient: Vec::new() };
    for loss in anchors.into_iter().flatten() {
        total.value += loss.value / pairs;
        total.gradient.extend(loss.gradient.into_iter().map(|(at, g)| (at, g / pairs)));
    }
    total
}

/// The mean of the `top_n` largest hinges of one anchor's row against its right column.
fn pair(config: &TripletConfig, scores: &[f32], columns: &[u32], right: usize, first: usize) -> Loss {
    let threshold = scores[right] - config.margin;
    let negative =
        |c: usize| if config.same_image_negatives { c != right } else { columns[c] != columns[right] };
    let negatives = (0..scores.len()).filter(|&c| negative(c)).count();
    let mut worst: Vec<usize> = (0..scores.len()).filter(|&c| negative(c) && scores[c] > threshold).collect();
    if worst.len() > config.top_n {
        worst.select_nth_unstable_by(config.top_n, |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        worst.truncate(config.top_n);
    }
    let share = 1.0 / config.top_n.min(negatives).max(1) as f64;
    let value = worst.iter().map(|&c| f64::from(scores[c]) - f64::from(threshold)).sum::<f64>() * share;
    let mut gradient: Vec<(usize, f64)> = worst.iter().map(|&c| (first + c, share)).collect();
    gradient.push((first + right, -share * worst.len() as f64));
    Loss { value, gradient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_gradient_by_hand() {
        let config =
            TripletConfig { margin: 0.1, top_n: 1, sentence_anchor: 2.0, ..TripletConfig::default() };
        // Query 0: right .5, worst wrong .55 → .15. Query 1: right .9, wrong .2 .3 → 0. Picture 2 has no query.
        let scores = [0.5, 0.45, 0.55, 0.2, 0.9, 0.3];
        let l = loss(&config, &scores, &[0, 1]);
        assert!((l.value - 2.0 * 0.15 / 2.0).abs() < 1e-6, "{}", l.value);
        let mut dense = [0.0; 6];
        l.gradient.iter().for_each(|&(at, g)| dense[at] += g);
        assert_eq!(dense, [-1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn queries_of_one_picture_are_no_negatives() {
        let config = TripletConfig { margin: 0.1, ..TripletConfig::default() };
        assert_eq!(loss(&config, &[0.5, 0.9, 0.1], &[0, 0, 0]).value, 0.0);
        let wrong = TripletConfig { same_image_negatives: true, ..config };
        assert!(loss(&wrong, &[0.5, 0.9, 0.1], &[0, 0, 0]).value > 0.1);
    }
}
