//! The total loss of a batch, term by term, as the configuration weighs it (Burns et al. 2020, equation 4).

use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::batch::Batch;
use crate::config::{LossConfig, Precision};
use crate::device::{Dev, Matrix, Scalar};
use crate::loss::adversary::{cross_entropy, reversal_ramp};
use crate::loss::info_nce::info_nce;
use crate::loss::mclm::masked_pair;
use crate::loss::triplet::{bidirectional, neighbourhood};
use crate::loss::{Pairs, on_tape};
use crate::model::{MaskedHeads, Model};
use crate::ops::linear::{linear, reverse_gradient, similarity, unit_rows};
use crate::ops::recurrent::lstm;
use crate::ops::rows::{mean, select};
use crate::ops::sequences::Sequences;

type Taped = OwnedTape<f32, Dev>;

/// One term: its name, its value before weighting, its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub name: &'static str,
    pub raw: f32,
    pub weight: f32,
}

/// Sums terms; each is the mean of its parts (languages, or pairs of languages).
struct Total {
    sum: Option<Scalar<Taped>>,
    terms: Vec<Term>,
}

impl Total {
    fn add(&mut self, name: &'static str, weight: f32, parts: Vec<Scalar<Taped>>) {
        let n = parts.len() as f32;
        let Some(sum) = parts.into_iter().reduce(|a, b| a + b) else { return };
        let mean = sum / n;
        self.terms.push(Term { name, raw: mean.array(), weight });
        let weighted = mean * weight;
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + weighted,
            None => weighted,
        });
    }
}

/// The vectors that losses compare.
struct Views<'a> {
    batch: &'a Batch,
    /// All sentences, masked versions included (sentences, joint).
    text: Matrix,
    image: Matrix,
    /// Token vectors (distinct, width).
    tokens: Matrix,
}

/// Runs the model on a batch. Returns the weighted sum, ready for `backward`, and its terms. `progress` runs from 0 to 1
/// over training; `seed` is the step's own.
pub fn objective(
    model: &mut Model,
    batch: &Batch,
    config: &LossConfig,
    precision: Precision,
    progress: f32,
    seed: u64,
) -> (Option<Scalar<Taped>>, Vec<Term>) {
    let tokens: Matrix<Taped> = model.embedding.forward(&batch.tokens, precision);
    let (tokens, token_tape) = tokens.split_tape();
    let text = model.text.forward(tokens.leaky_trace(), &batch.sentences, seed);
    let (text, text_tape) = text.split_tape();
    let (image, image_tape) = model.image.forward::<Taped>(batch.images.clone(), seed ^ 2).split_tape();
    let views = Views { batch, text, image, tokens };
    let mut total = Total { sum: None, terms: Vec::new() };
    views.image_text(config, &mut total);
    views.neighbourhoods(config, &mut total);
    views.masked(model, config, precision, &mut total);
    if let (Some(layer), true) = (&model.adversary, config.adversary.weight > 0.0) {
        let factor = config.adversary.reversal * reversal_ramp(progress);
        let words = reverse_gradient(unit_rows(views.word_means()), factor);
        let loss = on_tape(linear(words, layer, precision), |x| cross_entropy(x, &batch.languages()));
        total.add("adversary", config.adversary.weight, vec![loss]);
    }
    if config.word_drift > 0.0 {
        total.add("word_drift", config.word_drift, model.word_drift(&batch.tokens));
    }
    let sum = total.sum.map(|sum| {
        let (sum, tape) = sum.split_tape();
        sum.put_tape(tape.merge(text_tape).merge(image_tape).merge(token_tape))
    });
    (sum, total.terms)
}

impl Views<'_> {
    /// Sentences of a language; `shift` selects a masked version.
    fn sentences(&self, group: &Range<usize>, shift: usize) -> Matrix<Taped> {
        let rows: Vec<u32> = group.clone().map(|r| (r + shift) as u32).collect();
        select(self.text.leaky_trace(), &rows)
    }

    /// The mean token vector of every unmasked sentence.
    fn word_means(&self) -> Matrix<Taped> {
        mean(self.tokens.leaky_trace(), &Arc::new(self.batch.whole()))
    }

    fn groups(&self) -> impl Iterator<Item = &Range<usize>> {
        self.batch.groups.iter().filter(|g| !g.is_empty())
    }

    fn image_text(&self, config: &LossConfig, total: &mut Total) {
        let images: Vec<u32> = (0..self.image.shape().0 as u32).collect();
        let mut by_language =
            |name, weight: f32, shifts: &[usize], loss: &dyn Fn(Pairs) -> crate::loss::Value| {
                if weight > 0.0 {
                    let mut parts = Vec::new();
                    for (&shift, group) in shifts.iter().flat_map(|s| self.groups().map(move |g| (s, g))) {
                        let s = similarity(self.image.leaky_trace(), self.sentences(group, shift));
                        let columns = &self.batch.image_of[group.clone()];
                        parts.push(on_tape(s, |s| loss(Pairs { similarity: s, rows: &images, columns })));
                    }
                    total.add(name, weight, parts);
                }
            };
        let triplet = |p: Pairs| bidirectional(p, &config.triplet);
        by_language("triplet", config.triplet.weight, &[0], &triplet);
        let nce = &config.info_nce;
        by_language("info_nce", nce.weight, &[0], &|p| info_nce(p, nce.temperature, nce.label_smoothing));
        let shifts: Vec<usize> = self.batch.deleted.iter().chain(&self.batch.replaced).copied().collect();
        by_language("masked_triplet", config.mclm.masked_triplet, &shifts, &triplet);
    }

    fn neighbourhoods(&self, config: &LossConfig, total: &mut Total) {
        let between = |rows: &dyn Fn(&Range<usize>) -> Matrix<Taped>,
                       loss: &dyn Fn(Pairs) -> crate::loss::Value| {
            let groups: Vec<_> = self.groups().collect();
            let mut parts = Vec::new();
            for (n, a) in groups.iter().enumerate() {
                for b in &groups[n + 1..] {
                    let s = similarity(rows(a), rows(b));
                    let (rows, columns) =
                        (&self.batch.image_of[(*a).clone()], &self.batch.image_of[(*b).clone()]);
                    parts.push(on_tape(s, |s| loss(Pairs { similarity: s, rows, columns })));
                }
            }
            parts
        };
        let near = |p: Pairs| neighbourhood(p, &config.triplet);
        let sentence = |g: &Range<usize>| self.sentences(g, 0);
        let n = &config.neighbourhood;
        if n.sentences > 0.0 {
            total.add("neighbourhood_sentences", n.sentences, between(&sentence, &near));
        }
        if n.words > 0.0 {
            let means = |g: &Range<usize>| {
                let mut some = Sequences::new();
                g.clone().for_each(|s| some.push(self.batch.sentences.get(s).iter().copied()));
                unit_rows(mean(self.tokens.leaky_trace(), &Arc::new(some)))
            };
            total.add("neighbourhood_words", n.words, between(&means, &near));
        }
        if n.within > 0.0 {
            let parts = self.groups().map(|g| {
                let s = similarity(self.sentences(g, 0), self.sentences(g, 0));
                let of = &self.batch.image_of[g.clone()];
                on_tape(s, |s| near(Pairs { similarity: s, rows: of, columns: of }))
            });
            total.add("neighbourhood_within", n.within, parts.collect());
        }
        let nce = &config.info_nce;
        if nce.text_weight > 0.0 {
            let contrast = |p: Pairs| info_nce(p, nce.text_temperature, 0.0);
            total.add("info_nce_text", nce.text_weight, between(&sentence, &contrast));
        }
    }

    /// MCLM on averaged or LSTM-encoded token vectors and on final sentence vectors, over all pairs of languages.
    fn masked(&self, model: &Model, config: &LossConfig, precision: Precision, total: &mut Total) {
        let mut both = |name, weight: f32, heads: &MaskedHeads, shift: usize, words: Matrix| {
            let mut parts = Vec::new();
            for (a, b) in self.batch.language_pairs() {
                let text = |rows: &[u32], shift: usize| {
                    select(
                        self.text.leaky_trace(),
                        &rows.iter().map(|r| r + shift as u32).collect::<Vec<_>>(),
                    )
                };
                let masked = [text(&a, shift), text(&b, shift)];
                let whole = [text(&a, 0), text(&b, 0)];
                parts.push(masked_pair(masked, whole, &heads.sentences, precision));
                // `words` holds the unmasked sentences first, then the masked ones.
                let half = words.shape().0 as u32 / 2;
                let word = |rows: &[u32], shift: u32| {
                    select(words.leaky_trace(), &rows.iter().map(|r| r + shift).collect::<Vec<_>>())
                };
                let masked = [word(&a, half), word(&b, half)];
                parts.push(masked_pair(masked, [word(&a, 0), word(&b, 0)], &heads.words, precision));
            }
            total.add(name, weight, parts);
        };
        let (mut tapes, tokens) = (Vec::new(), || self.tokens.leaky_trace());
        if let (Some(heads), Some(shift)) = (&model.mclm.average, self.batch.deleted) {
            let sentences = Arc::new(self.batch.with_masked(shift));
            let (words, tape) = mean(tokens(), &sentences).split_tape();
            tapes.push(tape);
            both("mclm_average", config.mclm.average, heads, shift, words);
        }
        if let (Some(heads), Some(shift), Some((cell, layer))) =
            (&model.mclm.lstm, self.batch.replaced, &model.mclm.encoder)
        {
            let sentences = Arc::new(self.batch.with_masked(shift));
            let states = lstm(tokens(), cell, &sentences, crate::config::Pooling::Last, precision);
            let (words, tape) = linear(states, layer, precision).split_tape();
            tapes.push(tape);
            both("mclm_lstm", config.mclm.lstm, heads, shift, words);
        }
        if let Some(sum) = total.sum.take() {
            let (sum, tape) = sum.split_tape();
            total.sum = Some(sum.put_tape(tapes.into_iter().fold(tape, |t, more| t.merge(more))));
        }
    }
}
