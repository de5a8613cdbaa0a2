//! Languages added to a trained run and taken out again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{CONFIG, copy, refused};
use crate::{printed, run, text};

/// A corpus in four languages, a run on two of them, and how the others are added.
struct Place {
    folder: TempDir,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { folder };
    let sizes = ["--train", "60", "--val", "20", "--test", "20", "--languages", "en,de,qu,fr", "--quiet"];
    printed(&[&["data", "scenes", "--out", text(&place.path("data"))], &sizes[..]].concat());
    fs::write(place.path("config.toml"), CONFIG.replace("'zh'", "'qu', 'fr'")).expect("written");
    for code in ["qu", "fr"] {
        fs::write(place.path(&format!("{code}.toml")), GROW.replace("qu", code)).expect("written");
    }
    place.train("base", &[]);
    place.add("base", "qu", "base-qu", &["--curve", "20,40"]);
    place
});

/// Of the base's configuration only the languages differ; it is as small.
const GROW: &str = "\
[data]
root = 'data'
languages = ['qu']
image_ids = 'image_splits/{split}.txt'

[[data.captions]]
languages = ['qu']
files = ['captions/{split}.1.qu', 'captions/{split}.2.qu']

[grow]
top_k = 20
word_width = 8
epochs = 2
least_steps = 10
images = 12
negatives = 20
rank = 3
align = { epochs = 2 }
";

impl Place {
    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn train(&self, out: &str, set: &[&str]) {
        let (config, out) = (self.path("config.toml"), self.path(out));
        let mut arguments = vec!["train", text(&config), "--out", text(&out), "--quiet"];
        arguments.extend(["--set", "data.languages=[\"en\",\"de\"]"]);
        set.iter().for_each(|s| arguments.extend(["--set", s]));
        printed(&arguments);
    }

    fn add(&self, from: &str, code: &str, to: &str, more: &[&str]) -> String {
        let (from, config, to) = (self.path(from), self.path(&format!("{code}.toml")), self.path(to));
        let arguments =
            [&["add-language", text(&from), text(&config), "--out", text(&to), "--quiet"], more].concat();
        printed(&arguments)
    }

    fn growth(&self, run: &str, code: &str) -> Value {
        json(&self.path(run).join(format!("growth/{code}.json")))
    }
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).expect("read")).expect("JSON")
}

/// The retrieval of each language, as text: every digit of every figure.
fn evaluated(run: &Path) -> Value {
    let e: Value = serde_json::from_str(&printed(&["evaluate", text(run), "--json"])).expect("JSON");
    e["languages"].clone()
}

fn parameters(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/best/model.safetensors")).expect("read")
}

#[test]
fn old_languages_keep_every_bit_and_the_new_run_is_whole() {
    let (base, grown) = (PLACE.path("base"), PLACE.path("base-qu"));
    let (before, after) = (evaluated(&base), evaluated(&grown));
    assert_eq!(after.as_object().expect("languages").keys().collect::<Vec<_>>(), ["en", "de", "qu"]);
    assert_eq!((&before["en"], &before["de"]), (&after["en"], &after["de"]));
    let growth = PLACE.growth("base-qu", "qu");
    assert_eq!(growth["shared"][0], growth["shared"][1]);
    assert_eq!(growth["shared"][0], json(&grown.join("run.json"))["shared"]);
    assert_eq!(growth["results"][2]["after"][1], after["qu"]["mR"], "the record has what evaluate says");
    let added = [20 * 8, 16 * 8 + 16, 16 * 12 + 16, 3 * (16 + 1) + 16 * (3 + 1)];
    assert_eq!(growth["parameters"].as_array().map(Vec::len), Some(added.len()));
    for (part, n) in growth["parameters"].as_array().expect("parts").iter().zip(added) {
        assert_eq!(part[1], n, "{part}");
    }
    let curve = growth["curve"].as_array().expect("a curve");
    assert_eq!(curve.iter().map(|p| p["sentences"].as_u64()).collect::<Vec<_>>(), [Some(20), Some(40)]);
    let page = fs::read_to_string(grown.join("report.html")).expect("a report");
    assert!(page.contains("The added language") && page.contains("the same to the last bit"));
    let gallery = PLACE.path("data/features/test.npy");
    let query = ["search", text(&grown), "--language", "qu", "--gallery", text(&gallery), "puka muyu"];
    let found = printed(&query);
    assert_eq!(
        found.lines().filter(|l| !l.trim().is_empty()).count(),
        11,
        "the query and ten pictures: {found}"
    );
}

#[test]
fn any_order_gives_the_same_and_removing_gives_what_was() {
    PLACE.add("base", "fr", "base-fr", &[]);
    PLACE.add("base-qu", "fr", "base-qu-fr", &[]);
    PLACE.add("base-fr", "qu", "base-fr-qu", &[]);
    let (one, other) = (evaluated(&PLACE.path("base-qu-fr")), evaluated(&PLACE.path("base-fr-qu")));
    for code in ["en", "de", "qu", "fr"] {
        assert_eq!(one[code], other[code], "{code}");
    }
    let remove = |from: &str, code: &str, to: &str| {
        let (from, to) = (PLACE.path(from), PLACE.path(to));
        printed(&["remove-language", text(&from), code, "--out", text(&to)]);
        to
    };
    let without = remove("base-qu-fr", "qu", "without-qu");
    assert!(parameters(&without) == parameters(&PLACE.path("base-fr")), "only fr is left");
    assert!(!without.join("growth/qu.json").exists() && without.join("growth/fr.json").exists());
    let without = remove("base-qu", "qu", "as-before");
    assert!(parameters(&without) == parameters(&PLACE.path("base")));
    assert_eq!(evaluated(&without), evaluated(&PLACE.path("base")));
    // A language that the run was trained on can go too, and the added one stays as it is.
    let without = remove("base-qu", "en", "without-en");
    let left = evaluated(&without);
    assert_eq!((&left["de"], &left["qu"]), (&one["de"], &one["qu"]));
    assert!(left.get("en").is_none());
    PLACE.add("as-before", "qu", "again", &[]);
    assert!(parameters(&PLACE.path("again")) == parameters(&PLACE.path("base-qu")));
}

#[test]
fn bases_without_own_words_and_with_every_loss_grow_too() {
    let all = [
        "loss.mclm.average=0.1",
        "loss.mclm.lstm=0.1",
        "loss.mclm.masked_triplet=0.5",
        "loss.adversary.weight=0.1",
        "loss.neighbourhood.words=0.1",
        "loss.info_nce.weight=0.5",
        "loss.word_drift=1e-4",
    ];
    PLACE.train("la", &["embedding.top_k=0"]);
    PLACE.train("smalr", &all);
    let thaw = ["--set", "grow.unfrozen_epochs=1"];
    add_refused(&PLACE.path("smalr"), &PLACE.path("qu.toml"), &thaw, 3, &["language classifier", "hint: "]);
    PLACE.train("liwe", &["embedding.kind=characters"]);
    let liwe = PLACE.path("liwe");
    add_refused(&liwe, &PLACE.path("qu.toml"), &[], 2, &["makes words of characters", "hint: "]);
    for (base, top_k) in [("la", 0), ("la", 20), ("base", 0), ("smalr", 20)] {
        let out = format!("{base}-{top_k}");
        let set = [format!("grow.top_k={top_k}"), format!("grow.rank={}", top_k.min(3))];
        let table = PLACE.add(base, "qu", &out, &["--set", &set[0], "--set", &set[1]]);
        assert!(table.contains("the same to the last bit: yes"), "{table}");
        let (before, after) = (evaluated(&PLACE.path(base)), evaluated(&PLACE.path(&out)));
        assert_eq!((&before["en"], &before["de"]), (&after["en"], &after["de"]), "{out}");
        assert_eq!(PLACE.growth(&out, "qu")["own_words"], top_k);
    }
    // A language of each kind beside the other.
    PLACE.add("la-20", "fr", "la-20-fr", &["--set", "grow.top_k=0", "--set", "grow.rank=0"]);
    assert_eq!(evaluated(&PLACE.path("la-20-fr"))["qu"], evaluated(&PLACE.path("la-20"))["qu"]);
    let removed = PLACE.path("smalr-less");
    printed(&["remove-language", text(&PLACE.path("smalr-20")), "de", "--out", text(&removed)]);
    assert_eq!(evaluated(&removed)["qu"], evaluated(&PLACE.path("smalr-20"))["qu"]);
}

/// Writes the new language's captions, and the first language's beside them, as translations.
fn translations(place: &TempDir, lines: usize) -> PathBuf {
    let take = |file: &str| {
        let all = fs::read_to_string(PLACE.path("data/captions").join(file)).expect("read");
        all.lines().take(lines).map(|l| l.to_string() + "\n").collect::<String>()
    };
    fs::write(place.path().join("a.en"), take("train.1.en")).expect("written");
    fs::write(place.path().join("a.qu"), take("train.1.qu")).expect("written");
    let file = place.path().join("grow.toml");
    let grow = &GROW[GROW.find("[grow]").expect("the section")..];
    let sources = "[[grow.translations]]\nlanguage = 'en'\nknown = 'a.en'\nnew = 'a.qu'\n";
    fs::write(&file, format!("[data]\nlanguages = ['qu']\n\n{grow}\n{sources}")).expect("written");
    file
}

#[test]
fn translations_alone_teach_a_language() {
    let place = tempfile::tempdir().expect("a folder");
    let (config, out) = (translations(&place, 60), place.path().join("out"));
    let base = PLACE.path("base");
    printed(&["add-language", text(&base), text(&config), "--out", text(&out), "--quiet"]);
    let (before, after) = (evaluated(&base), evaluated(&out));
    assert_eq!((&before["en"], &before["de"]), (&after["en"], &after["de"]));
    assert_eq!(json(&out.join("growth/qu.json"))["translations"], 60);
    // It has no captions of the run's pictures; given some, it can be measured.
    assert!(after.get("qu").is_none());
    let captions =
        "data.captions=[{languages=[\"en\",\"de\",\"qu\"], files=[\"captions/{split}.1.{language}\"]}]";
    let e = printed(&["evaluate", text(&out), "--json", "--name", "qu", "--set", captions]);
    assert!(serde_json::from_str::<Value>(&e).expect("JSON")["languages"]["qu"]["mR"].is_f64());
}

#[test]
fn pictures_of_its_own_teach_a_language() {
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path().join("data");
    let sizes =
        ["--train", "40", "--val", "10", "--test", "10", "--languages", "qu", "--seed", "5", "--quiet"];
    printed(&[&["data", "scenes", "--out", text(&data)], &sizes[..]].concat());
    let (config, out) = (place.path().join("grow.toml"), place.path().join("out"));
    fs::write(&config, GROW).expect("written");
    let base = PLACE.path("base");
    printed(&["add-language", text(&base), text(&config), "--out", text(&out), "--quiet"]);
    assert_eq!(evaluated(&base), evaluated(&out), "the new language has no captions of these pictures");
    let growth = json(&out.join("growth/qu.json"));
    assert!(growth["results"][2]["after"][1].is_f64(), "it was measured on its own: {growth}");
}

#[test]
fn unfrozen_passes_report_what_the_old_languages_lose() {
    let set = ["--set", "grow.unfrozen_epochs=1", "--set", "grow.unfrozen_learning_rate=1e-2"];
    let table = PLACE.add("base", "qu", "unfrozen", &set);
    assert!(!table.contains("to the last bit"), "{table}");
    let (growth, run) = (PLACE.growth("unfrozen", "qu"), PLACE.path("unfrozen"));
    assert_eq!(growth["unfrozen"], true);
    let after = evaluated(&run);
    for (n, code) in ["en", "de", "qu"].iter().enumerate() {
        assert_eq!(growth["results"][n]["after"][1], after[code]["mR"], "{code}");
    }
    assert_eq!(growth["shared"][1], json(&run.join("run.json"))["shared"]);
}

/// The demo's model with fewer pictures and epochs.
#[test]
fn quechua_joins_the_ten_other_languages_and_does_as_well() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    let ten = "en,de,fr,cs,zh,ja,ar,af,ko,ru";
    let (data, languages) = (path("data"), format!("{ten},qu"));
    let sizes = ["--train", "400", "--val", "50", "--test", "100", "--captions", "1", "--quiet"];
    printed(&[&["data", "scenes", "--out", text(&data), "--languages", &languages], &sizes[..]].concat());
    let quoted = |codes: &str| format!("[\"{}\"]", codes.replace(',', "\",\""));
    let set = [
        format!("data.root={}", data.display()),
        format!("data.languages={}", quoted(ten)),
        format!(
            "data.captions=[{{languages={},files=[\"captions/{{split}}.1.{{language}}\"]}}]",
            quoted(ten)
        ),
        "train.epochs=6".to_string(),
    ];
    let demo = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("configs/demo.toml");
    let base = path("base");
    let mut train = vec!["train", text(&demo), "--out", text(&base), "--quiet"];
    set.iter().for_each(|s| train.extend(["--set", s]));
    printed(&train);
    let (config, out) = (path("qu.toml"), path("out"));
    let grow = &GROW[..GROW.find("[grow]").expect("the section")].replace(", 'captions/{split}.2.qu'", "");
    fs::write(&config, grow.to_string() + "[grow]\ntop_k = 100\n").expect("written");
    printed(&["add-language", text(&base), text(&config), "--out", text(&out), "--quiet"]);
    let after = evaluated(&out);
    let mr = |code: &str| after[code]["mR"].as_f64().expect("mR");
    let old = ten.split(',').map(mr).sum::<f64>() / 10.0;
    assert!(mr("qu") > 0.9 * old && old > 5.0, "qu {}, the others {old} on average, chance 3.2", mr("qu"));
}

/// Adding must end with this status, saying this, and leave nothing behind.
fn add_refused(base: &Path, config: &Path, more: &[&str], status: i32, said: &[&str]) {
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("out");
    let arguments =
        [&["add-language", text(base), text(config), "--out", text(&out), "--quiet"], more].concat();
    refused(&arguments, status, said);
    assert!(!out.exists(), "something was left of the run");
}

#[test]
fn bad_additions_are_refused_before_anything_is_computed() {
    let (base, config) = (PLACE.path("base"), PLACE.path("qu.toml"));
    let set = |s: &'static str| ["--set", s];
    add_refused(
        &PLACE.path("base-qu"),
        &config,
        &[],
        2,
        &["knows `qu` already", "hint: ", "remove-language"],
    );
    let two = set("data.languages=[\"qu\",\"fr\"]");
    let files = set("data.captions=[{languages=[\"qu\",\"fr\"],files=[\"captions/{split}.1.{language}\"]}]");
    add_refused(&base, &config, &[two, files].concat(), 3, &["has 2 languages", "hint: "]);
    add_refused(&base, &config, &set("train.epochs=3"), 3, &["`train.epochs` cannot be set", "hint: "]);
    add_refused(&base, &config, &["--curve", "20,500"], 2, &["`--curve` has 500", "120 sentences"]);
    add_refused(&PLACE.path("nothing"), &config, &[], 4, &["no run here", "hint: "]);
    add_refused(&base, &PLACE.path("no.toml"), &[], 3, &["no.toml`: cannot be read"]);
    let root = format!("data.root={}", PLACE.path("nowhere").display());
    add_refused(&base, &config, &["--set", &root], 4, &["cannot be read", "hint: "]);
}

/// A file of vectors for the lines of the known side.
fn vectors_for(text: &Path, width: usize) {
    let lines = fs::read_to_string(text).expect("read").lines().count();
    let vectors: Vec<f32> = (0..lines * width).map(|n| ((n * 7919 % 1013) as f32 - 506.0) / 506.0).collect();
    let file = format!("{}.npy", text.display());
    tinyglot::corpus::write_npy(file, lines, width, &vectors).expect("written");
}

#[test]
fn a_teacher_that_is_named_teaches_and_one_that_does_not_fit_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let config = translations(&place, 60);
    let plain = fs::read_to_string(&config).expect("read");
    let teach = |losses: &str| {
        let teacher = "[teacher]\ntexts = ['a.{language}']\nlanguages = ['en']\n";
        fs::write(&config, format!("{plain}[grow.teacher]\n{losses}\n{teacher}")).expect("written");
    };
    let base = PLACE.path("base");
    // The run's vectors have 16 numbers.
    vectors_for(&place.path().join("a.en"), 8);
    teach("cosine = 1.0");
    add_refused(&base, &config, &[], 4, &["have 8 numbers", "`text.joint` is 16", "`relational` alone"]);
    teach("relational = 1.0");
    let out = place.path().join("relational");
    printed(&["add-language", text(&base), text(&config), "--out", text(&out), "--quiet"]);
    vectors_for(&place.path().join("a.en"), 16);
    teach("cosine = 1.0");
    let out = place.path().join("cosine");
    printed(&["add-language", text(&base), text(&config), "--out", text(&out), "--quiet"]);
    let (before, after) = (evaluated(&base), evaluated(&out));
    assert_eq!((&before["en"], &before["de"]), (&after["en"], &after["de"]));
    assert!(parameters(&out) != parameters(&place.path().join("relational")));

    let add = |set: &str, status, said: &[&str]| add_refused(&base, &config, &["--set", set], status, said);
    add("grow.teacher.cosine=0", 3, &["`teacher.texts`", "teaches nothing"]);
    add("teacher.languages=[\"fr\"]", 3, &["`teacher.languages` is `fr`"]);
    let itself = ["--set", "teacher.texts=[]", "--set", "teacher.languages=[\"qu\"]"];
    add_refused(&base, &config, &itself, 3, &["`teacher.languages` names `qu`", "does not know"]);
    fs::write(&config, plain.clone() + "[grow.teacher]\ncosine = 1.0\n[teacher]\nrun = 'no'\n")
        .expect("written");
    add_refused(&base, &config, &[], 4, &["/no`: no run here", "hint: "]);
    let pictures = format!("[teacher]\nrun = '{}'\npictures = true\n", base.display());
    fs::write(&config, plain + "[grow.teacher]\ncosine = 1.0\n" + &pictures).expect("written");
    add_refused(&base, &config, &[], 3, &["`teacher.pictures` cannot be set", "hint: "]);
    // The run does not read the new language's captions.
    let captions = place.path().join("captions.toml");
    fs::write(&captions, GROW.to_string() + "teacher = { cosine = 1.0 }\n").expect("written");
    let root = format!("data.root={}", PLACE.path("data").display());
    add_refused(&base, &captions, &["--set", &root], 3, &["the teacher knows none", "it knows en, de"]);
}

#[test]
fn translations_that_hold_test_captions_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let root = PLACE.path("data");
    let config = place.path().join("leak.toml");
    let sources =
        "[[grow.translations]]\nlanguage = 'en'\nknown = 'captions/test.1.en'\nnew = 'captions/test.1.qu'\n";
    fs::write(&config, GROW.to_string() + sources).expect("written");
    let root = format!("data.root={}", root.display());
    add_refused(
        &PLACE.path("base"),
        &config,
        &["--set", &root],
        4,
        &["test.1.qu`:", "test captions in `qu`", "hint: take the test captions out"],
    );
}

#[test]
fn an_output_folder_that_holds_something_stays_as_it_is() {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join("note"), "mine").expect("written");
    let (base, config) = (PLACE.path("base"), PLACE.path("qu.toml"));
    let add = ["add-language", text(&base), text(&config), "--out", text(place.path())];
    refused(&add, 2, &["the folder is not empty", "hint: "]);
    refused(&["remove-language", text(&base), "de", "--out", text(place.path())], 2, &["not empty"]);
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 1);
}

#[test]
fn captions_and_features_that_do_not_fit_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    copy(&PLACE.path("data"), &place.path().join("data"));
    let config = place.path().join("grow.toml");
    fs::write(&config, GROW).expect("written");
    let captions = place.path().join("data/captions/train.1.qu");
    fs::write(&captions, "").expect("written");
    add_refused(&PLACE.path("base"), &config, &[], 4, &["train.1.qu`", "hint: "]);
    fs::copy(PLACE.path("data/captions/train.1.qu"), &captions).expect("copied");
    let narrow = |split: &str, rows: usize| {
        let file = place.path().join(format!("data/features/{split}.npy"));
        tinyglot::corpus::write_npy(&file, rows, 3, &vec![1.0; rows * 3]).expect("written");
    };
    [("train", 60), ("val", 20), ("test", 20)].iter().for_each(|(split, rows)| narrow(split, *rows));
    add_refused(&PLACE.path("base"), &config, &[], 4, &["rows of 3 numbers", "hint: "]);
}

#[test]
fn too_few_or_unequal_translations_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let config = translations(&place, 5);
    add_refused(&PLACE.path("base"), &config, &[], 4, &["has 5 training sentences", "hint: give 20"]);
    fs::write(place.path().join("a.qu"), "huk\n\niskay\n").expect("written");
    add_refused(&PLACE.path("base"), &config, &[], 4, &["a.qu`:2: is an empty line", "hint: "]);
    fs::write(place.path().join("a.qu"), "huk\niskay\n").expect("written");
    add_refused(&PLACE.path("base"), &config, &[], 4, &["a.qu`: has 2 lines", "has 5", "hint: "]);
    fs::remove_file(place.path().join("a.qu")).expect("removed");
    add_refused(&PLACE.path("base"), &config, &[], 4, &["a.qu`: cannot be read"]);
    let other = ["--set", "grow.translations=[{language=\"ja\",known=\"a.en\",new=\"a.qu\"}]"];
    add_refused(&PLACE.path("base"), &config, &other, 2, &["does not know the language `ja`", "hint: "]);
}

#[test]
fn vectors_of_another_width_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("v.vec");
    fs::write(&file, "2 3\npuka 1 2 3\nmuyu 1 0 2\n").expect("written");
    let set = format!("words.vectors={}", file.display());
    let said = ["vectors of `qu` have 3 numbers, those of the run 12", "hint: give vectors of width 12"];
    add_refused(&PLACE.path("base"), &PLACE.path("qu.toml"), &["--set", &set], 4, &said);
}

#[test]
fn damaged_runs_and_those_of_other_versions_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let damaged = |name: &str, from: &str, damage: &dyn Fn(&Path)| {
        let to = place.path().join(name);
        copy(&PLACE.path(from), &to);
        damage(&to);
        to
    };
    let config = PLACE.path("fr.toml");
    let cut = damaged("cut", "base", &|run| {
        let file = run.join("checkpoints/best/model.safetensors");
        let bytes = fs::read(&file).expect("read");
        fs::write(&file, &bytes[..bytes.len() / 2]).expect("written");
    });
    add_refused(&cut, &config, &[], 4, &["model.safetensors`", "hint: the run is damaged"]);
    // One bit of a frozen parameter: only the checksum can tell.
    let flipped = damaged("flipped", "base-qu", &|run| {
        let file = run.join("checkpoints/best/model.safetensors");
        let mut bytes = fs::read(&file).expect("read");
        let end = bytes.len();
        bytes[end - 3] ^= 1;
        fs::write(&file, bytes).expect("written");
    });
    add_refused(
        &flipped,
        &config,
        &[],
        4,
        &["model.safetensors`: is not as it was written", "hint: the file was damaged"],
    );
    let newer = damaged("newer", "base", &|run| {
        let file = run.join("run.json");
        let text = fs::read_to_string(&file).expect("read");
        fs::write(&file, text.replacen("\"version\": 1", "\"version\": 9", 1)).expect("written");
    });
    add_refused(&newer, &config, &[], 4, &["of version 9", "hint: "]);
}

#[test]
fn languages_that_cannot_be_removed() {
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("out");
    let remove = |from: &Path, code: &str, said: &str| {
        refused(&["remove-language", text(from), code, "--out", text(&out)], 2, &[said, "hint: "]);
        assert!(!out.exists());
    };
    remove(&PLACE.path("base"), "ja", "does not know the language `ja`");
    let alone = place.path().join("alone");
    printed(&["remove-language", text(&PLACE.path("base")), "en", "--out", text(&alone)]);
    remove(&alone, "de", "`de` is the only language");
    assert_eq!(run(&["evaluate", text(&alone)]).status, Some(0));
}
