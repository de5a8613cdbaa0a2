//! Which photograph is in which split: by chance, with all that show the same on one side.

use crate::corpus::SplitName;
use crate::seed::derive;
use crate::{Error, Result};

/// How many photographs a split has by default: a tenth, and no more than this.
const MOST: usize = 1000;

/// How photographs are shared out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Photographs to validate on; by default a tenth, at most 1,000.
    pub val: Option<usize>,
    /// Photographs to test on; as above.
    pub test: Option<usize>,
    /// Another seed, other splits.
    pub seed: u64,
}

/// A photograph, as far as it matters for its split.
#[derive(Debug, Clone, Copy)]
pub struct Pictured<'a> {
    /// Its id. What is drawn for it depends on this and the seed alone.
    pub id: &'a str,
    /// The first photograph that shows the same; its own number, where there is none.
    pub first: usize,
    /// The split that its captions say it is in.
    pub given: Option<SplitName>,
    /// Whether someone says something about it.
    pub captioned: bool,
    /// Whether it can be used.
    pub usable: bool,
}

/// The split of each photograph: the one that its captions give; else by chance. Of those that show the same, all with captions are in one split
/// unless theirs are given, and those without are left out; alone without captions they are distractors. Where `val` or `test` is given to
/// none, it is drawn from `train`.
///
/// # Errors
/// Data, where there are too few photographs with captions for these sizes.
pub fn sides(all: &[Pictured], sizes: &Sizes) -> Result<Vec<Option<SplitName>>> {
    let mut counts = vec![0; all.len()];
    all.iter().filter(|p| p.usable && p.captioned).for_each(|p| counts[p.first] += 1);
    let captioned: usize = counts.iter().sum();
    let usual = (captioned / 10).clamp(1, MOST);
    let (val, test) = (sizes.val.unwrap_or(usual), sizes.test.unwrap_or(usual));
    let held = |p: &Pictured| matches!(p.given, Some(SplitName::Val | SplitName::Test));
    let mut free = vec![true; all.len()];
    all.iter().filter(|p| p.usable && p.captioned && held(p)).for_each(|p| free[p.first] = false);
    let mut groups: Vec<usize> = (0..all.len()).filter(|&first| counts[first] > 0 && free[first]).collect();
    groups.sort_by_key(|&first| (derive(sizes.seed, all[first].id, 0), all[first].id));
    let mut side: Vec<Option<SplitName>> = vec![None; all.len()];
    for (split, size) in [(SplitName::Test, test), (SplitName::Val, val)] {
        let given = all.iter().any(|p| p.usable && p.captioned && p.given == Some(split));
        let mut left = if given { 0 } else { size };
        for &group in &groups {
            if side[group].is_none() && counts[group] <= left {
                side[group] = Some(split);
                left -= counts[group];
            }
        }
    }
    let of = |p: &Pictured| match (p.usable, p.captioned, counts[p.first]) {
        (false, ..) => None,
        (true, true, _) => p.given.filter(|_| held(p)).or(side[p.first]).or(Some(SplitName::Train)),
        (true, false, 0) => Some(SplitName::Distractors),
        (true, false, _) => None,
    };
    let sides: Vec<Option<SplitName>> = all.iter().map(of).collect();
    let count = |split| sides.iter().filter(|&&side| side == Some(split)).count();
    // A batch needs a wrong picture.
    let (train, none) = (count(SplitName::Train), [SplitName::Val, SplitName::Test].map(count).contains(&0));
    if train < 2 || none {
        let what = format!(
            "of {captioned} photographs with captions, {} for val and {} for test, {train} are left to train on",
            val, test
        );
        return Err(Error::data(what).hint("each of train, val and test needs some: give more photographs, or other sizes by `--val` and `--test`"));
    }
    Ok(sides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SplitName::{Distractors, Test, Train, Val};

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n}.jpg")).collect()
    }

    fn alone(ids: &[String]) -> Vec<Pictured<'_>> {
        let each = |(first, id): (usize, &'_ String)| Pictured {
            id: id.clone().leak(),
            first,
            given: None,
            captioned: true,
            usable: true,
        };
        ids.iter().enumerate().map(each).collect()
    }

    fn count(sides: &[Option<SplitName>], split: SplitName) -> usize {
        sides.iter().filter(|&&side| side == Some(split)).count()
    }

    #[test]
    fn a_tenth_and_at_most_a_thousand_are_held_out() {
        for (all, held) in [(10, 1), (35, 3), (1000, 100), (12_000, 1000)] {
            let ids = ids(all);
            let sides = sides(&alone(&ids), &Sizes::default()).unwrap();
            assert_eq!([Train, Val, Test].map(|s| count(&sides, s)), [all - 2 * held, held, held]);
        }
        let ids = ids(100);
        let sizes = Sizes { val: Some(7), test: Some(20), seed: 3 };
        let some = sides(&alone(&ids), &sizes).unwrap();
        assert_eq!([Train, Val, Test].map(|s| count(&some, s)), [73, 7, 20]);
    }

    #[test]
    fn splits_follow_from_names_and_seed_alone() {
        let ids = ids(200);
        let of = |ids: &[String], seed| {
            let sizes = Sizes { val: Some(20), test: Some(20), seed };
            let sides = sides(&alone(ids), &sizes).unwrap();
            let mut named: Vec<(String, Option<SplitName>)> = ids.iter().cloned().zip(sides).collect();
            named.sort();
            named
        };
        let first = of(&ids, 0);
        assert_eq!(of(&ids, 0), first);
        let mut turned = ids.clone();
        turned.reverse();
        assert_eq!(of(&turned, 0), first);
        assert_ne!(of(&ids, 1), first);
        // A further photograph moves at most one of another split.
        let more = [ids.clone(), vec!["new.jpg".into()]].concat();
        let moved = of(&more, 0).iter().filter(|one| one.0 != "new.jpg" && !first.contains(one)).count();
        assert!(moved <= 2, "{moved}");
    }

    #[test]
    fn what_shows_the_same_is_on_one_side() {
        let ids = ids(120);
        // Groups of one to eight.
        let first = |n: usize| if n < 100 { n - n % [1, 2, 4, 5][n / 25 % 4].min(25) } else { 100 };
        let all: Vec<Pictured> = alone(&ids)
            .into_iter()
            .enumerate()
            .map(|(n, p)| Pictured { first: first(n).min(n), ..p })
            .collect();
        for seed in 0..20 {
            let sizes = Sizes { val: Some(11), test: Some(13), seed };
            let sides = sides(&all, &sizes).unwrap();
            for (n, p) in all.iter().enumerate() {
                assert_eq!(sides[n], sides[p.first], "{n} and {}, seed {seed}", p.first);
            }
            // There are single ones to fill the sizes with; the group of twenty fits in neither.
            assert_eq!((count(&sides, Val), count(&sides, Test), sides[100]), (11, 13, Some(Train)));
        }
    }

    #[test]
    fn photographs_without_captions_are_distractors_unless_they_show_what_others_do() {
        let ids = ids(30);
        let mut all = alone(&ids);
        all[29] = Pictured { captioned: false, ..all[29] };
        all[28] = Pictured { captioned: false, first: 3, ..all[28] };
        // The first of a group may have no caption itself.
        all[0] = Pictured { captioned: false, ..all[0] };
        all[1] = Pictured { first: 0, ..all[1] };
        all[5] = Pictured { usable: false, ..all[5] };
        let sides = sides(&all, &Sizes::default()).unwrap();
        assert_eq!((sides[29], sides[28], sides[0], sides[5]), (Some(Distractors), None, None, None));
        assert!(sides[1].is_some() && sides[3].is_some());
        assert_eq!(count(&sides, Train) + count(&sides, Val) + count(&sides, Test), 26);
    }

    #[test]
    fn given_splits_are_kept_and_what_lacks_is_drawn_from_train() {
        let ids = ids(60);
        let mut all = alone(&ids);
        for (n, p) in all.iter_mut().enumerate() {
            p.given = Some(if n < 10 { Test } else { Train });
        }
        // One of the test shows what one of the training does: both stay, and neither is drawn for val.
        all[30] = Pictured { first: 3, ..all[30] };
        let given = sides(&all, &Sizes { val: Some(7), test: Some(30), seed: 1 }).unwrap();
        assert!((0..60).all(|n| (given[n] == Some(Test)) == (n < 10)), "{given:?}");
        assert_eq!((count(&given, Val), count(&given, Train), given[30]), (7, 43, Some(Train)));
        all.iter_mut().skip(50).for_each(|p| p.given = Some(Val));
        let whole = sides(&all, &Sizes { val: Some(7), test: Some(30), seed: 1 }).unwrap();
        assert!((0..60).all(|n| whole[n] == all[n].given), "{whole:?}");
    }

    #[test]
    fn too_few_are_refused() {
        for (all, val, test) in [(3, 1, 1), (0, 1, 1), (10, 0, 5), (10, 5, 4), (2, 1, 1)] {
            let ids = ids(all);
            let sizes = Sizes { val: Some(val), test: Some(test), seed: 0 };
            let error = sides(&alone(&ids), &sizes).unwrap_err();
            assert!(error.to_string().contains(&format!("of {all} photographs with captions")), "{error}");
        }
    }
}
