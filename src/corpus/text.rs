//! Lines of text from outside: bounded, UTF-8, and text indeed.

use std::io::{self, BufRead, Read};

use crate::{Error, Result};

/// Bytes of the longest line that is taken for a sentence. Whoever reads lines can hold one.
pub const LONGEST_LINE: usize = 1 << 20;

/// Reads a line, with its end; false where there is none. Of a line that is too long only what [`text`] needs to refuse it.
///
/// # Errors
/// As the reader says.
pub fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = LONGEST_LINE as u64 + 2;
    Ok(reader.take(most).read_until(b'\n', line)? > 0)
}

/// A line as text, with its end.
///
/// # Errors
/// Data, without file and line: longer than [`LONGEST_LINE`], not UTF-8, or with a NUL, as no text has one.
pub fn text(line: &[u8]) -> Result<&str> {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    if body.len() > LONGEST_LINE {
        return Err(Error::data(format!("is longer than {LONGEST_LINE} bytes"))
            .hint("a line is one sentence: is this another kind of file?"));
    }
    let text = std::str::from_utf8(line).map_err(|e| {
        Error::data(format!("is not UTF-8 (byte {})", e.valid_up_to() + 1))
            .hint("convert it, for example with `iconv -t UTF-8`")
    })?;
    match text.find('\0') {
        Some(at) => Err(Error::data(format!("holds a NUL (byte {})", at + 1))
            .hint("it is no text, or UTF-16: convert it, for example with `iconv -f UTF-16 -t UTF-8`")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are() {
        let (mut reader, mut line, mut lines) = (&b"a\r\n\nb"[..], Vec::new(), Vec::new());
        while next_line(&mut reader, &mut line).unwrap() {
            lines.push(text(&line).unwrap().to_string());
        }
        assert_eq!(lines, ["a\r\n", "\n", "b"]);
    }

    #[test]
    fn what_is_no_line_of_text_is_refused() {
        let long = [&vec![b'a'; LONGEST_LINE][..], b"\n"].concat();
        assert_eq!(text(&long).unwrap().len(), LONGEST_LINE + 1);
        let longer = vec![b'a'; LONGEST_LINE + 1];
        for (bytes, said) in
            [(&longer[..], "longer than 1048576"), (b"a\xff", "UTF-8 (byte 2)"), (b"a\0b", "NUL (byte 2)")]
        {
            let error = text(bytes).unwrap_err();
            assert!(error.to_string().contains(said) && error.exit_status() == 4, "{error}");
        }
        // An endless line is not read to its end.
        let mut line = Vec::new();
        assert!(next_line(&mut io::BufReader::new(io::repeat(0)), &mut line).unwrap());
        assert!(text(&line).is_err());
    }
}
