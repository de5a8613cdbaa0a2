//! `tinyglot language`.

use std::path::PathBuf;

use super::stdout;
use super::terminal::Terminal;
use crate::Result;
use crate::checkpoint::ReservedFolder;
use crate::error::{InFile, Kind};
use crate::family::smalr::language_pack;

/// Take languages out of a packed run, or put them in
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write a language of a packed run to a file of its own
    #[command(after_help = "\
The file holds the language's words, vectors and layers as they are packed. It fits what was packed in the same way from the same run, whatever
languages that has: it holds the hash of what they share.

Examples:
  tinyglot language export model --language de --out de.safetensors")]
    Export {
        /// Folder that `pack` or `shrink` made
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// Its language, e.g. de
        #[arg(long, value_name = "CODE")]
        language: String,
        /// File to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make a packed run with the language of a file in it
    Add {
        /// Folder that `pack` or `shrink` made
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// A file that `export` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Folder to make
        #[arg(long, value_name = "NEWMODEL")]
        out: PathBuf,
    },
    /// Make a packed run without a language
    Remove {
        /// Folder that `pack` or `shrink` made
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// Its language, e.g. de
        #[arg(long, value_name = "CODE")]
        language: String,
        /// Folder to make
        #[arg(long, value_name = "NEWMODEL")]
        out: PathBuf,
    },
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let (Action::Export { model, .. } | Action::Add { model, .. } | Action::Remove { model, .. }) =
        &args.action;
    let model = model.clone();
    let done = match args.action {
        Action::Export { model, language, out } => language_pack::export(&model, &language, &out),
        Action::Add { model, file, out } => {
            let place = ReservedFolder::new(&out)?;
            let (folder, language) = language_pack::add(&model, &file, place)?;
            terminal.say(&format!("`{}` knows `{language}`", folder.path.display()));
            stdout::print(&format!("{}\n", folder.path.display()))
        }
        Action::Remove { model, language, out } => {
            let folder = language_pack::remove(&model, &language, ReservedFolder::new(&out)?)?;
            stdout::print(&format!("{}\n", folder.path.display()))
        }
    };
    done.in_file_if(Kind::Data, &model)
}
