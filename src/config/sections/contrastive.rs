//! Contrastive training of a multilingual encoder.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A multilingual text encoder and picture vectors in one space, trained on streams of pairs: MURAL (Jain et al. 2021) and ALIGN, the stage of
/// ETCL (Lee et al. 2022), cl-clip-align (Krasner et al. 2025). What is minimised is a list: `image_text`, `text_text`, `triple`.
/// `configs/{mural,etcl,cl-clip-align}/` hold the papers' constants. Of the other sections it reads `text.joint`, `text.dropout` (on the pooled
/// state), `text.word_dropout`, `image`, `data.pairs` and `train`.
///
/// Ours, in all of them: pictures are features that were computed beforehand, so no picture tower is trained; the encoder has no dropout in
/// its blocks; tables of tokens and positions do not decay, but with `train.optimizer = "lamb"`; the best checkpoint is that of the best
/// validation (`train.best`), or the last where nothing is compared with pictures; recall goes by cosine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContrastiveConfig {
    /// Folder of the encoder in Hugging Face's layout: BERT, RoBERTa, XLM-R, CamemBERT or DistilBERT, as transformers or sentence-transformers
    /// write it.
    pub checkpoint: Option<PathBuf>,
    /// A run of this family to begin with, in place of `checkpoint`: its best checkpoint, all layers included. ETCL's stage and fine-tuning
    /// begin so.
    pub start: Option<PathBuf>,
    /// An encoder that begins anew, in place of `checkpoint`.
    pub fresh: FreshEncoderConfig,
    /// Most tokens of a sentence, those for its start and end included; the encoder's own bound, where that is lower.
    pub context: usize,
    /// What stands for a sentence. By default what the checkpoint says of itself (sentence-transformers' `1_Pooling`), `first` where it says
    /// nothing, and `mean` for an encoder that begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<SentencePooling>,
    /// Layers from the pooled state to the joint space, with ReLU between two. MURAL and cl-clip-align have one; with two the run has no folder for
    /// sentence-transformers, which reads one linear layer.
    pub head_layers: usize,
    /// Whether texts have one head for both tasks. MURAL has one for each: its pictures meet the one, its translations the other.
    pub shared_head: bool,
    /// What takes picture features to the joint space.
    pub pictures: PictureHead,
    /// What of the encoder is trained.
    pub train: TrainedPart,
    /// Epochs for which the encoder stays frozen and the heads alone are trained. cl-clip-align thaws after half of the first.
    pub frozen_epochs: f32,
    /// The encoder's learning rate, in multiples of `train.learning_rate`.
    pub encoder_rate: f32,
    /// Which captions of a picture are drawn.
    pub captions: DrawnCaptions,
    /// Whether the pictures change places, once and at random, in training: the control that shows what the pictures are worth.
    pub shuffle_pictures: bool,
    /// Compute what the gradient needs a second time instead of keeping it: a third more time, a third of the memory.
    pub recompute: bool,
    /// Sentences whose gradient is computed at a time; the losses still compare all of a batch (gradient caching, Gao et al. 2021). 0 takes the
    /// whole batch.
    pub micro_batch: usize,
    /// Captions with their pictures.
    pub image_text: ImageTextConfig,
    /// Sentences in two languages that say the same; off by default, which is ALIGN.
    pub text_text: TextTextConfig,
    /// The three contrasts of a picture and two of its captions.
    pub triple: TripleConfig,
}

impl Default for ContrastiveConfig {
    fn default() -> Self {
        ContrastiveConfig {
            checkpoint: None,
            start: None,
            fresh: FreshEncoderConfig::default(),
            context: 64,
            pooling: None,
            head_layers: 1,
            shared_head: true,
            pictures: PictureHead::Mlp,
            train: TrainedPart::All,
            frozen_epochs: 0.0,
            encoder_rate: 1.0,
            captions: DrawnCaptions::Each,
            shuffle_pictures: false,
            recompute: false,
            micro_batch: 0,
            image_text: ImageTextConfig::default(),
            text_text: TextTextConfig::default(),
            triple: TripleConfig::default(),
        }
    }
}

impl ContrastiveConfig {
    /// Whether the sections speak of this family.
    pub fn given(&self) -> bool {
        self.checkpoint.is_some() || self.start.is_some() || self.fresh.layers > 0
    }

    /// Whether sentence pairs of `data.pairs` are compared.
    pub fn reads_pairs(&self) -> bool {
        self.text_text.weight > 0.0 && self.text_text.source == TextTextSource::Pairs
    }
}

/// Sizes of a BERT (Devlin et al. 2019) that begins anew, with a vocabulary that is learnt from the training captions and pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FreshEncoderConfig {
    /// Blocks of attention and feed-forward; 0 makes no encoder.
    pub layers: usize,
    /// Width of the token vectors and of what goes from block to block.
    pub width: usize,
    /// Heads of the attention; they divide the width.
    pub heads: usize,
    /// Width between the two layers of a feed-forward part.
    pub hidden: usize,
    /// Tokens of the byte-level BPE, at most.
    pub vocabulary: usize,
}

impl Default for FreshEncoderConfig {
    fn default() -> Self {
        FreshEncoderConfig { layers: 0, width: 256, heads: 4, hidden: 1024, vocabulary: 8000 }
    }
}

/// What stands for a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SentencePooling {
    /// The state at the first token, `[CLS]` or `<s>` (ETCL).
    First,
    /// The mean of the states at all tokens, those for start and end included (cl-clip-align, whose code leaves `<s>` out and takes padding in).
    Mean,
    /// The state at the last token.
    Last,
}

/// What takes picture features to the joint space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PictureHead {
    /// The image branch of the section `image`.
    #[default]
    Mlp,
    /// One linear layer (cl-clip-align, behind its picture tower).
    Linear,
}

/// What of the encoder is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrainedPart {
    /// All of it.
    #[default]
    All,
    /// All but the table of tokens, which is most of a multilingual encoder.
    Blocks,
    /// The table of tokens alone.
    Tokens,
    /// Nothing: the heads are trained on the encoder as it is. It reads each caption once, unless `text.dropout` or `text.word_dropout` change
    /// what it reads.
    Nothing,
}

/// Which captions of a picture are drawn for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DrawnCaptions {
    /// In each language as many as `train.captions` says.
    #[default]
    Each,
    /// One, in one language: another one in the next epoch, so that the languages take turns with each picture (cl-clip-align's
    /// "Multilingual").
    Rotation,
}

/// The softmax contrast of captions and pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageTextConfig {
    /// Weight in the sum of losses; 0 turns it off.
    pub weight: f32,
    /// τ, which scores are divided by before the softmax.
    pub temperature: f32,
    /// Whether τ is trained from there, at least to 0.01. The parameter is log 1/τ; cl-clip-align trains 1/τ itself.
    pub learn_temperature: bool,
    /// Subtracted from the scores of what matches.
    pub margin: f32,
    /// Share of the target spread evenly over the batch.
    pub label_smoothing: f32,
    /// What looks for its match.
    pub anchors: ContrastAnchors,
    /// Whether vectors are taken to unit length, so that scores are cosines. cl-clip-align takes them as they are; it needs `pictures =
    /// "linear"`.
    pub unit: bool,
    /// Languages whose captions are compared with pictures; empty means all. cl-clip-align's "Eng-only" and "Eng-pivot" have English alone.
    pub languages: Vec<String>,
}

impl Default for ImageTextConfig {
    fn default() -> Self {
        ImageTextConfig {
            weight: 1.0,
            temperature: 0.05,
            learn_temperature: false,
            margin: 0.0,
            label_smoothing: 0.0,
            anchors: ContrastAnchors::Both,
            unit: true,
            languages: Vec::new(),
        }
    }
}

/// What looks for its match in a contrast of captions and pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContrastAnchors {
    /// Captions among pictures and pictures among captions, half of each (MURAL, CLIP).
    #[default]
    Both,
    /// Captions among pictures alone (cl-clip-align).
    Captions,
}

/// The softmax contrast of sentences in two languages, both ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextTextConfig {
    /// Weight in the sum of losses, where MURAL has 0.1 beside 1 for pictures; 0 turns it off.
    pub weight: f32,
    /// Where the sentences are.
    pub source: TextTextSource,
    /// τ, which cosines are divided by before the softmax (MURAL: 0.01, fixed).
    pub temperature: f32,
    /// As that of `image_text`.
    pub learn_temperature: bool,
    /// Subtracted from the cosines of what matches (MURAL: 0.3).
    pub margin: f32,
    /// Share of the target spread evenly over the batch.
    pub label_smoothing: f32,
    /// The learning rate of a head of its own (`shared_head = false`), in multiples of `train.learning_rate`. MURAL has a rate for each task,
    /// 1e-3 and 1e-4, and does not say how the two meet in the encoder they share: ours takes that of pictures there.
    pub rate: f32,
}

impl Default for TextTextConfig {
    fn default() -> Self {
        TextTextConfig {
            weight: 0.0,
            source: TextTextSource::Pairs,
            temperature: 0.01,
            learn_temperature: false,
            margin: 0.3,
            label_smoothing: 0.0,
            rate: 1.0,
        }
    }
}

/// Where sentences in two languages that say the same are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextTextSource {
    /// `data.pairs`, drawn as `train.pairs` says. With `train.pairs.draw = "pair"` all pairs of a step are compared with each other, whatever
    /// their languages (MURAL); with `all` each two languages by themselves, and the mean is taken.
    #[default]
    Pairs,
    /// The batch's captions of one picture, each two languages by themselves; the mean is taken.
    Captions,
}

/// ETCL's triple loss: a picture, and captions A and B of it in two languages, drawn evenly among the pairs of languages that it has: a third
/// each of picture ↔ A, A ↔ B and B ↔ picture, both ways. The first and the last go by the temperature, margin and smoothing of `image_text`, the
/// second by those of `text_text`, which ETCL does not state again for its stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TripleConfig {
    /// Weight in the sum of losses; 0 turns it off.
    pub weight: f32,
}

impl Default for TripleConfig {
    fn default() -> Self {
        TripleConfig { weight: 0.0 }
    }
}
