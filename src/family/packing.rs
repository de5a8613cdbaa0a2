//! What packing a run is in every family.

use std::fs;
use std::path::Path;

use crate::checkpoint::{Packing, RunFolder, RunInfo, TrainState};
use crate::config::Config;
use crate::optim::ParameterTree;
use crate::write::write_whole;
use crate::{Error, Result};

/// A run on its way into a folder for use alone.
pub(crate) struct Shipped<'a> {
    /// The run that is packed.
    pub run: &'a RunFolder,
    /// Its description.
    pub info: &'a RunInfo,
    /// The configuration that the packed run has.
    pub config: &'a Config,
    /// Where training stood at the checkpoint that is packed.
    pub state: &'a TrainState,
    /// How it is packed.
    pub packing: Packing,
}

impl Shipped<'_> {
    /// Writes weights, configuration and description.
    ///
    /// # Errors
    /// Those of [`Self::weights`] and [`Self::describe`].
    pub fn write(&self, to: &RunFolder, model: &mut dyn ParameterTree) -> Result<()> {
        self.weights(to, model)?;
        to.write_config(self.config)?;
        self.describe(to)
    }

    /// Writes the weights.
    ///
    /// # Errors
    /// Data, for weights that their format cannot hold; run, where a file cannot be written.
    pub fn weights(&self, to: &RunFolder, model: &mut dyn ParameterTree) -> Result<()> {
        to.save_packed(model, self.packing.formats(), self.state)
    }

    /// Writes what was fitted for the checkpoint, and the description, with the checksums of what lies in the folder by now: the family's own files
    /// and the configuration come before it.
    ///
    /// # Errors
    /// Data, for a run of which it is not known what its pictures are of; run, where a file cannot be written.
    pub fn describe(&self, to: &RunFolder) -> Result<()> {
        to.write_info(&RunInfo {
            packed: Some(self.packing),
            pictures_by: Some(self.run.pictures_by()?),
            // It says what adding a language must leave as it is.
            shared: None,
            tinyglot: env!("CARGO_PKG_VERSION").into(),
            ..self.info.clone()
        })?;
        match self.run.fitted(self.state.step)? {
            Some(fitted) => to.write_fitted(&fitted, self.state.step),
            None => Ok(()),
        }
    }

    /// Copies files of a folder of the run, those of these names that are there.
    ///
    /// # Errors
    /// Data, where one cannot be read; run, where one cannot be written.
    pub fn copy(&self, to: &RunFolder, folder: &str, names: &[&str]) -> Result<()> {
        let (from, to) = (self.run.path.join(folder), to.path.join(folder));
        fs::create_dir_all(&to).map_err(|e| Error::writing(&to, e))?;
        for file in names.iter().map(|name| from.join(name)).filter(|file| file.exists()) {
            let bytes = fs::read(&file).map_err(|e| Error::reading(&file, e))?;
            write_whole(&to.join(file.file_name().unwrap_or_default()), &bytes)?;
        }
        Ok(())
    }
}

/// Opens what is to be packed; a run that is packed already is refused before it is read.
///
/// # Errors
/// Usage, where it is packed; those of `open`.
pub(crate) fn to_pack<T>(run: &Path, open: impl FnOnce(&Path, &[String]) -> Result<T>) -> Result<T> {
    RunFolder::new(run).refuse_packed()?;
    open(run, &[])
}
