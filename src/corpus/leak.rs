//! Keeps test captions out of the further text that is learnt from. (The vocabulary sees training captions only: `family::smalr::prepare`.)

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

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

/// How many test captions of a language occur in its further text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recurrence {
    /// Its code.
    pub language: String,
    /// Different test captions of at least 4 words that are not training captions too.
    pub captions: usize,
    /// How many of them occur as a line of the text.
    pub found: usize,
}

/// Refuses further text (`data.text`) that holds test captions, line by line.
///
/// Lines are compared without regard to case, spaces and punctuation, so that a tokenised copy is found too.
/// Captions of fewer than 4 words and captions that are training captions as well do not count; up to 1 % of the
/// others may recur by chance and is reported.
///
/// # Errors
/// Kind `Data`, with file and line of the first test caption, where more than 1 % are found.
pub fn refuse_test_leak(corpus: &Corpus, tokens: Tokens) -> Result<Vec<Recurrence>> {
    let mut recurrences = Vec::new();
    for (n, language) in corpus.languages.iter().enumerate() {
        let Some(files) = &corpus.texts[n] else { continue };
        let mut unseen: HashSet<String> = test_texts(corpus, n)
            .filter(|text| tokens(n, text).len() >= WORDS)
            .map(bare)
            .filter(|bare| !bare.is_empty())
            .collect();
        for caption in &corpus.train.captions[n] {
            unseen.remove(&bare(&caption.text));
        }
        let captions = unseen.len();
        let mut first = None;
        for file in files {
            each_line(file, |number, line| {
                if unseen.remove(&bare(line)) && first.is_none() {
                    first = Some((file, number, line.trim().to_string()));
                }
            })?;
        }
        let found = captions - unseen.len();
        if let Some((file, number, line)) = first
            && found as f64 > ALLOWED * captions as f64
        {
            return Err(Error::data(format!(
                "holds {found} of the {captions} test captions in `{language}`, the first is `{line}`"
            ))
            .at(file)
            .line(number)
            .hint("take the test captions out of the file; nothing must be trained on them"));
        }
        recurrences.push(Recurrence { language: language.clone(), captions, found });
    }
    Ok(recurrences)
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
