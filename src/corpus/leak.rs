//! Keeps test captions out of the further text and the sentence pairs that are learnt from. (The vocabulary sees training captions only: `family::smalr::prepare`.)

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::text::{next_line, text};
use super::{Caption, Corpus};
use crate::{Error, Result};

/// Splits a text of language n into tokens.
pub type Tokens<'a> = &'a dyn Fn(usize, &str) -> Vec<String>;

/// Share of the test captions that a further text may hold. Plain captions ("A man is playing guitar.") recur by
/// chance: of 1000 test pictures of Multi30K 0.1 % (fr, cs), 0.2 % (en) and 0.9 % (de) of the captions do in the text of
/// the 29,000 training pictures. Text with one of five test captions holds 20 %.
const ALLOWED: f64 = 0.01;

/// Captions of fewer words say too little to tell a copy from chance.
const WORDS: usize = 4;

/// How many test captions of a language occur in its further text, or in its sentence pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recurrence {
    /// `further text`, `sentence pairs` or `translations`.
    pub of: &'static str,
    /// Its code.
    pub language: String,
    /// Different test captions of at least 4 words that are not training captions too.
    pub captions: usize,
    /// How many of them occur as a line of the text.
    pub found: usize,
}

/// Refuses further text (`data.text`) and sentence pairs (`data.pairs`) that hold test captions, line by line.
///
/// Lines are compared without regard to case, spaces and punctuation, so that a tokenised copy is found too.
/// Captions of fewer than 4 words and captions that are training captions as well do not count; up to 1 % of the
/// others may recur by chance and is reported.
///
/// # Errors
/// Kind `Data`, with file and line of the first test caption, where more than 1 % are found.
pub fn refuse_test_leak(corpus: &Corpus, tokens: Tokens) -> Result<Vec<Recurrence>> {
    let mut recurrences = Vec::new();
    for n in 0..corpus.languages.len() {
        let texts = corpus.texts[n].as_ref();
        let paired = corpus.pairs.texts.iter().any(|text| text.languages().contains(&n));
        if texts.is_none() && !paired {
            continue;
        }
        let unseen = unseen(corpus, n, tokens);
        if let Some(files) = texts {
            recurrences.push(recurrence("further text", corpus, n, &unseen, in_files(files, &unseen)?)?);
        }
        if paired {
            recurrences.push(recurrence("sentence pairs", corpus, n, &unseen, in_pairs(corpus, n, &unseen))?);
        }
    }
    Ok(recurrences)
}

/// Refuses translations into the corpus' first language that hold its test captions, as [`refuse_test_leak`] does sentence pairs.
///
/// # Errors
/// As [`refuse_test_leak`].
pub fn refuse_test_leak_in(corpus: &Corpus, tokens: Tokens, translations: &[PathBuf]) -> Result<()> {
    let unseen = unseen(corpus, 0, tokens);
    recurrence("translations", corpus, 0, &unseen, in_files(translations, &unseen)?).map(drop)
}

/// The test captions of a language that count, bare.
fn unseen(corpus: &Corpus, language: usize, tokens: Tokens) -> HashSet<String> {
    let mut unseen: HashSet<String> = test_texts(corpus, language)
        .filter(|text| tokens(language, text).len() >= WORDS)
        .map(bare)
        .filter(|bare| !bare.is_empty())
        .collect();
    for caption in &corpus.train.captions[language] {
        unseen.remove(&bare(&caption.text));
    }
    unseen
}

/// Test captions that were found, bare, and where the first of them is.
#[derive(Default)]
struct Found {
    captions: HashSet<String>,
    first: Option<(PathBuf, usize, String)>,
}

impl Found {
    fn add(&mut self, caption: String, place: impl FnOnce() -> (PathBuf, usize, String)) {
        self.first.get_or_insert_with(place);
        self.captions.insert(caption);
    }
}

fn recurrence(
    of: &'static str,
    corpus: &Corpus,
    language: usize,
    unseen: &HashSet<String>,
    found: Found,
) -> Result<Recurrence> {
    let language = corpus.languages[language].clone();
    let (captions, count) = (unseen.len(), found.captions.len());
    if let Some((file, number, line)) = found.first
        && count as f64 > ALLOWED * captions as f64
    {
        return Err(Error::data(format!(
            "holds {count} of the {captions} test captions in `{language}`, the first is `{line}`"
        ))
        .at(file)
        .line(number)
        .hint("take the test captions out of the file; nothing must be trained on them"));
    }
    Ok(Recurrence { of, language, captions, found: count })
}

fn in_files(files: &[PathBuf], unseen: &HashSet<String>) -> Result<Found> {
    let mut found = Found::default();
    for file in files {
        each_line(file, |number, line| {
            let bare = bare(line);
            if unseen.contains(&bare) {
                found.add(bare, || (file.clone(), number, line.trim().to_string()));
            }
        })?;
    }
    Ok(found)
}

fn in_pairs(corpus: &Corpus, language: usize, unseen: &HashSet<String>) -> Found {
    let mut found = Found::default();
    for text in corpus.pairs.texts.iter().filter(|text| text.languages().contains(&language)) {
        let caption = |line: u64| {
            let bare = bare(&text.sentence(line, language)?);
            unseen.contains(&bare).then_some((line, bare))
        };
        let all: Vec<(u64, String)> = (0..text.lines()).into_par_iter().filter_map(caption).collect();
        for (line, bare) in all {
            found.add(bare, || {
                let (file, number) = text.place(line, language);
                let sentence = text.sentence(line, language).unwrap_or_default();
                (file.to_path_buf(), number, sentence.into_owned())
            });
        }
    }
    found
}

/// Test captions and parallel test captions of a language.
fn test_texts(corpus: &Corpus, language: usize) -> impl Iterator<Item = &str> {
    let parallel = corpus.parallel.as_ref().and_then(|p| p.test[language].as_ref());
    let test = &corpus.test;
    let own = test.captions[language].iter().chain(test.machine.get(language).into_iter().flatten());
    let own = own.map(|c: &Caption| c.text.as_str());
    own.chain(parallel.into_iter().flatten().map(String::as_str))
}

/// What of a text does not depend on case, spaces, punctuation and marks, nor on how its characters are composed.
fn bare(text: &str) -> String {
    text.nfkd().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Streams a text file; a line that is no text is an error.
fn each_line(file: &Path, mut take: impl FnMut(usize, &str)) -> Result<()> {
    let opened = File::open(file).map_err(|e| Error::reading(file, e))?;
    let mut reader = BufReader::with_capacity(1 << 16, opened);
    let mut bytes = Vec::new();
    for number in 1.. {
        if !next_line(&mut reader, &mut bytes).map_err(|e| Error::reading(file, e))? {
            break;
        }
        take(number, text(&bytes).map_err(|e| e.at(file).line(number))?);
    }
    Ok(())
}
