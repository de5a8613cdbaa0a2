//! `tinyglot completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::stdout;
use crate::Result;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tinyglot completions bash > ~/.local/share/bash-completion/completions/tinyglot
  tinyglot completions fish > ~/.config/fish/completions/tinyglot.fish
  tinyglot completions zsh > ~/.zfunc/_tinyglot")]
pub struct Args {
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: Args) -> Result<()> {
    // Into memory first: the generator panics where its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "tinyglot", &mut script);
    stdout::write(|out| out.write_all(&script))
}
