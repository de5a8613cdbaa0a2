//! The sections of a configuration, one plain struct each. Every field states its meaning, unit and default.

mod acquire;
mod contrastive;
mod data;
mod embedding;
mod grow;
mod loss;
mod model;
mod teacher;
mod train;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FamilyName;

pub use acquire::*;
pub use contrastive::*;
pub use data::*;
pub use embedding::*;
pub use grow::*;
pub use loss::*;
pub use model::*;
pub use teacher::*;
pub use train::*;

/// The whole configuration as written; [`super::Config`] is the checked one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The family of models to train; by default the one whose sections are filled: `mla` with `acquire.tower`, `tower` with `tower.layers`,
    /// `contrastive` with an encoder in `contrastive`, else `smalr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<FamilyName>,
    /// Seed of everything random; per-use seeds are derived from it.
    pub seed: u64,
    /// Captions and picture features.
    pub data: DataConfig,
    /// Segmentation, vocabulary and word vectors.
    pub words: WordsConfig,
    /// What makes vectors of words.
    pub embedding: EmbeddingConfig,
    /// The sentence encoder.
    pub text: TextConfig,
    /// The image branch.
    pub image: ImageConfig,
    /// The losses and their weights.
    pub loss: LossConfig,
    /// A frozen teacher, whose vectors a student imitates (`loss.teacher`).
    pub teacher: TeacherConfig,
    /// Batches, optimiser and schedule.
    pub train: TrainConfig,
    /// How a query and its translations are joined.
    pub consistency: ConsistencyConfig,
    /// How `tinyglot add-language` adds a language to a run.
    pub grow: GrowConfig,
    /// Languages that `tinyglot add-language` has added, by code; it writes them, nobody else needs to.
    pub added: BTreeMap<String, AddedConfig>,
    /// A text tower trained from scratch, of the family `tower`.
    pub tower: NewTowerConfig,
    /// Languages acquired on an English text tower, of the family `mla`.
    pub acquire: AcquireConfig,
    /// A multilingual encoder trained by contrast, of the family `contrastive`.
    pub contrastive: ContrastiveConfig,
}
