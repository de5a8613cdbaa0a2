//! Classification of pictures by classifiers on frozen vectors: nearest neighbours, and a softmax layer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clip_benchmark::Entry;
use super::{Metric, Reads, Setting, Task, TaskResult, document, shown};
use crate::eval::classification::{Accuracy, Labelled, accuracy};
use crate::eval::encoder::{DualEncoder, add_pictures};
use crate::eval::probe::{self, NEIGHBOURS, TEMPERATURE, softmax_layer, votes};
use crate::{Error, Result};

/// The task `probe`.
pub struct Probing;

/// Its name.
pub const NAME: &str = "probe";

/// Inverse strengths of the softmax layer's regulariser, of which one is chosen.
const STRENGTHS: [f32; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];
/// Every so many training pictures one is held out to choose by.
const HELD_OUT: usize = 5;

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probed {
    /// Pictures that the classifiers learnt from.
    pub train: usize,
    /// By the votes of the nearest training pictures.
    pub knn: Accuracy,
    /// By a softmax layer.
    pub linear: Accuracy,
    /// Its C, as chosen.
    #[serde(rename = "C")]
    pub c: f32,
}

impl Task for Probing {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "classes of pictures by nearest neighbours and a softmax layer on frozen vectors"
    }

    fn reads(&self) -> Reads {
        Reads::Given
    }

    fn lacks(&self, data: &Setting) -> Option<String> {
        match &data.given.labelled {
            None => Some("no pictures with classes are given: `--classes`, `--images`, `--labels` and `--language` name them".into()),
            Some(labelled) if labelled.train.is_none() => {
                Some("no pictures to learn from are given: `--train-images` and `--train-labels` name them".into())
            }
            Some(_) => None,
        }
    }

    fn run(&self, model: &dyn DualEncoder, data: &Setting) -> Result<TaskResult> {
        match (&data.given.labelled, self.lacks(data)) {
            (Some(labelled), None) => classify(model, labelled),
            (_, why) => Err(Error::data(why.unwrap_or_default())),
        }
    }

    fn table(&self, result: &TaskResult) -> String {
        shown::<Probed>(result)
    }

    fn clip_benchmark(&self, result: &TaskResult) -> Vec<Entry> {
        Probed::deserialize(&result.details).iter().map(|found| Entry::linear_probe(&found.linear)).collect()
    }
}

/// Learns the classes of the training pictures and measures them on the others.
///
/// # Errors
/// Data: no pictures to learn from, pictures of another width than those that the model was trained on, or numbers that are too large.
pub fn classify(model: &dyn DualEncoder, what: &Labelled) -> Result<TaskResult> {
    let Some(given) = &what.train else {
        return Err(Error::data("no pictures to learn from are given"));
    };
    let (width, classes) = (model.joint(), what.classes.names.len());
    let (mut learnt, mut asked) = (Vec::new(), Vec::new());
    add_pictures(model, &*given.pictures, &mut learnt)?;
    add_pictures(model, &*what.pictures, &mut asked)?;
    let train = probe::Labelled { rows: &learnt, labels: &given.labels };
    let knn = accuracy(&votes(train, &asked, classes, width), &what.labels, classes);
    let c = strength(train, classes, width);
    let layer = softmax_layer(train, classes, width, c);
    let linear = accuracy(&layer.logits(asked), &what.labels, classes);
    let found = Probed { train: given.labels.len(), knn, linear, c };
    Ok(found.result(what.name.clone(), what.learnt_data(given)?))
}

/// The C that classifies best what is held out; the first of equals, which is the strongest.
fn strength(train: probe::Labelled, classes: usize, width: usize) -> f32 {
    let part = |held: bool| {
        let places = (0..train.labels.len()).filter(|n| (n % HELD_OUT == HELD_OUT - 1) == held);
        let (rows, labels): (Vec<&[f32]>, Vec<u32>) =
            places.map(|n| (&train.rows[n * width..][..width], train.labels[n])).unzip();
        (rows.concat(), labels)
    };
    let ((rows, labels), (held, answers)) = (part(false), part(true));
    if answers.is_empty() {
        return 1.0;
    }
    let mut best = (f64::NEG_INFINITY, 1.0);
    for c in STRENGTHS {
        let layer = softmax_layer(probe::Labelled { rows: &rows, labels: &labels }, classes, width, c);
        let reached = accuracy(&layer.logits(held.clone()), &answers, classes).top1;
        if reached > best.0 {
            best = (reached, c);
        }
    }
    best.1
}

impl Probed {
    fn result(&self, name: String, data: String) -> TaskResult {
        let of = |kind: &str, accuracy: &Accuracy| {
            [("top-1", accuracy.top1), ("top-5", accuracy.top5)]
                .map(|(k, v)| Metric::percent(format!("{kind}.{k}"), None, v))
        };
        TaskResult {
            task: NAME.into(),
            name,
            data: Some(data),
            protocol: self.protocol(),
            metrics: [of("knn", &self.knn), of("linear", &self.linear)].concat(),
            details: document(self),
            warnings: Vec::new(),
        }
    }

    /// How the figures were made, in a sentence.
    pub fn protocol(&self) -> String {
        format!(
            "{} pictures of {} classes, {} to learn from, on frozen vectors of unit length; knn: the {NEIGHBOURS} nearest vote with \
             exp(cos / {TEMPERATURE}); linear: multinomial logistic regression with C = {} in L2, chosen of {} on every fifth training picture; \
             percent",
            self.knn.images,
            self.knn.classes,
            self.train,
            self.c,
            STRENGTHS.map(|c| c.to_string()).join(", ")
        )
    }
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "knn    {}", self.knn)?;
        writeln!(f, "linear {}", self.linear)?;
        write!(f, "{}", self.protocol())
    }
}
