//! A run for use alone: the best weights, words and their slots, and what unseen words are guessed from.

pub mod language;
mod limit;
mod without;
mod worth;

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::{Packing, ReservedFolder, RunFolder, RunInfo};
use crate::config::{Config, Unseen};
use crate::family::packing::Shipped;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::embedding::encoder::Encoder;
use crate::family::smalr::embedding::{Lexicon, Scorer};
use crate::family::smalr::folder::empty_embedding;
use crate::family::smalr::model::Model;
use crate::family::{Limit, Packed, Packer, UnseenWords};
use crate::grow::addition::forget;
use crate::optim::ParameterTree;
use crate::words::WordVectors;
use crate::{Error, Result};
use without::Kept;
use worth::Valued;

/// Of fewer words that FastText has seen and the model has not, nothing is told.
const FEW: usize = 100;

/// A run to be packed.
pub(super) struct SmalrPacker {
    run: SmalrRun,
    /// As the run reads sentences, before anything was left out.
    whole: Words,
    /// What words and vectors are worth, by the n-grams that unseen words are guessed from.
    worth: BTreeMap<usize, Vec<Valued>>,
}

/// What an encoder changes of when a run is packed.
struct Words {
    lexicon: Lexicon,
    vectors: Vec<WordVectors>,
    scorer: Scorer,
}

impl SmalrPacker {
    /// Opens a run; where languages are named, without the others.
    ///
    /// # Errors
    /// Usage, for a run that is packed already, or a language that it does not know; data, for a run that is not whole.
    pub fn open(path: &Path, languages: &[String]) -> Result<SmalrPacker> {
        RunFolder::new(path).refuse_packed()?;
        let mut run = SmalrRun::open(path, &[])?;
        if !languages.is_empty() {
            keep_languages(&mut run, languages)?;
        }
        let Encoder { lexicon, vectors, scorer, .. } = &run.encoder;
        let whole = Words { lexicon: lexicon.clone(), vectors: vectors.clone(), scorer: scorer.clone() };
        Ok(SmalrPacker { run, whole, worth: BTreeMap::new() })
    }

    /// Writes what is left of the run, all of a folder.
    fn write(&self, to: &RunFolder, config: &Config, packing: Packing, kept: &mut Model) -> Result<()> {
        let SmalrRun { folder, info, state, encoder, .. } = &self.run;
        let latents = [info.latents[0], encoder.lexicon.latents];
        let info = RunInfo { latents, ..info.clone() };
        to.write_words_as(encoder, packing.formats())?;
        Shipped { run: folder, info: &info, config, state, packing }.write(to, kept)
    }
}

impl Packer for SmalrPacker {
    fn guesses(&self) -> bool {
        !self.whole.vectors.is_empty()
    }

    fn pack(&mut self, packing: Packing, limit: Option<Limit>, place: ReservedFolder) -> Result<Packed> {
        let Words { lexicon, vectors, scorer } = &self.whole;
        let encoder = &mut self.run.encoder;
        (encoder.lexicon, encoder.vectors, encoder.scorer) =
            (lexicon.clone(), vectors.clone(), scorer.clone());
        let config = config(&self.run, packing)?;
        let mut unseen = Vec::new();
        // Words that are made of characters need no vectors.
        if self.guesses() {
            unseen = prune(&mut self.run.encoder, packing.ngrams)?;
        }
        let kept = match limit {
            Some(limit) => self.limited(&config, packing, limit)?,
            None => Kept::all(&self.run.encoder.lexicon),
        };
        let left_out = kept.left_out(&self.whole.lexicon, &self.run.encoder.lexicon);
        let mut model = for_use(&mut self.run, &config, &kept);
        let folder = place.fill(|folder| self.write(folder, &config, packing, &mut model))?;
        Ok(Packed { folder, unseen, left_out })
    }
}

/// Leaves out all languages but these, and the data of the others.
fn keep_languages(run: &mut SmalrRun, languages: &[String]) -> Result<()> {
    let kept = languages.iter().map(|code| run.language(code)).collect::<Result<Vec<usize>>>()?;
    let path = run.folder.path.clone();
    if run.encoder.lexicon.translations.is_some() {
        return Err(Error::usage("the run reads rare words as words of another language")
            .at(&path)
            .hint("leave out `--languages`"));
    }
    let mut raw = run.config.raw().clone();
    for language in (0..run.info.languages.len()).rev().filter(|l| !kept.contains(l)) {
        run.drop_language(language);
        run.info.human.remove(language);
        forget(&mut raw, &run.info.languages.remove(language));
    }
    run.config = raw.check(run.config.base().to_path_buf()).map_err(|problems| problems.into_error())?;
    Ok(())
}

/// The run's configuration without what only training has parameters for.
fn config(run: &SmalrRun, packing: Packing) -> Result<Config> {
    let mut raw = run.config.raw().clone();
    (raw.loss.mclm.average, raw.loss.mclm.lstm, raw.loss.mclm.masked_triplet) = (0.0, 0.0, 0.0);
    (raw.loss.adversary.weight, raw.loss.word_drift) = (0.0, 0.0);
    if raw.embedding.word_width == 0 {
        raw.embedding.word_width = run.encoder.vector_width();
    }
    if packing.ngrams == 0 {
        raw.embedding.unseen = Unseen::Drop;
    }
    raw.check(run.config.base().to_path_buf()).map_err(|problems| problems.into_error())
}

/// The model that the configuration asks for, with the run's numbers: of its tables the rows that are kept.
fn for_use(run: &mut SmalrRun, config: &Config, kept: &Kept) -> Model {
    let embedding = empty_embedding(config, &run.encoder.lexicon, config.embedding().word_width);
    let mut model = Model::new(config, embedding, run.info.features, 0);
    let mut numbers = BTreeMap::new();
    run.model.visit(&mut |name, x| {
        let rows = kept.rows(name);
        let width = x.shape().last().copied().unwrap_or_default();
        let of = |x: &[f32]| rows.map_or(x.to_vec(), |rows| rows_of(x, width, rows));
        numbers.insert(name.to_string(), of(&x.floats()));
    });
    model.visit(&mut |name, mut x| x.set(&numbers[name]));
    model
}

/// Some rows (rows, width).
fn rows_of(x: &[f32], width: usize, rows: &[u32]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &x[row as usize * width..][..width]).copied().collect()
}

/// Puts few n-grams in place of all vectors, or nothing in place of them and of the scorer, which only unseen words ask.
fn prune(encoder: &mut Encoder, ngrams: usize) -> Result<Vec<UnseenWords>> {
    let whole = encoder.vectors.clone();
    if ngrams == 0 {
        encoder.vectors.clear();
        encoder.scorer.layers.clear();
        encoder.scorer.keys.clear();
        return Ok(Vec::new());
    }
    let pruned = whole.iter().zip(&encoder.lexicon.vocabularies);
    encoder.vectors = pruned.map(|(v, known)| v.pruned(ngrams, &|word| known.id(word).is_some())).collect();
    let mut unseen = Vec::new();
    for (l, before) in whole.iter().enumerate() {
        unseen.extend(compared(encoder, l, before)?);
    }
    Ok(unseen)
}

/// What the words of a language that FastText has seen and the model has not lose; nothing, where there are few.
fn compared(encoder: &Encoder, l: usize, before: &WordVectors) -> Result<Option<UnseenWords>> {
    let (vocabulary, after) = (&encoder.lexicon.vocabularies[l], &encoder.vectors[l]);
    let width = before.width();
    let [mut old, mut new] = [(); 2].map(|()| Vec::new());
    let mut words = 0;
    let [mut a, mut b] = [(); 2].map(|()| vec![0.0; width]);
    for word in before.seen().into_iter().filter(|word| vocabulary.id(word).is_none()) {
        if before.vector(word, &mut a) {
            words += 1;
            if after.vector(word, &mut b) {
                old.extend_from_slice(&a);
                new.extend_from_slice(&b);
            }
        }
    }
    if words < FEW {
        return Ok(None);
    }
    let scorer = &encoder.scorer;
    let [mapped_old, mapped_new] = [&old, &new].map(|x| scorer.project(l, x));
    let mean = |sum: f64| sum / words as f64;
    let cosines = mapped_old.iter().zip(&mapped_new).map(|(a, b)| f64::from(a * b));
    let cosine = mean(cosines.sum());
    if !cosine.is_finite() {
        let what =
            format!("the mean cosine of unseen words of `{}` is {cosine}", encoder.lexicon.languages[l]);
        return Err(Error::data(what).hint("the word vectors or the scorer are damaged: copy the run again"));
    }
    let same = match scorer.keys.is_empty() {
        true => words,
        false => {
            let [old, new] = [&old, &new].map(|x| scorer.assign(l, x));
            old.iter().zip(&new).filter(|(a, b)| a == b).count()
        }
    };
    let language = encoder.lexicon.languages[l].clone();
    Ok(Some(UnseenWords { language, words, same: mean(same as f64), cosine }))
}
