//! Pictures to search: vectors in memory, or an index in its folder.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use numpy::PyArray2;
use pyo3::prelude::*;
use tinyglot::Result;
use tinyglot::retrieve::{Gallery, Hit, Index, PictureVectors, Retriever, search};

use crate::log::warn;
use crate::pictures::{Matrix, array};
use crate::run::embedded;
use crate::work::{go_on, work};

/// A picture that was found.
#[pyclass(frozen, get_all, eq, module = "tinyglot", name = "Hit")]
#[derive(PartialEq)]
pub struct PyHit {
    id: String,
    row: u32,
    score: f32,
}

#[pymethods]
impl PyHit {
    fn __repr__(&self) -> String {
        format!("Hit(id={:?}, row={}, score={:?})", self.id, self.row, self.score)
    }
}

/// Pictures as vectors, searched often and from many threads.
#[pyclass(frozen, module = "tinyglot", name = "Gallery")]
pub struct PyGallery {
    run: Arc<dyn Retriever>,
    pictures: Arc<Pictures>,
}

/// Vectors, and what the pictures are called.
pub enum Pictures {
    /// `times`: how often each picture stands in the file, one row after the other; `ids` has one for each row.
    Memory {
        gallery: Gallery,
        ids: Vec<String>,
        times: u32,
    },
    Index(Box<Index>),
}

impl Pictures {
    fn vectors(&self) -> &dyn PictureVectors {
        match self {
            Pictures::Memory { gallery, .. } => gallery,
            Pictures::Index(index) => &**index,
        }
    }

    /// By row.
    fn ids(&self) -> &[String] {
        match self {
            Pictures::Memory { ids, .. } => ids,
            Pictures::Index(index) => index.ids(),
        }
    }

    fn times(&self) -> u32 {
        match self {
            Pictures::Memory { times, .. } => *times,
            Pictures::Index(_) => 1,
        }
    }
}

/// Pictures that are searched as long as anybody waits.
struct Asked<'a> {
    pictures: &'a dyn PictureVectors,
    stop: &'a AtomicBool,
}

impl PictureVectors for Asked<'_> {
    fn joint(&self) -> usize {
        self.pictures.joint()
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        self.pictures.tiles(&mut |first, some| {
            go_on(self.stop)?;
            take(first, some)
        })
    }

    fn faster(&self, queries: &[f32], k: usize) -> Option<Vec<Vec<Hit>>> {
        self.pictures.faster(queries, k)
    }
}

impl PyGallery {
    pub fn new(run: Arc<dyn Retriever>, pictures: Pictures) -> PyGallery {
        PyGallery { run, pictures: Arc::new(pictures) }
    }
}

/// Rows and scores of what was found for each query.
type Found<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f32>>);

#[pymethods]
impl PyGallery {
    fn __len__(&self) -> usize {
        self.pictures.ids().len() / self.pictures.times() as usize
    }

    #[getter]
    fn ids(&self) -> Vec<String> {
        self.pictures.ids().to_vec()
    }

    #[pyo3(signature = (queries, language, k = 10))]
    fn search(
        &self,
        py: Python,
        queries: Vec<String>,
        language: String,
        k: usize,
    ) -> PyResult<Vec<Vec<PyHit>>> {
        let (run, pictures) = (Arc::clone(&self.run), Arc::clone(&self.pictures));
        let (found, warnings) = work(py, move |stop| {
            let (vectors, warnings) = embedded(&*run, &language, &queries, stop)?;
            let found = search(&Asked { pictures: pictures.vectors(), stop }, &vectors, k)?;
            let hit = |row: u32, score| PyHit { id: pictures.ids()[row as usize].clone(), row, score };
            let hits = |found: &Vec<Hit>| {
                found.iter().map(|found| hit(found.row * pictures.times(), found.score)).collect()
            };
            Ok((found.iter().map(hits).collect(), warnings))
        })?;
        warn(py, warnings)?;
        Ok(found)
    }

    #[pyo3(signature = (vectors, k = 10))]
    fn search_vectors<'py>(&self, py: Python<'py>, vectors: &Bound<PyAny>, k: usize) -> PyResult<Found<'py>> {
        let vectors = Matrix::new(vectors)?;
        vectors.check_width(self.run.joint())?;
        let k = k.min(self.__len__());
        let pictures = Arc::clone(&self.pictures);
        let (rows, scores) = work(py, move |stop| {
            let found = search(&Asked { pictures: pictures.vectors(), stop }, vectors.values(), k)?;
            let hits = || found.iter().flatten();
            let rows: Vec<i64> = hits().map(|hit| i64::from(hit.row * pictures.times())).collect();
            Ok((rows, hits().map(|hit| hit.score).collect()))
        })?;
        Ok((array(py, rows, k)?, array(py, scores, k)?))
    }
}
