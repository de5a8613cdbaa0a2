//! What is handed over to other programs.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tinyglot::corpus::Features;
use tinyglot::retrieve::Index;

use crate::corpus::{MADE, refused};
use crate::index::BY_PHOTOS;
use crate::{printed, text, text as text_of};

fn export(run: &Path, to: &str, out: &Path, more: &[&str]) {
    let command = ["export", text(run), "--to", to, "--out", text(out)];
    assert_eq!(printed(&[&command[..], more].concat()), format!("{}\n", out.display()));
}

#[test]
fn vectors_of_an_index_are_written_with_days_and_those_of_features_without() {
    let place = TempDir::new().expect("a folder");
    let at = |name: &str| place.path().join(name);
    BY_PHOTOS.put(&at("photos"), 0..5);
    let run = BY_PHOTOS.run();
    printed(&["index", text(&run), "--photos", text(&at("photos")), "--out", text(&at("index")), "-q"]);
    let index = Index::open(&at("index")).expect("an index");
    export(&run, "npy", &at("npy"), &["--index", text(&at("index"))]);
    let vectors = Features::open(&[at("npy/vectors.npy")]).expect("vectors");
    let mut row = vec![0.0; vectors.width()];
    for n in 0..5 {
        vectors.copy_row(n, &mut row);
        assert_eq!(row, index.vector(n));
    }
    let ids = fs::read_to_string(at("npy/ids.txt")).expect("ids");
    assert_eq!(ids.lines().collect::<Vec<_>>(), index.ids());
    export(&run, "pgvector", &at("pg"), &["--index", text(&at("index")), "--name", "album"]);
    let rows = fs::read_to_string(at("pg/rows.copy")).expect("rows");
    assert!(rows.starts_with("even/000.png\t2020-01-21\t["), "{rows}");

    let (run, gallery) = (MADE.run(), MADE.gallery());
    export(&run, "qdrant", &at("qdrant"), &["--gallery", text(&gallery)]);
    let points = fs::read_to_string(at("qdrant/points-000001.json")).expect("points");
    assert!(points.contains("\"payload\":{\"picture\":\"19\"}"), "{points}");
    for (to, more, said) in [
        ("npy", vec![], "none are given"),
        ("npy", vec!["--gallery", text(&gallery), "--license", "mit"], "licences stand on a model card"),
        ("card", vec!["--gallery", text(&gallery)], "what is written has none"),
        ("sentence-transformers", vec![], "no encoder that sentence-transformers reads"),
        ("static", vec![], "a table is of one language"),
        ("static", vec!["--language", "de"], "not the mean of vectors of words"),
        ("onnx", vec!["--language", "de"], "is for a table of words"),
        ("pgvector", vec!["--gallery", text(&gallery), "--name", "Bad Name"], "cannot be a name"),
    ] {
        let out = at("refused");
        let command = ["export", text(&run), "--to", to, "--out", text(&out)];
        refused(&[&command[..], &more].concat(), 2, &[said]);
        assert!(!out.exists(), "{to}");
    }
}

#[test]
fn a_card_has_languages_scores_and_licences() {
    let place = TempDir::new().expect("a folder");
    let (run, out) = (MADE.run(), place.path().join("card"));
    let licences =
        ["--license", "apache-2.0", "--captions-license", "CC BY 4.0", "--name", "Little pictures"];
    export(&run, "card", &out, &licences);
    let card = fs::read_to_string(out.join("README.md")).expect("a card");
    let (header, text) =
        card.strip_prefix("---\n").and_then(|rest| rest.split_once("---\n")).expect("a header");
    for line in ["- \"en\"", "- \"zh\"", "license: \"apache-2.0\"", "- smalr"] {
        assert!(header.lines().any(|own| own == line), "{header}");
    }
    for part in [
        "# Little pictures",
        "Retrieval on `val`, 20 pictures",
        "| de | 40 |",
        "| the captions | CC BY 4.0 |",
        "| the pictures | not stated |",
        "`{split}.1.{language}`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!card.contains(text_of(&run)), "no folder of this machine");
}

#[test]
fn a_model_of_words_is_written_as_onnx_with_its_words() {
    let place = TempDir::new().expect("a folder");
    let out = place.path().join("onnx");
    export(&MADE.run(), "onnx", &out, &[]);
    // tests/exports.py runs them; here that they are models of the version, and the words those of all languages.
    for name in ["text.onnx", "pictures.onnx"] {
        let model = fs::read(out.join(name)).expect("a model");
        assert!(model.starts_with(b"\x08\x08\x12\x08tinyglot"), "{name}");
    }
    let words = fs::read_to_string(out.join("words.tsv")).expect("words");
    for language in ["en", "de", "zh"] {
        assert!(words.lines().any(|line| line.starts_with(&format!("{language}\t"))), "{language}");
    }
}
