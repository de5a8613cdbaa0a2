//! Evaluation by named tasks, on every family; what is kept of them; and the metric that chooses a checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tinyglot::Result;
use tinyglot::corpus::{Features, PictureSource};
use tinyglot::retrieve::{Embedding, Gallery, search};

use crate::acquisition::{write, write_tower};
use crate::benchmarks;
use crate::corpus::{CONFIG, MADE, copy, data, refused};
use crate::{printed, run, text, without_checksum};

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(arguments)).expect("JSON")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("read")).expect("JSON")
}

/// A copy of the run, to write to.
fn copied() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let run = folder.path().join("run");
    copy(&MADE.run(), &run);
    (folder, run)
}

/// Two classes for the pictures of a file, and their options.
fn classes(place: &Path, images: &Path, names: &str) -> Vec<String> {
    let rows = Features::open(&[images.to_path_buf()]).expect("features").rows();
    let labels: String = (0..rows).map(|n| format!("{}\n", n % 2)).collect();
    let [classes, answers] = ["classes.txt", "labels.txt"].map(|name| place.join(name));
    fs::write(&classes, names).expect("written");
    fs::write(&answers, labels).expect("written");
    let options = ["--language", "de", "--classes", text(&classes), "--images", text(images), "--labels"];
    options.iter().map(ToString::to_string).chain([text(&answers).to_string()]).collect()
}

/// Every task in one call, kept under its name, and a search joined by what it has fitted. `parallel`: one sentence for each of the images in
/// every `{language}`.
fn all_tasks(run: &Path, images: &Path, names: &str, parallel: &str) -> Value {
    let place = TempDir::new().expect("a folder");
    let mut options = classes(place.path(), images, names);
    let labelled = options.clone();
    options.extend(benchmarks::options(place.path(), images, parallel));
    let labels = place.path().join("labels.txt");
    options.extend(["--train-images", text(images), "--train-labels", text(&labels)].map(String::from));
    let labelled: Vec<&str> = labelled.iter().map(String::as_str).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let arguments = [&["evaluate", text(run), "--task", "all", "--json"], &options[..]].concat();
    // Of few sentences SVCCA is too high, which is told.
    let ran = crate::run(&arguments);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let all: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let kept = [
        ("recall", "test"),
        ("consistency", "consistency/test"),
        ("classification", "classification/test-de"),
        ("bitext", "bitext/test"),
        ("sts", "sts/sts"),
        ("galleries", "galleries/galleries"),
        ("probe", "probe/test-de"),
        ("nli", "nli/xnli"),
        ("space", "space/test"),
        ("cxc", "cxc/cxc-test"),
    ];
    let tasks = kept.map(|(task, _)| task);
    assert_eq!(all.as_object().expect("results").keys().collect::<Vec<_>>(), tasks, "nothing is left out");
    for (task, kept) in kept {
        let result = &all[task];
        assert_eq!(result["task"], *task);
        let of = if task == "sts" { "× 100" } else { "percent" };
        assert!(result["protocol"].as_str().is_some_and(|said| said.contains(of)), "{result}");
        let metrics = result["metrics"].as_array().expect("metrics");
        assert!(
            metrics.iter().all(|m| m["value"].is_f64() && m["higher_is_better"].is_boolean()),
            "{result}"
        );
        assert!(metrics.len() > 1, "{result}");
        let kept = read(&run.join(format!("evaluation/{kept}.json")));
        assert_eq!(&kept, if task == "recall" { &result["details"] } else { result }, "{task}");
    }
    assert_eq!(
        json(&[&["classify", text(run), "--json"], &labelled[..]].concat()),
        all["classification"]["details"]["languages"][0]["accuracy"]
    );
    let joined = all["consistency"]["details"]["by_language"]["joined"].as_array().expect("languages");
    let codes: Vec<&str> = joined.iter().filter_map(Value::as_str).collect();
    let codes = codes.join(",");
    let search =
        ["search", text(run), "--gallery", text(images), "--join", "clc-c", "-k", "2", "--language", &codes];
    // A model that was trained for a moment may score nothing above 0, which is told.
    let found = crate::run(&[&search[..], &vec!["rot"; joined.len()]].concat());
    assert_eq!((found.status, found.stdout.lines().count()), (Some(0), 3), "{}", found.stderr);
    all
}

#[test]
fn every_family_has_every_task() {
    let (_folder, words) = copied();
    let all = all_tasks(
        &words,
        &MADE.gallery(),
        "Kreis\nQuadrat\n",
        text(&MADE.path("data/parallel/test.{language}")),
    );
    assert_eq!(all["consistency"]["details"]["consistency"]["queries"], 20);

    // Captions that are parallel to those of other languages: what they find alone is known.
    let place = TempDir::new().expect("a folder");
    let acquired = write(place.path());
    let tower = write_tower(place.path());
    let images = place.path().join("data/features/test.npy");
    let parallel = "data.parallel='{split}.{language}'";
    let all_languages = "data.languages=['en','de','fr']";
    let captions = "data.captions=[{languages=['en','de','fr'],files=['{split}.{language}']}]";
    let few = ["acquire.nlt.epochs=2", "acquire.le.epochs=2"];
    for (config, name, sets) in [
        (&tower, "tower", vec![parallel, all_languages, captions, "train.epochs=3", "consistency.hidden=8"]),
        (&acquired, "mla", [&[parallel, "consistency.hidden=8"], &few[..]].concat()),
    ] {
        let out = place.path().join(name);
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        printed(&[&["train", text(config), "--out", text(&out), "--quiet"], &sets[..]].concat());
        // Training fits the joining by the settings of `consistency`, as for words.
        let fitted = fs::read(out.join("consistency.json")).expect("training fits it");
        assert_eq!(read(&out.join("consistency.json"))["fitted"]["network"]["hidden"], 8, "{name}");
        let all = all_tasks(&out, &images, "rot\nblau\n", text(&place.path().join("data/test.{language}")));
        assert_eq!(fs::read(out.join("consistency.json")).expect("kept"), fitted, "the same again");
        let [recall, joint] = ["recall", "consistency"].map(|task| &all[task]["details"]);
        assert_eq!(
            (&joint["by_language"]["fitted"], &joint["consistency"]["queries"]),
            (&12.into(), &24.into())
        );
        for language in ["en", "de", "fr"] {
            assert_eq!(joint["consistency"]["languages"][language], recall["languages"][language], "{name}");
            let one = &joint["by_language"]["languages"][language];
            assert_eq!(one["alone"], recall["languages"][language], "{name}");
            assert_eq!(one["CLC-C"], joint["consistency"]["CLC-C"], "{name}");
        }
        let page = fs::read_to_string(printed(&["report", text(&out)]).trim()).expect("a page");
        assert!(page.contains("The same query in several languages"), "{name}");
        assert!(page.contains("Task classification (test-de)") && page.contains("top-5"), "{name}");
    }
}

#[test]
fn pictures_are_classified_by_names_in_many_languages_at_once() {
    let (_folder, run_) = copied();
    let place = TempDir::new().expect("a folder");
    let images = MADE.gallery();
    let one = classes(place.path(), &images, "Kreis\nQuadrat\n");
    for (code, names) in [("deu", "Kreis\nQuadrat\n"), ("en", "circle\nsquare\n"), ("sw", "a\nb\n")] {
        fs::write(place.path().join(format!("names.{code}.txt")), names).expect("written");
    }
    fs::write(place.path().join("groups.toml"), "seen = ['de']\nall = ['en', 'de']\n").expect("written");
    let path = |name: &str| text(&place.path().join(name)).to_string();
    let (names, groups, clip) = (path("names.{language}.txt"), path("groups.toml"), path("clip"));
    let labels = path("labels.txt");
    let several = ["--classes", &names, "--images", text(&images), "--labels", &labels];
    let task = ["evaluate", text(&run_), "--task", "classification", "--json", "--groups", &groups];
    let ran = crate::run(&[&task[..], &several, &["--clip-benchmark", &clip]].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("`sw` is passed over"), "{}", ran.stderr);
    let all: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let result = &all["classification"];
    fs::remove_file(path("names.sw.txt")).expect("removed");
    // Each language is what it is alone.
    let one: Vec<&str> = one.iter().map(String::as_str).collect();
    let alone = json(&[&["classify", text(&run_), "--json"], &one[..]].concat());
    let together = json(&[&["classify", text(&run_), "--json"], &several[..]].concat());
    assert_eq!(together["de"], alone);
    let metric = |of: &str| {
        let all = result["metrics"].as_array().expect("metrics");
        let found = all.iter().find(|m| m["name"] == "top-1" && m["language"] == of);
        found.and_then(|m| m["value"].as_f64()).expect("a figure")
    };
    let [en, de] = ["en", "de"].map(|code| together[code]["top-1"].as_f64().expect("a figure"));
    for (of, value) in
        [("en", en), ("de", de), ("mean", (en + de) / 2.0), ("seen", de), ("all", (en + de) / 2.0)]
    {
        assert!((metric(of) - value).abs() < 1e-9, "{of}: {result}");
    }
    // The matrix lies beside it: the rows of a class are its pictures, the diagonal are those that are right.
    let sheet =
        fs::read_to_string(run_.join("evaluation/classification/test.confusion.csv")).expect("a matrix");
    let rows: Vec<Vec<&str>> = sheet.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["language", "class", "circle", "square"]);
    let number = |cell: &str| cell.parse::<f64>().expect("a number");
    let german: Vec<f64> = rows[3..].iter().map(|row| number(row[2]) + number(row[3])).collect();
    assert_eq!((rows.len(), rows[3][0], &german[..]), (5, "de", &[10.0, 10.0][..]));
    assert!((100.0 * (number(rows[3][2]) + number(rows[4][3])) / 20.0 - de).abs() < 1e-9, "{sheet}");
    for code in ["en", "de"] {
        let name = |name: &str| name.ends_with(&format!("_{code}_zeroshot_classification.json"));
        let files = fs::read_dir(&clip).expect("a folder").map(|file| file.expect("a file").file_name());
        assert_eq!(files.filter(|file| file.to_str().is_some_and(name)).count(), 1);
    }
    let page = fs::read_to_string(printed(&["report", text(&run_)]).trim()).expect("a page");
    assert!(page.contains("most often taken for others") && page.contains("means are over languages"));
    let without = ["--classes", one[3], "--images", text(&images), "--labels", &labels];
    refused(
        &[&["classify", text(&run_)], &without[..]].concat(),
        2,
        &["does not say its language", "--language"],
    );
}

#[test]
fn what_the_data_do_not_allow_is_left_out_and_told() {
    let (_folder, run_) = copied();
    let ran = run(&["evaluate", text(&run_), "--task", "all", "--split", "val", "--json"]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let all: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(all.as_object().expect("results").keys().collect::<Vec<_>>(), ["recall", "left_out"]);
    for (task, why) in [("consistency", "fitted on `val`"), ("classification", "no pictures with classes")] {
        assert!(all["left_out"][task].as_str().is_some_and(|said| said.contains(why)), "{all}");
        assert!(ran.stderr.contains(&format!("`{task}` is left out: ")), "{}", ran.stderr);
    }
    let evaluate = |more: &[&'static str]| {
        [&["evaluate", text(&run_)], more].concat().iter().map(|s| s.to_string()).collect::<Vec<_>>()
    };
    let refuse = |more: &[&'static str], status: i32, said: &[&str]| {
        let arguments = evaluate(more);
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), status, said);
    };
    refuse(
        &["--task", "consistency", "--split", "val"],
        2,
        &["the task `consistency` cannot be run: joining is fitted"],
    );
    refuse(&["--task", "consistency", "--set", "data.parallel=''"], 3, &["data.parallel"]);
    refuse(&["--task", "classification"], 2, &["cannot be run: no pictures with classes"]);
    refuse(&["--task", "recal"], 2, &["recall", "consistency", "classification", "all"]);
    refuse(&["--classes", "a.txt"], 2, &["--images <FILE>", "--labels <FILE>"]);
    // One task alone leaves the results of others as they are.
    let before = fs::read(run_.join("evaluation/val.json")).expect("kept");
    let one = json(&["evaluate", text(&run_), "--task", "consistency", "--name", "apart", "--json"]);
    assert_eq!(one["consistency"]["details"]["consistency"]["queries"], 20);
    assert!(run_.join("evaluation/consistency/apart.json").is_file());
    assert!(!run_.join("evaluation/apart.json").exists());
    assert_eq!(fs::read(run_.join("evaluation/val.json")).expect("kept"), before);
    // Other captions do not overwrite it.
    let fewer = "data.captions=[{languages=['en','de','zh'], files=['captions/{split}.1.{language}']}]";
    refuse(
        &["--task", "consistency", "--name", "apart", "--set", fewer],
        2,
        &["evaluation/consistency/apart.json`: holds the result on other captions"],
    );
    let page = fs::read_to_string(printed(&["report", text(&run_)]).trim()).expect("a page");
    assert!(page.contains("Task consistency (apart)") && page.contains("parallel.CLC-C"));
}

#[test]
fn results_of_earlier_programs_are_read() {
    let (_folder, run) = copied();
    // They kept all of an evaluation in one file.
    let whole = printed(&["evaluate", text(&run), "--json"]);
    fs::remove_dir_all(run.join("evaluation/consistency")).expect("removed");
    fs::write(run.join("evaluation/test.json"), &whole).expect("written");
    fs::create_dir(run.join("classification")).expect("a folder");
    let earlier = r#"{ "name": "old-de", "language": "de", "templates": 3, "data": "ab", "accuracy":
        { "images": 9, "classes": 6, "top-1": 33.25, "top-5": 87.5 } }"#;
    fs::write(run.join("classification/old-de.json"), earlier).expect("written");
    let page = || fs::read_to_string(printed(&["report", text(&run)]).trim()).expect("a page");
    let shown = page();
    for said in [
        "Recall in percent of 20 parallel queries",
        "Task classification (old-de)",
        "33.2",
        "mean of its 3 prompts",
    ] {
        assert!(shown.contains(said), "`{said}` is not on the page");
    }
    // Measured again, each task has a file of its own, and says the same.
    assert_eq!(printed(&["evaluate", text(&run), "--json"]), whole);
    let kept = read(&run.join("evaluation/test.json"));
    assert_eq!((&kept["by_language"], &kept["consistency"]), (&Value::Null, &Value::Null));
    assert!(page().contains("Recall in percent of 20 parallel queries"));
    // What is of other captions is not put beside it.
    let (file, data) = (run.join("evaluation/test.json"), kept["data"].as_str().expect("a hash"));
    let text_of = fs::read_to_string(&file).expect("kept");
    fs::write(&file, text_of.replacen(data, &"0".repeat(64), 1)).expect("written");
    let shown = page();
    assert!(!shown.contains("20 parallel queries over") && shown.contains("Task consistency (test)"));
    fs::write(&file, text_of).expect("written");
    // What is broken is named.
    let file = run.join("evaluation/consistency/test.json");
    let good = fs::read_to_string(&file).expect("kept");
    for (bad, said) in [
        (
            good.replacen("\"task\": \"consistency\"", "\"task\": \"recall\"", 1),
            "is a result of `recall`, in the folder of",
        ),
        (good.replacen("\"by_language\"", "\"by_tongue\"", 1), "is not a result of `consistency`"),
        (good[..good.len() / 2].to_string(), "not a result of `consistency`"),
    ] {
        assert_ne!(bad, good);
        fs::write(&file, bad).expect("written");
        refused(&["report", text(&run)], 4, &["consistency/test.json`", said, "tinyglot evaluate"]);
    }
    fs::write(&file, good).expect("written");
    fs::write(run.join("classification/old-de.json"), "{}").expect("written");
    refused(&["report", text(&run)], 4, &["classification/old-de.json`", "not a classification"]);
}

/// Pictures in memory, a source of another kind.
struct InMemory {
    rows: Vec<Vec<f32>>,
}

impl PictureSource for InMemory {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn width(&self) -> usize {
        self.rows[0].len()
    }

    fn copy_rows(&self, first: usize, out: &mut [f32]) {
        out.chunks_mut(self.width()).zip(&self.rows[first..]).for_each(|(out, row)| out.copy_from_slice(row));
    }

    fn place(&self, row: usize) -> (&Path, usize) {
        (Path::new("memory"), row)
    }

    fn hash_content(&self, _: &mut Sha256) -> Result<()> {
        Ok(())
    }
}

#[test]
fn pictures_of_any_source_are_searched() {
    let run = tinyglot::run::open(&MADE.run(), &[]).expect("a run");
    let features = Features::open(&[MADE.gallery()]).expect("features");
    let mut rows = vec![vec![0.0; features.width()]; features.rows()];
    rows.iter_mut().enumerate().for_each(|(n, row)| features.copy_row(n, row));
    let source = InMemory { rows };
    let queries = run.sentences(1, &["ein roter Kreis", "ein blaues Quadrat"]).vectors;
    let expected = search(&Embedding { model: &*run, pictures: &features }, &queries, 5).expect("found");
    assert_eq!(search(&Embedding { model: &*run, pictures: &source }, &queries, 5).expect("found"), expected);
    assert_eq!(Gallery::new(&*run, &source).expect("a gallery").search(&queries, 5), expected);
    let other = InMemory { rows: vec![vec![1.0; 3]] };
    let refusal = run.check_pictures(&other).expect_err("another width").to_string();
    assert!(refusal.contains("`memory`: has rows of 3 numbers"), "{refusal}");
    let huge = InMemory { rows: vec![source.rows[0].clone(), vec![f32::MAX; features.width()]] };
    let refusal =
        search(&Embedding { model: &*run, pictures: &huge }, &queries, 5).expect_err("too large").to_string();
    assert!(refusal.contains("`memory`: row 1 (from 0) has a vector that is not finite"), "{refusal}");
}

/// The mean over the languages of some measure.
fn mean(languages: &Value, of: impl Fn(&Value) -> f64) -> f64 {
    let all = languages.as_object().expect("languages");
    all.values().map(of).sum::<f64>() / all.len() as f64
}

fn three(side: &Value) -> f64 {
    ["R@1", "R@5", "R@10"].iter().map(|name| side[name].as_f64().expect("a recall")).sum::<f64>() / 3.0
}

#[test]
fn the_best_checkpoint_is_chosen_by_the_metric_that_is_named() {
    let place = data();
    let config = place.path().join("config.toml");
    // Chinese is by machines, so that HA is not A.
    let sources = CONFIG.replace(
        "languages = ['en', 'de', 'zh']\nfiles",
        "languages = ['en', 'de']\nfiles = ['captions/{split}.1.{language}']\n[[data.captions]]\nlanguages = ['zh']\nsource = 'machine'\nfiles",
    );
    assert_ne!(sources, CONFIG);
    fs::write(&config, sources.replace("learning_rate = 0.05\n", "").replace("epochs = 3\n", "epochs = 5\n"))
        .expect("written");
    let metric = |name: &str, languages: &Value| match name {
        "recall.A" => mean(languages, |r| r["mR"].as_f64().expect("mR")),
        "recall.HA" => {
            ["en", "de"].iter().map(|l| languages[l]["mR"].as_f64().expect("mR")).sum::<f64>() / 2.0
        }
        "recall.t2i" => mean(languages, |r| three(&r["t2i"])),
        "recall.i2t" => mean(languages, |r| three(&r["i2t"])),
        "recall.de" => languages["de"]["mR"].as_f64().expect("mR"),
        other => panic!("{other}"),
    };
    let mut bests = Vec::new();
    for name in ["recall.A", "recall.HA", "recall.t2i", "recall.i2t", "recall.de"] {
        let out = place.path().join(name);
        let best = format!("train.best='{name}'");
        printed(&["train", text(&config), "--out", text(&out), "--quiet", "--set", &best]);
        let state = read(&out.join("checkpoints/best/state.json"));
        let val = read(&out.join("evaluation/val.json"));
        let best = state["best"].as_f64().expect("a value");
        assert!((best - metric(name, &val["languages"])).abs() < 1e-9, "{name}: {best} {val}");
        bests.push(best);
        // No validation was better by it, and the first of equals stays.
        let lines = fs::read_to_string(out.join("metrics.jsonl")).expect("read");
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let validations: Vec<Value> = lines.filter(|line| line["kind"] == "validation").collect();
        assert_eq!(validations.len(), 5);
        let by = |line: &Value| match name {
            "recall.A" => line["A"].as_f64(),
            "recall.de" => line["mR"]["de"].as_f64(),
            _ => None,
        };
        let values: Option<Vec<f64>> = validations.iter().map(by).collect();
        if let Some(values) = values {
            let most = values.iter().copied().fold(f64::MIN, f64::max);
            let first = values.iter().position(|value| *value == most).expect("one of them");
            assert_eq!((best, &state["best_step"]), (most, &validations[first]["step"]), "{name}");
        }
    }
    bests.dedup();
    assert!(bests.len() > 2, "they are different metrics: {bests:?}");
    // It stays as it was when the run goes on; a language that goes takes it along.
    let run = place.path().join("recall.de");
    let resume = ["train", text(&config), "--out", text(&run), "--resume"];
    refused(&resume, 3, &["the run was begun with other values of `train.best`"]);
    let out = place.path().join("without");
    printed(&["remove-language", text(&run), "de", "--out", text(&out), "--quiet"]);
    assert!(fs::read_to_string(out.join("config.toml")).expect("read").contains("best = \"recall.A\"\n"));
    // Runs of earlier programs do not name it.
    let old = fs::read_to_string(place.path().join("recall.A/config.toml")).expect("read");
    fs::write(place.path().join("recall.A/config.toml"), old.replace("best = \"recall.A\"\n", ""))
        .expect("written");
    let info = place.path().join("recall.A/run.json");
    let text_of = fs::read_to_string(&info).expect("read");
    assert!(text_of.contains("\"best\": \"recall.A\",\n"), "{text_of}");
    let without = text_of
        .lines()
        .filter(|line| !line.contains("\"best\": \"recall.A\""))
        .map(|line| format!("{line}\n"));
    fs::write(&info, without_checksum(&without.collect::<String>())).expect("written");
    printed(&["train", text(&config), "--out", text(&place.path().join("recall.A")), "--resume", "--quiet"]);
}

#[test]
fn a_metric_that_cannot_choose_is_refused() {
    let place = data();
    let config = place.path().join("config.toml");
    let line = CONFIG.lines().count() + 1;
    let out = place.path().join("out");
    for name in ["recall.fr", "recall", "mR", "consistency.HA"] {
        fs::write(&config, format!("{CONFIG}best = '{name}'\n")).expect("written");
        let said = format!(
            "config.toml`:{line}: `train.best` is `{name}`; it must be one of `recall.A`, `recall.HA`, `recall.t2i`, `recall.i2t`, \
             `recall.en`, `recall.de`, `recall.zh`"
        );
        refused(&["train", text(&config), "--out", text(&out)], 3, &[&said]);
    }
    // Validation has no captions by people: it is told before anything is trained.
    let machine = CONFIG.replace("files = ['captions", "source = 'machine'\nfiles = ['captions");
    assert_ne!(machine, CONFIG);
    fs::write(&config, format!("{machine}best = 'recall.HA'\n")).expect("written");
    let said = [
        "config.toml`: `train.best` is `recall.HA`, which the captions of `val` do not measure",
        "they measure `recall.A`",
    ];
    refused(&["train", text(&config), "--out", text(&out)], 3, &said);
    assert!(!out.exists(), "nothing is left");
}
