//! Who may write to a run folder, and how all of a run comes into it at once.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{PREPARED, RunFolder, Which};
use crate::building::{BEGINNING, BEGUN, remove};
use crate::eval::TASKS;
use crate::lock::Lock;
use crate::write::{clear_partial, write_whole};
use crate::{Error, Result, building};

/// The lock's file.
const LOCK: &str = "run.lock";
/// The description of a run. It is moved up last.
const DESCRIPTION: &str = "run.json";
/// Where the trainings of a language stand that is being added.
pub const LEARNING: &str = "learning";

impl RunFolder {
    /// A folder that is there, for one process at a time to write to: until this and its copies are dropped, others are refused.
    /// What killed processes have left is completed or removed.
    ///
    /// # Errors
    /// Run, naming the process that writes to it; run, where the folder cannot be written.
    pub fn locked(path: &Path) -> Result<RunFolder> {
        let lock = Lock::take(&path.join(LOCK), path)?;
        let folder = RunFolder { path: path.to_path_buf(), lock: Some(Arc::new(lock)) };
        folder.recover()?;
        Ok(folder)
    }

    /// Removes the lock of a process that was killed when all else was done: what is evaluated and reported needs none.
    pub fn clear_left_lock(&self) {
        Lock::clear_left(&self.path.join(LOCK));
    }

    /// As [`RunFolder::locked`], for a run to go on with: nothing is made where there is none.
    ///
    /// # Errors
    /// Also data, where nothing is there.
    pub fn to_go_on(path: &Path) -> Result<RunFolder> {
        let there = RunFolder::new(path);
        if !there.is_run() && !path.join(BEGUN).exists() {
            // As a reader would be told.
            there.config().and_then(|_| there.info())?;
        }
        RunFolder::locked(path)
    }

    /// Whether a run is there.
    pub fn is_run(&self) -> bool {
        self.path.join(DESCRIPTION).exists()
    }

    /// Whether a process was killed here before its run was whole, or before it did anything: nothing is lost with what there is.
    pub fn is_unbegun(&self) -> bool {
        fs::read_dir(&self.path).is_ok_and(|mut entries| {
            entries.all(|entry| {
                entry.is_ok_and(|entry| [LOCK, BEGINNING].iter().any(|own| entry.file_name() == *own))
            })
        })
    }

    /// Names of what is in the folder, but for the lock.
    ///
    /// # Errors
    /// Run, where the folder cannot be read.
    pub fn entries(&self) -> Result<Vec<OsString>> {
        let failed = |e: io::Error| Error::writing(&self.path, e);
        let names = fs::read_dir(&self.path).map_err(failed)?.map(|entry| entry.map(|e| e.file_name()));
        let names = names.collect::<io::Result<Vec<OsString>>>().map_err(failed)?;
        Ok(names.into_iter().filter(|name| name != LOCK).collect())
    }

    /// Lets `write` write a run into an empty folder, and moves it here when it is whole. After an error nothing of it is left.
    ///
    /// # Errors
    /// Those of `write`; run, where the folder cannot be written.
    pub fn build<T>(&self, write: impl FnOnce(&RunFolder) -> Result<T>) -> Result<T> {
        building::build(&self.path, DESCRIPTION, |folder| write(&RunFolder::new(folder)))
    }

    /// Copies all that is in the folder into another one, which is empty; the lock stays.
    ///
    /// # Errors
    /// Data, where a file cannot be read; run, where the folder cannot be written.
    pub(crate) fn copy_to(&self, to: &RunFolder) -> Result<()> {
        self.entries()?.iter().try_for_each(|name| copy(&self.path.join(name), &to.path.join(name)))
    }

    /// Completes or removes what killed processes have left.
    fn recover(&self) -> Result<()> {
        let remove = |path: &Path| remove(path).map_err(|e| Error::writing(path, e));
        building::recover(&self.path, DESCRIPTION)?;
        let checkpoints = self.path.join("checkpoints");
        for which in [Which::Latest, Which::Best] {
            let [now, old, new] = which.folders(&checkpoints);
            remove(&new)?;
            if now.exists() {
                remove(&old)?;
            } else if old.exists() {
                fs::rename(&old, &now).map_err(|e| Error::writing(&now, e))?;
            }
        }
        if self.is_run() {
            // What was learnt there is in the run.
            remove(&self.path.join(LEARNING))?;
        }
        let further = ["", "pictures", "acquirers", "growth"];
        further.iter().chain(&PREPARED).try_for_each(|part| clear_partial(&self.path.join(part)))?;
        TASKS.iter().try_for_each(|task| clear_partial(&self.results_of(task.name())))
    }

    /// Takes back that the folder was to become a run: the lock, and the folder itself where it was `made` for that.
    pub(crate) fn abandon(&mut self, made: bool) {
        self.lock = None;
        if made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return write_whole(to, &fs::read(from).map_err(|e| Error::reading(from, e))?);
    }
    fs::create_dir_all(to).map_err(|e| Error::writing(to, e))?;
    for entry in fs::read_dir(from).map_err(|e| Error::reading(from, e))? {
        let name = entry.map_err(|e| Error::reading(from, e))?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
