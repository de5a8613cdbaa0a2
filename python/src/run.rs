//! A trained run, or what was packed of one.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tinyglot::checkpoint::ReservedFolder;
use tinyglot::config::Source;
use tinyglot::corpus::{Features, PictureSource, SplitName};
use tinyglot::error::{InFile, Kind};
use tinyglot::eval::Scope;
use tinyglot::family::smalr::language_pack;
use tinyglot::numbers::Format;
use tinyglot::photos::{InMemory, Photographs, PictureTower};
use tinyglot::retrieve::{Gallery, Index, PictureFile, Retriever};
use tinyglot::run::{PackOptions, picture_tower};
use tinyglot::{Result, run};

use crate::gallery::{Pictures, PyGallery};
use crate::log::warn;
use crate::pictures::{Given, array};
use crate::work::{go_on, heard, work};

/// A trained run in use, from many threads.
#[pyclass(frozen, module = "tinyglot", name = "Run")]
pub struct PyRun {
    pub run: Arc<dyn Retriever>,
    tower: Arc<Tower>,
}

/// The picture tower, opened when it is first used.
#[derive(Default)]
struct Tower {
    folder: Option<PathBuf>,
    opened: Mutex<Option<Arc<PictureTower>>>,
}

impl Tower {
    fn get(&self, run: &dyn Retriever) -> Result<Arc<PictureTower>> {
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tower) = &*opened() {
            return Ok(Arc::clone(tower));
        }
        // Nothing is locked meanwhile: who waits for threads may be given work that needs the tower, too.
        let tower = Arc::new(picture_tower(run, self.folder.as_deref())?);
        Ok(Arc::clone(opened().get_or_insert(tower)))
    }
}

impl From<Box<dyn Retriever>> for PyRun {
    fn from(run: Box<dyn Retriever>) -> PyRun {
        PyRun { run: run.into(), tower: Arc::default() }
    }
}

impl PyRun {
    pub fn open(path: &Path, set: &[String], tower: Option<PathBuf>) -> Result<PyRun> {
        let opened = run::open(path, set).in_file_if(Kind::Data, path);
        let run = opened.in_file_if(Kind::Config, path.join("config.toml"))?;
        Ok(PyRun { run: run.into(), tower: Arc::new(Tower { folder: tower, ..Tower::default() }) })
    }

    fn again(&self) -> Arc<dyn Retriever> {
        Arc::clone(&self.run)
    }

    /// Makes a run in another folder of this one, and opens it.
    fn made(
        &self,
        py: Python,
        out: PathBuf,
        make: impl FnOnce(&Path, ReservedFolder) -> Result<()> + Send + 'static,
    ) -> PyResult<PyRun> {
        let path = self.run.folder().path.clone();
        work(py, move |_| {
            make(&path, ReservedFolder::new(&out)?).in_file_if(Kind::Data, &path)?;
            PyRun::open(&out, &[], None)
        })
    }
}

/// Sentences that are embedded between two looks at whether anybody waits for them.
const SENTENCES: usize = 8192;

/// Sentences of a language, by its code, as vectors, and what is wrong with them.
pub fn embedded(
    run: &dyn Retriever,
    language: &str,
    sentences: &[String],
    stop: &AtomicBool,
) -> Result<(Vec<f32>, Vec<String>)> {
    let (language, mut vectors, mut warnings) = (run.language(language)?, Vec::new(), Vec::new());
    for some in sentences.chunks(SENTENCES) {
        go_on(stop)?;
        let (more, wrong) = run.embed(language, &some.iter().map(String::as_str).collect::<Vec<_>>())?;
        vectors.extend(more);
        warnings.extend(wrong);
    }
    Ok((vectors, warnings))
}

/// All pictures of a source as vectors (pictures, joint).
fn vectors(run: &dyn Retriever, pictures: &dyn PictureSource, stop: &AtomicBool) -> Result<Vec<f32>> {
    run.check_pictures(pictures)?;
    let mut vectors = Vec::with_capacity(pictures.rows() * run.joint());
    run.pictures(pictures, &mut |_, some| {
        vectors.extend_from_slice(some);
        go_on(stop)
    })?;
    Ok(vectors)
}

/// All pictures of a source, to search.
fn searchable(run: &dyn Retriever, pictures: &dyn PictureSource, stop: &AtomicBool) -> Result<Gallery> {
    Ok(Gallery::of_vectors(vectors(run, pictures, stop)?, run.joint()))
}

fn format(name: &str) -> PyResult<Format> {
    let found = Format::ALL.into_iter().find(|format| format.name() == name);
    found.ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join("`, `");
        PyValueError::new_err(format!("`{name}` is no format: there are `{names}`"))
    })
}

#[pymethods]
impl PyRun {
    fn __repr__(&self) -> String {
        format!("<tinyglot.Run {:?}: {}>", self.run.folder().path, self.run.languages().join(", "))
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.run.folder().path.clone()
    }

    #[getter]
    fn languages(&self) -> Vec<String> {
        self.run.languages()
    }

    #[getter]
    fn width(&self) -> usize {
        self.run.joint()
    }

    #[getter]
    fn config(&self) -> String {
        self.run.config().to_toml()
    }

    fn embed_sentences<'py>(
        &self,
        py: Python<'py>,
        sentences: Vec<String>,
        language: String,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let run = self.again();
        let (vectors, warnings) = work(py, move |stop| embedded(&*run, &language, &sentences, stop))?;
        warn(py, warnings)?;
        array(py, vectors, self.run.joint())
    }

    fn embed_pictures<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (run, given) = (self.again(), Given::new(pictures)?);
        let vectors = work(py, move |stop| match given {
            Given::File(file) => {
                let rows = Features::open(&[file])?;
                let (features, _) = rows.each_once(rows.ids().as_deref())?;
                vectors(&*run, &features, stop)
            }
            Given::Array(matrix) => {
                matrix.check()?;
                vectors(&*run, &matrix, stop)
            }
        })?;
        array(py, vectors, self.run.joint())
    }

    fn embed_photographs<'py>(
        &self,
        py: Python<'py>,
        photographs: Vec<PathBuf>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (run, tower, stop) = (self.again(), Arc::clone(&self.tower), Arc::new(AtomicBool::new(false)));
        let asked = Arc::clone(&stop);
        let work = move |_| {
            let (tower, photographs) = (tower.get(&*run)?, Photographs::of_files(photographs));
            let features = InMemory::of(&tower, &photographs, Path::new("the photographs"), &asked)?;
            vectors(&*run, &features, &asked)
        };
        let vectors = heard(py, &stop, work, &mut |_, ()| Ok(()))?;
        array(py, vectors, self.run.joint())
    }

    #[pyo3(signature = (pictures, ids = None))]
    fn gallery(
        &self,
        py: Python,
        pictures: &Bound<PyAny>,
        ids: Option<&Bound<PyAny>>,
    ) -> PyResult<PyGallery> {
        let run = self.again();
        let (gallery, note) = match Given::new(pictures)? {
            Given::File(file) => {
                let ids: Option<PathBuf> = ids.map(|ids| ids.extract()).transpose()?;
                work(py, move |stop| {
                    let file = PictureFile::open(&file, ids.as_deref())?;
                    let rows = (file.features.rows() * file.times) as u32;
                    let (ids, times) = ((0..rows).map(|row| file.name(row)).collect(), file.times as u32);
                    let gallery = searchable(&*run, &file.features, stop)?;
                    Ok((Pictures::Memory { gallery, ids, times }, file.note()))
                })?
            }
            Given::Array(matrix) => {
                let ids: Option<Vec<String>> = ids.map(|ids| ids.extract()).transpose()?;
                let rows = matrix.rows();
                let ids = ids.unwrap_or_else(|| (0..rows).map(|row| row.to_string()).collect());
                if ids.len() != rows {
                    let what = format!("{} ids are given, and {rows} pictures", ids.len());
                    return Err(PyValueError::new_err(what));
                }
                work(py, move |stop| {
                    matrix.check()?;
                    Ok((Pictures::Memory { gallery: searchable(&*run, &matrix, stop)?, ids, times: 1 }, None))
                })?
            }
        };
        warn(py, note.into_iter().collect())?;
        Ok(PyGallery::new(self.again(), gallery))
    }

    fn index(&self, py: Python, folder: PathBuf) -> PyResult<PyGallery> {
        let run = self.again();
        let index = work(py, move |_| {
            let index = Index::open(&folder)?;
            index.check_model(&*run)?;
            Ok(index)
        })?;
        Ok(PyGallery::new(self.again(), Pictures::Index(Box::new(index))))
    }

    #[pyo3(signature = (split = "test", *, captions = "human", distractors = false, folds = 1))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        split: &str,
        captions: &str,
        distractors: bool,
        folds: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let by = match captions {
            "human" => Source::Human,
            "machine" => Source::Machine,
            _ => return Err(PyValueError::new_err("`captions` is \"human\" or \"machine\"")),
        };
        let split = split.parse::<SplitName>().ok().filter(|split| SplitName::CAPTIONED.contains(split));
        let split =
            split.ok_or_else(|| PyValueError::new_err("`split` is \"train\", \"val\" or \"test\""))?;
        let scope = Scope { by, distractors, folds, ..Scope::whole(split) };
        let run = self.again();
        let found = work(py, move |_| run::evaluate(&*run, scope))?;
        document(py, &found)
    }

    #[pyo3(signature = (out, *, weights = "f16", rows = None, ngrams = None, languages = Vec::new()))]
    fn pack(
        &self,
        py: Python,
        out: PathBuf,
        weights: &str,
        rows: Option<&str>,
        ngrams: Option<usize>,
        languages: Vec<String>,
    ) -> PyResult<PyRun> {
        let (weights, rows) = (format(weights)?, rows.map(format).transpose()?);
        let options = PackOptions { ngrams, weights, rows, languages };
        self.made(py, out, move |path, place| run::pack(path, options, place).map(drop))
    }

    fn export_language(&self, py: Python, language: String, out: PathBuf) -> PyResult<()> {
        let path = self.path();
        work(py, move |_| language_pack::export(&path, &language, &out).in_file_if(Kind::Data, &path))
    }

    fn add_language(&self, py: Python, file: PathBuf, out: PathBuf) -> PyResult<PyRun> {
        self.made(py, out, move |path, place| language_pack::add(path, &file, place).map(drop))
    }

    fn remove_language(&self, py: Python, language: String, out: PathBuf) -> PyResult<PyRun> {
        let packed = self.run.folder().refuse_packed().is_err();
        self.made(py, out, move |path, place| match packed {
            true => language_pack::remove(path, &language, place).map(drop),
            false => run::remove_language(path, &language, place).map(drop),
        })
    }
}

/// Plain data as Python has them.
pub fn document<'py>(py: Python<'py>, found: &impl serde::Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(found).expect("plain data");
    py.import("json")?.call_method1("loads", (text,))
}
