//! Caption files as they lie on the disk: plain, or packed by gzip or zstd; told by their first bytes, not by their names.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::corpus::text::next_line;
pub(crate) use crate::corpus::text::text;
use crate::{Error, Result};

const BUFFER: usize = 1 << 16;

/// First bytes of files that are no text, what they are, and what to do with them.
const OTHERS: [(&[u8], &str, &str); 10] = [
    (b"PAR1", "is a Parquet file", "set `format = \"parquet\"`"),
    (b"BZh", "is packed by bzip2", "unpack it with `bunzip2`; gzip and zstd are read as they are"),
    (b"\xfd7zXZ\0", "is packed by xz", "unpack it with `unxz`; gzip and zstd are read as they are"),
    (b"PK\x03\x04", "is a zip archive", "unpack it with `unzip`, and name the files in it"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", "unpack it, and name the files in it"),
    (b"ARROW1", "is an Arrow file", "write it as Parquet or JSON lines"),
    (b"\x89HDF", "is an HDF5 file", "write its captions as JSON lines"),
    (b"\x93NUMPY", "is a NumPy array", "features belong in `data.features`"),
    (b"\xff\xfe", "is UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "is UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"),
];

/// Opens a text file, unpacked where it is packed, behind its byte order mark.
///
/// # Errors
/// Kind `Data` for a file that cannot be read, and for one that is no text, named by what it is.
pub(crate) fn open(file: &Path) -> Result<Box<dyn BufRead>> {
    let opened = File::open(file).map_err(|e| {
        Error::reading(file, e).hint("the path comes from `data.captions`, relative to `data.root`")
    })?;
    let read = |e| Error::reading(file, e);
    let (head, packed) = peek(BufReader::with_capacity(BUFFER, opened)).map_err(read)?;
    let unpacked: Box<dyn BufRead> = match packing(&head) {
        Some(Packing::Gzip) => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(packed))),
        Some(Packing::Zstd) => Box::new(BufReader::with_capacity(BUFFER, Frames::new(packed))),
        None => Box::new(packed),
    };
    let (head, mut text) = peek(unpacked).map_err(read)?;
    if let Some((_, what, hint)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Err(Error::data(*what).at(file).hint(*hint));
    }
    if head.starts_with(b"\xef\xbb\xbf") {
        text.consume(3);
    }
    Ok(Box::new(text))
}

/// How a file is packed.
pub(in crate::corpus) enum Packing {
    Gzip,
    Zstd,
}

/// How a file with these first bytes is packed, four at least; none, where it is plain.
pub(in crate::corpus) fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        _ => None,
    }
}

/// Reads `file` line by line, without the line ends; `take` gets the number of the line, from 1, and its text.
///
/// # Errors
/// As [`open`], for a line that is no text, and what `take` says.
pub(crate) fn each_line(file: &Path, mut take: impl FnMut(usize, &str) -> Result<()>) -> Result<()> {
    let mut reader = open(file)?;
    let mut bytes = Vec::new();
    for number in 1.. {
        if !next_line(&mut reader, &mut bytes).map_err(|e| Error::reading(file, e).line(number))? {
            break;
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = text(line).map_err(|e| e.at(file).line(number))?;
        take(number, line)?;
    }
    Ok(())
}

/// The line, from 1, of the first byte at or after `byte` that is no line end.
pub(crate) fn line_of(file: &Path, byte: u64) -> Result<usize> {
    let mut line = 1;
    for (n, read) in open(file)?.bytes().enumerate() {
        let read = read.map_err(|e| Error::reading(file, e))?;
        if n as u64 >= byte && !matches!(read, b'\r' | b'\n') {
            break;
        }
        line += usize::from(read == b'\n');
    }
    Ok(line)
}

type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// The first bytes, eight where there are as many, and a reader that still gives them.
fn peek<R: BufRead>(mut reader: R) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut head = Vec::new();
    (&mut reader).take(8).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(reader)))
}

/// Unpacks zstd: the frames of a file one after the other, each held against its checksum where it has one.
struct Frames<R: BufRead> {
    source: Option<R>,
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Self {
        Frames { source: Some(source), frame: None }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(out)?;
                if count > 0 || out.is_empty() {
                    return Ok(count);
                }
            }
            if let Some((source, decoder)) = self.frame.take().map(StreamingDecoder::into_parts) {
                let stored = decoder.get_checksum_from_data();
                if stored.is_some() && stored != decoder.get_calculated_checksum() {
                    return Err(io::Error::other("a zstd frame has not its checksum"));
                }
                self.source = Some(source);
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(source).map_err(io::Error::other)?);
        }
    }
}
