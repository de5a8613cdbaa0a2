//! People's captions ask, where there are any; machines' are set apart.

use super::*;

const PEOPLE: [&str; 3] = ["a\nb\nc\n", "d\ne\n", "f\ng\n"];
const MACHINES: [&str; 3] = ["A\nB\nC\n", "D\nE\n", "F\nG\n"];

/// Captions in the language by machines too, from files of their own.
fn by_machines(folder: &mut Folder, language: &str) {
    for (split, text) in ["train", "val", "test"].iter().zip(MACHINES) {
        folder.file(&format!("{split}.machine.{language}"), text);
    }
    let file = format!("{{split}}.machine.{language}");
    folder.source(CaptionFormat::Lines, &[language], &file).source = Source::Machine;
}

fn texts(queries: &Queries) -> Vec<String> {
    queries.captions.iter().map(|c| c.text.clone()).collect()
}

#[test]
fn evaluation_asks_with_the_captions_of_people() {
    let mut folder = Folder::new(&["en", "qu"]);
    folder.lines("en", PEOPLE);
    by_machines(&mut folder, "en");
    folder.lines("qu", PEOPLE).source = Source::Machine;
    let corpus = folder.load().unwrap();
    assert_eq!(corpus.train.captions[0].len(), 6, "training has them all");
    for (split, people, machines) in [(&corpus.val, "de", "DE"), (&corpus.test, "fg", "FG")] {
        assert_eq!(split.captions.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(split.human(), [true, false]);
        let by = |language, who| texts(&split.queries(language, who)).concat();
        assert_eq!((by(0, Source::Human), by(0, Source::Machine)), (people.into(), machines.into()));
        assert_eq!((by(1, Source::Human), by(1, Source::Machine)), (people.into(), String::new()));
        assert!(!split.queries(0, Source::Machine).human && !split.queries(1, Source::Human).human);
    }
    // On the training pictures too, though they stand together there.
    assert_eq!(texts(&corpus.train.queries(0, Source::Human)), ["a", "b", "c"]);
    assert_eq!(texts(&corpus.train.queries(0, Source::Machine)), ["A", "B", "C"]);
    assert_eq!(corpus.train.human(), [true, false]);
    assert_has(&corpus.notes.join("\n"), &["2 captions of `val` in `en` by machines do not count"]);
}

#[test]
fn who_wrote_the_captions_is_told_by_split() {
    let mut folder = Folder::new(&["en"]);
    let mut lines = String::new();
    for (image, source) in [("0", "human"), ("1", "machine")] {
        lines += &format!("{{\"image\": {image}, \"text\": \"x\", \"source\": \"{source}\"}}\n");
    }
    folder.file("train.jsonl", lines);
    folder.file("val.jsonl", "{\"image\": 0, \"text\": \"x\", \"source\": \"human\"}\n");
    folder.file("test.jsonl", "{\"image\": 1, \"text\": \"x\", \"source\": \"machine\"}\n");
    folder.source(CaptionFormat::Jsonl, &["en"], "{split}.jsonl");
    let corpus = folder.load().unwrap();
    assert_eq!((corpus.val.human(), corpus.test.human()), (vec![true], vec![false]));
    assert_eq!(corpus.test.captions[0].len(), 1, "where people wrote none, machines' count");
    assert_eq!(corpus.human, [true]);
}

#[test]
fn test_captions_by_machines_are_kept_out_of_what_is_learnt_from() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", PEOPLE);
    by_machines(&mut folder, "en");
    folder.file("test.machine.en", "a red bird sings\na man plays guitar\n");
    folder.file("en.txt", "a man plays guitar\n");
    folder.config.text = Some("{language}.txt".into());
    let words = |_: usize, text: &str| text.split_whitespace().map(String::from).collect();
    let error = super::super::leak::refuse_test_leak(&folder.load().unwrap(), &words).unwrap_err();
    assert_has(&error.to_string(), &["en.txt`:1: holds 1 of the 2 test captions"]);
}

#[test]
fn translated_queries_are_those_of_people_where_there_are_any() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", PEOPLE);
    for (name, texts) in [("people", ["d1\ne1\n", "f1\ng1\n"]), ("machines", ["d2\ne2\n", "f2\ng2\n"])] {
        for (split, text) in ["val", "test"].iter().zip(texts) {
            folder.file(&format!("{name}.{split}.de"), text);
        }
        let source = folder.source(CaptionFormat::Lines, &["de"], &format!("{name}.{{split}}.{{language}}"));
        source.read_as = Some("en".into());
        source.source = if name == "people" { Source::Human } else { Source::Machine };
    }
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.translated[0].test), [(0, "f1"), (1, "g1")]);
    assert!(corpus.translated[0].human(SplitName::Test) && !corpus.translated[0].human(SplitName::Train));
}
