//! The same bits with and without interruption, and on 1, 2 and 8 threads.

use std::fs;

use tinyglot::checkpoint::Earlier;
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::smalr::start;
use tinyglot::train::End;

use crate::{Place, assert_same, go_on, resume, timeless};

#[test]
fn interrupted_training_ends_in_the_same_bits() {
    let place = Place::new();
    let (straight, broken) = (place.copy("straight"), place.copy("broken"));
    assert_eq!(resume(&straight).unwrap(), End::Finished);
    // In the middle of an epoch, between the updates of the average; and at the end of an epoch.
    for stop in [13, 15, 26] {
        assert_eq!(go_on(&broken, Some(stop), |_| ()).unwrap(), End::Interrupted);
    }
    assert_eq!(resume(&broken).unwrap(), End::Finished);
    assert_same(&straight, &broken);
    // 3 lines of steps and 6 of validation.
    assert_eq!(timeless(&straight).len(), 9);
    assert_eq!(resume(&straight).unwrap(), End::Finished, "a finished run stays as it is");
    assert_same(&straight, &broken);
}

#[test]
fn a_training_that_ran_out_of_patience_does_not_go_on() {
    // A rate too small to change any rank: the first validation stays the best.
    let place = Place::with(&["train.learning_rate=1e-12", "train.patience=2"]);
    assert_eq!(resume(&place.run()).unwrap(), End::Patience);
    let ended = place.copy("ended");
    assert_eq!(resume(&place.run()).unwrap(), End::Patience);
    assert_same(&ended, &place.run());
}

/// A kill, unlike an interruption, leaves steps and lines of metrics behind that no checkpoint knows.
#[test]
fn killed_training_ends_in_the_same_bits() {
    let place = Place::new();
    let (straight, killed) = (place.copy("straight"), place.copy("killed"));
    resume(&straight).unwrap();
    // The state after 12 steps, with the best checkpoint and the metrics of 20.
    go_on(&killed, Some(12), |_| ()).unwrap();
    let kept = place.folder.path().join("kept");
    fs::rename(killed.join("checkpoints/latest"), &kept).unwrap();
    crate::copy(&kept, &killed.join("checkpoints/latest"));
    go_on(&killed, Some(20), |_| ()).unwrap();
    fs::remove_dir_all(killed.join("checkpoints/latest")).unwrap();
    fs::rename(&kept, killed.join("checkpoints/latest")).unwrap();
    // The last line was cut short.
    let path = killed.join("metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 30]).unwrap();
    assert_eq!(resume(&killed).unwrap(), End::Finished);
    assert_same(&straight, &killed);
}

/// Words rarer than `words.min_count` among them, which go through the scorer.
#[test]
fn a_run_goes_on_with_the_captions_it_began_with() {
    let place = Place::new();
    let config = Config::load(&place.run().join("config.toml"), &[]).unwrap();
    let corpus = Corpus::load(config.data(), config.base()).unwrap();
    let path = place.folder.path().join("begun");
    let folder = tinyglot::checkpoint::ReservedFolder::new(&path).unwrap();
    let begun = {
        let begun = start::begin(&config, &corpus, folder, None, &mut |_, _, _, _| Ok(())).unwrap();
        let held = Earlier::open(&path, &config).map(drop).unwrap_err();
        assert!(held.to_string().contains("is being written by process"), "{held}");
        // One writes at a time.
        begun.train.clone()
    };
    let resumed = start::go_on(Earlier::open(&path, &config).unwrap(), &corpus).unwrap();
    for (one, other) in begun.iter().zip(&resumed.train) {
        assert!(one.slots == other.slots && one.image_of == other.image_of);
    }
}

/// Wide enough that products, states and optimiser are dealt out to several threads.
#[test]
fn threads_do_not_change_a_bit() {
    let settings = [
        "embedding.width=128",
        "text.hidden=192",
        "text.joint=96",
        "image.hidden=512",
        "train.images=20",
        "train.epochs=15",
    ];
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let place = Place::with(&settings);
            assert_eq!(go_on(&place.run(), Some(12), |_| ()).unwrap(), End::Interrupted);
            place
        })
    };
    let one = on(1);
    for threads in [2, 8] {
        let more = on(threads);
        assert_same(&one.run(), &more.run());
        for file in ["en.bin", "lexicon.json", "scorer.safetensors"] {
            let read = |place: &Place| fs::read(place.run().join("words").join(file)).unwrap();
            assert!(read(&one) == read(&more), "words/{file} differs on {threads} threads");
        }
    }
}
