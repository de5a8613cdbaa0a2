//! `tinyglot train`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::config::Source;
use super::log::Log;
use super::progress::{Progress, Stages};
use super::terminal::Terminal;
use super::{interrupt, report};
use crate::checkpoint::RunFolder;
use crate::clip::train::TowerTraining;
use crate::config::{self, Config, FamilyName};
use crate::corpus::overlap::{compared, overlaps};
use crate::corpus::{Corpus, SplitName, fingerprint_of};
use crate::eval::Evaluation;
use crate::inference::Scope;
use crate::mla::train::Acquisition;
use crate::ops::scratch::give_back_freed_memory;
use crate::run::start::{Earlier, Place, Start, begin};
use crate::run::{ClipRun, MlaRun, Run, open};
use crate::sweep::estimate::refuse_training;
use crate::train::smalr::Smalr;
use crate::train::{End, Event, Learner, Trainer};
use crate::{Error, Result};

/// Train a model
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ctrl-C saves a checkpoint and stops; `--resume` goes on from it, to the same weights as without the stop. At the end the
best checkpoint is evaluated on the validation split and RUN/report.html is written.

Examples:
  tinyglot train configs/multi30k-8k.toml --set data.root=DIR
  tinyglot train configs/hem-multi30k.toml --set train.epochs=1 --set 'data.languages=[\"en\", \"de\"]'
  tinyglot train configs/multi30k-8k.toml --out runs/first --resume")]
pub struct Args {
    #[command(flatten)]
    pub source: Source,
    /// Folder of the run [default: runs/ and the name of the configuration]
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint of the run; one that was stopped before its first checkpoint begins
    #[arg(long)]
    pub resume: bool,
    /// Folder that keeps FastText vectors and pretraining, for other runs on the same texts
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Stop after so many epochs, as Ctrl-C would; `--resume` goes on to `train.epochs`
    #[arg(long, value_name = "EPOCHS")]
    pub stop_after: Option<NonZeroUsize>,
    /// Memory that the training may need, in GB; 0 has no limit [default: what is free]
    ///
    /// What it needs is estimated before any is taken; a training that needs more is refused.
    #[arg(long, value_name = "GB")]
    pub memory: Option<f64>,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let config = args.source.load()?;
    let out = args.out.unwrap_or_else(|| default_folder(&args.source.config));
    let until = args.stop_after.map(NonZeroUsize::get);
    // One that was killed before the run was there has nothing to go on with, and loses nothing.
    let resumed = args.resume && !RunFolder::new(&out).is_unbegun();
    match (config.family(), resumed) {
        (FamilyName::Mla, resumed) => acquire(&config, &out, (resumed, args.memory), until, terminal),
        (FamilyName::Tower, resumed) => tower(&config, &out, (resumed, args.memory), until, terminal),
        (FamilyName::Smalr, true) => resume(&config, &out, until, terminal),
        (FamilyName::Smalr, false) => {
            begun(&config, &out, (args.cache.as_deref(), args.memory), until, terminal).map(drop)
        }
    }
}

fn default_folder(config: &Path) -> PathBuf {
    Path::new("runs").join(config.file_stem().unwrap_or(config.as_os_str()))
}

/// Trains from the beginning to the end.
pub(super) fn train(config: &Config, out: &Path, terminal: &Terminal) -> Result<Run> {
    Ok(begun(config, out, (None, None), None, terminal)?.expect("a run that was trained to its end"))
}

/// Trains from the beginning; nothing, where it stops before the end, after epoch `until`.
fn begun(
    config: &Config,
    out: &Path,
    (cache, memory): (Option<&Path>, Option<f64>),
    until: Option<usize>,
    terminal: &Terminal,
) -> Result<Option<Run>> {
    let mut log = Log::new(terminal.clone());
    let place = Place::new(out)?;
    let corpus = load(config, &log)?;
    refuse_training(config, &corpus, memory)?;
    let mut stages = Stages::new(terminal);
    let start = begin(config, &corpus, place, cache, &mut |stage, done, total, loss| {
        stages.at(name(stage), done, total, loss)
    })?;
    stages.finish();
    log = log.keep(&start.folder.path.join("run.log"))?;
    go(start, &corpus, false, until, &log, terminal)
}

/// What a stage of the preparation does, for people.
fn name(stage: &str) -> &str {
    match stage {
        "segment" => "captions into words",
        "vectors" => "FastText vectors",
        "align" => "languages into one space",
        "pretrain" => "latent vocabulary",
        other => other,
    }
}

/// Goes on with a run.
fn resume(config: &Config, out: &Path, until: Option<usize>, terminal: &Terminal) -> Result<()> {
    let earlier = Earlier::open(out, config)?;
    let log = Log::new(terminal.clone()).keep(&out.join("run.log"))?;
    let corpus = load(config, &log)?;
    go(earlier.go_on(&corpus)?, &corpus, true, until, &log, terminal).map(drop)
}

fn load(config: &Config, log: &Log) -> Result<Corpus> {
    let corpus = Corpus::of(config)?;
    let captions: usize = corpus.train.captions.iter().map(Vec::len).sum();
    log.say(&format!(
        "{} training pictures, {captions} captions in {} languages",
        corpus.train.features.rows(),
        corpus.languages.len()
    ))?;
    corpus.notes.iter().try_for_each(|note| log.warn(note))?;
    let overlaps = overlaps(&corpus);
    overlaps.iter().try_for_each(|overlap| log.warn(&overlap.to_string()))?;
    if overlaps.is_empty() {
        let line = format!("no picture is in two splits, {}", compared(&corpus));
        if corpus.has_ids { log.detail(&line)? } else { log.say(&line)? }
    }
    Ok(corpus)
}

/// Trains to the end, evaluates the best checkpoint on validation and writes the report; or to the end of epoch `until`, and
/// no more.
fn go(
    start: Start,
    corpus: &Corpus,
    resumed: bool,
    until: Option<usize>,
    log: &Log,
    terminal: &Terminal,
) -> Result<Option<Run>> {
    let Start { folder, config, encoder, train, cut: captions, validation, mut model } = start;
    cut(captions, "`words.max_tokens`", log)?;
    let (parameters, at_test_time) = model.parameter_counts();
    log.say(&format!("{parameters} parameters, {at_test_time} at test time"))?;
    let learner = Smalr::new(&config, corpus, &encoder.lexicon, &train, validation, model);
    let trainer = Trainer::new(&config, &folder, learner);
    let Some(best) = to_the_end(trainer, resumed, until, &folder, log, terminal)? else { return Ok(None) };
    // What follows reads the best checkpoint; the data beside it would be the most memory that a training takes.
    drop((train, encoder));
    finish(&folder, corpus, best, log, terminal)?;
    Run::open(&folder.path, &[]).map(Some)
}

/// Trains a text tower, from the beginning or on, and hands it over for languages to be acquired on.
fn tower(
    config: &Config,
    out: &Path,
    (resumed, memory): (bool, Option<f64>),
    until: Option<usize>,
    terminal: &Terminal,
) -> Result<()> {
    let mut log = Log::new(terminal.clone());
    let (corpus, run) = match resumed {
        true => {
            let earlier = Earlier::open(out, config)?;
            let corpus = load(config, &log)?;
            let run = ClipRun::go_on(earlier, &corpus)?;
            (corpus, run)
        }
        false => {
            let place = Place::new(out)?;
            let corpus = load(config, &log)?;
            refuse_training(config, &corpus, memory)?;
            let run = ClipRun::begin(config, &corpus, place)?;
            (corpus, run)
        }
    };
    log = log.keep(&run.folder.path.join("run.log"))?;
    let ClipRun { folder, config, info, clip } = run;
    log.say(&format!("{} parameters, {} at test time", info.parameters_train, info.parameters_test))?;
    let learner = TowerTraining::new(&config, &corpus, clip);
    cut(learner.truncated, CONTEXT, &log)?;
    let trainer = Trainer::new(&config, &folder, learner);
    let Some(best) = to_the_end(trainer, resumed, until, &folder, &log, terminal)? else { return Ok(()) };
    let tower = ClipRun::open(&folder.path, &[])?.hand_over(&corpus)?;
    log.say(&format!("the tower, for `acquire.tower`: {}", tower.display()))?;
    finish(&folder, &corpus, best, &log, terminal)
}

/// Trains the acquirers of a frozen tower, from the beginning or on.
fn acquire(
    config: &Config,
    out: &Path,
    (resumed, memory): (bool, Option<f64>),
    until: Option<usize>,
    terminal: &Terminal,
) -> Result<()> {
    let mut log = Log::new(terminal.clone());
    let place = if resumed { None } else { Some(Place::new(out)?) };
    let corpus = load(config, &log)?;
    if !resumed {
        refuse_training(config, &corpus, memory)?;
    }
    let run = match place {
        Some(place) => MlaRun::begin(config, &corpus, place)?,
        None => MlaRun::go_on(out, config, &corpus)?,
    };
    log = log.keep(&run.folder.path.join("run.log"))?;
    let MlaRun { folder, config, info, mla, .. } = run;
    log.say(&format!(
        "{} parameters, {} at test time; teacher's vectors are computed first",
        info.parameters_train, info.parameters_test
    ))?;
    let learner = Acquisition::new(&config, &corpus, mla)?;
    cut(learner.truncated, CONTEXT, &log)?;
    match to_the_end(Trainer::new(&config, &folder, learner), resumed, until, &folder, &log, terminal)? {
        Some(best) => finish(&folder, &corpus, best, &log, terminal),
        None => Ok(()),
    }
}

const CONTEXT: &str = "the tower's context";

/// Warns of training sentences that are longer than a model reads.
fn cut(sentences: usize, bound: &str, log: &Log) -> Result<()> {
    match sentences {
        0 => Ok(()),
        n => log.warn(&format!("{n} training sentences are longer than {bound} and lose their end")),
    }
}

/// Takes a training in stages to its end, and gives the step of its best checkpoint; nothing, where it stops before, after
/// epoch `until`.
fn to_the_end<L: Learner>(
    mut trainer: Trainer<L>,
    resumed: bool,
    until: Option<usize>,
    folder: &RunFolder,
    log: &Log,
    terminal: &Terminal,
) -> Result<Option<usize>> {
    if resumed {
        trainer.resume()?;
        log.say(&format!("going on after step {} of {}", trainer.state.step, trainer.steps()))?;
    }
    let (done, steps, reached) = (trainer.state.step, trainer.steps(), trainer.epochs());
    let run = &mut |tell: &mut dyn FnMut(Event)| trainer.run(interrupt::flag(), tell);
    let end = follow(done, steps, (reached, until), log, terminal, run)?;
    let asked = until.is_some_and(|epoch| trainer.epochs() >= epoch);
    let over = ended(end, asked, (trainer.state.step, steps, trainer.epochs()), folder, log)?;
    if over && !asked && interrupt::flag().load(Ordering::SeqCst) {
        let what = "stopped after the last step, before the evaluation";
        return Err(Error::stopped(what).at(&folder.path).hint("`--resume` goes on from there"));
    }
    Ok(over.then_some(trainer.state.best_step))
}

/// Says how a training ended; whether it is over, or stopped where it was `asked` to. An error where it was interrupted.
fn ended(
    end: End,
    asked: bool,
    (step, steps, epochs): (usize, usize, usize),
    folder: &RunFolder,
    log: &Log,
) -> Result<bool> {
    match end {
        End::Finished => Ok(true),
        End::Patience => log.say("no better validation for a while: done early").map(|()| true),
        End::Interrupted if asked => {
            log.say(&format!("stopped after epoch {epochs}; `--resume` goes on from there")).map(|()| false)
        }
        End::Interrupted => {
            let what = format!("stopped after step {step} of {steps}");
            Err(Error::stopped(what).at(&folder.path).hint("`--resume` goes on from there"))
        }
    }
}

/// Evaluates the best checkpoint on validation and writes the report.
fn finish(folder: &RunFolder, corpus: &Corpus, best: usize, log: &Log, terminal: &Terminal) -> Result<()> {
    give_back_freed_memory();
    let mut run = open(&folder.path, &[])?;
    let mut evaluation = run.evaluate(corpus, Scope::whole(SplitName::Val))?;
    evaluation.data = Some(fingerprint_of(corpus, SplitName::Val, config::Source::Human)?);
    folder.write_evaluation(&evaluation)?;
    run.fit_joining(corpus)?;
    log.say(&format!("the best checkpoint, after step {best}:\n{evaluation}"))?;
    let page = report::write(&folder.path, terminal)?;
    log.say(&format!("report: {}", page.display()))
}

/// Takes a teller of events through a training.
type Training<'a> = &'a mut dyn FnMut(&mut dyn FnMut(Event)) -> Result<End>;

/// Trains, showing progress and telling of each validation.
fn follow(
    done: usize,
    steps: usize,
    (reached, until): (usize, Option<usize>),
    log: &Log,
    terminal: &Terminal,
    run: Training,
) -> Result<End> {
    if done < steps && until.is_some_and(|epoch| reached >= epoch) {
        return Ok(End::Interrupted);
    }
    let (done, steps) = (done as u64, steps as u64);
    let mut bar = Progress::new(terminal, "training", steps).resumed_at(done);
    let (mut latest, mut told) = (String::new(), Ok(()));
    let end = run(&mut |event| match event {
        Event::Step { loss, .. } => {
            bar.note(&format!("loss {loss:.3}{latest}"));
            bar.advance(1);
        }
        Event::Validation { epoch, evaluation, best } => {
            latest = format!(", val mR {:.1}", evaluation.a);
            if until == Some(epoch) {
                interrupt::flag().store(true, Ordering::SeqCst);
            }
            let line =
                format!("epoch {epoch}: {}{}", recalls(evaluation), if best { ", the best" } else { "" });
            if told.is_ok() {
                told = log.say(&line);
            }
        }
    })?;
    bar.finish();
    told.map(|()| end)
}

fn recalls(evaluation: &Evaluation) -> String {
    let each = evaluation.languages.iter().map(|(l, r)| format!("{l} {:.1}", r.mr)).collect::<Vec<_>>();
    format!("val mR {:.1} ({})", evaluation.a, each.join(", "))
}
