//! Adam for dense parameters and, lazily, for the rows of large tables; schedules and clipping.

mod adam;
mod schedule;

pub use adam::{Adam, AdamState, Parameter, parameter_norm};
pub use schedule::LearningRate;
