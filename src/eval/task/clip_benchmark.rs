//! Results as CLIP_benchmark writes them (LAION; `clip_benchmark eval`): a document for each task, data set and language.

use serde_json::{Value, json};

use super::{TaskResult, task};
use crate::eval::classification::Accuracy;
use crate::eval::{Recall, Retrieval};

/// What stands for the checkpoint, beside the name of the model.
const PRETRAINED: &str = "tinyglot";

/// The figures of one language, from 0 to 1.
pub struct Entry {
    task: &'static str,
    language: String,
    metrics: Value,
}

impl Entry {
    /// Retrieval both ways.
    pub fn retrieval(language: &str, found: &Retrieval) -> Entry {
        let mut metrics = json!({});
        for (way, side) in [("image_retrieval", &found.t2i), ("text_retrieval", &found.i2t)] {
            let Recall { r1, r5, r10, .. } = side;
            for (k, percent) in [(1, r1), (5, r5), (10, r10)] {
                metrics[format!("{way}_recall@{k}")] = (percent / 100.0).into();
            }
        }
        Entry { task: "zeroshot_retrieval", language: language.into(), metrics }
    }

    /// Classification by prompts.
    pub fn classification(language: &str, accuracy: &Accuracy) -> Entry {
        Entry {
            task: "zeroshot_classification",
            language: language.into(),
            metrics: accuracies("", accuracy),
        }
    }

    /// Classification by a layer on frozen vectors of pictures, which is of no language.
    pub fn linear_probe(accuracy: &Accuracy) -> Entry {
        Entry { task: "linear_probe", language: "und".into(), metrics: accuracies("lp_", accuracy) }
    }
}

fn accuracies(before: &str, accuracy: &Accuracy) -> Value {
    let mut metrics = json!({});
    metrics[format!("{before}acc1")] = (accuracy.top1 / 100.0).into();
    metrics[format!("{before}acc5")] = (accuracy.top5 / 100.0).into();
    if let Some(mean) = accuracy.mean_per_class {
        metrics[format!("{before}mean_per_class_recall")] = (mean / 100.0).into();
    }
    metrics
}

/// The documents of a result by the names of their files; none for a task that CLIP_benchmark has no form for. `model`: what the model is called.
pub fn documents(result: &TaskResult, model: &str) -> Vec<(String, Value)> {
    let plain = |name: &str| name.replace(['/', '\\'], "-");
    let of = |Entry { task, language, metrics }: Entry| {
        let dataset = &result.name;
        let file = format!("{}_{PRETRAINED}_{}_{language}_{task}.json", plain(dataset), plain(model));
        let document = json!({
            "dataset": dataset, "model": model, "pretrained": PRETRAINED, "task": task, "metrics": metrics, "language": language,
        });
        (file, document)
    };
    let entries = task(&result.task).map(|task| task.clip_benchmark(result)).unwrap_or_default();
    entries.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::given::Groups;
    use crate::eval::task::Measure;
    use crate::eval::task::classification::{Classification, OfLanguage};
    use crate::eval::{Evaluation, Parameters};

    #[test]
    fn documents_have_shares_by_language_under_their_names() {
        let side = |r1| Recall { r1, r5: 50.0, r10: 75.0, median_rank: 2.0, mean_rank: 3.0, ties: 0 };
        let found = Retrieval { captions: 4, mr: 1.0, t2i: side(12.5), i2t: side(25.0) };
        let languages = vec![("de".to_string(), found.clone(), true), ("pt-BR".to_string(), found, true)];
        let evaluation = Evaluation::new("test", 4, 0, 1, languages, Parameters { train: 1, test: 1 });
        let all = documents(&TaskResult::from(&evaluation), "runs/a");
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].0, "test_tinyglot_runs-a_pt-BR_zeroshot_retrieval.json");
        let wanted = json!({
            "dataset": "test", "model": "runs/a", "pretrained": "tinyglot", "task": "zeroshot_retrieval",
            "metrics": {
                "image_retrieval_recall@1": 0.125, "image_retrieval_recall@5": 0.5, "image_retrieval_recall@10": 0.75,
                "text_retrieval_recall@1": 0.25, "text_retrieval_recall@5": 0.5, "text_retrieval_recall@10": 0.75,
            },
            "language": "de",
        });
        assert_eq!(all[0].1, wanted);
        let accuracy =
            Accuracy { images: 8, classes: 2, top1: 50.0, top5: 100.0, mean_per_class: Some(25.0) };
        let (names, taken) = (Vec::new(), Vec::new());
        let one = OfLanguage { language: "de".into(), templates: 1, accuracy, names, taken };
        let result = Classification::new(vec![one], &Groups::default()).result(("cifar10-de".into(), None));
        let (file, document) = documents(&result, "a").remove(0);
        assert_eq!(file, "cifar10-de_tinyglot_a_de_zeroshot_classification.json");
        assert_eq!(document["metrics"], json!({ "acc1": 0.5, "acc5": 1.0, "mean_per_class_recall": 0.25 }));
        assert!(documents(&TaskResult { task: "sts".into(), ..result }, "a").is_empty());
    }
}
