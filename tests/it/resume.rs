//! A training that is stopped and goes on.

use std::fs;
use std::path::Path;

use crate::corpus::{data, refused};
use crate::{printed, run, text};

#[cfg(unix)]
#[test]
fn a_run_stopped_by_ctrl_c_goes_on_to_the_same_weights() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let place = data();
    let config = place.path().join("config.toml");
    let (whole, parts) = (place.path().join("whole"), place.path().join("parts"));
    let train = |out: &Path| {
        ["train", text(&config), "--out", text(out), "--set", "train.epochs=60", "--threads", "1"]
            .map(String::from)
    };
    let arguments = train(&parts);
    let child =
        crate::tinyglot().args(&arguments).stderr(Stdio::piped()).spawn().expect("the command starts");
    let start = Instant::now();
    while !parts.join("metrics.jsonl").exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(sent.expect("the command `kill`").success());
    let ran = crate::ended(child.wait_with_output().expect("an end"));
    assert_eq!(ran.status, Some(130), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("stopped after step ") && ran.stderr.contains("`--resume`"),
        "{}",
        ran.stderr
    );

    let went_on = run(&train(&parts).iter().map(String::as_str).chain(["--resume"]).collect::<Vec<_>>());
    assert_eq!(went_on.status, Some(0), "{}", went_on.stderr);
    assert!(went_on.stderr.contains("going on after step "), "{}", went_on.stderr);
    printed(&train(&whole).iter().map(String::as_str).chain(["-q"]).collect::<Vec<_>>());
    for file in ["latest/model.safetensors", "latest/optimizer.safetensors", "best/model.safetensors"] {
        let bytes = |run: &Path| fs::read(run.join("checkpoints").join(file)).expect("a checkpoint");
        assert!(bytes(&parts) == bytes(&whole), "{file} differs");
    }
}

#[test]
fn only_what_does_not_change_the_training_may_change_on_resume() {
    let place = data();
    let (config, out) = (place.path().join("config.toml"), place.path().join("run"));
    let train = |more: &[&'static str]| {
        [&["train", text(&config), "--out", text(&out), "-q"], more]
            .concat()
            .into_iter()
            .map(String::from)
            .collect()
    };
    let ended = |arguments: Vec<String>| run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended(train(&["--set", "train.epochs=1"])).status, Some(0));
    let again = ended(train(&[]));
    assert_eq!(again.status, Some(2));
    assert!(again.stderr.contains("there is a run already"), "{}", again.stderr);
    let other = ended(train(&["--resume", "--set", "text.hidden=24", "--set", "seed=9"]));
    assert_eq!(other.status, Some(3));
    assert!(other.stderr.contains("other values of `seed`, `text.hidden`"), "{}", other.stderr);
    let longer = ended(train(&["--resume", "--set", "train.epochs=2", "--set", "train.patience=5"]));
    assert_eq!(longer.status, Some(0), "{}", longer.stderr);
    assert!(fs::read_to_string(out.join("config.toml")).expect("read").contains("epochs = 2\n"));
    let caption = place.path().join("data/captions/train.1.en");
    let changed = fs::read_to_string(&caption).expect("read").replacen('a', "e", 1);
    fs::write(caption, changed).expect("written");
    let foreign = ended(train(&["--resume", "--set", "train.epochs=2"]));
    assert_eq!(foreign.status, Some(4));
    assert!(foreign.stderr.contains("not those the run was begun with"), "{}", foreign.stderr);
}

#[test]
fn nothing_is_resumed_where_there_is_no_run() {
    let place = data();
    let (config, out) = (place.path().join("config.toml"), place.path().join("none"));
    refused(&["train", text(&config), "--out", text(&out), "--resume"], 4, &["no run here"]);
    assert!(!out.exists());
}

#[test]
fn a_run_stopped_after_an_epoch_goes_on_to_the_same_weights() {
    let place = data();
    let config = place.path().join("config.toml");
    let (whole, parts) = (place.path().join("whole"), place.path().join("parts"));
    printed(&["train", text(&config), "--out", text(&whole), "-q"]);
    let part = |more: &[&str]| {
        let ran = run(&[&["train", text(&config), "--out", text(&parts)], more].concat());
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    assert!(part(&["--stop-after", "1"]).contains("stopped after epoch 1; `--resume` goes on"));
    assert!(!parts.join("report.html").exists());
    assert!(
        part(&["--resume", "--stop-after", "1"]).contains("stopped after epoch 1"),
        "it is there already"
    );
    assert!(part(&["--resume", "--stop-after", "2"]).contains("stopped after epoch 2"));
    part(&["--resume", "--stop-after", "3"]);
    assert!(parts.join("report.html").exists(), "the last epoch ends it");
    for file in ["latest/model.safetensors", "latest/optimizer.safetensors", "best/model.safetensors"] {
        let bytes = |run: &Path| fs::read(run.join("checkpoints").join(file)).expect("a checkpoint");
        assert!(bytes(&parts) == bytes(&whole), "{file} differs");
    }
}
