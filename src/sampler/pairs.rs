//! Which sentence pairs a step sees: any step can be sought, whatever the size of the texts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::repeat_n;

use crate::config::{DrawnIn, PairSampling};
use crate::corpus::SentencePairs;
use crate::seed::derive;

/// Draws that one cycle shares out among the units by their chances, about.
const CYCLE: f64 = 4096.0;

/// Draws lines of sentence pairs. Each step is a pure function of seed and step, and takes the same time wherever it is.
///
/// What is drawn from is a unit: a text, or a pair of languages of one. Draws are counted on from the first step. Of a cycle of draws each
/// unit has its share, at random places that are the same in every cycle; so the number of earlier draws of a unit is known without looking
/// at them, and it goes through its lines in a random order that is new in each pass.
pub struct PairSampler {
    seed: u64,
    lines: usize,
    units: Vec<Unit>,
    /// By draw of a cycle: its unit, and how many earlier draws of the cycle are of that unit.
    cycle: Vec<(u32, u32)>,
    /// By unit: its draws in a cycle.
    shares: Vec<u32>,
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
    /// Those of its languages that it is drawn in, rising: two or more, or the one that its text has.
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
                _ if all.len() == 1 => vec![all.to_vec()],
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
        let shares: Vec<u32> =
            shares(&units, config.temperature).iter().map(|s| ((CYCLE * s).round() as u32).max(1)).collect();
        let sorted: Vec<u32> =
            (0..units.len() as u32).flat_map(|n| repeat_n(n, shares[n as usize] as usize)).collect();
        let (size, mut earlier) = (sorted.len() as u64, vec![0; units.len()]);
        let drawn = |place: u64| {
            let unit = sorted[shuffled(size, derive(seed, "cycle", 0), place) as usize];
            earlier[unit as usize] += 1;
            (unit, earlier[unit as usize] - 1)
        };
        let cycle = (0..size).map(drawn).collect();
        PairSampler { seed, lines: config.lines, units, cycle, shares }
    }

    /// Steps that draw as many lines as there are, each in every pair of languages that it may be drawn in.
    pub fn steps_per_epoch(&self) -> usize {
        let lines: u64 = self.units.iter().map(|unit| unit.count).sum();
        (lines / self.lines as u64).max(1) as usize
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
        let size = self.cycle.len() as u64;
        let (n, within) = self.cycle[(number % size) as usize];
        let unit = &self.units[n as usize];
        let earlier = number / size * u64::from(self.shares[n as usize]) + u64::from(within);
        let (pass, place) = (earlier / unit.count, earlier % unit.count);
        let seed = derive(derive(self.seed, "unit", n.into()), "pass", pass);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::config::{CaptionSource, DataConfig, PairSource};
    use crate::corpus::{Corpus, write_npy};

    /// Three languages; texts of the given lines in the given languages, of which "-" has no sentence.
    fn corpus(texts: &[(&[&str], &[&[&str]])]) -> Corpus {
        let folder = tempfile::tempdir().unwrap();
        let languages = ["en", "de", "cs"].map(String::from).to_vec();
        let mut config =
            DataConfig { root: folder.path().into(), languages: languages.clone(), ..Default::default() };
        std::fs::create_dir(folder.path().join("features")).unwrap();
        for split in ["train", "val", "test"] {
            write_npy(folder.path().join(format!("features/{split}.npy")), 1, 1, &[1.0]).unwrap();
            languages
                .iter()
                .for_each(|l| std::fs::write(folder.path().join(format!("{split}.{l}")), "a\n").unwrap());
        }
        let files = vec!["{split}.{language}".into()];
        config.captions.push(CaptionSource { languages, files, ..Default::default() });
        for (n, (languages, lines)) in texts.iter().enumerate() {
            for (l, language) in languages.iter().enumerate() {
                let text: String = lines.iter().map(|line| line[l].replace('-', "") + "\n").collect();
                std::fs::write(folder.path().join(format!("{n}.{language}")), text).unwrap();
            }
            config.pairs.push(PairSource {
                languages: languages.iter().map(|l| l.to_string()).collect(),
                files: vec![format!("{n}.{{language}}")],
                ..Default::default()
            });
        }
        // Mapped files stay when their names go.
        Corpus::load(&config, Path::new("")).unwrap()
    }

    fn numbered(count: usize) -> Vec<[String; 2]> {
        (0..count).map(|n| [format!("left {n}"), format!("right {n}")]).collect()
    }

    fn of_two(sizes: [usize; 2]) -> Corpus {
        let [one, other] = sizes.map(numbered);
        let lines = |all: &'static [[String; 2]]| -> Vec<&'static [&'static str]> {
            all.iter()
                .map(|[a, b]| &*Box::leak(Box::new([&a[..], &b[..]])))
                .map(|l: &[&str; 2]| &l[..])
                .collect()
        };
        let (one, other) = (lines(Vec::leak(one)), lines(Vec::leak(other)));
        corpus(&[(&["en", "de"], &one), (&["de", "cs"], &other)])
    }

    fn sampler(corpus: &Corpus, lines: usize, draw: DrawnIn, temperature: f32) -> PairSampler {
        PairSampler::new(7, &PairSampling { lines, draw, temperature }, &corpus.pairs)
    }

    #[test]
    fn the_order_is_a_permutation_and_another_by_seed() {
        for n in [1, 2, 3, 4, 5, 17, 64, 1000] {
            let order = |seed| (0..n).map(|place| shuffled(n, seed, place)).collect::<Vec<_>>();
            assert_eq!(order(3).into_iter().collect::<BTreeSet<_>>(), (0..n).collect());
            assert!(n < 5 || order(3) != order(4));
        }
        // No item has a place that it likes better: of 4,000 orders of ten each is on each place 400 times, about.
        let mut counts = [[0; 10]; 10];
        for seed in 0..4000 {
            (0..10).for_each(|place| {
                counts[place][shuffled(10, derive(seed, "x", 0), place as u64) as usize] += 1
            });
        }
        assert!(counts.iter().flatten().all(|&count: &i32| (count - 400).abs() < 100), "{counts:?}");
        assert!(shuffled(u64::MAX, 1, 5) < u64::MAX);
    }

    #[test]
    fn a_pass_shows_each_line_once_and_any_step_can_be_sought() {
        let corpus = of_two([40, 40]);
        let s = sampler(&corpus, 8, DrawnIn::All, 1.0);
        // Of ten steps each text has half of the draws, about: look at the lines of each in the order of their draws.
        let mut seen: [Vec<u64>; 2] = Default::default();
        for step in 0..40 {
            let draw = s.draw(step, &corpus.pairs);
            draw.lines.iter().for_each(|line| seen[line.text].push(line.line));
        }
        for lines in &seen {
            assert!(lines.len() > 80, "{lines:?}");
            let passes: Vec<&[u64]> = lines.chunks_exact(40).collect();
            for pass in &passes {
                assert_eq!(pass.iter().copied().collect::<BTreeSet<_>>(), (0..40).collect());
            }
            assert_ne!(passes[0], passes[1]);
        }
        assert_eq!(
            sampler(&corpus, 8, DrawnIn::All, 1.0).draw(1_000_000_007, &corpus.pairs),
            s.draw(1_000_000_007, &corpus.pairs)
        );
    }

    #[test]
    fn temperature_draws_small_pairs_of_languages_more_often() {
        let corpus = of_two([900, 100]);
        let share = |temperature: f32| {
            let s = sampler(&corpus, 16, DrawnIn::Pair, temperature);
            let all = (0..250).flat_map(|step| s.draw(step, &corpus.pairs).lines);
            let (mut small, mut count) = (0, 0);
            all.for_each(|line| {
                small += line.text;
                count += 1;
            });
            small as f64 / count as f64
        };
        let cube = 100f64.cbrt() / (100f64.cbrt() + 900f64.cbrt());
        for (temperature, expected) in [(1.0, 0.1), (3.0, cube), (0.0, 0.5)] {
            assert!(
                (share(temperature) - expected).abs() < 0.03,
                "{temperature}: {} {expected}",
                share(temperature)
            );
        }
    }

    #[test]
    fn lines_come_in_the_languages_they_have_and_pairs_are_theirs() {
        let lines: [&[&str]; 4] = [&["a", "b", "c"], &["d", "-", "f"], &["-", "-", "g"], &["h", "i", "-"]];
        let corpus = corpus(&[(&["en", "de", "cs"], &lines)]);
        let draw = sampler(&corpus, 3, DrawnIn::All, 1.0).draw(0, &corpus.pairs);
        let mut drawn: Vec<(u64, &[usize])> = draw.lines.iter().map(|l| (l.line, &l.languages[..])).collect();
        drawn.sort();
        assert_eq!(drawn, [(0, &[0, 1, 2][..]), (1, &[0, 2]), (3, &[0, 1])]);
        let mut pairs: Vec<([usize; 2], Vec<[String; 2]>)> = Vec::new();
        for batch in draw.batches(&corpus.pairs) {
            let mut both: Vec<[String; 2]> =
                batch.left.iter().zip(&batch.right).map(|(l, r)| [l.to_string(), r.to_string()]).collect();
            both.sort();
            assert_eq!(batch.ids.iter().collect::<BTreeSet<_>>().len(), batch.ids.len());
            pairs.push((batch.languages, both));
        }
        let both = |of: &[[&str; 2]]| of.iter().map(|p| p.map(String::from)).collect::<Vec<_>>();
        assert_eq!(
            pairs,
            [
                ([0, 1], both(&[["a", "b"], ["h", "i"]])),
                ([0, 2], both(&[["a", "c"], ["d", "f"]])),
                ([1, 2], both(&[["b", "c"]]))
            ]
        );
    }

    #[test]
    fn a_line_in_two_pairs_of_languages_is_one_sentence() {
        let lines: [&[&str]; 2] = [&["a", "b", "c"], &["d", "e", "f"]];
        let corpus = corpus(&[(&["en", "de", "cs"], &lines)]);
        // Six pairs of languages and lines: a step of 64 draws meets all of them, each kept once.
        let draw = sampler(&corpus, 64, DrawnIn::Pair, 1.0).draw(2, &corpus.pairs);
        assert_eq!(draw.lines.len(), 6);
        for (one, a) in draw.lines.iter().zip(&draw.ids) {
            assert_eq!(one.languages.len(), 2);
            for (other, b) in draw.lines.iter().zip(&draw.ids) {
                assert_eq!(a == b, one.line == other.line);
            }
        }
    }
}
