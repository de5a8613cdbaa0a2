//! Texts as they come: long, broken, in other spellings; and the files that cut them into tokens.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::acquisition::{checkpoint, write};
use crate::corpus::{CONFIG, MADE, copy, data, refused};
use crate::whole::{fed, rows};
use crate::{printed, run, text, without_checksum};

fn lines(file: &Path, edit: impl Fn(&mut Vec<String>)) {
    let mut lines: Vec<String> = fs::read_to_string(file).expect("read").lines().map(String::from).collect();
    edit(&mut lines);
    fs::write(file, lines.join("\n") + "\n").expect("written");
}

fn vectors(run: &Path, sentences: &str) -> Vec<Vec<f32>> {
    let (npy, ran) = fed(&["embed", text(run), "--language", "en"], sentences.as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    rows(&npy, 16)
}

#[test]
fn captions_longer_than_the_model_reads_are_counted_and_told() {
    let place = data();
    let (config, out) = (place.path().join("config.toml"), place.path().join("run"));
    lines(&place.path().join("data/captions/train.1.en"), |l| {
        l[4] = ["a dog"; 25].join(" ");
        l[9] = "x".repeat(101);
    });
    let checked = printed(&["data", "check", text(&config)]);
    assert!(checked.contains("warning: 1 captions in en are longer than `words.max_tokens`"), "{checked}");
    assert!(checked.contains("warning: 1 words in en have more than 100 letters"), "{checked}");
    let json: Value =
        serde_json::from_str(&printed(&["data", "check", text(&config), "--json"])).expect("JSON");
    assert_eq!(json["languages"][0]["lost"], serde_json::json!({"texts": 1, "words": 1}));
    assert_eq!(json["languages"][1]["lost"], serde_json::json!({"texts": 0, "words": 0}));
    let trained = run(&["train", text(&config), "--out", text(&out), "--stop-after", "1"]);
    assert_eq!(trained.status, Some(0), "{}", trained.stderr);
    let said = "1 training sentences are longer than `words.max_tokens` and lose their end";
    assert!(trained.stderr.contains(said), "{}", trained.stderr);
}

#[test]
fn sentences_longer_than_the_model_reads_are_told() {
    let long = ["a house"; 25].join(" ");
    let said = "1 sentences are longer than the model reads and lose their end, as `a house a house";
    let (_, embedded) =
        fed(&["embed", text(&MADE.run()), "--language", "en"], format!("a dog\n{long}\n").as_bytes());
    assert!(embedded.status == Some(0) && embedded.stderr.contains(said), "{}", embedded.stderr);
    let (run_, gallery) = (MADE.run(), MADE.gallery());
    let searched = run(&["search", text(&run_), "--language", "en", "--gallery", text(&gallery), &long]);
    assert!(searched.status == Some(0) && searched.stderr.contains(said), "{}", searched.stderr);
    let ran = run(&["search", text(&run_), "--language", "en", "--gallery", text(&gallery), "a house"]);
    assert_eq!(ran.stderr, "");
}

#[test]
fn what_is_no_sentence_on_standard_input_is_refused_with_its_line_and_nothing_is_written() {
    let (run_, gallery) = (MADE.run(), MADE.gallery());
    let long = [b"a dog\n", &vec![b'a'; (1 << 20) + 1][..], b"\n"].concat();
    let cases: [(&[u8], &str); 6] = [
        (b"a dog\n\xff\xfea\0\n", "`standard input`:2: is not UTF-8 (byte 1)"),
        (b"a dog\na\0cat\n", "`standard input`:2: holds a NUL (byte 2)"),
        (b"a dog\n\na cat\n", "`standard input`:2: is empty"),
        (b"a dog\na cat\n \t\r\n", "`standard input`:3: is empty"),
        (&long, "`standard input`:2: is longer than 1048576 bytes"),
        (b"", "`standard input`: holds no sentence"),
    ];
    for (input, said) in cases {
        for arguments in [
            &["embed", text(&run_), "--language", "en"][..],
            &["search", text(&run_), "--language", "en", "--gallery", text(&gallery)],
        ] {
            let (written, ran) = fed(arguments, input);
            assert!(written.is_empty() && ran.status == Some(4), "{said}: {}", ran.stderr);
            assert!(ran.stderr.contains(said) && ran.stderr.contains("hint: "), "{said}: {}", ran.stderr);
        }
    }
}

#[test]
fn spellings_that_look_alike_have_one_vector_and_old_runs_read_as_they_did() {
    let spellings = "a house\nA HOUSE\na ho\u{ad}use\u{200e}\n\u{feff}a ｈｏｕｓｅ\n";
    let new = vectors(&MADE.run(), spellings);
    assert!(new.iter().all(|v| *v == new[0]));
    let place = tempfile::tempdir().expect("a folder");
    let old = place.path().join("old");
    copy(&MADE.run(), &old);
    let line = "normalisation = \"script\"\n";
    let whole = fs::read_to_string(old.join("config.toml")).expect("read");
    assert!(whole.contains(line), "a run says by which rules it reads: {whole}");
    fs::write(old.join("config.toml"), whole.replace(line, "")).expect("written");
    // Nor did it remember what it was trained with.
    let file = old.join("run.json");
    let info = without_checksum(&fs::read_to_string(&file).expect("read"));
    let mut info: Value = serde_json::from_str(&info).expect("JSON");
    info.as_object_mut().expect("an object").remove("trained_with");
    fs::write(&file, serde_json::to_vec_pretty(&info).expect("JSON")).expect("written");
    let read = vectors(&old, spellings);
    assert_eq!((&read[0], &read[1], &read[3]), (&new[0], &new[0], &new[0]));
    assert_ne!(read[2], read[0], "an old run knows no word with a soft hyphen");
    // It goes on by its rules, whatever the configuration's default is now.
    let config = MADE.path("config.toml");
    let data = format!("data.root={}", text(&MADE.path("data")));
    printed(&["train", text(&config), "--out", text(&old), "--resume", "--quiet", "--set", &data]);
    let kept = fs::read_to_string(old.join("config.toml")).expect("read");
    assert!(!kept.contains(line), "{kept}");
    assert_eq!(vectors(&old, spellings), read);
}

/// Files that end, or go wrong, where the tokenizer's own reader would panic.
fn broken(whole: &str) -> Vec<String> {
    let within = whole.find("\"decoder\"").expect("a decoder") + 14;
    vec![
        r#"{"version":"1.0","decoder":{"#.to_string(),
        whole[..within].to_string(),
        format!("{}\0{}", &whole[..within], &whole[within..]),
        whole[..whole.len() - 20].to_string(),
        "{}".to_string(),
    ]
}

fn refused_quietly(arguments: &[&str], file: &str) {
    let ran = refused(arguments, 4, &[file, "is not a tokenizer", "hint: "]);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn broken_tokenizers_are_refused_by_every_road() {
    let place = tempfile::tempdir().expect("a folder");
    let config = write(place.path());
    let folder = |name: &str| place.path().join(name);
    for name in ["clip", "mbert"] {
        copy(&checkpoint(name), &folder(name));
    }
    let set =
        |key: &str| format!("acquire.{key}={}", text(&folder(if key == "tower" { "clip" } else { "mbert" })));
    let quick = ["--set", "acquire.nlt.epochs=1", "--set", "acquire.le.epochs=1", "--quiet"];
    let run_ = folder("run");
    printed(&[&["train", text(&config), "--out", text(&run_)][..], &quick].concat());
    for (name, key) in [("clip", "tower"), ("mbert", "embedding")] {
        let file = folder(name).join("tokenizer.json");
        let whole = fs::read_to_string(&file).expect("read");
        for content in broken(&whole) {
            fs::write(&file, &content).expect("written");
            let set = set(key);
            let new = folder("new");
            let arguments = ["train", text(&config), "--out", text(&new), "--set", &set];
            refused_quietly(&arguments, "tokenizer.json`");
            assert!(!folder("new").exists());
        }
    }
    let kept = run_.join("embedding/tokenizer.json");
    let whole = fs::read_to_string(&kept).expect("read");
    let gallery = folder("data/features/test.npy");
    for content in broken(&whole) {
        fs::write(&kept, &content).expect("written");
        let search = ["search", text(&run_), "--language", "de", "--gallery", text(&gallery), "rot"];
        refused_quietly(&search, "embedding/tokenizer.json`");
    }
    let words = data();
    let config = words.path().join("config.toml");
    let keys = "[words]\nsegmenter = 'tokenizer'\ntokenizer = 'own.json'\n[words.fasttext]";
    fs::write(&config, CONFIG.replace("[words.fasttext]", keys)).expect("written");
    for content in broken(&fs::read_to_string(checkpoint("clip/tokenizer.json")).expect("read")) {
        fs::write(words.path().join("own.json"), &content).expect("written");
        refused_quietly(&["data", "check", text(&config)], "own.json`");
        refused_quietly(
            &["train", text(&config), "--out", text(&words.path().join("run")), "--quiet"],
            "own.json`",
        );
    }
}

#[test]
fn a_checkpoint_without_a_tokenizer_says_how_to_make_one() {
    let place = tempfile::tempdir().expect("a folder");
    let config = write(place.path());
    let tower = place.path().join("clip");
    copy(&checkpoint("clip"), &tower);
    fs::remove_file(tower.join("tokenizer.json")).expect("removed");
    let set = format!("acquire.tower={}", text(&tower));
    let out = place.path().join("run");
    let train = ["train", text(&config), "--out", text(&out), "--set", &set, "--set", "acquire.nlt.epochs=1"];
    let train = [&train[..], &["--set", "acquire.le.epochs=1", "--quiet"]].concat();
    refused(&train, 4, &["clip/tokenizer.json`", "save_pretrained"]);
    // The two files that CLIP was published with serve as well, and the run keeps what they say.
    let json: Value =
        serde_json::from_slice(&fs::read(checkpoint("clip/tokenizer.json")).expect("read")).expect("JSON");
    fs::write(tower.join("vocab.json"), json["model"]["vocab"].to_string()).expect("written");
    let merges = json["model"]["merges"].as_array().expect("merges");
    let line = |pair: &Value| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    let merges: String = merges.iter().map(line).collect();
    fs::write(tower.join("merges.txt"), format!("#version: 0.2\n{merges}x \n")).expect("written");
    refused(&train, 4, &["merges.txt`:10: expected two tokens, got `x`"]);
    fs::write(tower.join("merges.txt"), format!("#version: 0.2\n{merges}")).expect("written");
    printed(&train);
    assert!(out.join("tower/tokenizer.json").exists());
    printed(&["evaluate", text(&out), "--quiet"]);
}

#[test]
fn one_endless_word_costs_no_minutes_and_counts_are_compared_first() {
    let place = tempfile::tempdir().expect("a folder");
    let config = write(place.path());
    let endless: String = (0..700_000u64).map(|n| (b'a' + (n * n * 7 / 11 % 26) as u8) as char).collect();
    lines(&place.path().join("data/train.de"), |l| l[3] = endless.clone());
    let fresh = fs::read_to_string(&config).expect("read");
    let fresh: String = fresh
        .lines()
        .filter(|l| !l.starts_with("embedding"))
        .map(|l| l.to_string() + "\n")
        .collect::<String>()
        .replace("[acquire.nlt]", "[acquire.fresh]\nvocabulary = 400\nwidth = 16\n[acquire.nlt]");
    fs::write(&config, &fresh).expect("written");
    let out = place.path().join("run");
    let train = ["train", text(&config), "--out", text(&out), "--set", "acquire.nlt.epochs=1"];
    let train = [&train[..], &["--set", "acquire.le.epochs=1"]].concat();
    let start = Instant::now();
    let trained = run(&train);
    assert_eq!(trained.status, Some(0), "{}", trained.stderr);
    assert!(start.elapsed() < Duration::from_secs(240), "{:?}", start.elapsed());
    assert!(
        trained.stderr.contains("longer than the tower's context and lose their end"),
        "{}",
        trained.stderr
    );
    fs::remove_dir_all(&out).expect("removed");
    lines(&place.path().join("data/train.de"), |l| l.truncate(30));
    // Captions are of those pictures, too: translations of their own.
    fs::copy(place.path().join("data/train.de"), place.path().join("data/translated.de")).expect("copied");
    fs::copy(place.path().join("data/train.fr"), place.path().join("data/translated.fr")).expect("copied");
    fs::copy(place.path().join("data/train.fr"), place.path().join("data/train.de")).expect("copied");
    let target = ["--set", "acquire.nlt.target=translated.{language}"];
    refused(&[&train[..], &target].concat(), 4, &["translated.de`: has 30 lines", "train.en` 36"]);
    assert!(!out.exists());
}

#[test]
fn captions_that_are_no_text_are_refused_with_their_line() {
    let place = data();
    let config = place.path().join("config.toml");
    let file = place.path().join("data/captions/train.2.de");
    let whole = fs::read(&file).expect("read");
    let utf16: Vec<u8> = String::from_utf8_lossy(&whole).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = [&vec![b'a'; (1 << 20) + 1][..], b"\n"].concat();
    for (content, said) in [
        (&utf16[..], "train.2.de`:1: is not UTF-8 (byte 45)"),
        (b"a\0 dog\n", "train.2.de`:1: holds a NUL (byte 2)"),
        (&[b"\xff\xfe", &utf16[..]].concat(), "train.2.de`: is UTF-16"),
        (&long, "train.2.de`:1: is longer than 1048576 bytes"),
    ] {
        fs::write(&file, content).expect("written");
        refused(&["data", "check", text(&config)], 4, &[said, "hint: "]);
    }
}
