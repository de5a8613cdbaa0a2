//! What the library tells, by Python's `logging`: the logger `tinyglot`.

use pyo3::prelude::*;

/// Logs a line; `level` is the name of a method of a logger.
pub fn log(py: Python, level: &str, line: &str) -> PyResult<()> {
    let logger = py.import("logging")?.call_method1("getLogger", ("tinyglot",))?;
    logger.call_method1(level, (line,)).map(drop)
}

/// Logs warnings.
pub fn warn(py: Python, lines: Vec<String>) -> PyResult<()> {
    lines.iter().try_for_each(|line| log(py, "warning", line))
}
