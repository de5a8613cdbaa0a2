//! What SMALR and its relatives learn from: captions and pictures, a batch at a time.

use dfdx::tensor_ops::Backward;

use crate::config::{Config, DriftCentre};
use crate::corpus::Corpus;
use crate::eval::Evaluation;
use crate::eval::Parameters;
use crate::eval::Scope;
use crate::eval::task::recall::of_vectors;
use crate::family::smalr::batch::{Assembler, Batch, Captions};
use crate::family::smalr::embedding::TokenRows;
use crate::family::smalr::embedding::encoder::Encoder;
use crate::family::smalr::embedding::lexicon::Collector;
use crate::family::smalr::inference::embed_sentences;
use crate::family::smalr::model::Model;
use crate::family::smalr::objective::{When, objective};
use crate::family::smalr::paired::PairReader;
use crate::family::smalr::taught::Teacher;
use crate::image::embed_features;
use crate::optim::{Adam, ParameterTree};
use crate::sampler::{Pictures, Sampler};
use crate::seed::derive;
use crate::train::{Learner, Stage, StepIndex, StepOutput};
use crate::{Error, Result};

/// A model of words and pictures, and its training data.
pub struct SmalrLearner<'a> {
    config: &'a Config,
    corpus: &'a Corpus,
    encoder: &'a Encoder,
    captions: &'a [Captions],
    validation: Vec<Captions>,
    sampler: Sampler,
    pairs: Option<PairReader<'a>>,
    teacher: Option<Teacher<'a>>,
    /// Steps of an epoch: a pass over the pictures or captions, or where only sentences are learnt from, over the lines of the pairs.
    per_epoch: usize,
    assembler: Assembler,
    pictures: Pictures<'a>,
    /// The batch of a step to come.
    ahead: Option<(usize, Batch)>,
    /// The model in training.
    pub model: Model,
    parameters: Parameters,
    /// Training captions that are longer than `words.max_tokens` and lost their end, where that is to be told.
    pub truncated: usize,
}

impl<'a> SmalrLearner<'a> {
    /// Trains `model` on the corpus, whose captions are given as slots, by language: of the training split, and of validation.
    pub fn new(
        config: &'a Config,
        corpus: &'a Corpus,
        encoder: &'a Encoder,
        captions: &'a [Captions],
        validation: Vec<Captions>,
        mut model: Model,
    ) -> Self {
        let index = captions.iter().map(|c| c.index.clone()).collect();
        let seed = derive(config.seed(), "sampler", 0);
        let sampler = Sampler::new(seed, config.train(), &corpus.languages, index);
        let assembler = Assembler {
            collector: Collector::new(&encoder.lexicon),
            word_dropout: config.text().word_dropout,
            mclm: config.loss().mclm.clone(),
        };
        let pairs = PairReader::new(config, corpus, encoder);
        let per_epoch = match &pairs {
            Some(pairs) if !corpus.has_captions() => pairs.steps_per_epoch(),
            _ => sampler.steps_per_epoch(),
        };
        let pictures = Pictures::new(&corpus.train.features, config.train());
        let (ahead, truncated, parameters) = (None, 0, model.parameter_counts().into());
        SmalrLearner {
            config,
            corpus,
            encoder,
            captions,
            validation,
            sampler,
            pairs,
            teacher: Teacher::new(corpus),
            per_epoch,
            assembler,
            pictures,
            ahead,
            model,
            parameters,
            truncated,
        }
    }

    /// Where MULE's regulariser has its centre from now on: at the words as they are, rows that wait for their steps included.
    fn centre_words(&mut self, adam: &Adam) {
        let Model { languages, embedding, word_starts, .. } = &mut self.model;
        for ((start, own), language) in word_starts.iter_mut().zip(&embedding.own).zip(languages) {
            start.swap(&mut adam.settled(&format!("embedding.{language}.words"), &own.words));
        }
    }

    /// The batch of a step; rows of tables that it reads are brought up to date, and on a GPU go up with what else it needs.
    fn batch(&mut self, step: usize, adam: &mut Adam) -> Batch {
        let draw = self.sampler.draw(step);
        let seed = derive(self.config.seed(), "batch", step as u64);
        let paired = self.pairs.as_ref().map(|pairs| pairs.read(step));
        let Model { embedding, languages, .. } = &mut self.model;
        let images = |tokens: &TokenRows| {
            let own = embedding.own.iter_mut().zip(languages).zip(&tokens.own);
            let own = own.map(|((own, language), rows)| {
                (format!("embedding.{language}.words"), &mut own.words, &rows[..])
            });
            let latents = ("embedding.latent".to_string(), &mut embedding.latents, &tokens.latents[..]);
            adam.catch_up_all(std::iter::once(latents).chain(own).collect());
            self.pictures.take(&draw.images)
        };
        let mut batch = self.assembler.assemble(&draw, self.captions, images, paired.as_ref(), seed);
        if let Some(teacher) = &self.teacher {
            let lines = paired.map(|paired| paired.targets).unwrap_or_default();
            batch.taught = teacher.of(&batch, &draw, &lines);
        }
        batch
    }
}

impl Learner for SmalrLearner<'_> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        &mut self.model
    }

    fn stages(&self) -> Vec<Stage> {
        let (train, per_epoch) = (self.config.train(), self.per_epoch);
        let steps = train.epochs * per_epoch;
        let rate = "train.learning_rate".to_string();
        vec![Stage::new("smalr", steps, per_epoch, train.clone(), rate)]
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        let ahead = self.ahead.take().filter(|(step, _)| *step == at.step);
        let first = at.step.is_multiple_of(self.per_epoch);
        if first && self.config.loss().word_drift_centre == DriftCentre::Epoch {
            self.centre_words(adam);
        }
        let batch = match ahead {
            Some((_, batch)) => batch,
            None => self.batch(at.step, adam),
        };
        let config = self.config;
        let progress = at.step as f32 / (config.train().epochs * self.per_epoch) as f32;
        let seed = derive(config.seed(), "dropout", at.step as u64);
        let precision = config.train().precision;
        let when = When { step: at.step, progress };
        let (sum, terms) = objective(&mut self.model, &batch, config.loss(), precision, when, seed);
        let Some(sum) = sum else {
            return Err(Error::data(format!("the batch of step {} has nothing to compare", at.step + 1))
                .hint(
                    "give more captions per picture, or all languages with `train.language_temperature = 0`",
                ));
        };
        Ok(Some(StepOutput { terms, grads: sum.backward(), tokens: batch.sentences.rows.len() }))
    }

    fn truncated(&self) -> (usize, &'static str) {
        (self.truncated, "`words.max_tokens`")
    }

    fn look_ahead(&mut self, step: usize, adam: &mut Adam) {
        self.ahead = Some((step, self.batch(step, adam)));
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let (config, features) = (self.config, &self.corpus.val.features);
        let pictures = embed_features(&self.model.image, features, self.corpus.width())?;
        // The captions were read when the training began.
        let vectors = |language: &str, _: &[&str]| {
            let l = self.model.languages.iter().position(|l| l == language)?;
            let slots = &self.validation[l].slots;
            Some(embed_sentences(&self.model, &self.encoder.lexicon, l, slots, config.train().precision))
        };
        let joint = config.text().joint;
        of_vectors(self.corpus, Scope::VALIDATION, self.parameters, &pictures, joint, &vectors).map(Some)
    }
}
