//! Files that a pattern names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result, names};

/// What stands in the places of a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bound {
    pub language: Option<String>,
    pub pair: Option<String>,
}

/// What a pattern is made of.
const PLACES: [&str; 2] = ["{language}", "{pair}"];

/// Whether a text is meant as a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains('{')
}

/// The files that a pattern names, sorted by their paths, and what stands in its places.
///
/// # Errors
/// Usage, for a pattern with other placeholders; data, where a folder cannot be read, or no file is there.
pub(super) fn found(pattern: &str) -> Result<Vec<(Bound, PathBuf)>> {
    let plain = PLACES.iter().fold(pattern.to_string(), |text, place| text.replace(place, ""));
    if plain.contains(['{', '}']) {
        return Err(Error::usage(format!("`{pattern}`: patterns know `{{language}}` and `{{pair}}`")));
    }
    let mut some = vec![(Bound::default(), PathBuf::new())];
    for part in Path::new(pattern) {
        let part = part.to_str().expect("of a text");
        let mut next = Vec::new();
        for (bound, folder) in some {
            if !is_pattern(part) {
                next.push((bound, folder.join(part)));
                continue;
            }
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            for name in names_in(here)? {
                next.extend(bind(part, &name, &bound).map(|bound| (bound, folder.join(&name))));
            }
        }
        some = next;
    }
    some.retain(|(_, path)| path.is_file());
    some.sort_by(|a, b| a.1.cmp(&b.1));
    match some.is_empty() {
        true => Err(Error::data(format!("`{pattern}` names no file")).hint(
            "`{language}` stands for a code such as `de` or `deu_Latn`, `{pair}` for two such as `deu-eng`",
        )),
        false => Ok(some),
    }
}

/// The names in a folder that are text.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>> {
    let read = |e| Error::reading(folder, e);
    let entries = fs::read_dir(folder).map_err(read)?;
    let names = entries.map(|entry| Ok(entry.map_err(read)?.file_name().into_string().ok()));
    let mut names: Vec<String> = names.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// What stands in the places of `pattern`, where `name` is as it says.
pub(super) fn bind(pattern: &str, name: &str, bound: &Bound) -> Option<Bound> {
    let first = PLACES.iter().filter_map(|place| Some((pattern.find(place)?, *place))).min();
    let Some((at, place)) = first else { return (pattern == name).then(|| bound.clone()) };
    let (name, rest) = (name.strip_prefix(&pattern[..at])?, &pattern[at + place.len()..]);
    let before = if place == PLACES[0] { &bound.language } else { &bound.pair };
    if let Some(before) = before {
        return bind(rest, name.strip_prefix(before.as_str())?, bound);
    }
    let ends = name.char_indices().map(|(end, c)| end + c.len_utf8());
    ends.rev().filter(|&end| names::is_code(&name[..end])).find_map(|end| {
        let (code, mut bound) = (Some(name[..end].to_string()), bound.clone());
        match place == PLACES[0] {
            true => bound.language = code,
            false => bound.pair = code,
        }
        bind(rest, &name[end..], &bound)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bound_as_the_pattern_says() {
        let bound = |pattern: &str, name: &str| {
            bind(pattern, name, &Bound::default())
                .map(|b| (b.language.unwrap_or_default(), b.pair.unwrap_or_default()))
        };
        let some = |language: &str, pair: &str| Some((language.to_string(), pair.to_string()));
        assert_eq!(bound("tatoeba.{pair}.{language}", "tatoeba.deu-eng.deu"), some("deu", "deu-eng"));
        assert_eq!(bound("stsb-{language}-test.csv", "stsb-en-test.csv"), some("en", ""));
        assert_eq!(bound("{language}.devtest", "eng_Latn.devtest"), some("eng_Latn", ""));
        assert_eq!(bound("{language}/{language}.txt", "a/b.txt"), None);
        assert_eq!(bound("{language}-{language}", "de-de"), some("de", ""));
        for name in ["x.devtest.gz", ".devtest", "a b.devtest", "devtest"] {
            assert_eq!(bound("{language}.devtest", name), None, "{name}");
        }
    }
}
