//! Training that cannot go on: numbers that are none, a full disk, a folder that cannot be written to.

use std::fs;
use std::path::Path;

use tinyglot::family::smalr::learner::SmalrLearner;
use tinyglot::ops::tape::data1_mut;
use tinyglot::train::{End, Trainer};

use crate::{Place, assert_same, go_on, resume};

#[test]
fn a_loss_that_is_not_a_number_stops_and_is_named() {
    let place = Place::new();
    let (straight, run) = (place.copy("straight"), place.run());
    go_on(&run, Some(7), |_| ()).unwrap();
    let before = checkpoint(&run);
    type Poison = fn(&mut Trainer<SmalrLearner>);
    let poisons: [(Poison, &str); 3] = [
        (
            |t| data1_mut(&mut t.learner.model.text.output.as_mut().expect("a layer").bias)[3] = f32::NAN,
            "`triplet`",
        ),
        (|t| data1_mut(&mut t.learner.model.adversary.as_mut().unwrap().bias)[0] = f32::NAN, "`adversary`"),
        (
            |t| data1_mut(&mut t.learner.model.mclm.encoder.as_mut().unwrap().output.bias)[1] = f32::INFINITY,
            "`mclm_lstm`",
        ),
    ];
    for (poison, term) in poisons {
        let message = go_on(&run, None, poison).unwrap_err().to_string();
        assert!(message.starts_with(&format!("the loss {term} is NaN in step 8\nhint: lower")), "{message}");
        assert!(checkpoint(&run) == before, "the checkpoint of step 7 stays");
    }
    assert_eq!(resume(&run).unwrap(), End::Finished);
    resume(&straight).unwrap();
    assert_same(&straight, &run);
}

#[test]
fn a_rate_that_blows_the_parameters_up_stops() {
    let place = Place::with(&["train.learning_rate=1e30"]);
    let before = checkpoint(&place.run());
    let error = resume(&place.run()).unwrap_err();
    assert!(error.to_string().contains("the loss `triplet` is NaN in step 2\nhint: lower"), "{error}");
    assert_eq!(error.exit_status(), 1);
    assert!(checkpoint(&place.run()) == before);
}

#[test]
fn parameters_that_are_not_finite_are_never_saved() {
    let place = Place::with(&["train.learning_rate=1e30", "train.checkpoint_every=1"]);
    let before = checkpoint(&place.run());
    let error = resume(&place.run()).unwrap_err();
    assert!(
        error.to_string().contains("the norm of the parameters is inf after step 1\nhint: lower"),
        "{error}"
    );
    assert!(checkpoint(&place.run()) == before);
}

#[cfg(target_os = "linux")]
#[test]
fn metrics_on_a_full_disk_stop_and_leave_the_checkpoint() {
    let place = Place::new();
    let (straight, run) = (place.copy("straight"), place.run());
    go_on(&run, Some(7), |_| ()).unwrap();
    let before = checkpoint(&run);
    let (metrics, kept) = (run.join("metrics.jsonl"), run.join("kept"));
    let full = |_: &mut Trainer<SmalrLearner>| {
        fs::rename(&metrics, &kept).unwrap();
        std::os::unix::fs::symlink("/dev/full", &metrics).unwrap();
    };
    let error = go_on(&run, None, full).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("`{}`: cannot be written: No space left", metrics.display())),
        "{error}"
    );
    fs::rename(&kept, &metrics).unwrap();
    // Step 8 had its checkpoint before step 10 was to be logged.
    assert!(checkpoint(&run) != before);
    assert_eq!(resume(&run).unwrap(), End::Finished);
    resume(&straight).unwrap();
    assert_same(&straight, &run);
}

#[cfg(unix)]
mod unwritable {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    /// Set in the copy of a test that trains where it cannot write; holds the run.
    const CHILD: &str = "TINYGLOT_TEST_RUN";

    /// The error of training in another process, which `sh` starts after `prepare`; none if that process cannot run.
    fn error_of(test: &str, run: &Path, prepare: &str, nobody: bool) -> Option<String> {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{prepare}; exec \"$0\" \"$@\"")]).arg(program);
        command.args([&format!("failure::unwritable::{test}"), "--exact", "--nocapture"]).env(CHILD, run);
        if nobody {
            command.uid(65534);
        }
        let out = command.output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let message = text.split_once("MESSAGE ")?.1;
        Some(message.lines().next()?.to_string())
    }

    /// In the copy: trains, and says what went wrong.
    fn train_as_child() -> bool {
        let Some(run) = std::env::var_os(CHILD) else { return false };
        println!("MESSAGE {}", resume(Path::new(&run)).expect_err("training cannot write"));
        true
    }

    /// A file may grow to so many blocks of 512 bytes and no further: to a program the same as a disk that is full.
    #[test]
    fn a_checkpoint_on_a_full_disk_leaves_the_one_before() {
        if train_as_child() {
            return;
        }
        let place = Place::new();
        let (straight, run) = (place.copy("straight"), place.run());
        go_on(&run, Some(7), |_| ()).unwrap();
        let before = checkpoint(&run);
        let test = "a_checkpoint_on_a_full_disk_leaves_the_one_before";
        let message = error_of(test, &run, "trap '' XFSZ; ulimit -f 100", false).expect("a shell");
        assert!(message.contains("model.safetensors`: cannot be written: File too large"), "{message}");
        assert!(checkpoint(&run) == before);
        assert!(!run.join("checkpoints/latest.new").exists(), "nothing half-written stays");
        assert_eq!(resume(&run).unwrap(), End::Finished);
        resume(&straight).unwrap();
        assert_same(&straight, &run);
    }

    #[test]
    fn a_folder_that_is_read_only_is_an_error() {
        if train_as_child() {
            return;
        }
        let place = Place::new();
        let run = place.run();
        go_on(&run, Some(7), |_| ()).unwrap();
        let before = checkpoint(&run);
        let allow =
            |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        allow(place.folder.path(), 0o755);
        allow(&run, 0o555);
        // Root may write anywhere, nobody may not.
        let root = fs::write(run.join("probe"), "").is_ok();
        let message = error_of("a_folder_that_is_read_only_is_an_error", &run, ":", root);
        allow(&run, 0o755);
        let Some(message) = message else {
            eprintln!("skipped: this is root, and nobody may not run the tests");
            return;
        };
        assert!(message.contains("metrics.jsonl`: cannot be written: Permission denied"), "{message}");
        assert!(checkpoint(&run) == before);
    }
}

/// The files of the latest checkpoint.
fn checkpoint(run: &Path) -> Vec<Vec<u8>> {
    let read = |file| fs::read(run.join("checkpoints/latest").join(file)).unwrap();
    ["model.safetensors", "optimizer.safetensors", "state.json"].map(read).into()
}
