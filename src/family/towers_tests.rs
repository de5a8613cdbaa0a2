use std::path::Path;

use super::*;
use crate::config::{AcquireEncoder, AcquirerShape};
use crate::config::{CaptionSource, RawConfig};
use crate::estimate::Counts as _;
use crate::family::mla::Acquired;
use crate::family::mla::sizes::said;
use crate::family::mla::tests::{cross_modal, model};
use crate::family::mla::{Encoder, Mla};
use crate::family::tower::Clip;
use crate::family::tower::{ENDS, NewTower, sizes};
use crate::ops::leaf::Leaf;
use crate::optim::ParameterTree;
use crate::tower::Tower;
use crate::tower::TowerTokenizer;
use crate::words::HuggingFace;

fn raw(languages: &[&str]) -> RawConfig {
    let mut raw = RawConfig::default();
    raw.data.languages = languages.iter().map(|l| l.to_string()).collect();
    let languages = raw.data.languages.clone();
    raw.data.captions =
        vec![CaptionSource { languages, files: vec!["{split}.{language}".into()], ..Default::default() }];
    raw
}

fn counts(features: usize) -> Counts {
    let stage = || Sentences { count: 100, tokens: 1000, length: 10.0, targets: 50 };
    let stages = vec![stage(), stage()];
    Counts { stages, features, pictures: 50, captions: vec![100], feature_bytes: 7, caption_bytes: 9 }
}

/// What the model of a configuration is estimated to have, beside the numbers that it is counted to have.
fn beside(mut mla: Mla, change: impl FnOnce(&mut RawConfig)) {
    let languages: Vec<&str> = mla.languages();
    let mut raw = raw(&languages);
    let acquire = &mut raw.acquire;
    (acquire.tower, acquire.embedding) = (Some("clip".into()), Some("mbert".into()));
    (acquire.hidden, acquire.nlt.epochs) = (5, 0);
    acquire.le.learn_temperature = mla.scale.is_some();
    change(&mut raw);
    let config = raw.check("/base".into()).expect("a good configuration");
    let words = match &mla.encoder {
        Encoder::Tower(entrance) => {
            TowerConfig { vocabulary: entrance.table.rows(), width: entrance.table.width, ..bert() }
        }
        Encoder::Bert(bert) => bert.tower.config.clone(),
    };
    let tower = mla.tower.config.clone();
    let acquired = Acquired { counts: counts(12), tower: tower.clone(), words: words.clone() };
    let ((train, test), need) = acquired.need(&config);
    let counted = mla.parameters();
    assert_eq!((train as u64, test as u64), (counted.train, counted.test));
    let mut stored = 0;
    mla.visit(&mut |_, x| stored += x.count());
    assert_eq!(need.stored, stored);
    // With a bias behind the projection.
    let whole = |t: &mut Tower| {
        let mut numbers = t.config.projection.unwrap_or(0);
        t.visit(&mut |_, x| numbers += x.count());
        numbers
    };
    let mut frozen = whole(&mut mla.tower) + packed(&tower, config.train().precision, true);
    if let Encoder::Bert(bert) = &mut mla.encoder {
        let forward = packed(&tower, config.train().precision, false);
        frozen = whole(&mut mla.tower) + forward + whole(&mut bert.tower);
        frozen += packed(&words, config.train().precision, true);
    }
    assert_eq!(need.frozen, frozen);
}

fn bert() -> TowerConfig {
    cross_modal(&[], AcquirerShape::Mlp).body().config.clone()
}

#[test]
fn acquisitions_have_as_many_numbers_as_their_models() {
    for (shape, languages) in [
        (AcquirerShape::Mlp, &["de"][..]),
        (AcquirerShape::Linear, &["de", "cs"]),
        (AcquirerShape::Product, &["de"]),
    ] {
        beside(model(languages, shape), |raw| raw.acquire.shape = shape);
    }
    beside(cross_modal(&["en", "de"], AcquirerShape::Mlp), |raw| {
        (raw.acquire.encoder, raw.acquire.train_embedding) = (AcquireEncoder::Bert, false);
    });
    let mut low = model(&["de"], AcquirerShape::Mlp);
    let Encoder::Tower(entrance) = low.encoder else { panic!("no entrance") };
    let mut entrance = entrance.with_rank(3, &mut crate::init::Init::new(1));
    entrance.table.rate = crate::ops::leaf::Rate::FROZEN;
    low.encoder = Encoder::Tower(Box::new(entrance));
    low.scale = Some(Leaf::trained(crate::loss::scale::log_scale(0.1)));
    beside(low, |raw| (raw.acquire.rank, raw.acquire.train_embedding) = (3, false));
}

/// As many as their tensors have.
#[test]
fn encoders_have_as_many_numbers_as_their_sizes_say() {
    let golden = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("tests/golden/towers");
    for name in ["mbert", "xlmr", "roberta", "distilbert", "sentence"] {
        let mut tower = Tower::open(&golden.join(name)).expect("a checkpoint");
        let (mut numbers, mut layers_) = (0, 0);
        tower.visit(&mut |part, x| {
            numbers += x.count();
            let table = ["tokens", "positions", "types"].contains(&part) || part.contains("norm");
            layers_ += if table { 0 } else { x.count() };
        });
        let sizes = &tower.config;
        assert_eq!(sizes.numbers(), numbers as u128, "{name}");
        assert_eq!(rest(sizes) + sizes.vocabulary * sizes.width, numbers, "{name}");
        let counted = layers(sizes).into_iter().map(|([inputs, outputs], n)| n * outputs * (inputs + 1));
        assert_eq!(counted.sum::<usize>(), layers_, "{name}");
        // Norms stand behind the sums.
        assert_eq!(block(sizes, true).tape, 4 * sizes.width, "{name}");
    }
}

/// CLIP ViT-B/32 and M-BERT, from the sizes that are said of them: MLA's numbers for five languages.
#[test]
fn sizes_that_are_said_have_the_papers_numbers_of_parameters() {
    let estimate = |change: fn(&mut RawConfig), languages: &[&str]| {
        let mut raw = raw(languages);
        let acquire = &mut raw.acquire;
        (acquire.tower, acquire.embedding) = (Some("nowhere".into()), Some("nowhere".into()));
        (acquire.nlt.epochs, acquire.sizes.width) = (0, 512);
        change(&mut raw);
        let config = raw.check("/base".into()).expect("a good configuration");
        let [tower, words] = said(&config).expect("sizes");
        let ((train, _), need) = Acquired { counts: counts(512), tower, words }.need(&config);
        (train, need.frozen)
    };
    let five = ["en", "de", "fr", "cs", "zh", "ja"];
    let (table, layer, acquirer) = (119_547 * 768, 768 * 512 + 512, 12 * 262_912);
    let (train, frozen) = estimate(|_| (), &five);
    assert_eq!(train, table + layer + 5 * acquirer);
    assert_eq!((train, acquirer), (107_980_544, 3_154_944));
    // The frozen text tower of CLIP ViT-B/32 has 63.4 M numbers, and stands packed for products, too.
    assert!(frozen > 2 * 50_000_000 && frozen < 200_000_000, "{frozen}");
    assert_eq!(estimate(|_| (), &five[..2]).0, table + layer + acquirer);
    let linear = estimate(|raw| raw.acquire.shape = AcquirerShape::Linear, &five[..2]).0;
    assert_eq!(linear, table + layer + 12 * 262_656);
    // The larger towers of table 2.
    let of = |width: usize| table + 769 * width + 12 * (256 * (2 * width + 1) + width);
    assert_eq!(estimate(|raw| raw.acquire.sizes.width = 640, &five[..2]).0, of(640));
    assert_eq!(estimate(|raw| raw.acquire.sizes.width = 1024, &five[..2]).0, of(1024));
    // CMA: English too, with acquirers of M-BERT's width, and a layer to the joint space.
    let bert = |raw: &mut RawConfig| {
        (raw.acquire.encoder, raw.acquire.train_embedding) = (AcquireEncoder::Bert, false);
    };
    let (train, frozen) = estimate(bert, &five[..2]);
    assert_eq!(train, 769 * 512 + 2 * 12 * (256 * (2 * 768 + 1) + 768));
    // M-BERT has 178 M.
    assert!(frozen > 63_000_000 + 178_000_000, "{frozen}");
}

#[test]
fn a_new_tower_has_as_many_numbers_as_its_model() {
    let texts = ["a red dog", "two men in a blue house"];
    let words = HuggingFace::train(&texts, 270, ENDS).expect("a tokenizer");
    for learn_temperature in [false, true] {
        let mut raw = raw(&["en"]);
        (raw.tower.layers, raw.tower.width, raw.tower.heads, raw.tower.hidden) = (2, 8, 2, 12);
        (raw.tower.learn_temperature, raw.loss.info_nce.weight) = (learn_temperature, 1.0);
        let config = raw.check("/base".into()).expect("a good configuration");
        let (size, end) = (words.size(), words.id(ENDS[1]).expect("the end"));
        let sizes = sizes(&config, size, end);
        let again = HuggingFace::train(&texts, 270, ENDS).expect("a tokenizer");
        let tokenizer = TowerTokenizer::new(again, "t".as_ref(), &sizes).expect("it fits");
        let mut clip = Clip::new(&config, sizes.clone(), tokenizer, 7, 1);
        let new = NewTower { counts: counts(7), size, end };
        let ((train, test), need) = new.need(&config, &sizes);
        let counted = clip.parameters();
        assert_eq!((train as u64, test as u64), (counted.train, counted.test));
        let mut stored = 0;
        clip.visit(&mut |_, x| stored += x.count());
        assert_eq!(need.stored, stored);
    }
}

#[test]
fn memory_grows_with_what_is_kept_and_is_what_the_parts_say() {
    let memory = |change: fn(&mut RawConfig)| {
        let mut raw = raw(&["en", "de"]);
        (raw.acquire.tower, raw.acquire.embedding) = (Some("clip".into()), Some("mbert".into()));
        (raw.acquire.nlt.epochs, raw.acquire.le.batch) = (0, 4096);
        change(&mut raw);
        let config = raw.check("/base".into()).expect("a good configuration");
        let clip = model(&[], AcquirerShape::Mlp).tower.config;
        Acquired { counts: counts(12), tower: clip, words: bert() }.estimate(&config).memory.expect("memory")
    };
    let plain = memory(|_| ());
    assert!(plain > EMPTY);
    for less in [
        (|raw| raw.acquire.recompute = true) as fn(&mut RawConfig),
        |raw| raw.acquire.micro_batch = 64,
        |raw| raw.acquire.le.batch = 64,
        |raw| raw.acquire.hidden = 8,
    ] {
        assert!(memory(less) < plain);
    }
    assert!(memory(|raw| raw.train.average = 0.9) > plain);
    let need = |average| {
        let step = Kept { tape: 1000, buffers: 100 };
        let need = Need { trained: 50, tables: 20, stored: 60, frozen: 7, data: 3, step, start: 0 };
        need.floats(average)
    };
    // Values, moments, and a step with dense gradients; with an average its own values, and a copy that is validated.
    assert_eq!(need(false), 60 + 7 + 3 + 100 + 100 + (120 + 20 + 1000));
    assert_eq!(need(true), 60 + 7 + 3 + 100 + 60 + 100 + (160 + 60 + 1000));
}
