//! A part of an index: some pictures in a folder that is written once, and never changed.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use data_encoding::HEXLOWER;

use super::Stored;
use super::codes;
use super::folder::{AGAIN, PartOf};
use crate::checksum;
use crate::corpus::{Features, NpyWriter};
use crate::map::Map;
use crate::photos::Stamp;
use crate::pixels::Day;
use crate::write::{write_whole, write_whole_with};
use crate::{Error, Result};

pub(super) const VECTORS: &str = "vectors.npy";
const IDS: &str = "ids.txt";
const KNOWN: &str = "photographs.tsv";
const THUMBNAILS: &str = "thumbnails.bin";

/// What is known of a photograph beside its vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Photograph {
    /// Of the file that was read; its time is 0 where the file was so new that it may have changed since in the same moment.
    pub stamp: Stamp,
    /// Of the file's bytes.
    pub sha256: [u8; 32],
    /// When it was taken, or else when its file was changed.
    pub day: Option<Day>,
    /// Where its thumbnail is, among those of the part.
    pub thumbnail: Range<usize>,
}

impl Photograph {
    fn line(&self) -> String {
        let Photograph { stamp: Stamp { bytes, modified }, sha256, day, thumbnail: Range { start, end } } =
            self;
        let day = day.map_or("-".to_string(), |day| day.to_string());
        format!("{bytes}\t{modified}\t{}\t{day}\t{start}\t{end}\n", HEXLOWER.encode(sha256))
    }

    fn read(line: &str) -> Option<Photograph> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let stamp = Stamp { bytes: next()?.parse().ok()?, modified: next()?.parse().ok()? };
        let sha256 = HEXLOWER.decode(next()?.as_bytes()).ok()?.try_into().ok()?;
        let day = match next()? {
            "-" => None,
            day => Some(day.parse().ok()?),
        };
        let thumbnail = next()?.parse().ok()?..next()?.parse().ok()?;
        next().is_none().then_some(Photograph { stamp, sha256, day, thumbnail })
    }
}

/// What a part is written from.
pub(super) struct Contents<'a> {
    pub ids: Vec<&'a str>,
    /// Gives the vectors in the order of the ids, some at a time.
    #[allow(clippy::type_complexity)]
    pub vectors: Box<dyn FnOnce(&mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> + 'a>,
    /// Of photographs: what is known of each, and its thumbnail.
    pub photographs: Option<Vec<(Photograph, &'a [u8])>>,
}

/// Writes a part into its empty folder.
///
/// # Errors
/// Data, where the pictures cannot be used; run, where the folder cannot be written.
pub(super) fn write(
    (name, folder): (String, &Path),
    contents: Contents,
    joint: usize,
    numbers: Stored,
) -> Result<PartOf> {
    let Contents { ids, vectors, photographs } = contents;
    let (rows, file) = (ids.len(), folder.join(VECTORS));
    let mut failed = None;
    let written = write_whole_with(&file, |out| {
        let mut npy = match numbers {
            Stored::F32 => NpyWriter::new(out, rows, joint)?,
            Stored::F16 | Stored::Int8 => NpyWriter::halves(out, rows, joint)?,
        };
        let mut take = |some: &[f32]| npy.write(some).map_err(|e| Error::writing(&file, e));
        vectors(&mut take).map_err(|error| {
            failed = Some(error);
            std::io::Error::other("the pictures cannot be used")
        })
    });
    match failed {
        Some(error) => return Err(error),
        None => written?,
    }
    if numbers == Stored::Int8 {
        codes::write(&Features::mapped(&[file])?, folder)?;
    }
    let mut text = ids.join("\n");
    text.push('\n');
    write_whole(&folder.join(IDS), text.as_bytes())?;
    let known = photographs.map(|all| write_known(folder, all)).transpose()?;
    Ok(PartOf { name, rows, dead: Vec::new(), ids: checksum::of(text.as_bytes()), known })
}

/// Writes what is known of photographs, and their thumbnails; gives the checksum of the first.
fn write_known(folder: &Path, all: Vec<(Photograph, &[u8])>) -> Result<String> {
    let (mut text, mut end) = (String::new(), 0);
    for (photograph, thumbnail) in &all {
        let start = end;
        end += thumbnail.len();
        text += &Photograph { thumbnail: start..end, ..photograph.clone() }.line();
    }
    write_whole_with(&folder.join(THUMBNAILS), |out| {
        all.iter().try_for_each(|(_, thumbnail)| out.write_all(thumbnail))
    })?;
    write_whole(&folder.join(KNOWN), text.as_bytes())?;
    Ok(checksum::of(text.as_bytes()))
}

/// A part that is open, but for its vectors.
pub(super) struct Part {
    pub ids: Vec<String>,
    /// Of photographs, a row each; else none.
    pub photographs: Vec<Photograph>,
    thumbnails: Option<Map>,
}

impl Part {
    /// # Errors
    /// Data: files that are not there, or not as they were written.
    pub fn open(folder: &Path, about: &PartOf) -> Result<Part> {
        let ids = lines(&folder.join(IDS), &about.ids, about.rows)?;
        let ids = ids.lines().map(String::from).collect();
        let Some(sum) = &about.known else {
            return Ok(Part { ids, photographs: Vec::new(), thumbnails: None });
        };
        let (file, thumbnails) = (folder.join(KNOWN), folder.join(THUMBNAILS));
        let text = lines(&file, sum, about.rows)?;
        let mut photographs = Vec::with_capacity(about.rows);
        for (n, line) in text.lines().enumerate() {
            let wrong = || Error::data("is no line of an index").at(&file).line(n + 1).hint(AGAIN);
            photographs.push(Photograph::read(line).ok_or_else(wrong)?);
        }
        let map = Map::open(&thumbnails)?;
        let whole =
            |one: &Photograph| one.thumbnail.start <= one.thumbnail.end && one.thumbnail.end <= map.len();
        if !photographs.iter().all(whole) {
            return Err(Error::data("is cut short").at(thumbnails).hint(AGAIN));
        }
        Ok(Part { ids, photographs, thumbnails: Some(map) })
    }

    /// The thumbnail of a photograph, a JPEG.
    pub fn thumbnail(&self, row: usize) -> Option<&[u8]> {
        Some(&self.thumbnails.as_ref()?[self.photographs.get(row)?.thumbnail.clone()])
    }
}

/// The text of a file of lines.
fn lines(file: &Path, sum: &str, rows: usize) -> Result<String> {
    let bytes = std::fs::read(file).map_err(|e| Error::reading(file, e))?;
    let found = checksum::of(&bytes);
    if found != sum {
        return Err(checksum::differs(&found, sum).at(file).hint(AGAIN));
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::data("is not UTF-8").at(file).hint(AGAIN))?;
    match text.lines().count() == rows {
        true => Ok(text),
        false => {
            let what = format!("has {} lines for {rows} pictures", text.lines().count());
            Err(Error::data(what).at(file).hint(AGAIN))
        }
    }
}
