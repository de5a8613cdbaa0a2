//! The total loss of a batch, term by term, as the configuration weighs it (Burns et al. 2020, equation 4).

use crate::loss::terms::{Taped, Terms, Total};
use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::config::{LossConfig, PairLossKind, Pooling, Precision, TripletConfig};
use crate::device::{Matrix, Scalar, on_gpu};
use crate::family::smalr::batch::{Batch, Taught};
use crate::family::smalr::model::{MaskedHeads, MaskedReader, Mclm, Model};
use crate::family::smalr::paired::Compared;
use crate::family::smalr::parts::{Part, read_in_parts};
use crate::loss::adversary::{classification, reversal_ramp};
use crate::loss::imitation::Imitation;
use crate::loss::list::{Comparison, PairLoss, Similarities, Streams};
use crate::loss::mclm::masked_pair;
use crate::loss::{Contrast, InfoNce, Temperature};
use crate::ops::linear::{linear, reverse_gradient, similarity, similarity_with, unit_rows};
use crate::ops::recurrent::{Reading, lstm};
use crate::ops::rows::{mean, select};
use crate::ops::sequences::Sequences;
use crate::ops::tape::matrix;

/// The vectors that losses compare.
pub struct BatchOutputs<'a> {
    /// What the vectors were made of.
    pub batch: &'a Batch,
    /// All sentences, masked versions included (sentences, joint).
    pub text: Matrix,
    /// The pictures (pictures, joint).
    pub image: Matrix,
    /// The sentences before they are brought to unit length (sentences, joint), where losses may ask for them.
    pub states: Option<Matrix>,
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
    let states = model.text.states_in_parts(&tokens, &batch.sentences, &batch.spoken(), seed);
    let (states, state_tape) = states.split_tape();
    let (text, text_tape) = unit_rows(states.leaky_trace()).split_tape();
    let (image, image_tape) = pictures(model, batch, seed ^ 2).split_tape();
    let views = BatchOutputs { batch, text, image, states: Some(states), tokens, frozen: 0 };
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
    [text_tape, state_tape, image_tape, token_tape].into_iter().for_each(|tape| total.keep_tape(tape));
    total.finish()
}

/// The pictures of a batch (pictures, joint); none, where only sentences are learnt from.
fn pictures(model: &mut Model, batch: &Batch, seed: u64) -> Matrix<Taped> {
    match batch.images.shape().0 {
        0 => matrix(Vec::new(), 0, 0).put_tape(Taped::default()),
        _ => model.image.forward(batch.images.clone(), seed),
    }
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
    /// The sentences of pairs without pictures, by what is compared.
    Pairs,
    /// The sentences that a teacher teaches, by language.
    Taught,
    /// The same before they are brought to unit length.
    TaughtStates,
    /// The teacher's vectors of these, at unit length.
    Teacher,
    /// The same as long as the teacher makes them.
    TeacherStates,
}

/// The triplet loss of a configuration with both sides as anchors alike.
fn even(config: &LossConfig) -> TripletConfig {
    TripletConfig { sentence_anchor: 1.0, ..config.triplet.clone() }
}

/// The pairwise losses of a configuration in a step, counted from 0: between pictures and sentences (equation 3), between sentences of
/// one picture (section 3.3), and between sentences of pairs without pictures. `even` is [`even`].
fn losses<'c>(config: &'c LossConfig, even: &'c TripletConfig, step: usize) -> Vec<PairLoss<'c, Stream>> {
    use Stream::{
        Masked, Pairs, Pictures, Sentences, Siblings, Taught, TaughtStates, Teacher, TeacherStates, Words,
    };
    let (triplet, nce, near) = (&config.triplet, &config.info_nce, &config.neighbourhood);
    let [image_text, text] =
        [Contrast::image_text(triplet, step), Contrast::near(triplet, step)].map(Comparison::from);
    let softmax = |temperature, smoothing| {
        let temperature = Temperature::Fixed(temperature);
        Comparison::from(Contrast::InfoNce(InfoNce { smoothing, ..InfoNce::at(temperature) }))
    };
    let [by_image, by_text] =
        [softmax(nce.temperature, nce.label_smoothing), softmax(nce.text_temperature, 0.0)];
    let paired = match config.pairs.kind {
        PairLossKind::InfoNce => softmax(config.pairs.temperature, config.pairs.label_smoothing),
        PairLossKind::Triplet => Contrast::image_text(even, step).into(),
        PairLossKind::Neighbourhood => text,
    };
    let teacher = &config.teacher;
    let square = if teacher.unit { [Taught, Teacher] } else { [TaughtStates, TeacherStates] };
    let relational = Imitation::Relational(teacher.relational_temperature);
    let pair = |name, between, by: Comparison<'c>, weight| PairLoss { name, between, by, weight };
    vec![
        pair("triplet", [Pictures, Sentences], image_text, triplet.weight),
        pair("info_nce", [Pictures, Sentences], by_image, nce.weight),
        pair("masked_triplet", [Pictures, Masked], image_text, config.mclm.masked_triplet),
        pair("neighbourhood_sentences", [Sentences, Sentences], text, near.sentences),
        pair("neighbourhood_words", [Words, Words], text, near.words),
        pair("neighbourhood_within", [Sentences, Siblings], text, near.within),
        pair("info_nce_text", [Sentences, Sentences], by_text, nce.text_weight),
        pair("pairs", [Pairs, Pairs], paired, config.pairs.weight),
        pair("teacher_mse", square, Imitation::MeanSquare.into(), teacher.mse),
        pair("teacher_cosine", [Taught, Teacher], Imitation::Cosine.into(), teacher.cosine),
        pair("teacher_softmax", [Taught, Teacher], softmax(teacher.temperature, 0.0), teacher.softmax),
        pair("teacher_relational", [Taught, Teacher], relational.into(), teacher.relational),
    ]
}

impl Streams for BatchOutputs<'_> {
    type Stream = Stream;

    /// Pictures are compared with each language, languages two by two, of which one learns.
    fn similarities(&self, between: [Stream; 2]) -> Vec<Similarities> {
        let of = |group: &Range<usize>| self.batch.image_of[group.clone()].to_vec();
        let languages = |vectors: &dyn Fn(&Range<usize>) -> Matrix<Taped>, [a, b]: [&Range<usize>; 2]| {
            let matrix = similarity(vectors(a), vectors(b));
            Similarities { matrix, rows: of(a), columns: of(b), groups: None }
        };
        let sentences = |group: &Range<usize>| self.sentences(group, 0);
        match between {
            [Stream::Pictures, Stream::Masked] => {
                let versions = self.batch.deleted.iter().chain(&self.batch.replaced);
                versions.flat_map(|shift| self.with_pictures(*shift)).collect()
            }
            [Stream::Taught, _] => self.batch.taught.iter().map(|taught| self.taught(taught)).collect(),
            [Stream::Pairs, _] => self.batch.paired.compared.iter().map(|c| self.paired(c)).collect(),
            [Stream::Pictures, _] => self.with_pictures(0),
            [_, Stream::Siblings] => self.groups().map(|g| languages(&sentences, [g, g])).collect(),
            [Stream::Words, _] => {
                self.pairs().into_iter().map(|pair| languages(&|g| self.words_of(g), pair)).collect()
            }
            _ => self.pairs().into_iter().map(|pair| languages(&sentences, pair)).collect(),
        }
    }

    /// What is taught, by language.
    fn matched(&self, [student, _]: [Stream; 2]) -> Vec<(Matrix<Taped>, Matrix)> {
        let (vectors, unit) = match (student, &self.states) {
            (Stream::TaughtStates, Some(states)) => (states, false),
            _ => (&self.text, true),
        };
        let one = |taught: &Taught| {
            let theirs = taught.vectors.clone();
            let ours = select(vectors.leaky_trace(), &taught.sentences);
            (ours, if unit { unit_rows(theirs) } else { theirs })
        };
        self.batch.taught.iter().map(one).collect()
    }
}

impl BatchOutputs<'_> {
    /// Every loss but the adversary's, in a step counted from 0.
    pub fn compare(&self, mclm: &Mclm, config: &LossConfig, precision: Precision, step: usize) -> Total {
        let mut total = Total::default();
        total.compare(self, &losses(config, &even(config), step));
        self.masked(mclm, config, precision, &mut total);
        total
    }

    /// Pictures with the sentences of each language; `shift` selects a masked version. The kernels of a GPU take all languages at once.
    fn with_pictures(&self, shift: usize) -> Vec<Similarities> {
        let rows: Vec<u32> = (0..self.image.shape().0 as u32).collect();
        let image = || self.image.leaky_trace();
        if on_gpu() {
            let Some((all, groups)) = self.batch.compared_with_pictures(self.frozen) else {
                return Vec::new();
            };
            let columns = self.batch.image_of[all.clone()].to_vec();
            let text = self.text.clone().put_tape(Taped::default());
            let matrix = similarity_with(image(), text, all.start + shift..all.end + shift);
            return vec![Similarities { matrix, rows, columns, groups: Some(groups) }];
        }
        let one = |group: &Range<usize>| {
            let columns = self.batch.image_of[group.clone()].to_vec();
            let matrix = similarity(image(), self.sentences(group, shift));
            Similarities { matrix, rows: rows.clone(), columns, groups: None }
        };
        self.groups().map(one).collect()
    }

    /// Vectors of the sentences of a language (sentences, joint); `shift` selects a masked version.
    fn sentences(&self, group: &Range<usize>, shift: usize) -> Matrix<Taped> {
        let rows: Vec<u32> = group.clone().map(|r| (r + shift) as u32).collect();
        select(self.text.leaky_trace(), &rows)
    }

    /// Sentences of pairs with what they are compared with.
    fn paired(&self, compared: &Compared) -> Similarities {
        let [left, right] = compared.sentences.each_ref().map(|s| select(self.text.leaky_trace(), s));
        let (rows, columns) = (compared.ids.clone(), compared.ids.clone());
        Similarities { matrix: similarity(left, right), rows, columns, groups: None }
    }

    /// Sentences of a language with the teacher's vectors.
    fn taught(&self, taught: &Taught) -> Similarities {
        let ours = select(self.text.leaky_trace(), &taught.sentences);
        let theirs = unit_rows(taught.vectors.clone()).put_tape(Taped::default());
        Similarities {
            matrix: similarity(ours, theirs),
            rows: taught.ids.clone(),
            columns: taught.ids.clone(),
            groups: None,
        }
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
            let words = mclm.encoder.as_ref().map(|encoder| {
                let sentences = Arc::new(self.batch.with_masked(&compared, &self.batch.sentences, shift));
                let reading = Reading { pooling: Pooling::Last, precision };
                let read = move |encoder: &MaskedReader, part: Part| {
                    linear(
                        lstm(part.tokens, &encoder.lstm, part.sentences, reading),
                        &encoder.output,
                        precision,
                    )
                };
                let words = read_in_parts(encoder, &self.tokens, &sentences, mclm.micro_batch, read);
                let (words, tape) = words.split_tape();
                tapes.push(tape);
                words
            });
            predict("mclm_lstm", config.mclm.lstm, heads, Some(shift), words);
        }
        tapes.into_iter().for_each(|tape| total.keep_tape(tape));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::smalr::batch::Paired;
    use crate::gradcheck::{matrix_gradient, noise};
    use crate::ops::tape::matrix;

    /// The first and the last pair are of one sentence.
    const IDS: [u32; 4] = [0, 1, 2, 0];

    /// Sentences of pairs in two languages, four and three, behind the two captions of a batch.
    fn batch() -> Batch {
        let (sentences, ids) = ([vec![2, 3, 4, 5], vec![6, 7, 8, 6]], IDS.to_vec());
        let mut all = Sequences::new();
        (0..9).for_each(|s| all.push([s]));
        Batch {
            images: matrix(noise(3, 1), 1, 3),
            tokens: Default::default(),
            sentences: Arc::new(all),
            image_of: vec![0, 0],
            groups: vec![0..1, 1..2],
            thinned: None,
            deleted: None,
            replaced: None,
            paired: Paired { groups: vec![2..6, 6..9], compared: vec![Compared { sentences, ids }] },
            taught: Vec::new(),
        }
    }

    fn config(kind: PairLossKind) -> LossConfig {
        let mut config = LossConfig::default();
        (config.triplet.weight, config.pairs.weight, config.pairs.kind) = (0.0, 0.5, kind);
        (config.pairs.temperature, config.pairs.label_smoothing) = (0.2, 0.1);
        // All violations count, and none is at the edge.
        (config.triplet.margin, config.triplet.top_n) = (2.5, 2);
        config
    }

    fn total(config: &LossConfig, batch: &Batch, text: &Matrix) -> (Option<Scalar<Taped>>, Terms) {
        let image = matrix(noise(5, 3), 1, 5);
        let tokens = matrix(noise(18, 4), 9, 2);
        let views = BatchOutputs { batch, text: text.clone(), image, states: None, tokens, frozen: 0 };
        views.compare(&Mclm::default(), config, Precision::F32, 3).finish()
    }

    #[test]
    fn the_gradient_of_pairs_is_a_slope_for_each_kind() {
        let batch = batch();
        let text = matrix(noise(9 * 5, 2), 9, 5);
        for kind in [PairLossKind::InfoNce, PairLossKind::Triplet, PairLossKind::Neighbourhood] {
            let config = config(kind);
            let (sum, terms) = total(&config, &batch, &text);
            let (value, terms) = terms.read();
            assert_eq!(terms.iter().map(|t| (t.name, t.weight)).collect::<Vec<_>>(), [("pairs", 0.5)]);
            assert!(terms[0].raw > 0.0 && (value - 0.5 * terms[0].raw).abs() < 1e-6);
            let grads = sum.expect("a loss").backward();
            let touched: f32 = crate::ops::tape::data(&grads.get(&text))[..10].iter().map(|g| g.abs()).sum();
            assert_eq!(touched, 0.0, "captions have no part in it");
            matrix_gradient("text", &text, &grads, 1e-3, 1e-2, |text| {
                total(&config, &batch, text).1.read().0
            });
        }
    }

    #[test]
    fn the_loss_is_that_of_the_cosines_between_both_sides() {
        let config = config(PairLossKind::InfoNce);
        let text = noise(9 * 5, 2);
        let value = total(&config, &batch(), &matrix(text.clone(), 9, 5)).1.read().0;
        let row = |s: usize| &text[5 * s..][..5];
        let dot = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum::<f32>();
        let similarity: Vec<f32> =
            [2, 3, 4, 5].iter().flat_map(|&a| [6, 7, 8, 6].map(|b| dot(a, b))).collect();
        let pairs = crate::loss::Pairs { similarity: &similarity, rows: &IDS, columns: &IDS };
        let by = InfoNce { smoothing: 0.1, ..InfoNce::at(Temperature::Fixed(0.2)) };
        let expected = 0.5 * crate::loss::info_nce::info_nce(pairs, by).value;
        assert!((value - expected).abs() < 1e-5, "{value} {expected}");
    }

    /// A caption and two sentences of pairs in one language, and three in the other; two of the first have one vector.
    fn taught() -> Batch {
        let taught = |sentences: &[u32], ids: &[u32], seed| Taught {
            sentences: sentences.to_vec(),
            ids: ids.to_vec(),
            vectors: matrix(
                ids.iter().flat_map(|id| noise(5, seed + u64::from(*id))).collect(),
                ids.len(),
                5,
            ),
        };
        Batch {
            taught: vec![taught(&[0, 2, 3], &[4, 7, 4], 10), taught(&[6, 7, 8], &[1, 2, 3], 30)],
            ..batch()
        }
    }

    fn of_teacher(change: impl FnOnce(&mut crate::config::TeacherLossConfig)) -> LossConfig {
        let mut config = LossConfig::default();
        config.triplet.weight = 0.0;
        change(&mut config.teacher);
        config
    }

    fn total_of(config: &LossConfig, batch: &Batch, states: &Matrix) -> (Option<Scalar<Taped>>, Terms) {
        let (text, tape) = unit_rows(states.leaky_trace()).split_tape();
        let (image, tokens) = (matrix(noise(5, 3), 1, 5), matrix(noise(18, 4), 9, 2));
        let views = BatchOutputs { batch, text, image, states: Some(states.clone()), tokens, frozen: 0 };
        let mut total = views.compare(&Mclm::default(), config, Precision::F32, 3);
        total.keep_tape(tape);
        total.finish()
    }

    #[test]
    fn the_gradient_of_each_loss_of_a_teacher_is_a_slope_in_what_is_taught_alone() {
        let batch = taught();
        let states = matrix(noise(9 * 5, 2), 9, 5);
        let all: [(&str, LossConfig); 5] = [
            ("teacher_mse", of_teacher(|t| t.mse = 2.0)),
            ("teacher_mse", of_teacher(|t| (t.mse, t.unit) = (2.0, false))),
            ("teacher_cosine", of_teacher(|t| t.cosine = 2.0)),
            ("teacher_softmax", of_teacher(|t| (t.softmax, t.temperature) = (2.0, 0.5))),
            ("teacher_relational", of_teacher(|t| (t.relational, t.relational_temperature) = (2.0, 0.5))),
        ];
        for (name, config) in all {
            let (sum, terms) = total_of(&config, &batch, &states);
            let (value, terms) = terms.read();
            assert_eq!(terms.iter().map(|t| (t.name, t.weight)).collect::<Vec<_>>(), [(name, 2.0)]);
            assert!(terms[0].raw > 0.0 && (value - 2.0 * terms[0].raw).abs() < 1e-6, "{name}: {value}");
            let grads = sum.expect("a loss").backward();
            let grad = crate::ops::tape::data(&grads.get(&states)).to_vec();
            let moved: Vec<usize> = (0..9).filter(|s| grad[5 * s..][..5].iter().any(|g| *g != 0.0)).collect();
            assert_eq!(moved, [0, 2, 3, 6, 7, 8], "{name}");
            matrix_gradient(name, &states, &grads, 1e-3, 1e-2, |states| {
                total_of(&config, &batch, states).1.read().0
            });
        }
    }

    #[test]
    fn a_loss_of_a_teacher_is_the_mean_of_the_languages() {
        let (batch, states) = (taught(), noise(9 * 5, 2));
        let config = of_teacher(|t| t.cosine = 1.0);
        let value = total_of(&config, &batch, &matrix(states.clone(), 9, 5)).1.read().0;
        let unit = |x: &[f32]| {
            let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
            x.iter().map(|x| x / length).collect::<Vec<f32>>()
        };
        let cosine = |sentence: usize, seed: u64| {
            let (s, t) = (unit(&states[5 * sentence..][..5]), unit(&noise(5, seed)));
            s.iter().zip(&t).map(|(s, t)| s * t).sum::<f32>()
        };
        let first = 1.0 - (cosine(0, 14) + cosine(2, 17) + cosine(3, 14)) / 3.0;
        let second = 1.0 - (cosine(6, 31) + cosine(7, 32) + cosine(8, 33)) / 3.0;
        assert!((value - (first + second) / 2.0).abs() < 1e-5, "{value} {first} {second}");
    }

    #[test]
    fn without_a_weight_pairs_are_no_term() {
        let mut config = config(PairLossKind::InfoNce);
        (config.pairs.weight, config.neighbourhood.sentences) = (0.0, 1.0);
        let text = matrix(noise(9 * 5, 2), 9, 5);
        let (_, terms) = total(&config, &batch(), &text).1.read();
        assert_eq!(terms.iter().map(|t| t.name).collect::<Vec<_>>(), ["neighbourhood_sentences"]);
    }
}
