//! The pictures of each split: their features, and the row that belongs to an id.
//!
//! Which picture is in which split is told by the paths of the features (`{split}`), by a file (`data.split`), or by the captions.

use std::path::Path;

use super::ids::{Names, read_ids};
use super::paths::{self, Paths};
use super::splits::Splits;
use super::{Features, Split, SplitName, Wanted, same_maker};
use crate::config::DataConfig;
use crate::{Error, Result};

/// The rows of one set of feature files; none, where they are not read.
#[derive(Default)]
pub(super) struct Gallery {
    pub features: Features,
    /// Where ids are given.
    names: Option<Names>,
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
        let mut ids = one_of(stored)?;
        if let Some(given) = given {
            let given = if given.len() == rows { one_id_of(given, repeats, &source)? } else { given };
            agree(&given, ids.as_deref(), &features, &source)?;
            ids = Some(given);
        }
        let names = ids.map(|ids| Names::new(ids, &source)).transpose()?;
        Ok(Gallery { features, names, repeats })
    }

    /// The row of a picture by its id; without ids a name is the row's number, from 0.
    ///
    /// # Errors
    /// As [`Names::find`].
    pub(super) fn find(&self, name: &str) -> Result<Option<u32>> {
        if let Some(names) = &self.names {
            return names.find(name);
        }
        let row = name.parse().ok().filter(|row: &u32| row.to_string() == name);
        Ok(row.filter(|&row| (row as usize) < self.features.rows()))
    }

    /// The id of every row; its number where none is given.
    pub(super) fn ids(&self) -> Vec<String> {
        match &self.names {
            Some(names) => names.ids().to_vec(),
            None => (0..self.features.rows()).map(|r| r.to_string()).collect(),
        }
    }

    /// Some rows of a gallery with ids.
    fn select(&self, rows: &[u32]) -> Result<Gallery> {
        let features = self.features.select(rows);
        let of = |names: &Names| rows.iter().map(|&row| names.ids()[row as usize].clone()).collect();
        let names =
            self.names.as_ref().map(|names| Names::new(of(names), features.place(0).0)).transpose()?;
        Ok(Gallery { features, names, repeats: self.repeats })
    }
}

/// Refuses ids of another number than the rows of features, or other ones than the features hold.
fn agree(given: &[String], stored: Option<&[String]>, features: &Features, source: &Path) -> Result<()> {
    if given.len() != features.rows() {
        return Err(Error::data(format!(
            "holds {} ids, but there are {} rows of features in `{}`",
            given.len(),
            features.rows(),
            features.place(0).0.display()
        ))
        .at(source)
        .hint("one id a line, in the order of the rows"));
    }
    let Some(stored) = stored else { return Ok(()) };
    match stored.iter().zip(given).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(row) => {
            let what = format!("id `{}`, but the features call this row `{}`", given[row], stored[row]);
            Err(Error::data(what).at(source).line(row + 1).hint("leave `data.image_ids` out"))
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

/// All pictures: a gallery per split, or one for all where `data.features` has no `{split}`.
pub(super) struct Pictures {
    galleries: Vec<Gallery>,
    pub distractors: Option<Gallery>,
    /// Whether ids were given, rather than counted.
    pub has_ids: bool,
    /// All pictures, where a file says what is in which split.
    all: Option<Gallery>,
    notes: Vec<String>,
}

impl Pictures {
    /// Opens the features of the splits that are wanted.
    pub(super) fn open(config: &DataConfig, paths: &Paths, wanted: &Wanted) -> Result<Pictures> {
        if config.photos.is_some() {
            return Err(Error::config("`data.photos` names photographs, whose features were not made")
                .hint("`photos::featured` makes them, as `tinyglot train` and `data check` do"));
        }
        if let Some(file) = &config.split {
            return Pictures::by_file(config, file, paths, wanted);
        }
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
        let made_by = read().find_map(|gallery| Some((gallery, gallery.features.made_by()?)));
        for other in read() {
            if let Some((one, made_by)) = made_by {
                let there = format!("those of `{}` are", one.features.place(0).0.display());
                same_maker(&other.features, Some(made_by), &there)?;
            }
            let (width, expected) = (other.features.width(), first.features.width());
            if width != expected {
                let there = first.features.place(0).0.display();
                let what = format!("has rows of {width} numbers, but `{there}` has rows of {expected}");
                return Err(Error::data(what)
                    .at(other.features.place(0).0)
                    .hint("all features must come from the same network"));
            }
            if other.names.is_some() != first.names.is_some() {
                return Err(Error::data("only some splits have picture ids inside their features")
                    .at(other.features.place(0).0)
                    .hint("set `data.image_ids`"));
            }
        }
        let has_ids = first.names.is_some();
        Ok(Pictures { galleries, distractors, has_ids, all: None, notes: Vec::new() })
    }

    /// Opens the features once, and takes the rows of each split that is wanted as `data.split` has them.
    fn by_file(config: &DataConfig, file: &str, paths: &Paths, wanted: &Wanted) -> Result<Pictures> {
        if let Some(name) = &wanted.test {
            let what = format!("`data.split` has no set `{name}`: it has `train`, `val` and `test`");
            return Err(Error::usage(what)
                .hint("give one of these, or with `--data` a configuration of the other set"));
        }
        let all = Gallery::open(config, paths, None)?;
        let Some(names) = &all.names else {
            return Err(Error::config("`data.split` names pictures, but the features have no ids")
                .hint("set `data.image_ids`"));
        };
        let splits = Splits::read(&paths.resolve(file, None, None)?)?.rows(names, &wanted.pictures)?;
        let take = |split: SplitName| match &splits.rows[split as usize][..] {
            [] => Ok(Gallery::default()),
            rows => all.select(rows),
        };
        let galleries: Result<Vec<Gallery>> = SplitName::CAPTIONED.into_iter().map(take).collect();
        let distractors = Some(take(SplitName::Distractors)?).filter(|g| g.features.rows() > 0);
        let notes = splits.note.into_iter().collect();
        Ok(Pictures { galleries: galleries?, distractors, has_ids: true, all: Some(all), notes })
    }

    /// Whether a picture is there that no split with captions has.
    pub(super) fn leaves_out(&self, name: &str) -> Result<bool> {
        self.all.as_ref().map_or(Ok(false), |all| Ok(all.find(name)?.is_some()))
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
        self.notes.iter().cloned().chain(repeated.map(note)).collect()
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
    if config.photos.is_some() {
        return Ok(None);
    }
    let by_file = config.split.is_some();
    if !by_file && !one_way("data.features", &config.features)? {
        return Ok(None);
    }
    for file in config.features.iter().chain(&config.image_ids).chain(&config.split) {
        if !paths.resolve(file, split, None)?.is_file() {
            return Ok(None);
        }
    }
    let gallery = match by_file {
        true => Pictures::open(config, paths, &Wanted::only(SplitName::Train, None, false))?
            .galleries
            .swap_remove(0),
        false => Gallery::open(config, paths, split)?,
    };
    let image_ids = gallery.ids();
    let has_ids = gallery.names.is_some();
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
