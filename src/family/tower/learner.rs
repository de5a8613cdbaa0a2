//! What a step of a new tower sees and minimises.

use std::sync::Arc;

use dfdx::prelude::*;

use crate::Result;
use crate::config::{Config, LossConfig};
use crate::corpus::Corpus;
use crate::device::{Matrix, Vector};
use crate::eval::Evaluation;
use crate::eval::Scope;
use crate::eval::task::recall;
use crate::family::chunks::{Chunks, thinned};
use crate::family::tower::Clip;
use crate::family::tower::model::ClipEncoder;
use crate::loss::cached::{Parts, cached};
use crate::loss::list::{PairLoss, Similarities, Streams};
use crate::loss::scale;
use crate::loss::terms::Taped;
use crate::loss::terms::{Terms, Total};
use crate::loss::{Contrast, InfoNce, Temperature};
use crate::ops::batch_norm::keeps;
use crate::ops::leaf::Leaf;
use crate::ops::linear::similarity;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{Grads, matrix};
use crate::optim::{Adam, ParameterTree};
use crate::sampler::{CaptionIndex, Sampler};
use crate::seed::derive;
use crate::train::{Learner, Stage, StepIndex, StepOutput};

/// What sentences that lose their end are longer than.
pub(super) const BOUND: &str = "the tower's context";

/// Pictures and sentences; sentence n speaks of picture `image_of[n]`.
struct Batch {
    /// (pictures, width of features)
    images: Matrix,
    sentences: Arc<Sequences>,
    image_of: Vec<u32>,
}

/// Both branches and their training data.
pub struct TowerLearner<'a> {
    config: &'a Config,
    corpus: &'a Corpus,
    /// The model in training.
    pub clip: Clip,
    sampler: Sampler,
    /// Training captions by language.
    captions: Vec<Sequences>,
    /// Sentences whose end was cut.
    pub truncated: usize,
}

impl<'a> TowerLearner<'a> {
    /// Trains `clip` on the training split of a corpus; its captions become token ids here.
    pub fn new(config: &'a Config, corpus: &'a Corpus, clip: Clip) -> Self {
        let rows = corpus.train.features.rows();
        let index = corpus.train.captions.iter().map(|c| CaptionIndex::new(c.iter().map(|c| c.image), rows));
        let seed = derive(config.seed(), "sampler", 0);
        let sampler = Sampler::new(seed, config.train(), &corpus.languages, index.collect());
        let mut truncated = 0;
        let captions = corpus.languages.iter().zip(&corpus.train.captions).map(|(language, captions)| {
            let texts: Vec<&str> = captions.iter().map(|c| &c.text[..]).collect();
            let encoded = clip.tokens(language, &texts);
            truncated += encoded.truncated.len();
            encoded.ids
        });
        let captions = captions.collect();
        TowerLearner { config, corpus, clip, sampler, captions, truncated }
    }

    fn batch(&self, step: usize) -> Batch {
        let draw = self.sampler.draw(step);
        let features = &self.corpus.train.features;
        let (width, p) = (features.width(), self.config.text().word_dropout);
        let mut x = vec![0.0; draw.images.len() * width];
        for (row, &image) in x.chunks_mut(width).zip(&draw.images) {
            features.copy_row(image as usize, row);
        }
        let seed = derive(self.config.seed(), "word dropout", step as u64);
        let (mut sentences, mut image_of) = (Sequences::new(), Vec::new());
        for (captions, draws) in self.captions.iter().zip(&draw.captions) {
            for &(caption, image) in draws {
                let first = sentences.rows.len();
                sentences.push(thinned(captions.get(caption as usize), p, |n| keeps(seed, first + n, p)));
                image_of.push(image);
            }
        }
        let images = matrix(x, draw.images.len(), width);
        Batch { images, sentences: Arc::new(sentences), image_of }
    }
}

impl Learner for TowerLearner<'_> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        &mut self.clip
    }

    fn stages(&self) -> Vec<Stage> {
        let (train, per_epoch) = (self.config.train(), self.sampler.steps_per_epoch());
        let steps = train.epochs * per_epoch;
        let rate = "train.learning_rate".to_string();
        vec![Stage::new("tower", steps, per_epoch, train.clone(), rate)]
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        let batch = self.batch(at.step);
        self.clip.tower.catch_up("tower.", adam, &batch.sentences);
        self.clip.scale.iter_mut().for_each(|scale| scale::clip(&mut scale.value));
        let seed = derive(self.config.seed(), "dropout", at.step as u64);
        let (loss, chunk) = (self.config.loss(), self.config.tower().micro_batch);
        let (grads, terms) = gradients(&mut self.clip, &batch, loss, chunk, at.step, seed);
        Ok(Some(StepOutput { terms, grads, tokens: batch.sentences.rows.len() }))
    }

    fn truncated(&self) -> (usize, &'static str) {
        (self.truncated, BOUND)
    }

    fn scale(&self) -> Option<f32> {
        self.clip.scale.as_ref().map(|s| scale::scale(&s.value))
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let parameters = self.clip.parameters();
        let model = ClipEncoder { clip: &self.clip, languages: &self.corpus.languages };
        recall::evaluate(&model, self.corpus, Scope::VALIDATION, parameters).map(Some)
    }
}

/// Streams of a batch.
#[derive(Clone, Copy)]
enum Stream {
    Pictures,
    /// Of all languages together.
    Sentences,
}

/// The cosines of a batch's pictures with its sentences: all losses compare these.
struct Compared<'a> {
    /// (pictures, sentences)
    similar: Matrix,
    batch: &'a Batch,
}

impl Streams for Compared<'_> {
    type Stream = Stream;

    fn similarities(&self, _: [Stream; 2]) -> Vec<Similarities> {
        let rows = (0..self.similar.shape().0 as u32).collect();
        let columns = self.batch.image_of.clone();
        vec![Similarities { matrix: self.similar.leaky_trace(), rows, columns, groups: None }]
    }
}

/// The losses of a configuration in a step, counted from 0; `scale` is that of the softmax, where it is trained.
fn losses<'a>(
    config: &'a LossConfig,
    scale: Option<&'a Leaf<Vector>>,
    step: usize,
) -> [PairLoss<'a, Stream>; 2] {
    let (triplet, nce) = (&config.triplet, &config.info_nce);
    let temperature = scale.map_or(Temperature::Fixed(nce.temperature), Temperature::Trained);
    let softmax = InfoNce { smoothing: nce.label_smoothing, ..InfoNce::at(temperature) };
    let between = [Stream::Pictures, Stream::Sentences];
    [
        PairLoss {
            name: "triplet",
            between,
            by: Contrast::image_text(triplet, step).into(),
            weight: triplet.weight,
        },
        PairLoss { name: "info_nce", between, by: Contrast::InfoNce(softmax).into(), weight: nce.weight },
    ]
}

impl Parts<Clip> for Chunks {
    fn count(&self) -> usize {
        self.sentences.len()
    }

    fn forward(&self, clip: &Clip, part: usize) -> Matrix<Taped> {
        clip.forward(&self.sentences[part], self.seed_of(part))
    }
}

/// The loss of a batch, its terms, and the gradient; the text tower reads `chunk` sentences at a time, or all.
fn gradients(
    clip: &mut Clip,
    batch: &Batch,
    config: &LossConfig,
    chunk: usize,
    step: usize,
    seed: u64,
) -> (Grads, Terms) {
    let mut terms = Terms::default();
    let chunks = Chunks::new(&batch.sentences, chunk, seed);
    let grads = cached(clip, &chunks, None, |clip, text| {
        let image = clip.image.forward::<Taped>(batch.images.clone(), seed ^ 2);
        let (similar, tape) = similarity(image, text.leaky_trace()).split_tape();
        let mut total = Total::default();
        total.keep_tape(tape);
        total.compare(&Compared { similar, batch }, &losses(config, clip.scale.as_ref(), step));
        let sum;
        (sum, terms) = total.finish();
        sum.expect("a loss with weight: the rules see to it")
    });
    (grads, terms)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::RawConfig;
    use crate::family::tower::{ENDS, sizes};
    use crate::gradcheck::{by_name, noise};
    use crate::optim::Group;
    use crate::tower::TowerTokenizer;
    use crate::words::HuggingFace;

    const TEXTS: [&str; 5] = ["a red dog", "a dog runs", "two men", "blue", "a man and a red house"];

    fn config(learn_temperature: bool) -> Config {
        with(learn_temperature, |_| ())
    }

    fn with(learn_temperature: bool, change: impl Fn(&mut RawConfig)) -> Config {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into()];
        raw.data.captions = vec![crate::config::CaptionSource {
            languages: vec!["en".into()],
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        }];
        (raw.tower.layers, raw.tower.width, raw.tower.heads) = (2, 8, 2);
        (raw.tower.hidden, raw.tower.context, raw.tower.dropout) = (12, 20, 0.2);
        (raw.text.joint, raw.text.dropout, raw.image.hidden, raw.image.dropout) = (6, 0.1, 10, 0.2);
        (raw.loss.info_nce.weight, raw.loss.triplet.margin) = (0.5, 0.6);
        raw.tower.learn_temperature = learn_temperature;
        change(&mut raw);
        raw.check("/base".into()).expect("a good configuration")
    }

    fn made(config: &Config) -> (Clip, Batch) {
        let words = HuggingFace::train(&TEXTS, 280, ENDS).expect("a tokenizer");
        let sizes = sizes(config, words.size(), words.id(ENDS[1]).expect("the end"));
        let tokenizer = TowerTokenizer::new(words, Path::new("t"), &sizes).expect("a tokenizer that fits");
        let mut clip = Clip::new(config, sizes, tokenizer, 7, 1);
        // Far from where everything is 0 or 1.
        let mut seed = 0;
        clip.visit(&mut |_, mut x| {
            if x.trained() {
                seed += 1;
                let shift = if x.group() == Group::Biases || x.group() == Group::Scale { 0.8 } else { 0.0 };
                x.set(&noise(x.count(), seed).iter().map(|x| x + shift).collect::<Vec<f32>>());
            }
        });
        let sentences = Arc::new(clip.tokens("de", &TEXTS).ids);
        let images = matrix(noise(4 * 7, 9), 4, 7);
        (clip, Batch { images, sentences, image_of: vec![0, 0, 1, 2, 3] })
    }

    fn shift(clip: &mut Clip, name: &str, i: usize, by: f32) {
        clip.visit(&mut |other, mut x| {
            if other == name {
                let mut values = x.floats().into_owned();
                values[i] += by;
                x.set(&values);
            }
        });
    }

    /// Finite differences through both branches, at the largest gradients of every parameter; dropout keeps its draw.
    #[test]
    fn gradients_of_all_parameters_are_slopes() {
        slopes(&config(false));
    }

    #[test]
    fn the_gradient_of_a_trained_scale_is_one_too() {
        slopes(&config(true));
    }

    #[test]
    fn so_are_those_of_a_batch_that_is_read_in_parts() {
        slopes(&with(true, |raw| raw.tower.micro_batch = 2));
    }

    #[test]
    fn reading_in_parts_changes_nothing_but_the_last_bits() {
        let of = |micro_batch| {
            // Every part draws its own dropout.
            let config = with(true, |raw| {
                (raw.tower.micro_batch, raw.tower.dropout, raw.text.dropout) = (micro_batch, 0.0, 0.0);
            });
            let (mut clip, batch) = made(&config);
            let (mut grads, terms) = gradients(&mut clip, &batch, config.loss(), micro_batch, 0, 3);
            (by_name(&mut grads, &mut |f| clip.visit(f)), terms.read().0)
        };
        let (whole, loss) = of(0);
        for size in [1, 2, 4, 5, 9] {
            let (parts, same) = of(size);
            assert!((loss - same).abs() < 1e-6, "{loss} {same}");
            for ((name, a), (_, b)) in whole.iter().zip(&parts) {
                let scale = a.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
                let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(far <= 1e-5 * scale, "{name}, {size} at a time: {far} of {scale}");
            }
        }
    }

    fn slopes(config: &Config) {
        let (mut clip, batch) = made(config);
        let chunk = config.tower().micro_batch;
        let (mut grads, terms) = gradients(&mut clip, &batch, config.loss(), chunk, 0, 3);
        assert_eq!(terms.read().1.len(), 2);
        let all = by_name(&mut grads, &mut |f| clip.visit(f));
        assert_eq!(all.iter().any(|(name, _)| name == "scale"), config.tower().learn_temperature);
        for (name, g) in &all {
            let scale = g.iter().fold(0f32, |m, x| m.max(x.abs()));
            // What a batch normalisation follows may have any constant added; queries' common key changes nothing.
            assert!(scale > 1e-6 || name == "image.hidden.bias", "{name} gets no gradient");
            let mut order: Vec<usize> = (0..g.len()).collect();
            order.sort_by(|&a, &b| g[b].abs().total_cmp(&g[a].abs()));
            for &i in order.iter().take(3) {
                let mut value = |by: f32| {
                    shift(&mut clip, name, i, by);
                    let loss = gradients(&mut clip, &batch, config.loss(), chunk, 0, 3).1.read().0;
                    shift(&mut clip, name, i, -by);
                    loss
                };
                let slope = (value(2e-3) - value(-2e-3)) / 4e-3;
                assert!((slope - g[i]).abs() <= 0.03 * scale.max(0.02), "{name}[{i}]: {} {slope}", g[i]);
            }
        }
    }
}
