//! `tinyglot acquirer`.

use std::path::PathBuf;

use super::terminal::Terminal;
use crate::Result;
use crate::error::{InFile, Kind};
use crate::family::mla::run::MlaRun;

/// Take languages out of a run of acquisition, or put them in
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write the acquirer of a language to a file of its own
    #[command(after_help = "\
The file fits runs with the same tower and embedding: it holds their hash. Beside it, as .md, stands what it is.

Examples:
  tinyglot acquirer export runs/mla --language de --out de.safetensors")]
    Export {
        /// Folder of the run
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// Its language, e.g. de
        #[arg(long, value_name = "CODE")]
        language: String,
        /// File to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Add the language of a file to a run
    Add {
        /// Folder of the run
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// A file that `export` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take an added language out of a run
    Remove {
        /// Folder of the run
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// Its language, e.g. de
        #[arg(long, value_name = "CODE")]
        language: String,
    },
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let (Action::Export { run, .. } | Action::Add { run, .. } | Action::Remove { run, .. }) = &args.action;
    let mut open = MlaRun::open(run, &[]).in_file_if(Kind::Data, run)?;
    match &args.action {
        Action::Export { language, out, .. } => open.export(language, out),
        Action::Add { run, file } => {
            let language = open.add(file).in_file_if(Kind::Data, file)?;
            terminal.say(&format!("`{}` has learned `{language}`", run.display()));
            Ok(())
        }
        Action::Remove { language, .. } => open.remove(language),
    }
}
