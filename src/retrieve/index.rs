//! A folder with the vectors of pictures: made once, mapped, searched often.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PictureVectors, Retriever};
use crate::building;
use crate::checkpoint::{Numbers, json};
use crate::corpus::{Features, NpyWriter, PictureSource, read_ids};
use crate::lock::Lock;
use crate::write::write_whole_with;
use crate::{Error, Result};

/// Version of the folder; another one is refused.
const VERSION: u32 = 1;
const LOCK: &str = "index.lock";
const DESCRIPTION: &str = "index.json";
const VECTORS: &str = "vectors.npy";
const IDS: &str = "ids.txt";
const AGAIN: &str = "make the index again with `tinyglot index`";
/// Vectors that a search reads at a time.
const TILE: usize = 4096;

/// What an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    version: u32,
    /// Version of the program that wrote it.
    tinyglot: String,
    /// What made the vectors: [`Retriever::pictures_by`].
    pictures_by: String,
    pictures: usize,
    joint: usize,
    numbers: Numbers,
}

/// The vectors of pictures in a folder: `vectors.npy` (pictures, joint) of unit length, which other programs read too, `ids.txt`, one a
/// line, and what made them. It may be larger than memory.
pub struct Index {
    path: PathBuf,
    about: Description,
    vectors: Features,
    ids: Vec<String>,
}

impl Index {
    /// Makes an index of pictures in a folder that is empty or not there; `ids` are theirs, as many. It appears whole or not at all.
    ///
    /// # Panics
    /// With another number of ids than pictures.
    ///
    /// # Errors
    /// Usage, where something is in the folder; data, where the pictures cannot be used, or an id has a line break; run, where the folder
    /// cannot be written.
    pub fn make(
        model: &dyn Retriever,
        pictures: &dyn PictureSource,
        ids: &[String],
        numbers: Numbers,
        path: &Path,
    ) -> Result<Index> {
        assert_eq!(ids.len(), pictures.rows(), "an id for each picture");
        if let Some(id) = ids.iter().find(|id| id.trim().is_empty() || id.contains(['\n', '\r'])) {
            let what = format!("the id {id:?} cannot stand on a line of its own");
            return Err(Error::data(what).at(pictures.place(0).0).hint("rename the picture"));
        }
        model.check_pictures(pictures)?;
        let made = !path.exists();
        fs::create_dir_all(path).map_err(|e| Error::writing(path, e))?;
        let written = Self::write(model, pictures, ids, numbers, path);
        if written.is_err() && made {
            // The first error is the one to tell.
            let _ = fs::remove_dir(path);
        }
        written?;
        Index::open(path)
    }

    fn write(
        model: &dyn Retriever,
        pictures: &dyn PictureSource,
        ids: &[String],
        numbers: Numbers,
        path: &Path,
    ) -> Result<()> {
        let _lock = Lock::take(&path.join(LOCK), path)?;
        building::recover(path, DESCRIPTION)?;
        let others = fs::read_dir(path).map_err(|e| Error::reading(path, e))?.flatten();
        if others.map(|entry| entry.file_name()).any(|name| name != LOCK) {
            let hint = "give a new folder, or remove this one";
            return Err(Error::usage("the folder is not empty").at(path).hint(hint));
        }
        let about = Description {
            version: VERSION,
            tinyglot: env!("CARGO_PKG_VERSION").into(),
            pictures_by: model.pictures_by()?,
            pictures: ids.len(),
            joint: model.joint(),
            numbers,
        };
        building::build(path, DESCRIPTION, |folder| {
            write_vectors(model, pictures, numbers, &folder.join(VECTORS))?;
            write_whole_with(&folder.join(IDS), |out| ids.iter().try_for_each(|id| writeln!(out, "{id}")))?;
            json::write(&folder.join(DESCRIPTION), &about)
        })
    }

    /// Opens an index; all its vectors are read once.
    ///
    /// # Errors
    /// Data: no index, of another version, or not as it was written.
    pub fn open(path: &Path) -> Result<Index> {
        let file = path.join(DESCRIPTION);
        if !file.exists() {
            return Err(Error::data("no index here: `index.json` is missing").at(path).hint(AGAIN));
        }
        let about: Description = json::read_versioned_or(&file, "an index", [AGAIN; 2])?;
        let vectors = Features::open(&[path.join(VECTORS)])?;
        let ids = read_ids(&path.join(IDS))?;
        let found = [vectors.rows(), ids.len(), vectors.width()];
        let said = [about.pictures, about.pictures, about.joint];
        if found != said {
            let [rows, ids, width] = found;
            let what = format!(
                "speaks of {} pictures and {} numbers each; there are {rows} vectors of {width}, and {ids} ids",
                about.pictures, about.joint
            );
            return Err(Error::data(what).at(&file).hint(AGAIN));
        }
        Ok(Index { path: path.to_path_buf(), about, vectors, ids })
    }

    /// Refuses a model whose sentences cannot be compared with these vectors.
    ///
    /// # Errors
    /// Data, where another model made them; those of [`Retriever::pictures_by`].
    pub fn check_model(&self, model: &dyn Retriever) -> Result<()> {
        if model.pictures_by()? == self.about.pictures_by {
            return Ok(());
        }
        let what = format!("was made with another model than `{}`", model.folder().path.display());
        Err(Error::data(what).at(&self.path).hint("give the run that it was made with, or make it again"))
    }

    /// The ids of the pictures, by row.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The vector of a picture, of unit length as far as its numbers are exact.
    ///
    /// # Panics
    /// Without such a row.
    pub fn vector(&self, row: usize) -> Vec<f32> {
        assert!(row < self.ids.len(), "no row {row}");
        let mut vector = vec![0.0; self.about.joint];
        self.vectors.copy_rows(row, &mut vector);
        vector
    }

    /// The file that is written last, and replaced where the index is made again.
    pub fn description(path: &Path) -> PathBuf {
        path.join(DESCRIPTION)
    }
}

fn write_vectors(
    model: &dyn Retriever,
    pictures: &dyn PictureSource,
    numbers: Numbers,
    path: &Path,
) -> Result<()> {
    let (rows, joint) = (pictures.rows(), model.joint());
    let mut failed = None;
    let written = write_whole_with(path, |out| {
        let mut npy = match numbers {
            Numbers::F16 => NpyWriter::halves(out, rows, joint)?,
            Numbers::F32 => NpyWriter::new(out, rows, joint)?,
        };
        let taken =
            model.pictures(pictures, &mut |_, some| npy.write(some).map_err(|e| Error::writing(path, e)));
        taken.map_err(|error| {
            failed = Some(error);
            std::io::Error::other("the pictures cannot be used")
        })
    });
    match failed {
        Some(error) => Err(error),
        None => written,
    }
}

impl PictureVectors for Index {
    fn joint(&self) -> usize {
        self.about.joint
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let (rows, joint) = (self.vectors.rows(), self.about.joint);
        let mut tile = Vec::new();
        for first in (0..rows).step_by(TILE) {
            tile.resize(TILE.min(rows - first) * joint, 0.0);
            self.vectors.copy_rows(first, &mut tile);
            take(first, &tile)?;
        }
        Ok(())
    }
}
