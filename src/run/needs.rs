//! What a training will need, before it is run.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::config::Config;
use crate::corpus::Corpus;
use crate::estimate::{Estimate, Share};
use crate::{Error, Result, family, photos};

/// What a training reads and will need.
#[derive(Debug, Clone)]
pub struct Needs {
    /// Training pictures.
    pub pictures: usize,
    /// Training captions of all languages.
    pub captions: usize,
    /// Lines of sentence pairs without pictures.
    pub lines: u64,
    /// Languages.
    pub languages: usize,
    /// Parameters, memory, updates and multiply–adds.
    pub estimate: Estimate,
    /// What most of the memory goes to, counted of sizes; without what cannot be counted.
    pub shares: Vec<Share>,
}

/// Counts what a training of a configuration will need. The captions are read, their words or tokens counted, which takes seconds;
/// nothing is trained or written. `cache` is that of [`Options`](super::Options).
///
/// # Errors
/// Config and data that cannot be used; usage, where features of photographs have to be made first.
pub fn needs(config: &Config, cache: Option<&Path>) -> Result<Needs> {
    if !photos::is_featured(config, cache)? {
        return Err(Error::usage(
            "needs are counted of features, which the training would make of the photographs first",
        )
        .hint("make them with `tinyglot embed-images` and name them in `data.features`, or train"));
    }
    let config = &photos::featured(config, cache, &AtomicBool::new(false), &mut |_| ())?;
    let family = family::of(config);
    let corpus = Corpus::of(config)?;
    Ok(Needs {
        pictures: corpus.train.features.rows(),
        captions: corpus.train.captions.iter().map(Vec::len).sum(),
        lines: corpus.pairs.texts.iter().map(|text| text.lines()).sum(),
        languages: corpus.languages.len(),
        estimate: config.names(family.count(config, &corpus))?.estimate(config),
        shares: family.shares(config, &corpus)?,
    })
}
