//! The map from the new language's FastText space into the scorer's: an orthogonal map between sentences about the same
//! picture (or translations) as the start, then the alignment of [`crate::family::smalr::pretrain`] with the old languages frozen.

use std::sync::Arc;

use dfdx::prelude::*;

use crate::config::{GrowConfig, LossConfig, Precision, Schedule, TrainConfig};
use crate::device::{Matrix, Scalar};
use crate::family::smalr::grow::lesson::Lesson;
use crate::family::smalr::grow::{Cost, Lessons};
use crate::loss::terms::Taped;
use crate::loss::{Contrast, combined, contrast};
use crate::ops::linear::{LinearWeights, linear_of_data, similarity, unit_rows};
use crate::ops::rows::mean;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{matrix, vector};
use crate::optim::Adam;
use crate::optim::visit_linear;
use crate::seed::derive;
use crate::train::Progress;
use crate::words::procrustes;
use crate::{Error, Result};

/// FastText vectors of the new language's vocabulary.
pub struct NewWords<'a> {
    /// (vocabulary, FastText width)
    pub table: &'a [f32],
    /// That of the FastText vectors.
    pub width: usize,
}

/// Learns the layer, (universal width, FastText width).
///
/// # Errors
/// Those of [`procrustes`], for the start; run, where the loss is not finite.
#[allow(clippy::too_many_arguments)]
pub fn align(
    lessons: &Lessons,
    words: &NewWords,
    width: usize,
    config: &GrowConfig,
    loss: &LossConfig,
    seed: u64,
    work: &mut Cost,
    progress: Progress,
) -> Result<LinearWeights> {
    let mut layer = start(lessons, words, width)?;
    let schedule = lessons.schedule(derive(seed, "align", 0));
    let steps = schedule.epochs(config.align.epochs, config.least_steps) * schedule.steps_per_epoch();
    let rate = TrainConfig {
        learning_rate: config.align.learning_rate,
        schedule: Schedule::Constant,
        ..TrainConfig::default()
    };
    let mut adam = Adam::new(&rate, steps);
    for step in 0..steps {
        let (lesson, draw) = schedule.draw(step);
        let ids = &lessons.ids[lesson];
        let batch = Batch::new(ids, words, draw.captions.last().expect("the new language is the last"));
        work.words(batch.distinct, words.width * width);
        let means =
            unit_rows(mean(linear_of_data::<Taped>(batch.x, &layer, Precision::F32), &batch.sentences));
        let Some(sum) = near(means, &lessons.all[lesson], &draw.images, &batch.image_of, width, loss) else {
            continue;
        };
        let value = sum.array();
        if !value.is_finite() {
            let what = format!("the loss of the alignment is {value} in step {}", step + 1);
            return Err(Error::run(what).hint("lower `grow.align.learning_rate`, or check the word vectors"));
        }
        progress("align", step + 1, steps, value);
        let mut grads = sum.backward();
        adam.update(&mut grads, &mut |f| visit_linear("layer", &mut layer, f));
    }
    Ok(layer)
}

/// The orthogonal map (width, FastText width) from the mean of a sentence's words to the mean of the known languages' means.
fn start(lessons: &Lessons, words: &NewWords, width: usize) -> Result<LinearWeights> {
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
struct Batch {
    distinct: usize,
    x: Matrix,
    sentences: Arc<Sequences>,
    image_of: Vec<u32>,
}

impl Batch {
    fn new(ids: &[Vec<u32>], words: &NewWords, draws: &[(u32, u32)]) -> Batch {
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
}

/// Triplet loss between the new sentences' `means` (sentences, width) and those of each known language (groups, width); nothing where
/// none is known.
fn near(
    means: Matrix<Taped>,
    lesson: &Lesson,
    groups: &[u32],
    image_of: &[u32],
    width: usize,
    loss: &LossConfig,
) -> Option<Scalar<Taped>> {
    let (means, tape) = means.split_tape();
    let mut terms = Vec::new();
    for known in &lesson.known.means {
        let of = |&g: &u32| &known[g as usize * width..][..width];
        let places: Vec<u32> =
            (0..groups.len() as u32).filter(|&p| of(&groups[p as usize]).iter().any(|&x| x != 0.0)).collect();
        if places.is_empty() {
            continue;
        }
        let rows: Vec<f32> = places.iter().flat_map(|&p| of(&groups[p as usize])).copied().collect();
        let s = similarity(matrix(rows, places.len(), width).leaky_trace(), means.leaky_trace());
        terms.push((contrast(s, &places, image_of, Contrast::Triplet(&loss.triplet)), 1.0));
    }
    if terms.is_empty() {
        return None;
    }
    let count = terms.len() as f32;
    let (sum, last) = combined(terms, count).split_tape();
    Some(sum.put_tape(last.merge(tape)))
}
