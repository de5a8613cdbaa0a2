//! CLC-C: the scores of |L| languages → hidden units with ReLU → one score, without biases.
//!
//! The paper gives every parameter the same first value. Then all hidden units get the same gradient and stay the same
//! for ever, so the network is f(s) = c · ReLU(Σ w_l s_l): one weight per language (and it cannot tell pictures apart
//! whose weighted sum is negative). `init = "random"` breaks the symmetry. The paper names neither activation,
//! optimiser nor first value; here ReLU, Adam, and the value with which the network starts as the mean of the scores.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ParallelScores, shares, triplet};
use crate::config::{ConsistencyConfig, ConsistencyInit, TripletConfig};

/// The parameters: (hidden, languages) row-major, then (hidden).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Parts")]
pub struct Network {
    hidden: usize,
    parameters: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    hidden: usize,
    parameters: Vec<f32>,
}

impl TryFrom<Parts> for Network {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Network, String> {
        let Parts { hidden, parameters } = parts;
        if hidden == 0 || parameters.len() < 2 * hidden || !parameters.len().is_multiple_of(hidden) {
            return Err(format!(
                "{} parameters do not make a network of {hidden} hidden units",
                parameters.len()
            ));
        }
        if let Some(at) = parameters.iter().position(|x| !x.is_finite()) {
            return Err(format!("parameter {at} of the network is {}", parameters[at]));
        }
        Ok(Network { hidden, parameters })
    }
}

impl Network {
    /// At the start: with `Equal` the mean of non-negative scores.
    pub fn new(languages: usize, hidden: usize, init: ConsistencyInit, seed: u64) -> Network {
        let equal = 1.0 / ((languages * hidden) as f32).sqrt();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut value = || match init {
            ConsistencyInit::Equal => equal,
            ConsistencyInit::Random => equal * rng.random_range(0.5..1.5),
        };
        Network { hidden, parameters: (0..hidden * (languages + 1)).map(|_| value()).collect() }
    }

    /// Full-batch iterations of Adam on the triplet loss of all queries of `validation`: one network for them all, in which every
    /// pair counts once. Captions of different sets are no negatives of each other, as no gallery holds both.
    pub fn fit(
        config: &ConsistencyConfig,
        triplet: &TripletConfig,
        validation: &[ParallelScores],
        seed: u64,
    ) -> Network {
        let mut network = Network::new(validation[0].languages.len(), config.hidden, config.init, seed);
        let mut adam = Adam::new(network.parameters.len(), config.learning_rate);
        for _ in 0..config.iterations {
            let mut gradient = vec![0.0; network.parameters.len()];
            for (share, set) in shares(validation) {
                let (_, of_set) = network.loss(triplet, &set.scores(), &set.image_of);
                gradient.iter_mut().zip(of_set).for_each(|(sum, g)| *sum += share * g);
            }
            adam.step(&mut network.parameters, &gradient);
        }
        network
    }

    /// How many languages are joined.
    pub fn languages(&self) -> usize {
        self.parameters.len() / self.hidden - 1
    }

    /// For each hidden unit its weights per language, and its weight in the score.
    pub fn units(&self) -> impl Iterator<Item = (&[f32], f32)> {
        let (first, second) = self.parameters.split_at(self.hidden * self.languages());
        first.chunks_exact(self.languages()).zip(second.iter().copied())
    }

    /// Joined scores of equally long slices, one for each language.
    pub fn forward(&self, scores: &[&[f32]]) -> Vec<f32> {
        const CHUNK: usize = 1024;
        let mut out = vec![0.0; scores[0].len()];
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            let mut unit = [0.0; CHUNK];
            for (weights, weight) in self.units() {
                let unit = &mut unit[..out.len()];
                unit.fill(0.0);
                for (w, scores) in weights.iter().zip(scores) {
                    let scores = &scores[chunk * CHUNK..][..out.len()];
                    unit.iter_mut().zip(scores).for_each(|(z, s)| *z += w * s);
                }
                out.iter_mut().zip(unit).for_each(|(o, z)| *o += weight * z.max(0.0));
            }
        });
        out
    }

    /// The triplet loss of the joined scores and its gradient in the order of the parameters.
    fn loss(&self, config: &TripletConfig, scores: &[&[f32]], image_of: &[u32]) -> (f64, Vec<f64>) {
        let loss = triplet::loss(config, &self.forward(scores), image_of);
        let mut gradient = vec![0.0; self.parameters.len()];
        let (first, second) = gradient.split_at_mut(self.hidden * self.languages());
        for (at, g) in loss.gradient {
            for (((weights, weight), d_weights), d_weight) in
                self.units().zip(first.chunks_exact_mut(scores.len())).zip(second.iter_mut())
            {
                let z: f64 = weights.iter().zip(scores).map(|(w, s)| f64::from(*w) * f64::from(s[at])).sum();
                if z > 0.0 {
                    *d_weight += g * z;
                    let through = g * f64::from(weight);
                    d_weights.iter_mut().zip(scores).for_each(|(d, s)| *d += through * f64::from(s[at]));
                }
            }
        }
        (loss.value, gradient)
    }
}

/// Adam (Kingma & Ba 2015) with its usual constants, for a few hundred numbers.
struct Adam {
    rate: f64,
    step: i32,
    moments: Vec<(f64, f64)>,
}

impl Adam {
    fn new(parameters: usize, rate: f32) -> Adam {
        Adam { rate: rate.into(), step: 0, moments: vec![(0.0, 0.0); parameters] }
    }

    fn step(&mut self, parameters: &mut [f32], gradient: &[f64]) {
        self.step += 1;
        let (unbias1, unbias2) = (1.0 - 0.9f64.powi(self.step), 1.0 - 0.999f64.powi(self.step));
        for ((p, (m, v)), g) in parameters.iter_mut().zip(&mut self.moments).zip(gradient) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *p -= (self.rate * (*m / unbias1) / ((*v / unbias2).sqrt() + 1e-8)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noisy;
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        let data = noisy(&[0.3, 0.5, 0.8], 9, 3);
        let config = TripletConfig { margin: 0.2, top_n: 3, ..TripletConfig::default() };
        let mut network = Network::new(3, 4, ConsistencyInit::Random, 5);
        network.parameters[13] = -0.3; // a unit that counts against
        let (value, gradient) = network.loss(&config, &data.scores(), &data.image_of);
        assert!(value > 0.01);
        for (at, &g) in gradient.iter().enumerate() {
            let at_offset = |offset: f32| {
                let mut moved = network.clone();
                moved.parameters[at] += offset;
                moved.loss(&config, &data.scores(), &data.image_of).0
            };
            let numeric = (at_offset(2e-4) - at_offset(-2e-4)) / 4e-4;
            assert!(
                (numeric - g).abs() < 2e-3 * (1.0 + g.abs()),
                "parameter {at}: {g}, numerically {numeric}"
            );
        }
    }

    #[test]
    fn equal_weights_never_break_symmetry() {
        let data = noisy(&[0.2, 1.0], 40, 4);
        let fit = |init| {
            let config = ConsistencyConfig { init, ..ConsistencyConfig::default() };
            Network::fit(&config, &TripletConfig::default(), std::slice::from_ref(&data), 1)
        };
        let equal = fit(ConsistencyInit::Equal);
        let (weights, weight) = equal.units().next().unwrap();
        assert!(equal.units().all(|unit| unit == (weights, weight)), "all hidden units are the same");
        assert_ne!(weights[0], weights[1], "but the languages are not");
        // So the network orders as one weight per language does.
        let scores = data.scores();
        let joined = equal.forward(&scores);
        for (at, &joined) in joined.iter().enumerate() {
            let sum = weights[0] * scores[0][at] + weights[1] * scores[1][at];
            assert!((joined - 32.0 * weight * sum.max(0.0)).abs() < 1e-4);
        }
        let random = fit(ConsistencyInit::Random);
        let first = random.units().next().unwrap();
        assert!(random.units().skip(1).all(|unit| unit != first));
    }

    #[test]
    fn size_and_start_are_the_papers() {
        let network = Network::new(10, 32, ConsistencyInit::Equal, 0);
        assert_eq!(network.parameters.len(), 352);
        let scores: Vec<Vec<f32>> = (0..10).map(|l| vec![l as f32 / 10.0; 2000]).collect();
        let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
        assert!(network.forward(&scores).iter().all(|s| (s - 0.45).abs() < 1e-5));
    }
}
