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

/// A configuration that adds a language, whose captions are in the files of `code`, with translations of a known one.
fn french(language: &str, code: &str, known: &str) -> String {
    format!(
        "[data]
root = 'data'
languages = ['{language}']
[[data.captions]]
languages = ['{language}']
files = ['{{split}}.{code}']
[[grow.translations]]
language = '{known}'
known = 'train.en'
new = 'train.{code}'
"
    )
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
fn an_encoder_is_trained_on_for_another_language_and_its_pictures_stay() {
    let place = made();
    let path = |name: &str| place.path().join(name);
    let (config, base, grown) = (path("contrastive.toml"), path("base"), path("grown"));
    let two =
        ["data.languages=['de', 'en']", "data.pairs=[{languages=['en', 'de'], files=['train.{language}']}]"];
    let captions = "data.captions=[{languages=['en', 'de'], files=['{split}.{language}']}]";
    let set = ["--set", two[0], "--set", two[1], "--set", captions];
    printed(&[&["train", text(&config), "--out", text(&base), "-q"], &set[..]].concat());
    let (index, gallery) = (path("index"), path("data/features/test.npy"));
    printed(&["index", text(&base), "--gallery", text(&gallery), "--out", text(&index), "-q"]);
    fs::write(path("fr.toml"), french("fr", "fr", "en")).expect("written");
    printed(&["add-language", text(&base), text(&path("fr.toml")), "--out", text(&grown), "-q"]);
    let growth = fs::read_to_string(grown.join("growth/fr.json")).expect("a record");
    let growth: serde_json::Value = serde_json::from_str(&growth).expect("JSON");
    let of = |language: &str, when: &str| {
        let all = growth["results"].as_array().expect("languages");
        let of = all.iter().find(|r| r["language"] == language).unwrap_or_else(|| panic!("{growth}"));
        of[when][1].as_f64().unwrap_or_else(|| panic!("{growth}"))
    };
    assert!(of("fr", "after") > 60.0 && of("fr", "after") > of("fr", "before") + 20.0, "{growth}");
    // The old ones share the encoder: what they lose is told, and they are measured as they are now.
    assert_eq!(growth["unfrozen"], true);
    for language in ["en", "de"] {
        let recall = printed(&["evaluate", text(&grown), "--split", "test", "--json"]);
        let recall: serde_json::Value = serde_json::from_str(&recall).expect("JSON");
        assert_eq!(recall["languages"][language]["mR"].as_f64(), Some(of(language, "after")), "{recall}");
    }
    assert_eq!((growth["captions"].as_u64(), growth["translations"].as_u64()), (Some(36), Some(36)));
    assert_eq!(growth["shared"][0], growth["shared"][1]);
    let products = |of: &str| growth[of].as_f64().expect("a number");
    assert!(products("products") > 0.0 && products("products") < products("base_products"), "{growth}");
    let page = fs::read_to_string(grown.join("report.html")).expect("a page");
    assert!(page.contains("What all languages share was trained") && page.contains("added no parameters"));
    // An index of the base's pictures serves the new run, which knows the language.
    printed(&["search", text(&grown), "--language", "fr", "--index", text(&index), "chien rouge"]);
    // Rows of tokens alone: all else of the encoder stays.
    let rows = path("rows");
    let only = [&french("fr", "fr", "en")[..], "[grow.contrast]\ntrain = 'tokens'\nepochs = 3\n"].concat();
    fs::write(path("rows.toml"), only).expect("written");
    printed(&["add-language", text(&base), text(&path("rows.toml")), "--out", text(&rows), "-q"]);
    let open =
        |run: &Path| tinyglot::family::contrastive::ContrastiveRun::open(run, &[]).expect("a run").model;
    let (mut one, mut other, mut all) = (open(&base), open(&rows), std::collections::BTreeMap::new());
    tinyglot::optim::ParameterTree::visit(&mut one, &mut |name, x| {
        drop(all.insert(name.to_string(), x.floats().into_owned()))
    });
    tinyglot::optim::ParameterTree::visit(&mut other, &mut |name, x| {
        let same = all[name] == *x.floats();
        let stays = name.starts_with("image.") || name.starts_with("encoder.") && name != "encoder.tokens";
        assert!(same == stays || !stays, "`{name}` changed");
        assert!(name != "encoder.tokens" || !same, "the rows did not change");
    });
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
    let (added, given) = (path("added"), path("fr.toml"));
    let add = |addition: &str, more: &[&str], status: i32, expected: &[&str]| {
        fs::write(&given, addition).expect("written");
        let args = ["add-language", text(&out), text(&given), "--out", text(&added)];
        refused(&[&args[..], more].concat(), status, expected);
        assert!(!added.exists(), "{addition}");
    };
    add(&french("fr", "fr", "en"), &[], 2, &["the run knows `fr` already", "`contrastive.start`"]);
    add(&french("it", "fr", "es"), &[], 3, &["names `es`, which the run does not know", "`de`, `en`, `fr`"]);
    add(&french("it", "fr", "en"), &["--curve", "20"], 2, &["no learning curve"]);
    add(&(french("it", "fr", "en") + "[train]\nepochs = 3\n"), &[], 3, &["`train.epochs` cannot be set"]);
    let untranslated = french("it", "fr", "en") + "[grow.contrast]\ntext_text = 0.0\n";
    add(&untranslated, &[], 3, &["compares no translations", "`grow.contrast.text_text`"]);
    refused(&["remove-language", text(&out), "de", "--out", text(&added)], 2, &["belongs to one alone"]);
}
