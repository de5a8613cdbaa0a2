//! Languages acquired on a tower (MLA) and in M-BERT (CMA) beside PyTorch. `towers/acquire.py` wrote the numbers.

use std::sync::Arc;

use dfdx::prelude::*;
use tinyglot::config::Objective;
use tinyglot::mla::data::{Draw, Pairs, StageData};
use tinyglot::mla::objective::{Aim, gradients};
use tinyglot::mla::{Acquirer, Adapter, Bert, Encoder, Entrance, Mla};
use tinyglot::ops::linear::LinearWeights;
use tinyglot::ops::rows::Table;
use tinyglot::ops::tape::{matrix, on_host, vector};
use tinyglot::optim::Parameter;
use tinyglot::tower::{Tower, TowerTokenizer, token_embedding};

use crate::towers::{PASS, folder, texts};
use crate::{Golden, near, near_within};

/// The numbers of a model, by the names that PyTorch has for them.
struct Of<'a> {
    golden: &'a Golden,
    /// The way, and the acquirers' shape.
    name: String,
}

impl Of<'_> {
    fn floats(&self, what: &str) -> Vec<f32> {
        self.golden.floats(&format!("{}.{what}", self.name))
    }

    fn layer(&self, name: &str, outputs: usize, inputs: usize) -> LinearWeights {
        let weight = self.floats(&format!("weight.{name}.weight"));
        let bias = vector(self.floats(&format!("weight.{name}.bias")));
        LinearWeights { weight: matrix(weight, outputs, inputs), bias }
    }

    fn model(&self, cross_modal: bool, linear: bool) -> Mla {
        let opened = |name: &str| {
            let tower = Tower::open(&folder(name)).expect("a checkpoint");
            let file = folder(name).join("tokenizer.json");
            let tokenizer = TowerTokenizer::open(&file, &tower.config).expect("its tokenizer");
            (tower, tokenizer)
        };
        let ((tower, tokenizer), (bert, words)) = (opened("clip"), opened("mbert"));
        let encoder = if cross_modal {
            let layer = self.layer("linear", 12, 16);
            Encoder::Bert(Box::new(Bert { tower: bert, tokenizer: words, layer }))
        } else {
            let (config, table) = token_embedding(&folder("mbert")).expect("an embedding");
            assert_eq!(table, self.floats("weight.embedding.weight"));
            Encoder::Tower(Box::new(Entrance {
                tokenizer: words,
                table: Table::new(config.width, table),
                train_table: true,
                low_rank: None,
                layer: self.layer("linear", 16, 16),
            }))
        };
        let adapter = |n: usize| match linear {
            true => Adapter::Linear(self.layer(&format!("acquirers.{n}"), 16, 16)),
            false => Adapter::mlp(
                self.layer(&format!("acquirers.{n}.0"), 8, 16),
                self.layer(&format!("acquirers.{n}.2"), 16, 8),
            ),
        };
        let acquirers = vec![Acquirer { language: "xx".into(), adapters: (0..3).map(adapter).collect() }];
        let scale = Some(vector(self.floats("weight.scale")));
        Mla { tower, tokenizer, own: "en".into(), encoder, frozen: false, acquirers, scale }
    }
}

/// What PyTorch calls a parameter.
fn theirs(ours: &str) -> String {
    let name = ours.replace("entrance.table", "embedding.weight").replace("entrance.layer", "linear");
    let name = name.replace("bert.layer", "linear").replace("acquirer.xx", "acquirers");
    name.replace(".inner", ".0").replace(".outer", ".2")
}

/// Vectors, and for both stages the loss and the gradients of all that is trained.
fn follow(way: &str, shape: &str) {
    let golden = Golden::read("towers/acquired");
    let of = Of { golden: &golden, name: format!("{way}.{shape}") };
    let mut mla = of.model(way == "cma", shape == "linear");
    let ids = |mla: &Mla, language: usize, texts: &[String]| {
        mla.tokens(language, &texts.iter().map(String::as_str).collect::<Vec<_>>()).ids
    };
    let teacher = mla.encode(0, &ids(&mla, 0, &texts("english")), PASS);
    near_within("teacher", &teacher, &golden.floats("teacher"), 1e-4);
    let sentences = ids(&mla, 1, &texts("sentences")[3..6]);
    let y: Tensor<_, f32, _> =
        mla.forward::<NoneTape>(&mla.acquirers[0], &Arc::new(sentences.clone()), None, PASS);
    near_within(&of.name, &y.as_vec(), &of.floats("vectors"), 1e-4);
    for (stage, objective, vectors) in
        [("nlt", Objective::Mse, teacher), ("le", Objective::Nce, golden.floats("pictures"))]
    {
        let languages = vec![Pairs::new(sentences.clone(), vec![0, 1, 2])];
        let data = StageData { languages, vectors, truncated: 0 };
        let draw = Draw { language: 0, sentences: vec![0, 1, 2] };
        let unit = stage == "le";
        let aim = Aim { objective, unit, temperature: 1.0, micro_batch: 0, dropout: 0.0, pass: PASS };
        let (loss, mut grads) = gradients(&mut mla, &data, &draw, aim, 0);
        near(&format!("{}, {stage}", of.name), &[loss.array()], &of.floats(&format!("{stage}.loss")), 1e-5);
        let mut seen = 0;
        mla.visit(&mut |ours, parameter| {
            if ours == "scale" && stage == "nlt" {
                return;
            }
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
            let want = of.floats(&format!("{stage}.grad.{}", theirs(ours)));
            near(&format!("{}, {stage}, gradient of {ours}", of.name), &got, &want, 1e-4);
            seen += 1;
        });
        let all = golden.names(&format!("{}.{stage}.grad.", of.name)).count();
        assert_eq!(seen, all, "every gradient is compared");
    }
}

#[test]
fn mla_with_mlps() {
    follow("mla", "mlp");
}

#[test]
fn mla_with_linear_acquirers() {
    follow("mla", "linear");
}

#[test]
fn cma_with_mlps() {
    follow("cma", "mlp");
}

#[test]
fn cma_with_linear_acquirers() {
    follow("cma", "linear");
}
