//! `tinyglot report`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::stdout;
use super::terminal::Terminal;
use crate::checkpoint::RunFolder;
use crate::error::InFile;
use crate::report::Models;
use crate::sweep::{Cost, Status, SweepFolder, results};
use crate::write::{clear_partial, write_whole};
use crate::{Result, report, run};

/// Write the report of a run or sweep, one HTML page; or a table of several runs
///
/// Of a run: curves, recalls, parameters and example queries. Of a sweep: recall against parameters, bytes, time and memory, and a table. Of
/// several: a row for each, a column for each figure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example queries need the data that the run was trained with; without them the page has all the rest.

The table holds what `tinyglot evaluate` has kept of each run, whatever its family, with the protocols below. Runs of one name are one row, with the mean and
the standard deviation over them; of a sweep each model is a row. Without --table it is printed as Markdown.

Examples:
  tinyglot report runs/demo/run        writes runs/demo/run/report.html
  tinyglot report sweeps/budget        writes sweeps/budget/report.html
  tinyglot report SMALR=runs/s0 SMALR=runs/s1 MLA=runs/mla sweeps/e5 --table models.md --table models.csv --table models.html
  tinyglot report runs/a runs/b --figures 'recall/test/A,bitext/tatoeba/cosine.accuracy/*→en,sts/*/spearman/*'")]
pub struct Args {
    /// Folder of the run, or of the sweep; for a table, several, each as it is or as NAME=FOLDER
    #[arg(value_name = "RUN", required = true)]
    pub run: Vec<PathBuf>,
    /// Write a table of the runs: a page, Markdown or CSV, as the name ends in `.html`, `.md` or `.csv`
    #[arg(long, value_name = "FILE", value_parser = table_file)]
    pub table: Vec<PathBuf>,
    /// Figures of the table as TASK/SET/METRIC/LANGUAGE, in which * stands for any letters but / [default: the main ones of each task]
    #[arg(long, value_name = "FIGURE", value_delimiter = ',')]
    pub figures: Vec<String>,
    /// Cost of a sweep's trials that the page shows first and its table marks the front of
    #[arg(long, value_name = "COST", default_value = Cost::default().name(), value_parser = cost())]
    pub by: Cost,
}

/// A cost by its name.
pub(super) fn cost() -> impl TypedValueParser<Value = Cost> {
    let by_name = |name: String| Cost::ALL.into_iter().find(|cost| cost.name() == name).expect("a name");
    PossibleValuesParser::new(Cost::ALL.map(Cost::name)).map(by_name)
}

/// A file of the table.
fn table_file(name: &str) -> Result<PathBuf, String> {
    match [".html", ".md", ".csv"].iter().any(|ending| name.ends_with(ending)) {
        true => Ok(name.into()),
        false => Err("its name ends in `.html` (a page), `.md` (Markdown) or `.csv`".into()),
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let page = match &args.run[..] {
        [one] if args.table.is_empty() && args.figures.is_empty() && named(one).0.is_none() => {
            match SweepFolder::is_one(one) {
                true => write_sweep(one, args.by)?,
                false => write(one, terminal)?,
            }
        }
        several => return table(several, &args, terminal),
    };
    stdout::print(&format!("{}\n", page.display()))
}

/// Prints or writes the table of some runs.
fn table(runs: &[PathBuf], args: &Args, terminal: &Terminal) -> Result<()> {
    let mut all = Vec::new();
    for given in runs {
        let (name, path) = named(given);
        if !SweepFolder::is_one(path) {
            let name = name.map_or_else(|| run::name(path), String::from);
            all.push(run::measured(path, name).in_file(path)?);
            continue;
        }
        let sweep = SweepFolder::new(path);
        let rows = results::read(&sweep.results())?;
        for row in rows.into_iter().filter(|row| row.status == Status::Done) {
            let name = name.map_or(row.name.clone(), |name| format!("{name}, {}", row.name));
            let run = sweep.trial(&row.id).run().path;
            all.push(run::measured(&run, name).in_file(&run)?);
        }
    }
    for model in all.iter().filter(|model| model.results.is_empty()) {
        terminal
            .warn(&format!("`{}` has no results: `tinyglot evaluate {}` makes them", model.name, model.run));
    }
    let models = Models::new(all, &args.figures)?;
    models.notes.iter().for_each(|note| terminal.warn(note));
    if args.table.is_empty() {
        return stdout::print(&models.markdown());
    }
    for file in &args.table {
        let text = match file.extension().and_then(|ending| ending.to_str()) {
            Some("html") => models.html(),
            Some("csv") => models.csv(),
            _ => models.markdown(),
        };
        write_whole(file, text.as_bytes())?;
    }
    Ok(())
}

/// NAME=FOLDER in its parts; a folder that is there is meant as it is.
fn named(given: &Path) -> (Option<&str>, &Path) {
    match given.to_str().and_then(|text| text.split_once('=')) {
        Some((name, folder)) if !given.exists() => (Some(name), Path::new(folder)),
        _ => (None, given),
    }
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
