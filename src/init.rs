//! How layers start.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::packs::Packs;
use crate::ops::recurrent::RecurrentWeights;
use crate::ops::tape::{matrix, vector};

/// Seeded starting values: uniform in ±1/√(fan-in), as PyTorch's layers start.
pub struct Init(ChaCha8Rng);

impl Init {
    /// Values of a stream that the seed begins.
    pub fn new(seed: u64) -> Self {
        Init(ChaCha8Rng::seed_from_u64(seed))
    }

    /// `n` values, uniform in ±`bound`.
    pub fn uniform(&mut self, n: usize, bound: f32) -> Vec<f32> {
        (0..n).map(|_| (2.0 * self.0.random::<f32>() - 1.0) * bound).collect()
    }

    /// A layer: weight (outputs, inputs) and bias (outputs), in ±1/√inputs.
    pub fn linear(&mut self, inputs: usize, outputs: usize) -> LinearWeights {
        let bound = (inputs as f32).powf(-0.5);
        LinearWeights::new(
            matrix(self.uniform(outputs * inputs, bound), outputs, inputs),
            vector(self.uniform(outputs, bound)),
        )
    }

    /// Recurrent weights, gates below each other: (gates · hidden, inputs) and (gates · hidden, hidden), and two biases; in ±1/√hidden.
    pub fn recurrent(&mut self, gates: usize, inputs: usize, hidden: usize) -> RecurrentWeights {
        let (n, bound) = (gates * hidden, (hidden as f32).powf(-0.5));
        RecurrentWeights {
            weight_ih: matrix(self.uniform(n * inputs, bound), n, inputs),
            weight_hh: matrix(self.uniform(n * hidden, bound), n, hidden),
            bias_ih: vector(self.uniform(n, bound)),
            bias_hh: vector(self.uniform(n, bound)),
            rate: Rate::TRAINED,
            packs_ih: Packs::default(),
            packs_hh: Packs::default(),
        }
    }
}
