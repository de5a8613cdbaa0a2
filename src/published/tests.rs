//! Small downloads of the right structure, laid out with small counts.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::config::RawConfig;
use crate::corpus::{Corpus, Features, SplitName, Wanted, write_npy};

/// A download and where it is laid out.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn from(&self) -> PathBuf {
        self.0.path().join("from")
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.from().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        match name.ends_with(".gz") {
            true => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(content.as_ref()).unwrap();
                fs::write(file, packed.finish().unwrap()).unwrap();
            }
            false => fs::write(file, content).unwrap(),
        }
    }

    fn lines(&self, name: &str, lines: impl Iterator<Item = String>) {
        self.write(name, lines.map(|line| line + "\n").collect::<String>());
    }

    fn lay(&self, write: impl FnOnce(&Download, &mut Laid) -> Result<()>) -> Result<Laid> {
        whole(&self.out(), |laid| write(&Download::open(&self.from(), "get it")?, laid))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.out().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn error(&self, write: impl FnOnce(&Download, &mut Laid) -> Result<()>) -> String {
        let error = self.lay(write).unwrap_err().to_string();
        assert!(!self.out().exists(), "nothing is left: {error}");
        error
    }

    /// The corpus of a configuration in the folder, with features of so many pictures in each split.
    fn corpus(&self, config: &str, pictures: [usize; 3], wanted: Option<Wanted>) -> Corpus {
        fs::create_dir(self.out().join("features")).unwrap();
        for (split, count) in SplitName::CAPTIONED.into_iter().zip(pictures) {
            let file = self.out().join(format!("features/{split}.npy"));
            let numbers: Vec<f32> =
                (0..2 * count).map(|n| n as f32 + 100.0 * split as usize as f32).collect();
            write_npy(&file, count, 2, &numbers).unwrap();
            assert_eq!(Features::open(&[file]).unwrap().rows(), count);
        }
        let raw: RawConfig = toml::from_str(config).unwrap();
        let corpus = match wanted {
            Some(wanted) => Corpus::load_part(&raw.data, &self.out(), wanted),
            None => Corpus::load(&raw.data, &self.out()),
        };
        corpus.unwrap()
    }
}

fn multi30k(place: &Place, counts: [usize; 3]) {
    let names = ["train", "val", "test"];
    for ((split, [task1, task2, list]), count) in names.into_iter().zip(multi30k::NAMES).zip(counts) {
        let ids = || (0..count).map(move |n| format!("{split}{n}.jpg"));
        place.lines(&format!("data/task1/image_splits/{task1}.txt"), ids());
        place.lines(&format!("data/task2/image_splits/{list}.txt"), ids());
        for language in ["en", "de", "fr", "cs"] {
            let line = |n| format!("{language} of {split} {n}");
            place.lines(&format!("data/task1/raw/{task1}.{language}.gz"), (0..count).map(line));
        }
        for (language, number) in ["en", "de"].into_iter().flat_map(|l| (1..=5).map(move |n| (l, n))) {
            let line = |n| format!("{language} {number} of {split} {n}");
            place.lines(&format!("data/task2/raw/{task2}.{number}.{language}.gz"), (0..count).map(line));
        }
    }
}

const SMALL: [usize; 3] = [4, 2, 3];

#[test]
fn multi30k_is_unpacked_under_the_names_that_configurations_have() {
    let place = Place::new();
    multi30k(&place, SMALL);
    // What is unpacked beside its archive is the same file.
    place.lines("data/task1/raw/val.fr", (0..2).map(|n| format!("fr of val {n}")));
    let laid = place.lay(|from, laid| multi30k::write(from, laid, SMALL)).unwrap();
    assert_eq!(place.read("task1/test.cs"), "cs of test 0\ncs of test 1\ncs of test 2\n");
    assert_eq!(place.read("task2/val.3.de"), "de 3 of val 0\nde 3 of val 1\n");
    assert_eq!(place.read("image_splits/val.txt"), "val0.jpg\nval1.jpg\n");
    assert_eq!(laid.written.len(), 1 + 4 + 10);
    assert_eq!(laid.written[0].file, "image_splits/{split}.txt");
    assert_eq!(laid.written[0].holds, ["4 train", "2 val", "3 test"]);
    let config = include_str!("../../configs/mla-multi30k.toml");
    let corpus = place.corpus(config, SMALL, None);
    let captions = |split: SplitName| corpus.split(split).captions.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(captions(SplitName::Train), [20, 20, 4, 4]);
    assert_eq!(captions(SplitName::Test), [15, 15, 3, 3]);
    // Once more is refused, and changes nothing.
    let again = place.lay(|from, laid| multi30k::write(from, laid, SMALL)).unwrap_err();
    assert_eq!(again.exit_status(), 2);
    assert!(again.to_string().contains("image_splits`: is there already"), "{again}");
    assert_eq!(place.read("image_splits/val.txt"), "val0.jpg\nval1.jpg\n");
}

#[test]
fn what_is_not_as_published_is_named_with_both_counts_and_leaves_nothing() {
    let place = Place::new();
    let error =
        |counts| place.error(move |from: &Download, laid: &mut Laid| multi30k::write(from, laid, counts));
    fs::create_dir(place.from()).unwrap();
    assert!(error(SMALL).contains("from`: holds no `task1/image_splits/train.txt`\nhint: get it"));
    multi30k(&place, SMALL);
    let few = error([4, 2, 2]);
    assert!(
        few.contains("test_2016_flickr.txt`: holds 3 lines; 2 were published\nhint: download it again"),
        "{few}"
    );
    place.lines("data/task2/raw/val.5.de.gz", (0..1).map(|_| "one".to_string()));
    let cut = error(SMALL);
    assert!(cut.contains("task2/raw/val.5.de.gz`: holds 1 lines; 2 were published"), "{cut}");
    place.lines("data/task2/raw/val.5.de.gz", ["one", " "].into_iter().map(String::from));
    assert!(error(SMALL).contains("val.5.de.gz`:2: is empty"));
    place.lines(
        "data/task2/image_splits/val_images.txt",
        ["val1.jpg", "val0.jpg"].into_iter().map(String::from),
    );
    let order = error(SMALL);
    assert!(
        order.contains("val_images.txt`:1: is `val1.jpg`, where the list of task 1 has `val0.jpg`"),
        "{order}"
    );
    for list in ["task1/image_splits/val.txt", "task2/image_splits/val_images.txt"] {
        place.lines(&format!("data/{list}"), ["val1.jpg", "train3.jpg"].into_iter().map(String::from));
    }
    let twice = error(SMALL);
    assert!(twice.contains("image_splits/val.txt`:2: `train3.jpg` is in `train` already"), "{twice}");
    place.lines("copy/task1/image_splits/train.txt", (0..4).map(|n| n.to_string()));
    let several = error(SMALL);
    assert!(several.contains("holds `copy/task1/image_splits/train.txt` and `data/task1/"), "{several}");
    // Files that were there before stay.
    fs::create_dir_all(place.out().join("features")).unwrap();
    assert!(place.lay(|from, laid| multi30k::write(from, laid, SMALL)).is_err());
    assert_eq!(fs::read_dir(place.out()).unwrap().count(), 1);
    let file = place.0.path().join("all.zip");
    fs::write(&file, "PK").unwrap();
    assert!(
        Download::open(&file, "get it")
            .err()
            .unwrap()
            .to_string()
            .contains("is no folder\nhint: unpack archives, and get it")
    );
}

fn karpathy(name: &str, counts: [usize; 3]) -> String {
    let names = [["train", "restval"], ["val"; 2], ["test"; 2]];
    let of = |(split, count): (usize, usize)| {
        (0..count).map(move |n| {
            let sentences: Vec<_> = (0..5).map(|k| serde_json::json!({"raw": format!("{split} {n} {k}")})).collect();
            serde_json::json!({"filename": format!("{split}_{n}.jpg"), "split": names[split][n % 2], "sentences": sentences})
        })
    };
    let images: Vec<_> = counts.into_iter().enumerate().flat_map(of).collect();
    serde_json::json!({"dataset": name, "images": images}).to_string()
}

const FLICKR8K: flickr::Flickr = flickr::Flickr { pictures: SMALL, ..flickr::FLICKR8K };
const FLICKR30K: flickr::Flickr = flickr::Flickr { pictures: SMALL, ..flickr::FLICKR30K };

#[test]
fn flickr30k_is_read_in_karpathys_split() {
    let place = Place::new();
    place.write("x/dataset_flickr30k.json", karpathy("flickr30k", SMALL));
    let laid = place.lay(|from, laid| flickr::write(from, laid, &FLICKR30K)).unwrap();
    assert_eq!(place.read("image_ids/test.txt"), "2_0.jpg\n2_1.jpg\n2_2.jpg\n");
    assert_eq!(laid.written[1].holds, ["45 captions"]);
    let config = place.read("flickr30k.toml");
    let corpus = place.corpus(&config, SMALL, None);
    assert_eq!(corpus.val.captions[0].len(), 10);
    assert_eq!(corpus.test.captions[0][14].text, "2 2 4");
    let place = Place::new();
    place.write("dataset_flickr30k.json", karpathy("flickr30k", [4, 2, 2]));
    let error = place.error(|from, laid| flickr::write(from, laid, &FLICKR30K));
    assert!(
        error.contains("dataset_flickr30k.json`: holds 2 pictures of split `test`; 3 were published"),
        "{error}"
    );
    place.write("dataset_flickr30k.json", "{\n\"images\": [7]}");
    let error = place.error(|from, laid| flickr::write(from, laid, &FLICKR30K));
    assert!(error.contains("dataset_flickr30k.json`:2: is not as it was published"), "{error}");
}

#[test]
fn flickr8k_is_cut_by_its_own_lists() {
    let place = Place::new();
    let mut tokens = String::new();
    for (split, (list, count)) in ["train", "dev", "test"].into_iter().zip(SMALL).enumerate() {
        place.lines(&format!("Flickr_8k.{list}Images.txt"), (0..count).map(|n| format!("{split}_{n}.jpg")));
        for n in 0..count {
            (0..5).for_each(|k| tokens += &format!("{split}_{n}.jpg#{k}\t{split} {n} {k}\n"));
        }
    }
    // As the published file has one that no list names.
    tokens += "2258277193_586949ec62.jpg.1#0\tsome people .\n";
    place.write("Flickr8k.token.txt", &tokens);
    let laid = place.lay(|from, laid| flickr::write(from, laid, &FLICKR8K)).unwrap();
    assert!(laid.notes[0].starts_with("1 captions of pictures that are in no split"), "{:?}", laid.notes);
    let corpus = place.corpus(&place.read("flickr8k.toml"), SMALL, None);
    assert_eq!([corpus.train.captions[0].len(), corpus.val.captions[0].len()], [20, 10]);
    assert_eq!(corpus.test.captions[0][14].text, "2 2 4");
    let place = Place(place.0);
    fs::remove_dir_all(place.out()).unwrap();
    place.write("Flickr8k.token.txt", tokens.replace("1_1.jpg#4", "other.jpg#4"));
    let error = place.error(|from, laid| flickr::write(from, laid, &FLICKR8K));
    assert!(
        error.contains("Flickr8k.token.txt`: holds 9 captions of split `val`; 10 were published"),
        "{error}"
    );
    fs::remove_file(place.from().join("Flickr8k.token.txt")).unwrap();
    place.write("dataset_flickr8k.json", karpathy("flickr8k", SMALL));
    place.lay(|from, laid| flickr::write(from, laid, &FLICKR8K)).unwrap();
    assert!(place.read("flickr8k.toml").contains("karpathy"));
}

#[test]
fn xtd10_is_a_test_set_of_eleven_languages() {
    let place = Place::new();
    place.lines("XTD10/test_image_names.txt", (0..3).map(|n| format!("COCO_{n}.jpg")));
    let codes = ["en", "es", "it", "ko", "pl", "ru", "tr", "zh"].map(|code| ("XTD10", code));
    for (folder, code) in codes.into_iter().chain([("MIC", "de"), ("MIC", "fr"), ("STAIR", "jp")]) {
        // The last line of some has no end.
        place.write(&format!("{folder}/test_1kcaptions_{code}.txt"), format!("{code} 0\n{code} 1\n{code} 2"));
    }
    place.lay(|from, laid| xtd10::write(from, laid, 3)).unwrap();
    assert_eq!(place.read("captions/test.ja"), "jp 0\njp 1\njp 2\n");
    let test = Wanted::only(SplitName::Test, None, false);
    let corpus = place.corpus(&place.read("xtd10.toml"), [1, 1, 3], Some(test));
    assert!(corpus.languages.iter().zip(&corpus.test.captions).all(|(_, captions)| captions.len() == 3));
    assert_eq!(corpus.languages.len(), 11);
    place.lines("XTD10/test_image_names.txt", ["a", "b", "a"].into_iter().map(String::from));
    fs::remove_dir_all(place.out()).unwrap();
    let error = place.error(|from, laid| xtd10::write(from, laid, 3));
    assert!(error.contains("test_image_names.txt`:3: `a` is there twice"), "{error}");
}

/// Eight pictures to train on and two of val2014, two captions each and one blank; all but the first in Chinese, all but the last in Japanese.
fn coco(place: &Place) -> coco::Counts {
    let name = |n: usize| format!("COCO_{}2014_{n:012}", if n < 8 { "train" } else { "val" });
    for (part, numbers) in [("train", 0..8), ("val", 8..10)] {
        let images: Vec<_> = numbers
            .clone()
            .map(|n| serde_json::json!({"license": 1, "id": n, "file_name": name(n) + ".jpg"}))
            .collect();
        let annotations: Vec<_> = numbers
            .flat_map(|n| [0, 1].map(|k| (n, k)))
            .map(|(n, k)| {
                let caption = if (n, k) == (3, 1) { " \n".into() } else { format!("{n} {k}.\n") };
                serde_json::json!({"image_id": n, "id": 2 * n + k, "caption": caption})
            })
            .collect();
        let json = serde_json::json!({"info": {}, "images": images, "annotations": annotations});
        place.write(&format!("annotations/captions_{part}2014.json"), json.to_string());
    }
    place.lines(
        "coco-cn-version1805v1.1/imageid.human-written-caption.txt",
        (1..10).map(|n| format!("{}#0\t中 {n}", name(n))),
    );
    let ja: Vec<_> =
        (0..9).map(|n| serde_json::json!({"image_id": n, "id": n, "caption": format!("日 {n}")})).collect();
    place.write("yjcaptions26k_clean.json", serde_json::json!({"annotations": ja}).to_string());
    let splits = [["train"; 6].as_slice(), &["val", "val", "test", "restval"]].concat();
    let images: Vec<_> = splits
        .iter()
        .enumerate()
        .map(|(n, split)| serde_json::json!({"filename": name(n) + ".jpg", "split": split, "sentences": []}))
        .collect();
    place.write("dataset_coco.json", serde_json::json!({"images": images}).to_string());
    coco::Counts {
        english: [[8, 16], [2, 4]],
        chinese: [9, 9],
        japanese: [9, 9],
        karpathy: [7, 2, 1],
        drawn: 3,
    }
}

#[test]
fn mscoco_is_drawn_where_all_three_languages_are() {
    let place = Place::new();
    let counts = coco(&place);
    let laid = place.lay(|from, laid| coco::write(from, laid, &counts, 0)).unwrap();
    assert!(laid.notes[0].contains("3 to test on were drawn of the 8 "), "{:?}", laid.notes);
    assert!(laid.notes[1].starts_with("1 English captions are blank"), "{:?}", laid.notes);
    let ids = |split: &str| place.read(&format!("image_ids/{split}.txt"));
    assert_eq!(["train", "val", "test"].map(|split| ids(split).lines().count()), [4, 3, 3]);
    assert!(ids("train").contains("000000000000.jpg") && ids("train").contains("000000000009.jpg"));
    let config = "[data]\nlanguages = ['en', 'zh', 'ja']\nimage_ids = 'image_ids/{split}.txt'\n[[data.captions]]\nformat = 'coco'\nlanguages = ['en']\n\
                  files = ['captions/{split}.en.json']\n[[data.captions]]\nformat = 'jsonl'\nlanguages = ['zh', 'ja']\nfiles = ['captions/{split}.jsonl']";
    let (train, test) = (ids("train"), ids("test"));
    let corpus = place.corpus(config, [4, 3, 3], None);
    assert_eq!(corpus.test.captions.iter().map(Vec::len).collect::<Vec<_>>()[1..], [3, 3]);
    assert_eq!(corpus.train.captions.iter().map(Vec::len).collect::<Vec<_>>()[1..], [3, 3]);
    let english: usize =
        [&corpus.train, &corpus.val, &corpus.test].iter().map(|split| split.captions[0].len()).sum();
    assert_eq!(english, 19);
    // The same seed draws the same; another one others.
    let again = |seed| {
        fs::remove_dir_all(place.out()).unwrap();
        place.lay(|from, laid| coco::write(from, laid, &counts, seed)).unwrap();
        (ids("train"), ids("test"))
    };
    assert_eq!(again(0), (train.clone(), test.clone()));
    assert_ne!(again(1), (train, test));
}

#[test]
fn mscoco_is_split_as_karpathy_does_where_the_other_languages_are_not_there() {
    let place = Place::new();
    let counts = coco(&place);
    let zh = "coco-cn-version1805v1.1/imageid.human-written-caption.txt";
    let given = fs::read_to_string(place.from().join(zh)).unwrap();
    let drawn = coco::Counts { drawn: 5, ..counts };
    let error = place.error(|from, laid| coco::write(from, laid, &drawn, 0));
    assert!(error.contains("has 8 pictures in common with YJ Captions; 10 are drawn"), "{error}");
    place.write(zh, given.replace("中 9\n", ""));
    let error = place.error(|from, laid| coco::write(from, laid, &counts, 0));
    assert!(error.contains("human-written-caption.txt`:9: is no name of a picture and a caption"), "{error}");
    place.write(zh, given.replace("000000000009", "000000000010"));
    let error = place.error(|from, laid| coco::write(from, laid, &counts, 0));
    assert!(
        error.contains(":9: speaks of picture `COCO_val2014_000000000010`, which is not in MSCOCO"),
        "{error}"
    );
    fs::remove_file(place.from().join(zh)).unwrap();
    place.lay(|from, laid| coco::write(from, laid, &counts, 0)).unwrap();
    assert_eq!(
        place.read("image_ids/val.txt"),
        "COCO_train2014_000000000006.jpg\nCOCO_train2014_000000000007.jpg\n"
    );
    assert!(!place.out().join("captions/val.jsonl").exists());
    fs::remove_dir_all(place.out()).unwrap();
    fs::remove_file(place.from().join("dataset_coco.json")).unwrap();
    let error = place.error(|from, laid| coco::write(from, laid, &counts, 0));
    assert!(error.contains("holds no `imageid.human-written-caption.txt`"), "{error}");
}

#[test]
fn vectors_are_unpacked_and_their_width_is_held_against_the_published_one() {
    let place = Place::new();
    let vec = |width: usize| format!("2 {width}\na{}\nb{}\n", " 1".repeat(width), " 2".repeat(width));
    let stop = AtomicBool::new(false);
    place.write("cc.en.300.vec", vec(300));
    place.write("more/cc.de.300.vec.gz", vec(300));
    let laid = place.lay(|from, laid| vectors::write(from, laid, &stop)).unwrap();
    assert_eq!([place.read("cc.en.300.vec"), place.read("cc.de.300.vec")], [vec(300), vec(300)]);
    assert!(laid.notes[0].contains("cc.LANGUAGE.300.bin of en, de, fr, "), "{:?}", laid.notes);
    fs::remove_dir_all(place.out()).unwrap();
    place.write("cc.fr.300.vec.gz", vec(299));
    let error = place.error(|from, laid| vectors::write(from, laid, &stop));
    assert!(error.contains("cc.fr.300.vec.gz`: holds vectors of 299 numbers; 300 were published"), "{error}");
    let packed = fs::read(place.from().join("more/cc.de.300.vec.gz")).unwrap();
    fs::remove_file(place.from().join("cc.fr.300.vec.gz")).unwrap();
    fs::write(place.from().join("more/cc.de.300.vec.gz"), &packed[..packed.len() - 9]).unwrap();
    let error = place.error(|from, laid| vectors::write(from, laid, &stop));
    assert!(error.contains("cc.de.300.vec.gz`: cannot be read"), "{error}");
    fs::write(place.from().join("more/cc.de.300.vec.gz"), &packed).unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(place.lay(|from, laid| vectors::write(from, laid, &stop)).unwrap_err().exit_status(), 130);
    assert!(!place.out().exists());
    fs::remove_dir_all(place.from()).unwrap();
    fs::create_dir(place.from()).unwrap();
    assert!(
        place
            .error(|from, laid| vectors::write(from, laid, &stop))
            .contains("holds no `cc.LANGUAGE.300.bin`")
    );
}
