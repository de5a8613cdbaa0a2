//! `tinyglot config`.

use std::path::PathBuf;

use super::stdout;
use super::terminal::Terminal;
use crate::config::Config;
use crate::{Result, config};

/// Show, check or describe configurations
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print a configuration whole: defaults filled in, paths in full
    #[command(after_help = "\
Examples:
  tinyglot config show configs/hem-multi30k.toml --diff
  tinyglot config show configs/hem-multi30k.toml --set train.epochs=1 > quick.toml")]
    Show {
        #[command(flatten)]
        source: Source,
        /// Print only what differs from the defaults
        #[arg(long)]
        diff: bool,
    },
    /// Say everything that is wrong with a configuration
    Check {
        #[command(flatten)]
        source: Source,
    },
    /// Print the JSON Schema of a configuration, with the meaning and default of every key
    Schema,
}

/// A configuration file, and what the command line sets over it.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Configuration file (TOML)
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Set a key over the file, e.g. loss.triplet.weight=0; may be given several times
    ///
    /// The value is TOML; a bare word is a string. It replaces the value of the file, whole lists and tables too.
    /// Paths start from the current folder.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Source {
    pub fn load(&self) -> Result<Config> {
        Config::load(&self.config, &self.set)
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    match args.action {
        Action::Show { source, diff: false } => stdout::print(&source.load()?.to_toml()),
        Action::Show { source, diff: true } => stdout::print(&config::differences(&source.load()?)),
        Action::Check { source } => {
            source.load()?;
            terminal.say(&format!("`{}` is well", source.config.display()));
            Ok(())
        }
        Action::Schema => stdout::print(&(config::schema() + "\n")),
    }
}
