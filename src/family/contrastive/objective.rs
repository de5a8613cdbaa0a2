//! What a step minimises: contrasts between the streams of a batch.

use std::sync::Arc;

use dfdx::prelude::*;

use super::model::{Contrastive, Meets};
use crate::config::{ContrastAnchors, ContrastiveConfig};
use crate::device::Matrix;
use crate::family::chunks::Chunks;
use crate::loss::cached::{Parts, cached};
use crate::loss::list::{PairLoss, Similarities, Streams};
use crate::loss::terms::{Taped, Terms, Total};
use crate::loss::{Anchors, Contrast, InfoNce, Temperature};
use crate::ops::linear::similarity;
use crate::ops::rows::select;
use crate::ops::sequences::Sequences;
use crate::ops::tape::Grads;

/// What a step sees.
#[derive(Default)]
pub(super) struct Batch {
    /// (pictures, width of features); none, where nothing is compared with pictures.
    pub images: Option<Matrix>,
    /// All sentences of the step.
    pub sentences: Arc<Sequences>,
    /// Their pooled states (sentences, width), where nothing that they come from is trained.
    pub states: Option<Matrix>,
    /// Captions that are compared with pictures.
    pub captions: Items,
    /// Sentences that are compared with each other, by what is compared at once.
    pub texts: Vec<[Items; 2]>,
    /// Two captions in two languages of each picture.
    pub triples: [Items; 2],
}

/// Sentences of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Items {
    /// Their places among the batch's sentences.
    pub rows: Vec<u32>,
    /// What they say: equal ones are no negatives of each other. Of captions, the place of their picture in the batch.
    pub ids: Vec<u32>,
}

impl Items {
    pub fn push(&mut self, row: u32, id: u32) {
        self.rows.push(row);
        self.ids.push(id);
    }
}

/// Streams of a batch.
#[derive(Clone, Copy)]
enum Stream {
    Pictures,
    Captions,
    /// Both sides of sentences that say the same.
    Left,
    Right,
    /// Captions of each picture in two languages.
    First,
    Second,
}

/// The vectors of a batch, as far as they are compared.
struct Compared<'a> {
    /// (pictures, joint)
    pictures: Option<Matrix>,
    /// All sentences where they meet pictures: (sentences, joint)
    by_pictures: Option<Matrix>,
    /// All sentences where they meet sentences: (sentences, joint)
    by_texts: Option<Matrix>,
    batch: &'a Batch,
}

impl Compared<'_> {
    fn with_pictures(&self, items: &Items) -> Vec<Similarities> {
        let (Some(pictures), Some(sentences)) = (&self.pictures, &self.by_pictures) else {
            return Vec::new();
        };
        if items.rows.is_empty() {
            return Vec::new();
        }
        let sentences = select(sentences.leaky_trace(), &items.rows);
        let matrix = similarity(pictures.leaky_trace(), sentences);
        let rows = (0..pictures.shape().0 as u32).collect();
        vec![Similarities { matrix, rows, columns: items.ids.clone(), groups: None }]
    }

    fn between(&self, [left, right]: [&Items; 2]) -> Option<Similarities> {
        let sentences = self.by_texts.as_ref().filter(|_| !left.rows.is_empty() && !right.rows.is_empty())?;
        let side = |items: &Items| select(sentences.leaky_trace(), &items.rows);
        let matrix = similarity(side(left), side(right));
        Some(Similarities { matrix, rows: left.ids.clone(), columns: right.ids.clone(), groups: None })
    }
}

impl Streams for Compared<'_> {
    type Stream = Stream;

    fn similarities(&self, between: [Stream; 2]) -> Vec<Similarities> {
        let [first, second] = &self.batch.triples;
        match between {
            [Stream::Pictures, Stream::Captions] => self.with_pictures(&self.batch.captions),
            [Stream::Pictures, Stream::First] => self.with_pictures(first),
            [Stream::Pictures, Stream::Second] => self.with_pictures(second),
            [Stream::First, Stream::Second] => self.between([first, second]).into_iter().collect(),
            [Stream::Left, Stream::Right] => {
                self.batch.texts.iter().filter_map(|[left, right]| self.between([left, right])).collect()
            }
            _ => unreachable!("no loss compares these"),
        }
    }
}

/// The losses of a configuration.
fn losses<'a>(config: &'a ContrastiveConfig, model: &'a Contrastive) -> [PairLoss<'a, Stream>; 5] {
    let (image_text, text_text) = (&config.image_text, &config.text_text);
    let at = |scale: usize, temperature: f32| {
        let trained = model.scales[scale].as_ref();
        InfoNce::at(trained.map_or(Temperature::Fixed(temperature), Temperature::Trained))
    };
    let by_pictures = InfoNce {
        smoothing: image_text.label_smoothing,
        margin: image_text.margin,
        ..at(0, image_text.temperature)
    };
    let anchors = match image_text.anchors {
        ContrastAnchors::Both => Anchors::Both,
        // Pictures are the rows.
        ContrastAnchors::Captions => Anchors::Columns,
    };
    let by_texts = InfoNce {
        smoothing: text_text.label_smoothing,
        margin: text_text.margin,
        ..at(1, text_text.temperature)
    };
    let pair =
        |name, between, by, weight| PairLoss { name, between, by: Contrast::InfoNce(by).into(), weight };
    let third = config.triple.weight / 3.0;
    [
        pair(
            "image_text",
            [Stream::Pictures, Stream::Captions],
            InfoNce { anchors, ..by_pictures },
            image_text.weight,
        ),
        pair("text_text", [Stream::Left, Stream::Right], by_texts, text_text.weight),
        pair("triple_image_a", [Stream::Pictures, Stream::First], by_pictures, third),
        pair("triple_a_b", [Stream::First, Stream::Second], by_texts, third),
        pair("triple_b_image", [Stream::Pictures, Stream::Second], by_pictures, third),
    ]
}

impl Parts<Contrastive> for Chunks {
    fn count(&self) -> usize {
        self.sentences.len()
    }

    fn forward(&self, model: &Contrastive, part: usize) -> Matrix<Taped> {
        model.states(&self.sentences[part], self.seed_of(part))
    }
}

/// The loss of a batch, its terms, and the gradient; nothing, where the batch has nothing to compare.
pub(super) fn gradients(
    model: &mut Contrastive,
    batch: &Batch,
    config: &ContrastiveConfig,
    seed: u64,
) -> Option<(Grads, Terms)> {
    let by_pictures = batch.images.is_some();
    let by_texts = config.triple.weight > 0.0 && !batch.triples[0].rows.is_empty()
        || config.text_text.weight > 0.0 && batch.texts.iter().any(|[left, _]| !left.rows.is_empty());
    let meets_pictures = by_pictures && !(batch.captions.rows.is_empty() && batch.triples[0].rows.is_empty());
    if batch.sentences.is_empty() || !(meets_pictures || by_texts) {
        return None;
    }
    let mut terms = Terms::default();
    let mut loss = |model: &mut Contrastive, states: &Matrix| {
        let mut total = Total::default();
        let mut apart = |x: Matrix<Taped>| {
            let (x, tape) = x.split_tape();
            total.keep_tape(tape);
            x
        };
        let pictures = batch.images.clone().filter(|_| meets_pictures);
        let pictures = pictures.map(|images| apart(model.pictures(images, seed ^ 2)));
        let head = |meets: Meets| model.head(states.leaky_trace(), meets);
        let compared = Compared {
            by_pictures: pictures.is_some().then(|| apart(head(Meets::Pictures))),
            by_texts: by_texts.then(|| apart(head(Meets::Texts))),
            pictures,
            batch,
        };
        total.compare(&compared, &losses(config, model));
        let sum;
        (sum, terms) = total.finish();
        sum.expect("something to compare")
    };
    let grads = match &batch.states {
        Some(states) => loss(model, states).backward(),
        None => cached(model, &Chunks::new(&batch.sentences, config.micro_batch, seed), None, loss),
    };
    Some((grads, terms))
}

#[cfg(test)]
#[path = "objective_tests.rs"]
mod tests;
