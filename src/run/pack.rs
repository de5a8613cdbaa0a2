//! A run as it is shipped.

use std::path::Path;

use crate::checkpoint::{Packing, ReservedFolder, RunFolder};
use crate::family::{self, Packed, Packer};
use crate::numbers::Format;
use crate::{Error, Result};

/// How a run is to be packed.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// N-grams that are kept of each language, at most, for words that training has not seen; 0 leaves such words out. Where nothing is said, 10,000 in
    /// models that guess words.
    pub ngrams: Option<usize>,
    /// The format of weights.
    pub weights: Format,
    /// The format of the vectors of words, where that is another one.
    pub rows: Option<Format>,
    /// The languages that it is for; all, where none is named.
    pub languages: Vec<String>,
}

const NGRAMS: usize = 10_000;

/// Makes a run for use alone, in `place`: the best weights and what reads sentences, without optimiser and training data.
/// It is evaluated, searched and embedded with as any run; it cannot be trained on, and no language can be added to it by training.
///
/// # Errors
/// Usage, for a run that is packed already, languages that it does not know or of which none can be left out, or n-grams of a model that guesses no words
/// by them; data, for a run that is not whole, or weights
/// that their format cannot hold; run, where the folder cannot be written.
pub fn pack(run: &Path, options: PackOptions, place: ReservedFolder) -> Result<Packed> {
    let config = RunFolder::new(run).config()?;
    let mut packer = family::of(&config).packer(run, &options.languages)?;
    let ngrams = ngrams(run, &*packer, options.ngrams)?.unwrap_or(if packer.guesses() { NGRAMS } else { 0 });
    packer.pack(Packing { ngrams, weights: options.weights, rows: options.rows }, None, place)
}

/// Refuses n-grams where no words are guessed by them.
pub(super) fn ngrams(run: &Path, packer: &dyn Packer, given: Option<usize>) -> Result<Option<usize>> {
    if given.is_none_or(|n| n == 0) || packer.guesses() {
        return Ok(given);
    }
    Err(Error::usage("the model guesses no words by their n-grams").at(run).hint("leave out `--ngrams`"))
}
