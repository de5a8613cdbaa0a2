//! The folder of an index as it is written: `index.json` names all that counts, and is replaced at once.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Stored;
use super::pending::PENDING;
use crate::building::remove;
use crate::checkpoint::json;
use crate::corpus::MadeBy;
use crate::lock::Lock;
use crate::shard::Shard;
use crate::write::{clear_partial, sync_folder};
use crate::{Error, Result};

/// Version of the folder; another one is refused.
pub(super) const VERSION: u32 = 1;
pub(super) const DESCRIPTION: &str = "index.json";
pub(super) const AGAIN: &str = "make the index again with `tinyglot index`";
const LOCK: &str = "index.lock";
/// What the names of parts begin with.
const PART: &str = "part-";
/// The list of photographs that were left out.
pub(super) const ERRORS: &str = "errors.tsv";

/// What an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub version: u32,
    /// Version of the program that wrote it.
    pub tinyglot: String,
    /// What made the vectors: [`crate::retrieve::Retriever::pictures_by`].
    pub pictures_by: String,
    /// The picture tower that the features came from; those of photographs always have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features_by: Option<MadeBy>,
    /// Whether it was made of photographs, and follows them.
    pub photographs: bool,
    pub joint: usize,
    pub numbers: Stored,
    /// Which part of a gallery it holds, where others hold the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Parts that were ever written: no name is given twice.
    pub written: u32,
    pub parts: Vec<PartOf>,
}

/// A part of an index, a folder that is written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartOf {
    pub name: String,
    pub rows: usize,
    /// Rows that count no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead: Vec<u32>,
    /// CRC-32 of the ids.
    pub ids: String,
    /// CRC-32 of what is known of the photographs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}

impl PartOf {
    /// Rows that count.
    pub fn live(&self) -> usize {
        self.rows - self.dead.len()
    }
}

impl Description {
    pub fn read(path: &Path) -> Result<Description> {
        let file = path.join(DESCRIPTION);
        if !file.exists() {
            return Err(Error::data("no index here: `index.json` is missing").at(path).hint(AGAIN));
        }
        let about: Description = json::read_versioned_or(&file, "an index", [AGAIN; 2])?;
        let plain = |part: &PartOf| {
            part.name.starts_with(PART)
                && part.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && part.dead.is_sorted_by(|a, b| a < b)
                && part.dead.last().is_none_or(|&last| (last as usize) < part.rows)
        };
        match about.parts.iter().find(|part| !plain(part)) {
            Some(part) => Err(Error::data(format!("names the part `{}`, which no index has", part.name))
                .at(file)
                .hint(AGAIN)),
            None => Ok(about),
        }
    }
}

/// The folder of an index that this process alone writes.
pub(super) struct Place {
    path: PathBuf,
    /// The index that is there.
    pub about: Option<Description>,
    lock: Option<Lock>,
    made: bool,
}

impl Place {
    /// Makes the folder where it is not there, locks it, and removes what a killed process has left but for what it had finished.
    ///
    /// # Errors
    /// Usage, where something else than an index is in the folder; data, where the index cannot be read; run, where another process writes it.
    pub fn take(path: &Path) -> Result<Place> {
        let made = !path.exists();
        fs::create_dir_all(path).map_err(|e| Error::writing(path, e))?;
        let lock = Lock::take(&path.join(LOCK), path)?;
        let mut place = Place { path: path.to_path_buf(), about: None, lock: Some(lock), made };
        clear_partial(path)?;
        if path.join(DESCRIPTION).exists() {
            place.about = Some(Description::read(path)?);
        } else if let Some(other) = place.entries()?.iter().find(|name| !is_ours(name)) {
            let what = format!("the folder is not empty: it holds `{other}`");
            return Err(Error::usage(what).at(path).hint("give a new folder, or remove this one"));
        }
        place.sweep()?;
        Ok(place)
    }

    fn entries(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.path).map_err(|e| Error::reading(&self.path, e))?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// Removes parts that do not count.
    fn sweep(&self) -> Result<()> {
        let counts =
            |name: &String| self.about.iter().flat_map(|about| &about.parts).any(|part| part.name == *name);
        for name in self.entries()?.iter().filter(|name| name.starts_with(PART) && !counts(name)) {
            let folder = self.path.join(name);
            remove(&folder).map_err(|e| Error::writing(&folder, e))?;
        }
        Ok(())
    }

    /// An empty folder for the part of this number, counted from 1: its name and path.
    pub fn begin(&self, number: u32) -> Result<(String, PathBuf)> {
        let name = format!("{PART}{number:06}");
        let folder = self.path.join(&name);
        fs::create_dir(&folder).map_err(|e| Error::writing(&folder, e))?;
        Ok((name, folder))
    }

    /// From here on the index is what `about` says; parts that it does not name are removed.
    pub fn commit(&mut self, about: Description) -> Result<()> {
        let failed = |e| Error::writing(&self.path, e);
        for part in about.parts.iter() {
            sync_folder(&self.path.join(&part.name)).map_err(failed)?;
        }
        sync_folder(&self.path).map_err(failed)?;
        json::write(&self.path.join(DESCRIPTION), &about)?;
        self.about = Some(about);
        self.sweep()
    }
}

/// Whether a name in the folder is that of a part of an index.
fn is_ours(name: &str) -> bool {
    [LOCK, PENDING, ERRORS].contains(&name) || name.starts_with(PART)
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.about.is_none() {
            // What an error has left of a part counts for nothing.
            let _ = self.sweep();
        }
        self.lock.take();
        if self.about.is_none() && self.made {
            // Stays where there is something in it to go on with.
            let _ = fs::remove_dir(&self.path);
        }
    }
}
