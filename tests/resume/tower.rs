//! A tower in training: stopped and resumed to the same bits, on any number of threads.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::Result;
use tinyglot::checkpoint::metrics;
use tinyglot::checkpoint::metrics::MetricsLine;
use tinyglot::checkpoint::{Earlier, ReservedFolder};
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::tower::learner::TowerLearner;
use tinyglot::family::tower::run::TowerRun;
use tinyglot::train::Trainer;
use tinyglot::train::{End, Event};

use crate::acquisition::{write, write_tower};
use crate::assert_same;

/// 8 passes of 3 steps each.
const SHORT: &str = "train.epochs=8";
/// With a temperature that is trained.
const SCALED: &str = "tower.learn_temperature=true";
const STEPS: usize = 24;

/// Begins a run, or goes on with it, as a new process would.
fn train(folder: &Path, name: &str, stop: Option<usize>) -> Result<End> {
    let scaled = name.ends_with("-scaled").then_some(SCALED);
    let settings: Vec<String> = [SHORT].into_iter().chain(scaled).map(String::from).collect();
    let config = Config::load(&folder.join("tower.toml"), &settings)?;
    let corpus = Corpus::load(config.data(), config.base())?;
    let path = folder.join(name);
    let resumed = path.exists();
    let run = match resumed {
        true => TowerRun::go_on(Earlier::open(&path, &config)?, &corpus)?,
        false => TowerRun::begin(&config, &corpus, ReservedFolder::new(&path)?)?,
    };
    let learner = TowerLearner::new(&run.config, &corpus, run.clip);
    let mut trainer = Trainer::new(&run.config, &run.folder, learner);
    if resumed {
        trainer.resume()?;
    }
    assert_eq!(trainer.steps(), STEPS);
    let flag = AtomicBool::new(false);
    let end = trainer.run(&flag, &mut |event| {
        if let Event::Step { step, .. } = event {
            flag.store(stop.is_some_and(|last| step >= last), Ordering::Relaxed);
        }
    })?;
    if end == End::Finished {
        TowerRun::open(&path, &[])?.hand_over(&corpus)?;
    }
    Ok(end)
}

#[test]
fn a_trained_scale_goes_on_to_the_same_bits_and_is_logged() {
    let folder = made();
    let path = |name: &str| folder.path().join(name);
    train(folder.path(), "straight-scaled", None).unwrap();
    train(folder.path(), "broken-scaled", Some(10)).unwrap();
    train(folder.path(), "broken-scaled", None).unwrap();
    assert_same(&path("straight-scaled"), &path("broken-scaled"));
    let logged = metrics::read(&path("straight-scaled").join("metrics.jsonl")).unwrap();
    let scales: Vec<f64> = logged
        .iter()
        .filter_map(|line| if let MetricsLine::Step(step) = line { step.scale } else { None })
        .collect();
    assert!(scales.len() > 2 && scales.iter().all(|s| *s != 10.0), "it moves from 1/0.1: {scales:?}");
    train(folder.path(), "fixed", None).unwrap();
    assert!(!fs::read_to_string(path("fixed").join("metrics.jsonl")).unwrap().contains("\"scale\""));
}

fn made() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    write_tower(folder.path());
    folder
}

#[test]
fn a_tower_goes_on_to_the_same_bits() {
    let folder = made();
    assert_eq!(train(folder.path(), "straight", None).unwrap(), End::Finished);
    // Within an epoch, at its end, after averages, and at a checkpoint.
    for stop in [2, 6, 11, 16, 21] {
        assert_eq!(train(folder.path(), "broken", Some(stop)).unwrap(), End::Interrupted);
    }
    assert_eq!(train(folder.path(), "broken", None).unwrap(), End::Finished);
    let (one, other) = (folder.path().join("straight"), folder.path().join("broken"));
    assert_same(&one, &other);
    for file in ["tower/model.safetensors", "tower/tokenizer.json", "pictures/test.npy"] {
        assert!(fs::read(one.join(file)).unwrap() == fs::read(other.join(file)).unwrap(), "{file}");
    }
}

#[test]
fn threads_do_not_change_a_bit_of_a_tower() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let folder = made();
        pool.install(|| train(folder.path(), "run", None)).unwrap();
        folder
    };
    let (one, more) = (on(1), on(5));
    assert_same(&one.path().join("run"), &more.path().join("run"));
}

#[test]
fn another_tower_is_refused_when_a_run_goes_on() {
    let folder = made();
    train(folder.path(), "run", Some(3)).unwrap();
    let path = folder.path().join("tower.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("heads = 2", "heads = 4")).unwrap();
    let error = train(folder.path(), "run", None).unwrap_err();
    assert_eq!(error.exit_status(), 3);
    assert!(error.to_string().contains("other values of `tower.heads`"), "{error}");
    fs::write(&path, text).unwrap();
    let file = folder.path().join("data/train.en");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("red", "blue", 1)).unwrap();
    let error = train(folder.path(), "run", None).unwrap_err().to_string();
    assert!(error.contains("are not those the run was begun with"), "{error}");
}
