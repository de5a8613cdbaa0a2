//! Queries in several languages at once: captions with their translations.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{MADE, copy, refused};
use crate::whole::{fed, rows};
use crate::{printed, text, without_checksum};

/// The captions of a picture say the same in every language: caption k of one translates caption k of another.
const TRANSLATIONS: &str = "translations = [
    { of = ['en'], files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}'] },
    { of = ['de'], files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}'] },
    { of = ['zh'], files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}'] },
]";

/// A copy of the run, with translations in its configuration.
fn with_translations() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    copy(&MADE.run(), &run);
    let config = run.join("config.toml");
    let written = fs::read_to_string(&config).expect("read");
    assert!(written.contains("\ntranslations = []\n"), "{written}");
    fs::write(&config, written.replacen("translations = []", TRANSLATIONS, 1)).expect("written");
    (folder, run)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("read")).expect("JSON")
}

#[test]
fn every_caption_asks_with_its_translations_and_the_languages_are_pooled() {
    let (_folder, run) = with_translations();
    let e: Value = serde_json::from_str(&printed(&["evaluate", text(&run), "--json"])).expect("JSON");
    let all = &e["by_language"];
    assert_eq!(all["joined"], serde_json::json!(["en", "de", "zh"]));
    assert_eq!((&all["fitted"], &e["consistency"]), (&120.into(), &Value::Null));
    let ways = ["alone", "CLC-A", "CLC-C", "Weighted"];
    for way in ways {
        let mr = |code: &str| all["languages"][code][way]["mR"].as_f64().expect("mR");
        let mean = (mr("en") + mr("de") + mr("zh")) / 3.0;
        assert!((all["HA"][way].as_f64().expect("HA") - mean).abs() < 1e-9, "{way}");
    }
    for code in ["en", "de", "zh"] {
        let one = &all["languages"][code];
        assert_eq!((&one["captions"], &one["translated"]), (&40.into(), &40.into()));
        assert_eq!(one["alone"], e["languages"][code], "alone is what the evaluation says");
        // The same sentences ask, whichever of them is the caption.
        assert_eq!(one["CLC-C"], all["languages"]["en"]["CLC-C"]);
    }
    assert_eq!(all["HA"]["alone"], e["HA"]);
    let table = printed(&["evaluate", text(&run)]);
    for said in [
        "en             40 CLC-A ",
        "zh             40 CLC-C ",
        "\nHA: alone ",
        "one network for all query languages",
    ] {
        assert!(table.contains(said), "`{said}` is not in {table}");
    }
    // In folds the rows are over the same galleries as the rest.
    let folds = printed(&["evaluate", text(&run), "--folds", "4", "--json"]);
    let folds: Value = serde_json::from_str(&folds).expect("JSON");
    assert_eq!(folds["by_language"]["languages"]["de"]["alone"], folds["languages"]["de"]);

    let page = fs::read_to_string(printed(&["report", text(&run)]).trim()).expect("a page");
    for said in ["Mean recall (mR) in percent of all captions by people", "data:image/png;base64,"] {
        assert!(page.contains(said), "`{said}` is not on the page");
    }
    // Queries whose first picture CLC-C corrects or spoils are shown, where there are some: recall tells of one or the other.
    let first = |code: &str, way: &str| all["languages"][code][way]["t2i"]["R@1"].as_f64().expect("R@1");
    let differs = |code: &&str| (first(code, "alone") - first(code, "CLC-C")).abs() > 1e-6;
    if ["en", "de", "zh"].iter().any(differs) {
        assert!(page.contains("Queries before and after CLC-C"), "{}", all["languages"]);
    }
}

#[test]
fn captions_without_translations_are_told_and_mixed_with_nothing() {
    // The parallel captions are others than those that the languages are measured by.
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    copy(&MADE.run(), &run);
    let table = printed(&["evaluate", text(&run)]);
    assert!(table.contains("20 parallel queries, 20 pictures"), "{table}");
    assert!(
        table.contains("Not all captions have translations in en (0 of 40), de (0 of 40), zh (0 of 40)"),
        "{table}"
    );
    // Here they are the captions of German, and half of the English ones.
    let set = "data.captions=[{ languages = ['en'], files = ['captions/{split}.1.{language}', 'parallel/{split}.{language}'] }, \
               { languages = ['zh'], files = ['captions/{split}.1.{language}'] }, \
               { languages = ['de'], files = ['parallel/{split}.{language}'] }]";
    copy(&MADE.path("data"), &folder.path().join("data"));
    for language in ["en", "de"] {
        // Training captions are read too.
        let [from, to] = ["captions/train.1", "parallel/train"]
            .map(|name| folder.path().join(format!("data/{name}.{language}")));
        fs::copy(from, to).expect("copied");
    }
    let root = format!("data.root={}", folder.path().join("data").display());
    let e: Value = serde_json::from_str(&printed(&[
        "evaluate",
        text(&run),
        "--json",
        "--name",
        "half",
        "--set",
        set,
        "--set",
        &root,
    ]))
    .expect("JSON");
    let (all, parallel) = (&e["by_language"], &e["consistency"]);
    let covered = |code: &str| {
        let one = &all["languages"][code];
        (one["captions"].as_u64(), one["translated"].as_u64(), one["CLC-C"].is_object())
    };
    assert_eq!(covered("en"), (Some(40), Some(20), false));
    assert_eq!(covered("de"), (Some(20), Some(20), true));
    assert_eq!(covered("zh"), (Some(20), Some(0), false));
    assert_eq!(all["HA"], Value::Null);
    assert_eq!(all["languages"]["de"]["CLC-C"], parallel["CLC-C"]);
    assert_eq!(all["languages"]["de"]["alone"], parallel["languages"]["de"]);
}

/// Cosines of queries and pictures by the vectors that `embed` gives.
fn cosines(run: &Path, language: &str, query: &str) -> Vec<f32> {
    let embedded = |arguments: &[&str], input: &str| {
        let (npy, ran) = fed(&[&["embed", text(run)], arguments].concat(), input.as_bytes());
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        rows(&npy, 16)
    };
    let sentence = embedded(&["--language", language], &format!("{query}\n")).swap_remove(0);
    let pictures = embedded(&["--images", text(&MADE.gallery())], "");
    pictures.iter().map(|p| p.iter().zip(&sentence).map(|(a, b)| a * b).sum()).collect()
}

#[test]
fn search_joins_scores_by_the_kept_network() {
    let (_folder, run) = with_translations();
    printed(&["evaluate", text(&run), "--json"]);
    let gallery = MADE.gallery();
    let queries = [("en", "a red circle"), ("de", "ein roter Kreis"), ("zh", "红色的圆")];
    let search = |join: &str, order: [usize; 3]| -> Vec<(u64, f64)> {
        let codes = order.map(|q| queries[q].0).join(",");
        let ends = ["--gallery", text(&gallery), "-k", "20", "--json", "--join", join];
        let texts = order.map(|q| queries[q].1);
        let (line, ran) =
            fed(&[&["search", text(&run), "--language", &codes], &ends[..], &texts[..]].concat(), b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        let hits = line["hits"].as_array().expect("hits");
        hits.iter()
            .map(|h| (h["row"].as_u64().expect("a row"), h["score"].as_f64().expect("a score")))
            .collect()
    };
    let kept = json(&run.join("consistency.json"));
    let network = &kept["fitted"]["network"];
    let parameters: Vec<f64> =
        network["parameters"].as_array().expect("numbers").iter().map(|x| x.as_f64().expect("one")).collect();
    assert_eq!((network["hidden"].as_u64(), parameters.len()), (Some(32), 32 * 4));
    let scores: Vec<Vec<f32>> = queries.iter().map(|(code, query)| cosines(&run, code, query)).collect();
    let clc_c = |picture: usize| -> f64 {
        let unit = |h: usize| -> f64 {
            let sum: f64 = (0..3).map(|l| parameters[h * 3 + l] * f64::from(scores[l][picture])).sum();
            parameters[96 + h] * sum.max(0.0)
        };
        (0..32).map(unit).sum()
    };
    let clc_a = |picture: usize| (0..3).map(|l| f64::from(scores[l][picture])).sum::<f64>() / 3.0;
    for (join, expected) in [("clc-c", &clc_c as &dyn Fn(usize) -> f64), ("clc-a", &clc_a)] {
        let found = search(join, [0, 1, 2]);
        assert_eq!(found.len(), 20);
        assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1), "the best first");
        for (row, score) in &found {
            let expected = expected(*row as usize);
            assert!((score - expected).abs() < 1e-4, "{join} of picture {row}: {score}, expected {expected}");
        }
        let again = search(join, [2, 0, 1]);
        assert!(found.iter().zip(&again).all(|(a, b)| (a.1 - b.1).abs() < 1e-6), "whatever their order");
    }
}

#[test]
fn a_join_that_cannot_be_made_is_refused() {
    let (_folder, run) = with_translations();
    let gallery = MADE.gallery();
    let search = |languages: &'static str, queries: &[&'static str], join: &'static str| -> Vec<String> {
        let all =
            ["search", text(&run), "--language", languages, "--gallery", text(&gallery), "--join", join];
        all.iter().chain(queries).map(ToString::to_string).collect()
    };
    let refused = |arguments: &[String], status: i32, said: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&arguments, status, said);
    };
    refused(&search("en", &["a"], "clc-a"), 2, &["`--join` joins several languages"]);
    refused(
        &search("en,de", &["a", "b"], "clc-c"),
        2,
        &["CLC-C joins en, de, zh, and `--language` gives en, de"],
    );
    let file = run.join("consistency.json");
    let whole = fs::read_to_string(&file).expect("train keeps it");
    let all = search("zh,en,de", &["a", "b", "c"], "clc-c");
    for (from, to, said) in [
        ("\"version\": 1", "\"version\": 9", "of version 9; this program reads version 1"),
        ("\"step\": ", "\"step\": 1", "was fitted for the checkpoint of step 1"),
        ("\"zh\"", "\"xx\"", "has `xx`, which the run does not know"),
        ("\"hidden\": 32", "\"hidden\": 33", "do not make a network of 33"),
        ("\"queries\"", "\"asked\"", "consistency.json`:"),
    ] {
        fs::write(&file, without_checksum(&whole.replacen(from, to, 1))).expect("written");
        refused(&all, 4, &[said, "tinyglot evaluate"]);
    }
    fs::remove_file(&file).expect("removed");
    refused(&all, 4, &["the run has no fitted CLC-C", "tinyglot evaluate"]);
}

#[test]
fn a_translation_file_that_does_not_fit_stops_the_evaluation() {
    let (folder, run) = with_translations();
    copy(&MADE.path("data"), &folder.path().join("data"));
    let root = format!("data.root={}", folder.path().join("data").display());
    let file = folder.path().join("data/captions/val.2.zh");
    let lines = fs::read_to_string(&file).expect("read");
    fs::write(&file, lines.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>())
        .expect("written");
    let before = fs::read_to_string(run.join("consistency.json")).expect("read");
    refused(&["evaluate", text(&run), "--set", &root], 4, &["val.2.zh`:20: 19 lines for the 20 pictures"]);
    fs::remove_file(&file).expect("removed");
    refused(&["evaluate", text(&run), "--set", &root], 4, &["val.2.zh`: cannot be read"]);
    assert_eq!(fs::read_to_string(run.join("consistency.json")).expect("read"), before);
}
