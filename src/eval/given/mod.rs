//! Data sets of others that tasks are run on: which files are meant, of which languages of the model, and what stands in them.
//!
//! A set is named by a pattern with `{language}` or `{pair}`, by `CODE=FILE`, or, where a task knows layouts, by its folder. Codes are those of
//! the data; [`DataConfig::meant`](crate::config::DataConfig::meant) tells the language.

mod bitext;
mod cxc;
mod galleries;
mod groups;
mod labelled;
mod nli;
mod pattern;
mod sts;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::{DataConfig, Fit};
use crate::corpus::input::each_line;
use crate::{Error, Result, names};

pub use bitext::{Bitext, Side};
pub use cxc::{Cxc, KINDS, Rated, Sources};
pub use galleries::{Galleries, Protocol};
pub use groups::{Groups, mean};
pub use labelled::{Classes, Labelled, Learnt, read_labels};
pub use nli::{CLASSES, Inferences, Nli};
pub use sts::{Scored, Sts};

use pattern::{Bound, found, is_pattern};

/// What is given to tasks that do not read a corpus.
#[derive(Default)]
pub struct Given {
    /// Pictures with classes.
    pub labelled: Option<Labelled>,
    /// Sentences with their translations.
    pub bitext: Option<Bitext>,
    /// Pairs of sentences with scores.
    pub sts: Option<Sts>,
    /// Premises and hypotheses.
    pub nli: Option<Nli>,
    /// Pictures and captions of which each language has its own.
    pub galleries: Option<Galleries>,
    /// Crisscrossed Captions.
    pub cxc: Option<Cxc>,
    /// Galleries that such pictures are cut into; 0 and 1 are one.
    pub folds: usize,
    /// Groups of languages that means are taken over.
    pub groups: Groups,
}

/// The languages that a model knows, and what their codes are called elsewhere.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// By their places.
    pub languages: &'a [String],
    /// `data.codes` of the run.
    pub data: &'a DataConfig,
}

impl Known<'_> {
    /// The two languages of a pair such as `deu-eng` or `pt-BR-en`.
    fn pair(&self, written: &str) -> Option<([usize; 2], Fit)> {
        let cuts = written.char_indices().filter(|(_, c)| matches!(c, '-' | '_'));
        let both = |(at, _): (usize, char)| {
            let (a, fit) = self.data.meant(self.languages, &written[..at])?;
            let (b, other) = self.data.meant(self.languages, &written[at + 1..])?;
            Some(([a, b], fit.max(other)))
        };
        cuts.filter_map(both).min_by_key(|found| found.1)
    }

    fn hint(&self) -> String {
        format!(
            "the run knows `{}`; `--set 'data.codes.CODE=[\"THEIRS\"]'` says what the data call a language",
            self.languages.join("`, `")
        )
    }
}

/// Files by what the pattern that names them has in place of `{language}` or `{pair}`, and those passed over.
struct Files<K> {
    files: BTreeMap<K, PathBuf>,
    passed_over: Vec<String>,
}

/// Of files by code those whose languages are known, each by the code that fits best. `K`: what a code means.
fn best<K: Ord + Copy>(
    found: Vec<(String, PathBuf)>,
    meant: impl Fn(&str) -> Option<(K, Fit)>,
) -> Result<Files<K>> {
    let mut all: BTreeMap<K, (Fit, String, PathBuf)> = BTreeMap::new();
    let mut passed_over = Vec::new();
    for (code, path) in found {
        let Some((key, fit)) = meant(&code) else {
            passed_over.push(code);
            continue;
        };
        match all.get(&key) {
            Some((other, before, file)) if *other == fit => {
                let what = format!("`{code}` and `{before}` are one language here (`{}`)", file.display());
                return Err(Error::data(what).at(&path).hint(
                    "`--set 'data.codes.CODE=[\"THEIRS\"]'` says which of them is meant, or name one of the files alone",
                ));
            }
            Some((other, ..)) if *other < fit => passed_over.push(code),
            _ => passed_over.extend(all.insert(key, (fit, code, path)).map(|before| before.1)),
        }
    }
    Ok(Files { files: all.into_iter().map(|(key, (_, _, path))| (key, path)).collect(), passed_over })
}

/// `CODE=FILE` in its parts.
fn named(spec: &str) -> Option<(&str, &Path)> {
    let (code, file) = spec.split_once('=')?;
    names::is_code(code).then(|| (code, Path::new(file)))
}

/// The files that `CODE=FILE` or a pattern with `{language}` names, by the places of their languages; nothing for a plain file. What the run does not know
/// is passed over, and noted.
fn coded(spec: &str, known: Known, notes: &mut Vec<String>) -> Result<Option<Vec<(usize, PathBuf)>>> {
    if let Some((code, file)) = named(spec) {
        let meant = known.data.meant(known.languages, code);
        let (language, _) = meant.ok_or_else(|| {
            Error::usage(format!("`{spec}`: `{code}` is no language of the run")).hint(known.hint())
        })?;
        return Ok(Some(vec![(language, file.to_path_buf())]));
    }
    if !is_pattern(spec) {
        return Ok(None);
    }
    let there = found(spec)?.into_iter().filter_map(|(bound, path)| Some((bound.language?, path))).collect();
    let there = best(there, |code| known.data.meant(known.languages, code))?;
    if !there.passed_over.is_empty() {
        notes.push(format!("`{}` is passed over: the run does not know it", there.passed_over.join("`, `")));
    }
    Ok(Some(there.files.into_iter().collect()))
}

/// What a set is kept by: the words of its file's name that no placeholder stands for.
pub fn name_of(spec: &str) -> String {
    let path = named(spec).map_or(spec, |(_, file)| file.to_str().unwrap_or(spec));
    let endings = ["csv", "tsv", "txt", "json", "jsonl", "gz", "zst"];
    let words = |part: &str| {
        let mut plain = String::new();
        let mut rest = part;
        while let Some((before, after)) = rest.split_once('{') {
            plain += before;
            plain.push(' ');
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        plain += rest;
        let words =
            plain.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && !endings.contains(w));
        words.collect::<Vec<_>>().join("-")
    };
    let parts = path.split('/').rev().map(words);
    parts.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "set".into())
}

/// The lines of a file without white space around them, none of them empty.
fn lines(file: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let read = each_line(file, |number, line| match line.trim() {
        "" => Err(Error::data("is an empty line").at(file).line(number).hint("every sentence has its line")),
        text => {
            lines.push(text.to_string());
            Ok(())
        }
    });
    read.map_err(|e| if e.is_missing_file() { e.hint("the path is as the command line has it") } else { e })?;
    match lines.is_empty() {
        true => Err(Error::data("holds no line").at(file)),
        false => Ok(lines),
    }
}

/// Adds a text to a hash, with its end.
fn add(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_name_of_its_files() {
        for (spec, name) in [
            ("/data/tatoeba", "tatoeba"),
            ("/data/tatoeba/", "tatoeba"),
            ("a/tatoeba.{pair}.{language}", "tatoeba"),
            ("sts/stsb-{language}-test.csv", "stsb-test"),
            ("flores200/{language}.{language}", "flores200"),
            ("de=plain/test.1.de.txt", "test-1-de"),
            ("{language}.txt", "set"),
        ] {
            assert_eq!(name_of(spec), name, "{spec}");
        }
    }

    #[test]
    fn pairs_are_cut_where_both_are_known() {
        let (languages, data) = (["en", "de", "pt-BR"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        for (written, pair) in [
            ("deu-eng", Some([1, 0])),
            ("en_de", Some([0, 1])),
            ("pt-BR-en", Some([2, 0])),
            ("eng_Latn-por_Latn", Some([0, 2])),
            ("fra-eng", None),
            ("de", None),
        ] {
            assert_eq!(known.pair(written).map(|p| p.0), pair, "{written}");
        }
    }
}
