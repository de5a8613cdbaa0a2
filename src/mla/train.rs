//! The stages of multilingual acquisition: translations first, then captions.

use super::Mla;
use super::data::StageData;
use super::objective::{Aim, gradients};
use crate::Result;
use crate::batch::derive;
use crate::config::{Config, TrainConfig};
use crate::corpus::Corpus;
use crate::eval::Evaluation;
use crate::inference::Scope;
use crate::model::Trained;
use crate::objective::Terms;
use crate::ops::transformer::Pass;
use crate::optim::Adam;
use crate::train::{At, Found, Learner, Stage};

/// What a stage trains on, and for.
struct Lesson {
    name: &'static str,
    data: StageData,
    aim: Aim,
    batch: usize,
    epochs: usize,
    learning_rate: f32,
    /// Share of the steps.
    warmup: f32,
}

/// The languages of a tower at school.
pub struct Acquisition<'a> {
    config: &'a Config,
    corpus: &'a Corpus,
    lessons: Vec<Lesson>,
    pub mla: Mla,
    /// Sentences whose end was cut, in all stages.
    pub truncated: usize,
}

impl<'a> Acquisition<'a> {
    /// Reads the stages' data; the teacher's vectors are computed here.
    pub fn new(config: &'a Config, corpus: &'a Corpus, mla: Mla) -> Result<Self> {
        let (acquire, train) = (config.acquire(), config.train());
        let (nlt, le) = (&acquire.nlt, &acquire.le);
        let pass = Pass { precision: train.precision, recompute: acquire.recompute };
        let (micro_batch, dropout) = (acquire.micro_batch, acquire.dropout);
        let aim =
            |objective, unit, temperature| Aim { objective, unit, temperature, micro_batch, dropout, pass };
        let mut lessons: Vec<Lesson> = Vec::new();
        if nlt.epochs > 0 {
            lessons.push(Lesson {
                name: "nlt",
                data: StageData::translations(&mla, config)?,
                aim: aim(nlt.objective, false, nlt.temperature),
                batch: nlt.batch,
                epochs: nlt.epochs,
                learning_rate: nlt.learning_rate,
                warmup: nlt.warmup,
            });
        }
        if le.epochs > 0 {
            lessons.push(Lesson {
                name: "le",
                data: StageData::captions(&mla, corpus)?,
                aim: aim(le.objective, true, le.temperature),
                batch: le.batch,
                epochs: le.epochs,
                learning_rate: le.learning_rate,
                warmup: le.warmup,
            });
        }
        let truncated = lessons.iter().map(|s| s.data.truncated).sum();
        Ok(Acquisition { config, corpus, lessons, mla, truncated })
    }
}

impl Learner for Acquisition<'_> {
    fn model(&mut self) -> &mut dyn Trained {
        &mut self.mla
    }

    fn stages(&self) -> Vec<Stage> {
        let stage = |lesson: &Lesson| {
            let per_epoch = lesson.data.steps_per_epoch(lesson.batch);
            let steps = lesson.epochs * per_epoch;
            let optimiser = TrainConfig {
                learning_rate: lesson.learning_rate,
                warmup: (lesson.warmup * steps as f32).round() as usize,
                ..self.config.train().clone()
            };
            let rate = format!("acquire.{}.learning_rate", lesson.name);
            Stage { name: lesson.name, steps, per_epoch, optimiser, rate }
        };
        self.lessons.iter().map(stage).collect()
    }

    fn gradients(&mut self, at: At, adam: &mut Adam) -> Result<Found> {
        let Lesson { name, data, aim, batch, .. } = &self.lessons[at.stage];
        let draw = data.draw(at.within, *batch, derive(self.config.seed(), name, 0));
        let sentences = data.sentences(&draw);
        self.mla.entrance.catch_up(adam, &sentences);
        let seed = derive(self.config.seed(), "dropout", at.step as u64);
        let (loss, grads) = gradients(&mut self.mla, data, &draw, *aim, seed);
        Ok(Found { terms: Terms::one(name, loss), grads, tokens: sentences.rows.len() })
    }

    fn evaluate(&mut self) -> Result<Evaluation> {
        let precision = self.config.train().precision;
        self.mla.evaluate(self.corpus, Scope::VALIDATION, precision)
    }
}
