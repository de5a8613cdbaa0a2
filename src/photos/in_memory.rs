//! Features of photographs that were just made, as a source of pictures.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use super::{Photographs, PictureTower};
use crate::corpus::{MadeBy, PictureSource};
use crate::{Error, Result};

/// Features of some photographs by a picture tower, in memory.
pub struct InMemory {
    /// (photographs, width)
    features: Vec<f32>,
    width: usize,
    made_by: MadeBy,
    /// Where the photographs are from, for errors.
    source: PathBuf,
}

impl InMemory {
    /// The features of photographs from `source` that a tower made, one after the other.
    ///
    /// # Panics
    /// Where these are no whole rows of the tower's outputs.
    pub fn new(tower: &PictureTower, features: Vec<f32>, source: &Path) -> InMemory {
        let width = tower.outputs();
        assert!(features.len().is_multiple_of(width), "rows of {width} numbers");
        InMemory { features, width, made_by: tower.made_by(), source: source.to_path_buf() }
    }

    /// The features of all of some photographs, from `source`.
    ///
    /// # Errors
    /// Data, naming a photograph that cannot be used; stopped, where `stop` was raised.
    pub fn of(
        tower: &PictureTower,
        photographs: &Photographs,
        source: &Path,
        stop: &AtomicBool,
    ) -> Result<InMemory> {
        let (all, mut features) = ((0..photographs.len()).collect::<Vec<_>>(), Vec::new());
        let whole = tower.each(photographs, &all, &(), stop, &mut |some| {
            for photograph in some {
                match photograph.features {
                    Ok(row) => features.extend(row.expect("each goes through the tower")),
                    Err(why) => return Err(Error::data(why).at(photographs.name(photograph.n))),
                }
            }
            Ok(())
        })?;
        match whole {
            true => Ok(InMemory::new(tower, features, source)),
            false => Err(Error::stopped("stopped before all photographs were read")),
        }
    }
}

impl PictureSource for InMemory {
    fn rows(&self) -> usize {
        self.features.len() / self.width
    }

    fn width(&self) -> usize {
        self.width
    }

    fn copy_rows(&self, first: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.features[first * self.width..][..out.len()]);
    }

    fn place(&self, row: usize) -> (&Path, usize) {
        (&self.source, row)
    }

    fn made_by(&self) -> Option<&MadeBy> {
        Some(&self.made_by)
    }

    fn hash_content(&self, hash: &mut Sha256) -> Result<()> {
        hash.update(bytemuck::cast_slice(&self.features));
        Ok(())
    }
}
