//! What pictures are called: ids and the names of files, and the row that belongs to one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::input::each_line;
use crate::{Error, Result};

/// The rows of pictures by their names.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// One a row.
    ids: Vec<String>,
    rows_by_id: HashMap<String, u32>,
    /// Rows of the ids that hold a folder, by what follows it.
    rows_by_file: HashMap<String, Vec<u32>>,
}

impl Names {
    /// Pictures with these ids, in the order of their rows; `source` is where they are from.
    ///
    /// # Errors
    /// Data, where two ids are one but for their endings.
    pub fn new(ids: Vec<String>, source: &Path) -> Result<Names> {
        let mut names = Names { ids, ..Names::default() };
        for (row, id) in names.ids.iter().enumerate() {
            if let Some(first) = names.rows_by_id.insert(stem(id).to_string(), row as u32) {
                let what = format!("id `{id}` stands for two pictures: ids {} and {}", first + 1, row + 1);
                return Err(Error::data(what).at(source).hint("each picture has one row and one id"));
            }
            if let Some((_, file)) = stem(id).rsplit_once('/') {
                names.rows_by_file.entry(file.to_string()).or_default().push(row as u32);
            }
        }
        Ok(names)
    }

    /// The id of every row.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The row of a picture by its id.
    ///
    /// Either of id and name may begin with folders that the other has not: `val2014/7.jpg` is `7.jpg`.
    ///
    /// # Errors
    /// Data, where the name fits several ids.
    pub fn find(&self, name: &str) -> Result<Option<u32>> {
        let name = stem(name);
        if let Some(&row) = self.rows_by_id.get(name) {
            return Ok(Some(row));
        }
        let tails = name.match_indices('/').filter_map(|(at, _)| self.rows_by_id.get(&name[at + 1..]));
        let file = name.rsplit('/').next().unwrap_or(name);
        let longer = self.rows_by_file.get(file).into_iter().flatten();
        let longer = longer.filter(|&&row| {
            stem(&self.ids[row as usize]).strip_suffix(name).is_some_and(|folder| folder.ends_with('/'))
        });
        let mut rows = tails.chain(longer).copied();
        match (rows.next(), rows.next()) {
            (Some(one), Some(other)) => {
                let ids = [one, other].map(|row| self.ids[row as usize].as_str());
                Err(Error::data(format!("picture `{name}` may be id `{}` or `{}`", ids[0], ids[1]))
                    .hint("name it with its folder, as `data.image_ids` does"))
            }
            (one, _) => Ok(one),
        }
    }
}

/// An id without the ending of a picture file, so that `7.jpg` in one file is `7` in another.
pub(super) fn stem(id: &str) -> &str {
    ending(id).map_or(id, |ending| &id[..id.len() - ending.len() - 1])
}

/// The ending of a picture file, without the dot.
pub(super) fn ending(id: &str) -> Option<&str> {
    const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];
    let (_, ending) = id.rsplit_once('.')?;
    ENDINGS.iter().any(|e| e.eq_ignore_ascii_case(ending)).then_some(ending)
}

/// Whether two names are one picture's: alike but for an ending that only one has.
pub(super) fn same(a: &str, b: &str) -> bool {
    let endings = match (ending(a), ending(b)) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => true,
    };
    endings && stem(a) == stem(b)
}

/// An id without the folder before it.
pub(super) fn file_name(id: &str) -> &str {
    id.rsplit(['/', '\\']).next().unwrap_or(id)
}

/// Picture ids, one a line; the file may be packed by gzip or zstd.
///
/// # Errors
/// Data, with the line: not to be read, no text, or an empty line.
pub fn read_ids(file: &Path) -> Result<Vec<String>> {
    fs::metadata(file)
        .map_err(|e| Error::reading(file, e).hint("a path in `data.image_ids` is relative to `data.root`"))?;
    let mut ids = Vec::new();
    each_line(file, |number, line| {
        let id = line.trim();
        if id.is_empty() {
            return Err(Error::data("holds no id").at(file).line(number).hint("one id a line"));
        }
        ids.push(id.to_string());
        Ok(())
    })?;
    Ok(ids)
}
