//! Text towers beside transformers: token ids, every block's output, the final vectors. `towers/make.py` and `towers/encoders.py`
//! wrote the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tinyglot::config::Precision;
use tinyglot::device::Matrix;
use tinyglot::ops::linear::unit_rows;
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::data;
use tinyglot::ops::transformer::Pass;
use tinyglot::tower::{Architecture, Pooled, Tower, TowerTokenizer};

use crate::{Golden, file, near_within};

pub const PASS: Pass = Pass { precision: Precision::F32, recompute: false };

pub fn folder(name: &str) -> PathBuf {
    file("towers").join(name)
}

pub fn texts(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file("towers/sentences.json")).expect("a file that make.py wrote");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json[key].as_array().expect("a list").iter().map(|t| t.as_str().expect("a text").to_string()).collect()
}

fn encoded(name: &str, tower: &Tower, texts: &[String]) -> Arc<Sequences> {
    let tokenizer = TowerTokenizer::open(&folder(name).join("tokenizer.json"), &tower.config).expect("read");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoded = tokenizer.encode("en", &texts);
    assert!(encoded.truncated.contains(&(texts.len() - 1)), "the last text is longer than the context");
    Arc::new(encoded.ids)
}

/// The two files that a CLIP was published with, out of its `tokenizer.json`.
fn taken_apart(name: &str, to: &Path) {
    let whole = std::fs::read_to_string(folder(name).join("tokenizer.json")).expect("a tokenizer");
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    let merge = |pair: &Value| {
        format!("{} {}\n", pair[0].as_str().expect("a token"), pair[1].as_str().expect("a token"))
    };
    let merges: String = whole["model"]["merges"].as_array().expect("merges").iter().map(merge).collect();
    std::fs::write(to.join("merges.txt"), format!("#version: 0.2\n{merges}")).expect("written");
    std::fs::write(to.join("vocab.json"), whole["model"]["vocab"].to_string()).expect("written");
}

#[test]
fn ids_by_the_two_files_of_a_clip_are_those_of_transformers() {
    let place = tempfile::tempdir().expect("a folder");
    taken_apart("clip", place.path());
    let tower = Tower::open(&folder("clip")).expect("a checkpoint");
    let tokenizer = TowerTokenizer::open(&place.path().join("tokenizer.json"), &tower.config).expect("read");
    let tokenizer = tokenizer.with_context(200);
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(file("towers/odd.json")).expect("read")).expect("JSON");
    for (text, ids) in
        golden["texts"].as_array().expect("texts").iter().zip(golden["ids"].as_array().expect("ids"))
    {
        let text = text.as_str().expect("a text");
        let encoded = tokenizer.encode("en", &[text]);
        assert_eq!(serde_json::json!(encoded.ids.rows), *ids, "{}", text.escape_unicode());
    }
    let golden = Golden::read("towers/expected");
    let texts = texts("sentences");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoded = tokenizer.with_context(tower.config.context).encode("en", &texts);
    assert_eq!(encoded.ids.rows, golden.counts("clip.ids"));
}

/// Compares token ids and the states between blocks with those of a golden file; the last states.
fn states(golden: &Golden, name: &str, tower: &Tower, sentences: &Arc<Sequences>) -> Matrix {
    let lengths: Vec<u32> = (0..sentences.len()).map(|s| sentences.length(s) as u32).collect();
    assert_eq!(lengths, golden.counts(&format!("{name}.lengths")), "{name}");
    assert_eq!(sentences.rows, golden.counts(&format!("{name}.ids")), "{name}");
    let compare = |state: usize, x: &Matrix| {
        let want = golden.floats(&format!("{name}.state.{state}"));
        near_within(&format!("{name}, state {state}"), &data(x), &want, 1e-4);
    };
    let x: Matrix = tower.embed(sentences);
    compare(0, &x);
    let mut blocks = 0;
    let x = tower.blocks(x, sentences, PASS, |n, x: Matrix| {
        compare(n + 1, &x);
        blocks += 1;
        x
    });
    assert_eq!(blocks, tower.config.layers);
    x
}

#[test]
fn ids_states_and_vectors_are_those_of_transformers() {
    let golden = Golden::read("towers/expected");
    for name in ["clip", "openclip", "bare", "mbert"] {
        let tower = Tower::open(&folder(name)).expect("a checkpoint");
        let sentences = encoded(name, &tower, &texts("sentences"));
        let x = states(&golden, name, &tower, &sentences);
        let vectors = tower.pool(x, &sentences, PASS);
        near_within(name, &data(&vectors), &golden.floats(&format!("{name}.vectors")), 1e-4);
        assert_eq!(tower.encode(&sentences, PASS)[..], data(&vectors)[..]);
    }
}

#[test]
fn encoders_and_their_poolings_are_those_of_transformers() {
    let golden = Golden::read("towers/encoders");
    for (name, architecture, first, types) in [
        ("xlmr", Architecture::XlmRoberta, 2, 1),
        ("roberta", Architecture::Roberta, 2, 1),
        ("distilbert", Architecture::DistilBert, 0, 0),
        ("sentence", Architecture::Bert, 0, 2),
    ] {
        let mut tower = Tower::open(&folder(name)).expect("a checkpoint");
        let config = &tower.config;
        assert_eq!((config.architecture, config.first_position, config.types), (architecture, first, types));
        assert_eq!((config.context, config.positions()), (24, 24 + first), "{name}");
        let sentences = encoded(name, &tower, &texts("sentences"));
        let x = states(&golden, name, &tower, &sentences);
        if name == "sentence" {
            // Mean, a dense layer with tanh, unit length.
            assert_eq!((config.pooled, config.projection), (Pooled::Mean, Some(12)));
            let vectors: Matrix = unit_rows(tower.pool(x, &sentences, PASS));
            near_within(name, &data(&vectors), &golden.floats("sentence.vectors"), 1e-4);
            continue;
        }
        assert_eq!(config.pooled, Pooled::First, "{name}");
        for (pooling, pooled) in [("cls", Pooled::First), ("mean", Pooled::Mean), ("lasttoken", Pooled::Last)]
        {
            tower.set_pooling(pooled);
            let vectors = tower.encode(&sentences, PASS);
            near_within(name, &vectors, &golden.floats(&format!("{name}.{pooling}")), 1e-4);
            assert_eq!(vectors[..], data(&tower.pool(x.clone(), &sentences, PASS))[..]);
        }
    }
}
