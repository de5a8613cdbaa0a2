//! The command: reads its arguments, runs it, gives its exit status.

use std::process::ExitCode;

use clap::Parser;
use tinyglot::border;
use tinyglot::cli::{self, Cli};
use tinyglot::device;
use tinyglot::map;
use tinyglot::ops::scratch;

fn main() -> ExitCode {
    scratch::keep_freed_memory();
    map::tell_of_cut_files();
    match border::command(|| device::guarded(|| cli::run(Cli::parse()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::failed(&error),
    }
}
