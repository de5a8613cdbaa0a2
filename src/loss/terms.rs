//! The terms of a loss: their weighted sum, and each value for the metrics.

use dfdx::prelude::*;

use super::{combined, values};
use crate::device::{Dev, Scalar};

/// Records what gradients need.
pub type Taped = OwnedTape<f32, Dev>;

/// One term: its name, its value before weighting, its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// As metrics name it.
    pub name: &'static str,
    /// Before weighting.
    pub raw: f32,
    /// What it is multiplied by in the sum.
    pub weight: f32,
}

/// Sums terms; each is the mean of its parts (languages, or pairs of languages).
#[derive(Default)]
pub struct Total {
    /// Each term's value before weighting, and its weight.
    parts: Vec<(Scalar<Taped>, f32)>,
    terms: Vec<(&'static str, Scalar, f32)>,
    /// What the parts stand on.
    tapes: Vec<Taped>,
}

/// Terms that are still on the device.
#[derive(Default)]
pub struct Terms {
    sum: Option<Scalar>,
    terms: Vec<(&'static str, Scalar, f32)>,
}

impl Total {
    /// Adds a term: the mean of its parts, with this weight in the sum. Nothing, where there are no parts.
    pub fn add(&mut self, name: &'static str, weight: f32, parts: Vec<Scalar<Taped>>) {
        let n = parts.len() as f32;
        if parts.is_empty() {
            return;
        }
        let mean = match <[Scalar<Taped>; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => combined(parts.into_iter().map(|part| (part, 1.0)).collect(), n),
        };
        let (mean, tape) = mean.split_tape();
        self.terms.push((name, mean.clone(), weight));
        self.parts.push((mean.put_tape(tape), weight));
    }

    /// Takes the tape of something that parts were made of.
    pub fn keep_tape(&mut self, tape: Taped) {
        self.tapes.push(tape);
    }

    /// The weighted sum, ready for `backward`, if there is any term; and what it is made of.
    pub fn finish(self) -> (Option<Scalar<Taped>>, Terms) {
        if self.parts.is_empty() {
            return Default::default();
        }
        let (sum, tape) = combined(self.parts, 1.0).split_tape();
        let terms = Terms { sum: Some(sum.clone()), terms: self.terms };
        (Some(sum.put_tape(self.tapes.into_iter().fold(tape, |t, more| t.merge(more)))), terms)
    }
}

impl Terms {
    /// Of names, values and weights.
    pub fn of(terms: Vec<(&'static str, Scalar, f32)>) -> Self {
        let weighted = terms.iter().map(|(_, value, weight)| (value.clone(), *weight)).collect();
        Terms { sum: Some(combined(weighted, 1.0)), terms }
    }

    /// The weighted sum and the terms by value. On a GPU this waits for what it was asked to do.
    pub fn read(&self) -> (f32, Vec<Term>) {
        let (sum, terms, _) = self.read_beside(&[]);
        (sum, terms)
    }

    /// As [`Self::read`], with other numbers of the device, which come in the same copy.
    pub fn read_beside(&self, more: &[&Scalar]) -> (f32, Vec<Term>, Vec<f32>) {
        let own = self.sum.iter().chain(self.terms.iter().map(|(_, raw, _)| raw));
        let mut values = values(own.chain(more.iter().copied()).collect());
        let more = values.split_off(values.len() - more.len());
        let Some((sum, raws)) = values.split_first() else { return (0.0, Vec::new(), more) };
        let term = |((name, _, weight), raw): (&(&'static str, Scalar, f32), &f32)| Term {
            name,
            raw: *raw,
            weight: *weight,
        };
        (*sum, self.terms.iter().zip(raws).map(term).collect(), more)
    }
}
