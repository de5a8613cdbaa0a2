//! Product quantisation: parts of four numbers as the nearest of the 256 centres of their codebook.

use rayon::prelude::*;

use super::{CENTRES, PART, codebook, scale};

/// Parts that the centres of a codebook are learnt from, at most.
const LEARN_FROM: usize = 1 << 15;
/// Rounds of k-means; the error changes little after these.
const ROUNDS: usize = 12;

type Part = [f32; PART];

/// A matrix in parts.
pub(super) struct Parts {
    pub codes: Vec<u8>,
    /// By row: its root mean square.
    pub scales: Vec<f32>,
    /// Of one codebook after the other.
    pub centres: Vec<f32>,
}

/// Quantises rows of `columns` numbers, a multiple of four, by so many codebooks. Rows are brought to one length first, so that rare words with short vectors are kept as
/// well as others. Equal input gives equal output.
pub(super) fn quantise(columns: usize, books: usize, x: &[f32]) -> Parts {
    let rms =
        |row: &[f32]| (row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / columns as f64).sqrt() as f32;
    let scales: Vec<f32> = x.chunks_exact(columns).map(|row| scale(rms(row))).collect();
    let rows = x.par_chunks_exact(columns).zip(&scales);
    let parts: Vec<Part> = rows
        .flat_map_iter(|(row, scale)| {
            row.as_chunks::<PART>().0.iter().map(move |part| part.map(|x| x / scale))
        })
        .collect();
    let places = columns / PART;
    let book_of = |n: usize| codebook(n % places, places, books);
    let of_book = |book: usize| {
        let its: Vec<Part> =
            parts.iter().enumerate().filter(|(n, _)| book_of(*n) == book).map(|(_, part)| *part).collect();
        let step = its.len().div_ceil(LEARN_FROM).max(1);
        learnt(&its.into_iter().step_by(step).collect::<Vec<Part>>())
    };
    let centres: Vec<Vec<Part>> = (0..books).map(of_book).collect();
    let code = |(n, part): (usize, &Part)| nearest(part, &centres[book_of(n)]) as u8;
    let codes = parts.par_iter().enumerate().map(code).collect();
    Parts { codes, scales, centres: centres.concat().concat() }
}

/// Lloyd's k-means, from parts that lie evenly in the order of their sum. A centre that has lost all its parts stays where it is.
fn learnt(parts: &[Part]) -> Vec<Part> {
    let mut order: Vec<&Part> = parts.iter().collect();
    order.sort_by(|a, b| a.iter().sum::<f32>().total_cmp(&b.iter().sum::<f32>()));
    let start = |c: usize| *order[(2 * c + 1) * order.len() / (2 * CENTRES)];
    let mut centres: Vec<Part> = (0..CENTRES).map(start).collect();
    let mut last = Vec::new();
    for _ in 0..ROUNDS {
        let owners: Vec<usize> = parts.par_iter().map(|part| nearest(part, &centres)).collect();
        if owners == last {
            break;
        }
        let mut sums = vec![([0f64; PART], 0usize); CENTRES];
        for (part, &owner) in parts.iter().zip(&owners) {
            let (sum, count) = &mut sums[owner];
            sum.iter_mut().zip(part).for_each(|(s, x)| *s += f64::from(*x));
            *count += 1;
        }
        for (centre, (sum, count)) in centres.iter_mut().zip(sums).filter(|(_, (_, count))| *count > 0) {
            *centre = sum.map(|s| (s / count as f64) as f32);
        }
        last = owners;
    }
    centres
}

/// The place of the nearest centre, the first of equals.
fn nearest(part: &Part, centres: &[Part]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (c, centre) in centres.iter().enumerate() {
        let far: f32 = part.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum();
        if far < best.0 {
            best = (far, c);
        }
    }
    best.1
}
