//! tinyglot for Python. A thin layer: every function is a call of the library, which does its work without the interpreter's lock (`work`).
//!
//! What each does stands in `tinyglot/__init__.pyi`.

mod error;
mod gallery;
mod log;
mod pictures;
mod run;
mod training;
mod work;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use pyo3::prelude::*;

/// The names of `tinyglot`.
#[pymodule]
mod _tinyglot {
    use super::*;

    #[pymodule_export]
    use crate::error::Error;
    #[pymodule_export]
    use crate::gallery::{PyGallery, PyHit};
    #[pymodule_export]
    use crate::run::PyRun;
    #[pymodule_export]
    use crate::training::train;

    /// Opens the best checkpoint of a run, or what was packed of one.
    #[pyfunction]
    #[pyo3(signature = (path, *, set = vec![], tower = None))]
    fn open(py: Python, path: PathBuf, set: Vec<String>, tower: Option<PathBuf>) -> PyResult<PyRun> {
        work::work(py, move |_| PyRun::open(&path, &set, tower))
    }

    /// Computes with so many threads from now on; results do not depend on it.
    #[pyfunction]
    fn set_threads(py: Python, count: NonZeroUsize) -> PyResult<()> {
        let pool = py.detach(|| work::pool(Some(count.get())));
        pool.map(drop).map_err(|error| error::raised(py, &error))
    }

    /// The command `tinyglot` with the arguments of the process; gives its exit status.
    #[pyfunction]
    fn main(py: Python) -> PyResult<u8> {
        let arguments: Vec<OsString> = py.import("sys")?.getattr("argv")?.extract()?;
        let program = arguments.first().and_then(|script| std::path::absolute(script).ok());
        Ok(py.detach(|| tinyglot::cli::main(arguments, program)))
    }

    #[pymodule_init]
    fn init(module: &Bound<PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
