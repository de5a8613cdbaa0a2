//! From a corpus to what training needs: vocabularies, vectors, the pretrained embedding, and captions as slots.

mod build;
mod pairs;
#[cfg(test)]
mod tests;
mod vectors;

use crate::train::Progress;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::cache::Cache;
use crate::config::{Config, EmbeddingKind};
use crate::corpus::{Caption, Corpus, Split};
use crate::device::Matrix;
use crate::family::smalr::batch::Captions;
use crate::family::smalr::embedding::characters::{CharacterWords, Spellings};
use crate::family::smalr::embedding::encoder::Encoder;
use crate::family::smalr::embedding::lexicon::Translations;
use crate::family::smalr::embedding::{HybridEmbedding, Lexicon, Scorer};
use crate::family::smalr::pretrain::{Words, pretrain};
use crate::init::Init;
use crate::ops::leaf::Leaf;
use crate::ops::rows::Table;
use crate::ops::tape::matrix;
use crate::sampler::CaptionIndex;
use crate::seed::derive;
use crate::words::{Dictionary, Segmenter, Tokens, Vocabulary, WordVectors};
use crate::{Error, Result};
use build::Build;
pub use vectors::VectorSource;
use vectors::all_vectors;

/// The start of a run.
pub struct Prepared {
    /// What reads sentences.
    pub encoder: Encoder,
    /// The embedding at its start.
    pub embedding: HybridEmbedding,
    /// Training captions by language.
    pub train: Vec<Captions>,
    /// Training captions that are longer than `words.max_tokens` and lost their end.
    pub cut: usize,
    /// Latent tokens before unused ones were dropped.
    pub latents_before: usize,
}

/// Segments, builds vocabularies from the training captions and `embedding.pairs`, trains or reads vectors, pretrains, and assigns slots.
/// `cache` keeps FastText vectors, alignment and latent vocabulary by content.
///
/// # Errors
/// Config, for a segmenter or settings of FastText that there cannot be; data, where dictionaries, vectors or further text cannot be
/// used, or no word of a language has both a caption and a vector; run, where FastText or pretraining diverges, or the cache cannot be
/// written.
pub fn prepare(
    config: &Config,
    corpus: &Corpus,
    cache: Option<&Path>,
    progress: Progress,
) -> Result<Prepared> {
    let languages = &corpus.languages;
    let segmenters: Vec<Segmenter> =
        languages.iter().map(|l| Segmenter::new(l, config.words(), config.base())).collect::<Result<_>>()?;
    let dictionaries = dictionaries(config, languages, &segmenters)?;
    progress("segment", 0, 1, 0.0)?;
    let (mut tokens, mut cut) = (Vec::new(), 0);
    for (segmenter, captions) in segmenters.iter().zip(&corpus.train.captions) {
        let all: Vec<Tokens> = captions.par_iter().map(|c| segmenter.tokens(&c.text)).collect();
        cut += all.iter().filter(|t| t.cut).count();
        tokens.push(all.into_iter().map(|t| t.tokens).collect::<Vec<_>>());
    }
    let seen = pairs::with_pairs(config, corpus, &segmenters, &tokens);
    if config.embedding().kind == EmbeddingKind::Characters {
        return Ok(Prepared { cut, ..of_characters(config, corpus, segmenters, &tokens, &seen.tokens) });
    }
    progress("vectors", 0, languages.len(), 0.0)?;
    let spoken = spoken(&tokens, &seen.tokens);
    let vectors = all_vectors(config, corpus, &segmenters, &spoken, cache, &mut *progress)?;
    let width = vectors[0].width();
    if let Some(l) = vectors.iter().position(|v| v.width() != width) {
        let (a, b) = (&languages[0], &languages[l]);
        return Err(Error::data(format!(
            "the vectors of `{a}` have {width} numbers, those of `{b}` {}",
            vectors[l].width()
        ))
        .at(vectors_of(config, b))
        .hint("all languages need vectors of one width"));
    }
    let vocabularies: Vec<Vocabulary> = (0..languages.len())
        .map(|l| vocabulary(config, &languages[l], &seen.tokens[l], &vectors[l]))
        .collect();
    for (vocabulary, language) in vocabularies.iter().zip(languages) {
        if vocabulary.is_empty() {
            return Err(Error::data(format!(
                "no word of `{language}` has both a training caption and a vector"
            ))
            .at(vectors_of(config, language))
            .hint("check `words.vectors` and the language's segmentation with `tinyglot data check`"));
        }
    }
    let tables: Vec<Vec<f32>> = vocabularies.iter().zip(&vectors).map(|(v, x)| table(v, x)).collect();
    let captions: Vec<Vec<Vec<u32>>> = seen
        .tokens
        .iter()
        .zip(&vocabularies)
        .map(|(t, v)| t.iter().map(|s| s.iter().filter_map(|w| v.id(w)).collect()).collect())
        .collect();
    let words = Words { languages, vectors: &tables, captions: &captions, index: &seen.index, width };
    let trained = pretrain(
        &words,
        config.embedding(),
        config.train(),
        config.loss(),
        config.seed(),
        cache.map(Cache::new).as_ref(),
        progress,
    )?;
    let build = Build { config: config.embedding(), words, vocabularies: &vocabularies };
    let (slots, used) = build.slots(&trained);
    let embedding = build.embedding(config, &trained, &slots, &used)?;
    let mut scorer = trained.scorer;
    let latents_before = trained.latents.len() / config.embedding().width;
    scorer.keep(&used);
    let translations = dictionaries.map(|d| Translations::new(d.into, &d.from, &vocabularies));
    let latents = used.len();
    let languages = languages.clone();
    let lexicon = Lexicon { languages, vocabularies, slots, latents, translations, spellings: None };
    let encoder = Encoder { lexicon, segmenters, vectors, scorer, unseen: config.embedding().unseen };
    let train = training(corpus, &encoder, &tokens);
    Ok(Prepared { encoder, embedding, train, cut, latents_before })
}

/// What vectors of words are learnt from: the training captions, and in languages without any the sentence pairs.
fn spoken<'a>(captions: &'a [Vec<Vec<String>>], seen: &[Vec<Vec<String>>]) -> Cow<'a, [Vec<Vec<String>>]> {
    if !captions.iter().any(Vec::is_empty) {
        return captions.into();
    }
    let all = captions.iter().zip(seen).map(|(own, seen)| if own.is_empty() { seen } else { own });
    Cow::Owned(all.cloned().collect())
}

/// Where the vectors of a language come from.
fn vectors_of(config: &Config, language: &str) -> PathBuf {
    VectorSource { words: config.words(), base: config.base(), texts: &[], cache: None }.place(language)
}

/// The training captions, segmented already, as slots.
fn training(corpus: &Corpus, encoder: &Encoder, tokens: &[Vec<Vec<String>>]) -> Vec<Captions> {
    let captions = |l: usize| Captions {
        index: index(&corpus.train, l),
        image_of: corpus.train.captions[l].iter().map(|c| c.image).collect(),
        slots: encoder.slots(l, &tokens[l]),
    };
    (0..tokens.len()).map(captions).collect()
}

/// Words from the characters of what was seen, the captions given in `tokens` among it: no vectors, nothing to pretrain.
fn of_characters(
    config: &Config,
    corpus: &Corpus,
    segmenters: Vec<Segmenter>,
    tokens: &[Vec<Vec<String>>],
    seen: &[Vec<Vec<String>>],
) -> Prepared {
    let e = config.embedding();
    let words = seen.iter().flatten().flatten().map(String::as_str);
    let spellings = Arc::new(Spellings::of(words, e.characters.min_count, e.characters.length));
    let count = corpus.languages.len();
    let lexicon = Lexicon {
        languages: corpus.languages.clone(),
        vocabularies: vec![Vocabulary::default(); count],
        slots: vec![Vec::new(); count],
        latents: 0,
        translations: None,
        spellings: Some(spellings.clone()),
    };
    let scorer = Scorer { layers: Vec::new(), keys: Vec::new(), score: e.pretrain.score };
    let encoder = Encoder { lexicon, segmenters, vectors: Vec::new(), scorer, unseen: e.unseen };
    let mut init = Init::new(derive(config.seed(), "characters", 0));
    let embedding = HybridEmbedding {
        latents: Table::new(e.width, Vec::new()),
        own: Vec::new(),
        mask: mask(config),
        characters: Some(CharacterWords::new(e, spellings, &mut init)),
    };
    let train = training(corpus, &encoder, tokens);
    Prepared { encoder, embedding, train, cut: 0, latents_before: 0 }
}

/// The vector of `[MASK]`, for a loss that needs one.
fn mask(config: &Config) -> Option<Leaf<Matrix>> {
    let e = config.embedding();
    (config.loss().mclm.lstm > 0.0).then(|| {
        let bound = e.norm * (3.0 / e.width as f32).sqrt();
        let mask = Init::new(derive(config.seed(), "mask", 0)).uniform(e.width, bound);
        Leaf::trained(matrix(mask, 1, e.width))
    })
}

/// The captions of any split as slots; those of training are [`Prepared::train`] again.
pub fn encode(encoder: &Encoder, split: &Split, language: usize) -> Captions {
    encode_captions(encoder, &split.captions[language], split.features.rows(), language)
}

/// Captions of so many pictures, sorted by picture, read as a language.
pub fn encode_captions(
    encoder: &Encoder,
    captions: &[Caption],
    pictures: usize,
    language: usize,
) -> Captions {
    let texts: Vec<&str> = captions.iter().map(|c| &c.text[..]).collect();
    Captions {
        index: CaptionIndex::new(captions.iter().map(|c| c.image), pictures),
        image_of: captions.iter().map(|c| c.image).collect(),
        slots: encoder.encode_all(language, &texts),
    }
}

fn index(split: &Split, language: usize) -> CaptionIndex {
    CaptionIndex::new(split.captions[language].iter().map(|c| c.image), split.features.rows())
}

/// Dictionaries from every language into one.
struct Dictionaries {
    into: usize,
    /// By language; an empty one for the language that they lead into.
    from: Vec<Dictionary>,
}

/// Reads the dictionaries, if rare words are to be translated.
fn dictionaries(
    config: &Config,
    languages: &[String],
    segmenters: &[Segmenter],
) -> Result<Option<Dictionaries>> {
    let Some(pattern) = config.data().dictionary.as_ref().filter(|_| config.words().translate_below > 0)
    else {
        return Ok(None);
    };
    let target = languages.iter().position(|l| *l == config.words().translate_into);
    let into = target.expect("the rules ask for a language of the model");
    let read = |l: usize| match l == into {
        true => Ok(Dictionary::default()),
        false => {
            let path = config.data().root.join(pattern.replace("{language}", &languages[l]));
            Dictionary::read(&path, &segmenters[l], &segmenters[into])
        }
    };
    let from = (0..languages.len()).map(read).collect::<Result<_>>()?;
    Ok(Some(Dictionaries { into, from }))
}

/// The words of the training captions that are frequent enough and have a vector; without latent tokens to share, only as
/// many as have a vector of their own.
fn vocabulary(config: &Config, language: &str, tokens: &[Vec<String>], vectors: &WordVectors) -> Vocabulary {
    let words = config.words();
    let least = match language == words.translate_into {
        true => words.min_count,
        false => words.min_count.max(words.translate_below),
    };
    let vocabulary = with_vectors(tokens, least, vectors);
    match config.embedding().latents {
        0 => vocabulary.first(config.embedding().top_k),
        _ => vocabulary,
    }
}

/// The words that occur at least so often and have a vector.
pub fn with_vectors(tokens: &[Vec<String>], least: u64, vectors: &WordVectors) -> Vocabulary {
    let all = Vocabulary::build(tokens.iter().map(|t| &t[..]), least);
    let mut vector = vec![0.0; vectors.width()];
    let without: Vec<String> =
        all.iter().filter(|(w, _)| !vectors.vector(w, &mut vector)).map(|(w, _)| w.to_string()).collect();
    if without.is_empty() {
        return all;
    }
    let without: std::collections::HashSet<&str> = without.iter().map(|w| &w[..]).collect();
    let kept: Vec<Vec<String>> =
        tokens.iter().map(|t| t.iter().filter(|w| !without.contains(&w[..])).cloned().collect()).collect();
    Vocabulary::build(kept.iter().map(|t| &t[..]), least)
}

/// The vectors of a vocabulary (words, width).
pub fn table(vocabulary: &Vocabulary, vectors: &WordVectors) -> Vec<f32> {
    let width = vectors.width();
    let mut table = vec![0.0; vocabulary.len() * width];
    for ((word, _), row) in vocabulary.iter().zip(table.chunks_mut(width)) {
        vectors.vector(word, row);
    }
    table
}
