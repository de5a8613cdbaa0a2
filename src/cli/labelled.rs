//! The options that name pictures with classes.

use std::path::PathBuf;

use crate::Result;
use crate::corpus::Features;
use crate::eval::classification::{Classes, Labelled, Learnt, read_labels};
use crate::retrieve::Retriever;

/// Pictures with classes: all of it, or nothing.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "labelled", multiple = true, requires_all = ["language", "classes", "images", "labels"])]
pub struct LabelledArgs {
    /// Language of the classes' names, e.g. de
    #[arg(long, value_name = "CODE", required = false)]
    pub language: String,
    /// Names of the classes, one a line
    #[arg(long, value_name = "FILE", required = false)]
    pub classes: PathBuf,
    /// Prompts, one a line, each with {} for the name [default: the name alone]
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// Features of the pictures that have classes, .npy or .safetensors
    #[arg(long, value_name = "FILE", required = false)]
    pub images: PathBuf,
    /// The class of each picture: its number from 0, in the order of the classes, one a line
    #[arg(long, value_name = "FILE", required = false)]
    pub labels: PathBuf,
    /// Features of other pictures to learn the classes from, for the task `probe`
    #[arg(long, value_name = "FILE", requires = "train_labels")]
    pub train_images: Option<PathBuf>,
    /// The class of each of these
    #[arg(long, value_name = "FILE", requires = "train_images")]
    pub train_labels: Option<PathBuf>,
}

impl LabelledArgs {
    /// Reads them, for a run, which names the language.
    pub fn read(&self, name: Option<&str>, run: &dyn Retriever) -> Result<Labelled> {
        let language = run.languages().swap_remove(run.language(&self.language)?);
        let classes = Classes::read(&self.classes, self.templates.as_deref())?;
        let pictures = Features::open(std::slice::from_ref(&self.images))?;
        run.check_pictures(&pictures)?;
        let labels = read_labels(&self.labels, pictures.rows(), classes.names.len())?;
        let train = match (&self.train_images, &self.train_labels) {
            (Some(images), Some(labels)) => {
                let pictures = Features::open(std::slice::from_ref(images))?;
                run.check_pictures(&pictures)?;
                let labels = read_labels(labels, pictures.rows(), classes.names.len())?;
                Some(Learnt { pictures: Box::new(pictures), labels })
            }
            _ => None,
        };
        let file = self.images.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.map_or_else(|| format!("{file}-{language}"), String::from);
        Ok(Labelled { name, language, classes, pictures: Box::new(pictures), labels, train })
    }
}
