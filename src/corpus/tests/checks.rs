//! `data check`, and the refusal of test captions where they must not be.

use super::super::check::{BySplit, check};
use super::super::leak::refuse_test_leak;
use super::*;

fn words(_language: usize, text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
}

fn corpus(folder: &mut Folder) -> Corpus {
    folder
        .lines("en", ["a dog runs\nA dog runs\na cat\n", "the dog\nthe dog\n", "a cat\na red bird sings\n"]);
    folder.lines("qu", ["allqu\nallqu\nmisi\n", "allqu\nmisi\n", "allqu\nmisi\n"]).source = Source::Machine;
    folder.load().unwrap()
}

#[test]
fn captions_are_counted() {
    let corpus = corpus(&mut Folder::new(&["en", "qu"]));
    let report = check(&corpus, 1, &words, Some(&|_, word| word != "dog" && word != "bird")).unwrap();
    assert_eq!(report.pictures, BySplit { train: 3, val: 2, test: 2 });
    let en = &report.languages[0];
    assert_eq!((en.tokens, en.vocabulary, en.duplicates, en.test_in_train), (8, 4, 1, 1));
    // "a" is the top word; "dog", "runs" and "cat" are rare.
    assert_eq!((en.rare_words, en.rare_tokens), (3.0 / 4.0, 5.0 / 8.0));
    assert_eq!(en.unseen, Some(3.0 / 6.0));
    assert_eq!(en.without_vector, Some(5.0 / 18.0));
    assert_eq!((en.human, en.machine), (true, 0));
    let qu = &report.languages[1];
    assert_eq!((qu.human, qu.machine, qu.duplicates), (false, 7, 1));
    assert!(report.overlaps.is_empty());
    assert_eq!(check(&corpus, 9, &words, None).unwrap().languages[0].rare_words, 0.0);
}

#[test]
fn frequent_words_are_not_rare() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a a b b b\na a b b b\na c\n", "d\ne\n", "f\ng\n"]);
    let report = check(&folder.load().unwrap(), 0, &words, None).unwrap();
    // Both "a" and "b" occur at least 5 times.
    assert_eq!((report.languages[0].rare_words, report.languages[0].rare_tokens), (1.0 / 3.0, 1.0 / 12.0));
}

#[test]
fn pictures_in_two_splits_are_found() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.features("test", 2, 3.0); // rows 3 and 4 are the last of train and the first of val
    folder.features("distractors", 1, 4.0);
    let report = check(&folder.load().unwrap(), 0, &words, None).unwrap();
    let found: Vec<_> =
        report.overlaps.iter().map(|o| (o.first, o.second, o.same_id, o.same_features)).collect();
    use SplitName::*;
    assert_eq!(found, [(Train, Test, 0, 1), (Val, Test, 0, 1), (Val, Distractors, 0, 1)]);
    assert_eq!(report.overlaps[0].examples, ["2 = 0"]);

    folder.config.image_ids = Some("ids.{split}".into());
    for (split, ids) in
        [("train", "x1\nx2\nx3\n"), ("val", "y1\ny2\n"), ("test", "x3\nz2\n"), ("distractors", "w1\n")]
    {
        folder.file(&format!("ids.{split}"), ids);
    }
    let report = check(&folder.load().unwrap(), 0, &words, None).unwrap();
    assert_eq!(
        (report.overlaps[0].same_id, report.overlaps[0].examples.as_slice()),
        (1, &["x3".to_string()][..])
    );
}

#[test]
fn a_picture_is_known_by_its_file_name_in_any_folder() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.config.image_ids = Some("ids.{split}".into());
    let overlaps = |folder: &Folder, ids: [&str; 3]| {
        for (split, ids) in ["train", "val", "test"].iter().zip(ids) {
            folder.file(&format!("ids.{split}"), ids);
        }
        check(&folder.load().unwrap(), 0, &words, None).unwrap().overlaps
    };
    let found =
        overlaps(&folder, ["train/1.jpg\ntrain/2.jpg\n3", "val/4\nval/5", "images\\6.png\nimages/2.PNG"]);
    assert_eq!((found.len(), found[0].same_id, found[0].same_features), (1, 1, 0));
    assert_eq!(
        found[0].to_string(),
        "train and test share pictures: 1 by id, 0 by features, such as `train/2.jpg = images/2.PNG`"
    );
    // Where the folder tells pictures of a split apart it is part of the name.
    assert_eq!(overlaps(&folder, ["a/1.jpg\nb/1.jpg\nc/2.jpg", "d/1\nd/2", "e/1\nb/1.png"])[0].same_id, 1);
}

#[test]
fn a_check_says_what_pictures_were_compared_by() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    let said = |folder: &Folder| check(&folder.load().unwrap(), 0, &words, None).unwrap().to_string();
    assert_has(&said(&folder), &["no picture is in two splits, by features alone: without `data.image_ids`"]);
    folder.config.image_ids = Some("ids.{split}".into());
    for (split, ids) in [("train", "1\n2\n3"), ("val", "4\n5"), ("test", "6\n7")] {
        folder.file(&format!("ids.{split}"), ids);
    }
    assert_has(&said(&folder), &["no picture is in two splits, by id, file name and features"]);
}

#[test]
fn a_picture_twice_in_a_split_is_found() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    write_npy(folder.path("features/val.npy"), 2, 2, &[9.0, 9.0, 9.0, 9.0]).unwrap();
    let report = check(&folder.load().unwrap(), 0, &words, None).unwrap();
    assert_eq!(report.overlaps.len(), 1);
    assert_has(&report.to_string(), &["val holds pictures twice: 0 by id, 1 by features, such as `0 = 1`"]);
}

#[test]
fn the_table_is_aligned() {
    let report = check(&corpus(&mut Folder::new(&["en", "qu"])), 1, &words, None).unwrap();
    let text = report.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "3 train, 2 val, 2 test pictures and 0 distractors; 2 numbers each");
    assert!(lines[2].trim_start().starts_with("by  pictures  captions"), "{text}");
    assert!(
        lines[3].starts_with("en    human     3/2/2     3/2/2        0       8      4  75.0 %"),
        "{text}"
    );
    assert_eq!(lines[2].len(), lines[3].len());
    assert_eq!(lines[3].len(), lines[4].len());
    assert!(serde_json::to_string(&report).unwrap().contains(r#""vocabulary":4"#));
}

#[test]
fn text_with_test_captions_is_refused() {
    let mut folder = Folder::new(&["en"]);
    folder
        .lines("en", ["a man plays a guitar\nb\nc\n", "d\ne\n", "A red bird sings.\na man plays a guitar\n"]);
    folder.config.text = Some("{language}.txt".into());
    folder.file("en.txt", "a man plays a guitar\nsomething else\nA red bird\n");
    let corpus = folder.load().unwrap();
    let found = refuse_test_leak(&corpus, &words).unwrap();
    assert_eq!((found[0].captions, found[0].found), (1, 0));
    folder.file("en.txt", "a man plays a guitar\nb\n a red bird sings .\n");
    let error = refuse_test_leak(&corpus, &words).unwrap_err();
    assert_eq!(error.exit_status(), 4);
    let expected = "en.txt`:3: holds 1 of the 1 test captions in `en`, the first is `a red bird sings .`";
    assert_has(&error.to_string(), &[expected, "hint:"]);
    assert!(check(&corpus, 0, &words, None).is_err());
    folder.file("en.txt", b"\xff\xfe\n");
    assert_has(&refuse_test_leak(&corpus, &words).unwrap_err().to_string(), &["en.txt`:1: is not UTF-8"]);
}

#[test]
fn a_few_captions_may_recur_by_chance() {
    let mut folder = Folder::new(&["en"]);
    folder.features("test", 200, 20.0);
    let test: String = (0..200).map(|n| format!("picture number {n} is here\n")).collect();
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", &test]);
    folder.config.text = Some("{language}.txt".into());
    let recurring = |n| test.lines().take(n).collect::<Vec<_>>().join("\n");
    folder.file("en.txt", recurring(2));
    let corpus = folder.load().unwrap();
    let found = refuse_test_leak(&corpus, &words).unwrap();
    assert_eq!((found[0].captions, found[0].found), (200, 2));
    folder.file("en.txt", recurring(3));
    assert_has(&refuse_test_leak(&corpus, &words).unwrap_err().to_string(), &[":1: holds 3 of the 200"]);
}

/// Reads real data where there are any: `TINYGLOT_SHARED` names a folder with `multi30k-8k` and `text`.
#[test]
fn real_data_are_read() {
    let Some(shared) = std::env::var_os("TINYGLOT_SHARED") else {
        println!("skipped: TINYGLOT_SHARED names no folder of data");
        return;
    };
    let numbered = (1..=5).map(|n| format!("task2/{{split}}.{n}.{{language}}")).collect();
    let source = |languages: &[&str], files| CaptionSource {
        languages: languages.iter().map(|l| l.to_string()).collect(),
        files,
        ..CaptionSource::default()
    };
    let config = DataConfig {
        root: "multi30k-8k".into(),
        languages: ["en", "de", "fr", "cs"].map(String::from).to_vec(),
        image_ids: Some("image_splits/{split}.txt".into()),
        captions: vec![
            source(&["en", "de"], numbered),
            source(&["fr", "cs"], vec!["task1/{split}.{language}".into()]),
        ],
        parallel: Some("task1/{split}.{language}".into()),
        text: Some("../text/{language}.txt".into()),
        ..DataConfig::default()
    };
    let start = std::time::Instant::now();
    let corpus = Corpus::load(&config, Path::new(&shared)).unwrap();
    let loaded = start.elapsed();
    let report = check(&corpus, 5000, &words, None).unwrap();
    println!("loaded in {loaded:.2?}, checked in {:.2?}\n{report}", start.elapsed() - loaded);
    assert_eq!(report.pictures, BySplit { train: 5993, val: 242, test: 1000 });
    assert_eq!((report.width, report.distractors), (2304, 856));
    assert_eq!(report.languages[0].captions, BySplit { train: 29965, val: 1210, test: 5000 });
    assert_eq!(report.languages[3].captions, BySplit { train: 5993, val: 242, test: 1000 });
}
