//! What commands leave and others read: runs of every kind, as this program or an earlier one wrote them, a sweep, acquirers.

use std::fs;
use std::path::Path;

use tinyglot::Result;
use tinyglot::checkpoint::Earlier;
use tinyglot::checkpoint::RunFolder;
use tinyglot::checkpoint::metrics;
use tinyglot::config::Config;
use tinyglot::corpus::{Corpus, Features};
use tinyglot::eval::Growth;
use tinyglot::family::mla::Acquirer;
use tinyglot::family::mla::run::MlaRun;
use tinyglot::family::smalr::learner::SmalrLearner;
use tinyglot::family::smalr::prepare::prepare;
use tinyglot::family::smalr::start::{Start, go_on};
use tinyglot::family::tower::run::TowerRun;
use tinyglot::retrieve::{self, Embedding};
use tinyglot::run::open;
use tinyglot::sweep::{Plan, SweepFolder, results};
use tinyglot::train::Trainer;

use crate::inputs::{Input, input, with};
use crate::places::{copy, edit};
use crate::{acquisition, printed, text};

/// All that commands leave, in a folder that is a copy of `places::words`. The run of words has every tensor that there may be.
pub fn inputs(place: &Path) -> Vec<Input> {
    let (config, run) = (place.join("words.toml"), place.join("run"));
    edit(&config, "[train]", "[loss]\nmclm = { lstm = 0.1 }\n[train]");
    printed(&["train", text(&config), "--out", text(&run), "--quiet"]);
    let mut all = Vec::new();
    for (name, old) in [("words", false), ("old words", true)] {
        let copied = place.join(if old { "old-words" } else { "new-words" });
        copy(&run, &copied);
        if old {
            make_old(&copied);
        }
        all.extend(files_of_words(name, place, &copied));
    }
    all.extend(sweep(place));
    all.extend(cached(place));
    all.extend(towers(place));
    all
}

/// Renames the key of the checksum of a file of tensors: earlier programs wrote none.
pub fn forget_checksum(file: &Path) {
    let mut bytes = fs::read(file).expect("read");
    let key = b"\"crc32\":";
    if let Some(at) = bytes.windows(key.len()).position(|part| part == key) {
        bytes[at + 1..at + 6].copy_from_slice(b"other");
        fs::write(file, bytes).expect("written");
    }
}

/// Takes checksums, and what a run was trained with, out of all files of a run: as earlier programs wrote it.
pub fn make_old(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            make_old(&path);
            continue;
        }
        let mut bytes = fs::read(&path).expect("read");
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => {
                forget_checksum(&path);
                continue;
            }
            Some("json") if ["run.json", "state.json"].iter().any(|name| path.ends_with(name)) => {
                let mut all: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
                let map = all.as_object_mut().expect("an object");
                for key in ["checksum", "files", "trained_with"] {
                    map.shift_remove(key);
                }
                bytes = serde_json::to_vec_pretty(&all).expect("plain data");
            }
            _ => continue,
        }
        fs::write(&path, bytes).expect("written");
    }
}

/// A trained run at work.
pub fn search(run: &Path, gallery: &Path) -> Result<()> {
    let run = open(run, &[])?;
    let vectors = run.sentences(run.languages().len() - 1, &["ein rotes Haus", "unbekannt"]).vectors;
    let found = retrieve::search(
        &Embedding { model: &*run, pictures: &Features::open(&[gallery.to_path_buf()])? },
        &vectors,
        3,
    )?;
    assert!(found.iter().flatten().all(|found| found.score.is_finite()), "a score is not finite");
    run.folder().evaluations().map(drop)
}

/// A training that is taken up again, as far as its first step.
pub fn resume(run: &Path, given: &Config) -> Result<()> {
    let corpus = Corpus::load(given.data(), given.base())?;
    let Start { folder, config, encoder, train, validation, model, .. } =
        go_on(Earlier::open(run, given)?, &corpus)?;
    let learner = SmalrLearner::new(&config, &corpus, &encoder, &train, validation, model);
    let mut trainer = Trainer::new(&config, &folder, learner);
    trainer.resume()?;
    assert!(trainer.state.step <= trainer.steps(), "more steps than the training has");
    Ok(())
}

fn files_of_words(name: &str, place: &Path, run: &Path) -> Vec<Input> {
    let gallery = place.join("data/features/test.npy");
    let mut all = Vec::new();
    for file in [
        "run.json",
        "words/lexicon.json",
        "words/scorer.safetensors",
        "words/de.words",
        "words/de.bin",
        "checkpoints/best/model.safetensors",
        "checkpoints/best/state.json",
        "config.toml",
        "evaluation/val.json",
    ] {
        let (read, gallery) = (run.to_path_buf(), gallery.clone());
        all.push(input(&format!("{name}: {file}"), run.join(file), move || search(&read, &gallery)));
    }
    let (file, read) = (run.join("consistency.json"), run.to_path_buf());
    all.push(input(&format!("{name}: consistency.json"), file, move || {
        open(&read, &[])?.fitted().map(|fitted| assert!(fitted.is_some(), "it was fitted"))
    }));
    let given = Config::load(&place.join("words.toml"), &[]).expect("a good configuration");
    for file in [
        "checkpoints/latest/model.safetensors",
        "checkpoints/latest/optimizer.safetensors",
        "checkpoints/latest/state.json",
    ] {
        let (read, given) = (run.to_path_buf(), given.clone());
        let resume = move || resume(&read, &given);
        all.push(input(&format!("{name}: {file}"), run.join(file), resume));
    }
    let file = run.join("metrics.jsonl");
    let read = file.clone();
    all.push(input(&format!("{name}: metrics.jsonl"), file, move || metrics::read(&read).map(drop)));
    let (folder, growth) = (RunFolder::new(run), Growth { language: "de".into(), ..Growth::default() });
    folder.write_growth(&growth).expect("written");
    let file = run.join("growth/de.json");
    all.push(input(&format!("{name}: growth/de.json"), file, move || {
        folder.growths(&["de".into()]).map(drop)
    }));
    // Where the files of a run disagree, any of them may be the wrong one.
    all.into_iter().map(|input| with(input, &[text(run), text(place)])).collect()
}

fn sweep(place: &Path) -> Vec<Input> {
    let (file, out) = (place.join("sweep.toml"), place.join("sweep"));
    let axes = "base = 'words.toml'\nseeds = [1]\n[axes]\n\"train.learning_rate\" = { log = [1e-3, 2e-3], count = 2 }\n";
    fs::write(&file, axes).expect("written");
    printed(&["sweep", text(&file), "--out", text(&out), "--jobs", "1", "--quiet"]);
    let mut all = Vec::new();
    let read = file.clone();
    all.push(with(
        input("sweep file", file.clone(), move || Plan::load(&read, &[]).map(drop)),
        &[text(place)],
    ));
    let results = out.join("results.jsonl");
    let read = results.clone();
    all.push(input("results.jsonl", results, move || results::read(&read).map(drop)));
    let plan = Plan::load(&file, &[]).expect("a good sweep");
    let folder = SweepFolder::new(&out);
    let trial = folder.trial(&plan.trials[0].id).path.join("trial.json");
    all.push(with(input("trial.json", trial, move || folder.rows(&plan).map(drop)), &[text(&out)]));
    all
}

/// What a training keeps for others, and reads again itself.
fn cached(place: &Path) -> Vec<Input> {
    let config = Config::load(&place.join("words.toml"), &[]).expect("a good configuration");
    let corpus = Corpus::of(&config).expect("a corpus");
    let cache = place.join("cache");
    prepare(&config, &corpus, Some(&cache), &mut |_, _, _, _| Ok(())).expect("made");
    let mut all: Vec<Input> = Vec::new();
    for entry in fs::read_dir(&cache).expect("a cache") {
        let file = entry.expect("an entry").path();
        let kind = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_string();
        let name = format!("cached {kind}");
        if !["bin", "alignment", "latents"].contains(&&kind[..]) || all.iter().any(|i| i.name == name) {
            continue;
        }
        let (config, corpus, cache) = (config.clone(), corpus.clone(), cache.clone());
        let read = move || prepare(&config, &corpus, Some(&cache), &mut |_, _, _, _| Ok(())).map(drop);
        all.push(input(&name, file, read));
    }
    assert_eq!(all.len(), 3, "a kind is missing");
    all
}

/// A tower trained here, and languages acquired on one.
fn towers(place: &Path) -> Vec<Input> {
    let folder = place.join("acquisition");
    fs::create_dir_all(&folder).expect("a folder");
    let config = acquisition::write(&folder);
    let tower_config = acquisition::write_tower(&folder);
    let (run, tower) = (folder.join("run"), folder.join("tower-run"));
    let short = ["--set", "acquire.nlt.epochs=1", "--set", "acquire.le.epochs=1", "--quiet"];
    printed(&[&["train", text(&config), "--out", text(&run)], &short[..]].concat());
    printed(&["train", text(&tower_config), "--out", text(&tower), "--set", "train.epochs=1", "--quiet"]);
    let exported = folder.join("de.safetensors");
    printed(&["acquirer", "export", text(&run), "--language", "de", "--out", text(&exported)]);
    let gallery = folder.join("data/features/test.npy");
    let mut all = Vec::new();
    for (name, old) in [("acquisition", false), ("old acquisition", true)] {
        let copied = folder.join(name);
        copy(&run, &copied);
        if old {
            make_old(&copied);
        }
        for file in [
            "run.json",
            "config.toml",
            "tower/config.json",
            "tower/tokenizer.json",
            "tower/model.safetensors",
            "embedding/config.json",
            "embedding/tokenizer.json",
            "checkpoints/best/model.safetensors",
            "checkpoints/best/state.json",
        ] {
            let (read, gallery) = (copied.clone(), gallery.clone());
            let search = move || search(&read, &gallery);
            all.push(with(input(&format!("{name}: {file}"), copied.join(file), search), &[text(&copied)]));
        }
    }
    for (name, old) in [("tower", false), ("old tower", true)] {
        let copied = folder.join(format!("{name} run"));
        copy(&tower, &copied);
        if old {
            make_old(&copied);
        }
        for file in
            ["run.json", "tower/config.json", "tower/tokenizer.json", "checkpoints/best/model.safetensors"]
        {
            let read = copied.clone();
            let open = move || {
                let mut run = TowerRun::open(&read, &[])?;
                let vectors = tinyglot::retrieve::Retriever::sentences(&run, 0, &["a red house"]).vectors;
                assert!(vectors.iter().all(|x| x.is_finite()), "a vector is not finite");
                run.clip.parameters();
                Ok(())
            };
            all.push(with(input(&format!("{name}: {file}"), copied.join(file), open), &[text(&copied)]));
        }
    }
    let mut opened = MlaRun::open(&run, &[]).expect("a run");
    let (size, base) = (opened.mla.size(), opened.mla.base());
    for (name, old) in [("acquirer", false), ("old acquirer", true)] {
        let kept = folder.join(name);
        fs::create_dir_all(&kept).expect("a folder");
        let file = kept.join("de.safetensors");
        fs::copy(&exported, &file).expect("copied");
        if old {
            make_old(&kept);
        }
        let (read, base) = (file.clone(), base.clone());
        all.push(input(name, file, move || Acquirer::read(&read, size, &base).map(drop)));
    }
    all
}
