//! `tinyglot completions` and `tinyglot man`.

use crate::{printed, run, text};

#[test]
fn completions_are_written_for_each_shell() {
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef tinyglot"), ("fish", "complete -c tinyglot")]
    {
        let script = printed(&["completions", shell]);
        assert!(script.contains(mark), "{shell}");
        assert!(script.contains("evaluate"), "{shell}");
    }
    assert_eq!(run(&["completions", "cmd"]).status, Some(2));
}

#[test]
fn manual_pages_are_written_into_a_new_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("share/man1");
    assert_eq!(printed(&["man", text(&pages)]), "");
    for page in ["tinyglot", "tinyglot-train", "tinyglot-data-scenes", "tinyglot-config-show"] {
        let page = std::fs::read_to_string(pages.join(format!("{page}.1"))).expect("a page");
        assert!(page.contains(".SH SYNOPSIS") && page.contains("tinyglot"), "{page}");
    }
}

#[test]
fn manual_pages_that_cannot_be_written_are_an_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let ran = run(&["man", text(file.path())]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains(text(file.path())), "{}", ran.stderr);
}
