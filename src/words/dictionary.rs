//! Bilingual dictionaries of single words.

use std::collections::HashMap;
use std::path::Path;

use super::Segmenter;
use crate::{Error, Result};

/// The translations of words, in the order of the file: the most frequent sense comes first in MUSE's (Conneau et al. 2018).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary(HashMap<String, Vec<String>>);

impl Dictionary {
    /// Reads `word translation`, parted by a tab or a space, or `translation @ word` a line. Words become what the segmenters of
    /// their languages make of them in captions; entries of several words are passed over.
    ///
    /// # Errors
    /// Data, with file and line: not UTF-8, a line without two words; a file without any pair of single words.
    pub fn read(path: &Path, from: &Segmenter, into: &Segmenter) -> Result<Dictionary> {
        let text = std::fs::read(path).map_err(|e| Error::reading(path, e))?;
        let mut entries: HashMap<String, Vec<String>> = HashMap::new();
        for (line, number) in text.split(|&b| b == b'\n').zip(1..) {
            let wrong = |what: &str| {
                let hint = "a dictionary has `word translation` or `translation @ word` a line";
                Error::data(what).at(path).line(number).hint(hint)
            };
            let line = std::str::from_utf8(line).map_err(|_| wrong("is not UTF-8"))?.trim();
            if line.is_empty() {
                continue;
            }
            let (word, translation) =
                pair(line).ok_or_else(|| wrong(&format!("expected two words, got `{line}`")))?;
            if let (Some(word), Some(translation)) = (single(from, word), single(into, translation)) {
                entries.entry(word).or_default().push(translation);
            }
        }
        if entries.is_empty() {
            return Err(Error::data("holds no pair of single words")
                .at(path)
                .hint("give a dictionary in `data.dictionary`"));
        }
        Ok(Dictionary(entries))
    }

    /// Words and their translations, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(word, translations)| (&word[..], &translations[..]))
    }
}

/// The word and its translation.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (word, translation) = match line.split_once(" @ ") {
        Some((translation, word)) => (word, translation),
        None => line.split_once('\t').or_else(|| line.split_once(' '))?,
    };
    let (word, translation) = (word.trim(), translation.trim());
    (!word.is_empty() && !translation.is_empty()).then_some((word, translation))
}

fn single(segmenter: &Segmenter, word: &str) -> Option<String> {
    let mut tokens = segmenter.segment(word);
    (tokens.len() == 1).then(|| tokens.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WordsConfig;

    fn read(content: &[u8]) -> Result<Dictionary> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let segmenter = |code| Segmenter::new(code, &WordsConfig::default(), Path::new("")).unwrap();
        Dictionary::read(file.path(), &segmenter("de"), &segmenter("en"))
    }

    #[test]
    fn the_three_layouts_say_the_same() {
        let expected = read("hund dog\nHund hound\nwelpe puppy\n".as_bytes()).unwrap();
        let entries = |d: &Dictionary| d.0["hund"].clone();
        assert_eq!(entries(&expected), ["dog", "hound"], "in the order of the file, lower-cased");
        assert_eq!(read("hund\tdog\r\nhund\thound\n\nwelpe\tpuppy".as_bytes()).unwrap(), expected);
        assert_eq!(read("dog @ Hund\nhound @ hund\npuppy @ welpe\n".as_bytes()).unwrap(), expected);
        assert_eq!(expected.iter().count(), 2);
    }

    #[test]
    fn phrases_are_passed_over() {
        let phrases = read("zu hause\tat home\nhund\tdog\nhot dog @ würstchen\nhund\tguide dog".as_bytes());
        assert_eq!(phrases.unwrap(), read(b"hund dog").unwrap());
    }

    #[test]
    fn broken_files_name_file_and_line() {
        for (content, line) in [(&b"hund dog\nhund\n"[..], 2), (b"hund dog\n\n\xff dog", 3), (b"\tdog", 1)] {
            let e = read(content).unwrap_err();
            assert_eq!(e.exit_status(), 4);
            assert!(e.to_string().contains(&format!(":{line}: ")), "{e}");
        }
        for content in [&b""[..], b"zu hause\tat home\n"] {
            assert!(read(content).unwrap_err().to_string().contains("no pair"));
        }
    }
}
