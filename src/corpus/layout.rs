//! How a matrix lies in a file, whatever the format.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
}

impl Number {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Number::I8 | Number::U8 => 1,
            Number::F16 | Number::Bf16 | Number::I16 | Number::U16 => 2,
            Number::F32 | Number::I32 | Number::U32 => 4,
            Number::F64 | Number::I64 | Number::U64 => 8,
        }
    }

    /// Turns stored bytes, little-endian, into f32; `bytes` holds as many numbers as `out`. Those of f64, and whole
    /// numbers beyond 2²⁴, are rounded.
    pub(super) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        // A header of odd length puts the data off alignment; then each number is read by itself.
        let whole = cfg!(target_endian = "little");
        match self {
            Number::F16 => match bytemuck::try_cast_slice::<u8, f16>(bytes) {
                Ok(row) if whole => row.convert_to_f32_slice(out),
                _ => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            },
            Number::Bf16 => match bytemuck::try_cast_slice::<u8, bf16>(bytes) {
                Ok(row) if whole => row.convert_to_f32_slice(out),
                _ => each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            },
            Number::F32 => each(bytes, out, f32::from_le_bytes),
            Number::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Number::I8 => each(bytes, out, |b| i8::from_le_bytes(b).into()),
            Number::U8 => each(bytes, out, |b| u8::from_le_bytes(b).into()),
            Number::I16 => each(bytes, out, |b| i16::from_le_bytes(b).into()),
            Number::U16 => each(bytes, out, |b| u16::from_le_bytes(b).into()),
            Number::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Number::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Number::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Number::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = read(*bytes);
    }
}

/// Where a matrix lies in its file: rows of `width` numbers from byte `offset` on.
#[derive(Debug)]
pub(super) struct Layout {
    pub number: Number,
    /// Whether the first byte of a number is the highest.
    pub big_endian: bool,
    /// Whether columns follow each other, not rows (Fortran order).
    pub by_columns: bool,
    pub offset: usize,
    pub rows: usize,
    pub width: usize,
    pub ids: Option<Vec<String>>,
}

impl Layout {
    /// Rows of little-endian numbers.
    pub(super) fn new(number: Number, offset: usize, rows: usize, width: usize) -> Layout {
        Layout { number, big_endian: false, by_columns: false, offset, rows, width, ids: None }
    }

    /// Reads a row from the bytes of the file; no more of the file than that is held.
    pub(super) fn read(&self, file: &[u8], row: usize, out: &mut [f32]) {
        let size = self.number.size();
        if !self.big_endian && !self.by_columns {
            return self
                .number
                .decode(&file[self.offset + row * self.width * size..][..self.width * size], out);
        }
        let (row_step, step) = if self.by_columns { (1, self.rows) } else { (self.width, 1) };
        for (column, out) in out.iter_mut().enumerate() {
            let mut bytes = [0; 8];
            let bytes = &mut bytes[..size];
            bytes.copy_from_slice(&file[self.offset + (row * row_step + column * step) * size..][..size]);
            if self.big_endian {
                bytes.reverse();
            }
            self.number.decode(bytes, std::slice::from_mut(out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_off_alignment_are_read() {
        for (number, step) in [(Number::F16, 2), (Number::Bf16, 2), (Number::F32, 4), (Number::F64, 8)] {
            let mut stored = vec![0u8; 1];
            for v in [1.5f32, -0.25] {
                match number {
                    Number::F16 => stored.extend(f16::from_f32(v).to_le_bytes()),
                    Number::Bf16 => stored.extend(bf16::from_f32(v).to_le_bytes()),
                    Number::F32 => stored.extend(v.to_le_bytes()),
                    _ => stored.extend(f64::from(v).to_le_bytes()),
                }
            }
            let aligned = stored[1..].to_vec();
            for bytes in [&stored[1..], &aligned] {
                let mut out = [0.0; 2];
                number.decode(&bytes[..2 * step], &mut out);
                assert_eq!(out, [1.5, -0.25], "{number:?}");
            }
        }
    }

    #[test]
    fn rows_are_read_in_either_order_of_bytes_and_axes() {
        let values: Vec<i16> = vec![1, -2, 300, 4, -5, 600];
        for big_endian in [false, true] {
            for by_columns in [false, true] {
                let at = |n: usize| if by_columns { values[n % 2 * 3 + n / 2] } else { values[n] };
                let bytes = |v: i16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
                let mut file = vec![9; 3];
                (0..6).for_each(|n| file.extend(bytes(at(n))));
                let layout = Layout { big_endian, by_columns, ..Layout::new(Number::I16, 3, 2, 3) };
                let mut row = [0.0; 3];
                layout.read(&file, 0, &mut row);
                assert_eq!(row, [1.0, -2.0, 300.0], "{layout:?}");
                layout.read(&file, 1, &mut row);
                assert_eq!(row, [4.0, -5.0, 600.0], "{layout:?}");
            }
        }
    }
}
