//! Word vectors of every language: read, or trained on its captions and further text.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use crate::cache::{Cache, Entry};
use crate::config::{Config, TextRules, WordsConfig};
use crate::corpus::Corpus;
use crate::seed::derive;
use crate::train::Progress;
use crate::words::{Segmenter, WordVectors};
use crate::{Error, Result};

/// The vectors of every language. Those that another process is training are waited for last, so that two that start
/// together share the work.
pub(super) fn all_vectors(
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
            progress("vectors", *done, tokens.len(), 0.0)?;
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
    /// The section `words` of the configuration.
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
    ///
    /// # Errors
    /// Data, where vectors or further text cannot be used; config, for settings that FastText cannot have; run, where it diverges, or the
    /// cache cannot be written.
    pub fn vectors(&self, code: &str, segmenter: &Segmenter, tokens: &[Vec<String>]) -> Result<WordVectors> {
        Ok(self.take(code, segmenter, tokens, true)?.expect("vectors after waiting"))
    }

    /// What trained vectors follow from beside the text. Words by one rule are not looked up in vectors of another.
    fn settings(&self, seed: u64) -> String {
        let settings = format!("{:?}{seed}", self.words.fasttext);
        match self.words.normalisation {
            // As it was named before there was a choice.
            TextRules::Nfkc => settings,
            rules => settings + &format!("{rules:?}"),
        }
    }

    /// Where they are read from: the file of a language, or the pattern of all; or the further text and captions.
    pub fn place(&self, code: &str) -> PathBuf {
        match &self.words.vectors {
            Some(pattern) => self.base.join(pattern.replace("{language}", code)),
            None => self.base.to_path_buf(),
        }
    }

    /// Nothing where another process is training them and `wait` is false.
    fn take(
        &self,
        code: &str,
        segmenter: &Segmenter,
        tokens: &[Vec<String>],
        wait: bool,
    ) -> Result<Option<WordVectors>> {
        if self.words.vectors.is_some() {
            let path = self.place(code);
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
            name: format!("{}.bin", fingerprint(&self.settings(seed), &text)),
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
    crate::checksum::sha256_name(hash)
}
