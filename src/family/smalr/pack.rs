//! A run for use alone: the best weights, words and their slots, and what unseen words are guessed from.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::{Packing, ReservedFolder};
use crate::config::{Config, Unseen};
use crate::family::smalr::SmalrRun;
use crate::family::smalr::embedding::encoder::Encoder;
use crate::family::smalr::folder::empty_embedding;
use crate::family::smalr::model::Model;
use crate::family::packing::{Shipped, to_pack};
use crate::family::{Packed, UnseenWords};
use crate::optim::ParameterTree;
use crate::words::WordVectors;
use crate::{Error, Result};

/// Of fewer words that FastText has seen and the model has not, nothing is told.
const FEW: usize = 100;

/// See [`crate::run::pack`].
pub(super) fn pack(path: &Path, packing: Packing, place: ReservedFolder) -> Result<Packed> {
    let mut run = to_pack(path, SmalrRun::open)?;
    let config = config(&run, packing)?;
    let mut unseen = Vec::new();
    // Words that are made of characters need no vectors.
    if !run.encoder.vectors.is_empty() {
        unseen = prune(&mut run.encoder, packing.ngrams)?;
    }
    let mut model = for_use(&mut run, &config);
    let shipped = Shipped { run: &run.folder, info: &run.info, config: &config, state: &run.state, packing };
    let folder = place.fill(|folder| {
        folder.write_words_as(&run.encoder, packing.formats())?;
        shipped.write(folder, &mut model)
    })?;
    Ok(Packed { folder, unseen })
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

/// The model that the configuration asks for, with the run's numbers.
fn for_use(run: &mut SmalrRun, config: &Config) -> Model {
    let embedding = empty_embedding(config, &run.encoder.lexicon, config.embedding().word_width);
    let mut model = Model::new(config, embedding, run.info.features, 0);
    let mut numbers = BTreeMap::new();
    run.model.visit(&mut |name, x| {
        numbers.insert(name.to_string(), x.floats().into_owned());
    });
    model.visit(&mut |name, mut x| x.set(&numbers[name]));
    model
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
