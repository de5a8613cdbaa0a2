//! A new language on a trained model, which stays as it is.
//!
//! The language gets a map from its FastText space into the scorer's ([`mod@align`]), by which its rare words become latent
//! tokens; vectors of their own for its frequent words, which start at those of their nearest known words ([`start`]);
//! if asked for, a product of low rank beside the encoder's last layer; and training of these alone ([`learner`]), through the frozen
//! encoder ([`objective`]), with what the frozen model says of pictures and known captions, computed once ([`lesson`]), and what a teacher says
//! of translations. Seeds
//! come from the run's seed and the language's code, and only the languages that the run was trained on are known to it:
//! so several languages can be added in any order.

pub mod add;
pub mod align;
pub mod learner;
pub mod lesson;
pub mod objective;
pub(super) mod remove;
mod shared;
pub mod start;

use crate::grow::some_groups;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::checkpoint::Which;
use crate::config::{Config, GrowConfig, LossConfig, TrainConfig};
use crate::corpus::{Caption, Corpus, TeacherVectors};
use crate::eval::Growth;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::cost::Cost;
use crate::family::smalr::prepare::{VectorSource, table, with_vectors};
use crate::grow::Addition;
use crate::sampler::{Draw, Sampler};
use crate::seed::derive;
use crate::train::{Event, Learner, Progress, Trainer};
use crate::words::{Segmenter, Vocabulary, WordVectors};
use crate::{Error, Result};

pub use lesson::Lesson;
pub use shared::shared_hash;

use align::NewWords;
use learner::{LanguageLearner, training_config};
use start::KnownTokens;

/// Everything the new language learns from.
pub struct Lessons {
    /// From pictures first, then from each source of translations.
    pub all: Vec<Lesson>,
    /// By lesson and sentence: ids of the words that the vocabulary has.
    pub ids: Vec<Vec<Vec<u32>>>,
    /// Groups in a batch.
    images: usize,
}

/// Which batch comes when.
pub struct Schedule {
    samplers: Vec<Sampler>,
    /// The lesson of each step of an epoch, and how many of that lesson come before it.
    order: Vec<(usize, usize)>,
}

impl Lessons {
    /// Batches of all lessons, evenly mixed.
    pub fn schedule(&self, seed: u64) -> Schedule {
        let sampler = |(n, lesson): (usize, &Lesson)| {
            let mut index: Vec<_> = lesson.known.captions.iter().map(|(c, _)| c.index.clone()).collect();
            index.push(lesson.index());
            let config =
                TrainConfig { images: self.images, captions: Default::default(), ..TrainConfig::default() };
            let names = vec![String::new(); index.len()];
            Sampler::new(derive(seed, "lesson", n as u64), &config, &names, index)
        };
        let samplers: Vec<Sampler> = self.all.iter().enumerate().map(sampler).collect();
        let mut order = Vec::new();
        for (n, sampler) in samplers.iter().enumerate() {
            let steps = sampler.steps_per_epoch();
            order.extend((0..steps).map(|i| ((2 * i + 1) as f64 / steps as f64, n, i)));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Schedule { samplers, order: order.into_iter().map(|(_, n, i)| (n, i)).collect() }
    }

    fn sentences(&self) -> usize {
        self.all.iter().map(|l| l.words.len()).sum()
    }
}

impl Schedule {
    /// Steps of a pass over all lessons.
    pub fn steps_per_epoch(&self) -> usize {
        self.order.len()
    }

    /// Passes to make of `epochs`, so that there are so many steps at least.
    pub fn epochs(&self, epochs: usize, least_steps: usize) -> usize {
        if epochs == 0 { 0 } else { epochs.max(least_steps.div_ceil(self.steps_per_epoch())) }
    }

    /// The lesson and the batch of a step, counted from 0.
    pub fn draw(&self, step: usize) -> (usize, Draw) {
        let (epoch, (lesson, n)) = (step / self.order.len(), self.order[step % self.order.len()]);
        let sampler = &self.samplers[lesson];
        (lesson, sampler.draw(epoch * sampler.steps_per_epoch() + n))
    }
}

/// The number of a base language, and pairs (sentence in it, the same in the new language).
pub type Translated = (usize, Vec<(String, String)>);

/// What the user gives of the new language.
pub struct Material<'a> {
    /// The language's code.
    pub code: &'a str,
    /// The new language's configuration.
    pub given: &'a Config,
    /// Its pictures and captions, if it has any.
    pub corpus: Option<&'a Corpus>,
    /// By source.
    pub translations: Vec<Translated>,
    /// What a teacher says of its sentences or of what they translate.
    pub teacher: Option<&'a TeacherVectors>,
}

impl Material<'_> {
    /// Its pictures and captions, if it is taught by any; others measure it.
    fn taught(&self) -> Option<&Corpus> {
        self.corpus.filter(|corpus| !corpus.train.captions[0].is_empty())
    }

    /// The row of the teacher's vector of the first of some sentences (language, text) that it has one of.
    fn taught_by<const N: usize>(&self, sentences: [(&str, &str); N]) -> Option<u32> {
        sentences.into_iter().find_map(|(language, text)| self.teacher?.row(language, text))
    }
}

/// Whether a loss looks at known captions of the pictures.
fn compares_with_known(loss: &LossConfig, grow: &GrowConfig) -> bool {
    let between = [loss.neighbourhood.words, loss.info_nce.text_weight, loss.mclm.average, loss.mclm.lstm];
    grow.neighbourhood > 0.0 || between.iter().any(|&weight| weight > 0.0)
}

/// Seconds by stage.
struct Clock {
    seconds: Vec<(String, f64)>,
    start: Instant,
}

impl Clock {
    fn after(seconds: Vec<(String, f64)>) -> Clock {
        Clock { seconds, start: Instant::now() }
    }

    fn lap(&mut self, stage: &str) {
        self.seconds.push((stage.to_string(), self.start.elapsed().as_secs_f64()));
        self.start = Instant::now();
    }
}

/// The words of the new language.
struct Words {
    vectors: WordVectors,
    vocabulary: Vocabulary,
    /// (vocabulary, FastText width)
    table: Vec<f32>,
    /// Sentences that are longer than `words.max_tokens`.
    cut: usize,
}

/// The languages of a run that were not added, in order.
pub fn base_languages(run: &SmalrRun) -> Vec<usize> {
    let added = run.config.added();
    (0..run.info.languages.len()).filter(|&l| !added.contains_key(&run.info.languages[l])).collect()
}

/// A language before it is taught: its words, and everything the frozen model says, computed once.
pub struct Growing<'a> {
    material: Material<'a>,
    base: Vec<usize>,
    seed: u64,
    words: Words,
    lessons: Vec<Lesson>,
    tokens: KnownTokens,
    /// Work and seconds of this part.
    work: Cost,
    seconds: Vec<(String, f64)>,
}

impl<'a> Growing<'a> {
    /// Reads or trains the word vectors and asks the frozen model.
    ///
    /// # Errors
    /// Data, where word vectors, further text or features cannot be used, or no word has both a sentence and a vector; run, where
    /// FastText diverges; as [`Lesson::of_pictures`] and [`Lesson::of_translations`].
    pub fn new(
        run: &mut SmalrRun,
        trained_on: &Corpus,
        material: Material<'a>,
        cache: Option<&Path>,
        progress: Progress,
    ) -> Result<Growing<'a>> {
        let base = base_languages(run);
        let seed = derive(run.config.seed(), &format!("grow {}", material.code), 0);
        let mut clock = Clock::after(Vec::new());
        progress("vectors", 0, 1, 0.0)?;
        let words = Words::new(run, &material, cache)?;
        clock.lap("word vectors");
        progress("known", 0, 1, 0.0)?;
        let mut work = Cost::new(&run.config, run.info.features);
        let mut lessons = Vec::new();
        let grow = material.given.grow();
        let captions = if compares_with_known(run.config.loss(), grow) { grow.captions } else { 0 };
        if let Some(corpus) = material.taught() {
            let views = (grow.views.min(grow.epochs), seed);
            let lesson = Lesson::of_pictures(run, &base, trained_on, corpus, captions, views, &mut work)?;
            let own = |c: &Caption| material.taught_by([(material.code, &c.text[..])]);
            lessons.push(Lesson { taught: corpus.train.captions[0].iter().map(own).collect(), ..lesson });
        }
        for (n, pairs) in &material.translations {
            let lesson = Lesson::of_translations(run, &base, *n, material.code, pairs, &mut work)?;
            let known = run.info.languages[base[*n]].as_str();
            let either = |(old, new): &(String, String)| {
                material.taught_by([(material.code, &new[..]), (known, &old[..])])
            };
            lessons.push(Lesson { taught: pairs.iter().map(either).collect(), ..lesson });
        }
        let tokens = KnownTokens::of(run, &base);
        clock.lap("pictures and known captions");
        Ok(Growing { material, base, seed, words, lessons, tokens, work, seconds: clock.seconds })
    }

    /// Sentences there are.
    pub fn sentences(&self) -> usize {
        self.lessons.iter().map(|l| l.words.len()).sum()
    }

    /// Adds the language to `run`, taught by `sentences` of its sentences, or all, in a folder of its own: from the beginning, or from
    /// where it was stopped.
    ///
    /// # Errors
    /// Those of [`LanguageLearner::new`] and of the training; stopped, where that was asked for.
    pub fn teach(
        &self,
        addition: &Addition,
        run: &mut SmalrRun,
        sentences: Option<usize>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Growth> {
        let (lessons, config) = (self.some_lessons(sentences), training_config(&run.config)?);
        let folder = addition.training_folder(sentences)?;
        let mut learner = LanguageLearner::new(self, run, &lessons)?;
        let (mut best_epoch, mut seconds) = (0, self.seconds.clone());
        if !learner.stages().is_empty() {
            let mut trainer = Trainer::new(&config, &folder, learner);
            addition.train(&mut trainer, &folder, sentences, tell)?;
            best_epoch = trainer.learner.epoch(trainer.state.best_step);
            seconds.push(("alignment and training".into(), trainer.state.seconds));
            learner = trainer.learner;
            // The alignment alone has no best one: it ends as it is.
            if folder.has(Which::Best) {
                folder.read_model(Which::Best, learner.model())?;
            }
        }
        let (language, work) = learner.finish()?;
        let captions = self.material.taught().map_or(0, |_| lessons.all[0].words.len());
        let own = run.model.embedding.own.get(language).filter(|own| own.words.rows() > 0);
        let (own_words, word_width) = own.map_or((0, 0), |own| (own.words.rows(), own.words.width));
        let width = run.config.embedding().width;
        let layer = if own_words > 0 { width * (word_width + 1) } else { 0 };
        let mut parameters = vec![
            ("own words".into(), (own_words * word_width) as u64),
            ("layer into the universal space".into(), layer as u64),
            ("layer of the scorer".into(), (width * (self.words.vectors.width() + 1)) as u64),
        ];
        let adapter = run.model.text.adapters[language].as_ref();
        parameters.extend(adapter.map(|a| ("adapter of the encoder".to_string(), a.count() as u64)));
        Ok(Growth {
            language: self.material.code.to_string(),
            captions,
            translations: lessons.sentences() - captions,
            vocabulary: self.words.vocabulary.len(),
            own_words,
            word_width,
            parameters,
            best_epoch,
            products: work.products,
            sentences_shown: work.sentences,
            seconds,
            truncated: self.words.cut,
            ..Growth::default()
        })
    }

    fn new_words(&self) -> NewWords<'_> {
        NewWords { table: &self.words.table, width: self.words.vectors.width() }
    }

    /// The lessons with so many sentences in all, of groups chosen by the seed; word ids beside them.
    fn some_lessons(&self, sentences: Option<usize>) -> Lessons {
        let all: usize = self.sentences();
        let share = sentences.map_or(1.0, |n| n as f64 / all as f64);
        let some = |(n, lesson): (usize, &Lesson)| {
            lesson.select(&some_groups(lesson.known.groups, share, derive(self.seed, "curve", n as u64)))
        };
        let all: Vec<Lesson> = self.lessons.iter().enumerate().map(some).collect();
        let id = |w: &String| self.words.vocabulary.id(w);
        let ids = |l: &Lesson| l.words.iter().map(|s| s.iter().filter_map(id).collect()).collect();
        Lessons { ids: all.iter().map(ids).collect(), all, images: self.material.given.grow().images }
    }
}

impl Words {
    fn new(run: &SmalrRun, material: &Material, cache: Option<&Path>) -> Result<Words> {
        let code = material.code;
        let segmenter = Segmenter::new(code, run.config.words(), &run.folder.path)?;
        let captions = material.corpus.map(|c| &c.train.captions[0][..]).unwrap_or_default();
        let translated = material.translations.iter().flat_map(|(_, pairs)| pairs).map(|(_, new)| &new[..]);
        let texts = captions.iter().map(|c| &c.text[..]).chain(translated);
        let mut cut = 0;
        let read = |text| {
            let tokens = segmenter.tokens(text);
            cut += tokens.cut as usize;
            tokens.tokens
        };
        let tokens: Vec<Vec<String>> = texts.map(read).collect();
        let mut words = run.config.words().clone();
        words.vectors = material.given.words().vectors.clone();
        let further: Vec<PathBuf> = material.corpus.and_then(|c| c.texts[0].clone()).unwrap_or_default();
        let source = VectorSource { words: &words, base: material.given.base(), texts: &further, cache };
        let expected = run.encoder.vectors[0].width();
        let fits = |width: usize| match width == expected {
            true => Ok(()),
            false => {
                let what =
                    format!("the vectors of `{code}` have {width} numbers, those of the run {expected}");
                Err(Error::data(what)
                    .at(source.place(code))
                    .hint(format!("give vectors of width {expected} with `words.vectors`")))
            }
        };
        if words.vectors.is_none() {
            fits(words.fasttext.width)?;
        }
        let vectors = source.vectors(code, &segmenter, &tokens)?;
        fits(vectors.width())?;
        let vocabulary = with_vectors(&tokens, words.min_count, &vectors);
        if vocabulary.is_empty() {
            let what = format!("no word of `{code}` has both a training sentence and a vector");
            return Err(Error::data(what)
                .at(source.place(code))
                .hint("check `words.vectors`, and whether its words are lower-case"));
        }
        let table = table(&vocabulary, &vectors);
        Ok(Words { vectors, vocabulary, table, cut })
    }
}
