//! What the trials of a sweep will need.

use super::folder::SweepFolder;
use super::state::Status;
use super::{Plan, Trial};
use crate::checkpoint::Which;
use crate::corpus::Corpus;
use crate::estimate::{Counts, Estimate, gigabytes};
use crate::family;
use crate::{Error, Result};

/// Estimates for the trials at `places` of a plan; in the plan's order, and nothing for the others. The words of the corpus
/// are counted, which takes seconds; `notes` gets what could not be.
///
/// # Errors
/// Where the folder of the sweep cannot be read.
pub fn of(
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    notes: &mut Vec<String>,
) -> Result<Vec<Estimate>> {
    let mut counted: Vec<(String, Option<Box<dyn Counts>>)> = Vec::new();
    let mut estimates = vec![Estimate::default(); plan.trials.len()];
    for &n in places {
        let trial = &plan.trials[n];
        let known = known(plan, folder, trial)?;
        let whole = known.parameters.is_some() && known.memory.is_some();
        if whole {
            estimates[n] = known;
            continue;
        }
        let family = family::of(&trial.config);
        let key = format!("{:?}{}", trial.config.family(), family.counts_key(&trial.config));
        let place = match counted.iter().position(|(other, _)| *other == key) {
            Some(place) => place,
            None => {
                let count = Corpus::of(&trial.config).and_then(|corpus| family.count(&trial.config, &corpus));
                let counts = count.map_err(|e| notes.push(e.to_string())).ok();
                counted.push((key, counts));
                counted.len() - 1
            }
        };
        let guess = counted[place].1.as_ref().map(|counts| counts.estimate(&trial.config));
        let guess = guess.unwrap_or_default();
        estimates[n] = Estimate {
            parameters: known.parameters.or(guess.parameters),
            memory: known.memory.or(guess.memory),
            seconds: known.seconds,
            updates: known.updates.or(guess.updates),
            ..guess
        };
    }
    Ok(estimates)
}

/// What trials of the same name that are done have needed.
fn known(plan: &Plan, folder: &SweepFolder, trial: &Trial) -> Result<Estimate> {
    let (mut estimate, mut seconds) = (Estimate::default(), Vec::new());
    for other in plan.trials.iter().filter(|other| other.name == trial.name) {
        let trial_folder = folder.trial(&other.id);
        let state = trial_folder.state(other)?;
        if state.status != Status::Done {
            continue;
        }
        let info = trial_folder.run().info()?;
        estimate.parameters = estimate.parameters.max(Some((info.parameters_train, info.parameters_test)));
        estimate.memory = estimate.memory.max(state.peak_memory);
        estimate.updates = Some(trial_folder.run().read_state(Which::Latest)?.step);
        seconds.push(state.seconds);
    }
    if !seconds.is_empty() {
        estimate.seconds = Some(seconds.iter().sum::<f64>() / seconds.len() as f64);
    }
    Ok(estimate)
}

/// Refuses trials that this machine cannot hold at all.
///
/// # Errors
/// Config, naming the first such trial.
pub fn refuse_too_large(plan: &Plan, places: &[usize], estimates: &[Estimate], total: u64) -> Result<()> {
    let too_large: Vec<usize> =
        places.iter().copied().filter(|&place| estimates[place].memory > Some(total)).collect();
    let Some(&first) = too_large.first() else { return Ok(()) };
    let others = match too_large.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} others likewise)"),
    };
    let what = format!(
        "`{}` needs about {} of memory, and there are {}{others}",
        plan.trials[first].title(),
        gigabytes(estimates[first].memory.unwrap_or(0)),
        gigabytes(total)
    );
    Err(Error::config(what)
        .hint("take the trial out, lower `train.images` or sizes of the model, or give `--memory` if you know better"))
}
