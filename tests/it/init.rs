//! From photographs and a table of captions to a search.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::refused;
use crate::{printed, run, text};

/// A picture tower of `tests/golden/vision`.
fn tower(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vision").join(name)
}

/// Forty drawn pictures in `photos`, each twice described in English and German; the texts of each, by language.
struct Given {
    place: TempDir,
    /// Name, and captions in English and German.
    captions: Vec<(String, [Vec<String>; 2])>,
}

impl Given {
    fn new() -> Given {
        let place = tempfile::tempdir().expect("a folder");
        let scenes = place.path().join("scenes");
        let sizes = ["--train", "36", "--val", "2", "--test", "2", "--languages", "en,de", "--quiet"];
        printed(&[&["data", "scenes", "--out", text(&scenes)], &sizes[..]].concat());
        let read = |name: &str| fs::read_to_string(scenes.join(name)).expect("read");
        let photos = place.path().join("photos");
        fs::create_dir_all(photos.join("more")).expect("a folder");
        let mut captions = Vec::new();
        for split in ["train", "val", "test"] {
            let lines = |name: String| read(&name).lines().map(String::from).collect::<Vec<_>>();
            let of = |n, language| lines(format!("captions/{split}.{n}.{language}"));
            let texts = ["en", "de"].map(|language| [of(1, language), of(2, language)]);
            for (n, id) in lines(format!("image_splits/{split}.txt")).into_iter().enumerate() {
                // Folders within the folder, and names without them in the table.
                let name = format!("{id}.png");
                let within = if n % 3 == 2 { photos.join("more") } else { photos.clone() };
                fs::copy(scenes.join("images").join(&name), within.join(&name)).expect("copied");
                let of = |texts: &[Vec<String>; 2]| texts.iter().map(|lines| lines[n].clone()).collect();
                captions.push((name, [of(&texts[0]), of(&texts[1])]));
            }
        }
        fs::remove_dir_all(scenes).expect("removed");
        Given { place, captions }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).expect("written");
        self.path(name)
    }

    /// A table with a row for each caption.
    fn table(&self) -> String {
        let mut table = String::from("Photo,Lang,Caption,id\n");
        for (name, texts) in &self.captions {
            for (language, texts) in ["EN", "de"].iter().zip(texts) {
                texts.iter().for_each(|text| _ = writeln!(table, "{name},{language},\"{text}\",17"));
            }
        }
        table
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

/// By picture, its split and group.
fn splits(file: &Path) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(file).expect("splits");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("picture\tsplit\tgroup"));
    let of = |line: &str| {
        let values: Vec<String> = line.split('\t').map(String::from).collect();
        let [picture, split, group] = values.try_into().expect("three values");
        (picture, split, group)
    };
    lines.map(of).collect()
}

/// The report of a run shows photographs for each query, none by its name alone.
fn shows_photographs(run: &Path) {
    let page = fs::read_to_string(run.join("report.html")).expect("a report");
    let queries = page.split_once("<h2>Example queries</h2>").expect("queries").1;
    let page = queries.split("<h2>").next().expect("a section");
    // Two queries in each of two languages, with all the four to seven test pictures, or the first five and the right one.
    let shown = page.matches("<svg class=\"photo\"").count();
    assert!((16..=24).contains(&shown), "{shown} pictures");
    assert_eq!(page.matches("class=\"unseen\"").count(), 0);
    assert_eq!(page.matches("class=\"right").count(), 4, "each query's own picture");
}

#[test]
fn photographs_and_a_table_become_a_search_in_three_commands() {
    let given = Given::new();
    let photos = given.path("photos");
    let table = given.write(
        "captions.csv",
        given.table() + "nowhere.jpg,en,\"nobody has seen it\",1\n" + "more.jpg,de,,2\n",
    );
    // A copy, one that is cut short, and one that nobody describes.
    fs::copy(photos.join("train_00001.png"), photos.join("again.png")).expect("copied");
    let whole = fs::read(photos.join("train_00001.png")).expect("read");
    fs::write(photos.join("train_00002.png"), &whole[..whole.len() / 2]).expect("written");
    fs::copy(tower("photo.jpg"), photos.join("bare.jpg")).expect("copied");
    let (out, model) = (given.path("pets"), tower("siglip-vision"));
    let init = ["init", text(&photos), text(&table), "--out", text(&out)];

    let said = [
        "are photographs, and without a picture tower",
        "--tower MODEL`",
        "captions: en 80 of 40 pictures, de 80 of 40 pictures",
    ];
    refused(&init, 2, &said);
    assert!(!out.exists(), "nothing is made without a tower");

    let ran = run(&[&init[..], &["--tower", text(&model), "--val", "6", "--test", "7"]].concat());
    assert_eq!((ran.status, ran.stdout.trim()), (Some(0), text(&out.join("pets.toml"))), "{}", ran.stderr);
    for said in [
        "photographs are named in `Photo`, captions are in `Caption`, their language in `Lang`",
        "1 captions speak of pictures that are not there, e.g. `nowhere.jpg` (line 162)",
        "1 captions are empty, e.g. in line 163",
        "1 photographs cannot be used, e.g. `train_00002.png`: is damaged or cut short",
        "1 photographs are copies of others, 0 nearly so, e.g. `again.png` and `train_00001.png`",
        "2 photographs have no caption",
        "splits: 26 to train on, 6 to validate, 7 to test, and 1 without captions",
    ] {
        assert!(ran.stderr.contains(said), "`{said}` is not in: {}", ran.stderr);
    }
    assert_eq!(
        given.names("pets"),
        ["features.errors.tsv", "features.ids", "features.json", "features.npy", "pets.toml", "splits.tsv"]
    );
    let splits = splits(&out.join("splits.tsv"));
    assert_eq!(splits.len(), 40);
    assert!(splits.iter().any(|(name, split, _)| name == "bare.jpg" && split == "distractors"));
    assert!(splits.iter().all(|(name, ..)| name != "again.png" && name != "train_00002.png"));
    refused(&init, 2, &["pets.toml`: is there already", "`--out`"]);

    let config = out.join("pets.toml");
    let checked = printed(&["data", "check", text(&config)]);
    assert!(checked.starts_with("26 train, 6 val, 7 test pictures and 1 distractors"), "{checked}");
    assert!(
        checked.contains("which is in which split says `") && checked.contains("no picture is in two splits"),
        "{checked}"
    );
    let trained = given.path("run");
    let quick =
        ["--set", "train.epochs=3", "--set", "words.fasttext.epochs=1", "--set", "embedding.align.epochs=1"];
    printed(&[&["train", text(&config), "--out", text(&trained), "-q"], &quick[..]].concat());
    let evaluated = printed(&["evaluate", text(&trained), "--json"]);
    let evaluated: Value = serde_json::from_str(&evaluated).expect("JSON");
    assert_eq!((&evaluated["images"], &evaluated["languages"]["de"]["captions"]), (&7.into(), &14.into()));
    // Names stand beside the features.
    let gallery = out.join("features.npy");
    let search = ["search", text(&trained), "--language", "en", "--gallery", text(&gallery), "-k", "2"];
    let found = printed(&[&search[..], &["a red circle"]].concat());
    assert_eq!(found.lines().count(), 3);
    assert!(found.lines().skip(1).all(|line| line.ends_with(".png") || line.ends_with(".jpg")), "{found}");
    let placed = printed(&[&search[..], &["--photos", text(&photos), "a red circle"]].concat());
    for (line, found) in placed.lines().zip(found.lines()).skip(1) {
        let (path, id) =
            (line.rsplit("  ").next().expect("a path"), found.rsplit("  ").next().expect("an id"));
        assert_eq!(Path::new(path), photos.join(id));
        assert!(Path::new(path).is_file(), "{line}");
    }
    let placed = printed(&[&search[..], &["--json", "--photos", text(&photos), "a red circle"]].concat());
    let placed: Value = serde_json::from_str(&placed).expect("JSON");
    let (id, path) = (&placed["hits"][0]["id"], &placed["hits"][0]["path"]);
    assert_eq!(path.as_str().map(Path::new), id.as_str().map(|id| photos.join(id)).as_deref());
    refused(
        &[&search[..], &["--photos", text(&gallery), "red"]].concat(),
        2,
        &["features.npy`: is no folder"],
    );
    shows_photographs(&trained);

    // Features of another tower are refused, wherever they come from.
    let other = given.path("other.npy");
    printed(&[
        "embed-images",
        text(&tower("siglip")),
        text(&photos),
        "--out",
        text(&other),
        "--skip-bad",
        "-q",
    ]);
    let said = [
        "other.npy`: holds features by a siglip (weights ",
        "but the run was trained on features by a siglip",
    ];
    refused(
        &["search", text(&trained), "--language", "en", "--gallery", text(&other), "a red circle"],
        4,
        &said,
    );
    let index = given.path("index");
    refused(&["index", text(&trained), "--gallery", text(&other), "--out", text(&index)], 4, &said);
    assert!(!index.exists());
    let elsewhere = fs::read_to_string(&config)
        .expect("read")
        .replace("\"features.npy\"", &format!("{:?}", text(&other)));
    let elsewhere =
        elsewhere.replace("\"features.ids\"", &format!("{:?}", text(&other.with_extension("ids"))));
    fs::write(out.join("elsewhere.toml"), elsewhere).expect("written");
    let data = out.join("elsewhere.toml");
    refused(&["evaluate", text(&trained), "--data", text(&data)], 4, &said);
    let both = format!("data.features=[{:?}, {:?}]", text(&gallery), text(&other));
    refused(
        &["data", "check", text(&config), "--set", &both],
        4,
        &["other.npy`: holds features by ", "features.npy` are by"],
    );
    // Where it is not known, nothing is refused but another width.
    fs::remove_file(other.with_extension("json")).expect("removed");
    printed(&["search", text(&trained), "--language", "en", "--gallery", text(&other), "a red circle"]);
}

#[test]
fn copies_are_on_one_side_whatever_the_seed() {
    let given = Given::new();
    let photos = given.path("photos");
    let mut table = given.table();
    // Each of these has a copy with captions of its own.
    for n in [1, 4, 7, 10, 13] {
        fs::copy(photos.join(format!("train_{n:05}.png")), photos.join(format!("copy-{n}.png")))
            .expect("copied");
        let _ = writeln!(table, "copy-{n}.png,en,the copy of a picture,1");
    }
    let table = given.write("captions.csv", table);
    let features = given.path("features.npy");
    printed(&["embed-images", text(&tower("vit")), text(&photos), "--out", text(&features), "-q"]);
    let mut drawn = Vec::new();
    for seed in ["0", "1", "2", "0"] {
        // By bytes, and by equal rows of features.
        let out = given.path(&format!("out-{}", drawn.len()));
        let ran = run(&[
            "init",
            text(&features),
            text(&table),
            "--out",
            text(&out),
            "--seed",
            seed,
            "--val",
            "9",
            "--test",
            "9",
        ]);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("5 rows of the features equal others"), "{}", ran.stderr);
        let splits = splits(&out.join("splits.tsv"));
        for n in [1, 4, 7, 10, 13] {
            let of = |name: String| splits.iter().find(|(picture, ..)| *picture == name).expect("a line");
            let (one, copy) = (of(format!("train_{n:05}.png")), of(format!("copy-{n}.png")));
            assert_eq!((&one.1, &one.2), (&copy.1, &copy.2), "seed {seed}");
            assert!(!one.2.is_empty());
        }
        let count = |name: &str| splits.iter().filter(|(_, split, _)| split == name).count();
        assert_eq!(["train", "val", "test"].map(count), [27, 9, 9]);
        drawn.push(splits);
    }
    assert_eq!(drawn[0], drawn[3]);
    assert_ne!(drawn[0], drawn[1]);
}

#[test]
fn splits_of_the_table_are_obeyed() {
    let given = Given::new();
    let features = given.path("features.npy");
    printed(&[
        "embed-images",
        text(&tower("vit")),
        text(&given.path("photos")),
        "--out",
        text(&features),
        "-q",
    ]);
    let side = |n: usize| ["train", "train", "train", "validation", "test"][n % 5];
    let table = |wrong: &str| {
        let mut table = String::from("image\tcaption\tsplit\n");
        for (n, (name, texts)) in given.captions.iter().enumerate() {
            texts[0].iter().for_each(|text| _ = writeln!(table, "{name}\t{text}\t{}", side(n)));
        }
        given.write("captions.tsv", table + wrong)
    };
    let out = given.path("out");
    let file = table("");
    let init = ["init", text(&features), text(&file), "--language", "en", "--out", text(&out)];
    let ran = run(&init);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    for said in [
        "captions are in `caption`, their splits in `split`",
        "splits: 24 to train on, 8 to validate, 8 to test",
    ] {
        assert!(ran.stderr.contains(said), "`{said}` is not in: {}", ran.stderr);
    }
    let splits = splits(&out.join("splits.tsv"));
    for (n, (name, _)) in given.captions.iter().enumerate() {
        let (_, split, _) = splits.iter().find(|(picture, ..)| picture.ends_with(name)).expect("a line");
        assert_eq!(split, &side(n).replace("validation", "val"), "{name}");
    }
    let checked = printed(&["data", "check", text(&out.join("out.toml")), "-q"]);
    assert!(checked.starts_with("24 train, 8 val, 8 test pictures"), "{checked}");

    // A photograph in two splits is named; splits are drawn where the column is not to be read.
    let wrong = format!("{}\tonce more\ttest\n", given.captions[0].0);
    let file = table(&wrong);
    let other = given.path("other");
    let init = ["init", text(&features), text(&file), "--language", "en", "--out", text(&other)];
    refused(
        &init,
        4,
        &[
            "captions.tsv`:82: photograph `",
            "is in split `test` here, and in `train` before",
            "`--columns split=`",
        ],
    );
    assert!(!other.exists());
    let ran = run(&[&init[..], &["--columns", "split="]].concat());
    assert!(ran.stderr.contains("splits: 32 to train on, 4 to validate, 4 to test"), "{}", ran.stderr);
}

#[test]
fn photographs_in_a_configuration_become_features_once() {
    let given = Given::new();
    let (photos, out) = (given.path("photos"), given.path("out"));
    let table = given.write("captions.csv", given.table());
    let model = tower("vit");
    let init = ["init", text(&photos), text(&table), "--out", text(&out), "--tower", text(&model), "-q"];
    printed(&init);
    let written = fs::read_to_string(out.join("out.toml")).expect("read");
    assert!(written.contains("\ntower = "), "{written}");
    let named = format!("photos = {:?}", text(&photos));
    let by_photos = written.replace("features = [\"features.npy\"]\nimage_ids = \"features.ids\"", &named);
    assert_ne!(by_photos, written);
    // They are shown without being named a second time.
    let lines = by_photos.lines().filter(|line| !line.starts_with("images = "));
    let by_photos: String = lines.map(|line| format!("{line}\n")).collect();
    let config = out.join("photos.toml");
    fs::write(&config, &by_photos).expect("written");
    for name in ["features.npy", "features.ids", "features.json"] {
        fs::rename(out.join(name), given.path(name)).expect("moved");
    }
    let cut = photos.join("train_00004.png");
    let whole = fs::read(&cut).expect("read");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    let said = ["errors.tsv`: lists 1 of 40 photographs that cannot be used", "mend these photographs"];
    refused(&["data", "check", text(&config), "-q"], 4, &said);
    fs::write(&cut, whole).expect("mended");
    let checked = printed(&["data", "check", text(&config), "-q"]);
    assert!(checked.starts_with("32 train, 4 val, 4 test pictures and 0 distractors"), "{checked}");
    // They are those of `embed-images`, and another command takes them as they are.
    let kept = || {
        let entries = fs::read_dir(out.join("tinyglot.features")).expect("a folder");
        let files = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<PathBuf> =
            files.filter(|file| file.extension().is_some_and(|e| e == "npy")).collect();
        files.sort();
        files
    };
    let files = kept();
    let features = files.last().expect("features").clone();
    assert_eq!(fs::read(&features).expect("read"), fs::read(given.path("features.npy")).expect("read"));
    let time = || fs::metadata(&features).expect("there").modified().expect("a time");
    let before = time();
    let run = given.path("run");
    let quick =
        ["--set", "train.epochs=1", "--set", "words.fasttext.epochs=1", "--set", "embedding.align.epochs=1"];
    let train = ["train", text(&config), "--out", text(&run), "-q"];
    printed(&[&train[..], &quick].concat());
    assert_eq!((kept(), time()), (files, before));
    shows_photographs(&run);
    printed(&["evaluate", text(&run), "-q"]);
    printed(&[&train[..], &quick, &["--resume", "--set", "train.epochs=2"]].concat());
    // In a folder of one's own they are made anew.
    let cache = given.path("cache");
    printed(&["data", "check", text(&config), "--cache", text(&cache), "-q"]);
    let name = features.file_name().expect("a name");
    assert_eq!(fs::read(cache.join(name)).expect("read"), fs::read(&features).expect("read"));
    let none = format!("data.photos={:?}", text(&given.path("cache")));
    refused(
        &["train", text(&config), "--set", &none, "--out", text(&given.path("other"))],
        4,
        &["cache`: holds no photograph"],
    );
}

/// A table of another form, and what is found in it.
fn found(given: &Given, name: &str, content: String, more: &[&str], said: &[&str], config: &[&str]) {
    let (table, out, features) = (given.write(name, content), given.path("out"), given.path("features.npy"));
    if !features.exists() {
        printed(&[
            "embed-images",
            text(&tower("vit")),
            text(&given.path("photos")),
            "--out",
            text(&features),
            "-q",
        ]);
    }
    let _ = fs::remove_dir_all(&out);
    let ran = run(&[&["init", text(&features), text(&table), "--out", text(&out)], more].concat());
    assert_eq!(ran.status, Some(0), "{name}: {}", ran.stderr);
    for said in said {
        assert!(ran.stderr.contains(said), "{name}: `{said}` is not in: {}", ran.stderr);
    }
    let written = fs::read_to_string(out.join("out.toml")).expect("read");
    for config in config {
        assert!(written.contains(config), "{name}: `{config}` is not in: {written}");
    }
    printed(&["data", "check", text(&out.join("out.toml"))]);
}

#[test]
fn tables_of_many_forms_are_understood() {
    let given = Given::new();
    let each = |head: &str, row: &dyn Fn(&str, &[Vec<String>; 2]) -> String| {
        let rows: String = given.captions.iter().map(|(name, texts)| row(name, texts) + "\n").collect();
        format!("{head}{rows}")
    };
    found(
        &given,
        "columns.tsv",
        each("file\ten\tde\tid\n", &|name, texts| {
            let within = if given.path("photos").join(name).exists() { "any/folder" } else { "/photos/more" };
            format!("{within}/{name}\t{}\t{}\t3", texts[0][0], texts[1][0])
        }),
        &[],
        &[
            "named in `file`, captions are in `{language}`",
            "captions: en 40 of 40 pictures, de 40 of 40 pictures",
        ],
        &["text = \"{language}\"", "languages = [\"en\", \"de\"]", "language = \"\""],
    );
    found(
        &given,
        "numbered.csv",
        each("image;caption_1;caption_2;note\n", &|name, texts| {
            format!("{name};{};{};x y z", texts[0][0], texts[0][1])
        }),
        &["--language", "en"],
        &["captions are in `caption_{n}`", "captions: en 80 of 40 pictures"],
        &["text = \"caption_{n}\"", "languages = [\"en\"]"],
    );
    found(
        &given,
        "both.csv",
        each("image,caption_en_1,caption_en_2,caption_de_1\n", &|name, texts| {
            format!("{name},{:?},{:?},{:?}", texts[0][0], texts[0][1], texts[1][0])
        }),
        &[],
        &["captions are in `caption_{language}_{n}`", "captions: en 80 of 40 pictures, de 40 of 40 pictures"],
        &["text = \"caption_{language}_{n}\""],
    );
    found(
        &given,
        "records.jsonl",
        each("", &|name, texts| {
            serde_json::json!({"key": name, "said": {"by": "us"}, "captions": {"en": texts[0], "de": texts[1]}, "source": "web"}).to_string()
        }),
        &["--language", "de"],
        &[
            "captions are in `captions.{language}`",
            "captions: de 80 of 40 pictures",
            "80 captions in other languages",
        ],
        &["format = \"jsonl\"", "source = \"\""],
    );
    found(
        &given,
        "words.json",
        format!(
            "[{}]",
            each("", &|name, texts| {
                serde_json::json!({"bild": name.trim_end_matches(".png"), "beschreibung": texts[1][0]})
                    .to_string()
                    + ","
            })
            .trim_end_matches(",\n")
        ),
        &["--language", "de"],
        &["named in `bild`, captions are in `beschreibung`"],
        &["format = \"json\""],
    );
    found(
        &given,
        "asked.csv",
        each("image,short,long,lang\n", &|name, texts| {
            format!("{name},{:?},{:?},de-DE", texts[1][0], texts[1][1])
        }),
        &["--columns", "picture=image,text=short,text=long"],
        &["captions are in `short`, `long`, their language in `lang`", "captions: de-DE 80 of 40 pictures"],
        &["text = \"short\"", "text = \"long\"", "languages = [\"de-DE\"]"],
    );
}

#[test]
fn tables_that_cannot_be_used_are_named_and_leave_nothing() {
    let given = Given::new();
    let (out, photos) = (given.path("out"), given.path("photos"));
    let model = tower("vit");
    let refuse = |content: &[u8], more: &[&str], status: i32, said: &[&str]| {
        let table = given.write("captions.csv", content);
        refused(
            &[&["init", text(&photos), text(&table), "--tower", text(&model), "--out", text(&out)], more]
                .concat(),
            status,
            said,
        );
        assert!(!out.exists(), "{said:?}");
    };
    let good = given.table();
    let with = |more: &str| good.clone() + more;
    refuse(
        b"text,lang\na dog,en\n",
        &[],
        4,
        &["captions.csv`: no column names the photographs", "`text`, `lang`", "--columns picture=NAME"],
    );
    refuse(
        b"image,text\nelse.jpg,a dog\n",
        &["--language", "en"],
        4,
        &["`image` holds \"else.jpg\", and none of the 40 photographs is called so"],
    );
    refuse(b"Photo,Lang\ntrain_00001.png,en\n", &[], 4, &["no column holds captions", "--columns text=NAME"]);
    refuse(
        b"Photo,a,b\ntrain_00001.png,one dog here,two dogs there\n",
        &[],
        4,
        &["`a`, `b` may all hold captions"],
    );
    refuse(
        b"Photo,Caption\ntrain_00001.png,a dog\n",
        &[],
        2,
        &["nothing says in which language the captions of `Caption` are", "`--language de`"],
    );
    refuse(
        with("train_00001.png,xx,words nobody knows,1\n").as_bytes(),
        &[],
        4,
        &["captions.csv`:162: `xx` is no language that is known", "ISO 639"],
    );
    refuse(
        with("train_00001.png,,whose words?,1\n").as_bytes(),
        &[],
        4,
        &["captions.csv`:162: the caption has no language"],
    );
    refuse(
        with(",en,of nothing,1\n").as_bytes(),
        &[],
        4,
        &["captions.csv`:162: is no caption: it names no picture"],
    );
    refuse(
        with("train_00001.png,en,\"a dog,1\ntrain_00001.png,en,a cat,1\n").as_bytes(),
        &[],
        4,
        &["captions.csv`:162: ", "double quote"],
    );
    refuse(
        with("train_00001.png,en\n").as_bytes(),
        &[],
        4,
        &["captions.csv`:162: has 2 values, but the head names 4"],
    );
    refuse(
        &[good.as_bytes(), b"train_00001.png,en,caf\xe9,1\n"].concat(),
        &[],
        4,
        &["captions.csv`:162: ", "UTF-8"],
    );
    refuse(b"", &[], 4, &["captions.csv`: is empty"]);
    refuse(
        b"train_00001.png#0\ta dog\ntrain_00001.png#1\ta cat\n",
        &[],
        4,
        &["begins with the picture name", "`format = \"named\"`"],
    );
    refuse(b"{\"images\": [], \"annotations\": []}", &[], 4, &["holds JSON", "`format = \"coco\"`"]);
    refuse(
        b"{\"image\": \"train_00001.png\", \"language\": \"en\", \"text\": \" \"}\n",
        &[],
        4,
        &["captions.csv`:1: picture `train_00001.png` has an empty caption"],
    );
    refuse(
        good.as_bytes(),
        &["--columns", "picture=Foto"],
        2,
        &["there is no column `Foto`", "`Photo`, `Lang`, `Caption`, `id`"],
    );
    refuse(good.as_bytes(), &["--columns", "image=Photo"], 2, &["`--columns image=Photo` is not understood"]);
    refuse(good.as_bytes(), &["--language", "klingon"], 2, &["`klingon` is no language that is known"]);
    refuse(good.as_bytes(), &["--language", "fr"], 4, &["holds no caption in these languages"]);
    refuse(
        good.as_bytes(),
        &["--val", "30", "--test", "9"],
        4,
        &["of 40 photographs with captions, 30 for val and 9 for test, 1 are left", "`--val`"],
    );
    // A photograph of one name in each of two folders: the table must say which.
    fs::create_dir(photos.join("other")).expect("a folder");
    fs::copy(photos.join("train_00001.png"), photos.join("other/train_00003.png")).expect("copied");
    refuse(
        good.as_bytes(),
        &[],
        4,
        &["captions.csv`:", "picture `train_00003` may be id ", "with its folder"],
    );
    fs::remove_dir_all(photos.join("other")).expect("removed");
    fs::copy(photos.join("train_00001.png"), photos.join("train_00001.jpg")).expect("copied");
    refuse(good.as_bytes(), &[], 4, &["photos`: id `train_00001.png` stands for two pictures"]);
    fs::remove_file(photos.join("train_00001.jpg")).expect("removed");
    // A tower that is none leaves nothing either.
    let table = given.write("captions.csv", &good);
    refused(
        &["init", text(&photos), text(&table), "--tower", text(&photos), "--out", text(&out)],
        4,
        &["preprocessor_config.json"],
    );
    assert!(!out.exists());
}
