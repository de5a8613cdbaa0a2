//! Multi30K's layout: plain text, line n is a caption of picture n.

use std::fs;
use std::path::Path;

use super::super::SplitName;
use super::trimmed;
use crate::{Error, Result};

/// Reads exactly `rows` captions, the text of each as it is but for white space around it.
pub(crate) fn read(file: &Path, split: SplitName, rows: usize) -> Result<Vec<String>> {
    let bytes = fs::read(file).map_err(|e| {
        Error::reading(file, e).hint("the path is relative to `data.root`; check `data.captions`")
    })?;
    if bytes.starts_with(b"\x1f\x8b") {
        return Err(Error::data("is compressed").at(file).hint("unpack it with `gunzip`"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut texts = Vec::with_capacity(rows);
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = if bytes.is_empty() { None } else { Some(body.split(|&b| b == b'\n')) };
    for (n, line) in lines.into_iter().flatten().enumerate() {
        if n == rows {
            let count = body.split(|&b| b == b'\n').count();
            return Err(miscount(file, split, count, rows).line(n + 1));
        }
        let text = std::str::from_utf8(line).map_err(|e| {
            Error::data(format!("is not UTF-8 (byte {})", e.valid_up_to() + 1))
                .at(file)
                .line(n + 1)
                .hint("convert it, for example with `iconv -t UTF-8`")
        })?;
        texts.push(trimmed(text).ok_or_else(|| {
            Error::data("is an empty caption")
                .at(file)
                .line(n + 1)
                .hint("every picture needs its line; where captions are missing use the format `jsonl`")
        })?);
    }
    match texts.len() == rows {
        true => Ok(texts),
        false => Err(miscount(file, split, texts.len(), rows).line(texts.len() + 1)),
    }
}

fn miscount(file: &Path, split: SplitName, lines: usize, rows: usize) -> Error {
    Error::data(format!("{lines} lines for the {rows} pictures of split `{split}`"))
        .at(file)
        .hint("line n speaks of feature row n, so the numbers must be equal")
}
