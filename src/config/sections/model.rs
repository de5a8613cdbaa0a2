//! Sentence encoder and image branch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sentence encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// What makes the vector of a sentence of those of its words.
    pub encoder: Encoder,
    /// Width of the GRU's state.
    pub hidden: usize,
    /// What of the GRU's states becomes the sentence.
    pub pooling: Pooling,
    /// Whether a second GRU reads from the end; the mean of both is pooled, `last` being both states at the last word (LIWE).
    pub bidirectional: bool,
    /// Whether a layer takes the pooled sentence to the joint space; without it `hidden` is the width of that space (LIWE).
    pub projection: bool,
    /// Probability with which a token is left out of a training sentence.
    pub word_dropout: f32,
    /// Whether the mean of the token vectors stands beside the GRU's state before the last layer.
    pub bag: bool,
    /// Width of the joint space.
    pub joint: usize,
    /// Dropout on the pooled sentence.
    pub dropout: f32,
    /// Sentences whose gradient is computed at a time; the losses still compare all of a batch (gradient caching, Gao et al. 2021). 0 takes the
    /// whole batch. Dropout draws the same either way; words and pictures are read once, so batch normalisation counts all of them. Masked versions
    /// and sentences of pairs count. A language that is added later learns so, too.
    pub micro_batch: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            encoder: Encoder::Gru,
            hidden: 512,
            pooling: Pooling::Last,
            bidirectional: false,
            projection: true,
            word_dropout: 0.0,
            bag: false,
            joint: 512,
            dropout: 0.0,
            micro_batch: 0,
        }
    }
}

/// What makes the vector of a sentence of those of its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// As PyTorch defines it: two biases a gate, the reset gate after the product. MULE's code has TensorFlow's: one bias, which starts at 1 for the
    /// gates, and the reset before the product.
    #[default]
    Gru,
    /// The mean of the universal vectors.
    Average,
}

/// What of the GRU's states becomes the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The state at the last word.
    #[default]
    Last,
    /// The mean of the states at all words.
    Mean,
    /// The largest value of each number over all words; not with `text.bidirectional`.
    Max,
}

/// The image branch: features → hidden → batch normalisation → ReLU → dropout → joint space. Running statistics keep nine tenths of their old value
/// a step, as in PyTorch; those of MULE's code keep one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    /// Whether there are such layers.
    pub branch: PictureBranch,
    /// Width between the two layers.
    pub hidden: usize,
    /// Dropout on what the second layer takes.
    pub dropout: f32,
    /// What is done to a feature row before the first layer.
    pub input: ImageInput,
    /// Dropout on the features.
    pub input_dropout: f32,
}

impl Default for ImageConfig {
    fn default() -> Self {
        ImageConfig {
            branch: PictureBranch::Layers,
            hidden: 2048,
            dropout: 0.5,
            input: ImageInput::Raw,
            input_dropout: 0.0,
        }
    }
}

/// How pictures come into the joint space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PictureBranch {
    /// By the layers of the image branch.
    #[default]
    Layers,
    /// They are in it: features are vectors of the joint space, `text.joint` wide, and are taken at unit length. So are those of a CLIP, or of a
    /// teacher's index, whose sentences are learnt. Only models of the family `smalr` have it.
    Given,
}

/// What is done to the picture features before the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageInput {
    /// As in the file.
    #[default]
    Raw,
    /// Each row to unit length.
    Unit,
    /// Mean and variance of each column over the training pictures.
    Standard,
    /// Signed square roots, then unit length: tames the few large values of pooled convolutions.
    Root,
}
