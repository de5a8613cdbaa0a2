//! A run as it is shipped.

use std::path::Path;

use crate::Result;
use crate::checkpoint::{Packing, ReservedFolder, RunFolder};
use crate::family::{self, Packed};

/// Makes a run for use alone, in `place`: the best weights and what reads sentences, without optimiser and training data.
/// It is evaluated, searched and embedded with as any run; it cannot be trained on, and no language can be added to it.
///
/// # Errors
/// Usage, for a run that is packed already, or of a family that cannot be packed; data, for a run that is not whole, or weights that the
/// numbers cannot hold; run, where the folder cannot be written.
pub fn pack(run: &Path, packing: Packing, place: ReservedFolder) -> Result<Packed> {
    let config = RunFolder::new(run).config()?;
    family::of(&config).pack(run, packing, place)
}
