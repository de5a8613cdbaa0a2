//! Picture features.

pub mod features;

mod npy;
mod tensors;

pub use features::{Features, write_npy, write_npy_f16};
