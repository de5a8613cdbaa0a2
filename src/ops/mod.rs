//! Fused operations with gradients on the tape of dfdx.

#[cfg(test)]
pub mod check;
pub mod matmul;
pub mod recurrent;
pub mod scratch;
pub mod sequences;
pub mod simd;
pub mod tape;
