//! An index of pictures: made once, searched often.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{CONFIG, MADE, copy, data, refused};
use crate::{printed, run, text};

fn made(run: &Path, more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("photos");
    let (gallery, ids) = (MADE.gallery(), MADE.path("data/image_splits/test.txt"));
    let make = ["index", text(run), "--gallery", text(&gallery), "--ids", text(&ids), "--out", text(&out)];
    let ran = crate::run(&[&make, more].concat());
    assert_eq!((ran.status, ran.stdout), (Some(0), format!("{}\n", out.display())), "{}", ran.stderr);
    (folder, out)
}

/// What a search finds: ids and scores, by query.
fn found(run: &Path, pictures: &[&str]) -> Vec<Vec<(String, f64)>> {
    let search = ["search", text(run), "--language", "de", "--json", "-k", "5", "ein Haus", "rote Boote"];
    let lines = printed(&[&search[..7], pictures, &search[7..]].concat());
    let hits = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let hit =
            |h: &Value| (h["id"].as_str().expect("an id").to_string(), h["score"].as_f64().expect("a score"));
        line["hits"].as_array().expect("hits").iter().map(hit).collect()
    };
    lines.lines().map(hits).collect()
}

#[test]
fn an_index_finds_what_the_gallery_has() {
    let (gallery, ids) = (MADE.gallery(), MADE.path("data/image_splits/test.txt"));
    let expected = found(&MADE.run(), &["--gallery", text(&gallery), "--ids", text(&ids)]);
    let (_a, whole) = made(&MADE.run(), &["--numbers", "f32"]);
    assert_eq!(found(&MADE.run(), &["--index", text(&whole)]), expected);
    let (_b, halves) = made(&MADE.run(), &[]);
    let scores = |found: &[Vec<(String, f64)>]| found.concat().iter().map(|hit| hit.1).collect::<Vec<_>>();
    let near = found(&MADE.run(), &["--index", text(&halves)]);
    for (a, b) in scores(&near).iter().zip(scores(&expected)) {
        assert!((a - b).abs() < 2e-3, "{a} {b}");
    }
    let size = |index: &Path| index.join("part-000001/vectors.npy").metadata().expect("vectors").len();
    assert_eq!(size(&whole) - 128, 2 * (size(&halves) - 128), "half as large");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).expect("a name")).collect();
        names.sort();
        names
    };
    assert_eq!(names(&whole), ["index.json", "part-000001"]);
    assert_eq!(names(&whole.join("part-000001")), ["ids.txt", "vectors.npy"]);
    let (_c, codes) = made(&MADE.run(), &["--numbers", "int8"]);
    assert_eq!(found(&MADE.run(), &["--index", text(&codes)]), near, "candidates are scored as those of f16");
    assert_eq!(names(&codes.join("part-000001")), ["codes.i8", "ids.txt", "scales.f32", "vectors.npy"]);
}

#[test]
fn an_index_fits_the_packed_run_and_no_other_model() {
    let (folder, index) = made(&MADE.run(), &[]);
    let packed = folder.path().join("model");
    assert_eq!(run(&["pack", text(&MADE.run()), "--out", text(&packed)]).status, Some(0));
    assert_eq!(found(&packed, &["--index", text(&index)]).len(), 2);
    let place = data();
    let (config, other) = (place.path().join("config.toml"), place.path().join("other"));
    let set = ["--set", "seed=7", "--set", "train.epochs=1", "-q"];
    printed(&[&["train", text(&config), "--out", text(&other)][..], &set].concat());
    let search = ["search", text(&other), "--language", "de", "--index", text(&index), "Haus"];
    refused(&search, 4, &["was made with another model", "make it again"]);
}

#[test]
fn what_is_no_whole_index_is_refused() {
    let (folder, index) = made(&MADE.run(), &[]);
    let search = |index: &Path, said: &[&str]| {
        let run = MADE.run();
        refused(&["search", text(&run), "--language", "de", "--index", text(index), "Haus"], 4, said);
    };
    search(folder.path(), &["no index here", "tinyglot index"]);
    let changed = |change: &dyn Fn(&Path), said: &[&str]| {
        let broken = folder.path().join("broken");
        copy(&index, &broken);
        change(&broken);
        search(&broken, said);
        fs::remove_dir_all(&broken).expect("removed");
    };
    let of = |p: &Path, name: &str| p.join("part-000001").join(name);
    changed(&|p| fs::remove_file(of(p, "vectors.npy")).expect("removed"), &["vectors.npy"]);
    changed(
        &|p| fs::write(of(p, "ids.txt"), "one\ntwo\n").expect("written"),
        &["ids.txt", "not as it was written"],
    );
    let cut = |p: &Path| {
        let file = fs::File::options().write(true).open(of(p, "vectors.npy")).expect("a file");
        file.set_len(file.metadata().expect("a size").len() - 1).expect("cut");
    };
    changed(&cut, &["vectors.npy", "cut short"]);
    let wrong = |p: &Path| {
        let mut bytes = fs::read(of(p, "vectors.npy")).expect("read");
        let end = bytes.len();
        bytes[end - 32..].fill(0xff);
        fs::write(of(p, "vectors.npy"), bytes).expect("written");
    };
    changed(&wrong, &["vectors.npy", "row 19, column 0 (both from 0) is NaN"]);
    let edit = |p: &Path, from: &str, to: &str| {
        let file = p.join("index.json");
        let json = fs::read_to_string(&file).expect("read");
        assert!(json.contains(from), "{json}");
        fs::write(file, json.replace(from, to)).expect("written");
    };
    changed(&|p| edit(p, "\"version\": 1", "\"version\": 9"), &["version 9", "make the index again"]);
    changed(&|p| edit(p, "\"rows\": 20", "\"rows\": 21"), &["index.json"]);
    let (gallery, run) = (MADE.gallery(), MADE.run());
    let make = ["index", text(&run), "--gallery", text(&gallery), "--out", text(&index)];
    refused(&make, 2, &["the folder is not empty"]);
    let wide = folder.path().join("wide.npy");
    tinyglot::corpus::write_npy(&wide, 2, 3, &[1.0; 6]).expect("written");
    let out = folder.path().join("new");
    refused(&["index", text(&run), "--gallery", text(&wide), "--out", text(&out)], 4, &["rows of 3 numbers"]);
    assert!(!out.exists(), "nothing is left");
}

/// A picture tower or photograph of `tests/golden/vision`.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vision").join(name)
}

/// A run that was trained on photographs, whose configuration names the tower.
pub struct ByPhotos {
    folder: TempDir,
}

pub static BY_PHOTOS: LazyLock<ByPhotos> = LazyLock::new(|| {
    let folder = data();
    let root = folder.path().join("data");
    for split in ["train", "val", "test"] {
        let ids = fs::read_to_string(root.join(format!("image_splits/{split}.txt"))).expect("ids");
        let list = folder.path().join(format!("{split}.txt"));
        fs::write(&list, ids.lines().map(|id| format!("{id}.png\n")).collect::<String>()).expect("written");
        let (images, out) = (root.join("images"), root.join(format!("features/{split}.npy")));
        let embed = ["embed-images", text(&golden("siglip-vision")), text(&list), "--root", text(&images)]
            .map(String::from);
        let embed: Vec<&str> = embed.iter().map(String::as_str).collect();
        printed(&[&embed[..], &["--out", text(&out), "-q"]].concat());
    }
    let config = folder.path().join("config.toml");
    let named =
        format!("image_ids = 'features/{{split}}.ids'\ntower = '{}'", golden("siglip-vision").display());
    let by_photos =
        CONFIG.replace("images = 'images/{id}.png'\nimage_ids = 'image_splits/{split}.txt'", &named);
    assert_ne!(by_photos, CONFIG);
    fs::write(&config, by_photos).expect("written");
    printed(&["train", text(&config), "--out", text(&folder.path().join("run")), "-q"]);
    ByPhotos { folder }
});

impl ByPhotos {
    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Puts some test pictures into a folder, as photographs that were changed long ago.
    pub fn put(&self, folder: &Path, pictures: impl IntoIterator<Item = usize>) {
        for n in pictures {
            let name = format!("{}/{n:03}.png", if n.is_multiple_of(2) { "even" } else { "odd" });
            self.put_as(folder, n, &name);
        }
    }

    /// Puts a test picture into a folder under a name.
    pub fn put_as(&self, folder: &Path, picture: usize, name: &str) {
        let to = folder.join(name);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        let ids = fs::read_to_string(self.folder.path().join("data/image_splits/test.txt")).expect("ids");
        let id = ids.lines().nth(picture).expect("a test picture");
        fs::copy(self.folder.path().join(format!("data/images/{id}.png")), &to).expect("copied");
        set_day(&to, 20 + picture as u64);
    }
}

/// Sets when a file was changed: so many days after 2020-01-01.
pub fn set_day(file: &Path, day: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(1_577_836_800 + 86_400 * day + 3600);
    fs::File::options().write(true).open(file).expect("a file").set_modified(time).expect("a time");
}

/// Brings an index of photographs up to date, and gives what was said of it.
fn follow(photos: &Path, index: &Path, more: &[&str]) -> String {
    let run = BY_PHOTOS.run();
    let command = ["index", text(&run), "--photos", text(photos), "--out", text(index)];
    let ran = crate::run(&[&command, more].concat());
    assert_eq!((ran.status, ran.stdout), (Some(0), format!("{}\n", index.display())), "{}", ran.stderr);
    ran.stderr.lines().last().unwrap_or_default().to_string()
}

/// The ids and scores of all pictures, by query.
fn all(index: &Path) -> Vec<Vec<(String, f64)>> {
    let run = BY_PHOTOS.run();
    let search = ["search", text(&run), "--language", "de", "--json", "-k", "100", "--index", text(index)];
    let lines = printed(&[&search[..], &["ein Haus", "rote Boote"]].concat());
    let hits = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let hit =
            |h: &Value| (h["id"].as_str().expect("an id").to_string(), h["score"].as_f64().expect("a score"));
        line["hits"].as_array().expect("hits").iter().map(hit).collect()
    };
    lines.lines().map(hits).collect()
}

#[test]
fn an_index_of_photographs_has_the_vectors_of_their_features() {
    let place = TempDir::new().expect("a folder");
    let (photos, features) = (place.path().join("photos"), place.path().join("f.npy"));
    BY_PHOTOS.put(&photos, 0..12);
    let (followed, made) = (place.path().join("followed"), place.path().join("made"));
    let said = follow(&photos, &followed, &["--numbers", "f32"]);
    assert!(
        said.contains("12 photographs: 12 added, 0 replaced, 0 removed; 12 went through the tower"),
        "{said}"
    );
    printed(&["embed-images", text(&golden("siglip-vision")), text(&photos), "--out", text(&features), "-q"]);
    let run = BY_PHOTOS.run();
    printed(&[
        "index",
        text(&run),
        "--gallery",
        text(&features),
        "--out",
        text(&made),
        "--numbers",
        "f32",
        "-q",
    ]);
    assert_eq!(all(&followed), all(&made));
    let index = tinyglot::retrieve::Index::open(&followed).expect("an index");
    assert_eq!(index.ids()[..2], ["even/000.png", "even/002.png"]);
    assert_eq!(index.day(1).map(|day| day.to_string()).as_deref(), Some("2020-01-23"));
    let thumbnail = index.thumbnail(1).expect("a thumbnail");
    let shown = tinyglot::pixels::decode(thumbnail, &Default::default()).expect("a JPEG").picture;
    let photo = fs::read(photos.join("even/002.png")).expect("read");
    let photo = tinyglot::pixels::decode(&photo, &Default::default()).expect("a PNG").picture;
    assert!(thumbnail.starts_with(b"\xff\xd8\xff") && thumbnail.len() <= 32 << 10);
    assert_eq!(shown.width.max(shown.height), photo.width.max(photo.height).min(320));
}

#[test]
fn an_index_follows_its_photographs() {
    let place = TempDir::new().expect("a folder");
    let (photos, index) = (place.path().join("photos"), place.path().join("index"));
    BY_PHOTOS.put(&photos, 0..12);
    follow(&photos, &index, &[]);
    let same_as_anew = |what: &str| {
        let anew = place.path().join("anew");
        follow(&photos, &anew, &["-q"]);
        assert_eq!(all(&index), all(&anew), "{what}");
        fs::remove_dir_all(&anew).expect("removed");
    };
    let expect = |said: &str, want: &str| assert!(said.contains(want), "{said}, not {want}");
    expect(&follow(&photos, &index, &[]), "12 photographs: 0 added, 0 replaced, 0 removed; 0 went");
    // One comes, one is another now, one goes.
    BY_PHOTOS.put(&photos, 12..13);
    BY_PHOTOS.put_as(&photos, 14, "odd/003.png");
    fs::remove_file(photos.join("even/004.png")).expect("removed");
    expect(&follow(&photos, &index, &[]), "12 photographs: 1 added, 1 replaced, 1 removed; 2 went");
    same_as_anew("changed");
    // Touched, renamed and copied: known by their content.
    set_day(&photos.join("odd/001.png"), 300);
    fs::rename(photos.join("even/006.png"), photos.join("renamed.png")).expect("renamed");
    fs::copy(photos.join("even/008.png"), photos.join("copied.png")).expect("copied");
    expect(&follow(&photos, &index, &[]), "13 photographs: 2 added, 0 replaced, 1 removed; 0 went");
    same_as_anew("renamed");
    BY_PHOTOS.put(&photos, 14..20);
    for n in 14..20 {
        // Each a change of its own: parts gather, and are merged.
        fs::remove_file(photos.join(format!("{}/{n:03}.png", if n % 2 == 0 { "even" } else { "odd" })))
            .expect("removed");
        follow(&photos, &index, &["-q"]);
        BY_PHOTOS.put(&photos, n..n + 1);
        follow(&photos, &index, &["-q"]);
    }
    same_as_anew("in many steps");
    let parts = fs::read_dir(&index).expect("a folder").flatten();
    let parts = parts.filter(|e| e.file_name().to_string_lossy().starts_with("part-")).count();
    assert!((1..=5).contains(&parts), "{parts} parts");
    fs::remove_dir_all(photos.join("even")).expect("removed");
    expect(&follow(&photos, &index, &[]), "11 photographs: 0 added, 0 replaced, 8 removed; 0 went");
    same_as_anew("many removed");
}

#[test]
fn photographs_that_cannot_be_used_are_listed_and_the_others_kept() {
    let place = TempDir::new().expect("a folder");
    let (photos, index) = (place.path().join("photos"), place.path().join("index"));
    BY_PHOTOS.put(&photos, 0..4);
    fs::write(photos.join("page.jpg"), "<!DOCTYPE html>").expect("written");
    let run = BY_PHOTOS.run();
    let command = ["index", text(&run), "--photos", text(&photos), "--out", text(&index)];
    refused(&command, 4, &["errors.tsv`: lists 1 of 5 photographs that cannot be used", "--skip-bad"]);
    let list = fs::read_to_string(index.join("errors.tsv")).expect("a list");
    assert!(list.contains("page.jpg\tis a page of HTML"), "{list}");
    refused(
        &["search", text(&run), "--language", "de", "--index", text(&index), "Haus"],
        4,
        &["no index here"],
    );
    // What was done is done.
    let said = follow(&photos, &index, &["--skip-bad"]);
    assert!(said.contains("4 photographs: 4 added, 0 replaced, 0 removed; 0 went"), "{said}");
    fs::remove_file(photos.join("page.jpg")).expect("removed");
    let said = follow(&photos, &index, &[]);
    assert!(said.contains("4 photographs: 0 added, 0 replaced, 0 removed; 0 went"), "{said}");
    // One that breaks is no picture any more.
    fs::write(photos.join("even/002.png"), "cut").expect("written");
    let said = follow(&photos, &index, &["--skip-bad"]);
    assert!(said.contains("3 photographs: 0 added, 0 replaced, 1 removed; 0 went"), "{said}");
    for n in [0, 1, 3] {
        fs::write(photos.join(format!("{}/{n:03}.png", if n % 2 == 0 { "even" } else { "odd" })), "cut")
            .expect("written");
    }
    let all_bad = [&command[..], &["--skip-bad"]].concat();
    let ran = run_of(&all_bad);
    assert!(ran.contains("no photograph can be used"), "{ran}");
    assert_eq!(tinyglot::retrieve::Index::open(&index).expect("the old one").ids().len(), 3);
}

/// What a command that fails says.
fn run_of(command: &[&str]) -> String {
    let ran = run(command);
    assert_eq!(ran.status, Some(4), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn what_an_index_of_photographs_is_not_is_refused() {
    let place = TempDir::new().expect("a folder");
    let (photos, index) = (place.path().join("photos"), place.path().join("index"));
    BY_PHOTOS.put(&photos, 0..4);
    follow(&photos, &index, &["-q"]);
    let (run, other) = (BY_PHOTOS.run(), MADE.run());
    let command = |run: &'_ Path, more: &[&str], status: i32, said: &[&str]| {
        let command = ["index", text(run), "--photos", text(&photos), "--out", text(&index)];
        refused(&[&command[..], more].concat(), status, said);
    };
    command(&run, &["--numbers", "f32"], 2, &["keeps its vectors as f16", "--numbers"]);
    command(&run, &["--shard", "1/2"], 2, &["holds all photographs, not shard 1/2 of them"]);
    command(&run, &["--shard", "3/2"], 2, &["there is no shard 3/2"]);
    command(
        &run,
        &["--tower", text(&golden("vit"))],
        4,
        &["is a vit", "features that are wanted are by a siglip"],
    );
    command(&run, &["--tower", text(&photos)], 4, &["cannot be read"]);
    command(&other, &[], 2, &["does not say which picture tower", "--tower"]);
    command(
        &other,
        &["--tower", text(&golden("siglip-vision"))],
        4,
        &["rows of 16 numbers; the model was trained on"],
    );
    let (_folder, made) = made(&other, &[]);
    let into = ["index", text(&run), "--photos", text(&photos), "--out", text(&made)];
    refused(&into, 2, &["was made of features, not of photographs"]);
    let into = ["index", text(&run), "--photos", text(&photos), "--out", text(&photos)];
    refused(&into, 2, &["the folder is not empty: it holds `even`"]);
    refused(&["index", text(&run), "--out", text(&index)], 2, &["--gallery"]);
    assert_eq!(all(&index)[0].len(), 4, "it stays as it was");
}

#[test]
fn shards_are_merged_to_the_index_of_all() {
    let place = TempDir::new().expect("a folder");
    let at = |name: &str| place.path().join(name);
    BY_PHOTOS.put(&at("photos"), 0..20);
    let features = at("f.npy");
    printed(&[
        "embed-images",
        text(&golden("siglip-vision")),
        text(&at("photos")),
        "--out",
        text(&features),
        "-q",
    ]);
    let (run, photos) = (BY_PHOTOS.run(), at("photos"));
    for (kind, pictures) in [("--photos", &photos), ("--gallery", &features)] {
        let index = |out: &Path, more: &[&str]| {
            printed(&[&["index", text(&run), kind, text(pictures), "--out", text(out), "-q"], more].concat());
        };
        let whole = at(&format!("whole{kind}"));
        index(&whole, &[]);
        let shards: Vec<PathBuf> = (1..=3).map(|n| at(&format!("{n}{kind}"))).collect();
        for (n, shard) in shards.iter().enumerate() {
            index(shard, &["--shard", &format!("{}/3", n + 1)]);
        }
        let merged = at(&format!("merged{kind}"));
        let merge = |given: &[usize]| -> Vec<String> {
            let start = ["index", text(&run), "--out", text(&merged), "-q", "--merge"].map(String::from);
            start.into_iter().chain(given.iter().map(|&n| text(&shards[n]).to_string())).collect()
        };
        let words = |all: &[String]| all.iter().map(String::as_str).map(String::from).collect::<Vec<_>>();
        let refuse = |given: &[usize], said: &str| {
            let words = words(&merge(given));
            refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), 4, &[said]);
        };
        refuse(&[0, 2], "shard 2/3 is missing");
        refuse(&[0, 1, 1], "is shard 2/3, which is given twice");
        refuse(&[0, 1, 2, 2], "beyond the 3 shards");
        let given = merge(&[2, 0, 1]);
        printed(&given.iter().map(String::as_str).collect::<Vec<_>>());
        let open = |path: &Path| tinyglot::retrieve::Index::open(path).expect("an index");
        let (merged, whole) = (open(&merged), open(&whole));
        assert_eq!(merged.ids(), whole.ids(), "{kind}");
        for row in 0..20 {
            assert_eq!(merged.vector(row), whole.vector(row), "{kind} {row}");
            assert_eq!((merged.thumbnail(row), merged.day(row)), (whole.thumbnail(row), whole.day(row)));
        }
    }
    // A merged index follows on.
    let merged = at("merged--photos");
    fs::remove_file(at("photos").join("even/000.png")).expect("removed");
    let said = follow(&at("photos"), &merged, &[]);
    assert!(said.contains("19 photographs: 0 added, 0 replaced, 1 removed; 0 went"), "{said}");
}
