//! Files of a run that were edited or mixed, and sizes that no machine holds: refused with the place and the value.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::run::refuse_training;

use crate::places::{self, copy, edit};
use crate::runs::{make_old, resume, search};
use crate::{printed, text};

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&places::words(), folder.path());
        Place { folder }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// A copy of the run, as this program or an earlier one wrote it.
    fn copy(&self, name: &str, old: bool) -> PathBuf {
        let to = self.path(name);
        copy(&self.path("base"), &to);
        if old {
            make_old(&to);
        }
        to
    }

    fn given(&self) -> Config {
        Config::load(&self.path("words.toml"), &[]).expect("a good configuration")
    }

    /// What searching with a run says.
    fn searched(&self, run: &Path) -> String {
        search(run, &self.path("data/features/test.npy")).map_or_else(|e| e.to_string(), |()| "found".into())
    }

    fn resumed(&self, run: &Path) -> String {
        resume(run, &self.given()).map_or_else(|e| e.to_string(), |()| "resumed".into())
    }
}

#[test]
fn a_configuration_that_was_changed_after_training_is_refused_by_its_keys() {
    let place = Place::new();
    for (n, (from, to, key)) in [
        ("pooling = \"last\"", "pooling = \"max\"", "text.pooling"),
        ("input = \"standard\"", "input = \"raw\"", "image.input"),
        ("margin = 0.05", "margin = 0.5", "loss.triplet.margin"),
        ("unseen = \"latent\"", "unseen = \"drop\"", "embedding.unseen"),
    ]
    .into_iter()
    .enumerate()
    {
        let (run, old) = (place.copy(&format!("new{n}"), false), place.copy(&format!("old{n}"), true));
        for run in [&run, &old] {
            let text = fs::read_to_string(run.join("config.toml")).expect("read");
            let was = text.lines().find(|line| line.starts_with(from.split('=').next().expect("a key")));
            let was = was.unwrap_or_else(|| panic!("no `{from}` in {text}")).to_string();
            edit(&run.join("config.toml"), &was, to);
        }
        let said = place.searched(&run);
        assert!(said.contains(&format!("config.toml`: was changed after training: `{key}`")), "{said}");
        assert!(said.contains("hint: "), "{said}");
        assert!(place.resumed(&run) != "resumed");
        assert_eq!(
            place.searched(&old),
            "found",
            "runs of earlier programs do not know what they were trained with"
        );
    }
    let moved = place.copy("moved", false);
    edit(&moved.join("config.toml"), "epochs = 2", "epochs = 3");
    assert_eq!(place.searched(&moved), "found", "how long to train may change");
}

#[test]
fn a_state_that_was_edited_is_refused() {
    let place = Place::new();
    let state = "checkpoints/latest/state.json";
    let step = |run: &Path| -> String {
        let text = fs::read_to_string(run.join(state)).expect("read");
        text.lines().find(|line| line.contains("\"step\"")).expect("a step").trim().to_string()
    };
    for (n, to) in ["1", "5", "7", "400", "1000000000", "18446744073709551615"].into_iter().enumerate() {
        let run = place.copy(&format!("new{n}"), false);
        edit(&run.join(state), &step(&run), &format!("\"step\": {to},"));
        let said = place.resumed(&run);
        assert!(said.contains("state.json`"), "{to}: {said}");
    }
    for (n, to) in ["0", "7", "400", "1000000000", "18446744073709551615"].into_iter().enumerate() {
        let run = place.copy(&format!("old{n}"), true);
        edit(&run.join(state), &step(&run), &format!("\"step\": {to},"));
        let said = place.resumed(&run);
        assert!(said.starts_with('`') && said.contains("hint: "), "{to}: {said}");
    }
    let old = place.copy("old", true);
    assert_eq!(place.resumed(&old), "resumed");
    assert_eq!(place.searched(&old), "found");
}

#[test]
fn files_of_two_checkpoints_or_runs_are_told_apart() {
    let (place, other) = (Place::new(), tempfile::tempdir().expect("a folder"));
    copy(&places::words(), other.path());
    let config = other.path().join("words.toml");
    edit(&config, "[data]", "seed = 9\n[data]");
    let other = other.path().join("other");
    printed(&["train", text(&config), "--out", text(&other), "--quiet"]);
    for (n, (file, from)) in [
        ("checkpoints/best/model.safetensors", place.path("base/checkpoints/latest/model.safetensors")),
        ("checkpoints/best/state.json", place.path("base/checkpoints/latest/state.json")),
        ("checkpoints/best/model.safetensors", other.join("checkpoints/best/model.safetensors")),
        ("words/de.bin", other.join("words/en.bin")),
        ("words/scorer.safetensors", other.join("words/scorer.safetensors")),
    ]
    .into_iter()
    .enumerate()
    {
        let run = place.copy(&format!("mixed{n}"), false);
        if fs::read(run.join(file)).expect("read") == fs::read(&from).expect("read") {
            continue;
        }
        fs::remove_file(run.join(file)).expect("removed");
        fs::copy(&from, run.join(file)).expect("copied");
        let said = place.searched(&run);
        assert!(said.starts_with('`') && said.contains("hint: "), "{file}: {said}");
    }
    // A whole checkpoint of another seed: the same shapes, but other latent tokens.
    let run = place.copy("mixed", false);
    fs::remove_dir_all(run.join("checkpoints/best")).expect("removed");
    copy(&other.join("checkpoints/best"), &run.join("checkpoints/best"));
    let said = place.searched(&run);
    assert!(said.contains("has shape") || said.contains("does not belong to the checkpoint"), "{said}");
}

#[test]
fn a_flipped_bit_is_found_in_every_file_of_a_run() {
    let place = Place::new();
    for file in [
        "run.json",
        "words/lexicon.json",
        "words/scorer.safetensors",
        "words/de.words",
        "words/de.bin",
        "checkpoints/best/model.safetensors",
        "checkpoints/best/state.json",
    ] {
        let run = place.copy(&file.replace('/', "-"), false);
        let whole = fs::read(run.join(file)).expect("read");
        for part in 1..8 {
            let mut bytes = whole.clone();
            let at = bytes.len() * part / 8;
            bytes[at] ^= 1 << (part % 8);
            // What is mapped stays as it was.
            fs::remove_file(run.join(file)).expect("removed");
            fs::write(run.join(file), bytes).expect("written");
            let said = place.searched(&run);
            assert!(said.contains(file.rsplit('/').next().expect("a name")), "{file} at {at}: {said}");
        }
    }
}

#[test]
fn sizes_that_no_machine_holds_are_refused_by_their_keys() {
    let place = Place::new();
    let config = fs::read_to_string(place.path("words.toml")).expect("read");
    let file = place.path("huge.toml");
    for (from, to, key) in [
        ("buckets = 50", "buckets = 1000000000", "words.fasttext.buckets"),
        ("latents = 8", "latents = 1000000000", "embedding.latents"),
        ("hidden = 8\njoint", "hidden = 1000000000\njoint", "text.hidden"),
        ("joint = 8", "joint = 1000000000", "text.joint"),
        ("images = 8", "images = 1000000000", "train.images"),
        ("[train]\nepochs = 2", "[train]\nepochs = 1000000000000", "train.epochs"),
    ] {
        assert!(config.contains(from), "{from}");
        fs::write(&file, config.replacen(from, to, 1)).expect("written");
        let text = Config::load(&file, &[]).map(drop).expect_err(key).to_string();
        let value = to.rsplit_once("= ").expect("a value").1.split('\n').next().expect("a value");
        assert!(
            text.contains(&format!("`{key}` is 1000000000")) && text.contains("at most"),
            "{value}: {text}"
        );
        assert!(text.contains("huge.toml`:"), "the line is named: {text}");
    }
    // What the rules allow may still be more than there is.
    let corpus = Corpus::load(place.given().data(), place.given().base()).expect("a corpus");
    for (from, to, key) in [
        ("buckets = 50", "buckets = 100000000", "words.fasttext.buckets"),
        ("latents = 8", "latents = 100000000", "embedding.latents"),
        ("hidden = 8\njoint", "hidden = 65536\njoint", "text.hidden"),
        ("[image]\nhidden = 8", "[image]\nhidden = 65536", "image.hidden"),
        ("images = 8", "images = 1000000", "train.images"),
    ] {
        fs::write(&file, config.replacen(from, to, 1)).expect("written");
        let config = Config::load(&file, &[]).expect(key);
        let error = refuse_training(&config, &corpus, Some(0.2)).expect_err(key);
        let text = error.to_string();
        assert_eq!(error.exit_status(), 3, "{text}");
        assert!(text.contains(&format!("lower `{key}`")) && text.contains("`--memory 0`"), "{text}");
        refuse_training(&config, &corpus, Some(0.0)).expect("no limit");
    }
    refuse_training(&place.given(), &corpus, Some(2.0)).expect("a tiny training");
}
