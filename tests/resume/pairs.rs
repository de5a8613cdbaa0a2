//! Sentence pairs beside captions: the same bits with and without interruption, and on any number of threads.

use tinyglot::checkpoint::{Earlier, ReservedFolder, metrics::MetricsLine};
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::smalr::start;
use tinyglot::train::End;

use crate::{Place, assert_same, go_on, resume, timeless};

/// Captions of the first kind in three languages, and of the second in two, are read as pairs.
const PAIRS: [&str; 4] = [
    "data.pairs=[{languages=['en','de','zh'], files=['captions/train.1.{language}']}, \
     {languages=['de','en','qu'], files=['captions/train.2.{language}']}]",
    "loss.pairs.weight=0.5",
    "train.pairs.lines=12",
    "train.pairs.temperature=2.0",
];

#[test]
fn pairs_go_on_in_the_same_bits() {
    for more in
        ["loss.pairs.kind=info_nce", "loss.pairs.kind=triplet", "train.pairs.draw=pair", "text.micro_batch=9"]
    {
        let place = Place::with(&[&PAIRS[..], &[more]].concat());
        let (straight, broken) = (place.copy("straight"), place.copy("broken"));
        assert_eq!(resume(&straight).unwrap(), End::Finished);
        for stop in [13, 15] {
            assert_eq!(go_on(&broken, Some(stop), |_| ()).unwrap(), End::Interrupted);
        }
        assert_eq!(resume(&broken).unwrap(), End::Finished);
        assert_same(&straight, &broken);
        let steps = timeless(&straight).into_iter().filter_map(|line| match line {
            MetricsLine::Step(step) => Some(step),
            _ => None,
        });
        let mut count = 0;
        for step in steps {
            let (_, term) = step.terms.iter().find(|(name, _)| name == "pairs").expect("a term of its own");
            assert!(term.raw > 0.0, "{more}: {term:?}");
            count += 1;
        }
        assert_eq!(count, 3);
    }
}

#[test]
fn threads_do_not_change_a_bit_of_pairs() {
    let on = |threads: usize, set: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let place = Place::with(&[&PAIRS[..], &[set]].concat());
            assert_eq!(go_on(&place.run(), Some(7), |_| ()).unwrap(), End::Interrupted);
            place
        })
    };
    for set in ["text.micro_batch=0", "text.micro_batch=9"] {
        let one = on(1, set);
        for threads in [2, 5] {
            assert_same(&one.run(), &on(threads, set).run());
        }
    }
}

#[test]
fn files_of_pairs_may_move_and_their_draws_stay() {
    let place = Place::with(&PAIRS);
    let file = place.run().join("config.toml");
    let opened = |set: &str| {
        let given = Config::load(&file, &[set.into()]).unwrap();
        Earlier::open(&place.run(), &given).map(drop)
    };
    opened("data.pairs.0.files=['../data/captions/train.1.{language}']").unwrap();
    let refused = opened("train.pairs.lines=13").unwrap_err().to_string();
    assert!(refused.contains("`train.pairs.lines`"), "{refused}");
}

#[test]
fn other_pairs_are_other_data() {
    let place = Place::new();
    let data = place.folder.path().join("data");
    for language in ["en", "de"] {
        let text = std::fs::read_to_string(data.join(format!("captions/train.1.{language}"))).unwrap();
        std::fs::write(data.join(format!("pairs.{language}")), text).unwrap();
    }
    let set = ["data.pairs=[{languages=['en','de'], files=['pairs.{language}']}]", "loss.pairs.weight=1.0"];
    let config = Config::load(&place.run().join("config.toml"), &set.map(String::from)).unwrap();
    let corpus = || Corpus::load(config.data(), config.base()).unwrap();
    let path = place.folder.path().join("begun");
    let folder = ReservedFolder::new(&path).unwrap();
    drop(start::begin(&config, &corpus(), folder, None, &mut |_, _, _, _| Ok(())).unwrap());
    let go_on = || start::go_on(Earlier::open(&path, &config).unwrap(), &corpus()).map(drop);
    go_on().unwrap();
    let text = std::fs::read_to_string(data.join("pairs.de")).unwrap();
    std::fs::write(data.join("pairs.de"), text.replacen('e', "a", 1)).unwrap();
    let refused = go_on().unwrap_err().to_string();
    assert!(refused.contains("are not those the run was begun with"), "{refused}");
}
