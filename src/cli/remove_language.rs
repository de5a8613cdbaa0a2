//! `tinyglot remove-language`.

use std::path::PathBuf;

use super::terminal::Terminal;
use super::{report, stdout};
use crate::Result;
use crate::checkpoint::ReservedFolder;
use crate::run::remove_language;

/// Take a language out of a run; the others stay as they are
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tinyglot remove-language runs/en-de-fr-cs cs --out runs/en-de-fr")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language to take out, e.g. cs
    #[arg(value_name = "LANGUAGE")]
    pub language: String,
    /// Folder of the run to be made
    #[arg(long, value_name = "NEWRUN")]
    pub out: PathBuf,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let place = ReservedFolder::new(&args.out)?;
    let folder = remove_language(&args.run, &args.language, place)?;
    report::write(&folder.path, terminal)?;
    stdout::print(&format!("{}\n", folder.path.display()))
}
