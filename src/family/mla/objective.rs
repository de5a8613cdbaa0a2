//! The losses of the two stages, their terms, and their gradient by micro-batches.

use std::sync::Arc;

use dfdx::prelude::*;

use super::data::{Draw, StageData};
use super::{Drop, Mla};
use crate::config::Objective;
use crate::device::{Matrix, Scalar, Vector};
use crate::loss::cached::{Parts, cached};
use crate::loss::terms::{Taped, Terms};
use crate::loss::{Contrast, InfoNce, Temperature, Value, combined, contrast, on_tape};
use crate::ops::leaf::Leaf;
use crate::ops::linear::{similarity, unit_rows};
use crate::ops::on_gpu;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{Grads, data, matrix};
use crate::ops::transformer::Pass;

/// What sentences are compared with their vectors by.
#[derive(Clone, Copy)]
pub struct Aim {
    /// The loss.
    pub objective: Objective,
    /// Whether `Mse` compares vectors at unit length, or as they are.
    pub unit: bool,
    /// Of `Nce`.
    pub temperature: f32,
    /// Whether the scale that the model trains, if it trains one, stands for the temperature.
    pub scaled: bool,
    /// Of the term in the sum.
    pub weight: f32,
    /// Sentences of a micro-batch; 0 takes all.
    pub micro_batch: usize,
    /// Probability with which elements that enter the encoder are dropped.
    pub dropout: f32,
    /// How the encoder is computed.
    pub pass: Pass,
}

/// A batch of a step, and a term of its loss.
pub struct Task<'a> {
    /// Of the term.
    pub name: &'static str,
    /// What the batch is drawn from.
    pub data: &'a StageData,
    /// What the batch has of the data.
    pub draw: Draw,
    /// What the batch is compared by.
    pub aim: Aim,
    /// For dropout.
    pub seed: u64,
}

/// The terms of a step's loss and the gradients of all that is trained.
pub fn gradients(mla: &mut Mla, tasks: &[Task]) -> (Terms, Grads) {
    let (mut total, mut terms) = (None, Vec::new());
    for task in tasks {
        let (value, grads) = pull(mla, task, total.take());
        terms.push((task.name, value, task.aim.weight));
        total = Some(grads);
    }
    (Terms::of(terms), total.unwrap_or_else(Grads::leaky))
}

/// The loss of a batch, and its gradients by its weight beside those that there are.
fn pull(mla: &mut Mla, task: &Task, before: Option<Grads>) -> (Scalar, Grads) {
    let Task { data: stage, draw, aim, seed, .. } = task;
    let pairs = &stage.languages[draw.language];
    let batch = stage.sentences(draw);
    let joint = mla.joint();
    let rows = draw.sentences.iter().map(|&s| pairs.rows[s as usize]);
    let targets = rows.flat_map(|r| &stage.vectors[r as usize * joint..][..joint]).copied().collect();
    let targets = matrix(targets, batch.len(), joint);
    let size = if aim.micro_batch == 0 { batch.len() } else { aim.micro_batch };
    let parts = (0..batch.len()).step_by(size).map(|first| Part::new(&batch, first, size)).collect();
    let batch = MicroBatches { parts, language: draw.language, aim: *aim, seed: *seed };
    let mut value = None;
    let grads = cached(mla, &batch, before, |mla, vectors| {
        let loss = loss(vectors.leaky_trace(), targets, mla.scale.as_ref(), *aim);
        let (raw, tape) = loss.split_tape();
        value = Some(raw.clone());
        combined(vec![(raw.put_tape(tape), aim.weight)], 1.0)
    });
    (value.expect("the loss was computed"), grads)
}

/// A batch by micro-batches.
struct MicroBatches {
    parts: Vec<Part>,
    language: usize,
    aim: Aim,
    seed: u64,
}

impl Parts<Mla> for MicroBatches {
    fn count(&self) -> usize {
        self.parts.len()
    }

    /// Sentences as vectors (sentences, joint), not of unit length.
    fn forward(&self, mla: &Mla, part: usize) -> Matrix<Taped> {
        let Part { sentences, tokens } = &self.parts[part];
        let drop = Drop { p: self.aim.dropout, seed: self.seed, tokens };
        mla.forward(&mla.acquirers[self.language], sentences, Some(drop), self.aim.pass)
    }
}

/// Some sentences of a batch.
struct Part {
    sentences: Arc<Sequences>,
    /// Numbers of their tokens in the batch.
    tokens: Vec<u32>,
}

impl Part {
    fn new(batch: &Sequences, first: usize, count: usize) -> Self {
        let end = batch.len().min(first + count);
        let mut sentences = Sequences::new();
        (first..end).for_each(|s| sentences.push(batch.get(s).iter().copied()));
        let tokens = (batch.starts[first]..batch.starts[end]).collect();
        Part { sentences: Arc::new(sentences), tokens }
    }
}

/// y (n, joint) against targets (n, joint), row by row.
fn loss(y: Matrix<Taped>, targets: Matrix, scale: Option<&Leaf<Vector>>, aim: Aim) -> Scalar<Taped> {
    match aim.objective {
        Objective::Mse => {
            let (y, targets) = if aim.unit { (unit_rows(y), unit_rows(targets)) } else { (y, targets) };
            on_gpu!(|_gpu| crate::loss::mean_square_on_gpu(y, targets));
            on_tape(y, |x| mean_square(x, &data(&targets)))
        }
        Objective::Nce => {
            let n = targets.shape().0 as u32;
            let s = similarity(unit_rows(targets).put_tape(Taped::default()), unit_rows(y));
            let places: Vec<u32> = (0..n).collect();
            let temperature = scale.filter(|_| aim.scaled);
            let temperature = temperature.map_or(Temperature::Fixed(aim.temperature), Temperature::Trained);
            contrast(s, &places, &places, Contrast::InfoNce(InfoNce::at(temperature)))
        }
    }
}

/// The mean of (x − target)² over all elements of two matrices of one shape.
fn mean_square(x: &[f32], targets: &[f32]) -> Value {
    let n = x.len().max(1) as f32;
    let differences: Vec<f32> = x.iter().zip(targets).map(|(x, t)| x - t).collect();
    let value = differences.iter().map(|&d| d as f64 * d as f64).sum::<f64>() as f32 / n;
    Value { value, grad: differences.iter().map(|d| 2.0 * d / n).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AcquirerShape, Precision};
    use crate::family::mla::data::Pairs as Sentences;
    use crate::family::mla::tests::model;
    use crate::gradcheck::{by_name, matrix_gradient, noise, vector_gradient};
    use crate::ops::tape::vector;
    use crate::optim::ParameterTree;

    const PASS: Pass = Pass { precision: Precision::F32, recompute: false };

    fn aim(objective: Objective, unit: bool) -> Aim {
        Aim {
            objective,
            unit,
            temperature: 0.2,
            scaled: false,
            weight: 1.0,
            micro_batch: 0,
            dropout: 0.0,
            pass: PASS,
        }
    }

    #[test]
    fn gradients_of_the_losses_are_slopes() {
        let (y, targets) = (matrix(noise(20, 1), 5, 4), matrix(noise(20, 2), 5, 4));
        for (objective, unit) in [(Objective::Mse, false), (Objective::Mse, true), (Objective::Nce, false)] {
            let aim = aim(objective, unit);
            let value = |y: &Matrix| loss(y.leaky_trace(), targets.clone(), None, aim).array();
            let grads = loss(y.leaky_trace(), targets.clone(), None, aim).backward();
            matrix_gradient("vectors", &y, &grads, 1e-3, 1e-2, value);
        }
        let scale = Leaf::trained(vector(vec![1.5]));
        let aim = Aim { scaled: true, ..aim(Objective::Nce, true) };
        let value =
            |y: &Matrix, s: &Leaf<Vector>| loss(y.leaky_trace(), targets.clone(), Some(s), aim).array();
        let grads = loss(y.leaky_trace(), targets.clone(), Some(&scale), aim).backward();
        matrix_gradient("vectors", &y, &grads, 1e-3, 1e-2, |y| value(y, &scale));
        vector_gradient("scale", &scale.value, &grads, 1e-3, 1e-2, |s| value(&y, &Leaf::trained(s.clone())));
    }

    /// Over all numbers of all rows; at unit length it is 2 − 2 cos over the width.
    #[test]
    fn mean_square_is_that_of_its_definition() {
        let of = |unit| {
            let (y, t) = (matrix(vec![1.0, 2.0, 0.0, 3.0], 2, 2), matrix(vec![0.0, 4.0, 3.0, 0.0], 2, 2));
            loss(y.leaky_trace(), t, None, aim(Objective::Mse, unit)).array()
        };
        assert_eq!(of(false), (1.0 + 4.0 + 9.0 + 9.0) / 4.0);
        let cosines = [2.0 / 5f32.sqrt(), 0.0];
        let mean = cosines.iter().map(|cos| (2.0 - 2.0 * cos) / 2.0).sum::<f32>() / 2.0;
        assert!((of(true) - mean).abs() < 1e-6, "{} {mean}", of(true));
    }

    /// Sentences of two languages, and vectors that they are compared with.
    fn stage(mla: &Mla, texts: &[&str], seed: u64) -> StageData {
        let sentences = mla.acquired_tokens("de", texts).ids;
        let pairs = Sentences::new(sentences, (0..texts.len() as u32).collect());
        let none = Sentences::new(Sequences::new(), Vec::new());
        let vectors = noise(texts.len() * mla.joint(), seed);
        StageData { languages: vec![none, pairs], vectors, truncated: 0 }
    }

    const TEXTS: [&str; 6] =
        ["Ein Hund läuft", "Eine Straße", "Hund und Hund", "Žena", "Un homme à vélo", "läuft"];

    /// Of a task: what it learns from, which sentences, to what end.
    type Given = (StageData, Vec<u32>, Aim);

    /// The loss and all gradients of some tasks, by name.
    fn all(tasks: &dyn Fn(&Mla) -> Vec<Given>) -> (f32, Vec<(String, Vec<f32>)>) {
        let mut mla = model(&["de", "cs"], AcquirerShape::Mlp);
        mla.scale = Some(Leaf::trained(vector(vec![2.0])));
        let tasks = tasks(&mla);
        let tasks: Vec<Task> = tasks
            .iter()
            .map(|(data, sentences, aim)| {
                let draw = Draw { language: 1, sentences: sentences.clone() };
                Task { name: "some", data, draw, aim: *aim, seed: 7 }
            })
            .collect();
        let (terms, mut grads) = gradients(&mut mla, &tasks);
        let named = by_name(&mut grads, &mut |f| mla.visit(f));
        (terms.read().0, named)
    }

    /// Those of a batch cut in several ways.
    fn cut(micro_batch: usize, objective: Objective, dropout: f32) -> (f32, Vec<(String, Vec<f32>)>) {
        let scaled = objective == Objective::Nce;
        let aim = Aim { micro_batch, dropout, scaled, ..aim(objective, false) };
        all(&|mla| vec![(stage(mla, &TEXTS, 3), vec![5, 0, 1, 3, 4, 2], aim)])
    }

    #[test]
    fn micro_batches_have_the_gradients_of_the_whole_batch_with_dropout_too() {
        for (objective, dropout) in [(Objective::Nce, 0.3), (Objective::Mse, 0.0), (Objective::Mse, 0.5)] {
            let (loss, whole) = cut(0, objective, dropout);
            for micro in [1, 2, 4] {
                let (cut_loss, cut) = cut(micro, objective, dropout);
                assert!((loss - cut_loss).abs() < 1e-6, "{loss} {cut_loss}");
                for ((name, a), (_, b)) in whole.iter().zip(&cut) {
                    let largest = a.iter().fold(0f32, |m, x| m.max(x.abs()));
                    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(off <= 1e-5 * largest.max(1e-3), "{name} with {micro}: {off} of {largest}");
                }
            }
            let trained = whole.iter().filter(|(_, g)| g.iter().any(|&x| x != 0.0));
            // Input embedding (3), the acquirer of the language (3 · 4), and the scale where it counts.
            assert_eq!(trained.count(), 15 + usize::from(objective == Objective::Nce));
        }
    }

    #[test]
    fn terms_of_a_step_add_up_by_their_weights() {
        let le = Aim { scaled: true, micro_batch: 2, ..aim(Objective::Nce, true) };
        let nlt = Aim { weight: 0.3, ..aim(Objective::Mse, false) };
        let first = |mla: &Mla| (stage(mla, &TEXTS, 3), vec![0, 2, 3], le);
        let second = |mla: &Mla, weight| (stage(mla, &TEXTS[1..], 4), vec![4, 1], Aim { weight, ..nlt });
        let both = all(&|mla| vec![first(mla), second(mla, 0.3)]);
        let (one, other) = (all(&|mla| vec![first(mla)]), all(&|mla| vec![second(mla, 1.0)]));
        assert!((both.0 - (one.0 + 0.3 * other.0)).abs() < 1e-6, "{} {} {}", both.0, one.0, other.0);
        for (((name, sum), (_, a)), (_, b)) in both.1.iter().zip(&one.1).zip(&other.1) {
            let largest = sum.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
            let off = (0..sum.len()).map(|i| (sum[i] - (a[i] + 0.3 * b[i])).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-5 * largest, "{name}: {off} of {largest}");
        }
    }
}
