//! Parts of a gallery that several machines work on, each its own.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One of several parts of a gallery: `2/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which one, from 1.
    number: usize,
    /// How many there are.
    of: usize,
}

/// Parts that a gallery is divided into at most.
const MOST: usize = 1 << 16;

impl Shard {
    /// Part `number` of so many, counted from 1.
    ///
    /// # Errors
    /// Usage, where there is no such part.
    pub fn new(number: usize, of: usize) -> Result<Shard> {
        match (1..=of.min(MOST)).contains(&number) {
            true => Ok(Shard { number, of }),
            false => Err(Error::usage(format!("there is no shard {number}/{of}"))
                .hint(format!("shards are 1/N to N/N, {MOST} at most"))),
        }
    }

    /// Which one, from 1, and how many there are.
    pub fn place(self) -> (usize, usize) {
        (self.number, self.of)
    }

    /// Its rows, of so many: shards follow each other and are as long as each other, but for one row.
    pub fn rows(self, rows: usize) -> Range<usize> {
        let until = |number: usize| (rows as u128 * number as u128 / self.of as u128) as usize;
        until(self.number - 1)..until(self.number)
    }

    /// Whether a photograph belongs to it, by its name alone: so it stays in its shard whatever else comes and goes.
    pub fn has(self, name: &str) -> bool {
        crc32fast::hash(name.as_bytes()) as usize % self.of == self.number - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shard> {
        let parts = text.split_once('/').and_then(|(one, of)| Some((one.parse().ok()?, of.parse().ok()?)));
        let (number, of) =
            parts.ok_or_else(|| Error::usage(format!("`{text}` is no shard: write it as 2/8")))?;
        Shard::new(number, of)
    }
}

/// What the shards of one gallery left, from the first to the last; each comes with the file or folder that it is in.
///
/// # Errors
/// Data, with that path, where they are not all shards of as many, each once.
pub fn in_order<T>(mut parts: Vec<(Shard, &Path, T)>) -> Result<Vec<T>> {
    parts.sort_by_key(|(shard, ..)| shard.number);
    let Some(&(Shard { of, .. }, first, _)) = parts.first() else { return Ok(Vec::new()) };
    if let Some((shard, path, _)) = parts.iter().find(|(shard, ..)| shard.of != of) {
        let what = format!("is shard {shard}, but `{}` is one of {of}", first.display());
        return Err(Error::data(what).at(*path));
    }
    for (n, want) in (0..).zip(1..=of) {
        match parts.get(n) {
            Some((shard, ..)) if shard.number == want => {}
            Some((shard, path, _)) if shard.number < want => {
                return Err(Error::data(format!("is shard {shard}, which is given twice")).at(*path));
            }
            _ => {
                return Err(Error::data(format!("shard {want}/{of} is missing")).hint("give each of them"));
            }
        }
    }
    match parts.get(of) {
        Some((_, path, _)) => Err(Error::data(format!("is given beyond the {of} shards")).at(*path)),
        None => Ok(parts.into_iter().map(|(.., left)| left).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_all_of_a_gallery_and_do_not_overlap() {
        for of in [1, 3, 7] {
            let shards: Vec<Shard> = (1..=of).map(|n| format!("{n}/{of}").parse().unwrap()).collect();
            for rows in [0, 1, 5, 100, 12_345] {
                let all: Vec<usize> = shards.iter().flat_map(|shard| shard.rows(rows)).collect();
                assert_eq!(all, (0..rows).collect::<Vec<_>>());
                let sizes = shards.iter().map(|shard| shard.rows(rows).len());
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            }
            for name in (0..200).map(|n| format!("a/{n}.jpg")) {
                assert_eq!(shards.iter().filter(|shard| shard.has(&name)).count(), 1, "{name}");
            }
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/3", "4/3", "-1/3", "1/0", "1/3/2", "a/b"] {
            assert_eq!(text.parse::<Shard>().unwrap_err().exit_status(), 2, "{text}");
        }
    }

    #[test]
    fn all_shards_are_put_in_order_and_others_refused() {
        let given = |shards: &[(usize, usize)]| {
            let of =
                |&(number, of): &(usize, usize)| (Shard::new(number, of).unwrap(), Path::new("part"), number);
            in_order(shards.iter().map(of).collect()).map_err(|error| error.to_string())
        };
        assert_eq!(given(&[(3, 3), (1, 3), (2, 3)]).unwrap(), [1, 2, 3]);
        assert_eq!(given(&[]).unwrap(), [] as [usize; 0]);
        for (shards, want) in [
            (&[(1, 3), (3, 3)][..], "shard 2/3 is missing"),
            (&[(2, 3)][..], "shard 1/3 is missing"),
            (&[(1, 2), (2, 2), (1, 2)][..], "`part`: is shard 1/2, which is given twice"),
            (&[(1, 2), (2, 2), (2, 2)][..], "`part`: is given beyond the 2 shards"),
            (&[(1, 2), (2, 3)][..], "`part`: is shard 2/3, but `part` is one of 2"),
        ] {
            let error = given(shards).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
