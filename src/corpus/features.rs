//! Rows of picture features, memory-mapped: larger than memory works.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::fingerprint::add_ends;
use super::layout::Layout;
use super::made_by::{MadeBy, other_maker};
pub use super::npy::{write_npy, write_npy_f16};
use super::{PictureSource, npy, tensors};
use crate::map::Map;
use crate::{Error, Result};

/// One file, and the number of rows in the files before it.
#[derive(Debug)]
struct Part {
    file: PathBuf,
    map: Map,
    layout: Layout,
    first: usize,
    made_by: Option<MadeBy>,
}

impl Part {
    fn open(file: &Path, first: usize) -> Result<Part> {
        let map = Map::open(file)?;
        let layout = match file.extension().and_then(|e| e.to_str()) {
            Some("npy") => npy::layout(&map, file)?,
            Some("safetensors") => tensors::layout(&map, file)?,
            _ => {
                return Err(Error::data("is no file of features")
                    .at(file)
                    .hint("its name must end in `.npy` or `.safetensors`"));
            }
        };
        if layout.rows == 0 || layout.width == 0 {
            return Err(Error::data(format!(
                "holds no features: its shape is ({}, {})",
                layout.rows, layout.width
            ))
            .at(file));
        }
        let made_by = MadeBy::beside(file, layout.rows, layout.width)?;
        Ok(Part { file: file.to_path_buf(), map, layout, first, made_by })
    }
}

/// A matrix of picture features, one row a picture, in one or several mapped files. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
pub struct Features {
    parts: Arc<[Part]>,
    /// The rows of the files that belong to this matrix; all of them without it.
    chosen: Option<Arc<[u32]>>,
    width: usize,
    /// A hash of every row of the files.
    hashes: Arc<[u64]>,
}

impl Features {
    /// Maps `.npy` and `.safetensors` files, one after the other, and reads each row once.
    ///
    /// A file that is not whole, widths that differ, files that two towers made (as noted beside them), a number that is not finite, a row of zeros and one whose length is
    /// infinite in 32 bits are errors.
    ///
    /// # Errors
    /// Data, naming the file: as above; a file that is none of features, or more than 2³² − 1 rows in all.
    pub fn open(files: &[PathBuf]) -> Result<Features> {
        let mut features = Features::mapped(files)?;
        features.hashes = check_rows(&features)?.into();
        Ok(features)
    }

    /// As [`Self::open`], without reading the rows: for files that this program wrote, of which its reader looks at what it uses. Rows cannot be
    /// compared.
    ///
    /// # Errors
    /// As [`Self::open`], but for what is in the rows.
    pub(crate) fn mapped(files: &[PathBuf]) -> Result<Features> {
        let mut parts: Vec<Part> = Vec::with_capacity(files.len());
        for file in files {
            let first = parts.last().map_or(0, |p| p.first + p.layout.rows);
            let part = Part::open(file, first)?;
            let known = parts.iter().find_map(|part| Some((part, part.made_by.as_ref()?)));
            if let (Some((one, first)), Some(made)) = (known, &part.made_by)
                && first != made
            {
                return Err(other_maker(
                    file,
                    made,
                    &format!("those of `{}` are", one.file.display()),
                    first,
                ));
            }
            if let Some(one) = parts.first()
                && one.layout.width != part.layout.width
            {
                return Err(Error::data(format!(
                    "has rows of {} numbers, but `{}` has rows of {}",
                    part.layout.width,
                    one.file.display(),
                    one.layout.width
                ))
                .at(file)
                .hint("all features must come from the same network"));
            }
            parts.push(part);
        }
        let width = parts.first().map_or(0, |p| p.layout.width);
        let features = Features { parts: parts.into(), width, ..Features::default() };
        if features.rows() > u32::MAX as usize {
            return Err(Error::data(format!("{} rows of features are too many", features.rows())));
        }
        Ok(features)
    }

    /// The number of pictures.
    pub fn rows(&self) -> usize {
        match &self.chosen {
            Some(chosen) => chosen.len(),
            None => self.parts.last().map_or(0, |p| p.first + p.layout.rows),
        }
    }

    /// The numbers per picture.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Copies a row into `out`, `(width)`.
    ///
    /// # Panics
    /// When there is no such row, or `out` has another width.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.width, "a row of features has {} numbers", self.width);
        let (part, row) = self.locate(row);
        part.layout.read(&part.map, row, out);
    }

    /// The file of a row and its place there, counted from 0.
    pub fn place(&self, row: usize) -> (&Path, usize) {
        let (part, row) = self.locate(row);
        (&part.file, row)
    }

    fn locate(&self, row: usize) -> (&Part, usize) {
        let row = self.in_files(row);
        let part = &self.parts[self.parts.partition_point(|p| p.first <= row) - 1];
        (part, row - part.first)
    }

    /// The place of a row among those of all files.
    fn in_files(&self, row: usize) -> usize {
        assert!(row < self.rows(), "row {row} of {} rows of features", self.rows());
        self.chosen.as_ref().map_or(row, |c| c[row] as usize)
    }

    /// A hash of the numbers of a row: rows with other hashes differ.
    pub(super) fn hash(&self, row: usize) -> u64 {
        self.hashes[self.in_files(row)]
    }

    /// Whether two rows, of any features, hold the same numbers.
    pub(super) fn same_row(&self, row: usize, other: &Features, there: usize) -> bool {
        let values = |of: &Features, row| {
            let mut values = vec![0.0; of.width];
            of.copy_row(row, &mut values);
            values
        };
        self.hash(row) == other.hash(there) && values(self, row) == values(other, there)
    }

    /// By row, the first one with the same numbers; itself, where there is none before it.
    pub fn first_equal(&self) -> Vec<usize> {
        let mut rows: HashMap<u64, Vec<usize>> = HashMap::new();
        let first = |row: usize| {
            let alike = rows.entry(self.hash(row)).or_default();
            let found = alike.iter().copied().find(|&other| self.same_row(row, self, other));
            found.unwrap_or_else(|| {
                alike.push(row);
                row
            })
        };
        (0..self.rows()).map(first).collect()
    }

    /// How often each row stands, one directly after the other, where all do equally often and there are at least two
    /// different ones; else 1.
    pub(super) fn repeats(&self) -> usize {
        let (mut times, mut length, mut runs) = (0, 1, 1);
        for row in 1..self.rows() {
            if self.same_row(row - 1, self, row) {
                length += 1;
                continue;
            }
            // Two pictures that happen to be equal stand twice as often.
            (times, length, runs) = (gcd(times, length), 1, runs + 1);
            if times == 1 {
                return 1;
            }
        }
        if runs == 1 { 1 } else { gcd(times, length) }
    }

    /// Each picture once where each stands equally often, one row directly after the other (VSE++ has a row for each caption); and
    /// how often that is.
    ///
    /// `ids`: of the rows, where there are some. Rows with other ids are other pictures, however alike they are.
    ///
    /// # Errors
    /// Data, naming file and row, where rows that were taken for one picture differ.
    pub fn each_once(&self, ids: Option<&[String]>) -> Result<(Features, usize)> {
        match self.repeats_of(ids) {
            1 => Ok((self.clone(), 1)),
            times => Ok((self.one_of(times)?, times)),
        }
    }

    /// How many rows in a row are one picture: those that are equal, unless they have ids of their own.
    pub(super) fn repeats_of(&self, ids: Option<&[String]>) -> usize {
        let repeats = self.repeats();
        let apart = |ids: &[String]| {
            ids.len() == self.rows() && ids.chunks(repeats).any(|ids| ids.iter().any(|id| *id != ids[0]))
        };
        if ids.is_some_and(apart) { 1 } else { repeats }
    }

    /// One of every `times` rows.
    ///
    /// # Errors
    /// Data, where the rows of a picture differ, or are not as many.
    pub(super) fn one_of(&self, times: usize) -> Result<Features> {
        let hint = "correct `data.rows_per_picture`, or leave it out to have repeated rows recognised";
        if !self.rows().is_multiple_of(times) {
            let what = format!("{} rows are not {times} for each picture", self.rows());
            return Err(Error::data(what).at(self.place(0).0).hint(hint));
        }
        let first = |row: usize| row - row % times;
        match (0..self.rows()).find(|&row| !self.same_row(first(row), self, row)) {
            None => {
                let rows: Vec<u32> = (0..self.rows() as u32).step_by(times).collect();
                Ok(self.select(&rows))
            }
            Some(row) => {
                let (file, place) = self.place(row);
                let what = format!(
                    "row {place} (from 0) differs from row {}, though {times} rows are one picture",
                    place as i64 - (row - first(row)) as i64
                );
                Err(Error::data(what).at(file).hint(hint))
            }
        }
    }

    /// What made them, where it is noted beside one of the files.
    pub fn made_by(&self) -> Option<&MadeBy> {
        self.parts.iter().find_map(|part| part.made_by.as_ref())
    }

    /// The rows of each file, in order, whatever was chosen of them.
    pub(super) fn rows_of_files(&self) -> Vec<usize> {
        self.parts.iter().map(|p| p.layout.rows).collect()
    }

    /// The files, in order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|p| p.file.as_path())
    }

    /// The ids of all rows, where every file holds them.
    pub fn ids(&self) -> Option<Vec<String>> {
        let lists: Option<Vec<_>> = self.parts.iter().map(|p| p.layout.ids.clone()).collect();
        lists.filter(|l| !l.is_empty()).map(|l| l.concat())
    }

    /// The given rows of this matrix, in the given order.
    pub(crate) fn select(&self, rows: &[u32]) -> Features {
        let chosen = match &self.chosen {
            Some(chosen) => rows.iter().map(|&r| chosen[r as usize]).collect(),
            None => rows.into(),
        };
        Features { chosen: Some(chosen), ..self.clone() }
    }
}

/// Reads every row; gives their hashes.
///
/// # Errors
/// Data, naming the first row with a number that is not finite, with nothing but zeros, or whose length is infinite in 32 bits.
pub fn check_rows(pictures: &dyn PictureSource) -> Result<Vec<u64>> {
    let read = |values: &mut Vec<f32>, row| {
        pictures.copy_rows(row, values);
        let square = square(values);
        if !square.is_finite() {
            return Err(match values.iter().position(|v| !v.is_finite()) {
                Some(column) => (row, format!(", column {column} (both from 0) is {}", values[column])),
                None => (row, " (from 0) is too long: the sum of its squares is infinite".into()),
            });
        }
        if square == 0.0 && values.iter().all(|&v| v == 0.0) {
            return Err((row, " (from 0) is all zeros".to_string()));
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(bytemuck::cast_slice(values));
        Ok(hasher.finish())
    };
    let rows = || (0..pictures.rows()).into_par_iter().map_init(|| vec![0.0; pictures.width()], read);
    let hashes: Result<Vec<u64>, _> = rows().collect();
    hashes.map_err(|found| {
        // Any fault ends the reading; told is the first one.
        let (row, what) = rows().find_map_first(|row| row.err()).unwrap_or(found);
        let (file, place) = pictures.place(row);
        Error::data(format!("row {place}{what}"))
            .at(file)
            .hint("compute the features of this picture again, or leave it and its captions out")
    })
}

impl PictureSource for Features {
    fn rows(&self) -> usize {
        Features::rows(self)
    }

    fn width(&self) -> usize {
        self.width
    }

    fn copy_rows(&self, first: usize, out: &mut [f32]) {
        out.chunks_mut(self.width).zip(first..).for_each(|(out, row)| self.copy_row(row, out));
    }

    fn place(&self, row: usize) -> (&Path, usize) {
        Features::place(self, row)
    }

    fn made_by(&self) -> Option<&MadeBy> {
        Features::made_by(self)
    }

    /// The number of rows, and of every file its size and its first and last MiB: to read features that are larger than memory would take
    /// longer than it is worth.
    fn hash_content(&self, hash: &mut Sha256) -> Result<()> {
        hash.update((self.rows() as u64).to_le_bytes());
        self.files().try_for_each(|file| add_ends(file, hash))
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Σ x², infinite or NaN where a number is, or where it is too large; in lanes that become wide instructions.
fn square(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<16>();
    let mut lanes = [0f32; 16];
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(sum, x)| *sum += x * x);
    }
    lanes.into_iter().chain(rest.iter().map(|x| x * x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(matrices: &[(usize, &[f32])]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (n, (width, values)) in matrices.iter().enumerate() {
            files.push(folder.path().join(format!("{n}.npy")));
            write_npy(&files[n], values.len() / width, *width, values).unwrap();
        }
        (folder, files)
    }

    #[test]
    fn files_follow_each_other() {
        let (_folder, files) = files(&[(2, &[1., 2., 3., 4.]), (2, &[5., 6.]), (2, &[7., 8., 9., 10.])]);
        let features = Features::open(&files).unwrap();
        assert_eq!((features.rows(), features.width()), (5, 2));
        let mut row = [0.0; 2];
        for n in 0..5 {
            features.copy_row(n, &mut row);
            assert_eq!(row, [2.0 * n as f32 + 1.0, 2.0 * n as f32 + 2.0]);
        }
        assert_eq!(features.place(4), (files[2].as_path(), 1));
        let some = features.select(&[4, 0]).select(&[0]);
        some.copy_row(0, &mut row);
        assert_eq!((some.rows(), row), (1, [9.0, 10.0]));
    }

    #[test]
    fn rows_that_all_stand_equally_often_are_counted() {
        let times = |rows: &[f32]| {
            let values: Vec<f32> = rows.iter().flat_map(|&x| [x, 1.0]).collect();
            let (_folder, files) = files(&[(2, &values)]);
            Features::open(&files).unwrap().repeats()
        };
        assert_eq!(times(&[1., 1., 1., 2., 2., 2.]), 3);
        assert_eq!(times(&[1., 1., 2., 2., 2., 2., 3., 3.]), 2, "two equal pictures");
        assert_eq!(times(&[1., 1., 1., 2., 2.]), 1);
        assert_eq!(times(&[1., 1., 2., 2., 3.]), 1);
        assert_eq!(times(&[1., 1., 1., 1.]), 1, "one picture may stand for several");
        assert_eq!((times(&[1., 2., 2.]), times(&[1.])), (1, 1));
    }

    #[test]
    fn one_of_each_group_is_taken_where_they_are_equal() {
        let (_folder, files) = files(&[(1, &[1., 1., 2.]), (1, &[2., 3., 3.])]);
        let features = Features::open(&files).unwrap();
        let one = features.one_of(2).unwrap();
        assert_eq!((one.rows(), one.place(2)), (3, (files[1].as_path(), 1)));
        assert!(one.same_row(1, &features, 2) && !one.same_row(1, &features, 4));
        let error = features.one_of(3).unwrap_err().to_string();
        assert!(error.contains("0.npy`: row 2 (from 0) differs from row 0, though 3 rows"), "{error}");
        assert!(features.one_of(4).unwrap_err().to_string().contains("6 rows are not 4 for each picture"));
    }

    #[test]
    fn a_picture_that_stands_several_times_is_one() {
        let (_folder, files) = files(&[(1, &[1., 1., 2., 2., 3., 3.])]);
        let features = Features::open(&files).unwrap();
        let rows = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let (some, times) = features.each_once(Some(&ids)).unwrap();
            (some.rows(), times)
        };
        assert_eq!(features.each_once(None).unwrap().1, 2);
        assert_eq!(rows(&["a", "a", "b", "b", "c", "c"]), (3, 2), "an id for each row");
        assert_eq!(rows(&["a", "b", "c"]), (3, 2), "an id for each picture");
        assert_eq!(rows(&["a", "b", "c", "d", "e", "f"]), (6, 1), "other pictures");
        let (once, times) = features.select(&[0, 2, 4]).each_once(None).unwrap();
        assert_eq!((once.rows(), times), (3, 1));
    }

    #[test]
    fn rows_that_are_not_finite_or_zero_are_refused() {
        let refusal = |values: &[f32]| {
            let (_folder, files) = files(&[(2, &[1., 1.]), (2, values)]);
            Features::open(&files).unwrap_err().to_string()
        };
        let text = refusal(&[1., 2., 3., f32::NAN, 0., 0.]);
        assert!(text.contains("1.npy`: row 1, column 1 (both from 0) is NaN"), "{text}");
        assert!(refusal(&[f32::NEG_INFINITY, 2.]).contains("row 0, column 0 (both from 0) is -inf"));
        assert!(refusal(&[1., 2., 0., -0.0]).contains("1.npy`: row 1 (from 0) is all zeros"));
        assert!(refusal(&[1., 2., 3e19, 1.]).contains("1.npy`: row 1 (from 0) is too long"));
        let (_folder, tiny) = files(&[(2, &[1e-30, 0.0])]);
        assert_eq!(Features::open(&tiny).unwrap().rows(), 1, "its square is 0, but it is not");
    }

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let (folder, mut two) = files(&[(2, &[1., 1.]), (3, &[1., 1., 1.])]);
        let text = Features::open(&two).unwrap_err().to_string();
        assert!(text.contains("1.npy`: has rows of 3 numbers, but") && text.contains("rows of 2"), "{text}");
        two[1] = folder.path().join("absent.npy");
        assert!(Features::open(&two).unwrap_err().to_string().contains("absent.npy`: cannot be read"));
        two[1] = folder.path().join("f.h5");
        std::fs::write(&two[1], b"HDF").unwrap();
        assert!(Features::open(&two).unwrap_err().to_string().contains("`.npy` or `.safetensors`"));
        two[1] = folder.path().join("empty.npy");
        std::fs::write(&two[1], b"").unwrap();
        assert!(Features::open(&two).unwrap_err().to_string().contains("begins with ``"));
        write_npy(&two[1], 0, 2, &[]).unwrap();
        assert!(Features::open(&two).unwrap_err().to_string().contains("shape is (0, 2)"));
    }
}
