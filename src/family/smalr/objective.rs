//! The total loss of a batch, term by term, as the configuration weighs it (Burns et al. 2020, equation 4).

use crate::loss::terms::{Taped, Terms, Total};
use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::config::{LossConfig, Pooling, Precision};
use crate::device::{Matrix, Scalar};
use crate::family::smalr::batch::Batch;
use crate::family::smalr::model::{MaskedHeads, Mclm, Model};
use crate::loss::adversary::{classification, reversal_ramp};
use crate::loss::mclm::masked_pair;
use crate::loss::{Contrast, contrast};
use crate::ops::linear::{linear, linear_through, reverse_gradient, similarity, unit_rows};
use crate::ops::recurrent::{Reading, lstm};
use crate::ops::rows::{mean, select};
use crate::ops::sequences::Sequences;

/// The vectors that losses compare.
pub struct BatchOutputs<'a> {
    pub batch: &'a Batch,
    /// All sentences, masked versions included (sentences, joint).
    pub text: Matrix,
    /// The pictures (pictures, joint).
    pub image: Matrix,
    /// Token vectors (distinct, width).
    pub tokens: Matrix,
    /// So many languages of the batch, the first ones, stay as they are: they are compared with the others only.
    pub frozen: usize,
}

/// When in a training a step is.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// Counted from 0.
    pub step: usize,
    /// From 0 to 1.
    pub progress: f32,
}

/// Runs the model on a batch. Returns the weighted sum, ready for `backward`, and its terms. `seed` is the step's own.
pub fn objective(
    model: &mut Model,
    batch: &Batch,
    config: &LossConfig,
    precision: Precision,
    when: When,
    seed: u64,
) -> (Option<Scalar<Taped>>, Terms) {
    let tokens: Matrix<Taped> = model.embedding.forward(&batch.tokens, precision);
    let (tokens, token_tape) = tokens.split_tape();
    let text = model.text.forward(tokens.leaky_trace(), &batch.sentences, &batch.spoken(), seed);
    let (text, text_tape) = text.split_tape();
    let (image, image_tape) = model.image.forward::<Taped>(batch.images.clone(), seed ^ 2).split_tape();
    let views = BatchOutputs { batch, text, image, tokens, frozen: 0 };
    let mut total = views.compare(&model.mclm, config, precision, when.step);
    if let (Some(layer), true) = (&model.adversary, config.adversary.weight > 0.0) {
        let factor = config.adversary.reversal * reversal_ramp(when.progress);
        let words = reverse_gradient(unit_rows(views.word_means()), factor);
        let loss = classification(linear(words, layer, precision), &batch.languages());
        total.add("adversary", config.adversary.weight, vec![loss]);
    }
    if config.word_drift > 0.0 {
        total.add("word_drift", config.word_drift, model.word_drift(&batch.tokens));
    }
    [text_tape, image_tape, token_tape].into_iter().for_each(|tape| total.keep_tape(tape));
    total.finish()
}

impl BatchOutputs<'_> {
    /// Every loss but the adversary's, in a step counted from 0.
    pub fn compare(&self, mclm: &Mclm, config: &LossConfig, precision: Precision, step: usize) -> Total {
        let mut total = Total::default();
        self.image_text(config, step, &mut total);
        self.neighbourhoods(config, step, &mut total);
        self.masked(mclm, config, precision, &mut total);
        total
    }

    /// Vectors of the sentences of a language (sentences, joint); `shift` selects a masked version.
    fn sentences(&self, group: &Range<usize>, shift: usize) -> Matrix<Taped> {
        let rows: Vec<u32> = group.clone().map(|r| (r + shift) as u32).collect();
        select(self.text.leaky_trace(), &rows)
    }

    /// The mean token vector of every unmasked sentence (sentences, width).
    fn word_means(&self) -> Matrix<Taped> {
        mean(self.tokens.leaky_trace(), &Arc::new(self.batch.whole()))
    }

    /// The sentences of each language that learns.
    fn groups(&self) -> impl Iterator<Item = &Range<usize>> {
        self.batch.groups[self.frozen..].iter().filter(|g| !g.is_empty())
    }

    /// The sentences of every two languages of which one learns.
    fn pairs(&self) -> Vec<[&Range<usize>; 2]> {
        let groups: Vec<_> = self.batch.groups.iter().enumerate().filter(|(_, g)| !g.is_empty()).collect();
        let mut pairs = Vec::new();
        for (n, (_, a)) in groups.iter().enumerate() {
            pairs.extend(groups[n + 1..].iter().filter(|(l, _)| *l >= self.frozen).map(|(_, b)| [*a, *b]));
        }
        pairs
    }

    fn image_text(&self, config: &LossConfig, step: usize, total: &mut Total) {
        let images: Vec<u32> = (0..self.image.shape().0 as u32).collect();
        let mut by_language = |name, weight: f32, shifts: &[usize], by: Contrast| {
            if weight > 0.0 {
                let mut parts = Vec::new();
                for (&shift, group) in shifts.iter().flat_map(|s| self.groups().map(move |g| (s, g))) {
                    let s = similarity(self.image.leaky_trace(), self.sentences(group, shift));
                    let columns = &self.batch.image_of[group.clone()];
                    parts.push(contrast(s, &images, columns, by));
                }
                total.add(name, weight, parts);
            }
        };
        let triplet = Contrast::image_text(&config.triplet, step);
        by_language("triplet", config.triplet.weight, &[0], triplet);
        let nce = &config.info_nce;
        let nce_by = Contrast::InfoNce { temperature: nce.temperature, smoothing: nce.label_smoothing };
        by_language("info_nce", nce.weight, &[0], nce_by);
        let shifts: Vec<usize> = self.batch.deleted.iter().chain(&self.batch.replaced).copied().collect();
        by_language("masked_triplet", config.mclm.masked_triplet, &shifts, triplet);
    }

    fn neighbourhoods(&self, config: &LossConfig, step: usize, total: &mut Total) {
        let between = |rows: &dyn Fn(&Range<usize>) -> Matrix<Taped>, by: Contrast| {
            let between = |[a, b]: [&Range<usize>; 2]| {
                let s = similarity(rows(a), rows(b));
                let (rows, columns) = (&self.batch.image_of[a.clone()], &self.batch.image_of[b.clone()]);
                contrast(s, rows, columns, by)
            };
            self.pairs().into_iter().map(between).collect::<Vec<_>>()
        };
        let near = Contrast::near(&config.triplet, step);
        let sentence = |g: &Range<usize>| self.sentences(g, 0);
        let n = &config.neighbourhood;
        if n.sentences > 0.0 {
            total.add("neighbourhood_sentences", n.sentences, between(&sentence, near));
        }
        if n.words > 0.0 {
            let means = |g: &Range<usize>| {
                let mut some = Sequences::new();
                g.clone().for_each(|s| some.push(self.batch.sentences.get(s).iter().copied()));
                unit_rows(mean(self.tokens.leaky_trace(), &Arc::new(some)))
            };
            total.add("neighbourhood_words", n.words, between(&means, near));
        }
        if n.within > 0.0 {
            let parts = self.groups().map(|g| {
                let s = similarity(self.sentences(g, 0), self.sentences(g, 0));
                let of = &self.batch.image_of[g.clone()];
                contrast(s, of, of, near)
            });
            total.add("neighbourhood_within", n.within, parts.collect());
        }
        let nce = &config.info_nce;
        if nce.text_weight > 0.0 {
            let by = Contrast::InfoNce { temperature: nce.text_temperature, smoothing: 0.0 };
            total.add("info_nce_text", nce.text_weight, between(&sentence, by));
        }
    }

    /// MCLM on averaged or LSTM-encoded token vectors and on final sentence vectors, over all pairs of languages.
    fn masked(&self, mclm: &Mclm, config: &LossConfig, precision: Precision, total: &mut Total) {
        let pairs = match mclm.average.is_some() || mclm.lstm.is_some() {
            true => self.batch.language_pairs(self.frozen),
            false => return,
        };
        let mut compared: Vec<u32> = pairs.iter().flat_map(|(a, b)| [a, b]).flatten().copied().collect();
        compared.sort_unstable();
        compared.dedup();
        // Sentence vectors of the versions that come `shift` later, and word vectors: those of the compared sentences first, then those of
        // their masked versions.
        let mut predict =
            |name, weight: f32, heads: &MaskedHeads, shift: Option<usize>, words: Option<Matrix>| {
                let mut parts = Vec::new();
                for (a, b) in &pairs {
                    if let (Some(head), Some(shift)) = (&heads.sentences, shift) {
                        let text = |rows: &[u32], shift: usize| {
                            select(
                                self.text.leaky_trace(),
                                &rows.iter().map(|r| r + shift as u32).collect::<Vec<_>>(),
                            )
                        };
                        let masked = [text(a, shift), text(b, shift)];
                        let whole = [text(a, 0), text(b, 0)];
                        parts.push(masked_pair(masked, whole, head, mclm.frozen, precision));
                    }
                    if let (Some(head), Some(words)) = (&heads.words, &words) {
                        let word = |rows: &[u32], first: usize| {
                            let place = |r| compared.binary_search(r).expect("a compared sentence") + first;
                            let rows: Vec<u32> = rows.iter().map(|r| place(r) as u32).collect();
                            select(words.leaky_trace(), &rows)
                        };
                        let masked = [word(a, compared.len()), word(b, compared.len())];
                        let whole = [word(a, 0), word(b, 0)];
                        parts.push(masked_pair(masked, whole, head, mclm.frozen, precision));
                    }
                }
                total.add(name, weight, parts);
            };
        let (mut tapes, tokens) = (Vec::new(), || self.tokens.leaky_trace());
        if let (Some(heads), Some(thinned)) = (&mclm.average, &self.batch.thinned) {
            let sentences = Arc::new(self.batch.with_masked(&compared, thinned, 0));
            let (words, tape) = mean(tokens(), &sentences).split_tape();
            tapes.push(tape);
            predict("mclm_average", config.mclm.average, heads, self.batch.deleted, Some(words));
        }
        if let (Some(heads), Some(shift)) = (&mclm.lstm, self.batch.replaced) {
            let words = mclm.encoder.as_ref().map(|(cell, layer)| {
                let sentences = Arc::new(self.batch.with_masked(&compared, &self.batch.sentences, shift));
                let reading = Reading { pooling: Pooling::Last, precision, learns: !mclm.frozen };
                let linear = if mclm.frozen { linear_through } else { linear };
                let words: Matrix<Taped> =
                    linear(lstm(tokens(), cell, &sentences, reading), layer, precision);
                let (words, tape) = words.split_tape();
                tapes.push(tape);
                words
            });
            predict("mclm_lstm", config.mclm.lstm, heads, Some(shift), words);
        }
        tapes.into_iter().for_each(|tape| total.keep_tape(tape));
    }
}
