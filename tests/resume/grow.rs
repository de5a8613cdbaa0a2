//! Languages added to a run of words: stopped or killed, and resumed, to the same bits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tinyglot::Result;
use tinyglot::checkpoint::metrics::MetricsLine;
use tinyglot::checkpoint::{RunFolder, metrics};
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::grow::Addition;
use tinyglot::run::add_language;
use tinyglot::train::Event;

use crate::{Place, copy, resume};

/// 40 pictures in batches of 8: 2 passes of 5 steps in the alignment, the training, and unfrozen.
const FRENCH: &str = "\
[data]
languages = ['fr']
[[data.captions]]
languages = ['fr']
files = ['captions/{split}.1.fr', 'captions/{split}.2.fr']
[grow]
top_k = 10
word_width = 6
rank = 2
epochs = 2
least_steps = 0
images = 8
negatives = 12
views = 2
unfrozen_epochs = 2
unfrozen_learning_rate = 1e-3
align.epochs = 2
";

/// Steps of the trainings: on 30 sentences, on all, unfrozen.
const CURVE: usize = 4;
const ALL: usize = 20;
const UNFROZEN: usize = 10;

/// Adds French, or goes on with it, as a new process would; `told` hears of each step of so many, and says whether to stop.
fn add(place: &Place, out: &Path, resume: bool, told: &mut dyn FnMut(usize, usize) -> bool) -> Result<()> {
    let set = format!("data.root={}", place.folder.path().join("data").display());
    let given = Config::load_addition(&place.folder.path().join("fr.toml"), &[set])?;
    let flag = AtomicBool::new(false);
    let addition =
        Addition { run: &place.run(), given: &given, cache: None, curve: &[30], out, resume, stop: &flag };
    let tell = &mut |event: Event| {
        if let Event::Step { step, steps, .. } = event {
            flag.store(told(steps, step), Ordering::Relaxed);
        }
    };
    add_language(&addition, &mut |_, _, _, _| Ok(()), tell).map(drop)
}

/// A run on three languages whose training is over, and how a fourth is added.
fn trained() -> Place {
    // A classifier of languages would have no class for the new one.
    let place = Place::with(&["loss.adversary.weight=0.0"]);
    resume(&place.run()).expect("a training");
    fs::write(place.folder.path().join("fr.toml"), FRENCH).expect("written");
    place
}

/// Every file of a run, without what the clock says.
fn content(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(folder: &Path, from: &Path, to: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(&path, from, to);
                continue;
            }
            let mut bytes = fs::read(&path).expect("read");
            if path.extension().is_some_and(|e| e == "json" || e == "jsonl") {
                let lines = String::from_utf8(bytes).expect("text");
                let line = |line: &str| {
                    let mut json: serde_json::Value = serde_json::from_str(line).expect("JSON");
                    if let Some(all) = json.as_object_mut() {
                        ["seconds", "tokens_per_s"].iter().for_each(|of| drop(all.remove(*of)));
                    }
                    json.to_string() + "\n"
                };
                bytes = match path.extension().is_some_and(|e| e == "jsonl") {
                    true => lines.lines().map(line).collect::<String>().into_bytes(),
                    false => line(&lines).into_bytes(),
                };
            }
            to.insert(path.strip_prefix(from).expect("inside").to_path_buf(), bytes);
        }
    }
    let mut all = BTreeMap::new();
    add(run, run, &mut all);
    all
}

fn assert_whole(run: &Path, expected: &Path, what: &str) {
    let (got, expected) = (content(run), content(expected));
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (file, bytes) in &expected {
        assert!(got[file] == *bytes, "{what}: `{}` differs", file.display());
    }
}

#[test]
fn an_addition_that_was_stopped_or_killed_goes_on_to_the_same_bits() {
    let place = trained();
    let at = |name: &str| place.folder.path().join(name);
    let straight = at("straight");
    // What a kill leaves: the last checkpoints, every 4 steps and at the end of each pass.
    let kills = [(CURVE, 3), (ALL, 6), (ALL, 11), (ALL, 14), (UNFROZEN, 3), (UNFROZEN, 7)];
    add(&place, &straight, false, &mut |steps, step| {
        if kills.contains(&(steps, step)) {
            copy(&straight, &at(&format!("killed-{steps}-{step}")));
        }
        false
    })
    .expect("an addition");
    assert!(!straight.join("learning").exists());
    assert!(content(&straight).contains_key(Path::new("checkpoints/latest/model.safetensors")));
    let lines = metrics::read(&at("killed-10-7/learning/all/metrics.jsonl")).expect("metrics");
    let terms: Vec<Vec<String>> = lines
        .iter()
        .filter_map(|line| match line {
            MetricsLine::Step(step) => Some(step.terms.iter().map(|term| term.0.clone()).collect()),
            MetricsLine::Validation(_) => None,
        })
        .collect();
    assert_eq!(terms.len(), 2, "steps 10 and 20");
    assert_eq!(terms[0], ["align"]);
    assert!(terms[1].contains(&"triplet".to_string()) && terms[1].len() > 2, "{:?}", terms[1]);
    for (steps, step) in kills {
        let (killed, mut first) = (at(&format!("killed-{steps}-{step}")), None);
        add(&place, &killed, true, &mut |steps, step| {
            first.get_or_insert((steps, step));
            false
        })
        .expect("an addition that goes on");
        assert_whole(&killed, &straight, &format!("killed in step {step} of {steps}"));
        let saved = match step {
            3 => 0,
            _ => [(6, 5), (11, 10), (14, 12), (7, 5)].iter().find(|s| s.0 == step).expect("a step").1,
        };
        if steps != CURVE {
            assert_eq!(first, Some((steps, saved + 1)), "it goes on from its checkpoint");
        }
    }
    // In the alignment, between the stages, in the training, at its end; unfrozen, within an epoch and at its end.
    let broken = at("broken");
    let stops = [(CURVE, 1), (ALL, 3), (ALL, 10), (ALL, 17), (ALL, 20), (UNFROZEN, 2), (UNFROZEN, 5)];
    for (n, stop) in stops.into_iter().enumerate() {
        let error = add(&place, &broken, n > 0, &mut |steps, step| (steps, step) == stop).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("stopped after") && said.contains("`--resume` goes on from there"), "{said}");
        assert!(!broken.join("run.json").exists(), "it is no run yet");
    }
    assert_eq!(add(&place, &broken, false, &mut |_, _| false).unwrap_err().exit_status(), 2);
    let file = at("data/captions/train.1.fr");
    let text = fs::read_to_string(&file).expect("text");
    fs::write(&file, text.replacen("un ", "le ", 1)).expect("written");
    let error = add(&place, &broken, true, &mut |_, _| false).unwrap_err().to_string();
    assert!(error.contains("are not those it was begun with"), "{error}");
    fs::write(&file, text).expect("written");
    add(&place, &broken, true, &mut |_, _| false).expect("an addition that goes on");
    assert_whole(&broken, &straight, "stopped");
    // It is done: nothing is trained again.
    add(&place, &broken, true, &mut |_, _| panic!("a step")).expect("done");
}

/// Translations and captions in turn, no validation, no average in the run, words that are all latent or all their own, the run as teacher, and some
/// sentences at a time.
#[test]
fn additions_of_other_kinds_go_on_to_the_same_bits() {
    for (sentences, set) in [
        (0, ["grow.top_k=0", "grow.rank=0"]),
        (0, ["grow.align.epochs=0", "grow.rank=0"]),
        (7, ["grow.align.epochs=0", "grow.epochs=3"]),
        (7, ["grow.neighbourhood=0", "grow.teacher={cosine=1.0, softmax=0.5, mse=2.0, relational=0.1}"]),
    ] {
        let micro_batch = format!("text.micro_batch={sentences}");
        let place = Place::with(&["train.average=0.0", "loss.word_drift=1e-3", &micro_batch]);
        resume(&place.run()).expect("a training");
        let file = place.folder.path().join("fr.toml");
        let captions =
            FRENCH.replace("'captions/{split}.2.fr']", "'captions/{split}.2.fr']\nsplits = ['train']");
        let more = "[[grow.translations]]\nlanguage = 'en'\nknown = 'captions/val.1.en'\nnew = 'captions/val.1.fr'\n";
        let set: String =
            set.iter().map(|s| s.strip_prefix("grow.").expect("a key").to_string() + "\n").collect();
        let keep = |line: &&str| {
            let key = line.split(" =").next().expect("a key");
            !set.contains(&format!("{key}=")) && !key.starts_with("unfrozen")
        };
        let text: String = captions.lines().filter(keep).map(|line| line.to_string() + "\n").collect();
        fs::write(&file, text + &set + more).expect("written");
        let (straight, broken) = (place.folder.path().join("straight"), place.folder.path().join("broken"));
        let mut all = 0;
        add(&place, &straight, false, &mut |steps, _| {
            all = steps;
            false
        })
        .expect("an addition");
        for (n, stop) in [2, all / 2, all - 1].into_iter().enumerate() {
            let stopped = add(&place, &broken, n > 0, &mut |steps, step| steps == all && step == stop);
            assert!(stopped.is_err(), "step {stop} of {all}");
        }
        add(&place, &broken, true, &mut |_, _| false).expect("an addition that goes on");
        assert_whole(&broken, &straight, &set);
    }
}

/// The pairs have French too, which the run does not know yet.
#[test]
fn a_language_joins_a_run_that_learns_from_sentence_pairs() {
    let pairs = "data.pairs=[{languages=['en','de','fr'], files=['captions/train.1.{language}']}]";
    let settings = ["loss.adversary.weight=0.0", pairs, "loss.pairs.weight=0.5", "train.pairs.lines=12"];
    let place = Place::with(&settings);
    resume(&place.run()).expect("a training");
    fs::write(place.folder.path().join("fr.toml"), FRENCH).expect("written");
    let out = place.folder.path().join("grown");
    add(&place, &out, false, &mut |_, _| false).expect("an addition");
    let grown = RunFolder::new(&out);
    assert_eq!(grown.info().unwrap().languages, ["en", "de", "zh", "fr"]);
    let config = grown.config().unwrap();
    assert_eq!((config.data().pairs.len(), config.loss().pairs.weight), (1, 0.5));
    // What was trained on in the end: French pairs too.
    let corpus = Corpus::of(&config).unwrap();
    assert!(corpus.pairs.counts().contains_key(&[0, 3]), "{:?}", corpus.pairs.counts());
}
