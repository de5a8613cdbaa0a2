//! A tiny corpus and a run on it, made once by the command itself and shared by the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::{Ran, printed, run, text};

/// Two training pictures in five are enough for a batch; every part of the model is there, tiny.
pub const CONFIG: &str = "\
[data]
root = 'data'
languages = ['en', 'de', 'zh']
images = 'images/{id}.png'
image_ids = 'image_splits/{split}.txt'
parallel = 'parallel/{split}.{language}'

[[data.captions]]
languages = ['en', 'de', 'zh']
files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}']

[words.fasttext]
width = 12
epochs = 1
learning_rate = 0.05
buckets = 500

[embedding]
top_k = 20
word_width = 8
latents = 30
width = 16
align = { epochs = 1 }
pretrain = { epochs = 1, top_m = 5 }

[text]
hidden = 16
joint = 16

[image]
hidden = 32

[train]
epochs = 3
images = 12
average = 0.9
";

/// A folder with `config.toml`, the corpus in `data` and a finished run in `run`.
pub struct Made {
    folder: TempDir,
}

pub static MADE: LazyLock<Made> = LazyLock::new(|| {
    let folder = data();
    let (config, run) = (folder.path().join("config.toml"), folder.path().join("run"));
    printed(&["train", text(&config), "--out", text(&run), "--quiet"]);
    Made { folder }
});

impl Made {
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub fn run(&self) -> PathBuf {
        self.path("run")
    }

    pub fn gallery(&self) -> PathBuf {
        self.path("data/features/test.npy")
    }
}

/// A new folder with the configuration and the corpus.
pub fn data() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), CONFIG).expect("written");
    let out = folder.path().join("data");
    let sizes = ["--train", "60", "--val", "20", "--test", "20", "--languages", "en,de,zh", "--quiet"];
    printed(&[&["data", "scenes", "--out", text(&out)], &sizes[..]].concat());
    folder
}

/// A copy of a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("a kind").is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).expect("copied")),
        }
    }
}

/// The command must end with this status and say all of this on standard error, and print nothing.
pub fn refused(arguments: &[&str], status: i32, said: &[&str]) -> Ran {
    let ran = run(arguments);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(status), ""), "{arguments:?}: {}", ran.stderr);
    for said in said {
        assert!(ran.stderr.contains(said), "{arguments:?} does not say `{said}`: {}", ran.stderr);
    }
    ran
}
