//! Photographs that have gone through the tower for an index that is not written yet: by the content of their files, so that they count whatever
//! else has changed when the work goes on.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::building::remove;
use crate::map::Map;
use crate::pixels::Day;
use crate::write::write_whole;
use crate::{Error, Result};

/// The folder of the work within that of the index.
pub(super) const PENDING: &str = "pending";

/// SHA-256 of a file.
pub(super) type Content = [u8; 32];

/// A photograph that is finished.
pub(super) struct Finished {
    pub content: Content,
    pub vector: Vec<f32>,
    pub day: Option<Day>,
    pub thumbnail: Vec<u8>,
}

/// The folder of an unfinished work, its files open at their ends.
pub(super) struct Pending {
    folder: PathBuf,
    width: usize,
    vectors: File,
    thumbnails: File,
    journal: File,
    /// Of each that is finished: its day, and where its thumbnail begins and ends.
    entries: Vec<(Option<Day>, usize, usize)>,
    by_content: HashMap<Content, usize>,
}

/// What is finished, mapped.
pub(super) struct Mapped {
    vectors: Map,
    thumbnails: Map,
    width: usize,
}

impl Pending {
    /// Goes on with the work of an index, or begins one. What was made by something else than `about` says is removed.
    ///
    /// # Errors
    /// Run, where the folder cannot be written; data, where it cannot be read.
    pub fn open(index: &Path, about: &Value, width: usize) -> Result<Pending> {
        let folder = index.join(PENDING);
        let failed = |e| Error::writing(&folder, e);
        let (file, text) = (folder.join("about.json"), serde_json::to_string(about).expect("plain data"));
        if fs::read_to_string(&file).is_ok_and(|before| before != text) || !file.exists() {
            remove(&folder).map_err(failed)?;
        }
        if !file.exists() {
            fs::create_dir_all(&folder).map_err(failed)?;
            write_whole(&file, text.as_bytes())?;
        }
        let open = |name: &str| {
            let mut open = OpenOptions::new();
            open.read(true).write(true).create(true).truncate(false).open(folder.join(name)).map_err(failed)
        };
        let (vectors, thumbnails) = (open("vectors.f32")?, open("thumbnails.bin")?);
        let journal = open("journal.tsv")?;
        let mut pending = Pending {
            width,
            vectors,
            thumbnails,
            journal,
            entries: Vec::new(),
            by_content: HashMap::new(),
            folder: folder.clone(),
        };
        pending.read()?;
        Ok(pending)
    }

    /// Takes what all files hold whole, and cuts off the rest.
    fn read(&mut self) -> Result<()> {
        let path = self.folder.join("journal.tsv");
        let text = fs::read(&path).map_err(|e| Error::reading(&path, e))?;
        let length =
            |file: &File| file.metadata().map(|about| about.len()).map_err(|e| Error::reading(&path, e));
        let row = 4 * self.width as u64;
        let (vectors, thumbnails) = (length(&self.vectors)? / row, length(&self.thumbnails)?);
        let mut whole = 0;
        for line in text.split_inclusive(|&b| b == b'\n') {
            let Some((content, day, end)) = read(line) else { break };
            if self.entries.len() as u64 >= vectors || end as u64 > thumbnails || end < self.end() {
                break;
            }
            self.add(content, day, end);
            whole += line.len() as u64;
        }
        let cut = |file: &mut File, length: u64| {
            file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)))
        };
        let (rows, end) = (self.entries.len() as u64 * row, self.end() as u64);
        let all = [(&mut self.vectors, rows), (&mut self.thumbnails, end), (&mut self.journal, whole)];
        all.into_iter().try_for_each(|(file, length)| {
            cut(file, length).map(drop).map_err(|e| Error::writing(&self.folder, e))
        })
    }

    /// Where the next thumbnail begins.
    fn end(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.2)
    }

    fn add(&mut self, content: Content, day: Option<Day>, end: usize) {
        self.by_content.insert(content, self.entries.len());
        self.entries.push((day, self.end(), end));
    }

    /// The place of a photograph, by its content.
    pub fn find(&self, content: &Content) -> Option<usize> {
        self.by_content.get(content).copied()
    }

    /// All contents that are finished.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.by_content.keys()
    }

    /// Keeps some more.
    ///
    /// # Errors
    /// Run, where they cannot be written.
    pub fn keep(&mut self, some: &[Finished]) -> Result<()> {
        let (mut vectors, mut thumbnails, mut lines, mut end) =
            (Vec::new(), Vec::new(), String::new(), self.end());
        for Finished { content, vector, day, thumbnail } in some {
            vectors.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
            thumbnails.extend_from_slice(thumbnail);
            end += thumbnail.len();
            let day = day.map_or("-".to_string(), |day| day.to_string());
            lines += &format!("{}\t{day}\t{end}\n", HEXLOWER.encode(content));
        }
        // The journal speaks of what is on the disk.
        let mut write = || {
            self.vectors.write_all(&vectors)?;
            self.thumbnails.write_all(&thumbnails)?;
            self.vectors.sync_data()?;
            self.thumbnails.sync_data()?;
            self.journal.write_all(lines.as_bytes())?;
            self.journal.sync_data()
        };
        write().map_err(|e| Error::writing(&self.folder, e))?;
        for Finished { content, day, thumbnail, .. } in some {
            self.add(*content, *day, self.end() + thumbnail.len());
        }
        Ok(())
    }

    /// The day of one, and its place among the thumbnails.
    pub fn day(&self, n: usize) -> Option<Day> {
        self.entries[n].0
    }

    /// All that is finished; nothing, where there is none.
    ///
    /// # Errors
    /// Data, where it cannot be mapped.
    pub fn mapped(&self) -> Result<Option<Mapped>> {
        let map = |name: &str| Map::open(&self.folder.join(name));
        let all = || {
            Ok(Mapped { vectors: map("vectors.f32")?, thumbnails: map("thumbnails.bin")?, width: self.width })
        };
        (!self.entries.is_empty()).then(all).transpose()
    }

    /// The bytes of a thumbnail.
    pub fn thumbnail<'a>(&self, mapped: &'a Mapped, n: usize) -> &'a [u8] {
        let (_, start, end) = self.entries[n];
        &mapped.thumbnails[start..end]
    }

    /// Removes the folder of an index's work.
    ///
    /// # Errors
    /// Run, where the system does not let it.
    pub fn remove(index: &Path) -> Result<()> {
        let folder = index.join(PENDING);
        remove(&folder).map_err(|e| Error::writing(&folder, e))
    }
}

impl Mapped {
    /// Copies a vector.
    pub fn copy(&self, n: usize, out: &mut [f32]) {
        let bytes = &self.vectors[4 * n * self.width..][..4 * self.width];
        out.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(x, bytes)| *x = f32::from_le_bytes(*bytes));
    }
}

/// A line of the journal.
fn read(line: &[u8]) -> Option<(Content, Option<Day>, usize)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut fields = line.split('\t');
    let content = HEXLOWER.decode(fields.next()?.as_bytes()).ok()?.try_into().ok()?;
    let day = match fields.next()? {
        "-" => None,
        day => Some(day.parse().ok()?),
    };
    let end = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some((content, day, end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_half_written_is_cut_off_and_of_another_model_removed() {
        let place = tempfile::tempdir().unwrap();
        let open = |model: &str| Pending::open(place.path(), &json!({"model": model}), 2).unwrap();
        let finished = |n: u8| Finished {
            content: [n; 32],
            vector: vec![f32::from(n), 0.5],
            day: Day::new(2024, 5, n),
            thumbnail: vec![n; usize::from(n)],
        };
        let mut pending = open("a");
        assert!(pending.mapped().unwrap().is_none());
        pending.keep(&[finished(3), finished(1)]).unwrap();
        drop(pending);
        let whole: Vec<u64> = ["vectors.f32", "thumbnails.bin", "journal.tsv"]
            .map(|name| place.path().join(PENDING).join(name).metadata().unwrap().len())
            .to_vec();
        // Killed at any byte of any of the three.
        for (name, more) in [("vectors.f32", 5), ("thumbnails.bin", 3), ("journal.tsv", 20)] {
            let mut file =
                OpenOptions::new().append(true).open(place.path().join(PENDING).join(name)).unwrap();
            file.write_all(&vec![b'7'; more]).unwrap();
        }
        let mut pending = open("a");
        assert_eq!(
            (pending.find(&[3; 32]), pending.find(&[1; 32]), pending.find(&[2; 32])),
            (Some(0), Some(1), None)
        );
        pending.keep(&[finished(2)]).unwrap();
        let mapped = pending.mapped().unwrap().unwrap();
        let mut vector = [0.0; 2];
        for (n, value) in [(0, 3), (1, 1), (2, 2)] {
            mapped.copy(n, &mut vector);
            assert_eq!(vector, [f32::from(value), 0.5]);
            assert_eq!(pending.thumbnail(&mapped, n), vec![value; usize::from(value)]);
            assert_eq!(pending.day(n), Day::new(2024, 5, value));
        }
        drop((pending, mapped));
        // A line of which the files have nothing.
        let cut = |name: &str, length: u64| {
            OpenOptions::new()
                .write(true)
                .open(place.path().join(PENDING).join(name))
                .unwrap()
                .set_len(length)
                .unwrap();
        };
        cut("thumbnails.bin", whole[1]);
        assert_eq!(open("a").find(&[2; 32]), None);
        cut("vectors.f32", whole[0] - 1);
        assert_eq!((open("a").find(&[1; 32]), open("a").find(&[3; 32])), (None, Some(0)));
        assert_eq!(open("b").find(&[3; 32]), None);
        Pending::remove(place.path()).unwrap();
        assert!(fs::read_dir(place.path()).unwrap().next().is_none());
    }
}
