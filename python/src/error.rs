//! Errors as exceptions.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use tinyglot::error::Kind;

pyo3::create_exception!(
    tinyglot,
    Error,
    PyException,
    "What went wrong: the message names the file and the line, says what is wrong and what to do about it.\n\n\
     `kind` is \"usage\", \"config\", \"data\", \"run\" or \"stopped\", as the command's exit status tells them apart; `file` and `line` are the place, \
     where there is one."
);

/// An error of the library as an exception with its parts.
pub fn raised(py: Python, error: &tinyglot::Error) -> PyErr {
    let exception = Error::new_err(error.to_string());
    let kind = match error.kind() {
        Kind::Usage => "usage",
        Kind::Config => "config",
        Kind::Data => "data",
        Kind::Run => "run",
        Kind::Stopped => "stopped",
    };
    let (file, line) = error.place().map_or((None, None), |(file, line)| (Some(file), line));
    let set = || -> PyResult<()> {
        let value = exception.value(py);
        value.setattr("kind", kind)?;
        value.setattr("file", file)?;
        value.setattr("line", line)
    };
    match set() {
        Ok(()) => exception,
        Err(other) => other,
    }
}
