//! Adam for dense parameters and, lazily, for the rows of large tables; schedules and clipping.

mod adam;
mod parameter;
mod schedule;

pub use adam::{Adam, AdamState, Norm, parameter_norm};
pub use parameter::{Parameter, Visitor, visit_linear, visit_recurrent};
pub use schedule::LearningRate;
