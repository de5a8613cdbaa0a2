//! `tinyglot man`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::{Error, Result};

/// Write the manual pages, one per command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tinyglot man ~/.local/share/man/man1")]
pub struct Args {
    /// Folder to write; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let io = |source| Error::writing(&args.folder, source);
    std::fs::create_dir_all(&args.folder).map_err(io)?;
    clap_mangen::generate_to(super::Cli::command(), &args.folder).map_err(io)
}
