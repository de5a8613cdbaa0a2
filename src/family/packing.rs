//! What packing a run is in every family.

use std::fs;
use std::path::Path;

use super::Packed;
use crate::checkpoint::{Packing, ReservedFolder, RunFolder, RunInfo, TrainState};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::eval::Fitted;
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
        // Weights of languages that were left out fit no others.
        let known = |fitted: &Fitted| fitted.languages.iter().all(|l| self.info.languages.contains(l));
        match self.run.fitted(self.state.step)?.filter(known) {
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

/// A run in memory, to be packed once or in several ways.
pub trait Packer {
    /// Whether words that training has not seen are guessed from n-grams, of which a packing keeps some.
    fn guesses(&self) -> bool {
        false
    }

    /// Makes a folder for use alone, in `place`. With a limit, words are left out that are worth least for their bytes, until the folder is within it
    /// or no word is left that can be; without one, and in families whose words cannot be left out, nothing is.
    ///
    /// # Errors
    /// Data, for weights that their format cannot hold; run, where the folder cannot be written.
    fn pack(&mut self, packing: Packing, limit: Option<Limit>, place: ReservedFolder) -> Result<Packed>;
}

/// What a packed run may take.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Its captions of validation say what a word is worth.
    pub corpus: &'a Corpus,
}

/// Bytes of all files of a folder.
///
/// # Errors
/// Data, where it cannot be read.
pub fn bytes_of(folder: &Path) -> Result<u64> {
    let failed = |e| Error::reading(folder, e);
    let mut sum = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let about = entry.metadata().map_err(failed)?;
        sum += if about.is_dir() { bytes_of(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

/// Opens what is to be packed; a run that is packed already is refused before it is read.
///
/// # Errors
/// Usage, where it is packed, or for languages in a family that reads all with the same parameters; those of `open`.
pub(crate) fn to_pack<T>(
    run: &Path,
    languages: &[String],
    open: impl FnOnce(&Path, &[String]) -> Result<T>,
) -> Result<T> {
    RunFolder::new(run).refuse_packed()?;
    if !languages.is_empty() {
        return Err(Error::usage("what the run reads sentences with is shared by all its languages")
            .at(run)
            .hint("leave out `--languages`"));
    }
    open(run, &[])
}
