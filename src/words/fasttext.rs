//! FastText (Bojanowski et al. 2017): training, and the binary format. The one file that touches `fasttext`.
//!
//! The crate reads a `.bin` wholly into memory, both matrices of it (7 GB for the published vectors), and cannot have a
//! model without the output matrix. Vectors need the words, the hashing of n-grams and the input matrix; those are
//! taken here, and the matrix stays in the file, mapped into memory.

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fasttext::FastText;
use fasttext::args::{Args, LossName, ModelName};
use fasttext::dictionary::{Dictionary, Entry, EntryType};
use fasttext::fasttext::{FASTTEXT_FILEFORMAT_MAGIC_INT32 as MAGIC, FASTTEXT_VERSION as VERSION};
use fasttext::matrix::Matrix;
use rayon::prelude::*;

use super::ngrams::{Hashing, Ngrams};
use crate::config::{FastTextConfig, FastTextModel};
use crate::map::Map;
use crate::write::{temporary, write_whole_with};
use crate::{Error, Result, border};

/// Vectors of words and of the hashed character n-grams in them.
pub(super) struct Subwords {
    dictionary: Dictionary,
    width: usize,
    bytes: Bytes,
    /// Where the input matrix starts in `bytes`; (words + buckets) × width.
    matrix: usize,
    /// A file that holds what [`Self::save`] writes, and that nobody will change.
    kept: Option<PathBuf>,
}

enum Bytes {
    Owned(Vec<u8>),
    Mapped(Map),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

/// Gives a file a further name; a file that has this name already is replaced.
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".link");
    std::fs::hard_link(file, &beside)?;
    let renamed = std::fs::rename(&beside, path);
    // It stays where both are names of one file already.
    let _ = std::fs::remove_file(&beside);
    renamed
}

/// Whether a file that starts like this is in FastText's binary format.
pub(super) fn is_binary(start: &[u8]) -> bool {
    start.starts_with(&MAGIC.to_le_bytes())
}

/// The width of the vectors of a `.bin` that starts like this.
pub(super) fn promised_width(mut start: &[u8]) -> Result<usize> {
    Ok(read_args(&mut start)?.dim as usize)
}

impl Subwords {
    /// Trains on tokenised sentences, on one thread: the same seed gives the same vectors, bit for bit.
    pub(super) fn train<'s>(
        sentences: impl Iterator<Item = &'s [String]>,
        config: &FastTextConfig,
        seed: u64,
    ) -> Result<Subwords> {
        let input = write_sentences(sentences, &std::env::temp_dir())?;
        let args = args(config, seed, input.path())?;
        let trained = border::guarded(|| FastText::train(args).map_err(|e| e.to_string()));
        let model = trained.and_then(|trained| trained).map_err(|e| {
            Error::data("FastText cannot be trained")
                .because(e)
                .hint("it needs at least one word that occurs `words.fasttext.min_count` times")
        })?;
        let mut bytes = Vec::new();
        write_model(&model, &mut bytes).map_err(|e| Error::run("FastText cannot be kept").because(e))?;
        drop(model);
        Self::parse(Bytes::Owned(bytes)).map_err(|e| Error::run("FastText cannot be kept").because(e))
    }

    /// Opens a `.bin`. Its matrix is read once, to see that all numbers are finite, and then as vectors are asked for, so
    /// even a file larger than memory can be used.
    pub(super) fn open(path: &Path) -> Result<Subwords> {
        let map = Map::open(path)?;
        let opened = || Self::parse(Bytes::Mapped(map)).and_then(|this| this.check_finite().map(|()| this));
        border::guarded(opened)
            .unwrap_or_else(|panic| Err(Error::data("cannot be read").because(panic)))
            .map_err(|e| e.at(path).or_hint("get the whole file again, as FastText writes it"))
    }

    fn check_finite(&self) -> Result<()> {
        let (row_bytes, words) = (self.width * 4, self.dictionary.nwords() as usize);
        let rows = &self.bytes.get()[self.matrix..][..self.rows() * row_bytes];
        // An exponent of ones is NaN or infinite; without a branch the loop becomes wide instructions.
        let of_ones = |n: &[u8; 4]| u32::from_le_bytes(*n) & 0x7f80_0000 == 0x7f80_0000;
        let sound = |row: &[u8]| !row.as_chunks().0.iter().fold(false, |any, n| any | of_ones(n));
        let Some(row) = rows.par_chunks(row_bytes).position_first(|row| !sound(row)) else { return Ok(()) };
        let whose = match self.dictionary.words().get(row) {
            Some(entry) if row < words => format!("the word `{}`", entry.word),
            _ => format!("the bucket {} of n-grams", row - words.min(row)),
        };
        Err(Error::data(format!("the vector of {whose}, row {row} (from 0), is not finite")))
    }

    /// As [`Self::open`], for a file that [`Self::save`] wrote and that nobody changes: it is shared with what is saved from it.
    pub(super) fn open_kept(path: &Path) -> Result<Subwords> {
        Ok(Subwords { kept: Some(path.to_path_buf()), ..Self::open(path)? })
    }

    /// Writes a `.bin` with an empty output matrix: enough for vectors of any word, here and in other FastText programs.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        // On another disk, or one without links, it is written.
        if self.kept.as_ref().is_some_and(|kept| link(kept, path).is_ok()) {
            return Ok(());
        }
        write_whole_with(path, |file| {
            file.write_all(&self.bytes.get()[..self.matrix + self.rows() * self.width * 4])?;
            // Not quantised, and 0 rows.
            file.write_all(&[0; 9])?;
            file.write_all(&(self.width as i64).to_le_bytes())
        })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn contains(&self, word: &str) -> bool {
        self.row(word).is_some()
    }

    /// The row of a known word; labels have none.
    fn row(&self, word: &str) -> Option<i32> {
        self.dictionary.get_id(word).filter(|&id| id < self.dictionary.nwords())
    }

    /// The mean of the rows of the word, if it is known, and of its n-grams; false when there is neither.
    pub(super) fn vector(&self, word: &str, out: &mut [f32]) -> bool {
        let mut rows: Vec<i32> = self.row(word).into_iter().collect();
        self.dictionary.compute_subwords(&format!("<{word}>"), &mut rows);
        out.fill(0.0);
        let scale = 1.0 / rows.len() as f32;
        for &row in &rows {
            self.read_row(row as usize, |i, x| out[i] += scale * x);
        }
        !rows.is_empty()
    }

    /// The words of the training.
    pub(super) fn seen(&self) -> impl Iterator<Item = &str> {
        let words = self.dictionary.nwords() as usize;
        self.dictionary.words()[..words].iter().map(|entry| entry.word.as_str())
    }

    /// The n-grams that weigh most in the words of the training, so many at most.
    pub(super) fn pruned(&self, rows: usize) -> Ngrams {
        let (args, words) = (self.dictionary.args(), self.dictionary.nwords() as usize);
        let lengths = [args.minn, args.maxn].map(|n| n.max(0) as u32);
        let hashing = Hashing { lengths, buckets: args.bucket.max(0) as u32 };
        Ngrams::choose(hashing, self.width, rows, self.seen(), &|bucket, out| {
            self.read_row(words + bucket as usize, |i, x| out[i] = x)
        })
    }

    /// Gives the numbers of a row with their places.
    fn read_row(&self, row: usize, mut take: impl FnMut(usize, f32)) {
        let start = self.matrix + row * self.width * 4;
        let numbers = self.bytes.get()[start..start + self.width * 4].as_chunks().0;
        numbers.iter().enumerate().for_each(|(i, number)| take(i, f32::from_le_bytes(*number)));
    }

    fn rows(&self) -> usize {
        self.dictionary.nwords() as usize + self.dictionary.args().bucket as usize
    }

    /// Reads all but the matrices, and checks that the input matrix is there.
    fn parse(bytes: Bytes) -> Result<Subwords> {
        let mut rest = bytes.get();
        let args = read_args(&mut rest)?;
        let dictionary = read_dictionary(&mut rest, Arc::new(args.clone()))?;
        if read::<1>(&mut rest)? != [0] {
            return Err(
                Error::data("is a quantised model (`.ftz`), whose vectors are only rough").hint(UNQUANTISED)
            );
        }
        let rows = i64::from_le_bytes(read(&mut rest)?);
        let width = i64::from_le_bytes(read(&mut rest)?);
        let expected = (dictionary.nwords() as i64 + args.bucket as i64, args.dim as i64);
        if expected.0 > i32::MAX as i64 {
            return Err(Error::data(format!(
                "has {} words and buckets; they are counted in 32 bits",
                expected.0
            )));
        }
        if (rows, width) != expected {
            let what = format!(
                "holds a matrix of {rows} × {width}, but words and buckets need {} × {}",
                expected.0, expected.1
            );
            return Err(Error::data(what));
        }
        let needed = rows as u128 * width as u128 * 4;
        if (rest.len() as u128) < needed {
            return Err(Error::data(format!(
                "is cut off: {} of the matrix's {needed} bytes are there",
                rest.len()
            )));
        }
        let matrix = bytes.get().len() - rest.len();
        Ok(Subwords { dictionary, width: width as usize, bytes, matrix, kept: None })
    }
}

/// The crate takes its text from a file only. Those of trainings that were killed are removed.
fn write_sentences<'s>(
    sentences: impl Iterator<Item = &'s [String]>,
    folder: &Path,
) -> Result<tempfile::NamedTempFile> {
    let file = temporary(folder, "tinyglot-sentences").map_err(|e| Error::writing(folder, e))?;
    let mut words = 0;
    let write = || {
        let mut out = BufWriter::new(&file);
        for sentence in sentences {
            words += sentence.len();
            writeln!(out, "{}", sentence.join(" "))?;
        }
        out.flush()
    };
    write().map_err(|e| Error::writing(file.path(), e))?;
    match words {
        0 => Err(Error::data("there are no words to train FastText on")
            .hint("check `data.captions` and `data.text`")),
        _ => Ok(file),
    }
}

fn args(config: &FastTextConfig, seed: u64, input: &Path) -> Result<Args> {
    let number = |key: &str, value: u64, least: i32| match i32::try_from(value) {
        Ok(fits) if fits >= least => Ok(fits),
        _ => Err(Error::config(format!("`words.fasttext.{key} = {value}` is not a number from {least} on"))),
    };
    for (key, value) in [("learning_rate", config.learning_rate), ("subsample", config.subsample)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(Error::config(format!("`words.fasttext.{key} = {value}` is not a positive number")));
        }
    }
    let (shortest, longest) = (config.min_ngram, config.max_ngram);
    if shortest > longest {
        let what = format!("`words.fasttext.min_ngram = {shortest}` is more than `max_ngram = {longest}`");
        return Err(Error::config(what).hint("set both to 0 to leave n-grams out"));
    }
    Ok(Args {
        input: input.to_path_buf(),
        model: match config.model {
            FastTextModel::Skipgram => ModelName::SkipGram,
            FastTextModel::Cbow => ModelName::Cbow,
        },
        loss: LossName::NegativeSampling,
        dim: number("width", config.width as u64, 1)?,
        epoch: number("epochs", config.epochs as u64, 1)?,
        ws: number("window", config.window as u64, 1)?,
        neg: number("negatives", config.negatives as u64, 1)?,
        min_count: number("min_count", config.min_count, 0)?,
        minn: number("min_ngram", config.min_ngram as u64, 0)?,
        maxn: number("max_ngram", config.max_ngram as u64, 0)?,
        bucket: number("buckets", config.buckets as u64, 0)?,
        lr: config.learning_rate,
        t: config.subsample,
        // Other threads write into the same rows without a lock, in an order that no seed governs.
        thread: 1,
        seed: (seed % i32::MAX as u64) as i32,
        // No word is a label: words hold no space.
        label: " ".into(),
        ..Args::default()
    })
}

/// A `.bin` without the output matrix, which only further training would need.
fn write_model(model: &FastText, out: &mut Vec<u8>) -> fasttext::Result<()> {
    out.extend(MAGIC.to_le_bytes());
    out.extend(VERSION.to_le_bytes());
    model.args().save(out)?;
    model.dict().save(out)?;
    out.push(0);
    let matrix = model.input_matrix();
    out.extend(matrix.rows().to_le_bytes());
    out.extend(matrix.cols().to_le_bytes());
    out.reserve_exact(matrix.data().len() * 4);
    matrix.data().iter().for_each(|x| out.extend(x.to_le_bytes()));
    Ok(())
}

const UNQUANTISED: &str = "give the `.bin` that it was made from, or the vectors as text, `.vec`";

/// What a file is that is often taken for FastText's.
fn foreign(start: &[u8]) -> Option<Error> {
    let word2vec = || {
        let line = start[..start.len().min(40)].split(|&b| b == b'\n').next()?;
        let (words, width) = std::str::from_utf8(line).ok()?.trim().split_once(' ')?;
        (words.parse::<u64>().is_ok() && width.parse::<u64>().is_ok()).then_some(())
    };
    if let Some(width) = old_width(start) {
        let what = "is of FastText from before March 2017, whose files have neither number nor version";
        return Some(
            Error::data(format!("{what} (vectors of {width})")).hint(
                "no later FastText reads it: give the vectors as text, `.vec`, or those published since",
            ),
        );
    }
    if start.starts_with(b"\x1f\x8b") {
        return Some(Error::data("is compressed").hint("unpack it with `gunzip`"));
    }
    if start.starts_with(b"version https://git-lfs") {
        return Some(
            Error::data("is the pointer to a file of Git LFS").hint("get the file itself: `git lfs pull`"),
        );
    }
    word2vec().map(|()| {
        Error::data("begins as vectors in text, or in word2vec's binary format")
            .hint("name text `.vec`; turn word2vec's binary format into text first")
    })
}

/// The width of the vectors, where a file begins as those without a magic number: with the arguments, twelve numbers of 32
/// bits and one of 64.
fn old_width(mut start: &[u8]) -> Option<i32> {
    let mut numbers = [0; 12];
    for number in &mut numbers {
        *number = i32::from_le_bytes(read(&mut start).ok()?);
    }
    let subsample = f64::from_le_bytes(read(&mut start).ok()?);
    let [width, window, epochs, min_count, negatives, word_ngrams, loss, model, buckets, minn, maxn, _] =
        numbers;
    let counts = [width, window, epochs, word_ngrams].iter().all(|n| (1..=100_000).contains(n));
    let others = [min_count, negatives, buckets, minn, maxn].iter().all(|&n| n >= 0);
    let kinds = (1..=4).contains(&loss) && (1..=3).contains(&model);
    (counts && others && kinds && (0.0..=1.0).contains(&subsample)).then_some(width)
}

fn read<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rest.read_exact(&mut bytes).map_err(|_| Error::data("is cut off before its matrix"))?;
    Ok(bytes)
}

fn read_args(rest: &mut &[u8]) -> Result<Args> {
    let start = *rest;
    let magic = i32::from_le_bytes(read(rest)?);
    if magic != MAGIC {
        let what = format!("is not in FastText's binary format: it starts with {magic}, not {MAGIC}");
        return Err(foreign(start).unwrap_or_else(|| Error::data(what)));
    }
    let version = i32::from_le_bytes(read(rest)?);
    if !(11..=VERSION).contains(&version) {
        return Err(Error::data(format!("is of FastText's format {version}; 11 and 12 can be read"))
            .hint("give the vectors as text, `.vec`, or train them again"));
    }
    let mut args = Args::default();
    args.load(rest).map_err(|e| Error::data("has a broken header").because(e))?;
    if version == 11 && args.model == ModelName::Supervised {
        args.maxn = 0; // what this version wrote there means nothing
    }
    let numbers =
        [("width", args.dim, 1), ("buckets", args.bucket, 0), ("minn", args.minn, 0), ("maxn", args.maxn, 0)];
    for (name, value, least) in numbers {
        if value < least {
            return Err(Error::data(format!("has a broken header: {name} {value}")));
        }
    }
    Ok(args)
}

/// The words, without what only training needs.
fn read_dictionary(rest: &mut &[u8], args: Arc<Args>) -> Result<Dictionary> {
    let [size, words, labels] = [read(rest)?, read(rest)?, read(rest)?].map(i32::from_le_bytes);
    let tokens = i64::from_le_bytes(read(rest)?);
    let pruned = i64::from_le_bytes(read(rest)?);
    // An entry takes 10 bytes or more, so a broken number is seen before memory is asked for.
    let room = rest.len() / 10;
    if words < 1 || labels < 0 || words.checked_add(labels) != Some(size) || size as usize > room {
        return Err(Error::data(format!(
            "has a broken header, or is cut off: {size} entries, {words} words, {labels} labels"
        )));
    }
    if pruned >= 0 {
        return Err(Error::data(
            "is a quantised model (`.ftz`) that was pruned, and lacks words and n-grams",
        )
        .hint(UNQUANTISED));
    }
    let mut dictionary = Dictionary::new_with_capacity(args, 1);
    for n in 0..size {
        let end =
            rest.iter().position(|&b| b == 0).ok_or_else(|| Error::data("is cut off among its words"))?;
        let (word, after) = rest.split_at(end);
        *rest = &after[1..];
        let count = i64::from_le_bytes(read(rest)?);
        // Words come first, and only they have rows.
        let entry_type = match (read::<1>(rest)?, n < words) {
            ([0], true) => EntryType::Word,
            ([1], false) => EntryType::Label,
            ([kind], _) => {
                let what = format!(
                    "has an entry {n} of kind {kind}, where there are {words} words (0), then labels (1)"
                );
                return Err(Error::data(what));
            }
        };
        // Published files hold words cut within a character; no caption can ask for them.
        let word = String::from_utf8_lossy(word).into_owned();
        dictionary.push_entry(Entry { word, count, entry_type, subwords: Vec::new() });
    }
    dictionary.set_counts(size, words, labels);
    dictionary.set_ntokens(tokens);
    dictionary.rebuild_word2int_after_load();
    Ok(dictionary)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The crate's own loader is the reference for what a file means.
    #[test]
    fn vectors_equal_those_of_the_crate() {
        let sentences: Vec<Vec<String>> = (0..300)
            .map(|i| {
                ["wasi", "allqu", "фото", "魚", "p'unchay"][..i % 5 + 1]
                    .iter()
                    .map(|s| s.to_string())
                    .collect()
            })
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        for (min_ngram, max_ngram) in [(3, 6), (2, 4), (0, 0)] {
            let config = FastTextConfig {
                width: 10,
                epochs: 1,
                buckets: 300,
                min_ngram,
                max_ngram,
                ..FastTextConfig::default()
            };
            let ours = Subwords::train(sentences.iter().map(Vec::as_slice), &config, 3).unwrap();
            ours.save(file.path()).unwrap();
            let reference = FastText::load_model(file.path()).unwrap();
            let mut out = vec![0.0; 10];
            for word in ["wasi", "wasikuna", "фотограф", "魚", "p'unchayta", "q"] {
                ours.vector(word, &mut out);
                assert_eq!(out, reference.get_word_vector(word), "{word}");
                assert_eq!(ours.contains(word), reference.get_word_id(word).is_some());
            }
        }
    }

    #[test]
    fn words_cut_within_a_character_keep_their_place() {
        let sentences = [["aé".to_string(), "zz".to_string(), "aé".to_string()]];
        let config = FastTextConfig { width: 4, epochs: 1, buckets: 20, ..FastTextConfig::default() };
        let whole = Subwords::train(sentences.iter().map(<[String; 3]>::as_slice), &config, 3).unwrap();
        let mut bytes = whole.bytes.get().to_vec();
        let at = bytes.windows(3).position(|w| w == "aé".as_bytes()).unwrap();
        bytes[at + 2] = b'?';
        let cut = Subwords::parse(Bytes::Owned(bytes)).unwrap();
        let (mut a, mut b) = ([0.0; 4], [0.0; 4]);
        assert!(whole.vector("zz", &mut a) && cut.vector("zz", &mut b) && !cut.contains("aé"));
        assert_eq!(a, b);
    }
}
