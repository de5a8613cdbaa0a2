//! The sentences of pairs without pictures that a step sees, as slots.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::embedding::Slot;
use super::embedding::encoder::Encoder;
use crate::config::{Config, DrawnIn};
use crate::corpus::{Corpus, SentencePairs, TeacherVectors};
use crate::sampler::pairs::{DrawnLine, PairSampler};
use crate::seed::derive;

/// The sentences of a step, and which of them say the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairedSentences {
    /// By language. None is without words.
    pub slots: Vec<Vec<Vec<Slot>>>,
    /// What is compared; the places count through the languages.
    pub compared: Vec<Compared>,
    /// By language and sentence the row of the vector that a teacher teaches it by; nothing without a teacher.
    pub targets: Vec<Vec<Option<u32>>>,
}

/// Sentences that are compared with others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// By pair: the places of its two sentences, that of the earlier language first.
    pub sentences: [Vec<u32>; 2],
    /// By pair: which sentence it is.
    pub ids: Vec<u32>,
}

/// Draws and reads them: their words are looked up when they are drawn, so that texts may be larger than memory.
pub struct PairReader<'a> {
    pairs: &'a SentencePairs,
    sampler: PairSampler,
    encoder: &'a Encoder,
    draw: DrawnIn,
    teacher: Option<&'a TeacherVectors>,
}

impl<'a> PairReader<'a> {
    /// Nothing, where a training reads no pairs.
    pub fn new(config: &Config, corpus: &'a Corpus, encoder: &'a Encoder) -> Option<Self> {
        let (pairs, teacher) = (&*corpus.pairs, corpus.teacher.as_deref());
        let sampler = sampler(config, pairs)?;
        Some(PairReader { pairs, sampler, encoder, draw: config.train().pairs.draw, teacher })
    }

    /// Steps of a pass over all lines.
    pub fn steps_per_epoch(&self) -> usize {
        self.sampler.steps_per_epoch()
    }

    /// The sentences of a step, counted from 0.
    pub fn read(&self, step: usize) -> PairedSentences {
        let draw = self.sampler.draw(step, self.pairs);
        let texts = texts(&draw, self.pairs, self.encoder.lexicon.languages.len());
        let line_of: BTreeMap<u32, &DrawnLine> = draw.ids.iter().copied().zip(&draw.lines).collect();
        let (mut slots, mut targets) = (Vec::new(), Vec::new());
        // By language and sentence.
        let mut places: BTreeMap<(usize, u32), u32> = BTreeMap::new();
        for (l, texts) in texts.iter().enumerate() {
            let all: Vec<&str> = texts.values().map(|text| &**text).collect();
            let read = self.encoder.encode_all(l, &all);
            let (mut some, mut rows) = (Vec::new(), Vec::new());
            for (&id, slots) in texts.keys().zip(read).filter(|(_, slots)| !slots.is_empty()) {
                places.insert((l, id), places.len() as u32);
                some.push(slots);
                rows.push(self.target(line_of[&id], l));
            }
            slots.push(some);
            targets.push(rows);
        }
        let mut compared: BTreeMap<[usize; 2], Compared> = BTreeMap::new();
        for (line, &id) in draw.lines.iter().zip(&draw.ids) {
            for (n, &one) in line.languages.iter().enumerate() {
                for &other in &line.languages[n + 1..] {
                    let place = |l: usize| places.get(&(l, id)).copied();
                    let (Some(left), Some(right)) = (place(one), place(other)) else { continue };
                    let among = match self.draw {
                        DrawnIn::All => [one, other],
                        // All pairs of languages together.
                        DrawnIn::Pair => [0, 0],
                    };
                    let compared = compared.entry(among).or_default();
                    compared.sentences[0].push(left);
                    compared.sentences[1].push(right);
                    compared.ids.push(id);
                }
            }
        }
        PairedSentences { slots, compared: compared.into_values().collect(), targets }
    }

    /// The row of the vector that a sentence of a line is taught by: its own, or that of the line's first sentence that the teacher reads.
    fn target(&self, line: &DrawnLine, language: usize) -> Option<u32> {
        let teacher = self.teacher?;
        let row = |&l: &usize| {
            let sentence = self.pairs.sentence(line.text, line.line, l)?;
            teacher.row(&self.encoder.lexicon.languages[l], &sentence)
        };
        match teacher.languages.contains(&language) {
            true => row(&language),
            false => teacher.languages.iter().find_map(row),
        }
    }
}

fn sampler(config: &Config, pairs: &SentencePairs) -> Option<PairSampler> {
    let read = (config.loss().pairs.weight > 0.0 || config.loss().teacher.is_on()) && !pairs.is_empty();
    read.then(|| PairSampler::new(derive(config.seed(), "pairs", 0), &config.train().pairs, pairs))
}

/// By language the sentences of a draw by their numbers, each once.
fn texts<'a>(
    draw: &crate::sampler::pairs::PairDraw,
    pairs: &'a SentencePairs,
    languages: usize,
) -> Vec<BTreeMap<u32, Cow<'a, str>>> {
    let mut texts = vec![BTreeMap::new(); languages];
    for (line, &id) in draw.lines.iter().zip(&draw.ids) {
        for &l in &line.languages {
            let sentence = || pairs.sentence(line.text, line.line, l).expect("a line that has it");
            texts[l].entry(id).or_insert_with(sentence);
        }
    }
    texts
}

/// Steps whose sentences are counted to say what the others have.
const COUNTED: usize = 2;

/// How many sentences and words a step reads of the pairs, about; `words` counts those of a text.
pub fn of_step(
    config: &Config,
    pairs: &SentencePairs,
    words: impl Fn(usize, &str) -> usize,
) -> (usize, usize) {
    let Some(sampler) = sampler(config, pairs) else { return (0, 0) };
    let (mut sentences, mut tokens) = (0, 0);
    for step in 0..COUNTED {
        let draw = sampler.draw(step, pairs);
        for (l, texts) in texts(&draw, pairs, config.data().languages.len()).iter().enumerate() {
            sentences += texts.len();
            tokens += texts.values().map(|text| words(l, text)).sum::<usize>();
        }
    }
    (sentences / COUNTED, tokens / COUNTED)
}
