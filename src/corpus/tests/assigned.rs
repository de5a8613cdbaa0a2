//! A file that says which picture is in which split (`data.split`).

use super::*;
use crate::corpus::fingerprint;
use CaptionFormat::Csv;

/// One file of features for seven pictures, one table, and who is where.
fn folder(splits: &str) -> Folder {
    let mut folder = Folder::new(&["en"]);
    let values: Vec<f32> = (0..7).flat_map(|r| [1.0 + r as f32, 0.5]).collect();
    write_npy(folder.path("all.npy"), 7, 2, &values).unwrap();
    folder.file("ids.txt", "1.jpg\n2.jpg\n3.jpg\n4.jpg\n5.jpg\n6.jpg\n7.jpg\n");
    let rows: String = [3, 1, 2, 7, 5, 6].iter().map(|n| format!("{n}.jpg,picture {n}\n")).collect();
    folder.file("captions.csv", format!("image,caption\n{rows}"));
    folder.file("splits.tsv", splits);
    folder.config.features = vec!["all.npy".into()];
    folder.config.image_ids = Some("ids.txt".into());
    folder.config.split = Some("splits.tsv".into());
    folder.source(Csv, &["en"], "captions.csv");
    folder
}

const GOOD: &str = "picture\tsplit\tgroup\n5.jpg\ttrain\n1.jpg\ttrain\t\n7.jpg\ttest\t7.jpg\n6.jpg\ttest\t7.jpg\n\
    3.jpg\tval\t\n4.jpg\tdistractors\t\n";

#[test]
fn a_file_says_which_picture_is_in_which_split() {
    let corpus = folder(GOOD).load().unwrap();
    let texts =
        |split: &Split| split.captions[0].iter().map(|c| (c.image, c.text.clone())).collect::<Vec<_>>();
    let text = |row: u32, n: u32| (row, format!("picture {n}"));
    // In the order of the features.
    assert_eq!(corpus.train.image_ids, ["1.jpg", "5.jpg"]);
    assert_eq!(texts(&corpus.train), [text(0, 1), text(1, 5)]);
    assert_eq!(texts(&corpus.val), [text(0, 3)]);
    assert_eq!(texts(&corpus.test), [text(0, 6), text(1, 7)]);
    assert_eq!(corpus.distractors.as_ref().map(Features::rows), Some(1));
    let mut row = [0.0; 2];
    corpus.test.features.copy_row(1, &mut row);
    assert_eq!(row, [7.0, 0.5]);
    // 2.jpg has a caption, but no split.
    let left_out = "1 pictures, first `2.jpg`, are not in `";
    assert!(matches!(&corpus.notes[..], [note] if note.starts_with(left_out)), "{:?}", corpus.notes);
    assert!(corpus.splits_by.as_ref().is_some_and(|file| file.ends_with("data/splits.tsv")));
}

#[test]
fn a_part_of_the_splits_is_read() {
    let folder = folder(GOOD);
    let base = folder.folder.path();
    let part = Corpus::load_part(&folder.config, base, Wanted::only(SplitName::Test, None, true)).unwrap();
    assert_eq!((part.test.features.rows(), part.train.features.rows()), (2, 0));
    assert_eq!(part.distractors.as_ref().map(Features::rows), Some(1));
    let mut part = part;
    assert!(part.add_training_pictures(&folder.config, base).unwrap());
    assert_eq!(part.train.image_ids, ["1.jpg", "5.jpg"]);
    let other = Wanted::only(SplitName::Test, Some("xtd10".into()), false);
    let error = Corpus::load_part(&folder.config, base, other).unwrap_err();
    assert_has(&error.to_string(), &["`data.split` has no set `xtd10`", "`--data`"]);
}

#[test]
fn the_fingerprint_knows_which_pictures_are_trained_on() {
    let of = |splits: &str| fingerprint(&folder(splits).load().unwrap()).unwrap();
    let first = of(GOOD);
    assert_eq!(of(GOOD), first);
    // 2.jpg stands in the place of 1.jpg, and has its row among the training pictures.
    let swapped = GOOD.replace("1.jpg\ttrain", "2.jpg\ttrain");
    assert_ne!(of(&swapped), first);
}

#[test]
fn a_broken_file_of_splits_is_named_with_its_line() {
    let refused = |from: &str, to: &str, said: &[&str]| {
        assert!(GOOD.contains(from));
        assert_has(&folder(&GOOD.replace(from, to)).refusal(4), said);
    };
    refused(
        "picture\tsplit\tgroup\n",
        "",
        &["splits.tsv`:1: does not begin with `picture`", "`tinyglot init`"],
    );
    refused("3.jpg\tval", "3.jpg\tdev", &["splits.tsv`:6: `dev` is no split"]);
    refused("3.jpg\tval\t", "3.jpg", &["splits.tsv`:6: has 1 values"]);
    refused(
        "3.jpg\tval\t",
        "9.jpg\tval\t",
        &["splits.tsv`:6: `9.jpg` is not among the pictures that have features"],
    );
    refused("3.jpg\tval", "folder/5\tval", &["splits.tsv`:6: names `folder/5` a second time, after line 2"]);
    refused("3.jpg\tval\t\n", "", &["splits.tsv`: has no picture of split `val`"]);
    let said = "splits.tsv`:5: `6.jpg` is in `val`, but `7.jpg`, of the same group, in `test` (line 4)";
    refused("6.jpg\ttest", "6.jpg\tval", &[said, "one split"]);
    let mut folder = folder(GOOD);
    fs::remove_file(folder.path("splits.tsv")).unwrap();
    assert_has(&folder.refusal(4), &["splits.tsv`: cannot be read", "a path in `data.split`"]);
    folder.config.image_ids = None;
    assert_has(&folder.refusal(3), &["the features have no ids", "`data.image_ids`"]);
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("splits.tsv");
    let one = |picture: &str, split, group: Option<&str>| Assigned {
        picture: picture.into(),
        split,
        group: group.map(String::from),
    };
    let all = [
        one("a b/1.jpg", SplitName::Train, None),
        one("été.png", SplitName::Test, Some("été.png")),
        one("2.jpg", SplitName::Test, Some("été.png")),
    ];
    Splits::write(&file, &all).unwrap();
    assert_eq!(Splits::read(&file).unwrap().all().cloned().collect::<Vec<_>>(), all);
    let error = Splits::write(&file, &[one("a\tb", SplitName::Val, None)]).unwrap_err();
    assert!(error.to_string().contains("cannot stand in a table"), "{error}");
    assert_eq!(Splits::read(&file).unwrap().all().count(), 3, "the old file stays");
}
