//! `tinyglot train`.

use std::path::PathBuf;

use super::config::Source;

/// Train a model
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ctrl-C saves a checkpoint and stops; `--resume` goes on from it, to the same weights as without the stop.

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
    /// Go on from the last checkpoint of the run
    #[arg(long)]
    pub resume: bool,
}
