//! Adam for dense parameters and, lazily, for the rows of large tables; schedules and clipping.

pub mod adam;
mod parameter;
mod schedule;
mod trained;

pub use adam::{Adam, AdamState, Norm, parameter_norm};
pub use parameter::{Parameter, Visitor, visit_linear, visit_recurrent};
pub use schedule::LearningRate;
pub use trained::{Trained, parameters_by_part};
