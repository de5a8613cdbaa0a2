//! An index that follows photographs is killed: the old one answers, and the next command completes the new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use tinyglot::retrieve::Index;

use crate::files::{Fault, possible, run_with};
use crate::places::{self, assert_same, content, copy};
use crate::{printed, run, sample, text};

/// Kills at most, of each of the two works: they have fewer operations, so that each is killed at every one.
const SOME: usize = 100;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vision").join(name)
}

/// Puts a photograph that was changed long ago.
fn put(photos: &Path, name: &str, from: &str) {
    let to = photos.join(name);
    fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    fs::copy(golden(from), &to).expect("copied");
    let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    fs::File::options().write(true).open(&to).expect("a file").set_modified(time).expect("a time");
}

pub fn command(place: &Path) -> Vec<String> {
    let at = |name: &str| text(&place.join(name)).to_string();
    let tower = text(&golden("clip")).to_string();
    let words = ["index", &at("base"), "--photos", &at("photos"), "--tower", &tower, "--out", &at("index")];
    words.into_iter().map(String::from).chain(["--threads", "1", "-q"].map(String::from)).collect()
}

pub fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// A run, and some photographs.
pub fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    copy(&places::acquisition().join("base"), &place.path().join("base"));
    for (n, from) in ["photo.jpg", "photo.png", "pictures/exif3.jpg"].into_iter().enumerate() {
        put(&place.path().join("photos"), &format!("{n}.{}", &from[from.len() - 3..]), from);
    }
    place
}

/// What an index answers: ids and vectors.
fn answers(index: &Path) -> Vec<(String, Vec<f32>)> {
    let index = Index::open(index).expect("an index");
    index.ids().iter().cloned().zip((0..).map(|row| index.vector(row))).collect()
}

/// The same place with the modification times that copying loses.
fn copied(from: &Path) -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    copy(from, place.path());
    let photos = place.path().join("photos");
    for entry in fs::read_dir(&photos).expect("a folder") {
        let path = entry.expect("an entry").path();
        let time =
            from.join("photos").join(path.file_name().expect("a name")).metadata().expect("there").modified();
        let file = fs::File::options().write(true).open(&path).expect("a file");
        file.set_modified(time.expect("a time")).expect("set");
    }
    place
}

/// Kills the command at each of a sample of its operations.
fn kill(before: &Path) {
    if !possible() {
        return;
    }
    let whole = copied(before);
    let undisturbed = run_with(&words(&command(whole.path())), whole.path(), None);
    assert!(undisturbed.output.status.success(), "{}", undisturbed.stderr());
    let out = |place: &Path| place.join("index");
    let (expected, operations) = (content(&out(whole.path())), undisturbed.operations);
    let old = before.join("index").exists().then(|| answers(&before.join("index")));
    let new = answers(&out(whole.path()));
    let (mut olds, mut news) = (0, 0);
    for n in sample(operations.len(), SOME) {
        let place = copied(before);
        let killed = run_with(&words(&command(place.path())), place.path(), Some((n, Fault::Kill)));
        let what = format!("killed at operation {n} of {}, `{}`", operations.len(), operations[n]);
        assert!(killed.killed() || killed.output.status.success(), "{what}: {}", killed.stderr());
        match (out(place.path()).join("index.json").exists(), &old) {
            (true, old) => {
                let found = answers(&out(place.path()));
                assert!(
                    Some(&found) == old.as_ref() || found == new,
                    "{what}: neither the old index nor the new one"
                );
                if found == new { news += 1 } else { olds += 1 }
            }
            (false, None) => olds += 1,
            (false, Some(_)) => panic!("{what}: the index is gone"),
        }
        let again = run(&words(&command(place.path())));
        assert_eq!(again.status, Some(0), "{what}: {}", again.stderr);
        assert_same(&out(place.path()), &expected, &what);
    }
    eprintln!(
        "{} kills at {} operations: {olds} left the old index, {news} the new one",
        olds + news,
        operations.len()
    );
    assert!(olds > 0 && news > 0, "{olds} kills before the change, {news} after it");
}

#[test]
fn an_index_that_begins_is_there_or_not() {
    kill(place().path());
}

#[test]
fn an_index_that_changes_is_the_old_one_or_the_new_one() {
    let place = place();
    printed(&words(&command(place.path())));
    let photos = place.path().join("photos");
    put(&photos, "3.jpg", "pictures/exif2.jpg");
    put(&photos, "0.jpg", "pictures/exif1.jpg");
    fs::remove_file(photos.join("1.png")).expect("removed");
    kill(place.path());
}

#[test]
fn what_was_finished_before_a_kill_does_not_go_through_the_tower_again() {
    if !possible() {
        return;
    }
    let place = place();
    let whole = copied(place.path());
    let operations = run_with(&words(&command(whole.path())), whole.path(), None).operations;
    let at = operations
        .iter()
        .rposition(|operation| operation.contains("/index/part-"))
        .expect("a part is written");
    assert!(run_with(&words(&command(place.path())), place.path(), Some((at, Fault::Kill))).killed());
    let mut arguments = command(place.path());
    arguments.retain(|word| word != "-q");
    let again = run(&words(&arguments));
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert!(
        again.stderr.contains("3 added, 0 replaced, 0 removed; 0 went through the tower"),
        "{}",
        again.stderr
    );
}
