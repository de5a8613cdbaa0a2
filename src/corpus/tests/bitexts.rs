//! Sentence pairs without pictures.

use std::io::Write;

use super::super::check::check;
use super::super::leak::refuse_test_leak;
use super::*;
use crate::config::{PairFormat, PairSource};

/// English and German captions, and pairs in these and in Czech.
fn folder(format: PairFormat, files: &str) -> Folder {
    let mut folder = Folder::new(&["en", "de"]);
    folder.lines("en", ["a\nb\nc\n", "d\ne\n", "a red bird sings\ng\n"]);
    folder.lines("de", ["a\nb\nc\n", "d\ne\n", "f\ng\n"]);
    folder.config.pairs.push(PairSource {
        format,
        languages: ["de", "cs", "en"].map(String::from).to_vec(),
        files: vec![files.into()],
        ..PairSource::default()
    });
    folder
}

fn of_lines(en: &str, de: &str) -> Folder {
    let folder = folder(PairFormat::Lines, "pairs.{language}");
    folder.file("pairs.en", en);
    folder.file("pairs.de", de);
    folder
}

/// Every line in English and German.
fn all(corpus: &Corpus) -> Vec<[Option<String>; 2]> {
    let text = &corpus.pairs.texts[0];
    let of = |line, language| text.sentence(line, language).map(Cow::into_owned);
    (0..text.lines()).map(|line| [of(line, 0), of(line, 1)]).collect()
}

fn lines(all: &[[Option<String>; 2]]) -> Vec<[&str; 2]> {
    all.iter().map(|line| line.each_ref().map(|s| s.as_deref().unwrap_or("-"))).collect()
}

const EXPECTED: [[&str; 2]; 3] = [["a dog", "ein Hund"], ["-", "eine Katze"], ["birds", "Vögel"]];

#[test]
fn every_format_gives_the_same_lines() {
    let by_lines = of_lines("a dog\n \r\n birds \n", "\u{feff}ein Hund\r\neine Katze\nVögel");
    let tsv = folder(PairFormat::Tsv, "pairs.tsv");
    tsv.file("pairs.tsv", "ein Hund\tpes\ta dog\neine Katze\t\t\nVögel\tptáci\tbirds\n");
    let headed = folder(PairFormat::Tsv, "pairs.tsv");
    headed.file("pairs.tsv", "en\tscore\tde\na dog\t1\tein Hund\n\t1\teine Katze\nbirds\t\t Vögel\r\n");
    let jsonl = folder(PairFormat::Jsonl, "pairs.jsonl");
    jsonl.file(
        "pairs.jsonl",
        "{\"de\":\"ein Hund\",\"en\":\"a dog\"}\n{\"de\":\"eine Katze\",\"en\":null}\n{\"en\":\"birds\",\"de\":\"V\\u00f6gel\"}",
    );
    let mut deep = folder(PairFormat::Jsonl, "pairs.jsonl");
    deep.config.pairs[0].key = "translation.{language}".into();
    deep.file(
        "pairs.jsonl",
        "{\"translation\":{\"de\":\"ein Hund\",\"en\":\"a dog\"}}\n{\"translation\":{\"de\":\"eine Katze\"}}\n\
         {\"translation\":{\"en\":\"birds\",\"de\":\"Vögel\"}}",
    );
    // A file for each of the languages, the one that is passed over included.
    let mut each = folder(PairFormat::Lines, "german.txt");
    each.config.pairs[0].files.extend(["czech.txt".into(), "english.txt".into()]);
    each.file("english.txt", "a dog\n\nbirds\n");
    each.file("german.txt", "ein Hund\neine Katze\nVögel\n");
    for folder in [by_lines, each, tsv, headed, jsonl, deep] {
        let corpus = folder.load().unwrap();
        assert_eq!(lines(&all(&corpus)), EXPECTED);
        assert_eq!(corpus.pairs.counts().into_iter().collect::<Vec<_>>(), [([0, 1], 2)]);
        assert_eq!(corpus.pairs.texts[0].holes(&[0, 1]), [1]);
        let notes = corpus.notes.join("\n");
        assert_has(&notes, &["`cs` of `data.pairs[0]` were left out", "1 of 3 lines of"]);
    }
}

#[test]
fn any_line_is_found_in_a_long_file_plain_or_packed() {
    let text =
        |of: &str| (0..1000).map(|n| format!("{of}{}\n", "x".repeat(n % 37) + &n.to_string())).collect();
    let (en, de): (String, String) = (text("en "), text("de "));
    let plain = of_lines(&en, &de);
    let packed = of_lines("", "");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(en.as_bytes()).unwrap();
    packed.file("pairs.en", gz.finish().unwrap());
    let zstd = ruzstd::encoding::compress_to_vec(de.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    packed.file("pairs.de", zstd);
    let (one, other) = (plain.load().unwrap(), packed.load().unwrap());
    let read = all(&one);
    for (n, line) in lines(&read).into_iter().enumerate() {
        assert_eq!(
            line.map(|s| s.split_once(' ').unwrap().1.trim_start_matches('x').to_string()),
            [0, 1].map(|_| n.to_string())
        );
    }
    assert!(read == all(&other));
    let same = [&one, &other].map(|c| fingerprint(c).unwrap());
    assert_eq!(same[0], same[1], "packing is no other data");
    assert!(one.pairs.held() < 2 * 600 && other.pairs.held() > (en.len() + de.len()) as u64);
}

#[test]
fn pairs_are_in_the_fingerprint() {
    let folder = of_lines("a dog\nb\n", "ein Hund\nc\n");
    let of = |folder: &Folder| fingerprint(&folder.load().unwrap()).unwrap();
    let first = of(&folder);
    folder.file("pairs.de", "ein Hund\nd\n");
    assert_ne!(of(&folder), first);
    let mut without = of_lines("a dog\nb\n", "ein Hund\nc\n");
    without.config.pairs.clear();
    assert_ne!(of(&without), first);
}

#[test]
fn what_is_no_pair_is_told_with_its_file_and_line() {
    let said = of_lines("a\nb\nc\n", "a\nb\n").refusal(4);
    assert_has(
        &said,
        &["pairs.en`:3: has 3 lines, but `", "pairs.de` 2: line 3 has no counterpart", "hint:"],
    );
    let broken = of_lines("a\nb\n", "");
    broken.file("pairs.de", b"a\nb\xff\n");
    assert_has(&broken.refusal(4), &["pairs.de`:2: is not UTF-8 (byte 2)"]);
    assert_has(
        &of_lines("a\n\n", "\nb\n").refusal(4),
        &["pairs.en`: has no line with a sentence in two languages"],
    );
    assert_has(&of_lines("", "").refusal(4), &["has no line with a sentence"]);
    let missing = of_lines("a\n", "a\n");
    fs::remove_file(missing.path("pairs.de")).unwrap();
    assert_has(&missing.refusal(4), &["pairs.de`: cannot be read", "`data.pairs`, relative to `data.root`"]);
    let parquet = of_lines("a\n", "");
    parquet.file("pairs.de", "PAR1....");
    assert_has(&parquet.refusal(4), &["is a Parquet file", "JSON lines"]);
    let narrow = folder(PairFormat::Tsv, "pairs.tsv");
    narrow.file("pairs.tsv", "ein Hund\tpes\ta dog\nkurz\tcs\n");
    assert_has(&narrow.refusal(4), &["pairs.tsv`:2: has 2 columns, and 3 are read"]);
    let headless = folder(PairFormat::Tsv, "pairs.tsv");
    headless.file("pairs.tsv", "de\tEnglish\nein Hund\ta dog\n");
    assert_has(&headless.refusal(4), &["pairs.tsv`:1: names no column `en`", "`de`, `English`"]);
    let json = folder(PairFormat::Jsonl, "pairs.jsonl");
    json.file("pairs.jsonl", "{\"de\": \"a\", \"en\": \"b\"}\n{\"de\": 3}\n");
    assert_has(&json.refusal(4), &["pairs.jsonl`:2: `de` is 3"]);
    json.file("pairs.jsonl", "{\"de\": \n");
    assert_has(&json.refusal(4), &["pairs.jsonl`:1: is no object of translations"]);
}

#[test]
fn pairs_in_no_two_languages_of_the_model_are_refused() {
    let mut folder = of_lines("a\n", "b\n");
    folder.config.pairs[0].languages = vec!["en".into(), "cs".into()];
    assert_has(&folder.refusal(4), &["`data.pairs` have no two languages of `data.languages`"]);
}

#[test]
fn what_only_evaluates_reads_no_pairs() {
    let folder = of_lines("a\nb\n", "a\n");
    let wanted = Wanted::only(SplitName::Test, None, false);
    let corpus = Corpus::load_part(&folder.config, folder.folder.path(), wanted).unwrap();
    assert!(corpus.pairs.is_empty());
}

#[test]
fn test_captions_in_pairs_are_a_leak() {
    let words = |_: usize, text: &str| text.split_whitespace().map(String::from).collect();
    let folder = of_lines("something else\nA red bird sings.\n", "x\ny\n");
    let error = refuse_test_leak(&folder.load().unwrap(), &words).unwrap_err().to_string();
    assert_has(&error, &["pairs.en`:2: holds 1 of the 1 test captions in `en`", "`A red bird sings.`"]);
    let tsv = self::folder(PairFormat::Tsv, "pairs.tsv");
    tsv.file("pairs.tsv", "de\ten\nx\ty\nz\ta red bird sings\n");
    assert_has(
        &refuse_test_leak(&tsv.load().unwrap(), &words).unwrap_err().to_string(),
        &["pairs.tsv`:3: holds"],
    );
}

#[test]
fn data_check_lists_pairs() {
    let words = |_: usize, text: &str| text.split_whitespace().map(String::from).collect();
    let folder = of_lines("a dog\n\nbirds\n", "ein Hund\neine Katze\nVögel\n");
    let report = check(&folder.load().unwrap(), 0, &words, None).unwrap();
    let text = report.to_string();
    assert_has(
        &text,
        &[
            "sentence pairs in en and de: 2\n",
            "sentences of pairs in en: 2, the longest of 5 characters (`",
            "sentences of pairs in de: 3, the longest of 10 characters (`",
            "pairs.de`:2)",
            "sentence pairs in en: holds 0 of 1 test captions\n",
            "note: 1 of 3 lines of",
        ],
    );
    assert!(serde_json::to_string(&report).unwrap().contains(r#""languages":["en","de"],"lines":2"#));
}
