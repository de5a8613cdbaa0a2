//! Sentences as the tree of their prefixes.
//!
//! A recurrent network's state after a prefix is the same in every sentence that begins with it, so each distinct prefix of a batch
//! is run once. Captions begin alike ("a man in a …"), masked copies are whole up to the first masked word.

use std::ops::Range;

use rayon::prelude::*;

use crate::ops::sequences::Sequences;

/// The number of a prefix among the inner ones if it is none.
pub const LEAF: u32 = u32::MAX;

/// The distinct prefixes of some sentences, those of one token first.
///
/// Prefixes with which a sentence goes on are *inner* and have numbers of their own; number 0 is the empty prefix. Both kinds stand
/// in the order of the sorted sentences, so prefixes that go on from the same inner one are neighbours.
#[derive(Debug, PartialEq)]
pub struct Prefixes {
    /// The sentences, sorted by their tokens.
    pub sentences: Vec<u32>,
    /// The last token of each prefix.
    pub tokens: Vec<u32>,
    /// The inner prefix from which each goes on.
    pub parents: Vec<u32>,
    /// The number of each among the inner ones, or [`LEAF`].
    pub inner: Vec<u32>,
    /// The places in `sentences` of those that each prefix is the whole of: first and end.
    pub wholes: Vec<(u32, u32)>,
    /// The first of the prefixes that go on from each inner one; one more entry for the end.
    pub children: Vec<u32>,
    /// The first prefix of each number of tokens, from 1; one more entry for the end.
    firsts: Vec<usize>,
    /// The first inner prefix of each number of tokens, from 0; one more entry for the end.
    first_inner: Vec<usize>,
}

impl Prefixes {
    /// Sorts sentences and deals them to at most `parts` trees of about as many prefixes.
    pub fn deal(sentences: &Sequences, parts: usize) -> Vec<Prefixes> {
        let of = |s: u32| sentences.get(s as usize);
        let order = sorted(sentences);
        // How many tokens each sentence begins with like the one before it, and how many prefixes there are up to it.
        let (mut alike, mut upto, mut total) = (Vec::new(), Vec::new(), 0);
        for (k, &s) in order.iter().enumerate() {
            let before = k.checked_sub(1).map_or(&[][..], |before| of(order[before]));
            alike.push(before.iter().zip(of(s)).take_while(|(a, b)| a == b).count());
            total += of(s).len() - alike[k];
            upto.push(total);
        }
        let cut = |part: usize| match part == parts {
            true => order.len(),
            false => upto.partition_point(|&n| n * parts <= total * part),
        };
        let parts: Vec<_> =
            (0..parts).map(|part| if part == 0 { 0..cut(1) } else { cut(part)..cut(part + 1) }).collect();
        let tree = |part: &Range<usize>| Prefixes::of(sentences, &order[part.clone()], &alike[part.clone()]);
        parts.par_iter().map(tree).collect()
    }

    /// The tree of sorted sentences, each of which begins with so many tokens like the one before.
    fn of(sentences: &Sequences, order: &[u32], alike: &[usize]) -> Prefixes {
        let of = |k: usize| sentences.get(order[k] as usize);
        let fresh = |k: usize| if k == 0 { 0..of(k).len() } else { alike[k]..of(k).len() };
        let longest = (0..order.len()).map(|k| of(k).len()).max().unwrap_or(0);
        let mut firsts = vec![0; longest + 1];
        (0..order.len()).flat_map(fresh).for_each(|t| firsts[t + 1] += 1);
        (0..longest).for_each(|t| firsts[t + 1] += firsts[t]);
        let count = firsts[longest];
        let (mut tokens, mut parents) = (vec![0; count], vec![LEAF; count]);
        let (mut wholes, mut goes_on) = (vec![(0, 0); count], vec![false; count]);
        // The next prefix of each number of tokens, and those of the sentence at hand.
        let (mut next, mut path) = (firsts.clone(), vec![0; longest]);
        for k in 0..order.len() {
            for t in fresh(k) {
                let x = next[t];
                (next[t], path[t], tokens[x]) = (x + 1, x, of(k)[t]);
                if t > 0 {
                    (parents[x], goes_on[path[t - 1]]) = (path[t - 1] as u32, true);
                }
            }
            if let Some(last) = of(k).len().checked_sub(1) {
                let whole: &mut (u32, u32) = &mut wholes[path[last]];
                *whole = (if whole.1 == 0 { k as u32 } else { whole.0 }, k as u32 + 1);
            }
        }
        let (mut inner, mut first_inner) = (vec![LEAF; count], vec![0, 1]);
        for t in 0..longest {
            let mut number = first_inner[t + 1];
            for x in (firsts[t]..firsts[t + 1]).filter(|&x| goes_on[x]) {
                inner[x] = number as u32;
                number += 1;
            }
            first_inner.push(number);
        }
        let mut children = vec![0];
        for (x, parent) in parents.iter_mut().enumerate() {
            *parent = inner.get(*parent as usize).copied().unwrap_or(0);
            if *parent as usize == children.len() {
                children.push(x as u32);
            }
        }
        children.push(count as u32);
        Prefixes { sentences: order.to_vec(), tokens, parents, inner, wholes, children, firsts, first_inner }
    }

    /// The number of prefixes.
    pub fn count(&self) -> usize {
        self.tokens.len()
    }

    /// The number of inner prefixes.
    pub fn inner_count(&self) -> usize {
        self.children.len() - 1
    }

    /// The most tokens of a sentence.
    pub fn longest(&self) -> usize {
        self.firsts.len() - 1
    }

    /// The prefixes of `t + 1` tokens.
    pub fn at(&self, t: usize) -> Range<usize> {
        self.firsts[t]..self.firsts[t + 1]
    }

    /// The inner prefixes of `t` tokens.
    pub fn inner_at(&self, t: usize) -> Range<usize> {
        self.first_inner[t]..self.first_inner[t + 1]
    }

    /// The prefixes that go on from an inner one.
    pub fn children(&self, inner: usize) -> Range<usize> {
        self.children[inner] as usize..self.children[inner + 1] as usize
    }

    /// The places in `sentences` of those that a prefix is the whole of.
    pub fn wholes(&self, prefix: usize) -> Range<usize> {
        let (first, end) = self.wholes[prefix];
        first as usize..end as usize
    }
}

/// Sentences in the order of their tokens, equal ones in that of their numbers.
fn sorted(sentences: &Sequences) -> Vec<u32> {
    // Most differ within the first tokens, which one number holds; a missing one comes before all.
    let head =
        |tokens: &[u32]| (0..4).fold(0, |head, t| head << 32 | tokens.get(t).map_or(0, |&x| x as u128 + 1));
    let mut order: Vec<(u128, u32)> =
        (0..sentences.len() as u32).map(|s| (head(sentences.get(s as usize)), s)).collect();
    order.par_sort_unstable_by(|&(a, s), &(b, other)| {
        let rest = || sentences.get(s as usize).cmp(sentences.get(other as usize)).then(s.cmp(&other));
        a.cmp(&b).then_with(rest)
    });
    order.into_iter().map(|(_, s)| s).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gradcheck::noise;

    fn sequences(of: &[&[u32]]) -> Sequences {
        let mut sentences = Sequences::new();
        of.iter().for_each(|s| sentences.push(s.iter().copied()));
        sentences
    }

    #[test]
    fn what_sentences_share_stands_once() {
        let sentences = sequences(&[&[3, 1, 2], &[], &[3, 1], &[3, 4], &[5], &[3, 1, 2]]);
        let [tree] = &Prefixes::deal(&sentences, 1)[..] else { panic!("one tree") };
        assert_eq!(tree.sentences, [1, 2, 0, 5, 3, 4]);
        assert_eq!(tree.tokens, [3, 5, 1, 4, 2]);
        assert_eq!(tree.inner, [1, LEAF, 2, LEAF, LEAF]);
        assert_eq!(tree.parents, [0, 0, 1, 1, 2]);
        assert_eq!((0..5).map(|x| tree.wholes(x)).collect::<Vec<_>>(), [0..0, 5..6, 1..2, 4..5, 2..4]);
        assert_eq!(tree.children, [0, 2, 4, 5]);
        assert_eq!((tree.longest(), tree.at(1), tree.inner_at(1)), (3, 2..4, 1..2));
    }

    #[test]
    fn sentences_without_tokens_have_no_prefix() {
        for sentences in [sequences(&[]), sequences(&[&[], &[]])] {
            for tree in Prefixes::deal(&sentences, 2) {
                assert_eq!((tree.count(), tree.inner_count(), tree.longest()), (0, 1, 0));
            }
        }
    }

    /// The tokens of a prefix, found by going up the tree.
    fn spelled(tree: &Prefixes, prefix: usize) -> Vec<u32> {
        let parent = tree.parents[prefix];
        let mut tokens = match parent {
            0 => Vec::new(),
            _ => spelled(tree, tree.inner.iter().position(|&i| i == parent).expect("an inner prefix")),
        };
        tokens.push(tree.tokens[prefix]);
        tokens
    }

    #[test]
    fn trees_hold_every_prefix_of_their_sentences_and_are_about_as_large() {
        let numbers = noise(4000, 1);
        let mut words = numbers.iter().map(|x| ((x.abs() * 40.0) as u32).min(7));
        let mut sentences = Sequences::new();
        for s in 0..300 {
            sentences.push(words.by_ref().take(s % 13).collect::<Vec<_>>());
        }
        let trees = Prefixes::deal(&sentences, 8);
        let mut seen: Vec<u32> = trees.iter().flat_map(|t| t.sentences.clone()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..300).collect::<Vec<u32>>());
        let most = trees.iter().map(Prefixes::count).max().unwrap();
        let least = trees.iter().map(Prefixes::count).min().unwrap();
        assert!(most - least < 40, "{least} to {most}");
        for tree in trees {
            let of = |k: usize| sentences.get(tree.sentences[k] as usize);
            let expected: BTreeSet<&[u32]> =
                (0..tree.sentences.len()).flat_map(|k| (1..=of(k).len()).map(move |n| &of(k)[..n])).collect();
            assert_eq!(tree.count(), expected.len());
            for t in 0..tree.longest() {
                for x in tree.at(t) {
                    assert_eq!(spelled(&tree, x).len(), t + 1);
                    assert!(expected.contains(&spelled(&tree, x)[..]));
                    assert!(tree.wholes(x).all(|k| of(k) == spelled(&tree, x)));
                    assert!(tree.children(tree.parents[x] as usize).contains(&x));
                    assert!(tree.inner_at(t).contains(&(tree.parents[x] as usize)));
                }
            }
            assert_eq!(
                (0..tree.count()).map(|x| tree.wholes(x).len()).sum::<usize>(),
                (0..tree.sentences.len()).filter(|&k| !of(k).is_empty()).count()
            );
        }
    }
}
