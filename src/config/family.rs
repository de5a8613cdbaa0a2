//! The families of models that a configuration can name, and the keys that each does not read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::shape::join;
use super::{Fault, Problem, RawConfig, table};

/// What a configuration trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FamilyName {
    /// SMALR and its rivals: words, a sentence encoder and the image branch.
    Smalr,
    /// A text tower and the image branch; needs `tower.layers`.
    Tower,
    /// Languages of a frozen text tower (MLA); needs `acquire.tower`.
    Mla,
    /// A multilingual encoder trained by contrast (MURAL, ETCL, cl-clip-align); needs an encoder in `contrastive`.
    Contrastive,
}

impl FamilyName {
    /// The name, as a configuration has it.
    pub fn as_str(self) -> &'static str {
        match self {
            FamilyName::Smalr => "smalr",
            FamilyName::Tower => "tower",
            FamilyName::Mla => "mla",
            FamilyName::Contrastive => "contrastive",
        }
    }

    /// What makes a configuration one of this family.
    pub(super) fn needs(self) -> &'static str {
        match self {
            FamilyName::Smalr => "leave out `acquire.tower`, `tower.layers` and `contrastive`",
            FamilyName::Tower => "set `tower.layers`, and leave out `acquire.tower`",
            FamilyName::Mla => "set `acquire.tower`",
            FamilyName::Contrastive => {
                "set `contrastive.checkpoint`, `contrastive.start` or `contrastive.fresh.layers`"
            }
        }
    }

    /// Keys and sections that the family does not read.
    fn unread(self) -> &'static [&'static str] {
        match self {
            FamilyName::Smalr => &["tower", "acquire", "contrastive"],
            FamilyName::Tower => &[
                "acquire",
                "added",
                "contrastive",
                "data.dictionary",
                "data.pairs",
                "embedding",
                "image.branch",
                "loss.adversary",
                "loss.mclm",
                "loss.neighbourhood",
                "loss.pairs",
                "loss.teacher",
                "loss.word_drift",
                "loss.word_drift_centre",
                "text.bag",
                "text.bidirectional",
                "text.encoder",
                "text.hidden",
                "text.micro_batch",
                "text.pooling",
                "text.projection",
                "teacher",
                "train.pairs",
                "words",
            ],
            FamilyName::Contrastive => &[
                "acquire",
                "added",
                "data.dictionary",
                "data.text",
                "embedding",
                "image.branch",
                "loss",
                "teacher",
                "text.bag",
                "text.bidirectional",
                "text.encoder",
                "text.hidden",
                "text.micro_batch",
                "text.pooling",
                "text.projection",
                "tower",
                "words",
            ],
            FamilyName::Mla => &[
                "contrastive",
                "data.dictionary",
                "data.pairs",
                "embedding",
                "image",
                "loss",
                "teacher",
                "text",
                "tower",
                "train.captions",
                "train.epoch_unit",
                "train.epochs",
                "train.images",
                "train.language_temperature",
                "train.learning_rate",
                "train.pairs",
                "train.warmup",
                "words",
            ],
        }
    }

    /// Whether models of this family depend on a dotted key.
    pub fn reads(self, key: &str) -> bool {
        key == "words.normalisation" || !self.unread().iter().any(|unread| is_or_is_below(key, unread))
    }
}

/// Whether a dotted key is another one, or stands in its table.
pub(super) fn is_or_is_below(key: &str, above: &str) -> bool {
    key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl RawConfig {
    /// The family that the sections speak of; configurations from before `family` name none.
    pub(super) fn inferred_family(&self) -> FamilyName {
        match (&self.acquire.tower, self.tower.layers) {
            (Some(_), _) => FamilyName::Mla,
            (None, 0) if self.contrastive.given() => FamilyName::Contrastive,
            (None, 0) => FamilyName::Smalr,
            (None, _) => FamilyName::Tower,
        }
    }

    /// Sets the family where none is named.
    ///
    /// # Errors
    /// A named family that lacks what it needs, or is not the one whose sections are filled.
    pub(super) fn settle_family(&mut self) -> Result<(), Problem> {
        let inferred = self.inferred_family();
        match self.family {
            Some(named) if named != inferred => {
                Err(Problem::new("family", Fault::AnotherFamily { named, inferred }))
            }
            _ => {
                self.family = Some(inferred);
                Ok(())
            }
        }
    }
}

/// The keys of a configuration that were `given` and have other values than by default, though its family does not read them.
pub(super) fn unread_keys(given: &Table, raw: &RawConfig, family: FamilyName) -> Vec<Problem> {
    let (ours, defaults) = (table(raw), table(&RawConfig::default()));
    let mut problems = Vec::new();
    let mut look = |key: &str| {
        let at = |table: &Table| {
            let mut steps = key.split('.');
            let first = table.get(steps.next().expect("a key")).cloned();
            steps.try_fold(first, |value, step| Some(value.as_ref().and_then(|v| v.get(step)).cloned()))
        };
        if !family.reads(key) && at(&ours) != at(&defaults) {
            problems.push(Problem::new(key, Fault::NotReadByFamily { family }));
        }
    };
    leaves("", given, &mut look);
    problems
}

/// The dotted keys of a table whose values are no tables.
fn leaves(above: &str, table: &Table, look: &mut dyn FnMut(&str)) {
    for (name, value) in table {
        let key = join(above, name);
        match value {
            Value::Table(below) => leaves(&key, below, look),
            _ => look(&key),
        }
    }
}
