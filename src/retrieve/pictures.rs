//! A file of features, each picture of it once, and their ids.

use std::path::{Path, PathBuf};

use crate::corpus::{Features, read_ids};
use crate::{Error, Result};

/// The pictures of a file of features, each once.
#[derive(Debug)]
pub struct PictureFile {
    file: PathBuf,
    /// Each picture once.
    pub features: Features,
    /// How often each stands in the file, one row after the other.
    pub times: usize,
    /// The id of each row of the file.
    pub ids: Option<Vec<String>>,
}

impl PictureFile {
    /// `given`: a file with an id for each picture, or for each row; by default the one beside `file` that ends in `.ids`, as `embed-images` writes it,
    /// where the features hold no ids.
    ///
    /// # Errors
    /// Data: files that cannot be used, or another number of ids than pictures.
    pub fn open(file: &Path, given: Option<&Path>) -> Result<PictureFile> {
        let rows = Features::open(&[file.to_path_buf()])?;
        let beside = file.with_extension("ids");
        let given = given.or_else(|| (rows.ids().is_none() && beside.is_file()).then_some(beside.as_path()));
        let known = given.map(read_ids).transpose()?.or_else(|| rows.ids());
        let (features, times) = rows.each_once(known.as_deref())?;
        let ids = match (known, given) {
            (Some(ids), _) if ids.len() == rows.rows() => Some(ids),
            (Some(ids), _) if ids.len() == features.rows() => {
                Some(ids.into_iter().flat_map(|id| std::iter::repeat_n(id, times)).collect())
            }
            (Some(ids), Some(file)) => {
                let what =
                    format!("holds {} ids, but the gallery has {} pictures", ids.len(), features.rows());
                let hint = "one id a line, in the order of the gallery's rows";
                return Err(Error::data(what).at(file).hint(hint));
            }
            _ => None,
        };
        Ok(PictureFile { file: file.to_path_buf(), features, times, ids })
    }

    /// What people should know of pictures that stand several times in the file.
    pub fn note(&self) -> Option<String> {
        let (file, times) = (self.file.display(), self.times);
        (times > 1).then(|| {
            format!("each picture of `{file}` stands {times} times, one after the other, and is found once, by its first row")
        })
    }

    /// What a row of the file is called.
    pub fn name(&self, row: u32) -> String {
        self.ids.as_ref().map_or(row.to_string(), |ids| ids[row as usize].clone())
    }

    /// What each picture is called, in the order of the features.
    pub fn each_once(&self) -> Vec<String> {
        (0..self.features.rows()).map(|picture| self.name((picture * self.times) as u32)).collect()
    }
}
