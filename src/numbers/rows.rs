//! Rows that stay as they are kept, and become floats when they are read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use half::f16;
use rayon::prelude::*;

use super::{CENTRES, CENTRES_BYTES, Format, GROUP, PART, codebook};
use crate::map::Map;
use crate::{Error, Result};

/// A matrix in a format.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) format: Format,
    pub(super) columns: usize,
    pub(super) codes: &'a [u8],
    pub(super) scales: &'a [u8],
    pub(super) centres: &'a [f32],
}

impl View<'_> {
    /// Writes the numbers of a row into `out`, as many as there are columns.
    pub fn read(&self, row: usize, out: &mut [f32]) {
        let of = |bytes: usize| row * bytes..(row + 1) * bytes;
        let codes = &self.codes[of(self.format.code_bytes(self.columns))];
        let scales = &self.scales[of(self.format.scale_bytes(self.columns))];
        match self.format {
            Format::F32 => {
                out.iter_mut().zip(codes.as_chunks().0).for_each(|(o, x)| *o = f32::from_le_bytes(*x))
            }
            Format::F16 => {
                let halves = codes.as_chunks().0;
                out.iter_mut().zip(halves).for_each(|(o, x)| *o = f16::from_le_bytes(*x).to_f32());
            }
            Format::Int8 => {
                let scale = number(scales);
                out.iter_mut().zip(codes).for_each(|(o, &x)| *o = scale * f32::from(x as i8));
            }
            Format::Int4 => {
                let groups = out.chunks_mut(GROUP).zip(codes.chunks(GROUP / 2));
                for ((out, codes), scale) in groups.zip(scales.as_chunks().0) {
                    let scale = f16::from_le_bytes(*scale).to_f32();
                    for (pair, &code) in out.chunks_exact_mut(2).zip(codes) {
                        pair[0] = scale * (f32::from(code & 15) - 8.0);
                        pair[1] = scale * (f32::from(code >> 4) - 8.0);
                    }
                }
            }
            Format::Pq => {
                let scale = number(scales);
                let books = self.centres.len() / (CENTRES * PART);
                for (place, (part, &code)) in out.chunks_exact_mut(PART).zip(codes).enumerate() {
                    let centre = CENTRES * codebook(place, codes.len(), books) + usize::from(code);
                    let centre = &self.centres[centre * PART..][..PART];
                    part.iter_mut().zip(centre).for_each(|(o, c)| *o = scale * c);
                }
            }
        }
    }

    /// All numbers, row by row.
    pub fn all(&self) -> Vec<f32> {
        if self.columns == 0 {
            return Vec::new();
        }
        let mut out = vec![0.0; self.codes.len() / self.format.code_bytes(self.columns) * self.columns];
        let each = out.par_chunks_mut(self.columns).with_min_len(16);
        each.enumerate().for_each(|(row, out)| self.read(row, out));
        out
    }
}

fn number(scale: &[u8]) -> f32 {
    scale.first_chunk().map_or(1.0, |x| f32::from_le_bytes(*x))
}

/// A matrix in a mapped file. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Rows {
    format: Format,
    rows: usize,
    columns: usize,
    file: Arc<Map>,
    codes: Range<usize>,
    scales: Range<usize>,
    centres: Arc<[f32]>,
}

impl Rows {
    /// A matrix whose parts are at these places of a file; `name` is what errors call it.
    ///
    /// # Errors
    /// Data: parts of another size, or a number, scale or centre that is not finite.
    pub fn new(
        (path, file): (&Path, Arc<Map>),
        name: &str,
        format: Format,
        [rows, columns]: [usize; 2],
        [codes, scales, centres]: [Range<usize>; 3],
    ) -> Result<Rows> {
        let wrong = |what: String| {
            Error::data(format!("`{name}` {what}")).at(path).hint("the file is damaged: copy it again")
        };
        // A whole number of codebooks, one at least and no more than a row has places.
        let books = (centres.len() / CENTRES_BYTES).clamp(1, (columns / PART).max(1));
        let needs = [
            format.code_bytes(columns).saturating_mul(rows),
            format.scale_bytes(columns).saturating_mul(rows),
            if format == Format::Pq { books * CENTRES_BYTES } else { 0 },
        ];
        let has = [&codes, &scales, &centres].map(|part| part.len());
        if has != needs {
            let name = format.name();
            return Err(wrong(format!(
                "({rows} × {columns}, {name}) has numbers, scales and centres of {has:?} bytes, not {needs:?}"
            )));
        }
        let centres: Arc<[f32]> = bytemuck::pod_collect_to_vec(&file[centres]).into();
        let this = Rows { format, rows, columns, file, codes, scales, centres };
        match this.fault() {
            Some(row) => {
                Err(wrong(format!("has a number or a scale that is not finite in row {row} (from 0)")))
            }
            None if this.centres.iter().any(|x| !x.is_finite()) => {
                Err(wrong("has a centre that is not finite".into()))
            }
            None => Ok(this),
        }
    }

    /// The first row with a number or scale that is not finite.
    fn fault(&self) -> Option<usize> {
        let view = self.view();
        let of_ones = |x: &[u8; 2]| u16::from_le_bytes(*x) & 0x7c00 == 0x7c00;
        let whole = |x: &[u8; 4]| u32::from_le_bytes(*x) & 0x7f80_0000 == 0x7f80_0000;
        let (halves, wholes) = match self.format {
            Format::F32 => (None, Some(view.codes)),
            Format::F16 => (Some(view.codes), None),
            Format::Int4 => (Some(view.scales), None),
            Format::Int8 | Format::Pq => (None, Some(view.scales)),
        };
        let halves =
            halves.and_then(|bytes| Some((bytes.as_chunks().0.iter().position(of_ones)?, bytes.len() / 2)));
        let wholes =
            wholes.and_then(|bytes| Some((bytes.as_chunks().0.iter().position(whole)?, bytes.len() / 4)));
        halves.or(wholes).map(|(at, of)| at * self.rows / of)
    }

    /// How they are kept.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Writes the numbers of a row into `out`, as many as there are columns.
    ///
    /// # Panics
    /// Without such a row.
    pub fn read(&self, row: usize, out: &mut [f32]) {
        self.view().read(row, out);
    }

    /// All numbers, row by row.
    pub fn all(&self) -> Vec<f32> {
        self.view().all()
    }

    fn view(&self) -> View<'_> {
        let (codes, scales) = (&self.file[self.codes.clone()], &self.file[self.scales.clone()]);
        View { format: self.format, columns: self.columns, codes, scales, centres: &self.centres }
    }
}
