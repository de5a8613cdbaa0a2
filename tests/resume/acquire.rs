//! Multilingual acquisition in two stages: stopped and resumed to the same bits, on any number of threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::Result;
use tinyglot::checkpoint::metrics;
use tinyglot::checkpoint::metrics::MetricsLine;
use tinyglot::checkpoint::{Earlier, ReservedFolder};
use tinyglot::checkpoint::{TrainState, Which};
use tinyglot::config::Config;
use tinyglot::corpus::{Corpus, SplitName};
use tinyglot::family::mla::Way;
use tinyglot::family::mla::learner::MlaLearner;
use tinyglot::family::mla::run::MlaRun;
use tinyglot::grow::Addition;
use tinyglot::optim::Adam;
use tinyglot::retrieve::Retriever;
use tinyglot::run::add_language;
use tinyglot::train::Trainer;
use tinyglot::train::{End, Event};

use crate::acquisition::write;
use crate::assert_same;

/// Two stages of 2 passes, 3 steps in each language.
const SHORT: [&str; 2] = ["acquire.nlt.epochs=2", "acquire.le.epochs=2"];
const STEPS: usize = 12;

/// In M-BERT rather than in the tower.
const BERT: [&str; 2] = ["acquire.encoder=bert", "acquire.train_embedding=false"];
/// Translations in the second stage, too.
const BOTH: [&str; 2] = ["acquire.le.nlt.weight=0.5", "acquire.le.nlt.objective=nce"];

fn config(folder: &Path, name: &str) -> Config {
    let more: &[&str] = match name {
        _ if name.ends_with("-bert") => &BERT,
        _ if name.ends_with("-both") => &BOTH,
        _ => &[],
    };
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
        true => MlaRun::go_on(Earlier::open(&path, &config)?, &corpus)?,
        false => MlaRun::begin(&config, &corpus, ReservedFolder::new(&path)?)?,
    };
    let acquired = run.mla.acquirers.len();
    let learner = MlaLearner::new(&run.config, &corpus, run.mla)?;
    let mut trainer = Trainer::new(&run.config, &run.folder, learner);
    if resumed {
        trainer.resume()?;
    }
    assert_eq!(trainer.steps(), STEPS * acquired);
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
    // In its first stage and in its second, which begins after step 18.
    for stop in [7, 25] {
        assert_eq!(train(folder.path(), "broken-bert", Some(stop)).unwrap(), End::Interrupted);
    }
    assert_eq!(train(folder.path(), "broken-bert", None).unwrap(), End::Finished);
    assert_same(&folder.path().join("straight-bert"), &folder.path().join("broken-bert"));
}

#[test]
fn captions_and_translations_in_one_stage_go_on_to_the_same_bits_and_are_told_apart() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    assert_eq!(train(folder.path(), "straight-both", None).unwrap(), End::Finished);
    for stop in [5, 14, 19] {
        assert_eq!(train(folder.path(), "broken-both", Some(stop)).unwrap(), End::Interrupted);
    }
    assert_eq!(train(folder.path(), "broken-both", None).unwrap(), End::Finished);
    assert_same(&folder.path().join("straight-both"), &folder.path().join("broken-both"));
    assert_eq!(train(folder.path(), "straight", None).unwrap(), End::Finished);
    let model = |run: &str| {
        fs::read(folder.path().join(run).join("checkpoints/latest/model.safetensors")).expect("read")
    };
    assert!(model("straight") != model("straight-both"), "the translations have a part");
    let lines = metrics::read(&folder.path().join("straight-both/metrics.jsonl")).unwrap();
    let steps = lines.iter().filter_map(|line| match line {
        MetricsLine::Step(step) => Some(step),
        MetricsLine::Validation(_) => None,
    });
    let mut seen = 0;
    for step in steps {
        let names: Vec<&str> = step.terms.iter().map(|(name, _)| &name[..]).collect();
        if step.step <= 12 {
            assert_eq!(names, ["nlt"], "step {}", step.step);
            continue;
        }
        assert_eq!(names, ["le", "nlt"], "step {}", step.step);
        let (le, nlt) = (&step.terms[0].1, &step.terms[1].1);
        assert!(le.weighted == le.raw && (nlt.weighted - 0.5 * nlt.raw).abs() < 1e-6 && nlt.raw > 0.0);
        assert!((step.loss - le.weighted - nlt.weighted).abs() < 1e-5, "step {}", step.step);
        seen += 1;
    }
    assert_eq!(seen, 2, "steps 20 and 24");
}

/// Before English went through M-BERT, it went the tower's way: such a run is read, and goes on, as it was.
#[test]
fn a_cross_modal_run_with_english_of_the_tower_goes_on_as_it_was() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    let path = folder.path().join("old-bert");
    let config = config(folder.path(), "old-bert");
    let corpus = Corpus::load(config.data(), config.base()).unwrap();
    let mut run = MlaRun::begin(&config, &corpus, ReservedFolder::new(&path).unwrap()).unwrap();
    assert!(run.mla.remove("en"));
    run.info.parameters.retain(|(part, _)| part != "acquirer.en");
    let first = (&Adam::new(config.train(), 1), &BTreeMap::new());
    run.folder.save(Which::Latest, &mut run.mla, Some(first), &TrainState::start()).unwrap();
    run.folder.write_info(&run.info).unwrap();
    // One writes at a time.
    drop(run);
    assert_eq!(train(folder.path(), "old-bert", Some(15)).unwrap(), End::Interrupted);
    assert_eq!(train(folder.path(), "old-bert", None).unwrap(), End::Finished);
    let mut run = MlaRun::open(&path, &[]).unwrap();
    assert_eq!(run.mla.way("en"), Some(Way::Tower));
    assert_eq!(run.mla.acquirers.len(), 2);
    let english = |run: &mut MlaRun| {
        let all = run.evaluate(&corpus, tinyglot::eval::Scope::whole(SplitName::Test)).unwrap().languages;
        all.iter().find(|(language, _)| language == "en").expect("English").1.mr
    };
    assert!(english(&mut run) > 99.0, "the pictures' vectors are those of the English captions");
    // A run of today that has lost its English is damaged, and is not taken for an old one.
    train(folder.path(), "new-bert", Some(3)).unwrap();
    let earlier = || Earlier::open(&folder.path().join("new-bert"), &config).unwrap();
    let mut run = MlaRun::go_on(earlier(), &corpus).unwrap();
    assert!(run.mla.remove("en"));
    run.folder.save(Which::Latest, &mut run.mla, Some(first), &TrainState::start()).unwrap();
    drop(run);
    let error = MlaRun::go_on(earlier(), &corpus).err().expect("refused");
    assert!(error.to_string().contains("`acquirer.en.0.inner.weight` is missing"), "{error}");
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
    add_language(&addition, &mut |_, _, _, _| Ok(()), tell).map(drop)
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
    let run = MlaRun::begin(&base, &corpus, ReservedFolder::new(&path("base")).unwrap()).unwrap();
    let learner = MlaLearner::new(&run.config, &corpus, run.mla).unwrap();
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
