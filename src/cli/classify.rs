//! `tinyglot classify`.

use std::path::{Path, PathBuf};

use super::stdout;
use super::terminal::Terminal;
use crate::corpus::Features;
use crate::eval::classification::{accuracy, class_vectors};
use crate::eval::similarity::Kernel;
use crate::{Error, Result, run};

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
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let language = run.language(&args.language)?;
    let classes = lines(&args.classes)?;
    let templates = match &args.templates {
        Some(file) => templates(file)?,
        None => vec!["{}".to_string()],
    };
    let features = Features::open(std::slice::from_ref(&args.images))?;
    run.check_width(&features)?;
    let labels = labels(&args.labels, features.rows(), classes.len())?;
    let prompts: Vec<String> =
        classes.iter().flat_map(|class| templates.iter().map(move |t| t.replace("{}", class))).collect();
    let vectors = super::sentences::embedded(&*run, language, &prompts, terminal)?;
    let vectors = class_vectors(&vectors, templates.len(), run.joint());
    let (kernel, width) = (Kernel::detect(), run.joint());
    let mut scores = Vec::with_capacity(features.rows() * classes.len());
    run.pictures(&features, &mut |_, pictures| {
        scores.extend(kernel.matrix(pictures, &vectors, width)); // (pictures, classes)
        Ok(())
    })?;
    let result = accuracy(&scores, &labels, classes.len());
    match args.json {
        true => stdout::print(&(serde_json::to_string(&result).expect("plain data") + "\n")),
        false => stdout::print(&format!("{result}\n")),
    }
}

/// The lines of a file, none of them empty.
fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::reading(file, e))?;
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
    match lines.iter().position(String::is_empty) {
        Some(n) => Err(Error::data("is an empty line").at(file).line(n + 1).hint("take the line out")),
        None if lines.is_empty() => Err(Error::data("holds no line").at(file)),
        None => Ok(lines),
    }
}

fn templates(file: &Path) -> Result<Vec<String>> {
    let templates = lines(file)?;
    match templates.iter().position(|t| !t.contains("{}")) {
        Some(n) => {
            let what = format!("`{}` has no {{}}", templates[n]);
            Err(Error::data(what).at(file).line(n + 1).hint("put {} where the class's name belongs"))
        }
        None => Ok(templates),
    }
}

fn labels(file: &Path, images: usize, classes: usize) -> Result<Vec<u32>> {
    let lines = lines(file)?;
    if lines.len() != images {
        let what = format!("holds {} labels for {images} pictures", lines.len());
        return Err(Error::data(what).at(file).hint("one a line, in the order of the pictures"));
    }
    let parse = |(n, line): (usize, &String)| match line.parse::<u32>() {
        Ok(label) if (label as usize) < classes => Ok(label),
        _ => Err(Error::data(format!("is `{line}`; expected a number from 0 to {}", classes - 1))
            .at(file)
            .line(n + 1)),
    };
    lines.iter().enumerate().map(parse).collect()
}
