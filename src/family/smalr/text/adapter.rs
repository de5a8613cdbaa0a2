//! What an added language changes in the shared encoder: a product of low rank beside its last layer.

use std::ops::Range;

use dfdx::prelude::*;

use crate::config::Precision;
use crate::device::{Dev, Matrix};
use crate::init::Init;
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::rows::{select, stack};
use crate::ops::tape::{matrix, vector};
use crate::optim::{Parameter, visit_linear};

/// U (D x + b) + c, added to what the encoder makes of x, after LoRA (Hu et al. 2021, equation 3). It starts at zero.
#[derive(Clone)]
pub struct Adapter {
    /// (rank, inputs)
    pub down: LinearWeights,
    /// (joint, rank)
    pub up: LinearWeights,
}

/// Languages by number, with the places of their sentences.
pub type Spoken<'a> = &'a [(usize, Range<usize>)];

impl Adapter {
    /// `down` (rank, inputs) starts as layers do, `up` (joint, rank) at zero.
    pub fn new(inputs: usize, joint: usize, rank: usize, init: &mut Init) -> Self {
        let up = LinearWeights::new(matrix(vec![0.0; joint * rank], joint, rank), vector(vec![0.0; joint]));
        Adapter { down: init.linear(inputs, rank), up }
    }

    /// How many parameters it has.
    pub fn count(&self) -> usize {
        self.products() + self.down.bias.shape().0 + self.up.bias.shape().0
    }

    /// Multiply–adds of a sentence.
    pub fn products(&self) -> usize {
        [&self.down, &self.up].iter().map(|layer| layer.weight.shape().0 * layer.weight.shape().1).sum()
    }

    /// x (sentences, inputs) → what is added (sentences, joint).
    fn forward<T: Tape<f32, Dev> + 'static>(&self, x: Matrix<T>, precision: Precision) -> Matrix<T> {
        linear(linear(x, &self.down, precision), &self.up, precision)
    }

    /// Every parameter by name, which begins with `name`.
    pub fn visit(&mut self, name: &str, f: &mut dyn FnMut(&str, Parameter)) {
        visit_linear(&format!("{name}.down"), &mut self.down, f);
        visit_linear(&format!("{name}.up"), &mut self.up, f);
    }
}

/// The languages of the sentences at `places`, counted from the first of these.
pub(super) fn within(spoken: Spoken, places: &Range<usize>) -> Vec<(usize, Range<usize>)> {
    let place = |s: usize| s.clamp(places.start, places.end) - places.start;
    let within = spoken.iter().map(|(l, all)| (*l, place(all.start)..place(all.end)));
    within.filter(|(_, some)| !some.is_empty()).collect()
}

/// What is to be added to each sentence (sentences, joint), where a language has an adapter; x (sentences, inputs).
pub(super) fn adapt<T: Tape<f32, Dev> + 'static>(
    adapters: &[Option<Adapter>],
    x: Matrix<T>,
    spoken: Spoken,
    precision: Precision,
) -> Option<Matrix<T>> {
    let adapter = |(l, places): &(usize, Range<usize>)| Some((adapters.get(*l)?.as_ref()?, places.clone()));
    let adapted: Vec<_> =
        spoken.iter().filter_map(adapter).filter(|(_, places)| !places.is_empty()).collect();
    let joint = adapted.first()?.0.up.weight.shape().0;
    // The first row is for sentences of other languages.
    let nothing = matrix(vec![0.0; joint], 1, joint).put_tape(T::default());
    let (mut parts, mut row_of, mut rows) = (vec![nothing], vec![0; x.shape().0], 1);
    for (adapter, places) in adapted {
        let some: Vec<u32> = places.clone().map(|s| s as u32).collect();
        parts.push(adapter.forward(select(x.with_empty_tape(), &some), precision));
        row_of[places].iter_mut().zip(rows..).for_each(|(row, n)| *row = n);
        rows += some.len() as u32;
    }
    Some(select(stack(parts), &row_of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{matrix_gradient, noise, probe, vector_gradient};
    use crate::ops::tape::data;

    fn adapters() -> Vec<Option<Adapter>> {
        let some = |seed: u64| {
            let weights = |rows: usize, columns: usize, seed| {
                LinearWeights::new(
                    matrix(noise(rows * columns, seed), rows, columns),
                    vector(noise(rows, seed + 1)),
                )
            };
            Some(Adapter { down: weights(2, 5, seed), up: weights(3, 2, seed + 2) })
        };
        vec![None, some(10), None, some(20)]
    }

    #[test]
    fn only_the_sentences_of_a_language_meet_its_adapter() {
        let (all, x) = (adapters(), matrix(noise(6 * 5, 1), 6, 5));
        let out = adapt(&all, x.clone(), &[(0, 0..1), (3, 1..3), (2, 3..4), (1, 4..6)], Precision::F32);
        let out = data(&out.expect("two languages have one")).to_vec();
        for (s, language) in [0, 3, 3, 2, 1, 1].into_iter().enumerate() {
            let Some(adapter) = &all[language] else {
                assert!(out[s * 3..][..3].iter().all(|&x| x == 0.0));
                continue;
            };
            let product = |w: &LinearWeights, x: &[f32]| -> Vec<f32> {
                let rows = data(&w.weight)
                    .chunks(x.len())
                    .map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum::<f32>())
                    .collect::<Vec<_>>();
                rows.iter().zip(w.bias.as_vec()).map(|(y, b)| y + b).collect()
            };
            let want = product(&adapter.up, &product(&adapter.down, &data(&x)[s * 5..][..5]));
            for (got, want) in out[s * 3..].iter().zip(want) {
                assert!((got - want).abs() < 1e-5, "sentence {s}: {got}, expected {want}");
            }
        }
        assert!(adapt(&all, x.clone(), &[(0, 0..6)], Precision::F32).is_none());
        assert!(adapt(&all, x, &[(1, 0..0), (7, 0..6)], Precision::F32).is_none());
    }

    #[test]
    fn gradients_are_slopes() {
        let (all, x) = (adapters(), matrix(noise(6 * 5, 1), 6, 5));
        let spoken = [(0, 0..2), (3, 2..6)];
        let value = |all: &[Option<Adapter>], x: &Matrix| {
            probe(adapt(all, x.clone(), &spoken, Precision::F32).expect("an adapter")).array()
        };
        let taped = adapt(&all, x.leaky_trace(), &spoken, Precision::F32).expect("an adapter");
        let grads = probe(taped).backward();
        matrix_gradient("sentences", &x, &grads, 1e-2, 5e-3, |x| value(&all, x));
        let with = |f: &dyn Fn(&mut Adapter)| {
            let mut all = all.clone();
            f(all[3].as_mut().expect("an adapter"));
            value(&all, &x)
        };
        let Adapter { down, up } = all[3].as_ref().expect("an adapter");
        matrix_gradient("down", &down.weight, &grads, 1e-2, 5e-3, |m| with(&|a| a.down.weight = m.clone()));
        vector_gradient("down", &down.bias, &grads, 1e-2, 5e-3, |v| with(&|a| a.down.bias = v.clone()));
        matrix_gradient("up", &up.weight, &grads, 1e-2, 5e-3, |m| with(&|a| a.up.weight = m.clone()));
        vector_gradient("up", &up.bias, &grads, 1e-2, 5e-3, |v| with(&|a| a.up.bias = v.clone()));
    }
}
