//! One file of every kind that is read, and how it is read: here those that a user gives.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tinyglot::Result;
use tinyglot::config::{Config, WordsConfig};
use tinyglot::corpus::leak::refuse_test_leak;
use tinyglot::corpus::{Corpus, Features, read_ids, write_npy, write_npy_f16};
use tinyglot::photos::Files;
use tinyglot::report::Picture;
use tinyglot::tower::{Tower, TowerTokenizer};
use tinyglot::words::{Dictionary, HuggingFace, Segmenter, WordVectors};

use crate::places::{self, copy};
use crate::{acquisition, runs, text};

/// A file and what reads it.
pub struct Input {
    pub name: String,
    pub file: PathBuf,
    pub read: Box<dyn Fn() -> Result<()>>,
    /// What an error may name in its place: files that it must agree with.
    pub with: Vec<String>,
}

pub fn input(name: &str, file: PathBuf, read: impl Fn() -> Result<()> + 'static) -> Input {
    Input { name: name.into(), file, read: Box::new(read), with: Vec::new() }
}

pub fn with(mut input: Input, others: &[&str]) -> Input {
    input.with = others.iter().map(ToString::to_string).collect();
    input
}

/// All that is read, made in a folder.
pub fn inputs(place: &Path) -> Vec<Input> {
    copy(&places::words(), place);
    let mut all = vec![configuration(place)];
    all.extend(formats(&place.join("formats")));
    all.extend(hconcat(place));
    all.extend(features(&place.join("features")));
    all.extend(lists(&place.join("lists")));
    all.extend(checkpoints(&place.join("checkpoints")));
    all.extend(vectors(&place.join("vectors"), &place.join("base")));
    all.extend(runs::inputs(place));
    all
}

fn configuration(place: &Path) -> Input {
    let file = place.join("changed.toml");
    fs::write(&file, places::WORDS).expect("written");
    let read = file.clone();
    with(
        input("configuration", file, move || {
            let config = Config::load(&read, &[])?;
            Corpus::of(&config).map(drop)
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
        let named: String = (0..count).map(|n| format!("{}#0\t{}\n", name(n), caption(n))).collect();
        fs::write(place.join(format!("named.{split}.token")), named).expect("written");
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
    let records: Vec<serde_json::Value> =
        jsonl.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    fs::write(place.join("captions.json"), serde_json::json!(records).to_string()).expect("written");
    let table: String = records.iter().map(|r| format!("{},en,{}\n", r["image"], r["text"])).collect();
    fs::write(place.join("captions.csv"), format!("image,language,text\n{table}")).expect("written");
    let packed = fs::File::create(place.join("captions.jsonl.gz")).expect("a file");
    let mut packed = GzEncoder::new(packed, Compression::fast());
    packed.write_all(jsonl.as_bytes()).expect("written");
    packed.finish().expect("written");
    fs::write(place.join("captions.jsonl"), jsonl).expect("written");
    let mut all = Vec::new();
    for (format, files, changed) in [
        ("lines", "lines.{split}.{language}", "lines.val.en"),
        ("karpathy", "karpathy.json", "karpathy.json"),
        ("coco", "coco.{split}.json", "coco.val.json"),
        ("jsonl", "captions.jsonl", "captions.jsonl"),
        ("json", "captions.json", "captions.json"),
        ("csv", "captions.csv", "captions.csv"),
        ("named", "named.{split}.token", "named.val.token"),
        ("jsonl", "captions.jsonl.gz", "captions.jsonl.gz"),
        ("jsonl", "captions.jsonl", "ids.val.txt"),
        ("lines", "lines.{split}.{language}", "f/val.npy"),
    ] {
        let toml = format!(
            "[data]\nroot = '.'\nlanguages = ['en']\nfeatures = ['f/{{split}}.npy']\n\
             image_ids = 'ids.{{split}}.txt'\n[[data.captions]]\nformat = '{format}'\nlanguages = ['en']\nfiles = ['{files}']\n"
        );
        let config = Config::from_toml(&toml, &place.join("c.toml")).expect("a good configuration");
        let read = move || Corpus::of(&config).map(drop);
        let others = ["f/val.npy", "ids.val.txt", files.split("{split}").next().expect("a part")];
        all.push(with(input(&format!("{format} {changed}"), place.join(changed), read), &others));
    }
    all
}

/// Texts that a corpus has beside its captions.
fn hconcat(place: &Path) -> Vec<Input> {
    let data = place.join("data");
    fs::create_dir_all(data.join("mt")).expect("a folder");
    let mut pairs = String::new();
    for split in ["val", "test"] {
        let [en, de] = ["en", "de"].map(|language| {
            fs::read_to_string(data.join(format!("captions/{split}.1.{language}"))).expect("captions")
        });
        for (en, de) in en.lines().zip(de.lines()) {
            pairs += &serde_json::json!({ "text": en, "translations": { "de": de } }).to_string();
            pairs.push('\n');
        }
        fs::write(data.join(format!("mt/{split}.de")), de).expect("written");
    }
    fs::write(data.join("mt/pairs.jsonl"), pairs).expect("written");
    fs::write(data.join("mt/text.de"), "ein Wald\nnoch ein Wald\n").expect("written");
    let translations = "translations = [{ of = ['en'], languages = ['en', 'de'], ";
    [
        ("parallel/val.de", String::new()),
        ("mt/val.de", format!("{translations}files = ['mt/{{split}}.{{language}}'] }}]\n")),
        ("mt/pairs.jsonl", format!("{translations}format = 'jsonl', files = ['mt/pairs.jsonl'] }}]\n")),
        ("mt/text.de", "text = 'mt/text.{language}'\n".to_string()),
    ]
    .map(|(file, keys)| {
        let toml = places::WORDS.replacen("[[data.captions]]", &format!("{keys}[[data.captions]]"), 1);
        let config = Config::from_toml(&toml, &place.join("words.toml")).expect("a good configuration");
        let tokens = |_: usize, text: &str| text.split(' ').map(String::from).collect();
        let read = move || refuse_test_leak(&Corpus::of(&config)?, &tokens).map(drop);
        input(&format!("beside captions: {file}"), data.join(file), read)
    })
    .into()
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
    let ids = write("ids.txt", "1.jpg\n2.jpg\n");
    let read = ids.clone();
    all.push(input("ids", ids, move || read_ids(&read).map(drop)));
    let picture = place.join("1.png");
    let image = place.parent().expect("a folder").join("data/images");
    let some = fs::read_dir(image).expect("pictures").next().expect("a picture").expect("an entry").path();
    fs::copy(some, &picture).expect("copied");
    let read = picture.clone();
    let shown = move || {
        let bytes = Files::default().bytes(&read)?;
        Picture::new("1", &bytes).map(drop).map_err(|e| e.at(&read))
    };
    all.push(input("picture", picture, shown));
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
    let published = place.join("published");
    fs::create_dir_all(&published).expect("a folder");
    let whole = fs::read(acquisition::checkpoint("clip/tokenizer.json")).expect("read");
    let whole: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    let merges = whole["model"]["merges"].as_array().expect("merges").iter().map(|merge| match merge {
        serde_json::Value::String(pair) => format!("{pair}\n"),
        pair => format!("{} {}\n", pair[0].as_str().expect("text"), pair[1].as_str().expect("text")),
    });
    let merges = format!("#version: 0.2\n{}", merges.collect::<String>());
    for (file, content) in [("vocab.json", whole["model"]["vocab"].to_string()), ("merges.txt", merges)] {
        fs::write(published.join(file), content).expect("written");
        let read = published.join("tokenizer.json");
        let open = move || HuggingFace::open(&read).map(|tokenizer| drop(tokenizer.ids("a red house")));
        let others = ["vocab.json", "merges.txt", "tokenizer.json"];
        all.push(with(input(&format!("published {file}"), published.join(file), open), &others));
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

/// Numbers within ±1 that look random.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    (0..n)
        .map(|i| tinyglot::seed::derive(seed, "noise", i as u64) as f32 / u64::MAX as f32 * 2.0 - 1.0)
        .collect()
}
