//! `tinyglot sweep`: trials that share, fail, are killed and go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{data, refused};
use crate::{Ran, ended, printed, run, text, tinyglot};

/// A corpus, its configuration, and a sweep file.
pub fn place(sweep: &str) -> TempDir {
    let place = data();
    write(&place, sweep);
    place
}

fn write(place: &TempDir, sweep: &str) {
    fs::write(place.path().join("sweep.toml"), format!("base = 'config.toml'\n{sweep}")).expect("written");
}

pub fn arguments(place: &TempDir, more: &[&str]) -> Vec<String> {
    let (file, out) = (place.path().join("sweep.toml"), place.path().join("out"));
    let first = ["sweep", text(&file), "--out", text(&out)].map(String::from);
    first.into_iter().chain(more.iter().map(ToString::to_string)).collect()
}

pub fn sweep(place: &TempDir, more: &[&str]) -> Ran {
    let arguments = arguments(place, more);
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn went_well(ran: &Ran) {
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
}

pub fn rows(place: &TempDir) -> Vec<Value> {
    let text = fs::read_to_string(place.path().join("out/results.jsonl")).expect("results");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn trial(place: &TempDir, row: &Value) -> PathBuf {
    place.path().join("out/trials").join(row["id"].as_str().expect("an id"))
}

/// The cells of a table, which has as many in every row.
fn csv(text: &str) -> Vec<Vec<String>> {
    assert!(text.ends_with("\r\n"), "the last line has its end");
    let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.into_deserialize().map(|row| row.expect("a row")).collect()
}

#[test]
fn a_sweep_leaves_rows_a_page_and_runs_and_goes_on_with_added_axes() {
    let place = place("seeds = [0, 1]\nset = { train.epochs = 2 }\n[axes]\n'embedding.top_k' = [0, 20]\n");
    let ran = sweep(&place, &["--jobs", "2"]);
    went_well(&ran);
    assert!(ran.stderr.contains("4 trials, 0 done before"), "{}", ran.stderr);
    assert!(ran.stderr.contains("measuring what 4 packed models cost in use"), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("packed, MB       µs  memory, MB  val A  test A  front  trial"),
        "{}",
        ran.stdout
    );
    let rows_of = rows(&place);
    let names: Vec<_> =
        rows_of.iter().map(|row| (row["name"].as_str().unwrap(), row["seed"].as_u64().unwrap())).collect();
    let (la, hem) = ("embedding.top_k=0", "embedding.top_k=20");
    assert_eq!(names, [(la, 0), (la, 1), (hem, 0), (hem, 1)]);
    for row in &rows_of {
        assert_eq!((row["status"].as_str(), row["attempts"].as_u64()), (Some("done"), Some(1)), "{row}");
        assert!(row["test"]["A"].is_f64() && row["val"]["languages"]["zh"]["mR"].is_f64(), "{row}");
        assert!(row["parameters_train"].as_u64() > row["parameters_test"].as_u64());
        assert!(row["packed_bytes"].as_u64() > Some(0) && row["sentence_us"].as_f64() > Some(0.0), "{row}");
        assert_eq!(row["resident_bytes"].is_u64(), cfg!(target_os = "linux"), "{row}");
        let cost = fs::read_to_string(trial(&place, row).join("cost.json")).expect("what it costs");
        let cost: Value = serde_json::from_str(&cost).expect("JSON");
        assert_eq!(cost["sentence_us"], row["sentence_us"]);
        assert!(cost["sentences"].as_u64() > Some(10) && cost["open_ms"].as_f64() > Some(0.0), "{cost}");
        let model = trial(&place, row).join("run/checkpoints/best/model.safetensors");
        assert_eq!(row["bytes"].as_u64(), Some(fs::metadata(model).expect("a model").len()));
        assert!(
            row["seconds"].as_f64() > row["train_seconds"].as_f64()
                && row["train_seconds"].as_f64() > Some(0.0)
        );
        // A trial may end before its memory is looked at.
        assert!(row["peak_memory"].as_u64().is_none_or(|peak| peak > 1 << 20), "{row}");
    }

    // The CSV says the same.
    let table = csv(&fs::read_to_string(place.path().join("out/results.csv")).expect("a table"));
    let column =
        |name: &str| table[0].iter().position(|head| head == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(table.len(), 5);
    assert!(table.iter().all(|row| row.len() == table[0].len()));
    for (row, line) in rows_of.iter().zip(&table[1..]) {
        let number = |name: &str| line[column(name)].parse::<f64>().expect(name);
        assert_eq!(line[column("id")], row["id"].as_str().unwrap());
        assert_eq!(line[column("embedding.top_k")], row["axes"]["embedding.top_k"].as_str().unwrap());
        assert_eq!(Some(number("test.A")), row["test"]["A"].as_f64());
        assert_eq!(Some(number("sentence_us")), row["sentence_us"].as_f64());
        assert_eq!(Some(number("test.de.i2t.R@5")), row["test"]["languages"]["de"]["i2t"]["R@5"].as_f64());
        assert_eq!(
            Some(number("test.parallel.CLC-C.mR")),
            row["test"]["consistency"]["CLC-C"]["mR"].as_f64()
        );
    }

    // The page is the one that `report` makes from the results.
    let (out, page) = (place.path().join("out"), place.path().join("out/report.html"));
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains("4 trials, 4 done.") && html.contains("embedding.top_k=20: A "), "{html}");
    fs::remove_file(&page).expect("removed");
    assert_eq!(printed(&["report", text(&out)]), format!("{}\n", page.display()));
    assert_eq!(fs::read_to_string(&page).expect("a page"), html);
    printed(&["report", text(&out), "--by", "time"]);
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains(r#"id="by-time" type="radio" name="cost" checked"#), "{html}");
    // One that was not measured, as those of earlier programs, is measured alone.
    let removed = trial(&place, &rows_of[1]).join("cost.json");
    fs::remove_file(&removed).expect("removed");
    let again = sweep(&place, &[]);
    went_well(&again);
    assert!(again.stderr.contains("measuring what 1 packed models"), "{}", again.stderr);
    assert!(removed.exists());
    let mut rows_of = rows_of;
    rows_of[1] = rows(&place)[1].clone();
    fs::write(&removed, "{\"sentence_us\": \"fast\"}").expect("written");
    let broken = sweep(&place, &[]);
    assert_eq!(broken.status, Some(4), "{}", broken.stderr);
    assert!(broken.stderr.contains("cost.json`:1: is not what a model costs"), "{}", broken.stderr);
    fs::remove_file(&removed).expect("removed");
    went_well(&sweep(&place, &[]));
    rows_of[1] = rows(&place)[1].clone();

    // A table of models, the sweep's and a run under a name: the seeds of a model are one row.
    let (alone, file) = (trial(&place, &rows_of[2]).join("run"), place.path().join("models.csv"));
    let alone = format!("alone={}", alone.display());
    let figures = ["--figures", "recall/test/A,recall/test/mR/*"];
    let shown = printed(&[&["report", text(&out), &alone][..], &figures].concat());
    let a = |n: usize| rows_of[n]["test"]["A"].as_f64().expect("A");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].contains("| recall/test A | recall/test mR en | recall/test mR de | recall/test mR zh |"),
        "{shown}"
    );
    assert!(lines[2].starts_with(&format!("| {la} | 0 1 |")), "{shown}");
    assert!(lines[2].contains(&format!("{:.1} ± ", (a(0) + a(1)) / 2.0)), "{shown}");
    assert!(lines[4].starts_with("| alone | 0 |") && lines[4].contains(&format!("{:.1}", a(2))), "{shown}");
    assert!(shown.contains("\n- recall/test: 20 pictures"), "{shown}");
    printed(&["report", text(&out), &alone, "--table", text(&file)]);
    let models = fs::read_to_string(&file).expect("a table");
    let column = models.lines().next().expect("a head").split(',').position(|name| name == "recall/test/A");
    let values: Vec<f64> = models
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(column.expect("A")).expect("a cell").parse().expect("a number"))
        .collect();
    assert_eq!(values, [a(0), a(1), a(2), a(3), a(2)]);
    refused(
        &["report", text(&out), &alone, "--figures", "recall/test/B"],
        2,
        &["no run has a figure", "recall/test/A"],
    );

    // Again does nothing, and a value more trains that alone.
    let ran = sweep(&place, &[]);
    went_well(&ran);
    assert!(ran.stderr.contains("4 trials, 4 done before"), "{}", ran.stderr);
    assert_eq!(rows(&place), rows_of);
    write(&place, "seeds = [0]\nset = { train.epochs = 2 }\n[axes]\n'embedding.top_k' = [0, 10, 20]\n");
    let ran = sweep(&place, &[]);
    went_well(&ran);
    assert!(ran.stderr.contains("3 trials, 2 done before"), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 trials that the sweep no longer has are kept"), "{}", ran.stderr);
    let more = rows(&place);
    assert_eq!([&more[0], &more[2]], [&rows_of[0], &rows_of[2]]);
    assert_eq!(more[1]["name"], "embedding.top_k=10");
}

#[test]
fn a_trial_that_cannot_be_packed_leaves_nothing_of_its_packing() {
    let place = place("seeds = [0]\n");
    let listed = sweep(&place, &["--dry-run"]);
    let id = listed.stdout.lines().nth(1).and_then(|line| line.split_whitespace().nth(1)).expect("an id");
    // As an earlier attempt may have left it, and `pack` does not overwrite.
    let packed = place.path().join("out/trials").join(id).join("packed");
    fs::create_dir_all(packed.join("words")).expect("a folder");
    fs::write(packed.join("words/left"), "").expect("written");
    went_well(&sweep(&place, &[]));
    let row = &rows(&place)[0];
    assert_eq!((row["id"].as_str(), row["status"].as_str()), (Some(id), Some("done")));
    assert!(row["packed_bytes"].is_null() && !packed.exists(), "{row}");
}

#[test]
fn a_trial_is_bit_for_bit_the_plain_training_and_shares_what_it_can() {
    let place = place("[axes]\n'embedding.top_k' = [0, 20]\n'embedding.latents' = [30, 10]\n");
    went_well(&sweep(&place, &["--jobs", "2"]));
    let kept = fs::read_dir(place.path().join("out/cache")).expect("a cache");
    let mut kept: Vec<String> = kept
        .map(|file| {
            file.expect("a file").path().extension().expect("an ending").to_string_lossy().into_owned()
        })
        .collect();
    kept.sort();
    let sums = kept.iter().filter(|ending| *ending == "crc32").count();
    kept.retain(|ending| ending != "crc32");
    assert_eq!(sums, kept.len(), "each has its checksum beside it");
    assert_eq!(
        kept,
        ["alignment", "bin", "bin", "bin", "latents", "latents"],
        "one for all, one for each size"
    );
    for row in rows(&place) {
        let (config, plain) =
            (place.path().join("config.toml"), place.path().join(row["id"].as_str().unwrap()));
        let sets: Vec<String> = row["axes"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap()))
            .collect();
        printed(&[
            "train",
            text(&config),
            "--out",
            text(&plain),
            "-q",
            "--threads",
            "2",
            "--set",
            &sets[0],
            "--set",
            &sets[1],
        ]);
        assert_same(&trial(&place, &row).join("run"), &plain);
    }
}

fn assert_same(one: &Path, other: &Path) {
    for file in [
        "checkpoints/latest/model.safetensors",
        "checkpoints/latest/optimizer.safetensors",
        "checkpoints/best/model.safetensors",
        "words/lexicon.json",
        "words/scorer.safetensors",
        "words/de.bin",
    ] {
        let bytes = |run: &Path| fs::read(run.join(file)).expect(file);
        assert!(bytes(one) == bytes(other), "{file} differs");
    }
}

/// Starts a sweep and waits until each of its trials has trained a while.
fn at_work(place: &TempDir, trials: usize) -> Child {
    let child = tinyglot()
        .args(arguments(place, &["--jobs", "2"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let start = Instant::now();
    let begun = || {
        let folders = fs::read_dir(place.path().join("out/trials")).into_iter().flatten().flatten();
        folders.filter(|folder| folder.path().join("run/metrics.jsonl").exists()).count()
    };
    while begun() < trials && start.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(begun(), trials);
    child
}

const LONG: &str = "set = { train.epochs = 60 }\n[axes]\n'embedding.top_k' = [0, 20]\n";

fn plain(place: &TempDir) {
    for row in rows(place) {
        let (config, plain) =
            (place.path().join("config.toml"), place.path().join(row["id"].as_str().unwrap()));
        let top_k = format!("embedding.top_k={}", row["axes"]["embedding.top_k"].as_str().unwrap());
        printed(&[
            "train",
            text(&config),
            "--out",
            text(&plain),
            "-q",
            "--set",
            "train.epochs=60",
            "--set",
            &top_k,
        ]);
        assert_same(&trial(place, &row).join("run"), &plain);
    }
}

#[test]
fn a_killed_sweep_goes_on_to_the_same_weights() {
    let place = place(LONG);
    let mut child = at_work(&place, 2);
    child.kill().expect("killed");
    child.wait().expect("an end");
    for state in states(&place) {
        assert_eq!(state["status"], "running");
    }
    let ran = sweep(&place, &["--jobs", "2"]);
    went_well(&ran);
    for row in rows(&place) {
        assert_eq!((row["status"].as_str(), row["attempts"].as_u64()), (Some("done"), Some(2)), "{row}");
        let log = fs::read_to_string(trial(&place, &row).join("run/run.log")).expect("a log");
        assert!(log.contains("going on after step "), "{log}");
    }
    plain(&place);
}

#[cfg(unix)]
#[test]
fn ctrl_c_lets_trials_save_and_the_sweep_goes_on() {
    let place = place(LONG);
    let child = at_work(&place, 2);
    let sent = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(sent.expect("the command `kill`").success());
    let ran = ended(child.wait_with_output().expect("an end"));
    assert_eq!(ran.status, Some(130), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("interrupted with 0 of 2 trials done\nhint: the same command goes on"),
        "{}",
        ran.stderr
    );
    for state in states(&place) {
        assert_eq!((state["status"].as_str(), state["error"].as_str()), (Some("pending"), None));
    }
    went_well(&sweep(&place, &["--jobs", "2"]));
    plain(&place);
}

fn states(place: &TempDir) -> Vec<Value> {
    let folders = fs::read_dir(place.path().join("out/trials")).expect("trials");
    let read = |folder: PathBuf| fs::read_to_string(folder.join("trial.json")).expect("a state");
    folders
        .map(|folder| serde_json::from_str(&read(folder.expect("a folder").path())).expect("JSON"))
        .collect()
}

#[test]
fn a_trial_that_fails_is_tried_again_and_takes_no_other_along() {
    let broken =
        "[[variants]]\nname = 'broken'\nset = { train.learning_rate = 1e30 }\n[[variants]]\nname = 'good'\n";
    let place = place(broken);
    let ran = sweep(&place, &["--jobs", "1"]);
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.stderr.contains("it is tried again") && ran.stderr.contains("it is given up"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("1 of 2 trials failed\nhint: `results.csv` says why"), "{}", ran.stderr);
    let found = rows(&place);
    assert_eq!((found[0]["status"].as_str(), found[0]["attempts"].as_u64()), (Some("failed"), Some(2)));
    assert!(
        found[0]["error"].as_str().expect("a reason").contains("lower `train.learning_rate`"),
        "{}",
        found[0]
    );
    assert_eq!(found[1]["status"], "done");
    assert!(fs::read_to_string(place.path().join("out/report.html")).expect("a page").contains("1 failed"));
    // The next start tries it anew; with `--fail-fast` nothing else is begun.
    write(&place, &format!("{broken}[[variants]]\nname = 'late'\nset = {{ train.epochs = 1 }}\n"));
    let ran = sweep(&place, &["--jobs", "1", "--retries", "0", "--fail-fast"]);
    assert_eq!(ran.status, Some(1));
    let found = rows(&place);
    assert_eq!((found[0]["attempts"].as_u64(), found[2]["status"].as_str()), (Some(3), Some("pending")));
}

#[test]
fn an_axis_that_names_no_key_is_refused_before_anything_is_done() {
    let place = place("[axes]\n'embedding.topk' = [0, 20]\n");
    let arguments = arguments(&place, &[]);
    let said = "sweep.toml`:3: unknown key `axes.embedding.topk`; did you mean `embedding.top_k`?";
    refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 3, &[said]);
    assert!(!place.path().join("out").exists());
}

#[test]
fn a_state_that_is_broken_is_named() {
    let place = place("set = { train.epochs = 1 }");
    went_well(&sweep(&place, &[]));
    let state = trial(&place, &rows(&place)[0]).join("trial.json");
    fs::write(&state, "{\"version\": 1}").expect("written");
    let arguments = arguments(&place, &[]);
    refused(
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        4,
        &["trial.json`:1: not the state of a trial: missing field `id`", "hint: remove `"],
    );
}

#[test]
fn halving_drops_the_worse_trials_and_trains_the_best_as_ever() {
    let axes = "[axes]\n'embedding.top_k' = [0, 10, 20, 30]\n";
    let halving = "[halving]\nrungs = [1, 2]\nkeep = 0.5\n";
    let place = place(&format!("set = {{ train.epochs = 4 }}\n{axes}{halving}"));
    let ran = sweep(&place, &["--jobs", "2"]);
    went_well(&ran);
    assert!(ran.stderr.contains("after epoch 1, 2 of 4 trials go on"), "{}", ran.stderr);
    assert!(ran.stderr.contains("after epoch 2, 1 of 2 trials go on"), "{}", ran.stderr);
    let found = rows(&place);
    let rungs = |row: &Value| {
        row["rungs"].as_array().expect("rungs").iter().filter_map(Value::as_f64).collect::<Vec<_>>()
    };
    let mut lengths: Vec<_> = found.iter().map(|row| rungs(row).len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 1, 2, 2]);
    let done: Vec<&Value> = found.iter().filter(|row| row["status"] == "done").collect();
    let [winner] = done[..] else { panic!("{found:?}") };
    for row in found.iter().filter(|row| row["status"] != "done") {
        assert_eq!((row["status"].as_str(), row["test"].is_null()), (Some("dropped"), true));
        assert!(row["parameters_train"].as_u64() > Some(0));
        let last = rungs(row).len() - 1;
        let rival =
            found.iter().filter(|other| rungs(other).len() > last + 1).map(|other| rungs(other)[last]);
        assert!(rival.chain([rungs(winner)[last]]).all(|score| score >= rungs(row)[last]), "{found:?}");
    }
    let (config, plain) = (place.path().join("config.toml"), place.path().join("plain"));
    let top_k = format!("embedding.top_k={}", winner["axes"]["embedding.top_k"].as_str().unwrap());
    printed(&[
        "train",
        text(&config),
        "--out",
        text(&plain),
        "-q",
        "--set",
        "train.epochs=4",
        "--set",
        &top_k,
    ]);
    assert_same(&trial(&place, winner).join("run"), &plain);
    went_well(&sweep(&place, &[]));
    assert_eq!(rows(&place), found, "again decides as before and does nothing");

    write(&place, &format!("set = {{ train.epochs = 2 }}\n{axes}{halving}"));
    let ran = sweep(&place, &[]);
    assert_eq!(ran.status, Some(3));
    assert!(
        ran.stderr.contains("ends after 2 epochs, with a rung after 2\nhint: `halving.rungs`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn trials_wait_for_memory_and_those_that_cannot_fit_are_refused() {
    let place = place("set = { train.epochs = 1 }\n[axes]\n'embedding.top_k' = [0, 20]\n");
    let few = arguments(&place, &["--memory", "0.02"]);
    let said =
        ["`embedding.top_k=0, seed 0` needs about 0.1 GB of memory", "(and 1 others likewise)", "hint: "];
    refused(&few.iter().map(String::as_str).collect::<Vec<_>>(), 3, &said);
    assert!(!place.path().join("out").exists(), "nothing was begun");
    let ran = sweep(&place, &["--memory", "0.08", "--jobs", "2"]);
    went_well(&ran);
    let events: Vec<&str> = ran
        .stderr
        .lines()
        .filter_map(|line| {
            if line.ends_with(" begins") || line.contains(") begins") {
                Some("begins")
            } else if line.contains(" is done: ") {
                Some("done")
            } else {
                None
            }
        })
        .collect();
    assert_eq!(events, ["begins", "done", "begins", "done"], "{}", ran.stderr);
}

#[test]
fn a_dry_run_says_what_is_known() {
    let place = place("seeds = [0, 1]\nset = { train.epochs = 1 }");
    let list = || {
        let arguments = arguments(&place, &["--dry-run"]);
        let ran = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        went_well(&ran);
        let lines = ran.stdout.lines().map(|line| line.split_whitespace().map(String::from).collect());
        (lines.collect::<Vec<Vec<String>>>(), ran.stderr)
    };
    let (before, said) = list();
    assert!(said.contains("times with ~ are guessed"), "{said}");
    let parameters: u64 = before[1][3].parse().expect("a number");
    assert_eq!(before[1][2..7], ["pending", &before[1][3], &before[1][4], "0.1", "GB"]);
    let updates: usize = before[1][7].parse().expect("a number");
    assert!(updates > 0 && before[1][8].starts_with('~'), "{before:?}");
    assert_eq!(before[1][before[1].len() - 3..], ["sweep,", "seed", "0"]);
    went_well(&sweep(&place, &["--index", "0"]));
    let (after, said) = list();
    assert!(said.contains(" left, "), "{said}");
    assert_eq!((after[1][2].as_str(), after[2][2].as_str()), ("done", "pending"));
    let exact = rows(&place)[0]["parameters_train"].as_u64().expect("a number");
    assert_eq!(after[2][3], exact.to_string(), "that of the other seed");
    assert!(parameters >= exact && parameters < exact + exact / 5, "{parameters} {exact}");
    assert!(!after[2].iter().any(|said| said == "–" || said.starts_with('~')), "{after:?}");
    // The guess was of the trained steps.
    let state = std::fs::read_to_string(
        place.path().join("out/trials").join(&after[1][1]).join("run/checkpoints/latest/state.json"),
    );
    let state: serde_json::Value = serde_json::from_str(&state.expect("a state")).expect("JSON");
    assert_eq!(state["step"], updates);
}

#[test]
fn trials_are_measured_further_and_compared_by_any_figure() {
    let measured = "by = 'sts/pairs/spearman/en'\nevaluate = [['--task', 'sts', '--sts', 'en=pairs.csv']]\n";
    let rest = "set = { train.epochs = 2 }\n[axes]\n'embedding.top_k' = [0, 20]\n[halving]\nrungs = [1]\nkeep = 0.5\n";
    let place = place(&format!("{measured}{rest}"));
    let pairs = "a red circle,two blue squares,1\na red circle,a red square,4\na green star,a green star at night,5\n\
                 three boats,a yellow moon,0.5\na blue circle,a red circle,3\n";
    fs::write(place.path().join("pairs.csv"), pairs).expect("written");
    let ran = sweep(&place, &[]);
    went_well(&ran);
    assert!(ran.stderr.contains("after epoch 1, 1 of 2 trials go on"), "{}", ran.stderr);
    let rows = rows(&place);
    let of = |status: &str| rows.iter().find(|row| row["status"] == status).expect("a trial");
    let (done, dropped) = (of("done"), of("dropped"));
    // The better one at the rung by this figure went on, and both have it among all of theirs.
    assert!(done["rungs"][0].as_f64() >= dropped["rungs"][0].as_f64(), "{rows:?}");
    for row in [done, dropped] {
        assert_eq!((&row["by"], &row["chosen"]["of"]), (&"sts/pairs/spearman/en".into(), &row["by"]));
        assert_eq!(row["chosen"]["value"], row["figures"]["sts/pairs/spearman/en"]);
        assert!(row["figures"]["sts/pairs/pearson/en"].is_f64(), "{row}");
        assert!(row["figures"].as_object().expect("figures").keys().all(|of| !of.starts_with("recall/test")));
    }
    assert_eq!(dropped["rungs"][0], dropped["chosen"]["value"]);
    let table = csv(&fs::read_to_string(place.path().join("out/results.csv")).expect("a table"));
    assert!(table[0].contains(&"sts/pairs/pearson/en".to_string()), "{:?}", table[0]);
    assert!(ran.stdout.contains("test A  front  sts/pairs/spearman/en  trial"), "{}", ran.stdout);
    let page = fs::read_to_string(place.path().join("out/report.html")).expect("a page");
    assert!(
        page.contains("The best sts/pairs/spearman/en is that of") && page.contains("Further figures"),
        "{page}"
    );

    // Rungs that were compared by one figure are not mixed with those of another.
    write(&place, rest);
    let ran = sweep(&place, &[]);
    assert_eq!(ran.status, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("was compared by `sts/pairs/spearman/en`"), "{}", ran.stderr);
    write(&place, &format!("evaluate = [['--tsk', 'sts']]\n{rest}"));
    let ran = sweep(&place, &[]);
    assert_eq!(ran.status, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("`evaluate` holds `--tsk sts`"), "{}", ran.stderr);

    // What is done is measured by what comes to the sweep later, without more training.
    let one = "set = { train.epochs = 1 }\nseeds = [0]\n";
    write(&place, one);
    let more = ["--out", text(&place.path().join("later"))].map(String::from);
    let again = || {
        let first = ["sweep".to_string(), text(&place.path().join("sweep.toml")).to_string()];
        let all: Vec<String> = first.into_iter().chain(more.clone()).collect();
        run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    went_well(&again());
    let before = fs::read_to_string(place.path().join("later/results.jsonl")).expect("results");
    write(&place, &format!("{measured}{one}"));
    let ran = again();
    went_well(&ran);
    assert!(ran.stderr.contains("1 trials, 0 done before"), "{}", ran.stderr);
    let results = fs::read_to_string(place.path().join("later/results.jsonl")).expect("results");
    let [before, after]: [Value; 2] =
        [before, results].map(|text| serde_json::from_str(text.trim()).expect("JSON"));
    assert_eq!((&before["train_seconds"], &before["test"]), (&after["train_seconds"], &after["test"]));
    assert!(before["figures"].is_null() && after["figures"]["sts/pairs/spearman/en"].is_f64(), "{after}");
    assert!(again().stderr.contains("1 trials, 1 done before"));
    // A figure that is not there is told with those that are.
    write(&place, &format!("{}{one}", measured.replace("spearman/en", "spearman/de")));
    let ran = again();
    assert!(ran.stderr.contains("1 trials, 1 done before"), "{}", ran.stderr);
}
