//! `tinyglot report`.

use std::path::PathBuf;

/// Write the report of a run: one HTML page with curves, recalls, parameters and example queries
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tinyglot report runs/demo/run        writes runs/demo/run/report.html")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}
