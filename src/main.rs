//! The command.

use std::process::ExitCode;

use tinyglot::cli;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), None).into()
}
