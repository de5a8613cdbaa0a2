//! The two towers, and the full list of parameter names.

use dfdx::prelude::*;

use crate::config::{Config, MaskedEncoder};
use crate::device::{Dev, Scalar};
use crate::family::smalr::embedding::{HybridEmbedding, TokenRows};
use crate::family::smalr::text::{Adapter, TextEncoder};
use crate::image::ImageBranch;
use crate::init::Init;
use crate::loss::half_square;
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::recurrent::RecurrentWeights;
use crate::ops::rows::{Table, lookup};
use crate::optim::{Parameter, ParameterTree, freeze, visit_linear, visit_recurrent};

impl ParameterTree for Model {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.embedding.visit(&self.languages, f);
        for (start, language) in self.word_starts.iter_mut().zip(&self.languages) {
            f(&format!("embedding.{language}.start"), Parameter::fixed_table(start));
        }
        self.text.visit(&self.languages, f);
        self.image.visit(f);
        self.mclm.visit(f);
        if let Some(adversary) = &mut self.adversary {
            visit_linear("adversary", adversary, f);
        }
    }
}

/// Words, both branches, and what losses need.
pub struct Model {
    /// Language codes, in the order of all lists by language.
    pub languages: Vec<String>,
    /// Words as vectors in the universal space.
    pub embedding: HybridEmbedding,
    /// Sentences as vectors in the joint space.
    pub text: TextEncoder,
    /// Picture features as vectors in the joint space.
    pub image: ImageBranch,
    /// Heads of the masked cross-language model; without effect on queries.
    pub mclm: Mclm,
    /// Language classifier (languages, width).
    pub adversary: Option<LinearWeights>,
    /// By language, where the own words' vectors started, the training or the present epoch; only models that keep them near it
    /// have them.
    pub word_starts: Vec<Table>,
}

/// The heads of the masked cross-language model, used in training only.
#[derive(Default)]
pub struct Mclm {
    /// Of the variant that averages token vectors; none, where its weight is 0.
    pub average: Option<MaskedHeads>,
    /// Of the variant with `[MASK]` in place of words; none, where its weight is 0.
    pub lstm: Option<MaskedHeads>,
    /// What reads masked sentences, unless the sentence branch does.
    pub encoder: Option<MaskedReader>,
    /// Sentences of which it keeps what its gradient needs at a time; 0 takes all.
    pub micro_batch: usize,
}

/// LSTM over token vectors and the layer after it (width, width).
#[derive(Clone)]
pub struct MaskedReader {
    /// (4 · width, width) twice
    pub lstm: RecurrentWeights,
    /// (width, width)
    pub output: LinearWeights,
}

impl ParameterTree for MaskedReader {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        visit_recurrent("mclm.encoder.lstm", &mut self.lstm, f);
        visit_linear("mclm.encoder.output", &mut self.output, f);
    }
}

/// What predicts the lost part: for averaged or LSTM-encoded token vectors, and for final sentence vectors.
pub struct MaskedHeads {
    /// (2 · width, 2 · width)
    pub words: Option<LinearWeights>,
    /// (2 · joint, 2 · joint)
    pub sentences: Option<LinearWeights>,
}

impl Mclm {
    fn new(config: &Config, init: &mut Init) -> Self {
        let (width, joint) = (config.embedding().width, config.text().joint);
        let (config, micro_batch) = (&config.loss().mclm, config.text().micro_batch);
        let own = config.encoder == MaskedEncoder::Own;
        let mut heads = |weight: f32, words: bool, sentences: bool| {
            (weight > 0.0).then(|| MaskedHeads {
                words: words.then(|| init.linear(2 * width, 2 * width)),
                sentences: sentences.then(|| init.linear(2 * joint, 2 * joint)),
            })
        };
        let (average, lstm) = (heads(config.average, true, own), heads(config.lstm, own, true));
        let with_encoder = lstm.is_some() && own;
        let encoder = with_encoder.then(|| MaskedReader {
            lstm: init.recurrent(4, width, width),
            output: init.linear(width, width),
        });
        Mclm { average, lstm, encoder, micro_batch }
    }

    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        for (name, heads) in [("average", &mut self.average), ("lstm", &mut self.lstm)] {
            let Some(heads) = heads else { continue };
            for (of, head) in [("words", &mut heads.words), ("sentences", &mut heads.sentences)] {
                if let Some(head) = head {
                    visit_linear(&format!("mclm.{name}.{of}"), head, f);
                }
            }
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.visit(f);
        }
    }
}

impl Model {
    /// A model around a finished embedding; `features` is the width of the picture features.
    pub fn new(config: &Config, mut embedding: HybridEmbedding, features: usize, seed: u64) -> Self {
        if !config.embedding().train_words {
            embedding.own.iter_mut().for_each(|own| own.words.rate = Rate::FROZEN);
        }
        let mut init = Init::new(seed);
        let (width, precision) = (config.embedding().width, config.train().precision);
        let joint = config.text().joint;
        // The classifier knows the languages that it was trained on.
        let classes = config.data().languages.iter().filter(|l| !config.added().contains_key(*l)).count();
        let adversary = (config.loss().adversary.weight > 0.0).then(|| init.linear(width, classes));
        let word_starts = match config.loss().word_drift > 0.0 {
            true => embedding
                .own
                .iter()
                .map(|own| Table::new(own.words.width, own.words.data().to_vec()))
                .collect(),
            false => Vec::new(),
        };
        let mut text = TextEncoder::new(config.text(), width, precision, &mut init);
        let adapter = |language: &String| {
            let rank = config.added().get(language).map_or(0, |added| added.rank);
            let inputs = TextEncoder::pooled(config.text(), width);
            // What it starts at is read from a checkpoint.
            (rank > 0).then(|| Adapter::new(inputs, joint, rank, &mut Init::new(0)))
        };
        text.adapters = config.data().languages.iter().map(adapter).collect();
        let mut image = ImageBranch::new(config.image(), features, joint, precision, &mut init);
        if config.teacher().pictures {
            image.fixed = true;
            freeze(&mut image, |_| true);
        }
        Model {
            languages: config.data().languages.clone(),
            embedding,
            text,
            image,
            mclm: Mclm::new(config, &mut init),
            adversary,
            word_starts,
        }
    }

    /// ½‖E − E₀‖² over the given rows of each language's own words, for the languages that have some.
    pub fn word_drift<T: Tape<f32, Dev> + 'static>(&self, rows: &TokenRows) -> Vec<Scalar<T>> {
        let all = self.embedding.own.iter().zip(&self.word_starts).zip(&rows.own);
        let some = all.filter(|(_, rows)| !rows.is_empty());
        some.map(|((own, start), rows)| {
            half_square(lookup::<T>(&own.words, rows), lookup::<NoneTape>(start, rows)) // (rows, word width)
        })
        .collect()
    }

    /// Trainable parameters; and what inference needs once every word's universal vector is computed: the encoder
    /// and the image branch (the 7.1 M of Burns et al. 2020, section 5). Words made of characters are not computed beforehand: there
    /// is no end of them.
    pub fn parameter_counts(&mut self) -> (usize, usize) {
        let (mut train, mut test) = (0, 0);
        self.visit(&mut |name, parameter| {
            let n = if parameter.trained() { parameter.count() } else { 0 };
            train += n;
            if ["text.", "image.", "embedding.characters."].iter().any(|part| name.starts_with(part)) {
                test += n;
            }
        });
        (train, test)
    }
}
