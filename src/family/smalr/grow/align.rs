//! The map from the new language's FastText space into the scorer's: an orthogonal map between sentences about the same
//! picture (or translations) as the start, then the alignment of [`crate::family::smalr::pretrain`] with the old languages frozen.

use std::sync::Arc;

use dfdx::prelude::*;

use crate::Result;
use crate::config::{LossConfig, Precision};
use crate::device::Matrix;
use crate::family::smalr::grow::Lessons;
use crate::family::smalr::grow::lesson::Known;
use crate::loss::terms::{Taped, Total};
use crate::loss::{Contrast, contrast};
use crate::ops::linear::{LinearWeights, linear_of_data, similarity, unit_rows};
use crate::ops::rows::mean;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{matrix, vector};
use crate::sampler::Draw;
use crate::words::procrustes;

/// FastText vectors of the new language's vocabulary.
pub struct NewWords<'a> {
    /// (vocabulary, FastText width)
    pub table: &'a [f32],
    /// That of the FastText vectors.
    pub width: usize,
}

/// The orthogonal map (width, FastText width) from the mean of a sentence's words to the mean of the known languages' means.
///
/// # Errors
/// Those of [`procrustes`].
pub fn start(lessons: &Lessons, words: &NewWords, width: usize) -> Result<LinearWeights> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (lesson, ids) in lessons.all.iter().zip(&lessons.ids) {
        for (ids, &group) in ids.iter().zip(&lesson.group_of).filter(|(ids, _)| !ids.is_empty()) {
            let mut target = vec![0.0; width];
            for means in &lesson.known.means {
                let of = &means[group as usize * width..][..width];
                target.iter_mut().zip(of).for_each(|(t, m)| *t += m);
            }
            if target.iter().all(|&t| t == 0.0) {
                continue;
            }
            crate::ops::linear::unit_row(&mut target);
            let mut sum = vec![0.0; words.width];
            for &w in ids {
                let row = &words.table[w as usize * words.width..][..words.width];
                sum.iter_mut().zip(row).for_each(|(s, v)| *s += v / ids.len() as f32);
            }
            x.extend(sum);
            y.extend(target);
        }
    }
    let (weight, bias) = procrustes(&x, words.width, &y, width)?;
    Ok(LinearWeights::new(matrix(weight, width, words.width), vector(bias)))
}

/// New sentences of a batch in terms of its distinct words.
pub struct Batch {
    /// How many those are.
    pub distinct: usize,
    /// (distinct, FastText width)
    x: Matrix,
    /// In terms of the batch's distinct words.
    pub sentences: Arc<Sequences>,
    image_of: Vec<u32>,
}

impl Batch {
    /// `ids` has the words of each new sentence; the new language is the last of `draw`.
    pub fn new(ids: &[Vec<u32>], words: &NewWords, draw: &Draw) -> Batch {
        let draws = draw.captions.last().expect("the new language");
        let mut distinct: Vec<u32> = draws.iter().flat_map(|&(c, _)| &ids[c as usize]).copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut sentences = Sequences::new();
        for &(c, _) in draws {
            let place = |w: &u32| distinct.binary_search(w).expect("a word of the batch") as u32;
            sentences.push(ids[c as usize].iter().map(place));
        }
        let rows = distinct.iter().flat_map(|&w| &words.table[w as usize * words.width..][..words.width]);
        let x = matrix(rows.copied().collect(), distinct.len(), words.width);
        let image_of = draws.iter().map(|d| d.1).collect();
        Batch { distinct: distinct.len(), x, sentences: Arc::new(sentences), image_of }
    }

    /// Triplet loss between the means of the new sentences, mapped by `layer` (width, FastText width), and those of each known language, of
    /// the batch's `groups`; no term where none is known.
    pub fn near(self, layer: &LinearWeights, known: &Known, groups: &[u32], loss: &LossConfig) -> Total {
        let mapped = linear_of_data::<Taped>(self.x, layer, Precision::F32);
        let (means, tape) = unit_rows(mean(mapped, &self.sentences)).split_tape();
        let width = layer.weight.shape().0;
        let mut terms = Vec::new();
        for known in &known.means {
            let of = |&g: &u32| &known[g as usize * width..][..width];
            let is_known = |p: &u32| of(&groups[*p as usize]).iter().any(|&x| x != 0.0);
            let places: Vec<u32> = (0..groups.len() as u32).filter(is_known).collect();
            if places.is_empty() {
                continue;
            }
            let rows: Vec<f32> = places.iter().flat_map(|&p| of(&groups[p as usize])).copied().collect();
            let s = similarity(matrix(rows, places.len(), width).leaky_trace(), means.leaky_trace());
            terms.push(contrast(s, &places, &self.image_of, Contrast::Triplet(&loss.triplet)));
        }
        let mut total = Total::default();
        total.add("align", 1.0, terms);
        total.keep_tape(tape);
        total
    }
}
