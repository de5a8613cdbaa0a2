//! From a corpus to what training needs: vocabularies, vectors, the pretrained embedding, and captions as slots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use crate::batch::{CaptionIndex, Captions, derive};
use crate::cache::{Cache, Entry};
use crate::config::{Config, EmbeddingConfig, EmbeddingKind, WordsConfig};
use crate::corpus::{Caption, Corpus, Split};
use crate::device::Matrix;
use crate::embedding::characters::{CharacterWords, Spellings};
use crate::embedding::encoder::Encoder;
use crate::embedding::hybrid::OwnWords;
use crate::embedding::lexicon::Translations;
use crate::embedding::{HybridEmbedding, Lexicon, Scorer, Slot};
use crate::image::Init;
use crate::ops::linear::LinearWeights;
use crate::ops::matmul::{View, matmul};
use crate::ops::rows::Table;
use crate::ops::tape::{data, data1, matrix, vector};
use crate::pretrain::{Pretrained, Progress, Words, pretrain};
use crate::words::{Dictionary, Pca, Segmenter, Vocabulary, WordVectors};
use crate::{Error, Result};

/// The start of a run.
pub struct Prepared {
    pub encoder: Encoder,
    pub embedding: HybridEmbedding,
    /// Training captions by language.
    pub train: Vec<Captions>,
    /// Latent tokens before unused ones were dropped.
    pub latents_before: usize,
}

/// Segments, builds vocabularies from the training captions, trains or reads vectors, pretrains, and assigns slots.
/// `cache` keeps FastText vectors, alignment and latent vocabulary by content.
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
    progress("segment", 0, 1, 0.0);
    let tokens: Vec<Vec<Vec<String>>> = (0..languages.len())
        .map(|l| corpus.train.captions[l].par_iter().map(|c| segmenters[l].segment(&c.text)).collect())
        .collect();
    if config.embedding().kind == EmbeddingKind::Characters {
        return Ok(of_characters(config, corpus, segmenters, &tokens));
    }
    progress("vectors", 0, languages.len(), 0.0);
    let vectors = all_vectors(config, corpus, &segmenters, &tokens, cache, &mut *progress)?;
    let width = vectors[0].width();
    if let Some(l) = vectors.iter().position(|v| v.width() != width) {
        let (a, b) = (&languages[0], &languages[l]);
        return Err(Error::data(format!(
            "the vectors of `{a}` have {width} numbers, those of `{b}` {}",
            vectors[l].width()
        ))
        .hint("all languages need vectors of one width"));
    }
    let vocabularies: Vec<Vocabulary> =
        (0..languages.len()).map(|l| vocabulary(config, &languages[l], &tokens[l], &vectors[l])).collect();
    for (vocabulary, language) in vocabularies.iter().zip(languages) {
        if vocabulary.is_empty() {
            return Err(Error::data(format!(
                "no word of `{language}` has both a training caption and a vector"
            ))
            .hint("check `words.vectors` and the language's segmentation with `tinyglot data check`"));
        }
    }
    let tables: Vec<Vec<f32>> = vocabularies.iter().zip(&vectors).map(|(v, x)| table(v, x)).collect();
    let captions: Vec<Vec<Vec<u32>>> = tokens
        .iter()
        .zip(&vocabularies)
        .map(|(t, v)| t.iter().map(|s| s.iter().filter_map(|w| v.id(w)).collect()).collect())
        .collect();
    let index: Vec<CaptionIndex> = (0..languages.len()).map(|l| index(&corpus.train, l)).collect();
    let words = Words { languages, vectors: &tables, captions: &captions, index: &index, width };
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
    Ok(Prepared { encoder, embedding, train, latents_before })
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

/// Words from the characters of the training captions: no vectors, nothing to pretrain.
fn of_characters(
    config: &Config,
    corpus: &Corpus,
    segmenters: Vec<Segmenter>,
    tokens: &[Vec<Vec<String>>],
) -> Prepared {
    let e = config.embedding();
    let words = tokens.iter().flatten().flatten().map(String::as_str);
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
    let scorer = Scorer { layers: Vec::new(), keys: Vec::new() };
    let encoder = Encoder { lexicon, segmenters, vectors: Vec::new(), scorer, unseen: e.unseen };
    let mut init = Init::new(derive(config.seed(), "characters", 0));
    let embedding = HybridEmbedding {
        latents: Table::new(e.width, Vec::new()),
        own: Vec::new(),
        mask: mask(config),
        train_words: e.train_words,
        characters: Some(CharacterWords::new(e, spellings, &mut init)),
    };
    let train = training(corpus, &encoder, tokens);
    Prepared { encoder, embedding, train, latents_before: 0 }
}

/// The vector of `[MASK]`, for a loss that needs one.
fn mask(config: &Config) -> Option<Matrix> {
    let e = config.embedding();
    (config.loss().mclm.lstm > 0.0).then(|| {
        let bound = e.norm * (3.0 / e.width as f32).sqrt();
        matrix(Init::new(derive(config.seed(), "mask", 0)).uniform(e.width, bound), 1, e.width)
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

/// The vectors of every language. Those that another process is training are waited for last, so that two that start
/// together share the work.
fn all_vectors(
    config: &Config,
    corpus: &Corpus,
    segmenters: &[Segmenter],
    tokens: &[Vec<Vec<String>>],
    cache: Option<&Path>,
    progress: Progress,
) -> Result<Vec<WordVectors>> {
    let told = Mutex::new((0, progress));
    let of = |l: usize, wait: bool| {
        let texts = corpus.texts[l].as_deref().unwrap_or_default();
        let from = VectorSource { words: config.words(), base: config.base(), texts, cache };
        let vectors = from.take(&corpus.languages[l], &segmenters[l], &tokens[l], wait)?;
        if vectors.is_some() {
            let (done, progress) = &mut *told.lock().expect("telling of progress does not panic");
            *done += 1;
            progress("vectors", *done, tokens.len(), 0.0);
        }
        Ok(vectors)
    };
    let first: Vec<Option<WordVectors>> =
        (0..tokens.len()).into_par_iter().map(|l| of(l, false)).collect::<Result<_>>()?;
    let all = first.into_iter().enumerate().map(|(l, vectors)| match vectors {
        Some(vectors) => Ok(vectors),
        None => Ok(of(l, true)?.expect("vectors after waiting")),
    });
    all.collect()
}

/// Where the vectors of a language come from.
pub struct VectorSource<'a> {
    pub words: &'a WordsConfig,
    /// Folder that `words.vectors` starts from.
    pub base: &'a Path,
    /// Files of further text.
    pub texts: &'a [PathBuf],
    /// Keeps trained vectors by content.
    pub cache: Option<&'a Path>,
}

impl VectorSource<'_> {
    /// Reads the vectors of a language, or trains them on `tokens` and the further text.
    pub fn vectors(&self, code: &str, segmenter: &Segmenter, tokens: &[Vec<String>]) -> Result<WordVectors> {
        Ok(self.take(code, segmenter, tokens, true)?.expect("vectors after waiting"))
    }

    /// Nothing where another process is training them and `wait` is false.
    fn take(
        &self,
        code: &str,
        segmenter: &Segmenter,
        tokens: &[Vec<String>],
        wait: bool,
    ) -> Result<Option<WordVectors>> {
        if let Some(pattern) = &self.words.vectors {
            let path = self.base.join(pattern.replace("{language}", code));
            let needed: std::collections::HashSet<&str> = tokens.iter().flatten().map(|w| &w[..]).collect();
            return WordVectors::open(&path, &|w| needed.contains(w)).map(Some);
        }
        let mut text: Vec<Vec<String>> = tokens.to_vec();
        for file in self.texts {
            let content = std::fs::read_to_string(file).map_err(|e| Error::reading(file, e))?;
            text.extend(content.par_lines().map(|l| segmenter.segment(l)).collect::<Vec<_>>());
        }
        let settings = &self.words.fasttext;
        let seed = derive(settings.seed, code, 0);
        let make = || {
            let vectors = WordVectors::train(text.iter().map(|s| &s[..]), settings, seed)?;
            refuse_diverged(&vectors, &text, code, settings.learning_rate)?;
            Ok(vectors)
        };
        let Some(cache) = self.cache.map(Cache::new) else { return make().map(Some) };
        let entry = Entry {
            name: format!("{}.bin", fingerprint(&format!("{settings:?}{seed}"), &text)),
            make: &make,
            save: &|vectors: &WordVectors, path: &Path| vectors.save(path),
            open: &WordVectors::open_kept,
        };
        if wait { cache.get(&entry).map(Some) } else { cache.get_unless_busy(&entry) }
    }
}

/// Sound vectors of frequent words are a few units long; a rate that is too high makes them thousands, and useless.
const LONGEST: f32 = 50.0;

fn refuse_diverged(vectors: &WordVectors, text: &[Vec<String>], language: &str, rate: f64) -> Result<()> {
    let mut vector = vec![0.0; vectors.width()];
    let (mut sum, mut count) = (0.0, 0);
    for word in text.iter().flatten().take(10_000) {
        if vectors.vector(word, &mut vector) {
            sum += vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            count += 1;
        }
    }
    let mean = sum / count.max(1) as f32;
    if mean <= LONGEST {
        return Ok(());
    }
    let what = format!("FastText diverged for `{language}`: its vectors are {mean:.0} long on average");
    Err(Error::run(what).hint(format!("set `words.fasttext.learning_rate` below {rate}")))
}

/// A name for the content that determines a result.
fn fingerprint(settings: &str, text: &[Vec<String>]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(settings);
    for sentence in text {
        sentence.iter().for_each(|w| {
            hash.update(w);
            hash.update([0]);
        });
        hash.update([1]);
    }
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
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

struct Build<'a> {
    config: &'a EmbeddingConfig,
    words: Words<'a>,
    vocabularies: &'a [Vocabulary],
}

impl Build<'_> {
    /// The slots of all words, and which latent tokens are used: those of words outside their language's top K.
    fn slots(&self, trained: &Pretrained) -> (Vec<Vec<Slot>>, Vec<u32>) {
        let k = self.config.top_k;
        if self.config.latents == 0 {
            let own = |v: &Vocabulary| (0..v.len() as u32).map(Slot::Own).collect();
            return (self.vocabularies.iter().map(own).collect(), Vec::new());
        }
        let assigned: Vec<Vec<u32>> =
            self.words.vectors.iter().enumerate().map(|(l, v)| trained.scorer.assign(l, v)).collect();
        let rare = assigned.iter().flat_map(|a| a.iter().skip(k));
        let mut new: BTreeMap<u32, u32> = rare.map(|&t| (t, 0)).collect();
        new.values_mut().enumerate().for_each(|(i, n)| *n = i as u32);
        let slot = |w: usize, t: &u32| if w < k { Slot::Own(w as u32) } else { Slot::Latent(new[t]) };
        let slots =
            assigned.iter().map(|a| a.iter().enumerate().map(|(w, t)| slot(w, t)).collect()).collect();
        (slots, new.into_keys().collect())
    }

    fn embedding(
        &self,
        config: &Config,
        trained: &Pretrained,
        slots: &[Vec<Slot>],
        used: &[u32],
    ) -> Result<HybridEmbedding> {
        let width = self.config.width;
        let mut latents: Vec<f32> =
            used.iter().flat_map(|&t| &trained.latents[t as usize * width..][..width]).copied().collect();
        scale_rows(&mut latents, &latent_counts(self.vocabularies, slots, used.len()), self.config.norm);
        let mut own = Vec::new();
        if self.config.top_k > 0 {
            for l in 0..self.words.languages.len() {
                own.push(self.own_words(l, &trained.scorer.layers[l])?);
            }
        }
        let latents = Table::new(width, latents);
        let train_words = self.config.train_words;
        Ok(HybridEmbedding { latents, own, mask: mask(config), train_words, characters: None })
    }

    /// The language's frequent words, reduced by PCA, and the layer that takes them where the scorer's layer takes their full
    /// vectors: A (Cᵀ y + mean) + b, so both kinds of words start in one aligned space.
    fn own_words(&self, language: usize, aligned: &LinearWeights) -> Result<OwnWords> {
        let (full, vectors) = (self.words.width, &self.words.vectors[language]);
        let count = self.vocabularies[language].len();
        let top = self.config.top_k.min(count);
        let to = if self.config.word_width == 0 { full } else { self.config.word_width };
        let width = self.config.width;
        let (words, mut layer) = if to == full {
            (
                vectors[..top * full].to_vec(),
                LinearWeights { weight: aligned.weight.clone(), bias: aligned.bias.clone() },
            )
        } else {
            let pca = Pca::fit(count, full, vectors, to)?;
            let mut words = vec![0.0; top * to];
            for (x, y) in vectors.chunks(full).zip(words.chunks_mut(to)) {
                pca.transform(x, y);
            }
            let mut weight = vec![0.0; width * to];
            let components = View::new(pca.components(), to, full);
            let a = data(&aligned.weight);
            let a = View::new(&a, width, full);
            matmul(a, components.t(), &mut weight, false, crate::config::Precision::F32);
            let mut bias = data1(&aligned.bias).to_vec();
            matmul(a, View::new(pca.mean(), full, 1), &mut bias, true, crate::config::Precision::F32);
            (words, LinearWeights { weight: matrix(weight, width, to), bias: vector(bias) })
        };
        let counts: Vec<u64> = (0..top).map(|w| self.vocabularies[language].count(w as u32)).collect();
        let x = matrix(words.clone(), top, to);
        let y: Matrix = crate::ops::linear::linear(x, &layer, crate::config::Precision::F32);
        let factor = self.config.norm / mean_length(&data(&y), width, &counts).max(1e-12);
        crate::ops::tape::data_mut(&mut layer.weight).iter_mut().for_each(|w| *w *= factor);
        crate::ops::tape::data1_mut(&mut layer.bias).iter_mut().for_each(|b| *b *= factor);
        Ok(OwnWords { words: Table::new(to, words), layer })
    }
}

/// How often each latent token occurs in the training captions.
fn latent_counts(vocabularies: &[Vocabulary], slots: &[Vec<Slot>], latents: usize) -> Vec<u64> {
    let mut counts = vec![0; latents];
    for (vocabulary, slots) in vocabularies.iter().zip(slots) {
        for (w, slot) in slots.iter().enumerate() {
            if let Slot::Latent(t) = slot {
                counts[*t as usize] += vocabulary.count(w as u32);
            }
        }
    }
    counts
}

/// Scales all rows by one factor, so that their mean length, weighted by counts, is `norm`.
fn scale_rows(rows: &mut [f32], counts: &[u64], norm: f32) {
    if counts.is_empty() {
        return;
    }
    let factor = norm / mean_length(rows, rows.len() / counts.len(), counts).max(1e-12);
    rows.iter_mut().for_each(|x| *x *= factor);
}

fn mean_length(rows: &[f32], width: usize, counts: &[u64]) -> f32 {
    let total: u64 = counts.iter().sum();
    let lengths = rows.chunks(width).map(|r| r.iter().map(|x| (x * x) as f64).sum::<f64>().sqrt());
    (lengths.zip(counts).map(|(l, &c)| l * c as f64).sum::<f64>() / total.max(1) as f64) as f32
}
