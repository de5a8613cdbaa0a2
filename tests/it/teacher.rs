//! Students of a teacher, by the command: its run, its vectors in files, a tower; with pictures, and of translations alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;
use tinyglot::corpus::{Features, write_npy};

use crate::corpus::refused;
use crate::whole::fed;
use crate::{printed, run, text};

/// Little pictures in two languages, whose captions n of a picture say the same.
const DATA: &str = "\
[data]
root = 'data'
languages = ['en', 'de']
image_ids = 'image_splits/{split}.txt'

[words.fasttext]
width = 16
epochs = 5
buckets = 500

[embedding]
width = 32
top_k = 100
word_width = 16
latents = 60
align = { epochs = 2 }
pretrain = { epochs = 1, top_m = 5, learning_rate = 1e-4 }
";
const CAPTIONS: &str = "
[[data.captions]]
languages = ['en', 'de']
files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}']
";
/// What only measures: nothing is learnt from captions.
const MEASURED: &str = "
[[data.captions]]
languages = ['en', 'de']
files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}']
splits = ['val', 'test']

[[data.pairs]]
languages = ['en', 'de']
files = ['captions/train.1.{language}']

[[data.pairs]]
languages = ['en']
files = ['captions/train.2.{language}']
";
const TEACHER: &str = "
[text]
hidden = 64
joint = 24
pooling = 'max'
[image]
hidden = 64
dropout = 0.1
input = 'standard'
[loss.info_nce]
weight = 1.0
[train]
epochs = 40
images = 25
learning_rate = 4e-3
";
/// A bag of words.
const STUDENT: &str = "
[text]
encoder = 'average'
joint = 24
[loss]
triplet.weight = 0
teacher.cosine = 1.0
teacher.softmax = 0.3
[train]
epochs = 60
images = 25
pairs.lines = 50
learning_rate = 1e-2
";
/// The teacher's image branch, as its own configuration has it.
const BRANCH: &str = "
[image]
hidden = 64
input = 'standard'
";

/// A corpus and a teacher on it.
struct Place(TempDir);

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let place = Place(TempDir::new().expect("a folder"));
    let data = place.path("data");
    let sizes = ["--train", "200", "--val", "40", "--test", "40", "--languages", "en,de,qu", "--quiet"];
    printed(&[&["data", "scenes", "--out", text(&data)], &sizes[..]].concat());
    place.train("teacher", &[DATA, CAPTIONS, TEACHER], &[]);
    place
});

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a configuration of parts.
    fn config(&self, name: &str, parts: &[&str]) -> PathBuf {
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, parts.concat()).expect("written");
        file
    }

    fn train(&self, name: &str, parts: &[&str], set: &[&str]) -> PathBuf {
        let (config, out) = (self.config(name, parts), self.path(name));
        let set = set.iter().flat_map(|set| ["--set", set]);
        let args = ["train", text(&config), "--out", text(&out), "--quiet"].into_iter().chain(set);
        printed(&args.collect::<Vec<_>>());
        out
    }

    fn gallery(&self) -> PathBuf {
        self.path("data/features/test.npy")
    }
}

/// The mean recall of the languages on test.
fn a(run: &Path) -> f64 {
    let json = printed(&["evaluate", text(run), "--split", "test", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    json["A"].as_f64().expect("A")
}

#[test]
fn a_student_stands_in_for_the_sentence_encoder_of_its_teacher() {
    let student = ["[teacher]\nrun = 'teacher'\npictures = true\n"].concat();
    let run = PLACE.train("stands", &[DATA, CAPTIONS, STUDENT, BRANCH, &student], &[]);
    let (teacher, student) = (a(&PLACE.path("teacher")), a(&run));
    // 40 pictures: chance is 13. Measured: 47.2, and 46.7 of the student.
    assert!(teacher > 40.0 && student > 0.8 * teacher, "{student} of {teacher}");

    // The index of the teacher is searched as it is, and pictures are the teacher's.
    let index = PLACE.path("photos");
    let (gallery, master) = (PLACE.gallery(), PLACE.path("teacher"));
    let made = ["index", text(&master), "--gallery", text(&gallery), "--out", text(&index)];
    assert_eq!(crate::run(&made).status, Some(0));
    let search = |pictures: [&str; 2]| {
        printed(
            &[&["search", text(&run), "--language", "de", "--json"], &pictures[..], &["ein roter Kreis"]]
                .concat(),
        )
    };
    assert_eq!(search(["--index", text(&index)]).matches("\"id\"").count(), 10);
    let pictures = |run: &Path| fed(&["embed", text(run), "--images", text(&gallery)], b"").0;
    assert_eq!(pictures(&run), pictures(&PLACE.path("teacher")));
    // So does the packed student.
    let packed = PLACE.path("stands packed");
    assert_eq!(crate::run(&["pack", text(&run), "--out", text(&packed)]).status, Some(0));
    printed(&["search", text(&packed), "--language", "de", "--index", text(&index), "ein roter Kreis"]);

    let other = PLACE.train("other", &[DATA, CAPTIONS, TEACHER], &["seed=5", "train.epochs=1"]);
    let args = ["search", text(&other), "--language", "de", "--index", text(&index), "Kreis"];
    refused(&args, 4, &["was made with another model"]);
}

#[test]
fn vectors_in_files_teach_as_the_run_that_made_them() {
    let settings = ["train.epochs=2"];
    let of_run = PLACE.train(
        "of run",
        &[DATA, CAPTIONS, STUDENT, BRANCH, "[teacher]\nrun = 'teacher'\npictures = true\n"],
        &settings,
    );
    let data = PLACE.path("data");
    for language in ["de", "en"] {
        let captions = |n: usize| {
            fs::read_to_string(data.join(format!("captions/train.{n}.{language}"))).expect("captions")
        };
        // In another order, with a sentence more.
        let lines = format!("{}{}Nobody asks\n", captions(2), captions(1));
        let file = data.join(format!("taught.{language}"));
        let (vectors, ran) =
            fed(&["embed", text(&PLACE.path("teacher")), "--language", language], lines.as_bytes());
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        fs::write(&file, lines).expect("written");
        fs::write(data.join(format!("taught.{language}.npy")), vectors).expect("written");
    }
    // The vectors of pictures are the teacher's as well: features of that space.
    for split in ["train", "val", "test"] {
        let features = data.join(format!("features/{split}.npy"));
        let (vectors, _) = fed(&["embed", text(&PLACE.path("teacher")), "--images", text(&features)], b"");
        fs::write(data.join(format!("features/{split}.given.npy")), vectors).expect("written");
    }
    let given =
        "[image]\nbranch = 'given'\n[teacher]\ntexts = ['taught.{language}']\nlanguages = ['en', 'de']\n";
    let set = ["train.epochs=2", "data.features=['features/{split}.given.npy']"];
    let of_files = PLACE.train("of files", &[DATA, CAPTIONS, STUDENT, given], &set);
    assert!((a(&of_files) - a(&of_run)).abs() < 1e-9);
    let sentences =
        |run: &Path| fed(&["embed", text(run), "--language", "de"], b"ein roter Kreis\nein Haus\n").0;
    assert!(sentences(&of_files) == sentences(&of_run), "the same vectors teach the same");
    // A gallery of the teacher's vectors is taken as it is; other widths are refused.
    let (gallery, raw) = (data.join("features/test.given.npy"), PLACE.gallery());
    printed(&["search", text(&of_files), "--language", "de", "--gallery", text(&gallery), "ein Haus"]);
    let args = ["search", text(&of_files), "--language", "de", "--gallery", text(&raw), "Haus"];
    refused(&args, 4, &["the model was trained on rows of 24"]);

    // What does not fit is told, with file and row, and what to do.
    let (english, vectors) = (data.join("taught.en"), data.join("taught.en.npy"));
    let (lines, whole) =
        (fs::read(&english).expect("read"), Features::open(std::slice::from_ref(&vectors)).expect("vectors"));
    let config = PLACE.config("bad", &[DATA, CAPTIONS, STUDENT, given]);
    let out = PLACE.path("bad");
    let bytes = fs::read(&vectors).expect("read");
    let told = |said: &[&str]| {
        let features = "data.features=['features/{split}.given.npy']";
        refused(&["train", text(&config), "--out", text(&out), "--quiet", "--set", features], 4, said);
        assert!(!out.exists(), "nothing is left");
    };
    fs::write(&english, [&lines[..], b"One more\n"].concat()).expect("written");
    told(&[
        "taught.en.npy`: has 401 rows, but `",
        "taught.en` has 402 lines",
        "row n is the vector of line n",
    ]);
    fs::write(&english, String::from_utf8(lines.clone()).expect("text").replacen(' ', " other ", 1))
        .expect("written");
    told(&["taught.en.npy`: the teacher has no vector for 1 of 800 sentences, the first is `", "` in `en`"]);
    fs::write(&english, &lines).expect("written");
    let rewritten = |change: &dyn Fn(&mut Vec<f32>), width: usize| {
        let mut numbers = vec![0.0; 401 * 24];
        numbers.chunks_mut(24).enumerate().for_each(|(n, row)| whole.copy_row(n, row));
        change(&mut numbers);
        let other = data.join("other.npy");
        write_npy(&other, 401, width, &numbers[..401 * width]).expect("written");
        fs::rename(&other, &vectors).expect("renamed");
    };
    rewritten(&|x| x[5 * 24 + 3] = f32::NAN, 24);
    told(&["taught.en.npy`: row 5, column 3 (both from 0) is NaN", "compute the teacher's vectors again"]);
    rewritten(&|x| x[7 * 24..8 * 24].fill(0.0), 24);
    told(&["taught.en.npy`: row 7 (from 0) is all zeros"]);
    rewritten(&|_| (), 12);
    told(&["has rows of", "compute the teacher's vectors again, all by one model"]);
    fs::remove_file(&vectors).expect("removed");
    told(&["taught.en.npy", "with `.npy` behind it"]);
    fs::write(&vectors, bytes).expect("written");
    let narrow = ["--set", "text.joint=16", "--set", "image.branch=layers", "--set", "loss.triplet.weight=1"];
    let args = [&["train", text(&config), "--out", text(&out), "--quiet"][..], &narrow].concat();
    refused(
        &args,
        4,
        &["the teacher's vectors have 24 numbers, and `text.joint` is 16", "set `text.joint = 24`"],
    );
    // Relations ask for no equal width.
    let relational = ["--set", "loss.teacher={relational=1.0}", "--set", "train.epochs=1"];
    printed(&[&args[..], &relational].concat());
}

#[test]
fn a_student_of_translations_alone_finds_pictures() {
    let student = "[teacher]\nrun = 'teacher'\npictures = true\nlanguages = ['en']\n";
    let config = [DATA, MEASURED, STUDENT, BRANCH, student];
    let out = PLACE.path("translations");
    let bare = PLACE.config("translations", &config);
    refused(
        &["train", text(&bare), "--out", text(&out), "--quiet"],
        3,
        &["`embedding.pairs` is 0, and `en` has no training caption"],
    );
    // Nothing of the training pictures is read.
    let hidden = PLACE.0.path().join("translated");
    crate::corpus::copy(&PLACE.path("data"), &hidden);
    fs::remove_file(hidden.join("features/train.npy")).expect("removed");
    let root = format!("data.root={}", hidden.display());
    let run = PLACE.train("translations", &config, &["embedding.pairs=1000", "train.epochs=60", &root]);
    let (teacher, student) = (a(&PLACE.path("teacher")), a(&run));
    // Measured: 40.0 of 47.2, 33.8 of it in German, which was never beside a picture nor read by the teacher.
    assert!(student > 0.65 * teacher, "{student} of {teacher}");
    let json = printed(&["evaluate", text(&run), "--split", "test", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let german = json["languages"]["de"]["mR"].as_f64().expect("mR");
    assert!(german > 0.55 * teacher, "{german} of {teacher}");
    let resumed = run_with(
        &["train", text(&bare), "--out", text(&run), "--resume", "--quiet"],
        &["embedding.pairs=1000", "train.epochs=61", &root],
    );
    assert_eq!(resumed.status, Some(0), "{}", resumed.stderr);

    // Without a space that pictures are in there is nothing to search.
    let alone = ["[teacher]\nrun = 'teacher'\n", "loss.triplet.weight=1.0", "embedding.pairs=1000"];
    let config = PLACE.config("alone", &[DATA, MEASURED, STUDENT, alone[0]]);
    let refusal = run_with(&["train", text(&config), "--out", text(&PLACE.path("alone"))], &alone[1..]);
    assert_eq!(refusal.status, Some(3), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("the image branch would stay untrained"), "{}", refusal.stderr);
}

fn run_with(args: &[&str], set: &[&str]) -> crate::program::Ran {
    let set = set.iter().flat_map(|set| ["--set", set]);
    run(&args.iter().copied().chain(set).collect::<Vec<_>>())
}

#[test]
fn a_tower_teaches_and_what_cannot_teach_is_refused() {
    let tower = crate::acquisition::checkpoint("xlmr");
    let taught =
        format!("[teacher]\ntower = '{}'\nlanguages = ['en']\nprefix = 'query: '\n", tower.display());
    let student = [STUDENT, &taught]
        .concat()
        .replace("teacher.cosine", "teacher.relational")
        .replace("triplet.weight = 0", "triplet.weight = 1");
    PLACE.train("of tower", &[DATA, CAPTIONS, &student], &["train.epochs=1", "loss.teacher.softmax=0"]);
    let refused_by = |teacher: &str, status: i32, said: &[&str]| {
        let config = PLACE.config("refused", &[DATA, CAPTIONS, STUDENT, BRANCH, teacher]);
        let out = PLACE.path("refused");
        refused(&["train", text(&config), "--out", text(&out), "--quiet"], status, said);
        assert!(!out.exists(), "nothing is left");
    };
    refused_by("[teacher]\nrun = 'nobody'\npictures = true\n", 4, &["nobody"]);
    let broken = PLACE.path("broken");
    crate::corpus::copy(&PLACE.path("teacher"), &broken);
    fs::remove_dir_all(broken.join("checkpoints/best")).expect("removed");
    refused_by(
        "[teacher]\nrun = 'broken'\npictures = true\n",
        4,
        &["broken", "no `best` checkpoint", "let it train"],
    );
    refused_by(
        "[teacher]\nrun = 'teacher'\nlanguages = ['fr']\npictures = true\n",
        3,
        &["`teacher.languages` is `fr`"],
    );
    let config = PLACE.config(
        "refused",
        &[DATA, CAPTIONS, STUDENT, BRANCH, "[teacher]\nrun = 'teacher'\npictures = true\n"],
    );
    for (set, said) in [
        ("image.hidden=32", "`image.hidden.weight` has shape [64,"),
        ("image.input=raw", "`image.input` is not that of the teacher"),
    ] {
        let told =
            run_with(&["train", text(&config), "--out", text(&PLACE.path("refused")), "--quiet"], &[set]);
        assert!(told.status != Some(0) && told.stderr.contains(said), "{}", told.stderr);
    }
}

/// A language that the teacher does not know: captions measure it, and translations of English teach it.
const QUECHUA: &str = "\
[data]
root = 'data'
languages = ['qu']
image_ids = 'image_splits/{split}.txt'

[[data.captions]]
languages = ['qu']
files = ['captions/{split}.1.{language}', 'captions/{split}.2.{language}']
splits = ['val', 'test']

[[grow.translations]]
language = 'en'
known = 'captions/train.1.en'
new = 'captions/train.1.qu'

[grow]
top_k = 100
word_width = 16
epochs = 30
learning_rate = 1e-2
images = 25
neighbourhood = 0
teacher = { cosine = 1.0, softmax = 0.3 }
";

#[test]
fn a_finished_model_teaches_an_added_language_by_translations_alone() {
    let (config, run, out) =
        (PLACE.config("quechua", &[QUECHUA]), PLACE.path("teacher"), PLACE.path("with-quechua"));
    let kept = PLACE.path("kept");
    let add =
        ["add-language", text(&run), text(&config), "--out", text(&out), "--cache", text(&kept), "--quiet"];
    printed(&[&add[..], &["--curve", "50"]].concat());
    let is_teacher = |file: fs::DirEntry| file.file_name().to_string_lossy().starts_with("teacher-");
    let files = fs::read_dir(&kept).expect("a folder").map(|file| file.expect("a file"));
    assert!(files.into_iter().any(is_teacher), "its vectors of the English sentences are kept");
    let growth = fs::read_to_string(out.join("growth/qu.json")).expect("what it gained");
    let growth: serde_json::Value = serde_json::from_str(&growth).expect("JSON");
    assert_eq!((&growth["captions"], &growth["translations"]), (&0.into(), &200.into()));
    assert_eq!(growth["shared"][0], growth["shared"][1], "the old languages keep every bit");
    assert_eq!(growth["curve"][0]["sentences"], 50);
    // 40 pictures: chance is 13. Measured: 37.1, and 22.9 by the neighbourhood in the teacher's place; the old languages 47.2.
    let mr = growth["results"][2]["after"][1].as_f64().expect("it is measured on test");
    assert!(mr > 28.0, "{mr}");
}
