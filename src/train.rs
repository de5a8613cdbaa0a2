//! The loop: batch, forward, loss, backward, clip, step, log, validate, save.

pub mod stages;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use dfdx::prelude::*;

use crate::batch::{Assembler, Batch, Captions, Sampler, derive};
use crate::checkpoint::{RunFolder, TrainState, Which};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::embedding::Lexicon;
use crate::embedding::lexicon::Collector;
use crate::eval::Evaluation;
use crate::inference::{Evaluated, evaluate};
use crate::model::Model;
use crate::objective::{Term, objective};
use crate::optim::{Adam, Parameter, parameter_norm};
use crate::report::metrics::{self, MetricsLine, Step, Validation};
use crate::{Error, Result};

/// What the trainer tells while it works.
pub enum Event<'a> {
    Step { step: usize, steps: usize, loss: f32 },
    Validation { epoch: usize, evaluation: &'a Evaluation, best: bool },
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Finished,
    /// No better validation for as many epochs as `train.patience`.
    Patience,
    /// The flag was raised; the latest checkpoint holds the last step.
    Interrupted,
}

/// Everything one training needs; its state is in `model`, `adam`, `average` and `state`.
pub struct Trainer<'a> {
    config: &'a Config,
    corpus: &'a Corpus,
    lexicon: &'a Lexicon,
    captions: &'a [Captions],
    validation: Vec<Captions>,
    folder: &'a RunFolder,
    sampler: Sampler,
    assembler: Assembler,
    pub model: Model,
    adam: Adam,
    /// Average of all stored values, if `train.average` is on.
    average: BTreeMap<String, Vec<f32>>,
    pub state: TrainState,
    steps: usize,
}

/// Steps between updates of the average: often enough for its decay, seldom enough to cost nothing.
const AVERAGE_EVERY: usize = 10;
/// Steps between lines of `metrics.jsonl`.
const LOG_EVERY: usize = 10;

impl<'a> Trainer<'a> {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        config: &'a Config,
        corpus: &'a Corpus,
        lexicon: &'a Lexicon,
        captions: &'a [Captions],
        validation: Vec<Captions>,
        folder: &'a RunFolder,
        model: Model,
    ) -> Self {
        let index = captions.iter().map(|c| c.index.clone()).collect();
        let seed = derive(config.seed(), "sampler", 0);
        let sampler = Sampler::new(seed, config.train(), &corpus.languages, index);
        let steps = config.train().epochs * sampler.steps_per_epoch();
        let assembler = Assembler {
            collector: Collector::new(lexicon),
            word_dropout: config.text().word_dropout,
            mclm: config.loss().mclm.clone(),
        };
        let adam = Adam::new(config.train(), steps);
        let state = TrainState::start();
        Trainer {
            config,
            corpus,
            lexicon,
            captions,
            validation,
            folder,
            sampler,
            assembler,
            model,
            adam,
            average: BTreeMap::new(),
            state,
            steps,
        }
    }

    /// Steps of the whole training.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Epochs that are done.
    pub fn epochs(&self) -> usize {
        self.state.step / self.sampler.steps_per_epoch()
    }

    /// Goes on from the latest checkpoint; later lines of the metrics are dropped.
    pub fn resume(&mut self) -> Result<()> {
        if !self.folder.has(Which::Latest) {
            return Err(Error::data("there is no checkpoint to go on from")
                .at(&self.folder.path)
                .hint("remove the folder and train without `--resume`"));
        }
        self.folder.read_model(Which::Latest, &mut self.model)?;
        self.state = self.folder.read_state(Which::Latest)?;
        self.average = self.folder.read_optimizer(&mut self.adam, &mut self.model)?;
        self.adam.step = self.state.step;
        metrics::keep_until(&self.folder.metrics(), self.state.step as u64)
    }

    /// Trains to the end, or until `stop` is raised.
    pub fn run(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(Event)) -> Result<End> {
        let path = self.folder.metrics();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let mut log = log.map_err(|e| Error::writing(&path, e))?;
        let per_epoch = self.sampler.steps_per_epoch();
        let (mut clock, before) = (Instant::now(), self.state.seconds);
        let start = clock;
        let mut tokens = 0usize;
        if self.out_of_patience() {
            return Ok(End::Patience);
        }
        while self.state.step < self.steps {
            let batch = self.batch(self.state.step);
            tokens += batch.sentences.rows.len();
            let (loss, terms, norm) = self.step(&batch)?;
            self.state.seconds = before + start.elapsed().as_secs_f64();
            let step = self.state.step;
            tell(Event::Step { step, steps: self.steps, loss });
            if step.is_multiple_of(LOG_EVERY) || step == self.steps {
                let rate = tokens as f64 / clock.elapsed().as_secs_f64().max(1e-9);
                (clock, tokens) = (Instant::now(), 0);
                self.log_step(&mut log, &path, loss, &terms, norm, rate)?;
            }
            let every = self.config.train().checkpoint_every;
            if step.is_multiple_of(per_epoch) {
                self.validate(&mut log, &path, tell)?;
                self.save(Which::Latest)?;
                if self.out_of_patience() {
                    return Ok(End::Patience);
                }
                (clock, tokens) = (Instant::now(), 0);
            } else if every > 0 && step.is_multiple_of(every) {
                self.save(Which::Latest)?;
            }
            if stop.load(Ordering::Relaxed) && step < self.steps {
                // At the end of an epoch it was saved just now.
                if !step.is_multiple_of(per_epoch) {
                    self.save(Which::Latest)?;
                }
                return Ok(End::Interrupted);
            }
        }
        Ok(End::Finished)
    }

    fn batch(&mut self, step: usize) -> Batch {
        let features = &self.corpus.train.features;
        let draw = self.sampler.draw(step);
        let seed = derive(self.config.seed(), "batch", step as u64);
        self.assembler.assemble(&draw, self.captions, features.width(), |i, x| features.copy_row(i, x), seed)
    }

    /// One step; returns the loss, its terms, and the norm of the gradient.
    fn step(&mut self, batch: &Batch) -> Result<(f32, Vec<Term>, f32)> {
        let (adam, languages) = (&mut self.adam, &self.model.languages);
        let embedding = &mut self.model.embedding;
        adam.catch_up("embedding.latent", &mut embedding.latents, &batch.tokens.latents);
        for ((own, language), rows) in embedding.own.iter_mut().zip(languages).zip(&batch.tokens.own) {
            adam.catch_up(&format!("embedding.{language}.words"), &mut own.words, rows);
        }
        let step = self.state.step;
        let progress = step as f32 / self.steps as f32;
        let seed = derive(self.config.seed(), "dropout", step as u64);
        let precision = self.config.train().precision;
        let (sum, terms) = objective(&mut self.model, batch, self.config.loss(), precision, progress, seed);
        if let Some(term) = terms.iter().find(|t| !t.raw.is_finite()) {
            return Err(Error::run(format!("the loss `{}` is {} in step {}", term.name, term.raw, step + 1))
                .hint("lower `train.learning_rate` or set `train.clip`; the last checkpoint is whole, `--resume` goes on from it"));
        }
        let Some(sum) = sum else {
            return Err(Error::data(format!("the batch of step {} has nothing to compare", step + 1)).hint(
                "give more captions per picture, or all languages with `train.language_temperature = 0`",
            ));
        };
        let loss = sum.array();
        let mut grads = sum.backward();
        let model = &mut self.model;
        let norm = self.adam.update(&mut grads, &mut |f| model.visit(f));
        if !norm.is_finite() {
            let what = format!("the norm of the gradient is {norm} in step {}", step + 1);
            return Err(Error::run(what).hint("lower `train.learning_rate` or set `train.clip`"));
        }
        self.state.step += 1;
        if self.config.train().average > 0.0 && self.state.step.is_multiple_of(AVERAGE_EVERY) {
            self.average_weights();
        }
        Ok((loss, terms, norm))
    }

    /// Moves the average towards the present weights; at first faster, so that it forgets the start.
    fn average_weights(&mut self) {
        let n = self.state.averaged as f32;
        let decay = self.config.train().average.powi(AVERAGE_EVERY as i32).min((1.0 + n) / (10.0 + n));
        for (name, now) in self.settled() {
            match self.average.get_mut(&name) {
                Some(average) => {
                    average.iter_mut().zip(&now).for_each(|(a, x)| *a += (1.0 - decay) * (x - *a))
                }
                None => {
                    self.average.insert(name, now);
                }
            }
        }
        self.state.averaged += 1;
    }

    /// Every stored value with all lazy table rows brought up to date.
    fn settled(&mut self) -> BTreeMap<String, Vec<f32>> {
        let mut all = BTreeMap::new();
        self.model.visit_stored(&mut |name, _, x| {
            all.insert(name.to_string(), x.to_vec());
        });
        let adam = &self.adam;
        self.model.visit(&mut |name, parameter| {
            if let Parameter::Table(table) = parameter {
                all.insert(name.to_string(), adam.settled(name, table));
            }
        });
        all
    }

    /// Puts other values into the model and returns those it had.
    fn swap(&mut self, mut values: BTreeMap<String, Vec<f32>>) -> BTreeMap<String, Vec<f32>> {
        self.model.visit_stored(&mut |name, _, x| {
            let other = values.get_mut(name).expect("values of every stored name");
            x.swap_with_slice(other);
        });
        values
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.config.train().patience;
        patience > 0 && self.state.stale >= patience
    }

    /// Validates, keeps the best.
    fn validate(&mut self, log: &mut File, path: &Path, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let values = if self.average.is_empty() { self.settled() } else { self.average.clone() };
        let raw = self.swap(values);
        let what = Evaluated {
            name: "val",
            split: &self.corpus.val,
            captions: &self.validation,
            human: &self.corpus.human,
            translated: &[],
            distractors: None,
            folds: 1,
        };
        let result = evaluate(&mut self.model, self.lexicon, self.config, &what)?;
        let better = result.a > self.state.best;
        if better {
            (self.state.best, self.state.best_step, self.state.stale) = (result.a, self.state.step, 0);
            self.folder.save(Which::Best, &mut self.model, None, &self.state)?;
        } else {
            self.state.stale += 1;
        }
        self.swap(raw);
        let epoch = self.state.step / self.sampler.steps_per_epoch();
        let line = Validation {
            step: self.state.step as u64,
            epoch: epoch as f64,
            mr: result.languages.iter().map(|(l, r)| (l.clone(), r.mr)).collect(),
            a: result.a,
        };
        metrics::append(log, path, &MetricsLine::Validation(line))?;
        tell(Event::Validation { epoch, evaluation: &result, best: better });
        Ok(())
    }

    fn save(&mut self, which: Which) -> Result<()> {
        self.parameter_norm()?;
        let state = self.state.clone();
        self.folder.save(which, &mut self.model, Some((&self.adam, &self.average)), &state)
    }

    /// The norm of all parameters; an error where one is not finite.
    fn parameter_norm(&mut self) -> Result<f32> {
        let model = &mut self.model;
        let norm = parameter_norm(&mut |f| model.visit(f));
        if !norm.is_finite() {
            let what = format!("the norm of the parameters is {norm} after step {}", self.state.step);
            return Err(Error::run(what).hint("lower `train.learning_rate` or set `train.clip`"));
        }
        Ok(norm)
    }

    fn log_step(
        &mut self,
        log: &mut File,
        path: &Path,
        loss: f32,
        terms: &[Term],
        grad_norm: f32,
        tokens_per_s: f64,
    ) -> Result<()> {
        let param_norm = self.parameter_norm()?;
        let term = |t: &Term| {
            let values = metrics::Term { raw: t.raw as f64, weighted: (t.raw * t.weight) as f64 };
            (t.name.to_string(), values)
        };
        let line = Step {
            step: self.state.step as u64,
            epoch: self.state.step as f64 / self.sampler.steps_per_epoch() as f64,
            loss: loss as f64,
            terms: terms.iter().map(term).collect(),
            grad_norm: grad_norm as f64,
            param_norm: param_norm as f64,
            learning_rate: self.adam.rate.at(self.state.step) as f64,
            tokens_per_s,
            seconds: self.state.seconds,
        };
        metrics::append(log, path, &MetricsLine::Step(line))
    }
}
