//! The device and the tensor types that everything above `ops/` uses.

use dfdx::prelude::*;

/// Where parameters and batches live.
pub type Dev = Cpu;

/// A run-time shaped matrix on the device; only the tape `T` is generic.
pub type Matrix<T = NoneTape> = Tensor<(usize, usize), f32, Dev, T>;
/// A run-time shaped vector on the device.
pub type Vector<T = NoneTape> = Tensor<(usize,), f32, Dev, T>;
/// A single number on the device: a loss.
pub type Scalar<T = NoneTape> = Tensor<(), f32, Dev, T>;
