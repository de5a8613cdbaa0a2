//! One trial at work: its training, its evaluation and its packing, each a process of its own, so that a crash, or a kill for
//! want of memory, takes nothing else along.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::Trial;
use super::folder::TrialFolder;
use super::results::figure;
use super::state::{Status, TrialState};
use crate::building::remove;
use crate::checkpoint::{RunFolder, Which};
use crate::error::STOPPED;
use crate::estimate::process_memory;
use crate::write::write_whole;
use crate::{Error, Result};

/// What trials are started with.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// This program.
    pub program: PathBuf,
    pub cache: PathBuf,
    /// As in [`Plan`](super::Plan).
    pub by: Option<String>,
    pub evaluate: Vec<Vec<String>>,
    pub home: PathBuf,
}

/// A process of a trial.
enum Step {
    Train,
    /// Recall and consistency on test.
    Test,
    /// With these arguments of `evaluate`.
    Evaluate(Vec<String>),
    /// For its bytes. A run that cannot be packed is measured all the same; the log says why.
    Pack,
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
    /// What the process does, and what comes after it.
    step: Step,
    next: VecDeque<Step>,
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
        if state.reached(rung, &start.evaluate) {
            return Ok(None);
        }
        let mut next = steps(&state, &folder, start, rung);
        let Some(step) = next.pop_front() else { return Ok(None) };
        write_whole(&folder.config(), trial.config.to_toml().as_bytes())?;
        (state.status, state.error, state.attempts) = (Status::Running, None, state.attempts + 1);
        folder.write_state(&state)?;
        let said = log.metadata().map_err(|e| Error::reading(&folder.log(), e))?.len();
        let process = begin(&step, &folder, start, threads, rung, &log)?;
        Ok(Some(RunningTrial {
            before: state.seconds,
            folder,
            state,
            start: start.clone(),
            threads,
            rung,
            process,
            step,
            next,
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
        self.state.peak_memory =
            self.state.peak_memory.max(process_memory(&self.process.id().to_string(), "VmHWM:"));
        let status = self.process.try_wait().map_err(|e| Error::run("cannot wait for a trial").because(e))?;
        let Some(status) = status else { return Ok(None) };
        if let (true, Step::Evaluate(arguments), None) = (status.success(), &self.step, self.rung) {
            self.state.evaluated.push(arguments.clone());
        }
        let stopped = self.stopping || was_stopped(status);
        // A pack that was killed is made another time.
        let ended = status.code().is_some() && !status.success();
        let refused = matches!(self.step, Step::Pack) && ended && !stopped;
        if refused {
            // What an earlier attempt that was killed has left is no packed run, and nobody will complete it.
            remove(&self.folder.packed()).map_err(|e| Error::writing(&self.folder.packed(), e))?;
        }
        let well = status.success() || refused;
        if well
            && !self.stopping
            && let Some(step) = self.next.pop_front()
        {
            self.process = begin(&step, &self.folder, &self.start, self.threads, self.rung, &self.log)?;
            self.step = step;
            return Ok(None);
        }
        let ended = if well && self.next.is_empty() {
            match self.compare() {
                Ok(()) if self.rung.is_some() => Ended::Rung,
                Ok(()) => Ended::Done,
                Err(error) => Ended::Failed(error.to_string()),
            }
        } else if stopped {
            Ended::Stopped
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

    /// At a rung, notes what the trial is compared by; at the end, sees that it can be.
    fn compare(&mut self) -> Result<()> {
        let run = self.folder.run();
        let worth = match &self.start.by {
            Some(by) => figure(&run, by)?.worth(),
            None => run.read_state(Which::Best)?.best,
        };
        if self.rung.is_some() {
            self.state.rungs.push(worth);
            self.state.by.clone_from(&self.start.by);
        }
        Ok(())
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

/// What is left to do for a trial, up to a rung or to the end.
fn steps(
    state: &TrialState,
    folder: &TrialFolder,
    start: &Start,
    rung: Option<(usize, usize)>,
) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    // One that was done with fewer evaluations is trained.
    let trained = state.status == Status::Done;
    if !trained {
        steps.push_back(Step::Train);
    }
    if !trained && rung.is_none() {
        steps.push_back(Step::Test);
    }
    let wanted = |arguments: &&Vec<String>| match rung {
        Some(_) => start.by.is_some(),
        None => !state.evaluated.contains(arguments),
    };
    steps.extend(start.evaluate.iter().filter(wanted).cloned().map(Step::Evaluate));
    // A trial that was cut off after it has its packed run.
    if !trained && rung.is_none() && !RunFolder::new(&folder.packed()).is_run() {
        steps.push_back(Step::Pack);
    }
    steps
}

fn begin(
    step: &Step,
    folder: &TrialFolder,
    start: &Start,
    threads: usize,
    rung: Option<(usize, usize)>,
    log: &File,
) -> Result<Child> {
    match step {
        Step::Train => train(folder, start, threads, rung, log),
        Step::Test => {
            let mut command = Command::new(&start.program);
            command.arg("evaluate").arg(&folder.run().path).args(["--split", "test"]);
            spawn(command, threads, log)
        }
        Step::Pack => {
            let mut command = Command::new(&start.program);
            command.arg("pack").arg(&folder.run().path).arg("--out").arg(folder.packed());
            spawn(command, threads, log)
        }
        Step::Evaluate(arguments) => {
            let path = folder.run().path;
            let run = std::path::absolute(&path).map_err(|e| Error::reading(&path, e))?;
            let mut command = Command::new(&start.program);
            command.arg("evaluate").arg(run).args(arguments);
            // Paths in the sweep's file start from its folder.
            if !start.home.as_os_str().is_empty() {
                command.current_dir(&start.home);
            }
            spawn(command, threads, log)
        }
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

/// Starts a process that says all in the log, and ends when this one does or drops its standard input.
pub(super) fn spawn(mut command: Command, threads: usize, log: &File) -> Result<Child> {
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
