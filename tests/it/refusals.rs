//! Bad input: each ends with its exit status and names file, line, value and remedy.

use std::fs;

use crate::corpus::{CONFIG, MADE, copy, data, refused};
use crate::{run, text};

/// Trains on a corpus with one thing broken; nothing may be left of the run.
fn training_refused(breaks: impl Fn(&std::path::Path), status: i32, said: &[&str]) {
    let place = data();
    breaks(&place.path().join("data"));
    let out = place.path().join("run");
    refused_train(&place.path().join("config.toml"), &out, status, said);
    assert!(!out.exists(), "a run folder was left behind");
}

fn refused_train(config: &std::path::Path, out: &std::path::Path, status: i32, said: &[&str]) {
    refused(&["train", text(config), "--out", text(out), "-q"], status, said);
}

#[test]
fn a_cut_or_foreign_npy() {
    training_refused(
        |data| {
            let file = data.join("features/train.npy");
            let bytes = fs::read(&file).expect("read");
            fs::write(&file, &bytes[..bytes.len() - 8]).expect("written");
        },
        4,
        &["features/train.npy`: is cut short", "hint: "],
    );
    training_refused(
        |data| fs::write(data.join("features/val.npy"), b"PK\x03\x04").expect("written"),
        4,
        &["features/val.npy`: is no .npy file"],
    );
}

#[test]
fn features_that_are_not_numbers() {
    training_refused(
        |data| {
            let file = data.join("features/test.npy");
            let mut bytes = fs::read(&file).expect("read");
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            fs::write(&file, bytes).expect("written");
        },
        4,
        &["features/test.npy`: row 19, column 1000", "NaN"],
    );
}

#[test]
fn captions_missing_too_few_or_empty() {
    let captions = |data: &std::path::Path| data.join("captions/train.2.de");
    training_refused(
        |data| fs::remove_file(captions(data)).expect("removed"),
        4,
        &["train.2.de`: cannot be read"],
    );
    let lines = |data: &std::path::Path, edit: &dyn Fn(&mut Vec<&str>)| {
        let all = fs::read_to_string(captions(data)).expect("read");
        let mut lines: Vec<&str> = all.lines().collect();
        edit(&mut lines);
        fs::write(captions(data), lines.join("\n") + "\n").expect("written");
    };
    training_refused(|data| lines(data, &|l| l.truncate(59)), 4, &["train.2.de`", "59", "60"]);
    training_refused(|data| lines(data, &|l| l[6] = "  "), 4, &["train.2.de`:7: is an empty caption"]);
    training_refused(
        |data| fs::write(captions(data), b"ein \xff\n").expect("written"),
        4,
        &["train.2.de`:1: is not UTF-8"],
    );
}

#[test]
fn test_captions_in_the_text_for_vectors() {
    let place = data();
    let path = |name: &str| place.path().join(name);
    for language in ["en", "de", "zh"] {
        fs::copy(path(&format!("data/captions/test.1.{language}")), path(&format!("data/{language}.txt")))
            .expect("copied");
    }
    fs::write(path("config.toml"), CONFIG.replace("root = 'data'", "root = 'data'\ntext = '{language}.txt'"))
        .expect("written");
    refused_train(&path("config.toml"), &path("run"), 4, &["en.txt`:", "test captions"]);
}

#[test]
fn a_folder_that_holds_something_else() {
    let place = data();
    let (config, out) = (place.path().join("config.toml"), place.path().join("data"));
    refused_train(&config, &out, 2, &["the folder is not empty", "--out"]);
    assert!(out.join("captions").is_dir(), "nothing in it was touched");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let place = data();
    let locked = place.path().join("locked");
    fs::create_dir(&locked).expect("a folder");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).expect("locked");
    if fs::write(locked.join("probe"), "").is_ok() {
        return; // the superuser may write everywhere
    }
    refused_train(
        &place.path().join("config.toml"),
        &locked.join("run"),
        1,
        &["locked", "cannot be written"],
    );
}

#[test]
fn an_output_folder_below_a_file() {
    let place = data();
    let config = place.path().join("config.toml");
    refused_train(&config, &config.join("run"), 1, &["cannot be written"]);
}

#[test]
fn unknown_languages_and_splits() {
    let (run, gallery) = (MADE.run(), MADE.gallery());
    let known = "it knows en, de, zh";
    refused(
        &["search", text(&run), "--language", "fr", "--gallery", text(&gallery), "chien"],
        2,
        &["`fr`", known],
    );
    refused(&["embed", text(&run), "--language", "xx"], 2, &["`xx`", known]);
    refused(&["evaluate", text(&run), "--split", "tets"], 2, &["tets", "test"]);
    refused(
        &["data", "scenes", "--out", "nowhere", "--languages", "en,tlh"],
        2,
        &["`tlh`", "choose some of"],
    );
}

#[test]
fn galleries_and_ids_that_do_not_fit() {
    let (run, gallery) = (MADE.run(), MADE.gallery());
    let place = tempfile::tempdir().expect("a folder");
    let other = place.path().join("other.npy");
    tinyglot::corpus::write_npy(&other, 2, 3, &[1.0; 6]).expect("written");
    let search = |gallery| ["search", text(&run), "--language", "en", "--gallery", gallery, "a house"];
    refused(&search(text(&other)), 4, &["other.npy`: has rows of 3 numbers", "1001"]);
    refused(&["embed", text(&run), "--images", text(&other)], 4, &["has rows of 3 numbers"]);
    refused(&search("missing.npy"), 4, &["`missing.npy`: cannot be read"]);
    let ids = place.path().join("ids.txt");
    fs::write(&ids, "1\n2\n").expect("written");
    let with_ids = [&search(text(&gallery))[..], &["--ids", text(&ids)]].concat();
    refused(&with_ids, 4, &["ids.txt`: holds 2 ids, but the gallery has 20 pictures"]);
}

#[test]
fn queries_that_say_nothing() {
    let (run, gallery) = (MADE.run(), MADE.gallery());
    let search = ["search", text(&run), "--language", "en", "--gallery", text(&gallery)];
    refused(&[&search[..], &["a house", " "]].concat(), 2, &["query 2 is empty"]);
    refused(&search, 4, &["`standard input`: holds no sentence"]);
    refused(&["embed", text(&run), "--language", "en"], 4, &["`standard input`: holds no sentence"]);
}

#[test]
fn a_trained_model_cannot_be_set_otherwise() {
    let run = MADE.run();
    refused(&["evaluate", text(&run), "--set", "text.hidden=3"], 2, &["`--set text.hidden=3`", "`data`"]);
    refused(&["evaluate", text(&run), "--distractors"], 4, &["no distractors"]);
    refused(&["evaluate", text(&run), "--folds", "3"], 4, &["cannot be cut into 3 folds"]);
}

#[test]
fn damaged_and_foreign_run_folders() {
    let place = tempfile::tempdir().expect("a folder");
    let search = |run: &str, status: i32, said: &[&str]| {
        refused(
            &["search", run, "--language", "en", "--gallery", text(&MADE.gallery()), "a house"],
            status,
            said,
        );
    };
    search(text(place.path()), 4, &["no run here"]);
    let broken = |name: &str, file: &str, edit: &dyn Fn(Vec<u8>) -> Vec<u8>, said: &[&str]| {
        let copied = place.path().join(name);
        copy(&MADE.run(), &copied);
        let file = copied.join(file);
        let bytes = fs::read(&file).expect("read");
        fs::write(&file, edit(bytes)).expect("written");
        search(text(&copied), 4, said);
    };
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    broken("a", "checkpoints/best/model.safetensors", &half, &["model.safetensors`", "hint: "]);
    broken("b", "words/en.bin", &half, &["en.bin`", "cut off"]);
    broken("c", "words/lexicon.json", &half, &["lexicon.json`:1", "not a lexicon"]);
    broken("d", "words/zh.words", &half, &["zh.words`"]);
    let newer = |bytes: Vec<u8>| {
        String::from_utf8(bytes).expect("text").replacen("\"version\": 1", "\"version\": 99", 1).into_bytes()
    };
    broken("e", "run.json", &newer, &["version 99; this program reads version 1", "hint: "]);
    let narrower = |bytes: Vec<u8>| {
        String::from_utf8(bytes).expect("text").replacen("joint = 16", "joint = 8", 1).into_bytes()
    };
    broken("f", "config.toml", &narrower, &["has shape", "`config.toml` was changed"]);
    let untrained = place.path().join("g");
    copy(&MADE.run(), &untrained);
    fs::remove_dir_all(untrained.join("checkpoints/best")).expect("removed");
    search(text(&untrained), 4, &["no `best` checkpoint"]);
}

#[test]
fn the_demo_does_not_write_over_what_is_there() {
    let place = tempfile::tempdir().expect("a folder");
    fs::create_dir(place.path().join("data")).expect("a folder");
    let ran = run(&["demo", "--out", text(place.path())]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.stderr.contains("there is a demo already"), "{}", ran.stderr);
}

/// What is wrong shows long after the files were read: the error names the one that it can be mended in.
#[test]
fn errors_that_show_late_name_a_file_too() {
    let place = data();
    let (config, root, out) =
        (place.path().join("config.toml"), place.path().join("data"), place.path().join("run"));
    let (of_config, of_data) = (format!("error: `{}`:", text(&config)), format!("error: `{}`:", text(&root)));
    for (from, to, status, file, said) in [
        ("[[data", "text = 'captions/all.txt'\n[[data", 3, &of_config, "`data.text`"),
        ("parallel/{split}.{language}", "parallel/{language}", 3, &of_config, "`data.parallel`"),
        (
            "files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}']",
            "files = []",
            3,
            &of_config,
            "files",
        ),
        ("buckets = 500", "min_count = 100000", 4, &of_data, "words.fasttext.min_count"),
    ] {
        fs::write(&config, CONFIG.replacen(from, to, 1)).expect("written");
        refused_train(&config, &out, status, &[file, said]);
    }
    fs::write(&config, CONFIG).expect("written");
    let little = ["train", text(&config), "--out", text(&out), "-q", "--memory", "0.000001"];
    refused(&little, 3, &[&of_config, "`--memory 0`"]);
    let run = MADE.run();
    let of_run = |set| ["evaluate", text(&run), "--set", set].map(String::from);
    for (set, status, said) in [
        (
            "data.parallel='parallel/{language}'",
            3,
            "error: `--set data.parallel='parallel/{language}'`: `data.parallel`",
        ),
        (
            "data.captions=[{languages=['en','de','zh'],files=['captions/{split}.1.{language}'],splits=['train']}]",
            4,
            "run`: the split `test` has no captions",
        ),
    ] {
        refused(&of_run(set).each_ref().map(String::as_str), status, &[said]);
    }
}
