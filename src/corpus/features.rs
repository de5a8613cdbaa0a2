//! Rows of picture features, memory-mapped: larger than memory works.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use rayon::prelude::*;

use super::layout::Layout;
pub use super::npy::{write_npy, write_npy_f16};
use super::{npy, tensors};
use crate::{Error, Result};

/// One file, and the number of rows in the files before it.
#[derive(Debug)]
struct Part {
    file: PathBuf,
    map: Mmap,
    layout: Layout,
    first: usize,
}

impl Part {
    fn open(file: &Path, first: usize) -> Result<Part> {
        let hint = "the path comes from `data.features`, relative to `data.root`";
        let opened = File::open(file).map_err(|e| Error::reading(file, e).hint(hint))?;
        // SAFETY: the map is only read. A file that another process cuts short while it is mapped ends this
        // process with SIGBUS; there is no way to map a file that excludes it, so features must stay as they are.
        let map = unsafe { Mmap::map(&opened) }.map_err(|e| Error::reading(file, e))?;
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
        Ok(Part { file: file.to_path_buf(), map, layout, first })
    }
}

/// A matrix of picture features, one row a picture, in one or several mapped files. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
pub struct Features {
    parts: Arc<[Part]>,
    /// The rows of the files that belong to this matrix; all of them without it.
    chosen: Option<Arc<[u32]>>,
    width: usize,
}

impl Features {
    /// Maps `.npy` and `.safetensors` files, one after the other, and reads each row once.
    ///
    /// A file that is not whole, widths that differ, a number that is not finite and a row of zeros are errors.
    pub fn open(files: &[PathBuf]) -> Result<Features> {
        let mut parts: Vec<Part> = Vec::with_capacity(files.len());
        for file in files {
            let first = parts.last().map_or(0, |p| p.first + p.layout.rows);
            let part = Part::open(file, first)?;
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
        let features = Features { parts: parts.into(), chosen: None, width };
        if features.rows() > u32::MAX as usize {
            return Err(Error::data(format!("{} rows of features are too many", features.rows())));
        }
        features.check_rows()?;
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
        let size = self.width * part.layout.number.size();
        let bytes = &part.map[part.layout.offset + row * size..][..size];
        part.layout.number.decode(bytes, out);
    }

    /// The file of a row and its place there, counted from 0.
    pub fn place(&self, row: usize) -> (&Path, usize) {
        let (part, row) = self.locate(row);
        (&part.file, row)
    }

    fn locate(&self, row: usize) -> (&Part, usize) {
        assert!(row < self.rows(), "row {row} of {} rows of features", self.rows());
        let row = self.chosen.as_ref().map_or(row, |c| c[row] as usize);
        let part = &self.parts[self.parts.partition_point(|p| p.first <= row) - 1];
        (part, row - part.first)
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
    pub(super) fn select(&self, rows: &[u32]) -> Features {
        let chosen = match &self.chosen {
            Some(chosen) => rows.iter().map(|&r| chosen[r as usize]).collect(),
            None => rows.into(),
        };
        Features { parts: self.parts.clone(), chosen: Some(chosen), width: self.width }
    }

    fn check_rows(&self) -> Result<()> {
        let fault = (0..self.rows()).into_par_iter().map_init(
            || vec![0.0; self.width],
            |values, row| {
                self.copy_row(row, values);
                if let Some(column) = values.iter().position(|v| !v.is_finite()) {
                    return Some((row, format!(", column {column} (both from 0) is {}", values[column])));
                }
                values.iter().all(|&v| v == 0.0).then(|| (row, " (from 0) is all zeros".to_string()))
            },
        );
        match fault.find_map_first(|f| f) {
            None => Ok(()),
            Some((row, what)) => {
                let (file, place) = self.place(row);
                Err(Error::data(format!("row {place}{what}"))
                    .at(file)
                    .hint("compute the features of this picture again, or leave it and its captions out"))
            }
        }
    }
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
    fn rows_that_are_not_finite_or_zero_are_refused() {
        let refusal = |values: &[f32]| {
            let (_folder, files) = files(&[(2, &[1., 1.]), (2, values)]);
            Features::open(&files).unwrap_err().to_string()
        };
        let text = refusal(&[1., 2., 3., f32::NAN, 0., 0.]);
        assert!(text.contains("1.npy`: row 1, column 1 (both from 0) is NaN"), "{text}");
        assert!(refusal(&[f32::NEG_INFINITY, 2.]).contains("row 0, column 0 (both from 0) is -inf"));
        assert!(refusal(&[1., 2., 0., -0.0]).contains("1.npy`: row 1 (from 0) is all zeros"));
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
