//! Results as the Massive Text Embedding Benchmark writes them (Muennighoff et al. 2023; `mteb`'s `TaskResult`).

use serde_json::{Value, json};

use super::{TaskResult, task};
use crate::config::with_script;

/// The scores of one subset, which is of one language or a pair.
pub struct Subset {
    name: String,
    languages: Vec<String>,
    scores: Value,
}

impl Subset {
    /// `scores`: an object of figures from 0 to 1 with `main_score` among them.
    pub fn new(codes: &[&str], scores: Value) -> Subset {
        let languages: Vec<String> = codes.iter().map(|code| with_script(code)).collect();
        let three = languages.iter().map(|l| l.split('-').next().unwrap_or_default());
        Subset { name: three.collect::<Vec<_>>().join("-"), languages, scores }
    }
}

/// The document of a result; nothing for a task that mteb has no form for. `revision` of the data set is the hash of what was read.
/// `mteb_version` is null: the figures are not its own.
pub fn document(result: &TaskResult, split: &str, seconds: f64) -> Option<Value> {
    let subsets = task(&result.task)?.mteb(result)?;
    let of = |subset: Subset| {
        let mut scores = subset.scores;
        scores["hf_subset"] = subset.name.into();
        scores["languages"] = subset.languages.into();
        scores
    };
    let scores: Vec<Value> = subsets.into_iter().map(of).collect();
    Some(json!({
        "dataset_revision": result.data.clone().unwrap_or_default(),
        "task_name": result.name,
        "mteb_version": null,
        "scores": { split: scores },
        "evaluation_time": seconds,
        "kg_co2_emissions": null,
    }))
}
