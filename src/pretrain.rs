//! What happens before the main training (Burns et al. 2020, section 3.1): layers from each language's FastText space into
//! a shared one, and the latent vocabulary with the assignment of words to it.

mod stored;

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use dfdx::prelude::*;

use crate::batch::{CaptionIndex, Draw, Sampler, derive};
use crate::cache::{Cache, Content, Entry};
use crate::config::{
    AlignConfig, EmbeddingConfig, LatentInit, LossConfig, Precision, PretrainConfig, Schedule, TrainConfig,
    TripletConfig,
};
use crate::device::{Dev, Matrix, Scalar};
use crate::embedding::Scorer;
use crate::embedding::kmeans::spherical;
use crate::init::Init;
use crate::loss::{Contrast, combined, contrast};
use crate::ops::choose::{Choice, choose, unit_keys};
use crate::ops::linear::unit_row;
use crate::ops::linear::{LinearWeights, linear_of_data, similarity, unit_rows};
use crate::ops::rows::{Table, mean, select, stack};
use crate::ops::sequences::Sequences;
use crate::optim::visit_linear;
use crate::optim::{Adam, Parameter};
use crate::{Error, Result};

type Taped = OwnedTape<f32, Dev>;

/// The training captions as word ids, and each word's FastText vector.
pub struct Words<'a> {
    pub languages: &'a [String],
    /// By language: (vocabulary, FastText width).
    pub vectors: &'a [Vec<f32>],
    /// By language and caption: word ids.
    pub captions: &'a [Vec<Vec<u32>>],
    pub index: &'a [CaptionIndex],
    pub width: usize,
}

impl Words<'_> {
    /// A name for `given` and all that these words say.
    fn content(&self, given: &str) -> String {
        let mut content = Content::new(given);
        for (l, language) in self.languages.iter().enumerate() {
            content = content.and(language.as_bytes()).and(bytemuck::cast_slice(&self.vectors[l]));
            content = content.and(bytemuck::cast_slice(&self.index[l].starts));
            let lengths: Vec<u32> = self.captions[l].iter().map(|words| words.len() as u32).collect();
            content = content.and(bytemuck::cast_slice(&lengths));
            let all: Vec<u32> = self.captions[l].concat();
            content = content.and(bytemuck::cast_slice(&all));
        }
        content.name()
    }
}

/// The result: the scorer of all words and the latent vectors it points to, at unit length and trained from there.
pub struct Pretrained {
    pub scorer: Scorer,
    /// (latents, universal width)
    pub latents: Vec<f32>,
}

/// Called with stage, step, steps and loss.
pub type Progress<'a> = &'a mut (dyn FnMut(&str, usize, usize, f32) + Send);

/// Of what is kept of a pretraining; another one is made anew.
const VERSION: u32 = 1;
const KMEANS_ITERATIONS: usize = 10;

/// Aligns the languages, then pretrains the latent vocabulary, if the model has one. `cache` keeps either by what it follows
/// from.
pub fn pretrain(
    words: &Words,
    config: &EmbeddingConfig,
    train: &TrainConfig,
    loss: &LossConfig,
    seed: u64,
    cache: Option<&Cache>,
    progress: Progress,
) -> Result<Pretrained> {
    let progress = Mutex::new(progress);
    let tell = |stage: &str, step, steps, loss| {
        (progress.lock().expect("telling of progress does not panic"))(stage, step, steps, loss);
    };
    // Nothing else of the configuration can matter to what is kept, as nothing else is passed on.
    let train = TrainConfig { images: train.images, captions: train.captions.clone(), ..Default::default() };
    let triplet = TripletConfig { weight: 1.0, ..loss.triplet.clone() };
    let loss = LossConfig { triplet, ..Default::default() };
    let (align_config, width) = (&config.align, config.width);
    let given = format!("{VERSION} {seed} {train:?} {:?} {align_config:?} {width}", loss.triplet);
    let content = cache.map(|_| words.content(&given));
    let make = || align(words, align_config, width, &train, &loss, seed, &mut |a, b, c, d| tell(a, b, c, d));
    let layers = match (cache, &content) {
        (Some(cache), Some(content)) => cache.get(&Entry {
            name: format!("{content}.alignment"),
            make: &make,
            save: &|layers: &Vec<LinearWeights>, path: &Path| {
                stored::write(path, words.languages, layers, &[])
            },
            open: &|path: &Path| Ok(stored::read(path, words.languages, words.width, width)?.0),
        })?,
        _ => make()?,
    };
    if config.latents == 0 {
        return Ok(Pretrained { scorer: Scorer { layers, keys: Vec::new() }, latents: Vec::new() });
    }
    let (latents, settings) = (config.latents, &config.pretrain);
    let make = || {
        let mut layers = layers.clone();
        let start = first_latents(words, &layers, width, latents, settings.init, seed);
        let tell = &mut |a: &str, b, c, d| tell(a, b, c, d);
        let table = latent_vocabulary(words, &mut layers, start, settings, &train, &loss, seed, tell)?;
        Ok((layers, table.data().to_vec()))
    };
    let (layers, latents) = match (cache, content) {
        (Some(cache), Some(content)) => cache.get(&Entry {
            name: format!("{}.latents", Content::new(&format!("{content} {latents} {settings:?}")).name()),
            make: &make,
            save: &|(layers, latents): &(Vec<LinearWeights>, Vec<f32>), path: &Path| {
                stored::write(path, words.languages, layers, latents)
            },
            open: &|path: &Path| stored::read(path, words.languages, words.width, width),
        })?,
        _ => make()?,
    };
    let keys = unit_keys(&Table::new(width, latents.clone()));
    Ok(Pretrained { scorer: Scorer { layers, keys }, latents })
}

/// One layer per language, trained so that captions of one picture have near averages in all languages
/// (MULE's `univ_pretrain`).
fn align(
    words: &Words,
    config: &AlignConfig,
    width: usize,
    train: &TrainConfig,
    loss: &LossConfig,
    seed: u64,
    progress: Progress,
) -> Result<Vec<LinearWeights>> {
    let mut init = Init::new(derive(seed, "align", 0));
    let mut layers: Vec<LinearWeights> =
        words.languages.iter().map(|_| init.linear(words.width, width)).collect();
    let sampler = sampler(words, train, derive(seed, "align", 1));
    let steps = config.epochs * sampler.steps_per_epoch();
    let mut adam = Adam::new(&optimiser(config.learning_rate), steps);
    let mut vectors = Vectors::new(words);
    for step in 0..steps {
        let batch = WordBatch::new(words, &sampler.draw(step));
        let tokens = batch.project(&mut vectors, &layers);
        let Some(sum) = batch.near(tokens, loss) else { break };
        progress("align", step + 1, steps, finite(sum.array(), "align", step)?);
        let mut grads = sum.backward();
        adam.update(&mut grads, &mut |f| visit(&mut layers, words, f));
    }
    Ok(layers)
}

/// Where the latent vectors start, at unit length.
fn first_latents(
    words: &Words,
    layers: &[LinearWeights],
    width: usize,
    count: usize,
    from: LatentInit,
    seed: u64,
) -> Vec<f32> {
    let seed = derive(seed, "latents", 0);
    let mut init = Init::new(seed);
    if from == LatentInit::Random {
        let mut start = init.uniform(count * width, 1.0);
        start.chunks_mut(width).for_each(unit_row);
        return start;
    }
    let scorer = Scorer { layers: layers.to_vec(), keys: Vec::new() };
    let points: Vec<f32> = words.vectors.iter().enumerate().flat_map(|(l, v)| scorer.project(l, v)).collect();
    let iterations = if from == LatentInit::Kmeans { KMEANS_ITERATIONS } else { 0 };
    spherical(&points, width, count, iterations, seed)
}

/// Trains latent vectors and scorer on averaged sentences.
#[allow(clippy::too_many_arguments)]
fn latent_vocabulary(
    words: &Words,
    layers: &mut [LinearWeights],
    start: Vec<f32>,
    config: &PretrainConfig,
    train: &TrainConfig,
    loss: &LossConfig,
    seed: u64,
    progress: Progress,
) -> Result<Table> {
    let width = layers[0].weight.shape().0;
    let mut latents = Table::new(width, start);
    let every: Vec<u32> = (0..latents.rows() as u32).collect();
    let sampler = sampler(words, train, derive(seed, "pretrain", 1));
    let steps = config.epochs * sampler.steps_per_epoch();
    let mut adam = Adam::new(&optimiser(config.learning_rate), steps);
    let mut vectors = Vectors::new(words);
    for step in 0..steps {
        // Every latent vector is read: the scores are cosines with all of them.
        adam.catch_up("latents", &mut latents, &every);
        let batch = WordBatch::new(words, &sampler.draw(step));
        let choice = Choice {
            exploration: config.exploration,
            top: config.top_m,
            temperature: config.temperature,
            estimator: config.estimator,
            seed: derive(seed, "exploration", step as u64),
        };
        let tokens = choose(unit_rows(batch.project(&mut vectors, layers)), &latents, choice);
        let Some(sum) = batch.near(tokens, loss) else { break };
        progress("pretrain", step + 1, steps, finite(sum.array(), "pretrain", step)?);
        let mut grads = sum.backward();
        adam.update(&mut grads, &mut |f| {
            f("latents", Parameter::Table(&mut latents));
            visit(layers, words, f);
        });
    }
    adam.catch_up("latents", &mut latents, &every);
    Ok(latents)
}

fn finite(loss: f32, stage: &str, step: usize) -> Result<f32> {
    if loss.is_finite() {
        return Ok(loss);
    }
    Err(Error::run(format!("the loss of `{stage}` is {loss} in step {}", step + 1))
        .hint("lower the learning rate of this stage, or check the word vectors"))
}

fn visit(layers: &mut [LinearWeights], words: &Words, f: &mut dyn FnMut(&str, Parameter)) {
    for (layer, language) in layers.iter_mut().zip(words.languages) {
        visit_linear(&format!("scorer.{language}"), layer, f);
    }
}

fn sampler(words: &Words, train: &TrainConfig, seed: u64) -> Sampler {
    let all = TrainConfig { language_temperature: 0.0, ..train.clone() };
    Sampler::new(seed, &all, words.languages, words.index.to_vec())
}

fn optimiser(learning_rate: f32) -> TrainConfig {
    TrainConfig { learning_rate, schedule: Schedule::Constant, ..TrainConfig::default() }
}

/// The words' FastText vectors. On a GPU they stay there, up to the default of `train.gpu_features`.
struct Vectors<'a> {
    words: &'a Words<'a>,
    #[cfg(feature = "cuda")]
    sources: Vec<crate::ops::cuda::features::Source>,
}

impl<'a> Vectors<'a> {
    fn new(words: &'a Words) -> Self {
        #[cfg(feature = "cuda")]
        let sources = {
            let bytes = words.vectors.iter().map(|v| 4 * v.len()).sum::<usize>();
            let fits = bytes <= TrainConfig::default().gpu_features << 20;
            let source = |vectors: &Vec<f32>| {
                let (rows, limit) = (vectors.len() / words.width, if fits { bytes } else { 0 });
                let copy = |row, to: &mut [f32]| copy_row(vectors, row, to);
                crate::ops::cuda::features::Source::new(rows, words.width, limit, copy)
            };
            words.vectors.iter().map(source).collect()
        };
        Vectors {
            words,
            #[cfg(feature = "cuda")]
            sources,
        }
    }

    /// Those of some words of a language: (words, FastText width).
    fn take(&mut self, language: usize, ids: &[u32]) -> Matrix {
        let (vectors, width) = (&self.words.vectors[language], self.words.width);
        let copy = |row, to: &mut [f32]| copy_row(vectors, row, to);
        #[cfg(feature = "cuda")]
        return self.sources[language].take(ids, width, copy);
        #[cfg(not(feature = "cuda"))]
        crate::batch::gathered(ids, width, copy)
    }
}

fn copy_row(vectors: &[f32], row: usize, to: &mut [f32]) {
    to.copy_from_slice(&vectors[row * to.len()..][..to.len()]);
}

/// Sentences of a batch in terms of its distinct words, language by language.
struct WordBatch {
    /// By language: distinct word ids.
    distinct: Vec<Vec<u32>>,
    sentences: Arc<Sequences>,
    image_of: Vec<u32>,
    groups: Vec<std::ops::Range<u32>>,
}

impl WordBatch {
    fn new(words: &Words, draw: &Draw) -> Self {
        let (mut distinct, mut sentences) = (Vec::new(), Sequences::new());
        let (mut image_of, mut groups, mut first) = (Vec::new(), Vec::new(), 0u32);
        for (l, draws) in draw.captions.iter().enumerate() {
            let mut ids: Vec<u32> =
                draws.iter().flat_map(|&(c, _)| &words.captions[l][c as usize]).copied().collect();
            ids.sort_unstable();
            ids.dedup();
            let start = sentences.len() as u32;
            for &(caption, image) in draws {
                let place = |w: &u32| first + ids.binary_search(w).expect("a word of the batch") as u32;
                sentences.push(words.captions[l][caption as usize].iter().map(place));
                image_of.push(image);
            }
            groups.push(start..sentences.len() as u32);
            first += ids.len() as u32;
            distinct.push(ids);
        }
        WordBatch { distinct, sentences: Arc::new(sentences), image_of, groups }
    }

    /// The distinct words in the universal space: (distinct, width).
    fn project(&self, vectors: &mut Vectors, layers: &[LinearWeights]) -> Matrix<Taped> {
        let parts = self.distinct.iter().enumerate().filter(|(_, ids)| !ids.is_empty());
        let parts = parts.map(|(l, ids)| linear_of_data(vectors.take(l, ids), &layers[l], Precision::F32));
        stack(parts.collect())
    }

    /// Triplet loss between the averages of every two languages, or within the one language there is; nothing where no
    /// two captions match.
    fn near(&self, tokens: Matrix<Taped>, loss: &LossConfig) -> Option<Scalar<Taped>> {
        let (means, tape) = unit_rows(mean(tokens, &self.sentences)).split_tape();
        let of = |g: &std::ops::Range<u32>| &self.image_of[g.start as usize..g.end as usize];
        let rows = |g: &std::ops::Range<u32>| select(means.leaky_trace(), &g.clone().collect::<Vec<_>>());
        let mut terms = Vec::new();
        let single = self.groups.len() == 1;
        for (n, a) in self.groups.iter().enumerate() {
            for b in &self.groups[if single { n } else { n + 1 }..] {
                let s = similarity(rows(a), rows(b));
                terms.push((contrast(s, of(a), of(b), Contrast::Triplet(&loss.triplet)), 1.0));
            }
        }
        if terms.is_empty() {
            return None;
        }
        let count = terms.len() as f32;
        let (sum, last) = combined(terms, count).split_tape();
        Some(sum.put_tape(last.merge(tape)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Estimator;
    use crate::ops::check::noise;
    use crate::ops::tape::{data, data1};

    /// Two languages that name six things by different vectors; captions of picture p name thing p % 6 and its neighbour.
    fn run(estimator: Estimator) -> (Pretrained, Vec<Vec<f32>>, Vec<f32>) {
        run_with(None, 6, estimator)
    }

    fn run_with(
        cache: Option<&Cache>,
        latents: usize,
        estimator: Estimator,
    ) -> (Pretrained, Vec<Vec<f32>>, Vec<f32>) {
        let languages = ["a".to_string(), "b".to_string()];
        let vectors: Vec<Vec<f32>> = (0..2).map(|l| noise(6 * 8, l)).collect();
        let captions: Vec<Vec<Vec<u32>>> =
            (0..2).map(|_| (0..60u32).map(|p| vec![p % 6, (p / 6 + p) % 6]).collect()).collect();
        let index = vec![CaptionIndex::new(0..60u32, 60); 2];
        let words =
            Words { languages: &languages, vectors: &vectors, captions: &captions, index: &index, width: 8 };
        let mut config = EmbeddingConfig { latents, width: 16, ..Default::default() };
        config.align = AlignConfig { epochs: 30, learning_rate: 1e-2 };
        config.pretrain = PretrainConfig { epochs: 20, top_m: 3, estimator, ..Default::default() };
        let train = TrainConfig { images: 30, ..Default::default() };
        let mut losses = Vec::new();
        let result =
            pretrain(&words, &config, &train, &LossConfig::default(), 1, cache, &mut |_, _, _, l| {
                losses.push(l)
            });
        (result.unwrap(), vectors, losses)
    }

    #[test]
    fn words_of_one_meaning_come_together() {
        let (trained, vectors, losses) = run(Estimator::None);
        assert!(losses[59] < 0.5 * losses[0], "alignment learns: {} {}", losses[0], losses[59]);
        let (a, b) = (trained.scorer.project(0, &vectors[0]), trained.scorer.project(1, &vectors[1]));
        let cosine = |i: usize, j: usize| (0..16).map(|k| a[i * 16 + k] * b[j * 16 + k]).sum::<f32>();
        let nearest = |i: usize| (0..6).max_by(|&x, &y| cosine(i, x).total_cmp(&cosine(i, y)));
        let right = (0..6).filter(|&i| nearest(i) == Some(i)).count();
        assert!(right >= 5, "{right} of 6 words find their translation");
    }

    #[test]
    fn straight_through_gives_words_of_one_meaning_one_token() {
        let (trained, vectors, _) = run(Estimator::StraightThrough);
        let (a, b) = (trained.scorer.assign(0, &vectors[0]), trained.scorer.assign(1, &vectors[1]));
        // Chance is one word in six.
        let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
        assert!(same >= 4, "{a:?} {b:?}");
    }

    #[test]
    fn same_seed_same_bits() {
        let (one, two) = (run(Estimator::StraightThrough), run(Estimator::StraightThrough));
        assert!(one.0.latents == two.0.latents && one.2 == two.2);
    }

    #[test]
    fn kept_results_are_the_same_bits_and_trained_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let plain = run(Estimator::Gate);
        // 60 steps of alignment, 40 of the vocabulary.
        for steps in [100, 0] {
            let kept = run_with(Some(&cache), 6, Estimator::Gate);
            assert_eq!(kept.2.len(), steps);
            assert!(kept.0.latents == plain.0.latents && kept.0.scorer.keys == plain.0.scorer.keys);
            let weights = |p: &Pretrained| -> Vec<Vec<f32>> {
                let layers = p.scorer.layers.iter();
                layers.flat_map(|l| [data(&l.weight).to_vec(), data1(&l.bias).to_vec()]).collect()
            };
            assert!(weights(&kept.0) == weights(&plain.0));
        }
        let more = run_with(Some(&cache), 7, Estimator::Gate);
        assert_eq!(more.2.len(), 40, "the alignment is shared by vocabularies of any size");
        assert_eq!(run_with(Some(&cache), 6, Estimator::None).2.len(), 40);
    }
}
