//! A CLIP of picture features: a text tower and the image branch, trained from scratch beside each other (Radford et al. 2021).
//!
//! It is what languages are acquired on where there is no CLIP checkpoint: afterwards the tower stands in a folder as one
//! that was downloaded would, and its pictures are vectors of the joint space.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::config::{Config, Precision};
use crate::corpus::{Corpus, PictureSource, same_width};
use crate::device::{Dev, Matrix, Vector};
use crate::eval::{DualEncoder, Parameters, Sentences};
use crate::image::{ImageBranch, embed_images};
use crate::init::Init;
use crate::loss::scale::log_scale;
use crate::ops::batch_norm::dropout;
use crate::ops::leaf::Leaf;
use crate::ops::linear::unit_rows;
use crate::ops::sequences::Sequences;
use crate::ops::tape::data;
use crate::ops::transformer::Pass;
use crate::optim::{Parameter, ParameterTree};
use crate::tower::{Encoded, Pooled, Tower, TowerConfig, TowerTokenizer, by_length};
use crate::words::{HuggingFace, with_dotless};
use crate::{Error, Result};

/// Tokens at the beginning and at the end of a text.
pub const ENDS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// Both branches, and what reads texts.
pub struct Clip {
    /// The text branch.
    pub tower: Tower,
    /// What makes token ids of texts.
    pub tokenizer: TowerTokenizer,
    /// Features as vectors in the joint space.
    pub image: ImageBranch,
    /// log 1/τ of the contrast, where it is trained: (1)
    pub scale: Option<Leaf<Vector>>,
    /// Width of the picture features.
    pub features: usize,
    /// Dropout on the vectors that enter the tower, and on the pooled state.
    dropout: [f32; 2],
    precision: Precision,
}

/// The sizes of a new tower that reads `vocabulary` tokens, of which `end` closes a text.
pub fn sizes(config: &Config, vocabulary: usize, end: u32) -> TowerConfig {
    let tower = config.tower();
    TowerConfig {
        vocabulary,
        context: tower.context,
        width: tower.width,
        hidden: tower.hidden,
        layers: tower.layers,
        heads: tower.heads,
        pooled: Pooled::Token(end),
        projection: Some(config.text().joint),
        case_of_language: true,
        ..TowerConfig::clip()
    }
}

/// Trained numbers of both branches of these sizes, counted without making them.
pub fn parameters(config: &Config, tower: &TowerConfig, features: usize) -> u128 {
    let [features, hidden, joint] = [features, config.image().hidden, config.text().joint].map(|n| n as u128);
    let image = hidden * (features + 3) + joint * (hidden + 1);
    // The bias behind the projection is none.
    tower.numbers() - joint + image + u128::from(config.tower().learn_temperature)
}

impl Clip {
    /// New branches around a tokenizer; `sizes` are the tower's, `features` is the width of the picture features.
    pub fn new(
        config: &Config,
        sizes: TowerConfig,
        tokenizer: TowerTokenizer,
        features: usize,
        seed: u64,
    ) -> Self {
        let mut init = Init::new(seed);
        let (joint, precision) = (config.text().joint, config.train().precision);
        Clip {
            tower: Tower::new(sizes, &mut init),
            tokenizer,
            image: ImageBranch::new(config.image(), features, joint, precision, &mut init),
            scale: config
                .tower()
                .learn_temperature
                .then(|| Leaf::trained(log_scale(config.loss().info_nce.temperature))),
            features,
            dropout: [config.tower().dropout, config.text().dropout],
            precision,
        }
    }

    fn pass(&self) -> Pass {
        Pass { precision: self.precision, recompute: false }
    }

    /// Width of the vectors.
    pub fn joint(&self) -> usize {
        self.tower.outputs()
    }

    /// Token ids as unit vectors (sentences, joint), with gradients. `seed` is for dropout.
    pub fn forward<T: Tape<f32, Dev> + 'static>(&self, sentences: &Arc<Sequences>, seed: u64) -> Matrix<T> {
        let x = dropout(self.tower.embed::<T>(sentences), self.dropout[0], seed);
        let x = self.tower.blocks(x, sentences, self.pass(), |_, x| x);
        let x = dropout(self.tower.pool(x, sentences, self.pass()), self.dropout[1], seed ^ 1);
        unit_rows(x)
    }

    /// Texts as unit vectors (texts, joint).
    pub fn encode(&self, sentences: &Sequences) -> Vec<f32> {
        by_length(sentences, self.joint(), |some| data(&self.forward::<NoneTape>(some, 0)).to_vec())
    }

    /// Texts of a language as token ids; longer ones lose their end.
    pub fn tokens(&self, language: &str, texts: &[&str]) -> Encoded {
        self.tokenizer.encode(language, texts)
    }

    /// Trained ones, and those that remain once the tokens' vectors are looked up.
    pub fn parameters(&mut self) -> Parameters {
        let (mut train, mut test) = (0, 0);
        self.visit(&mut |name, parameter| {
            let n = if parameter.trained() { parameter.count() as u64 } else { 0 };
            train += n;
            test += if ["tower.tokens", "scale"].contains(&name) { 0 } else { n };
        });
        Parameters { train, test }
    }
}

/// Both branches, trained or in training, as evaluations use them.
pub(super) struct ClipEncoder<'a> {
    pub clip: &'a Clip,
    pub languages: &'a [String],
}

impl DualEncoder for ClipEncoder<'_> {
    fn joint(&self) -> usize {
        self.clip.joint()
    }

    fn languages(&self) -> Vec<String> {
        self.languages.to_vec()
    }

    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        let encoded = self.clip.tokens(&self.languages[language], texts);
        let vectors = self.clip.encode(&encoded.ids);
        Sentences { vectors, unknown: Vec::new(), truncated: encoded.truncated }
    }

    fn check_width(&self, pictures: &dyn PictureSource) -> Result<()> {
        same_width(pictures, self.clip.features)
    }

    fn some_pictures(&self, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32> {
        embed_images(&self.clip.image, pictures, rows)
    }
}

impl ParameterTree for Clip {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.tower.visit(&mut |name, parameter| f(&format!("tower.{name}"), parameter));
        self.image.visit(f);
        if let Some(scale) = &mut self.scale {
            f("scale", Parameter::vector(&mut scale.value, &mut scale.rate));
        }
    }
}

/// The texts of a corpus' training captions in all languages, to learn a vocabulary from.
fn training_texts(corpus: &Corpus) -> Result<Vec<Cow<'_, str>>> {
    let texts: Vec<Cow<str>> = corpus
        .languages
        .iter()
        .zip(&corpus.train.captions)
        .flat_map(|(language, captions)| captions.iter().map(move |c| with_dotless(&c.text, language)))
        .collect();
    match texts.is_empty() {
        true => Err(Error::data("the training split has no captions")),
        false => Ok(texts),
    }
}

/// Learns a vocabulary of a corpus' training captions, and gives the sizes of the tower that reads it.
///
/// # Errors
/// Data, where there are no captions; run, where no tokenizer can be learnt.
pub fn vocabulary(config: &Config, corpus: &Corpus) -> Result<(HuggingFace, TowerConfig)> {
    let texts = training_texts(corpus)?;
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let words = HuggingFace::train(&texts, config.tower().vocabulary, ENDS)?;
    let end = words.id(ENDS[1]).expect("a special token");
    let sizes = sizes(config, words.size(), end);
    Ok((words, sizes))
}
