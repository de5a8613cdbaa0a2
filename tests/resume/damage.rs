//! Run folders that a crash, a bad copy or another version left.

use std::fs;
use std::path::Path;

use tinyglot::train::End;

use crate::{Place, assert_same, copy, go_on, resume};

#[test]
fn a_kill_between_the_renames_of_a_checkpoint_is_made_good() {
    let place = Place::new();
    let (straight, killed) = (place.copy("straight"), place.run());
    resume(&straight).unwrap();
    go_on(&killed, Some(7), |_| ()).unwrap();
    let checkpoints = killed.join("checkpoints");
    // The new one was written, the present one moved away, and no further.
    copy(&checkpoints.join("latest"), &checkpoints.join("latest.new"));
    fs::rename(checkpoints.join("latest"), checkpoints.join("latest.old")).unwrap();
    assert_eq!(resume(&killed).unwrap(), End::Finished);
    assert_same(&straight, &killed);
    for left in ["latest.new", "latest.old"] {
        assert!(!checkpoints.join(left).exists(), "{left}");
    }
}

#[test]
fn a_kill_while_a_checkpoint_is_written_is_made_good() {
    let place = Place::new();
    let (straight, killed) = (place.copy("straight"), place.run());
    resume(&straight).unwrap();
    go_on(&killed, Some(7), |_| ()).unwrap();
    let new = killed.join("checkpoints/latest.new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("model.safetensors.partial"), [7; 100]).unwrap();
    assert_eq!(resume(&killed).unwrap(), End::Finished);
    assert_same(&straight, &killed);
}

#[test]
fn files_cut_short_or_missing_are_named() {
    let place = Place::new();
    let run = place.run();
    go_on(&run, Some(11), |_| ()).unwrap();
    for file in [
        "checkpoints/latest/model.safetensors",
        "checkpoints/latest/optimizer.safetensors",
        "checkpoints/latest/state.json",
        "run.json",
        "words/lexicon.json",
        "words/scorer.safetensors",
        "words/de.words",
        "words/de.bin",
    ] {
        let path = run.join(file);
        let whole = fs::read(&path).unwrap();
        // The last 17 bytes of a `.bin` are for other programs.
        for length in [0, 5, whole.len() / 2, whole.len() - 20] {
            fs::write(&path, &whole[..length]).unwrap();
            named(&run, file);
        }
        fs::remove_file(&path).unwrap();
        let error = resume(&run).unwrap_err().to_string();
        // Vectors are looked for as `.bin` and as `.vec`.
        let told = error.contains("cannot be read") || error.contains("is missing");
        assert!(told && error.contains(file.trim_end_matches("bin")), "{error}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(resume(&run).unwrap(), End::Finished, "all is as it was");
}

#[test]
fn other_versions_are_refused() {
    let place = Place::new();
    for file in ["run.json", "checkpoints/latest/state.json", "words/lexicon.json"] {
        let path = place.run().join(file);
        let whole = fs::read_to_string(&path).unwrap();
        // Another version may well have other fields.
        fs::write(&path, r#"{"version": 99, "colour": "red"}"#).unwrap();
        let error = named(&place.run(), file);
        assert!(error.contains("of version 99; this program reads version 1"), "{error}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn files_of_two_runs_are_told_apart() {
    let (place, other) = (Place::new(), Place::with(&["text.hidden=33", "embedding.latents=25"]));
    go_on(&place.run(), Some(11), |_| ()).unwrap();
    go_on(&other.run(), Some(11), |_| ()).unwrap();
    for file in [
        "checkpoints/latest/model.safetensors",
        "checkpoints/latest/optimizer.safetensors",
        "words/lexicon.json",
        "words/scorer.safetensors",
    ] {
        let path = place.run().join(file);
        let whole = fs::read(&path).unwrap();
        fs::copy(other.run().join(file), &path).unwrap();
        let error = resume(&place.run()).unwrap_err().to_string();
        assert!(error.contains("\nhint: "), "{file}: {error}");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(resume(&place.run()).unwrap(), End::Finished);
}

#[test]
fn a_run_without_a_checkpoint_says_so() {
    let place = Place::new();
    fs::remove_dir_all(place.run().join("checkpoints/latest")).unwrap();
    let error = resume(&place.run()).unwrap_err().to_string();
    assert!(error.contains("there is no checkpoint to go on from\nhint: "), "{error}");
}

/// Fails unless training refuses the run because of `file`, with a remedy.
fn named(run: &Path, file: &str) -> String {
    let error = resume(run).expect_err(file);
    let text = error.to_string();
    assert!(text.starts_with(&format!("`{}`:", run.join(file).display())), "{text}");
    assert!(text.contains("\nhint: "), "{text}");
    assert_eq!(error.exit_status(), 4, "{text}");
    text
}
