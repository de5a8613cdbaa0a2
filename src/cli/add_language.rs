//! `tinyglot add-language`.

use std::path::PathBuf;

use super::config::Source;
use super::embed_images::featured;
use super::log::Log;
use super::progress::{Progress, Stages};
use super::terminal::Terminal;
use super::{interrupt, report, stdout};
use crate::Result;
use crate::config::Config;
use crate::grow::Addition;
use crate::run::add_language;
use crate::train::Event;

/// Add a language to a trained run, which stays as it is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
CONFIG names the new language in `data.languages`, its captions of pictures in `data.captions`, translations of known
sentences in `grow.translations`, and its word vectors in `words.vectors` (without them FastText is trained on its text).
How it is taught stands in `grow`; everything else is as the run has it. With `grow.teacher` the new sentences go to the
vectors of their translations, by the run itself or by the teacher of `teacher`. On a run of acquisition its acquirer is
trained in the run's own stages, with what `grow.nlt` and `grow.le` set over them. The old languages' results do not change by
a bit. A contrastively trained encoder is trained on as `grow.contrast` says: its languages share it, and all of them change.
An addition that was interrupted goes on with `--resume` from its last checkpoint, to the same bits. NEWRUN is a run like any
other, and more languages can be added to it, in any order.

Examples:
  tinyglot add-language runs/en-de-fr configs/grow/multi30k-8k-cs.toml --set data.root=DIR --out runs/en-de-fr-cs
  tinyglot add-language RUN CONFIG --out NEWRUN --curve 100,300,1000")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub source: Source,
    /// Folder of the run to be made
    #[arg(long, value_name = "NEWRUN")]
    pub out: PathBuf,
    /// Folder that keeps trained FastText vectors, and a teacher's vectors, for other runs on the same texts
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Measure also what fewer sentences teach, e.g. 100,300,1000
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub curve: Vec<usize>,
    /// Go on with an addition that was interrupted
    #[arg(long)]
    pub resume: bool,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let given = Config::load_addition(&args.source.config, &args.source.set)?;
    let add = || add(&args, &featured(&given, args.cache.as_deref(), terminal)?, terminal);
    given.names(add())
}

fn add(args: &Args, given: &Config, terminal: &Terminal) -> Result<()> {
    let addition = Addition {
        run: &args.run,
        given,
        cache: args.cache.as_deref(),
        curve: &args.curve,
        out: &args.out,
        resume: args.resume,
        stop: interrupt::flag(),
    };
    let mut stages = Stages::new(terminal);
    let (mut bar, mut last): (Option<Progress>, usize) = (None, 0);
    let growth = add_language(
        &addition,
        &mut |stage, done, total, loss| {
            stages.at(name(stage), done, total, loss);
            Ok(())
        },
        &mut |event| match event {
            Event::Step { step, steps, loss } => {
                if step <= last
                    && let Some(done) = bar.take()
                {
                    // A training on more sentences begins.
                    done.finish();
                }
                last = step;
                let before = step.saturating_sub(1) as u64;
                let new = || Progress::new(terminal, "training", steps as u64).resumed_at(before);
                let bar = bar.get_or_insert_with(new);
                bar.note(&format!("loss {loss:.3}"));
                bar.advance(u64::from(step > 0));
            }
            Event::Validation { epoch, evaluation, .. } => {
                terminal.say(&format!("epoch {epoch}: val mR {:.1}", evaluation.a));
            }
        },
    )?;
    stages.finish();
    if let Some(bar) = bar {
        bar.finish();
    }
    let log = Log::new(terminal.clone());
    log.keep(&args.out.join("run.log"))?;
    log.detail(&growth.to_string())?;
    stdout::print(&format!("{growth}\n"))?;
    let page = report::write(&args.out, terminal)?;
    log.say(&format!("report: {}", page.display()))
}

/// What a stage does, for people.
fn name(stage: &str) -> &str {
    match stage {
        "vectors" => "FastText vectors",
        "known" => "pictures and known captions",
        other => other,
    }
}
