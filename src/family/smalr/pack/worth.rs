//! What words and their vectors are worth: what sentences would lose without them.
//!
//! A word that is left out falls back: one with a vector of its own to its latent one, a latent vector to the nearest other one, a word of a vocabulary
//! to what is guessed of its n-grams, or to nothing. Its worth is how often training saw it, as a share of its language's words, times how far the
//! vectors of sentences on validation move when it falls back (1 − cosine, the mean of the sentences that have it). What no sentence of the sample
//! has moves as far as the mean of its kind. So rare words count by how rare they are, and every language alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Words;
use super::without::{Item, nearest_other};
use crate::corpus::Corpus;
use crate::eval::Scope;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::embedding::{Lexicon, Scorer, Slot};
use crate::family::smalr::inference::embed_sentences;
use crate::words::WordVectors;

/// Sentences of a language that are looked at, evenly over validation.
const SENTENCES: usize = 200;

/// What an item is worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Valued {
    pub item: Item,
    pub worth: f64,
}

/// By language and id the latent token that a word would have if the model had not seen it; nothing for one without a vector.
fn fallback(lexicon: &Lexicon, vectors: &[WordVectors], scorer: &Scorer) -> Vec<Vec<Option<u32>>> {
    let of = |l: usize| {
        let words: Vec<&str> = lexicon.vocabularies[l].iter().map(|(word, _)| word).collect();
        match vectors.get(l).filter(|_| !scorer.keys.is_empty()) {
            Some(vectors) => guessed(l, &words, vectors, scorer),
            None => vec![None; words.len()],
        }
    };
    (0..lexicon.languages.len()).map(of).collect()
}

/// As [`fallback`], by all that the run has, for words with vectors of their own; where no word has one, nothing is computed.
pub(super) fn own_fallback(lexicon: &Lexicon, whole: &Words) -> Vec<Vec<Option<u32>>> {
    match (0..lexicon.languages.len()).any(|l| lexicon.own(l) > 0) {
        true => fallback(lexicon, &whole.vectors, &whole.scorer),
        false => lexicon.vocabularies.iter().map(|words| vec![None; words.len()]).collect(),
    }
}

fn guessed(language: usize, words: &[&str], vectors: &WordVectors, scorer: &Scorer) -> Vec<Option<u32>> {
    let (mut all, mut vector) = (Vec::new(), vec![0.0; vectors.width()]);
    let known = |word: &&str| {
        let known = vectors.vector(word, &mut vector);
        if known {
            all.extend_from_slice(&vector);
        }
        known
    };
    let known: Vec<bool> = words.iter().map(known).collect();
    let mut tokens = scorer.assign(language, &all).into_iter();
    known.into_iter().map(|known| if known { tokens.next() } else { None }).collect()
}

/// The worth of all that can be left out of a run, whose encoder is pruned to the n-grams that it will have; `whole` is how it was.
pub(super) fn worth(run: &SmalrRun, whole: &Words, corpus: &Corpus) -> Vec<Valued> {
    let encoder = &run.encoder;
    let guesses = fallback(&encoder.lexicon, &encoder.vectors, &encoder.scorer);
    let own = own_fallback(&encoder.lexicon, whole);
    let mut moves: BTreeMap<Item, (f64, usize)> = BTreeMap::new();
    for asked in Scope::VALIDATION.asked(corpus) {
        let Some(language) = encoder.lexicon.languages.iter().position(|l| l == asked.reader) else {
            continue;
        };
        let step = asked.captions.len().div_ceil(SENTENCES);
        let texts: Vec<&str> = asked.captions.iter().step_by(step).map(|c| &c.text[..]).collect();
        for (item, moved) in moved(run, language, &texts, [&guesses[language], &own[language]]) {
            let (sum, count) = moves.entry(item).or_default();
            (*sum, *count) = (*sum + moved, *count + 1);
        }
    }
    let shares = shares(&encoder.lexicon);
    let means = [0, 1, 2].map(|kind| {
        let some = moves.iter().filter(|(item, _)| item.kind() == kind).map(|(_, moved)| moved);
        let (sum, count) = some.fold((0.0, 0), |(s, c), (sum, count)| (s + sum, c + count));
        if count > 0 { sum / count as f64 } else { 1.0 }
    });
    let moved = |item: &Item| moves.get(item).map_or(means[item.kind()], |(sum, count)| sum / *count as f64);
    shares.into_iter().map(|(item, share)| Valued { item, worth: share * moved(&item) }).collect()
}

/// All that can be left out, and how often training saw it: the sum over languages of its share of their words.
pub(super) fn shares(lexicon: &Lexicon) -> BTreeMap<Item, f64> {
    let mut shares: BTreeMap<Item, f64> =
        (0..lexicon.latents as u32).map(|t| (Item::Latent(t), 0.0)).collect();
    for (language, vocabulary) in lexicon.vocabularies.iter().enumerate() {
        let all: u64 = vocabulary.iter().map(|(_, count)| count).sum();
        for (id, slot) in (0..).zip(&lexicon.slots[language]) {
            let share = vocabulary.count(id) as f64 / all as f64;
            match slot {
                Slot::Own(_) => drop(shares.insert(Item::Own { language, id }, share)),
                Slot::Latent(t) => {
                    shares.insert(Item::Word { language, id }, share);
                    *shares.entry(Item::Latent(*t)).or_default() += share;
                }
                Slot::Other { .. } => {}
            }
        }
    }
    shares
}

/// How far sentences move without what is in them: an item and 1 − cosine for each sentence that has it. `guesses` and `own` say what words fall back
/// to as unseen ones, by the n-grams that are kept, and by all.
fn moved(
    run: &SmalrRun,
    language: usize,
    texts: &[&str],
    [guesses, own]: [&[Option<u32>]; 2],
) -> Vec<(Item, f64)> {
    let (encoder, segmenter) = (&run.encoder, &run.encoder.segmenters[language]);
    let (lexicon, vocabulary) = (&encoder.lexicon, &encoder.lexicon.vocabularies[language]);
    let sentences: Vec<Vec<String>> = texts.iter().map(|text| segmenter.segment(text)).collect();
    let distinct: Vec<&String> = sentences.iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    let each: Vec<Vec<String>> = distinct.iter().map(|word| vec![word.to_string()]).collect();
    let slots = encoder.slots(language, &each).into_iter().map(|slots| slots.first().copied());
    let slots: HashMap<&String, Option<Slot>> = distinct.into_iter().zip(slots).collect();
    let latent: BTreeSet<u32> = slots.values().flatten().filter_map(as_latent).collect();
    let latent: Vec<u32> = latent.into_iter().collect();
    let (table, width) = (run.model.embedding.latents.data(), run.model.embedding.latents.width);
    let others: HashMap<u32, u32> =
        latent.iter().copied().zip(nearest_other(table, width, &latent)).collect();

    let (mut all, mut items) = (Vec::new(), Vec::new());
    for words in &sentences {
        let place = all.len();
        all.push(words.iter().filter_map(|word| slots[word]).collect::<Vec<Slot>>());
        items.push((None, place));
        let mut without = |item: Item, change: &dyn Fn(&String) -> Option<Slot>| {
            all.push(words.iter().filter_map(change).collect());
            items.push((Some(item), place));
        };
        for word in words.iter().collect::<BTreeSet<_>>() {
            let (Some(id), Some(slot)) = (vocabulary.id(word), slots[word]) else { continue };
            let (item, back) = match slot {
                Slot::Own(_) => (Item::Own { language, id }, own[id as usize]),
                _ => (Item::Word { language, id }, guesses[id as usize]),
            };
            without(item, &|w| if w == word { back.map(Slot::Latent) } else { slots[w] });
        }
        let latents: BTreeSet<u32> =
            words.iter().filter_map(|w| slots[w].as_ref().and_then(as_latent)).collect();
        for t in latents {
            let change = |slot: Slot| if slot == Slot::Latent(t) { Slot::Latent(others[&t]) } else { slot };
            without(Item::Latent(t), &|w| slots[w].map(change));
        }
    }
    let vectors = embed_sentences(&run.model, lexicon, language, &all, run.config.train().precision);
    let row = |n: usize| vectors.chunks(vectors.len() / all.len()).nth(n).unwrap_or_default();
    let far = |(n, (item, place)): (usize, &(Option<Item>, usize))| {
        let cosine: f32 = row(n).iter().zip(row(*place)).map(|(a, b)| a * b).sum();
        item.map(|item| (item, f64::from(1.0 - cosine).max(0.0)))
    };
    items.iter().enumerate().filter_map(far).collect()
}

fn as_latent(slot: &Slot) -> Option<u32> {
    if let Slot::Latent(t) = slot { Some(*t) } else { None }
}
