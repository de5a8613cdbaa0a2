//! A tiny corpus for acquisition: pictures whose vectors are those of their English captions, so that all can be learned.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tinyglot::config::Precision;
use tinyglot::corpus::write_npy;
use tinyglot::ops::transformer::Pass;
use tinyglot::tower::{Tower, TowerTokenizer};

const COLOURS: [[&str; 3]; 6] = [
    ["red", "rot", "rouge"],
    ["blue", "blau", "bleu"],
    ["green", "grün", "vert"],
    ["black", "schwarz", "noir"],
    ["white", "weiß", "blanc"],
    ["brown", "braun", "brun"],
];
const THINGS: [[&str; 3]; 6] = [
    ["dog", "Hund", "chien"],
    ["house", "Haus", "maison"],
    ["boat", "Boot", "bateau"],
    ["man", "Mann", "homme"],
    ["woman", "Frau", "femme"],
    ["street", "Straße", "rue"],
];
const LANGUAGES: [&str; 3] = ["en", "de", "fr"];

/// A checkpoint that tests/golden/towers/make.py wrote.
pub fn checkpoint(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("tests/golden/towers")
        .join(name)
}

/// Captions of every colour and thing in a language, in the order of the pictures.
fn captions(language: usize) -> Vec<String> {
    let name = |n: usize| format!("{} {}", COLOURS[n % 6][language], THINGS[(n / 6 + n) % 6][language]);
    (0..36).map(name).collect()
}

/// Writes captions, translations, features, and a configuration; returns its path.
pub fn write(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir_all(data.join("features")).expect("a folder");
    let tower = Tower::open(&checkpoint("clip")).expect("a tower");
    let tokenizer =
        TowerTokenizer::open(&checkpoint("clip/tokenizer.json"), &tower.config).expect("a tokenizer");
    for (split, pictures) in [("train", 0..36), ("val", 3..15), ("test", 12..36)] {
        for (l, language) in LANGUAGES.iter().enumerate() {
            let lines: String = captions(l)[pictures.clone()].iter().map(|c| c.clone() + "\n").collect();
            fs::write(data.join(format!("{split}.{language}")), lines).expect("written");
        }
        let english = captions(0);
        let texts: Vec<&str> = english[pictures.clone()].iter().map(String::as_str).collect();
        let pass = Pass { precision: Precision::F32, recompute: false };
        let mut vectors = tower.encode(&Arc::new(tokenizer.encode("en", &texts).ids), pass);
        // No picture is in two splits, though their captions are alike.
        let apart = 1.0 + texts.len() as f32 * 1e-5;
        vectors.iter_mut().for_each(|x| *x *= apart);
        let file = data.join(format!("features/{split}.npy"));
        write_npy(file, texts.len(), tower.outputs(), &vectors).expect("written");
    }
    let config = folder.join("config.toml");
    let text = format!(
        "seed = 3
[data]
root = 'data'
languages = ['de', 'en', 'fr']
[[data.captions]]
languages = ['en', 'de', 'fr']
files = ['{{split}}.{{language}}']
[acquire]
tower = '{}'
embedding = '{}'
hidden = 12
dropout = 0.05
micro_batch = 5
[acquire.nlt]
epochs = 40
batch = 12
learning_rate = 1e-2
source = 'train.en'
target = 'train.{{language}}'
[acquire.le]
epochs = 10
batch = 12
learning_rate = 2e-3
temperature = 0.05
learn_temperature = true
[train]
optimizer = 'bert_adam'
schedule = 'unshifted'
beta2 = 0.98
clip = 1.0
weight_decay = 0.01
checkpoint_every = 5
",
        checkpoint("clip").display(),
        checkpoint("mbert").display()
    );
    fs::write(&config, text).expect("written");
    config
}

/// Writes a configuration that trains a tower on the English captions of [`write`], which was called before; returns its path.
pub fn write_tower(folder: &Path) -> PathBuf {
    let config = folder.join("tower.toml");
    let text = "seed = 3
[data]
root = 'data'
languages = ['en']
[[data.captions]]
languages = ['en']
files = ['{split}.{language}']
[tower]
layers = 2
width = 16
heads = 2
hidden = 32
context = 12
vocabulary = 320
dropout = 0.05
[text]
joint = 12
word_dropout = 0.05
[image]
hidden = 32
dropout = 0.1
input = 'standard'
[loss]
triplet.weight = 0.0
info_nce = { weight = 1.0, temperature = 0.1 }
[train]
epochs = 80
images = 12
learning_rate = 1e-2
warmup = 10
average = 0.95
clip = 1.0
checkpoint_every = 4
";
    fs::write(&config, text).expect("written");
    config
}
