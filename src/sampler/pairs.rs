//! Which sentence pairs a step sees: any step can be sought, whatever the size of the texts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::config::{DrawnIn, PairSampling};
use crate::corpus::SentencePairs;
use crate::seed::derive;

/// Draws that one cycle shares out among the units by their chances, about.
const CYCLE: f64 = 4096.0;

/// Draws lines of sentence pairs. Each step is a pure function of seed and step, and takes the same time wherever it is.
///
/// What is drawn from is a unit: a text, or a pair of languages of one. Draws are counted on from the first step. Of a cycle of draws each
/// unit has its share, in a random order that is new in each cycle; so the number of earlier draws of a unit is known without looking at
/// them, and it goes through its lines in a random order that is new in each pass.
pub struct PairSampler {
    seed: u64,
    lines: usize,
    units: Vec<Unit>,
    /// The draws of a cycle that belong to unit n begin with `starts[n]`; one more entry for the end.
    starts: Vec<u64>,
}

/// Lines that are drawn from.
struct Unit {
    text: usize,
    languages: Vec<usize>,
    /// Lines that are left out, rising.
    holes: Vec<u64>,
    /// Lines that are drawn.
    count: u64,
}

/// A line, and the languages it was drawn in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnLine {
    /// The place of its text in [`SentencePairs::texts`].
    pub text: usize,
    /// Its line there, from 0.
    pub line: u64,
    /// Two or more of the languages that it has, rising.
    pub languages: Vec<usize>,
}

/// What a step sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairDraw {
    /// Each once, in the order of the draws. Fewer than `train.pairs.lines` where a step would meet one twice.
    pub lines: Vec<DrawnLine>,
    /// By line: which sentence it is, the same number for one line that was drawn in several pairs of languages.
    pub ids: Vec<u32>,
}

/// Sentences of a step in two languages that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairBatch<'a> {
    /// Their places, the lower one first.
    pub languages: [usize; 2],
    /// By pair: which sentence it is; equal ones are no wrong pairs of each other.
    pub ids: Vec<u32>,
    /// By pair, in the first language.
    pub left: Vec<Cow<'a, str>>,
    /// By pair, in the second.
    pub right: Vec<Cow<'a, str>>,
}

impl PairSampler {
    /// Of the pairs of a corpus; there must be some.
    pub fn new(seed: u64, config: &PairSampling, pairs: &SentencePairs) -> Self {
        let mut units = Vec::new();
        for (text, bitext) in pairs.texts.iter().enumerate() {
            let all = bitext.languages();
            let sets: Vec<Vec<usize>> = match config.draw {
                DrawnIn::All => vec![all.to_vec()],
                DrawnIn::Pair => (all.iter().enumerate())
                    .flat_map(|(n, &one)| all[n + 1..].iter().map(move |&other| vec![one, other]))
                    .collect(),
            };
            for languages in sets {
                let holes = bitext.holes(&languages);
                let count = bitext.lines() - holes.len() as u64;
                units.push(Unit { text, languages, holes, count });
            }
        }
        units.retain(|unit| unit.count > 0);
        let mut starts = vec![0];
        for share in shares(&units, config.temperature) {
            starts.push(starts[starts.len() - 1] + ((CYCLE * share).round() as u64).max(1));
        }
        PairSampler { seed, lines: config.lines, units, starts }
    }

    /// The lines of a step, counted from 0.
    pub fn draw(&self, step: usize, pairs: &SentencePairs) -> PairDraw {
        let (mut lines, mut ids) = (Vec::new(), Vec::new());
        let mut known: BTreeMap<(usize, u64), u32> = BTreeMap::new();
        let first = step as u64 * self.lines as u64;
        for number in first..first + self.lines as u64 {
            let (unit, line) = self.line(number);
            let text = &pairs.texts[unit.text];
            let languages = unit.languages.iter().copied().filter(|&l| text.has(line, l)).collect();
            let drawn = DrawnLine { text: unit.text, line, languages };
            let next = known.len() as u32;
            let id = *known.entry((unit.text, line)).or_insert(next);
            if id == next || !lines.contains(&drawn) {
                lines.push(drawn);
                ids.push(id);
            }
        }
        PairDraw { lines, ids }
    }

    /// The unit of a draw, counted from the first step's first, and its line.
    fn line(&self, number: u64) -> (&Unit, u64) {
        let size = self.starts[self.units.len()];
        let (cycle, place) = (number / size, number % size);
        let place = shuffled(size, derive(self.seed, "cycle", cycle), place);
        let n = self.starts.partition_point(|&start| start <= place) - 1;
        let unit = &self.units[n];
        let earlier = cycle * (self.starts[n + 1] - self.starts[n]) + place - self.starts[n];
        let (pass, place) = (earlier / unit.count, earlier % unit.count);
        let seed = derive(derive(self.seed, "unit", n as u64), "pass", pass);
        (unit, unit.nth(shuffled(unit.count, seed, place)))
    }
}

impl Unit {
    /// The line that comes after `n` others that are not left out.
    fn nth(&self, n: u64) -> u64 {
        // Hole h has holes[h] − h lines before it that are drawn.
        let (mut from, mut to) = (0, self.holes.len());
        while from < to {
            let middle = (from + to) / 2;
            match self.holes[middle] - middle as u64 <= n {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        n + from as u64
    }
}

/// The chance of each unit: of a set of languages p ∝ n^(1/T), shared by size among the units that have it.
fn shares(units: &[Unit], temperature: f32) -> Vec<f64> {
    let mut sizes: BTreeMap<&[usize], f64> = BTreeMap::new();
    units.iter().for_each(|unit| *sizes.entry(&unit.languages).or_default() += unit.count as f64);
    let weight = |size: f64| match temperature {
        0.0 => 1.0,
        t => size.powf(1.0 / f64::from(t)),
    };
    let all: f64 = sizes.values().map(|&size| weight(size)).sum();
    let share = |unit: &Unit| {
        let size = sizes[&unit.languages[..]];
        weight(size) / all * unit.count as f64 / size
    };
    units.iter().map(share).collect()
}

/// Item number `place` of 0..n in a random order that is never written down: a network of Feistel over the next power of four, whose items from
/// n on are walked over (Black & Rogaway 2002).
fn shuffled(n: u64, seed: u64, place: u64) -> u64 {
    let half = (u64::BITS - (n - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut item = place;
    loop {
        let (mut left, mut right) = (item >> half, item & mask);
        for round in 0..6 {
            (left, right) = (right, left ^ (mixed(seed ^ (round << 56), right) & mask));
        }
        item = left << half | right;
        if item < n {
            return item;
        }
    }
}

/// SplitMix64 (Steele et al. 2014).
fn mixed(seed: u64, x: u64) -> u64 {
    let z = seed.wrapping_add((x + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl PairDraw {
    /// Every two languages of every line, by pair of languages, rising.
    pub fn batches<'a>(&self, pairs: &'a SentencePairs) -> Vec<PairBatch<'a>> {
        let mut batches: BTreeMap<[usize; 2], PairBatch> = BTreeMap::new();
        for (drawn, &id) in self.lines.iter().zip(&self.ids) {
            let sentence = |l: usize| pairs.sentence(drawn.text, drawn.line, l).expect("a line that has it");
            let texts: Vec<(usize, Cow<str>)> = drawn.languages.iter().map(|&l| (l, sentence(l))).collect();
            for (n, (one, left)) in texts.iter().enumerate() {
                for (other, right) in &texts[n + 1..] {
                    let languages = [*one, *other];
                    let batch = batches.entry(languages).or_insert_with(|| PairBatch {
                        languages,
                        ids: Vec::new(),
                        left: Vec::new(),
                        right: Vec::new(),
                    });
                    batch.ids.push(id);
                    batch.left.push(left.clone());
                    batch.right.push(right.clone());
                }
            }
        }
        batches.into_values().collect()
    }
}
