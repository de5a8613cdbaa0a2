//! A model as ONNX, with the words that it knows.

use std::io::Write;
use std::path::Path;

use super::{LAST, folder};
use crate::family::{self, Onnx};
use crate::retrieve::Retriever;
use crate::write::{write_whole, write_whole_with};
use crate::{Error, Result};

/// Writes `text.onnx`, `pictures.onnx` and `words.tsv` (language and word, a line for each place) into a new folder.
///
/// # Errors
/// Usage: a model that is none of words, or something is in the folder; data, for a run that is not whole; run, where the folder cannot be written.
pub fn onnx(run: &dyn Retriever, out: &Path) -> Result<()> {
    let Onnx { text, pictures, words } = family::of(run.config()).onnx(&run.folder().path)?;
    if let Some((_, word)) = words.iter().find(|(_, word)| word.contains(['\t', '\n', '\r'])) {
        return Err(Error::data(format!("the word {word:?} cannot stand on a line of its own")));
    }
    folder(out, |folder| {
        write_whole(&folder.join("text.onnx"), &text)?;
        write_whole(&folder.join("pictures.onnx"), &pictures)?;
        write_whole_with(&folder.join("words.tsv"), |out| {
            words.iter().try_for_each(|(language, word)| writeln!(out, "{language}\t{word}"))
        })?;
        write_whole(&folder.join(LAST), read_me(words.len(), run.joint()).as_bytes())
    })
}

fn read_me(words: usize, joint: usize) -> String {
    format!(
        "# Sentences and pictures as vectors of {joint} numbers\n\n\
         `text.onnx` takes `words` (batch, length), places in `words.tsv` from 0 (its {words} lines are language and word; behind a sentence's end any \
         place), and `lengths` (batch). `pictures.onnx` takes `features` (batch, width), those of the training's picture tower. Both give `vectors` \
         (batch, {joint}) of unit length. Batch and length are free.\n\n\
         ```python\n\
         import numpy as np, onnxruntime as ort\n\n\
         place = {{tuple(line.rstrip(\"\\n\").split(\"\\t\")): n for n, line in enumerate(open(\"words.tsv\", encoding=\"utf-8\"))}}\n\
         sentence = [place[\"en\", word] for word in \"a dog in the snow\".split() if (\"en\", word) in place]\n\
         text = ort.InferenceSession(\"text.onnx\")\n\
         vectors, = text.run(None, {{\"words\": np.array([sentence]), \"lengths\": np.array([len(sentence)])}})\n\
         ```\n\n\
         Words are as `tinyglot` segments sentences: small letters, without what stands between them. Words that training has not seen have no place \
         here; `tinyglot` guesses their vectors from their letters.\n"
    )
}
