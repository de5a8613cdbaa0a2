//! `tinyglot index`.

use std::path::PathBuf;

use super::pack::Weights;
use super::pictures::Pictures;
use super::stdout;
use super::terminal::Terminal;
use crate::retrieve::Index;
use crate::{Result, run};

/// Turn pictures into vectors once, to search them often
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder holds vectors.npy (a row each, unit length), ids.txt and index.json. It may be larger than memory. It fits the run that it
was made with, that run packed, and runs with a language added to it or taken out.

Examples:
  tinyglot index RUN --gallery features.npy --ids names.txt --out photos
  tinyglot search RUN --language de --index photos \"ein Hund am Strand\"")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Features of the pictures, .npy or .safetensors
    #[arg(long, value_name = "FILE")]
    pub gallery: PathBuf,
    /// Ids of the pictures, one a line [default: those in the gallery's file, or beside it in one that ends in .ids, else row numbers from 0]
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Folder to make
    #[arg(long, value_name = "INDEX")]
    pub out: PathBuf,
    /// Numbers that vectors are kept in
    #[arg(long, value_enum, default_value_t = Weights::F16)]
    pub numbers: Weights,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let pictures = Pictures::open(&args.gallery, args.ids.as_deref(), terminal)?;
    let ids = pictures.each_once();
    let index = Index::make(&*run, &pictures.features, &ids, args.numbers.into(), &args.out)?;
    terminal.say(&format!("{} pictures", index.ids().len()));
    stdout::print(&format!("{}\n", args.out.display()))
}
