//! What every leaf of a tree of parameters says of itself: whether it is trained now, and how fast.

use dfdx::prelude::*;

use super::tape::{data, matrix};
use crate::device::{Dev, Matrix};

/// Whether a leaf is trained now, and how fast: a factor of the learning rate, 0 where the leaf is frozen.
///
/// Operations ask it: what is frozen is not differentiated. The optimiser, norms and counts pass over what is frozen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f32);

impl Rate {
    /// Trained at the learning rate.
    pub const TRAINED: Rate = Rate(1.0);
    /// Left as it is.
    pub const FROZEN: Rate = Rate(0.0);

    /// Trained at `factor` times the learning rate; 0 freezes.
    ///
    /// # Panics
    /// With a factor that is negative or not finite.
    pub fn of(factor: f32) -> Rate {
        assert!(factor >= 0.0 && factor.is_finite(), "a rate of {factor}");
        Rate(factor)
    }

    /// Whether the leaf is trained.
    pub fn trained(self) -> bool {
        self.0 > 0.0
    }

    /// What the learning rate is multiplied by.
    pub fn factor(self) -> f32 {
        self.0
    }
}

/// A leaf that is one tensor.
#[derive(Clone)]
pub struct Leaf<T> {
    /// The tensor.
    pub value: T,
    /// Whether it is trained, and how fast.
    pub rate: Rate,
}

impl<T> Leaf<T> {
    /// A tensor to be trained.
    pub fn trained(value: T) -> Self {
        Leaf { value, rate: Rate::TRAINED }
    }
}

impl Leaf<Matrix> {
    /// The matrix (rows, columns) on a tape of its own; where it is frozen a copy, so that no gradient becomes its own.
    pub fn on_tape<T: Tape<f32, Dev>>(&self) -> Matrix<T> {
        let (rows, columns) = *self.value.shape();
        let value = match self.rate.trained() || !T::OWNS_TAPE {
            true => self.value.clone(),
            false => matrix(data(&self.value).into_owned(), rows, columns),
        };
        value.put_tape(T::default())
    }
}
