//! What a step of training asks a GPU for: launches, products, fills, copies and waits, as the emulated one counts them (tests/cuda). A step
//! that logs nothing, saves nothing and is not the first; a budget for each family, which is what it takes now.
//!
//! A budget that a change makes smaller is to be lowered with it.
#![cfg(feature = "cuda")]

#[path = "../shared/acquisition.rs"]
mod acquisition;
#[path = "../shared/contrastive.rs"]
mod contrastive_config;
#[path = "../shared/counts.rs"]
mod counts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use tinyglot::checkpoint::ReservedFolder;
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::contrastive::{ContrastiveLearner, ContrastiveRun};
use tinyglot::family::mla::learner::MlaLearner;
use tinyglot::family::mla::run::MlaRun;
use tinyglot::family::smalr::learner::SmalrLearner;
use tinyglot::family::smalr::model::Model;
use tinyglot::family::smalr::prepare::prepare as prepare_words;
use tinyglot::family::tower::learner::TowerLearner;
use tinyglot::family::tower::run::TowerRun;
use tinyglot::scenes;
use tinyglot::scenes::ScenesConfig;
use tinyglot::train::{Learner, prepare};

use acquisition::{write, write_tower};
use contrastive_config::write_contrastive;
use counts::Counts;

/// One process has one device: its steps are counted one after another.
static DEVICE: Mutex<()> = Mutex::new(());

/// Trains to the end; by stage, the most of each kind that a step after the second asked for. Nothing on a real GPU.
fn most(learner: &mut dyn Learner) -> Option<BTreeMap<String, BTreeMap<&'static str, u64>>> {
    let mut most: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    let mut before = Counts::now()?;
    let mut count = |stage: &str, step: usize, _: usize, _: f32| {
        let now = Counts::now().expect("it counted before");
        if step > 2 {
            let stage = most.entry(stage.to_string()).or_default();
            for (name, count) in now.since(before).named() {
                let most = stage.entry(name).or_default();
                *most = count.max(*most);
            }
        }
        before = now;
        Ok(())
    };
    prepare(learner, &mut count).expect("a training");
    Some(most)
}

/// Fails where a step of a stage asks for more than its budget: kernels, products, fills, uploads, downloads, moves, allocations, waits.
fn within(name: &str, learner: &mut dyn Learner, budgets: &[(&str, [u64; 8])]) {
    let Some(found) = most(learner) else {
        return println!("skipped: a real GPU does not count");
    };
    let lines = |of: &BTreeMap<&str, u64>| {
        let all: Vec<String> = of.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
        all.join(", ")
    };
    found.iter().for_each(|(stage, most)| println!("{name}, {stage}: {}", lines(most)));
    assert_eq!(found.len(), budgets.len(), "{name}: a budget for each stage");
    for (stage, budget) in budgets {
        let most = &found[*stage];
        let kinds = ["kernels", "products", "fills", "uploads", "downloads", "moves", "allocations", "waits"];
        for (kind, budget) in kinds.into_iter().zip(budget) {
            assert!(
                most[kind] <= *budget,
                "{name}, {stage}: {} {kind}, budget {budget} ({})",
                most[kind],
                lines(most)
            );
        }
    }
}

/// Little pictures with captions in these languages, and a model of words in small: of its sizes no count depends.
fn smalr(languages: &[&str], more: &str, test: impl FnOnce(&mut dyn Learner)) {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = TempDir::new().expect("a folder");
    let all = languages.iter().map(|l| l.to_string()).collect();
    let sizes = ScenesConfig { seed: 1, train: 48, val: 8, test: 8, captions: 2, languages: all };
    scenes::write(&folder.path().join("data"), &sizes, &mut |_, _| ()).expect("a corpus");
    let list: Vec<String> = languages.iter().map(|l| format!("'{l}'")).collect();
    let list = list.join(", ");
    let text = format!(
        "seed = 7
[data]
root = 'data'
languages = [{list}]
[[data.captions]]
languages = [{list}]
files = ['captions/{{split}}.1.{{language}}', 'captions/{{split}}.2.{{language}}']
[words]
min_count = 1
max_tokens = 20
fasttext = {{ width = 12, epochs = 1, buckets = 200 }}
[embedding]
top_k = 12
word_width = 8
latents = 30
width = 16
align.epochs = 1
pretrain = {{ epochs = 1, top_m = 3 }}
[text]
hidden = 16
joint = 12
[image]
hidden = 16
{more}"
    );
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).expect("written");
    let config = Config::load(&file, &[]).expect("a good configuration");
    let corpus = Corpus::load(config.data(), config.base()).expect("a corpus");
    let prepared = prepare_words(&config, &corpus, None, &mut |_, _, _, _| Ok(())).expect("word vectors");
    let model = Model::new(&config, prepared.embedding, corpus.train.features.width(), config.seed());
    let mut learner =
        SmalrLearner::new(&config, &corpus, &prepared.encoder, &prepared.train, Vec::new(), model);
    test(&mut learner);
}

/// Latent and own words, a GRU, two languages with one caption each, hard triplets: the step that benches/step.rs measures.
#[test]
fn the_standard_step() {
    smalr(&["en", "de"], "[train]\nepochs = 2\nimages = 8\n", |learner| {
        within("standard", learner, &[("smalr", [83, 59, 55, 2, 1, 0, 73, 2])]);
    });
}

/// The same in ten languages with two captions each, the batch of MULE and SMALR.
#[test]
fn a_step_of_the_papers_shape() {
    let languages = ["en", "de", "fr", "cs", "zh", "ja", "ko", "ru", "ar", "af"];
    let captions: Vec<String> = languages.iter().map(|l| format!("{l} = 2")).collect();
    let train = format!("[train]\nepochs = 2\nimages = 8\ncaptions = {{ {} }}\n", captions.join(", "));
    smalr(&languages, &train, |learner| {
        within("paper", learner, &[("smalr", [111, 83, 103, 2, 1, 0, 122, 2])]);
    });
}

/// SMALR with all that the paper has: masked sentences, neighbourhoods, the adversary.
#[test]
fn a_step_with_every_loss() {
    let losses = "[loss]
neighbourhood = { words = 0.1, sentences = 0.1 }
mclm = { average = 0.1, lstm = 0.1, masked_triplet = 0.5 }
adversary.weight = 0.01
[train]
epochs = 2
images = 8
";
    smalr(&["en", "de", "zh"], losses, |learner| {
        within("every loss", learner, &[("smalr", [723, 170, 589, 14, 1, 0, 738, 2])]);
    });
}

/// Runs `test` in a folder with the corpus of `acquisition`.
fn acquired(test: impl FnOnce(&Path)) {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    test(folder.path());
}

fn load(file: &Path, settings: &[&str]) -> (Config, Corpus) {
    let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
    let config = Config::load(file, &settings).expect("a good configuration");
    let corpus = Corpus::load(config.data(), config.base()).expect("a corpus");
    (config, corpus)
}

fn reserved(folder: &Path) -> ReservedFolder {
    ReservedFolder::new(&folder.join("run")).expect("a folder")
}

#[test]
fn a_step_of_a_tower() {
    acquired(|folder| {
        write_tower(folder);
        for (scale, budget) in
            [("false", [104, 35, 83, 11, 1, 0, 134, 2]), ("true", [107, 35, 85, 11, 1, 0, 136, 2])]
        {
            // Other batches than before: what the GPU has still got is not sent again.
            let seed = format!("seed={}", 3 + scale.len());
            let scale = format!("tower.learn_temperature={scale}");
            let (config, corpus) = load(&folder.join("tower.toml"), &["train.epochs=3", &scale, &seed]);
            let run = TowerRun::begin(&config, &corpus, reserved(folder)).expect("a run");
            let mut learner = TowerLearner::new(&run.config, &corpus, run.clip);
            within(&scale, &mut learner, &[("tower", budget)]);
            std::fs::remove_dir_all(folder.join("run")).expect("removed");
        }
    });
}

#[test]
fn steps_of_both_stages_of_acquisition() {
    acquired(|folder| {
        let settings = ["acquire.nlt.epochs=2", "acquire.le.epochs=2"];
        let (config, corpus) = load(&folder.join("config.toml"), &settings);
        let run = MlaRun::begin(&config, &corpus, reserved(folder)).expect("a run");
        let mut learner = MlaLearner::new(&run.config, &corpus, run.mla).expect("a learner");
        within(
            "mla",
            &mut learner,
            &[("nlt", [586, 201, 320, 34, 1, 1, 570, 2]), ("le", [590, 204, 326, 33, 1, 1, 579, 2])],
        );
    });
}

#[test]
fn a_step_of_a_contrastive_encoder() {
    acquired(|folder| {
        write_contrastive(folder);
        let (config, corpus) = load(&folder.join("contrastive.toml"), &["train.epochs=4"]);
        let run = ContrastiveRun::begin(&config, &corpus, reserved(folder)).expect("a run");
        let mut learner = ContrastiveLearner::new(&run.config, &corpus, run.model);
        within("contrastive", &mut learner, &[("contrast", [597, 128, 532, 45, 1, 1, 684, 2])]);
    });
}
