//! An index of pictures: made once, searched often.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{MADE, copy, data, refused};
use crate::{printed, run, text};

fn made(run: &Path, more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("photos");
    let (gallery, ids) = (MADE.gallery(), MADE.path("data/image_splits/test.txt"));
    let make = ["index", text(run), "--gallery", text(&gallery), "--ids", text(&ids), "--out", text(&out)];
    let ran = crate::run(&[&make, more].concat());
    assert_eq!((ran.status, ran.stdout), (Some(0), format!("{}\n", out.display())), "{}", ran.stderr);
    (folder, out)
}

/// What a search finds: ids and scores, by query.
fn found(run: &Path, pictures: &[&str]) -> Vec<Vec<(String, f64)>> {
    let search = ["search", text(run), "--language", "de", "--json", "-k", "5", "ein Haus", "rote Boote"];
    let lines = printed(&[&search[..7], pictures, &search[7..]].concat());
    let hits = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let hit =
            |h: &Value| (h["id"].as_str().expect("an id").to_string(), h["score"].as_f64().expect("a score"));
        line["hits"].as_array().expect("hits").iter().map(hit).collect()
    };
    lines.lines().map(hits).collect()
}

#[test]
fn an_index_finds_what_the_gallery_has() {
    let (gallery, ids) = (MADE.gallery(), MADE.path("data/image_splits/test.txt"));
    let expected = found(&MADE.run(), &["--gallery", text(&gallery), "--ids", text(&ids)]);
    let (_a, whole) = made(&MADE.run(), &["--numbers", "f32"]);
    assert_eq!(found(&MADE.run(), &["--index", text(&whole)]), expected);
    let (_b, halves) = made(&MADE.run(), &[]);
    let scores = |found: &[Vec<(String, f64)>]| found.concat().iter().map(|hit| hit.1).collect::<Vec<_>>();
    let near = found(&MADE.run(), &["--index", text(&halves)]);
    for (a, b) in scores(&near).iter().zip(scores(&expected)) {
        assert!((a - b).abs() < 2e-3, "{a} {b}");
    }
    let size = |index: &Path| index.join("vectors.npy").metadata().expect("vectors").len();
    assert_eq!(size(&whole) - 128, 2 * (size(&halves) - 128), "half as large");
    let names: Vec<String> = ["ids.txt", "index.json", "vectors.npy"].map(String::from).to_vec();
    let mut entries: Vec<String> = fs::read_dir(&whole)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    entries.sort();
    assert_eq!(entries, names);
}

#[test]
fn an_index_fits_the_packed_run_and_no_other_model() {
    let (folder, index) = made(&MADE.run(), &[]);
    let packed = folder.path().join("model");
    assert_eq!(run(&["pack", text(&MADE.run()), "--out", text(&packed)]).status, Some(0));
    assert_eq!(found(&packed, &["--index", text(&index)]).len(), 2);
    let place = data();
    let (config, other) = (place.path().join("config.toml"), place.path().join("other"));
    let set = ["--set", "seed=7", "--set", "train.epochs=1", "-q"];
    printed(&[&["train", text(&config), "--out", text(&other)][..], &set].concat());
    let search = ["search", text(&other), "--language", "de", "--index", text(&index), "Haus"];
    refused(&search, 4, &["was made with another model", "make it again"]);
}

#[test]
fn what_is_no_whole_index_is_refused() {
    let (folder, index) = made(&MADE.run(), &[]);
    let search = |index: &Path, said: &[&str]| {
        let run = MADE.run();
        refused(&["search", text(&run), "--language", "de", "--index", text(index), "Haus"], 4, said);
    };
    search(folder.path(), &["no index here", "tinyglot index"]);
    let changed = |change: &dyn Fn(&Path), said: &[&str]| {
        let broken = folder.path().join("broken");
        copy(&index, &broken);
        change(&broken);
        search(&broken, said);
        fs::remove_dir_all(&broken).expect("removed");
    };
    changed(&|p| fs::remove_file(p.join("vectors.npy")).expect("removed"), &["vectors.npy"]);
    changed(
        &|p| fs::write(p.join("ids.txt"), "one\ntwo\n").expect("written"),
        &["20 vectors of 16, and 2 ids"],
    );
    let edit = |p: &Path, from: &str, to: &str| {
        let file = p.join("index.json");
        let json = fs::read_to_string(&file).expect("read");
        assert!(json.contains(from), "{json}");
        fs::write(file, json.replace(from, to)).expect("written");
    };
    changed(&|p| edit(p, "\"version\": 1", "\"version\": 9"), &["version 9", "make the index again"]);
    changed(&|p| edit(p, "\"pictures\": 20", "\"pictures\": 21"), &["index.json"]);
    let (gallery, run) = (MADE.gallery(), MADE.run());
    let make = ["index", text(&run), "--gallery", text(&gallery), "--out", text(&index)];
    refused(&make, 2, &["the folder is not empty"]);
    let wide = folder.path().join("wide.npy");
    tinyglot::corpus::write_npy(&wide, 2, 3, &[1.0; 6]).expect("written");
    let out = folder.path().join("new");
    refused(&["index", text(&run), "--gallery", text(&wide), "--out", text(&out)], 4, &["rows of 3 numbers"]);
    assert!(!out.exists(), "nothing is left");
}
