//! The device and the tensor types that everything else uses.

#[cfg(feature = "cuda")]
pub mod cuda;

use dfdx::prelude::*;

use crate::Result;

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

/// The floats of a gradient, or of anything else on the device.
pub type Buffer = <Dev as Storage<f32>>::Vec;

/// The device of this process.
#[cfg(not(feature = "cuda"))]
pub fn device() -> Dev {
    Dev::default()
}

#[cfg(feature = "cuda")]
pub use cuda::device;

/// Whether operations run on a GPU now.
pub fn on_gpu() -> bool {
    #[cfg(feature = "cuda")]
    return cuda::gpu().is_some();
    #[cfg(not(feature = "cuda"))]
    false
}

/// What many threads can use at once: everything on the CPU. With the feature `cuda` it promises nothing, since dfdx's handle of the stream is
/// not shared between threads.
#[cfg(not(feature = "cuda"))]
pub trait Shareable: Send + Sync {}
#[cfg(not(feature = "cuda"))]
impl<T: Send + Sync> Shareable for T {}

/// What many threads can use at once: everything on the CPU. With the feature `cuda` it promises nothing, since dfdx's handle of the stream is
/// not shared between threads.
#[cfg(feature = "cuda")]
pub trait Shareable {}
#[cfg(feature = "cuda")]
impl<T> Shareable for T {}

/// What runs call the device they were trained on.
pub fn name() -> String {
    #[cfg(feature = "cuda")]
    return cuda::name();
    #[cfg(not(feature = "cuda"))]
    "cpu".into()
}

/// Runs a command. What only a GPU can do wrong (there is none, its memory is full) ends it as an error with advice.
///
/// # Errors
/// Those of the command; run, where the GPU cannot be used or fails.
pub fn guarded<T>(command: impl FnOnce() -> Result<T>) -> Result<T> {
    #[cfg(not(feature = "cuda"))]
    return command();
    #[cfg(feature = "cuda")]
    cuda::guarded(command)
}
