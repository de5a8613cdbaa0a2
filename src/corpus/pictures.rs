//! The pictures of each split: their features, and the row that belongs to an id.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::captions::input::each_line;
use super::paths::{self, Paths};
use super::{Features, SplitName};
use crate::config::DataConfig;
use crate::{Error, Result};

/// The rows of one set of feature files.
pub(super) struct Gallery {
    pub features: Features,
    /// One id a row, where ids are given.
    ids: Option<Vec<String>>,
    rows_by_id: HashMap<String, u32>,
    /// Rows of the ids that hold a folder, by what follows it.
    rows_by_file: HashMap<String, Vec<u32>>,
}

impl Gallery {
    fn open(config: &DataConfig, paths: &Paths, split: Option<SplitName>) -> Result<Gallery> {
        let files: Result<Vec<_>> = config.features.iter().map(|f| paths.resolve(f, split, None)).collect();
        let features = Features::open(&files?)?;
        let mut gallery = Gallery {
            ids: features.ids(),
            features,
            rows_by_id: HashMap::new(),
            rows_by_file: HashMap::new(),
        };
        let mut source = gallery.features.place(0).0.to_path_buf();
        if let Some(template) = &config.image_ids {
            source = paths.resolve(template, split, None)?;
            gallery.set_ids(read_ids(&source)?, &source)?;
        }
        for (row, id) in gallery.ids.iter().flatten().enumerate() {
            if let Some(first) = gallery.rows_by_id.insert(stem(id).to_string(), row as u32) {
                let what = format!("id `{id}` stands for two pictures: ids {} and {}", first + 1, row + 1);
                return Err(Error::data(what).at(source).hint("each picture has one row and one id"));
            }
            if let Some((_, file)) = stem(id).rsplit_once('/') {
                gallery.rows_by_file.entry(file.to_string()).or_default().push(row as u32);
            }
        }
        Ok(gallery)
    }

    fn set_ids(&mut self, ids: Vec<String>, source: &Path) -> Result<()> {
        if ids.len() != self.features.rows() {
            return Err(Error::data(format!(
                "holds {} ids, but there are {} rows of features in `{}`",
                ids.len(),
                self.features.rows(),
                self.features.place(0).0.display()
            ))
            .at(source)
            .hint("one id a line, in the order of the rows"));
        }
        let other = self.ids.iter().flatten().zip(&ids).position(|(a, b)| a != b);
        if let (Some(row), Some(stored)) = (other, &self.ids) {
            let what = format!("id `{}`, but the features call this row `{}`", ids[row], stored[row]);
            return Err(Error::data(what).at(source).line(row + 1).hint("leave `data.image_ids` out"));
        }
        self.ids = Some(ids);
        Ok(())
    }

    /// The row of a picture by its id; without ids a name is the row's number, from 0.
    ///
    /// Either of id and name may begin with folders that the other has not: `val2014/7.jpg` is `7.jpg`.
    ///
    /// # Errors
    /// Where the name fits several ids.
    pub(super) fn find(&self, name: &str) -> Result<Option<u32>> {
        let Some(ids) = &self.ids else {
            let row = name.parse().ok().filter(|row: &u32| row.to_string() == name);
            return Ok(row.filter(|&row| (row as usize) < self.features.rows()));
        };
        let name = stem(name);
        if let Some(&row) = self.rows_by_id.get(name) {
            return Ok(Some(row));
        }
        let tails = name.match_indices('/').filter_map(|(at, _)| self.rows_by_id.get(&name[at + 1..]));
        let file = name.rsplit('/').next().unwrap_or(name);
        let longer = self.rows_by_file.get(file).into_iter().flatten();
        let longer = longer.filter(|&&row| {
            stem(&ids[row as usize]).strip_suffix(name).is_some_and(|folder| folder.ends_with('/'))
        });
        let mut rows = tails.chain(longer).copied();
        match (rows.next(), rows.next()) {
            (Some(one), Some(other)) => {
                let ids = [one, other].map(|row| ids[row as usize].as_str());
                Err(Error::data(format!("picture `{name}` may be id `{}` or `{}`", ids[0], ids[1]))
                    .hint("name it with its folder, as `data.image_ids` does"))
            }
            (one, _) => Ok(one),
        }
    }

    /// The id of every row; its number where none is given.
    pub(super) fn ids(&self) -> Vec<String> {
        match &self.ids {
            Some(ids) => ids.clone(),
            None => (0..self.features.rows()).map(|r| r.to_string()).collect(),
        }
    }
}

/// An id without the ending of a picture file, so that `7.jpg` in one file is `7` in another.
fn stem(id: &str) -> &str {
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

/// Picture ids, one a line; the file may be packed by gzip or zstd.
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

/// All pictures: a gallery per split, or one for all where `data.features` has no `{split}`.
pub(super) struct Pictures {
    galleries: Vec<Gallery>,
    pub distractors: Option<Gallery>,
    /// Whether ids were given, rather than counted.
    pub has_ids: bool,
}

impl Pictures {
    pub(super) fn open(config: &DataConfig, paths: &Paths) -> Result<Pictures> {
        let by_split = one_way("data.features", &config.features)?;
        if config.image_ids.as_deref().is_some_and(|f| paths::has_split(f) != by_split) {
            return Err(Error::config(
                "either both `data.features` and `data.image_ids` hold `{split}` or neither",
            )
            .hint("the ids name the rows of the features, file by file"));
        }
        let mut galleries = Vec::new();
        let mut distractors = None;
        if by_split {
            for split in SplitName::CAPTIONED {
                galleries.push(Gallery::open(config, paths, Some(split))?);
            }
            let split = Some(SplitName::Distractors);
            let mut there = config.features.iter().map(|f| Ok(paths.resolve(f, split, None)?.exists()));
            if there.try_fold(false, |any, one: Result<bool>| Ok::<_, Error>(any | one?))? {
                distractors = Some(Gallery::open(config, paths, split)?);
            }
        } else {
            galleries.push(Gallery::open(config, paths, None)?);
        }
        let first = &galleries[0];
        for other in galleries.iter().chain(&distractors) {
            let (width, expected) = (other.features.width(), first.features.width());
            if width != expected {
                let there = first.features.place(0).0.display();
                let what = format!("has rows of {width} numbers, but `{there}` has rows of {expected}");
                return Err(Error::data(what)
                    .at(other.features.place(0).0)
                    .hint("all features must come from the same network"));
            }
            if other.ids.is_some() != first.ids.is_some() {
                return Err(Error::data("only some splits have picture ids inside their features")
                    .at(other.features.place(0).0)
                    .hint("set `data.image_ids`"));
            }
        }
        let has_ids = first.ids.is_some();
        Ok(Pictures { galleries, distractors, has_ids })
    }

    /// Whether all splits are rows of the same features.
    pub(super) fn shared(&self) -> bool {
        self.galleries.len() == 1
    }

    /// The gallery of `train`, `val` or `test`.
    pub(super) fn of(&self, split: SplitName) -> &Gallery {
        &self.galleries[(split as usize).min(self.galleries.len() - 1)]
    }

    /// The row of a picture, and its split among those given.
    pub(super) fn find(&self, splits: &[SplitName], name: &str) -> Result<Option<(SplitName, u32)>> {
        let mut found = None;
        for &split in splits {
            let Some(row) = self.of(split).find(name)? else { continue };
            if let Some((first, _)) = found {
                return Err(Error::data(format!(
                    "picture `{name}` is in the splits `{first}` and `{split}`"
                ))
                .hint("take it out of one of them, use one caption file per `{split}`, or name one split in `splits`"));
            }
            found = Some((split, row));
        }
        Ok(found)
    }
}

fn one_way(key: &str, templates: &[String]) -> Result<bool> {
    let Some(first) = templates.first() else {
        return Err(Error::config(format!("`{key}` is empty")).hint("name a file of picture features"));
    };
    if templates.iter().any(|t| paths::has_split(t) != paths::has_split(first)) {
        return Err(Error::config(format!("either all files of `{key}` hold `{{split}}` or none")));
    }
    Ok(paths::has_split(first))
}
