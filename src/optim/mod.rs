//! Adam for dense parameters and, lazily, for the rows of large tables; schedules and clipping.

mod adam;
mod schedule;

pub use adam::{Adam, AdamState, Norm, Parameter, Visitor, parameter_norm};
pub use schedule::LearningRate;
