//! The rivals of the hybrid embedding keep the same promises.

use std::fs;

use tinyglot::checkpoint::{RunFolder, TensorFile};
use tinyglot::config::Config;
use tinyglot::corpus::Corpus;
use tinyglot::family::smalr::embedding::Slot;
use tinyglot::family::smalr::embedding::encoder::Encoder;
use tinyglot::family::smalr::prepare::prepare;
use tinyglot::train::End;

use crate::{Place, assert_same, go_on, resume};

/// Every word its own vector of full width, kept near its start; no latent tokens.
const MULE: [&str; 5] = [
    "embedding.latents=0",
    "embedding.top_k=1000",
    "embedding.word_width=0",
    "embedding.unseen=drop",
    "loss.word_drift=1e-3",
];

/// German words that are seen less than four times are read as English ones.
const DICTIONARY: [&str; 3] =
    ["data.languages=['en','de']", "data.dictionary=to-en.dict", "words.translate_below=4"];

/// Words from their characters, read both ways.
const LIWE: [&str; 5] = [
    "embedding.kind=characters",
    "embedding.characters={width=4, length=7, min_count=2, hidden=[24]}",
    "text.hidden=24",
    "text.bidirectional=true",
    "text.projection=false",
];

fn interrupted_is_straight(settings: &[&str]) -> Place {
    let place = Place::with(settings);
    let (straight, broken) = (place.copy("straight"), place.copy("broken"));
    assert_eq!(resume(&straight).unwrap(), End::Finished);
    for stop in [13, 15] {
        assert_eq!(go_on(&broken, Some(stop), |_| ()).unwrap(), End::Interrupted);
    }
    assert_eq!(resume(&broken).unwrap(), End::Finished);
    assert_same(&straight, &broken);
    place
}

fn read(place: &Place) -> (Config, Encoder) {
    let folder = RunFolder::new(&place.run());
    let (config, languages) = (folder.config().unwrap(), folder.info().unwrap().languages);
    let encoder = folder.read_words(&config, &languages).unwrap();
    (config, encoder)
}

#[test]
fn mule_goes_on_in_the_same_bits_and_has_no_latent_tokens() {
    let place = interrupted_is_straight(&MULE);
    let info = RunFolder::new(&place.run()).info().unwrap();
    assert_eq!(info.latents, [0, 0]);
    assert!(info.parameters.iter().all(|(part, _)| part != "embedding.latent"), "{:?}", info.parameters);
    let (_, encoder) = read(&place);
    assert!(encoder.lexicon.slots.iter().flatten().all(|slot| matches!(slot, Slot::Own(_))));
    assert_eq!(encoder.encode(0, "neverheardof"), []);
}

/// The centre of MULE's regulariser moves with the epochs, and is where the words were, those that waited for their steps included.
#[test]
fn the_centre_of_words_is_the_epochs_start_and_goes_on_in_the_same_bits() {
    let moving = [&MULE[..], &["loss.word_drift_centre=epoch"]].concat();
    interrupted_is_straight(&moving);
    let centre_and_words = |settings: &[&str]| {
        // Without an average the best checkpoint, which the first epoch always is, holds the words as they are.
        let place = Place::with(&[settings, &["train.average=0.0"]].concat());
        let read = |which: &str, name: &str| {
            let file = place.run().join(format!("checkpoints/{which}/model.safetensors"));
            TensorFile::open(&file).unwrap().floats(&format!("embedding.en.{name}")).unwrap().0
        };
        let first = read("latest", "words");
        assert_eq!(go_on(&place.run(), Some(5), |_| ()).unwrap(), End::Interrupted);
        assert!(read("latest", "start") == first, "in the first epoch it is the start");
        let end = read("best", "words");
        assert_eq!(go_on(&place.run(), Some(7), |_| ()).unwrap(), End::Interrupted);
        (read("latest", "start"), first, end)
    };
    let (centre, first, end) = centre_and_words(&moving);
    assert!(centre == end && centre != first);
    let (centre, first, _) = centre_and_words(&MULE);
    assert!(centre == first);
}

/// How far the hardest negatives have taken over follows from the step.
#[test]
fn sums_that_turn_to_the_hardest_go_on_in_the_same_bits() {
    let mined = ["loss.triplet.mining=sum_to_hardest", "loss.triplet.beta=0.9", "loss.triplet.text_beta=0.8"];
    interrupted_is_straight(&[&LIWE[..], &mined].concat());
}

#[test]
fn words_of_characters_go_on_in_the_same_bits_and_none_is_unknown() {
    let place = interrupted_is_straight(&LIWE);
    assert!(!place.run().join("words/de.bin").exists(), "no vectors are needed");
    let (_, encoder) = read(&place);
    let both = encoder.encode(0, "neverheardof neverhe");
    assert!(both.len() == 2 && both[0] == both[1], "cut to seven characters: {both:?}");
    let alphabet = encoder.lexicon.spellings.as_ref().unwrap().alphabet().to_vec();
    assert!(
        alphabet.contains(&'ä') && alphabet.iter().any(|c| *c > '\u{4e00}'),
        "of all languages: {alphabet:?}"
    );
}

/// Threads meet new words in any order.
#[test]
fn words_of_characters_do_not_depend_on_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let place = Place::with(&LIWE);
            assert_eq!(go_on(&place.run(), Some(12), |_| ()).unwrap(), End::Interrupted);
            place
        })
    };
    let (one, more) = (on(1), on(8));
    assert_same(&one.run(), &more.run());
}

#[test]
fn a_lexicon_of_another_kind_is_refused() {
    let place = Place::with(&LIWE);
    let config = place.run().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("kind = \"characters\"", "kind = \"hybrid\"")).unwrap();
    let error = resume(&place.run()).unwrap_err().to_string();
    assert!(error.contains("`embedding.kind`") && error.contains("\nhint: "), "{error}");
}

#[test]
fn without_latent_tokens_only_the_top_words_are_known() {
    let place = Place::with(&[&MULE[..], &["embedding.top_k=9", "words.min_count=1"]].concat());
    let (_, encoder) = read(&place);
    assert!(encoder.lexicon.vocabularies.iter().all(|v| v.len() == 9));
}

#[test]
fn dictionaries_go_on_in_the_same_bits() {
    interrupted_is_straight(&[&MULE[..], &DICTIONARY].concat());
    // With latent tokens too, a translated word may have one.
    let place = interrupted_is_straight(&[&DICTIONARY[..], &["embedding.top_k=5"]].concat());
    let (_, encoder) = read(&place);
    let words = &encoder.lexicon.translations.as_ref().unwrap().words[1];
    let latent = |w: &String| matches!(encoder.lexicon.slot(1, w), Some(Slot::Latent(_)));
    assert!(words.keys().any(latent) && !words.keys().all(latent), "{words:?}");
}

#[test]
fn rare_words_have_the_rows_of_their_translations() {
    let place = Place::with(&[&MULE[..], &DICTIONARY].concat());
    let (config, encoder) = read(&place);
    let lexicon = &encoder.lexicon;
    let translations = lexicon.translations.as_ref().unwrap();
    assert!(translations.words[0].is_empty() && translations.words[1].len() > 3);
    for (word, &id) in &translations.words[1] {
        assert_eq!(lexicon.vocabularies[1].id(word), None, "a frequent word keeps its own vector");
        let own = lexicon.slot(0, lexicon.vocabularies[0].word(id)).unwrap();
        let Slot::Own(row) = own else { panic!("every English word has a vector of its own") };
        assert_eq!(encoder.encode(1, word), [Slot::Other { language: 0, row }]);
    }
    // English keeps its rare words.
    let count =
        |l: usize| (0..lexicon.vocabularies[l].len() as u32).map(move |w| lexicon.vocabularies[l].count(w));
    assert!(count(0).min() < Some(4) && count(1).min() >= Some(4));
    let corpus = Corpus::load(config.data(), config.base()).unwrap();
    let prepared = prepare(&config, &corpus, None, &mut |_, _, _, _| Ok(())).unwrap();
    assert_eq!(prepared.encoder.lexicon.translations.as_ref(), Some(translations), "as it was written");
    let others = prepared.train[1].slots.iter().flatten().filter(|s| matches!(s, Slot::Other { .. }));
    assert!(others.count() > 3, "training reads them");
}

#[test]
fn damaged_translations_are_named() {
    let place = Place::with(&[&MULE[..], &DICTIONARY].concat());
    let path = place.run().join("words/lexicon.json");
    let whole: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let damage = |change: &dyn Fn(&mut serde_json::Value), told: &str| {
        let mut lexicon = whole.clone();
        change(&mut lexicon["translations"]);
        fs::write(&path, lexicon.to_string()).unwrap();
        let error = resume(&place.run()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{}`: {told}", path.display())) && error.contains("\nhint: "),
            "{error}"
        );
    };
    damage(&|t| t["into"] = "xx".into(), "translations into the unknown `xx`");
    damage(&|t| t["words"]["de"]["haus"] = 99_999.into(), "`haus` is translated to word 99999 of ");
    damage(&|t| t["words"] = serde_json::json!({ "en": {} }), "no translations of `de`");
}

#[test]
fn a_dictionary_that_is_not_there_is_named() {
    let place = Place::new();
    let mut raw = read(&place).0.raw().clone();
    raw.data.languages = vec!["en".into(), "de".into()];
    raw.data.dictionary = Some("none-{language}.dict".into());
    raw.words.translate_below = 2;
    let config = raw.check(place.run()).unwrap();
    let corpus = Corpus::load(config.data(), config.base()).unwrap();
    let error = prepare(&config, &corpus, None, &mut |_, _, _, _| Ok(())).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("none-de.dict"), "{error}");
    assert_eq!(error.exit_status(), 4);
}
