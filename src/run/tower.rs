//! The picture tower that a run's photographs go through.

use std::path::Path;

use crate::corpus::MadeBy;
use crate::photos::{EmbeddingOptions, PictureTower};
use crate::retrieve::Retriever;
use crate::{Error, Result};

/// The picture tower of a run: the one that is given, or the one that its configuration names.
///
/// # Errors
/// Usage, where there is none; data, where it cannot be used, or is another one than made the features that the run was trained on.
pub fn picture_tower(run: &dyn Retriever, given: Option<&Path>) -> Result<PictureTower> {
    let data = run.config().data();
    let own = data.tower.as_ref().map(|tower| data.root.join(tower));
    let Some(folder) = given.map(Path::to_path_buf).or(own) else {
        let what = "the run does not say which picture tower made its features (`data.tower`)";
        return Err(Error::usage(what).hint("give its folder by `--tower`"));
    };
    let made_by: Option<MadeBy> = run.folder().info()?.features_by;
    match &made_by {
        Some(maker) => PictureTower::as_maker(&folder, maker),
        None => PictureTower::open(&folder, EmbeddingOptions::default()),
    }
}
