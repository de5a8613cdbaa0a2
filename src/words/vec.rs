//! FastText's text format (`.vec`): a line `words width`, then on each line a word and its numbers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::write::write_whole_with;
use crate::{Error, Result};

/// Vectors of the needed words alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    width: usize,
    ids: HashMap<String, u32>,
    /// (words × width)
    vectors: Vec<f32>,
}

impl Table {
    /// Streams the file: memory holds one line and the words for which `needed` says true.
    pub(super) fn open(path: &Path, needed: &dyn Fn(&str) -> bool) -> Result<Table> {
        let mut lines = Lines::open(path)?;
        let (words, width) = lines.header()?;
        let mut table = Table { width, ids: HashMap::new(), vectors: Vec::new() };
        while lines.next()? {
            let found = lines.number - 1;
            if found > words {
                return Err(lines.wrong(format!("is line {found} after the header, which promises {words}")));
            }
            table.take(&lines, needed)?;
        }
        let found = lines.number - 1;
        if found != words {
            return Err(Error::data(format!("promises {words} words, but ends after {found}"))
                .at(path)
                .line(1)
                .hint("the file is cut off: get it again"));
        }
        Ok(table)
    }

    /// The width that the first line says.
    pub(super) fn promised_width(path: &Path) -> Result<usize> {
        Lines::open(path)?.header().map(|(_, width)| width)
    }

    /// Takes the vector of a needed word. Lines that give none: words that are not UTF-8, words with a space inside, which no
    /// token can be, and words that have come before.
    fn take(&mut self, lines: &Lines, needed: &dyn Fn(&str) -> bool) -> Result<()> {
        let (word, numbers) = lines.split(self.width)?;
        let Ok(word) = std::str::from_utf8(word) else { return Ok(()) };
        if word.contains(' ') {
            numbers.split(|&b| b == b' ').try_for_each(|number| lines.number_of(number).map(drop))?;
        } else if needed(word) && !self.ids.contains_key(word) {
            for number in numbers.split(|&b| b == b' ') {
                self.vectors.push(lines.number_of(number)?);
            }
            self.ids.insert(word.to_string(), self.ids.len() as u32);
        }
        Ok(())
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        write_whole_with(path, |file| {
            writeln!(file, "{} {}", self.ids.len(), self.width)?;
            let mut words: Vec<_> = self.ids.iter().collect();
            words.sort_unstable_by_key(|(_, id)| **id);
            for ((word, _), vector) in words.into_iter().zip(self.vectors.chunks_exact(self.width)) {
                write!(file, "{word}")?;
                vector.iter().try_for_each(|x| write!(file, " {x}"))?;
                writeln!(file)?;
            }
            Ok(())
        })
    }

    /// The words for which `kept` says true, in their order.
    pub(super) fn some(&self, kept: &dyn Fn(&str) -> bool) -> Table {
        let mut words: Vec<(&String, u32)> = self.ids.iter().map(|(word, id)| (word, *id)).collect();
        words.retain(|(word, _)| kept(word));
        words.sort_unstable_by_key(|(_, id)| *id);
        let vectors = words.iter().flat_map(|(word, _)| self.get(word).expect("one of its words")).copied();
        let vectors = vectors.collect();
        let ids = words.iter().zip(0..).map(|((word, _), id)| (word.to_string(), id)).collect();
        Table { width: self.width, ids, vectors }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn get(&self, word: &str) -> Option<&[f32]> {
        let id = *self.ids.get(word)? as usize;
        Some(&self.vectors[id * self.width..][..self.width])
    }
}

/// The lines of a file, one at a time.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// Of `line`, from 1.
    number: usize,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines> {
        let file = File::open(path).map_err(|e| Error::reading(path, e))?;
        Ok(Lines {
            path: path.to_path_buf(),
            file: BufReader::with_capacity(1 << 20, file),
            line: Vec::new(),
            number: 0,
        })
    }

    /// Reads a line, without the white space that ends it; false at the end of the file.
    fn next(&mut self) -> Result<bool> {
        self.line.clear();
        if self.file.read_until(b'\n', &mut self.line).map_err(|e| Error::reading(&self.path, e))? == 0 {
            return Ok(false);
        }
        self.line.truncate(self.line.trim_ascii_end().len());
        self.number += 1;
        Ok(true)
    }

    fn header(&mut self) -> Result<(usize, usize)> {
        self.next()?;
        let parse = || {
            let (words, width) = std::str::from_utf8(&self.line).ok()?.split_once(' ')?;
            Some((words.parse().ok()?, width.parse().ok().filter(|&width| width > 0)?))
        };
        parse().ok_or_else(|| {
            let start = String::from_utf8_lossy(&self.line[..self.line.len().min(40)]).into_owned();
            self.wrong(format!("expected the number of words and the width of their vectors, got `{start}`"))
        })
    }

    /// The word and its `width` numbers. A word may hold spaces, so the numbers are counted from the right.
    fn split(&self, width: usize) -> Result<(&[u8], &[u8])> {
        let line = &self.line[..];
        let spaces = spaces(line);
        let end = match spaces.checked_sub(width) {
            Some(0) => line.iter().position(|&b| b == b' '),
            Some(_) => {
                line.iter().enumerate().rev().filter(|(_, b)| **b == b' ').nth(width - 1).map(|(at, _)| at)
            }
            None => None,
        };
        let end = end.ok_or_else(|| {
            self.wrong(format!("expected a word and {width} numbers, got {spaces} numbers"))
        })?;
        let word = &line[..end];
        // A number with a point at the end of the word is no part of it: the line is too long.
        let last = word.rsplit(|&b| b == b' ').next().unwrap_or_default();
        if spaces > width && last.contains(&b'.') && self.number_of(last).is_ok() {
            return Err(self.wrong(format!("expected a word and {width} numbers, got more")));
        }
        Ok((word, &line[end + 1..]))
    }

    fn number_of(&self, text: &[u8]) -> Result<f32> {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f32>().ok());
        number.filter(|x| x.is_finite()).ok_or_else(|| {
            self.wrong(format!("expected a finite number, got `{}`", String::from_utf8_lossy(text)))
        })
    }

    fn wrong(&self, what: String) -> Error {
        Error::data(what)
            .at(&self.path)
            .line(self.number.max(1))
            .hint("give vectors in FastText's text format, with its first line")
    }
}

/// Most of the time goes here and into the disk: sums of bytes, which cannot overflow in 255 of them, become wide instructions.
fn spaces(line: &[u8]) -> usize {
    line.chunks(255).map(|part| part.iter().map(|&b| (b == b' ') as u8).sum::<u8>() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(content: impl AsRef<[u8]>) -> Result<Table> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cc.vec");
        std::fs::write(&path, content).unwrap();
        Table::open(&path, &|word| word != "der")
    }

    const GOOD: &str = "5 3\nder 1 2 3 \n犬 0.5 -1e-3 7\nder 3 2 1\nпёс 1 1 1\nend 3 3 3";

    #[test]
    fn only_needed_words_are_kept() {
        let table = open(GOOD).unwrap();
        assert_eq!((table.width(), table.ids.len()), (3, 3));
        assert_eq!(table.get("犬"), Some(&[0.5, -1e-3, 7.0][..]));
        assert_eq!(table.get("end"), Some(&[3.0; 3][..]));
        assert_eq!(table.get("der"), None);
        assert_eq!(open(GOOD.replace('\n', "\r\n")).unwrap(), table);
    }

    #[test]
    fn first_of_repeated_words_wins() {
        let table = open("3 2\na 1 1\na 2 2\nder 2 2\n").unwrap();
        assert_eq!(table.get("a"), Some(&[1.0; 2][..]));
        assert_eq!(table.ids.len(), 1);
    }

    #[test]
    fn words_no_token_can_be_are_left_out() {
        let table = open(b"4 2\n. . 1 1\n caf\xe9 2 2\ncaf\xe9 2 2\nb 1 2\n").unwrap();
        assert_eq!((table.ids.len(), table.get("b")), (1, Some(&[1.0, 2.0][..])));
    }

    #[test]
    fn written_and_read_are_equal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut table = open(GOOD).unwrap();
        table.vectors[0] = f32::MIN_POSITIVE / 3.0;
        table.vectors[4] = 0.1 + f32::EPSILON;
        table.save(file.path()).unwrap();
        assert_eq!(Table::open(file.path(), &|_| true).unwrap(), table);
    }

    #[test]
    fn broken_files_name_file_line_and_value() {
        let cases: [(&[u8], usize, &str); 15] = [
            (b"", 1, "``"),
            (b"a 1 2\nb 1 2\n", 1, "`a 1 2`"),
            (b"1 0\na\n", 1, "`1 0`"),
            (b"x 2\na 1 2\n", 1, "`x 2`"),
            (b"2 2\na 1 2\n", 1, "promises 2 words, but ends after 1"),
            (b"1 2\na 1 2\nb 1 2\n", 3, "promises 1"),
            (b"2 2\na 1\nb 1 2\n", 2, "2 numbers, got 1"),
            (b"2 2\na 1 2\nb 1.0 2.0 3.0\n", 3, "got more"),
            (b"1 2\na 1 2,5\n", 2, "`2,5`"),
            (b"1 2\na nan 2\n", 2, "`nan`"),
            (b"1 2\na 1 inf\n", 2, "`inf`"),
            (b"1 2\na 1e99 1\n", 2, "`1e99`"),
            (b"2 2\na 1 2\n\n", 3, "got 0"),
            (b"1 2\na 1 \xff\n", 2, "expected a finite number"),
            (b"1 2\na 1  2\n", 2, "``"),
        ];
        for (content, line, value) in cases {
            let message = open(content).unwrap_err().to_string();
            assert!(message.contains(&format!("cc.vec`:{line}: ")) && message.contains(value), "{message}");
        }
        assert_eq!(Table::open(Path::new("no/such.vec"), &|_| true).unwrap_err().exit_status(), 4);
    }
}
