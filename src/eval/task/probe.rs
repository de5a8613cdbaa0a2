//! Classification of pictures by classifiers on frozen vectors: nearest neighbours, and a softmax layer.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::classification::LACKS;
use super::clip_benchmark::Entry;
use super::{Kept, Measure, Metric, Setting};
use crate::Result;
use crate::eval::classification::{Accuracy, accuracy};
use crate::eval::encoder::{DualEncoder, add_pictures};
use crate::eval::given::{Labelled, Learnt};
use crate::eval::probe::{self, NEIGHBOURS, TEMPERATURE, softmax_layer, votes};

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

impl Measure for Probed {
    const NAME: &'static str = "probe";

    const ABOUT: &'static str =
        "classes of pictures by nearest neighbours and a softmax layer on frozen vectors";

    const MAIN: &'static [&'static str] = &["knn.top-1", "linear.top-1"];

    type Set<'a> = (&'a Labelled, &'a Learnt);

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        let labelled = data.given.labelled.as_ref().ok_or(LACKS)?;
        let none = "no pictures to learn from are given: `--train-images` and `--train-labels` name them";
        Ok((labelled, labelled.train.as_ref().ok_or(none)?))
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.0.name.clone(), Some(set.0.learnt_data(set.1)?)))
    }

    fn measure(
        model: &dyn DualEncoder,
        (labelled, learnt): Self::Set<'_>,
        _: &Setting,
    ) -> Result<(Self, Vec<String>)> {
        Ok((classify(model, labelled, learnt)?, Vec::new()))
    }

    fn metrics(&self) -> Vec<Metric> {
        let of = |kind: &str, accuracy: &Accuracy| {
            [("top-1", accuracy.top1), ("top-5", accuracy.top5)]
                .map(|(k, v)| Metric::percent(format!("{kind}.{k}"), None, v))
        };
        [of("knn", &self.knn), of("linear", &self.linear)].concat()
    }

    fn clip_benchmark(&self) -> Vec<Entry> {
        vec![Entry::linear_probe(&self.linear)]
    }

    fn protocol(&self) -> String {
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

/// Learns the classes of the training pictures and measures them on the others.
///
/// # Errors
/// Data: pictures of another width than those that the model was trained on, or numbers that are too large.
fn classify(model: &dyn DualEncoder, what: &Labelled, given: &Learnt) -> Result<Probed> {
    let (width, classes) = (model.joint(), what.count());
    let (mut learnt, mut asked) = (Vec::new(), Vec::new());
    add_pictures(model, &*given.pictures, &mut learnt)?;
    add_pictures(model, &*what.pictures, &mut asked)?;
    let train = probe::Labelled { rows: &learnt, labels: &given.labels };
    let knn = accuracy(&votes(train, &asked, classes, width), &what.labels, classes);
    let c = strength(train, classes, width);
    let layer = softmax_layer(train, classes, width, c);
    let linear = accuracy(&layer.logits(asked), &what.labels, classes);
    Ok(Probed { train: given.labels.len(), knn, linear, c })
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

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "knn    {}", self.knn)?;
        writeln!(f, "linear {}", self.linear)?;
        write!(f, "{}", self.protocol())
    }
}
