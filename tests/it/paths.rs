//! Names from outside that would lead out of the folder they belong to.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::acquisition::write;
use crate::corpus::{MADE, copy, refused};
use crate::{printed, run, text, without_checksum};

const OUTSIDE: &str = "../checkpoints/best/model";

/// A run of acquisition, short: one pass of each stage.
fn acquired() -> TempDir {
    let place = TempDir::new().expect("a folder");
    let (config, out) = (write(place.path()), place.path().join("run"));
    let short = ["--set", "acquire.nlt.epochs=1", "--set", "acquire.le.epochs=1", "-q"];
    printed(&[&["train", text(&config), "--out", text(&out)], &short[..]].concat());
    place
}

#[test]
fn an_acquirer_is_neither_removed_nor_added_outside_of_its_folder() {
    let place = acquired();
    let (run_, file) = (place.path().join("run"), place.path().join("de.safetensors"));
    let model = run_.join("checkpoints/best/model.safetensors");
    let before = fs::read(&model).expect("a model");
    fs::create_dir_all(run_.join("acquirers")).expect("a folder");
    for name in [OUTSIDE, text(&model.with_extension("")), "", ".."] {
        refused(&["acquirer", "remove", text(&run_), "--language", name], 2, &["is no language code"]);
        assert!(fs::read(&model).expect("the model stays") == before);
    }
    printed(&["acquirer", "export", text(&run_), "--language", "de", "--out", text(&file)]);
    let bytes = fs::read(&file).expect("an acquirer");
    for name in [OUTSIDE, "../../escaped", "/escaped", "a/b"] {
        fs::write(&file, called(&bytes, name)).expect("written");
        let said = format!("de.safetensors`: `{name}` is no language code");
        refused(&["acquirer", "add", text(&run_), text(&file)], 4, &[&said]);
        assert!(fs::read(&model).expect("the model stays") == before);
        // A file that is in the run already is no better.
        fs::copy(&file, run_.join("acquirers/de.safetensors")).expect("copied");
        let gallery = place.path().join("data/features/test.npy");
        let search = ["search", text(&run_), "--language", "de", "--gallery", text(&gallery), "rot"];
        refused(&search, 4, &["is no language code"]);
        fs::remove_file(run_.join("acquirers/de.safetensors")).expect("removed");
    }
    assert!(!place.path().join("escaped.safetensors").exists());
}

/// An acquirer's file with another language in its header.
fn called(bytes: &[u8], language: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    header["__metadata__"]["language"] = language.into();
    // As an earlier program would have written it.
    header["__metadata__"].as_object_mut().expect("metadata").remove("crc32");
    let header = serde_json::to_vec(&header).expect("JSON");
    [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + length..]].concat()
}

/// Changes a text file of a copy of a run.
fn with(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("text");
    assert!(text.contains(from), "{text}");
    fs::write(file, without_checksum(&text.replace(from, to))).expect("written");
}

#[test]
fn languages_of_a_configuration_and_a_run_are_codes_wherever_they_stand() {
    let place = TempDir::new().expect("a folder");
    let config = place.path().join("config.toml");
    let own = fs::read_to_string(MADE.path("config.toml")).expect("text");
    let foreign = "[[data.captions]]\nlanguages = ['../x']\nread_as = 'de'\nfiles = ['{split}.{language}']\n";
    for (text_, key) in [
        (
            own.replacen("languages = ['en', 'de', 'zh']", "languages = ['en', 'de', '../zh']", 1),
            "data.languages",
        ),
        (format!("{own}{foreign}"), "data.captions.1.languages"),
        (format!("{own}[added.'../x']\nwords = 3\n"), "added"),
    ] {
        fs::write(&config, text_).expect("written");
        refused(&["config", "check", text(&config)], 3, &[key, "a language code is made of ASCII letters"]);
    }
    let run_ = place.path().join("run");
    copy(&MADE.run(), &run_);
    with(&run_.join("run.json"), "\"zh\"", "\"../zh\"");
    let report = ["report", text(&run_)];
    refused(&report, 4, &["`../zh` is no language code"]);
    let run_ = place.path().join("other");
    copy(&MADE.run(), &run_);
    for name in [OUTSIDE, "", "zh/../de"] {
        let out = place.path().join("without");
        refused(&["remove-language", text(&run_), name, "--out", text(&out)], 2, &["does not know"]);
        assert!(!out.exists());
        refused(&["embed", text(&run_), "--language", name], 2, &["does not know"]);
    }
}

#[test]
fn a_picture_id_shows_no_file_outside_of_the_pictures() {
    let place = TempDir::new().expect("a folder");
    let (run_, data) = (place.path().join("run"), place.path().join("data"));
    copy(&MADE.run(), &run_);
    copy(&MADE.path("data"), &data);
    // A picture beside the data, and every test picture named for it.
    let secret = place.path().join("secret.png");
    fs::copy(data.join("images/test_00001.png"), &secret).expect("copied");
    let ids: String = (0..20).map(|n| format!("{}../../secret\n", "x/../".repeat(n))).collect();
    fs::write(data.join("image_splits/test.txt"), ids).expect("written");
    let config = fs::read_to_string(run_.join("config.toml")).expect("text");
    let root = config.lines().find(|line| line.starts_with("root = ")).expect("the folder of the data");
    let config = config.replace(root, &format!("root = {:?}", text(&data)));
    fs::write(run_.join("config.toml"), config).expect("written");
    let ran = run(&["report", text(&run_)]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("leads out of the folder of the pictures"), "{}", ran.stderr);
    let page = fs::read_to_string(run_.join("report.html")).expect("a page");
    assert!(!page.contains("data:image/png"), "the picture is not shown");
}
