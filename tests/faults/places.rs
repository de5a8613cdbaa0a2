//! Tiny corpora and configurations, made once; what a command leaves of them, to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::{acquisition, printed, text};

/// A model of words with every part, in small: 2 epochs of 3 steps, a checkpoint every second step.
pub const WORDS: &str = "\
[data]
root = 'data'
languages = ['en', 'de']
parallel = 'parallel/{split}.{language}'
[[data.captions]]
languages = ['en', 'de']
files = ['captions/{split}.1.{language}']
[words.fasttext]
width = 8
epochs = 1
learning_rate = 0.05
buckets = 50
[embedding]
top_k = 6
word_width = 4
latents = 8
width = 8
align = { epochs = 1 }
pretrain = { epochs = 1, top_m = 3 }
[text]
hidden = 8
joint = 8
[image]
hidden = 8
input = 'standard'
[consistency]
iterations = 5
[train]
epochs = 2
images = 8
average = 0.9
checkpoint_every = 2
";

/// Adds Chinese to it.
const ZH: &str = "\
[data]
root = 'data'
languages = ['zh']
[[data.captions]]
languages = ['zh']
files = ['captions/{split}.1.{language}']
[grow]
top_k = 4
word_width = 4
epochs = 1
least_steps = 0
captions = 1
images = 8
align.epochs = 1
";

/// Two trials, of which each shares what it can.
const SWEEP: &str = "base = 'words.toml'\n[axes]\n'embedding.top_k' = [4, 6]\n";

/// A corpus in `data`; the configurations `words.toml`, `zh.toml` and `sweep.toml`; a run in `base`, and in `part` one that was
/// stopped after an epoch.
static WORDS_PLACE: LazyLock<TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    let sizes =
        ["--train", "24", "--val", "8", "--test", "8", "--languages", "en,de,zh", "--captions", "1", "-q"];
    printed(&[&["data", "scenes", "--out", text(&at("data"))], &sizes[..]].concat());
    for (name, content) in [("words.toml", WORDS), ("zh.toml", ZH), ("sweep.toml", SWEEP)] {
        fs::write(at(name), content).expect("written");
    }
    let train = |out: &str, more: &[&str]| {
        let (config, out) = (at("words.toml"), at(out));
        printed(&[&["train", text(&config), "--out", text(&out), "-q"], more].concat())
    };
    train("base", &[]);
    train("part", &["--stop-after", "1"]);
    place
});

/// What there is to train words from: a folder to copy.
pub fn words() -> PathBuf {
    WORDS_PLACE.path().to_path_buf()
}

/// A corpus of acquisition; `config.toml` for English and German, `fr.toml` that adds French, `tower.toml`; a run in `base` and an
/// acquirer that fits it.
static ACQUISITION: LazyLock<TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    let config = acquisition::write(place.path());
    edit(&config, "languages = ['de', 'en', 'fr']", "languages = ['de', 'en']");
    edit(&config, "epochs = 40", "epochs = 1");
    edit(&config, "epochs = 10", "epochs = 1");
    edit(&acquisition::write_tower(place.path()), "epochs = 80", "epochs = 2");
    let fr = "[data]\nroot = 'data'\nlanguages = ['fr']\n[[data.captions]]\nlanguages = ['fr']\n\
              files = ['{split}.fr']\n[[grow.translations]]\nlanguage = 'en'\nknown = 'train.en'\n\
              new = 'train.fr'\n";
    fs::write(at("fr.toml"), fr).expect("written");
    let (base, file) = (at("base"), at("af.safetensors"));
    printed(&["train", text(&config), "--out", text(&base), "-q"]);
    printed(&["acquirer", "export", text(&base), "--language", "de", "--out", text(&file)]);
    let bytes = fs::read(&file).expect("an acquirer");
    let mut other = bytes;
    // Another language, and no checksum, as in files of earlier programs.
    for (from, to) in [("\"language\":\"de\"", "\"language\":\"af\""), ("\"crc32\":", "\"none_\":")] {
        let start = other.windows(from.len()).position(|w| w == from.as_bytes()).expect("in the header");
        other[start..start + to.len()].copy_from_slice(to.as_bytes());
    }
    fs::write(&file, other).expect("written");
    place
});

/// What there is for an acquisition: a folder to copy.
pub fn acquisition() -> PathBuf {
    ACQUISITION.path().to_path_buf()
}

/// Replaces the first such part of a file of text, which must have one.
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("text");
    assert!(text.contains(from), "{} has no `{from}`", file.display());
    fs::write(file, text.replacen(from, to, 1)).expect("written");
}

/// Copies all that is in a folder into another one. The paths of the runs in it stay those of the first.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(|_| ()).expect("copied") }
    }
}

/// All files below a folder by their paths in it, without what the clock says.
pub fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    collect(folder, folder, &mut all);
    all
}

fn collect(root: &Path, folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, all);
            continue;
        }
        let bytes = fs::read(&path).expect("a file");
        let name = path.strip_prefix(root).expect("below").to_path_buf();
        all.insert(name, timeless(&path, bytes));
    }
}

/// A file without times, and without what tells how it came to be.
fn timeless(path: &Path, bytes: Vec<u8>) -> Vec<u8> {
    let lines = |bytes: &[u8]| -> Vec<u8> {
        let text = std::str::from_utf8(bytes).expect("text");
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).expect("JSON");
            forget(&mut value);
            value.to_string() + "\n"
        };
        text.lines().map(line).collect::<String>().into_bytes()
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("log" | "html" | "txt" | "csv") => Vec::new(),
        // Where the data are differs from place to place.
        Some("toml") => rootless(bytes),
        Some("jsonl") => lines(&bytes),
        Some("json") => {
            let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
            forget(&mut value);
            value.to_string().into_bytes()
        }
        _ => bytes,
    }
}

fn rootless(bytes: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(bytes).expect("text");
    let place = |line: &&str| !line.starts_with("root = ") && !line.starts_with("tokenizer = ");
    text.lines().filter(place).map(|line| line.to_string() + "\n").collect::<String>().into_bytes()
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let times =
                ["seconds", "base_seconds", "train_seconds", "tokens_per_s", "attempts", "peak_memory"];
            // Times and paths are in the files of a packed run, as long as they are written; what it costs in use is measured.
            let measured = ["packed_bytes", "sentence_us", "resident_bytes", "open_ms"];
            times.iter().chain(&measured).for_each(|key| _ = map.remove(*key));
            map.values_mut().for_each(forget);
        }
        Value::Array(list) => list.iter_mut().for_each(forget),
        _ => {}
    }
}

/// Fails, naming the file, unless both folders hold the same.
pub fn assert_same(left: &Path, undisturbed: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    let left = content(left);
    let names = |all: &BTreeMap<PathBuf, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(undisturbed), "{what}: other files than an undisturbed run leaves");
    for (name, bytes) in undisturbed {
        assert!(left[name] == *bytes, "{what}: `{}` differs", name.display());
    }
}
