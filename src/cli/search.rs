//! `tinyglot search`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Find the pictures that fit a query
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a query on the command line, queries come from standard input, one a line.

Examples:
  tinyglot search RUN --language de --gallery features.npy \"ein Hund am Strand\" \"zwei Frauen\"
  tinyglot search RUN --language en --gallery features.npy --ids ids.txt -k 3 < queries.txt")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language of the queries, e.g. de
    #[arg(long, value_name = "CODE")]
    pub language: String,
    /// Features of the pictures to search, .npy or .safetensors
    #[arg(long, value_name = "FILE")]
    pub gallery: PathBuf,
    /// Ids of the pictures, one a line [default: row numbers, from 0]
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Pictures to show per query
    #[arg(short, value_name = "K", default_value = "10")]
    pub k: NonZeroUsize,
    /// Queries, each one argument
    #[arg(value_name = "QUERY")]
    pub queries: Vec<String>,
}
