//! Cross-modal acquisition by the command: every language goes through M-BERT, English too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;
use tinyglot::checkpoint::RunFolder;
use tinyglot::family::mla::run::MlaRun;

use crate::acquisition::write;
use crate::corpus::refused;
use crate::whole::{fed, rows};
use crate::{printed, text};

/// A corpus, and a run on English and German in M-BERT.
static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let config = write(folder.path());
    let french = "[data]\nroot = 'data'\nlanguages = ['fr']\n[[data.captions]]\nlanguages = ['fr']\n\
                  files = ['{split}.fr']\n[[grow.translations]]\nlanguage = 'en'\nknown = 'train.en'\n\
                  new = 'train.fr'\n";
    fs::write(folder.path().join("fr.toml"), french).expect("written");
    let out = folder.path().join("cma");
    let set = ["--set", "data.languages=['de','en']", "--set", "acquire.train_embedding=false"];
    let more = ["--set", "acquire.encoder=bert", "--set", "acquire.nlt.target='train.de'"];
    let arguments = ["train", text(&config), "--out", text(&out), "--quiet"];
    printed(&[&arguments[..], &set, &more].concat());
    folder
});

fn path(name: &str) -> PathBuf {
    MADE.path().join(name)
}

fn evaluated(run: &Path) -> Value {
    let json = printed(&["evaluate", text(run), "--json"]);
    serde_json::from_str::<Value>(&json).expect("JSON")["languages"].clone()
}

fn embedded(run: &Path, language: &str, sentences: &str) -> Vec<Vec<f32>> {
    let (npy, ran) = fed(&["embed", text(run), "--language", language], sentences.as_bytes());
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    rows(&npy, 12)
}

#[test]
fn m_bert_learns_english_too_in_both_stages() {
    let run = path("cma");
    let e = evaluated(&run);
    // Of 24 pictures chance finds 22 % on average; the tower's own English finds all.
    for language in ["en", "de"] {
        let mr = e[language]["mR"].as_f64().expect("mR");
        assert!(mr > 35.0 && mr < 99.0, "{language}: {e}");
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let losses: Vec<f64> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).expect("JSON").get("loss")?.as_f64())
        .collect();
    assert!(losses.len() > 20 && losses[23] < losses[0] / 2.0, "NLT's loss falls: {losses:?}");
    let info: Value = serde_json::from_slice(&fs::read(run.join("run.json")).expect("read")).expect("JSON");
    let parts: Vec<&str> = info["parameters"]
        .as_array()
        .expect("parts")
        .iter()
        .map(|p| p[0].as_str().expect("a name"))
        .collect();
    assert_eq!(parts, ["bert.layer", "acquirer.de", "acquirer.en", "scale"]);
    let page = fs::read_to_string(run.join("report.html")).expect("a report");
    assert!(page.contains("in a multilingual encoder, beside an en tower") && page.contains("acquirer.en"));
}

#[test]
fn english_is_embedded_and_searched_through_m_bert() {
    let run = path("cma");
    let through_bert = embedded(&run, "en", "red dog\nblue house\n");
    // The same run without its acquirer of English, as runs were before: English goes the tower's way.
    let mut old = MlaRun::open(&run, &[]).expect("a run");
    assert!(old.mla.remove("en"));
    let folder = path("old");
    fs::create_dir_all(&folder).expect("a folder");
    old.write(&RunFolder::new(&folder)).expect("written");
    assert_ne!(embedded(&folder, "en", "red dog\nblue house\n"), through_bert);
    let (before, after) = (evaluated(&run), evaluated(&folder));
    assert!(after["en"]["mR"].as_f64() > Some(99.0), "{after}");
    assert_eq!(after["de"], before["de"]);
    let gallery = path("data/features/test.npy");
    let query = ["search", text(&run), "--language", "en", "--gallery", text(&gallery), "-k", "3", "red dog"];
    assert_eq!(printed(&query).lines().count(), 4);
}

#[test]
fn languages_come_and_go_beside_english() {
    let (run, out, config) = (path("cma"), path("cma-fr"), path("fr.toml"));
    let table = printed(&["add-language", text(&run), text(&config), "--out", text(&out), "--quiet"]);
    assert!(table.contains("the same to the last bit: yes"), "{table}");
    let (before, after) = (evaluated(&run), evaluated(&out));
    assert_eq!((&before["de"], &before["en"]), (&after["de"], &after["en"]));
    assert!(after["fr"]["mR"].as_f64() > Some(30.0), "{after}");
    let growth: Value =
        serde_json::from_slice(&fs::read(out.join("growth/fr.json")).expect("read")).expect("JSON");
    // 50 passes of 3 batches of 12, for one language; the base had two.
    assert_eq!((&growth["sentences_shown"], &growth["base_sentences_shown"]), (&1800.into(), &3600.into()));
    let pieces: Vec<&str> =
        growth["pieces"].as_array().expect("pieces").iter().filter_map(|p| p["language"].as_str()).collect();
    assert_eq!(pieces, ["de", "en", "fr"]);

    let export = |run: &Path, language: &str| {
        let file = path(&format!("cma-{language}.safetensors"));
        printed(&["acquirer", "export", text(run), "--language", language, "--out", text(&file)]);
        let card = fs::read_to_string(file.with_extension("md")).expect("what it is");
        assert!(card.contains("cross-modal") && card.contains(": mR "), "{card}");
        file
    };
    let (english, french) = (export(&run, "en"), export(&out, "fr"));
    refused(&["acquirer", "add", text(&run), text(&english)], 2, &["the run was trained on `en`"]);
    let copy = path("copy");
    crate::corpus::copy(&run, &copy);
    assert_eq!(crate::run(&["acquirer", "add", text(&copy), text(&french)]).status, Some(0));
    assert_eq!(embedded(&copy, "fr", "rouge maison\n"), embedded(&out, "fr", "rouge maison\n"));
    assert_eq!(embedded(&copy, "en", "red dog\n"), embedded(&run, "en", "red dog\n"));

    let none = path("none");
    refused(&["remove-language", text(&out), "en", "--out", text(&none)], 2, &["language of the tower"]);
    refused(
        &["remove-language", text(&out), "de", "--out", text(&none)],
        2,
        &["only language that was acquired"],
    );
    printed(&["remove-language", text(&out), "fr", "--out", text(&path("less"))]);
    assert_eq!(evaluated(&path("less")), before);
}
