//! Captions, languages, splits and picture features, read as they are published.
//!
//! Pictures are rows of features; a caption names its picture by row. Where the features have ids, caption files
//! name pictures by id or file name; otherwise line, list or row number n is picture n of the split.

pub mod check;
pub mod features;
pub mod leak;
pub mod text;

mod captions;
mod fingerprint;
mod layout;
mod npy;
mod parallel;
mod paths;
mod pictures;
mod tensors;
mod translations;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::config::{CaptionSource, CaptionSplit, DataConfig, Source, same_code};
use crate::{Error, Result};

pub use features::{Features, write_npy, write_npy_f16};
pub use fingerprint::fingerprint;
pub use npy::NpyWriter;
pub use parallel::Parallel;
pub use pictures::read_ids;
pub use translations::{Asked, Translations};

use paths::Paths;
use pictures::Pictures;

/// What someone, or a machine, wrote about a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Row of the picture within its split.
    pub image: u32,
    /// As in the file, without the white space around it; never empty.
    pub text: String,
    pub source: Source,
}

/// The name of a set of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    Train,
    Val,
    Test,
    /// Pictures without captions that make a gallery larger.
    Distractors,
}

impl SplitName {
    /// The splits that have captions.
    pub const CAPTIONED: [SplitName; 3] = [SplitName::Train, SplitName::Val, SplitName::Test];
}

impl From<CaptionSplit> for SplitName {
    fn from(split: CaptionSplit) -> SplitName {
        match split {
            CaptionSplit::Train => SplitName::Train,
            CaptionSplit::Val => SplitName::Val,
            CaptionSplit::Test => SplitName::Test,
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SplitName::Train => "train",
            SplitName::Val => "val",
            SplitName::Test => "test",
            SplitName::Distractors => "distractors",
        })
    }
}

impl FromStr for SplitName {
    type Err = Error;

    fn from_str(name: &str) -> Result<SplitName> {
        match name {
            "train" => Ok(SplitName::Train),
            "val" => Ok(SplitName::Val),
            "test" => Ok(SplitName::Test),
            "distractors" => Ok(SplitName::Distractors),
            _ => Err(Error::usage(format!("`{name}` is no split"))
                .hint("the splits are `train`, `val`, `test` and `distractors`")),
        }
    }
}

/// Pictures with their captions.
#[derive(Debug, Clone, Default)]
pub struct Split {
    /// One row a picture.
    pub features: Features,
    /// One id a picture: as given, else its row.
    pub image_ids: Vec<String>,
    /// The captions of each language, in the order of the languages; sorted by picture, then as in the files.
    pub captions: Vec<Vec<Caption>>,
}

/// Queries in a language that the model does not know, translated into one that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub language: String,
    /// The place of the language that they are in.
    pub reader: usize,
    /// Whether people wrote the texts.
    pub human: bool,
    /// Sorted by picture.
    pub val: Vec<Caption>,
    pub test: Vec<Caption>,
}

impl Translated {
    /// Those of a split; only `val` and `test` have some.
    pub fn captions(&self, split: SplitName) -> Option<&[Caption]> {
        match split {
            SplitName::Val => Some(&self.val),
            SplitName::Test => Some(&self.test),
            SplitName::Train | SplitName::Distractors => None,
        }
    }

    fn note(&self, languages: &[String]) -> String {
        let (val, test) = (self.val.len(), self.test.len());
        format!(
            "`{}` is read as `{}`: {val} captions of val, {test} of test",
            self.language, languages[self.reader]
        )
    }
}

/// Everything a model is trained and measured on.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Language codes in the order of the configuration.
    pub languages: Vec<String>,
    /// Whether a language has a human caption in any split; such languages count for HA.
    pub human: Vec<bool>,
    pub train: Split,
    pub val: Split,
    pub test: Split,
    /// Further pictures for a gallery, where there are any.
    pub distractors: Option<Features>,
    pub parallel: Option<Parallel>,
    /// Captions with their translations, where `data.translations` has some.
    pub translations: Option<Translations>,
    /// Queries in further languages, translated into one of these.
    pub translated: Vec<Translated>,
    /// Files of further monolingual text of each language, one sentence a line; `None` where there is none.
    pub texts: Vec<Option<Vec<PathBuf>>>,
    /// Whether pictures have ids of their own, rather than row numbers.
    pub has_ids: bool,
    /// What was left out while reading, to be told to the user.
    pub notes: Vec<String>,
    distractor_split: Split,
}

impl Corpus {
    /// Reads captions, maps features and checks that they fit each other.
    ///
    /// `base` is the folder of the configuration file. Every feature row is read once.
    ///
    /// # Errors
    /// Kind `Config` for settings that contradict each other, kind `Data` for files that cannot be used; the
    /// message names file and line.
    pub fn load(config: &DataConfig, base: &Path) -> Result<Corpus> {
        check_languages(&config.languages)?;
        let paths = Paths::new(base, &config.root);
        let pictures = Pictures::open(config, &paths)?;
        let unknown = translated_languages(config)?;
        let codes: Vec<String> =
            config.languages.iter().chain(unknown.iter().map(|(code, _)| code)).cloned().collect();
        let mut harvest = Harvest::new(&codes, config.languages.len(), config);
        for (n, source) in config.captions.iter().enumerate() {
            captions::read(n, source, &paths, &pictures, &mut harvest)?;
        }
        let mut human = harvest.human();
        harvest.check_training()?;
        let mut notes = harvest.notes();
        let texts = texts(config, &paths, &mut notes)?;
        let shared = pictures.shared();
        let [mut train, mut val, mut test] = harvest.splits(&pictures)?;
        let count = config.languages.len();
        train.captions.truncate(count);
        let asked = val.captions.split_off(count).into_iter().zip(test.captions.split_off(count));
        let translated: Vec<Translated> = unknown
            .into_iter()
            .zip(human.split_off(count))
            .zip(asked)
            .map(|(((language, reader), human), (val, test))| Translated {
                language,
                reader,
                human,
                val,
                test,
            })
            .collect();
        notes.extend(translated.iter().map(|t| t.note(&config.languages)));
        let parallel = match &config.parallel {
            Some(template) => {
                Some(Parallel::read(template, &config.languages, &paths, &pictures, &mut notes)?)
            }
            None => None,
        };
        let translations = Translations::read(config, &paths, [&val, &test], &mut notes)?;
        let distractor_split = Split {
            features: pictures.distractors.as_ref().map(|g| g.features.clone()).unwrap_or_default(),
            image_ids: pictures.distractors.as_ref().map(|g| g.ids()).unwrap_or_default(),
            captions: vec![Vec::new(); config.languages.len()],
        };
        Ok(Corpus {
            languages: config.languages.clone(),
            human,
            train,
            val,
            test,
            distractors: pictures.distractors.map(|g| g.features),
            parallel,
            translations,
            translated,
            texts,
            has_ids: pictures.has_ids || shared,
            notes,
            distractor_split,
        })
    }

    /// A split by name. The distractors are a split without captions, and without rows where there are none.
    pub fn split(&self, name: SplitName) -> &Split {
        match name {
            SplitName::Train => &self.train,
            SplitName::Val => &self.val,
            SplitName::Test => &self.test,
            SplitName::Distractors => &self.distractor_split,
        }
    }

    /// The place of a language in every list of this corpus.
    pub fn language(&self, code: &str) -> Result<usize> {
        self.languages.iter().position(|l| same_code(l, code)).ok_or_else(|| {
            Error::usage(format!("there is no language `{code}`"))
                .hint(format!("the languages are `{}`", self.languages.join("`, `")))
        })
    }
}

fn check_languages(languages: &[String]) -> Result<()> {
    if languages.is_empty() {
        return Err(
            Error::config("`data.languages` is empty").hint("for example `languages = [\"en\", \"de\"]`")
        );
    }
    for (n, language) in languages.iter().enumerate() {
        if languages[..n].iter().any(|l| same_code(l, language)) {
            return Err(Error::config(format!("`data.languages` names `{language}` twice")));
        }
    }
    Ok(())
}

/// The languages of sources with `read_as`, and the place of the language that each is read as.
fn translated_languages(config: &DataConfig) -> Result<Vec<(String, usize)>> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for source in &config.captions {
        let Some(code) = &source.read_as else { continue };
        let Some(reader) = config.languages.iter().position(|l| same_code(l, code)) else {
            return Err(Error::config(format!(
                "captions are read as `{code}`, which is not in `data.languages`"
            ))
            .hint("correct `read_as`, or add the language"));
        };
        for language in &source.languages {
            match found.iter().find(|(known, _)| config.same_language(known, language)) {
                None => found.push((language.clone(), reader)),
                Some((_, other)) if *other != reader => {
                    let what =
                        format!("`{language}` is read as `{}` and as `{code}`", config.languages[*other]);
                    return Err(Error::config(what).hint("give one of them in `read_as`"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(found)
}

/// Resolves `data.text` to the files that exist.
fn texts(config: &DataConfig, paths: &Paths, notes: &mut Vec<String>) -> Result<Vec<Option<Vec<PathBuf>>>> {
    let languages = &config.languages;
    let Some(template) = &config.text else { return Ok(vec![None; languages.len()]) };
    if !paths::has_language(template) && languages.len() > 1 {
        return Err(Error::config(format!("`data.text` is `{template}`, the same file for every language"))
            .hint("put `{language}` into the path"));
    }
    let mut texts = Vec::new();
    for language in languages {
        let file = paths.resolve(template, None, Some(language))?;
        if !file.is_file() {
            notes.push(format!("`{language}` has no further text: there is no file `{}`", file.display()));
        }
        texts.push(file.is_file().then(|| vec![file]));
    }
    if texts.iter().all(Option::is_none) {
        return Err(Error::data(format!("no file of `data.text`, `{template}`, exists"))
            .hint("correct the path, which is relative to `data.root`, or leave it out"));
    }
    Ok(texts)
}

/// Captions as the sources give them: by split and language, in the order of the files.
struct Harvest<'a> {
    data: &'a DataConfig,
    languages: &'a [String],
    /// How many of them are trained; the others are translated.
    trained: usize,
    captions: [Vec<Vec<Caption>>; 3],
    /// Whether a source has the language, or may have it.
    named: Vec<bool>,
    /// Captions in languages that the configuration does not name.
    foreign: BTreeMap<String, usize>,
    /// What else was left out.
    remarks: Vec<String>,
}

impl<'a> Harvest<'a> {
    fn new(languages: &'a [String], trained: usize, data: &'a DataConfig) -> Self {
        let empty = || vec![Vec::new(); languages.len()];
        let named = languages.iter().map(|l| data.captions.iter().any(|s| data.names(s, l))).collect();
        Harvest {
            data,
            languages,
            trained,
            captions: [empty(), empty(), empty()],
            named,
            foreign: BTreeMap::new(),
            remarks: Vec::new(),
        }
    }

    fn language(&self, source: &CaptionSource, code: &str) -> Option<usize> {
        let place = self.languages.iter().position(|l| self.data.same_language(l, code))?;
        (source.read_as.is_some() == (place >= self.trained)).then_some(place)
    }

    fn add(&mut self, split: SplitName, language: usize, caption: Caption) {
        self.captions[split as usize][language].push(caption);
    }

    fn human(&self) -> Vec<bool> {
        let human = |l: usize| self.captions.iter().flat_map(|c| &c[l]).any(|c| c.source == Source::Human);
        (0..self.languages.len()).map(human).collect()
    }

    fn check_training(&self) -> Result<()> {
        // One that no source names is there because it was added to a trained run.
        let bare = |l: usize| self.captions[0][l].is_empty() && self.named[l];
        match (0..self.trained).find(|&l| bare(l)) {
            None => Ok(()),
            Some(bare) => {
                let foreign: Vec<_> = self.foreign.keys().map(|c| format!("`{c}`")).collect();
                let seen = if foreign.is_empty() {
                    String::new()
                } else {
                    format!("; the files also hold {}", foreign.join(", "))
                };
                Err(Error::data(format!("language `{}` has no training caption{seen}", self.languages[bare]))
                    .hint(match foreign.is_empty() {
                        true => "add a `[[data.captions]]` source for it, or take it out of `data.languages`",
                        false => "if one of these is it, say so in `data.codes`; else add a `[[data.captions]]` source for it",
                    }))
            }
        }
    }

    fn notes(&self) -> Vec<String> {
        let note = |(code, n): (&String, &usize)| {
            format!("{n} captions in `{code}` were left out: it is not in `data.languages`")
        };
        self.remarks.iter().cloned().chain(self.foreign.iter().map(note)).collect()
    }

    /// Sorts the captions by picture; where splits share their features, picks the rows of each.
    fn splits(self, pictures: &Pictures) -> Result<[Split; 3]> {
        let mut splits = [Split::default(), Split::default(), Split::default()];
        for ((split, name), mut captions) in splits.iter_mut().zip(SplitName::CAPTIONED).zip(self.captions) {
            let gallery = pictures.of(name);
            split.features = gallery.features.clone();
            split.image_ids = gallery.ids();
            if pictures.shared() {
                let mut rows: Vec<u32> = captions.iter().flatten().map(|c| c.image).collect();
                rows.sort_unstable();
                rows.dedup();
                if rows.is_empty() {
                    return Err(Error::data(format!("split `{name}` has no captions, so it has no pictures"))
                        .hint("without `{split}` in `data.features` the captions say which picture is in which split"));
                }
                for caption in captions.iter_mut().flatten() {
                    caption.image = rows.binary_search(&caption.image).expect("collected above") as u32;
                }
                split.features = gallery.features.select(&rows);
                split.image_ids = rows.iter().map(|&r| split.image_ids[r as usize].clone()).collect();
            }
            for language in &mut captions {
                language.sort_by_key(|c| c.image);
            }
            split.captions = captions;
        }
        Ok(splits)
    }
}

#[cfg(test)]
mod tests;
