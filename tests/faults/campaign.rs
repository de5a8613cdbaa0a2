//! Every kind of input file, changed at places that a seed draws, and read in this process: it is read, or there is an error
//! that names the file. Nothing panics, aborts, hangs, or asks for more memory than a file can be worth.
//!
//! Some changes of each kind are tried always. `TINYGLOT_FAULTS=all` tries `TINYGLOT_FAULTS_EACH` of each (default 1000);
//! `TINYGLOT_FAULTS_SEED` draws others.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tinyglot::Error;

use crate::inputs::{Input, inputs};
use crate::mutate::mutated;

/// No tiny file takes so long.
const LONGEST: Duration = Duration::from_secs(60);

/// What is being tried, for those who abort.
pub static TRIED: Mutex<String> = Mutex::new(String::new());

/// How reading a changed file ended.
enum End {
    Read,
    Refused(Error),
    Panicked(String),
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn no_changed_file_panics_hangs_or_is_refused_without_its_name() {
    let all = std::env::var("TINYGLOT_FAULTS").is_ok_and(|value| value == "all");
    let each = if all { number("TINYGLOT_FAULTS_EACH", 1000) } else { 27 };
    let seed = number("TINYGLOT_FAULTS_SEED", 1);
    let only = std::env::var("TINYGLOT_FAULTS_ONLY").unwrap_or_default();
    let place = tempfile::tempdir().expect("a folder");
    let inputs = inputs(place.path());
    let (beat, beats) = channel();
    let guard = std::thread::spawn(move || {
        loop {
            match beats.recv_timeout(LONGEST) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let tried = TRIED.lock().map(|tried| tried.clone()).unwrap_or_default();
                    eprintln!("{tried} is being read for more than {LONGEST:?}");
                    std::process::abort();
                }
            }
        }
    });
    let mut report = String::new();
    let mut wrong = Vec::new();
    for input in inputs.iter().filter(|input| input.name.contains(&only)) {
        let start = Instant::now();
        let whole = fs::read(&input.file).unwrap_or_else(|e| panic!("{}: {e}", input.file.display()));
        // As it is, it can be read.
        if let Err(error) = (input.read)() {
            panic!("{} cannot be read as it is: {error}", input.name);
        }
        let (mut read, mut refused) = (0, 0);
        for n in 0..each {
            let (bytes, how) = mutated(&whole, n, seed);
            let what = format!("{} {n} ({how})", input.name);
            *TRIED.lock().expect("no holder panics") = what.clone();
            replace(&input.file, &bytes);
            match attempt(input) {
                End::Read => read += 1,
                End::Refused(error) => {
                    refused += 1;
                    if !(1..=4).contains(&error.exit_status()) || !names(&error, input) {
                        wrong.push(format!("{what}: {error}"));
                    }
                }
                End::Panicked(message) => wrong.push(format!("{what}: PANIC {message}")),
            }
            let _ = beat.send(());
        }
        // A picture is shown as it is; of all else some changes show, or nobody has read it.
        if refused == 0 && input.name != "picture" {
            wrong.push(format!("{}: no change was found", input.name));
        }
        replace(&input.file, &whole);
        if let Err(error) = (input.read)() {
            panic!("{} cannot be read when it is whole again: {error}", input.name);
        }
        report += &format!(
            "{:32} {each:5} changes: {read:5} read, {refused:5} refused, {:6.1} s\n",
            input.name,
            start.elapsed().as_secs_f64()
        );
    }
    drop(beat);
    guard.join().expect("the guard ends");
    println!("{report}");
    assert!(wrong.is_empty(), "{} of the changes ended wrongly:\n{}", wrong.len(), wrong.join("\n"));
}

/// By a new file in its place: what was mapped of the old one stays.
fn replace(file: &Path, bytes: &[u8]) {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, bytes).expect("written");
    fs::rename(PathBuf::from(beside), file).expect("moved");
}

fn attempt(input: &Input) -> End {
    match catch_unwind(AssertUnwindSafe(|| (input.read)())) {
        Ok(Ok(())) => End::Read,
        Ok(Err(error)) => End::Refused(error),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            End::Panicked(text.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default())
        }
    }
}

/// Whether the error speaks of the file; where several files must agree, of any of them.
fn names(error: &Error, input: &Input) -> bool {
    let text = error.to_string();
    let file = input.file.file_name().and_then(|name| name.to_str()).expect("a name");
    text.contains(file) || input.with.iter().any(|other| text.contains(other))
}
