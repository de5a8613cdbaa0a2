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
    /// Width of the token vectors and of what goes from block to block.
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
    /// Sentences whose gradient is computed at a time; the loss still compares all of a batch (gradient caching, Gao et
    /// al. 2021). 0 takes the whole batch. Each part draws its own dropout.
    pub micro_batch: usize,
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
            micro_batch: 0,
            learn_temperature: false,
        }
    }
}

/// Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters behind its blocks, on
/// translations (NLT) and then on captions (LE). The stages' own numbers of epochs and rates stand in for those of `train`.
/// As in MLA's released code: the adapter stands behind a whole block, not within it, and has no layer norm in use; the sentence
/// is the state at `[SEP]`; the layer from the embedding to the tower is linear; tokens see no padding; texts get no prompt.
/// Recalls are those of cosines, over all captions and pictures of the split. Ours is that LE begins with the last weights of
/// NLT, and that the best checkpoint is that of the best validation (`train.best`: by default the mR of all languages, English too), over both stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcquireConfig {
    /// Folder of the English tower, a CLIP checkpoint in Hugging Face's layout, or an encoder as `embedding` names them; `data.features`
    /// then are the vectors of pictures in its joint space. Without it, a model of the other sections is trained.
    pub tower: Option<PathBuf>,
    /// What the acquirers stand in: the English tower, or M-BERT, as which any encoder of `embedding` is used.
    pub encoder: AcquireEncoder,
    /// Sizes of the checkpoints in `tower` and `embedding`: what `tinyglot sweep --dry-run` counts of where they are not at hand.
    /// Those that are there must have them.
    pub sizes: SizesConfig,
    /// Folder of the embedding for other languages, a checkpoint of M-BERT or another BERT (E5, LaBSE), RoBERTa, XLM-R, CamemBERT or
    /// DistilBERT, alone or as sentence-transformers keeps it; only its token embedding and tokenizer are used, but with `encoder =
    /// "bert"`. Without it both begin anew, as `fresh` says.
    pub embedding: Option<PathBuf>,
    /// Sizes of an embedding that begins anew; without effect where `embedding` is given.
    pub fresh: FreshConfig,
    /// Whether that embedding is trained (MLA), or stays as it is; M-BERT's stays with `encoder = "bert"`. Its rows do not decay
    /// (`train.weight_decay`); in MLA's code they do.
    pub train_embedding: bool,
    /// Rank of a trained product that is added to an embedding that stays as it is: a small part of its parameters; 0 adds none.
    pub rank: usize,
    /// The tower's language; the other `data.languages` are acquired.
    pub own: String,
    /// Form of the acquirers.
    pub shape: AcquirerShape,
    /// Width between the two layers of an acquirer; `linear` has none. 256 is the paper's, at a tower's width of 512.
    pub hidden: usize,
    /// Weights that acquirers start with.
    pub start: AcquirerStart,
    /// Dropout on the vectors that enter the tower; MLA has none.
    pub dropout: f32,
    /// Compute what the gradient needs a second time instead of keeping it: a third more time, a third of the memory.
    pub recompute: bool,
    /// Sentences whose gradient is computed at a time; the loss still compares all of a batch (gradient caching, Gao et
    /// al. 2021). 0 takes the whole batch.
    pub micro_batch: usize,
    /// The first stage, on translations.
    pub nlt: NltConfig,
    /// The second stage, on captions of pictures.
    pub le: LeConfig,
}

impl Default for AcquireConfig {
    fn default() -> Self {
        AcquireConfig {
            tower: None,
            encoder: AcquireEncoder::Tower,
            sizes: SizesConfig::default(),
            embedding: None,
            fresh: FreshConfig::default(),
            train_embedding: true,
            rank: 0,
            own: "en".into(),
            shape: AcquirerShape::Mlp,
            hidden: 256,
            start: AcquirerStart::Identity,
            dropout: 0.0,
            recompute: false,
            micro_batch: 0,
            nlt: NltConfig::default(),
            le: LeConfig::default(),
        }
    }
}

impl AcquireConfig {
    /// Whether a stage learns from translations.
    pub fn translates(&self) -> bool {
        self.nlt.epochs > 0 || self.le.translates()
    }

    /// Whether the tower's own language is acquired too, instead of going the tower's way.
    pub fn own_too(&self) -> bool {
        self.encoder == AcquireEncoder::Bert
    }
}

/// What sentences go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcquireEncoder {
    /// The blocks of the English tower (MLA); English goes the tower's own way, which stays as it is.
    #[default]
    Tower,
    /// Those of the M-BERT in `embedding`, all of which stays as it is: cross-modal acquisition (CMA). All languages go through it,
    /// English too, and learn in both stages; of the English tower NLT has its teacher, nothing else. Of the paper
    /// (supplement, B.4) are the acquirers in every layer, the fixed M-BERT and the two stages. It leaves open, and ours are:
    /// acquirers of each language's own, which stand behind the blocks as in MLA; the state at `[CLS]`, or the pooling and dense layer
    /// that sentence-transformers keeps beside the encoder, taken to the joint space by a trained linear layer; English sentences of `nlt.source` as translations of themselves, and English captions, for English.
    Bert,
}

/// Sizes of checkpoints, said beforehand; all others are those of CLIP's text towers (49,408 tokens, a context of 77, four times
/// the width between the layers of a feed-forward part) and of M-BERT, as the defaults are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SizesConfig {
    /// Width of the tower; 0 says nothing of any size.
    pub width: usize,
    /// Its blocks.
    pub layers: usize,
    /// Width of the joint space.
    pub joint: usize,
    /// Tokens of the multilingual embedding.
    pub words: usize,
    /// Width of the multilingual embedding.
    pub word_width: usize,
}

impl Default for SizesConfig {
    fn default() -> Self {
        SizesConfig { width: 0, layers: 12, joint: 512, words: 119_547, word_width: 768 }
    }
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
    /// x + W2 · ReLU(W1 · x + b1) + b2 (MLA).
    #[default]
    Mlp,
    /// x + W · x + b: the paper's linear one (supplement, table 1), of which the code is not released; whether it adds x is not said.
    /// It has as many parameters as an MLP, but for b1, where `hidden` is half the tower's width, as with CLIP and 256:
    /// 262,656 in a block beside 262,912. At another width it has fewer or more.
    Linear,
    /// x + W2 · (W1 · x + b1) + b2: an MLP without ReLU. It is linear, and has as many parameters as the MLP at every width.
    Product,
}

/// Where acquirers start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcquirerStart {
    /// What is added to x is 0 at first (ours): the tower starts as it was trained.
    #[default]
    Identity,
    /// All layers as PyTorch's start, uniform in ±1/√(inputs) (MLA's code).
    Random,
}

/// Native language transfer: a sentence near the English teacher's vector of its translation. A batch has one language;
/// languages take turns in a random order, so each has as many batches as the others. MLA's code draws the language of every
/// batch by itself, all with the same chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NltConfig {
    /// Passes over the translations of the language with most of them; 0 leaves the stage out.
    pub epochs: usize,
    /// Translation pairs per batch, all of one language.
    pub batch: usize,
    /// Largest learning rate of the stage, at the end of its warm-up; `train.schedule` says how it goes on.
    pub learning_rate: f32,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: f32,
    /// What compares a sentence's vector with the teacher's of its translation.
    pub objective: Objective,
    /// Whether `mse` compares vectors at unit length, or as the tower's projection gives them (MLA).
    pub unit: bool,
    /// For `nce`; 0.01 is MLA's scale of 100.
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
            unit: false,
            temperature: 0.01,
            source: None,
            target: None,
        }
    }
}

/// Language exposure: a caption near the vector of its picture, and far from other pictures'. A batch has one language, as in
/// `nlt`, and one caption of each of its pictures, drawn anew in every pass; no picture is in it twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeConfig {
    /// Passes over the training pictures in each language; 0 leaves the stage out.
    pub epochs: usize,
    /// Pictures per batch, with a caption each, all of one language.
    pub batch: usize,
    /// Largest learning rate of the stage, at the end of its warm-up; `train.schedule` says how it goes on.
    pub learning_rate: f32,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: f32,
    /// What compares captions' vectors with those of pictures.
    pub objective: Objective,
    /// Whether `mse` compares vectors at unit length (ours), or as the tower's projection gives captions and `data.features`
    /// has pictures (MLA's code): these then must be as long as CLIP makes them, the `image_embeds` of
    /// `CLIPVisionModelWithProjection`. What `CLIPModel` calls `image_embeds`, and the `pictures/` of a tower trained here, have
    /// unit length.
    pub unit: bool,
    /// For `nce`; 0.01 is CLIP's scale of 100.
    pub temperature: f32,
    /// Whether the temperature is trained from there, at least to 0.01; MLA's stays.
    pub learn_temperature: bool,
    /// Translations as a further term of this stage's loss; by default there is none.
    pub nlt: NltTerm,
}

impl LeConfig {
    /// Whether translations have a part in the stage.
    pub fn translates(&self) -> bool {
        self.epochs > 0 && self.nlt.weight > 0.0
    }

    /// Whether pictures' vectors are compared at unit length.
    pub fn at_unit_length(&self) -> bool {
        self.unit || self.objective == Objective::Nce
    }
}

impl Default for LeConfig {
    fn default() -> Self {
        LeConfig {
            epochs: 1,
            batch: 128,
            learning_rate: 5e-6,
            warmup: 0.1,
            objective: Objective::Nce,
            unit: true,
            temperature: 0.01,
            learn_temperature: false,
            nlt: NltTerm::default(),
        }
    }
}

/// NLT as a part of the LE stage (supplement, table 3, rows 7 and 8): the loss is that of LE and `weight` times that of a batch of
/// as many translations (`nlt.source`, `nlt.target`) in the same language. MLA's code, whose captions all have English
/// originals, compares the same sentences with both; here they are drawn apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NltTerm {
    /// 0 leaves it out; the paper's is 1.
    pub weight: f32,
    /// What compares a sentence's vector with the teacher's of its translation.
    pub objective: Objective,
    /// As in `nlt`.
    pub unit: bool,
    /// For `nce`.
    pub temperature: f32,
}

impl Default for NltTerm {
    fn default() -> Self {
        NltTerm { weight: 0.0, objective: Objective::Mse, unit: false, temperature: 0.01 }
    }
}

/// What compares the vectors of sentences with those that they should be near: of their translations, or of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// The square of the difference between two vectors, in the mean over their numbers and over the batch (PyTorch's `MSELoss`).
    #[default]
    Mse,
    /// Softmax contrast over the batch: of cosines by the temperature, the mean of both directions.
    Nce,
}
