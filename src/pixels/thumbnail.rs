//! Small JPEGs of pictures.

use jpeg_encoder::{ColorType, Encoder};

use super::{Filter, Rgb, resize};
use crate::{Error, Result};

/// Of the JPEG, in percent: the first of them that keeps within the bytes allowed.
const QUALITIES: [u8; 4] = [80, 60, 40, 20];

/// A JPEG of a picture, made smaller where its longer side has more than `side` pixels, and coarser where it has more than `most` bytes. What is
/// larger yet at the coarsest stays so: noise.
///
/// # Errors
/// Data, where it cannot be encoded: a picture much longer than wide.
pub fn thumbnail(picture: &Rgb, side: usize, most: usize) -> Result<Vec<u8>> {
    let longer = picture.width.max(picture.height);
    let sized = |own: usize| match longer > side {
        true => (own * side).div_ceil(longer),
        false => own,
    };
    let small = resize(picture, sized(picture.width), sized(picture.height), Filter::Bicubic);
    let [width, height] = [small.width, small.height].map(|side| side as u16);
    let mut bytes = Vec::new();
    for quality in QUALITIES {
        bytes.clear();
        Encoder::new(&mut bytes, quality)
            .encode(&small.data, width, height, ColorType::Rgb)
            .map_err(|e| Error::data("cannot be made into a thumbnail").because(e))?;
        if bytes.len() <= most {
            break;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{Decoding, decode};
    use super::*;

    #[test]
    fn a_thumbnail_keeps_within_side_and_bytes() {
        // Noise, which JPEG keeps badly.
        let mut state = 1u32;
        let noise = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let picture = Rgb::new(400, 300, (0..400 * 300 * 3).map(noise).collect());
        let of = |most| thumbnail(&picture, 200, most).unwrap();
        let (fine, coarse) = (of(1 << 20), of(8 << 10));
        assert!(fine.len() > 8 << 10 && coarse.len() <= 8 << 10, "{} {}", fine.len(), coarse.len());
        for bytes in [fine, coarse] {
            let back = decode(&bytes, &Decoding::default()).unwrap().picture;
            assert_eq!((back.width, back.height), (200, 150));
        }
        let small = thumbnail(&Rgb::new(2, 1, vec![9; 6]), 200, 1 << 20).unwrap();
        let small = decode(&small, &Decoding::default()).unwrap().picture;
        assert_eq!((small.width, small.height), (2, 1), "it keeps its size");
    }
}
