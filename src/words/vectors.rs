//! The vector of a word, from wherever it comes.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::fasttext::{Subwords, is_binary, promised_width};
use super::ngrams::Ngrams;
use super::vec::Table;
use crate::config::FastTextConfig;
use crate::{Error, Result};

/// FastText vectors of one language, all [`Self::width`] wide. Cloning them is cheap.
#[derive(Clone)]
pub struct WordVectors(Arc<Kind>);

enum Kind {
    Subwords(Subwords),
    Table(Table),
    Ngrams(Ngrams),
}

/// What a file of n-grams is called by.
const NGRAMS: &str = "ngrams";

impl WordVectors {
    /// Trains FastText on tokenised sentences.
    ///
    /// One thread works, so that the same seed gives the same bits; languages can be trained side by side.
    ///
    /// # Errors
    /// Config, for settings FastText cannot have; data, when there are no words; run, when the disk is full.
    pub fn train<'s>(
        sentences: impl Iterator<Item = &'s [String]>,
        config: &FastTextConfig,
        seed: u64,
    ) -> Result<WordVectors> {
        Ok(WordVectors(Arc::new(Kind::Subwords(Subwords::train(sentences, config, seed)?))))
    }

    /// Opens a `.bin`, which has vectors for unseen words too, the `.ngrams` that is left of one ([`Self::pruned`]), or a `.vec`, of which only the words are kept for which `needed` says true.
    ///
    /// # Errors
    /// Data, with file, line and remedy: truncated, not in the format, numbers missing or left over or not finite.
    pub fn open(path: &Path, needed: &dyn Fn(&str) -> bool) -> Result<WordVectors> {
        if path.extension().is_some_and(|e| e == NGRAMS) {
            return Ok(WordVectors(Arc::new(Kind::Ngrams(Ngrams::open(path)?))));
        }
        let mut start = Vec::new();
        let file = File::open(path).map_err(|e| Error::reading(path, e))?;
        file.take(4).read_to_end(&mut start).map_err(|e| Error::reading(path, e))?;
        let named_binary = path.extension().is_some_and(|e| e == "bin" || e == "ftz");
        if named_binary || is_binary(&start) {
            return Ok(WordVectors(Arc::new(Kind::Subwords(Subwords::open(path)?))));
        }
        Ok(WordVectors(Arc::new(Kind::Table(Table::open(path, needed)?))))
    }

    /// The width of the vectors that a `.bin` or `.vec` begins with, without reading more of it.
    ///
    /// # Errors
    /// Data, where the beginning is that of neither.
    pub fn width_in(path: &Path) -> Result<usize> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(|e| Error::reading(path, e))?;
        file.take(1 << 10).read_to_end(&mut start).map_err(|e| Error::reading(path, e))?;
        match path.extension().is_some_and(|e| e == "bin") || is_binary(&start) {
            true => promised_width(&start)
                .map_err(|e| e.at(path).or_hint("get the whole file again, as FastText writes it")),
            false => Table::promised_width(path),
        }
    }

    /// As [`Self::open`], with all words, for a file that [`Self::save`] wrote and that nobody changes, as in a cache or in a run: a `.bin`
    /// that is saved again on the same disk is not copied but given a further name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_kept(path: &Path) -> Result<WordVectors> {
        match path.extension() {
            Some(ending) if ending == "bin" => {
                Ok(WordVectors(Arc::new(Kind::Subwords(Subwords::open_kept(path)?))))
            }
            _ => Self::open(path, &|_| true),
        }
    }

    /// Writes a file from which [`Self::open`] gives the same vectors, those of unseen words included: a `.bin` after
    /// training or from a `.bin` (`(words + buckets) × width × 4` bytes and the words), otherwise a `.vec` of the words kept.
    /// [`Self::extension`] says which.
    ///
    /// # Errors
    /// Run, when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        match &*self.0 {
            Kind::Subwords(subwords) => subwords.save(path),
            Kind::Table(table) => table.save(path),
            Kind::Ngrams(ngrams) => ngrams.save(path),
        }
    }

    /// What is enough for words that are not `known`: the `rows` n-grams at most that weigh most in the words that FastText has seen, in
    /// eight bits each; of vectors of words alone those of other words. N-grams that were pruned already stay.
    pub fn pruned(&self, rows: usize, known: &dyn Fn(&str) -> bool) -> WordVectors {
        match &*self.0 {
            Kind::Subwords(subwords) => WordVectors(Arc::new(Kind::Ngrams(subwords.pruned(rows)))),
            Kind::Table(table) => WordVectors(Arc::new(Kind::Table(table.some(&|word| !known(word))))),
            Kind::Ngrams(_) => self.clone(),
        }
    }

    /// The words that FastText has seen in training; none, where that is not known.
    pub fn seen(&self) -> Vec<&str> {
        match &*self.0 {
            Kind::Subwords(subwords) => subwords.seen().collect(),
            Kind::Table(_) | Kind::Ngrams(_) => Vec::new(),
        }
    }

    /// `bin`, `ngrams` or `vec`: what [`Self::save`] writes.
    pub fn extension(&self) -> &'static str {
        match *self.0 {
            Kind::Subwords(_) => "bin",
            Kind::Table(_) => "vec",
            Kind::Ngrams(_) => NGRAMS,
        }
    }

    /// How many numbers a vector has.
    pub fn width(&self) -> usize {
        match &*self.0 {
            Kind::Subwords(subwords) => subwords.width(),
            Kind::Table(table) => table.width(),
            Kind::Ngrams(ngrams) => ngrams.width(),
        }
    }

    /// Writes the vector of `word` into `out`, [`Self::width`] numbers. False, and zeros, when it has none: a word that is not in a
    /// `.vec`, or an unseen one too short for an n-gram.
    pub fn vector(&self, word: &str, out: &mut [f32]) -> bool {
        assert_eq!(out.len(), self.width(), "width of the vector");
        match &*self.0 {
            Kind::Subwords(subwords) => subwords.vector(word, out),
            Kind::Ngrams(ngrams) => ngrams.vector(word, out),
            Kind::Table(table) => match table.get(word) {
                Some(vector) => {
                    out.copy_from_slice(vector);
                    true
                }
                None => {
                    out.fill(0.0);
                    false
                }
            },
        }
    }

    /// Whether `word` was in the training text or in the file.
    pub fn contains(&self, word: &str) -> bool {
        match &*self.0 {
            Kind::Subwords(subwords) => subwords.contains(word),
            Kind::Table(table) => table.get(word).is_some(),
            Kind::Ngrams(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::FastTextModel;

    fn sentences() -> Vec<Vec<String>> {
        let words = ["hund", "собака", "狗", "läuft", "p'acha", "كلب", "개가", "park", "im", "der"];
        (0..400)
            .map(|i| (0..7).map(|j| words[(i * 7 + j * (i % 3 + 1)) % 10].to_string()).collect())
            .collect()
    }

    fn small() -> FastTextConfig {
        FastTextConfig { width: 12, epochs: 2, buckets: 500, ..FastTextConfig::default() }
    }

    fn train(config: &FastTextConfig, seed: u64) -> WordVectors {
        WordVectors::train(sentences().iter().map(Vec::as_slice), config, seed).unwrap()
    }

    fn vectors(of: &WordVectors) -> Vec<u32> {
        let mut out = vec![0.0; of.width()];
        let mut all = Vec::new();
        for word in ["hund", "hunde", "собаки", "狗", "未見", "x"] {
            of.vector(word, &mut out);
            all.extend(out.iter().map(|x| x.to_bits()));
        }
        all
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v.bin");
        (folder, file)
    }

    #[test]
    fn one_seed_gives_one_result_on_any_number_of_threads() {
        for model in [FastTextModel::Skipgram, FastTextModel::Cbow] {
            let config = FastTextConfig { model, ..small() };
            let expected = vectors(&train(&config, 5));
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(pool.install(|| vectors(&train(&config, 5))), expected);
            }
            assert_ne!(vectors(&train(&config, 6)), expected);
        }
    }

    #[test]
    fn training_brings_words_of_like_contexts_together() {
        let text: Vec<Vec<String>> = (0..6000)
            .map(|i| {
                let (subject, verb) =
                    [("cat", "purrs"), ("tom", "purrs"), ("car", "honks"), ("van", "honks")][i % 4];
                [subject, verb].map(String::from).to_vec()
            })
            .collect();
        let config = FastTextConfig { subsample: 1.0, epochs: 5, ..small() };
        let trained = WordVectors::train(text.iter().map(Vec::as_slice), &config, 1).unwrap();
        let cosine = |a: &str, b: &str| {
            let mut x = [[0.0; 12]; 2];
            [a, b].iter().zip(&mut x).for_each(|(word, x)| assert!(trained.vector(word, x)));
            let dot = |i: usize, j: usize| x[i].iter().zip(&x[j]).map(|(a, b)| a * b).sum::<f32>();
            dot(0, 1) / (dot(0, 0) * dot(1, 1)).sqrt()
        };
        assert!(
            cosine("cat", "tom") > cosine("cat", "van") + 0.2,
            "{} {}",
            cosine("cat", "tom"),
            cosine("cat", "van")
        );
    }

    #[test]
    fn saved_and_opened_gives_the_same_vectors_for_unseen_words() {
        let (_folder, file) = folder();
        let trained = train(&small(), 5);
        trained.save(&file).unwrap();
        let opened = WordVectors::open(&file, &|_| false).unwrap();
        assert_eq!(vectors(&opened), vectors(&trained));
        assert!(opened.contains("狗") && !opened.contains("hunde"));
        assert_eq!((opened.width(), opened.extension()), (12, "bin"));
        // A file may be written over while it is mapped.
        opened.save(&file).unwrap();
        assert_eq!(vectors(&opened), vectors(&trained));
        assert_eq!(vectors(&WordVectors::open(&file, &|_| false).unwrap()), vectors(&trained));
        let error = opened.save(Path::new("no/such/folder/v.bin")).unwrap_err();
        assert_eq!(error.exit_status(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn kept_vectors_are_saved_without_a_copy() {
        use std::os::unix::fs::MetadataExt;

        let (folder, file) = folder();
        train(&small(), 5).save(&file).unwrap();
        let (whole, number) = (std::fs::read(&file).unwrap(), |path: &Path| path.metadata().unwrap().ino());
        let kept = WordVectors::open_kept(&file).unwrap();
        for name in ["new.bin", "new.bin", "old.bin", "v.bin"] {
            let path = folder.path().join(name);
            if name == "old.bin" {
                std::fs::write(&path, "something else").unwrap();
            }
            kept.save(&path).unwrap();
            assert_eq!(number(&path), number(&file), "{name}");
            assert!(std::fs::read(&path).unwrap() == whole);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
        assert_eq!(kept.save(Path::new("no/such/folder/v.bin")).unwrap_err().exit_status(), 1);
    }

    #[test]
    fn what_is_left_of_vectors_of_words_alone_are_the_unknown_ones() {
        let (_folder, file) = folder();
        let file = file.with_extension("vec");
        std::fs::write(&file, "3 2\na 1 2\nb 3 4\nc 5 6\n").unwrap();
        let whole = WordVectors::open(&file, &|_| true).unwrap();
        let mut out = [0.0; 2];
        for (known, left) in [("b", &["a", "c"][..]), ("abc", &[])] {
            let pruned = whole.pruned(9, &|word| known.contains(word));
            pruned.save(&file).unwrap();
            let opened = WordVectors::open(&file, &|_| true).unwrap();
            assert_eq!((opened.width(), opened.extension()), (2, "vec"));
            for (word, vector) in [("a", [1.0, 2.0]), ("b", [3.0, 4.0]), ("c", [5.0, 6.0])] {
                assert_eq!(opened.vector(word, &mut out), left.contains(&word), "{word}");
                assert!(!left.contains(&word) || out == vector);
            }
        }
    }

    #[test]
    fn words_without_vector_say_so() {
        let mut out = vec![1.0; 12];
        assert!(!train(&FastTextConfig { min_ngram: 5, ..small() }, 1).vector("ab", &mut out));
        assert_eq!(out, [0.0; 12]);
        assert!(!train(&FastTextConfig { buckets: 0, ..small() }, 1).vector("hunde", &mut out));
        assert!(train(&FastTextConfig { buckets: 0, ..small() }, 1).vector("hund", &mut out));
    }

    #[test]
    fn broken_binaries_are_errors() {
        let (_folder, file) = folder();
        train(&small(), 5).save(&file).unwrap();
        let whole = std::fs::read(&file).unwrap();
        let check = |content: &[u8], of: &str| {
            std::fs::write(&file, content).unwrap();
            let e = WordVectors::open(&file, &|_| true).err().unwrap_or_else(|| panic!("{of} was read"));
            assert!(e.exit_status() == 4 && e.to_string().contains("v.bin"), "{e}");
        };
        for end in (0..400).chain([whole.len() - 12 * 4 - 17]) {
            check(&whole[..end], &format!("a file cut at {end}"));
        }
        // Magic, version, width, loss, model, buckets, minn, maxn; entries, words, labels.
        for at in [0, 4, 8, 32, 36, 40, 44, 48, 64, 68, 72] {
            for value in [-7i32, i32::MAX] {
                // However long, n-grams end with the word.
                if value < 0 || ![44, 48].contains(&at) {
                    let mut broken = whole.clone();
                    broken[at..at + 4].copy_from_slice(&value.to_le_bytes());
                    check(&broken, &format!("a file with {value} at {at}"));
                }
            }
        }
        check(b"2 1\nhello 1\nworld 2\n", "a text named .bin");
    }

    #[test]
    fn files_of_other_kinds_are_told_for_what_they_are() {
        let (_folder, file) = folder();
        train(&small(), 5).save(&file).unwrap();
        let whole = std::fs::read(&file).unwrap();
        // Behind the words stands whether the matrix is quantised, then its rows: eleven words with that for line ends, and buckets.
        let flag = whole.windows(8).position(|w| w == 511i64.to_le_bytes()).unwrap() - 1;
        let at = |place: usize, bytes: &[u8]| {
            let mut changed = whole.clone();
            changed[place..place + bytes.len()].copy_from_slice(bytes);
            changed
        };
        let cases: [(Vec<u8>, &str, &str); 8] = [
            (at(flag, &[1]), "is a quantised model (`.ftz`)", "give the `.bin` that it was made from"),
            (at(84, &0i64.to_le_bytes()), "that was pruned", "give the `.bin` that it was made from"),
            // Without magic number and version, as before March 2017.
            (whole[8..].to_vec(), "from before March 2017", "vectors as text"),
            (at(4, &13i32.to_le_bytes()), "format 13; 11 and 12", "train them again"),
            (b"\x1f\x8b\x08\0rest of it".to_vec(), "is compressed", "gunzip"),
            (b"3000000 300\n</s> \x01\x02".to_vec(), "word2vec", "into text"),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "Git LFS", "git lfs pull"),
            (whole[..whole.len() / 2].to_vec(), "is cut off", "get the whole file again"),
        ];
        for (bytes, what, hint) in cases {
            for name in ["v.bin", "v.ftz"] {
                let file = file.with_file_name(name);
                std::fs::write(&file, &bytes).unwrap();
                let e = WordVectors::open(&file, &|_| true).err().unwrap().to_string();
                let (said, hinted) = e.split_once("\nhint: ").unwrap();
                assert!(said.contains(name) && said.contains(what) && hinted.contains(hint), "{e}");
            }
        }
    }

    #[test]
    fn settings_that_cannot_be_are_errors() {
        let settings = [
            FastTextConfig { width: 0, ..small() },
            FastTextConfig { epochs: 0, ..small() },
            FastTextConfig { window: 0, ..small() },
            FastTextConfig { negatives: 0, ..small() },
            FastTextConfig { min_ngram: 7, ..small() },
            FastTextConfig { learning_rate: f64::NAN, ..small() },
            FastTextConfig { subsample: 0.0, ..small() },
            FastTextConfig { buckets: usize::MAX, ..small() },
        ];
        for config in settings {
            let e = WordVectors::train(sentences().iter().map(Vec::as_slice), &config, 1).err().unwrap();
            assert_eq!(e.exit_status(), 3, "{config:?}");
        }
        for empty in [vec![], vec![vec![]]] {
            let e = WordVectors::train(empty.iter().map(Vec::as_slice), &small(), 1).err().unwrap();
            assert_eq!(e.exit_status(), 4);
        }
        let rare = FastTextConfig { min_count: 1_000_000, ..small() };
        assert_eq!(
            WordVectors::train(sentences().iter().map(Vec::as_slice), &rare, 1).err().unwrap().exit_status(),
            4
        );
    }
}
