//! A student beside its teacher: the same bits with and without interruption, and on any number of threads; another teacher is other data.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tinyglot::checkpoint::metrics::MetricsLine;
use tinyglot::config::Config;
use tinyglot::corpus::write_npy;
use tinyglot::gradcheck::noise;
use tinyglot::run::{Options, Told, train_with};
use tinyglot::scenes::ScenesConfig;
use tinyglot::train::Event;
use tinyglot::{Error, scenes};

use crate::{CONFIG, assert_same, timeless};

/// English and German are read by the teacher, Chinese is taught by lines in English, and some lines are English alone.
const TEACHER: [&str; 8] = [
    "teacher.texts=['taught.{language}']",
    "teacher.languages=['en','de']",
    "data.pairs=[{languages=['en','zh'], files=['captions/train.1.{language}']}, \
     {languages=['en'], files=['captions/train.2.{language}']}]",
    "train.pairs.lines=6",
    "loss.teacher.mse=3.0",
    "loss.teacher.cosine=0.5",
    "loss.teacher.softmax=0.5",
    "loss.teacher.relational=0.5",
];

struct Place {
    folder: TempDir,
    config: Config,
}

impl Place {
    fn with(settings: &[&str]) -> Place {
        let folder = TempDir::new().expect("a folder for the test");
        let data = folder.path().join("data");
        let languages = ["en", "de", "zh", "fr"].map(String::from).to_vec();
        let sizes = ScenesConfig { seed: 1, train: 40, val: 10, test: 10, captions: 2, languages };
        scenes::write(&data, &sizes, &mut |_, _| ()).expect("a corpus");
        for (seed, language) in [(1, "en"), (2, "de")] {
            let captions = |n: usize| fs::read_to_string(data.join(format!("captions/train.{n}.{language}")));
            let text = captions(2).expect("captions") + &captions(1).expect("captions");
            let rows = text.lines().count();
            fs::write(data.join(format!("taught.{language}")), &text).expect("written");
            let vectors = noise(rows * 24, seed);
            write_npy(data.join(format!("taught.{language}.npy")), rows, 24, &vectors).expect("written");
        }
        let file = folder.path().join("config.toml");
        fs::write(&file, CONFIG).expect("a configuration");
        let root = format!("data.root={}", data.display());
        let set = TEACHER.iter().chain(settings).map(|s| s.to_string()).chain([root]);
        let config = Config::load(&file, &set.collect::<Vec<_>>()).expect("a good configuration");
        Place { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trains, or goes on, until a step; whether it came to its end.
    fn train(&self, run: &Path, resume: bool, until: Option<usize>) -> Result<bool, Error> {
        let stop = AtomicBool::new(false);
        let options = Options { resume, cache: None, memory: Some(0.0), stop_after: None, stop: &stop };
        let done = train_with(&self.config, run, &options, &mut |told| {
            if let Told::Event(Event::Step { step, .. }) = told {
                stop.store(until.is_some_and(|last| *step >= last), Ordering::Relaxed);
            }
            Ok(())
        });
        match done {
            Err(error) if error.exit_status() == 130 => Ok(false),
            done => done.map(|run| run.is_some()),
        }
    }
}

#[test]
fn a_student_goes_on_in_the_same_bits() {
    for more in ["loss.teacher.unit=false", "train.pairs.draw=pair"] {
        let place = Place::with(&[more]);
        let (straight, broken) = (place.path("straight"), place.path("broken"));
        assert!(place.train(&straight, false, None).unwrap());
        assert!(!place.train(&broken, false, Some(13)).unwrap());
        assert!(!place.train(&broken, true, Some(15)).unwrap());
        assert!(place.train(&broken, true, None).unwrap());
        assert_same(&straight, &broken);
        let steps = timeless(&straight).into_iter().filter_map(|line| match line {
            MetricsLine::Step(step) => Some(step),
            _ => None,
        });
        let mut count = 0;
        for step in steps {
            for name in ["teacher_mse", "teacher_cosine", "teacher_softmax", "teacher_relational"] {
                let (_, term) = step.terms.iter().find(|(of, _)| of == name).expect("a term of its own");
                assert!(term.raw > 0.0, "{more}: {name} {term:?}");
            }
            count += 1;
        }
        assert!(count > 0);
    }
}

#[test]
fn threads_do_not_change_a_bit_of_a_student() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let place = Place::with(&["train.epochs=2"]);
            assert!(place.train(&place.path("run"), false, None).unwrap());
            place
        })
    };
    let one = on(1);
    for threads in [2, 5] {
        assert_same(&one.path("run"), &on(threads).path("run"));
    }
}

#[test]
fn another_teacher_is_other_data_and_its_files_may_move() {
    let place = Place::with(&["train.epochs=2"]);
    let run = place.path("run");
    assert!(!place.train(&run, false, Some(3)).unwrap());
    let data = place.path("data");
    let vectors = fs::read(data.join("taught.en.npy")).unwrap();
    let mut other = vectors.clone();
    let last = other.len() - 1;
    other[last] ^= 1;
    fs::write(data.join("taught.en.npy"), other).unwrap();
    let refused = place.train(&run, true, None).unwrap_err().to_string();
    assert!(refused.contains("are not those the run was begun with"), "{refused}");
    fs::remove_file(data.join("taught.en.npy")).unwrap();
    fs::create_dir(data.join("moved")).unwrap();
    for language in ["en", "de"] {
        let name = format!("taught.{language}");
        fs::rename(data.join(&name), data.join("moved").join(&name)).unwrap();
    }
    fs::write(data.join("moved/taught.en.npy"), vectors).unwrap();
    fs::rename(data.join("taught.de.npy"), data.join("moved/taught.de.npy")).unwrap();
    let mut raw = place.config.raw().clone();
    raw.teacher.texts = vec!["moved/taught.{language}".into()];
    let config = raw.check(place.config.base().to_path_buf()).unwrap();
    let place = Place { config, ..place };
    assert!(place.train(&run, true, None).unwrap());
}
