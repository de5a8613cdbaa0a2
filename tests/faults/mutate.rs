//! Files changed at places that a seed draws.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers that sizes and offsets are changed to.
const HUGE: [u64; 7] =
    [u64::MAX, i64::MAX as u64, u32::MAX as u64, i32::MAX as u64, 1 << 40, 1_000_000_000, 1 << 31];
/// What numbers of a text are changed to.
const WRITTEN: [&str; 12] = [
    "0",
    "-1",
    "1000000000",
    "2147483648",
    "4294967296",
    "18446744073709551615",
    "99999999999999999999999",
    "1e999",
    "1e38",
    "NaN",
    "0.5",
    "\"x\"",
];

/// One change; its number says which kind it is of, all kinds take turns.
pub fn mutated(whole: &[u8], number: u64, seed: u64) -> (Vec<u8>, &'static str) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = whole.to_vec();
    if bytes.is_empty() {
        return (vec![0xff; 9], "bytes in an empty file");
    }
    // Headers are short, and decide most.
    let end = if dice.random_bool(0.5) { bytes.len() } else { bytes.len().min(400) };
    let at = dice.random_range(0..end);
    let what = match number % 9 {
        0 => {
            bytes.truncate(at);
            "cut off"
        }
        1 => {
            bytes[at] ^= 1 << dice.random_range(0..8);
            "a bit flipped"
        }
        2 => {
            for _ in 0..dice.random_range(2..40) {
                let at = dice.random_range(0..bytes.len());
                bytes[at] = dice.random();
            }
            "bytes overwritten"
        }
        3 => {
            let new: Vec<u8> = (0..dice.random_range(1..30)).map(|_| dice.random()).collect();
            bytes.splice(at..at, new);
            "bytes inserted"
        }
        4 => {
            let until = (at + dice.random_range(1..200)).min(bytes.len());
            let part = bytes[at..until].to_vec();
            let to = dice.random_range(0..bytes.len());
            bytes.splice(to..to, part);
            "a part doubled"
        }
        5 => {
            let until = (at + dice.random_range(1..200)).min(bytes.len());
            bytes.drain(at..until);
            "a part taken out"
        }
        6 => {
            let huge = HUGE[dice.random_range(0..HUGE.len())].to_le_bytes();
            let size = if dice.random_bool(0.5) { 4 } else { 8 };
            let until = (at + size).min(bytes.len());
            bytes[at..until].copy_from_slice(&huge[..until - at]);
            "a huge number"
        }
        7 => {
            let numbers = numbers(&bytes);
            if numbers.is_empty() {
                bytes[at] = b'9';
                return (bytes, "a digit");
            }
            let (from, to) = numbers[dice.random_range(0..numbers.len())];
            bytes.splice(from..to, WRITTEN[dice.random_range(0..WRITTEN.len())].bytes());
            "another number in the text"
        }
        _ => {
            let nan = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][dice.random_range(0..3)].to_le_bytes();
            let at = bytes.len().saturating_sub(4 * dice.random_range(1..20));
            let until = (at + 4).min(bytes.len());
            bytes[at..until].copy_from_slice(&nan[..until - at]);
            "NaN at the end"
        }
    };
    (bytes, what)
}

/// Where numbers stand in a text.
fn numbers(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut from) = (Vec::new(), None);
    for (at, byte) in bytes.iter().chain([&0]).enumerate() {
        match (byte.is_ascii_digit() || *byte == b'.', from) {
            (true, None) => from = Some(at),
            (false, Some(start)) => {
                found.push((start, at));
                from = None;
            }
            _ => {}
        }
    }
    found
}
