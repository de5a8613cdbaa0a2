//! The examples, one after the other as a reader would try them: they go on with what the first one has made.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo puts an example beside this test.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this test is a file");
    let built = this.parent().and_then(Path::parent).expect("target/…/deps").join("examples").join(name);
    built.with_extension(std::env::consts::EXE_EXTENSION)
}

fn printed(name: &str, folder: &Path) -> String {
    let program = program(name);
    assert!(
        program.is_file(),
        "`cargo test` builds the examples; for this test alone `cargo build --examples` does, in its profile"
    );
    let output = Command::new(program).current_dir(folder).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_example_does_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let says = [
        ("01-train", "mean recall"),
        ("02-search-a-gallery", "zwei rote Sterne"),
        ("03-add-a-language", "the same to the last bit: yes"),
        ("04-sweep", "parameters: mean recall"),
        ("05-a-loss-of-ones-own", "step 100"),
        ("06-gru-and-its-gradient", "gradient of the token"),
    ];
    for (name, what) in says {
        let text = printed(name, folder.path());
        println!("{name}:\n{text}");
        assert!(text.contains(what), "{name} printed:\n{text}");
    }
    let there = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).expect("the examples");
    assert_eq!(there.count(), says.len(), "an example is not tested here");
}
