//! What the files in `configs/` claim: which losses are on, how many updates they make, how many parameters they train.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tinyglot::config::{
    Config, ContrastAnchors, DrawnCaptions, FamilyName, Optimizer, PictureHead, Schedule,
};
use tinyglot::family::smalr::embedding::{Lexicon, Slot};
use tinyglot::family::smalr::empty_embedding;
use tinyglot::family::smalr::model::Model;
use tinyglot::sampler::{CaptionIndex, Sampler};
use tinyglot::sweep::Plan;
use tinyglot::words::Vocabulary;

/// λ of: neighbourhoods (words, sentences, within), MCLM (average, lstm), masked sentences, adversary.
type Losses = ([f32; 3], [f32; 2], f32, f32);

const ALONE: Losses = ([0.0; 3], [0.0; 2], 0.0, 0.0);
/// The paper's LA and HEM (section 4: "does not include MCLM nor CLC"; section 3.3's terms stay).
const HEM: Losses = ([5e-2; 3], [0.0; 2], 0.0, 1e-6);
const SMALR: Losses = ([5e-2; 3], [1e-4; 2], 1.0, 1e-6);

fn losses(config: &Config) -> Losses {
    let loss = config.loss();
    let n = &loss.neighbourhood;
    let m = &loss.mclm;
    ([n.words, n.sentences, n.within], [m.average, m.lstm], m.masked_triplet, loss.adversary.weight)
}

fn configs() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder")).join("configs")
}

fn load(name: &str) -> Config {
    Config::load(&configs().join(name), &[]).expect("a good configuration")
}

/// Updates of the main training on so many pictures, each with so many captions in the language that has most.
fn updates(config: &Config, pictures: usize, captions: usize) -> usize {
    let languages = &config.data().languages;
    let index = vec![CaptionIndex::even(pictures * captions, pictures); languages.len()];
    config.train().epochs * Sampler::new(0, config.train(), languages, index).steps_per_epoch()
}

/// Trained parameters and those at test, of a model whose every language has as many words as get vectors of their own and one more,
/// with so many latent tokens in use.
fn parameters(config: &Config, features: usize, latents: usize) -> (usize, usize) {
    let own = config.embedding().top_k;
    let words: Vec<Vec<String>> = vec![(0..=own).map(|w| format!("w{w}")).collect()];
    let vocabulary = Vocabulary::build(words.iter().map(|w| &w[..]), 1);
    let mut slots: Vec<Slot> = (0..own as u32).map(Slot::Own).collect();
    slots.push(Slot::Latent(0));
    let languages = config.data().languages.clone();
    let lexicon = Lexicon {
        vocabularies: vec![vocabulary; languages.len()],
        slots: vec![slots; languages.len()],
        languages,
        latents,
        translations: None,
        spellings: None,
    };
    let embedding = empty_embedding(config, &lexicon, config.words().fasttext.width);
    Model::new(config, embedding, features, 0).parameter_counts()
}

#[test]
fn every_configuration_of_words_trains_the_losses_it_is_named_for() {
    let mut expected: BTreeMap<&str, Losses> = BTreeMap::from([
        ("smalr-multi30k.toml", SMALR),
        ("smalr-mscoco.toml", SMALR),
        ("hem-multi30k.toml", HEM),
        ("la-multi30k.toml", HEM),
        // The recommended one, and the demo's: the image–text losses alone.
        ("multi30k-8k.toml", ALONE),
        ("multi30k-8k-pairs.toml", ALONE),
        ("demo.toml", ALONE),
    ]);
    for entry in std::fs::read_dir(configs()).expect("the folder of configurations") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "toml")
            || load(&name).family() != FamilyName::Smalr
        {
            continue;
        }
        let Some(losses_of) = expected.remove(&name[..]) else { panic!("what does `{name}` train?") };
        assert_eq!(losses(&load(&name)), losses_of, "{name}");
    }
    assert!(expected.is_empty(), "{expected:?}");
    let of_pairs = |name: &str| load(name).loss().pairs.weight;
    assert_eq!([of_pairs("multi30k-8k-pairs.toml"), of_pairs("multi30k-8k.toml")], [1.0, 0.0]);
    // Where MCLM is on, it is the reading of it that fits the paper's budget.
    let text = |config: &Config| format!("{:?}", config.loss().mclm.encoder);
    assert_eq!(text(&load("smalr-multi30k.toml")), "Branch");
    assert_eq!(text(&load("smalr-mscoco.toml")), "Branch");
}

/// Jain et al. 2021, section 3; Lee et al. 2022, section 3.3; Krasner et al. 2025, section 2, and its code.
#[test]
fn contrastive_configurations_have_the_constants_of_their_papers() {
    let mural = load("mural/mural-base.toml");
    let (contrastive, train) = (mural.contrastive(), mural.train());
    let (image_text, text_text) = (&contrastive.image_text, &contrastive.text_text);
    assert_eq!((image_text.weight, image_text.temperature, image_text.learn_temperature), (1.0, 1.0, true));
    let temperature = (text_text.temperature, text_text.learn_temperature);
    assert_eq!((text_text.weight, temperature, text_text.margin), (0.1, (0.01, false), 0.3));
    // 1e-3 for pictures, 1e-4 for texts.
    assert_eq!((train.learning_rate, text_text.rate), (1e-3, 0.1));
    assert_eq!((train.optimizer, train.weight_decay, train.warmup), (Optimizer::Lamb, 1e-5, 10_000));
    assert_eq!((train.schedule, train.images, train.pairs.lines), (Schedule::Linear, 4096, 4096));
    assert!(!contrastive.shared_head);
    // 600,000 updates over 12 million pictures.
    assert_eq!((600_000f64 * 4096.0 / 12e6).round() as usize, train.epochs);
    let fresh = &contrastive.fresh;
    let sizes = [fresh.layers, fresh.width, fresh.heads, fresh.hidden, fresh.vocabulary];
    assert_eq!(sizes, [12, 768, 12, 3072, 250_000]);

    let etcl = load("etcl/etcl-cc3m.toml");
    let (contrastive, train) = (etcl.contrastive(), etcl.train());
    let weights = [contrastive.triple.weight, contrastive.image_text.weight, contrastive.text_text.weight];
    assert_eq!(weights, [1.0, 0.0, 0.0]);
    assert_eq!((train.images, train.learning_rate, train.warmup), (32_768, 1e-4, 0));
    assert_eq!((3_000f64 * 32_768.0 / 3e6).round() as usize, train.epochs);

    for name in ["eng-only", "multilingual", "quechua", "eng-pivot"] {
        let config = load(&format!("cl-clip-align/{name}.toml"));
        let (contrastive, train) = (config.contrastive(), config.train());
        let batch = (train.images, train.epochs, train.learning_rate);
        assert_eq!((batch, contrastive.frozen_epochs), ((32, 10, 1e-5), 0.5), "{name}");
        assert_eq!((contrastive.context, contrastive.pictures), (128, PictureHead::Linear), "{name}");
        let (pivot, image_text) = (name == "eng-pivot", &contrastive.image_text);
        let captions = (image_text.anchors, image_text.unit, image_text.temperature);
        let expected = (ContrastAnchors::Captions, false, 1.0);
        assert!(pivot || captions == expected && image_text.learn_temperature, "{name}");
        assert_eq!((image_text.weight > 0.0, contrastive.text_text.weight > 0.0), (!pivot, pivot), "{name}");
        let rotation = contrastive.captions == DrawnCaptions::Rotation;
        assert_eq!(rotation, ["multilingual", "quechua"].contains(&name), "{name}");
    }
}

#[test]
fn la_and_hem_are_smalr_without_mclm_in_every_sweep() {
    for entry in std::fs::read_dir(configs().join("sweeps")).expect("the folder of sweeps") {
        let plan = Plan::load(&entry.expect("an entry").path(), &[]).expect("a good sweep");
        for trial in plan.trials.iter().filter(|trial| trial.config.family() == FamilyName::Smalr) {
            let name = &trial.name[..];
            let is = |model: &str| name == model || name.starts_with(&format!("{model},"));
            let plain = losses(&trial.config);
            if name.contains("alone") {
                assert_eq!(plain, ALONE, "{name}");
            } else if is("LA") || is("HEM") {
                assert_eq!(plain, HEM, "{name}");
            } else if name == "SMALR" {
                assert_eq!(plain, SMALR, "{name}");
            }
        }
    }
}

#[test]
fn the_papers_configurations_make_the_papers_updates() {
    // 29,000 pictures with five captions, and MSCOCO's 123,287 less 1,000 and 1,000.
    for name in ["smalr-multi30k.toml", "hem-multi30k.toml", "la-multi30k.toml"] {
        assert_eq!(updates(&load(name), 29_000, 5), 6_440, "{name}");
    }
    assert_eq!(updates(&load("smalr-mscoco.toml"), 121_287, 5), 26_940);
    // The recommended configuration counts pictures.
    assert_eq!(updates(&load("multi30k-8k.toml"), 5_993, 5), 24 * 46);
    for sweep in ["multi30k.toml", "mscoco.toml"] {
        let plan = Plan::load(&configs().join("sweeps").join(sweep), &[]).expect("a good sweep");
        let (pictures, expected) = if sweep == "mscoco.toml" { (121_287, 26_940) } else { (29_000, 6_440) };
        for trial in plan.trials.iter().filter(|trial| ["LA", "HEM", "SMALR"].contains(&&trial.name[..])) {
            assert_eq!(updates(&trial.config, pictures, 5), expected, "{sweep}: {}", trial.name);
        }
    }
}

#[test]
fn smalr_has_the_papers_parameters() {
    // Ten languages, 5,000 own words of 50 numbers each, 2,048 features.
    let smalr = load("smalr-multi30k.toml");
    assert_eq!((smalr.embedding().latents, smalr.embedding().top_k), (40_000, 5_000));
    let (training, test) = parameters(&smalr, 2048, 15_600);
    assert!(training < 20_000_000, "15,600 of the 40,000 latent tokens fit: {training}");
    assert!((test as f64 / 1e6 - 7.1).abs() < 0.1, "{test}");
    assert!(parameters(&smalr, 2048, 40_000).0 > 20_000_000, "the paper drops those that no word uses");
    // With an LSTM and heads of MCLM's own 7,000 are too many.
    let set = ["loss.mclm.encoder=own".parse().expect("a setting")];
    let own = Config::load(&configs().join("smalr-multi30k.toml"), &set).expect("a good configuration");
    assert!(parameters(&own, 2048, 7_000).0 > 20_000_000);
    // HEM has neither of MCLM's two heads, nor [MASK]; LA no words of its own.
    let (hem, _) = parameters(&load("hem-multi30k.toml"), 2048, 15_600);
    let head = 1024 * 1024 + 1024;
    assert_eq!(training - hem, 2 * head + 512);
    let (la, test) = parameters(&load("la-multi30k.toml"), 2048, 15_600);
    assert_eq!(hem - la, 10 * (5_000 * 50 + 50 * 512 + 512));
    assert!((test as f64 / 1e6 - 7.1).abs() < 0.1, "{test}");
}
