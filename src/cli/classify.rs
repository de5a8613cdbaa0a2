//! `tinyglot classify`: the task `classification` alone.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::evaluate::{refuse_other, write};
use super::labelled::LabelledArgs;
use super::stdout;
use super::terminal::Terminal;
use crate::error::InFile;
use crate::eval::Setting;
use crate::eval::given::Given;
use crate::eval::task::classification::Classification;
use crate::eval::task::{Measure, task};
use crate::{Result, run};

/// Name pictures by the nearest class, and say how often it is the right one
#[derive(Debug, clap::Args)]
#[command(mut_group("labelled", |group| group.required(true)))]
#[command(after_help = "\
Each class is the mean of its prompts: every template with the class's name in place of {}. Nothing is trained. It is what
`evaluate --task classification` measures, and its result is kept in RUN/evaluation/classification/, with the matrix of which class is taken for which
beside it as CSV. Where the classes have names in several languages, --json gives the accuracy of each by its code.

Examples:
  tinyglot classify RUN --language de --classes classes.de.txt --templates prompts.de.txt --images test.npy --labels labels.txt
  tinyglot classify RUN --classes 'classes.{language}.txt' --images test.npy --labels labels.txt")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    #[command(flatten)]
    pub labelled: LabelledArgs,
    /// Name of the result [default: the name of the pictures' file, and the language where there is one]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let labelled = args.labelled.read(args.name.as_deref(), &*run)?;
    let name = labelled.name.clone();
    refuse_other(run.folder(), Classification::NAME, &name, Some(&labelled.data()?), false)?;
    let given = Given { labelled: Some(labelled), ..Given::default() };
    let data = Setting {
        set: &name,
        config: run.config(),
        parameters: run.parameters(),
        corpus: None,
        fingerprint: None,
        given: &given,
        fitted: &|_| (),
    };
    let classifying = task(Classification::NAME).expect("one of the tasks");
    let result = classifying.run(&*run.encoder(), &data).in_file(&args.run)?;
    result.warnings.iter().for_each(|warning| terminal.warn(warning));
    // Printed first: a run that cannot be written to is no reason to lose it.
    match Classification::of(&result).filter(|_| args.json) {
        Some(found) => stdout::print(&format!("{}\n", accuracies(&found)))?,
        None => stdout::print(&format!("{}\n", classifying.table(&result)))?,
    }
    write(run.folder(), &[result])
}

/// The accuracy, or that of each language by its code.
fn accuracies(found: &Classification) -> Value {
    match &found.languages[..] {
        [one] => json!(one.accuracy),
        all => all.iter().map(|l| (l.language.clone(), json!(l.accuracy))).collect::<Map<_, _>>().into(),
    }
}
