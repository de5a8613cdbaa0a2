//! `tinyglot classify`: the task `classification` alone.

use std::path::PathBuf;

use super::evaluate::write;
use super::stdout;
use super::terminal::Terminal;
use crate::corpus::Features;
use crate::error::InFile;
use crate::eval::classification::{Classes, Labelled, read_labels};
use crate::eval::task::classification::Classifying;
use crate::eval::{Setting, Task};
use crate::retrieve::Retriever;
use crate::{Result, run};

/// Name pictures by the nearest class, and say how often it is the right one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each class is the mean of its prompts: every template with the class's name in place of {}. Nothing is trained. It is what
`evaluate --task classification` measures, and its result is kept in RUN/evaluation/classification/.

Examples:
  tinyglot classify RUN --language de --classes classes.de.txt --templates prompts.de.txt --images test.npy --labels labels.txt")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub labelled: LabelledArgs,
    /// Name of the result [default: the name of the pictures' file, and the language]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Pictures with classes.
#[derive(Debug, Clone, clap::Args)]
pub struct LabelledArgs {
    /// Language of the classes' names, e.g. de
    #[arg(long, value_name = "CODE")]
    pub language: String,
    /// Names of the classes, one a line
    #[arg(long, value_name = "FILE")]
    pub classes: PathBuf,
    /// Prompts, one a line, each with {} for the name [default: the name alone]
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// Features of the pictures that have classes, .npy or .safetensors
    #[arg(long, value_name = "FILE")]
    pub images: PathBuf,
    /// The class of each picture: its number from 0, in the order of the classes, one a line
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
}

impl LabelledArgs {
    /// Reads them, for a run, which names the language.
    pub fn read(&self, name: Option<&str>, run: &dyn Retriever) -> Result<Labelled> {
        let language = run.languages().swap_remove(run.language(&self.language)?);
        let classes = Classes::read(&self.classes, self.templates.as_deref())?;
        let pictures = Features::open(std::slice::from_ref(&self.images))?;
        run.check_width(&pictures)?;
        let labels = read_labels(&self.labels, pictures.rows(), classes.names.len())?;
        let file = self.images.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.map_or_else(|| format!("{file}-{language}"), String::from);
        Ok(Labelled { name, language, classes, pictures: Box::new(pictures), labels })
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let labelled = args.labelled.read(args.name.as_deref(), &*run)?;
    let data = Setting {
        set: &labelled.name,
        config: run.config(),
        parameters: run.parameters(),
        corpus: None,
        fingerprint: None,
        labelled: Some(&labelled),
        fitted: &|_| (),
    };
    let result = Classifying.run(&*run.encoder(), &data).in_file(&args.run)?;
    result.warnings.iter().for_each(|warning| terminal.warn(warning));
    // Printed first: a run that cannot be written to is no reason to lose it.
    match args.json {
        true => stdout::print(&format!("{}\n", result.details["accuracy"]))?,
        false => stdout::print(&format!("{}\n", Classifying.table(&result)))?,
    }
    write(run.folder(), &[result])
}
