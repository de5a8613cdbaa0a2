//! Training that stops and goes on: to the same bits, on any number of threads, and from whatever a crash left.

mod acquire;
#[path = "../shared/acquisition.rs"]
mod acquisition;
mod contrastive;
#[path = "../shared/contrastive.rs"]
mod contrastive_config;
mod damage;
mod exact;
mod failure;
#[cfg(feature = "cuda")]
mod gpu;
mod grow;
mod pairs;
mod rivals;
mod teacher;
mod tower;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::checkpoint::metrics;
use tinyglot::checkpoint::metrics::MetricsLine;
use tinyglot::checkpoint::{RunFolder, RunInfo, VERSION, Which};
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::smalr::batch::Captions;
use tinyglot::family::smalr::embedding::encoder::Encoder;
use tinyglot::family::smalr::empty_embedding;
use tinyglot::family::smalr::learner::SmalrLearner;
use tinyglot::family::smalr::model::Model;
use tinyglot::family::smalr::prepare::{encode, prepare};
use tinyglot::optim::Adam;
use tinyglot::scenes::ScenesConfig;
use tinyglot::train::{End, Event, Learner, Trainer};
use tinyglot::{Error, Result, scenes};

/// Everything that keeps a state, in small: 40 pictures, 5 steps an epoch, 6 epochs.
const CONFIG: &str = r#"
seed = 7
[data]
languages = ["en", "de", "zh"]
[[data.captions]]
languages = ["en", "de", "zh"]
files = ["captions/{split}.1.{language}", "captions/{split}.2.{language}"]
[words]
min_count = 2
[words.fasttext]
width = 20
epochs = 2
buckets = 500
[embedding]
top_k = 12
word_width = 8
latents = 30
width = 32
[embedding.align]
epochs = 1
[embedding.pretrain]
epochs = 1
top_m = 5
[text]
hidden = 32
joint = 24
word_dropout = 0.1
dropout = 0.1
[image]
hidden = 40
dropout = 0.2
input = "standard"
input_dropout = 0.1
[loss.info_nce]
weight = 0.5
text_weight = 0.1
[loss.neighbourhood]
words = 0.1
sentences = 0.1
within = 0.1
[loss.mclm]
average = 0.1
lstm = 0.1
masked_triplet = 0.5
[loss.adversary]
weight = 0.01
[train]
epochs = 6
images = 8
captions = { en = 2 }
language_temperature = 2.0
warmup = 4
clip = 2.0
weight_decay = 0.01
average = 0.99
checkpoint_every = 4
"#;

const STEPS: usize = 30;

/// A corpus and a run that is about to take its first step.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        Self::with(&[])
    }

    fn with(settings: &[&str]) -> Place {
        let place = Place { folder: TempDir::new().expect("a folder for the test") };
        let languages = ["en", "de", "zh", "fr"].map(String::from).to_vec();
        let sizes = ScenesConfig { seed: 1, train: 40, val: 10, test: 10, captions: 2, languages };
        let data = place.folder.path().join("data");
        scenes::write(&data, &sizes, &mut |_, _| ()).expect("a corpus");
        // A dictionary of sorts: German words and the English ones at their places.
        let caption = |language: &str| fs::read_to_string(data.join(format!("captions/train.1.{language}")));
        let (de, en) = (caption("de").expect("captions"), caption("en").expect("captions"));
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        let pairs = words(&de).into_iter().zip(words(&en)).map(|(de, en)| format!("{en} @ {de}\n"));
        fs::write(data.join("to-en.dict"), pairs.collect::<String>()).expect("a dictionary");
        let file = place.folder.path().join("config.toml");
        fs::write(&file, CONFIG).expect("a configuration");
        let mut settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
        settings.push(format!("data.root={}", data.display()));
        let config = Config::load(&file, &settings).expect("a good configuration");
        begin(&config, &place.run()).expect("a run");
        place
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// A copy of the run as it is now.
    fn copy(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        copy(&self.run(), &to);
        to
    }
}

/// All before the first step: vectors, pretraining, the run folder, and a checkpoint of step 0.
fn begin(config: &Config, path: &Path) -> Result<()> {
    let corpus = Corpus::load(config.data(), config.base())?;
    let prepared = prepare(config, &corpus, None, &mut |_, _, _, _| Ok(()))?;
    let folder = RunFolder::create(path)?;
    fs::write(path.join("config.toml"), config.to_toml()).map_err(|e| Error::writing(path, e))?;
    folder.write_words(&prepared.encoder)?;
    let features = &corpus.train.features;
    let mut model = Model::new(config, prepared.embedding, features.width(), config.seed());
    model.image.fit_input(features.rows(), features.width(), |i, x| features.copy_row(i, x));
    let (parameters_train, parameters_test) = model.parameter_counts();
    folder.write_info(&RunInfo {
        version: VERSION,
        tinyglot: env!("CARGO_PKG_VERSION").into(),
        device: "cpu".into(),
        seed: config.seed(),
        languages: corpus.languages.clone(),
        human: corpus.human.clone(),
        features_by: None,
        features: features.width(),
        data: "not hashed".into(),
        latents: [prepared.latents_before, prepared.encoder.lexicon.latents],
        parameters: tinyglot::optim::parameters_by_part(&mut model),
        parameters_train,
        parameters_test,
        shared: None,
        packed: None,
        pictures_by: None,
        trained_with: None,
        files: BTreeMap::new(),
    })?;
    let again = encode_training(&prepared.encoder, &corpus);
    for (one, other) in again.iter().zip(&prepared.train) {
        assert!(one.slots == other.slots, "captions read from the run are those it was prepared with");
    }
    let encoder = &prepared.encoder;
    let learner = SmalrLearner::new(config, &corpus, encoder, &prepared.train, Vec::new(), model);
    let mut trainer = Trainer::new(config, &folder, learner);
    let (adam, state) = (Adam::new(config.train(), STEPS), trainer.state.clone());
    folder.save(Which::Latest, trainer.learner.model(), Some((&adam, &BTreeMap::new())), &state)
}

fn encode_training(encoder: &Encoder, corpus: &Corpus) -> Vec<Captions> {
    (0..corpus.languages.len()).map(|l| encode(encoder, &corpus.train, l)).collect()
}

/// Goes on with a run as a new process would: from nothing but the disk. `before` may change the trainer; `stop` tells
/// after which step the flag is raised.
fn go_on(path: &Path, stop: Option<usize>, before: impl FnOnce(&mut Trainer<SmalrLearner>)) -> Result<End> {
    let flag = AtomicBool::new(false);
    telling(path, before, &flag, &mut |event| {
        if let Event::Step { step, steps, .. } = event {
            assert_eq!(steps, STEPS);
            flag.store(stop.is_some_and(|last| step >= last), Ordering::Relaxed);
        }
    })
}

/// As [`go_on`], with its events; `flag` stops it.
fn telling(
    path: &Path,
    before: impl FnOnce(&mut Trainer<SmalrLearner>),
    flag: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<End> {
    let folder = RunFolder::new(path);
    let (config, info) = (folder.config()?, folder.info()?);
    let corpus = Corpus::load(config.data(), config.base())?;
    let encoder = folder.read_words(&config, &info.languages)?;
    let embedding = empty_embedding(&config, &encoder.lexicon, encoder.vector_width());
    let model = Model::new(&config, embedding, info.features, 0);
    let train = encode_training(&encoder, &corpus);
    let validation = (0..info.languages.len()).map(|l| encode(&encoder, &corpus.val, l)).collect();
    let learner = SmalrLearner::new(&config, &corpus, &encoder, &train, validation, model);
    let mut trainer = Trainer::new(&config, &folder, learner);
    trainer.resume()?;
    before(&mut trainer);
    trainer.run(flag, tell)
}

fn resume(path: &Path) -> Result<End> {
    go_on(path, None, |_| ())
}

/// The metrics without what the clock says.
fn timeless(path: &Path) -> Vec<MetricsLine> {
    let mut lines = metrics::read(&path.join("metrics.jsonl")).expect("metrics");
    for line in &mut lines {
        if let MetricsLine::Step(step) = line {
            (step.seconds, step.tokens_per_s) = (0.0, 0.0);
        }
    }
    lines
}

/// Fails unless both runs have the same checkpoints, bit for bit, and the same metrics.
fn assert_same(one: &Path, other: &Path) {
    for which in ["latest", "best"] {
        for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            let read = |run: &Path| fs::read(run.join("checkpoints").join(which).join(file)).ok();
            let (mut a, mut b) = (read(one), read(other));
            if file == "state.json" {
                let state = |text: &Vec<u8>| {
                    let mut state: serde_json::Value = serde_json::from_slice(text).expect("JSON");
                    state["seconds"] = 0.into();
                    state.to_string().into_bytes()
                };
                (a, b) = (a.as_ref().map(state), b.as_ref().map(state));
            }
            // The best checkpoint has no optimiser's state.
            assert_eq!(a.is_some(), (which, file) != ("best", "optimizer.safetensors"), "{which}/{file}");
            assert!(a == b, "{which}/{file} differs");
        }
    }
    assert_eq!(timeless(one), timeless(other));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let (from, to) =
            (entry.as_ref().expect("an entry").path(), to.join(entry.expect("an entry").file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(|_| ()).expect("a copy") }
    }
}
