//! Sentences that the user gives: on the command line or, one a line, on standard input.

use std::io::{self, Read};

use super::terminal::Terminal;
use crate::run::Retriever;
use crate::{Error, Result};

/// Reads standard input to its end. The last line feed ends a line and begins none.
pub fn from_stdin() -> Result<Vec<String>> {
    let mut bytes = Vec::new();
    let name = "standard input";
    io::stdin().lock().read_to_end(&mut bytes).map_err(|e| Error::reading(name.as_ref(), e))?;
    parse(&bytes).map_err(|e| e.at(name))
}

fn parse(bytes: &[u8]) -> Result<Vec<String>> {
    if bytes.is_empty() {
        return Err(Error::data("holds no sentence").hint("give one sentence a line"));
    }
    let mut sentences = Vec::new();
    for (n, line) in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&b| b == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|e| {
            let what = format!("is not UTF-8 (byte {})", e.valid_up_to() + 1);
            Error::data(what).line(n + 1).hint("convert it, for example with `iconv -t UTF-8`")
        })?;
        if line.trim().is_empty() {
            return Err(Error::data("is empty")
                .line(n + 1)
                .hint("take the line out; each line is a sentence"));
        }
        sentences.push(line.trim().to_owned());
    }
    Ok(sentences)
}

/// The vectors of sentences; warns of those of which no word is known.
pub fn embedded(run: &dyn Retriever, language: usize, texts: &[String], terminal: &Terminal) -> Vec<f32> {
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let sentences = run.sentences(language, &all);
    let code = &run.languages()[language];
    for &n in sentences.unknown.iter().take(SHOWN) {
        terminal
            .warn(&format!("the model knows no word of `{}` in `{code}`: its vector says nothing", texts[n]));
    }
    if sentences.unknown.len() > SHOWN {
        terminal.warn(&format!("so it is with {} sentences in all", sentences.unknown.len()));
    }
    if let Some(&first) = sentences.truncated.first() {
        let (count, text) = (sentences.truncated.len(), &texts[first]);
        terminal.warn(&format!(
            "{count} sentences are longer than the model's context and lose their end, as `{text}`"
        ));
    }
    sentences.vectors
}

/// Warnings of one kind.
const SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sentences() {
        assert_eq!(parse("ein Hund \r\n一只狗\n".as_bytes()).unwrap(), ["ein Hund", "一只狗"]);
        assert_eq!(parse(b"a").unwrap(), ["a"]);
    }

    #[test]
    fn what_is_no_sentence_is_refused_with_its_line() {
        let error = |bytes: &[u8]| parse(bytes).unwrap_err().at("in").to_string();
        assert!(error(b"").starts_with("`in`: holds no sentence"));
        assert!(error(b"a\n\nb\n").starts_with("`in`:2: is empty"));
        assert!(error(b"a\n\xff\n").starts_with("`in`:2: is not UTF-8 (byte 1)"));
    }
}
