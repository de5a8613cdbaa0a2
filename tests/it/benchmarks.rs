//! Tasks on data sets of others: translations found, similarity of sentences, pictures of each language, and their tables.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tinyglot::corpus::Features;

use crate::corpus::{MADE, copy, refused};
use crate::{printed, run, text};

/// Data for all tasks that read no corpus, and the options that name them. `parallel`: one sentence for each of the images in every
/// `{language}`, of which `en` and `de` are used.
pub fn options(place: &Path, images: &Path, parallel: &str) -> Vec<String> {
    for language in ["en", "de"] {
        let sentences = fs::read_to_string(parallel.replace("{language}", language)).expect("sentences");
        let lines: Vec<&str> = sentences.lines().collect();
        let pairs = lines.windows(2).take(9).enumerate();
        let pairs: String =
            pairs.map(|(n, two)| format!("\"{}\",\"{}\",{}\n", two[0], two[1], n / 2)).collect();
        fs::write(place.join(format!("sts-{language}.csv")), pairs).expect("written");
        let own = place.join("own").join(language);
        fs::create_dir_all(&own).expect("a folder");
        fs::copy(images, own.join("test.npy")).expect("copied");
        fs::write(own.join("test.txt"), &sentences).expect("written");
    }
    let galleries = "[data]\nroot = 'own'\nlanguages = ['eng', 'de']\ncodes = { eng = ['en'] }\nfeatures = ['{language}/{split}.npy']\n\
                     [[data.captions]]\nlanguages = ['en', 'de']\nfiles = ['{language}/{split}.txt']\n";
    // The features of a language are under the code that the file has for it.
    fs::rename(place.join("own/en/test.npy"), place.join("own/test.npy")).expect("moved");
    fs::create_dir(place.join("own/eng")).expect("a folder");
    fs::rename(place.join("own/test.npy"), place.join("own/eng/test.npy")).expect("moved");
    fs::write(place.join("galleries.toml"), galleries).expect("written");
    let sentences =
        |language: &str| fs::read_to_string(place.join("own").join(language).join("test.txt")).expect("read");
    let (en, de) = (sentences("en"), sentences("de"));
    let labels = ["entailment", "neutral", "contradiction"];
    let pairs = |text: &str| {
        let lines: Vec<String> = text.lines().map(String::from).collect();
        lines.windows(2).map(|two| [two[0].clone(), two[1].clone()]).enumerate().collect::<Vec<_>>()
    };
    let objects = pairs(&en).into_iter().map(|(n, [p, h])| {
        format!("{}\n", serde_json::json!({ "sentence1": p, "sentence2": h, "gold_label": labels[n % 3] }))
    });
    fs::write(place.join("mnli.jsonl"), objects.collect::<String>()).expect("written");
    let rows = [("en", en), ("de", de)].map(|(code, lines)| {
        let row = |(n, [p, h]): (usize, [String; 2])| format!("{code}\t{}\t{p}\t{h}\n", labels[n % 3]);
        pairs(&lines).into_iter().map(row).collect::<String>()
    });
    let head = "language\tgold_label\tsentence1\tsentence2\n";
    fs::write(place.join("xnli.tsv"), format!("{head}{}", rows.concat())).expect("written");
    let path = |name: &str| text(&place.join(name)).to_string();
    let mut options = crossed(&place.join("cxc"), images, &parallel.replace("{language}", "en"));
    options.extend([
        "--nli-train".into(),
        format!("en={}", path("mnli.jsonl")),
        "--nli-dev".into(),
        path("xnli.tsv"),
        "--nli-test".into(),
        path("xnli.tsv"),
        "--bitext".into(),
        parallel.into(),
        "--sts".into(),
        path("sts-{language}.csv"),
        "--galleries".into(),
        path("galleries.toml"),
    ]);
    options
}

/// Crisscrossed Captions of the images, each of which has its line of `sentences` and the next one as captions, and the options that name them.
fn crossed(place: &Path, images: &Path, sentences: &str) -> Vec<String> {
    fs::create_dir_all(place).expect("a folder");
    let lines = fs::read_to_string(sentences).expect("sentences");
    let lines: Vec<&str> = lines.lines().collect();
    let count = lines.len();
    let name = |n: usize| format!("COCO_val2014_{n:012}.jpg");
    let caption = |n: usize| format!("COCO_val2014:sentid:{n}");
    let score = |n: usize| (n * 7 % 11) as f64 / 2.2;
    let image = |n: usize| serde_json::json!({ "id": n, "file_name": name(n) });
    let annotations = (0..count).flat_map(|n| {
        [0, 1].map(|more| {
            serde_json::json!({ "id": 10 * n + more, "image_id": n, "caption": lines[(n + more) % count] })
        })
    });
    let coco = serde_json::json!({
        "images": (0..count).map(image).collect::<Vec<_>>(), "annotations": annotations.collect::<Vec<_>>(),
    });
    fs::write(place.join("captions.json"), coco.to_string()).expect("written");
    fs::copy(images, place.join("pictures.npy")).expect("copied");
    fs::write(place.join("pictures.ids"), (0..count).map(|n| name(n) + "\n").collect::<String>())
        .expect("written");
    let row = |n: usize, first: String, second: String| format!("{first},{second},{},how\n", score(n));
    let next = |n: usize| (n + 3) % count;
    let tables = [
        (
            "sts",
            "caption1,caption2",
            (0..count).map(|n| row(n, caption(10 * n), caption(10 * next(n)))).collect::<String>(),
        ),
        ("sis", "image1,image2", (0..count).map(|n| row(n, name(n), name(next(n)))).collect()),
        ("sits", "caption,image", (0..count).map(|n| row(n, caption(10 * n + 1), name(next(n)))).collect()),
    ];
    for (kind, head, rows) in tables {
        let table = format!("{head},agg_score,sampling_method\n{rows}");
        fs::write(place.join(format!("{kind}_test.csv")), table).expect("written");
    }
    let path = |name: &str| text(&place.join(name)).to_string();
    let options = ["--cxc", text(place), "--cxc-captions"].map(String::from);
    options.into_iter().chain([path("captions.json"), "--cxc-images".into(), path("pictures.npy")]).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("read")).expect("JSON")
}

/// The vectors of the test sentences of a language, by the command `embed`.
fn vectors(place: &Path, language: &str) -> Vec<Vec<f32>> {
    let lines = fs::read(MADE.path(&format!("data/parallel/test.{language}"))).expect("sentences");
    let out = place.join(format!("{language}.npy"));
    let mut command = crate::tinyglot();
    command.args(["embed", text(&MADE.run()), "--language", language]);
    let (input, output) = (place.join("lines"), fs::File::create(&out).expect("a file"));
    fs::write(&input, lines).expect("written");
    command.stdin(fs::File::open(&input).expect("a file")).stdout(output);
    assert!(command.status().expect("it starts").success());
    let features = Features::open(&[out]).expect("vectors");
    let mut rows = vec![vec![0.0; features.width()]; features.rows()];
    rows.iter_mut().enumerate().for_each(|(n, row)| features.copy_row(n, row));
    rows
}

#[test]
fn results_are_kept_printed_and_written_for_others() {
    let place = TempDir::new().expect("a folder");
    let run_ = place.path().join("run");
    copy(&MADE.run(), &run_);
    let parallel = MADE.path("data/parallel/test.{language}");
    let options = options(place.path(), &MADE.gallery(), text(&parallel));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let groups = place.path().join("groups.toml");
    fs::write(&groups, "seen = ['eng_Latn', 'deu']\nunseen = ['zho']\n").expect("written");
    let [markdown, csv, mteb] = ["table.md", "table.csv", "mteb"].map(|name| place.path().join(name));
    let more = [
        "--task",
        "bitext,sts,galleries",
        "--groups",
        text(&groups),
        "--table",
        text(&markdown),
        "--table",
        text(&csv),
        "--mteb",
        text(&mteb),
    ];
    let shown = printed(&[&["evaluate", text(&run_)], &options[..], &more].concat());
    for said in [
        "sentences  cosine",
        "de→en",
        "X→en",
        "all pairs",
        "pairs of seen",
        "(xsim)",
        "en–de",
        "two languages",
        "AR",
    ] {
        assert!(shown.contains(said), "`{said}` is not in {shown}");
    }

    // What a sentence finds is what its vector of the command `embed` finds.
    let (en, de) = (vectors(place.path(), "en"), vectors(place.path(), "de"));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let right = |(n, x): (usize, &Vec<f32>)| {
        let scores: Vec<f64> = en.iter().map(|y| dot(x, y)).collect();
        scores.iter().all(|s| *s <= scores[n] + 1e-6)
    };
    let expected = 100.0 * de.iter().enumerate().filter(|one| right(*one)).count() as f64 / de.len() as f64;
    let bitext = read(&run_.join("evaluation/bitext/test.json"));
    let directions = bitext["details"]["directions"].as_array().expect("directions");
    let of = |source: &str, target: &str| {
        let found = directions.iter().find(|d| d["source"] == source && d["target"] == target);
        found.map(|d| d["found"].clone()).expect("a direction")
    };
    assert_eq!(directions.len(), 6);
    let cosine = of("de", "en")["cosine"].as_f64().expect("a figure");
    assert!((cosine - expected).abs() <= 100.0 / 20.0, "{cosine} is not {expected}");
    let metric = |name: &str, of: &str| {
        let all = bitext["metrics"].as_array().expect("metrics");
        all.iter()
            .find(|m| m["name"] == name && m["language"] == of)
            .and_then(|m| m["value"].as_f64())
            .expect("a figure")
    };
    let mean = (metric("margin.accuracy", "de→en") + metric("margin.accuracy", "zh→en")) / 2.0;
    assert!((metric("margin.accuracy", "X→en") - mean).abs() < 1e-9);
    assert!((metric("margin.error", "X→en") - (100.0 - mean)).abs() < 1e-9);
    assert_eq!(metric("cosine.accuracy", "unseen→en"), metric("cosine.accuracy", "zh→en"));

    let sts = read(&run_.join("evaluation/sts/sts.json"));
    let sets: Vec<&Value> = sts["details"]["sets"].as_array().expect("sets").iter().collect();
    let names: Vec<_> = sets.iter().map(|s| (s["first"].as_str(), s["second"].as_str())).collect();
    let [en, de] = [Some("en"), Some("de")];
    assert_eq!(names, [(en, en), (de, de), (en, de), (de, en)]);

    // Both languages have the pictures of the run, so recall finds the same.
    let galleries = read(&run_.join("evaluation/galleries/galleries.json"));
    let apart = galleries["details"]["languages"].as_array().expect("languages");
    let set = "data.captions=[{languages=['en','de','zh'],files=['parallel/{split}.{language}']}]";
    let evaluate = ["evaluate", text(&run_), "--task", "recall", "--name", "same", "--json", "--set", set];
    let clip = place.path().join("clip");
    let recall: Value =
        serde_json::from_str(&printed(&[&evaluate[..], &["--clip-benchmark", text(&clip)]].concat()))
            .expect("JSON");
    let folder = place.path().file_name().and_then(|name| name.to_str()).expect("a name");
    let document = read(&clip.join(format!("same_tinyglot_{folder}-run_de_zeroshot_retrieval.json")));
    assert_eq!((&document["dataset"], &document["language"]), (&"same".into(), &"de".into()));
    let r5 = recall["recall"]["details"]["languages"]["de"]["t2i"]["R@5"].as_f64().expect("a figure");
    assert_eq!(document["metrics"]["image_retrieval_recall@5"].as_f64(), Some(r5 / 100.0));
    for one in apart {
        let language = one["language"].as_str().expect("a code");
        assert_eq!(one["found"], recall["recall"]["details"]["languages"][language], "{language}");
    }

    let table = fs::read_to_string(&markdown).expect("a table");
    assert!(
        table.contains("## bitext (test)") && table.contains("| cosine.accuracy | cosine.error ↓ |"),
        "{table}"
    );
    let lines = fs::read_to_string(&csv).expect("a table");
    assert!(lines.contains("\nsts,sts,en–de,spearman,"), "{lines}");
    let document = read(&mteb.join("test.json"));
    assert_eq!((&document["task_name"], &document["mteb_version"]), (&"test".into(), &Value::Null));
    let scores = document["scores"]["test"].as_array().expect("subsets");
    let subset = scores.iter().find(|s| s["hf_subset"] == "deu-eng").expect("a subset");
    assert_eq!(subset["languages"], serde_json::json!(["deu-Latn", "eng-Latn"]));
    assert_eq!(subset["main_score"], subset["f1"]);
    assert_eq!(subset["accuracy"].as_f64(), Some(cosine / 100.0));
    let document = read(&mteb.join("sts.json"));
    let subset = &document["scores"]["test"][0];
    assert_eq!((&subset["hf_subset"], &subset["main_score"]), (&"eng".into(), &sets[0]["spearman"]));

    let page = fs::read_to_string(printed(&["report", text(&run_)]).trim()).expect("a page");
    for said in [
        "Task bitext (test)",
        "margin.error ↓",
        "ratio margin, k = 4",
        "Task sts (sts)",
        "Task galleries (galleries)",
    ] {
        assert!(page.contains(said), "`{said}` is not on the page");
    }

    // The same again is the same; other sentences do not overwrite it.
    let again = ["evaluate", text(&run_), "--task", "bitext", "--threads", "1", "--bitext", text(&parallel)];
    printed(&again);
    let same = read(&run_.join("evaluation/bitext/test.json"));
    assert_eq!(same["details"]["directions"], bitext["details"]["directions"]);
    let two = MADE.path("data/captions/test.1.{language}");
    let other = ["evaluate", text(&run_), "--task", "bitext", "--name", "test", "--bitext", text(&two)];
    refused(&other, 2, &["evaluation/bitext/test.json`: holds the result on other", "--name NAME"]);
}

#[test]
fn the_space_is_drawn_and_its_numbers_lie_beside_the_result() {
    let place = TempDir::new().expect("a folder");
    let run_ = place.path().join("run");
    copy(&MADE.run(), &run_);
    let parallel = MADE.path("data/parallel/test.{language}");
    let groups = place.path().join("groups.toml");
    fs::write(&groups, "europe = ['en', 'de']\n").expect("written");
    let evaluate = |more: &[&str]| {
        let first = ["evaluate", text(&run_), "--task", "space", "--bitext", text(&parallel), "--groups"];
        run(&[&first[..], &[text(&groups)], more].concat())
    };
    let ran = evaluate(&[]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    for said in ["60 sentences, trustworthiness", "en–de", "SVCCA", "nearest is a translation", "t-SNE of 60"]
    {
        assert!(ran.stdout.contains(said), "`{said}` is not in {}", ran.stdout);
    }
    let folder = run_.join("evaluation/space");
    let rows = |sheet: &str| -> Vec<Vec<String>> {
        let file = folder.join(format!("test.{sheet}.csv"));
        let text = fs::read_to_string(file).expect("a table");
        let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.into_deserialize().map(|row| row.expect("a row")).collect()
    };
    let kept = read(&folder.join("test.json"));
    let space = &kept["details"];
    let points = rows("points");
    assert_eq!(
        (points.len(), &points[0][..]),
        (61, &["language", "set", "line", "x", "y"].map(String::from)[..])
    );
    assert_eq!(points[21][..3], ["de", "0", "1"].map(String::from));
    assert_eq!(points[21][3].parse().ok(), space["sides"][1]["points"][0][0].as_f64());
    assert_eq!(["svcca", "map", "nearest"].map(|sheet| rows(sheet).len()), [4, 4, 7]);
    assert_eq!(space["groups"], serde_json::json!([["europe", ["en", "de"]]]));
    // A sentence's nearest ones are in other languages, and what is told of them is so.
    let example = &space["examples"][0];
    let lines = fs::read_to_string(MADE.path("data/parallel/test.en")).expect("sentences");
    let line = example["line"].as_u64().expect("a line") as usize - 1;
    assert_eq!(example["text"].as_str(), lines.lines().nth(line));
    for found in example["found"].as_array().expect("sentences") {
        let code = found["language"].as_str().expect("a code");
        let there = fs::read_to_string(text(&parallel).replace("{language}", code)).expect("sentences");
        assert!(code != "en" && there.lines().any(|text| Some(text) == found["text"].as_str()), "{found}");
        assert_eq!(found["translation"], there.lines().nth(line) == found["text"].as_str(), "{found}");
    }

    // The same bits with other threads.
    assert_eq!(evaluate(&["--threads", "1"]).status, Some(0));
    assert_eq!(read(&folder.join("test.json")), kept);

    let page = fs::read_to_string(run(&["report", text(&run_)]).stdout.trim()).expect("a page");
    for said in [
        "60 sentences, by t-SNE",
        "Lines join translations; ",
        "Languages by SVCCA, as Laplacian eigenmaps",
        "SVCCA of every two languages",
        "Nearest sentences across languages",
        "evaluation/space/test.points.csv",
        "in no group",
        "Best and worst",
        "40 captions",
        "Captions whose picture comes last",
        "Pictures that find their caption first",
        "The same query, language by language",
    ] {
        assert!(page.contains(said), "`{said}` is not on the page");
    }
}

#[test]
fn crisscrossed_captions_are_measured_as_published() {
    let place = TempDir::new().expect("a folder");
    let run_ = place.path().join("run");
    copy(&MADE.run(), &run_);
    let cxc = place.path().join("cxc");
    let options = crossed(&cxc, &MADE.gallery(), text(&MADE.path("data/parallel/test.en")));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let evaluate = [&["evaluate", text(&run_), "--task", "cxc"], &options[..]].concat();
    let shown = printed(&evaluate);
    for said in [
        "STS         20",
        "SIS         20",
        "SITS        20",
        "t2t        40",
        "i2t        20",
        "40 captions",
    ] {
        assert!(shown.contains(said), "`{said}` is not in {shown}");
    }
    let kept = read(&run_.join("evaluation/cxc/cxc-test.json"));
    // Pairs rated 3 or more: the others do not ask.
    let positive = (0..20).filter(|n| (n * 7 % 11) as f64 / 2.2 >= 3.0).count();
    let asking = kept["details"]["retrieval"][1]["queries"].as_u64().expect("a count") as usize;
    assert!(positive < asking && asking <= 2 * positive, "{asking} of {positive} pairs");

    fs::remove_file(cxc.join("sis_test.csv")).expect("removed");
    refused(&evaluate, 4, &["sis_test.csv`: cannot be read"]);
    fs::write(cxc.join("pictures.ids"), "one\n").expect("written");
    refused(&evaluate, 4, &["pictures.ids`: holds 1 ids for 20 pictures"]);
    let some = ["evaluate", text(&run_), "--task", "cxc", "--cxc", text(&cxc)];
    refused(&some, 2, &["--cxc-captions"]);
}

#[test]
fn sets_that_cannot_be_used_are_told() {
    let place = TempDir::new().expect("a folder");
    let path = |name: &str| text(&place.path().join(name)).to_string();
    for (name, lines) in [
        ("long.en", "a\nb\n"),
        ("long.de", "a\n"),
        ("alone.xx", "a\n"),
        ("alone.yy", "a\n"),
        ("one.csv", "a,b,1\n"),
        ("equal.csv", "a red circle,two blue squares,1\na green square,a circle,1\n"),
        ("bad.csv", "a,b,1\nc,d,good\n"),
        ("groups.toml", "seen = 'en'\n"),
        ("same.toml", "[data]\nlanguages = ['en']\nfeatures = ['{split}.npy']\n"),
        ("far.toml", "[data]\nlanguages = ['fi']\nfeatures = ['{language}.npy']\n"),
        (
            "none.toml",
            "[data]\nlanguages = ['en']\nfeatures = ['{language}.{split}.npy']\n[[data.captions]]\nlanguages = ['en']\nsplits = ['test']\nfiles = ['{language}.txt']\n",
        ),
        ("empty.en", ""),
        ("empty.de", "a\n"),
    ] {
        fs::write(path(name), lines).expect("written");
    }
    let refuse = |task: &str, option: &str, set: &str, status: i32, said: &[&str]| {
        let run = MADE.run();
        let set = if set.contains('=') {
            set.replacen('=', &format!("={}/", text(place.path())), 1)
        } else {
            path(set)
        };
        refused(&["evaluate", text(&run), "--task", task, option, &set], status, said);
    };
    refuse(
        "bitext",
        "--bitext",
        "long.{language}",
        4,
        &["long.de`:2: has 1 lines, and `", "line n of one file"],
    );
    refuse("bitext", "--bitext", "empty.{language}", 4, &["empty.en`: holds no line"]);
    refuse(
        "bitext",
        "--bitext",
        "alone.{language}",
        4,
        &["no two parallel files in languages that the run knows (there are `xx`, `yy`)", "data.codes"],
    );
    refuse("bitext", "--bitext", "long.{lang}", 2, &["patterns know `{language}` and `{pair}`"]);
    refuse("bitext", "--bitext", "fi=long.en", 2, &["`fi` is no language of the run", "the run knows `en`"]);
    refuse("sts", "--sts", "en=bad.csv", 4, &["bad.csv`:2: has the score `good`, which is no number"]);
    refuse("sts", "--sts", "en=one.csv", 4, &["one.csv`: a correlation of 1 pairs is undefined"]);
    refuse(
        "sts",
        "--sts",
        "en=equal.csv",
        4,
        &["equal.csv`: the correlation is undefined: all 2 scores are equal (1)"],
    );
    refuse("galleries", "--galleries", "same.toml", 3, &["same.toml`: has no pictures for each language"]);
    refuse(
        "galleries",
        "--galleries",
        "far.toml",
        4,
        &["far.toml`: the run knows none of the languages `fi`"],
    );
    refuse("galleries", "--galleries", "none.toml", 4, &["en.test.npy`: cannot be "]);
    refuse("bitext", "--groups", "groups.toml", 4, &["groups.toml`: `seen` is `\"en\"`"]);
    let run_ = MADE.run();
    let evaluate = |more: &[&str]| run(&[&["evaluate", text(&run_)], more].concat());
    for (task, option) in [
        ("bitext", "--bitext"),
        ("space", "--bitext"),
        ("sts", "--sts"),
        ("galleries", "--galleries"),
        ("cxc", "--cxc-images"),
    ] {
        let ran = evaluate(&["--task", task]);
        assert!(ran.status == Some(2) && ran.stderr.contains(&format!("`{option}` name")), "{}", ran.stderr);
    }
    let ran = evaluate(&["--table", "figures.txt"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("ends in `.md`"), "{}", ran.stderr);
    let ran = evaluate(&["--protocol", "1k"]);
    assert!(ran.status == Some(2) && ran.stderr.contains("--galleries"), "{}", ran.stderr);
}

#[test]
fn galleries_are_asked_as_their_protocol_says() {
    let place = TempDir::new().expect("a folder");
    let run_ = place.path().join("run");
    copy(&MADE.run(), &run_);
    let own = place.path().join("own/de");
    fs::create_dir_all(&own).expect("a folder");
    fs::copy(MADE.gallery(), own.join("test.npy")).expect("copied");
    let captions = fs::read_to_string(MADE.path("data/captions/test.1.de")).expect("captions");
    // Six of each picture, of which the sixth is another's.
    let lines: Vec<&str> = captions.lines().collect();
    let six = |n: usize| format!("{}{}\n", format!("{}\n", lines[n]).repeat(5), lines[(n + 1) % lines.len()]);
    fs::write(own.join("test.txt"), (0..lines.len()).map(six).collect::<String>()).expect("written");
    let config = place.path().join("own.toml");
    fs::write(
        &config,
        "[data]\nroot = 'own'\nlanguages = ['de', 'fi']\nfeatures = ['{language}/{split}.npy']\n[[data.captions]]\nlanguages = ['de', 'fi']\n\
         per_picture = 6\nfiles = ['{language}/{split}.txt']\n",
    )
    .expect("written");
    let evaluate = |more: &[&str]| {
        run(&[
            &["evaluate", text(&run_), "--task", "galleries", "--galleries", text(&config), "--json"],
            more,
        ]
        .concat())
    };
    let json = |more: &[&str]| -> Value {
        let ran = evaluate(more);
        assert!(ran.stderr.contains("`fi` is passed over"), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let captions =
        |result: &Value| result["galleries"]["details"]["languages"][0]["found"]["captions"].as_u64();
    assert_eq!(captions(&json(&[])), Some(120));
    let five = json(&["--protocol", "first-five"]);
    assert_eq!((captions(&five), &five["galleries"]["name"]), (Some(100), &"own-first-five".into()));
    assert!(
        five["galleries"]["protocol"].as_str().is_some_and(|said| said.contains("the first five captions"))
    );
    let folds = json(&["--folds", "4", "--name", "folds"]);
    assert!(
        folds["galleries"]["protocol"].as_str().is_some_and(|said| said.contains("mean over 4 galleries"))
    );
    let ran = evaluate(&["--protocol", "1k"]);
    assert_eq!(ran.status, Some(4));
    assert!(ran.stderr.contains("has 20 pictures, and the protocol 1k is of 5,000"), "{}", ran.stderr);
}
