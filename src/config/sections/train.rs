//! Training, and the joining of languages after it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Batches, optimiser and schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training data: pictures with their captions, or where a teacher teaches sentences alone, lines of `data.pairs`.
    pub epochs: usize,
    /// What a pass is, here, in `embedding.align` and in `embedding.pretrain`.
    pub epoch_unit: EpochUnit,
    /// Pictures per batch.
    pub images: usize,
    /// Captions per picture and batch for each language; languages not named take 1.
    pub captions: BTreeMap<String, usize>,
    /// What a step sees of `data.pairs`.
    pub pairs: PairSampling,
    /// T of p ∝ n^(1/T), the chance of each language to be in a batch; 0 puts all languages in every batch.
    pub language_temperature: f32,
    /// The paper gives 1e-3 for HEM and LA and names none for SMALR but MULE's, which has 1e-4; SMALR's configurations have 1e-3, as HEM with
    /// further losses.
    pub learning_rate: f32,
    /// Steps over which the rate grows from 0.
    pub warmup: usize,
    /// How the learning rate goes on after its warm-up.
    pub schedule: Schedule,
    /// Steps between two falls of the rate, for `schedule = "steps"`.
    pub decay_every: usize,
    /// What the rate is multiplied by at each fall.
    pub decay: f32,
    /// The optimiser of all parameters.
    pub optimizer: Optimizer,
    /// Largest norm of the whole gradient (of each tensor's with `bert_adam`); 0 does not clip.
    pub clip: f32,
    /// Decoupled weight decay: a step multiplies weights, and biases but with `bert_adam` and `lamb`, by 1 − rate · this; with `lamb` it is in the
    /// step that the trust ratio scales. 0 does not decay.
    pub weight_decay: f32,
    /// Adam's decay rate of the mean of gradients.
    pub beta1: f32,
    /// Adam's decay rate of the mean of squared gradients.
    pub beta2: f32,
    /// What validation chooses the best checkpoint by: `recall.A`, the mean mR of all languages; `recall.HA`, that of the languages with
    /// captions by people; `recall.t2i` or `recall.i2t`, the mean recall of one direction; or `recall.` and a language, e.g. `recall.de`, for
    /// its mR.
    pub best: String,
    /// Stop after so many epochs without a better validation by `train.best`; 0 never.
    pub patience: usize,
    /// Steps between checkpoints; 0 saves once an epoch.
    pub checkpoint_every: usize,
    /// Decay per step of the average of the weights that is validated and kept; 0 does not average.
    pub average: f32,
    /// What the inputs of matrix products are rounded to.
    pub precision: Precision,
    /// MiB of picture features that a GPU may hold; larger ones stream from the host. Without a GPU it means nothing.
    pub gpu_features: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: 20,
            epoch_unit: EpochUnit::Pictures,
            images: 128,
            captions: BTreeMap::new(),
            pairs: PairSampling::default(),
            language_temperature: 0.0,
            learning_rate: 1e-3,
            warmup: 0,
            schedule: Schedule::Cosine,
            decay_every: 10_000,
            decay: 0.1,
            optimizer: Optimizer::Adam,
            clip: 0.0,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            best: BEST[0].into(),
            patience: 0,
            checkpoint_every: 0,
            average: 0.0,
            precision: Precision::F32,
            gpu_features: 2048,
        }
    }
}

/// How sentence pairs are drawn. Each text (or pair of languages) is passed over in an order of its own, a new one each time; any step can be
/// sought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairSampling {
    /// Lines per step.
    pub lines: usize,
    /// In which of its languages a line is drawn.
    pub draw: DrawnIn,
    /// T of p ∝ n^(1/T), by which a line is drawn from each set of languages (each pair, with `draw = "pair"`), n lines large: 1 draws by
    /// size, larger numbers the small ones more often (mBERT, XLM: 1.43 to 5), 0 all alike. Within a set always by size.
    pub temperature: f32,
}

impl Default for PairSampling {
    fn default() -> Self {
        PairSampling { lines: 256, draw: DrawnIn::All, temperature: 1.0 }
    }
}

/// The languages that a line of `data.pairs` is drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DrawnIn {
    /// All that it has; each two of them are compared.
    #[default]
    All,
    /// Two; all pairs of a step are compared together, whatever their languages (MURAL).
    Pair,
}

/// What `train.best` can be, beside `recall.` and a language.
pub const BEST: [&str; 4] = ["recall.A", "recall.HA", "recall.t2i", "recall.i2t"];

/// What `train.best` is for one language.
pub fn best_in(language: &str) -> String {
    format!("recall.{language}")
}

/// What one pass over the training data is. A last, smaller batch is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EpochUnit {
    /// Every picture once: pictures / `train.images` steps.
    #[default]
    Pictures,
    /// As many batches as the captions of the language that has most of them fill, one a picture: captions / `train.images` steps, five times as
    /// many where a picture has five captions. This is the epoch of MULE's code, whose settings SMALR follows: 20 are 6,440 updates on
    /// Multi30K and 26,900 on MSCOCO. Ours goes through the pictures as often as that takes, each time in another order and with captions
    /// drawn at random; MULE's goes through the captions, so that one picture can be twice in a batch.
    Captions,
}

/// How the learning rate goes on after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine, from the end of the warm-up to the last step.
    #[default]
    Cosine,
    /// What MULE trained with: its text says exponential decay, its code computes it and does not use it.
    Constant,
    /// The rate falls to `train.decay` of itself every `train.decay_every` steps (LIWE: a tenth, every 10,000).
    Steps,
    /// Half a cosine that begins with the first step, where the warm-up still holds it down (BertAdam).
    Unshifted,
    /// A straight line to 0, from the end of the warm-up to the last step (MURAL, ETCL; cl-clip-align's falls once an epoch).
    Linear,
}

/// The optimiser of all parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam with decoupled weight decay (AdamW).
    #[default]
    Adam,
    /// As BERT was trained (Devlin et al. 2019): no bias correction, ε 1e-6, biases do not decay, each tensor is clipped
    /// by itself. MLA's code has it so; its warm-up is one step behind (the first step has the rate 0), and without fp16 it clips
    /// the whole gradient to 1 before.
    BertAdam,
    /// LAMB (You et al. 2020, algorithm 2): Adam's step with the decay in it, of which each tensor takes as much as its own norm (its trust
    /// ratio; 1 where one of the norms is 0), ε 1e-6. Rows of tables take part whole: every row is updated in every step, and decays.
    Lamb,
}

/// What the inputs of matrix products are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// No rounding: f32 inputs and sums.
    #[default]
    F32,
    /// Inputs of matrix products rounded to TF32's ten bits, f32 sums; on a CPU as `f32`.
    Tf32,
    /// bf16 inputs of matrix products, f32 sums. A CPU is faster with it only if it multiplies bf16 (AVX-512 BF16).
    Bf16,
}

/// Cross-lingual consistency (Burns et al. 2020, section 3.4): how a query and its translations are joined. CLC-C is a network of |L| scores →
/// `hidden` units with ReLU → one score, without biases: 352 parameters with ten languages. There is one, fitted at once on the validation
/// queries of all query languages, of which each counts once; whether the paper has one for each query language it does not say, and its 352
/// parameters are those of one. The triplet loss of the fit is `loss.triplet`; an acquisition, which has no such section, takes its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencyConfig {
    /// Hidden units of CLC-C.
    pub hidden: usize,
    /// Full-batch iterations.
    pub iterations: usize,
    /// Learning rate of the fit by Adam.
    pub learning_rate: f32,
    /// How the weights of CLC-C start.
    pub init: ConsistencyInit,
}

impl Default for ConsistencyConfig {
    fn default() -> Self {
        ConsistencyConfig { hidden: 32, iterations: 30, learning_rate: 0.01, init: ConsistencyInit::Equal }
    }
}

/// How the network that joins languages starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsistencyInit {
    /// All weights equal (the paper); every hidden unit then stays the same, so it is one weight per language.
    #[default]
    Equal,
    /// Equal plus seeded noise, which breaks the symmetry.
    Random,
}
