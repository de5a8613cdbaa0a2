//! Runs of any family, by their folder: training, use, languages that come and go, the report.

mod compared;
mod errors;
mod evaluate;
mod hits;
mod languages;
mod needs;
mod pack;
mod report;
mod shrink;
mod teacher;
mod tower;
mod train;

use std::path::Path;

use crate::checkpoint::RunFolder;
use crate::retrieve::{Retriever, UseCost, settable};
use crate::{Result, family};

pub use evaluate::evaluate;
pub use languages::{add_language, remove_language};
pub use needs::{Needs, needs};
pub use pack::{PackOptions, pack};
pub use report::{measured, name, report};
pub use shrink::{Shrunk, Tried, Wish, shrink};
pub use tower::picture_tower;
pub use train::{Options, Tell, Told, refuse_training, resume, train, train_with};

/// Opens the best checkpoint of a run. `set` changes where the data are (`data.…`) or how languages are joined (`consistency.…`); the
/// model itself stays as it was trained.
///
/// # Errors
/// Usage, for other keys, or languages that are not those of the run; config, for settings that cannot be used; data, where there is no
/// run, or one that is not whole.
pub fn open(path: &Path, set: &[String]) -> Result<Box<dyn Retriever>> {
    settable(set)?;
    let config = RunFolder::new(path).config_with(set)?;
    family::of(&config).open(path, set)
}

/// What a run, or a packed one, costs in use; `set` as in [`open`]. The process has opened no model before.
///
/// # Errors
/// As [`open`]; data, where the captions of its validation split cannot be read, or there is none.
pub fn cost(path: &Path, set: &[String]) -> Result<UseCost> {
    settable(set)?;
    UseCost::measure(&RunFolder::new(path).config_with(set)?, &|| open(path, set))
}
