//! BMP: palettes of 1, 4 and 8 bits, plain or run-length encoded, and colours of 16, 24 and 32 bits.

use super::Rgb;
use super::raw::{Decoding, Raw};
use crate::{Error, Result};

/// What the headers say.
struct Header {
    width: usize,
    height: usize,
    /// Whether the first row is the lowest.
    upwards: bool,
    bits: usize,
    compression: u32,
    /// Masks of red, green and blue, where the file gives some.
    masks: [u32; 3],
    palette: Vec<[u8; 3]>,
    /// Where the pixels begin.
    start: usize,
}

/// Ways of compression.
const NONE: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const MASKS: u32 = 3;
/// As [`MASKS`], with one for alpha.
const ALPHA_MASKS: u32 = 6;

fn cut() -> Error {
    Error::data("is cut short")
}

fn short(bytes: &[u8], at: usize) -> Result<usize> {
    bytes.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))).ok_or_else(cut)
}

fn long(bytes: &[u8], at: usize) -> Result<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok_or_else(cut)
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header> {
        let (start, size) = (long(bytes, 10)? as usize, long(bytes, 14)? as usize);
        // The oldest header has shorter numbers, and palettes without a fourth byte.
        let old = size == 12;
        if !old && size < 40 {
            return Err(Error::data(format!("has a header of {size} bytes, which is no BMP that is known")));
        }
        let (width, height, bits) = match old {
            true => (short(bytes, 18)? as i64, short(bytes, 20)? as i64, short(bytes, 24)?),
            false => {
                (i64::from(long(bytes, 18)? as i32), i64::from(long(bytes, 22)? as i32), short(bytes, 28)?)
            }
        };
        let compression = if old { NONE } else { long(bytes, 30)? };
        let masked = [MASKS, ALPHA_MASKS].contains(&compression);
        let masks = match masked {
            true => [long(bytes, 54)?, long(bytes, 58)?, long(bytes, 62)?],
            false if bits == 16 => [0x7c00, 0x3e0, 0x1f],
            false => [0xff_0000, 0xff00, 0xff],
        };
        let colours = match (bits, old) {
            (16.., _) => 0,
            (_, true) => 1 << bits,
            (_, false) => match long(bytes, 46)? as usize {
                0 => 1 << bits,
                used => used.min(256),
            },
        };
        let each = if old { 3 } else { 4 };
        // Masks stand behind the oldest header that can have them.
        let first = 14 + size + if masked && size == 40 { 12 } else { 0 };
        let palette = bytes.get(first..first + colours * each).ok_or_else(cut)?;
        let palette = palette.chunks_exact(each).map(|c| [c[2], c[1], c[0]]).collect();
        if width < 0 {
            return Err(Error::data(format!("is {width} pixels wide")));
        }
        let (upwards, height) = (height >= 0, height.unsigned_abs() as usize);
        Ok(Header { width: width as usize, height, upwards, bits, compression, masks, palette, start })
    }

    fn colour(&self, index: u8) -> [u8; 3] {
        self.palette.get(usize::from(index)).copied().unwrap_or_default()
    }

    /// The colour of a pixel of 16 or 32 bits: each of its parts as 255ths.
    fn masked(&self, pixel: u32) -> [u8; 3] {
        self.masks.map(|mask| {
            let most = u64::from(mask >> mask.trailing_zeros().min(31)).max(1);
            let value = u64::from((pixel & mask) >> mask.trailing_zeros().min(31));
            (value * 255 / most) as u8
        })
    }

    /// A row of pixels as they are stored.
    fn row(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.bits {
            24 => bytes.chunks_exact(3).take(self.width).for_each(|p| out.extend([p[2], p[1], p[0]])),
            16 | 32 => bytes.chunks_exact(self.bits / 8).take(self.width).for_each(|p| {
                let pixel = p.iter().rev().fold(0, |all, &byte| all << 8 | u32::from(byte));
                out.extend(self.masked(pixel));
            }),
            bits => (0..self.width).for_each(|x| {
                let shift = 8 - bits - (x * bits) % 8;
                let index = (bytes[x * bits / 8] >> shift) & (0xff >> (8 - bits));
                out.extend(self.colour(index));
            }),
        }
    }

    /// Runs of equal pixels: indices (height, width), the first row that is stored first. What is not told is the first colour.
    fn runs(&self, mut bytes: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; self.width * self.height];
        let (mut x, mut y) = (0, 0);
        let mut take = |n: usize| -> Result<&[u8]> {
            let (taken, rest) = bytes.split_at_checked(n).ok_or_else(cut)?;
            bytes = rest;
            Ok(taken)
        };
        let nibble = |bytes: &[u8], n: usize| (bytes[n / 2] >> (4 - 4 * (n % 2))) & 15;
        while y < self.height {
            let (count, code) = {
                let two = take(2)?;
                (usize::from(two[0]), two[1])
            };
            let mut put = |index: u8| {
                if x < self.width && y < self.height {
                    out[y * self.width + x] = index;
                }
                x += 1;
            };
            match (count, code) {
                (0, 0) => (x, y) = (0, y + 1),
                (0, 1) => break,
                (0, 2) => {
                    let by = take(2)?;
                    (x, y) = (x + usize::from(by[0]), y + usize::from(by[1]));
                }
                (0, n) => {
                    let n = usize::from(n);
                    // They end at a whole word.
                    let length = if self.compression == RLE8 { n } else { n.div_ceil(2) };
                    let taken = take(length.next_multiple_of(2))?;
                    match self.compression {
                        RLE8 => taken[..n].iter().for_each(|&index| put(index)),
                        _ => (0..n).for_each(|at| put(nibble(taken, at))),
                    }
                }
                (count, code) if self.compression == RLE8 => (0..count).for_each(|_| put(code)),
                (count, code) => (0..count).for_each(|at| put(nibble(&[code], at % 2))),
            }
        }
        Ok(out)
    }
}

/// Uncompressed or by runs.
pub(super) fn bmp(bytes: &[u8], decoding: &Decoding) -> Result<Raw> {
    let header = Header::read(bytes)?;
    let (width, height) = (header.width, header.height);
    decoding.check(width, height)?;
    let pixels = bytes.get(header.start..).ok_or_else(cut)?;
    let mut rgb = Vec::with_capacity(width * height * 3);
    match (header.compression, header.bits) {
        (NONE, 1 | 4 | 8 | 16 | 24 | 32) | (MASKS | ALPHA_MASKS, 16 | 32) => {
            let stride = (width * header.bits).div_ceil(32) * 4;
            let used = (width * header.bits).div_ceil(8);
            for y in 0..height {
                header.row(pixels.get(y * stride..y * stride + used).ok_or_else(cut)?, &mut rgb);
            }
        }
        (RLE8, 8) | (RLE4, 4) => {
            rgb.extend(header.runs(pixels)?.into_iter().flat_map(|index| header.colour(index)));
        }
        (compression, bits) => {
            return Err(Error::data(format!("is a BMP of {bits} bits in compression {compression}"))
                .hint("save it without compression, or as PNG"));
        }
    }
    if header.upwards {
        rgb = rgb.rchunks_exact(width * 3).flatten().copied().collect();
    }
    Ok(Raw { picture: Rgb::new(width, height, rgb), exif: None, animated: false })
}
