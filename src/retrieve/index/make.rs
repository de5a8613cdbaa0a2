//! Indexes that are made at once: of features, or of the indexes of shards.

use std::path::Path;

use super::folder::{Description, Place, VERSION};
use super::part::{Contents, Photograph, write};
use super::{Index, Stored};
use crate::corpus::PictureSource;
use crate::retrieve::Retriever;
use crate::shard::{self, Shard};
use crate::{Error, Result};

impl Index {
    /// Makes an index of pictures in a folder that is empty or not there; `ids` are theirs, as many. It appears whole or not at all.
    ///
    /// # Panics
    /// With another number of ids than pictures.
    ///
    /// # Errors
    /// Usage, where something is in the folder; data, where the pictures cannot be used, or an id has a line break; run, where the folder
    /// cannot be written.
    pub fn make(
        model: &dyn Retriever,
        pictures: &dyn PictureSource,
        ids: &[String],
        numbers: Stored,
        path: &Path,
    ) -> Result<Index> {
        Index::make_shard(model, pictures, ids, numbers, None, path)
    }

    /// As [`Index::make`], for pictures that are a shard of a gallery: [`Index::merge`] makes one of all.
    ///
    /// # Panics
    /// As [`Index::make`].
    ///
    /// # Errors
    /// As [`Index::make`].
    pub fn make_shard(
        model: &dyn Retriever,
        pictures: &dyn PictureSource,
        ids: &[String],
        numbers: Stored,
        shard: Option<Shard>,
        path: &Path,
    ) -> Result<Index> {
        assert_eq!(ids.len(), pictures.rows(), "an id for each picture");
        if let Some(id) = ids.iter().find(|id| id.trim().is_empty() || id.contains(['\n', '\r'])) {
            let what = format!("the id {id:?} cannot stand on a line of its own");
            return Err(Error::data(what).at(pictures.place(0).0).hint("rename the picture"));
        }
        model.check_pictures(pictures)?;
        let mut place = empty(path)?;
        let about = Description {
            version: VERSION,
            tinyglot: env!("CARGO_PKG_VERSION").into(),
            pictures_by: model.pictures_by()?,
            features_by: pictures.made_by().cloned(),
            photographs: false,
            joint: model.joint(),
            numbers,
            shard,
            written: 0,
            parts: Vec::new(),
        };
        let contents = Contents {
            ids: ids.iter().map(String::as_str).collect(),
            vectors: Box::new(|take| model.pictures(pictures, &mut |_, some| take(some))),
            photographs: None,
        };
        write_one(&mut place, about, contents)?;
        drop(place);
        Index::open(path)
    }

    /// Makes one index of those of all shards of a gallery, in a folder that is empty or not there. It appears whole or not at all.
    ///
    /// # Errors
    /// Data, where they are not all shards of one gallery, each once, by one model and in the same numbers; usage, where something is in the
    /// folder; run, where it cannot be written.
    pub fn merge(shards: &[&Index], path: &Path) -> Result<Index> {
        let shards = in_order(shards)?;
        let first = shards[0];
        let mut rows: Vec<(&Index, usize)> =
            shards.iter().flat_map(|index| (0..index.ids.len()).map(move |row| (*index, row))).collect();
        if first.about.photographs {
            rows.sort_by(|(a, n), (b, m)| a.ids[*n].cmp(&b.ids[*m]));
        }
        let known = rows.iter().map(|(index, row)| known(index, *row)).collect::<Option<Vec<_>>>();
        let contents = Contents {
            ids: rows.iter().map(|(index, row)| index.ids[*row].as_str()).collect(),
            vectors: Box::new(|take| rows.iter().try_for_each(|(index, row)| take(&index.vector(*row)))),
            photographs: known.filter(|_| first.about.photographs),
        };
        let mut place = empty(path)?;
        let about = Description { shard: None, written: 0, parts: Vec::new(), ..first.about.clone() };
        write_one(&mut place, about, contents)?;
        drop(place);
        Index::open(path)
    }
}

/// What is known of a photograph, and its thumbnail.
fn known(index: &Index, row: usize) -> Option<(Photograph, &[u8])> {
    let (part, row) = index.place(row);
    part.thumbnail(row).map(|thumbnail| (part.photographs[row].clone(), thumbnail))
}

/// A folder for an index that is not there yet.
fn empty(path: &Path) -> Result<Place> {
    let place = Place::take(path)?;
    match place.about {
        None => Ok(place),
        Some(_) => Err(Error::usage("the folder is not empty: it holds an index")
            .at(path)
            .hint("give a new folder, or remove this one")),
    }
}

/// Writes an index of one part, or of none where it has no pictures.
fn write_one(place: &mut Place, mut about: Description, contents: Contents) -> Result<()> {
    if !contents.ids.is_empty() {
        let (name, folder) = place.begin(1)?;
        about.parts.push(write((name, &folder), contents, about.joint, about.numbers)?);
        about.written = 1;
    }
    place.commit(about)
}

/// The indexes of all shards, from the first to the last.
fn in_order<'a>(shards: &[&'a Index]) -> Result<Vec<&'a Index>> {
    let Some(&first) = shards.first() else {
        return Err(Error::usage("no shards are given"));
    };
    let mut parts = Vec::new();
    for &index in shards {
        let Some(shard) = index.about.shard else {
            return Err(Error::data("is no shard of an index")
                .at(&index.path)
                .hint("make shards by `tinyglot index … --shard I/N`"));
        };
        let alike = |what: &str, same: bool| match same {
            true => Ok(()),
            false => {
                let other = first.path.display();
                Err(Error::data(format!("has other {what} than `{other}`")).at(&index.path))
            }
        };
        let (a, b) = (&index.about, &first.about);
        alike("vectors: another model made them", a.pictures_by == b.pictures_by)?;
        alike("features: another picture tower made them", a.features_by == b.features_by)?;
        alike("pictures (photographs or features)", a.photographs == b.photographs)?;
        alike("numbers (`--numbers`)", a.numbers == b.numbers)?;
        parts.push((shard, index.path.as_path(), index));
    }
    shard::in_order(parts)
}
