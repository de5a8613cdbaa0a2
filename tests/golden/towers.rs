//! Text towers beside transformers: token ids, every block's output, the final vectors. `towers/make.py` and `towers/encoders.py`
//! wrote the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tinyglot::config::Precision;
use tinyglot::device::Matrix;
use tinyglot::init::Init;
use tinyglot::ops::linear::{LinearWeights, linear, unit_rows};
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::{data, data1};
use tinyglot::ops::transformer::Pass;
use tinyglot::tower::{Architecture, Pooled, TokenizerFiles, Tower, TowerConfig, TowerTokenizer};
use tinyglot::words::HuggingFace;

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

/// Writes the folders that `towers/check.py` reads, where it is told to.
#[test]
fn written_folders_are_for_python_to_read() {
    let Some(place) = std::env::var_os("TINYGLOT_WRITTEN").map(PathBuf::from) else {
        eprintln!("skipped: TINYGLOT_WRITTEN names no folder to write to");
        return;
    };
    let texts = texts("sentences");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let write = |name: &str, tower: &Tower, tokenizer: &TokenizerFiles, dense: Option<&LinearWeights>| {
        let folder = place.join(name);
        tower.write_sentence_transformer(&folder, tokenizer, dense).expect("written");
        let read = TowerTokenizer::open(&folder.join("tokenizer.json"), &tower.config).expect("a tokenizer");
        let sentences = Arc::new(read.encode("en", &texts).ids);
        let x: Matrix = tower.forward(&sentences, PASS);
        let x = unit_rows(match dense {
            Some(layer) => linear(x, layer, Precision::F32),
            None => x,
        });
        let shape = vec![texts.len(), dense.map_or(tower.outputs(), |layer| data1(&layer.bias).len())];
        let x = data(&x);
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&x)).expect("a tensor");
        let bytes = safetensors::serialize([("vectors", view)], None).expect("a file");
        std::fs::write(place.join(format!("{name}.safetensors")), bytes).expect("written");
    };
    let folders = ["mbert", "xlmr", "roberta", "distilbert", "sentence"].map(|name| (name, folder(name)));
    let whole = std::env::var_os("TINYGLOT_ENCODER").map(|whole| ("whole", PathBuf::from(whole)));
    for (name, folder) in folders.into_iter().chain(whole) {
        let mut tower = Tower::open(&folder).expect("a checkpoint");
        let tokenizer = TokenizerFiles::read(&folder).expect("a tokenizer");
        let layer = Init::new(3).linear(tower.outputs(), 7);
        write(&format!("{name}-dense"), &tower, &tokenizer, Some(&layer));
        for (pooling, pooled) in [("cls", Pooled::First), ("mean", Pooled::Mean), ("last", Pooled::Last)] {
            tower.set_pooling(pooled);
            write(&format!("{name}-{pooling}"), &tower, &tokenizer, None);
        }
    }
    let words = HuggingFace::train(&texts, 300, ["[CLS]", "[SEP]"]).expect("a vocabulary");
    let config = TowerConfig {
        vocabulary: words.size(),
        context: 24,
        width: 16,
        hidden: 24,
        layers: 2,
        heads: 2,
        pooled: Pooled::Mean,
        ..TowerConfig::bert()
    };
    let tower = Tower::new(config, &mut Init::new(9));
    write("new-mean", &tower, &TokenizerFiles::of(&words).expect("files"), None);
}

/// A whole checkpoint beside what `towers/check.py` says of it, where there is one at hand.
#[test]
fn a_whole_encoder_has_the_ids_and_vectors_of_transformers() {
    let Some(folder) = std::env::var_os("TINYGLOT_ENCODER").map(PathBuf::from) else {
        eprintln!("skipped: TINYGLOT_ENCODER names no checkpoint");
        return;
    };
    let expected = Golden::of(&folder.join("expected.safetensors"));
    let mut tower = Tower::open(&folder).expect("a checkpoint");
    tower.set_pooling(Pooled::Mean);
    let tokenizer = TowerTokenizer::open(&folder.join("tokenizer.json"), &tower.config).expect("a tokenizer");
    let texts = texts("sentences");
    let ids = tokenizer.encode("en", &texts.iter().map(String::as_str).collect::<Vec<_>>()).ids;
    assert_eq!(ids.rows, expected.counts("ids"));
    near_within("the mean", &tower.encode(&Arc::new(ids), PASS), &expected.floats("mean"), 1e-4);
}
