//! Where a trial of a sweep stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not begun, or waiting to go on.
    #[default]
    Pending,
    /// Begun, and either at work or cut off.
    Running,
    /// Trained to the end and evaluated.
    Done,
    /// Given up for now; the next start of the sweep tries again.
    Failed,
    /// Not among the best at a rung of the halving; what it has trained is kept.
    Dropped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Dropped => "dropped",
        })
    }
}

/// `trial.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialState {
    pub version: u32,
    pub id: String,
    /// For people who look into the folder; the sweep's file says what a trial is called.
    pub title: String,
    pub status: Status,
    /// Starts so far, those after a kill or an interruption included.
    pub attempts: u32,
    /// Why it failed, while it is failed.
    pub error: Option<String>,
    /// Wall time of all attempts: preparation, training, evaluation and reports.
    pub seconds: f64,
    /// Largest resident memory of any attempt, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// What it was compared by at each rung of the halving that it has reached, less 0 where less is better: more is better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<f64>,
    /// The figure that these are of; nothing for `train.best` on validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Arguments of the evaluations that it has behind it, beside recall and consistency on test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluated: Vec<Vec<String>>,
}

impl TrialState {
    /// Whether nothing is left to do up to a rung of the halving (its number, its epoch), or to the end, with all evaluations.
    pub fn reached(&self, rung: Option<(usize, usize)>, evaluate: &[Vec<String>]) -> bool {
        match rung {
            Some((number, _)) => self.status == Status::Done || self.rungs.len() > number,
            None => self.status == Status::Done && evaluate.iter().all(|one| self.evaluated.contains(one)),
        }
    }
}
