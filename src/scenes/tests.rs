//! The corpus as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

fn small() -> ScenesConfig {
    let languages = LANGUAGES.map(String::from).to_vec();
    ScenesConfig { seed: 5, train: 12, val: 3, test: 4, captions: 2, languages }
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn written(config: &ScenesConfig) -> BTreeMap<PathBuf, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), config, &mut |_, _| {}).unwrap();
    files(dir.path())
}

fn lines(all: &BTreeMap<PathBuf, Vec<u8>>, file: &str) -> Vec<String> {
    let text = String::from_utf8(all[Path::new(file)].clone()).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(String::from).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let first = one.install(|| written(&small()));
    assert_eq!(first, three.install(|| written(&small())));
    // 19 pictures; per split: ids, features, and 3 files for each of 11 languages; the README.
    assert_eq!(first.len(), 19 + 3 * (2 + 33) + 1);
}

#[test]
fn another_seed_gives_other_pictures_and_captions() {
    let (a, b) = (written(&small()), written(&ScenesConfig { seed: 6, ..small() }));
    for file in ["images/train_00001.png", "captions/train.1.de", "features/val.npy", "parallel/test.qu"] {
        assert_ne!(a[Path::new(file)], b[Path::new(file)], "{file}");
    }
}

#[test]
fn more_pictures_captions_or_languages_leave_the_others_as_they_were() {
    let all = written(&small());
    let less = written(&ScenesConfig {
        train: 7,
        captions: 1,
        languages: vec!["ru".into(), "en".into()],
        ..small()
    });
    assert_eq!(all[Path::new("images/train_00007.png")], less[Path::new("images/train_00007.png")]);
    for file in ["captions/train.1.en", "parallel/train.ru", "image_splits/train.txt"] {
        assert_eq!(lines(&all, file)[..7], lines(&less, file), "{file}");
    }
    assert!(!less.contains_key(Path::new("captions/train.2.en")));
}

#[test]
fn captions_of_a_picture_differ_and_no_line_is_empty() {
    let all = written(&small());
    for language in LANGUAGES {
        let first = lines(&all, &format!("captions/train.1.{language}"));
        let second = lines(&all, &format!("captions/train.2.{language}"));
        assert_eq!((first.len(), second.len()), (12, 12));
        for (a, b) in first.iter().zip(&second) {
            assert!(a != b && !a.is_empty() && !b.is_empty(), "{language}: {a}");
        }
    }
}

#[test]
fn features_have_a_row_per_picture_and_a_header_that_numpy_reads() {
    let all = written(&small());
    let bytes = &all[Path::new("features/train.npy")];
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    assert_eq!((10 + header) % 64, 0);
    let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    assert!(text.starts_with(&format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': (12, {})",
        features::WIDTH
    )));
    assert_eq!(bytes.len() - 10 - header, 12 * features::WIDTH * 4);
    let values = bytes[10 + header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    assert!(values.clone().all(f32::is_finite));
    assert!(values.clone().any(|v| v != 0.0));
}

#[test]
fn progress_ends_at_the_number_of_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let mut heard = Vec::new();
    write(&dir.path().join("new/folder"), &small(), &mut |done, total| heard.push((done, total))).unwrap();
    assert_eq!(heard, [(12, 19), (15, 19), (19, 19)]);
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.txt"), "x").unwrap();
    let error = write(dir.path(), &small(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("not empty") && error.to_string().contains("hint:"), "{error}");
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn what_cannot_be_drawn_is_refused_with_the_value() {
    let refused = |config: ScenesConfig, word: &str| {
        let dir = tempfile::tempdir().unwrap();
        let error = write(&dir.path().join("new"), &config, &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("hint:"), "{error}");
        assert!(!dir.path().join("new").exists());
    };
    refused(ScenesConfig { val: 0, ..small() }, "`val`");
    refused(ScenesConfig { captions: 0, ..small() }, "0 captions");
    refused(ScenesConfig { languages: vec![], ..small() }, "no language");
    refused(ScenesConfig { languages: vec!["tlh".into()], ..small() }, "`tlh`");
    refused(ScenesConfig { languages: vec!["de".into(), "de".into()], ..small() }, "twice");
}

#[test]
fn a_file_in_place_of_the_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = write(&file, &small(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
}
