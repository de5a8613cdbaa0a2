//! Sentences as the tree of their prefixes.
//!
//! A recurrent network's state after a prefix is the same in every sentence that begins with it, so each distinct prefix of a batch
//! is run once. Captions begin alike ("a man in a …"), masked copies are whole up to the first masked word.

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
        let mut order: Vec<u32> = (0..sentences.len() as u32).collect();
        order.par_sort_by(|&a, &b| of(a).cmp(of(b)));
        // How many prefixes there are up to each sentence.
        let mut total = 0;
        let upto: Vec<usize> = (0..order.len())
            .map(|k| {
                let before = k.checked_sub(1).map_or(&[][..], |before| of(order[before]));
                let alike = before.iter().zip(of(order[k])).take_while(|(a, b)| a == b).count();
                total += of(order[k]).len() - alike;
                total
            })
            .collect();
        let mut from = 0;
        (1..=parts)
            .map(|part| {
                let to = match part == parts {
                    true => order.len(),
                    false => upto.partition_point(|&n| n * parts <= total * part),
                };
                let mine = order[from..to].to_vec();
                from = to;
                Prefixes::of(sentences, mine)
            })
            .collect()
    }

    /// The tree of sorted sentences.
    fn of(sentences: &Sequences, order: Vec<u32>) -> Prefixes {
        let token = |k: usize, t: usize| sentences.get(order[k] as usize).get(t).copied();
        let empty = order.partition_point(|&s| sentences.length(s as usize) == 0);
        let mut tree = Prefixes {
            sentences: Vec::new(),
            tokens: Vec::new(),
            parents: Vec::new(),
            inner: Vec::new(),
            wholes: Vec::new(),
            children: Vec::new(),
            firsts: vec![0],
            first_inner: vec![0, 1],
        };
        // The places of the sentences that go on from each inner prefix of t tokens.
        let mut spans = vec![(empty, order.len())];
        let mut inner = 1;
        for t in 0.. {
            let mut next = Vec::new();
            for (parent, (mut from, end)) in (tree.first_inner[t] as u32..).zip(spans) {
                tree.children.push(tree.tokens.len() as u32);
                while from < end {
                    let last = token(from, t);
                    let to = (from..end).find(|&k| token(k, t) != last).unwrap_or(end);
                    let whole = (from..to).find(|&k| token(k, t + 1).is_some()).unwrap_or(to);
                    tree.tokens.push(last.expect("the sentence goes on"));
                    tree.parents.push(parent);
                    tree.wholes.push((from as u32, whole as u32));
                    tree.inner.push(if whole < to { inner } else { LEAF });
                    if whole < to {
                        inner += 1;
                        next.push((whole, to));
                    }
                    from = to;
                }
            }
            if tree.tokens.len() > tree.firsts[t] {
                tree.firsts.push(tree.tokens.len());
                tree.first_inner.push(inner as usize);
            }
            if next.is_empty() {
                break;
            }
            spans = next;
        }
        tree.children.push(tree.tokens.len() as u32);
        tree.sentences = order;
        tree
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
    pub fn at(&self, t: usize) -> std::ops::Range<usize> {
        self.firsts[t]..self.firsts[t + 1]
    }

    /// The inner prefixes of `t` tokens.
    pub fn inner_at(&self, t: usize) -> std::ops::Range<usize> {
        self.first_inner[t]..self.first_inner[t + 1]
    }

    /// The prefixes that go on from an inner one.
    pub fn children(&self, inner: usize) -> std::ops::Range<usize> {
        self.children[inner] as usize..self.children[inner + 1] as usize
    }

    /// The places in `sentences` of those that a prefix is the whole of.
    pub fn wholes(&self, prefix: usize) -> std::ops::Range<usize> {
        let (first, end) = self.wholes[prefix];
        first as usize..end as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ops::check::noise;

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
        assert_eq!(tree.wholes, [(1, 1), (5, 6), (1, 2), (4, 5), (2, 4)]);
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
