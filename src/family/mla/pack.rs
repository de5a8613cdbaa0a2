//! An acquisition for use alone: its towers stand among the weights, in their format.

use std::fs;
use std::path::Path;

use super::run::{ACQUIRERS, EMBEDDING, TOWER, write_config};
use super::words::FILES;
use super::{Encoder, Mla, MlaRun};
use crate::checkpoint::{Packing, ReservedFolder, RunFolder, Which};
use crate::family::packing::{Shipped, to_pack};
use crate::optim::{Parameter, ParameterTree, visit_linear};
use crate::{Error, Result, names};

/// All of a model: its towers too, which a run that is trained on keeps in files of their own.
pub(super) struct Whole<'a>(pub &'a mut Mla);

impl ParameterTree for Whole<'_> {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.0.tower.visit(&mut |name, parameter| f(&format!("tower.{name}"), parameter));
        match &mut self.0.encoder {
            Encoder::Tower(entrance) => entrance.visit(f),
            Encoder::Bert(bert) => {
                bert.tower.visit(&mut |name, parameter| f(&format!("bert.tower.{name}"), parameter));
                visit_linear("bert.layer", &mut bert.layer, f);
            }
        }
        self.0.acquirers.visit(f);
        if let Some(scale) = &mut self.0.scale {
            f("scale", Parameter::vector(&mut scale.value, &mut scale.rate));
        }
    }
}

/// See [`crate::run::pack`]. The acquirers of added languages stay files, and say the hash of the packed base.
pub(super) fn pack(path: &Path, packing: Packing, place: ReservedFolder) -> Result<RunFolder> {
    let mut run = to_pack(path, MlaRun::open)?;
    let trained: Vec<String> = run.trained_languages();
    // Those of the checkpoint come first.
    let kept = run.mla.acquirers.iter().filter(|a| trained.contains(&a.language)).count();
    let added = run.mla.acquirers.split_off(kept);
    let config = run.config.clone();
    let shipped = Shipped { run: &run.folder, info: &run.info, config: &config, state: &run.state, packing };
    place.fill(|folder| {
        shipped.copy(folder, TOWER, &FILES)?;
        shipped.copy(folder, EMBEDDING, &FILES)?;
        shipped.weights(folder, &mut Whole(&mut run.mla))?;
        write_config(folder, &config)?;
        shipped.describe(folder)?;
        if added.is_empty() {
            return Ok(());
        }
        let base = MlaRun::read(RunFolder::new(&folder.path), Which::Best, &[])?.mla.base();
        let acquirers = folder.path.join(ACQUIRERS);
        fs::create_dir_all(&acquirers).map_err(|e| Error::writing(&acquirers, e))?;
        added.iter().try_for_each(|acquirer| {
            acquirer.write_as(packing.weights, &names::file(&acquirers, &acquirer.language, "safetensors")?, &base)
        })
    })
}
