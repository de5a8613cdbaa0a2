//! Zero-shot classification of pictures by prompts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clip_benchmark::Entry;
use super::{Metric, Reads, Setting, Task, TaskResult, document, shown};
use crate::eval::classification::{Accuracy, Labelled, accuracy, class_vectors};
use crate::eval::encoder::{DualEncoder, place};
use crate::eval::similarity::{Kernel, check_finite};
use crate::{Error, Result};

/// The task `classification`.
pub struct Classifying;

/// Its name.
pub const NAME: &str = "classification";

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// The language of the classes' names.
    pub language: String,
    /// Prompts of each class, whose mean is its vector.
    pub templates: usize,
    /// Of all pictures.
    pub accuracy: Accuracy,
}

impl Task for Classifying {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "how often a picture is nearest to its class by name, without training"
    }

    fn reads(&self) -> Reads {
        Reads::Given
    }

    fn lacks(&self, data: &Setting) -> Option<String> {
        data.given.labelled.is_none().then(|| {
            "no pictures with classes are given: `--classes`, `--images`, `--labels` and `--language` name them".into()
        })
    }

    fn run(&self, model: &dyn DualEncoder, data: &Setting) -> Result<TaskResult> {
        match (&data.given.labelled, self.lacks(data)) {
            (Some(labelled), _) => classify(model, labelled),
            (None, why) => Err(Error::data(why.unwrap_or_default())),
        }
    }

    fn table(&self, result: &TaskResult) -> String {
        shown::<Classification>(result)
    }

    fn clip_benchmark(&self, result: &TaskResult) -> Vec<Entry> {
        let found = Classification::deserialize(&result.details);
        found.iter().map(|found| Entry::classification(&found.language, &found.accuracy)).collect()
    }
}

/// Names pictures by the nearest class, and says how often it is the right one.
///
/// # Errors
/// Usage, for a language that the model does not know; data: pictures of another width than those that it was trained on, numbers that are
/// too large, or vectors that are not finite.
pub fn classify(model: &dyn DualEncoder, what: &Labelled) -> Result<TaskResult> {
    let known = model.languages();
    let place = place(&known, &what.language)?;
    let (language, pictures) = (known[place].clone(), &*what.pictures);
    model.check_width(pictures)?;
    let (kernel, joint, templates) = (Kernel::detect(), model.joint(), what.classes.templates.len());
    let prompts = what.classes.prompts();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let sentences = model.sentences(place, &prompts);
    check_finite(&sentences.vectors, joint, &format!("the model's vectors: `{language}`"))?;
    let vectors = class_vectors(&sentences.vectors, templates, joint);
    let classes = what.classes.names.len();
    let mut scores = Vec::with_capacity(pictures.rows() * classes);
    model.pictures(pictures, &mut |_, some| {
        scores.extend(kernel.matrix(some, &vectors, joint)); // (pictures, classes)
        Ok(())
    })?;
    let accuracy = accuracy(&scores, &what.labels, classes);
    let warnings = sentences.warnings(&prompts, &language);
    let result = Classification { language, templates, accuracy }.result(what.name.clone(), what.data()?);
    Ok(TaskResult { warnings, ..result })
}

impl Classification {
    /// As it is kept. `data`: SHA-256 of classes, templates, labels and pictures.
    pub(crate) fn result(self, name: String, data: String) -> TaskResult {
        let Classification { language, templates, accuracy } = &self;
        let metric = |name, value| Metric::percent(name, Some(language), value);
        let protocol = format!(
            "{} pictures, each named by the nearest of {} classes; a class is the mean of its {templates} prompts in `{language}`; percent",
            accuracy.images, accuracy.classes
        );
        TaskResult {
            task: NAME.into(),
            name,
            data: Some(data),
            protocol,
            metrics: vec![metric("top-1", accuracy.top1), metric("top-5", accuracy.top5)],
            details: document(&self),
            warnings: Vec::new(),
        }
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.accuracy.fmt(f)
    }
}
