//! Matrices in few bits: what weights are kept in on the disk, after training.
//!
//! | format | a number takes | an error is at most |
//! |---|---|---|
//! | [`Format::F32`] | 4 bytes | 0 |
//! | [`Format::F16`] | 2 bytes | 2⁻¹¹ of the number, from 6 · 10⁻⁵ on |
//! | [`Format::Int8`] | 1 byte, and 4 bytes a row | 1/254 of the row's largest number |
//! | [`Format::Int4`] | 4 bits, and 2 bytes a group of 32 | 1/14 of the group's largest number, and 2⁻²⁴ |
//! | [`Format::Pq`] | 2 bits, 4 bytes a row and 4 KiB a codebook ([`Format::codebooks`]) | what its nearest centre leaves |
//!
//! Vectors (biases, norms and their statistics) are few and matter: they are kept in f16 where matrices are in less, and in f32 where f16 does not
//! hold them ([`Format::of_vector`]). Matrices that a format does not suit are kept in a finer one: see [`Format::of_matrix`].

mod parts;
mod rows;

use half::f16;
use serde::{Deserialize, Serialize};

pub use rows::{Rows, View};

/// Numbers of a group that share a scale ([`Format::Int4`]).
pub const GROUP: usize = 32;
/// Numbers that one byte stands for ([`Format::Pq`]).
pub const PART: usize = 4;
/// Centres of a codebook.
const CENTRES: usize = 256;
/// Those of a codebook, four f32 each.
const CENTRES_BYTES: usize = CENTRES * PART * 4;

/// How numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Four bytes each, as they are computed with.
    F32,
    /// Two bytes each.
    F16,
    /// A byte each: −127 to 127 times the scale of the row (f32).
    Int8,
    /// Four bits each: −7 to 7 times the scale of the group (f16).
    Int4,
    /// Product quantisation (Jégou et al. 2011): a byte for four numbers side by side, one of 256 centres times the scale of the row (f32). Places of
    /// a row share a codebook of centres, as many side by side as [`Format::codebooks`] says: a matrix of a small model would not pay for one of each.
    Pq,
}

/// A matrix in a format, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The format it is in: that of [`Format::of_matrix`].
    pub format: Format,
    /// The numbers, [`Format::code_bytes`] a row.
    pub codes: Vec<u8>,
    /// What they are multiplied by, [`Format::scale_bytes`] a row.
    pub scales: Vec<u8>,
    /// The codebooks of [`Format::Pq`], 256 centres of four f32 each; else nothing.
    pub centres: Vec<u8>,
}

impl Format {
    /// All of them, the finest first.
    pub const ALL: [Format; 5] = [Format::F32, Format::F16, Format::Int8, Format::Int4, Format::Pq];

    /// As commands and files write it.
    pub fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Int8 => "int8",
            Format::Int4 => "int4",
            Format::Pq => "pq",
        }
    }

    /// The format of a matrix that is to be kept in this one. A row of whole bytes says how many columns it has, so int4 takes even numbers of columns
    /// and pq multiples of four; and pq must gain more than its centres take. Other matrices are kept in the next finer format.
    pub fn of_matrix(self, rows: usize, columns: usize) -> Format {
        match self {
            Format::Pq if !columns.is_multiple_of(PART) || !pays(rows, columns) => {
                Format::Int4.of_matrix(rows, columns)
            }
            Format::Int4 if !columns.is_multiple_of(2) => Format::Int8,
            fits => fits,
        }
    }

    /// The format of a vector where matrices are kept in this one: f16, or f32 where a number is too large for that, as the factor of a feature that is
    /// the same in all pictures.
    pub fn of_vector(self, x: &[f32]) -> Format {
        let holds = x.iter().all(|x| x.abs() <= Format::F16.largest());
        if self != Format::F32 && holds { Format::F16 } else { Format::F32 }
    }

    /// The largest absolute number that it holds.
    pub fn largest(self) -> f32 {
        match self {
            Format::F32 | Format::Int8 | Format::Pq => f32::MAX,
            Format::F16 => f16::MAX.to_f32(),
            Format::Int4 => 7.0 * f16::MAX.to_f32(),
        }
    }

    /// Bytes of the numbers of a row.
    pub fn code_bytes(self, columns: usize) -> usize {
        match self {
            Format::F32 => 4 * columns,
            Format::F16 => 2 * columns,
            Format::Int8 => columns,
            Format::Int4 => columns / 2,
            Format::Pq => columns / PART,
        }
    }

    /// Numbers of a row that has so many bytes.
    pub fn columns(self, bytes: usize) -> usize {
        match self {
            Format::F32 => bytes / 4,
            Format::F16 => bytes / 2,
            Format::Int8 => bytes,
            Format::Int4 => 2 * bytes,
            Format::Pq => PART * bytes,
        }
    }

    /// Bytes of the scales of a row.
    pub fn scale_bytes(self, columns: usize) -> usize {
        match self {
            Format::F32 | Format::F16 => 0,
            Format::Int8 | Format::Pq => 4,
            Format::Int4 => 2 * columns.div_ceil(GROUP),
        }
    }

    /// Codebooks of a matrix in [`Format::Pq`]: as many as take an eighth of the bytes of its codes at most, one at least, and at most one for each
    /// place of a row.
    pub fn codebooks(rows: usize, columns: usize) -> usize {
        let places = columns / PART;
        (rows.saturating_mul(places) / (8 * CENTRES_BYTES)).clamp(1, places.max(1))
    }

    /// A matrix (rows, columns) of finite numbers no larger than [`Self::largest`], in the format that [`Self::of_matrix`] says.
    ///
    /// # Panics
    /// With another number of numbers.
    pub fn encode(self, rows: usize, columns: usize, x: &[f32]) -> Encoded {
        assert_eq!(x.len(), rows * columns, "a matrix of whole rows");
        let format = self.of_matrix(rows, columns);
        let (mut codes, mut scales, mut centres) = (Vec::new(), Vec::new(), Vec::new());
        let each = x.chunks_exact(columns.max(1));
        match format {
            Format::F32 => codes.extend(x.iter().flat_map(|x| x.to_le_bytes())),
            Format::F16 => codes.extend(x.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes())),
            Format::Int8 => each.for_each(|row| {
                let scale = scale(largest(row) / 127.0);
                scales.extend(scale.to_le_bytes());
                codes.extend(row.iter().map(|x| (x / scale).round().clamp(-127.0, 127.0) as i8 as u8));
            }),
            Format::Int4 => each.for_each(|row| {
                for group in row.chunks(GROUP) {
                    let half = half_above(largest(group) / 7.0);
                    scales.extend(half.to_le_bytes());
                    let scale = scale(half.to_f32());
                    let code = |x: f32| ((x / scale).round().clamp(-7.0, 7.0) as i8 + 8) as u8;
                    codes.extend(group.chunks_exact(2).map(|pair| code(pair[0]) | code(pair[1]) << 4));
                }
            }),
            Format::Pq => {
                let found = parts::quantise(columns, Format::codebooks(rows, columns), x);
                codes = found.codes;
                scales.extend(found.scales.iter().flat_map(|x| x.to_le_bytes()));
                centres.extend(found.centres.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
        Encoded { format, codes, scales, centres }
    }
}

/// Whether a matrix takes less by parts than in int4.
fn pays(rows: usize, columns: usize) -> bool {
    let row = |format: Format| format.code_bytes(columns) + format.scale_bytes(columns);
    let [parts, four] = [Format::Pq, Format::Int4].map(|format| rows.saturating_mul(row(format)));
    parts.saturating_add(Format::codebooks(rows, columns) * CENTRES_BYTES) < four
}

/// The codebook of a place of a row, where so many places share so many.
fn codebook(place: usize, places: usize, books: usize) -> usize {
    place * books / places
}

/// The largest absolute number.
fn largest(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// What to divide by: a row of zeros stays one.
fn scale(scale: f32) -> f32 {
    if scale > 0.0 { scale } else { 1.0 }
}

/// The next f16 that is not below x: so that no number is cut off.
fn half_above(x: f32) -> f16 {
    let near = f16::from_f32(x);
    if near.to_f32() < x { f16::from_bits(near.to_bits() + 1) } else { near }
}

impl Encoded {
    /// The matrix, to be read row by row.
    pub fn view<'a>(&'a self, columns: usize, centres: &'a [f32]) -> View<'a> {
        View { format: self.format, columns, codes: &self.codes, scales: &self.scales, centres }
    }

    /// All its numbers, row by row.
    pub fn decode(&self, columns: usize) -> Vec<f32> {
        let centres: Vec<f32> = bytemuck::pod_collect_to_vec(&self.centres);
        self.view(columns, &centres).all()
    }

    /// Bytes of all its parts.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.scales.len() + self.centres.len()
    }
}

#[cfg(test)]
mod tests;
