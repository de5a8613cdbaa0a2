//! Published data sets as the configurations read them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::corpus::refused;
use crate::{run, text};

/// A clone of Multi30K with the published numbers of lines, each of which says little.
fn clone(place: &Path) {
    let splits = [
        ("train", "train", "train_images", 29_000),
        ("val", "val", "val_images", 1_014),
        ("test_2016_flickr", "test_2016", "test_2016_images", 1_000),
    ];
    for (task1, task2, list, count) in splits {
        let write = |name: String, ending: &str| {
            let file = place.join("data").join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            let lines: String = (0..count).map(|n| format!("{task1}{n}{ending}\n")).collect();
            fs::write(file, lines).expect("written");
        };
        write(format!("task1/image_splits/{task1}.txt"), ".jpg");
        write(format!("task2/image_splits/{list}.txt"), ".jpg");
        ["en", "de", "fr", "cs"].iter().for_each(|l| write(format!("task1/raw/{task1}.{l}"), ""));
        for language in ["en", "de"] {
            (1..=5).for_each(|n| write(format!("task2/raw/{task2}.{n}.{language}"), ""));
        }
    }
}

#[test]
fn multi30k_is_laid_out_beside_features_or_not_at_all() {
    let place = TempDir::new().expect("a folder");
    let (from, out) = (place.path().join("clone"), place.path().join("data/multi30k"));
    clone(&from);
    fs::create_dir_all(out.join("features")).expect("made");
    let lay_out = ["data", "lay-out", "multi30k", text(&from), "--out", text(&out)];
    let file = from.join("data/task1/raw/val.cs");
    let whole = fs::read_to_string(&file).expect("read");
    fs::write(&file, &whole[..whole.len() - "val1013\n".len()]).expect("written");
    refused(&lay_out, 4, &["val.cs`: holds 1013 lines; 1014 were published", "multi30k/dataset"]);
    fs::remove_file(&file).expect("removed");
    refused(&lay_out, 4, &["clone`: holds no `task1/raw/val.cs`", "multi30k/dataset"]);
    assert_eq!(fs::read_dir(&out).expect("a folder").count(), 1, "features alone");
    fs::write(&file, &whole).expect("written");
    let ran = run(&lay_out);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 15);
    assert!(lines[0].contains("multi30k/image_splits/{split}.txt"), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.ends_with("  29000 train, 1014 val, 1000 test")), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("--out") && ran.stderr.contains("features/train.npy, and so for val and test")
    );
    assert_eq!(fs::read_to_string(out.join("task1/val.cs")).expect("read"), whole);
    assert_eq!(fs::read_dir(&out).expect("a folder").count(), 4);
    refused(&lay_out, 2, &["multi30k/image_splits`: is there already", "--out"]);
}
