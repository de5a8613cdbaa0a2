use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::{AcquirerShape, AcquirerStart, Precision};
use crate::family::mla::Form;
use crate::gradcheck::probe;
use crate::init::Init;
use crate::ops::rows::Table;
use crate::ops::tape::matrix;
use crate::optim::freeze;
use crate::tower::{Pooled, token_embedding};

const PASS: Pass = Pass { precision: Precision::F32, recompute: false };

fn golden(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("tests/golden/towers")
        .join(name)
}

/// Acquirers that start as the identity.
fn form(shape: AcquirerShape) -> Form {
    Form { shape, hidden: 5, start: AcquirerStart::Identity }
}

const SHAPES: [AcquirerShape; 3] = [AcquirerShape::Mlp, AcquirerShape::Linear, AcquirerShape::Product];

/// The tiny CLIP and the embedding of the tiny M-BERT, with acquirers that are not the identity.
pub fn model(languages: &[&str], shape: AcquirerShape) -> Mla {
    let tower = Tower::open(&golden("clip")).expect("a tower");
    let tokenizer = TowerTokenizer::open(&golden("clip/tokenizer.json"), &tower.config).expect("a tokenizer");
    let (config, table) = token_embedding(&golden("mbert")).expect("an embedding");
    let words = TowerTokenizer::open(&golden("mbert/tokenizer.json"), &config).expect("a tokenizer");
    let mut init = Init::new(1);
    let table = Table::new(config.width, table);
    let entrance = InputEmbedding::new(words, table, tower.config.width, &mut init);
    let size = (tower.config.width, tower.config.layers);
    let acquirers = languages
        .iter()
        .map(|language| {
            let mut acquirer = Acquirer::new(language, &form(shape), size, &mut init);
            acquirer.visit(&mut |_, mut x| {
                if let [rows, columns] = x.shape()[..] {
                    x.set(&init.uniform(rows * columns, 0.3));
                }
            });
            acquirer
        })
        .collect();
    let encoder = Encoder::Tower(Box::new(entrance));
    Mla { tower, tokenizer, own: "en".into(), encoder, acquirers, scale: None }
}

fn entrance(mla: &Mla) -> &InputEmbedding {
    let Encoder::Tower(entrance) = &mla.encoder else { panic!("no entrance") };
    entrance
}

fn entrance_mut(mla: &mut Mla) -> &mut InputEmbedding {
    let Encoder::Tower(entrance) = &mut mla.encoder else { panic!("no entrance") };
    entrance
}

#[test]
fn an_acquirer_starts_as_the_identity() {
    let mut mla = model(&[], AcquirerShape::Mlp);
    let sentences = Arc::new(mla.acquired_tokens("de", &["Ein Hund läuft"]).ids);
    let mut init = Init::new(2);
    let outputs: Vec<Vec<f32>> = SHAPES
        .map(|shape| {
            mla.add(Acquirer::new("de", &form(shape), (16, 3), &mut init));
            mla.encode(Way::Acquired(0), &sentences, PASS)
        })
        .to_vec();
    assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
    let x = mla.entered::<NoneTape>(&sentences, None, PASS);
    let x = mla.tower.blocks(x, &sentences, PASS, |_, x: Matrix| x);
    assert_eq!(data(&mla.tower.pool_as(Pooled::Last, x, &sentences, PASS)), outputs[0]);
}

/// Where the entrance has the tower's own embedding, and the acquirer is the identity, sentences go the tower's own way: with its places,
/// its norms and its pooling.
#[test]
fn an_acquired_language_is_placed_normed_and_pooled_as_the_tower_does() {
    for name in ["sentence", "xlmr", "mbert", "clip"] {
        let tower = Tower::open(&golden(name)).expect("a tower");
        let (config, table) = token_embedding(&golden(name)).expect("an embedding");
        let tokenizer =
            || TowerTokenizer::open(&golden(name).join("tokenizer.json"), &config).expect("a tokenizer");
        let (mut init, width) = (Init::new(1), config.width);
        let mut entrance = InputEmbedding::new(tokenizer(), Table::new(width, table), width, &mut init);
        let identity = (0..width * width).map(|i| if i % (width + 1) == 0 { 1.0 } else { 0.0 });
        entrance.layer.weight = matrix(identity.collect(), width, width);
        entrance.layer.bias = crate::ops::tape::vector(vec![0.0; width]);
        let size = (width, config.layers);
        let acquirers = vec![Acquirer::new("de", &form(AcquirerShape::Mlp), size, &mut init)];
        let encoder = Encoder::Tower(Box::new(entrance));
        let mla = Mla { tower, tokenizer: tokenizer(), own: "en".into(), encoder, acquirers, scale: None };
        let ids = mla.tokens(Way::Acquired(0), &["Ein Hund läuft", "Hund"]).ids;
        let (ours, own) = (mla.encode(Way::Acquired(0), &ids, PASS), mla.encode(Way::Tower, &ids, PASS));
        let off = ours.iter().zip(&own).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{name}: {off}");
    }
}

#[test]
fn languages_come_and_go_and_english_stays_bit_for_bit() {
    let mut mla = model(&[], AcquirerShape::Mlp);
    let english =
        |mla: &Mla| mla.encode(Way::Tower, &mla.tokens(Way::Tower, &["a dog runs", "two men"]).ids, PASS);
    let german =
        |mla: &Mla| mla.encode(Way::Acquired(0), &mla.tokens(Way::Acquired(0), &["Ein Hund"]).ids, PASS);
    let before = english(&mla);
    assert_eq!(
        before,
        mla.tower.encode(&Arc::new(mla.tokenizer.encode("en", &["a dog runs", "two men"]).ids), PASS)
    );
    let mut with = model(&["de", "cs"], AcquirerShape::Mlp);
    assert_eq!(english(&with), before);
    let vectors = german(&with);
    mla.add(with.acquirers.remove(0));
    assert_eq!(mla.languages(), ["en", "de"]);
    assert_eq!(german(&mla), vectors);
    assert!(mla.remove("de") && !mla.remove("de"));
    assert_eq!(english(&mla), before);
}

#[test]
fn an_acquirer_file_reads_back_equal_and_only_for_its_base() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("de.safetensors");
    for shape in SHAPES {
        let mut mla = model(&["de"], shape);
        let base = mla.base();
        mla.acquirers[0].write(&file, &base).expect("written");
        let size = (mla.tower.config.width, mla.tower.config.layers);
        let read = Acquirer::read(&file, size, &base).expect("read");
        assert_eq!(read.language, "de");
        assert_eq!(read.parameters(), mla.acquirers[0].parameters());
        let mut other = model(&[], shape);
        assert_eq!(other.base(), base);
        let ids = mla.tokens(Way::Acquired(0), &["Ein Hund läuft"]).ids;
        other.add(read);
        assert_eq!(other.encode(Way::Acquired(0), &ids, PASS), mla.encode(Way::Acquired(0), &ids, PASS));
        entrance_mut(&mut other).table.data_mut()[3] += 1e-3;
        let error = Acquirer::read(&file, size, &other.base()).err().expect("refused");
        assert_eq!(error.exit_status(), 4);
        assert!(error.to_string().contains("is an acquirer for another base: its hash is"), "{error}");
        let error = Acquirer::read(&file, (8, 3), &base).err().expect("refused");
        assert!(error.to_string().contains("fits no tower of width 8"), "{error}");
        let error = Acquirer::read(&file, (16, 4), &base).err().expect("refused");
        assert!(error.to_string().contains("is missing"), "{error}");
    }
    let error = Acquirer::read(&golden("clip/model.safetensors"), (16, 3), "x").err().expect("refused");
    assert!(error.to_string().contains("is no acquirer"), "{error}");
    let bytes = fs::read(&file).expect("read");
    fs::write(&file, &bytes[..bytes.len() - 1]).expect("written");
    assert!(Acquirer::read(&file, (16, 3), "x").is_err());
}

#[test]
fn what_is_dropped_does_not_depend_on_how_the_batch_is_cut() {
    let mla = model(&["de"], AcquirerShape::Mlp);
    let all = mla.tokens(Way::Acquired(0), &["Ein Hund läuft", "Eine Straße", "Hund"]).ids;
    let run = |from: usize, to: usize| {
        let mut some = Sequences::new();
        (from..to).for_each(|s| some.push(all.get(s).iter().copied()));
        let tokens: Vec<u32> = (all.starts[from]..all.starts[to]).collect();
        let drop = Drop { p: 0.4, seed: 9, tokens: &tokens };
        mla.forward::<NoneTape>(&mla.acquirers[0], &Arc::new(some), Some(drop), PASS).as_vec()
    };
    let whole = run(0, 3);
    assert_eq!(whole, [run(0, 2), run(2, 3)].concat());
    assert_ne!(whole, mla.encode(Way::Acquired(0), &all, PASS));
}

#[test]
fn gradients_with_dropout_and_recomputation_are_those_of_the_whole() {
    let mla = model(&["de"], AcquirerShape::Mlp);
    let sentences = Arc::new(mla.tokens(Way::Acquired(0), &["Ein Hund läuft", "Eine Straße"]).ids);
    let tokens: Vec<u32> = (0..sentences.rows.len() as u32).collect();
    let run = |recompute: bool| {
        let drop = Drop { p: 0.3, seed: 4, tokens: &tokens };
        let pass = Pass { recompute, ..PASS };
        let y = mla.forward::<OwnedTape<f32, Dev>>(&mla.acquirers[0], &sentences, Some(drop), pass);
        let grads = probe(y).backward();
        let [(rows, values)] = &entrance(&mla).table.take_grads()[..] else { panic!("one entry") };
        (rows.clone(), values.clone(), grads.get(&entrance(&mla).layer.weight).as_vec())
    };
    let once = run(false);
    assert_eq!(once, run(true));
    // Finite differences through everything, in one row of the table.
    let value = |table: &[f32]| {
        let mut other = model(&["de"], AcquirerShape::Mlp);
        entrance_mut(&mut other).table.data_mut()[once.0[1] as usize * 16..][..16].copy_from_slice(table);
        let drop = Drop { p: 0.3, seed: 4, tokens: &tokens };
        probe(other.forward::<NoneTape>(&other.acquirers[0], &sentences, Some(drop), PASS)).array()
    };
    let at = entrance(&mla).table.row(once.0[1] as usize).to_vec();
    crate::gradcheck::differences("row", &at, &once.1.host()[16..32], 2e-3, 2e-2, value);
}

/// The table stays as it is and the product of low rank, which is 0 at first, has the gradients of its parts.
#[test]
fn a_product_of_low_rank_is_trained_beside_a_table_that_stays() {
    let make = || {
        let mut mla = model(&["de"], AcquirerShape::Mlp);
        let Encoder::Tower(entrance) = mla.encoder else { panic!("no entrance") };
        mla.encoder = Encoder::Tower(Box::new(entrance.with_rank(3, &mut Init::new(5))));
        freeze(&mut mla, |name| name == "entrance.table");
        mla
    };
    let mut plain = model(&["de"], AcquirerShape::Mlp);
    let mut mla = make();
    let sentences = Arc::new(mla.tokens(Way::Acquired(0), &["Ein Hund läuft", "Eine Straße"]).ids);
    assert_eq!(
        mla.encode(Way::Acquired(0), &sentences, PASS),
        plain.encode(Way::Acquired(0), &sentences, PASS)
    );
    assert_ne!(mla.base(), plain.base());
    let start = crate::gradcheck::noise(entrance(&mla).table.rows() * 3, 8);
    entrance_mut(&mut mla).low_rank.as_mut().expect("a product").rows.data_mut().copy_from_slice(&start);
    let y = mla.forward::<OwnedTape<f32, Dev>>(&mla.acquirers[0], &sentences, None, PASS);
    let grads = probe(y).backward();
    assert!(entrance(&mla).table.take_grads().is_empty());
    let low = entrance(&mla).low_rank.as_ref().expect("a product");
    let [(touched, values)] = &low.rows.take_grads()[..] else { panic!("one entry") };
    let value = |rows: &[f32], weight: Option<&[f32]>| {
        let mut other = make();
        let low = entrance_mut(&mut other).low_rank.as_mut().expect("a product");
        low.rows.data_mut().copy_from_slice(rows);
        if let Some(weight) = weight {
            low.layer.weight = matrix(weight.to_vec(), weight.len() / 3, 3);
        }
        probe(other.forward::<NoneTape>(&other.acquirers[0], &sentences, None, PASS)).array()
    };
    let row = touched[1] as usize;
    crate::gradcheck::differences("row", low.rows.row(row), &values.host()[3..6], 2e-3, 2e-2, |x| {
        let mut all = start.clone();
        all[3 * row..3 * row + 3].copy_from_slice(x);
        value(&all, None)
    });
    let weight = data(&low.layer.weight);
    let grad = grads.get(&low.layer.weight);
    crate::gradcheck::differences("weight", &weight, &data(&grad), 2e-3, 2e-2, |x| value(&start, Some(x)));
}

/// The tiny CLIP beside the whole tiny M-BERT.
pub fn cross_modal(languages: &[&str], shape: AcquirerShape) -> Mla {
    let mla = model(&[], AcquirerShape::Mlp);
    let tower = Tower::open(&golden("mbert")).expect("an encoder");
    let tokenizer =
        TowerTokenizer::open(&golden("mbert/tokenizer.json"), &tower.config).expect("a tokenizer");
    let mut init = Init::new(3);
    let bert = Bert::new(tower, tokenizer, mla.joint(), &mut init);
    let mut mla = Mla { encoder: Encoder::Bert(Box::new(bert)), ..mla };
    for language in languages {
        let mut acquirer = Acquirer::new(language, &form(shape), mla.size(), &mut init);
        acquirer.visit(&mut |_, mut x| {
            if let [rows, columns] = x.shape()[..] {
                x.set(&init.uniform(rows * columns, 0.3));
            }
        });
        mla.add(acquirer);
    }
    mla
}

/// Every gradient of a probe of the vectors, by name.
fn every(mla: &mut Mla, sentences: &Arc<Sequences>) -> Vec<(String, Vec<f32>)> {
    let y = mla.forward::<OwnedTape<f32, Dev>>(&mla.acquirers[0], sentences, None, PASS);
    let mut grads = probe(y).backward();
    crate::gradcheck::by_name(&mut grads, &mut |f| mla.visit(f))
}

#[test]
fn a_frozen_m_bert_has_gradients_in_its_acquirers_and_last_layer_that_are_slopes() {
    for shape in SHAPES {
        let mut mla = cross_modal(&["de"], shape);
        let ids = mla.tokens(Way::Acquired(0), &["Ein Hund läuft", "Eine Straße", "Hund"]).ids;
        let sentences = Arc::new(ids);
        let all = every(&mut mla, &sentences);
        // The layers of three blocks, with biases, and the one into the joint space.
        let layers = if shape == AcquirerShape::Linear { 1 } else { 2 };
        assert_eq!(all.len(), 3 * 2 * layers + 2);
        for (name, g) in &all {
            let mut order: Vec<usize> = (0..g.len()).collect();
            order.sort_by(|&a, &b| g[b].abs().total_cmp(&g[a].abs()));
            assert!(g[order[0]] != 0.0, "{name} gets no gradient");
            for &i in order.iter().take(3) {
                let value = |by: f32| {
                    let mut other = cross_modal(&["de"], shape);
                    other.visit(&mut |of, mut x| {
                        if of == name {
                            let mut values = x.floats().into_owned();
                            values[i] += by;
                            x.set(&values);
                        }
                    });
                    probe(other.forward::<NoneTape>(&other.acquirers[0], &sentences, None, PASS)).array()
                };
                // A longer step would cross corners of ReLU.
                let slope = (value(5e-4) - value(-5e-4)) / 1e-3;
                let scale = g[order[0]].abs();
                assert!(
                    (slope - g[i]).abs() <= 0.02 * scale.max(0.02),
                    "{shape:?}, {name}[{i}]: {} {slope}",
                    g[i]
                );
            }
        }
    }
}

/// `[CLS]` sees every token, whatever the batch; without acquirers the vectors are M-BERT's own, through the layer.
#[test]
fn cross_modal_vectors_are_m_berts_through_the_layer() {
    let mut mla = cross_modal(&["de"], AcquirerShape::Mlp);
    let way = Way::Acquired(0);
    let ids = mla.tokens(way, &["Ein Hund läuft", "Eine Straße"]).ids;
    let Encoder::Bert(bert) = &mla.encoder else { panic!("no M-BERT") };
    let own = matrix(bert.tower.encode(&Arc::new(ids.clone()), PASS), 2, 16);
    let expected = crate::ops::linear::linear(own, &bert.layer, PASS.precision).as_vec();
    let taught = mla.encode(way, &ids, PASS);
    mla.add(Acquirer::new("de", &form(AcquirerShape::Mlp), mla.size(), &mut Init::new(2)));
    let untaught = mla.encode(way, &ids, PASS);
    assert!(untaught.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(taught.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-2));
    assert_ne!(mla.base(), model(&[], AcquirerShape::Mlp).base());
}

#[test]
fn english_goes_through_m_bert_where_it_was_acquired_and_the_tower_teaches_it() {
    let mut mla = cross_modal(&["de", "en"], AcquirerShape::Mlp);
    assert_eq!(mla.languages(), ["en", "de"]);
    assert_eq!([mla.way("en"), mla.way("de")], [Some(Way::Acquired(1)), Some(Way::Acquired(0))]);
    assert_eq!(["en", "de", "fr"].map(|l| mla.teacher(l)), [Some(Way::Tower), Some(Way::Acquired(0)), None]);
    let texts = ["a dog runs", "two men"];
    let unit = |mla: &Mla| mla.unit_vectors(mla.way("en").expect("English"), &texts, Precision::F32).0;
    let ids = mla.tokens(Way::Acquired(1), &texts).ids;
    assert_eq!(ids.rows, mla.encoder.tokenizer().encode("en", &texts).ids.rows);
    let mut through_bert = mla.encode(Way::Acquired(1), &ids, PASS);
    crate::family::mla::data::unit(&mut through_bert, mla.joint());
    assert_eq!(unit(&mla), through_bert);
    // The English tower takes no part in that: at test time its numbers do not count.
    let with = mla.parameters();
    let acquirer = mla.acquirers[1].parameters() as u64;
    assert!(mla.remove("en"));
    let without = mla.parameters();
    let mut tower = 0;
    mla.tower.visit(&mut |name, x| tower += if name == "tokens" { 0 } else { x.count() as u64 });
    // The projection's bias.
    tower += mla.joint() as u64;
    assert_eq!((with.train, with.test), (without.train + acquirer, without.test + acquirer - tower));
    // Without an acquirer English goes the tower's way, as it did in runs from before.
    assert_eq!(mla.way("en"), Some(Way::Tower));
    let mut own = mla.encode(Way::Tower, &mla.tokens(Way::Tower, &texts).ids, PASS);
    crate::family::mla::data::unit(&mut own, mla.joint());
    assert_eq!(unit(&mla), own);
    assert_ne!(own, through_bert);
}

#[test]
fn an_acquirer_may_start_with_all_its_layers_as_pytorch_has_them() {
    for shape in SHAPES {
        let of = |start| {
            let form = Form { start, ..form(shape) };
            let mut acquirer = Acquirer::new("de", &form, (16, 3), &mut Init::new(2));
            let mut largest = Vec::new();
            acquirer.visit(&mut |_, x| {
                let most = x.floats().iter().fold(0f32, |m, x| m.max(x.abs()));
                largest.push((x.shape().last().copied().unwrap_or(0), most));
            });
            largest
        };
        // Behind the last weights stand the last biases.
        let (identity, random) = (of(AcquirerStart::Identity), of(AcquirerStart::Random));
        let last = identity.len() - 2;
        assert!(identity[last].1 == 0.0 && identity[last + 1].1 == 0.0, "{shape:?}: {identity:?}");
        let (inputs, most) = random[last];
        let bound = (inputs as f32).powf(-0.5);
        assert!(most <= bound && most > 0.9 * bound, "{shape:?}: {most} of {bound}");
        assert!(random[last + 1].1 > 0.0 && random[last + 1].1 <= bound, "{shape:?}: {random:?}");
    }
}

#[test]
fn what_is_frozen_has_no_gradients_and_acquirers_have_the_same_gradients() {
    let mut mla = model(&["de"], AcquirerShape::Mlp);
    let sentences = Arc::new(mla.tokens(Way::Acquired(0), &["Ein Hund läuft", "Eine Straße"]).ids);
    let whole = every(&mut mla, &sentences);
    freeze(&mut mla, |name| !name.starts_with("acquirer."));
    assert!(mla.acquirers_alone() && !mla.trained_before_acquirers());
    let alone = every(&mut mla, &sentences);
    assert!(entrance(&mla).table.take_grads().is_empty());
    let acquirers = whole.into_iter().filter(|(name, _)| name.starts_with("acquirer."));
    assert_eq!(alone, acquirers.collect::<Vec<_>>());
    assert_eq!(alone.len(), 3 * 4);
}
