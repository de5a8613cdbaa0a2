//! Help, usage, streams and exit status.

use std::fs::File;
use std::process::Stdio;

use crate::{ended, printed, run, text, tinyglot};

const COMMANDS: [&str; 13] = [
    "demo",
    "init",
    "data",
    "train",
    "evaluate",
    "embed",
    "search",
    "serve",
    "sweep",
    "report",
    "config",
    "completions",
    "man",
];

#[test]
fn help_lists_every_command() {
    let help = printed(&["--help"]);
    for command in COMMANDS {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in\n{help}"
        );
    }
}

#[test]
fn help_of_long_commands_has_examples() {
    for command in [
        "demo",
        "init",
        "train",
        "evaluate",
        "embed",
        "search",
        "serve",
        "sweep",
        "report",
        "completions",
        "man",
    ] {
        let help = printed(&[command, "--help"]);
        assert!(help.contains(&format!("Examples:\n  tinyglot {command}")), "{help}");
    }
}

#[test]
fn version_is_that_of_the_crate() {
    assert_eq!(printed(&["--version"]), format!("tinyglot {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in
        [&["trian"][..], &["train"], &["embed", "run"], &["config", "show", "a.toml", "--dif"], &[]]
    {
        let ran = run(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
    }
    assert!(run(&["trian"]).stderr.contains("train"), "the nearest command is named");
}

#[test]
fn missing_configuration_exits_with_3_and_is_named() {
    let ran = run(&["config", "check", "no-such.toml"]);
    assert_eq!(ran.status, Some(3));
    assert!(ran.stderr.starts_with("error: `no-such.toml`: cannot be read: "), "{}", ran.stderr);
}

#[test]
fn output_that_is_not_a_terminal_has_no_colour() {
    assert!(!run(&["config", "check", "no-such.toml"]).stderr.contains('\x1b'));
    assert!(!run(&["trian"]).stderr.contains('\x1b'));
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").expect("a device that is always full");
    let ran = ended(tinyglot().args(["config", "schema"]).stdout(full).output().expect("the command starts"));
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.starts_with("error: `standard output`: cannot be written: "), "{}", ran.stderr);
}

#[test]
fn closed_pipe_ends_quietly() {
    for arguments in [&["config", "schema"][..], &["completions", "bash"], &["--help"]] {
        let mut child = tinyglot();
        child.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The reader goes before the command has written anything.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = ended(child.stdout(writer).output().expect("the command starts"));
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn quiet_says_nothing_and_verbose_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    let good = "data.languages = ['en']\n[[data.captions]]\nlanguages = ['en']\nfiles = ['{split}.en']\n";
    std::fs::write(&file, good).expect("written");
    let loud = run(&["config", "check", text(&file)]);
    assert_eq!((loud.status, loud.stdout.as_str()), (Some(0), ""));
    assert_eq!(loud.stderr, format!("`{}` is well\n", file.display()));
    assert_eq!(run(&["config", "check", text(&file), "--quiet"]).stderr, "");
    assert_eq!(run(&["-v", "--threads", "1", "config", "check", text(&file)]).status, Some(0));
}
