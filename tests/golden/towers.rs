//! Text towers beside transformers: token ids, every block's output, the final vectors. `towers/make.py` wrote the files.

use std::path::PathBuf;
use std::sync::Arc;

use dfdx::prelude::*;
use serde_json::Value;
use tinyglot::config::Precision;
use tinyglot::device::{Dev, Matrix};
use tinyglot::mla::{Acquirer, Adapter, Encoder, Entrance, Mla};
use tinyglot::ops::linear::LinearWeights;
use tinyglot::ops::rows::Table;
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::{data, matrix, on_host, vector};
use tinyglot::ops::transformer::Pass;
use tinyglot::optim::Parameter;
use tinyglot::tower::{Tower, TowerTokenizer, token_embedding};

use crate::{Golden, file, near, near_within, pulled};

const PASS: Pass = Pass { precision: Precision::F32, recompute: false };

pub fn folder(name: &str) -> PathBuf {
    file("towers").join(name)
}

fn texts(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file("towers/sentences.json")).expect("a file that make.py wrote");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json[key].as_array().expect("a list").iter().map(|t| t.as_str().expect("a text").to_string()).collect()
}

fn encoded(name: &str, tower: &Tower, texts: &[String]) -> Arc<Sequences> {
    let tokenizer = TowerTokenizer::open(&folder(name).join("tokenizer.json"), &tower.config).expect("read");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoded = tokenizer.encode(&texts);
    assert!(encoded.truncated.contains(&(texts.len() - 1)), "the last text is longer than the context");
    Arc::new(encoded.ids)
}

#[test]
fn ids_states_and_vectors_are_those_of_transformers() {
    let golden = Golden::read("towers/expected");
    for name in ["clip", "openclip", "bare", "mbert"] {
        let tower = Tower::open(&folder(name)).expect("a checkpoint");
        let sentences = encoded(name, &tower, &texts("sentences"));
        let lengths: Vec<u32> = (0..sentences.len()).map(|s| sentences.length(s) as u32).collect();
        assert_eq!(lengths, golden.counts(&format!("{name}.lengths")), "{name}");
        assert_eq!(sentences.rows, golden.counts(&format!("{name}.ids")), "{name}");
        let compare = |state: usize, x: &Matrix| {
            let want = golden.floats(&format!("{name}.state.{state}"));
            near_within(&format!("{name}, state {state}"), &data(x), &want, 1e-4);
        };
        let x = tower.embed(&sentences);
        compare(0, &x);
        let mut blocks = 0;
        let x = tower.blocks(x, &sentences, PASS, |n, x: Matrix| {
            compare(n + 1, &x);
            blocks += 1;
            x
        });
        assert_eq!(blocks, tower.config.layers);
        let vectors = tower.pool(x, &tower.pooled_rows(&sentences), PASS);
        near_within(name, &data(&vectors), &golden.floats(&format!("{name}.vectors")), 1e-4);
        assert_eq!(tower.encode(&sentences, PASS)[..], data(&vectors)[..]);
    }
}

/// A language's way through the tower, and the gradients of all that is trained, beside PyTorch's.
#[test]
fn acquisition_has_the_vectors_and_gradients_of_pytorch() {
    let golden = Golden::read("towers/expected");
    for kind in ["mlp", "linear"] {
        let weight = |name: &str| golden.floats(&format!("mla.{kind}.weight.{name}"));
        let layer = |name: &str, outputs: usize, inputs: usize| LinearWeights {
            weight: matrix(weight(&format!("{name}.weight")), outputs, inputs),
            bias: vector(weight(&format!("{name}.bias"))),
        };
        let tower = Tower::open(&folder("clip")).expect("a tower");
        let tokenizer = TowerTokenizer::open(&folder("clip/tokenizer.json"), &tower.config).expect("read");
        let (config, table) = token_embedding(&folder("mbert")).expect("an embedding");
        assert_eq!(table, weight("embedding.weight"));
        let entrance = Entrance {
            tokenizer: TowerTokenizer::open(&folder("mbert/tokenizer.json"), &config).expect("read"),
            table: Table::new(config.width, table),
            train_table: true,
            low_rank: None,
            layer: layer("linear", 16, 16),
        };
        let adapter = |n: usize| match kind {
            "mlp" => Adapter::mlp(
                layer(&format!("acquirers.{n}.0"), 8, 16),
                layer(&format!("acquirers.{n}.2"), 16, 8),
            ),
            _ => Adapter::Linear(layer(&format!("acquirers.{n}"), 16, 16)),
        };
        let acquirer = Acquirer { language: "xx".into(), adapters: (0..3).map(adapter).collect() };
        let mut mla = Mla {
            tower,
            tokenizer,
            own: "en".into(),
            encoder: Encoder::Tower(Box::new(entrance)),
            frozen: false,
            acquirers: vec![acquirer],
            scale: None,
        };
        let (all, english) = (texts("sentences"), texts("english"));
        let ids = |language: usize, texts: &[String]| {
            mla.tokens(language, &texts.iter().map(String::as_str).collect::<Vec<_>>()).ids
        };
        let teacher = mla.encode(0, &ids(0, &english), PASS);
        near_within("teacher", &teacher, &golden.floats("mla.teacher"), 1e-4);
        let sentences = Arc::new(ids(1, &all[3..6]));
        let y = mla.forward::<OwnedTape<f32, Dev>>(&mla.acquirers[0], &sentences, None, PASS);
        near_within(kind, &data(&y), &golden.floats(&format!("mla.{kind}.vectors")), 1e-4);
        let pull = data(&y).iter().zip(&teacher).map(|(y, t)| 2.0 * (y - t) / 36.0).collect();
        let mut grads = pulled(y, pull).backward();
        let mut seen = 0;
        let name = |ours: &str| {
            let name = ours.replace("entrance.table", "embedding.weight").replace("entrance.layer", "linear");
            let name = name.replace("acquirer.xx", "acquirers");
            name.replace(".inner", ".0").replace(".outer", ".2")
        };
        mla.visit(&mut |ours, parameter| {
            let want = golden.floats(&format!("mla.{kind}.grad.{}", name(ours)));
            let got = match parameter {
                Parameter::Matrix(m) => on_host(grads.get_or_alloc_mut(m).expect("memory")).to_vec(),
                Parameter::Vector(v) => on_host(grads.get_or_alloc_mut(v).expect("memory")).to_vec(),
                Parameter::Table(t) => {
                    let mut whole = vec![0.0; t.data().len()];
                    let [(rows, values)] = &t.take_grads()[..] else { panic!("one entry") };
                    for (r, g) in rows.iter().zip(values.chunks(t.width)) {
                        whole[*r as usize * t.width..][..t.width].copy_from_slice(g);
                    }
                    whole
                }
            };
            near(&format!("{kind}, gradient of {ours}"), &got, &want, 1e-4);
            seen += 1;
        });
        assert_eq!(seen, golden.names(&format!("mla.{kind}.grad.")).count(), "every gradient is compared");
    }
}
