//! Languages that come and go, whatever the family.

use std::path::Path;

use crate::checkpoint::{ReservedFolder, RunFolder};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::eval::Growth;
use crate::grow::Addition;
use crate::train::{Event, Progress};
use crate::{Result, family};

use super::teacher::of_addition;

/// Makes a new run with a language added; all that the old ones have stays as it is. Where a teacher teaches it (`grow.teacher`), its vectors are kept
/// as those of [`crate::run::train`] are.
///
/// # Errors
/// Config, for more than one language or keys of the run's own; usage, for a language that is there already, or a family to which none
/// can be added; data, for captions, features, vectors or runs that cannot be used; run, where the old languages would change;
/// stopped, where that was asked for.
pub fn add_language(addition: &Addition, progress: Progress, tell: &mut dyn FnMut(Event)) -> Result<Growth> {
    let config = unpacked(addition.run)?;
    let ask =
        |sentences: &Corpus, joint, progress: Progress| of_addition(addition, sentences, joint, progress);
    family::of(&config).add_language(addition, &ask, progress, tell)
}

/// Makes a new run without a language, in `place`. The others' parameters stay as they are.
///
/// # Errors
/// Usage, for a language that the run does not know, or its last one.
pub fn remove_language(run: &Path, code: &str, place: ReservedFolder) -> Result<RunFolder> {
    let config = unpacked(run)?;
    family::of(&config).remove_language(run, code, place)
}

/// The configuration of a run that can be changed.
fn unpacked(run: &Path) -> Result<Config> {
    let folder = RunFolder::new(run);
    let config = folder.config()?;
    folder.refuse_packed()?;
    Ok(config)
}
