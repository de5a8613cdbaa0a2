//! `tinyglot data`.

use std::path::PathBuf;

use super::config::Source;

/// Look into a corpus, or make one
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Say what is in the corpus of a configuration, and what is wrong with it
    #[command(after_help = "\
Prints per language: pictures, captions, tokens, vocabulary, share of rare words, words without a vector, duplicates.

Examples:
  tinyglot data check configs/multi30k-8k.toml --set data.root=DIR")]
    Check(Check),
    /// Write the picture corpus: pictures, captions in up to eleven languages, features
    #[command(after_help = "\
The same seed writes the same files.

Examples:
  tinyglot data scenes --out scenes
  tinyglot data scenes --out small --train 200 --val 50 --test 50 --languages en,zh,qu")]
    Scenes(Scenes),
}

#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    pub source: Source,
}

#[derive(Debug, clap::Args)]
pub struct Scenes {
    /// Folder to write; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of the pictures and the captions
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Pictures to train on
    #[arg(long, value_name = "N", default_value_t = 1500)]
    pub train: usize,
    /// Pictures to validate on
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub val: usize,
    /// Pictures to test on
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub test: usize,
    /// Captions per picture and language
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub captions: usize,
    /// Languages of the captions, comma-separated [default: all but qu]
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub languages: Vec<String>,
}
