//! PNG, GIF and WebP, each to RGB as Pillow's `convert("RGB")` has it.

use std::io::Cursor;
use std::num::NonZeroU64;

use super::Rgb;
use super::raw::{Decoding, Raw};
use crate::{Error, Result};

/// The error of a decoder.
pub(super) fn damaged(e: impl std::fmt::Display) -> Error {
    Error::data(format!("is damaged or cut short: {e}"))
}

/// Grey or RGB, with or without alpha, of 8 bits: `channels` numbers a pixel.
pub(super) fn from_bytes(data: &[u8], channels: usize) -> Vec<u8> {
    match channels {
        1 | 2 => data.chunks_exact(channels).flat_map(|p| [p[0]; 3]).collect(),
        _ => data.chunks_exact(channels).flat_map(|p| [p[0], p[1], p[2]]).collect(),
    }
}

/// As [`from_bytes`], of 16 bits: grey alone ends at 255, all else is 256ths of it, as Pillow reads these modes.
pub(super) fn from_words(data: &[u16], channels: usize) -> Vec<u8> {
    let bytes: Vec<u8> = match channels {
        1 => data.iter().map(|&v| v.min(255) as u8).collect(),
        _ => data.iter().map(|&v| (v >> 8) as u8).collect(),
    };
    from_bytes(&bytes, channels)
}

/// PNG; of an animation the picture that stands for it.
pub(super) fn png(bytes: &[u8], decoding: &Decoding) -> Result<Raw> {
    // Rows and what expands them, beside the picture itself.
    let limits = png::Limits { bytes: decoding.most_pixels.saturating_mul(8).saturating_add(64 << 20) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    decoding.check(width, height)?;
    let size = reader.output_buffer_size().ok_or_else(|| Error::data("is too large"))?;
    let mut data = vec![0; size];
    let output = reader.next_frame(&mut data).map_err(damaged)?;
    let data = &data[..output.buffer_size()];
    // Transparency that a chunk adds to grey is no channel in Pillow.
    let grey = reader.info().color_type == png::ColorType::Grayscale;
    let channels = output.color_type.samples();
    let rgb = match output.bit_depth {
        png::BitDepth::Sixteen => {
            let words: Vec<u16> =
                data.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
            match grey && channels == 2 {
                true => from_words(&words.iter().step_by(2).copied().collect::<Vec<_>>(), 1),
                false => from_words(&words, channels),
            }
        }
        _ => from_bytes(data, channels),
    };
    let info = reader.info();
    Ok(Raw {
        picture: Rgb::new(width, height, rgb),
        exif: info.exif_metadata.as_ref().map(|exif| exif.to_vec()),
        animated: info.animation_control.is_some(),
    })
}

/// GIF; of an animation the first frame.
pub(super) fn gif(bytes: &[u8], decoding: &Decoding) -> Result<Raw> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let most = NonZeroU64::new(decoding.most_pixels as u64).unwrap_or(NonZeroU64::MIN);
    options.set_memory_limit(gif::MemoryLimit::Bytes(most));
    let mut decoder = options.read_info(bytes).map_err(damaged)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    decoding.check(width, height)?;
    let shared = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(damaged)?;
    let frame = frame.ok_or_else(|| Error::data("has no picture"))?.clone();
    let palette = frame.palette.as_ref().or(shared.as_ref()).ok_or_else(|| Error::data("has no colours"))?;
    let colour = |index: u8| -> [u8; 3] {
        let at = 3 * usize::from(index);
        palette.get(at..at + 3).map_or([0; 3], |c| [c[0], c[1], c[2]])
    };
    // What the frame does not cover has its transparent colour, or the first.
    let mut rgb = colour(frame.transparent.unwrap_or(0)).repeat(width * height);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    for (y, row) in frame.buffer.chunks(usize::from(frame.width).max(1)).enumerate() {
        for (x, &index) in row.iter().enumerate() {
            if left + x < width && top + y < height {
                let at = 3 * ((top + y) * width + left + x);
                rgb[at..at + 3].copy_from_slice(&colour(index));
            }
        }
    }
    // A second frame that cannot be read is not asked for.
    let animated = matches!(decoder.next_frame_info(), Ok(Some(_)));
    Ok(Raw { picture: Rgb::new(width, height, rgb), exif: None, animated })
}

/// WebP; of an animation the first frame.
pub(super) fn webp(bytes: &[u8], decoding: &Decoding) -> Result<Raw> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    decoding.check(width, height)?;
    decoder.set_memory_limit(decoding.most_pixels.saturating_mul(8).saturating_add(1 << 20));
    let mut data = vec![0; decoder.output_buffer_size().ok_or_else(|| Error::data("is too large"))?];
    decoder.read_image(&mut data).map_err(damaged)?;
    let rgb = from_bytes(&data, data.len() / (width * height));
    Ok(Raw {
        picture: Rgb::new(width, height, rgb),
        exif: decoder.exif_metadata().ok().flatten(),
        animated: decoder.is_animated(),
    })
}
