//! `tinyglot config`.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Ran, printed, run, text};

const GOOD: &str = "\
[data]
languages = ['en', 'zh']

[[data.captions]]
languages = ['en', 'zh']
files = ['task2/{split}.1.{language}']

[train]
epochs = 3
";

/// A configuration file in a folder of its own, which goes with it.
struct Written {
    file: PathBuf,
    _folder: TempDir,
}

fn written(text: &str) -> Written {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    std::fs::write(&file, text).expect("written");
    Written { file, _folder: folder }
}

fn check(config: &str, more: &[&str]) -> (Ran, String) {
    let written = written(config);
    let ran = run(&[&["config", "check", text(&written.file)], more].concat());
    (ran, written.file.display().to_string())
}

#[test]
fn unknown_key_exits_with_3_and_names_line_and_nearest_key() {
    let (ran, file) = check(&GOOD.replace("epochs", "epoch"), &[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(3), ""));
    assert_eq!(
        ran.stderr,
        format!("error: `{file}`:9: unknown key `train.epoch`; did you mean `train.epochs`?\n")
    );
}

#[test]
fn two_broken_rules_come_in_one_message() {
    let (ran, file) = check(&GOOD.replace("epochs = 3", "epochs = 0\nbeta1 = 1"), &[]);
    assert_eq!(ran.status, Some(3));
    let expected = format!(
        "error: `{file}`: 2 problems\n  `{file}`:9: `train.epochs` is 0; it must be at least 1\n  \
         `{file}`:10: `train.beta1` is 1; it must be at least 0 and less than 1\n"
    );
    assert_eq!(ran.stderr, expected);
}

#[test]
fn problems_of_the_file_and_of_set_come_in_one_message() {
    let (ran, file) = check(&GOOD.replace("epochs = 3", "epochs = '3'"), &["--set", "text.hiden=1"]);
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(
        lines,
        [
            format!("error: `{file}`: 2 problems"),
            format!("  `{file}`:9: `train.epochs` is \"3\"; expected a whole number, 0 or more"),
            "  `--set text.hiden=1`: unknown key `text.hiden`; did you mean `text.hidden`?".to_owned(),
        ]
    );
}

#[test]
fn set_without_an_equals_sign_is_wrong_usage_with_a_hint() {
    let (ran, _) = check(GOOD, &["--set", "train.epochs"]);
    assert_eq!(ran.status, Some(2));
    assert_eq!(ran.stderr, "error: `--set train.epochs` has no `=`\nhint: write `--set key.path=value`\n");
}

#[test]
fn show_round_trips() {
    let first = written(GOOD);
    let shown = printed(&["config", "show", text(&first.file)]);
    let second = written(&shown);
    assert_eq!(printed(&["config", "show", text(&second.file)]), shown);
}

#[test]
fn show_diff_round_trips_to_the_same_whole() {
    let first = written(GOOD);
    let arguments =
        ["config", "show", text(&first.file), "--set", "loss.triplet.margin=0.2", "--set", "data.root=d"];
    let difference = written(&printed(&[&arguments[..], &["--diff"]].concat()));
    assert_eq!(printed(&["config", "show", text(&difference.file)]), printed(&arguments));
    let keys: toml::Table = std::fs::read_to_string(&difference.file).expect("read").parse().expect("TOML");
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["data", "loss", "train"]);
    assert_eq!(keys["loss"].to_string(), "{ triplet = { margin = 0.2 } }");
}

#[test]
fn paths_start_from_the_file_and_those_of_set_from_the_current_folder() {
    let first = written(GOOD);
    let folder = first.file.parent().expect("a folder").canonicalize().expect("a folder");
    let root = |more: &[&str]| {
        let shown = printed(&[&["config", "show", text(&first.file)], more].concat());
        shown.parse::<toml::Table>().expect("TOML")["data"]["root"].as_str().expect("a path").to_owned()
    };
    assert_eq!(root(&[]), text(&folder));
    let here = std::env::current_dir().expect("a folder").canonicalize().expect("a folder");
    assert_eq!(root(&["--set", "data.root=../x"]), text(&here.parent().expect("a folder").join("x")));
}

#[test]
fn schema_is_json_and_names_every_section() {
    let schema: Value = serde_json::from_str(&printed(&["config", "schema"])).expect("JSON");
    let shown: toml::Table = printed(&["config", "show", text(&written(GOOD).file)]).parse().expect("TOML");
    for section in shown.keys() {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    let sections: Vec<_> = schema["properties"].as_object().expect("an object").keys().collect();
    assert_eq!(sections.len(), shown.len(), "{sections:?}");
}
