//! Where the new language's own words start: at the trained vectors of the known words nearest to them.

use dfdx::prelude::NoneTape;
use rayon::prelude::*;

use crate::Result;
use crate::config::Precision;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::cost::Cost;
use crate::family::smalr::embedding::hybrid::OwnWords;
use crate::ops::linear::unit_row;
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::matmul::{View, matmul};
use crate::ops::rows::{Table, lookup};
use crate::ops::tape::{data, matrix, vector};
use crate::words::Pca;

/// Known tokens that a new word is a mean of, weighted by a softmax of their cosines.
const NEAREST: usize = 10;
const TEMPERATURE: f32 = 0.05;

/// Tokens of the frozen model: where the scorer sees them, and their trained vectors.
pub struct KnownTokens {
    width: usize,
    /// (tokens, universal width), unit length.
    keys: Vec<f32>,
    /// (tokens, universal width)
    vectors: Vec<f32>,
}

impl KnownTokens {
    /// The base's latent tokens, and its languages' own words.
    pub fn of(run: &SmalrRun, base: &[usize]) -> KnownTokens {
        let (scorer, embedding) = (&run.encoder.scorer, &run.model.embedding);
        let width = run.config.embedding().width;
        let mut tokens =
            KnownTokens { width, keys: scorer.directions(width), vectors: embedding.latents.data().to_vec() };
        for &l in base {
            let count = run.encoder.lexicon.own(l);
            let Some(own) = embedding.own.get(l).filter(|_| count > 0) else { continue };
            let table = crate::family::smalr::prepare::table(
                &run.encoder.lexicon.vocabularies[l],
                &run.encoder.vectors[l],
            );
            let full = run.encoder.vectors[l].width();
            tokens.keys.extend(scorer.project(l, &table[..count * full]));
            let rows: Vec<u32> = (0..count as u32).collect();
            let words = lookup::<NoneTape>(&own.words, &rows);
            tokens.vectors.extend_from_slice(&data(&linear(words, &own.layer, Precision::F32)));
        }
        tokens
    }

    /// For words in the scorer's space (words, universal width) at unit length: means of the nearest tokens' vectors.
    fn near(&self, words: &[f32], work: &mut Cost) -> Vec<f32> {
        let (width, tokens) = (self.width, self.keys.len() / self.width);
        work.more((words.len() * tokens) as u64);
        const TILE: usize = 256;
        let tile = |tile: &[f32]| {
            let count = tile.len() / width;
            let mut scores = vec![0.0; count * tokens];
            let keys = View::new(&self.keys, tokens, width);
            matmul(View::new(tile, count, width), keys.t(), &mut scores, false, Precision::F32);
            let mean = |scores: &[f32]| self.mean(scores);
            scores.par_chunks(tokens.max(1)).flat_map_iter(mean).collect::<Vec<f32>>()
        };
        words.chunks(TILE * width).flat_map(tile).collect()
    }

    /// The mean (width) of the nearest tokens of a word, by its scores (tokens).
    fn mean(&self, scores: &[f32]) -> Vec<f32> {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        let closer = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        let most = NEAREST.min(order.len());
        if most < order.len() {
            order.select_nth_unstable_by(most - 1, closer);
        }
        order.truncate(most);
        order.sort_unstable_by(closer);
        let best = scores[order[0] as usize];
        let weights: Vec<f32> =
            order.iter().map(|&t| ((scores[t as usize] - best) / TEMPERATURE).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let mut out = vec![0.0; self.width];
        for (&t, weight) in order.iter().zip(&weights) {
            let vector = &self.vectors[t as usize * self.width..][..self.width];
            out.iter_mut().zip(vector).for_each(|(o, v)| *o += weight / sum * v);
        }
        out
    }
}

/// Words mapped by the new scorer's layer (words, universal width), at unit length, as own words of a width: the best
/// factors of the vectors they start at.
///
/// # Errors
/// As [`Pca::fit`].
pub fn own_words(tokens: &KnownTokens, mapped: &[f32], to: usize, work: &mut Cost) -> Result<OwnWords> {
    let width = tokens.width;
    let count = mapped.len() / width;
    let mut unit_length = mapped.to_vec();
    unit_length.chunks_mut(width).for_each(unit_row);
    let vectors = tokens.near(&unit_length, work);
    let pca = Pca::fit(count, width, &vectors, to)?;
    let mut words = vec![0.0; count * to];
    vectors.chunks(width).zip(words.chunks_mut(to)).for_each(|(x, y)| pca.transform(x, y));
    // (to, width) → (width, to)
    let components = pca.components();
    let weight = (0..width * to).map(|i| components[i % to * width + i / to]).collect();
    let layer = LinearWeights::new(matrix(weight, width, to), vector(pca.mean().to_vec()));
    Ok(OwnWords { words: Table::new(to, words), layer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::noise;

    #[test]
    fn words_start_at_the_vectors_of_their_translations() {
        let mut keys = noise(20 * 8, 1);
        keys.chunks_mut(8).for_each(unit_row);
        let tokens = KnownTokens { width: 8, keys: keys.clone(), vectors: noise(20 * 8, 2) };
        let mut work = Cost::none();
        let near = tokens.near(&keys, &mut work);
        // Each key is its own nearest one, by far in so small a space.
        let own = own_words(&tokens, &keys, 8, &mut work).unwrap();
        let rows: Vec<u32> = (0..20).collect();
        let y = linear(lookup::<NoneTape>(&own.words, &rows), &own.layer, Precision::F32);
        for (a, b) in data(&y).iter().zip(&near) {
            assert!((a - b).abs() < 1e-4, "all factors give the vectors back: {a} {b}");
        }
        let closest = |x: &[f32]| {
            let distance = |t: usize| {
                tokens.vectors[t * 8..][..8].iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
            };
            (0..20).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap()
        };
        assert!((0..20).filter(|&t| closest(&near[t * 8..][..8]) == t).count() >= 18);
        assert_eq!(work.products, 2 * 20 * 20 * 8);
    }
}
