//! Runs the real command.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run of the command left: its exit status and what it printed.
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The command, with nothing of the caller's terminal in its environment.
pub fn tinyglot() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyglot"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command
}

/// Runs the command with `arguments`.
pub fn run(arguments: &[&str]) -> Ran {
    ended(tinyglot().args(arguments).output().expect("the command starts"))
}

pub fn ended(output: Output) -> Ran {
    Ran {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text on standard output"),
        stderr: String::from_utf8(output.stderr).expect("text on standard error"),
    }
}

/// Runs the command, which must go well and say nothing on standard error, and gives what it printed.
pub fn printed(arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    ran.stdout
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in Unicode")
}

/// A JSON file of a run as an earlier program would have written it, which knew no checksums.
#[allow(dead_code)]
pub fn without_checksum(text: &str) -> String {
    match text.rsplit_once(",\n  \"checksum\": \"") {
        Some((before, _)) => format!("{before}\n}}\n"),
        None => text.to_string(),
    }
}
