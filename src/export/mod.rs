//! What others take from here: vectors of pictures for NumPy, FAISS and vector databases, an encoder for sentence-transformers, a model card.
//!
//! Each kind writes a folder of its own, which is whole or not there.

mod bulk;
mod card;
mod onnx;
mod pgvector;
mod sentences;
mod table;
mod vectors;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::building;
use crate::retrieve::{Index, PictureVectors};
use crate::{Error, Result};

pub use card::{Card, card};
pub use onnx::onnx;
pub use sentences::sentence_transformer;
pub use table::static_table;

/// What reads vectors of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// NumPy, and so FAISS: a matrix and the ids of its rows.
    Npy,
    /// PostgreSQL with pgvector: a table, its rows for `COPY`, and an HNSW index.
    Pgvector,
    /// Qdrant: a collection, and its points in bodies of requests.
    Qdrant,
    /// OpenSearch: an index, and bodies of bulk requests.
    OpenSearch,
    /// Elasticsearch: an index, and bodies of bulk requests.
    Elasticsearch,
}

/// Pictures with their vectors.
pub struct Pictures<'a> {
    /// Their ids, by row.
    pub ids: &'a [String],
    /// Their vectors, of unit length.
    pub vectors: &'a dyn PictureVectors,
    /// Where they are of an index: photographs have days.
    pub index: Option<&'a Index>,
}

impl Pictures<'_> {
    /// The day of a picture, where it has one.
    fn day(&self, row: usize) -> Option<String> {
        Some(self.index?.day(row)?.to_string())
    }

    /// Gives each picture with its vector, by row.
    fn each(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let joint = self.vectors.joint();
        self.vectors.tiles(&mut |first, some| {
            (first..).zip(some.chunks_exact(joint)).try_for_each(|(row, vector)| take(row, vector))
        })
    }

    /// Refuses ids that are keys and stand twice.
    fn check_once(&self) -> Result<()> {
        let mut seen = HashSet::new();
        match self.ids.iter().find(|id| !seen.insert(id.as_str())) {
            None => Ok(()),
            Some(id) => Err(Error::data(format!("two pictures have the id `{id}`, which is a key there"))
                .hint("give each picture an id of its own by `--ids`")),
        }
    }
}

/// The last file of a folder to come into its place.
const LAST: &str = "README.md";

/// Writes vectors of pictures into a new folder `out`, as `reader` takes them; there they are called `name`.
///
/// # Errors
/// Usage: a name that is none there, or something is in the folder; data: pictures that cannot be used, or ids that cannot be keys; run, where the
/// folder cannot be written.
pub fn vectors(pictures: &Pictures, reader: Reader, name: &str, out: &Path) -> Result<()> {
    check_name(name)?;
    if reader != Reader::Npy {
        pictures.check_once()?;
    }
    folder(out, |folder| match reader {
        Reader::Npy => vectors::write(pictures, folder),
        Reader::Pgvector => pgvector::write(pictures, name, folder),
        Reader::Qdrant => bulk::qdrant(pictures, name, folder),
        Reader::OpenSearch | Reader::Elasticsearch => bulk::search_engine(pictures, reader, name, folder),
    })
}

/// Letters of the longest name: PostgreSQL's.
const LONGEST: usize = 63;

/// Refuses a name that a table, a collection or an index cannot have everywhere.
fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let good = name.len() <= LONGEST
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    match good {
        true => Ok(()),
        false => Err(Error::usage(format!("`{name}` cannot be a name of pictures"))
            .hint(format!("take small ASCII letters, digits and `_`, a letter first, {LONGEST} at most"))),
    }
}

/// Lets `write` fill a folder that is new or empty, whole or not at all.
fn folder(out: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let made = !out.exists();
    fs::create_dir_all(out).map_err(|e| Error::writing(out, e))?;
    building::recover(out, LAST)?;
    let mut entries = fs::read_dir(out).map_err(|e| Error::reading(out, e))?;
    if entries.next().is_some() {
        return Err(Error::usage("the folder is not empty").at(out).hint("give a new folder by `--out`"));
    }
    let written = building::build(out, LAST, write);
    if written.is_err() && made {
        // The first error is the one to tell.
        let _ = fs::remove_dir(out);
    }
    written
}

#[cfg(test)]
mod tests;
