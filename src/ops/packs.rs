//! Weights that stay packed for the matrix product while they are frozen.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use dfdx::prelude::HasShape;

use super::leaf::Rate;
use super::matmul::{Packed, View};
use super::tape::data;
use crate::config::Precision;
use crate::device::Matrix;

/// One matrix of frozen weights, packed for the matrix product at first use. Clones share it.
#[derive(Clone, Default)]
pub struct Packs(Arc<Kept>);

/// By precision: Wᵀ for the product, W for the gradient of its input.
#[derive(Default)]
struct Kept {
    forward: [OnceLock<Packed>; 3],
    backward: [OnceLock<Packed>; 3],
}

/// Packed weights, kept or made for this step.
pub enum Pack<'a> {
    /// Of frozen weights.
    Kept(&'a Packed),
    /// Of weights that are trained.
    Made(Packed),
}

impl Deref for Pack<'_> {
    type Target = Packed;
    fn deref(&self) -> &Packed {
        match self {
            Pack::Kept(packed) => packed,
            Pack::Made(packed) => packed,
        }
    }
}

impl Packs {
    /// Forgets them: the weights are others now.
    pub fn clear(&mut self) {
        self.0 = Arc::default();
    }

    /// Wᵀ (inputs, outputs) of `weight` (outputs, inputs).
    pub fn forward(&self, weight: &Matrix, rate: Rate, precision: Precision) -> Pack<'_> {
        let (outputs, inputs) = *weight.shape();
        let pack = || Packed::new(View::new(&data(weight), outputs, inputs).t(), precision);
        get(&self.0.forward[precision as usize], rate, pack)
    }

    /// `weight` (outputs, inputs) itself.
    pub fn backward(&self, weight: &Matrix, rate: Rate, precision: Precision) -> Pack<'_> {
        let (outputs, inputs) = *weight.shape();
        let pack = || Packed::new(View::new(&data(weight), outputs, inputs), precision);
        get(&self.0.backward[precision as usize], rate, pack)
    }
}

fn get(kept: &OnceLock<Packed>, rate: Rate, pack: impl Fn() -> Packed) -> Pack<'_> {
    if rate.trained() {
        return Pack::Made(pack());
    }
    if let Some(packed) = kept.get() {
        return Pack::Kept(packed);
    }
    // Not within `get_or_init`: while it packs, a thread of the pool may take up other work that asks for the same pack.
    let packed = pack();
    Pack::Kept(kept.get_or_init(|| packed))
}
