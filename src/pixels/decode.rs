//! The bytes of a photograph as RGB, whatever its format.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::exif::Exif;
use super::raw::{Decoding, Raw};
use super::{Day, Orientation, Rgb, bmp, formats, jpeg, tiff};
use crate::{Error, Result};

/// A photograph as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Its pixels, upright where that was asked for.
    pub picture: Rgb,
    /// The way in which it was turned.
    pub orientation: Orientation,
    /// Whether it is an animation, of which this is the first frame.
    pub animated: bool,
    /// The day on which it was taken, as EXIF says.
    pub taken: Option<Day>,
}

/// Turns the bytes of a format into RGB.
type Decoder = fn(&[u8], &Decoding) -> Result<Raw>;

/// Which format the bytes are in, by how they begin.
fn decoder(bytes: &[u8]) -> Option<Decoder> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    Some(match () {
        () if begins(b"\xff\xd8\xff") => jpeg::jpeg,
        () if begins(b"\x89PNG\r\n\x1a\n") => formats::png,
        () if begins(b"GIF8") => formats::gif,
        () if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => formats::webp,
        () if begins(b"BM") => bmp::bmp,
        () if begins(b"II*\0") || begins(b"MM\0*") || begins(b"II+\0") || begins(b"MM\0+") => tiff::tiff,
        () => return None,
    })
}

/// What bytes are that are no photograph, as far as their beginning tells.
fn nothing_known(bytes: &[u8]) -> Error {
    if bytes.is_empty() {
        return Error::data("is empty");
    }
    let start = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    let what = match text.as_str() {
        t if t.starts_with("<!doctype html") || t.starts_with("<html") || t.starts_with("<head") => {
            "is a page of HTML"
        }
        t if t.starts_with("<svg") || t.starts_with("<?xml") => "is XML",
        _ if bytes.get(4..8) == Some(b"ftyp") => "is AVIF, HEIF or a film",
        _ if bytes.iter().all(|&b| b == 0) => "holds nothing but zeros",
        _ => "is no picture that is known",
    };
    Error::data(what).hint("pictures are read from JPEG, PNG, WebP, GIF, BMP and TIFF")
}

/// A photograph from the bytes of its file.
///
/// Pixels become RGB as Pillow's `convert("RGB")` has them: transparency is dropped, grey of 16 bits ends at 255.
///
/// # Errors
/// Data, without the name of a file: no picture, one that is cut short or damaged, in a form that is not read, or too large.
pub fn decode(bytes: &[u8], decoding: &Decoding) -> Result<Decoded> {
    let decoder = decoder(bytes).ok_or_else(|| nothing_known(bytes))?;
    // Decoders are other people's, and bytes anything: a fault of theirs is one of the photograph.
    let raw = catch_unwind(AssertUnwindSafe(|| decoder(bytes, decoding)))
        .unwrap_or_else(|_| Err(Error::data("is damaged: its decoder fails on it")))?;
    let orientation = match &raw.exif {
        Some(exif) if decoding.exif => Orientation::of_exif(exif),
        _ => Orientation::default(),
    };
    let taken = raw.exif.as_deref().and_then(|exif| Exif::open(exif)?.taken());
    Ok(Decoded { picture: orientation.applied(raw.picture), orientation, animated: raw.animated, taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        decode(bytes, &Decoding::default()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_picture_is_said() {
        assert_eq!(refusal(b""), "is empty");
        assert!(refusal(b" \n<!DOCTYPE HTML><title>404</title>").starts_with("is a page of HTML\nhint: "));
        assert!(refusal(b"\0\0\0\x20ftypavif\0\0").starts_with("is AVIF"));
        assert!(refusal(&[0; 900]).starts_with("holds nothing but zeros"));
        assert!(refusal(b"hello").starts_with("is no picture that is known"));
    }

    #[test]
    fn the_beginning_of_a_format_alone_is_refused() {
        let starts: [&[u8]; 8] = [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"RIFF\x20\0\0\0WEBPVP8 ",
            b"BM",
            b"II*\0",
            b"MM\0*\0\0\0\x08",
            b"\xff\xd8\xff\xda",
        ];
        for start in starts {
            let error = decode(start, &Decoding::default()).unwrap_err();
            assert_eq!(error.exit_status(), 4, "{}", start.escape_ascii());
        }
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() {
        // The header of a BMP of 60,000 × 60,000 pixels, and none of them.
        let mut bytes = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bytes.extend(60_000u32.to_le_bytes());
        bytes.extend(60_000u32.to_le_bytes());
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        let text = refusal(&bytes);
        assert!(text.contains("60000 × 60000 pixels large"), "{text}");
    }
}
