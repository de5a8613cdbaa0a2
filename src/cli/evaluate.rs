//! `tinyglot evaluate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::stdout;
use super::terminal::Terminal;
use crate::corpus::{Corpus, SplitName};
use crate::run;
use crate::{Error, Result};

/// Measure the retrieval of a run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Recalls are in percent. mR is the mean of the six recalls of a language, A the mean over languages, HA over those with
captions by people. On test, captions that have translations (`data.translations`) ask together with them too (CLC), and so do
parallel captions (`data.parallel`); CLC-C is fitted on validation and kept in RUN/consistency.json. The result is kept in
RUN/evaluation.

Examples:
  tinyglot evaluate runs/demo/run
  tinyglot evaluate runs/demo/run --split val --json > val.json
  tinyglot evaluate RUN --folds 5 --set data.root=DIR")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Pictures and captions to evaluate on
    #[arg(long, value_enum, default_value_t = Split::Test)]
    pub split: Split,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Put the pictures of the split `distractors`, which have no captions, into the gallery too
    #[arg(long, conflicts_with = "folds")]
    pub distractors: bool,
    /// Cut the pictures into so many galleries and take the mean, e.g. 5 for COCO's 1K
    #[arg(long, value_name = "N", default_value = "1")]
    pub folds: NonZeroUsize,
    /// Set a key of `data` or `consistency` over the run's configuration, e.g. data.root=DIR
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    Train,
    Val,
    Test,
}

impl From<Split> for SplitName {
    fn from(split: Split) -> SplitName {
        match split {
            Split::Train => SplitName::Train,
            Split::Val => SplitName::Val,
            Split::Test => SplitName::Test,
        }
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let mut run = run::open(&args.run, &args.set)?;
    let corpus = Corpus::load(run.config().data(), run.config().base()).map_err(moved)?;
    corpus.notes.iter().for_each(|note| terminal.detail(note));
    let evaluation = run.evaluate(&corpus, args.split.into(), args.distractors, args.folds.get())?;
    run.folder().write_evaluation(&evaluation)?;
    if args.json {
        let json = serde_json::to_string_pretty(&evaluation).expect("plain data");
        return stdout::print(&(json + "\n"));
    }
    stdout::print(&format!("{evaluation}\n"))?;
    if let Some(by_language) = &evaluation.by_language {
        stdout::print(&format!("\n{by_language}\n"))?;
    }
    match &evaluation.consistency {
        Some(consistency) => stdout::print(&format!("\n{consistency}\n")),
        None => Ok(()),
    }
}

/// The run remembers where its data were.
fn moved(error: Error) -> Error {
    error.hint("if the data have moved, `--set data.root=DIR` tells where to")
}
