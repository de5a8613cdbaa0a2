//! Disks that fail, are full or have no locks: the error names a file of the run, and the run goes on to the same bits.

use std::fs;
use std::path::Path;

use crate::files::{Done, Fault, possible, run_with};
use crate::places::{self, assert_same, content, copy};
use crate::{run, sample, text};

fn train(place: &Path, more: &[&str]) -> Vec<String> {
    let (config, out) = (place.join("words.toml"), place.join("run"));
    let arguments = ["train", text(&config), "--out", text(&out), "--threads", "1", "-q"];
    [&arguments, more].concat().into_iter().map(String::from).collect()
}

fn faulty(place: &Path, more: &[&str], fault: Option<(usize, Fault)>) -> Done {
    run_with(&train(place, more).iter().map(String::as_str).collect::<Vec<_>>(), place, fault)
}

#[test]
fn a_training_on_a_failing_or_full_disk_says_so_and_goes_on() {
    if !possible() {
        return;
    }
    let new = || {
        let place = tempfile::tempdir().expect("a folder");
        copy(&places::words(), place.path());
        place
    };
    let whole = new();
    let undisturbed = faulty(whole.path(), &[], None);
    assert!(undisturbed.output.status.success(), "{}", undisturbed.stderr());
    let (expected, operations) = (content(&whole.path().join("run")), undisturbed.operations);
    for fault in [Fault::Fail, Fault::Full] {
        for n in sample(operations.len(), 12) {
            let place = new();
            let out = place.path().join("run");
            let failed = faulty(place.path(), &[], Some((n, fault)));
            let what = format!("{fault:?} at operation {n}, `{}`: {}", operations[n], failed.stderr());
            if !failed.output.status.success() {
                assert_eq!(failed.output.status.code(), Some(1), "{what}");
                assert!(failed.stderr().contains(&format!("error: `{}", out.display())), "{what}");
            }
            let more: &[&str] = if out.exists() { &["--resume"] } else { &[] };
            let again = run(&train(place.path(), more).iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(again.status, Some(0), "{what}: {}", again.stderr);
            assert_same(&out, &expected, &what);
        }
    }
}

#[test]
fn without_locks_the_lock_file_says_who_writes() {
    if !possible() {
        return;
    }
    let place = tempfile::tempdir().expect("a folder");
    copy(&places::words(), place.path());
    let lock = place.path().join("part/run.lock");
    let held = |host: &str, process: u32| {
        let holder = serde_json::json!({"host": host, "process": process, "command": "x", "since": 0});
        fs::write(&lock, holder.to_string()).expect("written");
    };
    let resume = || {
        let arguments = [
            "train",
            text(&place.path().join("words.toml")),
            "--out",
            text(&place.path().join("part")),
            "--resume",
            "-q",
        ]
        .map(String::from);
        run_with(
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            place.path(),
            Some((0, Fault::NoLock)),
        )
    };
    held("another-machine", 1);
    let refused = resume();
    assert_eq!(refused.output.status.code(), Some(1), "{}", refused.stderr());
    assert!(refused.stderr().contains("written by process 1 on `another-machine`"), "{}", refused.stderr());
    assert!(refused.stderr().contains("run.lock"), "{}", refused.stderr());
    // One of this machine that is no more.
    let here = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    held(here.trim(), u32::MAX);
    let went_on = resume();
    assert!(went_on.output.status.success(), "{}", went_on.stderr());
    assert_same(&place.path().join("part"), &content(&place.path().join("base")), "without locks");
}
