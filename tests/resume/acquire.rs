//! Multilingual acquisition in two stages: stopped and resumed to the same bits, on any number of threads.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::Result;
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::grow::{Addition, add_language};
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

/// In M-BERT rather than in the tower.
const BERT: [&str; 2] = ["acquire.encoder=bert", "acquire.train_embedding=false"];

fn config(folder: &Path, name: &str) -> Config {
    let more: &[&str] = if name.ends_with("-bert") { &BERT } else { &[] };
    let settings: Vec<String> = SHORT.iter().chain(more).map(|s| s.to_string()).collect();
    Config::load(&folder.join("config.toml"), &settings).expect("a good configuration")
}

/// Begins a run, or goes on with it, as a new process would.
fn train(folder: &Path, name: &str, stop: Option<usize>) -> Result<End> {
    let config = config(folder, name);
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
    assert_eq!(train(folder.path(), "straight-bert", None).unwrap(), End::Finished);
    assert_eq!(train(folder.path(), "broken-bert", Some(15)).unwrap(), End::Interrupted);
    assert_eq!(train(folder.path(), "broken-bert", None).unwrap(), End::Finished);
    assert_same(&folder.path().join("straight-bert"), &folder.path().join("broken-bert"));
}

/// Adds French to a run on German, or goes on with it, as a new process would.
fn add(folder: &Path, out: &str, stop: Option<usize>, resume: bool) -> Result<()> {
    let given = Config::load(&folder.join("fr.toml"), &[])?;
    let flag = AtomicBool::new(false);
    let addition = Addition {
        run: &folder.join("base"),
        given: &given,
        cache: None,
        curve: if out.ends_with("-curve") { &[30] } else { &[] },
        out: &folder.join(out),
        resume,
        stop: &flag,
    };
    let tell = &mut |event: Event| {
        if let Event::Step { step, .. } = event {
            flag.store(stop.is_some_and(|last| step >= last), Ordering::Relaxed);
        }
    };
    add_language(&addition, &mut |_, _, _, _| (), tell).map(drop)
}

#[test]
fn an_addition_goes_on_to_the_same_bits_and_refuses_other_data() {
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    write(folder.path());
    let only = path("config.toml");
    let text = fs::read_to_string(&only).unwrap();
    fs::write(&only, text.replace("languages = ['de', 'en', 'fr']", "languages = ['de', 'en']")).unwrap();
    let base = config(folder.path(), "base");
    let corpus = Corpus::load(base.data(), base.base()).unwrap();
    let run = MlaRun::begin(&base, &corpus, Place::new(&path("base")).unwrap()).unwrap();
    let learner = Acquisition::new(&run.config, &corpus, run.mla).unwrap();
    Trainer::new(&run.config, &run.folder, learner).run(&AtomicBool::new(false), &mut |_| ()).unwrap();
    let fr = "[data]\nroot = 'data'\nlanguages = ['fr']\n[[data.captions]]\nlanguages = ['fr']\n\
              files = ['{split}.fr']\n[[grow.translations]]\nlanguage = 'en'\nknown = 'train.en'\n\
              new = 'train.fr'\n";
    fs::write(path("fr.toml"), fr).unwrap();
    add(folder.path(), "straight", None, false).unwrap();
    let stopped = add(folder.path(), "broken", Some(2), false).unwrap_err().to_string();
    assert!(
        stopped.contains("stopped after step 2 of 12") && stopped.contains("`--resume` goes on"),
        "{stopped}"
    );
    assert!(!path("broken/run.json").exists(), "it is no run yet");
    let again = add(folder.path(), "broken", None, false).unwrap_err();
    assert_eq!(again.exit_status(), 2, "{again}");
    add(folder.path(), "broken", Some(9), true).unwrap_err();
    let file = path("data/train.fr");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("rouge", "bleu", 1)).unwrap();
    let error = add(folder.path(), "broken", None, true).unwrap_err().to_string();
    assert!(error.contains("are not those it was begun with"), "{error}");
    fs::write(&file, text).unwrap();
    add(folder.path(), "broken", None, true).unwrap();
    let acquirer = |run: &str| fs::read(path(run).join("acquirers/fr.safetensors")).expect("read");
    assert!(acquirer("straight") == acquirer("broken"));
    assert!(!path("broken/learning").exists());
    // Stopped within the training on fewer sentences, too.
    add(folder.path(), "straight-curve", None, false).unwrap();
    let stopped = add(folder.path(), "broken-curve", Some(3), false).unwrap_err().to_string();
    assert!(stopped.contains(", with 30 sentences"), "{stopped}");
    add(folder.path(), "broken-curve", None, true).unwrap();
    assert!(acquirer("straight") == acquirer("broken-curve"));
    let curve = |run: &str| {
        let text = fs::read(path(run).join("growth/fr.json")).expect("read");
        serde_json::from_slice::<serde_json::Value>(&text).expect("JSON")["curve"].clone()
    };
    assert!(curve("straight-curve")[0]["mr"][1].is_f64());
    assert_eq!(curve("straight-curve"), curve("broken-curve"));
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
