//! The teacher of a student, and the losses by which it teaches.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A frozen teacher: where its vectors of sentences come from. One of `run`, `tower` and `texts`; what it teaches by is `loss.teacher`.
///
/// A sentence is taught by the teacher's vector of itself, where the teacher reads its language; a line of `data.pairs` in another language by
/// that of the line's sentence in the first of the teacher's languages that it has (Reimers & Gurevych 2020, multilingual knowledge
/// distillation: teacher of one language, student of it and of others). So captions in languages that the teacher does not read are taught by
/// pictures, or as lines of `data.pairs`. Vectors are computed once, and kept in the folder `--cache`, by default `tinyglot.teacher` within `data.root`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherConfig {
    /// Folder of a trained run of any family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<PathBuf>,
    /// Folder of a text tower in Hugging Face's layout (CLIP, BERT, RoBERTa, XLM-R, DistilBERT; as `acquire.tower`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tower: Option<PathBuf>,
    /// Texts that any program has made vectors of, e.g. `["teacher/{language}.txt"]`, from `data.root`: one sentence a line, and beside each
    /// text the file of the same name with `.npy` behind it (`teacher/en.txt.npy`), row n for line n. A sentence is found by its words, so that
    /// texts may be in any order and hold more than is asked for; white space around a line does not count. `{language}` stands for each of
    /// `languages`.
    pub texts: Vec<String>,
    /// Languages that the teacher reads, in the order in which it is asked. By default those that the run knows; `tower` and `texts` must say
    /// theirs.
    pub languages: Vec<String>,
    /// Put before each sentence that `tower` reads: E5 wants `"query: "`.
    pub prefix: String,
    /// The student stands in for the sentence encoder of `run`: vectors of pictures are the teacher's, and the teacher's index fits the student.
    /// The image branch is that of the teacher, frozen, of the same `image.hidden` and `image.input`; or with `image.branch = "given"` the
    /// features are the teacher's vectors of pictures.
    pub pictures: bool,
}

impl TeacherConfig {
    /// Whether there is one.
    pub fn given(&self) -> bool {
        self.run.is_some() || self.tower.is_some() || !self.texts.is_empty()
    }
}

/// Losses between the student's vectors of sentences and the teacher's, the mean over languages; captions and lines of `data.pairs` count alike.
/// All but `relational` need `text.joint` to be the width of the teacher's vectors: the student's last layer then leads into the teacher's
/// space, and is part of the shipped model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherLossConfig {
    /// Weight of the mean square of the differences over all numbers (Reimers & Gurevych 2020, equation 1); 0 turns it off. At unit length it is
    /// 2 (1 − cos) over the width, so that it takes a large weight.
    pub mse: f32,
    /// Whether `mse` compares vectors at unit length, or as they are.
    pub unit: bool,
    /// Weight of 1 − cos.
    pub cosine: f32,
    /// Weight of the softmax over the batch in both directions: each sentence finds its own vector among the teacher's, and each of those its
    /// sentence (van den Oord et al. 2018, between student and teacher as in Tian et al. 2020).
    pub softmax: f32,
    /// τ of `softmax`.
    pub temperature: f32,
    /// Weight of the divergence of similarities: what the other sentences of the batch are like to each by the teacher, as a softmax, and by the
    /// student (Koohpayegani et al. 2020, equation 2; Fang et al. 2021). It asks for no equal width.
    pub relational: f32,
    /// τ of `relational`, for both.
    pub relational_temperature: f32,
}

impl Default for TeacherLossConfig {
    fn default() -> Self {
        TeacherLossConfig {
            mse: 0.0,
            unit: true,
            cosine: 0.0,
            softmax: 0.0,
            temperature: 0.05,
            relational: 0.0,
            relational_temperature: 0.05,
        }
    }
}

impl TeacherLossConfig {
    /// The weights by key.
    pub fn weights(&self) -> [(&'static str, f32); 4] {
        [
            ("mse", self.mse),
            ("cosine", self.cosine),
            ("softmax", self.softmax),
            ("relational", self.relational),
        ]
    }

    /// Whether any is on.
    pub fn is_on(&self) -> bool {
        self.weights().iter().any(|(_, weight)| *weight > 0.0)
    }

    /// The key of a loss that is on and compares numbers one by one, so that the widths must be equal.
    pub fn of_equal_width(&self) -> Option<&'static str> {
        self.weights().into_iter().take(3).find(|(_, weight)| *weight > 0.0).map(|(key, _)| key)
    }
}
