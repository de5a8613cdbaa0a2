//! Languages acquired on a tower (MLA) and in M-BERT (CMA) beside PyTorch. `towers/acquire.py` wrote the numbers, and says what
//! they are of.

use std::sync::Arc;

use dfdx::prelude::*;
use tinyglot::config::{AcquirerShape, Objective};
use tinyglot::family::mla::data::{Draw, Pairs, StageData};
use tinyglot::family::mla::objective::{Aim, Task, gradients};
use tinyglot::family::mla::{Acquirer, Adapter, Bert, Encoder, InputEmbedding, Mla, Way};
use tinyglot::gradcheck::by_name;
use tinyglot::ops::leaf::Leaf;
use tinyglot::ops::linear::LinearWeights;
use tinyglot::ops::rows::Table;
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::{matrix, vector};
use tinyglot::optim::ParameterTree;
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
        LinearWeights::new(matrix(weight, outputs, inputs), bias)
    }

    fn model(&self, cross_modal: bool, shape: AcquirerShape) -> Mla {
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
            Encoder::Tower(Box::new(InputEmbedding {
                tokenizer: words,
                table: Table::new(config.width, table),
                low_rank: None,
                layer: self.layer("linear", 16, 16),
            }))
        };
        let acquirers = vec![self.acquirer("xx", shape)];
        let scale = Some(Leaf::trained(vector(self.floats("weight.scale"))));
        Mla { tower, tokenizer, own: "en".into(), encoder, acquirers, scale }
    }

    fn acquirer(&self, language: &str, shape: AcquirerShape) -> Acquirer {
        let layer = |n: usize, place: &str, outputs: usize, inputs: usize| {
            self.layer(&format!("acquirers.{n}{place}"), outputs, inputs)
        };
        let adapter = |n: usize| match shape {
            AcquirerShape::Linear => Adapter::Linear(layer(n, "", 16, 16)),
            AcquirerShape::Mlp => Adapter::mlp(layer(n, ".0", 8, 16), layer(n, ".2", 16, 8)),
            AcquirerShape::Product => Adapter::product(layer(n, ".0", 8, 16), layer(n, ".2", 16, 8)),
        };
        Acquirer { language: language.into(), adapters: (0..3).map(adapter).collect() }
    }
}

/// What PyTorch calls a parameter.
fn theirs(ours: &str, language: &str) -> String {
    let name = ours.replace("entrance.table", "embedding.weight").replace("entrance.layer", "linear");
    let name = name.replace("bert.layer", "linear").replace(&format!("acquirer.{language}"), "acquirers");
    name.replace(".inner", ".0").replace(".outer", ".2")
}

fn ids(mla: &Mla, way: Way, texts: &[String]) -> Sequences {
    mla.tokens(way, &texts.iter().map(String::as_str).collect::<Vec<_>>()).ids
}

/// Three sentences for the acquirer in a place, and the vectors that they are compared with.
fn stage(place: usize, sentences: Sequences, vectors: Vec<f32>) -> StageData {
    let none = || Pairs::new(Sequences::new(), Vec::new());
    let mut languages: Vec<Pairs> = (0..place).map(|_| none()).collect();
    languages.push(Pairs::new(sentences, vec![0, 1, 2]));
    StageData { languages, vectors, truncated: 0 }
}

/// Three sentences of a stage, as one of its tasks.
fn task<'a>(data: &'a StageData, objective: Objective, unit: bool, scaled: bool) -> Task<'a> {
    let (temperature, weight, micro_batch, dropout) = (1.0, 1.0, 0, 0.0);
    let aim = Aim { objective, unit, temperature, scaled, weight, micro_batch, dropout, pass: PASS };
    let draw = Draw { language: data.languages.len() - 1, sentences: vec![0, 1, 2] };
    Task { name: "some", data, draw, aim, seed: 0 }
}

/// The loss and all gradients of a stage.
fn compare(of: &Of, stage: &str, mla: &mut Mla, tasks: &[Task]) {
    let (terms, mut grads) = gradients(mla, tasks);
    near(&format!("{}, {stage}", of.name), &[terms.read().0], &of.floats(&format!("{stage}.loss")), 1e-5);
    let language = mla.acquirers[tasks[0].draw.language].language.clone();
    let mine = format!("acquirer.{language}.");
    let scaled = tasks.iter().any(|task| task.aim.scaled);
    let mut seen = 0;
    for (ours, got) in by_name(&mut grads, &mut |f| mla.visit(f)) {
        let ours = &ours[..];
        if ours == "scale" && !scaled || ours.starts_with("acquirer.") && !ours.starts_with(&mine) {
            assert!(got.iter().all(|&g| g == 0.0), "{ours} takes no part");
            continue;
        }
        let want = of.floats(&format!("{stage}.grad.{}", theirs(ours, &language)));
        near(&format!("{}, {stage}, gradient of {ours}", of.name), &got, &want, 1e-4);
        seen += 1;
    }
    let all = of.golden.names(&format!("{}.{stage}.grad.", of.name)).count();
    assert_eq!(seen, all, "every gradient is compared");
}

/// Vectors, and for both stages the loss and the gradients of all that is trained.
fn follow(way: &str, shape: AcquirerShape) {
    let (old, more) = (Golden::read("towers/acquired"), Golden::read("towers/acquired-more"));
    let (name, golden) = match shape {
        AcquirerShape::Mlp => ("mlp", &old),
        AcquirerShape::Linear => ("linear", &old),
        AcquirerShape::Product => ("product", &more),
    };
    let of = Of { golden, name: format!("{way}.{name}") };
    let mut mla = of.model(way == "cma", shape);
    let teacher = mla.encode(Way::Tower, &ids(&mla, Way::Tower, &texts("english")), PASS);
    near_within("teacher", &teacher, &old.floats("teacher"), 1e-4);
    let sentences = ids(&mla, Way::Acquired(0), &texts("sentences")[3..6]);
    let y: Tensor<_, f32, _> =
        mla.forward::<NoneTape>(&mla.acquirers[0], &Arc::new(sentences.clone()), None, PASS);
    near_within(&of.name, &y.as_vec(), &of.floats("vectors"), 1e-4);
    let nlt = stage(0, sentences.clone(), teacher);
    let le = stage(0, sentences, old.floats("pictures"));
    compare(&of, "nlt", &mut mla, &[task(&nlt, Objective::Mse, false, false)]);
    compare(&of, "le", &mut mla, &[task(&le, Objective::Nce, false, true)]);
}

#[test]
fn mla_with_mlps() {
    follow("mla", AcquirerShape::Mlp);
}

#[test]
fn mla_with_linear_acquirers() {
    follow("mla", AcquirerShape::Linear);
}

#[test]
fn mla_with_products() {
    follow("mla", AcquirerShape::Product);
}

#[test]
fn cma_with_mlps() {
    follow("cma", AcquirerShape::Mlp);
}

#[test]
fn cma_with_linear_acquirers() {
    follow("cma", AcquirerShape::Linear);
}

#[test]
fn cma_with_products() {
    follow("cma", AcquirerShape::Product);
}

/// Translations of other sentences than the captions, in one step with them; and squares with pictures.
#[test]
fn captions_and_translations_in_one_stage() {
    let (old, more) = (Golden::read("towers/acquired"), Golden::read("towers/acquired-more"));
    for way in ["mla", "cma"] {
        let of = Of { golden: &more, name: format!("{way}.mlp") };
        let mut mla = of.model(way == "cma", AcquirerShape::Mlp);
        let all = texts("sentences");
        let captions = ids(&mla, Way::Acquired(0), &all[3..6]);
        let translations = ids(&mla, Way::Acquired(0), &all[5..8]);
        let captions = stage(0, captions, old.floats("pictures"));
        let translations = stage(0, translations, old.floats("teacher"));
        for (name, objective) in [("mse-nce", Objective::Mse), ("nce-nce", Objective::Nce)] {
            let mut nlt = task(&translations, objective, false, false);
            (nlt.aim.weight, nlt.aim.temperature) = (0.5, 0.2);
            compare(&of, name, &mut mla, &[task(&captions, Objective::Nce, false, true), nlt]);
        }
        for (name, unit) in [("le-raw", false), ("le-unit", true)] {
            compare(&of, name, &mut mla, &[task(&captions, Objective::Mse, unit, false)]);
        }
    }
}

/// English has an acquirer beside the other language, and the tower's English for its teacher.
#[test]
fn cma_takes_english_through_m_bert() {
    let (old, more) = (Golden::read("towers/acquired"), Golden::read("towers/acquired-more"));
    let mut mla = Of { golden: &old, name: "cma.mlp".into() }.model(true, AcquirerShape::Mlp);
    let of = Of { golden: &more, name: "cma-en.mlp".into() };
    mla.add(of.acquirer("en", AcquirerShape::Mlp));
    let way = mla.way("en").expect("English");
    assert_eq!(way, Way::Acquired(1));
    let english = ids(&mla, way, &texts("english"));
    near_within("English", &mla.encode(way, &english, PASS), &of.floats("vectors"), 1e-4);
    let nlt = stage(1, english.clone(), old.floats("teacher"));
    let le = stage(1, english, old.floats("pictures"));
    compare(&of, "nlt", &mut mla, &[task(&nlt, Objective::Mse, false, false)]);
    compare(&of, "le", &mut mla, &[task(&le, Objective::Nce, false, true)]);
}
