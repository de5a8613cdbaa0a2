//! Processes that start at the same time on one folder: one writes, the others are told so, and readers see whole checkpoints.

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tinyglot::checkpoint::{RunFolder, TrainState, VERSION, Which};
use tinyglot::ops::rows::Table;
use tinyglot::optim::Parameter;
use tinyglot::optim::ParameterTree;

use crate::places::{self, assert_same, content, copy};
use crate::{Ran, ended, run, sample, text, tinyglot};

fn start(arguments: &[&str]) -> Child {
    let mut command = tinyglot();
    command.args(arguments).args(["--threads", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the command starts")
}

/// Two of the same command, the second a little later.
fn twice(arguments: &[&str], pause: Duration) -> [Ran; 2] {
    let first = start(arguments);
    std::thread::sleep(pause);
    let second = start(arguments);
    [first, second].map(|child| ended(child.wait_with_output().expect("an end")))
}

/// Fails unless one of two went well and the other one too, or was told why not.
fn one_writes(both: &[Ran; 2]) {
    let well = both.iter().filter(|ran| ran.status == Some(0)).count();
    assert!(well >= 1, "{}\n{}", both[0].stderr, both[1].stderr);
    for ran in both.iter().filter(|ran| ran.status != Some(0)) {
        let told =
            ["is being written by process ", "there is a run already"].iter().any(|s| ran.stderr.contains(s));
        assert!(told && matches!(ran.status, Some(1 | 2)), "{:?} {}", ran.status, ran.stderr);
    }
}

fn new(before: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    copy(before, place.path());
    place
}

#[test]
fn two_trainings_of_one_run_leave_one_undisturbed() {
    let expected = content(&places::words().join("base"));
    for n in sample(33, 6) {
        let place = new(&places::words());
        let (config, part, out) =
            (place.path().join("words.toml"), place.path().join("part"), place.path().join("run"));
        let pause = Duration::from_millis(12 * n as u64);
        one_writes(&twice(&["train", text(&config), "--out", text(&part), "--resume"], pause));
        assert_same(&part, &expected, "two went on");
        one_writes(&twice(&["train", text(&config), "--out", text(&out)], pause));
        assert_same(&out, &expected, "two began");
    }
}

#[test]
fn two_additions_and_two_sweeps_leave_what_one_does() {
    let whole = new(&places::words());
    let add = |place: &Path| ["base", "zh.toml", "new"].map(|name| text(&place.join(name)).to_string());
    let [base, zh, out] = add(whole.path());
    assert_eq!(run(&["add-language", &base, &zh, "--out", &out]).status, Some(0));
    let (sweep, to) = (whole.path().join("sweep.toml"), whole.path().join("out"));
    assert_eq!(run(&["sweep", text(&sweep), "--out", text(&to), "--jobs", "2"]).status, Some(0));
    for n in sample(10, 2) {
        let place = new(&places::words());
        let pause = Duration::from_millis(30 * n as u64);
        let [base, zh, new] = add(place.path());
        one_writes(&twice(&["add-language", &base, &zh, "--out", &new], pause));
        assert_same(Path::new(&new), &content(Path::new(&out)), "two additions");
        let (sweep, out) = (place.path().join("sweep.toml"), place.path().join("out"));
        // Sweeps share their folder: each does what the other has not begun.
        let both = twice(&["sweep", text(&sweep), "--out", text(&out), "--jobs", "2"], pause);
        assert_eq!(
            both.each_ref().map(|ran| ran.status),
            [Some(0); 2],
            "{}\n{}",
            both[0].stderr,
            both[1].stderr
        );
        assert_same(&out, &content(&to), "two sweeps");
    }
}

#[test]
fn readers_find_a_run_whole_while_it_is_trained() {
    let place = new(&places::words());
    let (config, part) = (place.path().join("words.toml"), place.path().join("part"));
    let gallery = place.path().join("data/features/test.npy");
    let more = ["--set", "train.epochs=60", "--set", "train.checkpoint_every=1"];
    let mut training =
        start(&[&["train", text(&config), "--out", text(&part), "--resume"], &more[..]].concat());
    let mut read = 0;
    while training.try_wait().expect("a status").is_none() {
        for command in [
            &["evaluate", text(&part)][..],
            &["report", text(&part)],
            &["embed", text(&part), "--images", text(&gallery)],
        ] {
            let ran = tinyglot().args(command).output().expect("the command starts");
            assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
            read += 1;
        }
    }
    assert!(ended(training.wait_with_output().expect("an end")).status == Some(0) && read > 0);
}

/// A model of one vector.
struct One(Table);

impl ParameterTree for One {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        f("one", Parameter::table(&mut self.0));
    }
}

#[test]
fn parameters_and_state_of_a_checkpoint_belong_together() {
    let place = tempfile::tempdir().expect("a folder");
    let (folder, done) = (RunFolder::new(place.path()), AtomicBool::new(false));
    let save = |step: usize| {
        let state = TrainState { version: VERSION, step, seconds: step as f64, ..TrainState::start() };
        folder
            .save(Which::Best, &mut One(Table::new(64, vec![step as f32; 64 * 8])), None, &state)
            .expect("saved");
    };
    save(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (1..150).for_each(save);
            done.store(true, Ordering::SeqCst);
        });
        let mut seen = std::collections::BTreeSet::new();
        while !done.load(Ordering::SeqCst) {
            let mut model = One(Table::new(64, vec![-1.0; 64 * 8]));
            let state = folder.read_model(Which::Best, &mut model).expect("a checkpoint");
            assert!(model.0.data().iter().all(|&x| x == state.step as f32), "of two checkpoints");
            assert!(folder.has(Which::Best));
            seen.insert(state.step);
        }
        assert!(seen.len() > 1);
    });
}
