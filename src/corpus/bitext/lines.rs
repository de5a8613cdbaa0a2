//! The lines of a text file, any of which can be had at once: mapped, or unpacked into memory.

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use crate::corpus::input;
use crate::map::Map;
use crate::{Error, Result};

/// Bytes that a packed file may unpack to: it is held in memory.
const MOST_UNPACKED: u64 = 4 << 30;

/// Where every so many lines a line begins is kept: half a byte a line, and few lines to pass over to any other.
const STRIDE: u64 = 16;

/// A file of lines. A plain one is mapped, and may be larger than memory.
#[derive(Debug)]
pub(super) struct Lines {
    pub path: PathBuf,
    bytes: Bytes,
    /// Where line n · [`STRIDE`] begins.
    marks: Vec<u64>,
    /// How many there are.
    pub count: u64,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Map),
    Unpacked(Vec<u8>),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Unpacked(bytes) => bytes,
        }
    }
}

impl Lines {
    /// Reads a file once; `take` gets the number of each line, from 0, and its text without the line end.
    ///
    /// # Errors
    /// Data, naming the file: not to be read, packed and too large, no text; and its line: not UTF-8, too long, or what `take` says.
    pub fn open(path: &Path, mut take: impl FnMut(u64, &str) -> Result<()>) -> Result<Lines> {
        let bytes = bytes(path)?;
        let all = bytes.all();
        let (mut marks, mut count) = (Vec::new(), 0);
        let mut at = if all.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        while at < all.len() {
            if count % STRIDE == 0 {
                marks.push(at as u64);
            }
            let line = line_at(all, at);
            input::text(line)
                .and_then(|line| take(count, line))
                .map_err(|e| e.at(path).line(count as usize + 1))?;
            at += line.len() + 1;
            count += 1;
        }
        Ok(Lines { path: path.to_path_buf(), bytes, marks, count })
    }

    /// A line, from 0, without its end.
    pub fn get(&self, line: u64) -> &str {
        let all = self.bytes.all();
        let mut at = self.marks[(line / STRIDE) as usize] as usize;
        for _ in 0..line % STRIDE {
            at += line_at(all, at).len() + 1;
        }
        // It was UTF-8 when the file was opened.
        std::str::from_utf8(line_at(all, at)).unwrap_or_default()
    }

    /// What the file holds, unpacked.
    pub fn content(&self) -> &[u8] {
        self.bytes.all()
    }

    /// Bytes in memory, whatever is mapped left out.
    pub fn held(&self) -> u64 {
        let unpacked = match &self.bytes {
            Bytes::Mapped(_) => 0,
            Bytes::Unpacked(bytes) => bytes.len() as u64,
        };
        unpacked + 8 * self.marks.len() as u64
    }
}

/// The line that begins at a byte, without its end.
fn line_at(all: &[u8], at: usize) -> &[u8] {
    let rest = &all[at..];
    &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
}

fn bytes(path: &Path) -> Result<Bytes> {
    let reading = |e| Error::reading(path, e);
    let mut head = Vec::new();
    let file = File::open(path).map_err(|e| {
        Error::reading(path, e).hint("the path comes from `data.pairs`, relative to `data.root`")
    })?;
    file.take(4).read_to_end(&mut head).map_err(reading)?;
    if head == b"PAR1" {
        let fault = Error::data("is a Parquet file").at(path);
        return Err(fault.hint("write its sentence pairs as JSON lines, or as columns with tabs between"));
    }
    // Says of other files that are no text what they are.
    let mut text = input::open(path)?;
    if input::packing(&head).is_none() {
        return Map::open(path).map(Bytes::Mapped);
    }
    let mut unpacked = Vec::new();
    while let chunk = text.fill_buf().map_err(reading)?
        && !chunk.is_empty()
    {
        unpacked.extend_from_slice(chunk);
        let read = chunk.len();
        text.consume(read);
        if unpacked.len() as u64 > MOST_UNPACKED {
            let what = format!("unpacks to more than {} GiB, which are held in memory", MOST_UNPACKED >> 30);
            return Err(Error::data(what).at(path).hint("unpack it: a plain file stays on the disk"));
        }
    }
    Ok(Bytes::Unpacked(unpacked))
}
