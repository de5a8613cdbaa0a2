//! Karpathy's `dataset_*.json`: all splits of Flickr8k, Flickr30k or MSCOCO in one file.

use std::path::Path;

use serde::Deserialize;

use super::super::SplitName;
use super::{Described, Name, read_json};
use crate::{Error, Result};

#[derive(Deserialize)]
struct Dataset {
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    split: String,
    filename: Option<String>,
    cocoid: Option<Name>,
    imgid: Option<Name>,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
}

/// Reads the pictures in the order of the file. `restval` counts as training.
///
/// Where one matrix serves all splits (`shared`), `imgid` is the row; else rows count within the split.
pub(super) fn read(file: &Path, shared: bool) -> Result<Vec<Described>> {
    let dataset: Dataset = read_json(file, "Karpathy")?;
    let mut counts = [0u32; 3];
    let mut described = Vec::with_capacity(dataset.images.len());
    for (n, image) in dataset.images.into_iter().enumerate() {
        let split = match image.split.as_str() {
            "train" | "restval" => SplitName::Train,
            "val" => SplitName::Val,
            "test" => SplitName::Test,
            other => {
                let what = format!("image {n} (from 0) is in split `{other}`");
                return Err(Error::data(what)
                    .at(file)
                    .hint("known are `train`, `restval`, `val` and `test`"));
            }
        };
        let order = match (&image.imgid, shared) {
            (Some(Name::Number(id)), true) => u32::try_from(*id).unwrap_or(u32::MAX),
            (_, true) => n as u32,
            (_, false) => counts[split as usize],
        };
        counts[split as usize] += 1;
        described.push(Described {
            split: Some(split),
            names: [image.filename, image.cocoid.map(|i| i.to_string()), image.imgid.map(|i| i.to_string())],
            order,
            texts: image.sentences.into_iter().map(|s| s.raw).collect(),
        });
    }
    Ok(described)
}
