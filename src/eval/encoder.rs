//! What evaluations ask of a model: sentences and pictures as vectors of one space.

use std::ops::Range;

use crate::config::same_code;
use crate::corpus::PictureSource;
use crate::{Error, Result, finite};

/// Sentences as vectors.
pub struct Sentences {
    /// (sentences, joint), unit length.
    pub vectors: Vec<f32>,
    /// Places of the sentences of which no word is known; all of them have the vector of an empty sentence.
    pub unknown: Vec<usize>,
    /// Places of the sentences that were longer than the model reads (`words.max_tokens`, or a tower's context) and lost their end.
    pub truncated: Vec<usize>,
}

/// Warnings of one kind.
const SHOWN: usize = 5;

impl Sentences {
    /// What is wrong with the vectors of `texts`, sentences of the language `code`, for people.
    pub fn warnings(&self, texts: &[&str], code: &str) -> Vec<String> {
        let unknown = self.unknown.iter().take(SHOWN).map(|&n| {
            format!("the model knows no word of `{}` in `{code}`: its vector says nothing", start(texts[n]))
        });
        let mut all: Vec<String> = unknown.collect();
        if self.unknown.len() > SHOWN {
            all.push(format!("so it is with {} sentences in all", self.unknown.len()));
        }
        if let Some(&first) = self.truncated.first() {
            let (count, text) = (self.truncated.len(), start(texts[first]));
            let what = "sentences are longer than the model reads and lose their end";
            all.push(format!("{count} {what}, as `{text}`"));
        }
        all
    }
}

/// The start of a text, for a message.
pub(crate) fn start(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// A model of any family, trained or in training: one encoder for sentences and one for pictures, into one space.
pub trait DualEncoder {
    /// Width of the vectors.
    fn joint(&self) -> usize;

    /// The codes of its languages, in the order of their places.
    fn languages(&self) -> Vec<String>;

    /// Sentences of a language, by its place, as vectors.
    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences;

    /// Refuses pictures of another width than those the model was trained on.
    ///
    /// # Errors
    /// Data, naming their first file.
    fn check_width(&self, pictures: &dyn PictureSource) -> Result<()>;

    /// Some pictures of a source of the right width, by their rows, as vectors (pictures, joint) of unit length.
    fn some_pictures(&self, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32>;

    /// Gives pictures as vectors, some at a time: `take` gets the first one's number and (pictures, joint) of unit length.
    /// So pictures and results may be larger than memory.
    ///
    /// # Errors
    /// Data: pictures of another width, or with numbers that are too large, naming one; those of `take`.
    fn pictures(
        &self,
        pictures: &dyn PictureSource,
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        self.check_width(pictures)?;
        in_tiles(pictures, |rows| self.some_pictures(pictures, rows), take)
    }
}

/// The place of a language among those of a model.
///
/// # Errors
/// Usage, where it is not among them.
pub fn place(languages: &[String], code: &str) -> Result<usize> {
    languages.iter().position(|l| same_code(l, code)).ok_or_else(|| {
        Error::usage(format!("the model does not know the language `{code}`"))
            .hint(format!("it knows {}", languages.join(", ")))
    })
}

/// Adds the vectors of all pictures of a source to `out` (pictures, joint).
///
/// # Errors
/// As [`DualEncoder::pictures`].
pub(crate) fn add_pictures(
    model: &dyn DualEncoder,
    pictures: &dyn PictureSource,
    out: &mut Vec<f32>,
) -> Result<()> {
    out.reserve_exact(pictures.rows() * model.joint());
    model.pictures(pictures, &mut |_, some| {
        out.extend_from_slice(some);
        Ok(())
    })
}

/// Pictures turned into vectors at a time.
const TILE: usize = 1024;

/// What [`DualEncoder::pictures`] does, by a function that gives some rows as vectors.
///
/// # Errors
/// Data, naming a picture whose vector is not finite: what follows from it is no score; those of `take`.
fn in_tiles(
    pictures: &dyn PictureSource,
    vectors: impl Fn(Range<usize>) -> Vec<f32>,
    take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    for first in (0..pictures.rows()).step_by(TILE) {
        let rows = first..pictures.rows().min(first + TILE);
        let count = rows.len();
        let vectors = vectors(rows);
        if let Some(at) = finite::first_fault(&vectors) {
            let (file, row) = pictures.place(first + at / (vectors.len() / count));
            let what = "has a vector that is not finite: its numbers are too large";
            return Err(Error::data(format!("row {row} (from 0) {what}"))
                .at(file)
                .hint("compute the features of this picture again, as those of the training pictures"));
        }
        take(first, &vectors)?;
    }
    Ok(())
}
