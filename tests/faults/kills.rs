//! Kills at file operations: the next command ends in the bits of an undisturbed run and leaves nothing else.

use std::path::{Path, PathBuf};

use crate::files::{Fault, possible, run_with};
use crate::places::{self, assert_same, content, copy};
use crate::{run, sample, text};

/// A command that is killed.
struct Scenario {
    /// What is there before; the command works in copies of it.
    before: PathBuf,
    /// The command's arguments in a copy, before and after a kill.
    command: fn(&Path, bool) -> Vec<String>,
    /// What it leaves, in a copy.
    out: &'static str,
    /// Kills of a sample.
    some: usize,
}

impl Scenario {
    fn arguments(&self, place: &Path, again: bool) -> Vec<String> {
        (self.command)(place, again)
    }

    /// Kills the command at each operation of a sample; gives the number of kills.
    fn kill(&self) -> usize {
        if !possible() {
            return 0;
        }
        let new = || {
            let place = tempfile::tempdir().expect("a folder");
            copy(&self.before, place.path());
            place
        };
        let whole = new();
        let arguments = self.arguments(whole.path(), false);
        let undisturbed = run_with(&words(&arguments), whole.path(), None);
        assert!(undisturbed.output.status.success(), "{}", undisturbed.stderr());
        let (expected, operations) = (content(&whole.path().join(self.out)), undisturbed.operations);
        let chosen = sample(operations.len(), self.some);
        for &n in &chosen {
            let place = new();
            let out = place.path().join(self.out);
            let killed =
                run_with(&words(&self.arguments(place.path(), false)), place.path(), Some((n, Fault::Kill)));
            let what = format!("killed at operation {n} of {}, `{}`", operations.len(), operations[n]);
            let well = killed.killed() || killed.output.status.success();
            assert!(well, "{what}: {}\n{}", killed.stderr(), said_by_trials(&out));
            let arguments = self.arguments(place.path(), out.exists());
            let mut again = run(&words(&arguments));
            if again.stderr.contains("there is a run already") {
                // It was whole, but for its report.
                again = run(&["report", text(&out)]);
            }
            assert_eq!(again.status, Some(0), "{what}: {}", again.stderr);
            assert_same(&out, &expected, &what);
        }
        eprintln!("{} kills at {} operations", chosen.len(), operations.len());
        chosen.len()
    }
}

/// What the trials of a sweep have said, for a failure that only their logs explain.
fn said_by_trials(sweep: &Path) -> String {
    let trials = std::fs::read_dir(sweep.join("trials")).into_iter().flatten().flatten();
    trials.filter_map(|trial| std::fs::read_to_string(trial.path().join("log.txt")).ok()).collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Arguments with paths in a place, and what is added after a kill.
fn arguments(place: &Path, first: &[&str], again: Option<&str>) -> Vec<String> {
    let full = |word: &&str| match word.strip_prefix('@') {
        Some(name) => text(&place.join(name)).to_string(),
        None => word.to_string(),
    };
    first
        .iter()
        .map(full)
        .chain(["--threads", "1", "-q"].map(String::from))
        .chain(again.map(String::from))
        .collect()
}

#[test]
fn a_training_goes_on() {
    let command = |place: &Path, again: bool| {
        arguments(place, &["train", "@words.toml", "--out", "@run"], again.then_some("--resume"))
    };
    Scenario { before: places::words(), command, out: "run", some: 24 }.kill();
}

#[test]
fn a_training_that_goes_on_goes_on_again() {
    let command = |place: &Path, _: bool| {
        arguments(place, &["train", "@words.toml", "--out", "@part", "--resume"], None)
    };
    Scenario { before: places::words(), command, out: "part", some: 12 }.kill();
}

#[test]
fn a_language_that_is_added_to_words_is_added() {
    let command = |place: &Path, again: bool| {
        arguments(place, &["add-language", "@base", "@zh.toml", "--out", "@new"], again.then_some("--resume"))
    };
    Scenario { before: places::words(), command, out: "new", some: 12 }.kill();
}

#[test]
fn a_language_that_is_taken_out_is_taken_out() {
    let command =
        |place: &Path, _: bool| arguments(place, &["remove-language", "@base", "de", "--out", "@new"], None);
    Scenario { before: places::words(), command, out: "new", some: 8 }.kill();
}

#[test]
fn an_evaluation_and_a_report_are_made_again() {
    let evaluate = |place: &Path, _: bool| arguments(place, &["evaluate", "@base"], None);
    Scenario { before: places::words(), command: evaluate, out: "base", some: 4 }.kill();
    let report = |place: &Path, _: bool| arguments(place, &["report", "@base"], None);
    Scenario { before: places::words(), command: report, out: "base", some: 4 }.kill();
}

#[test]
fn a_sweep_goes_on() {
    let command = |place: &Path, _: bool| {
        arguments(place, &["sweep", "@sweep.toml", "--out", "@out", "--jobs", "2"], None)
    };
    Scenario { before: places::words(), command, out: "out", some: 10 }.kill();
}

#[test]
fn an_acquisition_goes_on() {
    let command = |place: &Path, again: bool| {
        arguments(place, &["train", "@config.toml", "--out", "@run"], again.then_some("--resume"))
    };
    Scenario { before: places::acquisition(), command, out: "run", some: 12 }.kill();
}

#[test]
fn a_language_that_is_added_to_an_acquisition_is_added() {
    let command = |place: &Path, again: bool| {
        arguments(place, &["add-language", "@base", "@fr.toml", "--out", "@new"], again.then_some("--resume"))
    };
    Scenario { before: places::acquisition(), command, out: "new", some: 16 }.kill();
}

#[test]
fn an_acquirer_comes_and_goes() {
    let add =
        |place: &Path, _: bool| arguments(place, &["acquirer", "add", "@base", "@af.safetensors"], None);
    Scenario { before: places::acquisition(), command: add, out: "base", some: 6 }.kill();
}

#[test]
fn a_tower_goes_on() {
    let command = |place: &Path, again: bool| {
        arguments(place, &["train", "@tower.toml", "--out", "@run"], again.then_some("--resume"))
    };
    Scenario { before: places::acquisition(), command, out: "run", some: 12 }.kill();
}
