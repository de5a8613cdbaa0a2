//! A multilingual encoder in training: stopped and resumed to the same bits, on any number of threads.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::Result;
use tinyglot::checkpoint::{Earlier, ReservedFolder, RunFolder};
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::contrastive::{ContrastiveLearner, ContrastiveRun};
use tinyglot::grow::Addition;
use tinyglot::run::add_language;
use tinyglot::train::{End, Event, Trainer};

use crate::acquisition::write;
use crate::assert_same;
use crate::contrastive_config::write_contrastive;

/// 8 passes of 3 steps each; the encoder is thawed after the second.
const STEPS: usize = 24;

/// Nothing that would change what the encoder reads.
const FROZEN: [&str; 3] = ["text.dropout=0", "text.word_dropout=0", "contrastive.micro_batch=0"];

/// Begins a run, or goes on with it, as a new process would.
fn train(folder: &Path, name: &str, set: &[&str], stop: Option<usize>) -> Result<End> {
    let settings: Vec<String> = ["train.epochs=8"].iter().chain(set).map(|s| s.to_string()).collect();
    let config = Config::load(&folder.join("contrastive.toml"), &settings)?;
    let corpus = Corpus::load(config.data(), config.base())?;
    let path = folder.join(name);
    let resumed = path.exists();
    let run = match resumed {
        true => ContrastiveRun::go_on(Earlier::open(&path, &config)?, &corpus)?,
        false => ContrastiveRun::begin(&config, &corpus, ReservedFolder::new(&path)?)?,
    };
    let learner = ContrastiveLearner::new(&run.config, &corpus, run.model);
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
        ContrastiveRun::open(&path, &[])?.hand_over(&corpus)?;
    }
    Ok(end)
}

fn made() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    write_contrastive(folder.path());
    folder
}

#[test]
fn an_encoder_goes_on_to_the_same_bits() {
    let rotation = [
        "contrastive.captions=rotation",
        "contrastive.triple.weight=0",
        "train.pairs.draw=pair",
        "train.optimizer=lamb",
    ];
    let heads = [&FROZEN[..], &["contrastive.train=nothing"]].concat();
    for set in [&["train.average=0.9"][..], &rotation, &heads] {
        let folder = made();
        assert_eq!(train(folder.path(), "straight", set, None).unwrap(), End::Finished);
        // Before the encoder is thawed, in the step before it and in the one that does it, within an epoch and at its end.
        for stop in [1, 2, 3, 6, 11, 16, 21] {
            assert_eq!(train(folder.path(), "broken", set, Some(stop)).unwrap(), End::Interrupted);
        }
        assert_eq!(train(folder.path(), "broken", set, None).unwrap(), End::Finished);
        let (one, other) = (folder.path().join("straight"), folder.path().join("broken"));
        assert_same(&one, &other);
        for file in ["encoder/tokenizer.json", "sentence_transformer/model.safetensors", "pictures/test.npy"]
        {
            assert!(fs::read(one.join(file)).unwrap() == fs::read(other.join(file)).unwrap(), "{file}");
        }
    }
}

/// States that are kept are those that would be computed again.
#[test]
fn heads_on_a_frozen_encoder_learn_the_same_with_kept_states() {
    let folder = made();
    let vectors = |name: &str, set: &str| {
        train(folder.path(), name, &[&FROZEN[..], &[set]].concat(), None).unwrap();
        let run = ContrastiveRun::open(&folder.path().join(name), &[]).unwrap();
        run.model.encode(&run.model.tokens("de", &["ein roter Hund", "blaues Haus"]).ids)
    };
    let (kept, again) =
        (vectors("kept", "contrastive.train=nothing"), vectors("again", "contrastive.frozen_epochs=99"));
    assert_eq!(kept, again);
}

#[test]
fn threads_do_not_change_a_bit_of_an_encoder() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let folder = made();
        pool.install(|| train(folder.path(), "run", &[], None)).unwrap();
        folder
    };
    let (one, more) = (on(1), on(5));
    assert_same(&one.path().join("run"), &more.path().join("run"));
}

#[test]
fn a_run_begins_with_the_weights_of_another() {
    let folder = made();
    train(folder.path(), "first", &[], None).unwrap();
    let start = format!("contrastive.start={}", folder.path().join("first").display());
    let set = [&start[..], "contrastive.fresh.layers=0", "train.learning_rate=1e-12"];
    train(folder.path(), "second", &set, None).unwrap();
    let open = |name: &str| ContrastiveRun::open(&folder.path().join(name), &[]).unwrap().model;
    let (first, second) = (open("first"), open("second"));
    let texts = ["ein roter Hund", "la maison bleue"];
    let of =
        |model: &tinyglot::family::contrastive::Contrastive| model.encode(&model.tokens("de", &texts).ids);
    let far = of(&first).iter().zip(of(&second)).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(far < 1e-5, "{far}");
    // Layers that the other run does not have.
    let other = [&start[..], "contrastive.fresh.layers=0", "contrastive.shared_head=true"];
    let error = train(folder.path(), "third", &other, None).unwrap_err().to_string();
    assert!(
        error.contains("is not a parameter of this model\nhint: the runs' encoders and layers must be alike"),
        "{error}"
    );
    assert!(!folder.path().join("third").exists());
}

#[test]
fn parameters_are_counted_before_anything_is_made() {
    let folder = made();
    let xlmr = format!("contrastive.checkpoint={}", crate::acquisition::checkpoint("xlmr").display());
    let sentence = format!("contrastive.checkpoint={}", crate::acquisition::checkpoint("sentence").display());
    let sets: [&[&str]; 5] = [
        &["contrastive.head_layers=2"],
        &["contrastive.shared_head=true", "contrastive.pictures=linear", "contrastive.train=blocks"],
        &["contrastive.train=tokens"],
        &[&xlmr, "contrastive.fresh.layers=0", "contrastive.train=nothing"],
        &[&sentence, "contrastive.fresh.layers=0"],
    ];
    for (n, set) in sets.into_iter().enumerate() {
        let set: Vec<String> = set.iter().map(|s| s.to_string()).collect();
        let config = Config::load(&folder.path().join("contrastive.toml"), &set).unwrap();
        let corpus = Corpus::load(config.data(), config.base()).unwrap();
        let counted = tinyglot::family::of(&config).count(&config, &corpus).unwrap().estimate(&config);
        let place = ReservedFolder::new(&folder.path().join(n.to_string())).unwrap();
        let made = ContrastiveRun::begin(&config, &corpus, place).unwrap().parameters;
        assert_eq!(counted.parameters, Some((made.train as usize, made.test as usize)), "{set:?}");
        assert!(counted.memory.is_some() && counted.products > Some(0.0));
        // 3 steps a pass over 36 pictures, 30 passes.
        assert_eq!(counted.updates, Some(90), "{set:?}");
    }
}

/// Adds French, or goes on with it, as a new process would; stops after a step.
fn add(folder: &Path, out: &Path, resume: bool, stop: Option<usize>) -> Result<()> {
    let set = format!("data.root={}", folder.join("data").display());
    let given = Config::load_addition(&folder.join("fr.toml"), &[set])?;
    let flag = AtomicBool::new(false);
    let run = folder.join("base");
    let addition = Addition { run: &run, given: &given, cache: None, curve: &[], out, resume, stop: &flag };
    let tell = &mut |event: Event| {
        if let Event::Step { step, .. } = event {
            flag.store(stop.is_some_and(|last| step >= last), Ordering::Relaxed);
        }
    };
    add_language(&addition, &mut |_, _, _, _| Ok(()), tell).map(drop)
}

#[test]
fn a_language_that_joins_an_encoder_goes_on_to_the_same_bits() {
    let folder = made();
    let pairs = "data.pairs=[{languages=['en', 'de'], files=['train.{language}']}]";
    let captions = "data.captions=[{languages=['en', 'de'], files=['{split}.{language}']}]";
    train(folder.path(), "base", &["data.languages=['de', 'en']", pairs, captions], None).unwrap();
    let french =
        "[data]\nlanguages = ['fr']\n[[data.captions]]\nlanguages = ['fr']\nfiles = ['{split}.fr']\n";
    let translations = "[[grow.translations]]\nlanguage = 'en'\nknown = 'train.en'\nnew = 'train.fr'\n";
    // With pictures and translations, with pictures, and with translations alone.
    let measured = french.replace("'{split}.fr']", "'{split}.fr']\nsplits = ['val', 'test']");
    for (n, text) in [format!("{french}{translations}"), french.into(), format!("{measured}{translations}")]
        .into_iter()
        .enumerate()
    {
        fs::write(folder.path().join("fr.toml"), text + "[grow.contrast]\nepochs = 4\n").expect("written");
        let path = |name: &str| folder.path().join(format!("{name}{n}"));
        let (straight, broken) = (path("straight"), path("broken"));
        add(folder.path(), &straight, false, None).unwrap();
        for (n, stop) in [2, 7].into_iter().enumerate() {
            let error = add(folder.path(), &broken, n > 0, Some(stop)).unwrap_err().to_string();
            assert!(error.contains("stopped after step"), "{error}");
        }
        add(folder.path(), &broken, true, None).unwrap();
        let model = |run: &Path| fs::read(run.join("checkpoints/best/model.safetensors")).unwrap();
        assert!(model(&broken) == model(&straight), "addition {n}");
        assert_eq!(RunFolder::new(&broken).info().unwrap().languages, ["de", "en", "fr"]);
    }
}
