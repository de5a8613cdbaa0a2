//! Pairs of sentences with a score of how much they mean the same.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::pattern::is_pattern;
use super::table::{Column, rows};
use super::{Bound, Known, add, best, found, name_of, named};
use crate::checksum::sha256;
use crate::{Error, Result};

/// Scored pairs of one file.
#[derive(Debug)]
pub struct Scored {
    /// The places of the languages of the first sentences and of the second ones.
    pub languages: [usize; 2],
    /// Where they were read.
    pub file: PathBuf,
    /// First sentences.
    pub first: Vec<String>,
    /// Second sentences.
    pub second: Vec<String>,
    /// Scores by people, on whatever scale.
    pub scores: Vec<f64>,
    /// The line of each pair, from 1.
    pub lines: Vec<usize>,
}

/// Sets of scored pairs.
#[derive(Debug)]
pub struct Sts {
    /// What the result is kept by.
    pub name: String,
    /// SHA-256 of languages, sentences and scores.
    pub data: String,
    /// By language.
    pub sets: Vec<Scored>,
    /// What was passed over, for people.
    pub notes: Vec<String>,
}

const FIRST: Column = ("first sentence", &["sentence1", "sentence_A", "sentence_1", "text1"]);
const SECOND: Column = ("second sentence", &["sentence2", "sentence_B", "sentence_2", "text2"]);
const SCORE: Column = ("score", &["score", "relatedness_score", "similarity_score", "similarity", "label"]);

impl Sts {
    /// Reads the sets that `specs` name: a pattern with `{language}` (both sentences in it) or `{pair}` (one in each), or `CODE=FILE` and
    /// `CODE-CODE=FILE`. A file is CSV, TSV or JSON lines with columns by name (`sentence1`, `sentence2`, `score`; SICK's `sentence_A`,
    /// `sentence_B`, `relatedness_score`), or a table without a head whose first two columns are the sentences and whose last one is the
    /// score, as STS benchmark's.
    ///
    /// # Errors
    /// Usage, for a pattern that cannot be used or a code that is not known; data, with file and line: a column that is not there, an empty
    /// sentence, a score that is no number, or no file in a language that the model knows.
    pub fn read(specs: &[String], name: Option<&str>, known: Known) -> Result<Sts> {
        let (mut files, mut notes): (Vec<([usize; 2], PathBuf)>, Vec<String>) = Default::default();
        for spec in specs {
            if let Some((code, file)) = named(spec) {
                let languages = both(code, known).ok_or_else(|| {
                    Error::usage(format!("`{spec}`: `{code}` is no language of the run, nor a pair of them"))
                        .hint(known.hint())
                })?;
                files.push((languages, file.to_path_buf()));
                continue;
            }
            if !is_pattern(spec) {
                return Err(Error::usage(format!("`{spec}` does not say its language")).hint(
                    "name the file as CODE=FILE, or files by a pattern with `{language}` or `{pair}`",
                ));
            }
            let coded = |(bound, path): (Bound, PathBuf)| Some((bound.pair.or(bound.language)?, path));
            let there = found(spec)?.into_iter().filter_map(coded).collect();
            let meant = |code: &str| match spec.contains("{pair}") {
                true => known.pair(code),
                false => known.data.meant(known.languages, code).map(|(l, fit)| ([l, l], fit)),
            };
            let there = best(there, meant)?;
            let passed_over = format!("`{}`", there.passed_over.join("`, `"));
            if there.files.is_empty() {
                let what =
                    format!("`{spec}` has no file in languages that the run knows (there are {passed_over})");
                return Err(Error::data(what).hint(known.hint()));
            }
            if !there.passed_over.is_empty() {
                notes.push(format!("{passed_over} is passed over: the run does not know it"));
            }
            files.extend(there.files);
        }
        for (n, (languages, file)) in files.iter().enumerate() {
            if files[..n].iter().any(|(other, _)| other == languages) {
                let [a, b] = languages.map(|l| known.languages[l].as_str());
                return Err(Error::data(format!("is a second file of `{a}` and `{b}`"))
                    .at(file)
                    .hint("evaluate one set at a time, each by its `--name`"));
            }
        }
        files.sort();
        let sets =
            files.into_iter().map(|(languages, file)| scored(languages, file)).collect::<Result<Vec<_>>>()?;
        let mut hash = Sha256::new();
        for set in &sets {
            set.languages.iter().for_each(|l| add(&mut hash, &known.languages[*l]));
            for ((first, second), score) in set.first.iter().zip(&set.second).zip(&set.scores) {
                add(&mut hash, first);
                add(&mut hash, second);
                hash.update(score.to_le_bytes());
            }
        }
        let name =
            name.map_or_else(|| specs.first().map_or_else(String::new, |spec| name_of(spec)), String::from);
        Ok(Sts { name, data: sha256(hash), sets, notes })
    }
}

/// The languages of both sentences.
fn both(code: &str, known: Known) -> Option<[usize; 2]> {
    let one = known.data.meant(known.languages, code).map(|(l, _)| [l, l]);
    one.or_else(|| known.pair(code).map(|(pair, _)| pair))
}

fn scored(languages: [usize; 2], file: PathBuf) -> Result<Scored> {
    let mut set = Scored {
        languages,
        file,
        first: Vec::new(),
        second: Vec::new(),
        scores: Vec::new(),
        lines: Vec::new(),
    };
    for row in rows(&set.file, &[FIRST, SECOND, SCORE], 3, Some(&[0, 1, -1]))? {
        let place = |e: Error| e.at(&set.file).line(row.line);
        let [first, second, written] = &row.values[..] else { unreachable!("three columns") };
        if first.is_empty() || second.is_empty() {
            return Err(place(Error::data("has an empty sentence")));
        }
        let score = written.parse::<f64>().ok().filter(|score| score.is_finite()).ok_or_else(|| {
            place(
                Error::data(format!("has the score `{written}`, which is no number"))
                    .hint("the score is in a column of that name, or the last one of a table without a head"),
            )
        })?;
        set.first.push(first.clone());
        set.second.push(second.clone());
        set.scores.push(score);
        set.lines.push(row.line);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::DataConfig;

    fn read(files: &[(&str, &str)], spec: &str) -> Result<Sts> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (languages, data) = (["en", "de"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        Sts::read(&[spec.replace("DIR", folder.path().to_str().unwrap())], None, known)
    }

    #[test]
    fn every_layout_is_read() {
        let stsb = "A man \"tall\".,\"A man, \"\"tall\"\".\",5.0\nB.,C.,0.25\n";
        let sts = read(&[("stsb-en-test.csv", stsb)], "DIR/stsb-{language}-test.csv").unwrap();
        let set = &sts.sets[0];
        assert_eq!(
            (&sts.name[..], set.languages, set.scores.clone()),
            ("stsb-test", [0, 0], vec![5.0, 0.25])
        );
        assert_eq!(set.second[0], "A man, \"tall\".");
        let sick = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n\
                    1\tA \"b\"\tC\t4.5\tNEUTRAL\n2\tD\tE\t3\tENTAILMENT\n";
        let set = read(&[("SICK.txt", sick)], "en=DIR/SICK.txt").unwrap().sets.remove(0);
        assert_eq!(
            (set.first, set.second),
            (vec!["A \"b\"".into(), "D".into()], vec!["C".to_string(), "E".into()])
        );
        assert_eq!(set.scores, [4.5, 3.0]);
        let json = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"similarity_score\": 3}\n";
        let sts = read(&[("x.en-de.jsonl", json), ("x.fr-en.jsonl", json)], "DIR/x.{pair}.jsonl").unwrap();
        assert_eq!((sts.sets[0].languages, &sts.sets[0].scores[..]), ([0, 1], &[3.0][..]));
        assert_eq!(sts.notes, ["`fr-en` is passed over: the run does not know it"]);
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        for (text, said) in [
            ("a,b,1.0\nc,d,high\n", "t.csv`:2: has the score `high`, which is no number"),
            ("a,b,1.0\nc,d,nan\n", "t.csv`:2: has the score `nan`, which is no number"),
            ("a,b,1.0\nc,d\n", "t.csv`:2: has 2 values, and the first row has 3"),
            ("a,b,1.0\n\"c,d,2\ne,f,3\n", "t.csv`:2: "),
            ("a,,1.0\n", "t.csv`:1: has an empty sentence"),
            ("", "t.csv`: holds no row"),
            ("sentence1\tsentence2\nx\ty\n", "t.csv`:1: has no score"),
            ("sentence1\tsentence2\tscore\n", "t.csv`: holds no row"),
            ("one\n", "t.csv`:1: its first line names no column"),
            ("{\"sentence1\": \"a\"}\n", "t.csv`:1: has no second sentence"),
            ("{\"sentence1\": \"a\"\n", "t.csv`:1: is no JSON object"),
        ] {
            let error = read(&[("t.csv", text)], "en=DIR/t.csv").unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        let good = [("t.csv", "a,b,1\n"), ("t-xx.csv", "a,b,1\n")];
        for (spec, said) in [
            ("DIR/t.csv", "does not say its language"),
            ("xx=DIR/t.csv", "`xx` is no language of the run"),
            ("DIR/t-{language}.csv", "has no file in languages that the run knows (there are `xx`)"),
            ("en=DIR/none.csv", "none.csv`: cannot be read"),
        ] {
            let error = read(&good, spec).unwrap_err().to_string();
            assert!(error.contains(said), "{spec}: {error}");
        }
    }
}
