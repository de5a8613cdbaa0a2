//! Captions as records: objects of JSON, rows of a table. Which of their keys say what, and what becomes of a record.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use super::super::{Caption, Harvest, SplitName};
use super::keys::{Keys, Record, listed};
use super::{CaptionFile, Place, Tally, each_record, trimmed};
use crate::config::Source;
use crate::corpus::input;
use crate::corpus::pictures::Pictures;
use crate::{Error, Result};

/// Where in its file a record is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spot {
    /// From 1.
    Line(usize),
    /// Of the unpacked file, from 0; blank lines may come before the record.
    Byte(u64),
    /// From 0, in a list.
    Entry(usize),
}

impl Spot {
    /// Says where the error is.
    pub(super) fn put(self, file: &Path, error: Error) -> Error {
        match self {
            Spot::Line(line) => error.at(file).line(line),
            Spot::Byte(byte) => match input::line_of(file, byte) {
                Ok(line) => error.at(file).line(line),
                Err(_) => error.at(file),
            },
            Spot::Entry(entry) => error.within(format!("entry {entry} (from 0)")).at(file),
        }
    }

    /// Where it is, for people.
    pub(super) fn told(self, file: &Path) -> String {
        match self {
            Spot::Line(line) => format!("line {line}"),
            Spot::Byte(byte) => match input::line_of(file, byte) {
                Ok(line) => format!("line {line}"),
                Err(_) => format!("byte {byte}"),
            },
            Spot::Entry(entry) => format!("entry {entry} (from 0)"),
        }
    }
}

/// Takes a record and where it is.
pub(super) type Take<'a> = &'a mut dyn FnMut(Spot, &Record) -> Result<()>;

/// Whether a column of a format that can leave others unread is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
pub(super) enum Wish {
    /// It is read; one that cannot be is an error.
    Needed,
    /// It is read where it can be.
    Welcome,
    /// It is not.
    Unread,
}

/// Says whether a column is read.
pub(super) type Reads = Box<dyn Fn(&str) -> Wish>;

/// Given a record with the names of all columns, says which are read.
pub(super) type Choose<'a> = &'a mut dyn FnMut(&Record) -> Result<Reads>;

/// Reads a file of a source, whose format has keys.
pub(super) fn read(file: &CaptionFile, pictures: &Pictures, harvest: &mut Harvest) -> Result<()> {
    let records = RefCell::new(Records::new(file, pictures, harvest));
    let mut choose = |sample: &Record| -> Result<Reads> {
        let keys = records.borrow_mut().keys(sample)?;
        Ok(Box::new(move |top| if keys.reads(top) { Wish::Needed } else { Wish::Unread }))
    };
    let mut take = |spot, record: &Record| records.borrow_mut().add(spot, record);
    each_record(file.path, file.source.format, &mut choose, &mut take)?;
    records.into_inner().finish()
}

/// Takes the records of one file.
struct Records<'a, 'h> {
    file: &'a CaptionFile<'a>,
    pictures: &'a Pictures,
    harvest: &'a mut Harvest<'h>,
    keys: Option<Rc<Keys>>,
    tally: Tally,
    /// Languages, by their place, of which a caption was found.
    found: Vec<usize>,
}

impl<'a, 'h> Records<'a, 'h> {
    fn new(file: &'a CaptionFile<'a>, pictures: &'a Pictures, harvest: &'a mut Harvest<'h>) -> Self {
        Records { file, pictures, harvest, keys: None, tally: Tally::default(), found: Vec::new() }
    }

    /// Which keys are read, by the names in `sample`; the first call decides.
    fn keys(&mut self, sample: &Record) -> Result<Rc<Keys>> {
        if let Some(keys) = &self.keys {
            return Ok(keys.clone());
        }
        let keys = Keys::of(&self.file.source.keys, sample)?;
        let rows = self.file.source.keys.image.is_some() || keys.image == "image";
        if !rows && !self.pictures.has_ids {
            let what = format!("its pictures are named by `{}`, but the features have no ids", keys.image);
            return Err(Error::data(what).hint(format!(
                "set `data.image_ids`, or `keys = {{ image = \"{}\" }}` if these are the numbers of the rows, from 0",
                keys.image
            )));
        }
        Ok(self.keys.insert(Rc::new(keys)).clone())
    }

    /// Takes the captions of a record.
    fn add(&mut self, spot: Spot, record: &Record) -> Result<()> {
        self.take(record).map_err(|e| spot.put(self.file.path, e))
    }

    fn take(&mut self, record: &Record) -> Result<()> {
        let keys = self.keys(record)?;
        let said = match keys.language(record) {
            Some((key, value)) => text_of(Some(value), key)?,
            None => None,
        };
        // Captions in languages that are not used need not be right.
        let language = match keys.by_language() {
            true => None,
            false => match self.language(said)? {
                Some(language) => Some(language),
                None => return Ok(()),
            },
        };
        let names = names(&keys, record)?;
        let source = keys.source(record).map_or(Ok(self.file.source.source), source)?;
        let split = match &keys.split {
            Some(key) => Some(split(text_of(record.get(key), key)?, key)?),
            None => self.file.split,
        };
        let values = keys.texts(record);
        if values.is_empty() && !keys.by_language() {
            return Err(Error::data(format!("is no caption: it has no `{}`", keys.text))
                .hint(format!("its keys are {}", listed(record))));
        }
        let mut texts = Vec::new();
        for (code, value) in values {
            let Some(language) = language.or_else(|| self.named(code)) else { continue };
            if value.is_null() {
                self.tally.without += 1;
                continue;
            }
            let Value::String(text) = value else {
                return Err(Error::data(format!("`{}` is {value}", keys.text))
                    .hint("expected a text, or a list of texts"));
            };
            let text = trimmed(text).ok_or_else(|| {
                Error::data(format!("picture `{}` has an empty caption", names[0])).hint("remove it")
            })?;
            texts.push((language, text));
        }
        self.found.extend(texts.iter().map(|(language, _)| language));
        self.found.sort_unstable();
        self.found.dedup();
        for name in &names {
            self.attach(name, names.len(), split, source, &texts)?;
        }
        Ok(())
    }

    fn attach(
        &mut self,
        name: &str,
        of: usize,
        split: Option<SplitName>,
        source: Source,
        texts: &[(usize, String)],
    ) -> Result<()> {
        match self.file.place(split, name, self.pictures)? {
            Place::Row(split, _) if of > 1 && split != SplitName::Train => Err(Error::data(format!(
                "a caption of split `{split}` speaks of {of} pictures"
            ))
            .hint("recall counts one right picture a caption; name one, or use the file for training alone")),
            Place::Row(split, image) => {
                self.tally.place(split, image, name)?;
                for (language, text) in texts {
                    self.harvest.add(split, *language, Caption { image, text: text.clone(), source });
                }
                Ok(())
            }
            Place::Unused => Ok(()),
            Place::Nowhere => {
                self.tally.missing(name, texts.len());
                Ok(())
            }
        }
    }

    /// The language of a record: in it, in the path, or both alike. `None` leaves it out.
    fn language(&mut self, said: Option<&str>) -> Result<Option<usize>> {
        let (source, data) = (self.file.source, self.harvest.data);
        let Some(code) = said else {
            return match (self.file.language, source.languages.as_slice()) {
                (Some(language), _) => Ok(Some(language)),
                (None, [one]) => Ok(self.harvest.language(source, one)),
                (None, _) => Err(Error::data("the caption has no `language`")
                    .hint("add it, or set one language in `languages` of the source")),
            };
        };
        let known = self.harvest.language(source, code);
        if let Some(language) = self.file.language {
            let expected = &self.harvest.languages[language];
            return match known == Some(language) {
                true => Ok(known),
                false => Err(Error::data(format!("is a caption in `{code}`, but the file is for `{expected}`"))
                    .hint("leave `{language}` out of the path to read mixed files, or say in `data.codes` that the two are one")),
            };
        }
        if !source.languages.is_empty() && !source.languages.iter().any(|l| data.same_language(l, code)) {
            return Ok(None);
        }
        if known.is_none() {
            *self.harvest.foreign.entry(code.to_string()).or_default() += 1;
        }
        Ok(known)
    }

    /// The language of a key that holds its code, where it is wanted.
    fn named(&self, code: Option<&str>) -> Option<usize> {
        let language = self.harvest.language(self.file.source, code?)?;
        let source = self.file.source;
        let wanted = match self.file.language {
            Some(only) => language == only,
            None => {
                let same = |l: &String| self.harvest.data.same_language(l, code.unwrap_or_default());
                source.languages.is_empty() || source.languages.iter().any(same)
            }
        };
        wanted.then_some(language)
    }

    fn finish(self) -> Result<()> {
        if let Some(keys) = self.keys.as_ref().filter(|keys| keys.by_language()) {
            let wanted = self.file.source.languages.iter().filter_map(|code| {
                let language = self.harvest.language(self.file.source, code)?;
                (self.file.language.is_none_or(|only| only == language)).then_some((code, language))
            });
            for (code, language) in wanted {
                if !self.found.contains(&language) {
                    let what = format!("holds no caption in `{code}` under `{}`", keys.text);
                    return Err(Error::data(what).at(self.file.path).hint(
                        "correct `languages` of the source, or say in `data.codes` what the file calls the language",
                    ));
                }
            }
        }
        self.tally.finish(self.file, self.harvest)
    }
}

/// The pictures of a record: one, or a list.
pub(super) fn names(keys: &Keys, record: &Record) -> Result<Vec<String>> {
    let value = keys.image(record).unwrap_or(&Value::Null);
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let name = |value: &Value| match value {
        Value::String(name) if !name.trim().is_empty() => Ok(name.trim().to_string()),
        Value::Number(n) if n.is_u64() => Ok(n.to_string()),
        Value::Null => Err(Error::data(format!("is no caption: it names no picture in `{}`", keys.image))
            .hint(format!("its keys are {}", listed(record)))),
        other => Err(Error::data(format!("`{}` is {other}", keys.image))
            .hint("expected an id: a whole number or a string, or a list of such")),
    };
    match all {
        [] => Err(Error::data(format!("`{}` is an empty list", keys.image)).hint("remove the record")),
        all => all.iter().map(name).collect(),
    }
}

pub(super) fn text_of<'v>(value: Option<&'v Value>, key: &str) -> Result<Option<&'v str>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::data(format!("`{key}` is {other}")).hint("expected a text")),
    }
}

fn source(value: &Value) -> Result<Source> {
    match value.as_str() {
        Some("human") => Ok(Source::Human),
        Some("machine") => Ok(Source::Machine),
        _ => Err(Error::data(format!("`source` is {value}; expected \"human\" or \"machine\""))
            .hint("where it means something else, set `keys = { source = \"\" }` to leave it unread")),
    }
}

/// The split that a record names under `key`.
pub(super) fn split(name: Option<&str>, key: &str) -> Result<SplitName> {
    let Some(name) = name else {
        return Err(Error::data(format!("has no `{key}` to tell its split by")).hint("correct `keys.split`"));
    };
    split_named(name).ok_or_else(|| {
        Error::data(format!("is in split `{name}`"))
            .hint("known are `train`, `restval`, `val`, `validation`, `dev` and `test`")
    })
}

/// The split of a name, as those who publish data call them.
pub(crate) fn split_named(name: &str) -> Option<SplitName> {
    match name {
        "train" | "restval" => Some(SplitName::Train),
        "val" | "validation" | "dev" => Some(SplitName::Val),
        "test" => Some(SplitName::Test),
        _ => None,
    }
}
