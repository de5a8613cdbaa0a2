//! `tinyglot classify`.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::stdout;
use super::terminal::Terminal;
use crate::checksum::sha256;
use crate::corpus::Features;
use crate::eval::classification::{Classes, Classification, read_labels};
use crate::retrieve::classify;
use crate::{Result, run};

/// Name pictures by the nearest class, and say how often it is the right one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each class is the mean of its prompts: every template with the class's name in place of {}. Nothing is trained.

Examples:
  tinyglot classify RUN --language de --classes classes.de.txt --templates prompts.de.txt --images test.npy --labels labels.txt")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language of the names, e.g. de
    #[arg(long, value_name = "CODE")]
    pub language: String,
    /// Names of the classes, one a line
    #[arg(long, value_name = "FILE")]
    pub classes: PathBuf,
    /// Prompts, one a line, each with {} for the name [default: the name alone]
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// Features of the pictures, .npy or .safetensors
    #[arg(long, value_name = "FILE")]
    pub images: PathBuf,
    /// The class of each picture: its number from 0, in the order of the classes, one a line
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// Name of the result, which is kept in RUN/classification/ [default: the name of the pictures' file, and the language]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let language = run.language(&args.language)?;
    let classes = Classes::read(&args.classes, args.templates.as_deref())?;
    let features = Features::open(std::slice::from_ref(&args.images))?;
    run.check_width(&features)?;
    let labels = read_labels(&args.labels, features.rows(), classes.names.len())?;
    let prompts = super::sentences::embedded(&*run, language, &classes.prompts(), terminal)?;
    let accuracy = classify(&*run, &prompts, classes.templates.len(), &features, &labels)?;
    let language = run.languages().swap_remove(language);
    let file = args.images.file_stem().unwrap_or_default().to_string_lossy();
    let result = Classification {
        name: args.name.unwrap_or_else(|| format!("{file}-{language}")),
        language,
        templates: classes.templates.len(),
        data: sha256(Sha256::new().chain_update(format!("{classes:?}{labels:?}"))),
        accuracy,
    };
    // Printed first: a run that cannot be written to is no reason to lose it.
    match args.json {
        true => stdout::print(&(serde_json::to_string(&result.accuracy).expect("plain data") + "\n"))?,
        false => stdout::print(&format!("{}\n", result.accuracy))?,
    }
    run.folder().write_classification(&result).map_err(|e| {
        e.hint("the result is whole as printed, but was not kept; `--json > FILE` puts it elsewhere")
    })
}
