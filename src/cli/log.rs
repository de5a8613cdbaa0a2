//! The log of a run: lines for a person on standard error, and all of them, with the time, in `run.log`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::terminal::Terminal;
use crate::{Error, Result};

/// Says lines, and keeps them.
#[derive(Debug)]
pub struct Log {
    terminal: Terminal,
    start: Instant,
    kept: Mutex<Kept>,
}

/// Where lines are kept.
#[derive(Debug)]
enum Kept {
    /// Lines from before there was a file.
    Early(String),
    File(PathBuf, File),
}

impl Log {
    /// A log that goes to the terminal, until there is a file.
    pub fn new(terminal: Terminal) -> Self {
        Log { terminal, start: Instant::now(), kept: Mutex::new(Kept::Early(String::new())) }
    }

    /// Appends all lines to `file` too, those from before as well, each with the seconds since the start.
    ///
    /// # Errors
    /// Run, where the file cannot be written.
    pub fn keep(&self, path: &Path) -> Result<()> {
        let write = || {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            if let Kept::Early(lines) = &*self.lock() {
                file.write_all(lines.as_bytes())?;
            }
            Ok(file)
        };
        let file = write().map_err(|source| Error::writing(path, source))?;
        *self.lock() = Kept::File(path.to_path_buf(), file);
        Ok(())
    }

    /// A line for everyone.
    ///
    /// # Errors
    /// Run, where the log's file cannot be written.
    pub fn say(&self, line: &str) -> Result<()> {
        self.terminal.say(line);
        self.append("", line)
    }

    /// A line for those who want more (`-v`); the file has it always.
    ///
    /// # Errors
    /// Run, where the log's file cannot be written.
    pub fn detail(&self, line: &str) -> Result<()> {
        self.terminal.detail(line);
        self.append("", line)
    }

    /// Something that is probably not as the user wants it.
    ///
    /// # Errors
    /// Run, where the log's file cannot be written.
    pub fn warn(&self, line: &str) -> Result<()> {
        self.terminal.warn(line);
        self.append("warning: ", line)
    }

    fn append(&self, mark: &str, line: &str) -> Result<()> {
        let text = format!("[{:9.2} s] {mark}{line}\n", self.start.elapsed().as_secs_f64());
        match &mut *self.lock() {
            Kept::Early(lines) => {
                lines.push_str(&text);
                Ok(())
            }
            Kept::File(path, file) => {
                file.write_all(text.as_bytes()).map_err(|source| Error::writing(path, source))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_keeps_every_line_and_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.log");
        std::fs::write(&file, "earlier\n").unwrap();
        let log = Log::new(Terminal::new(true, false));
        log.say("begun").unwrap();
        log.keep(&file).unwrap();
        log.say("epoch 1").unwrap();
        log.detail("norm 3").unwrap();
        log.warn("slow").unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let ends: Vec<_> = text.lines().map(|line| line.rsplit("] ").next().unwrap()).collect();
        assert_eq!(ends, ["earlier", "begun", "epoch 1", "norm 3", "warning: slow"]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Log::new(Terminal::new(true, false)).keep(folder.path()).unwrap_err();
        assert_eq!(error.exit_status(), 1);
    }
}
