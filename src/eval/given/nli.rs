//! Pairs of a premise and a hypothesis, and what the one says of the other: MultiNLI, XNLI.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::table::{Column, rows};
use super::{Known, add, coded, name_of};
use crate::checksum::sha256;
use crate::{Error, Result};

/// What a premise says of a hypothesis.
pub const CLASSES: [&str; 3] = ["entailment", "neutral", "contradiction"];

const PREMISE: Column = ("premise", &["sentence1", "premise", "sentence_A"]);
const HYPOTHESIS: Column = ("hypothesis", &["sentence2", "hypothesis", "hypo", "sentence_B"]);
const LABEL: Column = ("label", &["gold_label", "label", "entailment_judgment", "entailment_label"]);
const LANGUAGE: Column = ("language", &["language", "lang"]);

/// Pairs of one language.
#[derive(Debug)]
pub struct Inferences {
    /// The place of the language.
    pub language: usize,
    /// Where they were read.
    pub file: PathBuf,
    /// One for each pair.
    pub premises: Vec<String>,
    /// One for each pair.
    pub hypotheses: Vec<String>,
    /// Places in [`CLASSES`].
    pub labels: Vec<u32>,
    /// The line of each pair, from 1.
    pub lines: Vec<usize>,
}

/// Pairs to learn from, to stop by, and to measure on, each by language.
#[derive(Debug)]
pub struct Nli {
    /// What the result is kept by.
    pub name: String,
    /// SHA-256 of languages, sentences and labels.
    pub data: String,
    /// To learn from.
    pub train: Vec<Inferences>,
    /// To stop by: of languages that are learnt from.
    pub dev: Vec<Inferences>,
    /// To measure on.
    pub test: Vec<Inferences>,
    /// What was passed over, for people.
    pub notes: Vec<String>,
}

impl Nli {
    /// Reads three sets, each named by `CODE=FILE`, a pattern with `{language}`, or a file with a column `language`. Files are TSV, CSV or JSON
    /// lines with columns by name: `sentence1`, `sentence2` and `gold_label`, as MultiNLI and XNLI have them, `premise`, `hypothesis`, `label`, or SICK's.
    /// Pairs without a gold label (`-`) are left out.
    ///
    /// # Errors
    /// Usage, for a pattern that cannot be used or a code that is not known; data, with file and line: a column that is not there, an empty
    /// sentence, a label that is none of the three, no pairs in a language that the model knows, or none to stop by in one that is learnt from.
    pub fn read([train, dev, test]: [&[String]; 3], name: Option<&str>, known: Known) -> Result<Nli> {
        let name =
            name.map_or_else(|| test.first().map_or_else(String::new, |spec| name_of(spec)), String::from);
        let mut notes = Vec::new();
        let [train, dev, test] = [train, dev, test].map(|specs| part(specs, known, &mut notes));
        let (train, mut dev, test) = (train?, dev?, test?);
        dev.retain(|set| train.iter().any(|learnt| learnt.language == set.language));
        if dev.is_empty() {
            return Err(Error::data("`--nli-dev` has no pairs in a language of `--nli-train`")
                .hint("training stops by the accuracy on pairs of the languages that are learnt from"));
        }
        let mut hash = Sha256::new();
        for set in train.iter().chain(&dev).chain(&test) {
            add(&mut hash, &known.languages[set.language]);
            for ((premise, hypothesis), label) in set.premises.iter().zip(&set.hypotheses).zip(&set.labels) {
                add(&mut hash, premise);
                add(&mut hash, hypothesis);
                hash.update([*label as u8]);
            }
        }
        Ok(Nli { name, data: sha256(hash), train, dev, test, notes })
    }
}

fn part(specs: &[String], known: Known, notes: &mut Vec<String>) -> Result<Vec<Inferences>> {
    let mut sets: BTreeMap<usize, Inferences> = BTreeMap::new();
    for spec in specs {
        match coded(spec, known, notes)? {
            None => pairs(Path::new(spec), None, known, &mut sets, notes)?,
            Some(files) => {
                for (language, file) in files {
                    pairs(&file, Some(language), known, &mut sets, notes)?;
                }
            }
        }
    }
    match sets.is_empty() {
        true => {
            let there = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
            let what = format!("`{}` has no pairs in languages that the run knows{there}", specs.join(" "));
            Err(Error::data(what).hint(known.hint()))
        }
        false => Ok(sets.into_values().collect()),
    }
}

/// Adds the pairs of a file, all in `language`, or each in what its column says.
fn pairs(
    file: &Path,
    language: Option<usize>,
    known: Known,
    sets: &mut BTreeMap<usize, Inferences>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let (mut unlabelled, mut passed_over): (usize, Vec<String>) = Default::default();
    for row in rows(file, &[PREMISE, HYPOTHESIS, LABEL, LANGUAGE], 3, None)? {
        let place = |e: Error| e.at(file).line(row.line);
        let [premise, hypothesis, label, code] = &row.values[..] else { unreachable!("four columns") };
        let language = match language {
            Some(language) => language,
            None if code.is_empty() => {
                return Err(place(
                    Error::data("does not say its language")
                        .hint("name the file as CODE=FILE, or give it a column `language`"),
                ));
            }
            None => match known.data.meant(known.languages, code) {
                Some((language, _)) => language,
                None => {
                    if !passed_over.contains(code) {
                        passed_over.push(code.clone());
                    }
                    continue;
                }
            },
        };
        let label = match &label.to_ascii_lowercase()[..] {
            "-" | "-1" => {
                unlabelled += 1;
                continue;
            }
            "contradictory" | "2" => 2,
            "0" => 0,
            "1" => 1,
            other => match CLASSES.iter().position(|class| *class == other) {
                Some(class) => class as u32,
                None => {
                    return Err(place(Error::data(format!("has the label `{other}`")).hint(format!(
                        "labels are `{}`, and `-` where there is none",
                        CLASSES.join("`, `")
                    ))));
                }
            },
        };
        if premise.is_empty() || hypothesis.is_empty() {
            return Err(place(Error::data("has an empty sentence")));
        }
        let set = sets.entry(language).or_insert_with(|| Inferences {
            language,
            file: file.to_path_buf(),
            premises: Vec::new(),
            hypotheses: Vec::new(),
            labels: Vec::new(),
            lines: Vec::new(),
        });
        set.premises.push(premise.clone());
        set.hypotheses.push(hypothesis.clone());
        set.labels.push(label);
        set.lines.push(row.line);
    }
    let file = file.display();
    if unlabelled > 0 {
        notes.push(format!("`{file}`: {unlabelled} pairs without a gold label are left out"));
    }
    if !passed_over.is_empty() {
        notes.push(format!(
            "`{file}`: `{}` is passed over: the run does not know it",
            passed_over.join("`, `")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::DataConfig;

    fn read(files: &[(&str, &str)], specs: [&str; 3]) -> Result<Nli> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (languages, data) = (["en", "de"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        let [train, dev, test] = specs.map(|spec| vec![spec.replace("DIR", folder.path().to_str().unwrap())]);
        Nli::read([&train, &dev, &test], None, known)
    }

    const MULTINLI: &str = "{\"gold_label\": \"neutral\", \"sentence1\": \"a\", \"sentence2\": \"b\"}\n\
                            {\"gold_label\": \"-\", \"sentence1\": \"a\", \"sentence2\": \"c\"}\n";
    const XNLI: &str = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\n\
                        de\tentailment\t\tein \"a\"\tb\nen\tcontradiction\t\tc\td\nsw\tneutral\t\te\tf\n";

    #[test]
    fn multinli_and_xnli_are_read() {
        let files = [("m.jsonl", MULTINLI), ("xnli.dev.tsv", XNLI), ("xnli.test.tsv", XNLI)];
        let nli = read(&files, ["en=DIR/m.jsonl", "DIR/xnli.dev.tsv", "DIR/xnli.test.tsv"]).unwrap();
        let of =
            |sets: &[Inferences]| sets.iter().map(|s| (s.language, s.labels.clone())).collect::<Vec<_>>();
        assert_eq!(of(&nli.train), [(0, vec![1])]);
        assert_eq!((of(&nli.dev), of(&nli.test)), (vec![(0, vec![2])], vec![(0, vec![2]), (1, vec![0])]));
        assert_eq!(
            (&nli.test[1].premises[0][..], nli.test[0].lines[0], &nli.name[..]),
            ("ein \"a\"", 3, "xnli-test")
        );
        assert!(
            nli.notes[0].contains("1 pairs without a gold label")
                && nli.notes[1].contains("`sw` is passed over"),
            "{:?}",
            nli.notes
        );
    }

    #[test]
    fn sick_is_read() {
        let sick = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n\
                    4\ta\tb\t3.7\tNEUTRAL\n24\tc\td\t4.9\tENTAILMENT\n";
        let one = "en=DIR/SICK_trial.txt";
        let nli = read(&[("SICK_trial.txt", sick)], [one, one, one]).unwrap();
        assert_eq!((&nli.test[0].labels[..], &nli.test[0].hypotheses[1][..]), (&[1, 0][..], "d"));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        let bad = MULTINLI.replace("neutral", "perhaps");
        let sw = "lang\tpremise\thypothesis\tlabel\nsw\ta\tb\tneutral\n";
        let files = [
            ("m.jsonl", MULTINLI),
            ("x.tsv", XNLI),
            ("bad.jsonl", &bad),
            ("no.tsv", "a\tb\n"),
            ("sw.tsv", sw),
        ];
        for (specs, said) in [
            (["en=DIR/bad.jsonl", "DIR/x.tsv", "DIR/x.tsv"], "bad.jsonl`:1: has the label `perhaps`"),
            (["DIR/m.jsonl", "DIR/x.tsv", "DIR/x.tsv"], "m.jsonl`:1: does not say its language"),
            (
                ["de=DIR/m.jsonl", "en=DIR/m.jsonl", "DIR/x.tsv"],
                "`--nli-dev` has no pairs in a language of `--nli-train`",
            ),
            (["en=DIR/no.tsv", "DIR/x.tsv", "DIR/x.tsv"], "no.tsv`:1: its first line names no column"),
            (["fi=DIR/m.jsonl", "DIR/x.tsv", "DIR/x.tsv"], "`fi` is no language of the run"),
            (["DIR/sw.tsv", "DIR/x.tsv", "DIR/x.tsv"], "that the run knows (`"),
            (["DIR/sw.tsv", "DIR/x.tsv", "DIR/x.tsv"], "`sw` is passed over"),
        ] {
            let error = read(&files, specs).unwrap_err().to_string();
            assert!(error.contains(said), "{specs:?}: {error}");
        }
    }
}
