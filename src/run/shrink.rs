//! The best model that a number of bytes has room for.

use std::path::{Path, PathBuf};

use crate::checkpoint::{Packing, ReservedFolder, RunFolder};
use crate::config::Config;
use crate::corpus::{Corpus, SplitName, Wanted};
use crate::eval::task::recall;
use crate::eval::{Retrieval, Scope};
use crate::family::{self, LeftOut, Limit, Packed, Packer, bytes_of};
use crate::numbers::Format;
use crate::retrieve::Retriever;
use crate::{Error, Result};

/// What is asked of a shrunk model.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Bytes that all its files may take.
    pub bytes: u64,
    /// The languages that it is for; all, where none is named.
    pub languages: Vec<String>,
    /// N-grams of each language, at most, where that is settled.
    pub ngrams: Option<usize>,
    /// The format of layers, where that is settled.
    pub weights: Option<Format>,
    /// The format of the vectors of words, where that is settled.
    pub rows: Option<Format>,
    /// Keys of `data` set over the configuration of the run.
    pub set: Vec<String>,
}

/// A way of packing the run that was tried.
#[derive(Debug, Clone)]
pub struct Tried {
    /// How it is packed.
    pub packing: Packing,
    /// What it leaves out for the limit.
    pub left_out: LeftOut,
    /// Bytes of all its files.
    pub bytes: u64,
    /// The mean of its languages' mR on validation, where it is within the limit.
    pub a: Option<f64>,
}

/// The model that was chosen.
pub struct Shrunk {
    /// Its folder.
    pub packed: Packed,
    /// How it was packed, its size and its worth.
    pub chosen: Tried,
    /// Each language's retrieval on validation, of the run and of the shrunk model.
    pub languages: Vec<(String, Retrieval, Retrieval)>,
}

impl Shrunk {
    /// The mean of the languages' mR of the run and of the shrunk model.
    pub fn means(&self) -> [f64; 2] {
        let mean = |of: &dyn Fn(&(String, Retrieval, Retrieval)) -> f64| {
            self.languages.iter().map(of).sum::<f64>() / self.languages.len() as f64
        };
        [mean(&|l| l.1.mr), mean(&|l| l.2.mr)]
    }
}

/// Numbers of n-grams that are tried.
const NGRAMS: [usize; 6] = [10_000, 3000, 1000, 300, 100, 0];
/// Formats of layers and of the vectors of words that are tried, the finest first.
const FORMATS: [[Format; 2]; 8] = [
    [Format::F16, Format::F16],
    [Format::Int8, Format::Int8],
    [Format::Int8, Format::Int4],
    [Format::Int4, Format::Int4],
    [Format::Int8, Format::Pq],
    [Format::Int4, Format::Pq],
    [Format::Pq, Format::Int4],
    [Format::Pq, Format::Pq],
];

/// Packs a run in the ways that are within a number of bytes, and makes the one that is best on validation, by the mean of its languages' mR, in
/// `place`. With each number of n-grams formats are tried from the finest on, up to the first for which no word has to be left out: a coarser one
/// would lose more for nothing. Every way is written and read as it would be shipped. `tell` gets each way as it was tried.
///
/// # Errors
/// Usage, for a budget that nothing fits, saying the smallest that something would, a run that is packed already, or languages that it does not know;
/// data, for validation captions or pictures that cannot be read; those of [`super::pack`].
pub fn shrink(
    run: &Path,
    wish: &Wish,
    place: ReservedFolder,
    tell: &mut dyn FnMut(&Tried),
) -> Result<Shrunk> {
    let config = RunFolder::new(run).config_with(&wish.set)?;
    let mut packer = family::of(&config).packer(run, &wish.languages)?;
    let moved = |e: Error| e.hint("if the data have moved, `--set data.root=DIR` tells where to");
    let corpus = validation(&config).map_err(moved)?;
    super::pack::ngrams(run, &*packer, wish.ngrams)?;
    let mut search = Search { packer: &mut *packer, corpus: &corpus, wish, best: None, smallest: u64::MAX };
    for packing in ngrams(wish, search.packer.guesses()).into_iter().map(|ngrams| formats(wish, ngrams)) {
        for packing in packing {
            let tried = search.attempt(packing)?;
            tell(&tried);
            if tried.a.is_some() && tried.left_out.nothing() {
                break;
            }
        }
    }
    let Some((chosen, after)) = search.best else {
        let what = format!("nothing of the run fits into {} bytes", wish.bytes);
        let hint = format!("the smallest model takes {} bytes; fewer languages take less", search.smallest);
        return Err(Error::usage(what).at(run).hint(hint));
    };
    let before = retrievals(&*super::open(run, &wish.set)?, &corpus)?;
    let of = |language: &String| before.iter().find(|(l, _)| l == language).map(|(_, r)| r.clone());
    let languages = after.into_iter().filter_map(|(l, after)| Some((l.clone(), of(&l)?, after))).collect();
    let limit = Limit { bytes: wish.bytes, corpus: &corpus };
    let packed = packer.pack(chosen.packing, Some(limit), place)?;
    Ok(Shrunk { packed, chosen, languages })
}

struct Search<'a> {
    packer: &'a mut dyn Packer,
    corpus: &'a Corpus,
    wish: &'a Wish,
    best: Option<(Tried, Vec<(String, Retrieval)>)>,
    smallest: u64,
}

impl Search<'_> {
    /// Packs the run in a way, and measures that where it is within the limit.
    fn attempt(&mut self, packing: Packing) -> Result<Tried> {
        let folder =
            tempfile::tempdir().map_err(|e| Error::run("a temporary folder cannot be made").because(e))?;
        let path: PathBuf = folder.path().join("model");
        let limit = Limit { bytes: self.wish.bytes, corpus: self.corpus };
        let Packed { folder: made, left_out, .. } =
            self.packer.pack(packing, Some(limit), ReservedFolder::new(&path)?)?;
        // Its lock is no part of it.
        drop(made);
        let bytes = bytes_of(&path)?;
        self.smallest = self.smallest.min(bytes);
        let mut tried = Tried { packing, left_out, bytes, a: None };
        if bytes <= self.wish.bytes {
            let languages = retrievals(&*super::open(&path, &self.wish.set)?, self.corpus)?;
            let a = languages.iter().map(|(_, r)| r.mr).sum::<f64>() / languages.len() as f64;
            tried.a = Some(a);
            if self.best.as_ref().is_none_or(|(best, _)| Some(a) > best.a) {
                self.best = Some((tried.clone(), languages));
            }
        }
        Ok(tried)
    }
}

fn ngrams(wish: &Wish, guesses: bool) -> Vec<usize> {
    match (wish.ngrams, guesses) {
        (Some(ngrams), _) => vec![ngrams],
        (None, true) => NGRAMS.to_vec(),
        (None, false) => vec![0],
    }
}

/// The ways with so many n-grams, those that were settled alone.
fn formats(wish: &Wish, ngrams: usize) -> Vec<Packing> {
    let settled = |wanted: Option<Format>, format: Format| wanted.is_none_or(|wanted| wanted == format);
    let packing =
        |weights, rows| Packing { ngrams, weights, rows: Some(rows).filter(|rows| *rows != weights) };
    if let (Some(weights), Some(rows)) = (wish.weights, wish.rows) {
        return vec![packing(weights, rows)];
    }
    let listed = FORMATS.iter().filter(|[w, r]| settled(wish.weights, *w) && settled(wish.rows, *r));
    let mut all: Vec<Packing> = listed.map(|&[weights, rows]| packing(weights, rows)).collect();
    if let Some(format) = wish.weights.or(wish.rows).filter(|_| all.is_empty()) {
        all.push(packing(format, format));
    }
    all
}

/// The pictures and captions of validation.
fn validation(config: &Config) -> Result<Corpus> {
    Corpus::load_part(config.data(), config.base(), Wanted::only(SplitName::Val, None, false))
}

fn retrievals(run: &dyn Retriever, corpus: &Corpus) -> Result<Vec<(String, Retrieval)>> {
    run.check_pictures(&corpus.val.features)?;
    Ok(recall::evaluate(&*run.encoder(), corpus, Scope::VALIDATION, run.parameters())?
        .languages
        .into_iter()
        .collect())
}
