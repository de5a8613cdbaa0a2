//! The pictures of each split: their features, and the row that belongs to an id.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::input::each_line;
use super::paths::{self, Paths};
use super::{Features, Split, SplitName, Wanted};
use crate::config::DataConfig;
use crate::{Error, Result};

/// The rows of one set of feature files; none, where they are not read.
#[derive(Default)]
pub(super) struct Gallery {
    pub features: Features,
    /// One id a row, where ids are given.
    ids: Option<Vec<String>>,
    rows_by_id: HashMap<String, u32>,
    /// Rows of the ids that hold a folder, by what follows it.
    rows_by_file: HashMap<String, Vec<u32>>,
    /// Rows in the files for each picture.
    pub repeats: usize,
}

impl Gallery {
    fn open(config: &DataConfig, paths: &Paths, split: Option<SplitName>) -> Result<Gallery> {
        let files: Result<Vec<_>> = config.features.iter().map(|f| paths.resolve(f, split, None)).collect();
        let missing = "the path comes from `data.features`, relative to `data.root`";
        let features =
            Features::open(&files?).map_err(|e| if e.is_missing_file() { e.or_hint(missing) } else { e })?;
        let mut source = features.place(0).0.to_path_buf();
        let given = match &config.image_ids {
            Some(template) => {
                source = paths.resolve(template, split, None)?;
                Some(read_ids(&source)?)
            }
            None => None,
        };
        let (rows, stored) = (features.rows(), features.ids());
        let repeats = match config.rows_per_picture {
            0 => features.repeats_of(stored.as_deref().or(given.as_deref())),
            times => times,
        };
        let features = if repeats > 1 { features.one_of(repeats)? } else { features };
        let one_of = |ids: Option<Vec<String>>| -> Result<Option<Vec<String>>> {
            ids.filter(|ids| ids.len() == rows).map(|ids| one_id_of(ids, repeats, &source)).transpose()
        };
        let ids = one_of(stored)?;
        let mut gallery =
            Gallery { ids, features, rows_by_id: HashMap::new(), rows_by_file: HashMap::new(), repeats };
        if let Some(given) = given {
            let given = if given.len() == rows { one_id_of(given, repeats, &source)? } else { given };
            gallery.set_ids(given, &source)?;
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

/// One id of every `repeats`, which must be equal.
fn one_id_of(ids: Vec<String>, repeats: usize, source: &Path) -> Result<Vec<String>> {
    match (0..ids.len()).find(|&n| ids[n] != ids[n - n % repeats]) {
        None => Ok(ids.into_iter().step_by(repeats).collect()),
        Some(n) => {
            let what = format!("id `{}` is for the same picture as `{}`", ids[n], ids[n - n % repeats]);
            Err(Error::data(what)
                .at(source)
                .line(n + 1)
                .hint(format!("`data.rows_per_picture` is {repeats}: correct one of them")))
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

/// All pictures: a gallery per split, or one for all where `data.features` has no `{split}`.
pub(super) struct Pictures {
    galleries: Vec<Gallery>,
    pub distractors: Option<Gallery>,
    /// Whether ids were given, rather than counted.
    pub has_ids: bool,
}

impl Pictures {
    /// Opens the features of the splits that are wanted.
    pub(super) fn open(config: &DataConfig, paths: &Paths, wanted: &Wanted) -> Result<Pictures> {
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
                galleries.push(match wanted.has_pictures(split) {
                    true => Gallery::open(config, paths, Some(split))?,
                    false => Gallery::default(),
                });
            }
            let split = Some(SplitName::Distractors);
            let mut there = config.features.iter().map(|f| Ok(paths.resolve(f, split, None)?.exists()));
            if wanted.has_pictures(SplitName::Distractors)
                && there.try_fold(false, |any, one: Result<bool>| Ok::<_, Error>(any | one?))?
            {
                distractors = Some(Gallery::open(config, paths, split)?);
            }
        } else {
            galleries.push(Gallery::open(config, paths, None)?);
        }
        let read = || galleries.iter().chain(&distractors).filter(|gallery| gallery.features.rows() > 0);
        let first = read().next().expect("something is wanted");
        for other in read() {
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

    /// What was made of repeated rows, for the user.
    pub(super) fn notes(&self) -> Vec<String> {
        let repeated = self.galleries.iter().chain(&self.distractors).filter(|gallery| gallery.repeats > 1);
        let note = |gallery: &Gallery| {
            let (times, file) = (gallery.repeats, gallery.features.place(0).0.display());
            format!(
                "every row of `{file}` stands {times} times, one after the other (as VSE++ stores features): {} pictures",
                gallery.features.rows()
            )
        };
        repeated.map(note).collect()
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

/// The pictures of the training split alone, and whether they have ids; nothing, where their files are not there or are those
/// of other splits too.
pub(super) fn training(config: &DataConfig, paths: &Paths) -> Result<Option<(Split, bool)>> {
    let split = Some(SplitName::Train);
    if !one_way("data.features", &config.features)? {
        return Ok(None);
    }
    for file in config.features.iter().chain(&config.image_ids) {
        if !paths.resolve(file, split, None)?.is_file() {
            return Ok(None);
        }
    }
    let gallery = Gallery::open(config, paths, split)?;
    let image_ids = gallery.ids();
    let has_ids = gallery.ids.is_some();
    Ok(Some((Split { features: gallery.features, image_ids, ..Split::default() }, has_ids)))
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
