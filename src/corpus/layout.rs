//! How a matrix lies in a file, whatever the format.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// How a number is stored, always little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    F16,
    Bf16,
    F32,
}

impl Number {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
        }
    }

    /// Turns stored bytes into f32; `bytes` holds as many numbers as `out`.
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
    pub offset: usize,
    pub rows: usize,
    pub width: usize,
    pub ids: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_off_alignment_are_read() {
        for (number, step) in [(Number::F16, 2), (Number::Bf16, 2), (Number::F32, 4)] {
            let mut stored = vec![0u8; 1];
            for v in [1.5f32, -0.25] {
                match number {
                    Number::F16 => stored.extend(f16::from_f32(v).to_le_bytes()),
                    Number::Bf16 => stored.extend(bf16::from_f32(v).to_le_bytes()),
                    Number::F32 => stored.extend(v.to_le_bytes()),
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
}
