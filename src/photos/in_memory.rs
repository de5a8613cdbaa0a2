//! Features of photographs that were just made, as a source of pictures.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PictureTower;
use crate::Result;
use crate::corpus::{MadeBy, PictureSource};

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
