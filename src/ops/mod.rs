//! Fused operations with gradients on the tape of dfdx.

pub mod batch_norm;
pub mod choose;
#[cfg(all(test, feature = "cuda"))]
mod cuda_tests;
pub mod host_device;
pub mod leaf;
pub mod linear;
pub mod matmul;
pub mod packs;
pub mod recurrent;
pub mod rows;
pub mod scratch;
pub mod sequences;
pub mod simd;
pub mod tape;
pub mod transformer;
pub mod weight_norm;

/// Leaves an operation to its kernels, where there is a GPU: `on_gpu!(|gpu| gpu.operation(…))`.
macro_rules! on_gpu {
    (|$gpu:ident| $call:expr) => {
        #[cfg(feature = "cuda")]
        if let Some($gpu) = $crate::device::cuda::gpu() {
            return $call;
        }
    };
}
pub(crate) use on_gpu;
