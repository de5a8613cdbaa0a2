//! Rows matched by id, and splits that share their features.

use super::*;
use CaptionFormat::{Coco, Jsonl, Karpathy, Lines};

const IDS: [(&str, &str); 3] =
    [("train", "x1.jpg\nx2.jpg\nx3.jpg\n"), ("val", "y1.jpg\ny2.jpg\n"), ("test", "z1.jpg\r\nz2.jpg\r\n")];

fn with_ids(languages: &[&str]) -> Folder {
    let mut folder = Folder::new(languages);
    for (split, ids) in IDS {
        folder.file(&format!("ids/{split}.txt"), ids);
    }
    folder.config.image_ids = Some("ids/{split}.txt".into());
    folder
}

fn line(image: &str, text: &str) -> String {
    format!("{{\"image\": \"{image}\", \"language\": \"en\", \"text\": \"{text}\"}}\n")
}

#[test]
fn captions_find_their_split_by_id() {
    let mut folder = with_ids(&["en"]);
    folder.file(
        "all.jsonl",
        [line("x3", "c"), line("z2.jpg", "g"), line("x1.JPG", "a"), line("y1", "d")].concat(),
    );
    folder.source(Jsonl, &[], "all.jsonl");
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "a"), (2, "c")]);
    assert_eq!(pairs(&corpus.val.captions[0]), [(0, "d")]);
    assert_eq!(pairs(&corpus.test.captions[0]), [(1, "g")]);
    assert_eq!(corpus.test.image_ids, ["z1.jpg", "z2.jpg"]);
    assert!(corpus.has_ids);
}

#[test]
fn ids_may_begin_with_a_mark_or_be_packed() {
    let mut folder = with_ids(&["en"]);
    folder.file("all.jsonl", [line("x1", "a"), line("y2", "e")].concat());
    folder.source(Jsonl, &[], "all.jsonl");
    folder.file("ids/train.txt", "\u{feff}x1.jpg\r\nx2.jpg\r\nx3.jpg\r\n");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"y1.jpg\ny2.jpg\n").unwrap();
    folder.file("ids/val.txt", packed.finish().unwrap());
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "a")]);
    assert_eq!(pairs(&corpus.val.captions[0]), [(1, "e")]);
}

#[test]
fn folders_tell_pictures_of_one_name_apart() {
    let mut folder = with_ids(&["en"]);
    folder.file("ids/train.txt", "a/1.jpg\nb/1.jpg\nb/2.jpg\n");
    folder.file("all.jsonl", [line("x/b/1.jpg", "b1"), line("a/1", "a1"), line("2.jpg", "b2")].concat());
    folder.source(Jsonl, &[], "all.jsonl");
    assert_eq!(pairs(&folder.load().unwrap().train.captions[0]), [(0, "a1"), (1, "b1"), (2, "b2")]);
    folder.file("all.jsonl", line("1.jpg", "?"));
    assert_has(&folder.refusal(4), &["all.jsonl`:1: picture `1` may be id `a/1.jpg` or `b/1.jpg`", "folder"]);
    folder.file("all.jsonl", line("c/1.jpg", "?"));
    assert_has(&folder.refusal(4), &["1 captions speak of pictures that have no features: first `c/1.jpg`"]);
    // Two pictures of other names are not one for having one ending less.
    folder.file("all.jsonl", [line("a/1.jpg", "?"), line("a/1.png", "?")].concat());
    assert_has(&folder.refusal(4), &["all.jsonl`:2: `a/1.jpg` and `a/1.png` both fit one id"]);
}

#[test]
fn an_id_in_two_splits_cannot_be_placed() {
    let mut folder = with_ids(&["en"]);
    folder.file("ids/val.txt", "y1.jpg\nx1.jpg\n");
    folder.file("all.jsonl", [line("y1", "d"), line("x1", "a")].concat());
    folder.source(Jsonl, &[], "all.jsonl");
    assert_has(&folder.refusal(4), &["all.jsonl`:2: picture `x1` is in the splits `train` and `val`"]);
}

#[test]
fn unknown_ids_are_counted_and_named() {
    let mut folder = with_ids(&["en"]);
    let lines: Vec<_> = (0..9).map(|n| line(&format!("none{}", n / 2), "a")).collect();
    folder.file("all.jsonl", line("x1", "a") + &lines.concat());
    folder.source(Jsonl, &[], "all.jsonl");
    let expected =
        "all.jsonl`: 9 captions speak of pictures that have no features: first `none0`, `none1`, `none2`";
    assert_has(&folder.refusal(4), &[expected, "hint:"]);
}

#[test]
fn broken_ids_are_refused() {
    let refusal = |ids: &[u8]| {
        let folder = with_ids(&["en"]);
        folder.file("ids/train.txt", ids);
        folder.refusal(4)
    };
    assert_has(&refusal(b"a\nb\n"), &["train.txt`: holds 2 ids, but there are 3 rows", "train.npy"]);
    assert_has(&refusal(b"a\n\nc\n"), &["train.txt`:2: holds no id"]);
    assert_has(&refusal(b"a\nb\n\xff\n"), &["train.txt`:3: is not UTF-8"]);
    assert_has(&refusal(b"a.jpg\nb\na.png\n"), &["id `a.png` stands for two pictures: ids 1 and 3"]);
    let mut folder = with_ids(&["en"]);
    folder.config.image_ids = Some("ids/train.txt".into());
    assert_has(&folder.refusal(3), &["either both `data.features` and `data.image_ids`"]);
    folder.config.image_ids = Some("ids/none.{split}".into());
    assert_has(&folder.refusal(4), &["none.train`: cannot be read"]);
}

#[test]
fn one_kind_of_name_serves_a_whole_file() {
    // The ids are COCO's; `imgid` 7 is the COCO id of another picture, which must not be taken for it.
    let mut folder = with_ids(&["en"]);
    folder.file("ids/train.txt", "7\n8\n9\n");
    let image = |file: &str, coco: u32, imgid: u32, text: &str| {
        format!(
            r#"{{"split": "train", "filename": "{file}", "cocoid": {coco}, "imgid": {imgid}, "sentences": [{{"raw": "{text}"}}]}}"#
        )
    };
    let dataset = |images: &[String]| format!("{{\"images\": [{}]}}", images.join(","));
    folder.file("d.json", dataset(&[image("a.jpg", 9, 7, "a"), image("b.jpg", 7, 8, "b")]));
    folder.source(Karpathy, &["en"], "d.json");
    assert_eq!(pairs(&folder.load().unwrap().train.captions[0]), [(0, "b"), (2, "a")]);
    folder.file("d.json", dataset(&[image("a.jpg", 9, 7, "a"), image("b.jpg", 77, 8, "b")]));
    assert_has(&folder.refusal(4), &["1 captions speak of pictures", "first `b.jpg`"]);
}

#[test]
fn coco_files_match_by_file_name_or_id() {
    let mut folder = with_ids(&["en"]);
    let coco = r#"{"images": [{"id": 31, "file_name": "x3.jpg"}, {"id": 41, "file_name": "y2.jpg"}],
        "annotations": [{"image_id": 41, "caption": "e"}, {"image_id": 31, "caption": "c"}]}"#;
    folder.file("all.json", coco);
    folder.source(Coco, &["en"], "all.json");
    let by_name = folder.load().unwrap();
    assert_eq!(pairs(&by_name.train.captions[0]), [(2, "c")]);
    assert_eq!(pairs(&by_name.val.captions[0]), [(1, "e")]);
    folder.file("ids/train.txt", "11\n21\n31\n");
    folder.file("ids/val.txt", "61\n41\n");
    assert_eq!(folder.load().unwrap().train.captions, by_name.train.captions);
}

#[test]
fn one_matrix_may_serve_all_splits() {
    let mut folder = Folder::new(&["en"]);
    folder.features("all", 6, 1.0);
    folder.config.features = vec!["features/all.npy".into()];
    let image = |split, imgid| {
        format!(r#"{{"split": "{split}", "imgid": {imgid}, "sentences": [{{"raw": "t{imgid}"}}]}}"#)
    };
    let images = [("test", 0), ("train", 5), ("train", 1), ("val", 3)].map(|(s, i)| image(s, i));
    folder.file("d.json", format!("{{\"images\": [{}]}}", images.join(",")));
    folder.source(Karpathy, &["en"], "d.json");
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(0, "t1"), (1, "t5")]);
    assert_eq!((corpus.train.features.rows(), corpus.train.image_ids.join(" ")), (2, "1 5".into()));
    let mut row = [0.0; 2];
    corpus.train.features.copy_row(1, &mut row);
    assert_eq!(row, [6.0, 0.5]);
    assert_eq!((corpus.val.features.rows(), corpus.test.features.rows()), (1, 1));
    folder.file("d.json", format!("{{\"images\": [{}]}}", image("train", 6)));
    assert_has(&folder.refusal(4), &["picture `6`", "there are 6 rows"]);
    folder.file("d.json", format!("{{\"images\": [{}]}}", image("train", 2)));
    assert_has(&folder.refusal(4), &["split `val` has no captions"]);
    folder.config.captions[0].format = Jsonl;
    assert_has(&folder.refusal(3), &["what is in which split"]);
    folder.config.captions[0].format = Lines;
    folder.config.captions[0].files = vec!["{split}.en".into()];
    assert_has(&folder.refusal(3), &["put `{split}` into `data.features`"]);
}

#[test]
fn ids_inside_the_features_are_used() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let mut folder = Folder::new(&["en"]);
    let write = |split: &str, ids: &[&str]| {
        let data: Vec<u8> = ids.iter().flat_map(|_| 1f32.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![ids.len(), 1], &data).unwrap();
        let ids = serde_json::to_string(ids).unwrap();
        let bytes = serialize([("features", view)], Some([("ids".to_string(), ids)].into())).unwrap();
        folder.file(&format!("features/{split}.safetensors"), bytes);
    };
    write("train", &["x1", "x2"]);
    write("val", &["y1"]);
    write("test", &["z1"]);
    folder.config.features = vec!["features/{split}.safetensors".into()];
    folder.file("all.jsonl", [line("x2", "b"), line("y1", "d")].concat());
    folder.source(Jsonl, &[], "all.jsonl");
    let corpus = folder.load().unwrap();
    assert_eq!(pairs(&corpus.train.captions[0]), [(1, "b")]);
    assert_eq!(corpus.train.image_ids, ["x1", "x2"]);
    // A file of ids must agree with them.
    folder.config.image_ids = Some("ids.{split}".into());
    folder.file("ids.train", "x1\nx9\n");
    assert_has(&folder.refusal(4), &["ids.train`:2: id `x9`, but the features call this row `x2`"]);
}
