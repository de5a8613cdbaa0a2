//! The tree of parameters; Adam for dense ones and, lazily, for the rows of large tables; schedules and clipping.

pub mod adam;
mod parameter;
mod schedule;
mod tree;

pub use adam::{Adam, AdamState, parameter_norm};
pub use parameter::{
    Group, Parameter, TensorMut, Visitor, visit_batch_norm, visit_linear, visit_norm, visit_projection,
    visit_recurrent, visit_weight,
};
pub use schedule::LearningRate;
pub use tree::{ParameterTree, digest, freeze, parameters_by_part, rates, set_rates, thaw, trained_count};
