//! Vectors of unseen words from few n-grams: FastText's matrix less the rows that few words need, each in eight bits.
//!
//! The rows that stay are those that weigh most in the words FastText has seen: the sum, over the words that have the n-gram,
//! of its length by their number of n-grams (in the spirit of compress-fasttext, Dale 2021, who prunes by norm and frequency). A word is
//! the mean of its n-grams that are there; its own row, one of many, is left out.

use std::path::Path;
use std::sync::Arc;

use fasttext::args::Args;
use fasttext::dictionary::Dictionary;

use crate::write::write_whole;
use crate::{Error, Result};

/// What a file begins with, and the version of what follows.
const MAGIC: [u8; 4] = *b"TGNG";
const VERSION: u32 = 1;
const DAMAGED: &str = "the file is not as it was written: copy it again, or pack the run again";

/// N-grams and their rows.
pub(super) struct Ngrams {
    hashing: Dictionary,
    width: usize,
    /// The buckets of the n-grams that are there, ascending.
    buckets: Vec<u32>,
    /// By bucket: what a number of its row is multiplied by.
    scales: Vec<f32>,
    /// (buckets, width)
    rows: Vec<i8>,
}

/// How words are cut into n-grams, and these hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashing {
    /// Characters of the shortest and of the longest n-gram, the ends of the word included.
    pub lengths: [u32; 2],
    pub buckets: u32,
}

impl Hashing {
    /// Gives buckets by [`Dictionary::compute_subwords`], counted from 0.
    pub(super) fn dictionary(self) -> Dictionary {
        let [minn, maxn] = self.lengths.map(|n| n as i32);
        let args = Args { minn, maxn, bucket: self.buckets as i32, ..Args::default() };
        Dictionary::new_with_capacity(Arc::new(args), 1)
    }
}

/// The buckets of a word's n-grams; one may come twice.
fn buckets_of(hashing: &Dictionary, word: &str) -> Vec<i32> {
    let mut buckets = Vec::new();
    hashing.compute_subwords(&format!("<{word}>"), &mut buckets);
    buckets
}

impl Ngrams {
    /// Keeps `count` rows at most. `row` writes that of a bucket, `width` numbers; `words` are those that it is for.
    pub(super) fn choose<'w>(
        hashing: Hashing,
        width: usize,
        count: usize,
        words: impl Iterator<Item = &'w str>,
        row: &dyn Fn(u32, &mut [f32]),
    ) -> Ngrams {
        let dictionary = hashing.dictionary();
        let mut shares = vec![0f64; hashing.buckets as usize];
        for word in words {
            let buckets = buckets_of(&dictionary, word);
            buckets.iter().for_each(|&b| shares[b as usize] += 1.0 / buckets.len() as f64);
        }
        let mut numbers = vec![0.0; width];
        let mut weights: Vec<(f64, u32)> = Vec::new();
        for (bucket, share) in (0u32..).zip(&shares).filter(|(_, share)| **share > 0.0) {
            row(bucket, &mut numbers);
            let length = numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            weights.push((share * length, bucket));
        }
        weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut buckets: Vec<u32> = weights.iter().take(count).map(|w| w.1).collect();
        buckets.sort_unstable();
        let (mut scales, mut rows) = (Vec::new(), Vec::with_capacity(buckets.len() * width));
        for &bucket in &buckets {
            row(bucket, &mut numbers);
            let most = numbers.iter().fold(0f32, |m, x| m.max(x.abs()));
            let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
            scales.push(scale);
            rows.extend(numbers.iter().map(|x| (x / scale).round() as i8));
        }
        Ngrams { hashing: dictionary, width, buckets, scales, rows }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The mean of the rows of the word's n-grams that are there; false, and zeros, when there is none.
    pub(super) fn vector(&self, word: &str, out: &mut [f32]) -> bool {
        out.fill(0.0);
        let mut found = 0;
        for bucket in buckets_of(&self.hashing, word) {
            let Ok(place) = self.buckets.binary_search(&(bucket as u32)) else { continue };
            found += 1;
            let row = &self.rows[place * self.width..][..self.width];
            out.iter_mut().zip(row).for_each(|(o, &x)| *o += self.scales[place] * f32::from(x));
        }
        out.iter_mut().for_each(|o| *o /= found.max(1) as f32);
        found > 0
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let args = self.hashing.args();
        let numbers = [self.width as i32, args.minn, args.maxn, args.bucket, self.buckets.len() as i32];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        self.buckets.iter().for_each(|b| bytes.extend(b.to_le_bytes()));
        self.scales.iter().for_each(|s| bytes.extend(s.to_le_bytes()));
        bytes.extend(bytemuck::cast_slice::<i8, u8>(&self.rows));
        write_whole(path, &bytes)
    }

    /// # Errors
    /// Data: of another kind or version, cut off, too long, or numbers that [`Self::save`] does not write.
    pub(super) fn open(path: &Path) -> Result<Ngrams> {
        let bytes = std::fs::read(path).map_err(|e| Error::reading(path, e))?;
        let damaged = |what: String| Error::data(what).at(path).hint(DAMAGED);
        let (words, rest) = bytes.as_chunks::<4>();
        let head: Vec<u32> = words.iter().take(7).map(|w| u32::from_le_bytes(*w)).collect();
        let &[magic, version, width, minn, maxn, buckets, count] = &head[..] else {
            return Err(damaged(format!("has {} bytes, fewer than its header", bytes.len())));
        };
        if magic != u32::from_le_bytes(MAGIC) {
            return Err(damaged("is no file of n-grams".into()));
        }
        if version != VERSION {
            let what = format!("is of version {version}; this program reads version {VERSION}");
            return Err(Error::data(what)
                .at(path)
                .hint("use the program that wrote it, or pack the run again"));
        }
        let fits = |n: u32| i32::try_from(n).is_ok();
        if width == 0
            || minn > maxn
            || ![width, maxn, buckets, count].into_iter().all(fits)
            || count > buckets
        {
            let what = format!(
                "has a broken header: {count} of {buckets} n-grams of {minn} to {maxn} characters, rows of {width}"
            );
            return Err(damaged(what));
        }
        let expected = 28 + u128::from(count) * (8 + u128::from(width));
        if bytes.len() as u128 != expected {
            return Err(damaged(format!("has {} bytes, not {expected}", bytes.len())));
        }
        let count = count as usize;
        let (ids, after) = words[7..].split_at(count);
        let ids: Vec<u32> = ids.iter().map(|w| u32::from_le_bytes(*w)).collect();
        let scales: Vec<f32> = after[..count].iter().map(|w| f32::from_le_bytes(*w)).collect();
        debug_assert!(rest.len() < 4, "what is left of whole words");
        if ids.last().is_some_and(|&last| last >= buckets) || !ids.is_sorted_by(|a, b| a < b) {
            return Err(damaged("lists n-grams out of order".into()));
        }
        if let Some(at) = scales.iter().position(|s| !(*s > 0.0 && s.is_finite())) {
            return Err(damaged(format!("has the scale {} in row {at} (from 0)", scales[at])));
        }
        let rows = bytemuck::cast_slice(&bytes[28 + count * 8..]).to_vec();
        let hashing = Hashing { lengths: [minn, maxn], buckets }.dictionary();
        Ok(Ngrams { hashing, width: width as usize, buckets: ids, scales, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHING: Hashing = Hashing { lengths: [3, 4], buckets: 50 };
    const WORDS: [&str; 4] = ["hund", "hunde", "собака", "haus"];

    fn row(bucket: u32, out: &mut [f32]) {
        let at = |i: usize| ((bucket as usize * 7 + i * 3) % 11) as f32 / 10.0 - 0.5;
        out.iter_mut().enumerate().for_each(|(i, x)| *x = at(i));
    }

    fn made(count: usize) -> Ngrams {
        Ngrams::choose(HASHING, 5, count, WORDS.into_iter(), &row)
    }

    /// The mean over all n-grams, as FastText has it.
    fn whole(word: &str) -> Vec<f32> {
        let buckets = buckets_of(&HASHING.dictionary(), word);
        let (mut sum, mut one) = (vec![0.0; 5], vec![0.0; 5]);
        for bucket in &buckets {
            row(*bucket as u32, &mut one);
            sum.iter_mut().zip(&one).for_each(|(s, x)| *s += x / buckets.len() as f32);
        }
        sum
    }

    #[test]
    fn with_all_its_n_grams_a_word_is_its_mean_but_for_eight_bits() {
        let (ngrams, mut out) = (made(50), vec![0.0; 5]);
        for word in WORDS {
            assert!(ngrams.vector(word, &mut out));
            for (a, b) in out.iter().zip(whole(word)) {
                assert!((a - b).abs() <= 0.5 / 127.0 / 2.0 + 1e-6, "{word}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_rows_that_weigh_most_stay() {
        let weight = |bucket: u32| {
            let mut one = vec![0.0; 5];
            row(bucket, &mut one);
            let length = one.iter().map(|x| x * x).sum::<f32>().sqrt();
            let share = |word: &str| {
                let of = buckets_of(&HASHING.dictionary(), word);
                of.iter().filter(|b| **b as u32 == bucket).count() as f32 / of.len() as f32
            };
            WORDS.iter().map(|w| share(w)).sum::<f32>() * length
        };
        let few = made(6);
        assert_eq!(few.buckets.len(), 6);
        let least = few.buckets.iter().map(|&b| weight(b)).fold(f32::INFINITY, f32::min);
        let others = (0..50).filter(|b| !few.buckets.contains(b)).map(weight).fold(0.0, f32::max);
        assert!(least >= others - 1e-6, "{least} {others}");
        assert!(made(0).buckets.is_empty());
        let mut out = vec![1.0; 5];
        assert!(!made(0).vector("hund", &mut out) && out == [0.0; 5]);
    }

    #[test]
    fn written_and_read_it_gives_the_same_vectors() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("de.ngrams");
        let (ngrams, mut a, mut b) = (made(9), vec![0.0; 5], vec![0.0; 5]);
        ngrams.save(&file).expect("written");
        let read = Ngrams::open(&file).expect("read");
        for word in WORDS.into_iter().chain(["hundehaus", "x", ""]) {
            assert_eq!(ngrams.vector(word, &mut a), read.vector(word, &mut b));
            assert_eq!(a, b, "{word}");
        }
        assert_eq!(std::fs::read(&file).expect("bytes").len(), 28 + 9 * (8 + 5));
    }

    #[test]
    fn a_file_that_is_not_as_it_was_written_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("de.ngrams");
        made(9).save(&file).expect("written");
        let whole = std::fs::read(&file).expect("bytes");
        let refusal = |bytes: &[u8]| {
            std::fs::write(&file, bytes).expect("written");
            let e = Ngrams::open(&file).err().map_or("was read".into(), |e| e.to_string());
            assert!(e.contains("de.ngrams"), "{e}");
            e
        };
        for end in 0..whole.len() {
            assert!(refusal(&whole[..end]).contains("bytes"));
        }
        assert!(refusal(&[&whole[..], b"x"].concat()).contains("bytes, not"));
        let at = |place: usize, n: u32| {
            let mut bytes = whole.clone();
            bytes[place..place + 4].copy_from_slice(&n.to_le_bytes());
            bytes
        };
        assert!(refusal(&at(0, 7)).contains("is no file of n-grams"));
        assert!(refusal(&at(4, 2)).contains("of version 2"));
        for (place, n) in [(8, 0), (12, 9), (20, 3), (20, u32::MAX), (24, u32::MAX)] {
            let text = refusal(&at(place, n));
            assert!(text.contains("broken header"), "{place} {n}: {text}");
        }
        assert!(refusal(&at(28, 49)).contains("out of order"));
        assert!(refusal(&at(28 + 9 * 4, f32::NAN.to_bits())).contains("the scale NaN in row 0"));
    }
}
