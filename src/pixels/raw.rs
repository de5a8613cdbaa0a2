//! What the decoders of all formats are given and give.

use super::Rgb;
use crate::{Error, Result};

/// How photographs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoding {
    /// Whether a photograph is turned as its EXIF data say.
    pub exif: bool,
    /// Pixels beyond which a photograph is refused before memory is taken for it.
    pub most_pixels: usize,
}

impl Default for Decoding {
    fn default() -> Self {
        // As Pillow, which warns from here on.
        Decoding { exif: true, most_pixels: 89_478_485 }
    }
}

impl Decoding {
    /// Refuses a picture of no pixels or too many.
    pub(super) fn check(&self, width: usize, height: usize) -> Result<()> {
        if width == 0 || height == 0 {
            return Err(Error::data(format!("is {width} × {height} pixels large")));
        }
        if width.saturating_mul(height) > self.most_pixels {
            let most = self.most_pixels;
            return Err(Error::data(format!("is {width} × {height} pixels large, more than {most} in all"))
                .hint("make it smaller, or allow more pixels"));
        }
        Ok(())
    }
}

/// What a format's decoder gives.
pub(super) struct Raw {
    pub picture: Rgb,
    /// EXIF data, as TIFF.
    pub exif: Option<Vec<u8>>,
    pub animated: bool,
}
