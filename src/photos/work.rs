//! Features that are being made: rows in the order in which they were finished, and a journal of which is whose. An interrupted work
//! goes on from both.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::map::Map;
use crate::write::write_whole;
use crate::{Error, Result};

/// The folder of an unfinished work, its rows and journal open at their ends.
pub(super) struct Work {
    pub folder: PathBuf,
    width: usize,
    rows: File,
    journal: File,
    /// By photograph: its row, or why it has none; nothing, where it was not looked at.
    pub state: Vec<Option<Result<u32, String>>>,
    finished: u32,
}

/// A row that is there.
const DONE: &str = "done";

impl Work {
    /// Begins a work on so many photographs; with `resume` goes on with the one of the folder, if there is one. `about` says what
    /// makes its rows what they are.
    ///
    /// # Errors
    /// Config, where the work of the folder is another one; run, where it cannot be written; data, where it cannot be read.
    pub fn open(folder: PathBuf, about: &Value, width: usize, count: usize, resume: bool) -> Result<Work> {
        let at = |name: &str| folder.join(name);
        let text = serde_json::to_string_pretty(about).expect("plain data") + "\n";
        let begun = at("about.json").exists();
        if begun && !resume {
            return Err(Error::usage("holds an unfinished work")
                .at(&folder)
                .hint("`--resume` goes on with it; remove this folder to begin anew"));
        }
        if !begun && folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        }
        if begun {
            let before = fs::read_to_string(at("about.json")).map_err(|e| Error::reading(&folder, e))?;
            if before != text {
                let what = "is of another model, preprocessing or set of photographs, and cannot go on";
                return Err(Error::config(what)
                    .at(&folder)
                    .hint("remove this folder to begin anew; `about.json` in it says what it was"));
            }
        } else {
            fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
            write_whole(&at("about.json"), text.as_bytes())?;
        }
        let open = |name: &str| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(at(name));
            file.map_err(|e| Error::writing(&at(name), e))
        };
        let (rows, journal) = (open("rows.f32")?, open("journal.tsv")?);
        let mut work = Work { width, rows, journal, state: vec![None; count], finished: 0, folder };
        work.read()?;
        Ok(work)
    }

    /// Takes what both files hold whole, and cuts off the rest.
    fn read(&mut self) -> Result<()> {
        let path = self.folder.join("journal.tsv");
        let text = fs::read(&path).map_err(|e| Error::reading(&path, e))?;
        let row = 4 * self.width as u64;
        let stored = self.rows.metadata().map_err(|e| Error::reading(&path, e))?.len() / row;
        let mut whole = 0;
        for line in text.split_inclusive(|&b| b == b'\n') {
            let entry = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            let Some((n, state)) = entry.and_then(|line| line.split_once('\t')) else { break };
            let Some(slot) = n.parse().ok().and_then(|n: usize| self.state.get_mut(n)) else { break };
            if state == DONE {
                if u64::from(self.finished) >= stored {
                    break;
                }
                *slot = Some(Ok(self.finished));
                self.finished += 1;
            } else {
                *slot = Some(Err(state.to_string()));
            }
            whole += line.len() as u64;
        }
        let cut = |file: &mut File, length: u64| {
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))
        };
        cut(&mut self.rows, u64::from(self.finished) * row).map_err(|e| Error::writing(&path, e))?;
        cut(&mut self.journal, whole).map_err(|e| Error::writing(&path, e))?;
        Ok(())
    }

    /// Photographs that have no row.
    pub fn left(&self) -> Vec<usize> {
        (0..self.state.len()).filter(|&n| !matches!(self.state[n], Some(Ok(_)))).collect()
    }

    /// Keeps the rows of some photographs, or why they have none.
    ///
    /// # Errors
    /// Run, where they cannot be written.
    pub fn keep(&mut self, some: &[(usize, Result<&[f32], String>)]) -> Result<()> {
        let (mut rows, mut lines) = (Vec::new(), String::new());
        for (n, row) in some {
            let (line, state) = match row {
                Ok(row) => {
                    rows.extend(row.iter().flat_map(|x| x.to_le_bytes()));
                    self.finished += 1;
                    (DONE.to_string(), Ok(self.finished - 1))
                }
                Err(reason) => (reason.clone(), Err(reason.clone())),
            };
            lines += &format!("{n}\t{line}\n");
            self.state[*n] = Some(state);
        }
        // The journal speaks of rows that are on the disk.
        let mut write = || {
            self.rows.write_all(&rows)?;
            self.rows.sync_data()?;
            self.journal.write_all(lines.as_bytes())?;
            self.journal.sync_data()
        };
        write().map_err(|e| Error::writing(&self.folder, e))
    }

    /// The rows that are there, mapped, in the order in which they were finished; nothing, where there is none.
    ///
    /// # Errors
    /// Data, where they cannot be mapped.
    pub fn rows(&self) -> Result<Option<Map>> {
        (self.finished > 0).then(|| Map::open(&self.folder.join("rows.f32"))).transpose()
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// Run, where the system does not let it.
    pub fn remove(self) -> Result<()> {
        let Work { folder, rows, journal, .. } = self;
        drop((rows, journal));
        fs::remove_dir_all(&folder).map_err(|e| Error::writing(&folder, e))
    }

    /// The bytes of a row within [`Self::rows`].
    pub fn row<'a>(&self, rows: &'a [u8], n: u32) -> &'a [u8] {
        let size = 4 * self.width;
        &rows[n as usize * size..(n as usize + 1) * size]
    }
}

/// The folder in which features are made, beside the file that they will be in.
pub(super) fn folder_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_half_written_is_cut_off_and_faults_are_tried_again() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder_of(&place.path().join("f.npy"));
        let about = json!({"model": "a"});
        let open = |resume| Work::open(folder.clone(), &about, 2, 4, resume);
        let mut work = open(true).unwrap();
        work.keep(&[(0, Ok(&[1.0, 2.0])), (1, Err("is empty".into())), (3, Ok(&[3.0, 4.0]))]).unwrap();
        assert_eq!(work.left(), [1, 2]);
        drop(work);
        // A row without its line, and half a line.
        let append = |name: &str, bytes: &[u8]| {
            let mut file = OpenOptions::new().append(true).open(folder.join(name)).unwrap();
            file.write_all(bytes).unwrap();
        };
        append("rows.f32", &[7; 11]);
        append("journal.tsv", b"2\tdo");
        let mut work = open(true).unwrap();
        assert_eq!(work.state, [Some(Ok(0)), Some(Err("is empty".into())), None, Some(Ok(1))]);
        work.keep(&[(1, Ok(&[5.0, 6.0]))]).unwrap();
        let rows = work.rows().unwrap().unwrap();
        assert_eq!(work.row(&rows, 2), [5f32.to_le_bytes(), 6f32.to_le_bytes()].concat());
        drop((rows, work));
        // A line without its row.
        let length = OpenOptions::new().write(true).open(folder.join("rows.f32")).unwrap();
        length.set_len(20).unwrap();
        assert_eq!(open(true).unwrap().left(), [1, 2]);
        let other = Work::open(folder.clone(), &json!({"model": "b"}), 2, 4, true);
        assert_eq!(other.err().unwrap().exit_status(), 3);
        // Hours of work are not thrown away unasked.
        assert_eq!(open(false).err().unwrap().exit_status(), 2);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(open(false).unwrap().left(), [0, 1, 2, 3]);
    }
}
