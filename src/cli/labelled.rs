//! The options that name pictures with classes.

use std::path::PathBuf;

use crate::Result;
use crate::corpus::Features;
use crate::eval::given::{Classes, Known, Labelled, Learnt, read_labels};
use crate::retrieve::Retriever;

/// Pictures with classes: all of it, or nothing.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "labelled", multiple = true, requires_all = ["classes", "images", "labels"])]
pub struct LabelledArgs {
    /// Languages of the classes' names, e.g. de; of several files these alone
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub language: Vec<String>,
    /// Names of the classes, one a line: a file with `--language`, or in several languages files by a pattern such as 'classes.{language}.txt',
    /// or each as CODE=FILE
    #[arg(long, value_name = "FILE", num_args = 1.., required = false)]
    pub classes: Vec<String>,
    /// Prompts, one a line, each with {} for the name: one file for all languages, or as `--classes` has them [default: the name alone]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub templates: Vec<String>,
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
    /// Reads them, for a run, which knows the languages.
    pub fn read(&self, name: Option<&str>, run: &dyn Retriever) -> Result<Labelled> {
        let (languages, config) = (run.languages(), run.config());
        let known = Known { languages: &languages, data: config.data() };
        let asked: Vec<usize> = self.language.iter().map(|code| run.language(code)).collect::<Result<_>>()?;
        let mut notes = Vec::new();
        let classes = Classes::by_language(&self.classes, &self.templates, &asked, known, &mut notes)?;
        let count = classes[0].1.names.len();
        let pictures = Features::open(std::slice::from_ref(&self.images))?;
        run.check_pictures(&pictures)?;
        let labels = read_labels(&self.labels, pictures.rows(), count)?;
        let train = match (&self.train_images, &self.train_labels) {
            (Some(images), Some(labels)) => {
                let pictures = Features::open(std::slice::from_ref(images))?;
                run.check_pictures(&pictures)?;
                let labels = read_labels(labels, pictures.rows(), count)?;
                Some(Learnt { pictures: Box::new(pictures), labels })
            }
            _ => None,
        };
        let file = self.images.file_stem().unwrap_or_default().to_string_lossy();
        let usual = match &classes[..] {
            [(language, _)] => format!("{file}-{language}"),
            _ => file.into_owned(),
        };
        let name = name.map_or(usual, String::from);
        Ok(Labelled { name, classes, pictures: Box::new(pictures), labels, train, notes })
    }
}
