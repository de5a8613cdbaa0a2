//! Corpora of tiny files, written to a folder and read back.

mod assigned;
mod bitexts;
mod checks;
mod formats;
mod matching;
mod repeated;
mod splits;
mod translated;
mod translations;
mod writers;

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::config::{CaptionFormat, CaptionSource, CaptionSplit};

/// A folder with features of 3 train, 2 val and 2 test pictures, and what the tests add.
struct Folder {
    folder: tempfile::TempDir,
    config: DataConfig,
}

impl Folder {
    fn new(languages: &[&str]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let config = DataConfig {
            root: "data".into(),
            languages: languages.iter().map(|l| l.to_string()).collect(),
            ..DataConfig::default()
        };
        let new = Folder { folder, config };
        for (split, rows, start) in [("train", 3, 1.0), ("val", 2, 4.0), ("test", 2, 6.0)] {
            new.features(split, rows, start);
        }
        new
    }

    /// Features (rows, 2) whose first column counts from `start`.
    fn features(&self, split: &str, rows: usize, start: f32) {
        let values: Vec<f32> = (0..rows).flat_map(|r| [start + r as f32, 0.5]).collect();
        self.file(&format!("features/{split}.npy"), "");
        write_npy(self.path(&format!("features/{split}.npy")), rows, 2, &values).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// Adds a file of lines for each split, e.g. `["a\nb\nc\n", "d\ne\n", "f\ng\n"]`.
    fn lines(&mut self, language: &str, texts: [&str; 3]) -> &mut CaptionSource {
        for (split, text) in ["train", "val", "test"].iter().zip(texts) {
            self.file(&format!("{split}.{language}"), text);
        }
        self.source(CaptionFormat::Lines, &[language], "{split}.{language}")
    }

    fn source(&mut self, format: CaptionFormat, languages: &[&str], file: &str) -> &mut CaptionSource {
        self.config.captions.push(CaptionSource {
            format,
            languages: languages.iter().map(|l| l.to_string()).collect(),
            files: vec![file.into()],
            ..CaptionSource::default()
        });
        self.config.captions.last_mut().unwrap()
    }

    fn load(&self) -> Result<Corpus> {
        Corpus::load(&self.config, self.folder.path())
    }

    /// The message of a load that must fail with this exit status.
    fn refusal(&self, status: u8) -> String {
        let error = self.load().unwrap_err();
        assert_eq!(error.exit_status(), status, "{error}");
        error.to_string()
    }
}

/// Captions as (picture, text).
fn pairs(captions: &[Caption]) -> Vec<(u32, &str)> {
    captions.iter().map(|c| (c.image, c.text.as_str())).collect()
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn split_names_are_read_as_written() {
    for name in ["train", "val", "test", "distractors"] {
        assert_eq!(name.parse::<SplitName>().unwrap().to_string(), name);
    }
    assert_eq!("dev".parse::<SplitName>().unwrap_err().exit_status(), 2);
}

#[test]
fn languages_must_be_named_once() {
    assert_has(&Folder::new(&[]).refusal(3), &["`data.languages` is empty"]);
    assert_has(&Folder::new(&["en", "de", "en"]).refusal(3), &["`en` twice"]);
}

#[test]
fn languages_that_no_source_names_have_no_captions() {
    let mut folder = Folder::new(&["en", "fr"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    // It was added to a trained run; the rules of a configuration refuse it otherwise.
    assert_eq!(folder.load().unwrap().train.captions[1], []);
    // A source may name languages that are not trained on.
    folder.config.languages = vec!["en".into()];
    folder.config.captions[0].languages = vec!["en".into(), "xx".into()];
    assert_eq!(folder.load().unwrap().languages, ["en"]);
}

#[test]
fn distractors_are_pictures_without_captions() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    let corpus = folder.load().unwrap();
    assert!(corpus.distractors.is_none());
    assert_eq!(corpus.split(SplitName::Distractors).features.rows(), 0);
    folder.features("distractors", 4, 10.0);
    let corpus = folder.load().unwrap();
    assert_eq!(corpus.distractors.as_ref().unwrap().rows(), 4);
    assert_eq!(corpus.split(SplitName::Distractors).image_ids, ["0", "1", "2", "3"]);
    assert_eq!(corpus.split(SplitName::Distractors).captions, [vec![]]);
}

#[test]
fn splits_must_have_features_of_one_width() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    write_npy(folder.path("features/test.npy"), 2, 3, &[1.0; 6]).unwrap();
    assert_has(&folder.refusal(4), &["test.npy`: has rows of 3", "train.npy` has rows of 2"]);
    fs::remove_file(folder.path("features/test.npy")).unwrap();
    assert_has(&folder.refusal(4), &["test.npy`: cannot be read", "data.features"]);
}

#[test]
fn further_text_is_resolved_by_language() {
    let mut folder = Folder::new(&["en", "de"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.lines("de", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.config.text = Some("text/{language}.txt".into());
    assert_has(&folder.refusal(4), &["no file of `data.text`"]);
    folder.file("text/de.txt", "ein Satz\n");
    let corpus = folder.load().unwrap();
    assert_eq!(corpus.texts, [None, Some(vec![folder.path("text/de.txt")])]);
    assert_has(&corpus.notes.join("\n"), &["`en` has no further text"]);
    folder.config.text = Some("text/all.txt".into());
    assert_has(&folder.refusal(3), &["the same file for every language", "{language}"]);
}

#[test]
fn parallel_captions_are_read_where_there_are_any() {
    let mut folder = Folder::new(&["en", "de"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.lines("de", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.config.parallel = Some("parallel/{split}.{language}".into());
    assert_has(&folder.refusal(4), &["no `val` file of `data.parallel`"]);
    folder.file("parallel/val.de", "eins\nzwei\n");
    folder.file("parallel/test.de", "drei\n");
    assert_has(&folder.refusal(4), &["test.de`:2: 1 lines for the 2 pictures of split `test`"]);
    folder.file("parallel/test.de", "drei\nvier");
    let corpus = folder.load().unwrap();
    let parallel = corpus.parallel.as_ref().unwrap();
    assert_eq!(parallel.split(SplitName::Val).unwrap()[1].as_ref().unwrap(), &["eins", "zwei"]);
    assert_eq!((&parallel.test[0], parallel.split(SplitName::Train)), (&None, None));
    assert_has(&corpus.notes.join("\n"), &["`en` has no parallel captions"]);
}
