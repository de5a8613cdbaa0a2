//! From the bytes of a photograph to the pixels that a picture tower sees: decoded, turned as EXIF says, brought to RGB, resized and
//! cropped as Pillow and Hugging Face's image processors do.

mod bmp;
mod day;
mod decode;
mod exif;
mod formats;
mod jpeg;
mod orientation;
mod preprocess;
mod raw;
mod resample;
mod thumbnail;
mod tiff;

pub use day::{Day, NoDay};
pub use decode::{Decoded, decode};
pub use orientation::Orientation;
pub use preprocess::{Preprocessing, Processor, Size};
pub use raw::Decoding;
pub use resample::{Filter, resize};
pub use thumbnail::thumbnail;

/// A picture of 8-bit RGB, row by row from the top left: `height · width · 3` numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels of a row.
    pub width: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row: 3 · width · height numbers.
    pub data: Vec<u8>,
}

impl Rgb {
    /// A picture of these pixels.
    ///
    /// # Panics
    /// Where `data` does not hold `height · width · 3` numbers.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Rgb {
        assert_eq!(data.len(), width * height * 3, "a picture of {width} × {height}");
        Rgb { width, height, data }
    }

    /// The pixels of a row, `width · 3` numbers.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width * 3..][..self.width * 3]
    }
}
