//! Multi30K, as `configs/*-multi30k.toml` read it.

use std::collections::HashMap;

use super::download::Download;
use super::laid::Laid;
use crate::corpus::SplitName;
use crate::{Error, Result};

/// Pictures to train, validate and test on.
pub(super) const PICTURES: [usize; 3] = [29_000, 1_014, 1_000];

/// What the splits are called in task 1, in task 2, and in the lists of pictures of task 2.
pub(super) const NAMES: [[&str; 3]; 3] = [
    ["train", "train", "train_images"],
    ["val", "val", "val_images"],
    ["test_2016_flickr", "test_2016", "test_2016_images"],
];

/// Captions of a picture in task 2.
const CAPTIONS: usize = 5;

pub(super) fn write(from: &Download, laid: &mut Laid, pictures: [usize; 3]) -> Result<()> {
    let mut seen: HashMap<String, SplitName> = HashMap::new();
    for ((split, [task1, task2, list]), count) in SplitName::CAPTIONED.into_iter().zip(NAMES).zip(pictures) {
        let name = format!("task1/image_splits/{task1}.txt");
        let ids = from.lines(&name, count)?;
        for (n, id) in ids.iter().enumerate() {
            if let Some(first) = seen.insert(id.clone(), split) {
                let what = format!("`{id}` is in `{first}` already");
                return Err(Error::data(what).at(from.need(&name)?).line(n + 1).hint(from.again()));
            }
        }
        // Line n of both tasks speaks of one picture, or the captions would be of others.
        let name = format!("task2/image_splits/{list}.txt");
        let others = from.lines(&name, count)?;
        if let Some(n) = (0..count).find(|&n| ids[n] != others[n]) {
            let what = format!("is `{}`, where the list of task 1 has `{}`", others[n], ids[n]);
            return Err(Error::data(what).at(from.need(&name)?).line(n + 1).hint(from.again()));
        }
        laid.lines("image_splits/{split}.txt", split, &ids)?;
        for language in ["en", "de", "fr", "cs"] {
            let lines = from.lines(&format!("task1/raw/{task1}.{language}"), count)?;
            laid.lines(&format!("task1/{{split}}.{language}"), split, &lines)?;
        }
        for language in ["en", "de"] {
            for n in 1..=CAPTIONS {
                let lines = from.lines(&format!("task2/raw/{task2}.{n}.{language}"), count)?;
                laid.lines(&format!("task2/{{split}}.{n}.{language}"), split, &lines)?;
            }
        }
    }
    laid.note_features(
        "image_splits/{split}.txt",
        &SplitName::CAPTIONED,
        "of Flickr30k, on request of its authors",
    );
    laid.note(format!(
        "machine translations are not published: those that configs/smalr-multi30k.toml names in its first lines are yours to make, in {}/translated; \
         configs/mla-multi30k.toml needs none",
        laid.out().display()
    ));
    Ok(())
}
