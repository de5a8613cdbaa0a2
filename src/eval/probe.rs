//! Classifiers on frozen vectors: nearest neighbours, a softmax layer, and a small network.

use dfdx::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::similarity::Kernel;
use crate::config::{Precision, Schedule, TrainConfig};
use crate::device::{Dev, Matrix, Scalar};
use crate::init::Init;
use crate::loss::{Value, combined, on_tape};
use crate::ops::linear::{LinearWeights, linear, linear_of_data};
use crate::ops::tape::{data, matrix, vector};
use crate::ops::transformer::{Activation, activate};
use crate::optim::{Adam, Parameter, ParameterTree, visit_linear};
use crate::seed::derive;

/// Neighbours that vote.
pub const NEIGHBOURS: usize = 20;
/// What cosines are divided by, of votes.
pub const TEMPERATURE: f32 = 0.07;

/// Rows with their classes.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// (rows, width), unit length.
    pub rows: &'a [f32],
    /// The class of each row, below the number of classes.
    pub labels: &'a [u32],
}

/// Votes of the nearest training rows: (rows, classes). Each of the [`NEIGHBOURS`] nearest by cosine, equal ones in their order, votes for its
/// class with exp((cos − 1)/τ) (Wu et al. 2018, section 3.4; Caron et al. 2021).
pub fn votes(train: Labelled, rows: &[f32], classes: usize, width: usize) -> Vec<f32> {
    let (kernel, count) = (Kernel::detect(), train.labels.len());
    let mut votes = Vec::with_capacity(rows.len() / width * classes);
    for some in rows.chunks(256 * width) {
        let scores = kernel.matrix(some, train.rows, width);
        let of = |scores: &[f32]| {
            let mut order: Vec<usize> = (0..count).collect();
            let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
            if count > NEIGHBOURS {
                order.select_nth_unstable_by(NEIGHBOURS - 1, better);
                order.truncate(NEIGHBOURS);
            }
            order.sort_by(better);
            let mut votes = vec![0f32; classes];
            order
                .iter()
                .for_each(|&n| votes[train.labels[n] as usize] += ((scores[n] - 1.0) / TEMPERATURE).exp());
            votes
        };
        let found: Vec<Vec<f32>> = scores.par_chunks(count).map(of).collect();
        votes.extend(found.concat());
    }
    votes
}

/// The mean cross-entropy of a softmax over logits (rows, classes), −Σ log pᵢ(class of i) / rows, and its gradient (p − 1 at the class, p
/// elsewhere) / rows.
pub fn cross_entropy(logits: &[f32], labels: &[u32], classes: usize) -> Value {
    let (mut value, mut grad) = (0f64, Vec::with_capacity(logits.len()));
    let n = labels.len() as f32;
    for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|z| (z - most).exp()).sum();
        value -= f64::from(logits[label as usize] - most - sum.ln());
        let of = |(class, z): (usize, &f32)| {
            let p = (z - most).exp() / sum;
            (if class == label as usize { p - 1.0 } else { p }) / n
        };
        grad.extend(logits.iter().enumerate().map(of));
    }
    Value { value: (value / f64::from(n)) as f32, grad }
}

/// λ/2 Σ w² and its gradient λ w.
fn squares(weights: &[f32], lambda: f32) -> Value {
    let sum: f64 = weights.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
    Value {
        value: (f64::from(lambda) / 2.0 * sum) as f32,
        grad: weights.iter().map(|w| lambda * w).collect(),
    }
}

/// Fully connected layers with ReLU between them, from a vector to the logits of classes.
#[derive(Clone)]
pub struct Network {
    layers: Vec<LinearWeights>,
}

impl ParameterTree for Network {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.layers
            .iter_mut()
            .enumerate()
            .for_each(|(n, layer)| visit_linear(&format!("layer{n}"), layer, f));
    }
}

impl Network {
    /// With layers of these widths, from that of the vectors to the number of classes.
    pub fn new(widths: &[usize], seed: u64) -> Network {
        let mut init = Init::new(seed);
        Network { layers: widths.windows(2).map(|two| init.linear(two[0], two[1])).collect() }
    }

    fn width(&self) -> usize {
        self.layers[0].weight.shape().1
    }

    /// The logits of rows (rows, classes).
    pub fn logits(&self, rows: Vec<f32>) -> Vec<f32> {
        let count = rows.len() / self.width();
        let out: Matrix = self.forward(matrix(rows, count, self.width()));
        data(&out).into_owned()
    }

    fn forward<T: Tape<f32, Dev> + 'static>(&self, rows: Matrix) -> Matrix<T> {
        let mut x = linear_of_data::<T>(rows, &self.layers[0], Precision::F32);
        for layer in &self.layers[1..] {
            x = linear(activate(x, Activation::Relu), layer, Precision::F32);
        }
        x
    }

    /// The loss of some rows: cross-entropy and, with `lambda`, that of the first layer's weights.
    fn loss(&self, rows: Vec<f32>, labels: &[u32], lambda: f32) -> Scalar<OwnedTape<f32, Dev>> {
        let classes = self.layers[self.layers.len() - 1].bias.shape().0;
        let rows = matrix(rows, labels.len(), self.width());
        let loss = on_tape(self.forward::<OwnedTape<f32, Dev>>(rows), |z| cross_entropy(z, labels, classes));
        match lambda > 0.0 {
            true => {
                let penalty = on_tape(self.layers[0].weight.leaky_trace(), |w| squares(w, lambda));
                combined(vec![(loss, 1.0), (penalty, 1.0)], 1.0)
            }
            false => loss,
        }
    }
}

fn optimiser(rate: f32, steps: usize, schedule: Schedule) -> Adam {
    Adam::new(&TrainConfig { learning_rate: rate, schedule, ..TrainConfig::default() }, steps)
}

/// Steps of [`softmax_layer`].
const STEPS: usize = 1500;

/// A softmax layer that minimises mean cross-entropy + λ/2 Σ w², λ = 1 / (C rows), as scikit-learn's `LogisticRegression(C)` does: from zero, by
/// Adam over all rows. The minimum is one; biases are free.
pub fn softmax_layer(train: Labelled, classes: usize, width: usize, c: f32) -> Network {
    let zero =
        LinearWeights::new(matrix(vec![0.0; classes * width], classes, width), vector(vec![0.0; classes]));
    let mut network = Network { layers: vec![zero] };
    let lambda = 1.0 / (c * train.labels.len() as f32);
    let mut adam = optimiser(1.0, STEPS, Schedule::Cosine);
    for _ in 0..STEPS {
        let mut grads = network.loss(train.rows.to_vec(), train.labels, lambda).backward();
        adam.update(&mut grads, &mut |f| network.visit(f));
    }
    network
}

/// How a network is trained in batches.
#[derive(Debug, Clone, Copy)]
pub struct Batches {
    /// Rows of a batch.
    pub size: usize,
    /// Adam's learning rate.
    pub rate: f32,
    /// Most epochs.
    pub epochs: usize,
    /// Epochs without a better accuracy on the development set after which training ends.
    pub patience: usize,
    /// Of the start and the order of rows.
    pub seed: u64,
}

/// Trains `network` on rows that `take` makes for places of `labels`, and gives it back as it was after the epoch with the best `accuracy`, that
/// accuracy and the epoch (from 1). The first of equals stays.
pub fn train(
    mut network: Network,
    labels: &[u32],
    take: &dyn Fn(&[usize]) -> Vec<f32>,
    accuracy: &dyn Fn(&Network) -> f64,
    batches: Batches,
) -> (Network, f64, usize) {
    let mut adam = optimiser(batches.rate, 1, Schedule::Constant);
    let (mut best, mut most, mut at) = (network.clone(), f64::NEG_INFINITY, 0);
    for epoch in 1..=batches.epochs {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive(batches.seed, "probe", epoch as u64)));
        for some in order.chunks(batches.size) {
            let own: Vec<u32> = some.iter().map(|&n| labels[n]).collect();
            let mut grads = network.loss(take(some), &own, 0.0).backward();
            adam.update(&mut grads, &mut |f| network.visit(f));
        }
        let reached = accuracy(&network);
        if reached > most {
            (best, most, at) = (network.clone(), reached, epoch);
        }
        if epoch - at >= batches.patience {
            break;
        }
    }
    (best, most, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{differences, noise};

    #[test]
    fn the_gradient_of_the_cross_entropy_is_that_of_its_value() {
        let (logits, labels) = (noise(12, 1), [2, 0, 1, 2]);
        let Value { value, grad } = cross_entropy(&logits, &labels, 3);
        assert!(value > 0.0);
        differences("logits", &logits, &grad, 1e-3, 1e-2, |z| cross_entropy(z, &labels, 3).value);
        let weights = noise(7, 2);
        differences("weights", &weights, &squares(&weights, 0.5).grad, 1e-3, 1e-2, |w| squares(w, 0.5).value);
        let far = cross_entropy(&[1e4, -1e4], &[1], 2);
        assert!((far.value - 2e4).abs() < 1.0 && far.grad == [1.0, -1.0]);
    }

    #[test]
    fn neighbours_vote_by_their_cosines() {
        let train = Labelled { rows: &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], labels: &[0, 1, 1] };
        let found = votes(train, &[0.8, 0.6], 2, 2);
        let of = |s: f32| ((s - 1.0) / TEMPERATURE).exp();
        assert!(
            (found[0] - of(0.8)).abs() < 1e-6 && (found[1] - (of(0.6) + of(0.96))).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn a_network_learns_what_a_layer_cannot_and_stops_when_it_has() {
        // Exclusive or.
        let rows = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        let labels = [0, 0, 1, 1];
        let take =
            |some: &[usize]| some.iter().flat_map(|&n| rows[2 * n..2 * n + 2].to_vec()).collect::<Vec<f32>>();
        let accuracy = |network: &Network| {
            let logits = network.logits(rows.to_vec());
            let right = logits.chunks(2).zip(labels).filter(|(z, label)| (z[1] > z[0]) == (*label == 1));
            right.count() as f64 / 4.0
        };
        let batches = Batches { size: 2, rate: 0.02, epochs: 400, patience: 100, seed: 3 };
        let run = || train(Network::new(&[2, 16, 16, 2], 5), &labels, &take, &accuracy, batches);
        let (network, most, epoch) = run();
        assert_eq!((most, accuracy(&network)), (1.0, 1.0));
        assert!(epoch < 300, "{epoch}");
        let again = run();
        assert_eq!((again.2, again.0.logits(rows.to_vec())), (epoch, network.logits(rows.to_vec())));
    }
}
