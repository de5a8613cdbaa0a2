//! What was downloaded: files by the ends of their paths, and their lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::corpus::input;
use crate::{Error, Result};

/// Folders within folders that are looked into.
const DEPTH: usize = 5;

/// A folder with what was downloaded, unpacked or cloned, in whatever folders within.
pub(super) struct Download {
    folder: PathBuf,
    /// By path within the folder, with `/`.
    files: BTreeMap<String, PathBuf>,
    /// What to download.
    hint: &'static str,
}

impl Download {
    pub(super) fn open(folder: &Path, hint: &'static str) -> Result<Download> {
        let about = fs::metadata(folder).map_err(|e| Error::reading(folder, e).hint(hint))?;
        if !about.is_dir() {
            return Err(Error::data("is no folder").at(folder).hint(format!("unpack archives, and {hint}")));
        }
        let mut files = BTreeMap::new();
        gather(folder, "", DEPTH, &mut files)?;
        Ok(Download { folder: folder.to_path_buf(), files, hint })
    }

    /// All files, by path within the folder.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// The file whose path ends with `name`, plain or packed as `name.gz`; nothing where there is none.
    ///
    /// # Errors
    /// Data, where there are several.
    pub(super) fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        for name in [name.to_string(), format!("{name}.gz")] {
            let ends = |path: &str| {
                path.strip_suffix(&name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
            };
            let mut found = self.files().filter(|(path, _)| ends(path));
            match (found.next(), found.next()) {
                (Some((one, _)), Some((other, _))) => {
                    let what = format!("holds `{one}` and `{other}`");
                    return Err(Error::data(what).at(&self.folder).hint("give the folder of one of them"));
                }
                (Some((_, path)), None) => return Ok(Some(path.to_path_buf())),
                _ => {}
            }
        }
        Ok(None)
    }

    /// As [`Self::find`], for a file that must be there.
    pub(super) fn need(&self, name: &str) -> Result<PathBuf> {
        self.find(name)?.ok_or_else(|| self.missing(name))
    }

    /// The error of a file that is not there.
    pub(super) fn missing(&self, name: &str) -> Error {
        Error::data(format!("holds no `{name}`")).at(&self.folder).hint(self.hint)
    }

    /// The lines of a text, `expected` of them and none empty, without the white space at their ends.
    pub(super) fn lines(&self, name: &str, expected: usize) -> Result<Vec<String>> {
        let file = self.need(name)?;
        let mut lines = Vec::with_capacity(expected);
        input::each_line(&file, |number, line| {
            let line = line.trim_end();
            if line.is_empty() {
                return Err(Error::data("is empty").at(&file).line(number).hint(self.again()));
            }
            lines.push(line.to_string());
            Ok(())
        })?;
        self.count(&file, "lines", lines.len(), expected)?;
        Ok(lines)
    }

    /// A JSON file.
    pub(super) fn json<T: DeserializeOwned>(&self, file: &Path) -> Result<T> {
        serde_json::from_reader(input::open(file)?).map_err(|e| {
            let error = Error::data("is not as it was published").at(file).hint(self.again());
            let error = if e.line() > 0 { error.line(e.line()) } else { error };
            error.because(e)
        })
    }

    /// Refuses a file that holds another number of things than were published.
    pub(super) fn count(&self, file: &Path, things: &str, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::data(format!("holds {found} {things}; {expected} were published"))
            .at(file)
            .hint(self.again()))
    }

    /// What to do about a file that is not as it was published.
    pub(super) fn again(&self) -> String {
        format!("download it again: {}", self.hint)
    }
}

fn gather(folder: &Path, within: &str, depth: usize, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let failed = |e| Error::reading(folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // What is hidden is none of it, nor is what no published name can be.
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'))
        else {
            continue;
        };
        let name = format!("{within}{name}");
        match fs::metadata(&path) {
            Ok(about) if about.is_file() => drop(files.insert(name, path)),
            Ok(about) if about.is_dir() && depth > 0 => gather(&path, &format!("{name}/"), depth - 1, files)?,
            _ => {}
        }
    }
    Ok(())
}
