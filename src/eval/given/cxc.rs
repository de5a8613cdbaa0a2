//! Crisscrossed Captions (Parekh et al. 2021) as published: ratings of caption pairs, picture pairs, and captions with pictures, by the ids of MSCOCO.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::table::{Row, rows};
use super::{Known, add};
use crate::checksum::sha256;
use crate::corpus::input::open;
use crate::corpus::{Features, Names, PictureSource, read_ids};
use crate::{Error, Result};

/// What is rated, as the names of the files have it.
pub const KINDS: [&str; 3] = ["sts", "sis", "sits"];

/// The language of MSCOCO's captions.
const LANGUAGE: &str = "en";

/// Captions and pictures with ratings.
pub struct Cxc {
    /// What the result is kept by.
    pub name: String,
    /// SHA-256 of captions, pictures and ratings.
    pub data: String,
    /// The place of the captions' language among those of the model.
    pub language: usize,
    /// Where the captions were read.
    pub file: PathBuf,
    /// The pictures, in their rows.
    pub pictures: Box<dyn PictureSource>,
    /// What each caption says.
    pub texts: Vec<String>,
    /// The picture of each caption.
    pub image_of: Vec<u32>,
    /// Of each of [`KINDS`] the rated pairs: two captions, two pictures, or a caption and a picture.
    pub rated: [Vec<Rated>; 3],
}

/// A rated pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rated {
    /// The number of the caption or picture.
    pub first: u32,
    /// That of the other one.
    pub second: u32,
    /// 0 to 5, the mean of several people's.
    pub score: f64,
}

/// What the user names.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The folder of `sts_SPLIT.csv`, `sis_SPLIT.csv` and `sits_SPLIT.csv`.
    pub folder: &'a Path,
    /// Karpathy's `dataset_coco.json`, or MSCOCO's `captions_val2014.json`.
    pub captions: &'a Path,
    /// Features of the pictures of the split, which have ids in them or beside them (`features.ids`).
    pub images: &'a Path,
}

#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: Option<u64>,
    #[serde(alias = "file_name")]
    filename: String,
    #[serde(default)]
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
    sentid: u64,
}

#[derive(Deserialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    caption: String,
}

impl Cxc {
    /// Reads the ratings of a split, and the captions of all pictures that there are features of.
    ///
    /// # Errors
    /// Usage, where the model does not know English; data, with file and line: files that cannot be read, features without ids, a rating that is no number, or of a
    /// caption or picture that is not there.
    pub fn read(sources: Sources, split: &str, name: Option<&str>, known: Known) -> Result<Cxc> {
        let Some((language, _)) = known.data.meant(known.languages, LANGUAGE) else {
            return Err(Error::usage("Crisscrossed Captions are in English, which the run does not know")
                .hint(known.hint()));
        };
        let pictures = Features::open(&[sources.images.to_path_buf()])?;
        let names = names(sources.images, &pictures)?;
        let (mut texts, mut image_of, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        for (id, image, text) in captions(sources.captions)? {
            let Some(row) = names.find(&image)? else { continue };
            places.insert(id, texts.len() as u32);
            texts.push(text.trim().to_string());
            image_of.push(row);
        }
        if texts.is_empty() {
            return Err(Error::data(format!(
                "has no caption of a picture of `{}`",
                sources.images.display()
            ))
            .at(sources.captions)
            .hint("the ids of the features are names of files such as COCO_val2014_000000391895.jpg"));
        }
        let there = There { names: &names, captions: &places, sources };
        let [sts, sis, sits] = [0, 1, 2].map(|kind| there.rated(kind, split));
        let rated = [sts?, sis?, sits?];
        let mut hash = Sha256::new();
        texts.iter().for_each(|text| add(&mut hash, text));
        for Rated { first, second, score } in rated.iter().flatten() {
            [first, second].iter().for_each(|n| hash.update(n.to_le_bytes()));
            hash.update(score.to_le_bytes());
        }
        pictures.hash_content(&mut hash)?;
        let (name, file) =
            (name.map_or_else(|| format!("cxc-{split}"), String::from), sources.captions.into());
        Ok(Cxc {
            name,
            data: sha256(hash),
            language,
            file,
            pictures: Box::new(pictures),
            texts,
            image_of,
            rated,
        })
    }
}

/// The names of pictures, in their features or beside them.
fn names(file: &Path, pictures: &Features) -> Result<Names> {
    let beside = file.with_extension("ids");
    let ids = match pictures.ids() {
        Some(ids) => ids,
        None if beside.is_file() => read_ids(&beside)?,
        None => {
            return Err(Error::data("the pictures have no ids").at(file).hint(format!(
                "put them into `{}`, one a line, in the order of the rows",
                beside.display()
            )));
        }
    };
    match ids.len() == pictures.rows() {
        true => Names::new(ids, &beside),
        false => {
            Err(Error::data(format!("holds {} ids for {} pictures", ids.len(), pictures.rows())).at(&beside))
        }
    }
}

/// The id, the picture and the text of each caption.
fn captions(file: &Path) -> Result<Vec<(u64, String, String)>> {
    let bad = |e: serde_json::Error| {
        Error::data("is no file of captions")
            .at(file)
            .line(e.line())
            .because(e)
            .hint("give Karpathy's `dataset_coco.json`, or MSCOCO's `captions_val2014.json`")
    };
    let coco: Coco = serde_json::from_reader(open(file)?).map_err(bad)?;
    let mut all = Vec::new();
    let by_id: HashMap<u64, &str> =
        coco.images.iter().filter_map(|image| Some((image.id?, image.filename.as_str()))).collect();
    for Annotation { id, image_id, caption } in coco.annotations {
        let Some(name) = by_id.get(&image_id) else {
            return Err(Error::data(format!(
                "caption {id} is of the picture {image_id}, which is not there"
            ))
            .at(file));
        };
        all.push((id, name.to_string(), caption));
    }
    for image in &coco.images {
        all.extend(image.sentences.iter().map(|s| (s.sentid, image.filename.clone(), s.raw.clone())));
    }
    Ok(all)
}

struct There<'a> {
    names: &'a Names,
    captions: &'a HashMap<u64, u32>,
    sources: Sources<'a>,
}

impl There<'_> {
    fn rated(&self, kind: usize, split: &str) -> Result<Vec<Rated>> {
        let file = self.sources.folder.join(format!("{}_{split}.csv", KINDS[kind]));
        let columns = [
            ("first column", &["caption1", "image1", "caption"][..]),
            ("second column", &["caption2", "image2", "image"][..]),
            ("score", &["agg_score"][..]),
        ];
        let pair = |row: Row| {
            let Row { line, values } = row;
            let place = |e: Error| e.at(&file).line(line);
            let [first, second, score] = &values[..] else { unreachable!("three columns") };
            let number = score.parse::<f64>().ok().filter(|score| score.is_finite());
            let score = number
                .ok_or_else(|| place(Error::data(format!("has the score `{score}`, which is no number"))))?;
            let [first, second] = [(first, kind != 1), (second, kind == 0)].map(|(written, caption)| {
                let found = if caption { self.caption(written) } else { self.picture(written) };
                found.map_err(place)
            });
            Ok(Rated { first: first?, second: second?, score })
        };
        rows(&file, &columns, 3, None)?.into_iter().map(pair).collect()
    }

    /// `COCO_val2014:sentid:648388`.
    fn caption(&self, written: &str) -> Result<u32> {
        let id = written.rsplit(':').next().and_then(|id| id.parse::<u64>().ok());
        let id = id.ok_or_else(|| Error::data(format!("`{written}` is no id of a caption")))?;
        self.captions.get(&id).copied().ok_or_else(|| {
            let (captions, images) = (self.sources.captions.display(), self.sources.images.display());
            Error::data(format!("`{written}` is no caption of `{captions}` for a picture of `{images}`"))
                .hint("are captions and features those of this split?")
        })
    }

    fn picture(&self, written: &str) -> Result<u32> {
        self.names.find(written)?.ok_or_else(|| {
            Error::data(format!("`{written}` is no picture of `{}`", self.sources.images.display()))
                .hint("are the features those of this split, by the names of their files?")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::DataConfig;
    use crate::corpus::write_npy;

    const KARPATHY: &str = r#"{"images": [
        {"filename": "COCO_val2014_7.jpg", "split": "test", "sentences": [{"raw": " a dog ", "sentid": 70}, {"raw": "a hound", "sentid": 71}]},
        {"filename": "COCO_val2014_9.jpg", "split": "test", "sentences": [{"raw": "a cat", "sentid": 90}]},
        {"filename": "COCO_train2014_1.jpg", "split": "train", "sentences": [{"raw": "a tree", "sentid": 10}]}]}"#;
    const COCO: &str = r#"{"images": [{"id": 7, "file_name": "COCO_val2014_7.jpg"}, {"id": 9, "file_name": "COCO_val2014_9.jpg"}],
        "annotations": [{"id": 70, "image_id": 7, "caption": "a dog"}, {"id": 71, "image_id": 7, "caption": "a hound"},
        {"id": 90, "image_id": 9, "caption": "a cat"}]}"#;
    const STS: &str = "caption1,caption2,agg_score,sampling_method\nCOCO_val2014:sentid:70,COCO_val2014:sentid:71,4.5,c2c_cocaption\n";
    const SIS: &str =
        "image1,image2,agg_score,sampling_method\nCOCO_val2014_7.jpg,COCO_val2014_9.jpg,1.25,i2i_csim\n";
    const SITS: &str =
        "caption,image,agg_score,sampling_method\nCOCO_val2014:sentid:90,COCO_val2014_9.jpg,5,c2i_original\n";

    fn read(captions: &str, ids: Option<&str>, files: [&str; 3]) -> Result<Cxc> {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| place.path().join(name);
        for (kind, text) in KINDS.iter().zip(files) {
            fs::write(file(&format!("{kind}_test.csv")), text).unwrap();
        }
        fs::write(file("coco.json"), captions).unwrap();
        write_npy(file("f.npy"), 2, 3, &[0.5; 6]).unwrap();
        if let Some(ids) = ids {
            fs::write(file("f.ids"), ids).unwrap();
        }
        let (languages, data) = (["de", "en"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        let (captions, images) = (file("coco.json"), file("f.npy"));
        let sources = Sources { folder: place.path(), captions: &captions, images: &images };
        Cxc::read(sources, "test", None, known)
    }

    const IDS: Option<&str> = Some("COCO_val2014_9.jpg\nCOCO_val2014_7.jpg\n");

    #[test]
    fn ratings_lead_to_captions_and_pictures_of_either_file() {
        for captions in [KARPATHY, COCO] {
            let cxc = read(captions, IDS, [STS, SIS, SITS]).unwrap();
            assert_eq!((&cxc.name[..], cxc.language), ("cxc-test", 1));
            assert_eq!(
                (cxc.texts, cxc.image_of),
                (vec!["a dog".into(), "a hound".into(), "a cat".to_string()], vec![1, 1, 0])
            );
            let rated = |first, second, score| vec![Rated { first, second, score }];
            assert_eq!(cxc.rated, [rated(0, 1, 4.5), rated(1, 0, 1.25), rated(2, 0, 5.0)]);
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        let cases: [(&str, Option<&str>, [&str; 3], &str); 9] = [
            (KARPATHY, None, [STS, SIS, SITS], "f.npy`: the pictures have no ids"),
            (KARPATHY, Some("one\n"), [STS, SIS, SITS], "f.ids`: holds 1 ids for 2 pictures"),
            (KARPATHY, Some("1\n2\n"), [STS, SIS, SITS], "coco.json`: has no caption of a picture"),
            ("{\"images\": [", IDS, [STS, SIS, SITS], "coco.json`:1: is no file of captions"),
            (
                KARPATHY,
                IDS,
                [&STS.replace("71", "77"), SIS, SITS],
                "sts_test.csv`:2: `COCO_val2014:sentid:77` is no caption of",
            ),
            (
                KARPATHY,
                IDS,
                [&STS.replace("4.5", "high"), SIS, SITS],
                "sts_test.csv`:2: has the score `high`",
            ),
            (
                KARPATHY,
                IDS,
                [STS, &SIS.replace("_9", "_8"), SITS],
                "sis_test.csv`:2: `COCO_val2014_8.jpg` is no picture of",
            ),
            (
                KARPATHY,
                IDS,
                [STS, SIS, &SITS.replace(":90", ":cat")],
                "sits_test.csv`:2: `COCO_val2014:sentid:cat` is no id",
            ),
            (KARPATHY, IDS, [STS, SIS, "a,b\n"], "sits_test.csv`:1: its first line names no column"),
        ];
        for (captions, ids, files, said) in cases {
            let error = read(captions, ids, files).err().unwrap().to_string();
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
