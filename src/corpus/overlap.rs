//! Pictures that are in two splits, or twice in one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::ids::{file_name, stem};
use super::{Corpus, SplitName};

/// Pictures that are in two splits, or twice in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// The split that has them.
    pub first: SplitName,
    /// The other split that has them; the same, where they are twice in one.
    pub second: SplitName,
    /// Pictures with the same id, or the same file name in another folder.
    pub same_id: usize,
    /// Rows of the second split that equal a row of the first.
    pub same_features: usize,
    /// Up to five of them: the id, or both ids as `first = second`.
    pub examples: Vec<String>,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.second {
            true => write!(f, "{} holds pictures twice", self.first)?,
            false => write!(f, "{} and {} share pictures", self.first, self.second)?,
        }
        let examples = self.examples.join("`, `");
        write!(f, ": {} by id, {} by features, such as `{examples}`", self.same_id, self.same_features)
    }
}

/// How the pictures of a corpus are compared.
pub fn compared(corpus: &Corpus) -> &'static str {
    match corpus.has_ids {
        true => "by id, file name and features",
        false => "by features alone: without `data.image_ids` there are no file names to compare",
    }
}

const ALL: [SplitName; 4] = [SplitName::Train, SplitName::Val, SplitName::Test, SplitName::Distractors];

/// A row of a split.
type Place = (SplitName, usize);

/// Finds pictures that occur more than once: by id or file name where pictures have ids, and by equal rows of features.
pub fn overlaps(corpus: &Corpus) -> Vec<Overlap> {
    let mut found: BTreeMap<(SplitName, SplitName), Overlap> = BTreeMap::new();
    let id = |(split, row): Place| corpus.split(split).image_ids[row].as_str();
    let mut note = |one: Place, other: Place, by_id: bool| {
        let (first, second) = (one.0, other.0);
        let overlap = found.entry((first, second)).or_insert_with(|| Overlap {
            first,
            second,
            same_id: 0,
            same_features: 0,
            examples: Vec::new(),
        });
        *(if by_id { &mut overlap.same_id } else { &mut overlap.same_features }) += 1;
        let example = match id(one) == id(other) {
            true => id(one).to_string(),
            false => format!("{} = {}", id(one), id(other)),
        };
        if overlap.examples.len() < 5 && !overlap.examples.contains(&example) {
            overlap.examples.push(example);
        }
    };
    let name = names(corpus);
    let mut ids: HashMap<&str, Place> = HashMap::new();
    let mut rows: HashMap<u64, Vec<Place>> = HashMap::new();
    for second in ALL {
        let split = corpus.split(second);
        for (row, id) in split.image_ids.iter().enumerate().filter(|_| corpus.has_ids) {
            match ids.entry(name(id)) {
                Entry::Occupied(first) => note(*first.get(), (second, row), true),
                Entry::Vacant(free) => _ = free.insert((second, row)),
            }
        }
        let features = &split.features;
        for row in 0..features.rows() {
            let alike = rows.entry(features.hash(row)).or_default();
            let same = |&&(of, there): &&Place| features.same_row(row, &corpus.split(of).features, there);
            match alike.iter().find(same) {
                Some(&first) => note(first, (second, row), false),
                None => alike.push((second, row)),
            }
        }
    }
    found.into_values().collect()
}

/// What pictures are compared by: the name of the file in whatever folder, unless the folder tells pictures of a split apart.
fn names(corpus: &Corpus) -> fn(&str) -> &str {
    let alone = |split: SplitName| {
        let mut seen = HashSet::new();
        corpus.split(split).image_ids.iter().all(|id| seen.insert(stem(file_name(id))))
    };
    if ALL.into_iter().all(alone) { |id| stem(file_name(id)) } else { stem }
}
