//! Sentences of a batch as an encoder of tokens reads them.

use std::sync::Arc;

use crate::ops::sequences::Sequences;
use crate::seed::derive;

/// A sentence less the words that `keeps` drops; its start and its end stay.
pub(super) fn thinned(ids: &[u32], p: f32, keeps: impl Fn(usize) -> bool) -> Vec<u32> {
    let last = ids.len() - 1;
    let stays = |n: &usize| p == 0.0 || *n == 0 || *n == last || keeps(*n);
    (0..ids.len()).filter(stays).map(|n| ids[n]).collect()
}

/// The sentences of a batch, so many at a time.
pub(super) struct Chunks {
    pub(super) sentences: Vec<Arc<Sequences>>,
    seed: u64,
}

impl Chunks {
    /// `size` 0 takes all at once.
    pub(super) fn new(all: &Arc<Sequences>, size: usize, seed: u64) -> Chunks {
        if size == 0 || size >= all.len() {
            return Chunks { sentences: vec![all.clone()], seed };
        }
        let some = |first: usize| {
            let mut some = Sequences::new();
            (first..all.len().min(first + size)).for_each(|s| some.push(all.get(s).iter().copied()));
            Arc::new(some)
        };
        Chunks { sentences: (0..all.len()).step_by(size).map(some).collect(), seed }
    }

    /// Each part has its own draw of dropout.
    pub(super) fn seed_of(&self, part: usize) -> u64 {
        if part == 0 { self.seed } else { derive(self.seed, "part", part as u64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_dropped_between_the_ends_of_a_sentence() {
        assert_eq!(thinned(&[2, 7, 8, 9, 3], 0.5, |n| n == 2), [2, 8, 3]);
        assert_eq!(thinned(&[2, 7, 8, 9, 3], 0.5, |_| false), [2, 3]);
        assert_eq!(thinned(&[2, 7, 3], 0.0, |_| false), [2, 7, 3]);
    }
}
