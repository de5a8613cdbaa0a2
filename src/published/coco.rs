//! MSCOCO 2014 as `configs/smalr-mscoco.toml` reads it: with Chinese and Japanese captions and a split drawn as MULE's was (Kim et al. 2020), or in
//! English alone in Karpathy's split.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::download::Download;
use super::flickr::read_karpathy;
use super::laid::Laid;
use crate::corpus::{SplitName, input};
use crate::seed::derive;
use crate::{Error, Result};

/// What was published.
pub(super) struct Counts {
    /// Pictures and captions of train2014 and of val2014.
    pub english: [[usize; 2]; 2],
    /// Captions that people wrote in Chinese, and their pictures.
    pub chinese: [usize; 2],
    /// Japanese captions, and their pictures.
    pub japanese: [usize; 2],
    /// Pictures of Karpathy's splits.
    pub karpathy: [usize; 3],
    /// Pictures to validate on, and as many to test on, where they are drawn.
    pub drawn: usize,
}

pub(super) const COUNTS: Counts = Counts {
    english: [[82_783, 414_113], [40_504, 202_654]],
    chinese: [22_218, 20_341],
    japanese: [131_740, 26_500],
    karpathy: [113_287, 5_000, 5_000],
    drawn: 1_000,
};

const IDS: &str = "image_ids/{split}.txt";

#[derive(Deserialize)]
struct Captions {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

/// YJ Captions name pictures by their numbers alone.
#[derive(Deserialize)]
struct Annotations {
    annotations: Vec<Annotation>,
}

#[derive(Deserialize, Serialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize, Serialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    caption: String,
}

/// A caption in another language than English, as `configs/smalr-mscoco.toml` reads it.
#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    language: &'static str,
    text: &'a str,
    source: &'static str,
}

/// All pictures with their English captions, in the order of the files.
struct English {
    images: Vec<Image>,
    captions: HashMap<u64, Vec<Annotation>>,
    /// Captions of nothing but white space.
    blank: usize,
}

/// By number of the picture, captions in one language.
type Texts = BTreeMap<u64, Vec<String>>;

pub(super) fn write(from: &Download, laid: &mut Laid, counts: &Counts, seed: u64) -> Result<()> {
    let english = English::read(from, counts)?;
    let numbers: HashMap<&str, u64> =
        english.images.iter().map(|image| (stem(&image.file_name), image.id)).collect();
    let (zh, ja) = ("imageid.human-written-caption.txt", "yjcaptions26k_clean.json");
    let (split, others) = match (from.find(zh)?, from.find(ja)?, from.find("dataset_coco.json")?) {
        (Some(zh), Some(ja), _) => {
            let zh_texts = read_chinese(from, &zh, &numbers, counts)?;
            let ja_texts = read_japanese(from, &ja, &numbers, counts)?;
            let split = drawn(laid, &zh_texts, &ja_texts, counts.drawn, seed).map_err(|e| e.at(&zh))?;
            (split, vec![("zh", zh_texts), ("ja", ja_texts)])
        }
        (Some(_), None, None) => return Err(from.missing(ja)),
        (None, Some(_), None) => return Err(from.missing(zh)),
        (.., Some(file)) => (karpathy(from, &file, &numbers, counts)?, Vec::new()),
        (None, None, None) => return Err(from.missing("dataset_coco.json")),
    };
    if english.blank > 0 {
        laid.note(format!("{} English captions are blank and were left out", english.blank));
    }
    for name in SplitName::CAPTIONED {
        let of = |image: &&Image| split.get(&image.id).copied().unwrap_or(SplitName::Train) == name;
        let images: Vec<&Image> = english.images.iter().filter(of).collect();
        let ids: Vec<&str> = images.iter().map(|image| image.file_name.as_str()).collect();
        laid.lines(IDS, name, &ids)?;
        let annotations: Vec<&Annotation> =
            images.iter().filter_map(|image| english.captions.get(&image.id)).flatten().collect();
        let count = annotations.len();
        let json = serde_json::json!({"images": images, "annotations": annotations});
        laid.split("captions/{split}.en.json", name, json.to_string().as_bytes(), count)?;
        if !others.is_empty() {
            let mut lines = Vec::new();
            for image in &images {
                for (language, texts) in &others {
                    for text in texts.get(&image.id).into_iter().flatten() {
                        lines.push(Line { image: &image.file_name, language, text, source: "human" });
                    }
                }
            }
            laid.json_lines("captions/{split}.jsonl", name, &lines)?;
        }
    }
    laid.note_features(IDS, &SplitName::CAPTIONED, "train2014.zip and val2014.zip, of both in one folder");
    laid.note(format!(
        "machine translations are not published: captions/{{split}}.jsonl of the other languages, and the others that configs/smalr-mscoco.toml names in \
         its first lines, are yours to make, in {}",
        laid.out().display()
    ));
    Ok(())
}

impl English {
    fn read(from: &Download, counts: &Counts) -> Result<English> {
        let mut all = English { images: Vec::new(), captions: HashMap::new(), blank: 0 };
        for (part, [images, captions]) in ["train2014", "val2014"].into_iter().zip(counts.english) {
            let file = from.need(&format!("captions_{part}.json"))?;
            let read: Captions = from.json(&file)?;
            from.count(&file, "pictures", read.images.len(), images)?;
            from.count(&file, "captions", read.annotations.len(), captions)?;
            all.images.extend(read.images);
            for mut caption in read.annotations {
                caption.caption = caption.caption.trim().to_string();
                match caption.caption.is_empty() {
                    true => all.blank += 1,
                    false => all.captions.entry(caption.image_id).or_default().push(caption),
                }
            }
        }
        Ok(all)
    }
}

/// A name without its ending: COCO-CN has none.
fn stem(name: &str) -> &str {
    name.strip_suffix(".jpg").unwrap_or(name)
}

fn unknown(from: &Download, file: &Path, picture: &dyn std::fmt::Display) -> Error {
    let what = format!("speaks of picture `{picture}`, which is not in MSCOCO 2014");
    Error::data(what).at(file).hint(from.again())
}

fn read_chinese(
    from: &Download,
    file: &Path,
    numbers: &HashMap<&str, u64>,
    counts: &Counts,
) -> Result<Texts> {
    let (mut texts, mut lines) = (Texts::new(), 0);
    input::each_line(file, |number, line| {
        let (label, text) = line.trim().split_once(['\t', ' ']).ok_or_else(|| {
            Error::data("is no name of a picture and a caption").at(file).line(number).hint(from.again())
        })?;
        let picture = stem(label.split('#').next().unwrap_or(label));
        let picture = *numbers.get(picture).ok_or_else(|| unknown(from, file, &picture).line(number))?;
        texts.entry(picture).or_default().push(text.trim().to_string());
        lines += 1;
        Ok(())
    })?;
    from.count(file, "captions", lines, counts.chinese[0])?;
    from.count(file, "pictures", texts.len(), counts.chinese[1])?;
    Ok(texts)
}

fn read_japanese(
    from: &Download,
    file: &Path,
    numbers: &HashMap<&str, u64>,
    counts: &Counts,
) -> Result<Texts> {
    let read: Annotations = from.json(file)?;
    from.count(file, "captions", read.annotations.len(), counts.japanese[0])?;
    let known: std::collections::HashSet<u64> = numbers.values().copied().collect();
    let mut texts = Texts::new();
    for caption in read.annotations {
        if !known.contains(&caption.image_id) {
            return Err(unknown(from, file, &caption.image_id));
        }
        texts.entry(caption.image_id).or_default().push(caption.caption.trim().to_string());
    }
    from.count(file, "pictures", texts.len(), counts.japanese[1])?;
    Ok(texts)
}

/// As many pictures to validate on as to test on, of those with captions in all three languages; all others are to train on.
fn drawn(
    laid: &mut Laid,
    zh: &Texts,
    ja: &Texts,
    count: usize,
    seed: u64,
) -> Result<HashMap<u64, SplitName>> {
    let mut common: Vec<u64> = zh.keys().filter(|picture| ja.contains_key(picture)).copied().collect();
    if common.len() < 2 * count {
        let what = format!(
            "has {} pictures in common with YJ Captions; {} are drawn of them to validate and test on",
            common.len(),
            2 * count
        );
        return Err(Error::data(what));
    }
    laid.note(format!(
        "{count} pictures to validate on and {count} to test on were drawn of the {} with captions in en, zh and ja; the lists of the papers were not published",
        common.len()
    ));
    let mut rng = ChaCha8Rng::seed_from_u64(derive(seed, "MSCOCO", 0));
    common.shuffle(&mut rng);
    let split = |n: usize| if n < count { SplitName::Val } else { SplitName::Test };
    Ok(common.into_iter().take(2 * count).enumerate().map(|(n, picture)| (picture, split(n))).collect())
}

fn karpathy(
    from: &Download,
    file: &Path,
    numbers: &HashMap<&str, u64>,
    counts: &Counts,
) -> Result<HashMap<u64, SplitName>> {
    let mut all = HashMap::new();
    for (split, pictures) in SplitName::CAPTIONED.into_iter().zip(read_karpathy(from, file, counts.karpathy)?)
    {
        for picture in pictures {
            let number =
                numbers.get(stem(&picture.name)).ok_or_else(|| unknown(from, file, &picture.name))?;
            all.insert(*number, split);
        }
    }
    Ok(all)
}
