//! What tasks have found of a run: `evaluation/SET.json` by the task `recall`, `evaluation/TASK/SET.json` by every other.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{RunFolder, json};
use crate::eval::classification::Accuracy;
use crate::eval::given::Groups;
use crate::eval::task::classification::{Classification, OfLanguage};
use crate::eval::task::consistency::Joint;
use crate::eval::task::{Measure, task};
use crate::eval::{Evaluation, TASKS, TaskResult};
use crate::write::{clear_partial, write_whole};
use crate::{Error, Result, names};

const AGAIN: &str = "make it again with `tinyglot evaluate`";

/// A classification as earlier programs kept it, in `classification/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EarlierClassification {
    name: String,
    language: String,
    templates: usize,
    data: String,
    accuracy: Accuracy,
}

impl From<EarlierClassification> for TaskResult {
    fn from(kept: EarlierClassification) -> TaskResult {
        let EarlierClassification { name, language, templates, data, accuracy } = kept;
        let one = OfLanguage { language, templates, accuracy, names: Vec::new(), taken: Vec::new() };
        Classification::new(vec![one], &Groups::default()).result((name, Some(data)))
    }
}

impl RunFolder {
    /// The folder of a task's results.
    pub(super) fn results_of(&self, task: &str) -> PathBuf {
        let folder = self.path.join("evaluation");
        if task == Evaluation::NAME { folder } else { folder.join(task) }
    }

    /// The file of a task's result.
    ///
    /// # Errors
    /// Data, where the name cannot be that of a file.
    pub fn result_file(&self, task: &str, name: &str) -> Result<PathBuf> {
        names::file(&self.results_of(task), name, "json")
    }

    /// Keeps a result by its task and name, in place of an earlier one, with its sheets beside it: `NAME.SHEET.csv`.
    ///
    /// # Errors
    /// Data, where the name cannot be that of a file; run, where the folder cannot be written.
    pub fn write_result(&self, result: &TaskResult) -> Result<()> {
        let folder = self.results_of(&result.task);
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        clear_partial(&folder)?;
        self.clear_left_lock();
        let text = match result.task == Evaluation::NAME {
            true => serde_json::to_string_pretty(&result.details),
            false => serde_json::to_string_pretty(result),
        };
        let text = text.expect("plain data") + "\n";
        let file = self.result_file(&result.task, &result.name)?;
        for sheet in task(&result.task).map(|task| task.sheets(result)).unwrap_or_default() {
            write_whole(&file.with_extension(format!("{}.csv", sheet.name)), sheet.csv.as_bytes())?;
        }
        write_whole(&file, text.as_bytes())
    }

    /// Keeps the results of an evaluation, each by its task, in place of earlier ones.
    ///
    /// # Errors
    /// As [`Self::write_result`].
    pub fn write_evaluation(&self, evaluation: &Evaluation) -> Result<()> {
        evaluation.results().iter().try_for_each(|result| self.write_result(result))
    }

    /// The evaluations kept: test, then val, then train, then others by name.
    ///
    /// # Errors
    /// Data, where the folder cannot be read, or a file in it is no evaluation.
    pub fn evaluations(&self) -> Result<Vec<Evaluation>> {
        let mut names = names_in(&self.results_of(Evaluation::NAME))?;
        let first = |name: &String| ["test", "val", "train"].iter().position(|n| n == name).unwrap_or(3);
        names.sort_by(|a, b| first(a).cmp(&first(b)).then_with(|| a.cmp(b)));
        let mut kept = Vec::new();
        for name in names {
            kept.extend(self.evaluation(&name)?);
        }
        Ok(kept)
    }

    /// The evaluation kept by a name: its recall, and beside it what its queries find in several languages, where that is of the same
    /// captions and pictures; earlier programs kept it in the same file.
    ///
    /// # Errors
    /// Data, where a file is no evaluation.
    pub fn evaluation(&self, name: &str) -> Result<Option<Evaluation>> {
        let file = self.results_of(Evaluation::NAME).join(format!("{name}.json"));
        if !file.exists() {
            return Ok(None);
        }
        let evaluation: Evaluation = json::read(&file, "an evaluation", AGAIN)?;
        let of_these = |result: &TaskResult| result.data == evaluation.data;
        let Some(result) = self.result(Joint::NAME, name)?.filter(of_these) else {
            return Ok(Some(evaluation));
        };
        let joint = Joint::deserialize(&result.details).map_err(|e| {
            let file = self.results_of(Joint::NAME).join(format!("{name}.json"));
            Error::data("is not a result of `consistency`").at(file).because(e).hint(AGAIN)
        })?;
        Ok(Some(evaluation.with_joint(Some(joint))))
    }

    /// The result of a task that is kept by a name.
    ///
    /// # Errors
    /// Data, where the file is no result of the task.
    pub fn result(&self, task: &str, name: &str) -> Result<Option<TaskResult>> {
        if task == Evaluation::NAME {
            return Ok(self.evaluation(name)?.as_ref().map(TaskResult::from));
        }
        let file = self.results_of(task).join(format!("{name}.json"));
        if !file.exists() {
            return Ok(None);
        }
        let result: TaskResult = json::read(&file, &format!("a result of `{task}`"), AGAIN)?;
        if result.task != task {
            let what = format!("is a result of `{}`, in the folder of `{task}`", result.task);
            return Err(Error::data(what).at(&file).hint(AGAIN));
        }
        Ok(Some(result))
    }

    /// The results of all tasks, `recall` first.
    ///
    /// # Errors
    /// As [`Self::evaluations`] and [`Self::results`].
    pub fn all_results(&self) -> Result<Vec<TaskResult>> {
        let recalls = self.evaluations()?;
        Ok(recalls.iter().map(TaskResult::from).chain(self.results()?).collect())
    }

    /// The results of all tasks but `recall`, by task and name.
    ///
    /// # Errors
    /// Data, where a folder cannot be read, or a file in it is no result of its task.
    pub fn results(&self) -> Result<Vec<TaskResult>> {
        let mut kept = Vec::new();
        for task in TASKS.iter().map(|task| task.name()).filter(|task| *task != Evaluation::NAME) {
            for name in names_in(&self.results_of(task))? {
                kept.extend(self.result(task, &name)?);
            }
        }
        // Those that were made again since then are where results are now.
        let folder = self.path.join(Classification::NAME);
        for name in names_in(&folder)? {
            let file = folder.join(format!("{name}.json"));
            let earlier: EarlierClassification = json::read(&file, "a classification", AGAIN)?;
            let result = TaskResult::from(earlier);
            if kept.iter().all(|k| (&k.task, &k.name) != (&result.task, &result.name)) {
                kept.push(result);
            }
        }
        Ok(kept)
    }
}

/// What the `.json` files of a folder are called, sorted; nothing, where it is not there.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::reading(folder, e))? {
        let name = entry.map_err(|e| Error::reading(folder, e))?.file_name();
        names.extend(name.to_str().and_then(|n| n.strip_suffix(".json")).map(String::from));
    }
    names.sort();
    Ok(names)
}
