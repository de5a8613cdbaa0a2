//! Fused operations with gradients on the tape of dfdx.

pub mod batch_norm;
#[cfg(test)]
pub mod check;
pub mod choose;
pub mod linear;
pub mod matmul;
pub mod recurrent;
pub mod rows;
pub mod scratch;
pub mod sequences;
pub mod simd;
pub mod tape;
pub mod transformer;
pub mod weight_norm;
