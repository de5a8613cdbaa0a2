//! Photographs to features, and from there to a trained model and a search.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{CONFIG, data, refused};
use crate::{printed, run, text};

/// A picture tower or photograph of `tests/golden/vision`.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vision").join(name)
}

fn embed<'a>(photos: &'a Path, model: &'a Path, out: &'a Path, further: &[&'a str]) -> Vec<&'a str> {
    [&["embed-images", text(model), text(photos), "--out", text(out), "-q"], further].concat()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// Photographs of several kinds, two of them good, in a folder within a folder; how the others are told.
fn broken() -> (TempDir, PathBuf, Vec<String>) {
    let place = TempDir::new().expect("a folder");
    let photos = place.path().join("photos");
    fs::create_dir_all(photos.join("a")).expect("a folder");
    fs::copy(golden("photo.jpg"), photos.join("a/whole.jpg")).expect("copied");
    fs::copy(golden("photo.png"), photos.join("whole.png")).expect("copied");
    let mut want = Vec::new();
    let mut put = |name: &str, bytes: &[u8], reason: &str| {
        fs::write(photos.join(name), bytes).expect("written");
        want.push(format!("{name}\t{reason}"));
    };
    let (jpeg, png) =
        (fs::read(golden("photo.jpg")).expect("read"), fs::read(golden("photo.png")).expect("read"));
    // As a download leaves it that had taken its place on the disk.
    let mut lost = jpeg.clone();
    lost[jpeg.len() / 2..].fill(0);
    put("cut.jpg", &jpeg[..jpeg.len() / 2], "is cut short: a JPEG without its end");
    put("empty.jpg", b"", "is empty");
    put("half.png", &png[..png.len() / 2], "is damaged or cut short");
    put("lost.jpg", &lost, "is cut short: a JPEG without its end");
    put("page.jpg", b"<!DOCTYPE html><p>404", "is a page of HTML");
    (place, photos, want)
}

#[test]
fn broken_photographs_are_listed_and_the_others_done() {
    let (place, photos, want) = broken();
    let (model, out) = (golden("clip"), place.path().join("f.npy"));
    let said = ["f.errors.tsv`: lists 5 of 7 photographs that cannot be used", "`--resume --skip-bad`"];
    refused(&embed(&photos, &model, &out, &[]), 4, &said);
    assert_eq!(names(place.path()), ["f.errors.tsv", "f.npy.part", "photos"]);
    let listed = fs::read_to_string(place.path().join("f.errors.tsv")).expect("a list");
    let mut lines = listed.lines();
    assert_eq!(lines.next(), Some("photograph\treason"));
    for want in &want {
        let line = lines.next().expect("a line");
        assert!(line.starts_with(want), "{line}, not {want}");
    }
    let ran = run(&embed(&photos, &model, &out, &["--resume", "--skip-bad"]));
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(names(place.path()), ["f.errors.tsv", "f.ids", "f.json", "f.npy", "photos"]);
    let ids = || fs::read_to_string(place.path().join("f.ids")).expect("ids");
    assert_eq!(ids(), "a/whole.jpg\nwhole.png\n");
    let about: Value =
        serde_json::from_slice(&fs::read(place.path().join("f.json")).expect("read")).expect("JSON");
    assert_eq!((&about["rows"], &about["left_out"], &about["width"]), (&2.into(), &5.into(), &12.into()));
    assert_eq!((&about["architecture"], &about["exif"]), (&"clip".into(), &true.into()));
    assert_eq!(about["weights_sha256"].as_str().map(str::len), Some(64));

    // Mended, they get rows in their places: the same to the bit as made anew.
    refused(&embed(&photos, &model, &out, &[]), 4, &said);
    for name in ["cut.jpg", "empty.jpg", "lost.jpg", "page.jpg"] {
        fs::copy(golden("photo.jpg"), photos.join(name)).expect("mended");
    }
    fs::copy(golden("photo.png"), photos.join("half.png")).expect("mended");
    let said = ["f.npy.part`: is of another model, preprocessing or set of photographs"];
    refused(&embed(&photos, &golden("openclip"), &out, &["--resume"]), 3, &said);
    printed(&embed(&photos, &model, &out, &["--resume"]));
    let anew = place.path().join("made/for/it/anew.npy");
    printed(&embed(&photos, &model, &anew, &[]));
    assert_eq!(fs::read(&out).expect("read"), fs::read(&anew).expect("read"));
    assert_eq!(ids(), "a/whole.jpg\ncut.jpg\nempty.jpg\nhalf.png\nlost.jpg\npage.jpg\nwhole.png\n");
    assert!(!place.path().join("f.errors.tsv").exists(), "none is left to list");
}

#[test]
fn shards_are_merged_to_the_features_of_all() {
    let (place, photos, _) = broken();
    let model = golden("clip");
    let at = |name: &str| place.path().join(name);
    let files = |name: &str| {
        ["npy", "ids", "json", "errors.tsv"].map(|ending| fs::read(at(name).with_extension(ending)).ok())
    };
    let merge = |shards: &[usize], out: &str| -> Vec<String> {
        let shards = shards.iter().map(|n| text(&at(&format!("{n}.npy"))).to_string());
        let given = ["embed-images", "-q", "--merge"].map(String::from).into_iter().chain(shards);
        given.chain(["--out".into(), text(&at(out)).into()]).collect()
    };
    let merged = |shards: &[usize]| printed(&words(&merge(shards, "merged.npy")));
    let refuse = |shards: &[usize], out: &str, status: i32, said: &[&str]| {
        let before = names(place.path());
        refused(&words(&merge(shards, out)), status, said);
        assert_eq!(names(place.path()), before, "nothing half-written");
    };
    let shard = |n: usize, model: &Path, more: &[&str]| {
        let (part, out) = (format!("{n}/3"), at(&format!("{n}.npy")));
        let more = [&["--shard", &part, "--skip-bad"], more].concat();
        printed(&embed(&photos, model, &out, &more));
    };
    // Of 7 photographs 5 are bad; the last shard alone has none to leave out once `page.jpg` is mended.
    for name in ["cut.jpg", "half.png", "page.jpg"] {
        fs::copy(golden("photo.jpg"), photos.join(name)).expect("mended");
    }
    let whole = |more: &[&str]| {
        printed(&embed(&photos, &model, &at("whole.npy"), more));
        files("whole.npy")
    };
    let want = whole(&["--skip-bad"]);
    assert!(want.iter().all(Option::is_some));
    (1..=3).for_each(|n| shard(n, &model, &[]));
    merged(&[3, 1, 2]);
    assert_eq!(files("merged.npy"), want);

    refuse(&[1, 3], "x.npy", 4, &["shard 2/3 is missing"]);
    refuse(&[1, 2, 2], "x.npy", 4, &["2.npy`: is shard 2/3, which is given twice"]);
    refuse(&[1, 2, 3], "3.npy", 2, &["3.npy`: is one of the shards"]);
    refuse(&[1, 2, 3], "x", 2, &["does not end in `.npy`"]);
    refuse(&[1, 2, 4], "x.npy", 4, &["4.json`: cannot be read"]);
    let (made, out) = (at("whole.npy"), at("x.npy"));
    let into = ["embed-images", "--merge", text(&made), "--out", text(&out)];
    refused(&into, 4, &["whole.json`: does not speak of a shard"]);
    refused(&[&into[..], &["--unit"]].concat(), 2, &["--merge", "--unit"]);
    refused(
        &embed(&photos, &model, &out, &["--shard", "1/8"]),
        2,
        &["there are 7 photographs, too few for shard 1/8"],
    );

    // Made in another way, of other photographs, or damaged.
    let keep = files("2.npy");
    shard(2, &model, &["--unit"]);
    refuse(&[1, 2, 3], "x.npy", 4, &["2.json`: has another `unit` than"]);
    shard(2, &golden("openclip"), &[]);
    refuse(&[1, 2, 3], "x.npy", 4, &["2.json`: has another `weights_sha256` than"]);
    let back = || {
        for (ending, bytes) in ["npy", "ids", "json", "errors.tsv"].iter().zip(&keep) {
            fs::write(at("2.npy").with_extension(ending), bytes.as_ref().expect("a file")).expect("written");
        }
    };
    back();
    let ids = fs::read_to_string(at("2.ids")).expect("ids");
    fs::write(at("2.ids"), ids.clone() + "more.jpg\n").expect("written");
    refuse(&[1, 2, 3], "x.npy", 4, &["2.ids`: has 2 names for 1 rows", "make this shard again"]);
    back();
    fs::write(at("2.errors.tsv"), "photograph\treason\n").expect("written");
    refuse(&[1, 2, 3], "x.npy", 4, &["2.errors.tsv`: does not list the 1 photographs that were left out"]);
    back();

    // Without bad photographs there is no list, and names that were put in another order are noticed.
    for name in ["empty.jpg", "lost.jpg"] {
        fs::copy(golden("photo.jpg"), photos.join(name)).expect("mended");
    }
    let want = whole(&[]);
    (1..=3).for_each(|n| shard(n, &model, &[]));
    merged(&[1, 2, 3]);
    assert_eq!(files("merged.npy"), want);
    let ids = fs::read_to_string(at("3.ids")).expect("ids");
    let turned: Vec<&str> = ids.lines().rev().collect();
    fs::write(at("3.ids"), turned.join("\n") + "\n").expect("written");
    refuse(&[1, 2, 3], "x.npy", 4, &["the names are not those that were divided"]);
    fs::write(photos.join("z.jpg"), b"").expect("written");
    shard(3, &model, &[]);
    refuse(&[1, 2, 3], "x.npy", 4, &["3.json`: has other photographs than"]);
}

fn words(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[test]
fn what_cannot_begin_leaves_nothing() {
    let (place, photos, _) = broken();
    let out = place.path().join("f.npy");
    let none = place.path().join("none");
    fs::create_dir(&none).expect("a folder");
    refused(&embed(&none, &golden("clip"), &out, &[]), 4, &["none`: holds no photograph"]);
    refused(&embed(&photos, &photos, &out, &[]), 4, &["preprocessor_config.json`: cannot be read"]);
    let text = place.path().join("f.txt");
    refused(&embed(&photos, &golden("clip"), &text, &[]), 2, &["does not end in `.npy`"]);
    assert_eq!(names(place.path()), ["none", "photos"]);
}

#[test]
fn a_model_is_trained_and_searched_from_photographs() {
    let place = data();
    let (root, model) = (place.path().join("data"), golden("siglip-vision"));
    for split in ["train", "val", "test"] {
        let ids = fs::read_to_string(root.join(format!("image_splits/{split}.txt"))).expect("ids");
        let list = place.path().join(format!("{split}.txt"));
        fs::write(&list, ids.lines().map(|id| format!("{id}.png\n")).collect::<String>()).expect("written");
        let out = root.join(format!("features/{split}.npy"));
        printed(&embed(&list, &model, &out, &["--root", text(&root.join("images"))]));
    }
    let config = place.path().join("config.toml");
    let by_photos = CONFIG.replace(
        "images = 'images/{id}.png'\nimage_ids = 'image_splits/{split}.txt'",
        "image_ids = 'features/{split}.ids'",
    );
    assert_ne!(by_photos, CONFIG);
    fs::write(&config, by_photos).expect("written");
    let trained = place.path().join("run");
    printed(&["train", text(&config), "--out", text(&trained), "-q"]);
    let gallery = root.join("features/test.npy");
    let ids = gallery.with_extension("ids");
    let search =
        ["search", text(&trained), "--language", "en", "--gallery", text(&gallery), "--ids", text(&ids)];
    let found = printed(&[&search[..], &["-k", "1", "a red circle"]].concat());
    assert!(found.contains("test_000"), "{found}");
}
