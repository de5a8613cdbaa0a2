//! The chance in a picture and in its captions: one generator for each use, addressed by numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator whose seed is an address: the same four numbers always give the same throws, so that a
/// picture does not depend on how many others are drawn, nor on the thread that draws it.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(address: [u64; 4]) -> Self {
        let mut seed = [0u8; 32];
        for (bytes, number) in seed.chunks_exact_mut(8).zip(address) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Dice(ChaCha8Rng::from_seed(seed))
    }

    /// A whole number in `0..n`; `n` must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// A number in `0..1`.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// The first (the plain word) more often than the others, as people do.
    pub fn usually<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        if from.len() == 1 || self.chance(0.6) { &from[0] } else { self.pick(&from[1..]) }
    }

    /// An index, with probabilities in proportion to `weights`.
    pub fn weighted(&mut self, weights: &[f32]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f32>();
        for (i, w) in weights.iter().enumerate() {
            left -= w;
            if left < 0.0 {
                return i;
            }
        }
        weights.len() - 1
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
