//! Results on standard output, where a full disk is an error and a closed reader (`| head`) is not.

use std::error::Error as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Prints text as it is.
///
/// # Errors
/// Run, where standard output cannot be written.
pub fn print(text: &str) -> Result<()> {
    write(|out| out.write_all(text.as_bytes()))
}

/// Gives `fill` a buffered standard output and flushes it.
///
/// # Errors
/// Run, where standard output cannot be written, or `fill` says so.
pub fn write(fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = fill(&mut out).and_then(|()| out.flush());
    // What could not be written must not be tried again when the buffer is dropped.
    let _ = out.into_parts();
    done.map_err(|source| Error::writing(Path::new("standard output"), source))
}

/// Whether the error is that the reader of a pipe has gone.
pub fn is_closed(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_told_from_other_errors() {
        let error = |kind: io::ErrorKind| Error::writing(Path::new("standard output"), kind.into());
        assert!(is_closed(&error(io::ErrorKind::BrokenPipe)));
        assert!(!is_closed(&error(io::ErrorKind::StorageFull)));
        assert!(!is_closed(&Error::run("no io")));
    }
}
