//! Sentences that the user gives: on the command line or, one a line, on standard input.

use std::io::{self, BufRead};

use super::terminal::Terminal;
use crate::corpus::text::{next_line, text};
use crate::retrieve::Retriever;
use crate::{Error, Result};

/// Reads standard input to its end. The last line feed ends a line and begins none.
pub fn from_stdin() -> Result<Vec<String>> {
    let name = "standard input";
    read(&mut io::stdin().lock()).map_err(|e| e.at(name))
}

fn read(input: &mut impl BufRead) -> Result<Vec<String>> {
    let (mut sentences, mut bytes) = (Vec::new(), Vec::new());
    for number in 1.. {
        if !next_line(input, &mut bytes).map_err(|e| Error::reading("".as_ref(), e))? {
            break;
        }
        let line = text(&bytes).map_err(|e| e.line(number))?;
        let line = if number == 1 { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() {
            return Err(Error::data("is empty")
                .line(number)
                .hint("take the line out; each line is a sentence"));
        }
        sentences.push(line.trim().to_owned());
    }
    match sentences.is_empty() {
        true => Err(Error::data("holds no sentence").hint("give one sentence a line")),
        false => Ok(sentences),
    }
}

/// The vectors of sentences; warns of those of which no word is known.
///
/// # Errors
/// Data, where a vector is not finite.
pub fn embedded(
    run: &dyn Retriever,
    language: usize,
    texts: &[String],
    terminal: &Terminal,
) -> Result<Vec<f32>> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (vectors, warnings) = run.embed(language, &texts)?;
    warnings.iter().for_each(|warning| terminal.warn(warning));
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sentences() {
        let parse = |mut text: &[u8]| read(&mut text).unwrap();
        assert_eq!(parse("ein Hund \r\n一只狗\n".as_bytes()), ["ein Hund", "一只狗"]);
        assert_eq!(parse("\u{feff}a\nb".as_bytes()), ["a", "b"]);
        assert_eq!(parse(b"a"), ["a"]);
    }

    #[test]
    fn what_is_no_sentence_is_refused_with_its_line() {
        let error = |mut bytes: &[u8]| read(&mut bytes).unwrap_err().at("in").to_string();
        assert!(error(b"").starts_with("`in`: holds no sentence"));
        assert!(error(b"a\n\nb\n").starts_with("`in`:2: is empty"));
        assert!(error(b"a\n\xff\n").starts_with("`in`:2: is not UTF-8 (byte 1)"));
        assert!(error(b"a\nb\nc\0d\n").starts_with("`in`:3: holds a NUL (byte 2)"));
        assert!(error(b"\xef\xbb\xbf\n").starts_with("`in`:1: is empty"));
        let long = [b"a\n", &vec![b'b'; 2 << 20][..]].concat();
        assert!(error(&long).starts_with("`in`:2: is longer than 1048576 bytes"));
    }
}
