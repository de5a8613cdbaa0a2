//! The one error type: what failed, where, with which value, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// A result, or what went wrong.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit status of a command that was asked to stop.
pub const STOPPED: u8 = 130;

/// What went wrong, as far as the exit status tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong use of the command line: exit status 2.
    Usage,
    /// A configuration that cannot be used: exit status 3.
    Config,
    /// Captions, features, vectors or a run folder that cannot be used: exit status 4.
    Data,
    /// Anything else (disk, a value that is not finite): exit status 1.
    Run,
    /// Ctrl-C or SIGTERM: exit status 130, as shells have it.
    Stopped,
}

/// An error message in its parts: `FILE:LINE: what (hint: …)`.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    file: Option<PathBuf>,
    line: Option<usize>,
    /// Whether it names its place itself, which is in no file that is read.
    placed: bool,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind: what went wrong, without file, line and hint.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, file: None, line: None, placed: false, what: what.into(), hint: None, source: None }
    }

    /// An error of [`Kind::Usage`].
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    /// An error of [`Kind::Config`].
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(Kind::Config, what)
    }

    /// An error of [`Kind::Data`].
    pub fn data(what: impl Into<String>) -> Self {
        Self::new(Kind::Data, what)
    }

    /// An error of [`Kind::Run`].
    pub fn run(what: impl Into<String>) -> Self {
        Self::new(Kind::Run, what)
    }

    /// An error of [`Kind::Stopped`].
    pub fn stopped(what: impl Into<String>) -> Self {
        Self::new(Kind::Stopped, what)
    }

    /// An input file that could not be opened or read (exit status 4).
    pub fn reading(file: &Path, source: std::io::Error) -> Self {
        Self::data("cannot be read").at(file).because(source)
    }

    /// A result that could not be written (exit status 1): a full disk, a read-only folder.
    pub fn writing(file: &Path, source: std::io::Error) -> Self {
        Self::run("cannot be written").at(file).because(source)
    }

    /// The file the error is about.
    pub fn at(mut self, file: impl AsRef<Path>) -> Self {
        self.file = Some(file.as_ref().to_path_buf());
        self
    }

    /// The line of the file, counted from 1.
    pub fn line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// The part of the file the error is about, where it has no lines: "entry 3: what".
    pub fn within(mut self, part: impl fmt::Display) -> Self {
        self.what = format!("{part}: {}", self.what);
        self
    }

    /// It names what is wrong by its place already, as on the command line: no file is to be named.
    pub fn placed(mut self) -> Self {
        self.placed = true;
        self
    }

    /// What the user can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the user can do about it, where nothing more fitting is said.
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// The underlying error.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The file that it is about, and the line there, counted from 1, where it names them.
    pub fn place(&self) -> Option<(&Path, Option<usize>)> {
        Some((self.file.as_deref()?, self.line))
    }

    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a file was not there that was to be opened.
    pub fn is_missing_file(&self) -> bool {
        let source = self.source.as_ref().and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    }

    /// The exit status of the command.
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            Kind::Run => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::Data => 4,
            Kind::Stopped => STOPPED,
        }
    }
}

/// Errors of what was read name the file: a reader adds it to all that goes wrong below, and what was named already stays.
pub trait InFile {
    /// Adds the file to an error that names no place.
    fn in_file(self, file: impl AsRef<Path>) -> Self;
    /// As [`Self::in_file`], for errors of one kind alone.
    fn in_file_if(self, kind: Kind, file: impl AsRef<Path>) -> Self;
}

impl<T> InFile for Result<T> {
    fn in_file(self, file: impl AsRef<Path>) -> Self {
        self.map_err(|e| if e.file.is_none() && !e.placed { e.at(file) } else { e })
    }

    fn in_file_if(self, kind: Kind, file: impl AsRef<Path>) -> Self {
        if self.as_ref().is_err_and(|e| e.kind == kind) { self.in_file(file) } else { self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "`{}`:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "`{}`: ", file.display())?,
            _ => {}
        }
        f.write_str(&self.what)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_added_to_errors_that_name_none() {
        let told = |e: Error| Err::<(), _>(e).in_file("a.bin").unwrap_err().to_string();
        assert_eq!(told(Error::data("is cut off")), "`a.bin`: is cut off");
        assert_eq!(told(Error::data("is cut off").at("b.bin")), "`b.bin`: is cut off");
        let config = |e: Error| Err::<(), _>(e).in_file_if(Kind::Config, "a.toml").unwrap_err().to_string();
        assert_eq!(config(Error::config("is empty")), "`a.toml`: is empty");
        assert_eq!(config(Error::config("is empty").at("b.toml")), "`b.toml`: is empty");
        assert_eq!(config(Error::config("`--set a=1`: is 1").placed()), "`--set a=1`: is 1");
        assert_eq!(config(Error::usage("no such language")), "no such language");
    }

    #[test]
    fn message_names_file_line_value_and_remedy() {
        let e = Error::data("expected 2048 columns, got 2304").at("f.npy").line(3).hint("set `image.width`");
        assert_eq!(e.to_string(), "`f.npy`:3: expected 2048 columns, got 2304\nhint: set `image.width`");
        assert_eq!(e.exit_status(), 4);
        assert_eq!(e.place(), Some((Path::new("f.npy"), Some(3))));
        assert_eq!(Error::data("is cut off").at("f.npy").place(), Some((Path::new("f.npy"), None)));
        assert_eq!(Error::data("is cut off").line(3).place(), None);
    }
}
