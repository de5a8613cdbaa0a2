//! Contrastive training of a multilingual encoder, by the command.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::acquisition::{checkpoint, write, write_tower};
use crate::contrastive_config::write_contrastive;
use crate::whole::{fed, rows};
use crate::{printed, run, text};

fn made() -> TempDir {
    let place = TempDir::new().expect("a folder");
    write(place.path());
    write_contrastive(place.path());
    place
}

fn embedded(run: &Path, language: &str, sentences: &str) -> Vec<f32> {
    let (npy, ran) = fed(&["embed", text(run), "--language", language], sentences.as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    rows(&npy, 12).concat()
}

#[test]
fn an_encoder_is_trained_evaluated_searched_and_handed_over() {
    let place = made();
    let path = |name: &str| place.path().join(name);
    let (config, first) = (path("contrastive.toml"), path("first"));
    let told = run(&["train", text(&config), "--out", text(&first)]);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    assert!(told.stderr.contains("for `SentenceTransformer`: "), "{}", told.stderr);
    let recall = printed(&["evaluate", text(&first), "--split", "test", "--json"]);
    let recall: serde_json::Value = serde_json::from_str(&recall).expect("JSON");
    // 24 pictures of which all captions are distinct: chance is 25.
    for language in ["en", "de", "fr"] {
        let mr = recall["languages"][language]["mR"].as_f64().expect("mR");
        assert!(mr > 60.0, "{recall}");
    }
    let gallery = path("data/features/test.npy");
    printed(&["search", text(&first), "--language", "de", "--gallery", text(&gallery), "roter Hund"]);
    printed(&["report", text(&first)]);
    printed(&["data", "check", text(&config)]);

    // What was handed over is a checkpoint like another: with heads that are not trained further its vectors are read, not learnt.
    let handed = format!("contrastive.checkpoint={}", first.join("sentence_transformer").display());
    let second = path("second");
    let set = ["--set", &handed, "--set", "contrastive.fresh.layers=0", "--set", "train.epochs=2"];
    let args = ["train", text(&config), "--out", text(&second), "-q"];
    printed(&[&args[..], &set[..]].concat());
    assert_eq!(embedded(&second, "fr", "chien rouge\n").len(), 12);

    // A run that begins with the other's weights begins where it ended.
    let start = format!("contrastive.start={}", first.display());
    let third = path("third");
    let set = ["--set", &start, "--set", "contrastive.fresh.layers=0", "--set", "train.learning_rate=1e-12"];
    let args = ["train", text(&config), "--out", text(&third), "-q", "--set", "train.epochs=1"];
    printed(&[&args[..], &set[..]].concat());
    let sentences = "roter Hund\nblaues Haus\n";
    let (one, other) = (embedded(&first, "de", sentences), embedded(&third, "de", sentences));
    let far = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(far < 1e-5, "{far}");
}

#[test]
fn every_way_of_the_papers_trains() {
    let place = made();
    let path = |name: &str| place.path().join(name);
    let xlmr = format!("contrastive.checkpoint={}", checkpoint("xlmr").display());
    let checkpoint = [&xlmr[..], "contrastive.fresh.layers=0", "train.learning_rate=1e-3"];
    let ways: [(&str, &[&str]); 6] = [
        ("align", &["contrastive.text_text.weight=0", "contrastive.triple.weight=0", "data.pairs=[]"]),
        ("triple", &["contrastive.image_text.weight=0", "contrastive.text_text.weight=0", "data.pairs=[]"]),
        (
            "rotation",
            &[
                "contrastive.captions=rotation",
                "contrastive.pictures=linear",
                "contrastive.image_text={unit = false, anchors = 'captions', temperature = 1.0, learn_temperature = true}",
                "contrastive.triple.weight=0",
            ],
        ),
        ("captions", &["contrastive.text_text.source=captions", "data.pairs=[]"]),
        ("checkpoint", &checkpoint),
        ("shuffled", &["contrastive.shuffle_pictures=true", "train.pairs.draw=pair"]),
    ];
    for (name, set) in ways {
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
        let (config, out) = (path("contrastive.toml"), path(name));
        let args = ["train", text(&config), "--out", text(&out), "--set", "train.epochs=2", "-q"];
        printed(&[&args[..], &set[..]].concat());
        printed(&["evaluate", text(&out), "--split", "test"]);
    }
}

/// Without pictures there is no recall to choose by: the last weights count.
#[test]
fn texts_alone_keep_the_last_weights() {
    let place = made();
    let path = |name: &str| place.path().join(name);
    let (config, out) = (path("contrastive.toml"), path("run"));
    let set = ["contrastive.image_text={weight = 0.0}", "contrastive.triple.weight=0", "train.epochs=3"];
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
    printed(&[&["train", text(&config), "--out", text(&out), "-q"], &set[..]].concat());
    let state = fs::read_to_string(out.join("checkpoints/best/state.json")).expect("a state");
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!((state["best_step"].as_u64(), state["step"].as_u64()), (Some(9), Some(9)));
}

fn refused(args: &[&str], status: i32, expected: &[&str]) {
    let ran = run(args);
    assert_eq!(ran.status, Some(status), "{}", ran.stderr);
    expected.iter().for_each(|what| assert!(ran.stderr.contains(what), "`{what}` is not in {}", ran.stderr));
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let place = made();
    write_tower(place.path());
    let path = |name: &str| place.path().join(name);
    let (config, out) = (path("contrastive.toml"), path("run"));
    let train = |set: &[&str], status: i32, expected: &[&str]| {
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
        refused(&[&["train", text(&config), "--out", text(&out)], &set[..]].concat(), status, expected);
        assert!(!out.exists());
    };
    let clip = format!("contrastive.checkpoint={}", checkpoint("clip").display());
    let none = "contrastive.fresh.layers=0";
    train(&[&clip, none], 4, &["is the text tower of a CLIP", "give the folder of a multilingual encoder"]);
    let nowhere = format!("contrastive.checkpoint={}", path("nowhere").display());
    train(&[&nowhere, none], 4, &["config.json`"]);
    train(&["contrastive.fresh.layers=0", "data.pairs=[]"], 3, &["not read by the family \"smalr\""]);
    train(
        &["loss.triplet.weight=0.5"],
        3,
        &["`loss.triplet.weight` is not read by the family \"contrastive\""],
    );
    let tower = path("tower-run");
    printed(&["train", text(&path("tower.toml")), "--out", text(&tower), "-q", "--set", "train.epochs=1"]);
    let start = format!("contrastive.start={}", tower.display());
    train(&[&start, none], 4, &["is a run of the family \"tower\""]);

    printed(&["train", text(&config), "--out", text(&out), "-q", "--set", "train.epochs=1"]);
    // What says how tokens are read is part of the run.
    let tokenizer = out.join("encoder/tokenizer.json");
    let whole = fs::read_to_string(&tokenizer).expect("read");
    fs::write(&tokenizer, whole.replace("[UNK]", "[UNX]") + " ").expect("written");
    refused(&["evaluate", text(&out)], 4, &["encoder/tokenizer.json`"]);
    fs::write(&tokenizer, whole).expect("written");
    let joint = ["train", text(&config), "--out", text(&out), "--resume", "--set", "text.joint=16"];
    refused(&joint, 3, &["other values of `text.joint`"]);
    // With one caption a picture, nothing is a triple.
    let none = path("none");
    let set = ["--set", "contrastive.captions=rotation"];
    let args = ["train", text(&config), "--out", text(&none)];
    let expected = ["no picture has captions in two languages", "`contrastive.triple.weight` compares"];
    refused(&[&args[..], &set[..]].concat(), 4, &expected);
    let added = path("added");
    refused(
        &["add-language", text(&out), text(&config), "--out", text(&added)],
        2,
        &["encoder is shared by all languages", "`contrastive.start` takes this run"],
    );
    refused(&["remove-language", text(&out), "de", "--out", text(&added)], 2, &["belongs to one alone"]);
}
