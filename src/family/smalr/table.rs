//! A model that averages its words as a table: a vector of the joint space for each word of a language, whose mean is the sentence's.

use super::onnx::{Words, words};
use super::run::SmalrRun;
use crate::config::Encoder;
use crate::device::Matrix;
use crate::family::StaticTable;
use crate::ops::linear::linear;
use crate::ops::tape::{data, matrix};
use crate::{Error, Result};

/// Pairs of words that are looked at to tell whether a language divides its words by spaces.
const PAIRS: usize = 20;

/// The words of a language and their vectors. A layer of the mean is the mean of the layer, so it is applied to each word.
///
/// # Errors
/// Usage: a model with another encoder, with words that are made of characters or languages with layers of their own; a language that it does not know,
/// or that writes without spaces between words.
pub(super) fn table(run: &SmalrRun, language: &str) -> Result<StaticTable> {
    let (text, config) = (&run.model.text, run.config.text());
    let place = run.language(language)?;
    let adapted = text.adapters.iter().any(Option::is_some);
    if config.encoder != Encoder::Average || config.bag || run.encoder.lexicon.spellings.is_some() || adapted
    {
        return Err(Error::usage("its sentences are not the mean of vectors of words")
            .at(&run.folder.path)
            .hint("`text.encoder = \"average\"` without `text.bag` trains such a model; others go by `--to onnx`"));
    }
    let Words { words, indices, table: rows, width } = words(run);
    let code = &run.encoder.lexicon.languages[place];
    let own: Vec<usize> = (0..words.len()).filter(|&n| words[n].0 == *code).collect();
    if !has_spaces(run, place, &own.iter().map(|&n| words[n].1.as_str()).collect::<Vec<_>>()) {
        let what = format!("`{code}` is written without spaces between words, by which such a table is read");
        return Err(Error::usage(what).hint("it goes by `--to onnx`"));
    }
    let row = |n: usize| &rows[indices[n] as usize * width..][..width];
    let tokens: Vec<f32> = own.iter().flat_map(|&n| row(n).iter().copied()).collect();
    let tokens: Matrix = matrix(tokens, own.len(), width);
    let vectors = match &text.output {
        Some(output) => linear(tokens, output, run.config.train().precision),
        None => tokens,
    };
    let words = own.iter().map(|&n| words[n].1.clone()).collect();
    Ok(StaticTable { words, vectors: data(&vectors).to_vec(), lowercase: run.config.words().lowercase })
}

/// Whether two words without a space between them are read as one, as most often they are where spaces divide words.
fn has_spaces(run: &SmalrRun, language: usize, words: &[&str]) -> bool {
    let pairs: Vec<String> = words.windows(2).take(PAIRS).map(|pair| pair.concat()).collect();
    let one = pairs.iter().filter(|pair| run.encoder.segmenters[language].segment(pair).len() == 1);
    2 * one.count() >= pairs.len()
}
