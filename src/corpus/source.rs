//! Where pictures come from, whatever they are stored as.

use std::path::Path;

use sha2::Sha256;

use super::MadeBy;
use crate::{Error, Result};

/// Pictures as rows of numbers. Features that were computed beforehand ([`super::Features`]) are the first kind.
pub trait PictureSource: Sync {
    /// The number of pictures.
    fn rows(&self) -> usize;

    /// The numbers per picture.
    fn width(&self) -> usize;

    /// Copies pictures from row `first` on into `out`, `(pictures, width)`.
    ///
    /// # Panics
    /// Where there are not as many rows, or `out` holds no whole ones.
    fn copy_rows(&self, first: usize, out: &mut [f32]);

    /// The file of a picture and its place there, counted from 0, for errors.
    ///
    /// # Panics
    /// Where there is no such row.
    fn place(&self, row: usize) -> (&Path, usize);

    /// What made them, where that is known.
    fn made_by(&self) -> Option<&MadeBy> {
        None
    }

    /// Adds what the pictures are to a hash: sources that add the same hold the same pictures.
    ///
    /// # Errors
    /// Data, where a file cannot be read.
    fn hash_content(&self, hash: &mut Sha256) -> Result<()>;
}

/// Refuses pictures of another width than those that a model was trained on; where there are none, nothing.
///
/// # Errors
/// Data, naming their first file.
pub(crate) fn same_width(pictures: &dyn PictureSource, expected: usize) -> Result<()> {
    let width = pictures.width();
    if width == expected || pictures.rows() == 0 {
        return Ok(());
    }
    Err(Error::data(format!("has rows of {width} numbers; the model was trained on rows of {expected}"))
        .at(pictures.place(0).0)
        .hint("compute the features as those of the training pictures"))
}
