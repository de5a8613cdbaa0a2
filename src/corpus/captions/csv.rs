//! Tables of text with a head: values separated by commas, tabs, semicolons or `|`, as the head has them.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};
use serde_json::Value;

use super::keys::Record;
use super::records::{Spot, Take};
use crate::corpus::input;
use crate::{Error, Result};

/// Reads the rows as a stream. Values may stand in double quotes, with two for one inside (RFC 4180); an empty value is none.
/// Between tabs and `|` a quote is a quote unless such a pair is around the whole value, and a row is a line.
pub(super) fn read(file: &Path, take: Take) -> Result<()> {
    let mut text = input::open(file)?;
    let mut head = Vec::new();
    text.read_until(b'\n', &mut head).map_err(|e| Error::reading(file, e))?;
    let separator = separator(&head);
    let whole = std::io::Cursor::new(head).chain(text);
    let quoting = matches!(separator, b',' | b';');
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .quoting(quoting)
        .trim(Trim::All)
        .from_reader(whole);
    let mut columns: Option<Vec<String>> = None;
    let mut row = ByteRecord::new();
    loop {
        let more = reader.read_byte_record(&mut row).map_err(|e| fault(&e, columns.as_deref(), file))?;
        if !more {
            break;
        }
        let spot = Spot::Byte(row.position().map_or(0, |p| p.byte()));
        let Some(columns) = &columns else {
            columns = Some(names(&row).map_err(|e| spot.put(file, e))?);
            continue;
        };
        let mut record = Record::new();
        for (column, cell) in columns.iter().zip(&row) {
            let value = input::text(cell).and_then(|cell| {
                let cell = if quoting { Cow::from(cell) } else { unquoted(cell) };
                swallowed(&cell, separator, columns.len())?;
                value(&cell)
            });
            record.insert(column.clone(), value.map_err(|e| spot.put(file, e))?);
        }
        take(spot, &record)?;
    }
    Ok(())
}

/// The separator that a head has most of; a comma where it has none.
fn separator(head: &[u8]) -> u8 {
    let count = |separator: &u8| head.iter().filter(|b| *b == separator).count();
    *b",;|\t".iter().rev().max_by_key(|separator| count(separator)).expect("four")
}

fn names(row: &ByteRecord) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for cell in row {
        let name = unquoted(input::text(cell)?).into_owned();
        if names.contains(&name) {
            return Err(Error::data(format!("has two columns `{name}`"))
                .hint("the first line names the columns, each once"));
        }
        names.push(name);
    }
    Ok(names)
}

fn fault(error: &csv::Error, columns: Option<&[String]>, file: &Path) -> Error {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, len, .. } => {
            let head = columns.unwrap_or_default();
            let what =
                format!("has {len} values, but the head names {}: `{}`", head.len(), head.join("`, `"));
            let error = Error::data(what)
                .hint("put a value that holds the separator into double quotes; correct the line by hand");
            Spot::Byte(pos.as_ref().map_or(0, |p| p.byte())).put(file, error)
        }
        _ => Error::data("is no table").at(file).because(error.to_string()),
    }
}

/// What is between quotes, where a pair of them is around the whole value and those inside are doubled; else the value.
fn unquoted(cell: &str) -> Cow<'_, str> {
    let inner = cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner.filter(|inner| !inner.replace("\"\"", "").contains('"')) {
        Some(inner) => inner.replace("\"\"", "\"").into(),
        None => cell.into(),
    }
}

/// Refuses a value that runs on over rows, because the quote that it begins with is not closed.
fn swallowed(cell: &str, separator: u8, columns: usize) -> Result<()> {
    let separators = |line: &str| line.bytes().filter(|&b| b == separator).count();
    match cell.lines().skip(1).any(|line| separators(line) + 1 >= columns.max(2)) {
        false => Ok(()),
        true => Err(Error::data("a double quote opens a value that runs on over further rows")
            .hint("write a quote inside a value twice, and put the value into quotes")),
    }
}

/// A value: a text, a list of texts written as JSON, or nothing.
fn value(cell: &str) -> Result<Value> {
    if cell.is_empty() {
        return Ok(Value::Null);
    }
    if cell.starts_with("[\"") || cell.starts_with("['") {
        return serde_json::from_str::<Vec<String>>(cell).map(Value::from).map_err(|e| {
            Error::data(format!("holds a list that is not JSON: {}", super::json_fault(&e)))
                .hint("write lists as JSON: [\"one\", \"two\"]")
        });
    }
    Ok(Value::String(cell.to_string()))
}
