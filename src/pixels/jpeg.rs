//! JPEG: strictly, so that lost data are found, where other decoders fill what is missing with grey. Not found is what is missing before
//! a proper end, which Pillow does not find either.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::Rgb;
use super::raw::{Decoding, Raw};
use crate::{Error, Result};

/// Sides that the format can have.
const LONGEST: usize = 65_535;

/// A JPEG file, of CMYK too.
pub(super) fn jpeg(bytes: &[u8], decoding: &Decoding) -> Result<Raw> {
    if !has_end(bytes) {
        return Err(Error::data("is cut short: a JPEG without its end"));
    }
    match decoded(bytes, decoding, true) {
        // Bytes of no meaning between headers are what other decoders pass over.
        Err(e) if e.to_string().contains("Extra bytes between headers") => decoded(bytes, decoding, false),
        done => done,
    }
}

fn decoded(bytes: &[u8], decoding: &Decoding, strict: bool) -> Result<Raw> {
    let options = DecoderOptions::new_fast()
        .set_strict_mode(strict)
        .set_max_width(LONGEST)
        .set_max_height(LONGEST)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| Error::data("is no whole JPEG"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    decoding.check(width, height)?;
    let data = decoder.decode().map_err(damaged)?;
    if data.len() != width * height * 3 {
        return Err(Error::data(format!("has {} colours, which is no JPEG that is read", info.components)));
    }
    Ok(Raw { picture: Rgb::new(width, height, data), exif: decoder.exif().cloned(), animated: false })
}

fn damaged(e: zune_jpeg::errors::DecodeErrors) -> Error {
    Error::data(format!("is damaged: {}", e.to_string().trim()))
}

/// Whether the marker of the end stands behind the pictures' data. Thumbnails within headers have ends of their own.
fn has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[marker, kind]) = bytes.get(at..at + 2) {
        if marker != 0xff || kind == 0xff || kind == 0 {
            at += 1;
            continue;
        }
        if kind == 0xda {
            break;
        }
        let alone = kind == 0x01 || (0xd0..=0xd9).contains(&kind);
        let length = match (alone, bytes.get(at + 2..at + 4)) {
            (true, _) => 0,
            (false, Some(&[high, low])) => usize::from(u16::from_be_bytes([high, low])),
            (false, _) => return false,
        };
        at += 2 + length;
    }
    bytes.get(at..).is_some_and(|data| data.windows(2).rev().any(|pair| pair == [0xff, 0xd9]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end() {
        let header = b"\xff\xd8\xff\xe1\0\x06\xff\xd8\xff\xd9";
        let whole = [&header[..], b"\xff\xda\0\x02data\xff\xd9"].concat();
        assert!(has_end(&whole));
        assert!(!has_end(&whole[..whole.len() - 1]));
        assert!(!has_end(header));
    }
}
