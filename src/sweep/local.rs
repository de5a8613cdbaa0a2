//! Trials side by side on this machine.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::child::{Ended, RunningTrial, Start};
use super::cost::{PAUSE, measure};
use super::folder::SweepFolder;
use super::halving::{self, Decision};
use super::results::Row;
use super::state::TrialState;
use super::{Plan, Trial};
use crate::stop::Saves;
use crate::{Error, Result};

/// How trials are run.
#[derive(Debug, Clone)]
pub struct Local {
    /// Trials at a time.
    pub jobs: usize,
    /// Threads that they share.
    pub threads: usize,
    /// Starts anew of a trial that failed.
    pub retries: u32,
    /// Whether the first trial that is given up stops the others.
    pub fail_fast: bool,
    /// Bytes of memory that trials at work may need together, and what each trial of the plan needs; where that is known.
    pub memory: Option<(u64, Vec<u64>)>,
    /// What trials share.
    pub cache: PathBuf,
    /// The program whose `train`, `evaluate`, `pack` and `cost` do the work.
    pub program: PathBuf,
}

/// What is told while trials run.
pub enum Event<'a> {
    /// A trial begins, or goes on.
    Began {
        /// The trial that begins.
        trial: &'a Trial,
        /// Starts since this sweep was started, this one included.
        attempt: u32,
    },
    /// A trial was trained and evaluated.
    Done {
        /// The trial that is done.
        trial: &'a Trial,
        /// Its results.
        row: &'a Row,
    },
    /// Trials were compared at a rung of the halving.
    Rung {
        /// Epochs that every trial has trained.
        epoch: usize,
        /// Trials of the whole sweep that go on.
        kept: usize,
        /// Trials that were compared.
        of: usize,
        /// Those of the dropped ones that were worked on here.
        dropped: usize,
    },
    /// Trials that are run elsewhere have not come to the rung yet: nothing more can be done here.
    Waits {
        /// Epochs at the rung.
        epoch: usize,
        /// Trials that have not come to it.
        trials: usize,
    },
    /// A trial failed.
    Failed {
        /// The trial that failed.
        trial: &'a Trial,
        /// Why it failed.
        error: &'a str,
        /// Whether it is tried another time.
        again: bool,
    },
    /// What packed trials cost in use is measured.
    Measures {
        /// How many they are.
        trials: usize,
    },
    /// Another process works on the trials that are left.
    Elsewhere {
        /// How many they are.
        trials: usize,
    },
}

/// Looks between two tries at trials that another process works on.
const TRY_EVERY: usize = 40;

/// Runs the trials at `places` of the plan that are not done, rung by rung where there is a halving; gives the rows of all. At a
/// rung all trials of the plan are compared; where some have not come to it, these here stop.
///
/// When `stop` is raised, trials save and stop, and what is left stays for another time.
///
/// # Errors
/// Where the folder cannot be read or written. Trials that fail are no error: their rows say so.
pub fn run(
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    local: &Local,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Vec<Row>> {
    for &place in places {
        let (trial, trial_folder) = (&plan.trials[place], folder.trial(&plan.trials[place].id));
        // One that another process works on has a state.
        let Some(_alone) = trial_folder.claim()? else { continue };
        let state = trial_folder.state(trial)?;
        refuse_other_rungs(plan, &state)?;
        if state.attempts == 0 {
            trial_folder.write_state(&state)?;
        }
    }
    folder.write_results(plan)?;
    let (mut left, mut all): (Vec<usize>, Vec<usize>) = (places.to_vec(), (0..plan.trials.len()).collect());
    let rungs = plan.halving.as_ref().map(|halving| halving.rungs.clone()).unwrap_or_default();
    for (number, &epoch) in rungs.iter().enumerate() {
        if !work(plan, &left, folder, local, Some((number, epoch)), stop, tell)? {
            return folder.write_results(plan);
        }
        let (of, here) = (all.len(), left.len());
        match halving::decide(plan, &all, &left, folder, number)? {
            Decision::Kept(kept) => all = kept,
            Decision::Waits(trials) => {
                tell(Event::Waits { epoch, trials });
                return folder.write_results(plan);
            }
        }
        left.retain(|place| all.contains(place));
        tell(Event::Rung { epoch, kept: all.len(), of, dropped: here - left.len() });
    }
    if work(plan, &left, folder, local, None, stop, tell)? {
        measure(plan, &left, folder, &local.program, stop, &mut |trials| tell(Event::Measures { trials }))?;
    }
    folder.write_results(plan)
}

/// Refuses rungs that were compared by another figure than the sweep's.
fn refuse_other_rungs(plan: &Plan, state: &TrialState) -> Result<()> {
    if state.rungs.is_empty() || state.by == plan.by {
        return Ok(());
    }
    let named = |by: &Option<String>| by.as_ref().map_or("`train.best`".to_string(), |by| format!("`{by}`"));
    let what = format!(
        "`{}` was compared by {}, and the sweep compares by {}",
        state.title,
        named(&state.by),
        named(&plan.by)
    );
    Err(Error::usage(what).hint("give another `--out`, or leave `by` as it was"))
}

/// Brings trials to a rung, or to the end; false, where it was stopped on the way.
fn work(
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    local: &Local,
    rung: Option<(usize, usize)>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<bool> {
    let mut waiting = VecDeque::new();
    for &place in places {
        let trial = &plan.trials[place];
        if !folder.trial(&trial.id).state(trial)?.reached(rung, &plan.evaluate) {
            waiting.push_back(Waiting { place, attempts: 0 });
        }
    }
    let start = Start {
        program: local.program.clone(),
        cache: local.cache.clone(),
        by: plan.by.clone(),
        evaluate: plan.evaluate.clone(),
        home: plan.home.clone(),
    };
    let (elsewhere, working) = (VecDeque::new(), Vec::new());
    let mut pool = Pool { plan, folder, local, rung, start, waiting, elsewhere, working, stopped: false };
    let (mut stopping, mut told) = (false, false);
    let _saves = Saves::begin();
    for round in 0.. {
        let given_up = pool.look(stopping, tell)?;
        if !stopping && (stop.load(Ordering::SeqCst) || given_up && local.fail_fast) {
            stopping = true;
            pool.working.iter_mut().for_each(|(_, work)| work.stop());
        }
        if !stopping {
            pool.fill(tell)?;
        }
        if pool.working.is_empty() && (stopping || pool.waiting.is_empty() && pool.elsewhere.is_empty()) {
            break;
        }
        if pool.working.is_empty() && pool.waiting.is_empty() && round % TRY_EVERY == 0 {
            if !std::mem::replace(&mut told, true) {
                tell(Event::Elsewhere { trials: pool.elsewhere.len() });
            }
            pool.waiting.append(&mut pool.elsewhere);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(!stopping && !pool.stopped)
}

/// A trial that is to be started.
struct Waiting {
    place: usize,
    attempts: u32,
}

struct Pool<'a> {
    plan: &'a Plan,
    folder: &'a SweepFolder,
    local: &'a Local,
    rung: Option<(usize, usize)>,
    start: Start,
    waiting: VecDeque<Waiting>,
    /// Those that another process works on.
    elsewhere: VecDeque<Waiting>,
    working: Vec<(Waiting, RunningTrial)>,
    /// Whether a trial was stopped that is to go on another time.
    stopped: bool,
}

impl Pool<'_> {
    /// Looks after those at work; true when one was given up.
    fn look(&mut self, stopping: bool, tell: &mut dyn FnMut(Event)) -> Result<bool> {
        let (mut given_up, mut n) = (false, 0);
        while n < self.working.len() {
            let Some(ended) = self.working[n].1.look()? else {
                n += 1;
                continue;
            };
            let (waiting, work) = self.working.swap_remove(n);
            drop(work);
            let trial = &self.plan.trials[waiting.place];
            match ended {
                Ended::Done => {
                    let rows = self.folder.write_results(self.plan)?;
                    tell(Event::Done { trial, row: &rows[waiting.place] });
                }
                Ended::Rung => {}
                Ended::Stopped => self.stopped = true,
                Ended::Failed(error) => {
                    let again = waiting.attempts <= self.local.retries && !stopping;
                    tell(Event::Failed { trial, error: &error, again });
                    if again {
                        self.waiting.push_back(waiting);
                    } else {
                        given_up = true;
                        self.folder.write_results(self.plan)?;
                    }
                }
            }
        }
        Ok(given_up)
    }

    /// Starts as many as there is room for.
    fn fill(&mut self, tell: &mut dyn FnMut(Event)) -> Result<()> {
        while self.working.len() < self.local.jobs {
            let left = self.working.len() + self.waiting.len();
            let Some(mut waiting) = self.next() else { return Ok(()) };
            // The last ones share what those before have left.
            let threads = (self.local.threads / self.local.jobs.min(left)).max(1);
            let trial = &self.plan.trials[waiting.place];
            let folder = self.folder.trial(&trial.id);
            match RunningTrial::begin(trial, folder.clone(), &self.start, threads, self.rung)? {
                Some(work) => {
                    waiting.attempts += 1;
                    tell(Event::Began { trial, attempt: waiting.attempts });
                    self.working.push((waiting, work));
                }
                None if folder.state(trial)?.reached(self.rung, &self.plan.evaluate) => {}
                None => self.elsewhere.push_back(waiting),
            }
        }
        Ok(())
    }

    /// The first that waits and fits into memory beside those at work; alone, any fits.
    fn next(&mut self) -> Option<Waiting> {
        let fits = match &self.local.memory {
            Some((free, needs)) if !self.working.is_empty() => {
                let used: u64 = self.working.iter().map(|(at_work, _)| needs[at_work.place]).sum();
                self.waiting.iter().position(|next| used + needs[next.place] <= *free)?
            }
            _ => 0,
        };
        self.waiting.remove(fits)
    }
}
