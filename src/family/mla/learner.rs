//! The stages of multilingual acquisition: translations first, then captions.

use crate::Result;
use crate::config::{Config, TrainConfig};
use crate::corpus::Corpus;
use crate::eval::Evaluation;
use crate::eval::Scope;
use crate::eval::task::recall;
use crate::family::mla::Mla;
use crate::family::mla::data::{Source, StageData, Translations};
use crate::family::mla::objective::{Aim, Task, gradients};
use crate::loss::scale;
use crate::ops::transformer::Pass;
use crate::optim::{Adam, ParameterTree};
use crate::seed::derive;
use crate::train::{Learner, Stage, StepIndex, StepOutput};

/// What sentences that lose their end are longer than.
pub(super) const BOUND: &str = "the tower's context";

/// Places of the data: translations, and captions.
pub const NLT: usize = 0;
/// As [`NLT`], of captions.
pub const LE: usize = 1;

/// A term of a stage's loss.
struct Part {
    name: &'static str,
    /// Place of its data.
    data: usize,
    aim: Aim,
}

/// A stage.
struct StageSpec {
    name: &'static str,
    /// The first one's passes are those of the stage, and a step has its language.
    parts: Vec<Part>,
    batch: usize,
    epochs: usize,
    learning_rate: f32,
    /// Share of the steps.
    warmup: f32,
}

/// The stages that there are data for. Captions are learnt without the part that translations have in their stage where there
/// are none.
fn lessons(config: &Config, there: [bool; 2]) -> Vec<StageSpec> {
    let (acquire, train) = (config.acquire(), config.train());
    let (nlt, le, term) = (&acquire.nlt, &acquire.le, &acquire.le.nlt);
    let pass = Pass { precision: train.precision, recompute: acquire.recompute };
    let (micro_batch, dropout) = (acquire.micro_batch, acquire.dropout);
    let part = |name, data, objective, unit, temperature, weight| {
        let scaled = data == LE;
        let aim = Aim { objective, unit, temperature, scaled, weight, micro_batch, dropout, pass };
        Part { name, data, aim }
    };
    let translations = StageSpec {
        name: "nlt",
        parts: vec![part("nlt", NLT, nlt.objective, nlt.unit, nlt.temperature, 1.0)],
        batch: nlt.batch,
        epochs: nlt.epochs,
        learning_rate: nlt.learning_rate,
        warmup: nlt.warmup,
    };
    let mut captions = StageSpec {
        name: "le",
        parts: vec![part("le", LE, le.objective, le.unit, le.temperature, 1.0)],
        batch: le.batch,
        epochs: le.epochs,
        learning_rate: le.learning_rate,
        warmup: le.warmup,
    };
    if le.translates() {
        captions.parts.push(part("nlt", NLT, term.objective, term.unit, term.temperature, term.weight));
    }
    let mut lessons = vec![translations, captions];
    lessons.retain(|lesson| lesson.epochs > 0 && there[lesson.parts[0].data]);
    lessons.iter_mut().for_each(|lesson| lesson.parts.retain(|part| there[part.data]));
    lessons
}

/// What a stage shows: the data of its terms, its passes over those of the first one, and its batch.
pub struct StagePasses<'a> {
    /// Of each term.
    pub data: Vec<&'a StageData>,
    /// Passes over the data of the first term.
    pub epochs: usize,
    /// Sentences per batch.
    pub batch: usize,
}

/// What the stages of a configuration show of translations and captions.
pub fn shown<'a>(config: &Config, data: [Option<&'a StageData>; 2]) -> Vec<StagePasses<'a>> {
    let of = |lesson: StageSpec| StagePasses {
        data: lesson.parts.iter().filter_map(|part| data[part.data]).collect(),
        epochs: lesson.epochs,
        batch: lesson.batch,
    };
    lessons(config, data.map(|data| data.is_some())).into_iter().map(of).collect()
}

/// What a step of acquisition sees and minimises.
pub struct MlaLearner<'a> {
    config: &'a Config,
    seed: u64,
    /// Has the captions that it is validated on, if there are any.
    corpus: Option<&'a Corpus>,
    data: [Option<StageData>; 2],
    lessons: Vec<StageSpec>,
    /// The model in training.
    pub mla: Mla,
    /// Sentences whose end was cut, in all data.
    pub truncated: usize,
}

impl<'a> MlaLearner<'a> {
    /// Reads the stages' data; the teacher's vectors are computed here.
    ///
    /// # Errors
    /// Data, where translations, captions or features cannot be used.
    pub fn new(config: &'a Config, corpus: &'a Corpus, mla: Mla) -> Result<Self> {
        let acquire = config.acquire();
        let languages: Vec<&str> = mla.acquirers.iter().map(|a| &a.language[..]).collect();
        let nlt = match acquire.translates() {
            false => None,
            true => {
                let translations = Translations::read(&mla, &languages, &Source::all(config, &languages))?;
                Some(translations.taught(&mla, config.train().precision))
            }
        };
        let le = match acquire.le.epochs {
            0 => None,
            _ => Some(StageData::captions(&mla, corpus, &languages, acquire.le.at_unit_length())?),
        };
        Ok(Self::of(config, config.seed(), Some(corpus), mla, [nlt, le]))
    }

    /// With translations and captions, one of them at least.
    pub fn of(
        config: &'a Config,
        seed: u64,
        corpus: Option<&'a Corpus>,
        mla: Mla,
        data: [Option<StageData>; 2],
    ) -> Self {
        let lessons = lessons(config, data.each_ref().map(Option::is_some));
        let truncated = data.iter().flatten().map(|data| data.truncated).sum();
        MlaLearner { config, seed, corpus, data, lessons, mla, truncated }
    }

    /// What its stages show.
    pub fn shown(&self) -> Vec<StagePasses<'_>> {
        shown(self.config, self.data.each_ref().map(Option::as_ref))
    }
}

impl StageSpec {
    /// The data of a part.
    fn data<'a>(&self, part: usize, data: &'a [Option<StageData>; 2]) -> &'a StageData {
        data[self.parts[part].data].as_ref().expect("a stage has its data")
    }

    /// The batches of a step; all are of the language that the first one has.
    fn tasks<'a>(&self, data: &'a [Option<StageData>; 2], at: StepIndex, seed: u64) -> Vec<Task<'a>> {
        let name = self.name;
        let first = self.data(0, data).draw(at.within, self.batch, derive(seed, name, 0));
        let language = first.language;
        let task = |(n, part): (usize, &Part)| {
            let data = self.data(n, data);
            let (draw, dice) = match n {
                0 => (first.clone(), "dropout".to_string()),
                _ => {
                    let seed = derive(seed, &format!("{name}.{}", part.name), 0);
                    let draw = data.draw_of(language, at.within, self.batch, seed);
                    (draw, format!("dropout {}", part.name))
                }
            };
            Task { name: part.name, data, draw, aim: part.aim, seed: derive(seed, &dice, at.step as u64) }
        };
        self.parts.iter().enumerate().map(task).collect()
    }
}

impl Learner for MlaLearner<'_> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        // Where all else is frozen, the checkpoint is the acquirers' alone.
        if self.mla.acquirers_alone() { &mut self.mla.acquirers } else { &mut self.mla }
    }

    fn stages(&self) -> Vec<Stage> {
        let stage = |lesson: &StageSpec| {
            let per_epoch = lesson.data(0, &self.data).steps_per_epoch(lesson.batch);
            let steps = lesson.epochs * per_epoch;
            let optimiser = TrainConfig {
                learning_rate: lesson.learning_rate,
                warmup: (lesson.warmup * steps as f32).round() as usize,
                ..self.config.train().clone()
            };
            let rate = format!("acquire.{}.learning_rate", lesson.name);
            Stage::new(lesson.name, steps, per_epoch, optimiser, rate)
        };
        self.lessons.iter().map(stage).collect()
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        let tasks = self.lessons[at.stage].tasks(&self.data, at, self.seed);
        let mut tokens = 0;
        for task in &tasks {
            let sentences = task.data.sentences(&task.draw);
            self.mla.catch_up(adam, &sentences);
            tokens += sentences.rows.len();
        }
        self.mla.scale.iter_mut().for_each(|scale| scale::clip(&mut scale.value));
        let (terms, grads) = gradients(&mut self.mla, &tasks);
        Ok(Some(StepOutput { terms, grads, tokens }))
    }

    fn truncated(&self) -> (usize, &'static str) {
        (self.truncated, BOUND)
    }

    fn scale(&self) -> Option<f32> {
        self.mla.scale.as_ref().filter(|scale| scale.rate.trained()).map(|s| scale::scale(&s.value))
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let Some(corpus) = self.corpus else { return Ok(None) };
        let parameters = self.mla.parameters();
        let model = self.mla.encoder(self.config.train().precision);
        recall::evaluate(&model, corpus, Scope::VALIDATION, parameters).map(Some)
    }
}
