//! Adding a language to a run: what is asked for, refused and told, whatever the family.

pub mod addition;

use rand::SeedableRng;
use rand::seq::SliceRandom;

use crate::corpus::Features;

pub use addition::{Addition, AskTeacher};

/// Fewer sentences than this teach nothing.
pub const LEAST: usize = 20;

/// Whether two sets of features are rows of the same files.
pub fn same_pictures(one: &Features, other: &Features) -> bool {
    let files = |f: &Features| -> Vec<_> { f.files().map(|p| p.canonicalize().ok()).collect() };
    one.rows() == other.rows() && files(one) == files(other) && !files(one).contains(&None)
}

/// A share of so many groups of sentences, one at least, chosen by the seed; ascending.
pub(crate) fn some_groups(count: usize, share: f64, seed: u64) -> Vec<u32> {
    let mut groups: Vec<u32> = (0..count as u32).collect();
    if share < 1.0 {
        groups.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        groups.truncate((count as f64 * share).round().max(1.0) as usize);
        groups.sort_unstable();
    }
    groups
}
