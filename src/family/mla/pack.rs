//! An acquisition for use alone: its towers stand among the weights, in their format.

use std::fs;

use super::model::Whole;
use super::run::{ACQUIRERS, EMBEDDING, TOWER, write_config};
use super::words::FILES;
use super::{Acquirer, MlaRun};
use crate::checkpoint::{Packing, ReservedFolder, RunFolder, Which};
use crate::family::packing::Shipped;
use crate::family::{Limit, Packed, Packer};
use crate::numbers::Format;
use crate::{Error, Result, names};

impl Packer for MlaRun {
    /// The acquirers of added languages stay files, and say the hash of the packed base.
    fn pack(&mut self, packing: Packing, _: Option<Limit>, place: ReservedFolder) -> Result<Packed> {
        let trained: Vec<String> = self.trained_languages();
        // Those of the checkpoint come first.
        let kept = self.mla.acquirers.iter().filter(|a| trained.contains(&a.language)).count();
        let added = self.mla.acquirers.split_off(kept);
        let MlaRun { folder, config, info, state, mla, .. } = self;
        let shipped = Shipped { run: folder, info, config, state, packing };
        let made = place.fill(|to| {
            shipped.copy(to, TOWER, &FILES)?;
            shipped.copy(to, EMBEDDING, &FILES)?;
            shipped.weights(to, &mut Whole(mla))?;
            write_config(to, config)?;
            shipped.describe(to)?;
            write_added(to, &added, packing.weights)
        });
        self.mla.acquirers.extend(added);
        made.map(Packed::from)
    }
}

/// Writes acquirers on the base as it is in a folder by now.
fn write_added(to: &RunFolder, added: &[Acquirer], format: Format) -> Result<()> {
    if added.is_empty() {
        return Ok(());
    }
    let base = MlaRun::read(RunFolder::new(&to.path), Which::Best, &[])?.mla.base();
    let folder = to.path.join(ACQUIRERS);
    fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
    let write = |a: &Acquirer| a.write_as(format, &names::file(&folder, &a.language, "safetensors")?, &base);
    added.iter().try_for_each(write)
}
