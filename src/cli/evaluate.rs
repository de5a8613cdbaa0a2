//! `tinyglot evaluate`.

use std::path::PathBuf;

use clap::ValueEnum;

/// Measure the retrieval of a run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Recalls are in percent. mR is the mean of the six recalls of a language, A the mean over languages, HA over those with
captions by people.

Examples:
  tinyglot evaluate runs/demo/run
  tinyglot evaluate runs/demo/run --split val --json > val.json")]
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
    #[arg(long)]
    pub distractors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    Train,
    Val,
    Test,
}
