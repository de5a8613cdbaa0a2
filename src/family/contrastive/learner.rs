//! What a training of a multilingual encoder sees, step by step.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use dfdx::prelude::NoneTape;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{Contrastive, ContrastiveEncoder};
use super::objective::{Batch, Items, gradients};
use crate::Result;
use crate::config::{Config, DrawnCaptions, DrawnIn, TextTextSource, TrainedPart};
use crate::corpus::Corpus;
use crate::device::Matrix;
use crate::eval::task::recall;
use crate::eval::{Evaluation, Scope};
use crate::family::chunks::thinned;
use crate::loss::scale;
use crate::ops::batch_norm::keeps;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, matrix};
use crate::optim::{Adam, ParameterTree};
use crate::sampler::pairs::PairSampler;
use crate::sampler::{CaptionIndex, Pictures, Sampler};
use crate::seed::derive;
use crate::tower::by_length;
use crate::train::{Learner, Stage, StepIndex, StepOutput};

/// What sentences that lose their end are longer than.
pub(super) const BOUND: &str = "`contrastive.context`";

/// Pooled states of captions, as far as they were computed.
type States = Vec<Option<Box<[f32]>>>;

/// The model and its training data.
pub struct ContrastiveLearner<'a> {
    config: &'a Config,
    corpus: &'a Corpus,
    /// The model in training.
    pub model: Contrastive,
    sampler: Sampler,
    pairs: Option<PairSampler>,
    /// Steps of an epoch: a pass over the pictures or captions, or where there are no captions, over the lines of the pairs.
    per_epoch: usize,
    pictures: Pictures<'a>,
    /// Training captions by language.
    captions: Vec<Sequences>,
    /// Whether captions of a language are compared with pictures.
    meets: Vec<bool>,
    /// The row of features that stands for a picture, where pictures change places.
    shuffled: Option<Vec<u32>>,
    truncated: usize,
    /// Whether the encoder is trained as the configuration says, or frozen.
    thawed: bool,
    /// Pooled states of captions that earlier steps have read, by language and caption, of an encoder that nothing changes. A state does not
    /// depend on the batch that it is computed in, so a training that goes on without them comes to the same bits.
    known: Option<Vec<States>>,
}

/// Sentences of a step as they are gathered.
struct Gathered {
    sentences: Sequences,
    /// Of each that is a caption: its language and number.
    captions: Vec<Option<(usize, usize)>>,
    seed: u64,
    dropout: f32,
}

impl Gathered {
    /// Adds a sentence, some of its words left out, and gives its place.
    fn push(&mut self, ids: &[u32], caption: Option<(usize, usize)>) -> u32 {
        let (first, p, seed) = (self.sentences.rows.len(), self.dropout, self.seed);
        self.sentences.push(thinned(ids, p, |n| keeps(seed, first + n, p)));
        self.captions.push(caption);
        self.sentences.len() as u32 - 1
    }
}

impl<'a> ContrastiveLearner<'a> {
    /// Trains a model on the training split of a corpus and its sentence pairs; captions become token ids here.
    pub fn new(config: &'a Config, corpus: &'a Corpus, model: Contrastive) -> Self {
        let contrastive = config.contrastive();
        let rows = corpus.train.features.rows();
        let index = corpus.train.captions.iter().map(|c| CaptionIndex::new(c.iter().map(|c| c.image), rows));
        let seed = |of: &str| derive(config.seed(), of, 0);
        let sampler = Sampler::new(seed("sampler"), config.train(), &corpus.languages, index.collect());
        let pairs = contrastive
            .reads_pairs()
            .then(|| PairSampler::new(seed("pairs"), &config.train().pairs, &corpus.pairs));
        let per_epoch = match &pairs {
            Some(pairs) if !corpus.has_captions() => pairs.steps_per_epoch(),
            _ => sampler.steps_per_epoch(),
        };
        let mut truncated = 0;
        let captions = corpus.languages.iter().zip(&corpus.train.captions).map(|(language, captions)| {
            let texts: Vec<&str> = captions.iter().map(|c| &c.text[..]).collect();
            let encoded = model.tokens(language, &texts);
            truncated += encoded.truncated.len();
            encoded.ids
        });
        let captions: Vec<Sequences> = captions.collect();
        let named = &contrastive.image_text.languages;
        let meets = corpus.languages.iter().map(|l| named.is_empty() || named.contains(l)).collect();
        let shuffled = contrastive.shuffle_pictures.then(|| {
            let mut order: Vec<u32> = (0..rows as u32).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed("shuffled pictures"));
            (1..rows).rev().for_each(|i| order.swap(i, rng.random_range(0..=i)));
            order
        });
        let pictures = Pictures::new(&corpus.train.features, config.train());
        // What leaves words or numbers out makes other states in each step.
        let fixed = config.text().word_dropout == 0.0 && config.text().dropout == 0.0;
        let known = (contrastive.train == TrainedPart::Nothing && fixed)
            .then(|| captions.iter().map(|captions| vec![None; captions.len()]).collect());
        ContrastiveLearner {
            config,
            corpus,
            model,
            sampler,
            pairs,
            per_epoch,
            pictures,
            captions,
            meets,
            shuffled,
            truncated,
            thawed: true,
            known,
        }
    }

    /// The step of the training from which the encoder is trained.
    fn thaws_at(&self) -> usize {
        let epochs = f64::from(self.config.contrastive().frozen_epochs);
        (epochs * self.per_epoch as f64).round() as usize
    }

    /// Freezes the encoder or thaws it, where it is not so already: what is packed of a frozen one is kept.
    fn thaw(&mut self, thawed: bool) {
        if thawed != self.thawed {
            self.model.thaw(self.config.contrastive(), thawed);
            self.thawed = thawed;
        }
    }

    fn batch(&mut self, step: usize) -> Batch {
        let contrastive = self.config.contrastive();
        let seed = derive(self.config.seed(), "word dropout", step as u64);
        let dropout = self.config.text().word_dropout;
        let mut all = Gathered { sentences: Sequences::new(), captions: Vec::new(), seed, dropout };
        let mut batch = Batch::default();
        let (image_text, triple) = (contrastive.image_text.weight > 0.0, contrastive.triple.weight > 0.0);
        let from_captions =
            contrastive.text_text.weight > 0.0 && contrastive.text_text.source == TextTextSource::Captions;
        if (image_text || triple || from_captions) && self.corpus.has_captions() {
            let mut draw = self.sampler.draw(step);
            // By picture, the captions that it has in the batch: (language, caption)
            let mut rng = ChaCha8Rng::seed_from_u64(derive(self.config.seed(), "languages", step as u64));
            if contrastive.captions == DrawnCaptions::Rotation {
                let epoch = step / self.per_epoch;
                self.rotate(&mut draw.captions, &draw.images, epoch);
            }
            let mut languages = vec![Vec::new(); draw.images.len()];
            let mut by_language = vec![Items::default(); self.captions.len()];
            let compared = |l: usize| from_captions || triple || self.meets[l];
            for (l, draws) in draw.captions.iter().enumerate().filter(|(l, _)| compared(*l)) {
                for &(caption, place) in draws {
                    let row = all.push(self.captions[l].get(caption as usize), Some((l, caption as usize)));
                    by_language[l].push(row, place);
                    languages[place as usize].push((l, row));
                    if image_text && self.meets[l] {
                        batch.captions.push(row, place);
                    }
                }
            }
            if from_captions {
                batch.texts = every_two(&by_language);
            }
            if triple {
                for (place, captions) in languages.iter().enumerate() {
                    if let Some([a, b]) = two_languages(captions, &mut rng) {
                        batch.triples[0].push(a, place as u32);
                        batch.triples[1].push(b, place as u32);
                    }
                }
            }
            if image_text || triple {
                if let Some(order) = &self.shuffled {
                    draw.images.iter_mut().for_each(|image| *image = order[*image as usize]);
                }
                batch.images = Some(self.pictures.take(&draw.images));
            }
        }
        if let Some(sampler) = &self.pairs {
            batch.texts = self.sentence_pairs(sampler, step, &mut all);
        }
        let Gathered { sentences, captions, .. } = all;
        batch.states = self.states(&sentences, &captions);
        batch.sentences = Arc::new(sentences);
        batch
    }

    /// The pooled states of a step's sentences, where the encoder is not trained: those of captions from earlier steps are not computed again.
    fn states(&mut self, sentences: &Sequences, captions: &[Option<(usize, usize)>]) -> Option<Matrix> {
        let known = self.known.as_mut()?;
        let width = self.model.tower.outputs();
        let mut states = vec![0.0; sentences.len() * width];
        let (mut missing, mut places) = (Sequences::new(), Vec::new());
        for (n, (row, caption)) in states.chunks_mut(width).zip(captions).enumerate() {
            match caption.and_then(|(l, caption)| known[l][caption].as_ref()) {
                Some(state) => row.copy_from_slice(state),
                None => {
                    missing.push(sentences.get(n).iter().copied());
                    places.push(n);
                }
            }
        }
        let model = &self.model;
        let new = by_length(&missing, width, |some| data(&model.states::<NoneTape>(some, 0)).to_vec());
        for (&n, state) in places.iter().zip(new.chunks(width)) {
            states[n * width..][..width].copy_from_slice(state);
            if let Some((l, caption)) = captions[n] {
                known[l][caption] = Some(state.into());
            }
        }
        Some(matrix(states, sentences.len(), width))
    }

    /// Leaves each picture one caption, in a language that comes after that of the epoch before.
    fn rotate(&self, captions: &mut [Vec<(u32, u32)>], images: &[u32], epoch: usize) {
        let mut drawn = vec![Vec::new(); images.len()];
        for (l, captions) in captions.iter().enumerate().filter(|(l, _)| self.meets[*l]) {
            captions.iter().for_each(|&(caption, place)| drawn[place as usize].push((l, caption)));
        }
        captions.iter_mut().for_each(Vec::clear);
        for (place, (mut drawn, &image)) in drawn.into_iter().zip(images).enumerate() {
            drawn.dedup_by_key(|(l, _)| *l);
            if let Some(count) = std::num::NonZeroUsize::new(drawn.len()) {
                let first = derive(self.config.seed(), "first language", u64::from(image)) as usize;
                let (l, caption) = drawn[first.wrapping_add(epoch) % count];
                captions[l].push((caption, place as u32));
            }
        }
    }

    /// Sentence pairs of a step, by what is compared at once; each sentence is read once.
    fn sentence_pairs(&self, sampler: &PairSampler, step: usize, all: &mut Gathered) -> Vec<[Items; 2]> {
        let pairs = &self.corpus.pairs;
        let draw = sampler.draw(step, pairs);
        // By language: the lines that were drawn in it, and their texts.
        let mut drawn: BTreeMap<usize, (Vec<usize>, Vec<Cow<str>>)> = BTreeMap::new();
        for (n, line) in draw.lines.iter().enumerate() {
            for &l in &line.languages {
                let text = pairs.sentence(line.text, line.line, l).expect("a line that has it");
                let (lines, texts) = drawn.entry(l).or_default();
                lines.push(n);
                texts.push(text);
            }
        }
        // By line: (language, place among the sentences).
        let mut read = vec![Vec::new(); draw.lines.len()];
        for (l, (lines, texts)) in drawn {
            let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            let ids = self.model.tokens(&self.corpus.languages[l], &texts).ids;
            for (n, &line) in lines.iter().enumerate() {
                read[line].push((l, all.push(ids.get(n), None)));
            }
        }
        let together = self.config.train().pairs.draw == DrawnIn::Pair;
        let mut by_languages: BTreeMap<[usize; 2], [Items; 2]> = BTreeMap::new();
        for (sentences, &id) in read.iter().zip(&draw.ids) {
            for (n, &(one, left)) in sentences.iter().enumerate() {
                for &(other, right) in &sentences[n + 1..] {
                    let key = if together { [0, 0] } else { [one, other] };
                    let [to_left, to_right] = by_languages.entry(key).or_default();
                    to_left.push(left, id);
                    to_right.push(right, id);
                }
            }
        }
        by_languages.into_values().collect()
    }
}

/// The captions of every two languages.
fn every_two(by_language: &[Items]) -> Vec<[Items; 2]> {
    let two = |(n, one): (usize, &Items)| {
        by_language[n + 1..].iter().map(|other| [one.clone(), other.clone()]).collect::<Vec<_>>()
    };
    by_language.iter().enumerate().flat_map(two).collect()
}

/// One caption each in two languages, drawn evenly among the pairs of languages, in either order; nothing, where there is one language.
fn two_languages(captions: &[(usize, u32)], rng: &mut ChaCha8Rng) -> Option<[u32; 2]> {
    let mut languages: Vec<usize> = captions.iter().map(|(l, _)| *l).collect();
    languages.dedup();
    if languages.len() < 2 {
        return None;
    }
    let first = rng.random_range(0..languages.len());
    let second = (first + rng.random_range(1..languages.len())) % languages.len();
    let mut one = |l: usize| {
        let own: Vec<u32> = captions.iter().filter(|(of, _)| *of == l).map(|(_, row)| *row).collect();
        own[rng.random_range(0..own.len())]
    };
    Some([one(languages[first]), one(languages[second])])
}

impl Learner for ContrastiveLearner<'_> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        &mut self.model
    }

    fn stages(&self) -> Vec<Stage> {
        let (train, per_epoch) = (self.config.train(), self.per_epoch);
        let rate = "train.learning_rate".to_string();
        vec![Stage::new("contrast", train.epochs * per_epoch, per_epoch, train.clone(), rate)]
    }

    fn enter(&mut self, at: StepIndex) -> Result<()> {
        // As it was after so many steps: the step that thaws comes first where they are as many.
        self.thaw(at.within > self.thaws_at() || self.thaws_at() == 0);
        Ok(())
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        let batch = self.batch(at.step);
        self.thaw(at.within >= self.thaws_at());
        self.model.tower.catch_up("encoder.", adam, &batch.sentences);
        self.model.scales.iter_mut().flatten().for_each(|scale| scale::clip(&mut scale.value));
        let seed = derive(self.config.seed(), "dropout", at.step as u64);
        let found = gradients(&mut self.model, &batch, self.config.contrastive(), seed);
        Ok(found.map(|(grads, terms)| StepOutput { terms, grads, tokens: batch.sentences.rows.len() }))
    }

    fn truncated(&self) -> (usize, &'static str) {
        (self.truncated, BOUND)
    }

    fn scale(&self) -> Option<f32> {
        self.model.scales.iter().flatten().next().map(|s| scale::scale(&s.value))
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let contrastive = self.config.contrastive();
        if contrastive.image_text.weight == 0.0 && contrastive.triple.weight == 0.0 {
            // Pictures are not trained: their recall would say nothing.
            return Ok(None);
        }
        let parameters = self.model.parameters();
        let model = ContrastiveEncoder { model: &self.model, languages: &self.corpus.languages };
        recall::evaluate(&model, self.corpus, Scope::VALIDATION, parameters).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_captions_are_in_two_languages_and_every_pair_of_them_comes() {
        let captions = [(0, 10), (0, 11), (1, 12), (3, 13), (3, 14)];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let language = |row: u32| captions.iter().find(|(_, r)| *r == row).expect("a caption").0;
        let mut count: BTreeMap<[usize; 2], usize> = BTreeMap::new();
        for _ in 0..6000 {
            let [a, b] = two_languages(&captions, &mut rng).expect("two languages");
            *count.entry([language(a), language(b)]).or_default() += 1;
        }
        assert_eq!(count.keys().collect::<Vec<_>>(), [&[0, 1], &[0, 3], &[1, 0], &[1, 3], &[3, 0], &[3, 1]]);
        assert!(count.values().all(|n| n.abs_diff(1000) < 120), "{count:?}");
        assert_eq!(two_languages(&captions[..2], &mut rng), None);
    }

    #[test]
    fn captions_of_every_two_languages_are_compared() {
        let items = |rows: &[u32]| Items { rows: rows.to_vec(), ids: rows.to_vec() };
        let two = every_two(&[items(&[1]), items(&[2]), items(&[3])]);
        let rows: Vec<[u32; 2]> = two.iter().map(|[a, b]| [a.rows[0], b.rows[0]]).collect();
        assert_eq!(rows, [[1, 2], [1, 3], [2, 3]]);
    }
}
