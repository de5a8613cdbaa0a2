//! TIFF: its first page.

use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::Rgb;
use super::formats::{from_bytes, from_words};
use super::raw::{Decoding, Raw};
use crate::{Error, Result};

/// What the decoder and Pillow have in common.
const READ: &str = "read are grey and RGB up to 16 bits, and CMYK of 8: save it as one of these, or as PNG";

fn damaged(e: TiffError) -> Error {
    match e {
        TiffError::UnsupportedError(what) => {
            Error::data(format!("is a TIFF that is not read: {what}")).hint(READ)
        }
        other => super::formats::damaged(other),
    }
}

/// Grey, RGB or CMYK, of up to 16 bits.
pub(super) fn tiff(bytes: &[u8], decoding: &Decoding) -> Result<Raw> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = decoding.most_pixels.saturating_mul(8);
    limits.intermediate_buffer_size = decoding.most_pixels.saturating_mul(8);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let (width, height) = (width as usize, height as usize);
    decoding.check(width, height)?;
    let colour = decoder.colortype().map_err(damaged)?;
    let planes = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).ok().flatten();
    let read = match colour {
        ColorType::Gray(_) => true,
        ColorType::RGB(_) | ColorType::RGBA(_) | ColorType::CMYK(8) => planes != Some(2),
        ColorType::Multiband { num_samples: 2, .. } | ColorType::GrayA(_) => planes != Some(2),
        _ => false,
    };
    let refused = || {
        let planes = if planes == Some(2) { " in planes" } else { "" };
        Error::data(format!("is a TIFF of {colour:?}{planes}")).hint(READ)
    };
    if !read {
        return Err(refused());
    }
    // The tag of a TIFF itself is the one of EXIF.
    let orientation = decoder.find_tag_unsigned::<u16>(Tag::Orientation).ok().flatten();
    let data = decoder.read_image().map_err(damaged)?;
    let rgb = match (colour, &data) {
        (ColorType::Gray(bits @ (1 | 2 | 4)), DecodingResult::U8(data)) => {
            let most = (1u16 << bits) - 1;
            let grey = |value: u8| [(u16::from(value) * 255 / most) as u8; 3];
            spread(data, bits, width, height).into_iter().flat_map(grey).collect()
        }
        (ColorType::CMYK(8), DecodingResult::U8(data)) => data.chunks_exact(4).flat_map(cmyk).collect(),
        (_, DecodingResult::U8(data)) => from_bytes(data, usize::from(colour.num_samples())),
        (_, DecodingResult::U16(data)) => from_words(data, usize::from(colour.num_samples())),
        _ => return Err(refused()),
    };
    if rgb.len() != width * height * 3 {
        return Err(Error::data("is damaged or cut short"));
    }
    // As a TIFF of this entry alone.
    let exif = orientation.map(|n| {
        let [low, high] = n.to_le_bytes();
        [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[low, high, 0, 0][..]].concat()
    });
    Ok(Raw { picture: Rgb::new(width, height, rgb), exif, animated: false })
}

/// Numbers of a few bits each, one by one; rows begin at whole bytes.
fn spread(data: &[u8], bits: u8, width: usize, height: usize) -> Vec<u8> {
    let bits = usize::from(bits);
    let per_row = (width * bits).div_ceil(8);
    let value = |row: &[u8], x: usize| {
        let shift = 8 - bits - (x * bits) % 8;
        row.get(x * bits / 8).map_or(0, |byte| (byte >> shift) & (0xff >> (8 - bits)))
    };
    data.chunks(per_row.max(1)).take(height).flat_map(|row| (0..width).map(move |x| value(row, x))).collect()
}

/// As Pillow: a light of 255 less black, of which the colours take their share.
fn cmyk(pixel: &[u8]) -> [u8; 3] {
    let light = 255 - i32::from(pixel[3]);
    [0, 1, 2].map(|n| {
        let product = i32::from(pixel[n]) * light + 128;
        (light - (((product >> 8) + product) >> 8)).clamp(0, 255) as u8
    })
}
