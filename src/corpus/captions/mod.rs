//! Caption files, one file here per format.

mod coco;
mod csv;
mod json;
mod karpathy;
pub(crate) mod keys;
pub(super) mod lines;
mod named;
#[cfg(feature = "parquet")]
mod parquet;
mod records;
mod sniff;
mod table;

pub(crate) use records::split_named;
pub use table::{Row, Table};

use crate::corpus::input;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::Path;

use records::{Choose, Take};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ids;
use super::paths::{self, Paths};
use super::pictures::Pictures;
use super::{Caption, Harvest, SplitName};
use crate::config::{CaptionFormat, CaptionSource};
use crate::{Error, Result};

/// Reads all files of source number `n` of the configuration.
pub(super) fn read(
    n: usize,
    source: &CaptionSource,
    paths: &Paths,
    pictures: &Pictures,
    harvest: &mut Harvest,
) -> Result<()> {
    if source.files.is_empty() {
        return Err(Error::config(format!("`data.captions[{n}].files` is empty")));
    }
    // Translations only ask: there need be none of training captions.
    let asks = |split: &SplitName| source.read_as.is_none() || *split != SplitName::Train;
    let used: Vec<SplitName> = source.splits.iter().map(|&s| s.into()).filter(asks).collect();
    let used: Vec<SplitName> = used.into_iter().filter(|&split| harvest.wanted.has(split)).collect();
    for template in &source.files {
        check_template(n, source, template, pictures)?;
        let splits: Vec<Option<SplitName>> = match (paths::has_split(template), &source.splits[..]) {
            (true, _) => used.iter().copied().map(Some).collect(),
            (false, &[only]) if by_order(source, pictures) => vec![Some(only.into())],
            (false, _) => vec![None],
        };
        let wanted = |split: &Option<SplitName>| split.is_none_or(|split| harvest.wanted.has(split));
        let splits: Vec<_> = splits.into_iter().filter(wanted).collect();
        // A file without `{language}` is read once: its language is the only one of the source, or inside.
        let inside = source.format.has_keys() && !paths::has_language(template);
        let languages: Vec<Option<&String>> = match inside {
            true => vec![None],
            false => source.languages.iter().map(Some).collect(),
        };
        for &split in &splits {
            for &language in &languages {
                let path = paths.resolve(template, split, language.map(String::as_str))?;
                let mut file = CaptionFile { path: &path, split, used: &used, source, language: None };
                if let Some(code) = language {
                    // A source may name more languages than are trained on.
                    let Some(language) = harvest.language(source, code) else { continue };
                    file.language = Some(language);
                }
                file.read(pictures, harvest)?;
            }
        }
    }
    Ok(())
}

/// Reads the records of a file in a format that has keys, one by one.
fn each_record(file: &Path, format: CaptionFormat, choose: Choose, take: Take) -> Result<()> {
    #[cfg(not(feature = "parquet"))]
    let _ = choose;
    match format {
        CaptionFormat::Csv => csv::read(file, take),
        CaptionFormat::Json => json::read_list(file, take),
        CaptionFormat::Jsonl => json::read_lines(file, take),
        #[cfg(feature = "parquet")]
        CaptionFormat::Parquet => parquet::read(file, choose, take),
        #[cfg(not(feature = "parquet"))]
        CaptionFormat::Parquet => {
            Err(Error::config("this tinyglot was built without Parquet").at(file).hint(
                "build it with `cargo build --release --features parquet`, or write the captions as JSON lines",
            ))
        }
        CaptionFormat::Lines | CaptionFormat::Named | CaptionFormat::Coco | CaptionFormat::Karpathy => {
            unreachable!("a format without keys")
        }
    }
}

/// Whether nothing in the file, nor the ids of pictures, tells the split of a caption.
fn by_order(source: &CaptionSource, pictures: &Pictures) -> bool {
    match source.format {
        CaptionFormat::Lines => true,
        CaptionFormat::Karpathy => false,
        _ => (!pictures.has_ids || pictures.shared()) && source.keys.split.is_none(),
    }
}

/// Whether the placeholders of a path and the rest of the source fit each other.
fn check_template(n: usize, source: &CaptionSource, template: &str, pictures: &Pictures) -> Result<()> {
    let fault = |what: &str, hint: &str| {
        Err(Error::config(format!("`data.captions[{n}]`, `{template}`: {what}")).hint(hint))
    };
    let in_path = paths::has_split(template);
    let by_split = in_path || source.splits.len() == 1 || source.keys.split.is_some();
    match source.format {
        CaptionFormat::Lines if !by_split => {
            return fault(
                "a file of lines does not say of which split it is",
                "put `{split}` into the path, or name its one split in `splits`",
            );
        }
        CaptionFormat::Lines if pictures.shared() => {
            return fault("line n is picture n of its split", "put `{split}` into `data.features`");
        }
        CaptionFormat::Karpathy if in_path => {
            return fault("a Karpathy file holds all splits", "leave `{split}` out");
        }
        CaptionFormat::Karpathy => {}
        CaptionFormat::Named if !pictures.has_ids => {
            return fault("its lines name their pictures, and these have no ids", "set `data.image_ids`");
        }
        _ if !by_split && pictures.shared() => {
            return fault(
                "neither captions nor features say what is in which split",
                "put `{split}` into a path, or name the one split of the file in `splits`",
            );
        }
        _ if !by_split && !pictures.has_ids => {
            return fault("its pictures have no ids to tell the split by", "set `data.image_ids`");
        }
        CaptionFormat::Coco if pictures.shared() && !pictures.has_ids => {
            return fault("its pictures cannot be told without ids", "set `data.image_ids`");
        }
        _ => {}
    }
    let languages = source.languages.len();
    if paths::has_language(template) {
        if languages == 0 {
            return fault("no language to put into the path", "set `languages` of this source");
        }
    } else if !source.format.has_keys() && languages != 1 {
        return fault(
            &format!("one file, but {languages} languages"),
            "name the one language of the file, or put `{language}` into the path",
        );
    }
    Ok(())
}

/// One file of captions and what its path says of it.
struct CaptionFile<'a> {
    path: &'a Path,
    split: Option<SplitName>,
    /// The splits that the source is used in.
    used: &'a [SplitName],
    language: Option<usize>,
    source: &'a CaptionSource,
}

impl CaptionFile<'_> {
    fn read(&self, pictures: &Pictures, harvest: &mut Harvest) -> Result<()> {
        match self.source.format {
            CaptionFormat::Lines => self.read_lines(pictures, harvest),
            CaptionFormat::Karpathy => {
                self.attach(karpathy::read(self.path, pictures.shared())?, pictures, harvest)
            }
            CaptionFormat::Coco => self.attach(coco::read(self.path, self.split)?, pictures, harvest),
            CaptionFormat::Named => named::read(self, pictures, harvest),
            CaptionFormat::Csv | CaptionFormat::Json | CaptionFormat::Jsonl | CaptionFormat::Parquet => {
                records::read(self, pictures, harvest)
            }
        }
    }

    fn language(&self) -> usize {
        self.language.expect("only records are without a language, see `check_template`")
    }

    /// Where a picture is by its name; with no split given, those of the source are searched.
    fn place(&self, split: Option<SplitName>, name: &str, pictures: &Pictures) -> Result<Place> {
        let found = match split {
            Some(split) => pictures.find(&[split], name)?,
            None => pictures.find(self.used, name)?,
        };
        let others = || -> Result<bool> {
            SplitName::CAPTIONED
                .iter()
                .try_fold(false, |any, &s| Ok(any || pictures.of(s).find(name)?.is_some()))
        };
        Ok(match found {
            Some((split, row)) if self.used.contains(&split) => Place::Row(split, row),
            Some(_) => Place::Unused,
            None if split.is_none() && (others()? || pictures.leaves_out(name)?) => Place::Unused,
            None => Place::Nowhere,
        })
    }

    fn read_lines(&self, pictures: &Pictures, harvest: &mut Harvest) -> Result<()> {
        let split = self.split.expect("see `check_template`");
        let each = self.source.per_picture;
        let texts = lines::read(self.path, split, pictures.of(split).features.rows(), each)?;
        for (n, text) in texts.into_iter().enumerate() {
            let caption = Caption { image: (n / each) as u32, text, source: self.source.source };
            harvest.add(split, self.language(), caption);
        }
        Ok(())
    }

    /// Gives described pictures their rows: by the first kind of name that the ids know, else by order.
    fn attach(&self, described: Vec<Described>, pictures: &Pictures, harvest: &mut Harvest) -> Result<()> {
        if !pictures.has_ids {
            self.check_order(&described, pictures)?;
        }
        let kind = match pictures.has_ids {
            true => self.kind_of_name(&described, pictures)?,
            false => None,
        };
        let mut tally = Tally::default();
        for picture in described {
            if picture.split.is_some_and(|split| !self.used.contains(&split)) {
                continue;
            }
            let name = kind.and_then(|k| picture.names[k].as_deref());
            let place = match (name, picture.split) {
                (Some(name), split) => self.place(split, name, pictures).map_err(|e| e.at(self.path))?,
                (None, Some(split)) if !pictures.has_ids => Place::Row(split, picture.order),
                _ => Place::Nowhere,
            };
            let (split, row) = match place {
                Place::Row(split, row) => (split, row),
                Place::Unused => continue,
                Place::Nowhere => {
                    tally.missing(&picture.label(), picture.texts.len());
                    continue;
                }
            };
            tally.place(split, row, &picture.label()).map_err(|e| e.at(self.path))?;
            for text in &picture.texts {
                let text = trimmed(text).ok_or_else(|| {
                    Error::data(format!("picture `{}` has an empty caption", picture.label()))
                        .at(self.path)
                        .hint("remove the caption")
                })?;
                let caption = Caption { image: row, text, source: self.source.source };
                harvest.add(split, self.language(), caption);
            }
        }
        tally.finish(self, harvest)
    }

    /// Numbers from one count may be numbers of another, so one kind of name serves a whole file.
    fn kind_of_name(&self, described: &[Described], pictures: &Pictures) -> Result<Option<usize>> {
        for kind in 0..NAMES {
            for picture in described {
                if let Some(name) = &picture.names[kind] {
                    let place = self.place(picture.split, name, pictures).map_err(|e| e.at(self.path))?;
                    if !matches!(place, Place::Nowhere) {
                        return Ok(Some(kind));
                    }
                }
            }
        }
        Ok(None)
    }

    fn check_order(&self, described: &[Described], pictures: &Pictures) -> Result<()> {
        for &split in self.used {
            let rows = pictures.of(split).features.rows();
            let mut own = described.iter().filter(|d| d.split == Some(split));
            if let Some(beyond) = own.clone().find(|d| d.order as usize >= rows) {
                return Err(Error::data(format!(
                    "picture `{}` of split `{split}` is number {} (from 0), but there are {rows} rows of features",
                    beyond.label(),
                    beyond.order
                ))
                .at(self.path)
                .hint("set `data.image_ids` to match rows by id"));
            }
            let here = own.by_ref().count();
            if !pictures.shared() && self.split.is_none_or(|s| s == split) && here != rows {
                return Err(Error::data(format!(
                    "holds {here} pictures of split `{split}`, but there are {rows} rows of features"
                ))
                .at(self.path)
                .hint("set `data.image_ids` to match rows by id"));
            }
        }
        Ok(())
    }
}

/// Where the picture of a caption is.
enum Place {
    Row(SplitName, u32),
    /// In a split that the source is not used in.
    Unused,
    Nowhere,
}

/// Kinds of names a picture may have in a file.
const NAMES: usize = 3;

/// A picture as a JSON file describes it, with its captions.
struct Described {
    /// `None` where neither the file nor its path says.
    split: Option<SplitName>,
    /// Names it may go by, the surest first.
    names: [Option<String>; NAMES],
    /// Its row where rows match by order.
    order: u32,
    texts: Vec<String>,
}

impl Described {
    fn label(&self) -> String {
        self.names.iter().flatten().next().cloned().unwrap_or_else(|| self.order.to_string())
    }
}

/// What became of the captions of a file.
#[derive(Default)]
struct Tally {
    /// The name that a picture went by first.
    names: HashMap<(SplitName, u32), String>,
    /// Captions whose picture is not among the features, and the first such pictures.
    missing: usize,
    pictures: Vec<String>,
    /// Records that hold no caption.
    without: usize,
}

impl Tally {
    /// A picture has its row. Another name for one that has, which may be that of another picture, is refused.
    fn place(&mut self, split: SplitName, row: u32, name: &str) -> Result<()> {
        match self.names.entry((split, row)) {
            Entry::Vacant(free) => {
                free.insert(name.to_string());
                Ok(())
            }
            Entry::Occupied(first) if ids::same(first.get(), name) => Ok(()),
            Entry::Occupied(first) => {
                let what = format!("`{}` and `{name}` both fit one id of the features", first.get());
                Err(Error::data(what).hint(
                    "give `data.image_ids` the folders and endings too, so that pictures can be told apart",
                ))
            }
        }
    }

    fn missing(&mut self, picture: &str, captions: usize) {
        self.missing += captions;
        if captions > 0 && self.pictures.len() < 5 && !self.pictures.iter().any(|p| p == picture) {
            self.pictures.push(picture.to_string());
        }
    }

    fn finish(self, file: &CaptionFile, harvest: &mut Harvest) -> Result<()> {
        let path = file.path.display();
        if self.without > 0 {
            harvest.remarks.push(format!("`{path}`: {} records hold no caption", self.without));
        }
        // A picture that is not found may be in a split that is not read.
        if self.missing == 0 || (file.split.is_none() && harvest.wanted.is_part()) {
            return Ok(());
        }
        let what = format!(
            "{} captions speak of pictures that have no features: first `{}`",
            self.missing,
            self.pictures.join("`, `")
        );
        if file.source.skip_unknown && !self.names.is_empty() {
            harvest.remarks.push(format!("`{path}`: {what}; they were left out"));
            return Ok(());
        }
        let hint = match self.names.is_empty() {
            true => {
                "check that `data.image_ids` holds the same ids or file names; without it pictures go by row numbers from 0"
            }
            false => {
                "check that `data.image_ids` holds the same ids or file names; where the file has more pictures than the features, set \
                 `skip_unknown = true` in its entry of `data.captions`"
            }
        };
        Err(Error::data(what).at(file.path).hint(hint))
    }
}

/// A caption without the white space around it, `None` where nothing is left.
pub(super) fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_string())
}

/// An id that a file writes as a number or as a string.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected an id: a whole number or a string")]
enum Name {
    Number(u64),
    Text(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(n) => n.fmt(f),
            Name::Text(text) => f.write_str(text),
        }
    }
}

fn read_json<T: DeserializeOwned>(file: &Path, kind: &str) -> Result<T> {
    serde_json::from_reader(input::open(file)?).map_err(|e| {
        let what = format!("is no {kind} file: {}", json_fault(&e));
        let error = Error::data(what).at(file).hint(
            "for one list of captions set `format = \"json\"`, for one object a line `jsonl`; COCO's files are `coco`, Karpathy's `karpathy`",
        );
        if e.line() > 0 { error.line(e.line()) } else { error }
    })
}

/// What is wrong and in which column; the line is told apart.
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} in column {}", error.column()),
        None => text,
    }
}
