//! What Crisscrossed Captions are measured by (Parekh et al. 2021): correlation with ratings over samples of queries, and recall where a query
//! has several right answers.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::{IndexedRandom, index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Recall;
use super::correlation::spearman;
use super::recall::Standing;
use super::similarity::each_row;
use crate::seed::derive;
use crate::{Error, Result};

/// Samples of queries.
pub const SAMPLES: u64 = 1000;

/// A rated pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The caption or picture that asks.
    pub query: u32,
    /// The model's similarity.
    pub cosine: f64,
    /// That of people.
    pub score: f64,
}

/// Mean and standard deviation of Spearman's ρ over [`SAMPLES`] samples, each of half of the queries with one of its pairs. So queries with many pairs
/// count no more than others.
///
/// # Errors
/// Data, where a sample has no correlation: fewer than four queries, equal scores, numbers that are not finite.
pub fn sampled(pairs: &[Pair], seed: u64) -> Result<(f64, f64)> {
    let mut of_query: BTreeMap<u32, Vec<Pair>> = BTreeMap::new();
    pairs.iter().for_each(|pair| of_query.entry(pair.query).or_default().push(*pair));
    let queries: Vec<Vec<Pair>> = of_query.into_values().collect();
    if queries.len() < 4 {
        let what = format!("{} rated queries are too few to be sampled", queries.len());
        return Err(Error::data(what).hint("half of them are drawn, two at least"));
    }
    let sample = |n: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(derive(seed, "sampled queries", n));
        let mut drawn = index::sample(&mut rng, queries.len(), queries.len() / 2).into_vec();
        drawn.sort_unstable();
        let one = |n: usize| queries[n].choose(&mut rng).expect("every query has a pair");
        let (cosines, scores): (Vec<f64>, Vec<f64>) =
            drawn.into_iter().map(one).map(|pair| (pair.cosine, pair.score)).unzip();
        spearman(&cosines, &scores)
    };
    let found = (0..SAMPLES).into_par_iter().map(sample).collect::<Vec<Result<f64>>>();
    let found: Vec<f64> = found.into_iter().collect::<Result<_>>()?;
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let squares: f64 = found.iter().map(|r| (r - mean).powi(2)).sum();
    Ok((mean, (squares / (found.len() - 1) as f64).sqrt()))
}

/// Recall of rows `asked` (n, width) among rows `among` (m, width), unit length; `right` has the right answers of each, rising. With `same`, row n of both is one thing,
/// which does not find itself. Those without a right answer do not ask; the second is how many do.
pub fn recall(
    asked: &[f32],
    among: &[f32],
    width: usize,
    right: &[Vec<u32>],
    same: bool,
) -> (Option<Recall>, usize) {
    let standings = each_row(asked, among, width, |row, scores| {
        let right = &right[row];
        let best = right.iter().map(|&n| scores[n as usize]).reduce(f32::max)?;
        let wrong = |n: usize| !(same && n == row) && right.binary_search(&(n as u32)).is_err();
        let reach = |n: usize| scores[n] >= best && wrong(n);
        let reached: Vec<f32> = (0..scores.len()).filter(|&n| reach(n)).map(|n| scores[n]).collect();
        let better = reached.iter().filter(|score| **score > best).count() as u32;
        let ties = right.iter().filter(|&&n| scores[n as usize] == best).count() as u32;
        Some(Standing { better, tied: reached.len() as u32 - better, right: ties })
    });
    let standings: Vec<Standing> = standings.into_iter().flatten().collect();
    ((!standings.is_empty()).then(|| Recall::of(&standings)), standings.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(query: u32, cosine: f64, score: f64) -> Pair {
        Pair { query, cosine, score }
    }

    #[test]
    fn a_model_that_ranks_as_people_do_has_a_correlation_of_one() {
        let pairs: Vec<Pair> =
            (0..40).map(|n| pair(n / 2, f64::from(n).sqrt(), f64::from(n) / 8.0)).collect();
        assert_eq!(sampled(&pairs, 1).unwrap(), (1.0, 0.0));
        let turned: Vec<Pair> = pairs.iter().map(|p| Pair { cosine: -p.cosine, ..*p }).collect();
        let (mean, deviation) = sampled(&turned, 1).unwrap();
        assert!((mean + 1.0).abs() < 1e-12 && deviation < 1e-12);
    }

    #[test]
    fn samples_depend_on_the_seed_alone() {
        let pairs: Vec<Pair> =
            (0..60u32).map(|n| pair(n / 3, f64::from(n * 37 % 61), f64::from(n * 11 % 7))).collect();
        let with = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sampled(&pairs, seed)).unwrap()
        };
        assert_eq!(with(1, 5), with(3, 5));
        assert_ne!(with(2, 5), with(2, 6));
    }

    #[test]
    fn what_cannot_be_sampled_is_told() {
        let error = sampled(&[pair(0, 0.1, 1.0), pair(1, 0.2, 2.0)], 1).unwrap_err().to_string();
        assert!(error.contains("2 rated queries are too few"), "{error}");
        let equal: Vec<Pair> = (0..8).map(|n| pair(n, f64::from(n), 3.0)).collect();
        assert!(sampled(&equal, 1).unwrap_err().to_string().contains("all 4 scores are equal (3)"));
        let nan: Vec<Pair> = (0..4).map(|n| pair(n, f64::NAN, f64::from(n))).collect();
        assert!(sampled(&nan, 1).unwrap_err().to_string().contains("not finite"));
    }

    #[test]
    fn the_best_of_several_right_answers_counts_and_nothing_finds_itself() {
        // Cosines with 0: 0.8, 0.6, 0.6.
        let rows = [1.0, 0.0, 0.8, 0.6, 0.6, 0.8, 0.6, -0.8];
        let right = [vec![2], vec![0, 2], vec![], vec![0]];
        let (recall, asked) = recall(&rows, &rows, 2, &right, true);
        let recall = recall.unwrap();
        assert_eq!(asked, 3);
        // Row 0 has one better (1) and an equal one (3): ranks 2 and 3 alike. Row 1 finds 2 (0.96) first, row 3 finds 0 first.
        assert!((recall.r1 - 200.0 / 3.0).abs() < 1e-9 && recall.r5 == 100.0, "{recall:?}");
        assert!((recall.mean_rank - (2.5 + 1.0 + 1.0) / 3.0).abs() < 1e-9);
        assert_eq!(recall.ties, 1);
        let none = super::recall(&rows, &rows, 2, &[vec![], vec![], vec![], vec![]], true);
        assert_eq!(none, (None, 0));
    }
}
