//! A TOML file with the line of every key: what configurations and sweeps are read from.

use std::path::{Path, PathBuf};

use toml::de::{DeArray, DeTable, DeValue};
use toml::{Spanned, Table};

use super::problem::{Origin, Origins, Problem, Problems};
use super::shape;
use crate::{Error, Result};

/// The content of a file, and where each key stands in it.
#[derive(Debug)]
pub(crate) struct Document {
    pub table: Table,
    pub(super) origins: Origins,
    file: PathBuf,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// Config: not there, not text, broken TOML with its line.
    pub fn load(file: &Path) -> Result<Document> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| Error::config("cannot be read").at(file).because(source))?;
        Self::read(&text, file)
    }

    /// Reads a text; `file` names it in errors.
    pub fn read(text: &str, file: &Path) -> Result<Document> {
        let syntax = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            Error::config(error.message().trim()).at(file).line(line)
        };
        let mut origins = Origins::default();
        record(text, "", DeTable::parse(text).map_err(syntax)?.get_ref(), &mut origins);
        let table = text.parse::<Table>().map_err(syntax)?;
        Ok(Document { table, origins, file: file.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Where `key` stands, as errors name it.
    pub fn place(&self, key: &str) -> String {
        match self.origins.find(key) {
            Some(Origin::Line(line)) => format!("`{}`:{line}", self.file.display()),
            _ => format!("`{}`", self.file.display()),
        }
    }

    /// One error for all problems, each with its place.
    pub fn error(&self, problems: Vec<Problem>) -> Error {
        Problems(problems).located(Some(&self.file), &self.origins)
    }
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|&&b| b == b'\n').count()
}

/// Notes the line of every key of a table, and of every entry of a list.
fn record(text: &str, path: &str, table: &DeTable<'_>, origins: &mut Origins) {
    for (key, value) in table {
        let path = shape::join(path, key.get_ref());
        origins.line(&path, line_of(text, key.span().start));
        record_value(text, &path, value, origins);
    }
}

fn record_value(text: &str, path: &str, value: &Spanned<DeValue<'_>>, origins: &mut Origins) {
    match value.get_ref() {
        DeValue::Table(table) => record(text, path, table, origins),
        DeValue::Array(entries) => record_entries(text, path, entries, origins),
        _ => {}
    }
}

fn record_entries(text: &str, path: &str, entries: &DeArray<'_>, origins: &mut Origins) {
    for (index, entry) in entries.iter().enumerate() {
        let path = shape::join(path, &index.to_string());
        origins.line(&path, line_of(text, entry.span().start));
        record_value(text, &path, entry, origins);
    }
}
