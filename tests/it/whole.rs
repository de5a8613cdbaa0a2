//! From captions to a search: train, evaluate, embed, search, report.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::corpus::{MADE, copy, data, refused};
use crate::{Ran, ended, printed, run, text, tinyglot};

/// Runs the command with something on standard input; gives its output as bytes too.
pub fn fed(arguments: &[&str], input: &[u8]) -> (Vec<u8>, Ran) {
    let mut child = tinyglot();
    child.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("the command starts");
    child.stdin.take().expect("its input").write_all(input).expect("a reader");
    let mut output = child.wait_with_output().expect("an end");
    let bytes = std::mem::take(&mut output.stdout);
    (bytes, ended(output))
}

/// The rows of an f32 .npy.
pub fn rows(bytes: &[u8], width: usize) -> Vec<Vec<f32>> {
    let start = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let numbers = bytes[start..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")));
    numbers.collect::<Vec<_>>().chunks(width).map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn a_dry_run_of_a_training_says_what_it_will_need_and_writes_nothing() {
    let folder = data();
    let config = folder.path().join("config.toml");
    let before = everything(folder.path());
    let said = printed(&["train", text(&config), "--dry-run", "--threads", "1", "-q"]);
    let told: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_at_checked(12)).collect();
    let told =
        |name: &str| *told.iter().find(|(of, _)| of.trim() == name).unwrap_or_else(|| panic!("{said}")).1;
    assert_eq!(told("family"), "smalr");
    assert!(
        told("data").starts_with("60 pictures, ") && told("data").ends_with(" captions in 3 languages"),
        "{said}"
    );
    let info: Value =
        serde_json::from_str(&fs::read_to_string(MADE.run().join("run.json")).expect("read")).expect("JSON");
    let state = fs::read_to_string(MADE.run().join("checkpoints/latest/state.json")).expect("read");
    let state: Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!(told("updates"), format!("{} in 3 epochs", state["step"]));
    let trained: f64 = told("parameters").split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    let exact = info["parameters_train"].as_f64().expect("a number") / 1e6;
    assert!(trained >= exact - 0.005 && trained < 1.2 * exact + 0.005, "{trained} {exact}");
    assert!(told("memory").contains("GB") && told("time").ends_with("with 1 threads"), "{said}");
    assert_eq!(everything(folder.path()), before);
}

/// All files of a folder.
fn everything(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(everything(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

#[test]
fn a_run_holds_all_that_was_promised() {
    let run = MADE.run();
    for file in [
        "config.toml",
        "run.json",
        "run.log",
        "metrics.jsonl",
        "report.html",
        "evaluation/val.json",
        "checkpoints/latest/optimizer.safetensors",
        "checkpoints/best/model.safetensors",
        "checkpoints/best/state.json",
        "words/lexicon.json",
        "words/zh.words",
        "words/de.bin",
    ] {
        assert!(run.join(file).is_file(), "{file} is not there");
    }
    let info: Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).expect("read")).expect("JSON");
    assert_eq!(info["data"].as_str().map(str::len), Some(64), "a SHA-256 of the data");
    let parts: u64 = info["parameters"].as_array().expect("parts").iter().filter_map(|p| p[1].as_u64()).sum();
    assert_eq!(Some(parts), info["parameters_train"].as_u64());
    let log = fs::read_to_string(run.join("run.log")).expect("read");
    assert!(log.contains("60 training pictures") && log.contains("epoch 3: val mR"), "{log}");
}

#[test]
fn evaluate_prints_the_promised_json_and_keeps_it() {
    let json = printed(&["evaluate", text(&MADE.run()), "--json"]);
    let e: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&e["split"], &e["images"]), (&"test".into(), &20.into()));
    assert_eq!(e["languages"].as_object().expect("languages").keys().collect::<Vec<_>>(), ["en", "de", "zh"]);
    let mut sum = 0.0;
    for code in ["en", "de", "zh"] {
        let l = &e["languages"][code];
        assert_eq!(l["captions"], 40);
        let recalls = ["t2i", "i2t"].map(|way| ["R@1", "R@5", "R@10"].map(|k| l[way][k].as_f64().expect(k)));
        assert!(recalls.iter().all(|r| r[0] <= r[1] && r[1] <= r[2] && r[2] <= 100.0), "{recalls:?}");
        assert!(l["t2i"]["median_rank"].as_f64().expect("a rank") >= 1.0);
        let mean = recalls.concat().iter().sum::<f64>() / 6.0;
        assert!((l["mR"].as_f64().expect("mR") - mean).abs() < 1e-9);
        sum += mean;
    }
    assert!((e["A"].as_f64().expect("A") - sum / 3.0).abs() < 1e-9);
    assert!(e["parameters"]["train"].as_u64() > e["parameters"]["test"].as_u64());
    let joined = &e["consistency"];
    assert_eq!(joined["queries"], 20);
    assert!(
        joined["CLC-A"]["mR"].is_f64() && joined["CLC-C"]["mR"].is_f64() && joined["Weighted"]["mR"].is_f64()
    );
    // Each task's result by its name; together they are what was printed.
    let kept = |file: &str| -> Value {
        let text = fs::read_to_string(MADE.path("run/evaluation").join(file)).expect("kept");
        serde_json::from_str(&text).expect("JSON")
    };
    let (mut recall, consistency) = (kept("test.json"), kept("consistency/test.json"));
    assert_eq!((&consistency["task"], &consistency["data"]), (&"consistency".into(), &e["data"]));
    for (key, value) in consistency["details"].as_object().expect("an object") {
        recall[key] = value.clone();
    }
    assert_eq!(recall, e);
}

#[test]
fn evaluate_prints_a_table_on_any_split_and_in_folds() {
    let table = printed(&["evaluate", text(&MADE.run()), "--split", "train", "--folds", "6"]);
    assert!(table.contains("mean over 6 galleries of 10"), "{table}");
    assert!(!table.contains("CLC"), "{table}");
    assert!(printed(&["evaluate", text(&MADE.run())]).contains("CLC-C"));
}

#[test]
fn embedded_sentences_and_pictures_give_the_scores_of_search() {
    let run = MADE.run();
    let sentences = "a red circle\nthree blue boats at night\n";
    let (npy, ran) = fed(&["embed", text(&run), "--language", "en"], sentences.as_bytes());
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    let (sentences_of, pictures) = (rows(&npy, 16), {
        let (npy, ran) = fed(&["embed", text(&run), "--images", text(&MADE.gallery())], b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        rows(&npy, 16)
    });
    assert_eq!((sentences_of.len(), pictures.len()), (2, 20));
    assert!(sentences_of.iter().chain(&pictures).all(|v| (cosine(v, v) - 1.0).abs() < 1e-4), "unit length");

    let (gallery, ids) = (MADE.gallery(), MADE.path("data/image_splits/test.txt"));
    let arguments = [
        "search",
        text(&run),
        "--language",
        "en",
        "--gallery",
        text(&gallery),
        "--ids",
        text(&ids),
        "--json",
        "-k",
        "4",
    ];
    let (json, ran) = fed(&arguments, sentences.as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let lines: Vec<Value> = String::from_utf8(json)
        .expect("text")
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    let names = fs::read_to_string(&ids).expect("ids");
    let names: Vec<&str> = names.lines().collect();
    for (line, vector) in lines.iter().zip(&sentences_of) {
        let mut scores: Vec<f32> = pictures.iter().map(|p| cosine(vector, p)).collect();
        let hits = line["hits"].as_array().expect("hits");
        assert_eq!(hits.len(), 4);
        for hit in hits {
            let row = hit["row"].as_u64().expect("a row") as usize;
            assert_eq!(hit["id"], names[row]);
            assert!((hit["score"].as_f64().expect("a score") as f32 - scores[row]).abs() < 1e-4);
        }
        scores.sort_by(|a, b| b.total_cmp(a));
        for (hit, best) in hits.iter().zip(scores) {
            assert!(
                (hit["score"].as_f64().expect("a score") as f32 - best).abs() < 1e-4,
                "the best come first"
            );
        }
    }
}

#[test]
fn search_takes_queries_as_arguments_and_prints_a_table() {
    let (made, gallery) = (MADE.run(), MADE.gallery());
    let arguments = ["search", text(&made), "--language", "de", "--gallery", text(&gallery), "-k", "2"];
    let found = printed(&[&arguments[..], &["ein roter Kreis", "zwei Häuser"]].concat());
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[3]), (6, "ein roter Kreis", "zwei Häuser"));
    assert!(lines[1].trim_start().starts_with("1 ") && lines[2].trim_start().starts_with("2 "), "{found}");
}

#[test]
fn a_query_in_several_languages_is_one_query() {
    let (made, gallery) = (MADE.run(), MADE.gallery());
    let ends = ["--gallery", text(&gallery), "-k", "3", "--json"];
    let search = |languages: &str, queries: &[&str]| -> Vec<Value> {
        let ran = run(&[&["search", text(&made), "--language", languages], &ends[..], queries].concat());
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let both = search("en,de", &["a red circle", "ein roter Kreis", "two houses", "zwei Häuser"]);
    assert_eq!(both.len(), 2);
    assert_eq!(both[1]["query"], serde_json::json!(["two houses", "zwei Häuser"]));
    assert_eq!(both[1]["language"], serde_json::json!(["en", "de"]));
    // The same sentence twice is that sentence.
    let (twice, once) = (search("en,en", &["a red circle", "a red circle"]), search("en", &["a red circle"]));
    for (a, b) in twice[0]["hits"].as_array().unwrap().iter().zip(once[0]["hits"].as_array().unwrap()) {
        assert_eq!(a["id"], b["id"]);
        assert!((a["score"].as_f64().unwrap() - b["score"].as_f64().unwrap()).abs() < 1e-5);
    }
    let (first, second) = ("a red circle", "ein roter Kreis");
    let odd = [&["search", text(&made), "--language", "en,de"], &ends[..], &[first, second, first]].concat();
    crate::corpus::refused(&odd, 2, &["3 queries are not the same ones in 2 languages"]);
}

#[test]
fn a_query_of_unknown_words_is_warned_of() {
    let (made, gallery) = (MADE.run(), MADE.gallery());
    let arguments = ["search", text(&made), "--language", "de", "--gallery", text(&gallery), "-k", "1"];
    let ran = run(&[&arguments[..], &["!?"]].concat());
    assert_eq!(ran.status, Some(0));
    assert!(ran.stderr.starts_with("warning: the model knows no word of `!?` in `de`"), "{}", ran.stderr);
}

#[test]
fn report_is_one_page_with_pictures_curves_and_tables() {
    let page = MADE.path("run/report.html");
    assert_eq!(printed(&["report", text(&MADE.run())]), format!("{}\n", page.display()));
    let html = fs::read_to_string(page).expect("a page");
    for part in [
        "Retrieval on the val split",
        "Example queries",
        "data:image/png;base64,",
        "<svg",
        "embedding.latent",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(!html.contains("<script") && !html.contains("src=\"http"), "it stands alone");
}

#[test]
fn a_moved_run_without_its_data_embeds_and_searches() {
    let place = data();
    let (config, run, moved) =
        (place.path().join("config.toml"), place.path().join("run"), place.path().join("elsewhere/moved"));
    let gallery = place.path().join("gallery.npy");
    fs::copy(place.path().join("data/features/test.npy"), &gallery).expect("copied");
    printed(&["train", text(&config), "--out", text(&run), "-q", "--set", "train.epochs=1"]);
    let search =
        |run: &Path| printed(&["search", text(run), "--language", "zh", "--gallery", text(&gallery), "红色"]);
    let before = search(&run);
    copy(&run, &moved);
    for gone in ["run", "data"] {
        fs::remove_dir_all(place.path().join(gone)).expect("removed");
    }
    assert_eq!(search(&moved), before);
    assert_eq!(fed(&["embed", text(&moved), "--language", "en"], b"a house\n").1.status, Some(0));
    let ran = crate::run(&["report", text(&moved)]);
    assert_eq!(ran.status, Some(0));
    assert!(ran.stderr.contains("no example queries"), "{}", ran.stderr);
    refused(&["evaluate", text(&moved)], 4, &["--set data.root=DIR"]);
    let there = MADE.path("data");
    let set = format!("data.root={}", text(&there));
    assert!(printed(&["evaluate", text(&moved), "--set", &set, "--json"]).contains("\"A\""));
}

#[test]
fn data_check_counts_and_gives_json() {
    let config = MADE.path("config.toml");
    assert!(printed(&["data", "check", text(&config)]).contains("60 train, 20 val, 20 test pictures"));
    let json: Value =
        serde_json::from_str(&printed(&["data", "check", text(&config), "--json"])).expect("JSON");
    assert_eq!(json["pictures"]["train"], 60);
    assert_eq!(json["languages"][2]["language"], "zh");
}

#[test]
fn translated_queries_are_read_as_english_and_count_as_their_language() {
    let place = data();
    let (config, run) = (place.path().join("config.toml"), place.path().join("run"));
    let source = "\n[[data.captions]]\nlanguages = ['de']\nread_as = 'en'\n\
                  files = ['captions/{split}.1.en', 'captions/{split}.2.en']\n";
    let own = fs::read_to_string(&config).expect("read");
    fs::write(&config, own + source).expect("written");
    let one = ["--set", "data.languages=['en']", "--set", "train.epochs=1"];
    printed(&[&["train", text(&config), "--out", text(&run), "-q"][..], &one].concat());
    let json: Value = serde_json::from_str(&printed(&["evaluate", text(&run), "--json"])).expect("JSON");
    // The very texts of English give its very recalls.
    assert_eq!(json["languages"].as_object().expect("languages").len(), 2);
    assert_eq!(json["languages"]["de"], json["languages"]["en"]);
    assert_eq!(json["languages"]["de"]["captions"], 40);
}

#[test]
fn words_of_characters_are_trained_searched_and_embedded() {
    let place = data();
    let (config, run) = (place.path().join("config.toml"), place.path().join("run"));
    let liwe =
        ["--set", "embedding.kind=characters", "--set", "text.bidirectional=true", "--set", "train.epochs=1"];
    printed(&[&["train", text(&config), "--out", text(&run), "-q"][..], &liwe].concat());
    let gallery = place.path().join("data/features/test.npy");
    let found = printed(&["search", text(&run), "--language", "de", "--gallery", text(&gallery), "Xyloföhn"]);
    assert!(!found.is_empty());
    let (bytes, ran) = fed(&["embed", text(&run), "--language", "zh"], "房子\n猫\n".as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let rows = rows(&bytes, 16);
    assert!(rows.len() == 2 && (cosine(&rows[0], &rows[0]) - 1.0).abs() < 1e-5, "{rows:?}");
}
