//! Captions by people with their translations.

use super::*;
use crate::config::{TranslatedCaptions, TranslationFormat};

/// Two captions a picture in English, one in German, and all their translations into en, de and fr.
fn folder() -> Folder {
    let mut folder = Folder::new(&["en", "de", "fr"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    for (split, text) in [("train", "A\nB\nC\n"), ("val", "D\nE\n"), ("test", "F\nG\n")] {
        folder.file(&format!("second/{split}.en"), text);
    }
    folder.source(CaptionFormat::Lines, &["en"], "second/{split}.en");
    folder.lines("de", ["x\ny\nz\n", "u\nv\n", "w\nx\n"]);
    let french = folder.lines("fr", ["p\nq\nr\n", "s\nt\n", "o\nn\n"]);
    french.source = Source::Machine;
    for (split, n) in [("val", ["d", "e"]), ("test", ["f", "g"])] {
        for (of, k) in [("en", 1), ("en", 2), ("de", 1)] {
            for into in ["en", "de", "fr"] {
                let line = |l: &str| format!("{of}{k}-{into} {l}\n");
                folder.file(&format!("mt/{split}.{k}.{of}-{into}"), line(n[0]) + &line(n[1]));
            }
        }
    }
    folder.translations("en", &["mt/{split}.1.{of}-{language}", "mt/{split}.2.{of}-{language}"]);
    folder.translations("de", &["mt/{split}.1.{of}-{language}"]);
    folder
}

impl Folder {
    fn translations(&mut self, of: &str, files: &[&str]) -> &mut TranslatedCaptions {
        self.config.translations.push(TranslatedCaptions {
            of: vec![of.into()],
            files: files.iter().map(|f| f.to_string()).collect(),
            ..TranslatedCaptions::default()
        });
        self.config.translations.last_mut().unwrap()
    }
}

#[test]
fn line_n_of_file_k_translates_caption_k_of_picture_n() {
    let corpus = folder().load().unwrap();
    let all = corpus.translations.as_ref().unwrap();
    assert_eq!(all.languages, [0, 1, 2]);
    let test: Vec<(usize, &Asked)> = all.split(SplitName::Test).collect();
    assert_eq!(test.iter().map(|(l, _)| *l).collect::<Vec<_>>(), [0, 1]);
    let en = test[0].1;
    assert_eq!(en.image_of, [0, 0, 1, 1]);
    assert_eq!(en.texts[0], ["f", "F", "g", "G"]);
    assert_eq!(en.texts[1], ["en1-de f", "en2-de f", "en1-de g", "en2-de g"]);
    assert_eq!(en.texts[2], ["en1-fr f", "en2-fr f", "en1-fr g", "en2-fr g"]);
    assert_eq!(test[1].1.texts[0], ["de1-en f", "de1-en g"]);
    assert_eq!(test[1].1.texts[1], ["w", "x"]);
    assert_eq!(all.split(SplitName::Train).count(), 0);
    // They are no captions.
    assert_eq!((corpus.test.captions[1].len(), corpus.test.captions[2].len()), (2, 2));
    assert_eq!(corpus.human, [true, true, false]);
    assert_has(
        &corpus.notes.join("\n"),
        &["captions of `en` ask in 3 languages together: 4 of val, 4 of test"],
    );
}

#[test]
fn a_translation_file_that_does_not_fit_is_named() {
    let one = folder();
    one.file("mt/test.2.en-fr", "only one\n");
    assert_has(&one.refusal(4), &["test.2.en-fr`:2: 1 lines for the 2 pictures", "`data.translations`"]);
    let one = folder();
    fs::remove_file(one.path("mt/val.1.de-fr")).unwrap();
    assert_has(&one.refusal(4), &["val.1.de-fr`: cannot be read", "`data.translations`"]);
    let mut one = folder();
    one.config.translations[0].files.pop();
    assert_has(
        &one.refusal(4),
        &["picture `0` of split `val` has 2 captions by people in `en`, but there are 1 files"],
    );
    let mut one = folder();
    one.config.captions[2].source = Source::Machine;
    assert_has(&one.refusal(4), &["`de` has no caption by people in split `val` to translate"]);
}

#[test]
fn the_languages_that_ask_together_are_the_same_for_all() {
    let mut some = folder();
    for source in &mut some.config.translations {
        source.languages = vec!["en".into(), "de".into(), "xx".into()];
    }
    let corpus = some.load().unwrap();
    assert_eq!(corpus.translations.unwrap().languages, [0, 1]);
    some.config.translations[1].languages.clear();
    assert_has(&some.refusal(3), &["`data.translations[1]` joins en, de, fr, an earlier entry en, de"]);
    some.config.translations[1].languages = vec!["en".into(), "fr".into()];
    assert_has(&some.refusal(3), &["`data.translations[1].languages` lacks `de`"]);
}

#[test]
fn fewer_trained_languages_leave_out_their_translations() {
    let mut fewer = folder();
    fewer.config.languages = vec!["en".into(), "fr".into()];
    fewer.config.captions.retain(|source| source.languages != ["de"]);
    let corpus = fewer.load().unwrap();
    let all = corpus.translations.as_ref().unwrap();
    assert_eq!((all.languages.as_slice(), all.of.len()), (&[0, 1][..], 1));
    assert_has(&corpus.notes.join("\n"), &["the translations of `de` were left out"]);
    fewer.config.languages = vec!["en".into()];
    fewer.config.captions.retain(|source| source.languages == ["en"]);
    assert_eq!(fewer.load().unwrap().translations, None, "one language alone joins nothing");
}

#[test]
fn captions_are_translated_by_their_text_where_pictures_have_different_numbers() {
    let mut folder = folder();
    folder.config.translations.clear();
    let lines = "{\"text\": \"f\", \"translations\": {\"de\": \"f1\", \"fr\": \"f2\", \"xx\": \"?\"}}\n\n\
                 {\"text\": \" F \", \"translations\": {\"de\": \"F1\", \"fr\": \"F2 \"}}\n\
                 {\"text\": \"g\", \"translations\": {\"de\": \"g1\", \"fr\": \"g2\"}}\n\
                 {\"text\": \"G\", \"translations\": {\"de\": \"G1\", \"fr\": \"G2\"}}\n";
    folder.file("mt.test.en", lines);
    folder.config.captions.remove(1);
    folder.file("mt.val.en", "{\"text\": \"d\", \"translations\": {\"de\": \"d1\", \"fr\": \"d2\"}}\n{\"text\": \"e\", \"translations\": {\"de\": \"e1\", \"fr\": \"e2\"}}\n");
    folder.translations("en", &["mt.{split}.{of}"]).format = TranslationFormat::Jsonl;
    let corpus = folder.load().unwrap();
    let all = corpus.translations.unwrap();
    assert_eq!(all.of[0].1[1].texts, [["f", "g"], ["f1", "g1"], ["f2", "g2"]]);

    let refusal = |from: &str, to: &str| {
        folder.file("mt.test.en", lines.replacen(from, to, 1));
        folder.refusal(4)
    };
    assert_has(
        &refusal("\"g\"", "\"h\""),
        &["mt.test.en`: has no translation of the `en` caption `g` of split `test`"],
    );
    assert_has(&refusal(", \"fr\": \"g2\"", ""), &["mt.test.en`:4: has no translation into `fr`"]);
    assert_has(&refusal("g2", " "), &["mt.test.en`:4: has no translation into `fr`"]);
    assert_has(&refusal("\"G\"", "\"g\""), &["mt.test.en`:5: translates `g` otherwise than an earlier line"]);
    assert_has(
        &refusal("\"text\": \"g\"", "\"txt\": \"g\""),
        &["mt.test.en`:4: is no translated caption", "txt"],
    );
    fs::remove_file(folder.path("mt.val.en")).unwrap();
    assert_has(&folder.refusal(4), &["mt.val.en`: cannot be read", "`data.translations`"]);
}
