//! A file of captions with keys, looked at before a configuration says what they mean.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::{Keys, Record, listed};
use super::records::{self, Reads, Spot, Wish};
use super::{each_record, sniff, trimmed};
use crate::config::{CaptionFormat, CaptionKeys};
use crate::corpus::{SplitName, input};
use crate::{Error, Result};

/// Records that are looked at to tell what their keys mean.
const SAMPLE: usize = 1000;
/// Bytes that the format is told by.
const BEGINNING: u64 = 1 << 16;

/// A table or a list of records, each with the names of pictures and with captions.
#[derive(Debug)]
pub struct Table {
    /// The file.
    pub file: PathBuf,
    /// How it holds captions: one of the formats with keys.
    pub format: CaptionFormat,
    /// The first records.
    pub sample: Vec<Record>,
}

/// What a record says by some keys.
#[derive(Debug)]
pub struct Row<'r> {
    file: &'r Path,
    spot: Spot,
    /// The names of its pictures.
    pub pictures: Vec<String>,
    /// What it says of its language.
    pub language: Option<&'r str>,
    /// The split that it says it is in, where the keys name one.
    pub split: Option<SplitName>,
    /// Its captions without the white space around them, with the code of the language where the key has it; nothing, where a value is none.
    pub texts: Vec<(Option<&'r str>, Option<String>)>,
}

impl Row<'_> {
    /// Says in an error where the record is.
    pub fn put(&self, error: Error) -> Error {
        self.spot.put(self.file, error)
    }

    /// Where the record is, for people: its line, or its entry.
    pub fn place(&self) -> String {
        self.spot.told(self.file)
    }
}

impl Table {
    /// Opens a file of CSV, TSV, JSON lines, a JSON list or Parquet, told by what is in it, and reads its first records.
    ///
    /// # Errors
    /// Data: a file that is not read, holds something else, or no record.
    pub fn open(file: &Path) -> Result<Table> {
        std::fs::metadata(file).map_err(|e| Error::reading(file, e))?;
        let format = format(file)?;
        let (mut sample, mut enough) = (Vec::new(), false);
        let read = each_record(file, format, &mut |_| Ok(Box::new(|_| Wish::Welcome)), &mut |_, record| {
            sample.push(record.clone());
            enough = sample.len() == SAMPLE;
            // Only an error ends the reading.
            if enough { Err(Error::data("that is enough")) } else { Ok(()) }
        });
        if !enough {
            read?;
        }
        if sample.is_empty() {
            return Err(Error::data("holds no caption").at(file));
        }
        Ok(Table { file: file.to_path_buf(), format, sample })
    }

    /// The names of all keys at the top of the first records, in their order.
    pub fn columns(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for key in self.sample.iter().flat_map(Record::keys) {
            if !all.contains(&key.as_str()) {
                all.push(key);
            }
        }
        all
    }

    /// Reads all records by some keys, which must be given.
    ///
    /// # Errors
    /// Data, with its place: a record that cannot be read, or names no picture; a caption that is empty, or no text. As `take` says.
    pub fn each(&self, keys: &CaptionKeys, take: &mut dyn FnMut(&Row) -> Result<()>) -> Result<()> {
        let keys = Keys::of(keys, &self.sample[0]).map_err(|e| e.at(&self.file))?;
        let reads = keys.clone();
        let mut choose = move |_: &Record| -> Result<Reads> {
            let reads = reads.clone();
            Ok(Box::new(move |top| if reads.reads(top) { Wish::Needed } else { Wish::Unread }))
        };
        each_record(&self.file, self.format, &mut choose, &mut |spot, record| {
            let row = self.row(&keys, spot, record).map_err(|e| spot.put(&self.file, e))?;
            take(&row)
        })
    }

    fn row<'r>(&'r self, keys: &'r Keys, spot: Spot, record: &'r Record) -> Result<Row<'r>> {
        let pictures = records::names(keys, record)?;
        let language = match keys.language(record) {
            Some((key, value)) => records::text_of(Some(value), key)?,
            None => None,
        };
        let split = match &keys.split {
            Some(key) => Some(records::split(records::text_of(record.get(key), key)?, key)?),
            None => None,
        };
        let values = keys.texts(record);
        if values.is_empty() && !keys.by_language() {
            return Err(Error::data(format!("is no caption: it has no `{}`", keys.text))
                .hint(format!("its keys are {}", listed(record))));
        }
        let text =
            |(code, value): (Option<&'r str>, &Value)| match value {
                Value::Null => Ok((code, None)),
                Value::String(text) => match trimmed(text) {
                    Some(text) => Ok((code, Some(text))),
                    None => Err(Error::data(format!("picture `{}` has an empty caption", pictures[0]))
                        .hint("remove it")),
                },
                other => Err(Error::data(format!("`{}` is {other}", keys.text))
                    .hint("expected a text, or a list of texts")),
            };
        let texts = values.into_iter().map(text).collect::<Result<_>>()?;
        Ok(Row { file: &self.file, spot, pictures, language, split, texts })
    }
}

/// The format of a file, by how it begins.
fn format(file: &Path) -> Result<CaptionFormat> {
    let other = |what: String, format: &str| {
        let hint = format!(
            "a table is read whose first line names its columns, or records of JSON; a configuration reads this file by `format = \"{format}\"`"
        );
        Err(Error::data(what).at(file).hint(hint))
    };
    let mut magic = [0; 4];
    let opened = std::fs::File::open(file).map_err(|e| Error::reading(file, e))?;
    let _ = opened.take(4).read(&mut magic);
    if &magic == b"PAR1" {
        return Ok(CaptionFormat::Parquet);
    }
    let mut bytes = Vec::new();
    input::open(file)?.take(BEGINNING).read_to_end(&mut bytes).map_err(|e| Error::reading(file, e))?;
    // What is no text is told by its line when it is read.
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(String::from).collect();
    match (text.trim_start().chars().next(), sniff::of_lines(&lines)) {
        (None, _) => Err(Error::data("is empty").at(file)),
        (Some('['), _) => Ok(CaptionFormat::Json),
        (Some('{'), Some(found)) if found.format == "jsonl" => Ok(CaptionFormat::Jsonl),
        (Some('{'), Some(found)) => other(found.what, found.format),
        // A line that is not whole, or no JSON: the reader says what is wrong with it.
        (Some('{'), None) => Ok(CaptionFormat::Jsonl),
        (_, Some(found)) if found.what.starts_with("begins with") => other(found.what, found.format),
        _ => Ok(CaptionFormat::Csv),
    }
}
