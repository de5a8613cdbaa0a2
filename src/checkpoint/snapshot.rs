//! A checkpoint as it was at one moment, read while another process may write the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::training::read_state;
use super::{RunFolder, TensorFile, TrainState, Which};
use crate::{Error, Result};

/// A writer puts a checkpoint into place between two tries.
const TRIES: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);

impl Which {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Which::Latest => "latest",
            Which::Best => "best",
        }
    }

    /// Where it is; where the one before is while it is replaced; where the next one is written.
    pub(super) fn folders(self, checkpoints: &Path) -> [PathBuf; 3] {
        let name = self.name();
        [
            checkpoints.join(name),
            checkpoints.join(format!("{name}.old")),
            checkpoints.join(format!("{name}.new")),
        ]
    }
}

impl RunFolder {
    /// The folder that a checkpoint is in now.
    pub(super) fn checkpoint(&self, which: Which) -> PathBuf {
        let [now, old, _] = which.folders(&self.path.join("checkpoints"));
        // Between the two renames of a save, and after a kill there, only the old one is there.
        if !now.exists() && old.exists() { old } else { now }
    }

    /// Whether the run has such a checkpoint.
    pub fn has(&self, which: Which) -> bool {
        // The old one may have gone since its successor was looked for.
        self.checkpoint(which).exists() || self.checkpoint(which).exists()
    }

    /// Where training stood, and the parameters of that step. The file stays what it is when the checkpoint is replaced.
    ///
    /// # Errors
    /// Data, for files that are missing or broken.
    pub(super) fn snapshot(&self, which: Which) -> Result<(TrainState, TensorFile)> {
        let mut tries = 0;
        loop {
            let folder = self.checkpoint(which);
            let (model, state) = (folder.join("model.safetensors"), folder.join("state.json"));
            // Step and seconds tell checkpoints apart; a folder never changes once it is in its place.
            let before = fs::read(&state).ok();
            let read = read_state(&state).and_then(|known| Ok((known, TensorFile::open(&model)?)));
            let whole =
                before.is_some() && before == fs::read(self.checkpoint(which).join("state.json")).ok();
            // A file may be away for the moment between the two renames of a save, and be there again when one looks.
            let away = read.as_ref().is_err_and(Error::is_missing_file);
            tries += 1;
            if tries == TRIES || whole && !away {
                return read.and_then(|found| match whole {
                    true => Ok(found),
                    false => {
                        Err(Error::run("the checkpoint is replaced faster than it can be read").at(folder))
                    }
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Where training stood.
    ///
    /// # Errors
    /// As [`RunFolder::read_model`].
    pub fn read_state(&self, which: Which) -> Result<TrainState> {
        Ok(self.snapshot(which)?.0)
    }
}
