//! What multilingual acquisition trains on: translations with the teacher's vectors, and captions with pictures' vectors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Mla, Way};
use crate::config::{Config, Precision};
use crate::corpus::text::text;
use crate::corpus::{Corpus, Features, PictureSource};
use crate::ops::linear::unit_rows;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, matrix};
use crate::ops::transformer::Pass;
use crate::seed::derive;
use crate::words::with_dotless;
use crate::{Error, Result};

/// Sentences of one language, each with the row of the vector that it should be near.
pub struct Pairs {
    /// Token ids.
    pub sentences: Sequences,
    /// By sentence.
    pub rows: Vec<u32>,
    /// Places of the sentences by row.
    by_row: Vec<u32>,
    /// Sentences of one row: `by_row[groups[n]..groups[n + 1]]`.
    groups: Vec<u32>,
}

impl Pairs {
    /// Sentence n as token ids, and in `rows[n]` the row of its vector.
    pub fn new(sentences: Sequences, rows: Vec<u32>) -> Self {
        let row = |&place: &u32| rows[place as usize];
        let mut by_row: Vec<u32> = (0..rows.len() as u32).collect();
        by_row.sort_by_key(row);
        let begins = |&n: &usize| n == 0 || row(&by_row[n]) != row(&by_row[n - 1]);
        let mut groups: Vec<u32> = (0..rows.len()).filter(begins).map(|n| n as u32).collect();
        groups.push(rows.len() as u32);
        Pairs { sentences, rows, by_row, groups }
    }

    /// The number of distinct rows.
    pub fn distinct(&self) -> usize {
        self.groups.len() - 1
    }

    /// The sentences of some rows, given by their places among the distinct ones.
    pub fn some(&self, places: &[u32]) -> Pairs {
        let (mut sentences, mut rows) = (Sequences::new(), Vec::new());
        for &place in places {
            let [from, to] = [0, 1].map(|n| self.groups[place as usize + n] as usize);
            for &sentence in &self.by_row[from..to] {
                sentences.push(self.sentences.get(sentence as usize).iter().copied());
                rows.push(self.rows[sentence as usize]);
            }
        }
        Pairs::new(sentences, rows)
    }
}

/// One stage's sentences by acquired language, and the vectors (rows, joint) they are compared with.
pub struct StageData {
    /// By acquired language.
    pub languages: Vec<Pairs>,
    /// (rows, joint)
    pub vectors: Vec<f32>,
    /// Sentences longer than the context, whose end was cut.
    pub truncated: usize,
}

/// The sentences of a step: all of one language.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// Place among the acquired languages.
    pub language: usize,
    /// Places of the sentences.
    pub sentences: Vec<u32>,
}

/// Two files of which line n says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The way of the known sentences, whose vectors are to be met.
    pub teacher: Way,
    /// The known sentences.
    pub known: PathBuf,
    /// In the language that is acquired.
    pub new: PathBuf,
}

impl Source {
    /// The translations that a configuration names for each language. The tower's own language has the English sentences of
    /// all others as translations of themselves.
    pub fn all(config: &Config, languages: &[&str]) -> Vec<Vec<Source>> {
        let acquire = config.acquire();
        let of = |language: &&str| match *language == acquire.own {
            true => {
                let english = english_files(config, languages).into_iter();
                english.map(|file| Source { teacher: Way::Tower, known: file.clone(), new: file }).collect()
            }
            false => {
                let file = |template| nlt_file(config, template, language);
                let files = file(&acquire.nlt.source).zip(file(&acquire.nlt.target));
                files.map(|(known, new)| Source { teacher: Way::Tower, known, new }).into_iter().collect()
            }
        };
        languages.iter().map(of).collect()
    }
}

/// Refuses translations of which the two files have not as many lines; before much is computed from either.
///
/// # Errors
/// Data: as [`lines`]; two files that have not as many lines.
pub fn check_counts(sources: &[Vec<Source>]) -> Result<()> {
    let of = |file: &PathBuf| Ok(lines(file)?.len());
    sources.iter().flatten().try_for_each(|s| same_count((&s.new, of(&s.new)?), (&s.known, of(&s.known)?)))
}

fn same_count((new, count): (&Path, usize), (known, expected): (&Path, usize)) -> Result<()> {
    if count == expected {
        return Ok(());
    }
    let what = format!("has {count} lines, and `{}` {expected}", known.display());
    Err(Error::data(what).at(new).hint("line n of one is a translation of line n of the other"))
}

/// Translations as they are read, without the teachers' vectors.
pub struct Translations {
    /// By acquired language.
    pub languages: Vec<Pairs>,
    /// Each known text once: the way of its sentences, and these, which have the next rows.
    known: Vec<(Way, Vec<String>)>,
    truncated: usize,
}

impl Translations {
    /// Reads the translations of each of the acquired languages.
    ///
    /// # Errors
    /// Data, for files that cannot be used, or have not as many lines.
    pub fn read(mla: &Mla, languages: &[&str], sources: &[Vec<Source>]) -> Result<Translations> {
        // Where the rows of each known text begin, and how many there are.
        let mut rows: BTreeMap<(Way, &Path), (u32, u32)> = BTreeMap::new();
        let mut all = Translations { languages: Vec::new(), known: Vec::new(), truncated: 0 };
        let mut end = 0;
        for (language, sources) in languages.iter().zip(sources) {
            let (mut texts, mut rows_of) = (Vec::new(), Vec::new());
            for Source { teacher, known, new } in sources {
                let (first, count) = match rows.get(&(*teacher, known)) {
                    Some(&place) => place,
                    None => {
                        let sentences = lines(known)?;
                        let place = (end, sentences.len() as u32);
                        end += place.1;
                        all.known.push((*teacher, sentences));
                        rows.insert((*teacher, known), place);
                        place
                    }
                };
                let sentences = lines(new)?;
                same_count((new, sentences.len()), (known, count as usize))?;
                texts.extend(sentences);
                rows_of.extend(first..first + count);
            }
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let encoded = mla.acquired_tokens(language, &texts);
            all.truncated += encoded.truncated.len();
            all.languages.push(Pairs::new(encoded.ids, rows_of));
        }
        Ok(all)
    }

    /// With the teachers' vectors, which are computed here.
    pub fn taught(self, mla: &Mla, precision: Precision) -> StageData {
        let Translations { languages, known, mut truncated } = self;
        let mut vectors = Vec::new();
        for (teacher, texts) in &known {
            vectors.extend(embed(mla, *teacher, texts, precision, &mut truncated));
        }
        StageData { languages, vectors, truncated }
    }

    /// Tokens of the known sentences, and how many there are.
    pub fn known(&self, mla: &Mla) -> Vec<(Way, Sequences)> {
        let ids = |(teacher, texts): &(Way, Vec<String>)| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            (*teacher, mla.tokens(*teacher, &texts).ids)
        };
        self.known.iter().map(ids).collect()
    }
}

impl StageData {
    /// Training captions in the acquired languages, and the vectors of their pictures: at unit length, or as they are.
    ///
    /// # Errors
    /// Usage, for a language that the corpus does not have; data, as [`check_width`].
    pub fn captions(mla: &Mla, corpus: &Corpus, languages: &[&str], unit: bool) -> Result<StageData> {
        let mut truncated = 0;
        let languages = languages.iter().map(|language| {
            let captions = &corpus.train.captions[corpus.language(language)?];
            let texts: Vec<&str> = captions.iter().map(|c| &c.text[..]).collect();
            let encoded = mla.acquired_tokens(language, &texts);
            truncated += encoded.truncated.len();
            Ok(Pairs::new(encoded.ids, captions.iter().map(|c| c.image).collect()))
        });
        let languages = languages.collect::<Result<Vec<_>>>()?;
        Ok(StageData { languages, vectors: pictures(mla, &corpus.train.features, unit)?, truncated })
    }

    /// Batches of a language in one pass over its rows; a last, smaller one is left out.
    fn batches(&self, language: usize, batch: usize) -> usize {
        (self.languages[language].distinct() / batch).max(1)
    }

    /// A pass over the language with most rows, and as many steps for every other.
    pub fn steps_per_epoch(&self, batch: usize) -> usize {
        let longest = (0..self.languages.len()).map(|l| self.batches(l, batch)).max().unwrap_or(0);
        longest * self.languages.len()
    }

    /// The language of a step, counted from 0: they take turns in a random order.
    fn turn(&self, step: usize, seed: u64) -> usize {
        let count = self.languages.len();
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive(seed, "languages", (step / count) as u64)));
        order[step % count]
    }

    /// The batch of a step, counted from 0: a pure function of seed and step.
    pub fn draw(&self, step: usize, batch: usize, seed: u64) -> Draw {
        self.draw_of(self.turn(step, seed), step, batch, seed)
    }

    /// The batch of a step in a language: distinct rows (sentences or pictures), with one of its sentences each.
    pub fn draw_of(&self, language: usize, step: usize, batch: usize, seed: u64) -> Draw {
        let round = step / self.languages.len();
        let pairs = &self.languages[language];
        let per_pass = self.batches(language, batch);
        let (pass, place) = (round / per_pass, round % per_pass);
        // The rows in the order of this pass.
        let mut groups: Vec<&[u32]> =
            pairs.groups.windows(2).map(|g| &pairs.by_row[g[0] as usize..g[1] as usize]).collect();
        let number = (language as u64) << 32 | pass as u64;
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(derive(seed, "pass", number)));
        let mut rng = ChaCha8Rng::seed_from_u64(derive(seed, "captions", step as u64));
        let some = groups.iter().skip(place * batch).take(batch);
        Draw { language, sentences: some.map(|group| group[rng.random_range(0..group.len())]).collect() }
    }

    /// The sentences of a draw.
    pub fn sentences(&self, draw: &Draw) -> Sequences {
        let pairs = &self.languages[draw.language];
        let mut sentences = Sequences::new();
        draw.sentences.iter().for_each(|&s| sentences.push(pairs.sentences.get(s as usize).iter().copied()));
        sentences
    }
}

/// Texts as vectors (texts, joint), not of unit length; counts those that were cut.
pub fn embed<S: AsRef<str>>(
    mla: &Mla,
    way: Way,
    texts: &[S],
    precision: Precision,
    truncated: &mut usize,
) -> Vec<f32> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let encoded = mla.tokens(way, &texts);
    *truncated += encoded.truncated.len();
    mla.encode(way, &encoded.ids, Pass { precision, recompute: false })
}

/// The vectors of pictures in the joint space (pictures, joint), at unit length or as they are.
///
/// # Errors
/// As [`check_width`].
pub fn pictures(mla: &Mla, features: &Features, at_unit_length: bool) -> Result<Vec<f32>> {
    check_width(mla, features)?;
    let width = features.width();
    let mut out = vec![0.0; features.rows() * width];
    out.chunks_mut(width).enumerate().for_each(|(row, x)| features.copy_row(row, x));
    if at_unit_length {
        unit(&mut out, width);
    }
    Ok(out)
}

/// Refuses vectors that are not in the tower's joint space.
///
/// # Errors
/// Data, where the features are not as wide as the joint space.
pub fn check_width(mla: &Mla, features: &dyn PictureSource) -> Result<()> {
    if features.width() == mla.joint() {
        return Ok(());
    }
    let what =
        format!("has rows of {} numbers; the joint space of the tower has {}", features.width(), mla.joint());
    Err(Error::data(what)
        .at(features.place(0).0)
        .hint("give the pictures' vectors of the CLIP that the tower is from (its `image_embeds`)"))
}

/// x (rows, width), every row to unit length, in place; a row shorter than 1e-12 is divided by that.
pub fn unit(x: &mut [f32], width: usize) {
    let rows = x.len() / width.max(1);
    let unit = unit_rows(matrix(x.to_vec(), rows, width));
    x.copy_from_slice(&data(&unit));
}

/// The corpus with the files of translations as its further text, to look for test captions in.
pub fn translations(config: &Config, corpus: &Corpus) -> Corpus {
    let mut corpus = corpus.clone();
    for (l, language) in corpus.languages.clone().iter().enumerate() {
        let files = match *language == config.acquire().own {
            true => english_files(config, &corpus.languages),
            false => nlt_file(config, &config.acquire().nlt.target, language).into_iter().collect(),
        };
        corpus.texts[l] = (!files.is_empty()).then_some(files);
    }
    corpus
}

/// The training captions and translations in the languages that are acquired, to learn a vocabulary from.
///
/// # Errors
/// As [`lines`].
pub fn foreign_texts(config: &Config, corpus: &Corpus) -> Result<Vec<String>> {
    let (mut texts, translations) = (Vec::new(), translations(config, corpus));
    for (l, language) in
        translations.languages.iter().enumerate().filter(|(_, l)| **l != config.acquire().own)
    {
        let mut add = |text: &str| texts.push(with_dotless(text, language).into_owned());
        translations.train.captions[l].iter().for_each(|c| add(&c.text));
        for file in translations.texts[l].iter().flatten() {
            lines(file)?.iter().for_each(|line| add(line));
        }
    }
    Ok(texts)
}

/// A file of translations; `None` where no stage learns from them.
pub fn nlt_file(config: &Config, template: &Option<String>, language: &str) -> Option<PathBuf> {
    let template = template.as_ref().filter(|_| config.acquire().translates())?;
    Some(config.data().root.join(template.replace("{language}", language)))
}

/// The files of English sentences that other languages have translations of, each once.
pub fn english_files<S: AsRef<str>>(config: &Config, languages: &[S]) -> Vec<PathBuf> {
    let acquire = config.acquire();
    let others = languages.iter().map(AsRef::as_ref).filter(|l| *l != acquire.own);
    let mut files: Vec<PathBuf> = others.filter_map(|l| nlt_file(config, &acquire.nlt.source, l)).collect();
    files.sort();
    files.dedup();
    files
}

/// The lines of a text file, none of them empty.
///
/// # Errors
/// Data, with file and line: not to be read, no text, an empty line, no line at all.
pub fn lines(path: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).map_err(|e| {
        Error::reading(path, e)
            .hint("check the files of `acquire.nlt` or `grow.translations`; they are relative to `data.root`")
    })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let split = bytes.split_inclusive(|&b| b == b'\n').zip(1..);
    let read = |(line, number)| Ok(text(line).map_err(|e| e.at(path).line(number))?.trim().to_string());
    let lines = split.map(read).collect::<Result<Vec<String>>>()?;
    if let Some(n) = lines.iter().position(String::is_empty) {
        return Err(Error::data("is an empty line")
            .at(path)
            .line(n + 1)
            .hint("take the pair out of both files"));
    }
    if lines.is_empty() {
        return Err(Error::data("holds no sentence").at(path));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> StageData {
        let pairs = |rows: Vec<u32>| {
            let mut sentences = Sequences::new();
            rows.iter().for_each(|_| sentences.push([1, 2]));
            Pairs::new(sentences, rows)
        };
        // Seven rows with two sentences each, and three rows with one.
        let twice = (0..7).flat_map(|r| [r, r]).collect();
        StageData { languages: vec![pairs(twice), pairs(vec![4, 2, 9])], vectors: Vec::new(), truncated: 0 }
    }

    #[test]
    fn languages_take_turns_and_a_pass_sees_every_row_once() {
        let data = data();
        assert_eq!(data.steps_per_epoch(2), 6);
        let draws: Vec<Draw> = (0..12).map(|step| data.draw(step, 2, 5)).collect();
        for round in draws.chunks(2) {
            assert_ne!(round[0].language, round[1].language);
        }
        for pass in 0..2 {
            let mine = draws[pass * 6..(pass + 1) * 6].iter().filter(|d| d.language == 0);
            let mut rows: Vec<u32> =
                mine.flat_map(|d| &d.sentences).map(|&s| data.languages[0].rows[s as usize]).collect();
            rows.sort_unstable();
            assert_eq!(rows.len(), 6);
            rows.dedup();
            assert_eq!(rows.len(), 6, "no row twice in a pass");
        }
        assert_ne!(draws, (0..12).map(|step| data.draw(step, 2, 6)).collect::<Vec<_>>());
    }

    #[test]
    fn some_rows_come_with_all_their_sentences() {
        let mut sentences = Sequences::new();
        [[1, 2], [3, 4], [5, 6], [7, 8]].into_iter().for_each(|ids| sentences.push(ids));
        let some = Pairs::new(sentences, vec![9, 4, 9, 6]).some(&[0, 2]);
        assert_eq!((some.rows.clone(), some.distinct()), (vec![4, 9, 9], 2));
        assert_eq!(some.sentences.rows, [3, 4, 1, 2, 5, 6]);
    }

    #[test]
    fn any_step_is_drawn_at_once() {
        let data = data();
        let all: Vec<Draw> = (0..20).map(|step| data.draw(step, 3, 1)).collect();
        assert_eq!(data.draw(17, 3, 1), all[17]);
    }

    #[test]
    fn files_of_sentences_that_cannot_be_used_are_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.de");
        let error = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            lines(&file).unwrap_err().to_string()
        };
        assert!(error(b"a\n\nb\n").contains("a.de`:2: is an empty line"));
        assert!(error(b"a\nb\xff\n").contains("a.de`:2: is not UTF-8"));
        assert!(error(b"").contains("holds no sentence"));
        std::fs::write(&file, "ein Hund \r\nzwei\n").unwrap();
        assert_eq!(lines(&file).unwrap(), ["ein Hund", "zwei"]);
    }
}
