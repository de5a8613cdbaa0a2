//! What is in a corpus: `tinyglot data check`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

use super::leak::{Recurrence, Tokens, refuse_test_leak};
use super::overlap::{Overlap, compared, overlaps};
use super::{Caption, Corpus, SplitName};
use crate::Result;
use crate::config::Source;

/// Words that occur less often in the training captions, and are not among the top K, are rare.
const RARE: usize = 5;

/// Whether the given vectors of language n hold a word.
pub type Known<'a> = &'a dyn Fn(usize, &str) -> bool;

/// A number for each split that has captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BySplit {
    /// Of the pictures to train on.
    pub train: usize,
    /// Of the pictures to validate on.
    pub val: usize,
    /// Of the pictures to test on.
    pub test: usize,
}

/// The captions of a language. Shares lie between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageReport {
    /// Its code.
    pub language: String,
    /// Whether any caption is by a human.
    pub human: bool,
    /// Pictures with at least one caption.
    pub pictures: BySplit,
    /// Captions that training or evaluation takes.
    pub captions: BySplit,
    /// Captions that a machine translated, in all splits; those of `val` and `test` are not among `captions` where people
    /// wrote some there.
    pub machine: usize,
    /// Tokens of the training captions.
    pub tokens: usize,
    /// Different words of the training captions.
    pub vocabulary: usize,
    /// Share of the vocabulary that occurs fewer than 5 times and is not in the top K.
    pub rare_words: f64,
    /// Share of the training tokens that these make up.
    pub rare_tokens: f64,
    /// Share of the test tokens whose word is not in the training captions; `None` without test captions.
    pub unseen: Option<f64>,
    /// Share of the tokens of all splits that the vectors do not hold; `None` without vectors.
    pub without_vector: Option<f64>,
    /// Captions with the same text as an earlier one of their split.
    pub duplicates: usize,
    /// Test captions with the text of a training caption.
    pub test_in_train: usize,
    /// What the model does not read; `None` where its checkpoint is not at hand.
    pub lost: Option<Lost>,
}

/// What texts lose on the way into a model: two that differ beyond it are one to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Lost {
    /// Texts that are longer than the model reads, in all splits.
    pub texts: usize,
    /// Words that are longer than it reads.
    pub words: usize,
}

/// The sentence pairs of two languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairsOf {
    /// Their codes.
    pub languages: [String; 2],
    /// Lines that have a sentence in both.
    pub lines: u64,
}

/// The sentences of pairs in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentencesOf {
    /// Its code.
    pub language: String,
    /// How many there are.
    pub sentences: u64,
    /// Characters of the longest.
    pub longest: usize,
    /// Where that is.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
}

/// All that `data check` says; printed as a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Pictures of each split.
    pub pictures: BySplit,
    /// Further pictures, without captions.
    pub distractors: usize,
    /// Numbers per picture.
    pub width: usize,
    /// The K most frequent words of each language, which are never rare.
    pub top_k: usize,
    /// In the order of the configuration.
    pub languages: Vec<LanguageReport>,
    /// Pairs of splits that share pictures.
    pub overlaps: Vec<Overlap>,
    /// How pictures were compared to find them.
    pub compared: &'static str,
    /// Lines of the sentence pairs by every two languages.
    pub pairs: Vec<PairsOf>,
    /// Their sentences by language.
    pub sentences: Vec<SentencesOf>,
    /// The file that says which picture is in which split, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splits_by: Option<PathBuf>,
    /// Test captions in the further text and in the sentence pairs, by language that has any of these.
    pub recurrences: Vec<Recurrence>,
    /// What was left out while reading, for the user.
    pub notes: Vec<String>,
    /// What captions that are cut are longer than.
    #[serde(skip)]
    pub bound: &'static str,
}

/// Counts what is in a corpus.
///
/// `tokens` splits a text of language n into words; `known` says which words the vectors of language n hold, where
/// vectors are given; the `top_k` most frequent words are never rare.
///
/// # Errors
/// As [`refuse_test_leak`].
pub fn check(corpus: &Corpus, top_k: usize, tokens: Tokens, known: Option<Known>) -> Result<Report> {
    Ok(Report {
        pictures: by_split(|s| corpus.split(s).features.rows()),
        distractors: corpus.distractors.as_ref().map_or(0, |f| f.rows()),
        width: corpus.width(),
        top_k,
        languages: (0..corpus.languages.len()).map(|n| language(corpus, n, top_k, tokens, known)).collect(),
        overlaps: overlaps(corpus),
        compared: compared(corpus),
        pairs: pairs(corpus),
        sentences: (0..corpus.languages.len()).filter_map(|n| sentences(corpus, n)).collect(),
        splits_by: corpus.splits_by.clone(),
        recurrences: refuse_test_leak(corpus, tokens)?,
        notes: corpus.notes.clone(),
        bound: "`words.max_tokens`",
    })
}

impl Report {
    /// With what is lost of the captions, where `lost` says it of a text of language n: whether its end, and of how many words
    /// the end.
    pub fn with_lost(
        mut self,
        corpus: &Corpus,
        lost: &(dyn Fn(usize, &str) -> (bool, usize) + Sync),
    ) -> Report {
        for (n, report) in self.languages.iter_mut().enumerate() {
            let captions = |split: &SplitName| &corpus.split(*split).captions[n];
            let texts: Vec<&str> =
                SplitName::CAPTIONED.iter().flat_map(captions).map(|c| c.text.as_str()).collect();
            let add = |a: Lost, b: Lost| Lost { texts: a.texts + b.texts, words: a.words + b.words };
            let of = |text: &&str| {
                let (end, words) = lost(n, text);
                Lost { texts: end as usize, words }
            };
            report.lost = Some(texts.par_iter().map(of).reduce(Lost::default, add));
        }
        self
    }

    /// With another name of what captions that are cut are longer than.
    pub fn with_bound(self, bound: &'static str) -> Report {
        Report { bound, ..self }
    }
}

fn by_split(count: impl Fn(SplitName) -> usize) -> BySplit {
    BySplit { train: count(SplitName::Train), val: count(SplitName::Val), test: count(SplitName::Test) }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn language(corpus: &Corpus, n: usize, top_k: usize, tokens: Tokens, known: Option<Known>) -> LanguageReport {
    let captions = |s: SplitName| &corpus.split(s).captions[n];
    let [train, val, test] = SplitName::CAPTIONED.map(|s| count_words(n, captions(s), tokens));
    let total = train.values().sum();
    let mut counts: Vec<usize> = train.values().copied().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let rare = &counts[counts.partition_point(|&c| c >= RARE).max(top_k.min(counts.len()))..];
    let outside = |words: &HashMap<String, usize>, inside: &dyn Fn(&str) -> bool| -> usize {
        words.iter().filter(|(word, _)| !inside(word)).map(|(_, count)| count).sum()
    };
    let test_tokens: usize = test.values().sum();
    let without_vector = known.map(|known| {
        let missing: usize = [&train, &val, &test].map(|w| outside(w, &|word| known(n, word))).iter().sum();
        share(missing, total + val.values().sum::<usize>() + test_tokens)
    });
    let texts: HashSet<&str> = captions(SplitName::Train).iter().map(|c| c.text.as_str()).collect();
    LanguageReport {
        language: corpus.languages[n].clone(),
        human: corpus.human[n],
        pictures: by_split(|s| captions(s).chunk_by(|a, b| a.image == b.image).count()),
        captions: by_split(|s| captions(s).len()),
        machine: SplitName::CAPTIONED
            .iter()
            .flat_map(|&s| captions(s).iter().chain(corpus.split(s).machine.get(n).into_iter().flatten()))
            .filter(|c| c.source == Source::Machine)
            .count(),
        tokens: total,
        vocabulary: counts.len(),
        rare_words: share(rare.len(), counts.len()),
        rare_tokens: share(rare.iter().sum(), total),
        unseen: (test_tokens > 0)
            .then(|| share(outside(&test, &|word| train.contains_key(word)), test_tokens)),
        without_vector,
        duplicates: SplitName::CAPTIONED.iter().map(|&s| duplicates(captions(s))).sum(),
        test_in_train: captions(SplitName::Test).iter().filter(|c| texts.contains(c.text.as_str())).count(),
        lost: None,
    }
}

fn pairs(corpus: &Corpus) -> Vec<PairsOf> {
    let of = |(languages, lines): ([usize; 2], u64)| PairsOf {
        languages: languages.map(|l| corpus.languages[l].clone()),
        lines,
    };
    corpus.pairs.counts().into_iter().map(of).collect()
}

fn sentences(corpus: &Corpus, n: usize) -> Option<SentencesOf> {
    let texts = corpus.pairs.texts.iter().filter(|text| text.languages().contains(&n));
    let longest = texts.clone().filter_map(|text| Some((text, text.longest(n)?)));
    let (text, (longest, line)) = longest.max_by_key(|(_, (longest, _))| *longest)?;
    let (file, line) = text.place(line, n);
    Some(SentencesOf {
        language: corpus.languages[n].clone(),
        sentences: texts.map(|text| text.sentences(n)).sum(),
        longest,
        file: file.to_path_buf(),
        line,
    })
}

fn count_words(n: usize, captions: &[Caption], tokens: Tokens) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for token in captions.iter().flat_map(|c| tokens(n, &c.text)) {
        *counts.entry(token).or_default() += 1;
    }
    counts
}

fn duplicates(captions: &[Caption]) -> usize {
    let different: HashSet<&str> = captions.iter().map(|c| c.text.as_str()).collect();
    captions.len() - different.len()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BySplit { train, val, test } = self.pictures;
        writeln!(
            f,
            "{train} train, {val} val, {test} test pictures and {} distractors; {} numbers each",
            self.distractors, self.width
        )?;
        if let Some(file) = &self.splits_by {
            writeln!(f, "which is in which split says `{}`", file.display())?;
        }
        writeln!(f)?;
        write_table(f, &self.table())?;
        writeln!(f, "\npictures, captions: train/val/test")?;
        writeln!(
            f,
            "rare: share of the words that occur fewer than {RARE} times and are not in the top {}",
            self.top_k
        )?;
        writeln!(f, "unseen: share of the test tokens that no training caption holds\n")?;
        for overlap in &self.overlaps {
            writeln!(f, "warning: {overlap}")?;
        }
        if self.overlaps.is_empty() {
            writeln!(f, "no picture is in two splits, {}", self.compared)?;
        }
        for l in &self.languages {
            let Lost { texts, words } = l.lost.unwrap_or_default();
            if texts > 0 {
                let (language, bound) = (&l.language, self.bound);
                writeln!(
                    f,
                    "warning: {texts} captions in {language} are longer than {bound} and lose their end"
                )?;
            }
            if words > 0 {
                let what = "have more than 100 letters and lose their end: are they words?";
                writeln!(f, "warning: {words} words in {} {what}", l.language)?;
            }
        }
        for PairsOf { languages: [one, other], lines } in &self.pairs {
            writeln!(f, "sentence pairs in {one} and {other}: {lines}")?;
        }
        for SentencesOf { language, sentences, longest, file, line } in &self.sentences {
            writeln!(
                f,
                "sentences of pairs in {language}: {sentences}, the longest of {longest} characters (`{}`:{line})",
                file.display()
            )?;
        }
        for Recurrence { of, language, captions, found } in &self.recurrences {
            writeln!(f, "{of} in {language}: holds {found} of {captions} test captions")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

impl Report {
    fn table(&self) -> Vec<[String; 13]> {
        let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.1} %", 100.0 * s));
        let three = |n: BySplit| format!("{}/{}/{}", n.train, n.val, n.test);
        let head = [
            "",
            "by",
            "pictures",
            "captions",
            "machine",
            "tokens",
            "words",
            "rare",
            "unseen",
            "no vector",
            "duplicates",
            "test in train",
            "cut",
        ];
        let mut rows = vec![head.map(String::from)];
        for l in &self.languages {
            rows.push([
                l.language.clone(),
                if l.human { "human" } else { "machine" }.into(),
                three(l.pictures),
                three(l.captions),
                l.machine.to_string(),
                l.tokens.to_string(),
                l.vocabulary.to_string(),
                percent(Some(l.rare_words)),
                percent(l.unseen),
                percent(l.without_vector),
                l.duplicates.to_string(),
                l.test_in_train.to_string(),
                l.lost.map_or("-".into(), |lost| lost.texts.to_string()),
            ]);
        }
        rows
    }
}

fn write_table<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
            match column {
                0 => line += &format!("{cell:<width$}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
