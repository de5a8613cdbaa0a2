//! `tinyglot report`.

use std::path::{Path, PathBuf};

use super::stdout;
use super::terminal::Terminal;
use crate::{Result, report, run};

/// Write the report of a run: one HTML page with curves, recalls, parameters and example queries
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example queries need the data that the run was trained with; without them the page has all the rest.

Examples:
  tinyglot report runs/demo/run        writes runs/demo/run/report.html")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let page = write(&args.run, terminal)?;
    stdout::print(&format!("{}\n", page.display()))
}

/// Writes the page and gives its path.
pub(super) fn write(run: &Path, terminal: &Terminal) -> Result<PathBuf> {
    let (content, notes) = run::report(run)?;
    notes.iter().for_each(|note| terminal.warn(note));
    let page = run.join("report.html");
    report::write(&page, &content)?;
    Ok(page)
}
