//! The losses and their weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TeacherLossConfig;

/// The losses; a weight of 0 turns a loss off. The default is the image–text triplet alone. The paper's LA and HEM add `neighbourhood` and
/// `adversary` (Burns et al. 2020, section 3.3), its SMALR `mclm` too (equation 4); `configs/{la,hem,smalr}-*.toml` have their weights.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Triplets of pictures and sentences.
    pub triplet: TripletConfig,
    /// Softmax contrast of pictures and sentences, and of sentences in two languages.
    pub info_nce: InfoNceConfig,
    /// Captions of one picture near each other.
    pub neighbourhood: NeighbourhoodConfig,
    /// Sentence pairs without pictures near each other.
    pub pairs: PairLossConfig,
    /// Vectors of sentences near those of a teacher.
    pub teacher: TeacherLossConfig,
    /// Masked cross-language model.
    pub mclm: MclmConfig,
    /// Language classifier behind gradient reversal.
    pub adversary: AdversaryConfig,
    /// λ of ½‖E − E₀‖², how far the own words' vectors E have gone from a centre E₀ (MULE: 5e-7), mean of the languages. The words of the
    /// batch count; MULE's code sums over the whole vocabulary in every step.
    pub word_drift: f32,
    /// E₀.
    pub word_drift_centre: DriftCentre,
}

/// What `loss.word_drift` keeps words near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftCentre {
    /// The vectors that training began with: FastText's, or what PCA left of them.
    #[default]
    Start,
    /// The vectors at the beginning of the present epoch, as in MULE's code: it slows the words down, and does not hold them.
    Epoch,
}

/// Bidirectional image–text triplet loss (Burns et al. 2020, equations 1 and 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TripletConfig {
    /// Weight in the sum of losses; 0 turns it off.
    pub weight: f32,
    /// How much nearer the right one must be than a wrong one, by `distance`.
    pub margin: f32,
    /// Which negatives count in training. The alignment and pretraining of words, CLC-C and the adding of languages always take `top_n`.
    pub mining: Mining,
    /// N: the most violated negatives per positive pair.
    pub top_n: usize,
    /// λ1, the weight of sentence anchors against wrong pictures.
    pub sentence_anchor: f32,
    /// β of `sum_to_hardest` between pictures and sentences.
    pub beta: f32,
    /// β of `sum_to_hardest` between sentences (`loss.neighbourhood`). LIWE's code counts a step for each pair of languages.
    pub text_beta: f32,
    /// The distance that `margin` is of.
    pub distance: Distance,
    /// Treat other captions of the same picture as negatives (wrong; for ablation).
    pub same_image_negatives: bool,
}

impl Default for TripletConfig {
    fn default() -> Self {
        TripletConfig {
            weight: 1.0,
            margin: 0.05,
            mining: Mining::TopN,
            top_n: 10,
            sentence_anchor: 1.5,
            beta: 0.991,
            text_beta: 0.91,
            distance: Distance::Cosine,
            same_image_negatives: false,
        }
    }
}

/// Which violations of the triplet loss count, and how they are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mining {
    /// The N most violated negatives of every matching pair, the mean over pairs × N, zeros included (MULE, SMALR).
    #[default]
    TopN,
    /// (1 − k) · the sum of all violations + k · the sum of every pair's hardest, with k = 1 − β^step: the hardest alone take over (LIWE;
    /// Wehrmann et al. 2019). Sums, not means, so the loss grows with the batch. Sentences are compared with sentences in both directions
    /// and in every matching pair.
    SumToHardest,
}

/// The distance of the triplet loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// 1 − cos (the paper).
    #[default]
    Cosine,
    /// √(‖x − y‖² + 1e-4) of unit vectors (MULE's code).
    Euclidean,
}

/// The largest scale 1/τ that a trained temperature may reach: beyond it training becomes unstable (Radford et al. 2021).
pub const MOST_SCALE: f32 = 100.0;

/// Symmetric softmax loss over the batch with a temperature (van den Oord et al. 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InfoNceConfig {
    /// Weight, in the sum of losses, of the loss between pictures and captions; 0 turns it off.
    pub weight: f32,
    /// τ, which cosines are divided by before the softmax.
    pub temperature: f32,
    /// Share of the target spread evenly over the batch.
    pub label_smoothing: f32,
    /// Weight of the same loss between captions of one picture in two languages.
    pub text_weight: f32,
    /// τ of the loss between captions.
    pub text_temperature: f32,
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        InfoNceConfig {
            weight: 0.0,
            temperature: 0.05,
            label_smoothing: 0.0,
            text_weight: 0.0,
            text_temperature: 0.05,
        }
    }
}

/// Neighbourhood constraints: captions of one picture near each other (Wang et al. 2018; MULE). As in MULE's code the positive of an anchor is
/// its farthest match, of two languages the first one in `data.languages` gives the anchors, and pairs of languages are averaged. MULE weighs
/// `words` and `sentences` 1.0 and `within` 0.05; the paper of SMALR has one λ4 = 0.05 and does not say for which.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NeighbourhoodConfig {
    /// λ4 on averaged universal vectors, between languages. MULE's code adds padding to the average, ours does not.
    pub words: f32,
    /// λ4 on final sentence vectors, between languages.
    pub sentences: f32,
    /// On final sentence vectors, within a language.
    pub within: f32,
}

/// A loss between the sentences of `data.pairs` on their final vectors, the mean over pairs of languages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairLossConfig {
    /// Weight in the sum of losses; 0 turns it off.
    pub weight: f32,
    /// Which loss it is.
    pub kind: PairLossKind,
    /// τ of `info_nce`.
    pub temperature: f32,
    /// Share of the target of `info_nce` spread evenly over the batch.
    pub label_smoothing: f32,
}

impl Default for PairLossConfig {
    fn default() -> Self {
        PairLossConfig { weight: 0.0, kind: PairLossKind::InfoNce, temperature: 0.05, label_smoothing: 0.0 }
    }
}

/// The loss between sentence pairs; the other sentences of the batch in the other language are the wrong ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairLossKind {
    /// Symmetric softmax over the batch with a temperature.
    #[default]
    InfoNce,
    /// Triplets as `loss.triplet` has them, both sides alike (λ1 = 1).
    Triplet,
    /// Neighbourhood constraints as `loss.neighbourhood` has them, with the margin of `loss.triplet`.
    Neighbourhood,
}

/// Masked cross-language model (Burns et al. 2020, equation 2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MclmConfig {
    /// λ2 of the variant that leaves masked words out and averages the others.
    pub average: f32,
    /// λ2 of the variant that puts `[MASK]` in place of masked words and reads the sentence with `encoder`.
    pub lstm: f32,
    /// What "LSTM and fully connected layer" (section 7.4) means.
    pub encoder: MaskedEncoder,
    /// Chance of each word to be masked; one word of a sentence always stays.
    pub mask: f32,
    /// Weight of the image–text triplet on the masked sentences; the paper adds it to the one on whole sentences and names no weight: 1.
    pub masked_triplet: f32,
}

impl MclmConfig {
    /// Whether the sentence branch reads the sentences less their masked words.
    pub fn reads_thinned(&self) -> bool {
        let own = self.encoder == MaskedEncoder::Own;
        self.average > 0.0 && (own || self.lstm == 0.0 && self.masked_triplet > 0.0)
    }
}

impl Default for MclmConfig {
    fn default() -> Self {
        MclmConfig { average: 0.0, lstm: 0.0, encoder: MaskedEncoder::Own, mask: 0.2, masked_triplet: 0.0 }
    }
}

/// How the masked sentences of the [`MclmConfig`] are encoded; the paper says "an LSTM and fully connected layer" and does not say whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskedEncoder {
    /// An LSTM and a layer of MCLM's own, and each variant predicts both universal and sentence vectors: four heads, 6.6 M further
    /// parameters at the paper's widths, which do not fit its "less than 20 M" unless fewer than 7,000 of the 40,000 latent tokens are used.
    #[default]
    Own,
    /// The sentence branch itself: `average` predicts universal vectors, `lstm` final sentence vectors. Two heads, 2.1 M further parameters:
    /// 15,600 latent tokens fit. `masked_triplet` then sees the sentences with `[MASK]`.
    Branch,
}

/// Language classifier behind gradient reversal (Ganin & Lempitsky 2015) on averaged universal vectors; the mean over the batch's sentences,
/// where MULE averages over languages: the same if all have as many captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdversaryConfig {
    /// λ3, the weight of the classifier's loss: 1e-6 in the paper on both data sets (MULE's code: 1e-5 on MSCOCO).
    pub weight: f32,
    /// Factor of the reversed gradient; grows from 0 as 2/(1+e^(−10p)) − 1 over training progress p. What reaches the vectors is `weight` times this;
    /// in MULE's code this is λ3 as well, so that the two make λ3².
    pub reversal: f32,
}

impl Default for AdversaryConfig {
    fn default() -> Self {
        AdversaryConfig { weight: 0.0, reversal: 1.0 }
    }
}
