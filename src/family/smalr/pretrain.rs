//! What happens before the main training (Burns et al. 2020, section 3.1): layers from each language's FastText space into
//! a shared one, and the latent vocabulary with the assignment of words to it.

mod stored;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use dfdx::prelude::*;

use crate::Result;
use crate::cache::{Cache, Content, Entry};
use crate::config::{
    AlignConfig, CaptionPairs, EmbeddingConfig, LatentInit, LossConfig, Precision, PretrainConfig, Schedule,
    Score, TrainConfig, TripletConfig,
};
use crate::device::Matrix;
use crate::eval::Evaluation;
use crate::family::smalr::embedding::Scorer;
use crate::family::smalr::embedding::kmeans::spherical;
use crate::init::Init;
use crate::loss::terms::{Taped, Total};
use crate::loss::{Contrast, contrast};
use crate::ops::choose::{Choice, Keys, choose, unit_keys};
use crate::ops::linear::unit_row;
use crate::ops::linear::{LinearWeights, linear_of_data, similarity, unit_rows};
use crate::ops::rows::{Table, mean, select, stack};
use crate::ops::sequences::Sequences;
use crate::optim::{Adam, Parameter, ParameterTree, visit_linear};
use crate::sampler::{CaptionIndex, Draw, Sampler};
use crate::seed::derive;
use crate::train::{Learner, Progress, Stage, StepIndex, StepOutput, prepare};

/// The training captions as word ids, and each word's FastText vector.
pub struct Words<'a> {
    /// Codes, in the order of all else here.
    pub languages: &'a [String],
    /// By language: (vocabulary, FastText width).
    pub vectors: &'a [Vec<f32>],
    /// By language and caption: word ids.
    pub captions: &'a [Vec<Vec<u32>>],
    /// By language: its captions by picture.
    pub index: &'a [CaptionIndex],
    /// That of the FastText vectors.
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
    /// Of all words.
    pub scorer: Scorer,
    /// (latents, universal width)
    pub latents: Vec<f32>,
}

/// Of what is kept of a pretraining; another one is made anew.
const VERSION: u32 = 2;
const KMEANS_ITERATIONS: usize = 10;

/// Aligns the languages, then pretrains the latent vocabulary, if the model has one. `cache` keeps either by what it follows
/// from.
///
/// # Errors
/// Run, where a loss or its gradient is not finite or the cache cannot be written; data, where a kept result is not as it was written.
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
        (progress.lock().expect("telling of progress does not panic"))(stage, step, steps, loss)
    };
    // Nothing else of the configuration can matter to what is kept, as nothing else is passed on.
    let train = TrainConfig {
        images: train.images,
        captions: train.captions.clone(),
        epoch_unit: train.epoch_unit,
        ..Default::default()
    };
    let TripletConfig { margin, top_n, sentence_anchor, distance, same_image_negatives, .. } = loss.triplet;
    let triplet = TripletConfig {
        margin,
        top_n,
        sentence_anchor,
        distance,
        same_image_negatives,
        ..Default::default()
    };
    let (align_config, width) = (&config.align, config.width);
    let given = format!("{VERSION} {seed} {train:?} {triplet:?} {align_config:?} {width}");
    let content = cache.map(|_| words.content(&given));
    let make = || {
        let mut learner = align(words, align_config, width, &train, &triplet, seed);
        prepare(&mut learner, &mut |a, b, c, d| tell(a, b, c, d))?;
        Ok(learner.trained.layers)
    };
    let layers = match (cache, &content) {
        (Some(cache), Some(content)) => cache.get(&Entry {
            name: format!("{content}.alignment"),
            make: &make,
            save: &|layers: &Vec<LinearWeights>, path: &Path| {
                stored::write(path, words.languages, layers, &[], &[])
            },
            open: &|path: &Path| Ok(stored::read(path, words.languages, words.width, width)?.0),
        })?,
        _ => make()?,
    };
    if config.latents == 0 {
        let scorer = Scorer { layers, keys: Vec::new(), score: config.pretrain.score };
        return Ok(Pretrained { scorer, latents: Vec::new() });
    }
    let (latents, settings) = (config.latents, &config.pretrain);
    let make = || {
        let start = first_latents(words, &layers, width, latents, settings.init, seed);
        let latents = Table::new(width, start);
        let mut learner = vocabulary(words, layers.clone(), latents, settings, &train, &triplet, seed);
        prepare(&mut learner, &mut |a, b, c, d| tell(a, b, c, d))?;
        let Scorers { layers, latents, keys, .. } = learner.trained;
        let values = |table: Option<Table>| table.map(|t| t.data().to_vec()).unwrap_or_default();
        Ok((layers, values(latents), values(keys)))
    };
    let (layers, latents, keys) = match (cache, content) {
        (Some(cache), Some(content)) => cache.get(&Entry {
            name: format!("{}.latents", Content::new(&format!("{content} {latents} {settings:?}")).name()),
            make: &make,
            save: &|(layers, latents, keys): &stored::Stages, path: &Path| {
                stored::write(path, words.languages, layers, latents, keys)
            },
            open: &|path: &Path| stored::read(path, words.languages, words.width, width),
        })?,
        _ => make()?,
    };
    let score = settings.score;
    let keys = match score {
        Score::Cosine => unit_keys(&Table::new(width, latents.clone())),
        Score::Layer => keys,
    };
    Ok(Pretrained { scorer: Scorer { layers, keys, score }, latents })
}

/// What is trained before the main training.
struct Scorers<'a> {
    languages: &'a [String],
    /// By language, (width, FastText width).
    layers: Vec<LinearWeights>,
    /// The vocabulary (latents, width), once there is one; and the layer that scores it (latents, width + 1), if there is one.
    latents: Option<Table>,
    keys: Option<Table>,
}

impl ParameterTree for Scorers<'_> {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        for (name, table) in [("latents", &mut self.latents), ("keys", &mut self.keys)] {
            if let Some(table) = table {
                f(name, Parameter::table(table));
            }
        }
        for (layer, language) in self.layers.iter_mut().zip(self.languages) {
            visit_linear(&format!("scorer.{language}"), layer, f);
        }
    }
}

/// Learns from captions as averages of their words that those of one picture are near each other.
struct WordsLearner<'a> {
    words: &'a Words<'a>,
    vectors: Vectors<'a>,
    sampler: Sampler,
    triplet: TripletConfig,
    pairs: CaptionPairs,
    trained: Scorers<'a>,
    /// How words choose their latent token.
    choice: Choice,
    seed: u64,
    name: &'static str,
    epochs: usize,
    learning_rate: f32,
}

impl Learner for WordsLearner<'_> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        &mut self.trained
    }

    fn stages(&self) -> Vec<Stage> {
        let per_epoch = self.sampler.steps_per_epoch();
        let rate = format!("embedding.{}.learning_rate", self.name);
        let optimiser = TrainConfig {
            learning_rate: self.learning_rate,
            schedule: Schedule::Constant,
            ..TrainConfig::default()
        };
        vec![Stage::new(self.name, self.epochs * per_epoch, per_epoch, optimiser, rate).unwatched()]
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        // Every latent vector is read: the scores are cosines with all of them.
        let Scorers { layers, latents, keys, .. } = &mut self.trained;
        for (name, table) in [("latents", &mut *latents), ("keys", &mut *keys)] {
            if let Some(table) = table {
                let every: Vec<u32> = (0..table.rows() as u32).collect();
                adam.catch_up(name, table, &every);
            }
        }
        let batch = WordBatch::new(self.words, &self.sampler.draw(at.within));
        let mut tokens = batch.project(&mut self.vectors, layers);
        if let Some(latents) = latents {
            let choice = Choice { seed: derive(self.seed, "exploration", at.within as u64), ..self.choice };
            let by = keys.as_ref().map_or(Keys::Latents, Keys::Layer);
            tokens = choose(unit_rows(tokens), by, latents, choice);
        }
        let (sum, terms) = batch.near(tokens, &self.triplet, self.pairs, self.name).finish();
        let tokens = batch.sentences.rows.len();
        Ok(sum.map(|sum| StepOutput { terms, grads: sum.backward(), tokens }))
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        Ok(None)
    }
}

/// One layer per language, trained so that captions of one picture have near averages in all languages
/// (MULE's `univ_pretrain`).
fn align<'a>(
    words: &'a Words,
    config: &AlignConfig,
    width: usize,
    train: &TrainConfig,
    triplet: &TripletConfig,
    seed: u64,
) -> WordsLearner<'a> {
    let mut init = Init::new(derive(seed, "align", 0));
    let layers = words.languages.iter().map(|_| init.linear(words.width, width)).collect();
    WordsLearner {
        words,
        vectors: Vectors::new(words),
        sampler: sampler(words, train, derive(seed, "align", 1)),
        triplet: TripletConfig { sentence_anchor: config.second_anchor, ..triplet.clone() },
        pairs: CaptionPairs::Between,
        trained: Scorers { languages: words.languages, layers, latents: None, keys: None },
        choice: choice(&PretrainConfig::default()),
        seed,
        name: "align",
        epochs: config.epochs,
        learning_rate: config.learning_rate,
    }
}

/// Latent vectors, which start at `latents`, and what scores them, trained on averaged sentences.
fn vocabulary<'a>(
    words: &'a Words,
    layers: Vec<LinearWeights>,
    latents: Table,
    config: &PretrainConfig,
    train: &TrainConfig,
    triplet: &TripletConfig,
    seed: u64,
) -> WordsLearner<'a> {
    let width = latents.width;
    let keys = (config.score == Score::Layer).then(|| {
        let rows = latents.data().chunks(width).flat_map(|row| row.iter().copied().chain([0.0]));
        Table::new(width + 1, rows.collect())
    });
    WordsLearner {
        words,
        vectors: Vectors::new(words),
        sampler: sampler(words, train, derive(seed, "pretrain", 1)),
        triplet: TripletConfig { sentence_anchor: config.second_anchor, ..triplet.clone() },
        pairs: config.pairs,
        trained: Scorers { languages: words.languages, layers, latents: Some(latents), keys },
        choice: choice(config),
        seed,
        name: "pretrain",
        epochs: config.epochs,
        learning_rate: config.learning_rate,
    }
}

fn choice(config: &PretrainConfig) -> Choice {
    let PretrainConfig { exploration, top_m, temperature, estimator, .. } = *config;
    Choice { exploration, top: top_m, temperature, estimator, seed: 0 }
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
    let scorer = Scorer { layers: layers.to_vec(), keys: Vec::new(), score: Score::Cosine };
    let points: Vec<f32> = words.vectors.iter().enumerate().flat_map(|(l, v)| scorer.project(l, v)).collect();
    let iterations = if from == LatentInit::Kmeans { KMEANS_ITERATIONS } else { 0 };
    spherical(&points, width, count, iterations, seed)
}

fn sampler(words: &Words, train: &TrainConfig, seed: u64) -> Sampler {
    let all = TrainConfig { language_temperature: 0.0, ..train.clone() };
    Sampler::new(seed, &all, words.languages, words.index.to_vec())
}

/// The words' FastText vectors. On a GPU they stay there, up to the default of `train.gpu_features`.
struct Vectors<'a> {
    words: &'a Words<'a>,
    #[cfg(feature = "cuda")]
    sources: Vec<crate::sampler::cuda::Source>,
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
                crate::sampler::cuda::Source::new(rows, words.width, limit, copy)
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
        crate::sampler::gathered(ids, width, copy)
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

    /// Triplet loss between the averages of every two languages, and within each or within the one there is, as a term of this name; none
    /// where no two captions match.
    fn near(
        &self,
        tokens: Matrix<Taped>,
        triplet: &TripletConfig,
        pairs: CaptionPairs,
        name: &'static str,
    ) -> Total {
        let (means, tape) = unit_rows(mean(tokens, &self.sentences)).split_tape();
        let mut terms = Vec::new();
        let compare = |a: &[u32], b: &[u32]| {
            let of = |some: &[u32]| some.iter().map(|&s| self.image_of[s as usize]).collect::<Vec<_>>();
            let s = similarity(select(means.leaky_trace(), a), select(means.leaky_trace(), b));
            contrast(s, &of(a), &of(b), Contrast::Triplet(triplet))
        };
        let groups: Vec<Vec<u32>> = self.groups.iter().map(|g| g.clone().collect()).collect();
        for (n, a) in groups.iter().enumerate() {
            terms.extend(groups[n + 1..].iter().map(|b| compare(a, b)));
        }
        let siblings = |group: &&Vec<u32>| pairs == CaptionPairs::Any && !group.is_empty();
        for group in groups.iter().filter(siblings) {
            // A caption is no pair with itself: one of each picture on one side, the others on the other.
            let first = |s: u32| s == group[0] || self.image_of[s as usize] != self.image_of[s as usize - 1];
            let (one, others): (Vec<u32>, Vec<u32>) = group.iter().partition(|s| first(**s));
            if !others.is_empty() {
                terms.push(compare(&one, &others));
            }
        }
        // The one language that there is, without two captions of a picture: each caption against those of other pictures.
        if let ([only], true) = (&groups[..], terms.is_empty()) {
            terms.push(compare(only, only));
        }
        let mut total = Total::default();
        total.add(name, 1.0, terms);
        total.keep_tape(tape);
        total
    }
}
