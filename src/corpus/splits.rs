//! A file that says which picture is in which split (`data.split`).
//!
//! ```text
//! picture       split   group
//! a/1.jpg       train
//! a/2.jpg       test    a/2.jpg
//! b/2 copy.jpg  test    a/2.jpg
//! ```
//!
//! The values are separated by tabs. The column `group` may be missing: pictures with the same group are one photograph, or nearly so.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::SplitName;
use super::ids::Names;
use super::input::each_line;
use crate::write::write_whole;
use crate::{Error, Result};

const HEAD: &str = "picture\tsplit";
const GROUP: &str = "\tgroup";
const EXPECTED: &str = "a line is a picture, a tab, and `train`, `val`, `test` or `distractors`; `tinyglot init` writes such a file";

/// The split of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Its id.
    pub picture: String,
    /// The split that it is in.
    pub split: SplitName,
    /// What it is one photograph with.
    pub group: Option<String>,
}

/// The splits of pictures, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    file: PathBuf,
    /// With the line of each, from 1.
    all: Vec<(usize, Assigned)>,
}

/// The rows of each split, by its place among all, in rising order.
pub(super) struct SplitRows {
    pub rows: [Vec<u32>; 4],
    /// What was left out.
    pub note: Option<String>,
}

impl Splits {
    /// Reads the file.
    ///
    /// # Errors
    /// Data, with the line: not to be read, no such line, a picture twice, or a group in two splits.
    pub fn read(file: &Path) -> Result<Splits> {
        let mut all: Vec<(usize, Assigned)> = Vec::new();
        let mut groups: HashMap<String, usize> = HashMap::new();
        let mut head = None;
        if !file.exists() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(
                Error::reading(file, source).hint("a path in `data.split` is relative to `data.root`")
            );
        }
        each_line(file, |number, line| {
            let fault = |what: String| Error::data(what).at(file).line(number);
            let Some(columns) = head else {
                head = match line.strip_prefix(HEAD) {
                    Some("") => Some(2),
                    Some(GROUP) => Some(3),
                    _ => {
                        return Err(
                            fault("does not begin with `picture`, a tab, and `split`".into()).hint(EXPECTED)
                        );
                    }
                };
                return Ok(());
            };
            let values: Vec<&str> = line.split('\t').collect();
            let ([picture, split] | [picture, split, _]) = values[..] else {
                return Err(fault(format!("has {} values", values.len())).hint(EXPECTED));
            };
            let split = split.parse().map_err(|_| fault(format!("`{split}` is no split")).hint(EXPECTED))?;
            if values.len() > columns || picture.is_empty() {
                return Err(fault(format!("is `{}`", line.replace('\t', " "))).hint(EXPECTED));
            }
            let group = values.get(2).filter(|group| !group.is_empty()).map(ToString::to_string);
            if let Some(group) = &group {
                let first = *groups.entry(group.clone()).or_insert(all.len());
                if let Some((line, other)) = all.get(first).filter(|(_, other)| other.split != split) {
                    let what = format!(
                        "`{picture}` is in `{split}`, but `{}`, of the same group, in `{}` (line {line})",
                        other.picture, other.split
                    );
                    return Err(
                        fault(what).hint("put all pictures of a group into one split: they show the same")
                    );
                }
            }
            all.push((number, Assigned { picture: picture.to_string(), split, group }));
            Ok(())
        })?;
        Ok(Splits { file: file.to_path_buf(), all })
    }

    /// Writes such a file whole.
    ///
    /// # Errors
    /// Data, for an id with a tab or a line break in it; run, where the file cannot be written.
    pub fn write(file: &Path, all: &[Assigned]) -> Result<()> {
        let mut text = format!("{HEAD}{GROUP}\n");
        for Assigned { picture, split, group } in all {
            if picture.contains(['\t', '\n', '\r']) {
                let what = format!("the id {picture:?} cannot stand in a table");
                return Err(Error::data(what).at(file).hint("rename the picture"));
            }
            let group = group.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{picture}\t{split}\t{group}");
        }
        write_whole(file, text.as_bytes())
    }

    /// Those of the file, in its order.
    pub fn all(&self) -> impl Iterator<Item = &Assigned> {
        self.all.iter().map(|(_, assigned)| assigned)
    }

    /// The rows of the pictures that are in the splits `wanted`.
    ///
    /// # Errors
    /// Data, with the line: a picture that is not there, or is named twice; a split that is wanted and has none.
    pub(super) fn rows(&self, names: &Names, wanted: &[SplitName]) -> Result<SplitRows> {
        let mut rows: [Vec<u32>; 4] = Default::default();
        let mut lines: HashMap<u32, usize> = HashMap::new();
        for (line, Assigned { picture, split, .. }) in &self.all {
            let fault = |what: String| Error::data(what).at(&self.file).line(*line);
            let row = names.find(picture).map_err(|e| e.at(&self.file).line(*line))?.ok_or_else(|| {
                fault(format!("`{picture}` is not among the pictures that have features"))
                    .hint("make its features too, or take the line out")
            })?;
            if let Some(first) = lines.insert(row, *line) {
                return Err(fault(format!("names `{picture}` a second time, after line {first}"))
                    .hint("name each picture once"));
            }
            if wanted.contains(split) {
                rows[*split as usize].push(row);
            }
        }
        let needed = SplitName::CAPTIONED.into_iter().filter(|split| wanted.contains(split));
        if let Some(empty) = needed.into_iter().find(|&split| rows[split as usize].is_empty()) {
            return Err(Error::data(format!("has no picture of split `{empty}`"))
                .at(&self.file)
                .hint("give each of `train`, `val` and `test` some pictures"));
        }
        rows.iter_mut().for_each(|rows| rows.sort_unstable());
        let unnamed = names.ids().len() - lines.len();
        let note = (unnamed > 0).then(|| {
            let first = (0..).zip(names.ids()).find(|(row, _)| !lines.contains_key(row));
            let first = first.map_or("", |(_, id)| id);
            let file = self.file.display();
            format!("{unnamed} pictures, first `{first}`, are not in `{file}` and are left out")
        });
        Ok(SplitRows { rows, note })
    }
}
