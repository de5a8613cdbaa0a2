//! Which part of a corpus is read.

use super::SplitName;

/// The part of a corpus that is read; the rest of it is empty.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Splits with their pictures and captions.
    pub(super) splits: Vec<SplitName>,
    /// Splits of which the pictures are wanted, the former among them.
    pub(super) pictures: Vec<SplitName>,
    /// Whether texts are compared with parallel ones, fitted on those of `val`.
    pub(super) parallel: bool,
    /// What `{split}` stands for in place of `test`.
    pub(super) test: Option<String>,
    /// Whether sentence pairs are read where the training split is not.
    pub(super) pairs: bool,
    /// Languages that need no training captions.
    pub(super) untaught: Vec<String>,
}

impl Wanted {
    pub(super) fn everything() -> Wanted {
        use SplitName::{Distractors, Test, Train, Val};
        let pictures = vec![Train, Val, Test, Distractors];
        let splits = SplitName::CAPTIONED.to_vec();
        Wanted { splits, pictures, parallel: true, test: None, pairs: false, untaught: Vec::new() }
    }

    /// One split, or in place of `test` a set of pictures by its name; perhaps with the distractors.
    pub fn only(split: SplitName, test: Option<String>, distractors: bool) -> Wanted {
        let mut pictures = vec![split];
        pictures.extend(distractors.then_some(SplitName::Distractors));
        Wanted { splits: vec![split], pictures, parallel: false, test, pairs: false, untaught: Vec::new() }
    }

    pub(super) fn has(&self, split: SplitName) -> bool {
        self.splits.contains(&split)
    }

    /// Whether there are splits that are not read: a picture that is not found may be in one of them.
    pub(super) fn is_part(&self) -> bool {
        self.splits.len() < SplitName::CAPTIONED.len()
    }

    pub(super) fn has_pictures(&self, split: SplitName) -> bool {
        self.pictures.contains(&split)
    }
}
