//! What the configurations of SMALR's rivals claim of their papers and code.

use std::path::{Path, PathBuf};

use tinyglot::config::{Config, DriftCentre, EmbeddingKind, LossConfig, Mining, RawConfig, Schedule, Unseen};
use tinyglot::config::{Distance, EpochUnit, NeighbourhoodConfig};
use tinyglot::sweep::Plan;

fn file(name: &str) -> PathBuf {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder");
    Path::new(&root).join("configs").join(name)
}

fn load(name: &str) -> Config {
    Config::load(&file(&format!("rivals/{name}.toml")), &[]).expect("a good configuration")
}

/// The configuration of a sweep's variant.
fn variant(sweep: &str, name: &str) -> Config {
    let plan = Plan::load(&file(&format!("sweeps/{sweep}.toml")), &[]).expect("a good sweep");
    let trial = plan.trials.into_iter().find(|trial| trial.name == name);
    trial.unwrap_or_else(|| panic!("no `{name}` in `{sweep}`")).config
}

/// Every word has a vector of its own; no latent tokens, and no other words.
fn assert_own_words(config: &Config, word_width: usize) {
    let e = config.embedding();
    assert_eq!((e.kind, e.latents, e.unseen), (EmbeddingKind::Hybrid, 0, Unseen::Drop));
    assert!(e.top_k >= 1_000_000 && e.train_words);
    assert_eq!(e.word_width, word_width);
}

/// The losses of MULE's code; `lambda` is λ3.
fn assert_losses_of_mule(loss: &LossConfig, lambda: f32) {
    let triplet = &loss.triplet;
    assert_eq!((triplet.distance, triplet.mining), (Distance::Euclidean, Mining::TopN));
    assert_eq!((triplet.margin, triplet.top_n, triplet.sentence_anchor), (0.05, 10, 1.5));
    assert_eq!(loss.neighbourhood, NeighbourhoodConfig { words: 1.0, sentences: 1.0, within: 0.05 });
    assert_eq!((loss.word_drift, loss.word_drift_centre), (5e-7, DriftCentre::Epoch));
    assert_eq!((loss.adversary.weight, loss.adversary.reversal), (lambda, lambda));
    assert_no_mclm(loss);
}

fn assert_no_mclm(loss: &LossConfig) {
    assert_eq!((loss.mclm.average, loss.mclm.lstm, loss.mclm.masked_triplet), (0.0, 0.0, 0.0));
}

#[test]
fn mule_has_the_losses_rates_and_sizes_of_its_code() {
    for (config, lambda, tokens) in [(load("mule-multi30k"), 1e-6, 40), (load("mule-mscoco"), 1e-5, 60)] {
        assert_losses_of_mule(config.loss(), lambda);
        assert_own_words(&config, 0);
        let (train, align) = (config.train(), &config.embedding().align);
        assert_eq!((train.learning_rate, train.schedule, train.clip), (1e-4, Schedule::Constant, 0.0));
        assert_eq!((train.images, train.epochs, train.epoch_unit), (450, 20, EpochUnit::Captions));
        assert_eq!(train.average, 0.0);
        assert!(config.data().languages.iter().all(|language| train.captions[language] == 2));
        assert_eq!((align.epochs, align.learning_rate), (5, 1e-4));
        assert_eq!((config.text().hidden, config.words().max_tokens), (1024, tokens));
        assert_eq!((config.image().hidden, config.image().dropout), (2048, 0.5));
    }
}

#[test]
fn mule_at_the_small_size_has_its_losses_and_the_batches_of_the_others() {
    let recommended = Config::load(&file("multi30k-8k.toml"), &[]).expect("a good configuration");
    for (name, word_width) in
        [("mule", 0), ("dictionary", 0), ("threshold", 0), ("pca", RawConfig::default().embedding.word_width)]
    {
        let config = load(&format!("{name}-multi30k-8k"));
        assert_losses_of_mule(config.loss(), 1e-6);
        assert_own_words(&config, word_width);
        let (train, others) = (config.train(), recommended.train());
        assert_eq!((train.learning_rate, train.schedule), (others.learning_rate, others.schedule));
        assert_eq!(
            (train.images, train.epochs, train.average),
            (others.images, others.epochs, others.average)
        );
    }
    let (dictionary, threshold) = (load("dictionary-multi30k-8k"), load("threshold-multi30k-8k"));
    assert_eq!((dictionary.words().translate_below, threshold.words().min_count), (5, 5));
    assert!(dictionary.data().dictionary.is_some() && threshold.data().dictionary.is_none());
}

#[test]
fn embn_and_its_kin_have_neither_adversary_nor_alignment() {
    for (name, languages, between) in [("embn", 1, 0.0), ("translate", 1, 0.0), ("pairwise", 2, 1.0)] {
        let config = load(&format!("{name}-multi30k-8k"));
        assert_own_words(&config, 0);
        assert_eq!((config.data().languages.len(), config.embedding().align.epochs), (languages, 0));
        let loss = config.loss();
        assert_eq!(loss.triplet.distance, Distance::Euclidean);
        assert_eq!(loss.neighbourhood, NeighbourhoodConfig { words: 0.0, sentences: between, within: 0.05 });
        assert_eq!((loss.adversary.weight, loss.word_drift), (0.0, 0.0));
        assert_no_mclm(loss);
    }
}

#[test]
fn translated_queries_of_three_languages_are_the_english_lines() {
    let config = load("translate-multi30k-8k");
    let asked: Vec<_> = config.data().captions.iter().filter(|source| source.read_as.is_some()).collect();
    let languages: Vec<&str> = asked.iter().flat_map(|s| &s.languages).map(String::as_str).collect();
    assert_eq!(languages, ["de", "fr", "cs"]);
    for source in asked {
        assert_eq!(source.read_as.as_deref(), Some("en"));
        assert_eq!(source.files, ["task1/{split}.en"]);
    }
}

/// Loss, rate and clipping of LIWE's code.
fn assert_liwe(config: &Config, characters: usize, pairs_with_english: f32) {
    let (e, loss) = (config.embedding(), config.loss());
    assert_eq!((e.kind, e.width), (EmbeddingKind::Characters, 300));
    assert_eq!((e.characters.width, e.characters.length, e.characters.min_count), (characters, 26, 4));
    assert_eq!(e.characters.hidden, [384, 448]);
    let text = config.text();
    assert_eq!((text.hidden, text.joint, text.bidirectional, text.projection), (1024, 1024, true, false));
    let triplet = &loss.triplet;
    assert_eq!((triplet.mining, triplet.margin, triplet.sentence_anchor), (Mining::SumToHardest, 0.2, 1.0));
    assert_eq!((triplet.beta, triplet.text_beta, triplet.distance), (0.991, 0.91, Distance::Cosine));
    let sentences = pairs_with_english;
    assert_eq!(loss.neighbourhood, NeighbourhoodConfig { words: 0.0, sentences, within: 0.0 });
    assert_eq!((loss.adversary.weight, loss.word_drift), (0.0, 0.0));
    assert_no_mclm(loss);
    let train = config.train();
    assert_eq!((train.images, train.learning_rate, train.clip), (128, 6e-4, 2.0));
    assert_eq!((train.schedule, train.decay_every, train.decay), (Schedule::Steps, 10_000, 0.1));
}

#[test]
fn liwe_has_the_loss_and_rate_of_its_code() {
    assert_liwe(&load("liwe-multi30k-8k"), 24, 3.0);
    for sweep in ["multi30k", "mscoco"] {
        for (name, characters) in [("S-LIWE", 24), ("L-LIWE", 120)] {
            let config = variant(sweep, name);
            assert_liwe(&config, characters, 9.0);
            assert!(config.train().captions.values().all(|&captions| captions == 1));
            assert_eq!(config.train().epochs, 30);
        }
    }
}

#[test]
fn figure_3_has_every_way_to_reduce_the_vocabulary_of_mule() {
    for (sweep, lambda) in [("multi30k", 1e-6), ("mscoco", 1e-5)] {
        let mule = variant(sweep, "MULE");
        assert_eq!(mule.raw(), load(&format!("mule-{sweep}")).raw());
        for width in [200, 100, 50] {
            let config = variant(sweep, &format!("PCA, {width}-D"));
            assert_own_words(&config, width);
            assert_losses_of_mule(config.loss(), lambda);
        }
        for t in [2, 5, 10, 20, 50] {
            let threshold = variant(sweep, &format!("threshold, t = {t}"));
            assert_eq!((threshold.words().min_count, threshold.words().translate_below), (t, 0));
            let dictionary = variant(sweep, &format!("dictionary, t = {t}"));
            assert_eq!((dictionary.words().min_count, dictionary.words().translate_below), (1, t));
            assert_eq!(dictionary.words().translate_into, "en");
            assert_eq!(dictionary.data().dictionary.as_deref(), Some("../dictionaries/{language}-en.txt"));
            for config in [&threshold, &dictionary] {
                assert_own_words(config, 0);
                assert_losses_of_mule(config.loss(), lambda);
            }
        }
    }
    assert_losses_of_mule(variant("budget-multi30k-8k", "MULE").loss(), 1e-6);
}
