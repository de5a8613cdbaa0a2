//! `tinyglot demo`.

use std::path::PathBuf;

/// Make the picture corpus, train on it, evaluate, write a report and search: about two minutes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tinyglot demo
  tinyglot demo --out /mnt/demo --seed 2
  tinyglot search runs/demo/run --language en --gallery runs/demo/data/features/test.npy \"a red circle\"")]
pub struct Args {
    /// Folder for the corpus and the run
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub out: PathBuf,
    /// Seed of the pictures, the captions and the training
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
