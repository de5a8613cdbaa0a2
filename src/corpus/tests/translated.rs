//! Queries that are translated into a language of the model.

use super::*;

/// English, trained, and German and Czech captions translated into it.
fn folder() -> Folder {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    for (name, text) in [("val", "d1\ne1\n"), ("test", "f1\ng1\n")] {
        folder.file(&format!("to-en.{name}.de"), text);
        folder.file(&format!("to-en.{name}.cs"), text.replace('1', "2"));
    }
    let source = folder.source(CaptionFormat::Lines, &["de", "cs"], "to-en.{split}.{language}");
    (source.read_as, source.source) = (Some("en".into()), Source::Machine);
    folder
}

#[test]
fn translations_stand_apart_from_what_is_trained() {
    let corpus = folder().load().unwrap();
    assert_eq!(corpus.languages, ["en"]);
    assert_eq!((corpus.human.len(), corpus.train.captions.len(), corpus.test.captions.len()), (1, 1, 1));
    let [de, cs] = &corpus.translated[..] else { panic!("two languages") };
    assert_eq!((&de.language[..], de.reader, de.human(SplitName::Test)), ("de", 0, false));
    assert_eq!(pairs(&de.val), [(0, "d1"), (1, "e1")]);
    assert_eq!(pairs(&cs.test), [(0, "f2"), (1, "g2")]);
    assert_has(&corpus.notes.join("\n"), &["`de` is read as `en`: 2 captions of val, 2 of test"]);
}

#[test]
fn the_captions_of_a_translated_language_are_still_passed_over() {
    let mut folder = folder();
    folder.lines("de", ["x\ny\nz\n", "x\ny\n", "x\ny\n"]);
    let corpus = folder.load().unwrap();
    assert_eq!(corpus.translated[0].val.len(), 2);
    assert_eq!(corpus.train.captions[0].len(), 3);
}

#[test]
fn a_language_is_read_as_one_other() {
    let mut unknown = folder();
    unknown.config.captions[1].read_as = Some("fr".into());
    assert_has(&unknown.refusal(3), &["read as `fr`", "`read_as`"]);
    let mut two = folder();
    two.config.languages.push("ja".into());
    two.lines("ja", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    two.source(CaptionFormat::Lines, &["de"], "to-en.{split}.de").read_as = Some("ja".into());
    assert_has(&two.refusal(3), &["`de` is read as `en` and as `ja`"]);
}
