//! A run made small enough to ship.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{MADE, copy, data, refused};
use crate::whole::fed;
use crate::{printed, run, text};

fn packed(from: &Path, more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    let ran = run(&[&["pack", text(from), "--out", text(&out)], more].concat());
    assert_eq!((ran.status, ran.stdout), (Some(0), format!("{}\n", out.display())), "{}", ran.stderr);
    assert!(ran.stderr.contains(" MB → "), "{}", ran.stderr);
    (folder, out)
}

/// Its mean recall on test.
fn mean(run: &Path) -> f64 {
    let json = printed(&["evaluate", text(run), "--json"]);
    serde_json::from_str::<Value>(&json).expect("JSON")["A"].as_f64().expect("a mean")
}

/// Sentences of known words and pictures must have the very same vectors.
fn assert_same(model: &Path, run: &Path) {
    for language in ["en", "zh"] {
        let captions = MADE.path(&format!("data/captions/train.1.{language}"));
        let captions = fs::read_to_string(captions).expect("captions that were trained on");
        assert_eq!(embedded(model, language, &captions), embedded(run, language, &captions));
    }
    let pictures = |run: &Path| {
        let (npy, ran) = fed(&["embed", text(run), "--images", text(&MADE.gallery())], b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        npy
    };
    assert_eq!(pictures(model), pictures(run));
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.map(|path| if path.is_dir() { size(&path) } else { path.metadata().expect("a file").len() }).sum()
}

fn embedded(run: &Path, language: &str, query: &str) -> (Vec<u8>, String) {
    let (npy, ran) = fed(&["embed", text(run), "--language", language], query.as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    (npy, ran.stderr)
}

#[test]
fn a_packed_run_holds_what_use_needs_and_answers_as_before() {
    let (_folder, model) = packed(&MADE.run(), &["--weights", "f32"]);
    for gone in ["words/de.bin", "checkpoints/latest", "metrics.jsonl", "report.html", "evaluation"] {
        assert!(!model.join(gone).exists(), "{gone} is there");
    }
    assert!(model.join("words/de.ngrams").is_file());
    assert_same(&model, &MADE.run());
    assert!((mean(&model) - mean(&MADE.run())).abs() < 2.0, "unseen words may go elsewhere");
    let gallery = MADE.gallery();
    let search = ["search", text(&model), "--language", "zh", "--gallery", text(&gallery), "红色"];
    assert!(!printed(&search).is_empty());
    assert!(printed(&["report", text(&model)]).contains("report.html"));
}

#[test]
fn weights_in_f16_are_half_as_large_and_nearly_as_good() {
    let (_a, whole) = packed(&MADE.run(), &["--weights", "f32"]);
    let (_b, half) = packed(&MADE.run(), &[]);
    let weights = |model: &Path| size(&model.join("checkpoints")) as f64;
    assert!(weights(&half) < 0.7 * weights(&whole), "{} {}", weights(&half), weights(&whole));
    assert!((mean(&whole) - mean(&half)).abs() < 2.0, "{} {}", mean(&whole), mean(&half));
}

#[test]
fn unseen_words_are_guessed_from_the_n_grams_that_are_kept_or_left_out() {
    let unseen = "kreisförmige";
    let (_a, whole) = packed(&MADE.run(), &["--weights", "f32", "--ngrams", "500"]);
    let (_b, none) = packed(&MADE.run(), &["--weights", "f32", "--ngrams", "0"]);
    for run in [&whole, &MADE.run()] {
        assert_eq!(embedded(run, "de", unseen).1, "", "it has a latent token");
    }
    assert!(embedded(&none, "de", unseen).1.contains("the model knows no word of `kreisförmige`"));
    assert!(!none.join("words/de.ngrams").exists());
    assert_same(&none, &MADE.run());
    let [small, large] = [&none, &whole].map(|model| size(&model.join("words")));
    assert!(small < large, "{small} {large}");
}

#[test]
fn what_only_training_needs_stays_behind_whatever_the_losses() {
    let place = data();
    let (config, trained) = (place.path().join("config.toml"), place.path().join("run"));
    let losses = [
        "train.epochs=1",
        "loss.mclm.average=0.5",
        "loss.mclm.lstm=0.5",
        "loss.mclm.masked_triplet=1",
        "loss.adversary.weight=0.1",
        "loss.word_drift=0.001",
        "embedding.word_width=0",
    ];
    let set: Vec<&str> = losses.iter().flat_map(|set| ["--set", set]).collect();
    printed(&[&["train", text(&config), "--out", text(&trained), "-q"][..], &set].concat());
    let (_folder, model) = packed(&trained, &["--weights", "f32", "--ngrams", "0"]);
    assert_same(&model, &trained);
    let weights = fs::read(model.join("checkpoints/best/model.safetensors")).expect("weights");
    let header = String::from_utf8_lossy(&weights[8..2000]).into_owned();
    for part in ["mclm", "adversary", ".start", "mask"] {
        assert!(!header.contains(part), "{part}: {header}");
    }
}

#[test]
fn a_packed_run_is_neither_trained_nor_changed_nor_packed_again() {
    let (folder, model) = packed(&MADE.run(), &[]);
    let (config, out) = (MADE.path("config.toml"), folder.path().join("other"));
    let said = ["was packed for use", "the run that it was packed from"];
    refused(&["train", text(&config), "--out", text(&model), "--resume"], 2, &said);
    refused(&["pack", text(&model), "--out", text(&out)], 2, &said);
    refused(&["remove-language", text(&model), "zh", "--out", text(&out)], 2, &said);
    let language = folder.path().join("fr.toml");
    let captions = "[data]\nroot = '.'\nlanguages = ['fr']\n[[data.captions]]\nlanguages = ['fr']\nfiles = ['{split}']\n";
    fs::write(&language, captions).expect("written");
    let add = ["add-language", text(&model), text(&language), "--out", text(&out)];
    refused(&add, 2, &said);
    assert!(!out.exists(), "nothing is left");
    refused(&["pack", text(&MADE.run()), "--out", text(&model)], 2, &["there is a run already"]);
}

#[test]
fn a_damaged_packed_run_is_refused() {
    let (folder, model) = packed(&MADE.run(), &[]);
    let broken = folder.path().join("broken");
    for (file, said) in [
        ("words/de.ngrams", "de.ngrams"),
        ("words/scorer.safetensors", "scorer.safetensors"),
        ("checkpoints/best/model.safetensors", "model.safetensors"),
    ] {
        copy(&model, &broken);
        let path = broken.join(file);
        let mut bytes = fs::read(&path).expect("read");
        let end = bytes.len() - 3;
        bytes[end] ^= 1;
        fs::write(&path, bytes).expect("written");
        refused(&["evaluate", text(&broken)], 4, &[said, "is not as it was written"]);
        fs::remove_dir_all(&broken).expect("removed");
    }
    copy(&model, &broken);
    fs::remove_file(broken.join("words/de.ngrams")).expect("removed");
    refused(&["evaluate", text(&broken)], 4, &["words/de"]);
}
