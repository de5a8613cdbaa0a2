//! Vectors in eight bits, to find candidates fast: each as whole numbers from −127 to 127 with a scale of its own. The candidates are scored again
//! by their vectors.

use std::io::Write;
use std::path::Path;

use rayon::prelude::*;

use super::folder::AGAIN;
use crate::corpus::Features;
use crate::map::Map;
use crate::retrieve::gallery::{Best, Hit};
use crate::write::write_whole_with;
use crate::{Error, Result};

const CODES: &str = "codes.i8";
const SCALES: &str = "scales.f32";
/// Rows that a thread takes at a time.
const ROWS: usize = 8192;

/// The codes of a part.
struct Part {
    codes: Map,
    scales: Map,
    rows: usize,
}

/// Vectors in eight bits, of all parts of an index one after the other.
pub(super) struct Codes {
    /// With the number of rows before it.
    parts: Vec<(usize, Part)>,
    width: usize,
}

/// The codes of a vector, and what one of them is worth: x ≈ scale · code.
fn coded(vector: &[f32], codes: &mut [i8]) -> f32 {
    let largest = vector.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, x) in codes.iter_mut().zip(vector) {
        *code = (x * inverse).round().clamp(-127.0, 127.0) as i8;
    }
    scale
}

/// Writes the codes of vectors into the folder of their part.
///
/// # Errors
/// Run, where the folder cannot be written.
pub(super) fn write(vectors: &Features, folder: &Path) -> Result<()> {
    let (rows, width) = (vectors.rows(), vectors.width());
    let (mut vector, mut codes) = (vec![0.0; width], vec![0i8; width]);
    let mut scales = Vec::with_capacity(rows);
    write_whole_with(&folder.join(CODES), |out| {
        (0..rows).try_for_each(|row| {
            vectors.copy_row(row, &mut vector);
            scales.push(coded(&vector, &mut codes));
            out.write_all(bytemuck::cast_slice(&codes))
        })
    })?;
    write_whole_with(&folder.join(SCALES), |out| {
        scales.iter().try_for_each(|scale| out.write_all(&scale.to_le_bytes()))
    })
}

impl Codes {
    /// Opens the codes of parts, by their folders and numbers of rows.
    ///
    /// # Errors
    /// Data, where a file is not there, or has another size.
    pub fn open<'a>(parts: impl Iterator<Item = (&'a Path, usize)>, width: usize) -> Result<Codes> {
        let mut all = Vec::new();
        let mut first = 0;
        for (folder, rows) in parts {
            let map = |name: &str, bytes: usize| {
                let file = folder.join(name);
                let map = Map::open(&file)?;
                match map.len() == rows * bytes {
                    true => Ok(map),
                    false => {
                        let what = format!("has {} bytes for {rows} pictures, not {bytes} each", map.len());
                        Err(Error::data(what).at(file).hint(AGAIN))
                    }
                }
            };
            all.push((first, Part { codes: map(CODES, width)?, scales: map(SCALES, 4)?, rows }));
            first += rows;
        }
        Ok(Codes { parts: all, width })
    }

    /// The `count` places whose codes fit a query best, in no order. `rows`: by place, the row among those of all parts.
    pub fn nearest(
        &self,
        query: &[f32],
        count: usize,
        places: usize,
        row: &(dyn Fn(usize) -> usize + Sync),
    ) -> Vec<u32> {
        let mut code = vec![0; self.width];
        coded(query, &mut code);
        let product = Product::detect();
        let of = |places: std::ops::Range<usize>| {
            let mut best = Best::new(count);
            let mut part = &self.parts[0];
            for place in places {
                let row = row(place);
                if row < part.0 || row - part.0 >= part.1.rows {
                    part = &self.parts[self.parts.partition_point(|(first, _)| *first <= row) - 1];
                }
                let row = row - part.0;
                let codes = bytemuck::cast_slice(&part.1.codes[row * self.width..][..self.width]);
                let scale =
                    part.1.scales[4 * row..].first_chunk().map_or(0.0, |four| f32::from_le_bytes(*four));
                best.offer(Hit { row: place as u32, score: scale * product.of(&code, codes) as f32 });
            }
            best.into_sorted()
        };
        let starts: Vec<usize> = (0..places).step_by(ROWS).collect();
        let found: Vec<Vec<Hit>> =
            starts.into_par_iter().map(|start| of(start..(start + ROWS).min(places))).collect();
        let mut best = Best::new(count);
        found.into_iter().flatten().for_each(|hit| best.offer(hit));
        best.into_sorted().iter().map(|hit| hit.row).collect()
    }
}

/// Which instructions compute the sums; they are of whole numbers, so all give the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Product {
    /// The fastest that this processor runs.
    fn detect() -> Product {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512bw") {
                return Product::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Product::Avx2;
            }
        }
        Product::Portable
    }

    /// The inner product of two rows of codes.
    fn of(self, a: &[i8], b: &[i8]) -> i32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the kind exists only where `detect` found the instructions.
            Product::Avx512 => unsafe { sum_avx512(a, b) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Product::Avx2 => unsafe { sum_avx2(a, b) },
            Product::Portable => sum(a, b),
        }
    }
}

/// Products of pairs of 16 bits that are added to 32 become one instruction. The sum is exact up to 2³¹ / 127², 133,000 numbers.
#[inline(always)]
fn sum(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a)) * i32::from(i16::from(b))).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw")]
fn sum_avx512(a: &[i8], b: &[i8]) -> i32 {
    sum(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(a: &[i8], b: &[i8]) -> i32 {
    sum(a, b)
}

#[cfg(test)]
mod tests {
    use super::super::CANDIDATES;
    use super::*;
    use crate::corpus::write_npy;
    use crate::eval::similarity::Kernel;
    use crate::gradcheck::noise;
    use crate::ops::linear::unit_row;

    #[test]
    fn codes_are_as_near_as_half_a_step() {
        let vector: Vec<f32> = (0..77).map(|n| (n as f32 * 0.7).sin() / 3.0).collect();
        let mut codes = vec![0; 77];
        let scale = coded(&vector, &mut codes);
        for (x, code) in vector.iter().zip(&codes) {
            assert!((x - scale * f32::from(*code)).abs() <= scale * 0.5001, "{x} {code}");
        }
        assert_eq!(codes.iter().map(|code| code.unsigned_abs()).max(), Some(127));
        assert_eq!((coded(&[0.0; 3], &mut codes[..3]), &codes[..3]), (0.0, &[0, 0, 0][..]));
    }

    /// Rows of unit length around some centres, as pictures of a few kinds are.
    fn clustered(rows: usize, width: usize, seed: u64) -> Vec<f32> {
        let (centres, noise) = (noise(20 * width, 7), noise(rows * width, seed));
        let mut all: Vec<f32> =
            (0..rows * width).map(|n| centres[n / width % 20 * width + n % width] + 0.6 * noise[n]).collect();
        all.chunks_exact_mut(width).for_each(unit_row);
        all
    }

    #[test]
    fn of_the_ten_best_nearly_all_are_found() {
        let (rows, width, k) = (4000, 64, 10);
        let (vectors, queries) = (clustered(rows, width, 1), clustered(100, width, 2));
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("vectors.npy");
        write_npy(&file, rows, width, &vectors).unwrap();
        write(&Features::mapped(&[file]).unwrap(), place.path()).unwrap();
        let codes = Codes::open(std::iter::once((place.path(), rows)), width).unwrap();
        let kernel = Kernel::detect();
        let best = |query: &[f32], among: &mut dyn Iterator<Item = u32>| -> Vec<u32> {
            let mut best = Best::new(k);
            among.for_each(|row| {
                let vector = &vectors[row as usize * width..][..width];
                best.offer(Hit { row, score: kernel.dot(query, vector) });
            });
            best.into_sorted().iter().map(|hit| hit.row).collect()
        };
        let (mut alone, mut scored) = (0, 0);
        for query in queries.chunks_exact(width) {
            let exact = best(query, &mut (0..rows as u32));
            let found = |rows: &[u32]| exact.iter().filter(|row| rows.contains(row)).count();
            alone += found(&codes.nearest(query, k, rows, &|n| n));
            let (times, more) = CANDIDATES;
            scored +=
                found(&best(query, &mut codes.nearest(query, times * k + more, rows, &|n| n).into_iter()));
        }
        // Recall at 10 against exact search: above 90 % by codes alone, every one by scored candidates.
        assert!(alone > 900, "{alone} of 1000 by codes alone");
        assert_eq!(scored, 1000, "of 1000 by candidates that are scored");
        // Among some alone.
        let some: Vec<usize> = (0..rows).step_by(7).collect();
        let found = codes.nearest(&vectors[..width], 1, some.len(), &|n| some[n]);
        assert_eq!(found, [0], "the first of them is itself");
    }

    #[test]
    fn all_instructions_give_the_same_sum() {
        for width in [1, 15, 16, 64, 513] {
            let row =
                |seed: usize| -> Vec<i8> { (0..width).map(|n| ((n * seed) % 255) as u8 as i8).collect() };
            let (a, b) = (row(71), row(113));
            let want: i64 = a.iter().zip(&b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
            assert_eq!(i64::from(Product::detect().of(&a, &b)), want);
            assert_eq!(i64::from(Product::Portable.of(&a, &b)), want);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                assert_eq!(i64::from(Product::Avx2.of(&a, &b)), want);
            }
        }
    }
}
