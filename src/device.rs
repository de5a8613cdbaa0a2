//! The device and the tensor types that everything above `ops/` uses.

use dfdx::prelude::*;

/// Where parameters and batches live: the feature `cuda` puts them on a GPU.
#[cfg(not(feature = "cuda"))]
pub type Dev = Cpu;
/// Where parameters and batches live: the feature `cuda` puts them on a GPU.
#[cfg(feature = "cuda")]
pub type Dev = Cuda;

/// A run-time shaped matrix on the device; only the tape `T` is generic.
pub type Matrix<T = NoneTape> = Tensor<(usize, usize), f32, Dev, T>;
/// A run-time shaped vector on the device.
pub type Vector<T = NoneTape> = Tensor<(usize,), f32, Dev, T>;
/// A single number on the device: a loss.
pub type Scalar<T = NoneTape> = Tensor<(), f32, Dev, T>;

/// The device of this process.
#[cfg(not(feature = "cuda"))]
pub fn device() -> Dev {
    Dev::default()
}

#[cfg(feature = "cuda")]
pub use crate::ops::cuda::device;
