//! The loop of multilingual acquisition: translations first, then captions; validated, saved and resumed as any run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::data::StageData;
use super::objective::{Aim, gradients};
use super::{Entrance, Mla};
use crate::batch::derive;
use crate::checkpoint::{RunFolder, TrainState, Which};
use crate::config::{Config, TrainConfig};
use crate::corpus::{Corpus, SplitName};
use crate::eval::Evaluation;
use crate::ops::sequences::Sequences;
use crate::ops::transformer::Pass;
use crate::optim::{Adam, parameter_norm};
use crate::report::metrics::{self, MetricsLine, Step, Term, Validation};
use crate::train::{End, Event};
use crate::{Error, Result};

/// A stage and its part of the steps.
struct Stage {
    name: &'static str,
    data: StageData,
    aim: Aim,
    batch: usize,
    first: usize,
    steps: usize,
    optimiser: TrainConfig,
}

/// Everything one training needs; its state is in `mla`, `adam` and `state`.
pub struct Trainer<'a> {
    config: &'a Config,
    corpus: &'a Corpus,
    folder: &'a RunFolder,
    stages: Vec<Stage>,
    pub mla: Mla,
    adam: Adam,
    pub state: TrainState,
    /// Sentences whose end was cut, in all stages.
    pub truncated: usize,
}

/// Steps between lines of `metrics.jsonl`.
const LOG_EVERY: usize = 10;

impl<'a> Trainer<'a> {
    /// Reads the stages' data; the teacher's vectors are computed here.
    pub fn new(config: &'a Config, corpus: &'a Corpus, folder: &'a RunFolder, mla: Mla) -> Result<Self> {
        let (acquire, train) = (config.acquire(), config.train());
        let (nlt, le) = (&acquire.nlt, &acquire.le);
        let pass = Pass { precision: train.precision, recompute: acquire.recompute };
        let aim = |objective, unit, temperature| Aim {
            objective,
            unit,
            temperature,
            micro_batch: acquire.micro_batch,
            dropout: acquire.dropout,
            pass,
        };
        let mut stages: Vec<Stage> = Vec::new();
        let mut add = |name, data: StageData, aim, batch: usize, epochs: usize, rate, warmup: f32| {
            let first = stages.last().map_or(0, |s| s.first + s.steps);
            let steps = epochs * data.steps_per_epoch(batch);
            let warmup = (warmup * steps as f32).round() as usize;
            let optimiser = TrainConfig { learning_rate: rate, warmup, ..train.clone() };
            stages.push(Stage { name, data, aim, batch, first, steps, optimiser });
        };
        if nlt.epochs > 0 {
            let data = StageData::translations(&mla, config)?;
            let aim = aim(nlt.objective, false, nlt.temperature);
            add("nlt", data, aim, nlt.batch, nlt.epochs, nlt.learning_rate, nlt.warmup);
        }
        if le.epochs > 0 {
            let data = StageData::captions(&mla, corpus)?;
            let aim = aim(le.objective, true, le.temperature);
            add("le", data, aim, le.batch, le.epochs, le.learning_rate, le.warmup);
        }
        let adam = Adam::new(&stages[0].optimiser, stages[0].steps);
        let truncated = stages.iter().map(|s| s.data.truncated).sum();
        Ok(Trainer { config, corpus, folder, stages, mla, adam, state: TrainState::start(), truncated })
    }

    /// Steps of the whole training.
    pub fn steps(&self) -> usize {
        self.stages.last().map_or(0, |s| s.first + s.steps)
    }

    /// The stage that step `step`, counted from 0, belongs to.
    fn stage(&self, step: usize) -> usize {
        self.stages.iter().rposition(|s| s.first <= step).unwrap_or(0)
    }

    /// Goes on from the latest checkpoint; later lines of the metrics are dropped.
    pub fn resume(&mut self) -> Result<()> {
        self.folder.read_model(Which::Latest, &mut self.mla)?;
        self.state = self.folder.read_state(Which::Latest)?;
        // A stage's last step leaves its optimiser; the next one begins with its own.
        let stage = &self.stages[self.stage(self.state.step.saturating_sub(1))];
        self.adam = Adam::new(&stage.optimiser, stage.steps);
        self.folder.read_optimizer(&mut self.adam, &mut self.mla)?;
        self.adam.step = self.state.step - stage.first;
        metrics::keep_until(&self.folder.metrics(), self.state.step as u64)
    }

    /// Trains to the end, or until `stop` is raised.
    pub fn run(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(Event)) -> Result<End> {
        let path = self.folder.metrics();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let mut log = log.map_err(|e| Error::writing(&path, e))?;
        let (start, before) = (Instant::now(), self.state.seconds);
        let (mut clock, mut tokens) = (start, 0usize);
        let steps = self.steps();
        while self.state.step < steps {
            let stage = self.stage(self.state.step);
            let (loss, norm, count) = self.step(stage)?;
            tokens += count;
            self.state.seconds = before + start.elapsed().as_secs_f64();
            let step = self.state.step;
            tell(Event::Step { step, steps, loss });
            if step.is_multiple_of(LOG_EVERY) || step == steps {
                let rate = tokens as f64 / clock.elapsed().as_secs_f64().max(1e-9);
                (clock, tokens) = (Instant::now(), 0);
                self.log_step(&mut log, &path, stage, loss, norm, rate)?;
            }
            let every = self.config.train().checkpoint_every;
            if self.ends_epoch(stage) {
                self.validate(&mut log, &path, tell)?;
                self.save()?;
                (clock, tokens) = (Instant::now(), 0);
            } else if every > 0 && step.is_multiple_of(every) {
                self.save()?;
            }
            if stop.load(Ordering::Relaxed) && step < steps {
                self.save()?;
                return Ok(End::Interrupted);
            }
        }
        Ok(End::Finished)
    }

    /// Whether the last step ended a pass of its stage.
    fn ends_epoch(&self, stage: usize) -> bool {
        let Stage { data, batch, first, .. } = &self.stages[stage];
        (self.state.step - first).is_multiple_of(data.steps_per_epoch(*batch))
    }

    /// One step; returns the loss, the norm of the gradient, and the number of tokens.
    fn step(&mut self, stage: usize) -> Result<(f32, f32, usize)> {
        let Stage { name, data, aim, batch, first, steps, optimiser } = &self.stages[stage];
        let step = self.state.step;
        if step == *first {
            // Every row of the table makes up for the steps it has missed under the stage before.
            let table = &mut self.mla.entrance.table;
            table.data = self.adam.settled("entrance.table", table);
            self.adam = Adam::new(optimiser, *steps);
        }
        let draw = data.draw(step - first, *batch, derive(self.config.seed(), name, 0));
        let pairs = &data.languages[draw.language];
        let mut sentences = Sequences::new();
        draw.sentences.iter().for_each(|&s| sentences.push(pairs.sentences.get(s as usize).iter().copied()));
        if self.mla.entrance.train_table {
            let rows = Entrance::rows(&sentences);
            self.adam.catch_up("entrance.table", &mut self.mla.entrance.table, &rows);
        }
        let seed = derive(self.config.seed(), "dropout", step as u64);
        let (loss, mut grads) = gradients(&mut self.mla, data, &draw, *aim, seed);
        let remedy =
            format!("lower `acquire.{name}.learning_rate` or set `train.clip`; the last checkpoint is whole");
        if !loss.is_finite() {
            return Err(
                Error::run(format!("the loss of `{name}` is {loss} in step {}", step + 1)).hint(remedy)
            );
        }
        let mla = &mut self.mla;
        let norm = self.adam.update(&mut grads, &mut |f| mla.visit(f));
        if !norm.is_finite() {
            let what = format!("the norm of the gradient is {norm} in step {}", step + 1);
            return Err(Error::run(what).hint(remedy));
        }
        self.state.step += 1;
        Ok((loss, norm, sentences.rows.len()))
    }

    /// Validates; keeps the best.
    fn validate(&mut self, log: &mut File, path: &Path, tell: &mut dyn FnMut(Event)) -> Result<()> {
        // Settled for validation only: what training goes on with must not depend on when it was looked at.
        let settled = self
            .mla
            .entrance
            .train_table
            .then(|| self.adam.settled("entrance.table", &self.mla.entrance.table));
        let raw = settled.map(|new| std::mem::replace(&mut self.mla.entrance.table.data, new));
        let precision = self.config.train().precision;
        let result = self.mla.evaluate(self.corpus, SplitName::Val, precision, false, 1);
        let result = result.and_then(|result| {
            let better = result.a > self.state.best;
            if better {
                (self.state.best, self.state.best_step) = (result.a, self.state.step);
                self.folder.save(Which::Best, &mut self.mla, None, &self.state)?;
            }
            Ok((result, better))
        });
        if let Some(raw) = raw {
            self.mla.entrance.table.data = raw;
        }
        let (result, better): (Evaluation, bool) = result?;
        let line = Validation {
            step: self.state.step as u64,
            epoch: self.epoch(),
            mr: result.languages.iter().map(|(l, r)| (l.clone(), r.mr)).collect(),
            a: result.a,
        };
        metrics::append(log, path, &MetricsLine::Validation(line))?;
        tell(Event::Validation { epoch: self.epoch() as usize, evaluation: &result, best: better });
        Ok(())
    }

    /// Whole passes so far, of all stages.
    pub fn epochs(&self) -> usize {
        self.epoch() as usize
    }

    /// Passes so far, of all stages.
    fn epoch(&self) -> f64 {
        let passes = |s: &Stage| {
            let done = self.state.step.saturating_sub(s.first).min(s.steps);
            done as f64 / s.data.steps_per_epoch(s.batch) as f64
        };
        self.stages.iter().map(passes).sum()
    }

    /// The norm of all that is trained; an error where a number is not finite.
    fn parameter_norm(&mut self) -> Result<f32> {
        let mla = &mut self.mla;
        let norm = parameter_norm(&mut |f| mla.visit(f));
        match norm.is_finite() {
            true => Ok(norm),
            false => Err(Error::run(format!(
                "the norm of the parameters is {norm} after step {}",
                self.state.step
            ))
            .hint("lower the stage's learning rate or set `train.clip`; the last checkpoint is whole")),
        }
    }

    fn save(&mut self) -> Result<()> {
        self.parameter_norm()?;
        let state = self.state.clone();
        self.folder.save(Which::Latest, &mut self.mla, Some((&self.adam, &BTreeMap::new())), &state)
    }

    fn log_step(
        &mut self,
        log: &mut File,
        path: &Path,
        stage: usize,
        loss: f32,
        grad_norm: f32,
        tokens_per_s: f64,
    ) -> Result<()> {
        let loss = loss as f64;
        let line = Step {
            step: self.state.step as u64,
            epoch: self.epoch(),
            loss,
            terms: vec![(self.stages[stage].name.to_string(), Term { raw: loss, weighted: loss })],
            grad_norm: grad_norm as f64,
            param_norm: self.parameter_norm()? as f64,
            learning_rate: self.adam.rate.at(self.adam.step) as f64,
            tokens_per_s,
            seconds: self.state.seconds,
        };
        metrics::append(log, path, &MetricsLine::Step(line))
    }
}
