//! Sentence pairs without pictures: texts of which a line says the same in several languages.
//!
//! They may be larger than memory: plain files are mapped, and a line is looked up when it is drawn (`sampler::pairs`). Every line is read
//! once when the corpus is, so that a broken one is told with its file and line before anything is trained.

mod lines;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::captions::{json_fault, trimmed};
use super::paths::Paths;
use crate::config::{DataConfig, PairFormat, PairSource};
use crate::{Error, Result};

use lines::Lines;

/// All sentence pairs of a configuration.
#[derive(Debug, Default)]
pub struct SentencePairs {
    /// In the order of the configuration: one a file, or for `lines` one a template of files.
    pub texts: Vec<Bitext>,
}

/// A text in several languages, line by line.
#[derive(Debug)]
pub struct Bitext {
    /// The places of its languages, rising.
    languages: Vec<usize>,
    /// One a language, or one with all of them.
    files: Vec<Lines>,
    layout: Layout,
    /// Lines without a sentence, by language, rising.
    missing: Vec<Vec<u64>>,
    /// The longest sentence of each language, in characters, and its line.
    longest: Vec<(usize, u64)>,
    lines: u64,
}

/// Where in a line the sentence of each language is.
#[derive(Debug)]
enum Layout {
    /// It is the line.
    Files,
    /// A column, and whether the first line names them.
    Columns(Vec<usize>, bool),
    /// A key, or the keys that lead to it.
    Keys(Vec<Vec<String>>),
}

impl SentencePairs {
    /// Reads every line once. Notes tell what is left out.
    pub(super) fn read(config: &DataConfig, paths: &Paths, notes: &mut Vec<String>) -> Result<SentencePairs> {
        let mut texts = Vec::new();
        for (n, source) in config.pairs.iter().enumerate() {
            let place = |code: &String| config.languages.iter().position(|l| config.same_language(l, code));
            let mut languages: Vec<(usize, &String)> = Vec::new();
            for code in &source.languages {
                match place(code) {
                    Some(place) => languages.push((place, code)),
                    None => notes.push(format!(
                        "the sentence pairs in `{code}` of `data.pairs[{n}]` were left out: it is not in `data.languages`"
                    )),
                }
            }
            languages.sort_unstable();
            // One that names a single language is for a teacher.
            if languages.len() < source.languages.len().clamp(1, 2) {
                notes.push(format!(
                    "`data.pairs[{n}]` was left out: it has no two languages of `data.languages`"
                ));
                continue;
            }
            let templates = if source.has_a_file_each() { &source.files[..1] } else { &source.files };
            for template in templates {
                texts.push(Bitext::read(source, template, &languages, paths)?);
            }
        }
        if texts.is_empty() && !config.pairs.is_empty() {
            return Err(Error::data("`data.pairs` have no two languages of `data.languages`")
                .hint("name languages that the model has, or leave `data.pairs` out"));
        }
        notes.extend(texts.iter().filter_map(Bitext::note));
        Ok(SentencePairs { texts })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// A sentence, without the white space around it; none, where the line has none in the language.
    pub fn sentence(&self, text: usize, line: u64, language: usize) -> Option<Cow<'_, str>> {
        self.texts[text].sentence(line, language)
    }

    /// How many lines each two languages share, by their places, the lower one first.
    pub fn counts(&self) -> BTreeMap<[usize; 2], u64> {
        let mut counts = BTreeMap::new();
        for text in &self.texts {
            for (n, &one) in text.languages.iter().enumerate() {
                for &other in &text.languages[n + 1..] {
                    *counts.entry([one, other]).or_default() += text.count(&[one, other]);
                }
            }
        }
        counts
    }

    /// Bytes that they take in memory, mapped files left out.
    pub fn held(&self) -> u64 {
        let missing = |text: &Bitext| 8 * text.missing.iter().map(|m| m.len() as u64).sum::<u64>();
        let files = |text: &Bitext| text.files.iter().map(Lines::held).sum::<u64>();
        self.texts.iter().map(|text| missing(text) + files(text)).sum()
    }

    /// Adds languages and the whole content of every file, unpacked.
    pub(super) fn hash_content(&self, languages: &[String], hash: &mut Sha256) {
        for text in &self.texts {
            let hashes: Vec<_> =
                text.files.par_iter().map(|file| Sha256::digest(file.content()).to_vec()).collect();
            for (place, language) in text.languages.iter().enumerate() {
                hash.update(&languages[*language]);
                match &text.layout {
                    Layout::Files => {}
                    Layout::Columns(columns, _) => hash.update((columns[place] as u64).to_le_bytes()),
                    Layout::Keys(keys) => hash.update(keys[place].join(".")),
                }
            }
            hashes.iter().for_each(|file| hash.update(file));
        }
    }
}

impl Bitext {
    fn read(
        source: &PairSource,
        template: &str,
        languages: &[(usize, &String)],
        paths: &Paths,
    ) -> Result<Bitext> {
        let text = match source.format {
            PairFormat::Lines => {
                let each = source.has_a_file_each();
                let file = |code: &String| match source.languages.iter().position(|l| each && l == code) {
                    Some(place) => paths.resolve(&source.files[place], None, None),
                    None => paths.resolve(template, None, Some(code)),
                };
                let files = languages.iter().map(|(_, code)| file(code)).collect::<Result<Vec<PathBuf>>>()?;
                Self::of_files(&files)?
            }
            PairFormat::Tsv => Self::of_columns(source, &paths.resolve(template, None, None)?, languages)?,
            PairFormat::Jsonl => Self::of_records(source, &paths.resolve(template, None, None)?, languages)?,
        };
        let text = Bitext { languages: languages.iter().map(|(place, _)| *place).collect(), ..text };
        match text.count(&text.languages) {
            0 => Err(Error::data("has no line with a sentence in two languages")
                .at(&text.files[0].path)
                .hint("it is named in `data.pairs`; correct its `languages`, or leave it out")),
            _ => Ok(text),
        }
    }

    fn of_files(paths: &[PathBuf]) -> Result<Bitext> {
        let read = |path: &PathBuf| {
            let (mut missing, mut longest) = (Vec::new(), (0, 0));
            let file = Lines::open(path, |n, line| {
                let line = line.trim();
                if line.is_empty() {
                    missing.push(n);
                }
                note_longest(&mut longest, line, n);
                Ok(())
            })?;
            Ok((file, missing, longest))
        };
        let read: Vec<(Lines, Vec<u64>, (usize, u64))> = paths.par_iter().map(read).collect::<Result<_>>()?;
        let shortest = read.iter().map(|r| &r.0).min_by_key(|file| file.count).expect("two files");
        if let Some((longer, ..)) = read.iter().find(|r| r.0.count > shortest.count) {
            let (name, count) = (shortest.path.display(), shortest.count);
            let what = format!(
                "has {} lines, but `{name}` {count}: line {} has no counterpart",
                longer.count,
                count + 1
            );
            return Err(Error::data(what)
                .at(&longer.path)
                .line(count as usize + 1)
                .hint("line n of one file is a translation of line n of the other"));
        }
        let lines = shortest.count;
        let (mut files, mut missing, mut longest) = (Vec::new(), Vec::new(), Vec::new());
        for (file, without, long) in read {
            files.push(file);
            missing.push(without);
            longest.push(long);
        }
        Ok(Bitext { languages: Vec::new(), files, layout: Layout::Files, missing, longest, lines })
    }

    fn of_columns(source: &PairSource, path: &Path, languages: &[(usize, &String)]) -> Result<Bitext> {
        let named: Vec<String> =
            source.languages.iter().map(|code| source.key.replace("{language}", code)).collect();
        let wanted = |code: &&String| source.languages.iter().position(|l| l == *code).expect("one of them");
        let places: Vec<usize> = languages.iter().map(|(_, code)| wanted(code)).collect();
        // Without a head.
        let (mut columns, mut head) = (places.clone(), false);
        let mut tally = Tally::new(languages.len());
        let file = Lines::open(path, |n, line| {
            let cells: Vec<&str> = line.trim_end_matches('\r').split('\t').collect();
            if n == 0 {
                let column = |place: &usize| cells.iter().position(|cell| cell.trim() == named[*place]);
                let found: Vec<Option<usize>> = places.iter().map(column).collect();
                if found.iter().any(Option::is_some) || source.key != PairSource::default().key {
                    head = true;
                    columns = found
                        .iter()
                        .zip(&places)
                        .map(|(found, place)| {
                            found.ok_or_else(|| {
                                Error::data(format!("names no column `{}`", named[*place])).hint(format!(
                                    "the first line names `{}`; correct `key` or `languages`",
                                    cells.join("`, `")
                                ))
                            })
                        })
                        .collect::<Result<_>>()?;
                    return Ok(());
                }
            }
            let most = columns.iter().max().expect("two columns") + 1;
            if cells.len() < most {
                let what = format!("has {} columns, and {most} are read", cells.len());
                return Err(Error::data(what).hint("tabs are between the columns of a `tsv` file"));
            }
            let n = n - u64::from(head);
            columns.iter().enumerate().for_each(|(l, &column)| tally.add(l, n, cells[column].trim()));
            Ok(())
        })?;
        let lines = file.count - u64::from(head);
        Ok(tally.text(vec![file], Layout::Columns(columns, head), lines))
    }

    fn of_records(source: &PairSource, path: &Path, languages: &[(usize, &String)]) -> Result<Bitext> {
        let steps = |(_, code): &(usize, &String)| {
            source.key.split('.').map(|step| step.replace("{language}", code)).collect()
        };
        let keys: Vec<Vec<String>> = languages.iter().map(steps).collect();
        let mut tally = Tally::new(languages.len());
        let file = Lines::open(path, |n, line| {
            let record: Value = match line.trim().is_empty() {
                true => Value::Null,
                false => serde_json::from_str(line).map_err(|e| {
                    Error::data(format!("is no object of translations: {}", json_fault(&e)))
                        .hint("expected {\"LANGUAGE\": \"…\", \"LANGUAGE\": \"…\"}, or set `key`")
                })?,
            };
            for (l, keys) in keys.iter().enumerate() {
                match at(&record, keys) {
                    None | Some(Value::Null) => tally.add(l, n, ""),
                    Some(Value::String(sentence)) => tally.add(l, n, sentence.trim()),
                    Some(other) => {
                        let what = format!("`{}` is {other}", keys.join("."));
                        return Err(Error::data(what).hint("expected a sentence, as a string"));
                    }
                }
            }
            Ok(())
        })?;
        let lines = file.count;
        Ok(tally.text(vec![file], Layout::Keys(keys), lines))
    }

    /// The places of its languages, rising.
    pub fn languages(&self) -> &[usize] {
        &self.languages
    }

    /// Its lines, those without a pair included.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether a line has a sentence in one of the text's languages.
    pub fn has(&self, line: u64, language: usize) -> bool {
        let place = self.languages.iter().position(|&l| l == language);
        place.is_some_and(|place| self.missing[place].binary_search(&line).is_err())
    }

    /// The lines without a sentence in two of some languages, rising.
    pub fn holes(&self, languages: &[usize]) -> Vec<u64> {
        let places = self.languages.iter().enumerate().filter(|(_, l)| languages.contains(l));
        let mut lines: Vec<u64> = places.flat_map(|(place, _)| self.missing[place].iter().copied()).collect();
        lines.sort_unstable();
        let short = |line: &[u64]| line.len() + 1 >= languages.len();
        lines.chunk_by(|a, b| a == b).filter(|line| short(line)).map(|line| line[0]).collect()
    }

    /// How many lines have a sentence in two of some languages.
    fn count(&self, languages: &[usize]) -> u64 {
        self.lines - self.holes(languages).len() as u64
    }

    /// The file and the line of it, from 1, that a line's sentence stands in.
    pub fn place(&self, line: u64, language: usize) -> (&Path, usize) {
        let place = self.languages.iter().position(|&l| l == language).unwrap_or(0);
        match &self.layout {
            Layout::Files => (&self.files[place].path, line as usize + 1),
            Layout::Columns(_, head) => (&self.files[0].path, line as usize + 1 + usize::from(*head)),
            Layout::Keys(_) => (&self.files[0].path, line as usize + 1),
        }
    }

    /// The longest sentence of a language: its characters, and its line.
    pub(super) fn longest(&self, language: usize) -> Option<(usize, u64)> {
        self.languages.iter().position(|&l| l == language).map(|place| self.longest[place])
    }

    /// How many lines have a sentence in a language.
    pub(super) fn sentences(&self, language: usize) -> u64 {
        let place = self.languages.iter().position(|&l| l == language);
        place.map_or(0, |place| self.lines - self.missing[place].len() as u64)
    }

    /// A line's sentence in a language, without the white space around it, if it has one.
    pub fn sentence(&self, line: u64, language: usize) -> Option<Cow<'_, str>> {
        let place = self.languages.iter().position(|&l| l == language)?;
        match &self.layout {
            Layout::Files => {
                Some(self.files[place].get(line).trim()).filter(|s| !s.is_empty()).map(Cow::from)
            }
            Layout::Columns(columns, head) => {
                let line = self.files[0].get(line + u64::from(*head));
                line.split('\t').nth(columns[place]).map(str::trim).filter(|s| !s.is_empty()).map(Cow::from)
            }
            Layout::Keys(keys) => {
                let record: Value = serde_json::from_str(self.files[0].get(line)).ok()?;
                at(&record, &keys[place])?.as_str().and_then(trimmed).map(Cow::from)
            }
        }
    }

    fn note(&self) -> Option<String> {
        let (without, file) = (self.lines - self.count(&self.languages), self.files[0].path.display());
        (without > 0).then(|| {
            format!(
                "{without} of {} lines of `{file}` have no sentence in two languages, and are left out",
                self.lines
            )
        })
    }
}

/// The value that keys lead to.
fn at<'v>(record: &'v Value, keys: &[String]) -> Option<&'v Value> {
    keys.iter().try_fold(record, |value, key| value.get(key))
}

fn note_longest(longest: &mut (usize, u64), sentence: &str, line: u64) {
    // Only what may be longer is counted.
    if sentence.len() > longest.0 {
        let count = sentence.chars().count();
        if count > longest.0 {
            *longest = (count, line);
        }
    }
}

/// What is noted of a file with all languages while it is read.
struct Tally {
    missing: Vec<Vec<u64>>,
    longest: Vec<(usize, u64)>,
}

impl Tally {
    fn new(languages: usize) -> Self {
        Tally { missing: vec![Vec::new(); languages], longest: vec![(0, 0); languages] }
    }

    fn add(&mut self, language: usize, line: u64, sentence: &str) {
        if sentence.is_empty() {
            self.missing[language].push(line);
        }
        note_longest(&mut self.longest[language], sentence, line);
    }

    fn text(self, files: Vec<Lines>, layout: Layout, lines: u64) -> Bitext {
        let Tally { missing, longest } = self;
        Bitext { languages: Vec::new(), files, layout, missing, longest, lines }
    }
}
