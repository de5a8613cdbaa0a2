//! Sentences with their translations, line by line, of the layouts that test sets have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::pattern::{bind, is_pattern, names_in};
use super::{Bound, Known, add, best, found, lines, name_of, named};
use crate::checksum::sha256;
use crate::{Error, Result};

/// Sentences of a language, one a line.
#[derive(Debug)]
pub struct Side {
    /// The place of the language among those of the model.
    pub language: usize,
    /// Where they were read.
    pub file: PathBuf,
    /// Without white space around them, none empty.
    pub sentences: Vec<String>,
}

/// Sides of which some are translations of one another.
#[derive(Debug)]
pub struct Bitext {
    /// What the result is kept by.
    pub name: String,
    /// SHA-256 of languages and sentences.
    pub data: String,
    /// In the order of files.
    pub sides: Vec<Side>,
    /// Places of two sides of which line n is a translation of line n.
    pub pairs: Vec<[usize; 2]>,
    /// What was passed over, for people.
    pub notes: Vec<String>,
}

impl Bitext {
    /// Reads the sets that `specs` name. A folder is in Tatoeba's layout (`tatoeba.deu-eng.deu` beside `tatoeba.deu-eng.eng`), or has one file a
    /// language, all of them parallel (`eng_Latn.devtest` as Flores, or `test.en`); a pattern has `{language}`, and where files belong together by
    /// twos `{pair}`; files that are named `CODE=FILE` are parallel.
    ///
    /// # Errors
    /// Usage, for a pattern that cannot be used or a code that is not known; data, with file and line: files that are not equally long, hold no
    /// or an empty line, or of which no two are of languages that the model knows.
    pub fn read(specs: &[String], name: Option<&str>, known: Known) -> Result<Bitext> {
        let mut all = Bitext {
            name: name
                .map_or_else(|| specs.first().map_or_else(String::new, |spec| name_of(spec)), String::from),
            data: String::new(),
            sides: Vec::new(),
            pairs: Vec::new(),
            notes: Vec::new(),
        };
        let mut singly = Vec::new();
        for spec in specs {
            if let Some((code, file)) = named(spec) {
                let Some((language, _)) = known.data.meant(known.languages, code) else {
                    return Err(Error::usage(format!("`{spec}`: `{code}` is no language of the run"))
                        .hint(known.hint()));
                };
                singly.push((language, file.to_path_buf()));
            } else {
                all.add_pattern(spec, known)?;
            }
        }
        if !singly.is_empty() {
            all.add_parallel(singly)?;
        }
        all.pairs.sort_by_key(|[a, b]| [all.sides[*a].language, all.sides[*b].language]);
        let languages = |[a, b]: &[usize; 2]| {
            let mut both = [all.sides[*a].language, all.sides[*b].language];
            both.sort_unstable();
            both
        };
        for (n, pair) in all.pairs.iter().enumerate() {
            if all.pairs[..n].iter().any(|other| languages(other) == languages(pair)) {
                let [a, b] = languages(pair).map(|l| known.languages[l].as_str());
                return Err(Error::data(format!("is a second file of `{a}` and `{b}`"))
                    .at(&all.sides[pair[0]].file)
                    .hint("evaluate one set at a time, each by its `--name`"));
            }
        }
        let mut hash = Sha256::new();
        for side in &all.sides {
            add(&mut hash, &known.languages[side.language]);
            side.sentences.iter().for_each(|sentence| add(&mut hash, sentence));
        }
        all.pairs.iter().flatten().for_each(|side| hash.update((*side as u64).to_le_bytes()));
        all.data = sha256(hash);
        Ok(all)
    }

    fn add_pattern(&mut self, spec: &str, known: Known) -> Result<()> {
        let pattern = match is_pattern(spec) {
            true => spec.to_string(),
            false => layout(Path::new(spec))?,
        };
        let found = found(&pattern)?;
        let before = self.pairs.len();
        let mut passed_over = Vec::new();
        if pattern.contains("{pair}") {
            let mut by_pair: BTreeMap<String, Vec<(String, PathBuf)>> = BTreeMap::new();
            for (Bound { language, pair }, path) in found {
                let (Some(language), Some(pair)) = (language, pair) else {
                    return Err(Error::usage(format!(
                        "`{spec}`: with {{pair}} there is a file for each {{language}}"
                    )));
                };
                by_pair.entry(pair).or_default().push((language, path));
            }
            for (pair, files) in by_pair {
                let Some((languages, _)) = known.pair(&pair) else {
                    passed_over.push(pair);
                    continue;
                };
                let files = best(files, |code| {
                    known.data.meant(known.languages, code).filter(|(l, _)| languages.contains(l))
                })?;
                let files: Vec<(usize, PathBuf)> = files.files.into_iter().collect();
                let [(_, file)] = &files[..] else {
                    self.add_parallel(files)?;
                    continue;
                };
                return Err(
                    Error::data(format!("there is no file of the other language of `{pair}`")).at(file)
                );
            }
        } else {
            let files = found.into_iter().filter_map(|(bound, path)| Some((bound.language?, path))).collect();
            let files = best(files, |code| known.data.meant(known.languages, code))?;
            passed_over = files.passed_over;
            if files.files.len() > 1 {
                self.add_parallel(files.files.into_iter().collect())?;
            }
        }
        if self.pairs.len() == before {
            let what = format!("`{spec}` has no two parallel files in languages that the run knows");
            let codes = match passed_over.is_empty() {
                true => String::new(),
                false => format!(" (there are `{}`)", passed_over.join("`, `")),
            };
            return Err(Error::data(what + &codes).hint(known.hint()));
        }
        if !passed_over.is_empty() {
            self.notes
                .push(format!("`{}` is passed over: the run does not know it", passed_over.join("`, `")));
        }
        Ok(())
    }

    /// Adds files that are all parallel, and all pairs of them.
    fn add_parallel(&mut self, files: Vec<(usize, PathBuf)>) -> Result<()> {
        let first = self.sides.len();
        for (language, file) in files {
            let sentences = lines(&file)?;
            if let Some(other) = self.sides.get(first)
                && other.sentences.len() != sentences.len()
            {
                let (count, others) = (sentences.len(), other.sentences.len());
                let what = format!("has {count} lines, and `{}` has {others}", other.file.display());
                return Err(Error::data(what)
                    .at(&file)
                    .line(count.min(others) + 1)
                    .hint("line n of one file is the translation of line n of the other"));
            }
            self.sides.push(Side { language, file, sentences });
        }
        let last = self.sides.len();
        if last - first == 1 {
            let side = &self.sides[first];
            return Err(Error::usage("has no translation")
                .at(&side.file)
                .hint("name a file of another language, too"));
        }
        for a in first..last {
            self.pairs.extend((a + 1..last).map(|b| [a, b]));
        }
        Ok(())
    }
}

/// Whether a pair of codes begins or ends with one.
fn ends(pair: &str, code: &str) -> bool {
    let cut = ['-', '_'];
    pair.strip_prefix(code).is_some_and(|rest| rest.starts_with(cut))
        || pair.strip_suffix(code).is_some_and(|rest| rest.ends_with(cut))
}

/// The pattern of the files in a folder.
fn layout(folder: &Path) -> Result<String> {
    if !folder.is_dir() {
        let what = "is no folder of parallel files";
        return Err(Error::data(what).at(folder).hint(
            "name a folder, a pattern with `{language}` (and `{pair}`), or each file as CODE=FILE, e.g. `de=test.de`",
        ));
    }
    let names = names_in(folder)?;
    let whole = |name: String| folder.join(name).to_string_lossy().into_owned();
    let mut patterns: Vec<String> = Vec::new();
    for name in &names {
        let parts: Vec<&str> = name.split('.').collect();
        let pattern = match parts[..] {
            // A pair is of two codes, one of which is the file's.
            [.., pair, language] if ends(pair, language) => {
                let stem = parts[..parts.len() - 2].join(".");
                if stem.is_empty() {
                    "{pair}.{language}".into()
                } else {
                    format!("{stem}.{{pair}}.{{language}}")
                }
            }
            _ => continue,
        };
        if bind(&pattern, name, &Bound::default()).is_some() && !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    if patterns.is_empty() {
        let splits = ["dev", "devtest", "test", "train", "valid", "val"];
        for name in &names {
            match name.rsplit_once('.') {
                Some((_, ending)) if splits.contains(&ending) => {
                    patterns.push(format!("{{language}}.{ending}"))
                }
                Some((stem, ending)) if ending.len() < 9 && ending != "md" => {
                    patterns.push(format!("{stem}.{{language}}"))
                }
                _ => {}
            }
        }
        patterns.sort();
        patterns.dedup();
    }
    match &patterns[..] {
        [pattern] => Ok(whole(pattern.clone())),
        [] => Err(Error::data("holds no files of a layout that is known")
            .at(folder)
            .hint("name them by a pattern, e.g. 'FOLDER/{language}.txt'")),
        several => Err(Error::data(format!("holds several sets: `{}`", several.join("`, `")))
            .at(folder)
            .hint(format!("name one of them, e.g. '{}'", whole(several[0].clone())))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::DataConfig;

    fn read(files: &[(&str, &str)], spec: &str) -> Result<Bitext> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (languages, data) = (["en", "de", "fr"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        let specs: Vec<String> =
            spec.split(' ').map(|s| s.replace("DIR", folder.path().to_str().unwrap())).collect();
        Bitext::read(&specs, Some("set"), known)
    }

    fn pairs(bitext: &Bitext) -> Vec<[(usize, &str); 2]> {
        let side = |n: usize| (bitext.sides[n].language, &bitext.sides[n].sentences[0][..]);
        bitext.pairs.iter().map(|pair| pair.map(side)).collect()
    }

    #[test]
    fn every_layout_gives_the_pairs_that_it_has() {
        let tatoeba = [
            ("tatoeba.deu-eng.deu", "Ja.\nNein.\n"),
            ("tatoeba.deu-eng.eng", "Yes.\nNo.\n"),
            ("tatoeba.fra-eng.eng", "One.\r\n"),
            ("tatoeba.fra-eng.fra", "Un.\r\n"),
            ("tatoeba.ces-eng.ces", "Jedna.\n"),
            ("tatoeba.ces-eng.eng", "One.\n"),
            ("README.md", "About.\n"),
        ];
        for spec in ["DIR", "DIR/tatoeba.{pair}.{language}"] {
            let bitext = read(&tatoeba, spec).unwrap();
            assert_eq!(pairs(&bitext), [[(0, "Yes."), (1, "Ja.")], [(0, "One."), (2, "Un.")]], "{spec}");
            assert_eq!(bitext.notes, ["`ces-eng` is passed over: the run does not know it"]);
        }
        let flores = [("eng_Latn.devtest", "a\n"), ("deu_Latn.devtest", "b\n"), ("fra_Latn.devtest", "c\n")];
        let all = [[(0, "a"), (1, "b")], [(0, "a"), (2, "c")], [(1, "b"), (2, "c")]];
        let first = read(&flores, "DIR").unwrap();
        assert_eq!(pairs(&first), all);
        let plain = [("test.en", "a\n"), ("test.de", "b\n"), ("test.fr", "c\n")];
        for spec in ["DIR", "DIR/test.{language}", "en=DIR/test.en deu=DIR/test.de fr=DIR/test.fr"] {
            let bitext = read(&plain, spec).unwrap();
            assert_eq!(pairs(&bitext), all, "{spec}");
            assert_eq!(bitext.data, first.data, "the same sentences");
        }
    }

    #[test]
    fn pairs_of_codes_with_scripts_are_read() {
        let files = [("wmt.eng_Latn-deu_Latn.eng_Latn", "a\n"), ("wmt.eng_Latn-deu_Latn.deu_Latn", "b\n")];
        assert_eq!(pairs(&read(&files, "DIR").unwrap()), [[(0, "a"), (1, "b")]]);
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        let long = [("t.en", "a\nb\n"), ("t.de", "b\n")];
        for (files, spec, said) in [
            (&long[..], "DIR", "t.de`:2: has 1 lines, and `"),
            (&[("t.en", "a\n\nb\n"), ("t.de", "b\n")], "DIR", "t.en`:2: is an empty line"),
            (&[("t.en", ""), ("t.de", "b\n")], "DIR", "t.en`: holds no line"),
            (
                &[("t.en", "a\n"), ("t.xx", "b\n")],
                "DIR",
                "no two parallel files in languages that the run knows (there are `xx`)",
            ),
            (
                &[("t.en", "a\n"), ("u.de", "b\n")],
                "DIR",
                "holds several sets: `t.{language}`, `u.{language}`",
            ),
            (
                &[("t.en", "a\n"), ("t.eng", "b\n"), ("t.de", "b\n")],
                "xx=DIR/t.en",
                "`xx` is no language of the run",
            ),
            (
                &[("t.zho_Hans", "a\n"), ("t.deu", "b\n"), ("t.ger", "b\n")],
                "DIR/t.{language}",
                "`ger` and `deu` are one language",
            ),
            (&[("t.de", "a\n")], "DIR/{split}.{language}", "patterns know `{language}` and `{pair}`"),
            (&[("t.de", "a\n")], "DIR/u.{language}", "names no file"),
            (&[("t.de", "a\n")], "de=DIR/t.de", "has no translation"),
            (&[("t.deu-eng.deu", "a\n")], "DIR", "no file of the other language of `deu-eng`"),
            (&[("t.de", "a\n")], "de=DIR/none.de en=DIR/t.de", "none.de`: cannot be read"),
        ] {
            let error = read(files, spec).unwrap_err().to_string();
            assert!(error.contains(said), "{spec}: {error}");
        }
        // The better code is taken, the other passed over.
        let both = [("t.de", "a\n"), ("t.deu_Cyrl", "b\n"), ("t.en", "c\n")];
        let bitext = read(&both, "DIR").unwrap();
        assert_eq!(pairs(&bitext), [[(0, "c"), (1, "a")]]);
        assert_eq!(bitext.notes, ["`deu_Cyrl` is passed over: the run does not know it"]);
    }
}
