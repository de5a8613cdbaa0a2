//! The training of an added language: first the layer of its words into the scorer's space (`align`), then its own words, their layer and
//! its adapter (`grow`).
//!
//! Where its words begin follows from the layer, so a training that goes on in `grow` needs nothing but its checkpoint.

use std::collections::BTreeMap;

use dfdx::tensor_ops::Backward;

use crate::Result;
use crate::config::{Config, Schedule as Rates, TrainConfig};
use crate::eval::{Evaluation, retrieval};
use crate::family::smalr::SmalrRun;
use crate::family::smalr::batch::Captions;
use crate::family::smalr::cost::Cost;
use crate::family::smalr::embedding::Slot;
use crate::family::smalr::embedding::hybrid::OwnWords;
use crate::family::smalr::grow::align;
use crate::family::smalr::grow::objective::{LanguageBatches, LanguageObjective, freeze_all_but};
use crate::family::smalr::grow::start::own_words;
use crate::family::smalr::grow::{Growing, Lessons, Schedule};
use crate::family::smalr::inference::embed_sentences;
use crate::family::smalr::prepare::encode_captions;
use crate::family::smalr::text::{Adapter, TextEncoder};
use crate::image::embed_features;
use crate::init::Init;
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{matrix, vector};
use crate::optim::{Adam, Parameter, ParameterTree, freeze, rates, set_rates, thaw, visit_linear};
use crate::seed::derive;
use crate::train::{Averaging, Learner, Stage, StepIndex, StepOutput, Validated};
use crate::words::Segmenter;

/// The last language of a run: what it learns, of which a stage trains a part.
struct NewLanguage<'a> {
    run: &'a mut SmalrRun,
    /// Its place.
    language: usize,
    /// Whether it is the layer into the scorer's space that is trained now.
    aligning: bool,
}

impl NewLanguage<'_> {
    fn layer(&mut self) -> &mut LinearWeights {
        &mut self.run.encoder.scorer.layers[self.language]
    }
}

impl ParameterTree for NewLanguage<'_> {
    /// The layer into the scorer's space; the words' own vectors, their layer and the adapter.
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        visit_linear("scorer", self.layer(), f);
        let model = &mut self.run.model;
        if let Some(own) = model.embedding.own.get_mut(self.language).filter(|own| own.words.rows() > 0) {
            f("words", Parameter::table(&mut own.words));
            visit_linear("layer", &mut own.layer, f);
        }
        if let Some(adapter) = &mut model.text.adapters[self.language] {
            adapter.visit("adapter", f);
        }
    }
}

/// What is known once the words have their places.
struct Placed<'a> {
    batches: LanguageBatches<'a>,
    /// Of validation, and its pictures (pictures, joint).
    validation: Captions,
    images: Vec<f32>,
}

/// A language that is taught.
pub struct LanguageLearner<'a> {
    growing: &'a Growing<'a>,
    lessons: &'a Lessons,
    new: NewLanguage<'a>,
    /// Of the alignment, and of the training.
    schedules: [Schedule; 2],
    placed: Option<Placed<'a>>,
    /// Beside that of the steps.
    work: Cost,
    /// What is trained of the model when the language is there.
    before: BTreeMap<String, Rate>,
}

const ALIGN: &str = "align";
const GROW: &str = "grow";

impl<'a> LanguageLearner<'a> {
    /// Adds the language to the run, with an orthogonal map as its layer.
    ///
    /// # Errors
    /// Those of [`crate::words::procrustes`]; as [`Segmenter::new`].
    pub fn new(growing: &'a Growing<'a>, run: &'a mut SmalrRun, lessons: &'a Lessons) -> Result<Self> {
        let width = run.config.embedding().width;
        let layer = align::start(lessons, &growing.new_words(), width)?;
        let schedules = ["align", "train"].map(|of| lessons.schedule(derive(growing.seed, of, 0)));
        let (language, work) = (attach(growing, run, layer)?, growing.work);
        let before = rates(&mut run.model);
        let new = NewLanguage { run, language, aligning: false };
        Ok(LanguageLearner { growing, lessons, new, schedules, placed: None, work, before })
    }

    /// Steps of the alignment, and of the training.
    pub fn steps(&self) -> [usize; 2] {
        let grow = self.growing.material.given.grow();
        let epochs = [grow.align.epochs, if grow.top_k > 0 { grow.epochs } else { 0 }];
        let steps = |n: usize| {
            let schedule = &self.schedules[n];
            schedule.epochs(epochs[n], grow.least_steps) * schedule.steps_per_epoch()
        };
        [steps(0), steps(1)]
    }

    /// The epoch of the training after so many steps of all, counted from 1; 0 is its start.
    pub fn epoch(&self, step: usize) -> usize {
        step.saturating_sub(self.steps()[0]) / self.schedules[1].steps_per_epoch()
    }

    /// Puts the words where the layer says; the frozen model says the rest.
    fn place(&mut self, start: bool) -> Result<()> {
        let Growing { material, words, tokens, base, .. } = self.growing;
        let NewLanguage { run, language, .. } = &mut self.new;
        let (language, grow) = (*language, material.given.grow());
        let top = grow.top_k.min(words.vocabulary.len());
        let (encoder, width) = (&mut run.encoder, run.config.embedding().width);
        let mapped = encoder.scorer.project(language, &words.table);
        let slots = match encoder.scorer.keys.is_empty() {
            // A run without latent tokens has no place for rare words.
            true => (0..top as u32).map(Slot::Own).collect::<Vec<_>>(),
            false => {
                let assigned = encoder.scorer.assign(language, &words.table);
                self.work.more((assigned.len() * encoder.scorer.keys.len()) as u64);
                let slot =
                    |(w, &t): (usize, &u32)| if w < top { Slot::Own(w as u32) } else { Slot::Latent(t) };
                assigned.iter().enumerate().map(slot).collect()
            }
        };
        encoder.lexicon.vocabularies[language] = words.vocabulary.first(slots.len());
        encoder.lexicon.slots[language] = slots;
        if top > 0 {
            let own = own_words(tokens, &mapped[..top * width], grow.word_width, &mut self.work)?;
            if let Some(word_start) = run.model.word_starts.get_mut(language) {
                *word_start = Table::new(own.words.width, own.words.data().to_vec());
            }
            if start {
                run.model.embedding.own[language] = own;
            }
        }
        let slots = self.lessons.all.iter().map(|l| run.encoder.slots(language, &l.words)).collect();
        let (mut validation, mut images) = (Captions::default(), Vec::new());
        if let Some(split) = material.corpus.map(|c| &c.val).filter(|s| !s.captions[0].is_empty()) {
            images = embed_features(&run.model.image, &split.features, run.info.features)?;
            validation = encode_captions(&run.encoder, &split.captions[0], split.features.rows(), language);
        }
        let batches = LanguageBatches::new(
            &run.config,
            &run.model,
            base,
            language,
            self.lessons,
            slots,
            material.teacher,
        );
        self.placed = Some(Placed { batches, validation, images });
        Ok(())
    }

    /// What a step of the training compares, and with what.
    fn objective(&mut self) -> (LanguageObjective<'_>, &mut LanguageBatches<'a>, &Schedule) {
        let SmalrRun { config, model, .. } = &mut *self.new.run;
        let objective = LanguageObjective {
            config,
            given: self.growing.material.given,
            model,
            base: &self.growing.base,
            language: self.new.language,
            lessons: self.lessons,
            seed: self.growing.seed,
        };
        let placed = self.placed.as_mut().expect("the words have their places");
        (objective, &mut placed.batches, &self.schedules[1])
    }

    /// The language as it is in the run from now on; gives its place, and what all of it took.
    ///
    /// # Errors
    /// As [`own_words`].
    pub fn finish(mut self) -> Result<(usize, Cost)> {
        if self.placed.is_none() {
            self.place(true)?;
        }
        let (steps, words) = (self.steps(), self.growing.new_words());
        let layer = words.width * self.new.run.config.embedding().width;
        for step in 0..steps[0] {
            let (lesson, draw) = self.schedules[0].draw(step);
            let batch = align::Batch::new(&self.lessons.ids[lesson], &words, &draw);
            self.work.words(batch.distinct, layer);
        }
        let mut work = self.work;
        let (objective, batches, schedule) = self.objective();
        (0..steps[1]).for_each(|step| objective.count(batches, schedule, step, &mut work));
        let NewLanguage { run, language, .. } = self.new;
        set_rates(&mut run.model, |name| self.before.get(name).copied());
        run.encoder.scorer.layers[language].rate = Rate::TRAINED;
        Ok((language, work))
    }
}

impl Learner for LanguageLearner<'_> {
    fn model(&mut self) -> &mut dyn ParameterTree {
        &mut self.new
    }

    fn stages(&self) -> Vec<Stage> {
        let (grow, train) = (self.growing.material.given.grow(), self.new.run.config.train());
        let aligned = TrainConfig {
            learning_rate: grow.align.learning_rate,
            schedule: Rates::Constant,
            ..TrainConfig::default()
        };
        let grown = TrainConfig {
            learning_rate: grow.learning_rate,
            warmup: 0,
            schedule: Rates::Cosine,
            weight_decay: 0.0,
            ..train.clone()
        };
        let [first, second] = self.steps();
        let each = self.schedules.each_ref().map(Schedule::steps_per_epoch);
        let align = Stage::new(ALIGN, first, each[0], aligned, "grow.align.learning_rate".into());
        let own = Stage::new(GROW, second, each[1], grown, "grow.learning_rate".into());
        let own = Stage { averaging: Averaging::Each, validated: Validated::StartAndPasses, ..own };
        [align.unwatched(), own].into_iter().filter(|stage| stage.steps > 0).collect()
    }

    fn enter(&mut self, at: StepIndex) -> Result<()> {
        self.new.aligning = self.stages()[at.stage].name == ALIGN;
        if self.new.aligning {
            freeze(&mut self.new, |_| true);
            thaw(&mut self.new, |name| name.starts_with("scorer."));
            return Ok(());
        }
        self.place(at.within == 0)?;
        freeze_all_but(&mut self.new.run.model, self.new.language);
        self.new.layer().rate = Rate::FROZEN;
        Ok(())
    }

    fn gradients(&mut self, at: StepIndex, adam: &mut Adam) -> Result<Option<StepOutput>> {
        let (sum, terms, tokens) = if self.new.aligning {
            let (lesson, draw) = self.schedules[0].draw(at.within);
            let batch = align::Batch::new(&self.lessons.ids[lesson], &self.growing.new_words(), &draw);
            let (loss, known) = (self.new.run.config.loss().clone(), &self.lessons.all[lesson].known);
            let tokens = batch.sentences.rows.len();
            let (sum, terms) = batch.near(self.new.layer(), known, &draw.images, &loss).finish();
            (sum, terms, tokens)
        } else {
            let language = self.new.language;
            let (objective, batches, schedule) = self.objective();
            let shown = objective.shown(batches, schedule, at.within, true);
            let own = &mut objective.model.embedding.own[language].words;
            if at.within.is_multiple_of(schedule.steps_per_epoch()) {
                let every: Vec<u32> = (0..own.rows() as u32).collect();
                adam.catch_up("words", own, &every);
            }
            adam.catch_up("words", own, shown.batch.tokens.own.last().expect("the new language"));
            let (sum, terms) =
                objective.compare(shown.lesson, &shown.draw.captions, &shown.batch, shown.seed);
            (sum, terms, shown.batch.sentences.rows.len())
        };
        Ok(sum.map(|sum| StepOutput { terms, grads: sum.backward(), tokens }))
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let (code, run) = (&self.growing.material.code, &*self.new.run);
        let Some(Placed { validation, images, .. }) = &self.placed else { return Ok(None) };
        if validation.slots.is_empty() {
            return Ok(None);
        }
        let (joint, precision) = (run.config.text().joint, run.config.train().precision);
        let (lexicon, slots) = (&run.encoder.lexicon, &validation.slots);
        let sentences = embed_sentences(&run.model, lexicon, self.new.language, slots, precision);
        let pictures = images.len() / joint;
        let found = retrieval(&sentences, &validation.image_of, images, pictures, joint)?;
        let languages = vec![(code.to_string(), found, true)];
        Ok(Some(Evaluation::new("val", pictures, 0, 1, languages, run.parameters)))
    }
}

/// Adds the language to the run, with room for all that it learns; its words get their places later. Gives its own.
fn attach(growing: &Growing, run: &mut SmalrRun, layer: LinearWeights) -> Result<usize> {
    let Growing { material, words, seed, .. } = growing;
    let (grow, code) = (material.given.grow(), material.code.to_string());
    let segmenter = Segmenter::new(&code, run.config.words(), &run.folder.path)?;
    let encoder = &mut run.encoder;
    let language = encoder.lexicon.languages.len();
    encoder.scorer.layers.push(layer);
    encoder.lexicon.languages.push(code.clone());
    encoder.lexicon.vocabularies.push(words.vocabulary.first(0));
    encoder.lexicon.slots.push(Vec::new());
    encoder.segmenters.push(segmenter);
    encoder.vectors.push(words.vectors.clone());
    let (width, to) = (run.config.embedding().width, grow.word_width);
    let (top, own) = (grow.top_k.min(words.vocabulary.len()), &mut run.model.embedding.own);
    if top > 0 {
        own.resize_with(language, OwnWords::none);
        let layer = LinearWeights::new(matrix(vec![0.0; width * to], width, to), vector(vec![0.0; width]));
        let mut words = Table::new(to, vec![0.0; top * to]);
        if !run.config.embedding().train_words {
            words.rate = Rate::FROZEN;
        }
        own.push(OwnWords { words, layer });
    } else if !own.is_empty() {
        own.push(OwnWords::none());
    }
    if run.config.loss().word_drift > 0.0 {
        let (starts, own) = (&mut run.model.word_starts, &run.model.embedding.own);
        let new = own[starts.len()..].iter().map(|o| Table::new(o.words.width, o.words.data().to_vec()));
        starts.extend(new.collect::<Vec<_>>());
    }
    let adapter = (grow.rank > 0).then(|| {
        let (text, inputs) = (run.config.text(), TextEncoder::pooled(run.config.text(), width));
        Adapter::new(inputs, text.joint, grow.rank, &mut Init::new(derive(*seed, "adapter", 0)))
    });
    run.model.text.adapters.push(adapter);
    run.model.languages.push(code);
    Ok(language)
}

/// The configuration that the language's training goes by: the run's, whose patience is not meant for it.
///
/// # Errors
/// None, for that of a run.
pub fn training_config(run: &Config) -> Result<Config> {
    let mut raw = run.raw().clone();
    raw.train.patience = 0;
    raw.check(run.base().to_path_buf()).map_err(|problems| problems.into_error())
}
