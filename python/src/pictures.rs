//! Features of pictures as Python gives them, and vectors as it takes them.

use std::path::{Path, PathBuf};

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use sha2::{Digest, Sha256};
use tinyglot::Result;
use tinyglot::corpus::{PictureSource, check_rows};

/// What stands for pictures: a file of features, or features in memory.
pub enum Given {
    File(PathBuf),
    Array(Matrix),
}

impl Given {
    /// Of a path, or of anything that NumPy makes a matrix of.
    pub fn new(given: &Bound<PyAny>) -> PyResult<Given> {
        match given.extract() {
            Ok(file) => Ok(Given::File(file)),
            Err(_) => Matrix::new(given).map(Given::Array),
        }
    }
}

/// A matrix of 32-bit floats that NumPy owns, row by row. It must not be changed while it is used, as with NumPy's own functions.
pub struct Matrix {
    /// Keeps the numbers where they are.
    _array: Py<PyArray2<f32>>,
    start: *const f32,
    rows: usize,
    width: usize,
}

// SAFETY: the numbers are only read, and live as long as `_array`, which may be dropped on any thread.
unsafe impl Send for Matrix {}
// SAFETY: as above.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// Of an array, which is copied only where it is not of 32-bit floats one row after the other.
    pub fn new(array: &Bound<PyAny>) -> PyResult<Matrix> {
        let py = array.py();
        let dense = py.import("numpy")?.call_method1("ascontiguousarray", (array, "float32"))?;
        let dense = dense.cast_into::<PyArray2<f32>>().map_err(|_| {
            PyTypeError::new_err(
                "pictures and vectors are a matrix of numbers, a row each, or the path of a file",
            )
        })?;
        let (rows, width) = (dense.shape()[0], dense.shape()[1]);
        Ok(Matrix { start: dense.data(), rows, width, _array: dense.unbind() })
    }

    /// (rows, width)
    pub fn values(&self) -> &[f32] {
        if self.rows * self.width == 0 {
            return &[];
        }
        // SAFETY: a contiguous array of so many numbers, which `_array` keeps.
        unsafe { std::slice::from_raw_parts(self.start, self.rows * self.width) }
    }

    /// Refuses vectors of another width.
    pub fn check_width(&self, width: usize) -> PyResult<()> {
        match self.width == width {
            true => Ok(()),
            false => Err(PyValueError::new_err(format!(
                "the vectors have {} numbers each, those of the model {width}",
                self.width
            ))),
        }
    }

    /// Refuses features that no file may hold either.
    pub fn check(&self) -> Result<()> {
        check_rows(self).map(drop)
    }
}

impl PictureSource for Matrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn width(&self) -> usize {
        self.width
    }

    fn copy_rows(&self, first: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values()[first * self.width..][..out.len()]);
    }

    fn place(&self, row: usize) -> (&Path, usize) {
        (Path::new("the array"), row)
    }

    fn hash_content(&self, hash: &mut Sha256) -> Result<()> {
        self.values().iter().for_each(|value| hash.update(value.to_le_bytes()));
        Ok(())
    }
}

/// Numbers (rows, width) as an array, which takes them over.
pub fn array<T: numpy::Element>(py: Python, values: Vec<T>, width: usize) -> PyResult<Bound<PyArray2<T>>> {
    let rows = values.len().checked_div(width).unwrap_or(0);
    PyArray1::from_vec(py, values).reshape([rows, width])
}
