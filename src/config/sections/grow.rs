//! A language added to a finished model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AcquireConfig, NltTerm, TeacherLossConfig, TrainedPart};

/// How `tinyglot add-language` adds the one language of `data.languages` to a trained run. Of the other sections it reads
/// `data`, `teacher` and `words.vectors`; everything else is as the run has it. To a run of acquisition only `translations`, `nlt` and `le`
/// speak, to a contrastively trained encoder `translations` and `contrast`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrowConfig {
    /// Translations of sentences in languages that the run knows; captions of pictures may then be left out, or be of
    /// `val` and `test` alone (`splits` of their source), to measure the language.
    pub translations: Vec<TranslationSource>,
    /// The K most frequent words of the language get a vector of their own; 0 makes all of them latent tokens.
    pub top_k: usize,
    /// Width of those vectors.
    pub word_width: usize,
    /// Rank of a product that is added to the encoder's last layer for this language alone; 0 adds none.
    pub rank: usize,
    /// The map from the language's FastText space into that of the run: an orthogonal one, trained further.
    pub align: GrowAlignConfig,
    /// Passes over the language's captions and translations; 0 leaves words as the alignment places them.
    pub epochs: usize,
    /// Steps at least, in alignment and training: few captions are passed over more often.
    pub least_steps: usize,
    /// Pictures, or translations, per batch.
    pub images: usize,
    /// Further training pictures, drawn anew for each batch, that its sentences are compared with; their vectors are computed once.
    pub negatives: usize,
    /// Learning rate of the first step; it falls to 0 along half a cosine.
    pub learning_rate: f32,
    /// Weight of the neighbourhood constraint between the new sentences and the captions of each known language.
    pub neighbourhood: f32,
    /// Losses between the new sentences and a teacher's vectors of their translations (Reimers & Gurevych 2020). The teacher is the run itself, as
    /// it reads the known side of `translations`; or the one that `teacher` names, whose vectors are in the run's space. A caption is taught where
    /// the teacher reads the new language. All vectors are compared at unit length.
    pub teacher: TeacherLossConfig,
    /// Vectors of each picture with the noise of training (dropout, statistics of a batch), taken in turn, one an epoch, and
    /// no more than there are epochs; 0 takes the one without noise throughout.
    pub views: usize,
    /// Captions per picture of each known language that the new ones are compared with; each is embedded once.
    pub captions: usize,
    /// Passes over the captions of all languages afterwards in which everything is trained; 0 keeps the run as it was.
    pub unfrozen_epochs: usize,
    /// Learning rate of those passes.
    pub unfrozen_learning_rate: f32,
    /// The stages of a run of acquisition, as this language has them: translations first, then captions. Where translations have
    /// a part in the run's second stage (`acquire.le.nlt`), the new language's do, if it has any.
    pub nlt: OwnStage,
    /// The stage of acquisition on captions, as this language has it.
    pub le: OwnStage,
    /// The further training of a contrastive run's encoder on this language.
    pub contrast: OwnContrast,
}

/// Alignment of an added language's words, by the base's `loss.triplet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrowAlignConfig {
    /// Passes over its sentences; 0 leaves it out.
    pub epochs: usize,
    /// Learning rate of Adam, the same in every step.
    pub learning_rate: f32,
}

impl Default for GrowAlignConfig {
    fn default() -> Self {
        GrowAlignConfig { epochs: 5, learning_rate: 1e-3 }
    }
}

impl Default for GrowConfig {
    fn default() -> Self {
        GrowConfig {
            translations: Vec::new(),
            top_k: 5000,
            word_width: 50,
            rank: 0,
            align: GrowAlignConfig::default(),
            epochs: 6,
            least_steps: 100,
            images: 128,
            negatives: 768,
            learning_rate: 5e-3,
            neighbourhood: 1.0,
            teacher: TeacherLossConfig::default(),
            views: 6,
            captions: 1,
            unfrozen_epochs: 0,
            unfrozen_learning_rate: 1e-4,
            nlt: OwnStage::default(),
            le: OwnStage::default(),
            contrast: OwnContrast::default(),
        }
    }
}

/// How a contrastively trained encoder is trained on for one more language, on that language's captions and translations alone; what is left
/// out is as the run has it, but that a picture brings one caption a pass, and contrasts of triples, which take two languages, become one of
/// pictures and captions. The languages share the encoder, so the old ones change: what each loses is in the record and the report. Vectors of
/// pictures stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnContrast {
    /// What of the encoder is trained: `tokens` changes the rows of the token table that the new sentences read, and nothing else of the encoder.
    pub train: Option<TrainedPart>,
    /// Passes over the pictures, or without captions over the translations.
    pub epochs: Option<usize>,
    /// Pictures per batch.
    pub images: Option<usize>,
    /// Lines of translations per step.
    pub lines: Option<usize>,
    /// Largest learning rate.
    pub learning_rate: Option<f32>,
    /// Weight of the contrast between translations (`contrastive.text_text.weight`).
    pub text_text: Option<f32>,
}

/// A stage of acquisition for one language; what is left out is as the run has it in `acquire`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnStage {
    /// Passes over its sentences; 0 leaves the stage out.
    pub epochs: Option<usize>,
    /// Sentences per batch.
    pub batch: Option<usize>,
    /// Largest learning rate, at the end of the warm-up.
    pub learning_rate: Option<f32>,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: Option<f32>,
}

impl OwnStage {
    fn is_the_runs(&self) -> bool {
        *self == OwnStage::default()
    }
}

/// Two files of which line n says the same.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TranslationSource {
    /// The known language.
    pub language: String,
    /// File in the known language, relative to `data.root`.
    pub known: String,
    /// File in the new language, relative to `data.root`.
    pub new: String,
}

/// What a language that was added has of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddedConfig {
    /// Words with a vector of their own.
    pub words: usize,
    /// Width of those vectors.
    pub word_width: usize,
    /// Rank of its adapter of the encoder; 0 is none.
    pub rank: usize,
    /// Its stages of acquisition, where they were not the run's.
    #[serde(skip_serializing_if = "OwnStage::is_the_runs")]
    pub nlt: OwnStage,
    /// Its stage of acquisition on captions, where it was not the run's.
    #[serde(skip_serializing_if = "OwnStage::is_the_runs")]
    pub le: OwnStage,
}

impl AddedConfig {
    /// A run's settings with the language's own stages.
    pub fn over(&self, acquire: &AcquireConfig) -> AcquireConfig {
        let mut acquire = acquire.clone();
        let (nlt, le) = (&mut acquire.nlt, &mut acquire.le);
        for (own, epochs, batch, rate, warmup) in [
            (&self.nlt, &mut nlt.epochs, &mut nlt.batch, &mut nlt.learning_rate, &mut nlt.warmup),
            (&self.le, &mut le.epochs, &mut le.batch, &mut le.learning_rate, &mut le.warmup),
        ] {
            *epochs = own.epochs.unwrap_or(*epochs);
            *batch = own.batch.unwrap_or(*batch);
            *rate = own.learning_rate.unwrap_or(*rate);
            *warmup = own.warmup.unwrap_or(*warmup);
        }
        // Translations have no part in a stage that is left out.
        if le.epochs == 0 {
            le.nlt = NltTerm::default();
        }
        acquire
    }
}
