//! One trial at work: its training, its evaluation and its packing, each a process of its own, so that a crash, or a kill for
//! want of memory, takes nothing else along.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::Trial;
use super::folder::TrialFolder;
use super::state::{Status, TrialState};
use crate::checkpoint::{RunFolder, Which};
use crate::error::STOPPED;
use crate::write::write_whole;
use crate::{Error, Result};

/// What trials are started with.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// This program.
    pub program: PathBuf,
    pub cache: PathBuf,
}

/// What a trial's process does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Training,
    Evaluating,
    Packing,
}

/// A trial at work.
pub(super) struct RunningTrial {
    folder: TrialFolder,
    state: TrialState,
    start: Start,
    threads: usize,
    /// The rung of the halving to train to, and its epoch; otherwise to the end.
    rung: Option<(usize, usize)>,
    process: Child,
    work: Work,
    /// Claims the trial, also for its processes should this one be killed.
    log: File,
    /// Where the log of this attempt begins.
    said: u64,
    clock: Instant,
    before: f64,
    stopping: bool,
}

/// How an attempt ended.
pub(super) enum Ended {
    Done,
    /// It has reached its rung.
    Rung,
    /// It was asked to stop, and goes on another time.
    Stopped,
    Failed(String),
}

impl RunningTrial {
    /// Begins a trial or goes on with it. Nothing where another process works on it, or where nothing is left to do.
    pub fn begin(
        trial: &Trial,
        folder: TrialFolder,
        start: &Start,
        threads: usize,
        rung: Option<(usize, usize)>,
    ) -> Result<Option<RunningTrial>> {
        let Some(log) = folder.claim()? else { return Ok(None) };
        let mut state = folder.state(trial)?;
        if state.reached(rung) {
            return Ok(None);
        }
        write_whole(&folder.config(), trial.config.to_toml().as_bytes())?;
        (state.status, state.error, state.attempts) = (Status::Running, None, state.attempts + 1);
        folder.write_state(&state)?;
        let said = log.metadata().map_err(|e| Error::reading(&folder.log(), e))?.len();
        let process = train(&folder, start, threads, rung, &log)?;
        Ok(Some(RunningTrial {
            before: state.seconds,
            folder,
            state,
            start: start.clone(),
            threads,
            rung,
            process,
            work: Work::Training,
            log,
            said,
            clock: Instant::now(),
            stopping: false,
        }))
    }

    /// Asks the process to save and stop.
    pub fn stop(&mut self) {
        self.stopping = true;
        drop(self.process.stdin.take());
    }

    /// Looks how it goes; something, once it has ended and its state is written.
    pub fn look(&mut self) -> Result<Option<Ended>> {
        self.state.peak_memory = self.state.peak_memory.max(peak_memory(self.process.id()));
        let status = self.process.try_wait().map_err(|e| Error::run("cannot wait for a trial").because(e))?;
        let Some(status) = status else { return Ok(None) };
        let at_rung = status.success() && self.rung.is_some();
        let next = match self.work {
            Work::Training if !at_rung => Some(Work::Evaluating),
            // A trial that was cut off after it has its packed run.
            Work::Evaluating if !RunFolder::new(&self.folder.packed()).is_run() => Some(Work::Packing),
            _ => None,
        };
        if let Some(work) = next.filter(|_| status.success() && !self.stopping) {
            let begin = if work == Work::Packing { pack } else { evaluate };
            (self.work, self.process) = (work, begin(&self.folder, &self.start, self.threads, &self.log)?);
            return Ok(None);
        }
        let ended = if at_rung {
            self.state.rungs.push(self.folder.run().read_state(Which::Best)?.best);
            Ended::Rung
        } else if status.success() && self.work != Work::Training {
            Ended::Done
        } else if self.stopping || was_stopped(status) {
            Ended::Stopped
        } else if self.work == Work::Packing {
            // A run that cannot be packed is measured all the same; the log says why.
            Ended::Done
        } else {
            Ended::Failed(self.reason(status))
        };
        self.state.seconds = self.before + self.clock.elapsed().as_secs_f64();
        (self.state.status, self.state.error) = match &ended {
            Ended::Done => (Status::Done, None),
            Ended::Rung | Ended::Stopped => (Status::Pending, None),
            Ended::Failed(reason) => (Status::Failed, Some(reason.clone())),
        };
        self.folder.write_state(&self.state)?;
        Ok(Some(ended))
    }

    /// The last error in the log, or what became of the process.
    fn reason(&self, status: ExitStatus) -> String {
        let said = self.folder.said(self.said);
        if let Some(at) = said.rfind("error: ") {
            return said[at + "error: ".len()..].trim_end().to_string();
        }
        let hint = format!("hint: `{}` holds what it said", self.folder.log().display());
        match signal(status) {
            Some(9) => format!("the process was killed, perhaps for want of memory\n{hint}"),
            Some(signal) => format!("the process was ended by signal {signal}\n{hint}"),
            None => format!("the process ended with {status}\n{hint}"),
        }
    }
}

impl Drop for RunningTrial {
    /// On the way out after an error, processes are asked to save and stop.
    fn drop(&mut self) {
        self.stop();
        let _ = self.process.wait();
    }
}

/// A process that goes on with the trial's run, or begins it.
fn train(
    folder: &TrialFolder,
    start: &Start,
    threads: usize,
    rung: Option<(usize, usize)>,
    log: &File,
) -> Result<Child> {
    let run = folder.run();
    let mut command = Command::new(&start.program);
    command.arg("train").arg(folder.config()).arg("--out").arg(&run.path);
    // What all trials need is known to the sweep.
    command.arg("--cache").arg(&start.cache).args(["--memory", "0"]);
    if run.path.exists() {
        command.arg("--resume");
    }
    if let Some((_, epoch)) = rung {
        command.args(["--stop-after", &epoch.to_string()]);
    }
    spawn(command, threads, log)
}

fn evaluate(folder: &TrialFolder, start: &Start, threads: usize, log: &File) -> Result<Child> {
    let mut command = Command::new(&start.program);
    command.arg("evaluate").arg(&folder.run().path).args(["--split", "test"]);
    spawn(command, threads, log)
}

fn pack(folder: &TrialFolder, start: &Start, threads: usize, log: &File) -> Result<Child> {
    let mut command = Command::new(&start.program);
    command.arg("pack").arg(&folder.run().path).arg("--out").arg(folder.packed());
    spawn(command, threads, log)
}

fn spawn(mut command: Command, threads: usize, log: &File) -> Result<Child> {
    let copy = || log.try_clone().map_err(|e| Error::run("the log of a trial cannot be shared").because(e));
    command.args(["--with-parent", "--quiet", "--threads", &threads.to_string()]);
    command.stdin(Stdio::piped()).stdout(copy()?).stderr(copy()?);
    let program = command.get_program().to_owned();
    command.spawn().map_err(|e| Error::run("cannot be started").at(program).because(e))
}

/// Whether the process was asked to stop by a signal, as all of a terminal are by Ctrl-C.
fn was_stopped(status: ExitStatus) -> bool {
    status.code() == Some(STOPPED.into()) || matches!(signal(status), Some(2 | 15))
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// The largest resident memory of a process so far, in bytes, where `/proc` tells.
fn peak_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
