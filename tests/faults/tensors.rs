//! A number that is not finite in each tensor of each kind of file: the error names the file and the tensor, and nothing is
//! computed with it.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use tinyglot::Result;
use tinyglot::config::Config;
use tinyglot::corpus::{Corpus, Features, write_npy};
use tinyglot::family::mla::Acquirer;
use tinyglot::family::mla::run::MlaRun;
use tinyglot::family::smalr::prepare::prepare;
use tinyglot::tower::Tower;
use tinyglot::words::WordVectors;

use crate::acquisition;
use crate::inputs::{inputs, narrow};
use crate::places::copy;
use crate::runs::{forget_checksum, resume, search};

/// Where the numbers of each tensor stand in a file.
fn tensors(bytes: &[u8]) -> Vec<(String, Dtype, usize, usize)> {
    let (header, about) = SafeTensors::read_metadata(bytes).expect("a file of tensors");
    let place = |name: String| {
        let info = about.info(&name).expect("a tensor of the file");
        (name, info.dtype, 8 + header + info.data_offsets.0, 8 + header + info.data_offsets.1)
    };
    about.offset_keys().into_iter().map(place).collect()
}

/// Puts NaN or an infinity into each tensor in turn, at its beginning or its end, and reads the file.
fn each_tensor(file: &Path, read: &dyn Fn() -> Result<()>) {
    read().expect("as it is, it can be read");
    let whole = fs::read(file).expect("read");
    let mut tried = 0;
    for (n, (name, dtype, from, to)) in tensors(&whole).into_iter().enumerate() {
        let value = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][n % 3];
        let value: Vec<u8> = match dtype {
            Dtype::F32 => value.to_le_bytes().into(),
            Dtype::F16 => half::f16::from_f32(value).to_le_bytes().into(),
            Dtype::BF16 => half::bf16::from_f32(value).to_le_bytes().into(),
            _ => continue,
        };
        if from == to {
            continue;
        }
        let at = if n % 2 == 0 { from } else { to - value.len() };
        let mut bytes = whole.clone();
        bytes[at..at + value.len()].copy_from_slice(&value);
        replace(file, &bytes);
        let error = match read() {
            Ok(()) => panic!("{}: `{name}` is not finite, and it is read", file.display()),
            Err(error) => error,
        };
        let text = error.to_string();
        assert_eq!(error.exit_status(), 4, "{text}");
        assert!(text.contains(file.file_name().expect("a name").to_str().expect("text")), "{name}: {text}");
        assert!(text.contains(&format!("`{name}` has ")), "{name}: {text}");
        tried += 1;
    }
    replace(file, &whole);
    assert!(tried > 0, "{} has no tensor of floats", file.display());
}

/// By a new file in its place: what was mapped of the old one stays.
fn replace(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).expect("written");
    fs::rename(beside, file).expect("moved");
}

#[test]
fn a_number_that_is_not_finite_is_found_in_every_tensor_of_every_file() {
    let place = tempfile::tempdir().expect("a folder");
    inputs(place.path());
    let path = |inside: &str| place.path().join(inside);
    // Without checksums, which would tell first.
    let run = path("old-words");
    let gallery = path("data/features/test.npy");
    for file in ["words/scorer.safetensors", "checkpoints/best/model.safetensors"] {
        each_tensor(&run.join(file), &|| search(&run, &gallery));
    }
    let given = Config::load(&path("words.toml"), &[]).expect("a good configuration");
    for file in ["model.safetensors", "optimizer.safetensors"] {
        each_tensor(&run.join("checkpoints/latest").join(file), &|| resume(&run, &given));
    }
    let corpus = Corpus::load(given.data(), given.base()).expect("a corpus");
    // Of this training alone: what others share is not read by it.
    let cache = path("own-cache");
    prepare(&given, &corpus, Some(&cache), &mut |_, _, _, _| Ok(())).expect("made");
    let files = fs::read_dir(&cache).expect("a cache").map(|entry| entry.expect("an entry").path());
    let tensors = |file: &std::path::PathBuf| {
        file.extension().is_some_and(|ending| ending == "alignment" || ending == "latents")
    };
    for file in files.filter(tensors) {
        fs::remove_file(tinyglot::cache::sum_of(&file)).expect("a checksum beside it");
        forget_checksum(&file);
        each_tensor(&file, &|| prepare(&given, &corpus, Some(&cache), &mut |_, _, _, _| Ok(())).map(drop));
    }
    let run = path("acquisition/old acquisition");
    let gallery = path("acquisition/data/features/test.npy");
    for file in ["checkpoints/best/model.safetensors", "tower/model.safetensors"] {
        each_tensor(&run.join(file), &|| search(&run, &gallery));
    }
    let run = path("acquisition/old tower run");
    each_tensor(&run.join("checkpoints/best/model.safetensors"), &|| {
        tinyglot::family::tower::run::TowerRun::open(&run, &[]).map(drop)
    });
    let mut opened = MlaRun::open(&path("acquisition/run"), &[]).expect("a run");
    let (size, base) = (opened.mla.size(), opened.mla.base());
    let file = path("acquisition/old acquirer/de.safetensors");
    each_tensor(&file, &|| Acquirer::read(&file, size, &base).map(drop));
}

#[test]
fn a_number_that_is_not_finite_is_found_in_towers_of_any_width() {
    let place = tempfile::tempdir().expect("a folder");
    for (name, from, dtype) in [
        ("clip", "clip", Dtype::F32),
        ("half", "clip", Dtype::F16),
        ("brain", "clip", Dtype::BF16),
        ("mbert", "mbert", Dtype::F32),
    ] {
        let folder = place.path().join(name);
        copy(&acquisition::checkpoint(from), &folder);
        let file = folder.join("model.safetensors");
        if dtype != Dtype::F32 {
            narrow(&file, dtype);
        }
        let whole = fs::read(&file).expect("read");
        for (tensor, dtype, from, _) in tensors(&whole) {
            let mut bytes = whole.clone();
            let nan: &[u8] = match dtype {
                Dtype::F32 => &[0, 0, 0xc0, 0x7f],
                Dtype::F16 => &[0, 0x7e],
                Dtype::BF16 => &[0xc0, 0x7f],
                _ => continue,
            };
            bytes[from..from + nan.len()].copy_from_slice(nan);
            replace(&file, &bytes);
            match Tower::open(&folder) {
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("model.safetensors`: ") && text.contains(&tensor),
                        "{tensor}: {text}"
                    );
                    assert!(text.contains("NaN"), "{text}");
                }
                // Tensors of pictures, and a projection that a BERT does not use, are not read.
                Ok(_) => assert!(
                    ["vision", "visual", "logit", "pooler", "cls."].iter().any(|part| tensor.contains(part)),
                    "`{tensor}` is NaN, and the tower is read"
                ),
            }
        }
    }
}

#[test]
fn rows_of_pictures_and_words_are_never_scores() {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("gallery.npy");
    for value in [f32::NAN, f32::INFINITY, 3e38] {
        let mut x = vec![0.5; 24];
        x[17] = value;
        write_npy(&file, 4, 6, &x).expect("written");
        let text = Features::open(std::slice::from_ref(&file)).expect_err("not finite").to_string();
        assert!(text.contains("gallery.npy`: row 2"), "{text}");
    }
    let vec = place.path().join("cc.vec");
    fs::write(&vec, "2 2\nhund 1 2\nhaus nan 1\n").expect("written");
    let text = WordVectors::open(&vec, &|_| true).map(drop).expect_err("not finite").to_string();
    assert!(text.contains("cc.vec`:3: expected a finite number, got `nan`"), "{text}");
}
