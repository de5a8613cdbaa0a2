//! One file of every kind that is read, and how it is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tinyglot::Result;
use tinyglot::checkpoint::Earlier;
use tinyglot::checkpoint::RunFolder;
use tinyglot::checkpoint::metrics;
use tinyglot::config::{Config, WordsConfig};
use tinyglot::corpus::{Corpus, Features, write_npy, write_npy_f16};
use tinyglot::eval::Growth;
use tinyglot::family::mla::Acquirer;
use tinyglot::family::mla::run::MlaRun;
use tinyglot::family::smalr::learner::SmalrLearner;
use tinyglot::family::smalr::prepare::prepare;
use tinyglot::family::smalr::start::{Start, go_on};
use tinyglot::family::tower::run::TowerRun;
use tinyglot::report::Picture;
use tinyglot::run::open;
use tinyglot::sweep::{Plan, SweepFolder, results};
use tinyglot::tower::{Tower, TowerTokenizer};
use tinyglot::train::Trainer;
use tinyglot::words::{Dictionary, HuggingFace, Segmenter, WordVectors};

use crate::acquisition;

/// A file and what reads it.
pub struct Input {
    pub name: String,
    pub file: PathBuf,
    pub read: Box<dyn Fn() -> Result<()>>,
    /// What an error may name in its place: files that it must agree with.
    pub with: Vec<String>,
}

fn input(name: &str, file: PathBuf, read: impl Fn() -> Result<()> + 'static) -> Input {
    Input { name: name.into(), file, read: Box::new(read), with: Vec::new() }
}

fn with(mut input: Input, others: &[&str]) -> Input {
    input.with = others.iter().map(ToString::to_string).collect();
    input
}

/// Runs the command, which must go well.
fn command(arguments: &[&str]) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tinyglot"));
    let output = command.args(arguments).output().expect("the command starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in Unicode")
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => assert!(fs::copy(&path, &to).is_ok(), "{} cannot be copied", path.display()),
        }
    }
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

const WORDS: &str = "\
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
[loss]
mclm = { lstm = 0.1 }
[train]
epochs = 2
images = 8
average = 0.9
";

/// A corpus and a configuration for it.
pub fn corpus_of_words(place: &Path) {
    let data = place.join("data");
    let sizes =
        ["--train", "24", "--val", "8", "--test", "8", "--languages", "en,de", "--captions", "1", "-q"];
    command(&[&["data", "scenes", "--out", text(&data)], &sizes[..]].concat());
    fs::write(place.join("words.toml"), WORDS).expect("written");
}

/// All that is read, made in a folder.
pub fn inputs(place: &Path) -> Vec<Input> {
    corpus_of_words(place);
    let mut all = vec![configuration(place)];
    all.extend(formats(&place.join("formats")));
    all.extend(features(&place.join("features")));
    all.extend(lists(&place.join("lists")));
    all.extend(checkpoints(&place.join("checkpoints")));
    let run = words_run(place);
    all.extend(vectors(&place.join("vectors"), &run));
    for (name, old) in [("words", false), ("old words", true)] {
        let copied = place.join(if old { "old-words" } else { "new-words" });
        copy(&run, &copied);
        if old {
            make_old(&copied);
        }
        all.extend(files_of_words(name, place, &copied));
    }
    all.extend(sweep(place));
    all.extend(towers(place));
    all
}

fn configuration(place: &Path) -> Input {
    let file = place.join("changed.toml");
    fs::write(&file, WORDS).expect("written");
    let read = file.clone();
    with(
        input("configuration", file, move || {
            let config = Config::load(&read, &[])?;
            Corpus::load(config.data(), config.base()).map(drop)
        }),
        &[text(place)],
    )
}

fn formats(place: &Path) -> Vec<Input> {
    fs::create_dir_all(place.join("f")).expect("a folder");
    let splits = [("train", 5), ("val", 3), ("test", 3)];
    let (mut karpathy, mut jsonl) = (Vec::new(), String::new());
    for (split, count) in splits {
        write_npy(place.join(format!("f/{split}.npy")), count, 3, &noise(3 * count, 7)).expect("written");
        let name = |n: usize| format!("{split}{n}.jpg");
        let ids: String = (0..count).map(|n| name(n) + "\n").collect();
        fs::write(place.join(format!("ids.{split}.txt")), ids).expect("written");
        let caption = |n: usize| format!("a red house number {n} in {split}");
        let lines: String = (0..count).map(|n| caption(n) + "\n").collect();
        fs::write(place.join(format!("lines.{split}.en")), lines).expect("written");
        let (mut images, mut annotations) = (Vec::new(), Vec::new());
        for n in 0..count {
            karpathy.push(serde_json::json!({
                "split": split, "filename": name(n), "imgid": n, "sentences": [{ "raw": caption(n) }]
            }));
            jsonl += &format!(
                "{{\"image\": \"{}\", \"language\": \"en\", \"text\": \"{}\"}}\n",
                name(n),
                caption(n)
            );
            images.push(serde_json::json!({ "id": n + 7, "file_name": name(n) }));
            annotations.push(serde_json::json!({ "image_id": n + 7, "caption": caption(n) }));
        }
        let coco = serde_json::json!({ "images": images, "annotations": annotations });
        fs::write(place.join(format!("coco.{split}.json")), coco.to_string()).expect("written");
    }
    let karpathy = serde_json::json!({ "images": karpathy }).to_string();
    fs::write(place.join("karpathy.json"), karpathy).expect("written");
    fs::write(place.join("captions.jsonl"), jsonl).expect("written");
    let mut all = Vec::new();
    for (format, files, changed) in [
        ("lines", "lines.{split}.{language}", "lines.val.en"),
        ("karpathy", "karpathy.json", "karpathy.json"),
        ("coco", "coco.{split}.json", "coco.val.json"),
        ("jsonl", "captions.jsonl", "captions.jsonl"),
        ("jsonl", "captions.jsonl", "ids.val.txt"),
        ("lines", "lines.{split}.{language}", "f/val.npy"),
    ] {
        let toml = format!(
            "[data]\nroot = '.'\nlanguages = ['en']\nfeatures = ['f/{{split}}.npy']\n\
             image_ids = 'ids.{{split}}.txt'\n[[data.captions]]\nformat = '{format}'\nlanguages = ['en']\nfiles = ['{files}']\n"
        );
        let config = Config::from_toml(&toml, &place.join("c.toml")).expect("a good configuration");
        let read = move || Corpus::load(config.data(), config.base()).map(drop);
        let others = ["f/val.npy", "ids.val.txt", files.split("{split}").next().expect("a part")];
        all.push(with(input(&format!("{format} {changed}"), place.join(changed), read), &others));
    }
    all
}

/// A safetensors file of one matrix.
fn matrix_file(file: &Path, dtype: Dtype, rows: usize, x: &[f32]) {
    let bytes: Vec<u8> = match dtype {
        Dtype::F16 => x.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        Dtype::BF16 => x.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        _ => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    let view = TensorView::new(dtype, vec![rows, x.len() / rows], &bytes).expect("a matrix");
    let ids = format!("[{}]", (0..rows).map(|n| format!("\"{n}.jpg\"")).collect::<Vec<_>>().join(","));
    let about = std::collections::HashMap::from([("ids".to_string(), ids)]);
    fs::write(file, safetensors::serialize([("features", view)], Some(about)).expect("a file"))
        .expect("written");
}

fn features(place: &Path) -> Vec<Input> {
    fs::create_dir_all(place).expect("a folder");
    let x = noise(60, 3);
    write_npy(place.join("full.npy"), 10, 6, &x).expect("written");
    write_npy_f16(place.join("half.npy"), 10, 6, &x).expect("written");
    for (name, dtype) in [("full", Dtype::F32), ("half", Dtype::F16), ("brain", Dtype::BF16)] {
        matrix_file(&place.join(format!("{name}.safetensors")), dtype, 10, &x);
    }
    ["full.npy", "half.npy", "full.safetensors", "half.safetensors", "brain.safetensors"]
        .map(|name| {
            let file = place.join(name);
            let read = file.clone();
            input(name, file, move || {
                let features = Features::open(std::slice::from_ref(&read))?;
                let mut row = vec![0.0; features.width()];
                for n in 0..features.rows() {
                    features.copy_row(n, &mut row);
                    assert!(row.iter().all(|x| x.is_finite()), "row {n} is not finite");
                }
                Ok(())
            })
        })
        .into()
}

/// Files of lines.
fn lists(place: &Path) -> Vec<Input> {
    fs::create_dir_all(place).expect("a folder");
    let write = |name: &str, content: &str| {
        let file = place.join(name);
        fs::write(&file, content).expect("written");
        file
    };
    let mut all = Vec::new();
    let dictionary = write("de-en.dict", "hund dog\nhaus house\nkatze cat\nrot red\n");
    let read = dictionary.clone();
    let segmenter = |code| Segmenter::new(code, &WordsConfig::default(), Path::new("")).expect("a segmenter");
    let (from, into) = (segmenter("de"), segmenter("en"));
    all.push(input("dictionary", dictionary, move || Dictionary::read(&read, &from, &into).map(drop)));
    let known = write("known.en", "a dog\na house\n");
    let new = write("new.de", "ein Hund\nein Haus\n");
    let (one, other) = (known.clone(), new.clone());
    let read = move || tinyglot::family::smalr::grow::lesson::read_translations(&one, &other).map(drop);
    all.push(with(input("translations", new.clone(), read), &["known.en"]));
    let read = new.clone();
    all.push(input("sentences", new, move || tinyglot::family::mla::data::lines(&read).map(drop)));
    let picture = place.join("1.png");
    let image = place.parent().expect("a folder").join("data/images");
    let some = fs::read_dir(image).expect("pictures").next().expect("a picture").expect("an entry").path();
    fs::copy(some, &picture).expect("copied");
    let read = picture.clone();
    all.push(input("picture", picture, move || Picture::read("1", &read).map(drop)));
    all
}

/// Checkpoints as Hugging Face lays them out.
fn checkpoints(place: &Path) -> Vec<Input> {
    let mut all = Vec::new();
    for (name, from, dtype) in [
        ("clip", "clip", Dtype::F32),
        ("mbert", "mbert", Dtype::F32),
        ("clip-half", "clip", Dtype::F16),
        ("clip-brain", "clip", Dtype::BF16),
    ] {
        let folder = place.join(name);
        copy(&acquisition::checkpoint(from), &folder);
        if dtype != Dtype::F32 {
            narrow(&folder.join("model.safetensors"), dtype);
        }
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            if dtype != Dtype::F32 && file != "model.safetensors" {
                continue;
            }
            let read = folder.clone();
            let open = move || {
                let tower = Tower::open(&read)?;
                let tokenizer = TowerTokenizer::open(&read.join("tokenizer.json"), &tower.config)?;
                let ids = tokenizer.encode("de", &["a red house", "ein Hund, 狗 🐕"]).ids;
                let pass = tinyglot::ops::transformer::Pass {
                    precision: tinyglot::config::Precision::F32,
                    recompute: false,
                };
                tower.encode(&Arc::new(ids), pass);
                Ok(())
            };
            let others = ["config.json", "model.safetensors", "tokenizer.json", text(&folder)];
            all.push(with(input(&format!("{name}/{file}"), folder.join(file), open), &others));
        }
    }
    let folder = place.join("openclip");
    copy(&acquisition::checkpoint("openclip"), &folder);
    let (index, read) = (folder.join("model.safetensors.index.json"), folder.clone());
    all.push(with(input("index of shards", index, move || Tower::open(&read).map(drop)), &[text(&folder)]));
    let tokenizer = place.join("alone.json");
    fs::copy(acquisition::checkpoint("mbert/tokenizer.json"), &tokenizer).expect("copied");
    let read = tokenizer.clone();
    all.push(input("tokenizer", tokenizer, move || {
        let tokenizer = HuggingFace::open(&read)?;
        ["ein Hund, 狗 🐕", "", "x̂ 77"].iter().for_each(|text| drop(tokenizer.ids(text)));
        Ok(())
    }));
    all
}

/// Stores all tensors of a file in 16 bits.
pub fn narrow(file: &Path, dtype: Dtype) {
    let bytes = fs::read(file).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let mut stored = Vec::new();
    for (name, tensor) in tensors.tensors() {
        let x: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
        let short: Vec<u8> = match dtype {
            Dtype::F16 => x.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            _ => x.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
        };
        stored.push((name, tensor.shape().to_vec(), short));
    }
    let views = stored.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(dtype, shape.clone(), bytes).expect("a tensor"))
    });
    fs::write(file, safetensors::serialize(views, None).expect("a file")).expect("written");
}

pub fn words_run(place: &Path) -> PathBuf {
    let (config, run) = (place.join("words.toml"), place.join("run"));
    command(&["train", text(&config), "--out", text(&run), "--quiet"]);
    run
}

fn vectors(place: &Path, run: &Path) -> Vec<Input> {
    fs::create_dir_all(place).expect("a folder");
    let (binary, table) = (place.join("cc.de.bin"), place.join("cc.de.vec"));
    fs::copy(run.join("words/de.bin"), &binary).expect("copied");
    fs::write(&table, "3 4\nhund 0.5 -1 2.25 1e-3\nhaus 1 2 3 4\nrot -0.5 0 0 1\n").expect("written");
    [("bin", binary), ("vec", table)]
        .map(|(name, file)| {
            let read = file.clone();
            input(&format!("vectors .{name}"), file, move || {
                let vectors = WordVectors::open(&read, &|_| true)?;
                let mut vector = vec![0.0; vectors.width()];
                for word in ["hund", "haus", "ein", "unbekannteswort", "狗", "x"] {
                    vectors.vector(word, &mut vector);
                    vectors.contains(word);
                    assert!(vector.iter().all(|x| x.is_finite()), "`{word}` has a vector that is not finite");
                }
                Ok(())
            })
        })
        .into()
}

/// A trained run at work.
pub fn search(run: &Path, gallery: &Path) -> Result<()> {
    let mut run = open(run, &[])?;
    let vectors = run.sentences(run.languages().len() - 1, &["ein rotes Haus", "unbekannt"]).vectors;
    let found = run.search(&Features::open(&[gallery.to_path_buf()])?, &vectors, 3)?;
    assert!(found.iter().flatten().all(|found| found.score.is_finite()), "a score is not finite");
    run.folder().evaluations().map(drop)
}

/// A training that is taken up again, as far as its first step.
pub fn resume(run: &Path, given: &Config) -> Result<()> {
    let corpus = Corpus::load(given.data(), given.base())?;
    let Start { folder, config, encoder, train, validation, model, .. } =
        go_on(Earlier::open(run, given)?, &corpus)?;
    let learner = SmalrLearner::new(&config, &corpus, &encoder.lexicon, &train, validation, model);
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
    command(&["sweep", text(&file), "--out", text(&out), "--jobs", "1", "--quiet"]);
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
    all.push(with(input("trial.json", trial, move || folder.rows(&plan.trials).map(drop)), &[text(&out)]));
    for entry in fs::read_dir(out.join("cache")).expect("a cache") {
        let file = entry.expect("an entry").path();
        let kind = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_string();
        if !["bin", "alignment", "latents"].contains(&&kind[..])
            || all.iter().any(|i| i.name == format!("cached {kind}"))
        {
            continue;
        }
        let config = Config::load(&place.join("words.toml"), &[]).expect("a good configuration");
        let corpus = Corpus::load(config.data(), config.base()).expect("a corpus");
        let cache = out.join("cache");
        let read = move || prepare(&config, &corpus, Some(&cache), &mut |_, _, _, _| ()).map(drop);
        all.push(input(&format!("cached {kind}"), file, read));
    }
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
    command(&[&["train", text(&config), "--out", text(&run)], &short[..]].concat());
    command(&["train", text(&tower_config), "--out", text(&tower), "--set", "train.epochs=1", "--quiet"]);
    let exported = folder.join("de.safetensors");
    command(&["acquirer", "export", text(&run), "--language", "de", "--out", text(&exported)]);
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
    let opened = MlaRun::open(&run, &[]).expect("a run");
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

/// Numbers within ±1 that look random.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    (0..n)
        .map(|i| tinyglot::seed::derive(seed, "noise", i as u64) as f32 / u64::MAX as f32 * 2.0 - 1.0)
        .collect()
}
