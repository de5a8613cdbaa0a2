//! `tinyglot embed`.

use std::path::PathBuf;

use clap::ArgGroup;

/// Turn sentences or picture features into vectors of the joint space
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("input").required(true))]
#[command(after_help = "\
Sentences come from standard input, one a line; the vectors (f32 .npy, a row each, unit length) go to standard output.

Examples:
  tinyglot embed runs/demo/run --language de < sentences.txt > sentences.npy
  tinyglot embed runs/demo/run --images features.npy > pictures.npy")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language of the sentences, e.g. de
    #[arg(long, value_name = "CODE", group = "input")]
    pub language: Option<String>,
    /// Picture features, .npy or .safetensors
    #[arg(long, value_name = "FILE", group = "input")]
    pub images: Option<PathBuf>,
}
