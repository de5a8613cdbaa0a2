//! Queries in several languages at once: captions with their translations.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tinyglot::corpus::{Corpus, SplitName};
use tinyglot::eval::Scope;
use tinyglot::family::smalr::SmalrRun;
use tinyglot::retrieve::Retriever;

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
}

#[test]
fn queries_before_and_after_clc_c_are_shown() {
    let (_folder, run) = with_translations();
    let file = run.join("consistency.json");
    // A network of ReLU(x) and ReLU(-x) for the sum x of the scores by the weights: x itself, to show the pictures by it.
    let scored_by = |weights: [f64; 3]| {
        let mut kept = json(&file);
        let mut parameters = [0.0; 32 * 4];
        for (unit, sign) in [(0, 1.0), (1, -1.0)] {
            (0..3).for_each(|l| parameters[3 * unit + l] = sign * weights[l]);
            parameters[96 + unit] = sign;
        }
        kept["fitted"]["network"]["parameters"] = serde_json::json!(parameters.to_vec());
        let kept = serde_json::to_string_pretty(&kept).expect("JSON");
        fs::write(&file, without_checksum(&kept)).expect("written");
        fs::read_to_string(printed(&["report", text(&run)]).trim()).expect("a page")
    };
    let heading = "Queries before and after CLC-C";
    // Whichever query finds its picture alone has it spoiled by a network that wants the least alike.
    let e: Value = serde_json::from_str(&printed(&["evaluate", text(&run), "--json"])).expect("JSON");
    for code in ["en", "de", "zh"] {
        let alone = &e["by_language"]["languages"][code]["alone"]["t2i"]["R@1"];
        assert!(alone.as_f64().is_some_and(|r1| r1 > 0.0), "{code} finds some: {alone}");
    }
    let page = scored_by([-1.0; 3]);
    assert!(page.contains(heading) && page.matches("<b>CLC-C</b>").count() >= 3, "one of each language");
    // English alone is English alone, and a network without weights finds nothing.
    let (english, none) = (scored_by([1.0, 0.0, 0.0]), scored_by([0.0; 3]));
    let section = english.split_once(heading).map(|(_, section)| section).expect("German, by English");
    let section = section.split("<h2").next().expect("a part");
    assert!(section.contains("lang=\"de\"") || section.contains("lang=\"zh\""), "{section}");
    assert!(!section.contains("<span class=\"code\">en</span><bdi dir=\"auto\" lang=\"en\">"));
    assert!(!none.contains(heading));
}

#[test]
fn what_was_fitted_stays_with_its_checkpoint_and_its_data() {
    let (folder, run) = with_translations();
    let file = run.join("consistency.json");
    printed(&["evaluate", text(&run), "-q"]);
    let kept = fs::read(&file).expect("kept");
    // Other data have a fit of their own.
    copy(&MADE.path("data"), &folder.path().join("other"));
    let swapped = |n: usize| folder.path().join(format!("other/captions/val.{n}.de"));
    let lines = fs::read_to_string(swapped(1)).expect("read");
    let turned: String = lines.lines().rev().map(|line| format!("{line}\n")).collect();
    [1, 2].into_iter().for_each(|n| fs::write(swapped(n), &turned).expect("written"));
    let captions = "captions = [{ languages = ['en', 'de', 'zh'], files = ['captions/{split}.1.{language}', \
                    'captions/{split}.2.{language}'] }]\n";
    let set = format!("[data]\nroot = 'other'\nlanguages = ['en', 'de', 'zh']\n{captions}{TRANSLATIONS}\n");
    let other = folder.path().join("other.toml");
    fs::write(&other, set).expect("written");
    let evaluate = ["evaluate", text(&run), "--json", "--data", text(&other)];
    let e: Value = serde_json::from_str(&printed(&evaluate)).expect("JSON");
    assert_eq!(e["by_language"]["fitted"], 120, "it was fitted");
    assert_eq!(fs::read(&file).expect("kept"), kept);

    // A training goes on while its best checkpoint is evaluated.
    let opened = SmalrRun::open(&run, &[]).expect("a run");
    let corpus = Corpus::of(&opened.config).expect("a corpus");
    let state = run.join("checkpoints/best/state.json");
    let (step, before) = (opened.state.step, fs::read_to_string(&state).expect("read"));
    let later = before.replacen(&format!("\"step\": {step},"), &format!("\"step\": {},", step + 1), 1);
    assert_ne!(later, before);
    let scope = Scope { keep: true, ..Scope::whole(SplitName::Test) };
    fs::remove_file(&file).expect("removed");
    fs::write(&state, without_checksum(&later)).expect("written");
    assert!(opened.evaluate(&corpus, scope).expect("an evaluation").by_language.is_some());
    assert!(!file.exists(), "the newest checkpoint is not that one");
    fs::write(&state, &before).expect("written");
    opened.evaluate(&corpus, scope).expect("an evaluation");
    assert_eq!(fs::read(&file).expect("kept"), kept);
    // What was read before goes with it still.
    fs::write(&state, without_checksum(&later)).expect("written");
    let fitted = opened.folder.fitted(step).expect("read").expect("kept");
    assert_eq!(fitted.languages, ["en", "de", "zh"]);
    let refusal = opened.folder.fitted(step + 1).expect_err("another checkpoint").to_string();
    assert!(
        refusal.contains(&format!("of step {step}; the one that was read is of {}", step + 1)),
        "{refusal}"
    );
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
