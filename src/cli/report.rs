//! `tinyglot report`.

use std::path::{Path, PathBuf};

use super::stdout;
use super::terminal::Terminal;
use crate::checkpoint::RunFolder;
use crate::sweep::{SweepFolder, results};
use crate::write::{clear_partial, write_whole};
use crate::{Result, report, run};

/// Write the report of a run or sweep: one HTML page
///
/// Of a run: curves, recalls, parameters and example queries. Of a sweep: parameters against recall, and a table.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example queries need the data that the run was trained with; without them the page has all the rest.

Examples:
  tinyglot report runs/demo/run        writes runs/demo/run/report.html
  tinyglot report sweeps/budget        writes sweeps/budget/report.html")]
pub struct Args {
    /// Folder of the run, or of the sweep
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let page = match SweepFolder::is_one(&args.run) {
        true => write_sweep(&args.run)?,
        false => write(&args.run, terminal)?,
    };
    stdout::print(&format!("{}\n", page.display()))
}

/// Writes the page and gives its path.
pub(super) fn write(run: &Path, terminal: &Terminal) -> Result<PathBuf> {
    let (content, notes) = run::report(run)?;
    notes.iter().for_each(|note| terminal.warn(note));
    let page = run.join("report.html");
    clear_partial(run)?;
    RunFolder::new(run).clear_left_lock();
    write_whole(&page, report::html(&content).as_bytes())?;
    Ok(page)
}

/// Writes the page of a sweep from its results and gives its path.
pub(super) fn write_sweep(folder: &Path) -> Result<PathBuf> {
    let sweep = SweepFolder::new(folder);
    sweep.clear_left_lock();
    let rows = results::read(&sweep.results())?;
    let page = folder.join("report.html");
    write_whole(&page, report::sweep_html(&run::name(folder), &rows).as_bytes())?;
    Ok(page)
}
