//! A run made small enough to ship.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tinyglot::family::mla::run::MlaRun;

use crate::acquisition::{write, write_tower};
use crate::contrastive_config::write_contrastive;
use crate::corpus::{MADE, copy, data, refused};
use crate::whole::{fed, rows};
use crate::{printed, run, text};

fn packed(from: &Path, more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    let ran = run(&[&["pack", text(from), "--out", text(&out)], more].concat());
    assert_eq!((ran.status, ran.stdout), (Some(0), format!("{}\n", out.display())), "{}", ran.stderr);
    assert!(ran.stderr.contains(" MB → "), "{}", ran.stderr);
    (folder, out)
}

/// Its mean recall on test.
fn mean(run: &Path) -> f64 {
    let json = printed(&["evaluate", text(run), "--json"]);
    serde_json::from_str::<Value>(&json).expect("JSON")["A"].as_f64().expect("a mean")
}

/// Sentences of known words and pictures must have the very same vectors.
fn assert_same(model: &Path, run: &Path) {
    for language in ["en", "zh"] {
        let captions = MADE.path(&format!("data/captions/train.1.{language}"));
        let captions = fs::read_to_string(captions).expect("captions that were trained on");
        assert_eq!(embedded(model, language, &captions), embedded(run, language, &captions));
    }
    let pictures = |run: &Path| {
        let (npy, ran) = fed(&["embed", text(run), "--images", text(&MADE.gallery())], b"");
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        npy
    };
    assert_eq!(pictures(model), pictures(run));
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.map(|path| if path.is_dir() { size(&path) } else { path.metadata().expect("a file").len() }).sum()
}

fn embedded(run: &Path, language: &str, query: &str) -> (Vec<u8>, String) {
    let (npy, ran) = fed(&["embed", text(run), "--language", language], query.as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    (npy, ran.stderr)
}

#[test]
fn a_packed_run_holds_what_use_needs_and_answers_as_before() {
    let (_folder, model) = packed(&MADE.run(), &["--weights", "f32"]);
    for gone in ["words/de.bin", "checkpoints/latest", "metrics.jsonl", "report.html", "evaluation"] {
        assert!(!model.join(gone).exists(), "{gone} is there");
    }
    assert!(model.join("words/de.ngrams").is_file());
    assert_same(&model, &MADE.run());
    assert!((mean(&model) - mean(&MADE.run())).abs() < 2.0, "unseen words may go elsewhere");
    let gallery = MADE.gallery();
    let search = ["search", text(&model), "--language", "zh", "--gallery", text(&gallery), "红色"];
    assert!(!printed(&search).is_empty());
    assert!(printed(&["report", text(&model)]).contains("report.html"));
}

#[test]
fn weights_in_f16_are_half_as_large_and_nearly_as_good() {
    let (_a, whole) = packed(&MADE.run(), &["--weights", "f32"]);
    let (_b, half) = packed(&MADE.run(), &[]);
    let weights = |model: &Path| size(&model.join("checkpoints")) as f64;
    assert!(weights(&half) < 0.7 * weights(&whole), "{} {}", weights(&half), weights(&whole));
    assert!((mean(&whole) - mean(&half)).abs() < 2.0, "{} {}", mean(&whole), mean(&half));
}

#[test]
fn unseen_words_are_guessed_from_the_n_grams_that_are_kept_or_left_out() {
    let unseen = "kreisförmige";
    let (_a, whole) = packed(&MADE.run(), &["--weights", "f32", "--ngrams", "500"]);
    let (_b, none) = packed(&MADE.run(), &["--weights", "f32", "--ngrams", "0"]);
    for run in [&whole, &MADE.run()] {
        assert_eq!(embedded(run, "de", unseen).1, "", "it has a latent token");
    }
    assert!(embedded(&none, "de", unseen).1.contains("the model knows no word of `kreisförmige`"));
    assert!(!none.join("words/de.ngrams").exists());
    assert_same(&none, &MADE.run());
    let [small, large] = [&none, &whole].map(|model| size(&model.join("words")));
    assert!(small < large, "{small} {large}");
}

#[test]
fn what_only_training_needs_stays_behind_whatever_the_losses() {
    let place = data();
    let (config, trained) = (place.path().join("config.toml"), place.path().join("run"));
    let losses = [
        "train.epochs=1",
        "loss.mclm.average=0.5",
        "loss.mclm.lstm=0.5",
        "loss.mclm.masked_triplet=1",
        "loss.adversary.weight=0.1",
        "loss.word_drift=0.001",
        "embedding.word_width=0",
    ];
    let set: Vec<&str> = losses.iter().flat_map(|set| ["--set", set]).collect();
    printed(&[&["train", text(&config), "--out", text(&trained), "-q"][..], &set].concat());
    let (_folder, model) = packed(&trained, &["--weights", "f32", "--ngrams", "0"]);
    assert_same(&model, &trained);
    let weights = fs::read(model.join("checkpoints/best/model.safetensors")).expect("weights");
    let header = String::from_utf8_lossy(&weights[8..2000]).into_owned();
    for part in ["mclm", "adversary", ".start", "mask"] {
        assert!(!header.contains(part), "{part}: {header}");
    }
}

#[test]
fn a_packed_run_is_neither_trained_nor_changed_nor_packed_again() {
    let (folder, model) = packed(&MADE.run(), &[]);
    let (config, out) = (MADE.path("config.toml"), folder.path().join("other"));
    let said = ["was packed for use", "the run that it was packed from"];
    refused(&["train", text(&config), "--out", text(&model), "--resume"], 2, &said);
    refused(&["pack", text(&model), "--out", text(&out)], 2, &said);
    refused(&["remove-language", text(&model), "zh", "--out", text(&out)], 2, &said);
    let language = folder.path().join("fr.toml");
    let captions = "[data]\nroot = '.'\nlanguages = ['fr']\n[[data.captions]]\nlanguages = ['fr']\nfiles = ['{split}']\n";
    fs::write(&language, captions).expect("written");
    let add = ["add-language", text(&model), text(&language), "--out", text(&out)];
    refused(&add, 2, &said);
    assert!(!out.exists(), "nothing is left");
    refused(&["pack", text(&MADE.run()), "--out", text(&model)], 2, &["there is a run already"]);
}

#[test]
fn a_damaged_packed_run_is_refused() {
    let (folder, model) = packed(&MADE.run(), &[]);
    let broken = folder.path().join("broken");
    for (file, said) in [
        ("words/de.ngrams", "de.ngrams"),
        ("words/scorer.safetensors", "scorer.safetensors"),
        ("checkpoints/best/model.safetensors", "model.safetensors"),
    ] {
        copy(&model, &broken);
        let path = broken.join(file);
        let mut bytes = fs::read(&path).expect("read");
        let end = bytes.len() - 3;
        bytes[end] ^= 1;
        fs::write(&path, bytes).expect("written");
        refused(&["evaluate", text(&broken)], 4, &[said, "is not as it was written"]);
        fs::remove_dir_all(&broken).expect("removed");
    }
    copy(&model, &broken);
    fs::remove_file(broken.join("words/de.ngrams")).expect("removed");
    refused(&["evaluate", text(&broken)], 4, &["words/de"]);
}

/// Bytes of the weights, and A.
fn weighed(more: &[&str]) -> (u64, f64) {
    let (_folder, model) = packed(&MADE.run(), &[&["--ngrams", "0"], more].concat());
    (size(&model.join("checkpoints")), mean(&model))
}

#[test]
fn a_coarser_format_takes_less_and_loses_little() {
    let all = ["f32", "f16", "int8", "int4"].map(|format| weighed(&["--weights", format]));
    let [(f32, whole), (f16, half), (int8, byte), (int4, four)] = all;
    // Statistics and biases of these little layers are a good part of them, and stay in f16.
    assert!(f16 as f64 <= 0.7 * f32 as f64 && int8 < f16 && int4 < int8, "{all:?}");
    assert!(
        (whole - half).abs() < 1.0 && (whole - byte).abs() < 3.0 && (whole - four).abs() < 12.0,
        "{all:?}"
    );
    let (mixed, a) = weighed(&["--weights", "int8", "--rows", "int4"]);
    assert!(int4 < mixed && mixed < int8 && (whole - a).abs() < 12.0, "{mixed} {a} {all:?}");
}

#[test]
fn parts_are_taken_where_a_matrix_is_large_enough() {
    let place = data();
    let (config, trained) = (place.path().join("config.toml"), place.path().join("run"));
    let set = ["train.epochs=2", "embedding.width=96", "text.hidden=128", "text.joint=32", "image.hidden=64"];
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    printed(&[&["train", text(&config), "--out", text(&trained), "-q"][..], &set].concat());
    let (_a, four) = packed(&trained, &["--weights", "int4", "--ngrams", "0"]);
    let (_b, parts) = packed(&trained, &["--weights", "pq", "--ngrams", "0"]);
    let header = |model: &Path| {
        let weights = fs::read(model.join("checkpoints/best/model.safetensors")).expect("weights");
        String::from_utf8_lossy(&weights[..6000.min(weights.len())]).into_owned()
    };
    assert!(header(&parts).contains("text.gru.weight_hh:centres") && !header(&four).contains(":centres"));
    assert!(size(&parts.join("checkpoints")) < size(&four.join("checkpoints")));
    let random = mean(&trained) / 2.0;
    assert!(mean(&parts) > random && mean(&four) > random, "{} {} {random}", mean(&parts), mean(&four));
}

#[test]
fn a_damaged_quantised_run_is_refused() {
    let (folder, model) = packed(&MADE.run(), &["--weights", "int4"]);
    let broken = folder.path().join("broken");
    for file in ["words/scorer.safetensors", "checkpoints/best/model.safetensors"] {
        copy(&model, &broken);
        let mut bytes = fs::read(broken.join(file)).expect("read");
        let middle = bytes.len() - bytes.len() / 3;
        bytes[middle] ^= 4;
        fs::write(broken.join(file), bytes).expect("written");
        refused(&["evaluate", text(&broken)], 4, &[file, "is not as it was written"]);
        fs::remove_dir_all(&broken).expect("removed");
    }
}

/// What `shrink` says, and where its model is.
fn shrunk(more: &[&str]) -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    let ran = run(&[&["shrink", text(&MADE.run()), "--out", text(&out)], more].concat());
    assert_eq!((ran.status, ran.stdout), (Some(0), format!("{}\n", out.display())), "{}", ran.stderr);
    (folder, out, ran.stderr)
}

#[test]
fn a_shrunk_model_is_within_its_bytes_and_used_as_a_run() {
    let (_a, smallest) = packed(&MADE.run(), &["--weights", "int4", "--ngrams", "0"]);
    let (_b, largest) = packed(&MADE.run(), &["--ngrams", "300"]);
    let between = (size(&smallest) + size(&largest)) / 2;
    let (_folder, model, said) = shrunk(&["--bytes", &between.to_string()]);
    assert!(size(&model) <= between, "{} {between} {said}", size(&model));
    for told in ["chosen: layers ", " n-grams", "mR of `de` on validation: ", "A on validation: "] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(mean(&model) > mean(&MADE.run()) - 12.0, "{} {}", mean(&model), mean(&MADE.run()));
    assert!(!embedded(&model, "zh", "红色").0.is_empty());
    let gallery = MADE.gallery();
    assert!(
        !printed(&["search", text(&model), "--language", "de", "--gallery", text(&gallery), "rot"])
            .is_empty()
    );
    refused(&["shrink", text(&model), "--bytes", "1MB", "--out", "other"], 2, &["was packed for use"]);
}

#[test]
fn words_go_that_are_worth_least_where_formats_are_not_enough() {
    let settled = ["--weights", "int8", "--ngrams", "0"];
    let (_a, whole) = packed(&MADE.run(), &settled);
    let budget = size(&whole) - 900;
    let (_b, model, said) =
        shrunk(&[&["--bytes", &budget.to_string(), "--rows", "int8"], &settled[..]].concat());
    assert!(size(&model) <= budget && size(&model) > budget - 700, "{} {budget} {said}", size(&model));
    assert!(said.contains(", without ") && said.contains(" of "), "{said}");
    assert!(mean(&model) > mean(&whole) - 12.0, "{} {}", mean(&model), mean(&whole));
    // It is a packed run like another: its words are those of its file.
    let words = fs::read_to_string(model.join("words/de.words")).expect("words");
    assert!(words.lines().count() > 2, "{words}");
}

#[test]
fn a_budget_that_nothing_fits_says_the_smallest_that_something_would() {
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("model");
    let made = MADE.run();
    let shrink = |bytes: &str| {
        run(&["shrink", text(&made), "--bytes", bytes, "--weights", "int4", "--out", text(&out)])
    };
    let ran = shrink("2kB");
    assert_eq!(ran.status, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("nothing of the run fits into 2000 bytes") && !out.exists(),
        "{}",
        ran.stderr
    );
    let smallest =
        ran.stderr.split("the smallest model takes ").nth(1).and_then(|rest| rest.split(' ').next());
    let smallest = smallest.expect("a number").to_string();
    assert_eq!(shrink(&smallest).status, Some(0), "what was said fits");
    assert!(size(&out) <= smallest.parse().expect("a number"));
}

#[test]
fn a_model_for_some_languages_knows_no_others() {
    let (_folder, model, said) =
        shrunk(&["--bytes", "1MB", "--languages", "zh,de", "--weights", "f16", "--ngrams", "300"]);
    assert!(!said.contains("`en`") && said.contains("mR of `zh`"), "{said}");
    assert!(!model.join("words/en.words").exists() && model.join("words/de.ngrams").exists());
    refused(&["embed", text(&model), "--language", "en"], 2, &["does not know the language `en`"]);
    let (_b, whole) = packed(&MADE.run(), &["--ngrams", "300"]);
    assert_eq!(embedded(&model, "zh", "红色"), embedded(&whole, "zh", "红色"));
    printed(&["evaluate", text(&model)]);
    let made = MADE.run();
    let unknown = ["shrink", text(&made), "--bytes", "1MB", "--languages", "xx", "--out", "other"];
    refused(&unknown, 2, &["does not know the language `xx`"]);
}

#[test]
fn a_language_comes_and_goes_as_a_file() {
    let (folder, model) = packed(&MADE.run(), &["--weights", "int4", "--ngrams", "300"]);
    let path = |name: &str| folder.path().join(name);
    let (file, less, again) = (path("de.safetensors"), path("less"), path("again"));
    let export = |from: &Path, to: &Path| {
        run(&["language", "export", text(from), "--language", "DE", "--out", text(to)])
    };
    assert_eq!(export(&model, &file).status, Some(0));
    printed(&["language", "remove", text(&model), "--language", "de", "--out", text(&less)]);
    assert!(size(&less) < size(&model) && !less.join("words/de.words").exists());
    refused(&["embed", text(&less), "--language", "de"], 2, &["does not know the language `de`"]);
    assert_eq!(embedded(&less, "en", "red"), embedded(&model, "en", "red"));
    let added = run(&["language", "add", text(&less), text(&file), "--out", text(&again)]);
    assert_eq!(added.status, Some(0), "{}", added.stderr);
    for (language, query) in [("de", "ein roter kreisförmige"), ("en", "red"), ("zh", "红色")] {
        assert_eq!(embedded(&again, language, query), embedded(&model, language, query));
    }
    // The rest is as it was, bit for bit, and so is the language's file.
    let second = path("second.safetensors");
    assert_eq!(export(&again, &second).status, Some(0));
    assert_eq!(fs::read(&second).expect("read"), fs::read(&file).expect("read"));
    assert!((mean(&again) - mean(&model)).abs() < 1e-9);

    let out = path("other");
    let add = |to: &Path, file: &Path, status: i32, said: &[&str]| {
        refused(&["language", "add", text(to), text(file), "--out", text(&out)], status, said);
        assert!(!out.exists(), "nothing is left");
    };
    add(&model, &file, 2, &["knows `de` already", "`tinyglot language remove`"]);
    add(&MADE.run(), &file, 2, &["is not packed", "`tinyglot pack`"]);
    let scorer = less.join("words/scorer.safetensors");
    add(&less, &scorer, 4, &["is no language of a packed run"]);
    // Of another packing of the same run.
    let (_b, halves) = packed(&MADE.run(), &["--ngrams", "300"]);
    let other = path("halves");
    printed(&["language", "remove", text(&halves), "--language", "de", "--out", text(&other)]);
    add(&other, &file, 4, &["is a language of another base: its hash is "]);
    let mut bytes = fs::read(&file).expect("read");
    let end = bytes.len() - 9;
    bytes[end] ^= 1;
    fs::write(&file, &bytes).expect("written");
    add(&less, &file, 4, &["de.safetensors", "is not as it was written"]);
    let version = bytes.windows(13).position(|w| w == b"\"tinyglot\":\"1").expect("a version");
    bytes[version + 12] = b'2';
    fs::write(&file, &bytes).expect("written");
    add(&less, &file, 4, &["de.safetensors", "is of version 2"]);
    let last = path("last");
    printed(&["language", "remove", text(&less), "--language", "zh", "--out", text(&last)]);
    refused(
        &["language", "remove", text(&last), "--language", "en", "--out", text(&out)],
        2,
        &["is the only language"],
    );
}

/// The mean of the absolute differences of some sentences' vectors, and bytes of weights, of a run and of it packed.
fn compared(trained: &Path, languages: &[&str], format: &str) -> (f64, [u64; 2]) {
    let (_folder, model) = packed(trained, &["--weights", format]);
    let vectors = |run: &Path, language: &str| {
        rows(&embedded(run, language, "roter Hund\nblue house\n").0, 12).concat()
    };
    let (mut sum, mut count) = (0.0, 0);
    for language in languages {
        let (a, b) = (vectors(trained, language), vectors(&model, language));
        sum += a.iter().zip(&b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
        count += a.len();
    }
    let json = printed(&["evaluate", text(&model), "--json"]);
    assert!(serde_json::from_str::<Value>(&json).expect("JSON")["A"].as_f64().expect("a mean") > 30.0);
    assert!(!model.join("checkpoints/latest").exists() && !model.join("pictures").exists());
    (sum / count as f64, [size(trained), size(&model)])
}

/// Each family's packed run is smaller and its vectors are near those of the run.
fn packs(trained: &Path, languages: &[&str]) {
    let whole = compared(trained, languages, "f32");
    assert!(whole.0 == 0.0 && whole.1[1] < whole.1[0], "{whole:?}");
    let (half, byte) = (compared(trained, languages, "f16"), compared(trained, languages, "int8"));
    assert!(half.0 > 0.0 && half.0 < 1e-3 && half.1[1] < whole.1[1], "{half:?} {whole:?}");
    assert!(byte.0 > half.0 && byte.0 < 2e-2 && byte.1[1] < half.1[1], "{byte:?} {half:?}");
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("model");
    refused(&["pack", text(trained), "--ngrams", "9", "--out", text(&out)], 2, &["`--ngrams`"]);
    let shrink = ["shrink", text(trained), "--bytes", &byte.1[1].to_string(), "--out", text(&out)];
    let told = run(&shrink);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    assert!(size(&out) <= byte.1[1] && told.stderr.contains("chosen: layers int8"), "{}", told.stderr);
}

#[test]
fn a_tower_an_acquisition_and_a_contrastive_encoder_are_packed_too() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    let acquisition = write(place.path());
    let (tower, contrastive) = (write_tower(place.path()), write_contrastive(place.path()));
    for (config, out) in [(tower, "tower"), (acquisition, "mla"), (contrastive, "contrastive")] {
        printed(&["train", text(&config), "--out", text(&path(out)), "-q"]);
    }
    packs(&path("tower"), &["en"]);
    packs(&path("contrastive"), &["en", "de", "fr"]);
    packs(&path("mla"), &["en", "de", "fr"]);
    // A language that was added as a file goes along, on the packed base.
    let (file, model) = (path("de.safetensors"), path("packed"));
    let mut whole = MlaRun::open(&path("mla"), &[]).expect("a run").mla;
    let (base, mut acquirer) = (whole.base(), whole.acquirers[0].clone());
    acquirer.language = "af".into();
    acquirer.write(&file, &base).expect("written");
    for arguments in [
        &["acquirer", "add", text(&path("mla")), text(&file)][..],
        &["pack", text(&path("mla")), "--weights", "int8", "--out", text(&model)],
    ] {
        let ran = run(arguments);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    }
    let sentences = "rot Hund\n";
    assert_eq!(embedded(&model, "af", sentences), embedded(&model, &whole.acquirers[0].language, sentences));
    refused(&["acquirer", "add", text(&model), text(&file)], 4, &["another base"]);

    // For some languages: the tower's own stays, as the others stand on it.
    let (mla, some, other) = (path("mla"), path("some"), path("other"));
    let pack = |languages: &'static str, out| {
        ["pack", text(&mla), "--weights", "int8", "--languages", languages, "--out", out]
    };
    assert_eq!(run(&pack("fr", text(&some))).status, Some(0));
    for language in ["en", "fr"] {
        assert_eq!(embedded(&some, language, sentences), embedded(&model, language, sentences), "{language}");
    }
    for language in ["de", "af"] {
        let said = format!("does not know the language `{language}`");
        refused(&["embed", text(&some), "--language", language], 2, &[&said]);
    }
    assert!(size(&some) < size(&model));
    refused(&pack("xx", text(&other)), 2, &["does not know the language `xx`"]);
    refused(&pack("af", text(&other)), 2, &["only language that was acquired in training"]);
    let shrink = [
        "shrink",
        text(&mla),
        "--bytes",
        "9MB",
        "--languages",
        "fr",
        "--weights",
        "f16",
        "--out",
        text(&other),
    ];
    let told = run(&shrink);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    assert!(told.stderr.contains("mR of `fr`") && !told.stderr.contains("mR of `de`"), "{}", told.stderr);
    for name in ["tower", "contrastive"] {
        let (shared, out) = (path(name), path("none"));
        let pack = ["pack", text(&shared), "--languages", "en", "--out", text(&out)];
        refused(&pack, 2, &["shared by all its languages", "leave out `--languages`"]);
        assert!(!out.exists());
    }
}
