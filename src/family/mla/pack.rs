//! An acquisition for use alone: its towers stand among the weights, in their format.

use std::fs;
use std::path::Path;

use super::grow::leave_out;
use super::model::Whole;
use super::run::{ACQUIRERS, EMBEDDING, TOWER, write_config};
use super::words::FILES;
use super::{Acquirer, MlaRun};
use crate::checkpoint::{Packing, ReservedFolder, RunFolder, Which};
use crate::family::packing::{self, Shipped};
use crate::family::{Limit, Packed, Packer};
use crate::numbers::Format;
use crate::retrieve::Retriever;
use crate::{Error, Result, names};

/// Opens a run that is to be packed; where languages are named, with these and the tower's own alone, on which they stand.
///
/// # Errors
/// Usage, for a run that is packed already, a language that it does not know, or none left that was acquired in training; data, for a run that is not
/// whole.
pub(super) fn to_pack(path: &Path, languages: &[String]) -> Result<MlaRun> {
    let mut run = packing::to_pack(path, &[], MlaRun::open)?;
    if languages.is_empty() {
        return Ok(run);
    }
    let kept = languages.iter().map(|code| run.language(code)).collect::<Result<Vec<usize>>>()?;
    for (l, code) in run.languages().iter().enumerate() {
        if kept.contains(&l) || *code == run.mla.own {
            continue;
        }
        match run.info.languages.contains(code) {
            true => leave_out(&mut run, code)?,
            // One that `acquirer add` has put in.
            false => _ = run.mla.remove(code),
        }
    }
    run.count();
    Ok(run)
}

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
