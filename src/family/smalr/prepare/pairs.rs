//! Lines of sentence pairs that words are learnt from beside the captions.

use std::borrow::Cow;

use rayon::prelude::*;

use super::index;
use crate::config::Config;
use crate::corpus::Corpus;
use crate::sampler::CaptionIndex;
use crate::sampler::pairs::PairSampler;
use crate::seed::derive;
use crate::words::Segmenter;

/// What the vocabulary, the alignment and the pretraining see.
pub(super) struct Seen<'a> {
    /// By language: segmented sentences, those of the training captions first.
    pub tokens: Cow<'a, [Vec<Vec<String>>]>,
    /// By language: its sentences by picture, and after the pictures by line.
    pub index: Vec<CaptionIndex>,
}

/// The training captions, segmented already, and `embedding.pairs` lines.
pub(super) fn with_pairs<'a>(
    config: &Config,
    corpus: &Corpus,
    segmenters: &[Segmenter],
    tokens: &'a [Vec<Vec<String>>],
) -> Seen<'a> {
    let (lines, pairs) = (config.embedding().pairs, &corpus.pairs);
    let mut index: Vec<CaptionIndex> = (0..tokens.len()).map(|l| index(&corpus.train, l)).collect();
    if lines == 0 || pairs.is_empty() {
        return Seen { tokens: Cow::Borrowed(tokens), index };
    }
    let sampler = PairSampler::new(derive(config.seed(), "words of pairs", 0), &config.train().pairs, pairs);
    let steps = lines.div_ceil(config.train().pairs.lines);
    let drawn: Vec<_> = (0..steps).flat_map(|step| sampler.draw(step, pairs).lines).take(lines).collect();
    let mut tokens = tokens.to_vec();
    for (l, (tokens, index)) in tokens.iter_mut().zip(&mut index).enumerate() {
        let segmented = drawn.par_iter().map(|drawn| {
            let sentence = drawn.languages.contains(&l).then(|| pairs.sentence(drawn.text, drawn.line, l));
            sentence.flatten().map(|text| segmenters[l].segment(&text))
        });
        for sentence in segmented.collect::<Vec<Option<Vec<String>>>>() {
            tokens.extend(sentence);
            index.starts.push(tokens.len() as u32);
        }
    }
    Seen { tokens: Cow::Owned(tokens), index }
}
