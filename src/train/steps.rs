//! The steps of a training, whether a folder keeps them or not: gradient, clip, update, and what must be finite.

use super::average::settle;
use super::{Learner, Progress, Stage, StepIndex, StepOutput};
use crate::loss::terms::Term;
use crate::optim::Adam;
use crate::{Error, Result};

/// The stages of a training, and the optimiser of the present one.
pub(super) struct Steps {
    pub(super) stages: Vec<Stage>,
    pub(super) adam: Adam,
}

/// What a step has done.
pub(super) struct Stepped {
    pub(super) loss: f32,
    pub(super) terms: Vec<Term>,
    /// Of the gradient.
    pub(super) norm: f32,
    pub(super) tokens: usize,
}

impl Steps {
    /// Before the first of them.
    pub(super) fn new(stages: Vec<Stage>) -> Self {
        let adam = Adam::new(&stages[0].optimiser, stages[0].steps);
        Steps { stages, adam }
    }

    /// Of all stages.
    pub(super) fn count(&self) -> usize {
        self.stages.iter().map(|s| s.steps).sum()
    }

    /// Where step `step`, counted from 0, belongs.
    pub(super) fn at(&self, step: usize) -> StepIndex {
        let (mut stage, mut within) = (0, step);
        while stage + 1 < self.stages.len() && within >= self.stages[stage].steps {
            within -= self.stages[stage].steps;
            stage += 1;
        }
        StepIndex { stage, within, step }
    }

    /// The optimiser of a stage that has taken `steps` of its steps.
    pub(super) fn adam_after(&mut self, stage: usize, steps: usize) {
        let Stage { optimiser, steps: all, .. } = &self.stages[stage];
        self.adam = Adam::new(optimiser, *all);
        self.adam.step = steps;
    }

    /// Begins the stage whose first step is `at`.
    pub(super) fn begin(&mut self, learner: &mut (impl Learner + ?Sized), at: StepIndex) -> Result<()> {
        if at.step > 0 {
            // Every row of a table makes up for the steps it has missed under the stage before.
            settle(learner.model(), &self.adam);
        }
        self.adam_after(at.stage, 0);
        learner.enter(at)
    }

    /// Takes a step; nothing, where it has nothing to compare. `remedy` ends the advice where a number is not finite.
    pub(super) fn take(
        &mut self,
        learner: &mut (impl Learner + ?Sized),
        at: StepIndex,
        remedy: &str,
    ) -> Result<Option<Stepped>> {
        let Some(StepOutput { terms, mut grads, tokens }) = learner.gradients(at, &mut self.adam)? else {
            return Ok(None);
        };
        let model = learner.model();
        let norm = self.adam.update(&mut grads, &mut |f| model.visit(f));
        if cfg!(feature = "cuda") && at.step + 1 < self.count() {
            learner.look_ahead(at.step + 1, &mut self.adam);
        }
        // Looked at when all of the step is under way: on a GPU the values have to be waited for.
        let (loss, terms, norm) = terms.read_beside(&[&norm]);
        let diverged = |what: String| {
            let hint = format!("lower `{}` {remedy}", self.stages[at.stage].rate);
            Err(Error::run(format!("{what} in step {}", at.step + 1)).hint(hint))
        };
        if let Some(term) = terms.iter().find(|t| !t.raw.is_finite()) {
            return diverged(format!("the loss `{}` is {}", term.name, term.raw));
        }
        let norm = norm[0];
        if !norm.is_finite() {
            return diverged(format!("the norm of the gradient is {norm}"));
        }
        Ok(Some(Stepped { loss, terms, norm, tokens }))
    }
}

/// Trains to the end without a folder: nothing is validated, averaged or kept on the way.
///
/// # Errors
/// Run, where a loss or the gradient is not finite; those of the learner, and of `progress`.
pub fn prepare(learner: &mut (impl Learner + ?Sized), progress: Progress) -> Result<()> {
    let mut steps = Steps::new(learner.stages());
    for step in 0..steps.count() {
        let at = steps.at(step);
        if at.within == 0 {
            steps.begin(learner, at)?;
        }
        let Stage { name, steps: all, .. } = steps.stages[at.stage];
        if let Some(stepped) = steps.take(learner, at, "or check the word vectors")? {
            progress(name, at.within + 1, all, stepped.loss)?;
        }
    }
    settle(learner.model(), &steps.adam);
    Ok(())
}
