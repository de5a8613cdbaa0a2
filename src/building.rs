//! Folders that are whole or not there: all of one comes into its place at once.
//!
//! It is built in [`BEGINNING`], which is renamed to [`BEGUN`] when it is whole; then its parts are moved up. A process that is
//! killed on the way leaves one of the two, and the next one removes the first and completes the second. Only one process may do
//! so at a time: callers hold a lock.

use std::fs;
use std::io;
use std::path::Path;

use crate::write::sync_folder;
use crate::{Error, Result};

/// What is being built, and what is built. Nobody else calls a folder so: what is found there may be removed.
pub const BEGINNING: &str = "tinyglot.beginning";
/// What is built; as [`BEGINNING`].
pub const BEGUN: &str = "tinyglot.begun";

/// Lets `write` write into an empty folder, and moves all that it wrote into `folder` when it is whole, the part named `last` at
/// the end. After an error nothing of it is left.
///
/// # Errors
/// Those of `write`; run, where the folder cannot be written.
pub fn build<T>(folder: &Path, last: &str, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let beginning = folder.join(BEGINNING);
    let failed = |e: io::Error| Error::writing(&beginning, e);
    let made = remove(&beginning).and_then(|()| fs::create_dir(&beginning)).map_err(failed);
    let done = made.and_then(|()| write(&beginning)).and_then(|value| {
        let whole = sync_folder(&beginning).and_then(|()| fs::rename(&beginning, folder.join(BEGUN)));
        whole.and_then(|()| sync_folder(folder)).map_err(failed)?;
        Ok(value)
    });
    match done {
        Ok(value) => move_up(folder, last).map(|()| value),
        Err(error) => {
            // The first error is the one to tell.
            let _ = remove(&beginning);
            Err(error)
        }
    }
}

/// Completes or removes what a killed process has left of a [`build`].
///
/// # Errors
/// Run, where the folder cannot be written.
pub fn recover(folder: &Path, last: &str) -> Result<()> {
    let beginning = folder.join(BEGINNING);
    remove(&beginning).map_err(|e| Error::writing(&beginning, e))?;
    match folder.join(BEGUN).exists() {
        true => move_up(folder, last),
        false => Ok(()),
    }
}

/// Moves the parts of what is built to their places.
fn move_up(folder: &Path, last: &str) -> Result<()> {
    let begun = folder.join(BEGUN);
    let moved = || {
        let names = fs::read_dir(&begun)?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort_by_key(|name| (name == last, name.clone()));
        names.iter().try_for_each(|name| fs::rename(begun.join(name), folder.join(name)))?;
        fs::remove_dir(&begun)?;
        sync_folder(folder)
    };
    moved().map_err(|e| Error::writing(&begun, e))
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// As the system says.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let place = tempfile::tempdir().unwrap();
        let write = |folder: &Path| {
            fs::create_dir(folder.join("part")).unwrap();
            fs::write(folder.join("last"), "").unwrap();
            Ok(())
        };
        let error = build(place.path(), "last", |folder| write(folder).and(Err::<(), _>(Error::run("full"))));
        assert_eq!(error.unwrap_err().to_string(), "full");
        assert!(names(place.path()).is_empty());
        build(place.path(), "last", write).unwrap();
        assert_eq!(names(place.path()), ["last", "part"]);
    }

    #[test]
    fn what_a_kill_left_is_removed_or_completed() {
        let place = tempfile::tempdir().unwrap();
        for half in [BEGINNING, BEGUN] {
            fs::create_dir_all(place.path().join(half).join("part")).unwrap();
            recover(place.path(), "last").unwrap();
            let left: &[&str] = if half == BEGUN { &["part"] } else { &[] };
            assert_eq!(names(place.path()), left);
        }
        // Killed while its parts were moved.
        fs::create_dir(place.path().join(BEGUN)).unwrap();
        fs::write(place.path().join(BEGUN).join("last"), "").unwrap();
        recover(place.path(), "last").unwrap();
        assert_eq!(names(place.path()), ["last", "part"]);
    }
}
