//! Text towers: a new one, and languages acquired on a frozen one.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text tower like CLIP's, trained from scratch beside the image branch, for want of a CLIP checkpoint to acquire languages
/// on. It takes the place of `words`, `embedding` and the GRU of `text`; of the other sections it reads `text.joint`,
/// `text.word_dropout`, `text.dropout`, `image`, `loss.triplet`, `loss.info_nce` and `train`. The run holds it in `tower/` in Hugging
/// Face's layout, and the pictures' vectors in its joint space in `pictures/{split}.npy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewTowerConfig {
    /// Blocks of attention and feed-forward; 0 trains a model of the other sections, without a tower.
    pub layers: usize,
    pub width: usize,
    /// Heads of the attention; they divide the width.
    pub heads: usize,
    /// Width between the two layers of a feed-forward part.
    pub hidden: usize,
    /// Most tokens of a sentence, those for its start and end included.
    pub context: usize,
    /// Tokens of the byte-level BPE, at most, which is learned from the training captions.
    pub vocabulary: usize,
    /// Dropout on the vectors that enter the tower.
    pub dropout: f32,
    /// Whether the temperature of `loss.info_nce` is trained from there, at least to 0.01. CLIP's begins at 0.07.
    pub learn_temperature: bool,
}

impl Default for NewTowerConfig {
    fn default() -> Self {
        NewTowerConfig {
            layers: 0,
            width: 256,
            heads: 4,
            hidden: 1024,
            context: 64,
            vocabulary: 6000,
            dropout: 0.0,
            learn_temperature: false,
        }
    }
}

/// Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters behind its blocks, on
/// translations (NLT) and then on captions (LE). The stages' own numbers of epochs and rates stand in for those of `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcquireConfig {
    /// Folder of the English tower, a CLIP checkpoint in Hugging Face's layout; `data.features` then are the vectors of
    /// pictures in its joint space. Without it, a model of the other sections is trained.
    pub tower: Option<PathBuf>,
    /// What the acquirers stand in: the English tower, or M-BERT.
    pub encoder: AcquireEncoder,
    /// Folder of the embedding for other languages, an M-BERT checkpoint; only its token embedding and tokenizer are used, but
    /// with `encoder = "bert"`. Without it both begin anew, as `fresh` says.
    pub embedding: Option<PathBuf>,
    pub fresh: FreshConfig,
    /// Whether that embedding is trained, or stays as it is; M-BERT's stays with `encoder = "bert"`.
    pub train_embedding: bool,
    /// Rank of a trained product that is added to an embedding that stays as it is: a small part of its parameters; 0 adds none.
    pub rank: usize,
    /// The tower's language; the other `data.languages` are acquired.
    pub own: String,
    pub shape: AcquirerShape,
    /// Width between the two layers of an MLP.
    pub hidden: usize,
    /// Dropout on the vectors that enter the tower.
    pub dropout: f32,
    /// Compute what the gradient needs a second time instead of keeping it: a third more time, a third of the memory.
    pub recompute: bool,
    /// Sentences whose gradient is computed at a time; the loss still compares all of a batch (gradient caching, Gao et
    /// al. 2021). 0 takes the whole batch.
    pub micro_batch: usize,
    pub nlt: NltConfig,
    pub le: LeConfig,
}

impl Default for AcquireConfig {
    fn default() -> Self {
        AcquireConfig {
            tower: None,
            encoder: AcquireEncoder::Tower,
            embedding: None,
            fresh: FreshConfig::default(),
            train_embedding: true,
            rank: 0,
            own: "en".into(),
            shape: AcquirerShape::Mlp,
            hidden: 256,
            dropout: 0.0,
            recompute: false,
            micro_batch: 0,
            nlt: NltConfig::default(),
            le: LeConfig::default(),
        }
    }
}

/// What other languages than the tower's go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcquireEncoder {
    /// The blocks of the English tower (MLA).
    #[default]
    Tower,
    /// Those of the M-BERT in `embedding`, all of which stays as it is, then a trained layer from its `[CLS]` to the tower's
    /// joint space: cross-modal acquisition (CMA).
    Bert,
}

/// An embedding for other languages that begins anew: a byte-level BPE learned from their training captions and translations,
/// and a random vector for each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FreshConfig {
    /// Tokens of all languages together, at most.
    pub vocabulary: usize,
    /// Width of the vectors.
    pub width: usize,
}

impl Default for FreshConfig {
    fn default() -> Self {
        FreshConfig { vocabulary: 12_000, width: 256 }
    }
}

/// The form of a language acquirer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcquirerShape {
    /// x + W2 · ReLU(W1 · x).
    #[default]
    Mlp,
    /// x + W · x.
    Linear,
}

/// Native language transfer: a sentence near the English teacher's vector of its translation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NltConfig {
    /// Passes over the translations of the language with most of them; 0 leaves the stage out.
    pub epochs: usize,
    /// Translation pairs per batch, all of one language.
    pub batch: usize,
    pub learning_rate: f32,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: f32,
    /// `mse` between the vectors as they are, or `nce` between their directions.
    pub objective: Objective,
    /// For `nce`.
    pub temperature: f32,
    /// File of English sentences, one a line, relative to `data.root`; may hold `{language}`.
    pub source: Option<String>,
    /// File of their translations, e.g. `"task1/train.{language}"`.
    pub target: Option<String>,
}

impl Default for NltConfig {
    fn default() -> Self {
        NltConfig {
            epochs: 10,
            batch: 128,
            learning_rate: 2e-4,
            warmup: 0.1,
            objective: Objective::Mse,
            temperature: 0.01,
            source: None,
            target: None,
        }
    }
}

/// Language exposure: a caption near the vector of its picture, and far from other pictures'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeConfig {
    /// Passes over the training pictures in each language; 0 leaves the stage out.
    pub epochs: usize,
    /// Pictures per batch, with a caption each, all of one language.
    pub batch: usize,
    pub learning_rate: f32,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: f32,
    /// `nce` both ways, or `mse`, between unit vectors.
    pub objective: Objective,
    /// For `nce`; 0.01 is CLIP's scale of 100.
    pub temperature: f32,
    /// Whether the temperature is trained from there, at least to 0.01.
    pub learn_temperature: bool,
}

impl Default for LeConfig {
    fn default() -> Self {
        LeConfig {
            epochs: 1,
            batch: 128,
            learning_rate: 5e-6,
            warmup: 0.1,
            objective: Objective::Nce,
            temperature: 0.01,
            learn_temperature: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Mean squared difference.
    #[default]
    Mse,
    /// Softmax contrast over the batch.
    Nce,
}
