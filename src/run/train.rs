//! A training from its configuration to its best checkpoint, whatever the family.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::checkpoint::{Earlier, ReservedFolder, RunFolder};
use crate::config::{BEST, Config, Source, best_in};
use crate::corpus::overlap::{compared, overlaps};
use crate::corpus::{Corpus, SplitName, fingerprint_of};
use crate::estimate::{gigabytes, machine, total};
use crate::eval::{Evaluation, Scope};
use crate::family::{self, Begun};
use crate::ops::scratch::give_back_freed_memory;
use crate::photos;
use crate::retrieve::Retriever;
use crate::train::{End, Event, Trainer};
use crate::{Error, Result};

use super::{open, teacher};

/// How a training runs, beside its configuration.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Goes on from the latest checkpoint of the run, where there is one.
    pub resume: bool,
    /// Folder that keeps word vectors, pretraining, features of photographs, and vectors of a teacher, for other runs on the same data.
    pub cache: Option<&'a Path>,
    /// Memory that the training may need, in GB; 0 for no limit, nothing for what is free.
    pub memory: Option<f64>,
    /// Stops after so many epochs.
    pub stop_after: Option<usize>,
    /// Raised to stop; the latest checkpoint then holds the last step.
    pub stop: &'a AtomicBool,
}

/// What a training tells.
pub enum Told<'a> {
    /// A line for everyone.
    Line(&'a str),
    /// A line for those who want more.
    Detail(&'a str),
    /// Something that is probably not as the user wants it.
    Warning(&'a str),
    /// How far a stage of the preparation is.
    Preparing {
        /// Name of the stage.
        stage: &'a str,
        /// Steps taken.
        done: usize,
        /// Steps in all.
        total: usize,
        /// Of the last step.
        loss: f32,
    },
    /// The run is in its folder, where lines may be kept from now on.
    Begun(&'a RunFolder),
    /// The training begins, or goes on.
    Training {
        /// Steps taken before.
        done: usize,
        /// Steps in all.
        steps: usize,
    },
    /// A step or a validation.
    Event(&'a Event<'a>),
    /// The steps are over.
    Trained,
    /// The best checkpoint was evaluated on validation.
    Evaluated(&'a Evaluation),
}

/// Takes what a training tells. An error ends the preparation at once, and leaves nothing. Of the steps it is told nothing more after an error, and
/// their end gives it: [`Options::stop`] brings that about. Checkpoints stay.
pub type Tell<'a> = &'a mut (dyn FnMut(Told) -> Result<()> + Send);

/// Trains a model from the beginning to its end, evaluates its best checkpoint on validation, and opens it.
///
/// # Errors
/// Usage, where a run or anything else is in `out`; config and data that cannot be used; run, where nothing can be written, or the
/// training diverges.
pub fn train(config: &Config, out: &Path) -> Result<Box<dyn Retriever>> {
    whole(config, out, false)
}

/// Goes on with a run to its end, by the configuration that it keeps.
///
/// # Errors
/// Data, where there is no run, or other data than it was begun with; as [`train`].
pub fn resume(run: &Path) -> Result<Box<dyn Retriever>> {
    whole(&RunFolder::new(run).config()?, run, true)
}

fn whole(config: &Config, out: &Path, resume: bool) -> Result<Box<dyn Retriever>> {
    let stop = AtomicBool::new(false);
    let options = Options { resume, cache: None, memory: None, stop_after: None, stop: &stop };
    let run = train_with(config, out, &options, &mut |_| Ok(()))?;
    Ok(run.expect("nobody asked to stop"))
}

/// As [`train`], or [`resume`], with options, telling how it goes. Gives nothing where it stops before its end, after
/// [`Options::stop_after`] epochs.
///
/// # Errors
/// As [`train`]; stopped, where [`Options::stop`] was raised.
pub fn train_with(
    config: &Config,
    out: &Path,
    options: &Options,
    tell: Tell,
) -> Result<Option<Box<dyn Retriever>>> {
    let family = family::of(config);
    let config = &with_features(config, options, tell)?;
    // One that was killed before the run was there has nothing to go on with, and loses nothing.
    let resumed = options.resume && !RunFolder::new(out).is_unbegun();
    let (corpus, begun) = if resumed {
        let earlier = Earlier::open(out, config)?;
        let corpus = taught(config, load(config, tell)?, options, tell)?;
        let begun = family.go_on(earlier, &corpus)?;
        (corpus, begun)
    } else {
        let place = ReservedFolder::new(out)?;
        let corpus = load(config, tell)?;
        config.names(refuse_unmeasured(config, &corpus))?;
        refuse_training(config, &corpus, options.memory)?;
        let corpus = taught(config, corpus, options, tell)?;
        let mut progress = |stage: &str, done, total, loss| match options.stop.load(Ordering::SeqCst) {
            true => Err(Error::stopped("stopped before the training began")),
            false => tell(Told::Preparing { stage, done, total, loss }),
        };
        let begun = family.begin(config, &corpus, place, options.cache, &mut progress)?;
        (corpus, begun)
    };
    let Begun { folder, config, info, mut source } = begun;
    tell(Told::Begun(&folder))?;
    tell(Told::Line(&format!(
        "{} parameters, {} at test time",
        info.parameters_train, info.parameters_test
    )))?;
    let learner = source.learner(&config, &corpus)?;
    if let (cut @ 1.., bound) = learner.truncated() {
        let line = format!("{cut} training sentences are longer than {bound} and lose their end");
        tell(Told::Warning(&line))?;
    }
    let mut trainer = Trainer::new(&config, &folder, learner);
    if resumed {
        trainer.resume()?;
        let (step, steps) = (trainer.state.step, trainer.steps());
        tell(Told::Line(&format!("going on after step {step} of {steps}")))?;
    }
    let (end, best) = (steps(&mut trainer, options, tell)?, trainer.state.best_step);
    let (step, all, epochs) = (trainer.state.step, trainer.steps(), trainer.epochs());
    drop(trainer);
    // What follows reads the best checkpoint; the data beside it would be the most memory that a training takes.
    drop(source);
    let stopped = |what: String| Error::stopped(what).at(&folder.path).hint("`--resume` goes on from there");
    match end {
        End::Finished => {}
        End::Patience => tell(Told::Line("no better validation for a while: done early"))?,
        End::StoppedAfter => {
            tell(Told::Line(&format!("stopped after epoch {epochs}; `--resume` goes on from there")))?;
            return Ok(None);
        }
        End::Interrupted => return Err(stopped(format!("stopped after step {step} of {all}"))),
    }
    if options.stop.load(Ordering::SeqCst) {
        return Err(stopped("stopped after the last step, before the evaluation".into()));
    }
    if let Some(line) = family.complete(&folder, &corpus)? {
        tell(Told::Line(&line))?;
    }
    give_back_freed_memory();
    let run = open(&folder.path, &[])?;
    let mut evaluation = run.evaluate(&corpus, Scope::whole(SplitName::Val))?;
    evaluation.data = Some(fingerprint_of(&corpus, SplitName::Val, Source::Human)?);
    folder.write_evaluation(&evaluation)?;
    run.fit_joining(&corpus)?;
    tell(Told::Line(&format!("the best checkpoint, after step {best}:\n{evaluation}")))?;
    tell(Told::Evaluated(&evaluation))?;
    Ok(Some(run))
}

/// Makes the features of photographs that the configuration names in their place.
fn with_features(config: &Config, options: &Options, tell: Tell) -> Result<Config> {
    let (mut done, mut total, mut told) = (0, 0, Ok(()));
    let featured = photos::featured(config, options.cache, options.stop, &mut |event| {
        if told.is_err() {
            return;
        }
        told = match event {
            photos::Told::Line(line) => tell(Told::Line(line)),
            photos::Told::Warning(line) => tell(Told::Warning(line)),
            photos::Told::Begun { done: before, total: all } => {
                (done, total) = (before, all);
                tell(Told::Preparing { stage: "features", done, total, loss: 0.0 })
            }
            photos::Told::Done(more) => {
                done += more;
                tell(Told::Preparing { stage: "features", done, total, loss: 0.0 })
            }
        };
    });
    told?;
    featured
}

/// The corpus with the vectors of its teacher, if it has one.
fn taught(config: &Config, mut corpus: Corpus, options: &Options, tell: Tell) -> Result<Corpus> {
    let mut read = |done, total| tell(Told::Preparing { stage: "teacher", done, total, loss: 0.0 });
    config.names(teacher::teach(config, &mut corpus, options.cache, options.stop, &mut read))?;
    Ok(corpus)
}

/// Takes the steps of a training.
fn steps<L: crate::train::Learner>(trainer: &mut Trainer<L>, options: &Options, tell: Tell) -> Result<End> {
    tell(Told::Training { done: trainer.state.step, steps: trainer.steps() })?;
    let mut told = Ok(());
    let end = trainer.run_until(options.stop, options.stop_after, &mut |event| {
        if told.is_ok() {
            told = tell(Told::Event(&event));
        }
    })?;
    told?;
    tell(Told::Trained)?;
    Ok(end)
}

/// Reads the data of a configuration, and tells what is in it.
fn load(config: &Config, tell: Tell) -> Result<Corpus> {
    let corpus = Corpus::of(config)?;
    let captions: usize = corpus.train.captions.iter().map(Vec::len).sum();
    tell(Told::Line(&format!(
        "{} training pictures, {captions} captions in {} languages",
        corpus.train.features.rows(),
        corpus.languages.len()
    )))?;
    corpus.notes.iter().try_for_each(|note| tell(Told::Warning(note)))?;
    let overlaps = overlaps(&corpus);
    overlaps.iter().try_for_each(|overlap| tell(Told::Warning(&overlap.to_string())))?;
    if overlaps.is_empty() {
        let line = format!("no picture is in two splits, {}", compared(&corpus));
        tell(if corpus.has_ids { Told::Detail(&line) } else { Told::Line(&line) })?;
    }
    Ok(corpus)
}

/// Refuses a training whose validation does not measure what `train.best` names.
///
/// # Errors
/// Config, naming what it measures.
fn refuse_unmeasured(config: &Config, corpus: &Corpus) -> Result<()> {
    let asked = Scope::VALIDATION.asked(corpus);
    let by = &config.train().best;
    let human = asked.iter().any(|asked| asked.human);
    let general = BEST.iter().filter(|name| human || **name != "recall.HA").map(ToString::to_string);
    let measured: Vec<String> = general.chain(asked.iter().map(|asked| best_in(asked.language))).collect();
    // Without captions of validation the last weights count as the best.
    if asked.is_empty() || measured.contains(by) {
        return Ok(());
    }
    let what = format!("`train.best` is `{by}`, which the captions of `val` do not measure");
    Err(Error::config(what).hint(format!("they measure `{}`", measured.join("`, `"))))
}

/// Refuses a training that needs more memory than is free, before it takes any; `limit` in GB stands for what is free, 0 for no
/// limit.
///
/// # Errors
/// Config, naming what takes most and the key to lower.
pub fn refuse_training(config: &Config, corpus: &Corpus, limit: Option<f64>) -> Result<()> {
    let free = match limit {
        Some(0.0) => return Ok(()),
        Some(gigabytes) => (gigabytes * 1e9) as u64,
        None => match machine() {
            Some((_, free)) => free,
            None => return Ok(()),
        },
    };
    let shares = family::of(config).shares(config, corpus)?;
    let needed = total(&shares);
    if needed <= free {
        return Ok(());
    }
    let most = shares.iter().max_by_key(|share| share.bytes).expect("a training takes memory");
    let what = format!(
        "the training needs about {} of memory, and {} are free; most goes to `{}`: {}",
        gigabytes(needed),
        gigabytes(free),
        most.what,
        gigabytes(u64::try_from(most.bytes).unwrap_or(u64::MAX))
    );
    Err(Error::config(what).hint(format!(
        "lower `{}`; or give `--memory 0` to train anyway, if you know better than this estimate",
        most.key
    )))
}
