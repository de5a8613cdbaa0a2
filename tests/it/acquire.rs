//! Multilingual acquisition by the command: train, evaluate, embed, search, report; acquirers come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;
use tinyglot::family::mla::Acquirer;
use tinyglot::family::mla::run::MlaRun;

use crate::acquisition::{checkpoint, write, write_tower};
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
    // The same acquirer as one of another language: its file cannot be edited, it has a checksum.
    let bytes = fs::read(&file).expect("read");
    let (from, to) = (b"\"language\":\"de\"", b"\"language\":\"af\"");
    let at = bytes.windows(from.len()).position(|w| w == from).expect("the language in the header");
    let mut other = bytes.clone();
    other[at..at + to.len()].copy_from_slice(to);
    fs::write(&file, other).expect("written");
    refused(
        &["acquirer", "add", text(&run_), text(&file)],
        4,
        &["de.safetensors`: is not as it was written"],
    );
    fs::write(&file, bytes).expect("written");
    let mut mla = MlaRun::open(&run_, &[]).expect("a run").mla;
    let base = mla.base();
    let mut acquirer = Acquirer::read(&file, mla.size(), &base).expect("an acquirer");
    acquirer.language = "af".into();
    acquirer.write(&file, &mla.base()).expect("written");
    assert_eq!(run(&["acquirer", "add", text(&run_), text(&file)]).status, Some(0));
    assert_eq!(embedded(&run_, "af", "rot Hund\nblau Haus\n"), german);
    assert_eq!(embedded(&run_, "en", "red dog\n"), english);
    // A code is one in whatever case.
    let again = place.path().join("af.safetensors");
    printed(&["acquirer", "export", text(&run_), "--language", "AF", "--out", text(&again)]);
    acquirer.language = "AF".into();
    acquirer.write(&file, &mla.base()).expect("written");
    assert_eq!(run(&["acquirer", "add", text(&run_), text(&file)]).status, Some(0));
    assert!(!run_.join("acquirers/AF.safetensors").exists(), "it takes the place of the earlier one");
    printed(&["acquirer", "remove", text(&run_), "--language", "Af"]);
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
    assert!(ran.stderr.contains("longer than the model reads"), "{}", ran.stderr);
}

/// The pictures' classes are the things in their captions; German names find them, in prompts and alone.
#[test]
fn pictures_are_classified_by_prompts() {
    let place = TempDir::new().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = place.path().join(name);
        fs::write(&path, content).expect("written");
        path
    };
    let classes = file("classes.txt", "Hund\nHaus\nBoot\nMann\nFrau\nStraße\n");
    let templates = file("templates.txt", "rot {}\nblau {}\ngrün {}\nschwarz {}\n");
    let labels: String = (12..36).map(|n| format!("{}\n", (n / 6 + n) % 6)).collect();
    let labels = file("labels.txt", &labels);
    let images = MADE.path().join("data/features/test.npy");
    let (made, classes, templates, images, labels) =
        (made(), text(&classes).to_string(), text(&templates).to_string(), text(&images).to_string(), labels);
    let arguments =
        ["classify", text(&made), "--language", "de", "--classes", &classes, "--images", &images, "--labels"];
    let json = printed(&[&arguments[..], &[text(&labels), "--templates", &templates, "--json"]].concat());
    let a: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&a["images"], &a["classes"]), (&24.into(), &6.into()));
    // Chance is 16.7 %.
    assert!(
        a["top-1"].as_f64().expect("top-1") > 40.0 && a["top-5"].as_f64().expect("top-5") > 90.0,
        "{json}"
    );
    // With other prompts it is another classification, which does not overwrite the first.
    let plain = [&arguments[..], &[text(&labels)]].concat();
    refused(
        &plain,
        2,
        &["evaluation/classification/test-de.json`: holds the result on other", "--name NAME"],
    );
    assert!(
        printed(&[&plain[..], &["--name", "plain"]].concat()).starts_with("24 pictures, 6 classes: top-1 ")
    );
    let kept = fs::read_to_string(made.join("evaluation/classification/plain.json")).expect("a kept result");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    let found = &kept["details"]["languages"][0];
    assert_eq!((&found["language"], &found["templates"]), (&"de".into(), &1.into()));
    assert_eq!(found["accuracy"]["images"], 24);
    assert_eq!(kept["metrics"][0]["value"], found["accuracy"]["top-1"]);
    let bare = file("bare.txt", "rot\n");
    let more = [text(&labels), "--templates", text(&bare)];
    refused(&[&arguments[..], &more].concat(), 4, &["bare.txt`:1: `rot` has no {}"]);
    let few = file("few.txt", "0\n1\n");
    refused(&[&arguments[..], &[text(&few)]].concat(), 4, &["holds 2 labels for 24 pictures"]);
    let wrong = file("wrong.txt", &"9\n".repeat(24));
    refused(
        &[&arguments[..], &[text(&wrong)]].concat(),
        4,
        &["wrong.txt`:1: is `9`; expected a number from 0 to 5"],
    );
}

/// A tower trained here is one to acquire languages on, with new words, and English is worth what it was.
#[test]
fn languages_are_acquired_on_a_tower_that_was_trained_here() {
    let place = TempDir::new().expect("a folder");
    let acquire = write(place.path());
    let config = write_tower(place.path());
    let (tower, out) = (place.path().join("tower"), place.path().join("acquired"));
    printed(&["train", text(&config), "--out", text(&tower), "--quiet"]);
    let mr = |run: &Path, language: &str| {
        let json = printed(&["evaluate", text(run), "--json"]);
        let e: Value = serde_json::from_str(&json).expect("JSON");
        e["languages"][language]["mR"].as_f64().expect("mR")
    };
    let english = mr(&tower, "en");
    assert!(english > 90.0, "{english}");
    let text_of = fs::read_to_string(&acquire).expect("read");
    let lines = text_of.lines().filter(|line| !line.starts_with("embedding = "));
    let lines = lines.map(|line| match line.starts_with("tower = ") {
        true => "tower = 'tower/tower'\nfresh = { vocabulary = 400, width = 16 }\n".to_string(),
        false => format!("{line}\n"),
    });
    fs::write(&acquire, lines.collect::<String>()).expect("written");
    let pictures = format!("data.features=[\"{}/pictures/{{split}}.npy\"]", tower.display());
    printed(&["train", text(&acquire), "--out", text(&out), "--set", &pictures, "--quiet"]);
    assert_eq!(mr(&out, "en"), english);
    assert!(mr(&out, "de") > 60.0 && mr(&out, "fr") > 60.0, "{} {}", mr(&out, "de"), mr(&out, "fr"));
    // The tower as its own run reads it, and as the other one does.
    assert_eq!(
        embedded(&tower, "en", "red dog\nblue house\n"),
        embedded(&out, "en", "red dog\nblue house\n")
    );
    let gallery = place.path().join("data/features/test.npy");
    let found = printed(&[
        "search",
        text(&tower),
        "--language",
        "en",
        "--gallery",
        text(&gallery),
        "-k",
        "3",
        "red dog",
    ]);
    assert_eq!(found.lines().count(), 4, "{found}");
    let page = fs::read_to_string(tower.join("report.html")).expect("a report");
    assert!(
        page.contains("2 blocks of width 16, 2 heads") && page.contains("tower.blocks"),
        "the parameters by part"
    );
    // Without acquiring it, German is a row of syllables to the tower.
    let read_as = "data.captions=[{languages=['en'],files=['{split}.{language}']},\
                   {languages=['de'],files=['{split}.{language}'],read_as='en'}]";
    let json = printed(&["evaluate", text(&tower), "--json", "--name", "syllables", "--set", read_as]);
    let e: Value = serde_json::from_str(&json).expect("JSON");
    let german = e["languages"]["de"]["mR"].as_f64().expect("mR");
    assert!(german < 60.0 && e["languages"]["en"]["mR"].as_f64() == Some(english), "{json}");
    let no = place.path().join("no");
    let wrong = ["train", text(&acquire), "--out", text(&no), "--set"];
    refused(
        &[&wrong[..], &[&pictures, "--set", "acquire.tower=nowhere"]].concat(),
        4,
        &["nowhere/config.json"],
    );
    refused(&[&wrong[..], &["tower.layers=2"]].concat(), 3, &["`acquire.tower` is set"]);
}

#[test]
fn a_sweep_compares_the_stages() {
    let place = TempDir::new().expect("a folder");
    write(place.path());
    let (file, out) = (place.path().join("sweep.toml"), place.path().join("out"));
    let sweep = "base = 'config.toml'
set = { acquire.le.epochs = 2 }
[[variants]]
name = 'both'
set = { acquire.nlt.epochs = 3 }
[[variants]]
name = 'LE only'
set = { acquire.nlt.epochs = 0 }
";
    fs::write(&file, sweep).expect("written");
    let listed = run(&["sweep", text(&file), "--out", text(&out), "--dry-run"]).stdout;
    let ran = run(&["sweep", text(&file), "--out", text(&out)]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let rows = fs::read_to_string(out.join("results.jsonl")).expect("results");
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 2);
    for (row, before) in rows.iter().zip(listed.lines().skip(1)) {
        assert_eq!(row["status"], "done", "{row}");
        // Before it was trained: its parameters, those at test time, and the memory that it would need.
        let [_, id, _, train, test, _, "GB", ..] = before.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{before}")
        };
        assert_eq!(row["id"], id);
        assert_eq!(row["parameters_train"].to_string(), train);
        assert_eq!(row["parameters_test"].to_string(), test);
        assert!(row["test"]["languages"]["de"]["mR"].as_f64().is_some(), "{row}");
        // The tower is the same in both.
        assert_eq!(row["test"]["languages"]["en"], rows[0]["test"]["languages"]["en"]);
    }
    assert_ne!(rows[0]["test"]["languages"]["de"]["mR"], rows[1]["test"]["languages"]["de"]["mR"]);
}
