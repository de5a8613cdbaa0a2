//! The words of one language's training captions and how often each occurs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::write::write_whole_with;
use crate::{Error, Result};

/// Words by falling count, equal counts in the order of their code points; a word's id is its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vocabulary {
    words: Vec<(String, u64)>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Counts tokenised sentences; words that occur fewer than `min_count` times are left out.
    pub fn build<'s>(sentences: impl Iterator<Item = &'s [String]>, min_count: u64) -> Vocabulary {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for word in sentences.flatten() {
            *counts.entry(word).or_default() += 1;
        }
        let mut words: Vec<_> = counts
            .into_iter()
            .filter(|&(_, count)| count >= min_count)
            .map(|(word, count)| (word.to_string(), count))
            .collect();
        words.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        Self::index(words)
    }

    /// Only the `count` most frequent words.
    pub fn first(&self, count: usize) -> Vocabulary {
        Self::index(self.words[..count.min(self.len())].to_vec())
    }

    /// Only the words of these ids, ascending and below [`Self::len`].
    pub fn some(&self, ids: &[u32]) -> Vocabulary {
        Self::index(ids.iter().map(|&id| self.words[id as usize].clone()).collect())
    }

    fn index(words: Vec<(String, u64)>) -> Vocabulary {
        let ids = words.iter().zip(0..).map(|((word, _), id)| (word.clone(), id)).collect();
        Vocabulary { words, ids }
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The word of an id below [`Self::len`].
    pub fn word(&self, id: u32) -> &str {
        &self.words[id as usize].0
    }

    /// How often the word of an id below [`Self::len`] occurs.
    pub fn count(&self, id: u32) -> u64 {
        self.words[id as usize].1
    }

    /// Nothing for a word that is not in the vocabulary.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// Words and counts in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.words.iter().map(|(word, count)| (word.as_str(), *count))
    }

    /// Writes the number of words, then a word, a tab and its count on each line.
    ///
    /// # Errors
    /// Run, when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole_with(path, |file| {
            writeln!(file, "{}", self.len())?;
            self.iter().try_for_each(|(word, count)| writeln!(file, "{word}\t{count}"))
        })
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// Data, with file and line: not UTF-8, a count that is no number or 0, words out of order or twice, lines missing or left over.
    pub fn read(path: &Path) -> Result<Vocabulary> {
        let wrong = |line: usize, what: String| {
            Error::data(what).at(path).line(line).hint("take the file from an intact run")
        };
        let mut lines =
            BufReader::new(File::open(path).map_err(|e| Error::reading(path, e))?).lines().zip(1..);
        let mut next = || match lines.next() {
            Some((Ok(text), line)) => Ok(Some((text, line))),
            Some((Err(e), line)) => Err(Error::reading(path, e).line(line)),
            None => Ok(None),
        };
        let (head, _) = next()?.ok_or_else(|| wrong(1, "is empty".into()))?;
        let expected: usize =
            head.parse().map_err(|_| wrong(1, format!("expected the number of words, got `{head}`")))?;
        let mut words: Vec<(String, u64)> = Vec::new();
        while let Some((text, line)) = next()? {
            let entry = text
                .rsplit_once('\t')
                .and_then(|(word, count)| Some((word.to_string(), count.parse().ok()?)))
                .filter(|(word, count)| !word.is_empty() && *count > 0)
                .ok_or_else(|| wrong(line, format!("expected a word, a tab and its count, got `{text}`")))?;
            if words.last().is_some_and(|last| order(last) >= order(&entry)) {
                return Err(wrong(
                    line,
                    format!("`{}` is out of order: words come by falling count", entry.0),
                ));
            }
            words.push(entry);
        }
        if words.len() != expected {
            return Err(wrong(1, format!("promises {expected} words, but {} follow", words.len())));
        }
        let found = Self::index(words);
        match found.ids.len() == found.len() {
            true => Ok(found),
            false => Err(wrong(1, "holds a word twice".into())),
        }
    }
}

fn order((word, count): &(String, u64)) -> (Reverse<u64>, &str) {
    (Reverse(*count), word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences() -> Vec<Vec<String>> {
        ["狗 b a b", "a b é 狗", "z"].map(|s| s.split(' ').map(String::from).collect()).to_vec()
    }

    fn build(min_count: u64) -> Vocabulary {
        let sentences = sentences();
        Vocabulary::build(sentences.iter().map(Vec::as_slice), min_count)
    }

    #[test]
    fn words_come_by_count_then_alphabet() {
        let vocabulary = build(1);
        assert_eq!(
            vocabulary.iter().collect::<Vec<_>>(),
            [("b", 3), ("a", 2), ("狗", 2), ("z", 1), ("é", 1)]
        );
        assert_eq!((vocabulary.id("狗"), vocabulary.id("x")), (Some(2), None));
        assert_eq!((vocabulary.word(1), vocabulary.count(1)), ("a", 2));
        assert_eq!(build(2).len(), 3);
        assert!(build(4).is_empty());
        assert_eq!(vocabulary.first(3), build(2));
        assert_eq!(vocabulary.first(9), vocabulary);
        assert_eq!(vocabulary.some(&[0, 3]).iter().collect::<Vec<_>>(), [("b", 3), ("z", 1)]);
    }

    #[test]
    fn written_and_read_are_equal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for vocabulary in [build(1), build(4)] {
            vocabulary.write(file.path()).unwrap();
            assert_eq!(Vocabulary::read(file.path()).unwrap(), vocabulary);
        }
        assert!(build(1).write(Path::new("no/such/folder/v")).is_err_and(|e| e.exit_status() == 1));
    }

    #[test]
    fn broken_files_name_file_and_line() {
        let cases: [(&[u8], usize); 10] = [
            (b"", 1),
            (b"x\n", 1),
            (b"2\na\t1\n", 1),
            (b"1\nb\t2\na\t1\n", 1),
            (b"1\nb 2\n", 2),
            (b"1\nb\t-2\n", 2),
            (b"1\n\t2\n", 2),
            (b"2\na\t1\nb\t2\n", 3),
            (b"2\na\t1\na\t1\n", 3),
            (b"1\n\xff\t2\n", 2),
        ];
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, line) in cases {
            std::fs::write(file.path(), content).unwrap();
            let e = Vocabulary::read(file.path()).unwrap_err();
            assert_eq!(e.exit_status(), 4);
            assert!(e.to_string().starts_with(&format!("`{}`:{line}: ", file.path().display())), "{e}");
        }
        std::fs::write(file.path(), "3\na\t3\nb\t2\na\t1\n").unwrap();
        assert!(Vocabulary::read(file.path()).unwrap_err().to_string().contains("twice"));
    }
}
