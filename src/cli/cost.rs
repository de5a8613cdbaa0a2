//! `tinyglot cost`.

use std::path::PathBuf;

use super::stdout;
use crate::write::write_whole;
use crate::{Result, run};

/// Measure what a model costs in use: time of a sentence, and memory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Captions of validation, up to a hundred of each language, are read one at a time on one thread, six times over; the first time does not count. The time is
the median of all others, from the text to the vector. Memory is what the process' resident set grows by from before the model is opened, pages of mapped
files included. Times depend on the machine and on what else it does.

Examples:
  tinyglot cost model
  tinyglot cost model --set data.root=DIR --out cost.json")]
pub struct Args {
    /// Folder of the run, or of the packed one
    #[arg(value_name = "MODEL")]
    pub run: PathBuf,
    /// Set a key of `data` over the configuration, e.g. data.root=DIR
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Write the figures to a file as JSON, too
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    let cost = run::cost(&args.run, &args.set)?;
    if let Some(file) = &args.out {
        let text = serde_json::to_string_pretty(&cost).expect("plain data") + "\n";
        write_whole(file, text.as_bytes())?;
    }
    let memory = cost.resident_bytes.map_or("not known here".into(), |n| format!("{:.1} MB", n as f64 / 1e6));
    stdout::print(&format!(
        "a sentence {:.0} µs, the median of {} on one thread\nopening {:.1} ms\nmemory {memory}\n",
        cost.sentence_us, cost.sentences, cost.open_ms
    ))
}
