//! Faults at file operations, by a library that is loaded before the C library (shim.c).

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::{text, tinyglot};

/// What happens to a file operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The process is killed before it, or in the middle of it where it writes.
    Kill,
    /// It fails, and none after it.
    Fail,
    /// It fails, and all later ones that need space.
    Full,
    /// No file can be locked, from the beginning on.
    NoLock,
}

/// The library; nothing where there is no C compiler.
static SHIM: LazyLock<Option<(TempDir, PathBuf)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, library) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
    fs::write(&source, include_str!("shim.c")).expect("written");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    let built =
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: faults at file operations need a C compiler, and `cc` builds nothing here");
        return None;
    }
    Some((folder, library))
});

/// Whether faults can be made here.
pub fn possible() -> bool {
    SHIM.is_some()
}

/// What a command did to the files of a folder.
pub struct Done {
    pub output: Output,
    /// Each operation and its path in the folder, e.g. `rename /run.json`.
    pub operations: Vec<String>,
}

impl Done {
    pub fn killed(&self) -> bool {
        self.output.status.signal() == Some(9)
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// Runs the command; at operation `at`, counted from 0, on the files of `folder` the fault happens.
pub fn run_with(arguments: &[&str], folder: &Path, fault: Option<(usize, Fault)>) -> Done {
    let (_, library) = SHIM.as_ref().expect("the caller asked whether faults are possible");
    let work = tempfile::tempdir().expect("a folder");
    let (count, log) = (work.path().join("count"), work.path().join("log"));
    fs::write(&count, [0; 4]).expect("written");
    let mut command: Command = tinyglot();
    command.args(arguments).env("LD_PRELOAD", library);
    command.env("FAULTS_DIR", text(folder)).env("FAULTS_COUNT", &count).env("FAULTS_LOG", &log);
    if let Some((at, fault)) = fault {
        let how = match fault {
            Fault::Kill => "kill",
            Fault::Fail => "fail",
            Fault::Full => "full",
            Fault::NoLock => "nolock",
        };
        command.env("FAULTS_AT", (at + 1).to_string()).env("FAULTS_HOW", how);
    }
    let output = command.output().expect("the command starts");
    let log = fs::read_to_string(&log).unwrap_or_default();
    let operation = |line: &str| line.split_once(' ').map_or(line, |(_, rest)| rest).to_string();
    Done { output, operations: log.lines().map(operation).collect() }
}
