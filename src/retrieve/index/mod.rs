//! A folder with the vectors of pictures: made once or following a folder of photographs, mapped, searched often.
//!
//! The folder holds parts that are written once, each `part-NNNNNN/` with `vectors.npy` (pictures, joint) of unit length, `ids.txt`, one a line, and
//! of photographs what is known of their files and thumbnails. `index.json` names the parts and the rows in them that count no more; it is replaced at
//! once, so that readers have the index before a change or the one after it, wherever a process is killed. Small parts are merged as they
//! gather: there are as many as the pictures have binary digits, at most.

mod codes;
mod folder;
mod follow;
mod make;
mod part;
mod pending;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::gallery::{Best, Hit};
use super::{PictureVectors, Retriever};
use crate::corpus::{Features, MadeBy};
use crate::eval::similarity::Kernel;
use crate::finite::first_fault;
use crate::pixels::Day;
use crate::{Error, Result};
use codes::Codes;
use folder::{AGAIN, DESCRIPTION, Description};
use part::{Part, Photograph, VECTORS};

pub use follow::{Changes, Following, follow};

/// Vectors that a search reads at a time.
const TILE: usize = 4096;
/// Candidates for each picture that is asked for, and beyond: those that codes of eight bits find are scored again by their vectors.
const CANDIDATES: (usize, usize) = (4, 64);
/// Looks at an index that is changed meanwhile.
const TRIES: usize = 10;

/// The numbers that vectors are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// Half precision: exact search.
    F16,
    /// Single precision: exact search.
    F32,
    /// Codes of eight bits, by which candidates are found, beside half precision, by which they are scored.
    Int8,
}

/// The vectors of pictures in a folder, and what made them. It may be larger than memory.
pub struct Index {
    path: PathBuf,
    about: Description,
    parts: Vec<Part>,
    /// Of all parts, one after the other.
    vectors: Features,
    codes: Option<Codes>,
    ids: Vec<String>,
    /// By row of the index, the row among those of all parts.
    rows: Vec<u32>,
    /// By part, the rows of those before it.
    firsts: Vec<u32>,
}

impl Index {
    /// Opens an index. Its vectors are mapped, and read as they are searched.
    ///
    /// # Errors
    /// Data: no index, of another version, or not as it was written.
    pub fn open(path: &Path) -> Result<Index> {
        let now = || fs::read(path.join(DESCRIPTION)).ok();
        for _ in 1..TRIES {
            let before = now();
            match Index::open_as_it_is(path) {
                // It was changed meanwhile, and parts were removed.
                Err(_) if now() != before => {}
                done => return done,
            }
        }
        Index::open_as_it_is(path)
    }

    fn open_as_it_is(path: &Path) -> Result<Index> {
        let about = Description::read(path)?;
        let folders: Vec<PathBuf> = about.parts.iter().map(|part| path.join(&part.name)).collect();
        let files: Vec<PathBuf> = folders.iter().map(|folder| folder.join(VECTORS)).collect();
        let vectors = Features::mapped(&files)?;
        let (mut parts, mut firsts, mut all) = (Vec::new(), Vec::new(), 0);
        for (folder, part) in folders.iter().zip(&about.parts) {
            parts.push(Part::open(folder, part)?);
            firsts.push(all as u32);
            all += part.rows;
        }
        if all != vectors.rows() || (all > 0 && vectors.width() != about.joint) {
            let [joint, rows, width] = [about.joint, vectors.rows(), vectors.width()];
            let what = format!("speaks of {all} vectors of {joint} numbers; there are {rows} of {width}");
            return Err(Error::data(what).at(path.join(DESCRIPTION)).hint(AGAIN));
        }
        let codes = match about.numbers {
            Stored::Int8 => {
                let of = folders.iter().zip(&about.parts).map(|(folder, part)| (folder.as_path(), part.rows));
                Some(Codes::open(of, about.joint)?)
            }
            Stored::F16 | Stored::F32 => None,
        };
        let (rows, ids) = live(&about, &mut parts, &firsts);
        Ok(Index { path: path.to_path_buf(), about, parts, vectors, codes, ids, rows, firsts })
    }

    /// Refuses a model whose sentences cannot be compared with these vectors.
    ///
    /// # Errors
    /// Data, where another model made them; those of [`Retriever::pictures_by`].
    pub fn check_model(&self, model: &dyn Retriever) -> Result<()> {
        if model.pictures_by()? == self.about.pictures_by {
            return Ok(());
        }
        let what = format!("was made with another model than `{}`", model.folder().path.display());
        Err(Error::data(what).at(&self.path).hint("give the run that it was made with, or make it again"))
    }

    /// The ids of the pictures, by row. Those of photographs are in their order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The numbers that vectors are kept in.
    pub fn numbers(&self) -> Stored {
        self.about.numbers
    }

    /// The picture tower that made the features, where that is known.
    pub fn features_by(&self) -> Option<&MadeBy> {
        self.about.features_by.as_ref()
    }

    /// What made the vectors: [`Retriever::pictures_by`].
    pub fn pictures_by(&self) -> &str {
        &self.about.pictures_by
    }

    /// Whether it was made of photographs: it has days and thumbnails.
    pub fn has_photographs(&self) -> bool {
        self.about.photographs
    }

    /// The vector of a picture, of unit length as far as its numbers are exact.
    ///
    /// # Panics
    /// Without such a row.
    pub fn vector(&self, row: usize) -> Vec<f32> {
        let mut vector = vec![0.0; self.about.joint];
        self.vectors.copy_row(self.rows[row] as usize, &mut vector);
        vector
    }

    /// The day of a photograph: when it was taken, as EXIF says, else when its file was changed, in UTC. Of pictures that are no photographs,
    /// none.
    ///
    /// # Panics
    /// Without such a row.
    pub fn day(&self, row: usize) -> Option<Day> {
        let (part, row) = self.place(row);
        part.photographs.get(row)?.day
    }

    /// The thumbnail of a photograph: a JPEG. Of pictures that are no photographs, none.
    ///
    /// # Panics
    /// Without such a row.
    pub fn thumbnail(&self, row: usize) -> Option<&[u8]> {
        let (part, row) = self.place(row);
        part.thumbnail(row)
    }

    /// Some pictures alone, by their rows, to search among.
    ///
    /// # Panics
    /// When searched, without such a row.
    pub fn among<'a>(&'a self, rows: &'a [u32]) -> Among<'a> {
        Among { index: self, rows }
    }

    /// The file that is written last, and replaced where the index is changed.
    pub fn description(path: &Path) -> PathBuf {
        path.join(DESCRIPTION)
    }

    /// The number of a row's part.
    fn part(&self, row: usize) -> usize {
        self.firsts.partition_point(|&first| first <= self.rows[row]) - 1
    }

    /// The part of a row, and its place there.
    fn place(&self, row: usize) -> (&Part, usize) {
        let part = self.part(row);
        (&self.parts[part], (self.rows[row] - self.firsts[part]) as usize)
    }

    /// What is known of a photograph.
    fn photograph(&self, row: usize) -> &Photograph {
        let (part, row) = self.place(row);
        &part.photographs[row]
    }

    /// Gives the vectors of some rows, some at a time.
    fn give(
        &self,
        rows: &(dyn Fn(usize) -> usize + Sync),
        count: usize,
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let joint = self.about.joint;
        let mut tile = Vec::new();
        for first in (0..count).step_by(TILE) {
            tile.resize(TILE.min(count - first) * joint, 0.0);
            for (n, out) in (first..).zip(tile.chunks_mut(joint)) {
                self.vectors.copy_row(self.rows[rows(n)] as usize, out);
            }
            if let Some(at) = first_fault(&tile) {
                let (file, row) = self.vectors.place(self.rows[rows(first + at / joint)] as usize);
                let what = format!("row {row}, column {} (both from 0) is {}", at % joint, tile[at]);
                return Err(Error::data(what).at(file).hint(AGAIN));
            }
            take(first, &tile)?;
        }
        Ok(())
    }

    /// The best of each query by codes, scored by their vectors; nothing, where there are no codes.
    fn by_codes(
        &self,
        queries: &[f32],
        k: usize,
        rows: &(dyn Fn(usize) -> usize + Sync),
        count: usize,
    ) -> Option<Vec<Vec<Hit>>> {
        let codes = self.codes.as_ref().filter(|_| count > 0)?;
        let (kernel, (times, more)) = (Kernel::detect(), CANDIDATES);
        let row = |n: usize| self.rows[rows(n)] as usize;
        let of = |query: &[f32]| {
            let mut best = Best::new(k);
            for place in codes.nearest(query, times * k + more, count, &row) {
                let score = kernel.dot(query, &self.vector(rows(place as usize)));
                best.offer(Hit { row: place, score });
            }
            best.into_sorted()
        };
        Some(queries.chunks_exact(self.about.joint).map(of).collect())
    }
}

/// The rows that count, of all parts, and their ids: those of photographs by their ids, so that it does not matter which part they are in.
fn live(about: &Description, parts: &mut [Part], firsts: &[u32]) -> (Vec<u32>, Vec<String>) {
    let mut all = Vec::new();
    for ((about, part), first) in about.parts.iter().zip(parts).zip(firsts) {
        let mut dead = about.dead.iter().copied().peekable();
        for (row, id) in (0..).zip(std::mem::take(&mut part.ids)) {
            if dead.next_if_eq(&row).is_none() {
                all.push((first + row, id));
            }
        }
    }
    if about.photographs {
        all.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    }
    all.into_iter().unzip()
}

impl PictureVectors for Index {
    fn joint(&self) -> usize {
        self.about.joint
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        self.give(&|n| n, self.rows.len(), take)
    }

    fn faster(&self, queries: &[f32], k: usize) -> Option<Vec<Vec<Hit>>> {
        self.by_codes(queries, k, &|n| n, self.rows.len())
    }
}

/// Some pictures of an index. A picture found is told by its place among them.
pub struct Among<'a> {
    index: &'a Index,
    rows: &'a [u32],
}

impl PictureVectors for Among<'_> {
    fn joint(&self) -> usize {
        self.index.about.joint
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        self.index.give(&|n| self.rows[n] as usize, self.rows.len(), take)
    }

    fn faster(&self, queries: &[f32], k: usize) -> Option<Vec<Vec<Hit>>> {
        self.index.by_codes(queries, k, &|n| self.rows[n] as usize, self.rows.len())
    }
}
