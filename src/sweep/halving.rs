//! Which trials go on from a rung of the halving.

use super::Plan;
use super::folder::SweepFolder;
use super::state::Status;
use crate::Result;

/// What is known at a rung.
#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// So many trials are still on their way to it.
    Waits(usize),
    /// The places of those that go on, in the plan's order.
    Kept(Vec<usize>),
}

/// Which of `places` go on from rung `number`. Trials that failed before it neither go on nor count. Of `mine` the others are
/// marked as dropped: each process writes the states of the trials that it works on.
///
/// It follows from the scores at the rung alone, so a sweep that was stopped, and every machine of several, decides the same.
pub(super) fn decide(
    plan: &Plan,
    places: &[usize],
    mine: &[usize],
    folder: &SweepFolder,
    number: usize,
) -> Result<Decision> {
    let keep = plan.halving.as_ref().map_or(1.0, |halving| halving.keep);
    let (mut scores, mut waits) = (Vec::new(), 0);
    for &place in places {
        let trial = &plan.trials[place];
        let state = folder.trial(&trial.id).state(trial)?;
        match state.rungs.get(number) {
            Some(&score) => scores.push((place, score)),
            None => waits += usize::from(state.status != Status::Failed),
        }
    }
    if waits > 0 {
        return Ok(Decision::Waits(waits));
    }
    let kept = best(&scores, keep);
    for &(place, _) in scores.iter().filter(|(place, _)| mine.contains(place)) {
        let trial = &plan.trials[place];
        let trial_folder = folder.trial(&trial.id);
        let mut state = trial_folder.state(trial)?;
        let status = match (kept.contains(&place), state.status) {
            (false, Status::Pending) => Status::Dropped,
            // Among more trials than before, or other ones, it would have gone on.
            (true, Status::Dropped) => Status::Pending,
            _ => continue,
        };
        state.status = status;
        trial_folder.write_state(&state)?;
    }
    Ok(Decision::Kept(kept))
}

/// The places of the best share, rounded up; of equal scores the first.
fn best(scores: &[(usize, f64)], keep: f64) -> Vec<usize> {
    let mut order = scores.to_vec();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order.truncate((scores.len() as f64 * keep - 1e-9).ceil() as usize);
    let mut kept: Vec<usize> = order.into_iter().map(|(place, _)| place).collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_share_is_kept_in_the_order_of_the_plan() {
        let scores = [(0, 10.0), (2, 30.0), (3, 20.0), (5, 30.0), (6, 5.0)];
        assert_eq!(best(&scores, 0.5), [2, 3, 5]);
        assert_eq!(best(&scores, 0.4), [2, 5]);
        assert_eq!(best(&scores, 0.2), [2], "of equal ones the first");
        assert_eq!(best(&scores, 0.01), [2], "one at least");
        assert_eq!(best(&[], 0.5), [0; 0]);
        assert_eq!(best(&[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0), (5, 6.0)], 1.0 / 3.0), [4, 5]);
    }
}
