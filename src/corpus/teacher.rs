//! A teacher's vectors of sentences, found by their words. They stay on the disk.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::input::each_line;
use super::paths::Paths;
use super::{Corpus, Features, PictureSource};
use crate::checksum::sha256;
use crate::config::{Config, TeacherConfig};
use crate::error::InFile;
use crate::{Error, Result};

/// A sentence in a language: 96 bits of its SHA-256, in which no two of any data there are will be alike.
pub type SentenceKey = [u8; 12];

/// The key of a sentence, without white space around it, in a language by its code.
pub fn sentence_key(language: &str, sentence: &str) -> SentenceKey {
    let mut hash = Sha256::new();
    hash.update(language);
    hash.update([0]);
    hash.update(sentence.trim());
    let digest = hash.finalize();
    std::array::from_fn(|n| digest[n])
}

/// Vectors of sentences that a teacher made, 16 bytes a sentence in memory.
#[derive(Debug)]
pub struct TeacherVectors {
    /// The places of the languages that the teacher reads, in the order in which it is asked.
    pub languages: Vec<usize>,
    /// By key; the row of its vector.
    rows: Vec<(SentenceKey, u32)>,
    vectors: Features,
    /// SHA-256 of what the vectors follow from.
    pub hash: String,
}

/// What a vector of a sentence that the teacher knows nothing of begins with; the rest of it is 0. No vector that says something is so short.
pub const SAYS_NOTHING: f32 = 1e-30;

impl TeacherVectors {
    /// Vectors by the keys of their sentences; of equal keys the first row counts.
    pub fn new(
        languages: Vec<usize>,
        mut rows: Vec<(SentenceKey, u32)>,
        vectors: Features,
        hash: String,
    ) -> TeacherVectors {
        rows.sort_unstable();
        rows.dedup_by_key(|(key, _)| *key);
        TeacherVectors { languages, rows, vectors, hash }
    }

    /// Reads texts and the vectors beside them (`teacher.texts`).
    ///
    /// # Errors
    /// Data, naming file and line or row: other numbers of lines and rows, vectors of two widths, that are not finite or zero, and a training
    /// caption or sentence of `data.pairs` that is not among the texts.
    pub fn of_texts(config: &Config, corpus: &Corpus) -> Result<TeacherVectors> {
        let teacher = config.teacher();
        let paths = Paths::new(config.base(), &config.data().root);
        let languages = places(teacher, corpus)?;
        let (mut rows, mut texts) = (Vec::new(), Vec::new());
        for &l in &languages {
            for template in &teacher.texts {
                let text = paths.resolve(template, None, Some(&corpus.languages[l]))?;
                let lines = add_lines(&text, &corpus.languages[l], &mut rows)?;
                texts.push((text, lines));
            }
        }
        let files: Vec<PathBuf> = texts.iter().map(|(text, _)| vectors_of(text)).collect();
        let vectors = opened(&files)?;
        same_counts(&texts, &files, &vectors)?;
        let mut hash = Sha256::new();
        rows.iter().for_each(|(key, row)| {
            hash.update(key);
            hash.update(row.to_le_bytes());
        });
        vectors.hash_content(&mut hash)?;
        let taught = TeacherVectors::new(languages, rows, vectors, sha256(hash));
        taught.refuse_other_texts(corpus, &files[0])?;
        Ok(taught)
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.vectors.width()
    }

    /// Where the first of them lie.
    pub fn file(&self) -> &Path {
        self.vectors.place(0).0
    }

    /// The row of a sentence's vector; none, where the teacher has none that says something.
    pub fn row(&self, language: &str, sentence: &str) -> Option<u32> {
        let key = sentence_key(language, sentence);
        let at = self.rows.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(self.rows[at].1).filter(|&row| !self.says_nothing(row))
    }

    fn says_nothing(&self, row: u32) -> bool {
        let mut vector = vec![0.0; self.width()];
        self.vectors.copy_row(row as usize, &mut vector);
        vector[0] == SAYS_NOTHING && vector[1..].iter().all(|x| *x == 0.0)
    }

    /// Copies a vector to `out`, as long as it was made.
    ///
    /// # Panics
    /// Where there is no such row, or `out` has another width.
    pub fn copy_row(&self, row: u32, out: &mut [f32]) {
        self.vectors.copy_row(row as usize, out);
    }

    /// Refuses texts in which a sentence is not that is to be taught.
    fn refuse_other_texts(&self, corpus: &Corpus, vectors: &Path) -> Result<()> {
        let (mut all, mut lacking, mut first) = (0usize, 0usize, None);
        for &l in &self.languages {
            let code = &corpus.languages[l];
            each_sentence(corpus, l, |place, sentence| {
                all += 1;
                let key = sentence_key(code, &sentence);
                if self.rows.binary_search_by_key(&key, |(key, _)| *key).is_err() {
                    lacking += 1;
                    first.get_or_insert_with(|| (place, code, sentence.into_owned()));
                }
            });
        }
        let Some((place, code, sentence)) = first else { return Ok(()) };
        let what = format!(
            "the teacher has no vector for {lacking} of {all} sentences, the first is `{sentence}` in `{code}`"
        );
        let error = Error::data(what).hint(
            "make vectors of all training captions, `data.pairs` and `grow.translations` in the languages of `teacher.languages`, or name fewer of these",
        );
        Err(match place {
            SentencePlace::Caption(_) => error.at(vectors),
            SentencePlace::Line { text, line } => {
                let l = corpus.languages.iter().position(|l| l == code).expect("a language of the corpus");
                let (file, line) = corpus.pairs.texts[text as usize].place(line, l);
                error.at(file).line(line)
            }
        })
    }
}

/// The languages that a teacher reads, by their places in a corpus, as `teacher.languages` names them.
///
/// # Errors
/// Usage, for one that the corpus does not have.
pub fn places(teacher: &TeacherConfig, corpus: &Corpus) -> Result<Vec<usize>> {
    teacher.languages.iter().map(|code| corpus.language(code)).collect()
}

/// Opens vectors of sentences.
///
/// # Errors
/// Data, naming file and row: widths that differ, vectors that are not finite or zero.
pub fn opened(files: &[PathBuf]) -> Result<Features> {
    Features::open(files).map_err(|e| match e.is_missing_file() {
        true => e.hint(
            "the vectors of a text of `teacher.texts` are in the file of the same name with `.npy` behind it",
        ),
        false => e.hint("compute the teacher's vectors again, all by one model"),
    })
}

fn vectors_of(text: &Path) -> PathBuf {
    let mut path = text.as_os_str().to_owned();
    path.push(".npy");
    path.into()
}

/// Adds the lines of a text, each of which has the next row; gives how many there are.
fn add_lines(text: &Path, code: &str, rows: &mut Vec<(SentenceKey, u32)>) -> Result<usize> {
    let first = rows.len();
    let read = each_line(text, |_, line| {
        let row = u32::try_from(rows.len());
        let row = row.map_err(|_| Error::data("is one line too many: rows are counted in 32 bits"))?;
        rows.push((sentence_key(code, line), row));
        Ok(())
    });
    let hint = "the path comes from `teacher.texts`, relative to `data.root`";
    read.map_err(|e| if e.is_missing_file() { e.hint(hint) } else { e }).in_file(text)?;
    match rows.len() - first {
        0 => Err(Error::data("has no line").at(text).hint("`teacher.texts` have one sentence a line")),
        lines => Ok(lines),
    }
}

fn same_counts(texts: &[(PathBuf, usize)], files: &[PathBuf], vectors: &Features) -> Result<()> {
    let rows = vectors.rows_of_files();
    match (0..texts.len()).find(|&n| texts[n].1 != rows[n]) {
        None => Ok(()),
        Some(n) => {
            let (text, lines) = &texts[n];
            let what = format!("has {} rows, but `{}` has {lines} lines", rows[n], text.display());
            Err(Error::data(what)
                .at(&files[n])
                .hint("row n is the vector of line n: compute the vectors of this text again"))
        }
    }
}

/// Where a sentence is that is taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentencePlace {
    /// A training caption of the language, by its number.
    Caption(u32),
    /// A line of a text of sentence pairs.
    Line {
        /// Its place in [`super::SentencePairs::texts`].
        text: u32,
        /// From 0.
        line: u64,
    },
}

impl SentencePlace {
    /// The sentence.
    ///
    /// # Panics
    /// Where there is none.
    pub fn sentence(self, corpus: &Corpus, language: usize) -> Cow<'_, str> {
        match self {
            SentencePlace::Caption(n) => (&corpus.train.captions[language][n as usize].text[..]).into(),
            SentencePlace::Line { text, line } => {
                corpus.pairs.sentence(text as usize, line, language).expect("a line that has it")
            }
        }
    }
}

/// Gives every training caption and sentence of `data.pairs` of a language, in their order.
pub fn each_sentence<'c>(
    corpus: &'c Corpus,
    language: usize,
    mut take: impl FnMut(SentencePlace, Cow<'c, str>),
) {
    for (n, caption) in (0..).zip(&corpus.train.captions[language]) {
        take(SentencePlace::Caption(n), (&caption.text[..]).into());
    }
    for (text, bitext) in (0..).zip(&corpus.pairs.texts) {
        for line in 0..bitext.lines() {
            if let Some(sentence) = bitext.sentence(line, language) {
                take(SentencePlace::Line { text, line }, sentence);
            }
        }
    }
}
