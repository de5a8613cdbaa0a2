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
use crate::loss::list::{PairLoss, Similarities, Streams};
use crate::loss::mclm::masked_pair;
use crate::loss::{Contrast, InfoNce, Temperature};
use crate::ops::linear::{linear, reverse_gradient, similarity, unit_rows};
use crate::ops::recurrent::{Reading, lstm};
use crate::ops::rows::{mean, select};
use crate::ops::sequences::Sequences;

/// The vectors that losses compare.
pub struct BatchOutputs<'a> {
    /// What the vectors were made of.
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

/// What a batch is compared by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stream {
    /// The pictures of the batch.
    Pictures,
    /// All sentences, by language.
    Sentences,
    /// For each language, its own sentences.
    Siblings,
    /// Their masked versions that the encoder reads, by version and language.
    Masked,
    /// The mean of each sentence's token vectors, by language.
    Words,
}

/// The pairwise losses of a configuration in a step, counted from 0: between pictures and sentences (equation 3), and between sentences of
/// one picture (section 3.3).
fn losses(config: &LossConfig, step: usize) -> Vec<PairLoss<'_, Stream>> {
    use Stream::{Masked, Pictures, Sentences, Siblings, Words};
    let (triplet, nce, near) = (&config.triplet, &config.info_nce, &config.neighbourhood);
    let [image_text, text] = [Contrast::image_text(triplet, step), Contrast::near(triplet, step)];
    let softmax = |temperature, smoothing| {
        let temperature = Temperature::Fixed(temperature);
        Contrast::InfoNce(InfoNce { smoothing, ..InfoNce::at(temperature) })
    };
    let [by_image, by_text] =
        [softmax(nce.temperature, nce.label_smoothing), softmax(nce.text_temperature, 0.0)];
    let pair = |name, between, by, weight| PairLoss { name, between, by, weight };
    vec![
        pair("triplet", [Pictures, Sentences], image_text, triplet.weight),
        pair("info_nce", [Pictures, Sentences], by_image, nce.weight),
        pair("masked_triplet", [Pictures, Masked], image_text, config.mclm.masked_triplet),
        pair("neighbourhood_sentences", [Sentences, Sentences], text, near.sentences),
        pair("neighbourhood_words", [Words, Words], text, near.words),
        pair("neighbourhood_within", [Sentences, Siblings], text, near.within),
        pair("info_nce_text", [Sentences, Sentences], by_text, nce.text_weight),
    ]
}

impl Streams for BatchOutputs<'_> {
    type Stream = Stream;

    /// Pictures are compared with each language, languages two by two, of which one learns.
    fn similarities(&self, between: [Stream; 2]) -> Vec<Similarities> {
        let of = |group: &Range<usize>| self.batch.image_of[group.clone()].to_vec();
        let with_pictures = |shift: usize, group: &Range<usize>| Similarities {
            matrix: similarity(self.image.leaky_trace(), self.sentences(group, shift)),
            rows: (0..self.image.shape().0 as u32).collect(),
            columns: of(group),
        };
        let languages = |vectors: &dyn Fn(&Range<usize>) -> Matrix<Taped>, [a, b]: [&Range<usize>; 2]| {
            Similarities { matrix: similarity(vectors(a), vectors(b)), rows: of(a), columns: of(b) }
        };
        let sentences = |group: &Range<usize>| self.sentences(group, 0);
        match between {
            [Stream::Pictures, Stream::Masked] => {
                let versions = self.batch.deleted.iter().chain(&self.batch.replaced);
                versions.flat_map(|shift| self.groups().map(move |g| with_pictures(*shift, g))).collect()
            }
            [Stream::Pictures, _] => self.groups().map(|group| with_pictures(0, group)).collect(),
            [_, Stream::Siblings] => self.groups().map(|g| languages(&sentences, [g, g])).collect(),
            [Stream::Words, _] => {
                self.pairs().into_iter().map(|pair| languages(&|g| self.words_of(g), pair)).collect()
            }
            _ => self.pairs().into_iter().map(|pair| languages(&sentences, pair)).collect(),
        }
    }
}

impl BatchOutputs<'_> {
    /// Every loss but the adversary's, in a step counted from 0.
    pub fn compare(&self, mclm: &Mclm, config: &LossConfig, precision: Precision, step: usize) -> Total {
        let mut total = Total::default();
        total.compare(self, &losses(config, step));
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

    /// That of a language's sentences, at unit length (sentences, width).
    fn words_of(&self, group: &Range<usize>) -> Matrix<Taped> {
        let mut some = Sequences::new();
        group.clone().for_each(|s| some.push(self.batch.sentences.get(s).iter().copied()));
        unit_rows(mean(self.tokens.leaky_trace(), &Arc::new(some)))
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
                        parts.push(masked_pair(masked, whole, head, precision));
                    }
                    if let (Some(head), Some(words)) = (&heads.words, &words) {
                        let word = |rows: &[u32], first: usize| {
                            let place = |r| compared.binary_search(r).expect("a compared sentence") + first;
                            let rows: Vec<u32> = rows.iter().map(|r| place(r) as u32).collect();
                            select(words.leaky_trace(), &rows)
                        };
                        let masked = [word(a, compared.len()), word(b, compared.len())];
                        let whole = [word(a, 0), word(b, 0)];
                        parts.push(masked_pair(masked, whole, head, precision));
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
                let reading = Reading { pooling: Pooling::Last, precision };
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
