//! Multilingual acquisition by the command: train, evaluate, embed, search, report; acquirers come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::acquisition::{checkpoint, write};
use crate::corpus::{copy, refused};
use crate::whole::{fed, rows};
use crate::{printed, run, text};

/// A folder with a corpus and a finished run, made once.
static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let config = write(folder.path());
    printed(&["train", text(&config), "--out", text(&folder.path().join("run")), "--quiet"]);
    folder
});

fn made() -> PathBuf {
    MADE.path().join("run")
}

fn embedded(run: &Path, language: &str, sentences: &str) -> Vec<Vec<f32>> {
    let (npy, ran) = fed(&["embed", text(run), "--language", language], sentences.as_bytes());
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    rows(&npy, 12)
}

#[test]
fn languages_are_acquired_and_english_stays_perfect() {
    let json = printed(&["evaluate", text(&made()), "--json"]);
    let e: Value = serde_json::from_str(&json).expect("JSON");
    let mr = |language: &str| e["languages"][language]["mR"].as_f64().expect("mR");
    // The pictures' vectors are those of the English captions; of 24 pictures chance finds 22 % on average.
    assert!(mr("en") > 99.0, "{json}");
    assert!(mr("de") > 60.0 && mr("fr") > 60.0, "{json}");
    let kept = fs::read_to_string(made().join("evaluation/test.json")).expect("kept");
    assert_eq!(serde_json::from_str::<Value>(&kept).expect("JSON"), e);
    let page = fs::read_to_string(made().join("report.html")).expect("a report");
    assert!(page.contains("entrance.table") && page.contains("acquirer.de"), "the parameters by part");
}

#[test]
fn a_moved_run_searches_without_the_checkpoints_it_came_from() {
    let moved = TempDir::new().expect("a folder");
    let run = moved.path().join("moved");
    copy(&made(), &run);
    let config = fs::read_to_string(run.join("config.toml")).expect("read");
    assert!(!config.contains("golden"), "{config}");
    let gallery = MADE.path().join("data/features/test.npy");
    let arguments = ["search", text(&run), "--language", "de", "--gallery", text(&gallery), "-k", "3"];
    let found = printed(&[&arguments[..], &["rot Haus"]].concat());
    assert_eq!(found.lines().count(), 4, "{found}");
    let wrong = checkpoint("../towers/expected.safetensors");
    refused(&["search", text(&run), "--language", "de", "--gallery", text(&wrong), "rot"], 4, &[]);
}

#[test]
fn acquirers_come_and_go_as_files() {
    let place = TempDir::new().expect("a folder");
    let (run_, file) = (place.path().join("run"), place.path().join("de.safetensors"));
    copy(&made(), &run_);
    printed(&["acquirer", "export", text(&run_), "--language", "de", "--out", text(&file)]);
    let card = fs::read_to_string(place.path().join("de.md")).expect("what it is");
    assert!(card.starts_with("# Acquirer of `de`") && card.contains("- val: mR "), "{card}");
    let german = embedded(&run_, "de", "rot Hund\nblau Haus\n");
    let english = embedded(&run_, "en", "red dog\n");
    refused(&["acquirer", "add", text(&run_), text(&file)], 2, &["the run was trained on `de`"]);
    // The same acquirer as one of another language.
    let bytes = fs::read(&file).expect("read");
    let (from, to) = (b"\"language\":\"de\"", b"\"language\":\"af\"");
    let at = bytes.windows(from.len()).position(|w| w == from).expect("the language in the header");
    let mut other = bytes.clone();
    other[at..at + to.len()].copy_from_slice(to);
    fs::write(&file, other).expect("written");
    assert_eq!(run(&["acquirer", "add", text(&run_), text(&file)]).status, Some(0));
    assert_eq!(embedded(&run_, "af", "rot Hund\nblau Haus\n"), german);
    assert_eq!(embedded(&run_, "en", "red dog\n"), english);
    printed(&["acquirer", "remove", text(&run_), "--language", "af"]);
    refused(
        &["embed", text(&run_), "--language", "af"],
        2,
        &["does not know the language `af`", "it knows en, de, fr"],
    );
    refused(&["acquirer", "remove", text(&run_), "--language", "de"], 2, &["was not added"]);
    refused(
        &["acquirer", "export", text(&run_), "--language", "xx", "--out", text(&file)],
        2,
        &["`de`, `fr`"],
    );
}

#[test]
fn pictures_of_another_space_and_long_sentences_are_told_of() {
    let place = TempDir::new().expect("a folder");
    let config = write(place.path());
    let out = place.path().join("run");
    let bare = format!("acquire.tower={}", checkpoint("bare").display());
    let arguments = ["train", text(&config), "--out", text(&out), "--set", &bare];
    refused(&arguments, 4, &["has rows of 12 numbers; the joint space of the tower has 16"]);
    assert!(!out.exists(), "nothing is left");
    let long = "rot ".repeat(60);
    let (_, ran) = fed(&["embed", text(&made()), "--language", "de"], long.as_bytes());
    assert_eq!(ran.status, Some(0));
    assert!(ran.stderr.contains("longer than the model's context"), "{}", ran.stderr);
}
