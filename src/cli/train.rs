//! `tinyglot train`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::Source;
use super::log::Log;
use super::progress::{Progress, Stages, time};
use super::terminal::Terminal;
use super::{interrupt, report, stdout};
use crate::Result;
use crate::config::{BEST, Config};
use crate::estimate::{self as need, gigabytes};
use crate::eval::Evaluation;
use crate::retrieve::Retriever;
use crate::run::{Options, Told, needs, train_with};
use crate::train::Event;

/// Train a model
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ctrl-C saves a checkpoint and stops; `--resume` goes on from it, to the same weights as without the stop. At the end the
best checkpoint is evaluated on the validation split and RUN/report.html is written.

Examples:
  tinyglot train configs/multi30k-8k.toml --set data.root=DIR
  tinyglot train configs/hem-multi30k.toml --set train.epochs=1 --set 'data.languages=[\"en\", \"de\"]'
  tinyglot train configs/multi30k-8k.toml --set data.root=DIR --dry-run
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
    /// Folder that keeps FastText vectors, pretraining and features of `data.photos`, for other runs on the same data
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Stop after so many epochs, as Ctrl-C would; `--resume` goes on to `train.epochs`
    #[arg(long, value_name = "EPOCHS")]
    pub stop_after: Option<NonZeroUsize>,
    /// Say what the training will need (updates, parameters, memory, time) and train nothing
    #[arg(long, conflicts_with_all = ["out", "resume", "stop_after", "memory"])]
    pub dry_run: bool,
    /// Memory that the training may need, in GB; 0 has no limit [default: what is free]
    ///
    /// What it needs is estimated before any is taken; a training that needs more is refused.
    #[arg(long, value_name = "GB")]
    pub memory: Option<f64>,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let config = args.source.load()?;
    if args.dry_run {
        return needed(&config, args.cache.as_deref(), terminal);
    }
    config.names(trained(&config, args, terminal))
}

fn trained(config: &Config, args: Args, terminal: &Terminal) -> Result<()> {
    let out = args.out.unwrap_or_else(|| default_folder(&args.source.config));
    let options = Options {
        resume: args.resume,
        cache: args.cache.as_deref(),
        memory: args.memory,
        stop_after: args.stop_after.map(NonZeroUsize::get),
        stop: interrupt::flag(),
    };
    followed(config, &out, &options, terminal).map(drop)
}

/// Parts of the memory that are told.
const PARTS: usize = 4;

/// Says what a training will need.
fn needed(config: &Config, cache: Option<&Path>, terminal: &Terminal) -> Result<()> {
    let needs = needs(config, cache)?;
    let (estimate, train, threads) = (&needs.estimate, config.train(), rayon::current_num_threads());
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:12}{value}\n");
    line("family", config.family().as_str().to_string());
    let lines = match needs.lines {
        0 => String::new(),
        lines => format!(", {lines} lines of sentence pairs"),
    };
    let (pictures, captions, languages) = (needs.pictures, needs.captions, needs.languages);
    line("data", format!("{pictures} pictures, {captions} captions in {languages} languages{lines}"));
    if let Some(updates) = estimate.updates {
        line("updates", format!("{updates} in {} epochs", train.epochs));
    }
    if let Some((trained, test)) = estimate.parameters {
        line(
            "parameters",
            format!("{} trained, {} at test time, at most", millions(trained), millions(test)),
        );
    }
    if let Some(bytes) = estimate.memory {
        let free =
            need::machine().map_or(String::new(), |(_, free)| format!("; {} are free", gigabytes(free)));
        line("memory", format!("about {}{free}", gigabytes(bytes)));
        let mut shares = needs.shares;
        shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        for share in shares.iter().take(PARTS) {
            let bytes = share.bytes as f64 / 1e9;
            line("", format!("{bytes:6.2} GB  {}, by `{}`", share.what, share.key));
        }
    }
    if let Some(products) = estimate.products {
        let seconds = need::seconds(products, need::rate(train.precision), threads);
        line("time", format!("about {} with {threads} threads", time(Duration::from_secs_f64(seconds))));
    }
    stdout::print(&text)?;
    terminal.say(
        "memory and time are estimates: the time is that of the products of training at half this processor's rate, without FastText and \
         evaluation; a GPU's is not known",
    );
    Ok(())
}

fn millions(count: usize) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

fn default_folder(config: &Path) -> PathBuf {
    Path::new("runs").join(config.file_stem().unwrap_or(config.as_os_str()))
}

/// Trains from the beginning to the end.
pub(super) fn train(config: &Config, out: &Path, terminal: &Terminal) -> Result<Box<dyn Retriever>> {
    let stop = interrupt::flag();
    let options = Options { resume: false, cache: None, memory: None, stop_after: None, stop };
    Ok(followed(config, out, &options, terminal)?.expect("a run that was trained to its end"))
}

/// Trains, showing progress, and writes the report.
fn followed(
    config: &Config,
    out: &Path,
    options: &Options,
    terminal: &Terminal,
) -> Result<Option<Box<dyn Retriever>>> {
    let mut view = View {
        terminal,
        log: Log::new(terminal.clone()),
        stages: Some(Stages::new(terminal)),
        bar: None,
        latest: String::new(),
        by: config.train().best.clone(),
    };
    let run = train_with(config, out, options, &mut |told| view.show(told))?;
    if run.is_some() {
        let page = report::write(out, terminal)?;
        view.log.say(&format!("report: {}", page.display()))?;
    }
    Ok(run)
}

/// What of a training is on the screen.
struct View<'a> {
    terminal: &'a Terminal,
    log: Log,
    /// Those of the preparation, until the run is there.
    stages: Option<Stages>,
    bar: Option<Progress>,
    /// Of the last validation.
    latest: String,
    /// `train.best`.
    by: String,
}

impl View<'_> {
    fn show(&mut self, told: Told) -> Result<()> {
        match told {
            Told::Line(line) => self.log.say(line),
            Told::Detail(line) => self.log.detail(line),
            Told::Warning(line) => self.log.warn(line),
            Told::Preparing { stage, done, total, loss } => {
                if let Some(stages) = &mut self.stages {
                    stages.at(name(stage), done, total, loss);
                }
                Ok(())
            }
            Told::Begun(folder) => {
                if let Some(mut stages) = self.stages.take() {
                    stages.finish();
                }
                self.log.keep(&folder.path.join("run.log"))
            }
            Told::Training { done, steps } => {
                let bar = Progress::new(self.terminal, "training", steps as u64);
                self.bar = Some(bar.resumed_at(done as u64));
                Ok(())
            }
            Told::Event(Event::Step { loss, .. }) => {
                if let Some(bar) = &mut self.bar {
                    bar.note(&format!("loss {loss:.3}{}", self.latest));
                    bar.advance(1);
                }
                Ok(())
            }
            Told::Event(Event::Validation { epoch, evaluation, best }) => {
                self.latest = format!(", val mR {:.1}", evaluation.a);
                let best = if *best { ", the best" } else { "" };
                self.log.say(&format!("epoch {epoch}: {}{best}", recalls(evaluation, &self.by)))
            }
            Told::Trained => {
                if let Some(bar) = self.bar.take() {
                    bar.finish();
                }
                Ok(())
            }
            Told::Evaluated(_) => Ok(()),
        }
    }
}

/// What a stage of the preparation does, for people.
fn name(stage: &str) -> &str {
    match stage {
        "features" => "photographs into features",
        "teacher" => "sentences read by the teacher",
        "segment" => "captions into words",
        "vectors" => "FastText vectors",
        "align" => "languages into one space",
        "pretrain" => "latent vocabulary",
        other => other,
    }
}

/// Recalls on validation, and the one that `by` names, which the best checkpoint is chosen by.
fn recalls(evaluation: &Evaluation, by: &str) -> String {
    let each = evaluation.languages.iter().map(|(l, r)| format!("{l} {:.1}", r.mr)).collect::<Vec<_>>();
    let chosen = evaluation.metric(by).filter(|_| by != BEST[0]);
    let chosen = chosen.map_or(String::new(), |value| format!(", {by} {value:.1}"));
    format!("val mR {:.1} ({}){chosen}", evaluation.a, each.join(", "))
}
