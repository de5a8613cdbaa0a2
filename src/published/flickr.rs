//! Flickr8k and Flickr30k: Karpathy's file, or Flickr8k's own.

use std::collections::HashMap;

use serde::Deserialize;

use super::download::Download;
use super::laid::Laid;
use crate::corpus::{SplitName, input};
use crate::{Error, Result};

/// A data set and its counts.
pub(super) struct Flickr {
    pub name: &'static str,
    /// Pictures to train, validate and test on.
    pub pictures: [usize; 3],
    /// Captions of each.
    pub captions: usize,
    /// Whether its own files are read.
    pub tokens: bool,
    pub photographs: &'static str,
}

pub(super) const FLICKR8K: Flickr = Flickr {
    name: "flickr8k",
    pictures: [6_000, 1_000, 1_000],
    captions: 5,
    tokens: true,
    photographs: "Flickr8k_Dataset.zip",
};

pub(super) const FLICKR30K: Flickr = Flickr {
    name: "flickr30k",
    pictures: [29_000, 1_014, 1_000],
    captions: 5,
    tokens: false,
    photographs: "on request of its authors",
};

const IDS: &str = "image_ids/{split}.txt";

pub(super) fn write(from: &Download, laid: &mut Laid, set: &Flickr) -> Result<()> {
    let karpathy = format!("dataset_{}.json", set.name);
    let captions = match (from.find(&karpathy)?, set.tokens) {
        (Some(file), _) => {
            let split = read_karpathy(from, &file, set.pictures)?;
            let captions: usize = split.iter().flatten().map(|picture| picture.captions).sum();
            from.count(&file, "captions", captions, set.pictures.iter().sum::<usize>() * set.captions)?;
            for (split, pictures) in SplitName::CAPTIONED.into_iter().zip(split) {
                let ids: Vec<String> = pictures.into_iter().map(|picture| picture.name).collect();
                laid.lines(IDS, split, &ids)?;
            }
            laid.unpacked("captions.json", &file, format!("{captions} captions"))?;
            "format = \"karpathy\"\nlanguages = [\"en\"]\nfiles = [\"captions.json\"]\n"
        }
        (None, true) => {
            write_tokens(from, laid, set)?;
            "format = \"named\"\nlanguages = [\"en\"]\nfiles = [\"captions/{split}.{language}.token\"]\n"
        }
        (None, false) => return Err(from.missing(&karpathy)),
    };
    let name = format!("{}.toml", set.name);
    let text = format!(
        "# {}, laid out by `tinyglot data lay-out`. features/{{split}}.npy are made by `tinyglot embed-images`.\n\n[data]\nlanguages = [\"en\"]\n\
         image_ids = \"{IDS}\"\n\n[[data.captions]]\n{captions}",
        set.name
    );
    laid.bytes(&name, text.as_bytes(), "a configuration that reads them")?;
    laid.note_features(IDS, &SplitName::CAPTIONED, set.photographs);
    Ok(())
}

/// A picture of Karpathy's file.
pub(super) struct Picture {
    pub name: String,
    captions: usize,
}

/// The pictures of a `dataset_*.json`, by split. `restval` is of the pictures to train on.
pub(super) fn read_karpathy(
    from: &Download,
    file: &std::path::Path,
    expected: [usize; 3],
) -> Result<[Vec<Picture>; 3]> {
    #[derive(Deserialize)]
    struct Dataset {
        images: Vec<Image>,
    }
    #[derive(Deserialize)]
    struct Image {
        filename: String,
        split: String,
        sentences: Vec<serde::de::IgnoredAny>,
    }
    let dataset: Dataset = from.json(file)?;
    let mut all: [Vec<Picture>; 3] = Default::default();
    for (n, image) in dataset.images.into_iter().enumerate() {
        let split = match image.split.as_str() {
            "train" | "restval" => SplitName::Train,
            "val" => SplitName::Val,
            "test" => SplitName::Test,
            other => {
                let what = format!("image {n} (from 0) is in split `{other}`");
                return Err(Error::data(what).at(file).hint(from.again()));
            }
        };
        all[split as usize].push(Picture { name: image.filename, captions: image.sentences.len() });
    }
    for (split, (pictures, expected)) in SplitName::CAPTIONED.into_iter().zip(all.iter().zip(expected)) {
        from.count(file, &format!("pictures of split `{split}`"), pictures.len(), expected)?;
    }
    Ok(all)
}

/// Flickr8k's own files: captions by the names of pictures, and a list of pictures for each split. Captions of pictures in none are left out.
fn write_tokens(from: &Download, laid: &mut Laid, set: &Flickr) -> Result<()> {
    let mut splits: HashMap<String, SplitName> = HashMap::new();
    for ((split, list), count) in
        SplitName::CAPTIONED.into_iter().zip(["train", "dev", "test"]).zip(set.pictures)
    {
        let name = format!("Flickr_8k.{list}Images.txt");
        let ids = from.lines(&name, count)?;
        for (n, id) in ids.iter().enumerate() {
            if let Some(first) = splits.insert(id.clone(), split) {
                let what = format!("`{id}` is in `{first}` already");
                return Err(Error::data(what).at(from.need(&name)?).line(n + 1).hint(from.again()));
            }
        }
        laid.lines(IDS, split, &ids)?;
    }
    let file = from.need("Flickr8k.token.txt")?;
    let (mut kept, mut left): ([Vec<String>; 3], usize) = Default::default();
    input::each_line(&file, |_, line| {
        match line.split_once('#').and_then(|(picture, _)| splits.get(picture)) {
            Some(&split) => kept[split as usize].push(line.to_string()),
            None => left += 1,
        }
        Ok(())
    })?;
    for ((split, lines), pictures) in SplitName::CAPTIONED.into_iter().zip(&kept).zip(set.pictures) {
        from.count(&file, &format!("captions of split `{split}`"), lines.len(), pictures * set.captions)?;
        laid.lines("captions/{split}.en.token", split, lines)?;
    }
    if left > 0 {
        laid.note(format!("{left} captions of pictures that are in no split were left out"));
    }
    Ok(())
}
