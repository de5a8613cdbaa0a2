//! What is laid out: files by split, and what to tell of them.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::corpus::{SplitName, input};
use crate::write::write_whole;
use crate::{Error, Result};

/// Files that were written, and what the user does next.
#[derive(Debug)]
pub struct Laid {
    /// Where they are written first.
    folder: PathBuf,
    /// Where they will be.
    out: PathBuf,
    /// Each kind of file, in the order in which they were written.
    pub written: Vec<Written>,
    /// What is not published, and how it is made; what was left out.
    pub notes: Vec<String>,
}

/// A file, or one for each split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its path within the folder, with `{split}` where there is one for each split.
    pub file: String,
    /// What it holds, each with its number: by split, e.g. "29000 train", or by kind, e.g. "40000 captions".
    pub holds: Vec<String>,
}

impl Laid {
    pub(super) fn new(folder: &Path, out: &Path) -> Laid {
        Laid { folder: folder.to_path_buf(), out: out.to_path_buf(), written: Vec::new(), notes: Vec::new() }
    }

    /// Where the files will be.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Makes the folder of a file and gives its path for now.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let part = self.out.join(name.split('/').next().unwrap_or(name));
        if part.exists() {
            return Err(Error::usage("is there already")
                .at(part)
                .hint("give another folder by `--out`, or move it away to lay it out anew"));
        }
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        Ok(path)
    }

    fn told(&mut self, file: &str, holds: String) {
        match self.written.iter_mut().find(|written| written.file == file) {
            Some(written) => written.holds.push(holds),
            None => self.written.push(Written { file: file.into(), holds: vec![holds] }),
        }
    }

    /// Writes a file.
    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8], holds: impl Into<String>) -> Result<()> {
        write_whole(&self.place(name)?, bytes)?;
        self.told(name, holds.into());
        Ok(())
    }

    /// Writes the file of a split, `{split}` in `name`, a line each.
    pub(super) fn lines<S: AsRef<str>>(&mut self, name: &str, split: SplitName, lines: &[S]) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            text += line.as_ref();
            text.push('\n');
        }
        self.split(name, split, text.as_bytes(), lines.len())
    }

    /// As [`Self::lines`], a JSON object each.
    pub(super) fn json_lines<T: Serialize>(
        &mut self,
        name: &str,
        split: SplitName,
        lines: &[T],
    ) -> Result<()> {
        let lines: Vec<String> =
            lines.iter().map(|line| serde_json::to_string(line).expect("plain data")).collect();
        self.lines(name, split, &lines)
    }

    /// Writes the file of a split that holds `count` things.
    pub(super) fn split(&mut self, name: &str, split: SplitName, bytes: &[u8], count: usize) -> Result<()> {
        write_whole(&self.place(&name.replace("{split}", &split.to_string()))?, bytes)?;
        self.told(name, format!("{count} {split}"));
        Ok(())
    }

    /// Writes a file as it is, unpacked where it is packed. `copy` does that.
    pub(super) fn copied(
        &mut self,
        name: &str,
        holds: impl Into<String>,
        copy: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        copy(&self.place(name)?)?;
        self.told(name, holds.into());
        Ok(())
    }

    /// Writes a text that was published, unpacked where it is packed.
    pub(super) fn unpacked(&mut self, name: &str, file: &Path, holds: impl Into<String>) -> Result<()> {
        let mut bytes = Vec::new();
        let mut text = BufReader::new(input::open(file)?);
        std::io::Read::read_to_end(&mut text, &mut bytes).map_err(|e| Error::reading(file, e))?;
        self.bytes(name, &bytes, holds)
    }

    /// What the user makes of the photographs of the splits, whose names are in `list`.
    pub(super) fn note_features(&mut self, list: &str, splits: &[SplitName], photographs: &str) {
        let out = self.out.display();
        let first = splits[0];
        let of = |split: SplitName| list.replace("{split}", &split.to_string());
        let others = match splits.len() {
            1 => String::new(),
            _ => {
                let others: Vec<String> = splits[1..].iter().map(SplitName::to_string).collect();
                format!(", and so for {}", others.join(" and "))
            }
        };
        self.note(format!(
            "features of pictures are not published with the captions. Get the photographs ({photographs}), and make them: \
             tinyglot embed-images MODEL {out}/{} --root PHOTOS --out {out}/features/{first}.npy{others}",
            of(first)
        ));
    }
}
