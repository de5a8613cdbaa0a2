//! Numbers that mean what they say: repeated rows, pictures in two splits, and who wrote the captions that ask.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::corpus::{MADE, copy, data, refused};
use crate::whole::fed;
use crate::{printed, text};

/// The number of rows, their width, and the bytes of a row of an `.npy` of f16 or f32 that tinyglot wrote.
fn npy(bytes: &[u8]) -> (usize, Vec<u8>, Vec<&[u8]>) {
    let start = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = String::from_utf8(bytes[10..start].to_vec()).expect("text");
    let (_, shape) = header.split_once("'shape': (").expect("a shape");
    let rows: usize = shape.split(',').next().expect("rows").parse().expect("a number");
    (rows, bytes[..start].to_vec(), bytes[start..].chunks((bytes.len() - start) / rows).collect())
}

/// Writes every row of a file `times` times, one after the other.
fn repeat(file: &Path, times: usize) {
    let bytes = fs::read(file).expect("read");
    let (rows, head, all) = npy(&bytes);
    let head = String::from_utf8_lossy(&head[10..]).into_owned();
    let head = head.replace(&format!("({rows},"), &format!("({},", times * rows));
    let mut out = bytes[..8].to_vec();
    out.extend((head.len() as u16).to_le_bytes());
    out.extend(head.as_bytes());
    all.iter().for_each(|row| (0..times).for_each(|_| out.extend(*row)));
    fs::write(file, out).expect("written");
}

/// Writes the rows of a file so many times, all of them each time: no row stands beside its like.
fn tile(file: &Path, times: usize) {
    repeat(file, times);
    let bytes = fs::read(file).expect("read");
    let (rows, head, all) = npy(&bytes);
    let tiled = (0..times).flat_map(|n| (0..rows / times).map(move |row| row * times + n));
    let out: Vec<u8> = head.into_iter().chain(tiled.flat_map(|row| all[row].to_vec())).collect();
    fs::write(file, out).expect("written");
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(arguments)).expect("JSON")
}

#[test]
fn features_with_a_row_for_each_caption_train_and_evaluate_as_those_with_one_a_picture() {
    let place = data();
    let (config, root) = (place.path().join("config.toml"), place.path().join("data"));
    let train = |run: &Path| {
        printed(&["train", text(&config), "--out", text(run), "-q", "--set", "train.epochs=1"]);
        let kept = fs::read_to_string(run.join("evaluation/val.json")).expect("kept");
        serde_json::from_str::<Value>(&kept).expect("JSON")["languages"].clone()
    };
    let (one, five) = (place.path().join("one"), place.path().join("five"));
    let (plain, tested) = (train(&one), json(&["evaluate", text(&one), "--json"]));
    for split in ["train", "val", "test"] {
        repeat(&root.join(format!("features/{split}.npy")), 5);
    }
    assert_eq!(train(&five), plain);
    for trained in [&one, &five] {
        let again = json(&["evaluate", text(trained), "--json", "--name", "repeated"]);
        assert_eq!((&again["images"], &again["languages"]), (&tested["images"], &tested["languages"]));
    }
    // A gallery has each picture once, and each vector.
    let five_times = root.join("features/test.npy");
    let found = |gallery: &Path| -> Vec<(u64, f64)> {
        let search = ["search", text(&one), "--language", "en", "-k", "30", "-q", "--json"];
        let line = json(&[&search[..], &["--gallery", text(gallery), "a red circle"]].concat());
        let hits = line["hits"].as_array().expect("hits");
        hits.iter().map(|h| (h["row"].as_u64().expect("a row"), h["score"].as_f64().expect("one"))).collect()
    };
    let expected: Vec<_> = found(&MADE.gallery()).into_iter().map(|(row, score)| (5 * row, score)).collect();
    assert_eq!((found(&five_times), expected.len()), (expected, 20));
    let vectors = |gallery: &Path| fed(&["embed", text(&one), "--images", text(gallery)], b"");
    let ((once, _), (again, ran)) = (vectors(&MADE.gallery()), vectors(&five_times));
    assert!(once == again && ran.stderr.contains("stands 5 times"), "{}", ran.stderr);
    // As published, with the captions of a picture one after the other in one file.
    fs::create_dir_all(root.join("vse")).expect("a folder");
    for (split, language) in
        ["train", "val", "test"].into_iter().flat_map(|s| ["en", "de", "zh"].map(|l| (s, l)))
    {
        let [first, second] = [1, 2].map(|n| {
            fs::read_to_string(root.join(format!("captions/{split}.{n}.{language}"))).expect("captions")
        });
        let both: String = first.lines().zip(second.lines()).map(|(a, b)| format!("{a}\n{b}\n")).collect();
        fs::write(root.join(format!("vse/{split}.{language}")), both).expect("written");
    }
    let captions =
        "data.captions=[{languages=['en','de','zh'], files=['vse/{split}.{language}'], per_picture=2}]";
    let again = json(&["evaluate", text(&one), "--json", "--name", "vse", "--set", captions]);
    assert_eq!((&again["images"], &again["languages"]), (&tested["images"], &tested["languages"]));
    let check = printed(&["data", "check", text(&config)]);
    assert!(check.contains("60 train, 20 val, 20 test pictures"), "{check}");
    assert!(check.contains("test.npy` stands 5 times, one after the other"), "{check}");
    let apart = ["evaluate", text(&one), "--set", "data.rows_per_picture=1"];
    refused(&apart, 4, &["holds 20 ids, but there are 100 rows"]);
}

#[test]
fn people_ask_and_machines_are_compared_with_them() {
    let place = data();
    let (root, kept) = (place.path().join("data"), place.path().join("run"));
    copy(&MADE.run(), &kept);
    let set = format!("data.root={}", text(&root));
    let captions = "data.captions=[\
        {languages=['en','de'], files=['captions/{split}.1.{language}','captions/{split}.2.{language}']},\
        {languages=['zh'], files=['captions/{split}.1.{language}'], source='machine'},\
        {languages=['de'], files=['captions/{split}.1.en'], source='machine'}]";
    let evaluate = |more: &[&str]| {
        json(&[&["evaluate", text(&kept), "--json", "--set", &set, "--set", captions][..], more].concat())
    };
    let usual = json(&["evaluate", text(&kept), "--json", "--set", &set, "--name", "usual"]);
    let people = evaluate(&["--name", "mixed"]);
    // The captions by machines change nothing where people wrote some; Chinese has no others.
    for language in ["en", "de"] {
        assert_eq!(people["languages"][language], usual["languages"][language]);
    }
    assert_eq!(
        (&people["languages"]["zh"]["captions"], &people["human"]),
        (&20.into(), &serde_json::json!(["en", "de"]))
    );
    let mean =
        ["en", "de"].map(|l| people["languages"][l]["mR"].as_f64().expect("mR")).iter().sum::<f64>() / 2.0;
    assert!((people["HA"].as_f64().expect("HA") - mean).abs() < 1e-9);
    // German is asked in by English sentences.
    let machine = evaluate(&["--captions", "machine", "--name", "mixed"]);
    let languages = machine["languages"].as_object().expect("languages");
    assert_eq!(languages.keys().collect::<Vec<_>>(), ["de"]);
    assert_eq!(
        (&machine["captions"], &machine["languages"]["de"]["captions"]),
        (&"machine".into(), &20.into())
    );
    assert_eq!((&machine["human"], &machine["HA"]), (&serde_json::json!([]), &Value::Null));
    assert_ne!(machine["languages"]["de"], people["languages"]["de"]);
    for name in ["mixed", "mixed-machine", "usual"] {
        assert!(kept.join(format!("evaluation/{name}.json")).is_file(), "{name}");
    }
    let table = printed(&[
        "evaluate",
        text(&kept),
        "--set",
        &set,
        "--set",
        captions,
        "--captions",
        "machine",
        "--name",
        "mixed",
    ]);
    assert!(
        table.contains("captions by machines ask, of languages that people wrote some in, too"),
        "{table}"
    );
    let none = ["evaluate", text(&kept), "--set", &set, "--captions", "machine"];
    refused(&none, 4, &["no language of the split `test` has captions by people and by machines", "hint"]);
}

#[test]
fn pictures_of_two_splits_are_told_by_training_and_evaluation() {
    let place = data();
    let (config, out) = (place.path().join("config.toml"), place.path().join("run"));
    let ids = |split: &str| place.path().join(format!("data/image_splits/{split}.txt"));
    let all = fs::read_to_string(ids("test")).expect("read");
    let first = fs::read_to_string(ids("train")).expect("read").lines().next().expect("an id").to_string();
    let (_, rest) = all.split_once('\n').expect("lines");
    fs::write(ids("test"), format!("elsewhere/{first}.jpg\n{rest}")).expect("written");
    let said = "warning: train and test share pictures: 1 by id, 0 by features";
    let ran = crate::run(&["train", text(&config), "--out", text(&out), "--set", "train.epochs=1"]);
    assert!(ran.status == Some(0) && ran.stderr.contains(said), "{}", ran.stderr);
    let ran = crate::run(&["evaluate", text(&out)]);
    assert!(ran.status == Some(0) && ran.stderr.contains(said), "{}", ran.stderr);
    let ran = crate::run(&["evaluate", text(&out), "--split", "val"]);
    assert!(ran.status == Some(0) && ran.stderr.is_empty(), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("no picture of `val` is in `train`, by id, file name and features"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_test_set_alone_is_evaluated_and_kept_by_its_name() {
    let (place, kept) = (data(), tempfile::tempdir().expect("a folder"));
    let (root, run) = (place.path().join("data"), kept.path().join("run"));
    copy(&MADE.run(), &run);
    let usual = json(&["evaluate", text(&run), "--json"]);
    // The test pictures and captions alone, under another name, in another order of languages and with one unknown.
    let alone = kept.path().join("alone");
    fs::create_dir_all(&alone).expect("a folder");
    for (from, to) in [("features/test.npy", "seen.npy"), ("image_splits/test.txt", "seen.txt")] {
        fs::copy(root.join(from), alone.join(to)).expect("copied");
    }
    for n in [1, 2] {
        for language in ["en", "zh"] {
            fs::copy(
                root.join(format!("captions/test.{n}.{language}")),
                alone.join(format!("{n}.seen.{language}")),
            )
            .expect("copied");
        }
        fs::copy(root.join(format!("captions/test.{n}.en")), alone.join(format!("{n}.seen.pt")))
            .expect("copied");
    }
    let set = "[data]\nroot = 'alone'\nlanguages = ['pt', 'zh', 'en']\nfeatures = ['{split}.npy']\nimage_ids = '{split}.txt'\n\
               [[data.captions]]\nlanguages = ['pt', 'zh', 'en']\nfiles = ['1.{split}.{language}', '2.{split}.{language}']\n";
    let file = kept.path().join("xtd.toml");
    fs::write(&file, set).expect("written");
    let ran = crate::run(&["evaluate", text(&run), "--data", text(&file), "--split", "seen", "--json"]);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (Some(0), "`pt` is passed over: the run does not know it\n")
    );
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(found["split"], "xtd-seen");
    assert_eq!(found["languages"].as_object().expect("languages").keys().collect::<Vec<_>>(), ["en", "zh"]);
    for language in ["en", "zh"] {
        assert_eq!(found["languages"][language], usual["languages"][language]);
    }
    let stored = fs::read_to_string(run.join("evaluation/xtd-seen.json")).expect("kept");
    assert_eq!(serde_json::from_str::<Value>(&stored).expect("JSON"), found);
    assert_eq!(found["data"].as_str().map(str::len), Some(64));

    // Other captions do not overwrite it; the same do.
    let again = ["evaluate", text(&run), "--data", text(&file), "--split", "seen", "-q", "--json"];
    assert_eq!(json(&again), found);
    fs::copy(alone.join("2.seen.zh"), alone.join("1.seen.zh")).expect("copied");
    refused(&again, 2, &["evaluation/xtd-seen.json`: holds the result on other captions", "--name"]);
    // Nor are those overwritten of which it is not known; of a split of the run they are.
    let kept_file = |name: &str| run.join(format!("evaluation/{name}.json"));
    let unknown = stored.replacen(&format!("  \"data\": {},\n", found["data"]), "", 1);
    assert_ne!(unknown, stored);
    for name in ["xtd-seen", "mine", "test"] {
        fs::write(kept_file(name), &unknown).expect("written");
    }
    let does_not_say = |name: &str| format!("evaluation/{name}.json`: holds a result that does not say");
    refused(&again, 2, &[&does_not_say("xtd-seen"), "--name"]);
    refused(&["evaluate", text(&run), "--name", "mine"], 2, &[&does_not_say("mine")]);
    let fewer = "data.captions=[{languages=['en','de','zh'], files=['captions/{split}.1.{language}']}]";
    refused(&["evaluate", text(&run), "--set", fewer], 2, &[&does_not_say("test")]);
    assert_eq!(json(&["evaluate", text(&run), "--json"]), usual);
    fs::write(kept_file("xtd-seen"), &stored).expect("written");
    let beside = json(&[&again[..], &["--name", "changed"]].concat());
    assert_ne!(beside["data"], found["data"]);
    assert_eq!(fs::read_to_string(run.join("evaluation/xtd-seen.json")).expect("kept"), stored);
    let table = printed(&[&again[..5], &["seen", "-q", "--name", "changed"]].concat());
    assert!(table.contains("no picture of `changed` is in `train`"), "{table}");

    // Nothing of training or validation is needed, and languages are joined only where they can be fitted.
    for split in ["train", "val"] {
        fs::remove_file(root.join(format!("features/{split}.npy"))).expect("removed");
        fs::remove_file(root.join(format!("captions/{split}.1.de"))).expect("removed");
    }
    let set = format!("data.root={}", text(&root));
    let ran = crate::run(&["evaluate", text(&run), "--set", &set, "-v"]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("languages are not joined (CLC), which is fitted on `val`"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("were not compared with those of `train`"), "{}", ran.stdout);
    let unknown = ["evaluate", text(&run), "--split", "test_2017", "--set", &set];
    refused(&unknown, 4, &["features/test_2017.npy`: cannot be read"]);
    refused(&["evaluate", text(&run), "--split", "trian"], 2, &["did you mean `train`?"]);
    refused(&["evaluate", text(&run), "--split", "../up"], 2, &["a name is of letters"]);
}

#[test]
fn a_result_that_cannot_be_kept_is_printed_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    copy(&MADE.run(), &run);
    // A file where the folder should be: nobody, however privileged, can write into it.
    fs::remove_dir_all(run.join("evaluation")).expect("removed");
    fs::write(run.join("evaluation"), "").expect("written");
    let ran = crate::run(&["evaluate", text(&run), "--json"]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    let found: Value = serde_json::from_str(&ran.stdout).expect("whole JSON");
    assert!(found["A"].is_f64());
    for said in ["evaluation`: cannot be written", "the result is whole as printed, but was not kept"] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn a_language_learnt_from_translations_is_measured_by_captions_of_its_own() {
    let place = data();
    let (config, base) = (place.path().join("config.toml"), place.path().join("base"));
    let set = ["--set", "data.languages=['en','zh']", "--set", "train.epochs=1"];
    printed(&[&["train", text(&config), "--out", text(&base), "-q"][..], &set].concat());
    fs::remove_file(place.path().join("data/captions/train.2.de")).expect("removed");
    let add = |captions: &str, out: &str| {
        let file = place.path().join(format!("{out}.toml"));
        let text_of = format!(
            "[data]\nroot = 'data'\nlanguages = ['de']\nimage_ids = 'image_splits/{{split}}.txt'\n{captions}\
             [[grow.translations]]\nlanguage = 'en'\nknown = 'parallel/train.en'\nnew = 'parallel/train.de'\n\
             [grow]\ntop_k = 20\nword_width = 8\nepochs = 2\nleast_steps = 10\nimages = 12\nnegatives = 20\nalign = {{ epochs = 2 }}\n"
        );
        fs::write(&file, text_of).expect("written");
        let out = place.path().join(out);
        printed(&["add-language", text(&base), text(&file), "--out", text(&out), "-q"]);
        let record = fs::read_to_string(out.join("growth/de.json")).expect("a record");
        (out, serde_json::from_str::<Value>(&record).expect("JSON"))
    };
    for split in ["en", "de"] {
        let from = place.path().join(format!("data/captions/train.1.{split}"));
        fs::copy(from, place.path().join(format!("data/parallel/train.{split}"))).expect("copied");
    }
    let captions = "[[data.captions]]\nlanguages = ['de']\nfiles = ['captions/{split}.2.{language}']\nsplits = ['val', 'test']\n";
    let (_, bare) = add("", "unmeasured");
    let (grown, measured) = add(captions, "measured");
    let of = |growth: &Value, key: &str| {
        let results = growth["results"].as_array().expect("results");
        results.iter().find(|r| r["language"] == "de").expect("German")[key].clone()
    };
    assert_eq!(of(&bare, "after"), serde_json::json!([null, null]));
    assert!(of(&measured, "after")[0].is_f64() && of(&measured, "after")[1].is_f64(), "{measured}");
    assert_eq!((&measured["captions"], &measured["translations"]), (&0.into(), &60.into()));
    // The run has them too, so that it can be evaluated and grown again.
    let found = json(&["evaluate", text(&grown), "--json"]);
    assert_eq!(found["languages"]["de"]["mR"], of(&measured, "after")[1]);
    assert_eq!(found["languages"]["de"]["captions"], 20);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_told() {
    use std::io::Read;
    use std::process::Stdio;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("many.npy");
    fs::copy(MADE.gallery(), &file).expect("copied");
    tile(&file, 1000);
    let mut command = crate::tinyglot();
    command.args(["embed", text(&MADE.run()), "--images", text(&file)]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    // It has written its header and the first vectors, and waits for a reader of the rest.
    let mut out = child.stdout.take().expect("piped");
    out.read_exact(&mut [0; 128]).expect("a header");
    fs::OpenOptions::new().write(true).open(&file).expect("opened").set_len(4096).expect("cut");
    let _ = std::io::copy(&mut out, &mut std::io::sink());
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("many.npy`: became shorter while it was read"), "{said}");
}

/// Tables 3 and 4 of the paper: each picture has at least five sentences in every language to train on, and people's alone
/// in the languages that they wrote in are asked with.
#[test]
fn the_papers_configurations_have_its_training_set() {
    use tinyglot::config::{CaptionSplit, Config, Source};
    for name in ["smalr", "hem", "la"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/{name}-multi30k.toml"));
        let config = Config::load(&file, &[]).expect("a good configuration");
        let data = config.data();
        for language in &data.languages {
            let of = |split: CaptionSplit, source: Source| -> usize {
                let sources = data.captions.iter().filter(|s| s.languages.contains(language));
                sources
                    .filter(|s| s.splits.contains(&split) && s.source == source)
                    .map(|s| s.files.len())
                    .sum()
            };
            let (people, machine) =
                (of(CaptionSplit::Train, Source::Human), of(CaptionSplit::Train, Source::Machine));
            let expected = match language.as_str() {
                "en" => (5, 7),
                "de" => (5, 5),
                "fr" | "cs" => (1, 5),
                _ => (0, 5),
            };
            assert_eq!((people, machine), expected, "{name} {language}");
            for split in [CaptionSplit::Val, CaptionSplit::Test] {
                assert_eq!(of(split, Source::Human), people);
                assert_eq!(of(split, Source::Machine) > 0, people == 0, "{name} {language}");
            }
        }
    }
}
