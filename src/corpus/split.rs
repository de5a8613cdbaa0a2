//! The names of sets of pictures.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::config::CaptionSplit;
use crate::{Error, Result};

/// The name of a set of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    /// What models learn from.
    Train,
    /// What choices are made on.
    Val,
    /// What is reported.
    Test,
    /// Pictures without captions that make a gallery larger.
    Distractors,
}

impl SplitName {
    /// The splits that have captions.
    pub const CAPTIONED: [SplitName; 3] = [SplitName::Train, SplitName::Val, SplitName::Test];
}

impl From<CaptionSplit> for SplitName {
    fn from(split: CaptionSplit) -> SplitName {
        match split {
            CaptionSplit::Train => SplitName::Train,
            CaptionSplit::Val => SplitName::Val,
            CaptionSplit::Test => SplitName::Test,
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SplitName::Train => "train",
            SplitName::Val => "val",
            SplitName::Test => "test",
            SplitName::Distractors => "distractors",
        })
    }
}

impl FromStr for SplitName {
    type Err = Error;

    fn from_str(name: &str) -> Result<SplitName> {
        match name {
            "train" => Ok(SplitName::Train),
            "val" => Ok(SplitName::Val),
            "test" => Ok(SplitName::Test),
            "distractors" => Ok(SplitName::Distractors),
            _ => Err(Error::usage(format!("`{name}` is no split"))
                .hint("the splits are `train`, `val`, `test` and `distractors`")),
        }
    }
}
