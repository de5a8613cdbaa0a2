//! The folder of a sweep: a folder for each trial with its run, its log and where it stands; and the results.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::results::{self, Row};
use super::state::{Status, TrialState};
use super::{Plan, Trial};
use crate::checkpoint::{RunFolder, Which};
use crate::family::bytes_of;
use crate::lock::Lock;
use crate::retrieve::UseCost;
use crate::write::{clear_partial, write_whole};
use crate::{Error, Result};

/// Version of the state files; another one is refused.
pub const VERSION: u32 = 1;

/// A sweep's folder.
#[derive(Debug, Clone)]
pub struct SweepFolder {
    /// The folder itself.
    pub path: PathBuf,
}

impl SweepFolder {
    /// The folder of this path, whatever is there.
    pub fn new(path: &Path) -> Self {
        SweepFolder { path: path.to_path_buf() }
    }

    /// Whether a sweep left its results here.
    pub fn is_one(path: &Path) -> bool {
        path.join("results.jsonl").is_file()
    }

    /// The folder of a trial, by its id.
    pub fn trial(&self, id: &str) -> TrialFolder {
        TrialFolder { path: self.path.join("trials").join(id) }
    }

    /// The path of `results.jsonl`.
    pub fn results(&self) -> PathBuf {
        self.path.join("results.jsonl")
    }

    /// A row for each trial, from what its folder holds.
    ///
    /// # Errors
    /// Data, where a trial's state or run cannot be read.
    pub fn rows(&self, plan: &Plan) -> Result<Vec<Row>> {
        plan.trials.iter().map(|trial| self.trial(&trial.id).row(trial, plan.by.as_deref())).collect()
    }

    /// Writes `results.jsonl` and `results.csv`, one row per trial. Several processes may do so at once: each sees all
    /// that ended before.
    ///
    /// # Errors
    /// As [`Self::rows`]; run, where the results cannot be written.
    pub fn write_results(&self, plan: &Plan) -> Result<Vec<Row>> {
        fs::create_dir_all(&self.path).map_err(|e| Error::writing(&self.path, e))?;
        let _alone = Lock::wait(&self.path.join(LOCK))?;
        clear_partial(&self.path)?;
        let rows = self.rows(plan)?;
        write_whole(&self.results(), results::jsonl(&rows).as_bytes())?;
        write_whole(&self.path.join("results.csv"), results::csv(&rows).as_bytes())?;
        Ok(rows)
    }

    /// Removes the lock of a process that was killed when the results stood.
    pub fn clear_left_lock(&self) {
        Lock::clear_left(&self.path.join(LOCK));
    }

    /// Folders of trials that are not among these: of an earlier state of the sweep's file.
    pub fn others(&self, trials: &[Trial]) -> usize {
        let folder = fs::read_dir(self.path.join("trials"));
        let names = folder.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| trials.iter().all(|trial| *name != *trial.id)).count()
    }
}

/// Held while the results are written.
const LOCK: &str = "results.lock";

/// A trial's folder.
#[derive(Debug, Clone)]
pub struct TrialFolder {
    /// The folder itself.
    pub path: PathBuf,
}

impl TrialFolder {
    /// The folder of the trial's run.
    pub fn run(&self) -> RunFolder {
        RunFolder::new(&self.path.join("run"))
    }

    /// The folder of the trial's packed run.
    pub fn packed(&self) -> PathBuf {
        self.path.join("packed")
    }

    /// What the packed run costs in use.
    pub fn cost(&self) -> PathBuf {
        self.path.join("cost.json")
    }

    /// The path of the trial's configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What the trial's processes said.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// Where the trial stands; `Pending` where nothing is.
    ///
    /// # Errors
    /// Data: not to be read, no such state, or of another trial or version.
    pub fn state(&self, trial: &Trial) -> Result<TrialState> {
        let path = self.path.join("trial.json");
        if !path.exists() {
            return Ok(TrialState {
                version: VERSION,
                id: trial.id.clone(),
                title: trial.title(),
                status: Status::Pending,
                attempts: 0,
                error: None,
                seconds: 0.0,
                peak_memory: None,
                rungs: Vec::new(),
                by: None,
                evaluated: Vec::new(),
            });
        }
        let text = fs::read_to_string(&path).map_err(|e| Error::reading(&path, e))?;
        let state: TrialState = serde_json::from_str(&text).map_err(|e| {
            let remedy = format!("remove `{}`: the trial is then looked at anew", path.display());
            Error::data("not the state of a trial").at(&path).line(e.line()).because(e).hint(remedy)
        })?;
        if state.version != VERSION || state.id != trial.id {
            let what = format!("the state of trial `{}`, version {}", state.id, state.version);
            let expected = format!("expected trial `{}`, version {VERSION}", trial.id);
            return Err(Error::data(format!("{what}; {expected}"))
                .at(&path)
                .hint("give another `--out`, or the folder that belongs to this sweep"));
        }
        Ok(TrialState { title: trial.title(), ..state })
    }

    /// Keeps where the trial stands in `trial.json`.
    ///
    /// # Errors
    /// Run, where the file cannot be written.
    pub fn write_state(&self, state: &TrialState) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(|e| Error::writing(&self.path, e))?;
        clear_partial(&self.path)?;
        let text = serde_json::to_string_pretty(state).expect("plain data") + "\n";
        write_whole(&self.path.join("trial.json"), text.as_bytes())
    }

    /// The log, opened to append to, and claimed: as long as any process of the trial lives, nobody else works on it. Nothing
    /// where another one does.
    pub(super) fn claim(&self) -> Result<Option<File>> {
        fs::create_dir_all(&self.path).map_err(|e| Error::writing(&self.path, e))?;
        let path = self.log();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.map_err(|e| Error::writing(&path, e))?;
        // Where there are no locks, nothing keeps two sweeps apart.
        Ok(if let Err(TryLockError::WouldBlock) = log.try_lock() { None } else { Some(log) })
    }

    /// What was appended to the log from `start` on.
    pub(super) fn said(&self, start: u64) -> String {
        let mut text = Vec::new();
        if let Ok(mut log) = File::open(self.log()) {
            let _ = log.seek(SeekFrom::Start(start)).and_then(|_| log.read_to_end(&mut text));
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn measured(&self) -> Result<Option<UseCost>> {
        let path = self.cost();
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(|e| Error::reading(&path, e))?;
        serde_json::from_str(&text).map(Some).map_err(|e| {
            let e = Error::data("is not what a model costs").at(&path).line(e.line()).because(e);
            e.hint("remove the file and run the sweep again: the trial is measured anew")
        })
    }

    fn row(&self, trial: &Trial, by: Option<&str>) -> Result<Row> {
        let state = self.state(trial)?;
        let mut row = Row::new(trial, &state);
        let run = self.run();
        if matches!(state.status, Status::Done | Status::Dropped) {
            let info = run.info()?;
            row.parameters_train = Some(info.parameters_train as u64);
            row.parameters_test = Some(info.parameters_test as u64);
            row.bytes =
                fs::metadata(run.path.join("checkpoints/best/model.safetensors")).ok().map(|m| m.len());
            row.packed_bytes = match RunFolder::new(&self.packed()).is_run() {
                true => Some(bytes_of(&self.packed())?),
                false => None,
            };
            let cost = self.measured()?;
            row.sentence_us = cost.map(|cost| cost.sentence_us);
            row.resident_bytes = cost.and_then(|cost| cost.resident_bytes);
            row.train_seconds = Some(run.read_state(Which::Latest)?.seconds);
            for evaluation in run.evaluations()? {
                match evaluation.name().as_str() {
                    "val" => row.val = Some(evaluation),
                    "test" => row.test = Some(evaluation),
                    _ => {}
                }
            }
            let figures = results::figures(&run)?;
            if let Some(by) = by {
                row.by = by.to_string();
                row.chosen = figures.iter().find(|figure| figure.of == by).cloned();
            }
            row.figures = figures
                .into_iter()
                .filter(|figure| !results::has_columns(figure))
                .map(|f| (f.of, f.value))
                .collect();
        }
        Ok(row)
    }
}
