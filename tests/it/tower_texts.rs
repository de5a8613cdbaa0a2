//! Texts on their way into towers: the case of their language, and what is longer than the context.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::acquisition::{write, write_tower};
use crate::corpus::copy;
use crate::whole::{fed, rows};
use crate::{printed, text, without_checksum};

fn embedded(run: &Path, language: &str, sentences: &str) -> Vec<Vec<f32>> {
    let (npy, ran) = fed(&["embed", text(run), "--language", language], sentences.as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    rows(&npy, 12)
}

fn edit(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).expect("read");
    assert!(before.contains(from), "`{from}` is not in {before}");
    fs::write(file, before.replace(from, to)).expect("written");
}

/// A folder with the configurations of a tower in English and Turkish, and of Turkish acquired with new words; German stands for
/// Turkish, so far as pictures go.
fn turkish() -> TempDir {
    let place = TempDir::new().expect("a folder");
    let (acquire, tower) = (write(place.path()), write_tower(place.path()));
    for split in ["train", "val", "test"] {
        let data = place.path().join("data");
        let german = fs::read_to_string(data.join(format!("{split}.de"))).expect("read");
        fs::write(data.join(format!("{split}.tr")), german.replace('S', "IŞIK S")).expect("written");
    }
    edit(&tower, "['en']", "['en', 'tr']");
    edit(&tower, "epochs = 80", "epochs = 1");
    let config = fs::read_to_string(&acquire).expect("read");
    let lines = config.lines().filter(|line| !line.starts_with("embedding = ")).map(|line| match line {
        line if line.starts_with("tower = ") => {
            "tower = 'tower/tower'\nfresh = { vocabulary = 300, width = 16 }".into()
        }
        line => {
            line.replace("['de', 'en', 'fr']", "['tr', 'en']").replace("['en', 'de', 'fr']", "['tr', 'en']")
        }
    });
    let config: String = lines.map(|line| line + "\n").collect();
    fs::write(&acquire, config.replace("epochs = 40", "epochs = 1").replace("epochs = 10", "epochs = 1"))
        .expect("written");
    place
}

/// SpecialCasing.txt: I and ı, İ and i are the pairs of Turkish, I and i those of English.
#[test]
fn towers_read_capitals_by_the_rules_of_their_language() {
    let place = turkish();
    let path = |name: &str| place.path().join(name);
    let (tower, acquired) = (path("tower"), path("acquired"));
    printed(&["train", text(&path("tower.toml")), "--out", text(&tower), "-q"]);
    let pictures = format!("data.features=[\"{}/pictures/{{split}}.npy\"]", tower.display());
    let config = path("config.toml");
    printed(&["train", text(&config), "--out", text(&acquired), "-q", "--set", &pictures]);
    for run in [&tower, &acquired] {
        let turkish = embedded(run, "tr", "IŞIK İZ\nışık iz\nişik iz\n");
        assert_eq!(turkish[0], turkish[1]);
        assert_ne!(turkish[0], turkish[2]);
        let english = embedded(run, "en", "ISLAND\nisland\nısland\n");
        assert_eq!(english[0], english[1]);
        assert_ne!(english[0], english[2]);
    }
    // A run of an earlier program has learnt its words otherwise, and keeps to that.
    let old = path("old");
    copy(&tower, &old);
    edit(&old.join("tower/config.json"), ",\n  \"tinyglot_case_of_language\": true", "");
    let info = fs::read_to_string(old.join("run.json")).expect("read");
    let mut info: Value = serde_json::from_str(&without_checksum(&info)).expect("JSON");
    info.as_object_mut().expect("an object").remove("files");
    fs::write(old.join("run.json"), info.to_string()).expect("written");
    let turkish = embedded(&old, "tr", "IŞIK\nışık\nişik\n");
    assert_eq!(turkish[0], turkish[2]);
    assert_ne!(turkish[0], turkish[1]);
}

#[test]
fn captions_longer_than_a_towers_context_are_counted() {
    let place = TempDir::new().expect("a folder");
    let (acquire, tower) = (write(place.path()), write_tower(place.path()));
    for language in ["en", "de"] {
        let file = place.path().join(format!("data/train.{language}"));
        let lines = fs::read_to_string(&file).expect("read");
        let long = "rot ".repeat(40);
        let lines = lines.lines().enumerate().map(|(n, line)| if n < 2 { long.trim() } else { line });
        fs::write(&file, lines.map(|line| format!("{line}\n")).collect::<String>()).expect("written");
    }
    let cut = |config: &Path| -> Vec<Value> {
        let json = printed(&["data", "check", text(config), "--json"]);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        json["languages"].as_array().expect("languages").iter().map(|l| l["lost"]["texts"].clone()).collect()
    };
    assert_eq!(cut(&tower), [2]);
    assert_eq!(cut(&acquire), [2, 2, 0], "German, English and French");
    let said = "warning: 2 captions in de are longer than the tower's context and lose their end";
    let checked = printed(&["data", "check", text(&acquire)]);
    assert!(checked.contains(said), "{checked}");
    // Without the checkpoint nobody knows.
    let config = fs::read_to_string(&acquire).expect("read");
    let lines = config.lines().map(|l| if l.starts_with("tower = ") { "tower = 'missing'" } else { l });
    fs::write(&acquire, lines.map(|line| format!("{line}\n")).collect::<String>()).expect("written");
    assert_eq!(cut(&acquire), [Value::Null, Value::Null, Value::Null]);
}
