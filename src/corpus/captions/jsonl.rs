//! JSON lines: one caption a line with `image`, `language`, `text` and, where it differs, `source`.

use std::io::BufRead;

use serde::Deserialize;

use super::super::{Caption, Harvest};
use super::{CaptionFile, Missing, Name, Place, json_fault, open, trimmed};
use crate::config::Source;
use crate::corpus::pictures::Pictures;
use crate::{Error, Result};

#[derive(Deserialize)]
struct Line {
    image: Name,
    language: Option<String>,
    text: String,
    /// Absent: as the configuration says.
    source: Option<Source>,
}

/// Reads the file as a stream. Blank lines are skipped; captions in other languages are counted and left out.
pub(super) fn read(file: &CaptionFile, pictures: &Pictures, harvest: &mut Harvest) -> Result<()> {
    let mut reader = open(file.path)?;
    let mut missing = Missing::default();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(|e| Error::reading(file.path, e))? == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let fault = |what: String| Error::data(what).at(file.path).line(number);
        let line: Line = serde_json::from_slice(&bytes).map_err(|e| {
            fault(format!("is no caption: {}", json_fault(&e)))
                .hint("expected {\"image\": …, \"language\": \"…\", \"text\": \"…\"} and perhaps \"source\": \"human\" or \"machine\"")
        })?;
        let Some(language) = language(file, &line, harvest).map_err(|e| e.at(file.path).line(number))? else {
            continue;
        };
        let name = line.image.to_string();
        let text = trimmed(&line.text)
            .ok_or_else(|| fault(format!("picture `{name}` has an empty caption")).hint("remove the line"))?;
        match file.place(file.split, &name, pictures).map_err(|e| e.at(file.path).line(number))? {
            Place::Row(split, image) => {
                let source = line.source.unwrap_or(file.source.source);
                harvest.add(split, language, Caption { image, text, source });
            }
            Place::Unused => {}
            Place::Nowhere => missing.add(name, 1),
        }
    }
    missing.check(file.path)
}

/// The language of a caption: in the line, in the path, or both alike. `None` leaves it out.
fn language(file: &CaptionFile, line: &Line, harvest: &mut Harvest) -> Result<Option<usize>> {
    let wanted = &file.source.languages;
    let Some(code) = &line.language else {
        return match (file.language, wanted.as_slice()) {
            (Some(language), _) => Ok(Some(language)),
            (None, [one]) => Ok(harvest.language(file.source, one)),
            (None, _) => Err(Error::data("the caption has no `language`")
                .hint("add it, or set one language in `languages` of the source")),
        };
    };
    if let Some(language) = file.language {
        let expected = &harvest.languages[language];
        return match code == expected {
            true => Ok(Some(language)),
            false => Err(Error::data(format!("is a caption in `{code}`, but the file is for `{expected}`"))
                .hint("leave `{language}` out of the path to read mixed files")),
        };
    }
    if !wanted.is_empty() && !wanted.contains(code) {
        return Ok(None);
    }
    let known = harvest.language(file.source, code);
    if known.is_none() {
        *harvest.foreign.entry(code.clone()).or_default() += 1;
    }
    Ok(known)
}
