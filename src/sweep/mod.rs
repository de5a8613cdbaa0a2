//! Many trainings of one experiment: which ones, where each stands, and what came of them.
//!
//! A sweep's folder:
//! ```text
//! SWEEP/trials/ID/{trial.json,config.toml,log.txt,run/,packed/,cost.json} · cache/ · results.jsonl · results.csv · report.html
//! ```

mod axes;
mod child;
pub mod cluster;
mod cost;
pub mod estimate;
pub mod folder;
mod halving;
pub mod local;
mod plan;
pub mod results;
mod state;

pub use cost::Cost;
pub use folder::SweepFolder;
pub use plan::{Halving, Placed, Plan, Trial};
pub use results::Row;
pub use state::Status;
