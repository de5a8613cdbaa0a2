//! `tinyglot report`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::stdout;
use super::terminal::Terminal;
use crate::checkpoint::RunFolder;
use crate::sweep::{Cost, SweepFolder, results};
use crate::write::{clear_partial, write_whole};
use crate::{Result, report, run};

/// Write the report of a run or sweep: one HTML page
///
/// Of a run: curves, recalls, parameters and example queries. Of a sweep: recall against parameters, bytes, time and memory, and a table.
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
    /// Cost of a sweep's trials that the page shows first and its table marks the front of
    #[arg(long, value_name = "COST", default_value = Cost::default().name(), value_parser = cost())]
    pub by: Cost,
}

/// A cost by its name.
pub(super) fn cost() -> impl TypedValueParser<Value = Cost> {
    let by_name = |name: String| Cost::ALL.into_iter().find(|cost| cost.name() == name).expect("a name");
    PossibleValuesParser::new(Cost::ALL.map(Cost::name)).map(by_name)
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let page = match SweepFolder::is_one(&args.run) {
        true => write_sweep(&args.run, args.by)?,
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
pub(super) fn write_sweep(folder: &Path, by: Cost) -> Result<PathBuf> {
    let sweep = SweepFolder::new(folder);
    sweep.clear_left_lock();
    let rows = results::read(&sweep.results())?;
    let page = folder.join("report.html");
    write_whole(&page, report::sweep_html(&run::name(folder), &rows, by).as_bytes())?;
    Ok(page)
}
