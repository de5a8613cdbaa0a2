//! Checksums of what a run keeps: whether a file still holds what was written.
//!
//! CRC-32 finds every flipped bit, every damaged stretch of up to 32 bits and all but one in 4 × 10⁹ of other damages, at
//! the speed of memory. It is no proof against those who forge a file.

use std::path::Path;

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::map::Map;
use crate::{Error, Result};

/// What to do about a file that is not as it was written.
pub const CHANGED: &str = "the file was damaged or edited: copy it again, or make it anew";

/// Bytes that one thread takes at a time.
const PART: usize = 4 << 20;

/// The checksum of some bytes: 8 hexadecimal digits.
pub fn of(bytes: &[u8]) -> String {
    of_parts(&[bytes])
}

/// That of parts one after the other.
pub fn of_parts(parts: &[&[u8]]) -> String {
    let mut all = crc32fast::Hasher::new();
    for part in parts {
        let of = |part: &[u8]| {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(part);
            hasher
        };
        let hashers: Vec<_> = part.par_chunks(PART).map(of).collect();
        hashers.iter().for_each(|part| all.combine(part));
    }
    format!("{:08x}", all.finalize())
}

/// The checksum of a file, read without holding it in memory.
///
/// # Errors
/// Data, where it cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let empty = std::fs::metadata(path).map_err(|e| Error::reading(path, e))?.len() == 0;
    if empty { Ok(of(&[])) } else { Ok(of(&Map::open(path)?)) }
}

/// Refuses a file with another checksum than it was written with.
///
/// # Errors
/// Data, naming the file.
pub fn check_file(path: &Path, written: &str) -> Result<()> {
    let found = of_file(path)?;
    if found == written {
        return Ok(());
    }
    Err(differs(&found, written).at(path))
}

/// What was hashed by SHA-256: 64 hexadecimal digits.
pub fn sha256(hash: Sha256) -> String {
    HEXLOWER.encode(&hash.finalize())
}

/// The first 128 bits of it, enough to name content by: 32 hexadecimal digits.
pub fn sha256_name(hash: Sha256) -> String {
    HEXLOWER.encode(&hash.finalize()[..16])
}

/// The error for a checksum that is not the one written; it names no file.
pub fn differs(found: &str, written: &str) -> Error {
    let what = format!("is not as it was written: its checksum is {found}, not {written}");
    Error::data(what).hint(CHANGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32_whatever_the_parts_and_threads() {
        assert_eq!(of(b"123456789"), "cbf43926", "the check value of the CRC catalogue");
        assert_eq!(of_parts(&[b"1234", b"", b"56789"]), "cbf43926");
        let long: Vec<u8> = (0..2 * PART + 77).map(|n| (n * n % 251) as u8).collect();
        let mut straight = crc32fast::Hasher::new();
        straight.update(&long);
        assert_eq!(of(&long), format!("{:08x}", straight.finalize()));
    }

    #[test]
    fn sha_256_is_written_in_small_hexadecimal_digits() {
        let hash = Sha256::new_with_prefix(b"abc");
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(hash.clone()), digits, "the first example of FIPS 180-2");
        assert_eq!(sha256_name(hash), digits[..32]);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let mut bytes = b"a run keeps this".to_vec();
        std::fs::write(&file, &bytes).unwrap();
        let written = of_file(&file).unwrap();
        check_file(&file, &written).unwrap();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &bytes).unwrap();
            let error = check_file(&file, &written).unwrap_err().to_string();
            assert!(error.contains("/a`: is not as it was written"), "{error}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        std::fs::write(&file, b"").unwrap();
        assert_eq!(of_file(&file).unwrap(), "00000000");
    }
}
