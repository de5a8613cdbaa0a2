//! Languages added to a run of acquisition and taken out again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::acquisition::{checkpoint, write};
use crate::corpus::refused;
use crate::{printed, text};

/// A corpus and a run on English and German.
static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    for split in ["train", "val", "test"] {
        let data = folder.path().join("data");
        let french = fs::read_to_string(data.join(format!("{split}.fr"))).expect("read");
        fs::write(data.join(format!("{split}.xx")), french.to_uppercase()).expect("written");
    }
    for code in ["fr", "xx"] {
        let captions = format!(
            "[data]\nroot = 'data'\nlanguages = ['{code}']\n[[data.captions]]\nlanguages = ['{code}']\n\
             files = ['{{split}}.{code}']\n[[grow.translations]]\nlanguage = 'en'\nknown = 'train.en'\n\
             new = 'train.{code}'\n"
        );
        fs::write(folder.path().join(format!("{code}.toml")), captions).expect("written");
    }
    train(folder.path(), "base", &[]);
    folder
});

fn path(name: &str) -> PathBuf {
    MADE.path().join(name)
}

fn train(folder: &Path, out: &str, set: &[&str]) {
    let (config, out) = (folder.join("config.toml"), folder.join(out));
    let mut arguments = vec!["train", text(&config), "--out", text(&out), "--quiet"];
    arguments.extend(["--set", "data.languages=['de','en']"]);
    set.iter().for_each(|s| arguments.extend(["--set", s]));
    printed(&arguments);
}

fn add(from: &str, code: &str, to: &str) -> String {
    let (from, config, to) = (path(from), path(&format!("{code}.toml")), path(to));
    printed(&["add-language", text(&from), text(&config), "--out", text(&to), "--quiet"])
}

fn evaluated(run: &str) -> Value {
    let json = printed(&["evaluate", text(&path(run)), "--json"]);
    serde_json::from_str::<Value>(&json).expect("JSON")["languages"].clone()
}

fn bytes(run: &str, file: &str) -> Vec<u8> {
    fs::read(path(run).join(file)).expect("read")
}

const MODEL: &str = "checkpoints/best/model.safetensors";

#[test]
fn languages_are_added_in_any_order_and_the_old_ones_keep_every_bit() {
    let table = add("base", "fr", "fr");
    assert!(
        table.contains("the same to the last bit: yes") && table.contains("characters a token"),
        "{table}"
    );
    add("base", "xx", "xx");
    add("fr", "xx", "fr-xx");
    add("xx", "fr", "xx-fr");
    for (code, alone) in [("fr", "fr"), ("xx", "xx")] {
        let file = format!("acquirers/{code}.safetensors");
        assert!(
            bytes("fr-xx", &file) == bytes("xx-fr", &file) && bytes("fr-xx", &file) == bytes(alone, &file)
        );
    }
    assert!(bytes("fr-xx", MODEL) == bytes("base", MODEL), "nothing else has moved");
    let (before, after) = (evaluated("base"), evaluated("fr-xx"));
    assert_eq!(after.as_object().expect("languages").len(), 4);
    assert_eq!((&before["de"], &before["en"]), (&after["de"], &after["en"]));
    // Of 24 pictures chance finds 22 % on average.
    assert!(after["fr"]["mR"].as_f64() > Some(35.0), "{after}");
    let growth: Value =
        serde_json::from_slice(&bytes("fr-xx", "growth/fr.json")).expect("what the first one gave");
    assert_eq!(growth["results"][2]["after"][1], after["fr"]["mR"]);
    assert_eq!(growth["shared"][0], growth["shared"][1]);
    assert_eq!((&growth["captions"], &growth["translations"]), (&36.into(), &36.into()));
    let parameters = 3 * (2 * 16 * 12 + 16 + 12);
    assert_eq!(growth["parameters"][0][1], parameters);
    let number = |key: &str| growth[key].as_u64().expect("a number");
    // 50 passes of 3 batches, as in the base, which has acquired one language too.
    assert_eq!((number("sentences_shown"), number("base_sentences_shown")), (1800, 1800));
    assert!(number("products") > 0 && number("base_products") > 0);
    assert!(!path("fr").join("learning").exists() && !path("fr").join("words").exists());
    let page = String::from_utf8(bytes("fr-xx", "report.html")).expect("text");
    assert!(page.contains("The added language") && page.contains("acquirer.xx"));
    let gallery = path("data/features/test.npy");
    let query =
        ["search", text(&path("fr")), "--language", "fr", "--gallery", text(&gallery), "rouge maison"]
            .map(String::from);
    assert!(printed(&query.iter().map(String::as_str).collect::<Vec<_>>()).lines().count() > 5);

    let remove = |from: &str, code: &str, to: &str| {
        printed(&["remove-language", text(&path(from)), code, "--out", text(&path(to))]);
    };
    remove("fr-xx", "fr", "less-fr");
    assert_eq!(evaluated("less-fr"), evaluated("xx"));
    assert!(!path("less-fr/growth/fr.json").exists() && !path("less-fr/acquirers/fr.safetensors").exists());
    let (run, out) = (path("fr"), path("refused"));
    refused(
        &["remove-language", text(&run), "de", "--out", text(&out)],
        2,
        &["only language that was acquired"],
    );
    refused(&["remove-language", text(&run), "en", "--out", text(&out)], 2, &["language of the tower"]);
    refused(&["acquirer", "remove", text(&run), "--language", "fr"], 2, &["remove-language"]);
    let config = path("fr.toml");
    refused(&["add-language", text(&run), text(&config), "--out", text(&out)], 2, &["knows `fr` already"]);
    fs::remove_file(path("less-fr/acquirers/xx.safetensors")).expect("removed");
    refused(&["evaluate", text(&path("less-fr"))], 4, &["the acquirer of `xx` is missing"]);
}

#[test]
fn a_language_that_was_trained_can_be_taken_out() {
    let (config, three) = (path("config.toml"), path("three"));
    let short = ["--set", "acquire.nlt.epochs=3", "--set", "acquire.le.epochs=1"];
    printed(&[&["train", text(&config), "--out", text(&three), "--quiet"], &short[..]].concat());
    printed(&["remove-language", text(&three), "DE", "--out", text(&path("without-de"))]);
    let (before, after) = (evaluated("three"), evaluated("without-de"));
    assert_eq!((&before["fr"], &before["en"]), (&after["fr"], &after["en"]));
    assert!(after.get("de").is_none());
}

#[test]
fn translations_alone_teach_a_language_and_what_cannot_be_is_refused() {
    let base = path("base");
    let only = path("only.toml");
    let translations = |known: &str| {
        format!(
            "[data]\nroot = 'data'\nlanguages = ['fr']\n[[grow.translations]]\nlanguage = '{known}'\n\
             known = 'train.{known}'\nnew = 'train.fr'\n"
        )
    };
    fs::write(&only, translations("de")).expect("written");
    let out = path("by-translations");
    printed(&["add-language", text(&base), text(&only), "--out", text(&out), "--quiet"]);
    assert!(evaluated("by-translations").get("fr").is_none(), "it has no captions");
    let none = path("none");
    let refuse = |content: &str, more: &[&str], status: i32, said: &str| {
        let file = path("broken.toml");
        fs::write(&file, content).expect("written");
        let arguments = ["add-language", text(&base), text(&file), "--out", text(&none), "--quiet"];
        refused(&[&arguments[..], more].concat(), status, &[said]);
        assert!(!none.exists(), "nothing is left");
    };
    refuse(&translations("fr"), &[], 3, "`fr`, which the run was not trained on");
    refuse(&translations("en"), &["--curve", "20,36"], 2, "`--curve` has 36; there are 36 sentences");
    refuse(
        &translations("en"),
        &["--set", "grow.nlt.epochs=0"],
        3,
        "`fr` has translations, and no stage for them",
    );
    refuse(&translations("en"), &["--set", "grow.epochs=3"], 3, "`grow.epochs` cannot be set");
    refuse(&translations("en"), &["--set", "acquire.hidden=3"], 3, "`acquire.hidden` cannot be set");
    refuse(&translations("en"), &["--resume"], 2, "no language is being added here");
    let file = path("data/short.fr");
    fs::write(&file, "rouge\n").expect("written");
    refuse(&translations("en").replace("train.fr", "short.fr"), &[], 4, "has 1 lines");
}

/// Its own stages, and what fewer sentences teach: an acquirer that is no other than without the curve.
#[test]
fn a_language_is_added_in_stages_of_its_own_with_a_learning_curve() {
    add("base", "fr", "runs-stages");
    let (base, config) = (path("base"), path("fr.toml"));
    let add = |out: &str, more: &[&str]| {
        let out = path(out);
        let own = ["--set", "grow.nlt.epochs=4", "--set", "grow.le.epochs=2", "--set", "grow.le.batch=18"];
        let all = ["add-language", text(&base), text(&config), "--out", text(&out), "--quiet"];
        printed(&[&all[..], &own, more].concat())
    };
    add("own-stages", &[]);
    let table = add("curve", &["--curve", "24,48"]);
    assert!(table.contains("24 sentences: val ") && table.contains("48 sentences: val "), "{table}");
    let file = "acquirers/fr.safetensors";
    assert!(
        bytes("curve", file) == bytes("own-stages", file)
            && bytes("curve", file) != bytes("runs-stages", file)
    );
    let growth: Value = serde_json::from_slice(&bytes("curve", "growth/fr.json")).expect("JSON");
    // 4 passes of 3 batches of 12 translations, 2 of 2 batches of 18 captions.
    assert_eq!(growth["sentences_shown"], 4 * 36 + 2 * 36);
    let curve = growth["curve"].as_array().expect("a curve");
    assert_eq!(curve.iter().map(|p| p["sentences"].as_u64()).collect::<Vec<_>>(), [Some(24), Some(48)]);
    assert!(curve.iter().all(|p| p["mr"][0].is_f64() && p["mr"][1].is_f64()), "{curve:?}");
    assert_ne!(curve[0]["mr"], curve[1]["mr"]);
    assert!(!path("curve/learning").exists());
    let kept = String::from_utf8(bytes("curve", "config.toml")).expect("text");
    assert!(kept.contains("[added.fr.le]\nepochs = 2\nbatch = 18\n"), "{kept}");
    let exported = path("own.safetensors");
    printed(&["acquirer", "export", text(&path("curve")), "--language", "fr", "--out", text(&exported)]);
    let card = fs::read_to_string(exported.with_extension("md")).expect("what it is");
    assert!(card.contains("(LE): 2 passes, batches of 18"), "{card}");
    assert_eq!(evaluated("curve")["fr"], evaluated("own-stages")["fr"]);
}

/// Other encoders than M-BERT, with a tokenizer, a pooling and a dense layer of their own; the run keeps all of it.
#[test]
fn languages_are_acquired_with_encoders_of_sentence_transformers() {
    let place = TempDir::new().expect("a folder");
    let config = write(place.path());
    let made = fs::read_to_string(&config).expect("read");
    for (name, tower, embedding, more) in [
        ("cma", "clip", "sentence", "encoder = 'bert'\ntrain_embedding = false\n"),
        ("cma-distilbert", "sentence", "distilbert", "encoder = 'bert'\ntrain_embedding = false\n"),
        ("mla", "sentence", "xlmr", ""),
        ("mla-roberta", "roberta", "roberta", "train_embedding = false\nrank = 2\n"),
    ] {
        let [clip, mbert] = ["clip", "mbert"].map(|name| checkpoint(name).display().to_string());
        let [own, words] = [tower, embedding].map(|name| checkpoint(name).display().to_string());
        let text_ = made.replace(&format!("tower = '{clip}'"), &format!("tower = '{own}'"));
        let text_ = text_.replace(&format!("embedding = '{mbert}'"), &format!("{more}embedding = '{words}'"));
        let text_ = text_.replace("epochs = 40", "epochs = 2").replace("epochs = 10", "epochs = 1");
        fs::write(&config, text_).expect("written");
        let (run, moved) = (place.path().join(name), place.path().join(format!("{name}-moved")));
        if name == "mla-roberta" {
            // Its vectors are 16 wide.
            refused(
                &["train", text(&config), "--out", text(&run), "--quiet"],
                4,
                &["train.npy`: has rows of 12 numbers; the joint space of the tower has 16"],
            );
            continue;
        }
        printed(&["train", text(&config), "--out", text(&run), "--quiet"]);
        fs::rename(&run, &moved).expect("moved");
        let json = printed(&["evaluate", text(&moved), "--json"]);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert!(json["languages"]["de"]["mR"].as_f64().is_some_and(|mr| mr > 0.0), "{name}");
        let kept = |part: &str| {
            let file = fs::read_to_string(moved.join(part).join("config.json")).expect("read");
            serde_json::from_str::<Value>(&file).expect("JSON")["tinyglot_pooling"].clone()
        };
        let pooling = |of: &str| if of == "sentence" { Value::from("mean") } else { Value::Null };
        assert_eq!((kept("tower"), kept("embedding")), (pooling(tower), pooling(embedding)), "{name}");
    }
}
