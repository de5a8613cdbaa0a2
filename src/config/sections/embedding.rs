//! The hybrid embedding and what is pretrained of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Token → vector: SMALR's hybrid embedding (Burns et al. 2020, section 3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingConfig {
    /// What the vector of a word is made of. With `characters` there are no word vectors, and all keys but `width` and `characters.…` have no effect.
    pub kind: EmbeddingKind,
    /// Words from characters, for `kind = "characters"`.
    pub characters: CharactersConfig,
    /// The K most frequent words of each language keep a vector of their own; 0 is the language-agnostic model (LA).
    pub top_k: usize,
    /// Width of those vectors: FastText reduced by PCA; 0 keeps FastText's width.
    pub word_width: usize,
    /// Whether those vectors are trained, or stay as PCA left them.
    pub train_words: bool,
    /// Size of the shared latent vocabulary before unused tokens are dropped; 0 has none, and leaves out words that have no vector of
    /// their own (MULE, with `top_k` above the number of words).
    pub latents: usize,
    /// Width of the universal space.
    pub width: usize,
    /// Mean length at which the universal vectors start; the losses leave the scale open, the GRU does not.
    pub norm: f32,
    /// Lines of `data.pairs` that the vocabulary, the alignment and the pretraining read beside the captions, each as a picture with one
    /// caption in each of its languages; drawn as `train.pairs` says. 0 reads none. They are held in memory.
    pub pairs: usize,
    /// What happens to words not seen in training; the paper does not say, MULE's code drops them.
    pub unseen: Unseen,
    /// Warm start of the layers into the universal space, before `pretrain`.
    pub align: AlignConfig,
    /// Pretraining of the latent tokens and of which words take them.
    pub pretrain: PretrainConfig,
}

impl Default for EmbeddingConfig {
    fn default() -> Self {
        EmbeddingConfig {
            kind: EmbeddingKind::Hybrid,
            characters: CharactersConfig::default(),
            top_k: 5000,
            word_width: 50,
            train_words: true,
            latents: 40_000,
            width: 512,
            norm: 20.0,
            pairs: 0,
            unseen: Unseen::Scorer,
            align: AlignConfig::default(),
            pretrain: PretrainConfig::default(),
        }
    }
}

/// What the vectors of words are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingKind {
    /// Vectors of frequent words and latent tokens (HEM, LA, MULE).
    #[default]
    Hybrid,
    /// The word's characters (LIWE; Wehrmann et al. 2019): one small network for all words of all languages.
    Characters,
}

/// Words from characters (LIWE): the vectors of a word's characters beside each other, then layers with weight and batch
/// normalisation and leaky ReLU, the last of width `embedding.width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CharactersConfig {
    /// Width of a character's vector (S-LIWE 24, L-LIWE 120).
    pub width: usize,
    /// Characters of a word; the rest is cut, short words are filled.
    pub length: usize,
    /// Characters rarer than this in the training captions share one vector.
    pub min_count: u64,
    /// Widths of the layers before the last.
    pub hidden: Vec<usize>,
}

impl Default for CharactersConfig {
    fn default() -> Self {
        CharactersConfig { width: 24, length: 26, min_count: 4, hidden: vec![384, 448] }
    }
}

/// What happens to words not seen in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// Mapped to a latent token by the scorer, from the FastText vector of their character n-grams.
    #[default]
    Scorer,
    /// Left out of their sentence.
    Drop,
}

/// Warm start of the layers into the universal space (MULE's `univ_pretrain`): cross-language triplet loss on sentence averages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlignConfig {
    /// Passes over the training data, as `train.epoch_unit` counts them; 0 leaves it out.
    pub epochs: usize,
    /// Learning rate of Adam, the same in every step.
    pub learning_rate: f32,
    /// Weight of the later language's sentences as anchors, where the earlier one's have 1; 1 treats both alike. MULE's code has 0: one
    /// direction for each pair.
    pub second_anchor: f32,
}

impl Default for AlignConfig {
    fn default() -> Self {
        AlignConfig { epochs: 5, learning_rate: 1e-3, second_anchor: 1.0 }
    }
}

/// Pretraining of the latent vocabulary and of the assignment of words to it (Burns et al. 2020, section 3.1).
///
/// Ours, where the paper is silent: its number of epochs and rate; words are aligned before by `embedding.align`; `score`, `init`, `temperature`
/// and `estimator`. The paper's are: triplets between captions of one picture in any languages, the mean of each caption's latent vectors,
/// hard choice, exploration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainConfig {
    /// Passes over the training data, as `train.epoch_unit` counts them; 0 keeps the initial assignment.
    pub epochs: usize,
    /// Learning rate of Adam, the same in every step.
    pub learning_rate: f32,
    /// Which captions of one picture are pairs.
    pub pairs: CaptionPairs,
    /// Weight of a pair's second sentences as anchors, where the first ones have 1; 1 treats both sides alike, as the paper does.
    pub second_anchor: f32,
    /// How well a word fits a latent token.
    pub score: Score,
    /// Probability p with which a word takes a random one of its M best tokens.
    pub exploration: f32,
    /// M.
    pub top_m: usize,
    /// How the gradient passes the choice of a token.
    pub estimator: Estimator,
    /// How the latent tokens start.
    pub init: LatentInit,
    /// Temperature of the softmax over scores in the estimators.
    pub temperature: f32,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        PretrainConfig {
            epochs: 3,
            learning_rate: 1e-3,
            pairs: CaptionPairs::Any,
            second_anchor: 1.0,
            score: Score::Cosine,
            exploration: 0.2,
            top_m: 20,
            estimator: Estimator::StraightThrough,
            init: LatentInit::Kmeans,
            temperature: 0.1,
        }
    }
}

/// Captions that the pretraining brings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptionPairs {
    /// Two captions of one picture in any languages, the same one included (the paper). Within a language one caption of a picture is
    /// compared with the others of the batch, so `train.captions` must give it two or more.
    #[default]
    Any,
    /// Captions in two languages; within the language where there is but one.
    Between,
}

/// How well a word fits a latent token; the best one is its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// The cosine between the word's vector, mapped by the aligned layer of its language, and the token's own vector (ours).
    #[default]
    Cosine,
    /// A fully connected layer with bias, one output a token, on the word's mapped vector at unit length (the paper: the score is "predicted from FastText
    /// features" by a fully connected layer). Its rows start at the tokens' own directions, which `init` gives, without bias, and learn by the
    /// `estimator` alone: with `none` they stay there.
    Layer,
}

/// How the gradient passes the hard choice of a token; the paper does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Forward the chosen token, backward through the softmax over the best M (Bengio et al. 2013).
    #[default]
    StraightThrough,
    /// Forward the chosen token times its softmax probability over itself detached (the chosen score alone is trained).
    Gate,
    /// The scorer gets no gradient: only the latent vectors are trained.
    None,
}

/// How the latent tokens start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LatentInit {
    /// k-means of the aligned word vectors.
    #[default]
    Kmeans,
    /// Random words' aligned vectors.
    Words,
    /// Gaussian.
    Random,
}
