//! Ctrl-C and SIGTERM in every stage: the command ends within a second or so with status 130, and the next one goes on.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::places::{self, assert_same, content, copy};
use crate::{Ran, ended, run, text, tinyglot};

/// Long after what a stage that is obeyed takes, also on a machine that is busy.
const SOON: Duration = Duration::from_secs(4);

fn start(arguments: &[&str]) -> Child {
    let mut command = tinyglot();
    command.args(arguments).args(["--threads", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).spawn().expect("the command starts")
}

/// Sends a signal to a process, or with `-` before its number to its group.
fn send(signal: &str, to: &str) {
    let sent = Command::new("kill").args(["-s", signal, "--", to]).status();
    assert!(sent.expect("the command `kill`").success());
}

/// What is left of a command that gets a signal when `there` is, or after a while.
fn interrupted(arguments: &[&str], signal: &str, there: Option<&Path>) -> Ran {
    let child = start(arguments);
    let begun = Instant::now();
    match there {
        Some(file) => {
            while !file.exists() && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        None => std::thread::sleep(Duration::from_millis(1500)),
    }
    send(signal, &child.id().to_string());
    let sent = Instant::now();
    let ran = ended(child.wait_with_output().expect("an end"));
    assert!(sent.elapsed() < SOON, "{arguments:?} ended {:?} after {signal}: {}", sent.elapsed(), ran.stderr);
    assert_eq!(ran.status, Some(130), "{arguments:?}: {}", ran.stderr);
    ran
}

fn new(before: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    copy(before, place.path());
    place
}

#[test]
fn every_stage_before_the_first_step_stops_at_once() {
    let place = new(&places::words());
    let (config, out) = (place.path().join("words.toml"), place.path().join("run"));
    let train = ["train", text(&config), "--out", text(&out)];
    for (long, signal) in [
        ("words.fasttext.epochs=1000000", "INT"),
        ("embedding.align.epochs=1000000", "TERM"),
        ("embedding.pretrain.epochs=1000000", "INT"),
    ] {
        let ran = interrupted(&[&train[..], &["--set", long]].concat(), signal, None);
        assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
    }
    let again = run(&train);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert_same(&out, &content(&places::words().join("base")), "interrupted before its first step");
}

#[test]
fn a_training_saves_and_a_consistency_stops_at_once() {
    let place = new(&places::words());
    let (config, out) = (place.path().join("words.toml"), place.path().join("run"));
    let long = ["--set", "train.epochs=100000"];
    let train = [&["train", text(&config), "--out", text(&out)], &long[..]].concat();
    let ran = interrupted(&train, "INT", Some(&out.join("metrics.jsonl")));
    assert!(
        ran.stderr.contains("stopped after step ") && ran.stderr.contains("`--resume`"),
        "{}",
        ran.stderr
    );
    let base = place.path().join("base");
    interrupted(&["evaluate", text(&base), "--set", "consistency.iterations=1000000"], "TERM", None);
    assert_eq!(run(&["evaluate", text(&base)]).status, Some(0));
}

#[test]
fn every_stage_of_an_addition_stops() {
    let place = new(&places::words());
    let [base, zh, out] = ["base", "zh.toml", "new"].map(|name| place.path().join(name));
    let add = ["add-language", text(&base), text(&zh), "--out", text(&out)];
    let learning = out.join("learning/all/metrics.jsonl");
    for long in ["grow.align.epochs=100000", "grow.epochs=100000"] {
        let add = [&add[..], &["--set", long]].concat();
        let ran = interrupted(&add, "INT", Some(&learning));
        assert!(
            ran.stderr.contains("stopped after step ") && ran.stderr.contains("`--resume`"),
            "{}",
            ran.stderr
        );
        let begun = run(&add);
        assert_eq!(begun.status, Some(2), "{}", begun.stderr);
        let other = run(&[&add[..], &["--set", "grow.images=9", "--resume"]].concat());
        assert!(other.stderr.contains("other values of `grow.images`"), "{}", other.stderr);
        // Its metrics are there already: the signal must not come before the process listens.
        interrupted(&[&add[..], &["--resume"]].concat(), "INT", None);
        std::fs::remove_dir_all(&out).expect("removed");
    }
    let whole = run(&add);
    assert_eq!(whole.status, Some(0), "{}", whole.stderr);

    let place = new(&places::acquisition());
    let [base, fr, out] = ["base", "fr.toml", "new"].map(|name| place.path().join(name));
    let (add, learning) = (
        ["add-language", text(&base), text(&fr), "--out", text(&out)],
        out.join("learning/all/metrics.jsonl"),
    );
    let ran = interrupted(&[&add[..], &["--set", "grow.le.epochs=100000"]].concat(), "TERM", Some(&learning));
    assert!(
        ran.stderr.contains("stopped after step ") && ran.stderr.contains("`--resume`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_sweep_in_a_terminal_is_interrupted_and_has_no_failures() {
    let place = new(&places::words());
    let (sweep, out) = (place.path().join("sweep.toml"), place.path().join("out"));
    let long = std::fs::read_to_string(&sweep).expect("text");
    std::fs::write(&sweep, format!("set = {{ train.epochs = 400 }}\n{long}")).expect("written");
    let arguments = ["sweep", text(&sweep), "--out", text(&out), "--jobs", "2"];
    let child = start(&arguments);
    let begun = Instant::now();
    let trials = || {
        let folders = std::fs::read_dir(out.join("trials")).into_iter().flatten().flatten();
        folders.filter(|folder| folder.path().join("run/metrics.jsonl").exists()).count()
    };
    while trials() < 2 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // As a terminal does: to the sweep and its trials.
    send("INT", &format!("-{}", child.id()));
    let ran = ended(child.wait_with_output().expect("an end"));
    assert_eq!(ran.status, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted with 0 of 2 trials done"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("failed"), "{}", ran.stderr);
    let again = run(&arguments);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    let rows = std::fs::read_to_string(out.join("results.jsonl")).expect("results");
    assert!(rows.lines().all(|row| row.contains("\"status\":\"done\"")), "{rows}");
}
