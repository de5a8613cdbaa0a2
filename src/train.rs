//! The loop: gradient, clip, step, log, validate, save; in stages, each with an optimiser of its own. A training stands in a folder, or is
//! a preparation without one ([`prepare`]).

mod average;
mod steps;

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::checkpoint::metrics;
use crate::checkpoint::metrics::{MetricsLine, Step, Validation};
use crate::checkpoint::{RunFolder, TrainState, Which};
use crate::config::{Config, TrainConfig};
use crate::eval::Evaluation;
use crate::loss::terms::{Term, Terms};
use crate::ops::tape::Grads;
use crate::optim::{Adam, ParameterTree, parameter_norm};
use crate::stop::Saves;
use crate::{Error, Result};

use average::{Weights, follow, swap, tables, trained};
use steps::{Stepped, Steps};

pub use average::Averaging;
pub use steps::prepare;

/// Told of long preparations: what is done, how much of it, of how much, and a loss. An error ends them.
pub type Progress<'a> = &'a mut (dyn FnMut(&str, usize, usize, f32) -> Result<()> + Send);

/// What the trainer tells while it works.
pub enum Event<'a> {
    /// A step was taken.
    Step {
        /// Counted from 1, of all stages.
        step: usize,
        /// All there are.
        steps: usize,
        /// The weighted sum of its terms.
        loss: f32,
    },
    /// The model was validated.
    Validation {
        /// Whole passes so far, of all stages.
        epoch: usize,
        /// What was found.
        evaluation: &'a Evaluation,
        /// Whether no earlier one was better.
        best: bool,
    },
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All steps were taken.
    Finished,
    /// No better validation for as many epochs as `train.patience`.
    Patience,
    /// The flag was raised; the latest checkpoint holds the last step.
    Interrupted,
    /// So many epochs as were asked for are over; the latest checkpoint holds the last step.
    StoppedAfter,
}

/// A part of a training.
pub struct Stage {
    /// As messages and metrics call it.
    pub name: &'static str,
    /// In all its passes.
    pub steps: usize,
    /// Steps of a pass over its data; after each the training is saved.
    pub per_epoch: usize,
    /// The optimiser that the stage begins with.
    pub optimiser: TrainConfig,
    /// The key of its learning rate, for advice.
    pub rate: String,
    /// How the average of the weights follows in it.
    pub averaging: Averaging,
    /// When it is validated.
    pub validated: Validated,
}

/// When the model is validated in a stage, and kept where it is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validated {
    /// Not at all.
    Never,
    /// After each pass.
    Passes,
    /// Before its first step, too.
    StartAndPasses,
}

impl Stage {
    /// A stage that is validated after each pass, with an average if `train.average` is on.
    pub fn new(
        name: &'static str,
        steps: usize,
        per_epoch: usize,
        optimiser: TrainConfig,
        rate: String,
    ) -> Stage {
        let (averaging, validated) = (Averaging::Tenth, Validated::Passes);
        Stage { name, steps, per_epoch, optimiser, rate, averaging, validated }
    }

    /// A stage whose end alone counts.
    pub fn unwatched(self) -> Stage {
        Stage { averaging: Averaging::Off, validated: Validated::Never, ..self }
    }
}

/// Where a training stands.
#[derive(Clone, Copy)]
pub struct StepIndex {
    /// The place of the stage.
    pub stage: usize,
    /// Step of the stage, counted from 0.
    pub within: usize,
    /// Step of the whole training, counted from 0.
    pub step: usize,
}

/// What a step finds.
pub struct StepOutput {
    /// The loss, term by term.
    pub terms: Terms,
    /// Of all that is trained, but for tables, which keep theirs.
    pub grads: Grads,
    /// Tokens of its sentences.
    pub tokens: usize,
}

/// What is trained, on what.
pub trait Learner {
    /// The model, as it is now.
    fn model(&mut self) -> &mut dyn ParameterTree;
    /// At least one.
    fn stages(&self) -> Vec<Stage>;
    /// A stage begins (`at.within` is 0), or a training goes on in one after so many of its steps: the model is then as it was after them.
    ///
    /// # Errors
    /// What the stage needs cannot be computed.
    fn enter(&mut self, _at: StepIndex) -> Result<()> {
        Ok(())
    }
    /// The loss and its gradient in a step: a pure function of the parameters and the step. Rows of tables are brought up to
    /// date through `adam` before they are read. Nothing, where the step's data have nothing to compare and that is no error: then the
    /// step changes nothing.
    ///
    /// # Errors
    /// The step's data hold nothing to learn from.
    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>>;
    /// Training sentences that were longer than the model reads and lost their end, where that is to be told; and what bounds them.
    fn truncated(&self) -> (usize, &'static str) {
        (0, "")
    }
    /// The scale 1/τ of a contrast, where it is trained.
    fn scale(&self) -> Option<f32> {
        None
    }
    /// Prepares what a step to come will see, while the device is busy with the present one; `adam` has taken the present one.
    fn look_ahead(&mut self, _step: usize, _adam: &mut Adam) {}
    /// On the validation split; nothing, where it has no captions: then the last weights count as the best.
    ///
    /// # Errors
    /// Data, where the split cannot be used, or vectors are not finite.
    fn evaluate(&mut self) -> Result<Option<Evaluation>>;
}

impl<L: Learner + ?Sized> Learner for Box<L> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        (**self).model()
    }

    fn stages(&self) -> Vec<Stage> {
        (**self).stages()
    }

    fn enter(&mut self, at: StepIndex) -> Result<()> {
        (**self).enter(at)
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        (**self).gradients(at, adam)
    }

    fn truncated(&self) -> (usize, &'static str) {
        (**self).truncated()
    }

    fn scale(&self) -> Option<f32> {
        (**self).scale()
    }

    fn look_ahead(&mut self, step: usize, adam: &mut Adam) {
        (**self).look_ahead(step, adam);
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        (**self).evaluate()
    }
}

/// Everything one training in a folder needs; its state is in `learner`, the optimiser of its `steps`, `average` and `state`.
pub struct Trainer<'a, L: Learner> {
    config: &'a Config,
    folder: &'a RunFolder,
    steps: Steps,
    /// What is trained, on what.
    pub learner: L,
    /// Of the weights, as the stages say.
    average: Weights,
    /// Where the training stands.
    pub state: TrainState,
}

/// Steps between lines of `metrics.jsonl`.
const LOG_EVERY: usize = 10;

impl<'a, L: Learner> Trainer<'a, L> {
    /// A training at its beginning, with the model as the learner has it.
    pub fn new(config: &'a Config, folder: &'a RunFolder, learner: L) -> Self {
        let steps = Steps::new(learner.stages());
        Trainer { config, folder, steps, learner, average: Weights::new(), state: TrainState::start() }
    }

    /// Steps of the whole training.
    pub fn steps(&self) -> usize {
        self.steps.count()
    }

    /// Goes on from the latest checkpoint; later lines of the metrics are dropped.
    ///
    /// # Errors
    /// Data, where there is no latest checkpoint, or it or the metrics cannot be used; run, where the metrics cannot be written.
    pub fn resume(&mut self) -> Result<()> {
        if !self.folder.has(Which::Latest) {
            return Err(Error::data("there is no checkpoint to go on from")
                .at(&self.folder.path)
                .hint("remove the folder and train without `--resume`"));
        }
        self.state = self.folder.read_model(Which::Latest, self.learner.model())?;
        let (step, steps) = (self.state.step, self.steps());
        // With checksums it is known to be as it was written: `train.epochs` is less than before.
        if step > steps && self.state.files.is_empty() {
            let what = format!("its checkpoint is of step {step}, but the training has {steps} steps");
            return Err(Error::data(what)
                .at(&self.folder.path)
                .hint("the run is damaged, or `train.epochs` was lowered: set it back"));
        }
        // A stage's last step leaves its optimiser; the next one begins with its own.
        let last = self.steps.at(self.state.step.saturating_sub(1));
        let within = if self.state.step == 0 { 0 } else { last.within + 1 };
        self.steps.adam_after(last.stage, within.saturating_sub(self.state.skipped));
        self.learner.enter(StepIndex { within, step: self.state.step, ..last })?;
        let adam = &mut self.steps.adam;
        self.average = self.folder.read_optimizer(adam, self.learner.model(), &self.state)?;
        metrics::keep_until(&self.folder.metrics(), self.state.step as u64)
    }

    /// Trains to the end, or until `stop` is raised.
    ///
    /// # Errors
    /// Run, where a loss, the gradient or the parameters are not finite, or the folder cannot be written; those of the learner.
    pub fn run(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(Event)) -> Result<End> {
        self.run_until(stop, None, tell)
    }

    /// As [`Trainer::run`], but to the end of an epoch, counted from the beginning of the training.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn run_until(
        &mut self,
        stop: &AtomicBool,
        epochs: Option<usize>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<End> {
        let _saves = Saves::begin();
        let path = self.folder.metrics();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let mut log = log.map_err(|e| Error::writing(&path, e))?;
        let (start, before) = (Instant::now(), self.state.seconds);
        let (mut clock, mut tokens) = (start, 0usize);
        let steps = self.steps();
        while self.state.step < steps {
            if epochs.is_some_and(|epochs| self.epochs() >= epochs) {
                return Ok(End::StoppedAfter);
            }
            if self.out_of_patience() {
                return Ok(End::Patience);
            }
            let at = self.steps.at(self.state.step);
            if at.within == 0 {
                self.begin(at, tell)?;
            }
            let found = self.step(at)?;
            self.state.seconds = before + start.elapsed().as_secs_f64();
            let step = self.state.step;
            if let Some(found) = found {
                tokens += found.tokens;
                tell(Event::Step { step, steps, loss: found.loss });
                if step.is_multiple_of(LOG_EVERY) || step == steps {
                    let rate = tokens as f64 / clock.elapsed().as_secs_f64().max(1e-9);
                    (clock, tokens) = (Instant::now(), 0);
                    self.log_step(&mut log, &path, found, rate)?;
                }
            }
            let every = self.config.train().checkpoint_every;
            let Stage { per_epoch, validated, .. } = self.steps.stages[at.stage];
            let pass_ends = (at.within + 1).is_multiple_of(per_epoch);
            if pass_ends {
                if validated != Validated::Never {
                    self.validate(Some((&mut log, &path)), tell)?;
                }
                self.save()?;
                (clock, tokens) = (Instant::now(), 0);
            } else if every > 0 && step.is_multiple_of(every) {
                self.save()?;
            }
            if stop.load(Ordering::Relaxed) && step < steps {
                // At the end of an epoch it was saved just now.
                if !pass_ends {
                    self.save()?;
                }
                return Ok(End::Interrupted);
            }
        }
        Ok(End::Finished)
    }

    /// Whether the last stage has had no better validation for long.
    fn out_of_patience(&self) -> bool {
        let (patience, at) = (self.config.train().patience, self.steps.at(self.state.step));
        let last = at.stage + 1 == self.steps.stages.len() && at.within > 0;
        patience > 0 && last && self.state.stale >= patience
    }

    /// Begins the stage whose first step is `at`. What is found before its first step is told, but stands in no file: it is found again.
    fn begin(&mut self, at: StepIndex, tell: &mut dyn FnMut(Event)) -> Result<()> {
        self.steps.begin(&mut self.learner, at)?;
        (self.state.stale, self.state.skipped) = (0, 0);
        let Stage { averaging, validated, .. } = self.steps.stages[at.stage];
        if averaging == Averaging::Each {
            self.average = trained(self.learner.model());
        }
        match validated {
            Validated::StartAndPasses => self.validate(None, tell),
            Validated::Never | Validated::Passes => Ok(()),
        }
    }

    /// Takes a step, and lets the average follow; nothing, where there was nothing to compare.
    fn step(&mut self, at: StepIndex) -> Result<Option<Stepped>> {
        let remedy = "or set `train.clip`; the last checkpoint is whole, `--resume` goes on from it";
        let found = self.steps.take(&mut self.learner, at, remedy)?;
        self.state.step += 1;
        let (averaging, decay) = (self.steps.stages[at.stage].averaging, self.config.train().average);
        let due = match averaging {
            Averaging::Off => false,
            Averaging::Tenth => decay > 0.0 && self.state.step.is_multiple_of(averaging.every()),
            Averaging::Each => true,
        };
        self.state.skipped += found.is_none() as usize;
        if due {
            if found.is_some() {
                // At first faster, so that it forgets the start.
                let n = self.state.averaged as f32;
                let decay = decay.powi(averaging.every() as i32).min((1.0 + n) / (10.0 + n));
                follow(&mut self.average, self.learner.model(), &self.steps.adam, averaging, decay);
            }
            self.state.averaged += 1;
        }
        Ok(found)
    }

    /// The value that checkpoints are compared by. A training that adds a language measures no other one, and goes by what it measures.
    fn chosen_by(&self, result: &Evaluation) -> f64 {
        result.metric(&self.config.train().best).unwrap_or(result.a)
    }

    /// Takes the model as it is for the best so far, before the first step.
    ///
    /// # Errors
    /// As [`Learner::evaluate`].
    pub fn begin_with_best(&mut self) -> Result<()> {
        let result = self.learner.evaluate()?;
        self.state.best = result.map_or(self.state.best, |result| self.chosen_by(&result));
        Ok(())
    }

    /// Validates; keeps the best.
    fn validate(&mut self, log: Option<(&mut File, &Path)>, tell: &mut dyn FnMut(Event)) -> Result<()> {
        // Settled for validation only: what training goes on with must not depend on when it was looked at.
        let mut values = match self.average.is_empty() {
            true => tables(self.learner.model(), &self.steps.adam),
            false => self.average.clone(),
        };
        swap(self.learner.model(), &mut values);
        let result = self.learner.evaluate().and_then(|result| {
            let value = result.as_ref().map(|result| self.chosen_by(result));
            let better = value.is_none_or(|value| value > self.state.best);
            if better {
                self.state.best = value.unwrap_or(self.state.best);
                self.state.best_step = self.state.step;
                self.folder.save(Which::Best, self.learner.model(), None, &self.state)?;
            }
            Ok((result, better))
        });
        swap(self.learner.model(), &mut values);
        let (result, better): (Option<Evaluation>, bool) = result?;
        self.state.stale = if better { 0 } else { self.state.stale + 1 };
        let Some(result) = result else { return Ok(()) };
        if let Some((log, path)) = log {
            let line = Validation {
                step: self.state.step as u64,
                epoch: self.epoch(),
                mr: result.languages.iter().map(|(l, r)| (l.clone(), r.mr)).collect(),
                a: result.a,
            };
            metrics::append(log, path, &MetricsLine::Validation(line))?;
        }
        tell(Event::Validation { epoch: self.epochs(), evaluation: &result, best: better });
        Ok(())
    }

    /// Whole passes so far, of all stages.
    pub fn epochs(&self) -> usize {
        self.epoch() as usize
    }

    /// Passes so far, of all stages.
    fn epoch(&self) -> f64 {
        self.epochs_at(self.state.step)
    }

    /// Passes before a step.
    pub fn epochs_at(&self, step: usize) -> f64 {
        let mut left = step;
        let passes = |s: &Stage| {
            let done = left.min(s.steps);
            left -= done;
            done as f64 / s.per_epoch as f64
        };
        self.steps.stages.iter().map(passes).sum()
    }

    /// The norm of all that is trained; an error where a number is not finite.
    fn parameter_norm(&mut self) -> Result<f32> {
        let model = self.learner.model();
        let norm = parameter_norm(&mut |f| model.visit(f));
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
        let training = Some((&self.steps.adam, &self.average));
        self.folder.save(Which::Latest, self.learner.model(), training, &self.state)
    }

    fn log_step(&mut self, log: &mut File, path: &Path, found: Stepped, tokens_per_s: f64) -> Result<()> {
        let term = |t: &Term| {
            let values = metrics::Term { raw: t.raw as f64, weighted: (t.raw * t.weight) as f64 };
            (t.name.to_string(), values)
        };
        let line = Step {
            step: self.state.step as u64,
            epoch: self.epoch(),
            loss: found.loss as f64,
            terms: found.terms.iter().map(term).collect(),
            grad_norm: found.norm as f64,
            param_norm: self.parameter_norm()? as f64,
            learning_rate: self.steps.adam.rate.at(self.steps.adam.step) as f64,
            scale: self.learner.scale().map(f64::from),
            tokens_per_s,
            seconds: self.state.seconds,
        };
        metrics::append(log, path, &MetricsLine::Step(line))
    }
}
