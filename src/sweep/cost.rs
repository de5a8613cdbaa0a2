//! What trials cost: parameters, bytes, and in use time and memory.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Plan;
use super::child::spawn;
use super::folder::{SweepFolder, TrialFolder};
use super::results::Row;
use crate::checkpoint::RunFolder;
use crate::write::clear_partial;
use crate::{Error, Result};

/// A cost that recall is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cost {
    /// Parameters that are trained.
    #[default]
    Train,
    /// Parameters that queries need.
    Test,
    /// Bytes of the packed run.
    Packed,
    /// Microseconds from a sentence to its vector, of the packed run on one thread.
    Time,
    /// Bytes of memory that the packed run takes.
    Memory,
}

impl Cost {
    /// All of them.
    pub const ALL: [Cost; 5] = [Cost::Train, Cost::Test, Cost::Packed, Cost::Time, Cost::Memory];

    /// As commands call it.
    pub fn name(self) -> &'static str {
        match self {
            Cost::Train => "train",
            Cost::Test => "test",
            Cost::Packed => "packed",
            Cost::Time => "time",
            Cost::Memory => "memory",
        }
    }

    /// As people read it.
    pub fn title(self) -> &'static str {
        match self {
            Cost::Train => "parameters trained",
            Cost::Test => "parameters at test time",
            Cost::Packed => "bytes packed",
            Cost::Time => "microseconds a sentence",
            Cost::Memory => "bytes resident",
        }
    }

    /// That of a trial, where it is known.
    pub fn of(self, row: &Row) -> Option<f64> {
        let whole = |n: Option<u64>| n.map(|n| n as f64);
        match self {
            Cost::Train => whole(row.parameters_train),
            Cost::Test => whole(row.parameters_test),
            Cost::Packed => whole(row.packed_bytes),
            Cost::Time => row.sentence_us,
            Cost::Memory => whole(row.resident_bytes),
        }
    }
}

/// Time between two looks at the processes.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Measures the packed trials at `places` that were not measured before (`tinyglot cost`), one after the other: each has the machine for itself, as far
/// as this sweep knows. `tell` is told how many they are. One that cannot be measured goes without; its log says why.
pub(super) fn measure(
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    program: &Path,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(usize),
) -> Result<()> {
    let unmeasured = |trial: &TrialFolder| !trial.cost().exists() && RunFolder::new(&trial.packed()).is_run();
    let trials = places.iter().map(|&place| folder.trial(&plan.trials[place].id));
    let trials: Vec<TrialFolder> = trials.filter(unmeasured).collect();
    if !trials.is_empty() {
        tell(trials.len());
    }
    for trial in trials {
        // Another process may have measured it, or be at it.
        let Some(log) = trial.claim()?.filter(|_| unmeasured(&trial)) else { continue };
        // What one that was killed has left.
        clear_partial(&trial.path)?;
        let mut command = Command::new(program);
        command.arg("cost").arg(trial.packed()).arg("--out").arg(trial.cost());
        let mut process = spawn(command, 1, &log)?;
        let wait = |e| Error::run("cannot wait for a trial").because(e);
        while process.try_wait().map_err(wait)?.is_none() {
            if stop.load(Ordering::SeqCst) {
                drop(process.stdin.take());
            }
            std::thread::sleep(PAUSE);
        }
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}
