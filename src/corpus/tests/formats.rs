//! Each caption format, whole and broken.

use super::*;
use CaptionFormat::{Coco, Jsonl, Karpathy, Lines};

const WHOLE: [&str; 3] = ["a\nb\nc\n", "d\ne\n", "f\ng\n"];

#[test]
fn lines_in_many_scripts_are_read_as_they_are() {
    let mut folder = Folder::new(&["zh", "ar", "ko"]);
    folder.lines("zh", ["一只狗  在跑。\n两个人\n猫\n", "d\ne\n", "f\ng\n"]);
    folder.lines("ar", ["\u{feff}كلب يجري\r\nب\r\nج\r\n", "d\ne\n", "f\ng\n"]);
    folder.lines("ko", ["개가\u{a0}달린다\n 나 \n다", "d\ne", "f\ng"]);
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "一只狗  在跑。"), (1, "两个人"), (2, "猫")]);
    assert_eq!(pairs(&corpus.train.captions[1]), [(0, "كلب يجري"), (1, "ب"), (2, "ج")]);
    assert_eq!(pairs(&corpus.train.captions[2]), [(0, "개가\u{a0}달린다"), (1, "나"), (2, "다")]);
    assert_eq!(pairs(&corpus.test.captions[2]), [(0, "f"), (1, "g")]);
}

#[test]
fn several_files_give_several_captions_a_picture() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", WHOLE).files.push("more/{split}.{language}".into());
    for (split, text) in [("train", "A\nB\nC\n"), ("val", "D\nE\n"), ("test", "F\nG\n")] {
        folder.file(&format!("more/{split}.en"), text);
    }
    let corpus = folder.load().unwrap();
    let expected = [(0, "a"), (0, "A"), (1, "b"), (1, "B"), (2, "c"), (2, "C")];
    assert_eq!(pairs(&corpus.train.captions[0]), expected);
}

#[test]
fn broken_lines_are_refused() {
    let refusal = |train: &[u8]| {
        let mut folder = Folder::new(&["en"]);
        folder.lines("en", WHOLE);
        folder.file("train.en", train);
        folder.refusal(4)
    };
    assert_has(&refusal(b"a\nb\n"), &["train.en`:3: 2 lines for the 3 pictures", "hint:"]);
    assert_has(&refusal(b"a\nb\nc\nd\ne\n"), &["train.en`:4: 5 lines for the 3 pictures"]);
    assert_has(&refusal(b"a\nb\nc\n\n"), &["train.en`:4: 4 lines for the 3 pictures"]);
    assert_has(&refusal(b""), &["train.en`:1: 0 lines"]);
    assert_has(&refusal(b"a\n \t\r\nc\n"), &["train.en`:2: is an empty caption"]);
    assert_has(&refusal(b"a\nb\xc3(\nc\n"), &["train.en`:2: is not UTF-8 (byte 2)"]);
    assert_has(&refusal(b"\x1f\x8b\x08\x00"), &["train.en`: cannot be read: "]);
}

#[test]
fn a_missing_file_is_refused() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", WHOLE);
    fs::remove_file(folder.path("val.en")).unwrap();
    assert_has(&folder.refusal(4), &["val.en`: cannot be read", "hint:"]);
    folder.config.captions[0].format = Jsonl;
    fs::remove_file(folder.path("train.en")).unwrap();
    assert_has(&folder.refusal(4), &["train.en`: cannot be read", "data.captions"]);
}

#[test]
fn karpathy_holds_all_splits() {
    let mut folder = Folder::new(&["en"]);
    folder.file(
        "dataset.json",
        r#"{"dataset": "tiny", "images": [
        {"split": "test", "filename": "f.jpg", "imgid": 0, "sentences": [{"raw": "f", "tokens": ["f"]}]},
        {"split": "train", "filename": "a.jpg", "imgid": 1, "sentences": [{"raw": "a", "sentid": 1}, {"raw": "A\n"}]},
        {"split": "restval", "filename": "b.jpg", "imgid": 2, "sentences": [{"raw": "b"}]},
        {"split": "val", "filename": "d.jpg", "imgid": 3, "sentences": [{"raw": "d"}]},
        {"split": "train", "filename": "c.jpg", "imgid": 4, "sentences": []},
        {"split": "val", "filename": "e.jpg", "imgid": 5, "sentences": [{"raw": "é"}]},
        {"split": "test", "filename": "g.jpg", "imgid": 6, "sentences": [{"raw": "g"}]}]}"#,
    );
    folder.source(Karpathy, &["en"], "dataset.json");
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "a"), (0, "A"), (1, "b")]);
    assert_eq!(pairs(&corpus.val.captions[0]), [(0, "d"), (1, "é")]);
    assert!(!corpus.has_ids);
}

#[test]
fn broken_karpathy_files_are_refused() {
    let refusal = |json: &str| {
        let mut folder = Folder::new(&["en"]);
        folder.file("d.json", json);
        folder.source(Karpathy, &["en"], "d.json");
        folder.refusal(4)
    };
    assert_has(&refusal("{\"images\": [\n{\"split\""), &["d.json`:2: is no Karpathy file: EOF"]);
    assert_has(&refusal("{\"images\": [{}]}"), &["missing field `split` in column"]);
    let one = |split: &str, raw: &str| {
        refusal(&format!(r#"{{"images": [{{"split": "{split}", "sentences": [{{"raw": "{raw}"}}]}}]}}"#))
    };
    assert_has(&one("dev", "a"), &["in split `dev`", "`restval`"]);
    assert_has(&one("train", "a"), &["holds 1 pictures of split `train`", "3 rows", "data.image_ids"]);
    let many = ["{\"split\": \"train\", \"sentences\": []}"; 4].join(",");
    assert_has(&refusal(&format!("{{\"images\": [{many}]}}")), &["picture `3`", "there are 3 rows"]);
}

#[test]
fn coco_pictures_match_by_order() {
    let mut folder = Folder::new(&["ja"]);
    for (split, ids) in [("train", &[70, 5, 6][..]), ("val", &[1, 2]), ("test", &[3, 4])] {
        let images: Vec<_> =
            ids.iter().map(|i| format!(r#"{{"id": {i}, "file_name": "{i}.jpg"}}"#)).collect();
        let annotations: Vec<_> = ids
            .iter()
            .rev()
            .map(|i| format!(r#"{{"id": 9{i}, "image_id": {i}, "caption": "犬{i} "}}"#))
            .collect();
        let (images, annotations) = (images.join(","), annotations.join(",\n"));
        folder.file(
            &format!("captions_{split}.json"),
            format!("{{\"info\": {{}}, \"images\": [{images}],\n \"annotations\": [{annotations}]}}"),
        );
    }
    folder.source(Coco, &["ja"], "captions_{split}.json");
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "犬70"), (1, "犬5"), (2, "犬6")]);
}

#[test]
fn broken_coco_files_are_refused() {
    let refusal = |json: &str| {
        let mut folder = Folder::new(&["en"]);
        folder.file("train.json", json);
        folder.source(Coco, &["en"], "{split}.json");
        folder.refusal(4)
    };
    assert_has(&refusal("[]"), &["train.json`:1: is no COCO captions file"]);
    let images = r#""images": [{"id": 1}, {"id": 2}, {"id": 3}]"#;
    let unknown = format!("{{{images}, \"annotations\": [{{\"image_id\": 8, \"caption\": \"a\"}}]}}");
    assert_has(&refusal(&unknown), &["annotation 0 (from 0) speaks of image `8`"]);
    let empty = format!("{{{images}, \"annotations\": [{{\"image_id\": 2, \"caption\": \" \\n\"}}]}}");
    assert_has(&refusal(&empty), &["picture `2` has an empty caption"]);
    let wrong = format!("{{{images}, \"annotations\": [\n{{\"image_id\": 1.5, \"caption\": \"a\"}}]}}");
    assert_has(&refusal(&wrong), &["train.json`:2: ", "a whole number or a string"]);
    assert_has(&refusal(r#"{"images": [{"id": 1}, {"id": 1}], "annotations": []}"#), &["id `1` twice"]);
}

#[test]
fn json_lines_tell_languages_and_sources_apart() {
    let mut folder = Folder::new(&["en", "qu"]);
    folder.file(
        "train.jsonl",
        r#"{"image": 2, "language": "en", "text": "c", "source": "human"}
{"image": "0", "language": "qu", "text": "allqu", "source": "machine", "extra": 1}

{"image": 0, "language": "en", "text": "a"}
{"image": 0, "language": "xx", "text": "?"}
{"image": 0, "language": "en", "text": "A"}"#,
    );
    folder.file("val.jsonl", "{\"image\": 1, \"language\": \"en\", \"text\": \"e\"}\r\n");
    folder.file("test.jsonl", "");
    folder.source(Jsonl, &[], "{split}.jsonl");
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "a"), (0, "A"), (2, "c")]);
    assert_eq!(pairs(&corpus.train.captions[1]), [(0, "allqu")]);
    assert_eq!(corpus.train.captions[1][0].source, Source::Machine);
    assert_eq!(corpus.human, [true, false]);
    assert_eq!(pairs(&corpus.val.captions[0]), [(1, "e")]);
    assert!(corpus.test.captions.iter().all(Vec::is_empty));
    assert_eq!(corpus.notes, ["1 captions in `xx` were left out: it is not in `data.languages`"]);
}

#[test]
fn any_line_of_json_may_say_its_source() {
    let mut folder = Folder::new(&["en"]);
    folder.lines("en", WHOLE);
    folder.file(
        "mt.jsonl",
        "{\"image\": 0, \"text\": \"A\"}\n{\"image\": 1, \"text\": \"B\", \"source\": \"machine\"}\n",
    );
    folder.source(Jsonl, &["en"], "mt.jsonl").splits = vec![CaptionSplit::Train];
    let corpus = folder.load().unwrap();
    let sources: Vec<_> = corpus.train.captions[0].iter().map(|c| c.source).collect();
    assert_eq!(sources, [Source::Human, Source::Human, Source::Human, Source::Machine, Source::Human]);
}

#[test]
fn json_lines_may_take_language_and_source_from_the_configuration() {
    let mut folder = Folder::new(&["en", "de"]);
    folder.lines("en", WHOLE);
    for split in ["train", "val", "test"] {
        folder.file(&format!("{split}.de.jsonl"), "{\"image\": 1, \"text\": \"ein Hund\"}\n");
    }
    folder.source(Jsonl, &["de"], "{split}.{language}.jsonl").source = Source::Machine;
    let by_path = folder.load().unwrap();
    assert_eq!(pairs(&by_path.train.captions[1]), [(1, "ein Hund")]);
    assert_eq!(by_path.human, [true, false]);
    folder.config.captions[1].files = vec!["{split}.de.jsonl".into()];
    assert_eq!(folder.load().unwrap().train.captions, by_path.train.captions);
    folder.config.captions[1].languages.clear();
    assert_has(&folder.refusal(4), &["train.de.jsonl`:1: the caption has no `language`"]);
    folder.file("train.de.jsonl", "{\"image\": 1, \"language\": \"fr\", \"text\": \"un chien\"}\n");
    folder.config.captions[1].languages = vec!["de".into()];
    folder.config.captions[1].files = vec!["{split}.{language}.jsonl".into()];
    assert_has(&folder.refusal(4), &[":1: is a caption in `fr`, but the file is for `de`"]);
}

#[test]
fn broken_json_lines_are_refused() {
    let refusal = |second: &[u8]| {
        let mut folder = Folder::new(&["en"]);
        let first = b"{\"image\": 0, \"language\": \"en\", \"text\": \"a\"}\n";
        folder.file("train.jsonl", [first, second].concat());
        folder.source(Jsonl, &[], "{split}.jsonl");
        folder.refusal(4)
    };
    assert_has(&refusal(b"{\"image\": 0,"), &["train.jsonl`:2: is no caption: EOF", "in column"]);
    assert_has(&refusal(b"{\"image\": 0, \"text\": \"\xff\"}"), &["train.jsonl`:2: is not UTF-8 (byte 23)"]);
    assert_has(
        &refusal(b"{\"image\": 0, \"language\": \"en\"}"),
        &[":2: is no caption: it has no `text`", "`image`, `language`"],
    );
    let en = |rest: &str| refusal(format!("{{\"language\": \"en\", {rest}}}").as_bytes());
    assert_has(&en(r#""image": 0, "text": "  ""#), &[":2: picture `0` has an empty caption"]);
    assert_has(&en(r#""image": -1, "text": "a""#), &[":2: ", "a whole number or a string"]);
    assert_has(
        &en(r#""image": 0, "text": "a", "source": "robot""#),
        &[":2: `source` is \"robot\"; expected \"human\" or \"machine\""],
    );
    assert_has(&en(r#""image": 3, "text": "a""#), &["1 captions speak of pictures", "first `3`"]);
}

#[test]
fn placeholders_must_fit_the_format() {
    let refusal = |format, languages: &[&str], file| {
        let mut folder = Folder::new(&["en", "de"]);
        folder.source(format, languages, file);
        folder.refusal(3)
    };
    assert_has(&refusal(Lines, &["en"], "train.en"), &["`data.captions[0]`", "put `{split}`"]);
    assert_has(&refusal(Lines, &["en", "de"], "{split}.en"), &["one file, but 2 languages"]);
    assert_has(&refusal(Lines, &[], "{split}.{language}"), &["set `languages`"]);
    assert_has(&refusal(Karpathy, &["en"], "{split}.json"), &["holds all splits"]);
    assert_has(&refusal(Coco, &["en"], "all.json"), &["set `data.image_ids`"]);
    assert_has(&refusal(Lines, &["en"], "{split}.{lang}"), &["nothing stands for `{lang}`"]);
    let mut folder = Folder::new(&["en"]);
    folder.source(Lines, &["en"], "x").files.clear();
    assert_has(&folder.refusal(3), &["`data.captions[0].files` is empty"]);
}
