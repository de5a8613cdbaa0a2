//! What a step sees: a seeded sampler that can seek to any step at once, and the sentences of a batch.

#[cfg(feature = "cuda")]
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::config::MclmConfig;
use crate::device::Matrix;
use crate::family::smalr::embedding::lexicon::Collector;
use crate::family::smalr::embedding::{Slot, TokenRows};
use crate::family::smalr::paired::{Compared, PairedSentences};
use crate::ops::batch_norm::keeps;
use crate::ops::sequences::Sequences;
use crate::ops::tape::matrix;
use crate::sampler::{CaptionIndex, Draw};
use crate::seed::derive;

/// The captions of one language and split, as slots, grouped by picture.
#[derive(Debug, Clone, Default)]
pub struct Captions {
    /// The captions of each picture.
    pub index: CaptionIndex,
    /// The picture of each caption.
    pub image_of: Vec<u32>,
    /// By caption: where the vectors of its words are.
    pub slots: Vec<Vec<Slot>>,
}

/// A batch ready for the model. Sentences are grouped by language; masked versions follow all of them, and then the sentences of pairs.
pub struct Batch {
    /// Picture features (pictures, width).
    pub images: Matrix,
    /// The distinct rows of tables that it reads.
    pub tokens: TokenRows,
    /// In terms of those rows, by their order.
    pub sentences: Arc<Sequences>,
    /// By unmasked sentence: the row of its picture.
    pub image_of: Vec<u32>,
    /// By language: its unmasked sentences.
    pub groups: Vec<Range<usize>>,
    /// By unmasked sentence: the words that masking leaves, if MCLM averages them.
    pub thinned: Option<Sequences>,
    /// How much later than itself a sentence's version with words left out comes, if the encoder reads one.
    pub deleted: Option<usize>,
    /// The same for the version with `[MASK]` in place of words.
    pub replaced: Option<usize>,
    /// The sentences of pairs without pictures.
    pub paired: Paired,
    /// By language, what a teacher teaches of it.
    pub taught: Vec<Taught>,
}

/// Sentences of a language that are taught, captions and sentences of pairs.
pub struct Taught {
    /// Their places in the batch.
    pub sentences: Vec<u32>,
    /// By sentence: the row of its vector; equal ones are no wrong answers of each other.
    pub ids: Vec<u32>,
    /// The teacher's vectors of them as it made them (sentences, joint).
    pub vectors: Matrix,
}

/// The sentences of pairs without pictures in a batch.
#[derive(Debug, Clone, Default)]
pub struct Paired {
    /// By language: its sentences.
    pub groups: Vec<Range<usize>>,
    /// What is compared, by the places of the sentences in the batch.
    pub compared: Vec<Compared>,
}

impl Batch {
    fn count(&self) -> usize {
        self.image_of.len()
    }

    /// The unmasked sentences.
    pub fn whole(&self) -> Sequences {
        self.sentences.first(self.count())
    }

    /// The given sentences, then their masked versions: sentences of `masked`, `shift` later than themselves.
    pub fn with_masked(&self, some: &[u32], masked: &Sequences, shift: usize) -> Sequences {
        let mut both = Sequences::new();
        some.iter().for_each(|&s| both.push(self.sentences.get(s as usize).iter().copied()));
        some.iter().for_each(|&s| both.push(masked.get(s as usize + shift).iter().copied()));
        both
    }

    /// Languages with the places of their sentences, masked versions and pairs included.
    pub fn spoken(&self) -> Vec<(usize, Range<usize>)> {
        let end = self.paired.groups.first().map_or(self.sentences.len(), |group| group.start);
        let versions = (0..end).step_by(self.count().max(1));
        let of = |first: usize| {
            self.groups.iter().enumerate().map(move |(l, g)| (l, first + g.start..first + g.end))
        };
        versions.flat_map(of).chain(self.paired.groups.iter().cloned().enumerate()).collect()
    }

    /// The sentences that are compared with pictures, but for the first `frozen` languages; and among these, those of each language that has any.
    pub fn compared_with_pictures(&self, frozen: usize) -> Option<(Range<usize>, Vec<Range<usize>>)> {
        let some: Vec<&Range<usize>> = self.groups[frozen..].iter().filter(|g| !g.is_empty()).collect();
        let all = some.first()?.start..some.last()?.end;
        let groups = some.iter().map(|g| g.start - all.start..g.end - all.start).collect();
        Some((all, groups))
    }

    /// On a GPU, prepares and sends what kernels will ask for, with these pictures; it goes up in one copy with what is asked for next.
    #[cfg(feature = "cuda")]
    pub fn send_ahead(&self, pictures: &[u32]) {
        let Some(gpu) = crate::device::cuda::gpu() else { return };
        let mut all = vec![Cow::Borrowed(pictures), Cow::Borrowed(&self.tokens.latents[..])];
        all.extend(self.tokens.own.iter().map(|rows| Cow::Borrowed(&rows[..])));
        if let Some((some, groups)) = self.compared_with_pictures(0) {
            let (rows, columns) = ((0..pictures.len() as u32).collect::<Vec<u32>>(), &self.image_of[some]);
            all.extend(crate::loss::cuda::spans(&rows, columns, &groups).map(Cow::Owned));
            all.extend([Cow::Owned(rows), Cow::Borrowed(columns)]);
        }
        // What is asked for soon again is found where it is.
        all.iter().for_each(|numbers| drop(gpu.numbers(numbers)));
        self.sentences.send_tree(gpu, self.tokens.len());
    }

    /// The language of each unmasked sentence.
    pub fn languages(&self) -> Vec<u32> {
        self.groups.iter().enumerate().flat_map(|(l, g)| g.clone().map(move |_| l as u32)).collect()
    }

    /// For each pair of languages, the second of them not one of the first `frozen`, the sentences (one a picture) that
    /// both have.
    pub fn language_pairs(&self, frozen: usize) -> Vec<(Vec<u32>, Vec<u32>)> {
        let first = |group: &Range<usize>| {
            let mut of = vec![None; self.image_of.iter().max().map_or(0, |&m| m as usize + 1)];
            for s in group.clone().rev() {
                of[self.image_of[s] as usize] = Some(s as u32);
            }
            of
        };
        let firsts: Vec<Vec<Option<u32>>> = self.groups.iter().map(first).collect();
        let mut pairs = Vec::new();
        for (n, a) in firsts.iter().enumerate() {
            for b in &firsts[(n + 1).max(frozen)..] {
                let both = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
                let pair: (Vec<u32>, Vec<u32>) = both.unzip();
                if !pair.0.is_empty() {
                    pairs.push(pair);
                }
            }
        }
        pairs
    }
}

/// Turns draws into batches.
pub struct Assembler {
    /// Finds the distinct rows that a batch reads.
    pub collector: Collector,
    /// Probability with which a token is left out of a sentence.
    pub word_dropout: f32,
    /// Which masked versions a batch has, and how many words are masked.
    pub mclm: MclmConfig,
}

impl Assembler {
    /// `images` gives the features of the draw's pictures (pictures, width), `paired` are the sentences of pairs; `seed` is the step's own.
    /// `images` is called last, and with the batch's rows of tables: on a GPU what else the batch needs is then about to go up, and goes with
    /// what it asks for.
    pub fn assemble(
        &mut self,
        draw: &Draw,
        captions: &[Captions],
        images: impl FnOnce(&TokenRows) -> Matrix,
        paired: Option<&PairedSentences>,
        seed: u64,
    ) -> Batch {
        let (mut sentences, mut image_of, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (l, draws) in draw.captions.iter().enumerate() {
            groups.push(sentences.len()..sentences.len() + draws.len());
            for &(caption, image) in draws {
                let slots = &captions[l].slots[caption as usize];
                let seed = derive(seed, "word dropout", sentences.len() as u64);
                sentences.push((l, thinned(slots, self.word_dropout, seed)));
                image_of.push(image);
            }
        }
        let count = sentences.len();
        let hidden = |s: usize, seed: u64| derive(seed, "mask", s as u64);
        let others = paired.iter().flat_map(|paired| paired.slots.iter().enumerate());
        for (l, slots) in others.flat_map(|(l, all)| all.iter().map(move |slots| (l, slots))) {
            let seed = derive(seed, "word dropout", sentences.len() as u64);
            sentences.push((l, thinned(slots, self.word_dropout, seed)));
        }
        let slots = sentences.iter().map(|(l, s)| (*l, &s[..]));
        let (tokens, all) = self.collector.collect(slots, self.mclm.lstm > 0.0);
        let mut sequences = all.first(count);
        let whole = sequences.clone();
        let version = |replacement: Option<u32>| {
            let mut version = Sequences::new();
            for s in 0..count {
                let rows = whole.get(s);
                let seed = hidden(s, seed);
                let lost: Vec<bool> = (0..rows.len()).map(|t| !keeps(seed, t, self.mclm.mask)).collect();
                // A sentence is never masked away as a whole.
                let all = lost.iter().all(|&l| l);
                version.push(rows.iter().zip(&lost).enumerate().filter_map(|(t, (&row, &lost))| {
                    if lost && !(all && t == 0) { replacement } else { Some(row) }
                }));
            }
            version
        };
        let mut read = |version: &Sequences| {
            let shift = sequences.len();
            (0..count).for_each(|s| sequences.push(version.get(s).iter().copied()));
            shift
        };
        let thinned = (self.mclm.average > 0.0).then(|| version(None));
        let deleted = thinned.as_ref().filter(|_| self.mclm.reads_thinned()).map(&mut read);
        let replaced = (self.mclm.lstm > 0.0).then(|| read(&version(Some(tokens.mask_row()))));
        let first = sequences.len();
        (count..all.len()).for_each(|s| sequences.push(all.get(s).iter().copied()));
        let paired = paired.map(|paired| placed(paired, first)).unwrap_or_default();
        let mut batch = Batch {
            images: matrix(Vec::new(), 0, 0),
            tokens,
            sentences: Arc::new(sequences),
            image_of,
            groups,
            thinned,
            deleted,
            replaced,
            paired,
            taught: Vec::new(),
        };
        #[cfg(feature = "cuda")]
        batch.send_ahead(&draw.images);
        batch.images = images(&batch.tokens);
        batch
    }
}

/// Sentences of pairs that begin with number `first` of a batch.
fn placed(paired: &PairedSentences, first: usize) -> Paired {
    let mut end = first;
    let group = |slots: &Vec<Vec<Slot>>| {
        let start = end;
        end += slots.len();
        start..end
    };
    let place = |places: &Vec<u32>| places.iter().map(|place| place + first as u32).collect();
    let compared = |compared: &Compared| {
        let sentences = compared.sentences.each_ref().map(place);
        Compared { sentences, ids: compared.ids.clone() }
    };
    Paired {
        groups: paired.slots.iter().map(group).collect(),
        compared: paired.compared.iter().map(compared).collect(),
    }
}

/// The slots less a share of them, at least one left.
fn thinned(slots: &[Slot], p: f32, seed: u64) -> Vec<Slot> {
    if p == 0.0 {
        return slots.to_vec();
    }
    let kept: Vec<Slot> = (0..slots.len()).filter(|&t| keeps(seed, t, p)).map(|t| slots[t]).collect();
    if kept.is_empty() { slots.iter().take(1).copied().collect() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembler() -> Assembler {
        let mclm = MclmConfig { lstm: 0.1, average: 0.1, ..MclmConfig::default() };
        Assembler { collector: Collector::with_sizes(9, &[4, 4]), word_dropout: 0.3, mclm }
    }

    fn captions(of: &[&[u32]]) -> Captions {
        let slots: Vec<Vec<Slot>> = of.iter().map(|s| s.iter().map(|&t| Slot::Latent(t)).collect()).collect();
        let image_of: Vec<u32> = (0..of.len() as u32).collect();
        Captions { index: CaptionIndex::new(image_of.iter().copied(), of.len()), image_of, slots }
    }

    #[test]
    fn sentences_of_pairs_follow_all_others_and_change_none_of_them() {
        let captions = [captions(&[&[1, 2, 3], &[4, 5]]), captions(&[&[6, 1], &[2, 2, 7]])];
        let draw = Draw { images: vec![0, 1], captions: vec![vec![(0, 0), (1, 1)], vec![(1, 1)]] };
        let some = |slots: &[Slot]| slots.to_vec();
        let paired = PairedSentences {
            slots: vec![
                vec![some(&[Slot::Latent(8), Slot::Own(1)])],
                vec![some(&[Slot::Latent(1)]), some(&[Slot::Own(3), Slot::Latent(0)])],
            ],
            compared: vec![Compared { sentences: [vec![0], vec![2]], ids: vec![5] }],
            targets: Vec::new(),
        };
        let images = |_: &TokenRows| matrix(vec![0.0; 4], 2, 2);
        let alone = assembler().assemble(&draw, &captions, images, None, 11);
        let both = assembler().assemble(&draw, &captions, images, Some(&paired), 11);
        // Words of each sentence, whatever the row they have in the batch.
        let words = |batch: &Batch, s: usize| -> Vec<(u32, u32)> {
            let TokenRows { latents, own, .. } = &batch.tokens;
            let first =
                [latents.len(), latents.len() + own[0].len(), latents.len() + own[0].len() + own[1].len()];
            let word = |&row: &u32| match first.iter().position(|&end| (row as usize) < end) {
                Some(0) => (0, latents[row as usize]),
                Some(table) => (table as u32, own[table - 1][row as usize - first[table - 1]]),
                None => (9, 9),
            };
            batch.sentences.get(s).iter().map(word).collect()
        };
        let count = alone.sentences.len();
        assert_eq!((count, both.sentences.len()), (9, 12));
        for s in 0..count {
            assert_eq!(words(&alone, s), words(&both, s), "sentence {s}");
        }
        assert_eq!((alone.deleted, alone.replaced), (both.deleted, both.replaced));
        assert_eq!(both.whole().len(), 3);
        assert_eq!(both.paired.groups, [9..10, 10..12]);
        assert_eq!(both.paired.compared, [Compared { sentences: [vec![9], vec![11]], ids: vec![5] }]);
        assert_eq!(words(&both, 10), [(0, 1)]);
        let spoken = alone.spoken();
        assert_eq!(both.spoken(), [&spoken[..], &[(0, 9..10), (1, 10..12)]].concat());
    }
}
