//! The smallest caption files of others, each with the captions that it holds or the whole error.

mod records;

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tinyglot::Result;
use tinyglot::config::Config;
use tinyglot::corpus::{Corpus, SplitName, write_npy};

/// Seven pictures, `1.jpg` to `7.jpg`: three to train on, two to validate on, two to test on.
const DATA: &str = "[data]\nlanguages = ['en']\nimage_ids = 'ids/{split}.txt'\n";

/// What is set for the source, its files by name, and what comes of it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a str);

/// The captions, one a line: language, split, row and text; or the error, with paths as from the folder of the data.
fn load(settings: &str, files: &[(&str, &[u8])]) -> (Result<String, String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    };
    for (split, ids) in [("train", &[1, 2, 3][..]), ("val", &[4, 5]), ("test", &[6, 7])] {
        let list: String = ids.iter().map(|id| format!("{id}.jpg\n")).collect();
        write(&format!("ids/{split}.txt"), list.as_bytes());
        write(&format!("features/{split}.npy"), b"");
        let values: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
        let file = folder.path().join(format!("features/{split}.npy"));
        write_npy(&file, ids.len(), 1, &values).unwrap();
    }
    for (name, bytes) in files {
        write(name, bytes);
    }
    // What is set for `data` stands before `|`.
    let (data, source) = settings.split_once('|').unwrap_or(("", settings));
    let text = format!("{DATA}{data}\n[[data.captions]]\nlanguages = ['en']\n{source}\n");
    let text = match source.contains("languages =") {
        true => text.replacen("[[data.captions]]\nlanguages = ['en']\n", "[[data.captions]]\n", 1),
        false => text,
    };
    let text = match data.contains("languages =") {
        true => text.replacen("languages = ['en']\n", "", 1),
        false => text,
    };
    write("config.toml", text.as_bytes());
    let loaded = Config::load(&folder.path().join("config.toml"), &[])
        .and_then(|config| Corpus::load(config.data(), config.base()));
    let base = format!("{}/", folder.path().canonicalize().unwrap().display());
    match loaded {
        Ok(corpus) => (Ok(captions(&corpus)), corpus.notes.join("\n").replace(&base, "")),
        Err(error) => {
            let whole = format!("`{}`: ", base.trim_end_matches('/'));
            (Err(error.to_string().replace(&whole, "").replace(&base, "")), String::new())
        }
    }
}

fn captions(corpus: &Corpus) -> String {
    let mut lines = Vec::new();
    for (n, language) in corpus.languages.iter().enumerate() {
        for split in SplitName::CAPTIONED {
            for caption in &corpus.split(split).captions[n] {
                lines.push(format!("{language} {split} {} {}", caption.image, caption.text));
            }
        }
    }
    lines.join("\n")
}

#[track_caller]
fn read(cases: &[Case]) {
    for (settings, files, expected) in cases {
        let (got, notes) = load(settings, files);
        let got = got.unwrap_or_else(|error| panic!("{settings}\n{error}"));
        let got = if notes.is_empty() { got } else { format!("{got}\nnote: {notes}") };
        assert_eq!(got, *expected, "{settings}");
    }
}

#[track_caller]
fn refused(cases: &[Case]) {
    for (settings, files, expected) in cases {
        match load(settings, files).0 {
            Ok(got) => panic!("{settings} is read:\n{got}"),
            Err(error) => assert_eq!(error, *expected, "{settings}"),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn captions_behind_picture_names_go_to_these_pictures() {
    let source = "format = 'named'\nfiles = ['all.token']";
    read(&[
        (
            source,
            &[("all.token", b"3.jpg#0\ta red bird\n1.jpg#0\ttwo dogs\n1.jpg#1\tdogs\n6.jpg#0\ta cat\n")],
            "en train 0 two dogs\nen train 0 dogs\nen train 2 a red bird\nen test 0 a cat",
        ),
        (
            source,
            &[("all.token", "2.jpg#zhc#0 一只鸟\n1.jpg#zhc#0 一只狗 在跑\n".as_bytes())],
            "en train 0 一只狗 在跑\nen train 1 一只鸟",
        ),
        (source, &[("all.token", b"2#zhm#0 a\n1#0\tb\n4#1 c")], "en train 0 b\nen train 1 a\nen val 0 c"),
        (
            source,
            &[("all.token", b"\xef\xbb\xbf1.jpg#0\ta\tb \"c\"\r\n\r\n \r\n2.JPG  d\r\n")],
            "en train 0 a\tb \"c\"\nen train 1 d",
        ),
        (
            "format = 'named'\nskip_unknown = true\nfiles = ['all.token']",
            &[("all.token", b"1.jpg#0\ta\n8.jpg#0\tb\n8.jpg#1\tc\n")],
            "en train 0 a\nnote: `all.token`: 2 captions speak of pictures that have no features: first `8.jpg`; they were left out",
        ),
        (
            "format = 'named'\nsplits = ['train']\nfiles = ['all.token']",
            &[("all.token", b"1.jpg#0\ta\n6.jpg#0\tb\n")],
            "en train 0 a",
        ),
    ]);
    refused(&[
        (
            source,
            &[("all.token", b"1.jpg#0\ta\n1.jpg#0\tb\n")],
            "`all.token`:2: holds caption `1.jpg#0` again, after line 1\nhint: each caption has its own number; remove one of the two",
        ),
        (
            source,
            &[("all.token", b"1.jpg#0\ta\n2.jpg#0\t \n")],
            "`all.token`:2: picture `2.jpg` has an empty caption\nhint: remove the line",
        ),
        (
            source,
            &[("all.token", b"1.jpg#0\ta\n2.jpg#0\t\xff\n")],
            "`all.token`:2: is not UTF-8 (byte 9)\nhint: convert it, for example with `iconv -t UTF-8`",
        ),
        (
            source,
            &[("all.token", b"1.jpg#0\ta\n9.jpg#0\tb\n")],
            "`all.token`: 1 captions speak of pictures that have no features: first `9.jpg`\nhint: check that `data.image_ids` \
             holds the same ids or file names; where the file has more pictures than the features, set `skip_unknown = true` in \
             its entry of `data.captions`",
        ),
        (
            "format = 'named'\nskip_unknown = true\nfiles = ['all.token']",
            &[("all.token", b"8.jpg#0\ta\n")],
            "`all.token`: 1 captions speak of pictures that have no features: first `8.jpg`\nhint: check that `data.image_ids` \
             holds the same ids or file names; without it pictures go by row numbers from 0",
        ),
        (
            source,
            &[("all.token", b"1.jpg#enc#0 a\n1.jpg#zhc#1 b\n")],
            "`all.token`:2: is a caption of kind `zhc`, in another language than line 1, `en`\nhint: give each language a file of \
             its own",
        ),
        (
            source,
            &[("all.token", b"image_name| comment_number| comment\n1.jpg| 0| a\n")],
            "`all.token`:1: is a table with the columns `image_name`, `comment_number`, `comment`\nhint: set `format = \"csv\"`",
        ),
        (
            source,
            &[("all.token", b"x/1.jpg#0 a\ny/1.jpg#0 b\n")],
            "`all.token`:2: `x/1.jpg` and `y/1.jpg` both fit one id of the features\nhint: give `data.image_ids` the folders and \
             endings too, so that pictures can be told apart",
        ),
    ]);
}

#[test]
fn lines_may_follow_each_other_picture_by_picture() {
    let two = "per_picture = 2\nfiles = ['{split}_caps.txt']";
    let files: &[(&str, &[u8])] = &[
        ("train_caps.txt", b"a\nA\nb\nB\nc\nC\n"),
        ("val_caps.txt", b"d\nD\ne\nE\n"),
        ("test_caps.txt", b"f\nF\ng\nG\n"),
    ];
    read(&[(
        two,
        files,
        "en train 0 a\nen train 0 A\nen train 1 b\nen train 1 B\nen train 2 c\nen train 2 C\nen val 0 d\nen val 0 D\nen val 1 e\n\
         en val 1 E\nen test 0 f\nen test 0 F\nen test 1 g\nen test 1 G",
    )]);
    refused(&[
        (
            "files = ['{split}_caps.txt']",
            files,
            "`train_caps.txt`:4: 6 lines for the 3 pictures of split `train`\nhint: where the captions of a picture follow each \
             other, set `per_picture = 2` in their entry of `data.captions`",
        ),
        (
            "per_picture = 3\nfiles = ['{split}_caps.txt']",
            files,
            "`train_caps.txt`:7: 6 lines for the 3 pictures of split `train` with 3 captions each\nhint: where the captions of a \
             picture follow each other, set `per_picture = 2` in their entry of `data.captions`",
        ),
        (
            two,
            &[("train_caps.txt", b"a\nA\nb\nB\nc\n")],
            "`train_caps.txt`:6: 5 lines for the 3 pictures of split `train` with 2 captions each\nhint: `per_picture` is 2, so 6 \
             lines are needed",
        ),
        (
            "per_picture = 0\nfiles = ['{split}_caps.txt']",
            files,
            "`config.toml`:7: `data.captions.0.per_picture` is 0; it must be at least 1",
        ),
        (
            "format = 'named'\nper_picture = 5\nfiles = ['all.token']",
            files,
            "`config.toml`:8: `data.captions.0.per_picture` is 5; only the captions of `lines` files are counted, those of other \
             formats name their pictures",
        ),
    ]);
}

#[test]
fn lines_that_are_something_else_are_refused_with_the_way_out() {
    let source = "splits = ['train']\nfiles = ['train.txt']";
    let is = |what: &str, line: usize, format: &str| {
        format!(
            "`train.txt`:{line}: {what}\nhint: set `format = \"{format}\"` in its entry of `data.captions`"
        )
    };
    let cases: [(&[u8], String); 13] = [
        (
            b"1.jpg#0\ta red bird\n1.jpg#1\tb\n2.jpg#0\tc\n",
            is("begins with the picture name `1.jpg#0`", 1, "named"),
        ),
        (b"\n1.jpg#zhc#0 a\n2.jpg#zhc#0 b\n", is("begins with the picture name `1.jpg#zhc#0`", 2, "named")),
        (
            b"COCO_train2014_9#zhm#0 a\nx#0 b\ny#1 c\n",
            is("begins with the picture name `COCO_train2014_9#zhm#0`", 1, "named"),
        ),
        (b"391895\ta\n391896\tb\n391897\tc\n", is("begins with the picture name `391895`", 1, "named")),
        (b"1.jpg a\n2.jpg b\n3.jpg c\n", is("begins with the picture name `1.jpg`", 1, "named")),
        (
            b"image_name| comment_number| comment\n1.jpg| 0| a\n1.jpg| 1| b\n",
            is("is a table with the columns `image_name`, `comment_number`, `comment`", 1, "csv"),
        ),
        (
            b"image,caption\n1.jpg,a\n2.jpg,b\n",
            is("is a table with the columns `image`, `caption`", 1, "csv"),
        ),
        (
            b"1.jpg,a\n2.jpg,b\n3.jpg,c\n",
            is("begins with the picture name `1.jpg`, in a column of its own", 1, "csv"),
        ),
        (b"{\"image\": \"1.jpg\", \"text\": \"a\"}\n", is("holds JSON, not captions", 1, "jsonl")),
        (b"[{\"image\": \"1.jpg\",\n\"caption\": \"a\"}]\n", is("holds JSON, not captions", 1, "json")),
        (b"{\"images\": [], \"annotations\": []}", is("holds JSON, not captions", 1, "coco")),
        (b"{\"images\": [{\"sentences\": []}]}", is("holds JSON, not captions", 1, "karpathy")),
        (b"{\n \"info\": {},\n \"images\": [],\n", is("holds JSON, not captions", 1, "coco")),
    ];
    for (bytes, expected) in &cases {
        refused(&[(source, &[("train.txt", bytes)], expected)]);
    }
    // Captions may begin like a name, or with a number, a bracket or a brace.
    read(&[(
        source,
        &[("train.txt", b"1.jpg is the name of this\n#1 fan of {the} team\n[a dog] in snow\n")],
        "en train 0 1.jpg is the name of this\nen train 1 #1 fan of {the} team\nen train 2 [a dog] in snow",
    )]);
}

#[test]
fn packed_files_are_told_by_their_first_bytes() {
    let text = b"a\nb\nc\n";
    let source = "splits = ['train']\nfiles = ['train.en']";
    let all = "en train 0 a\nen train 1 b\nen train 2 c";
    let (gz, zst) = (gzip(text), zstd(text));
    // Members and frames may follow each other.
    let parts = [gzip(b"a\nb"), gzip(b"\nc\n")].concat();
    let frames = [zstd(b"a\nb"), zstd(b"\nc\n")].concat();
    for bytes in [&gz, &zst, &parts, &frames] {
        read(&[(source, &[("train.en", bytes)], all)]);
    }
    let line = gzip(b"{\"image\": 1, \"text\": \"a\"}\n");
    read(&[("format = 'jsonl'\nfiles = ['all.jsonl.gz']", &[("all.jsonl.gz", &line)], "en train 0 a")]);
    let coco = zstd(br#"{"images": [{"id": 2}], "annotations": [{"image_id": 2, "caption": "b"}]}"#);
    read(&[("format = 'coco'\nfiles = ['all.json.zst']", &[("all.json.zst", &coco)], "en train 1 b")]);
    let token = zstd(b"1.jpg#0\ta\n");
    read(&[("format = 'named'\nfiles = ['t.zst']", &[("t.zst", &token)], "en train 0 a")]);
    for (bytes, what) in [
        (
            &b"BZh91AY"[..],
            "is packed by bzip2\nhint: unpack it with `bunzip2`; gzip and zstd are read as they are",
        ),
        (b"\xfd7zXZ\0", "is packed by xz\nhint: unpack it with `unxz`; gzip and zstd are read as they are"),
        (b"PK\x03\x04", "is a zip archive\nhint: unpack it with `unzip`, and name the files in it"),
        (b"PAR1\x15", "is a Parquet file\nhint: set `format = \"parquet\"`"),
        (b"\xff\xfea\0\n\0", "is UTF-16\nhint: convert it with `iconv -f UTF-16 -t UTF-8`"),
    ] {
        refused(&[(source, &[("train.en", bytes)], &format!("`train.en`: {what}"))]);
    }
    for cut in [&gz[..gz.len() - 9], &zst[..zst.len() - 3]] {
        let error = load(source, &[("train.en", cut)]).0.unwrap_err();
        assert!(error.starts_with("`train.en`: cannot be read: "), "{error}");
    }
}

#[test]
fn codes_of_languages_are_plain_wherever_they_are_written() {
    let says = |key: &str, code: &str, line: usize| {
        format!(
            "`config.toml`:{line}: `{key}` has `{code}`; a language code is made of ASCII letters and digits, with `-` or `_` between \
             them"
        )
    };
    let line: &[(&str, &[u8])] = &[("all.jsonl", b"{\"image\": 1, \"language\": \"en\", \"text\": \"a\"}\n")];
    let source = "|languages = []\nformat = 'jsonl'\nfiles = ['all.jsonl']";
    for (settings, expected) in [
        (format!("languages = ['en', '../x']{source}"), says("data.languages", "../x", 3)),
        (format!("codes = {{ en = ['e n'] }}{source}"), says("data.codes.en", "e n", 4)),
        (
            "|languages = ['en', 'a/b']\nformat = 'jsonl'\nfiles = ['all.jsonl']".to_string(),
            says("data.captions.0.languages", "a/b", 6),
        ),
    ] {
        refused(&[(&settings, line, &expected)]);
    }
    refused(&[
        (
            &format!("languages = ['pt-BR', 'pt_br']{source}"),
            line,
            "`config.toml`:3: `data.languages` names `pt_br` twice",
        ),
        (
            &format!("languages = ['en', 'zh']\ncodes = {{ zh = ['cmn'], en = ['CMN'] }}{source}"),
            line,
            "`config.toml`:4: `data.codes.zh` has `cmn`, which `en` stands for too",
        ),
    ]);
    read(&[(
        "languages = ['pt-BR']|languages = ['pt_br']\nsplits = ['train']\nfiles = ['train.{language}']",
        &[("train.pt_br", b"a\nb\nc\n")],
        "pt-BR train 0 a\npt-BR train 1 b\npt-BR train 2 c",
    )]);
}

#[test]
fn names_without_ids_are_refused() {
    let without = |source: &str, files: &[(&str, &[u8])]| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("features")).unwrap();
        for split in ["train", "val", "test"] {
            write_npy(folder.path().join(format!("features/{split}.npy")), 2, 1, &[1.0, 2.0]).unwrap();
        }
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let file = folder.path().join("config.toml");
        fs::write(
            &file,
            format!("[data]\nlanguages = ['en']\n[[data.captions]]\nlanguages = ['en']\n{source}\n"),
        )
        .unwrap();
        let config = Config::load(&file, &[]).unwrap();
        let error = Corpus::load(config.data(), config.base()).unwrap_err();
        let folder = folder.path().canonicalize().unwrap().display().to_string();
        error.to_string().replace(&format!("`{folder}`: "), "").replace(&format!("{folder}/"), "")
    };
    assert_eq!(
        without("format = 'named'\nsplits = ['train']\nfiles = ['a']", &[("a", b"1#0 a\n")]),
        "`data.captions[0]`, `a`: its lines name their pictures, and these have no ids\nhint: set `data.image_ids`"
    );
    assert_eq!(
        without(
            "format = 'jsonl'\nsplits = ['train']\nfiles = ['a']",
            &[("a", b"{\"image_id\": 1, \"text\": \"a\"}\n")]
        ),
        "`a`:1: its pictures are named by `image_id`, but the features have no ids\nhint: set `data.image_ids`, or `keys = { image = \
         \"image_id\" }` if these are the numbers of the rows, from 0"
    );
}
