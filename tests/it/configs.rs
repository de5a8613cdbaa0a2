//! The files in `configs/`.

use std::path::{Path, PathBuf};

use tinyglot::config::{Config, LossConfig, RawConfig};
use tinyglot::sweep::Plan;
use toml::{Table, Value};

use crate::{printed, text};

fn files() -> Vec<PathBuf> {
    let entries = |folder: &str| {
        let folder =
            Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder")).join(folder);
        let entries = std::fs::read_dir(folder).expect("the folder of configurations");
        entries.map(|entry| entry.expect("an entry").path())
    };
    let folders = ["", "/cl-clip-align", "/etcl", "/grow", "/mla", "/mural", "/rivals", "/teacher"]
        .map(|f| format!("configs{f}"));
    let mut files: Vec<_> = folders.iter().flat_map(|folder| entries(folder)).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

#[test]
fn every_config_keeps_every_rule() {
    for file in files() {
        printed(&["config", "show", text(&file)]);
    }
}

#[test]
fn every_config_opens_with_its_command_and_expected_score() {
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("read");
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
        for word in ["tinyglot ", "xpected", "uration"] {
            assert!(
                head.iter().any(|line| line.contains(word)),
                "`{}` has no `{word}` on top",
                file.display()
            );
        }
    }
}

#[test]
fn every_config_holds_only_what_differs_from_the_defaults() {
    let defaults = toml::to_string(&RawConfig::default()).expect("TOML").parse().expect("TOML");
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("read");
        let repeated = repeated("", &text.parse().expect("TOML"), &defaults);
        assert!(repeated.is_empty(), "`{}` repeats the default of {repeated:?}", file.display());
    }
}

/// The keys of `table` with the value that they have in `defaults`.
fn repeated(path: &str, table: &Table, defaults: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in table {
        let path = format!("{path}/{key}");
        match (value, defaults.get(key)) {
            (Value::Table(table), Some(Value::Table(defaults))) => {
                found.extend(repeated(&path, table, defaults))
            }
            (value, Some(default)) if number(value).is_some() && number(value) == number(default) => {
                found.push(path)
            }
            (value, default) if Some(value) == default => found.push(path),
            _ => {}
        }
    }
    found
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

#[test]
fn paper_configs_have_the_settings_of_the_paper() {
    let load = |name: &str| {
        let file = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
            .join("configs")
            .join(name);
        Config::load(&file, &[]).expect("a good configuration")
    };
    let (smalr, coco) = (load("smalr-multi30k.toml"), load("smalr-mscoco.toml"));
    let (la, hem) = (load("la-multi30k.toml"), load("hem-multi30k.toml"));
    for config in [&smalr, &coco, &la, &hem] {
        assert_eq!(config.data().languages.len(), 10);
        assert_eq!((config.embedding().latents, config.embedding().word_width), (40_000, 50));
        assert_eq!(
            (config.train().images, config.train().epochs, config.train().learning_rate),
            (450, 20, 1e-3)
        );
        assert!(config.data().languages.iter().all(|language| config.train().captions[language] == 2));
        let triplet = &config.loss().triplet;
        assert_eq!((triplet.margin, triplet.top_n, triplet.sentence_anchor), (0.05, 10, 1.5));
    }
    assert_eq!((smalr.embedding().top_k, hem.embedding().top_k, la.embedding().top_k), (5000, 5000, 0));
    for config in [&smalr, &coco] {
        let loss = config.loss();
        assert_eq!((loss.mclm.average, loss.mclm.lstm, loss.mclm.mask), (1e-4, 1e-4, 0.2));
        assert_eq!(
            (loss.adversary.weight, loss.neighbourhood.words, loss.neighbourhood.sentences),
            (1e-6, 0.05, 0.05)
        );
    }
    // HEM is SMALR without MCLM.
    let without = |config: &Config| LossConfig { mclm: Default::default(), ..config.loss().clone() };
    assert_eq!((hem.loss(), la.loss()), (&without(&smalr), &without(&smalr)));
    assert_eq!((smalr.words().max_tokens, coco.words().max_tokens), (40, 60));
}

#[test]
fn every_sweep_stands_for_trials_that_keep_every_rule() {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("configs/sweeps");
    let mut sizes = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder of sweeps") {
        let file = entry.expect("an entry").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let plan = Plan::load(&file, &[]).expect("a good sweep");
        let text = std::fs::read_to_string(&file).expect("read");
        assert!(
            text.contains(&format!("tinyglot sweep configs/sweeps/{name}")),
            "`{name}` has no command on top"
        );
        let told = text.contains("# Expected: ") || text.contains("benches/RESULTS.md");
        assert!(told, "`{name}` does not say what is expected of it");
        sizes.insert(name, plan.trials.len());
    }
    for (name, least) in [("budget-multi30k-8k.toml", 24), ("multi30k.toml", 12), ("mscoco.toml", 12)] {
        assert!(sizes.get(name) >= Some(&least), "{name}: {sizes:?}");
    }
}
