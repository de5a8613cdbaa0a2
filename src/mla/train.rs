//! The stages of multilingual acquisition: translations first, then captions.

use super::Mla;
use super::data::{Source, StageData, Translations};
use super::objective::{Aim, gradients};
use crate::Result;
use crate::batch::derive;
use crate::config::{Config, TrainConfig};
use crate::corpus::Corpus;
use crate::eval::Evaluation;
use crate::inference::Scope;
use crate::loss::scale;
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
    seed: u64,
    /// Has the captions that it is validated on, if there are any.
    corpus: Option<&'a Corpus>,
    lessons: Vec<Lesson>,
    pub mla: Mla,
    /// Sentences whose end was cut, in all stages.
    pub truncated: usize,
}

impl<'a> Acquisition<'a> {
    /// Reads the stages' data; the teacher's vectors are computed here.
    pub fn new(config: &'a Config, corpus: &'a Corpus, mla: Mla) -> Result<Self> {
        let acquire = config.acquire();
        let languages: Vec<&str> = mla.acquirers.iter().map(|a| &a.language[..]).collect();
        let nlt = match acquire.nlt.epochs {
            0 => None,
            _ => {
                let translations = Translations::read(&mla, &Source::all(config, &languages))?;
                Some(translations.taught(&mla, config.train().precision))
            }
        };
        let le = match acquire.le.epochs {
            0 => None,
            _ => Some(StageData::captions(&mla, corpus, &languages)?),
        };
        Ok(Self::of(config, config.seed(), Some(corpus), mla, [nlt, le]))
    }

    /// With the data of the two stages, NLT and LE, one of them at least.
    pub fn of(
        config: &'a Config,
        seed: u64,
        corpus: Option<&'a Corpus>,
        mla: Mla,
        data: [Option<StageData>; 2],
    ) -> Self {
        let (acquire, train) = (config.acquire(), config.train());
        let pass = Pass { precision: train.precision, recompute: acquire.recompute };
        let (micro_batch, dropout) = (acquire.micro_batch, acquire.dropout);
        let aim =
            |objective, unit, temperature| Aim { objective, unit, temperature, micro_batch, dropout, pass };
        let (nlt, le) = (&acquire.nlt, &acquire.le);
        let [translations, captions] = data;
        let nlt = translations.map(|data| Lesson {
            name: "nlt",
            data,
            aim: aim(nlt.objective, false, nlt.temperature),
            batch: nlt.batch,
            epochs: nlt.epochs,
            learning_rate: nlt.learning_rate,
            warmup: nlt.warmup,
        });
        let le = captions.map(|data| Lesson {
            name: "le",
            data,
            aim: aim(le.objective, true, le.temperature),
            batch: le.batch,
            epochs: le.epochs,
            learning_rate: le.learning_rate,
            warmup: le.warmup,
        });
        let lessons: Vec<Lesson> = nlt.into_iter().chain(le).collect();
        let truncated = lessons.iter().map(|s| s.data.truncated).sum();
        Acquisition { config, seed, corpus, lessons, mla, truncated }
    }

    /// The data of each stage, its passes and its batch.
    pub fn lessons(&self) -> impl Iterator<Item = (&StageData, usize, usize)> {
        self.lessons.iter().map(|lesson| (&lesson.data, lesson.epochs, lesson.batch))
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
        let draw = data.draw(at.within, *batch, derive(self.seed, name, 0));
        let sentences = data.sentences(&draw);
        self.mla.catch_up(adam, &sentences);
        self.mla.scale.iter_mut().for_each(scale::clip);
        let seed = derive(self.seed, "dropout", at.step as u64);
        let (loss, grads) = gradients(&mut self.mla, data, &draw, *aim, seed);
        Ok(Found { terms: Terms::one(name, loss), grads, tokens: sentences.rows.len() })
    }

    fn scale(&self) -> Option<f32> {
        self.mla.scale.as_ref().filter(|_| !self.mla.frozen).map(scale::scale)
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let Some(corpus) = self.corpus else { return Ok(None) };
        self.mla.evaluate(corpus, Scope::VALIDATION, self.config.train().precision).map(Some)
    }
}
