//! Sources that are used in some splits only.

use super::*;
use CaptionFormat::{Coco, Jsonl, Karpathy, Lines};
use CaptionSplit::{Test, Train, Val};

const WHOLE: [&str; 3] = ["a\nb\nc\n", "d\ne\n", "f\ng\n"];

/// English of people in all splits, and what `more` gives for training.
fn folder() -> Folder {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", WHOLE);
    folder
}

#[test]
fn translations_may_serve_as_training_data_alone() {
    let mut folder = folder();
    // Only the file that is used need be there.
    folder.file("mt/train.en", "A\nB\nC\n");
    let source = folder.source(Lines, &["en"], "mt/{split}.en");
    (source.source, source.splits) = (Source::Machine, vec![Train]);
    let corpus = folder.load().unwrap();
    assert_eq!(
        pairs(&corpus.train.captions[0]),
        [(0, "a"), (0, "A"), (1, "b"), (1, "B"), (2, "c"), (2, "C")]
    );
    assert_eq!(pairs(&corpus.test.captions[0]), [(0, "f"), (1, "g")]);
    assert!(corpus.test.captions[0].iter().all(|c| c.source == Source::Human));
    // One split needs no place in the path.
    folder.config.captions[1].files = vec!["mt/train.en".into()];
    assert_eq!(folder.load().unwrap().train.captions, corpus.train.captions);
    folder.config.captions[1].splits = vec![Val, Test];
    assert_has(&folder.refusal(3), &["`splits`", "put `{split}` into the path"]);
}

#[test]
fn files_that_hold_all_splits_are_read_for_some() {
    let mut folder = folder();
    for (split, ids) in [("train", "x1\nx2\nx3\n"), ("val", "y1\ny2\n"), ("test", "z1\nz2\n")] {
        folder.file(&format!("ids/{split}.txt"), ids);
    }
    folder.config.image_ids = Some("ids/{split}.txt".into());
    let line =
        |image: &str| format!("{{\"image\": \"{image}\", \"language\": \"en\", \"text\": \"{image}!\"}}\n");
    folder.file("all.jsonl", ["x3", "y1", "z2"].map(line).concat());
    folder.file(
        "all.json",
        r#"{"images": [{"id": 1, "file_name": "z2.jpg"}, {"id": 2, "file_name": "x3.jpg"}],
            "annotations": [{"image_id": 1, "caption": "z2!"}, {"image_id": 2, "caption": "x3!"}]}"#,
    );
    folder.file(
        "dataset.json",
        r#"{"images": [{"split": "test", "filename": "z2.jpg", "sentences": [{"raw": "z2!"}]},
            {"split": "val", "filename": "y1.jpg", "sentences": [{"raw": "y1!"}]},
            {"split": "train", "filename": "x3.jpg", "sentences": [{"raw": "x3!"}]}]}"#,
    );
    folder.source(Lines, &["en"], "");
    for (format, file) in [(Jsonl, "all.jsonl"), (Coco, "all.json"), (Karpathy, "dataset.json")] {
        let source = &mut folder.config.captions[1];
        (source.format, source.files, source.splits) = (format, vec![file.into()], vec![Train]);
        let corpus = folder.load().unwrap();
        assert_eq!(pairs(&corpus.train.captions[0])[2..], [(2, "c"), (2, "x3!")], "{format:?}");
        assert_eq!((corpus.val.captions[0].len(), corpus.test.captions[0].len()), (2, 2), "{format:?}");
        folder.config.captions[1].splits = vec![Val, Test];
        let corpus = folder.load().unwrap();
        assert_eq!(corpus.train.captions[0].len(), 3, "{format:?}");
        assert_eq!(pairs(&corpus.test.captions[0]), [(0, "f"), (1, "g"), (1, "z2!")], "{format:?}");
    }
    // A picture that is nowhere is still an error.
    folder.file("all.jsonl", ["x3", "q7"].map(line).concat());
    let source = &mut folder.config.captions[1];
    (source.format, source.files) = (Jsonl, vec!["all.jsonl".into()]);
    assert_has(&folder.refusal(4), &["1 captions speak of pictures", "first `q7`"]);
}

#[test]
fn a_file_without_ids_may_be_of_one_split() {
    let mut folder = folder();
    folder.file("mt.jsonl", "{\"image\": 1, \"language\": \"en\", \"text\": \"B\"}\n");
    folder.source(Jsonl, &["en"], "mt.jsonl").splits = vec![Train];
    assert_eq!(pairs(&folder.load().unwrap().train.captions[0]), [(0, "a"), (1, "b"), (1, "B"), (2, "c")]);
    folder.config.captions[1].splits = vec![Train, Val];
    assert_has(&folder.refusal(3), &["its pictures have no ids to tell the split by"]);
    // Of a Karpathy file each picture says its split.
    let image =
        |split: &str, text: &str| format!(r#"{{"split": "{split}", "sentences": [{{"raw": "{text}"}}]}}"#);
    let images = [("train", "A"), ("train", "B"), ("train", "C"), ("test", "F")].map(|(s, t)| image(s, t));
    folder.file("d.json", format!("{{\"images\": [{}]}}", images.join(",")));
    let source = &mut folder.config.captions[1];
    (source.format, source.files, source.splits) = (Karpathy, vec!["d.json".into()], vec![Train]);
    let corpus = folder.load().unwrap();
    assert_eq!((corpus.train.captions[0].len(), corpus.test.captions[0].len()), (6, 2));
}

#[test]
fn one_picture_in_two_splits_is_placed_by_the_split_of_the_source() {
    let mut folder = folder();
    for (split, ids) in [("train", "x1\nx2\nx3\n"), ("val", "y1\nx1\n"), ("test", "z1\nz2\n")] {
        folder.file(&format!("ids/{split}.txt"), ids);
    }
    folder.config.image_ids = Some("ids/{split}.txt".into());
    folder.file("all.jsonl", "{\"image\": \"x1\", \"language\": \"en\", \"text\": \"A\"}\n");
    folder.source(Jsonl, &["en"], "all.jsonl").splits = vec![Train];
    assert_eq!(pairs(&folder.load().unwrap().train.captions[0])[..2], [(0, "a"), (0, "A")]);
    folder.config.captions[1].splits = vec![Train, Val];
    assert_has(&folder.refusal(4), &["`x1` is in the splits `train` and `val`", "`splits`"]);
}
