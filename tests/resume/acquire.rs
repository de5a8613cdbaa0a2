//! Multilingual acquisition in two stages: stopped and resumed to the same bits, on any number of threads.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::Result;
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::mla::train::Acquisition;
use tinyglot::run::MlaRun;
use tinyglot::run::start::Place;
use tinyglot::train::Trainer;
use tinyglot::train::{End, Event};

use crate::acquisition::write;
use crate::assert_same;

/// Two stages of 2 passes, 6 steps each.
const SHORT: [&str; 2] = ["acquire.nlt.epochs=2", "acquire.le.epochs=2"];
const STEPS: usize = 24;

fn config(folder: &Path) -> Config {
    let settings: Vec<String> = SHORT.iter().map(|s| s.to_string()).collect();
    Config::load(&folder.join("config.toml"), &settings).expect("a good configuration")
}

/// Begins a run, or goes on with it, as a new process would.
fn train(folder: &Path, name: &str, stop: Option<usize>) -> Result<End> {
    let config = config(folder);
    let corpus = Corpus::load(config.data(), config.base())?;
    let path = folder.join(name);
    let resumed = path.exists();
    let run = match resumed {
        true => MlaRun::go_on(&path, &config, &corpus)?,
        false => MlaRun::begin(&config, &corpus, Place::new(&path)?)?,
    };
    let learner = Acquisition::new(&run.config, &corpus, run.mla)?;
    let mut trainer = Trainer::new(&run.config, &run.folder, learner);
    if resumed {
        trainer.resume()?;
    }
    assert_eq!(trainer.steps(), STEPS);
    let flag = AtomicBool::new(false);
    trainer.run(&flag, &mut |event| {
        if let Event::Step { step, .. } = event {
            flag.store(stop.is_some_and(|last| step >= last), Ordering::Relaxed);
        }
    })
}

#[test]
fn acquisition_goes_on_to_the_same_bits_from_within_and_between_its_stages() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    assert_eq!(train(folder.path(), "straight", None).unwrap(), End::Finished);
    // Within the first stage, at its end, at the first step of the second, within it.
    for stop in [4, 12, 13, 20] {
        assert_eq!(train(folder.path(), "broken", Some(stop)).unwrap(), End::Interrupted);
    }
    assert_eq!(train(folder.path(), "broken", None).unwrap(), End::Finished);
    assert_same(&folder.path().join("straight"), &folder.path().join("broken"));
}

#[test]
fn threads_do_not_change_a_bit_of_an_acquisition() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let folder = TempDir::new().expect("a folder");
        write(folder.path());
        pool.install(|| train(folder.path(), "run", None)).unwrap();
        folder
    };
    let (one, more) = (on(1), on(5));
    assert_same(&one.path().join("run"), &more.path().join("run"));
}

#[test]
fn other_translations_or_another_configuration_are_refused_when_a_run_goes_on() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    train(folder.path(), "run", Some(3)).unwrap();
    let file = folder.path().join("data/train.fr");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("rouge", "bleu", 1)).unwrap();
    let error = train(folder.path(), "run", None).unwrap_err().to_string();
    assert!(error.contains("are not those the run was begun with"), "{error}");
    fs::write(&file, text).unwrap();
    let path = folder.path().join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("hidden = 12", "hidden = 13")).unwrap();
    let error = train(folder.path(), "run", None).unwrap_err();
    assert_eq!(error.exit_status(), 3);
    assert!(error.to_string().contains("other values of `acquire.hidden`"), "{error}");
}
