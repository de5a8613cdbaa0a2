//! Rows of CSV, TSV and JSON lines: of each the columns that are asked for, by any of their names.

use std::io::{BufRead, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value};

use crate::corpus::input::{each_line, open, text};
use crate::{Error, Result};

/// A row: the line on which it begins, and a value for each column that was asked for; empty where it has none.
pub(super) struct Row {
    pub line: usize,
    pub values: Vec<String>,
}

/// A column: what it holds, and the names that it may have.
pub(super) type Column = (&'static str, &'static [&'static str]);

/// The rows of a file. JSON lines are told by their first character; of a table the head tells what separates values. A table without any of the
/// names in its first line has no head, and `places` gives the columns (negative: from the end), or none and it is refused. The last columns,
/// from number `optional` on, may be absent.
///
/// # Errors
/// Data, with file and line: a file that cannot be read, has no row, lacks a column, or a row that has another number of values than the first.
pub(super) fn rows(
    file: &Path,
    columns: &[Column],
    optional: usize,
    places: Option<&[i64]>,
) -> Result<Vec<Row>> {
    let missing =
        |e: Error| if e.is_missing_file() { e.hint("the path is as the command line has it") } else { e };
    let mut reader = open(file).map_err(missing)?;
    let first = reader.fill_buf().map_err(|e| Error::reading(file, e))?;
    let json = first.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let rows = match json {
        true => objects(file, columns, optional)?,
        false => table(file, reader, columns, optional, places)?,
    };
    match rows.is_empty() {
        true => Err(Error::data("holds no row").at(file)),
        false => Ok(rows),
    }
}

fn objects(file: &Path, columns: &[Column], optional: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    each_line(file, |line, text| {
        if text.trim().is_empty() {
            return Ok(());
        }
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|e| Error::data(format!("is no JSON object: {e}")).at(file).line(line))?;
        let mut values = Vec::new();
        for (n, (what, names)) in columns.iter().enumerate() {
            let value = names.iter().find_map(|name| object.get(*name));
            values.push(match value {
                Some(Value::String(text)) => text.trim().to_string(),
                Some(Value::Null) | None if n >= optional => String::new(),
                Some(Value::Null) | None => return Err(lacks(what, names).at(file).line(line)),
                Some(other) => other.to_string(),
            });
        }
        rows.push(Row { line, values });
        Ok(())
    })?;
    Ok(rows)
}

fn lacks(what: &str, names: &[&str]) -> Error {
    Error::data(format!("has no {what}")).hint(format!("it is looked for as `{}`", names.join("`, `")))
}

fn table(
    file: &Path,
    mut reader: Box<dyn BufRead>,
    columns: &[Column],
    optional: usize,
    places: Option<&[i64]>,
) -> Result<Vec<Row>> {
    let mut head = Vec::new();
    reader.read_until(b'\n', &mut head).map_err(|e| Error::reading(file, e))?;
    let separator = if head.contains(&b'\t') { b'\t' } else { b',' };
    // Between tabs a quote is a quote.
    let quoting = separator == b',';
    let whole = std::io::Cursor::new(head).chain(reader);
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .quoting(quoting)
        .from_reader(whole);
    let (mut rows, mut found, mut width) = (Vec::new(), None, 0);
    let mut record = ByteRecord::new();
    loop {
        let more = reader.read_byte_record(&mut record);
        if !more.map_err(|e| Error::data("is no table").at(file).because(e.to_string()))? {
            return Ok(rows);
        }
        let line = record.position().map_or(0, |p| p.line() as usize);
        let cells: Vec<&str> = record
            .iter()
            .map(|cell| text(cell).map(str::trim))
            .collect::<Result<_>>()
            .map_err(|e| e.at(file).line(line))?;
        let Some(at) = &found else {
            let named = named(&cells, columns, optional).map_err(|e| e.at(file).line(line))?;
            width = cells.len();
            if let Some(named) = named {
                found = Some(named);
                continue;
            }
            let Some(places) = places.filter(|places| cells.len() >= places.len()) else {
                let names: Vec<_> = columns.iter().map(|(_, names)| names[0]).collect();
                return Err(Error::data(format!("its first line names no column: `{}`", cells.join("`, `")))
                    .at(file)
                    .line(line)
                    .hint(format!("columns are looked for by names such as `{}`", names.join("`, `"))));
            };
            let place =
                |place: &i64| usize::try_from(*place).unwrap_or(width - place.unsigned_abs() as usize);
            let at: Vec<Option<usize>> = places.iter().map(|p| Some(place(p))).collect();
            rows.push(row(&cells, &at, line));
            found = Some(at);
            continue;
        };
        if cells.len() != width {
            let hint = match quoting {
                true => {
                    "put a value that holds a comma or a quote into double quotes, and write a quote inside twice"
                }
                false => "every row has as many tabs as the first",
            };
            let what = format!("has {} values, and the first row has {width}", cells.len());
            return Err(Error::data(what).at(file).line(line).hint(hint));
        }
        if quoting && cells.iter().any(|cell| cell.contains('\n')) {
            return Err(Error::data("a double quote opens a value that runs on over further lines")
                .at(file)
                .line(line)
                .hint("write a quote inside a value twice, and put the value into quotes"));
        }
        rows.push(row(&cells, at, line));
    }
}

fn row(cells: &[&str], at: &[Option<usize>], line: usize) -> Row {
    let value = |place: &Option<usize>| place.and_then(|place| cells.get(place)).copied().unwrap_or_default();
    Row { line, values: at.iter().map(|place| value(place).to_string()).collect() }
}

/// Where a head has the columns; nothing where it names none of them.
fn named(head: &[&str], columns: &[Column], optional: usize) -> Result<Option<Vec<Option<usize>>>> {
    let of = |(_, names): &Column| {
        names.iter().find_map(|name| head.iter().position(|cell| cell.eq_ignore_ascii_case(name)))
    };
    let at: Vec<Option<usize>> = columns.iter().map(of).collect();
    if at.iter().all(Option::is_none) {
        return Ok(None);
    }
    match at.iter().zip(columns).take(optional).find(|(place, _)| place.is_none()) {
        Some((_, (what, names))) => Err(lacks(what, names)),
        None => Ok(Some(at)),
    }
}
