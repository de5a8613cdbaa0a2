//! Tokens of a Hugging Face `tokenizer.json`: the one file that touches `tokenizers`.

use std::path::Path;

use rayon::prelude::*;
use tokenizers::Tokenizer;

use crate::{Error, Result};

/// A character that no vocabulary holds (private use).
const UNKNOWN: &str = "\u{10fffd}";

/// A tokenizer that encodes any text.
pub struct HuggingFace(Box<Tokenizer>);

impl HuggingFace {
    /// # Errors
    /// Data, when the file cannot be read or is no tokenizer.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::reading(path, e))?;
        let no_tokenizer = |e| {
            Error::data("is not a tokenizer")
                .at(path)
                .because(e)
                .hint("give a `tokenizer.json` as Hugging Face writes it")
        };
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(no_tokenizer)?;
        // Cutting is `words.max_tokens`'s business, and sentences are padded in batches.
        tokenizer.with_truncation(None).map_err(no_tokenizer)?;
        tokenizer.with_padding(None);
        // Some models refuse a text with an unknown character; asked here, `cut` need not fail later.
        tokenizer.encode(UNKNOWN, false).map_err(|e| {
            Error::data("cannot encode unknown characters")
                .at(path)
                .because(e)
                .hint("give the model an `unk_token`")
        })?;
        Ok(HuggingFace(Box::new(tokenizer)))
    }

    /// The tokens as the model spells them (`##ing`, `▁dog`), each with the part of `text` it stands for; no special tokens.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Vec<(String, &'t str)> {
        let encoding =
            self.0.encode(text, false).expect("the model encodes unknown characters: tried in `open`");
        let spans = encoding.get_offsets().iter();
        // Byte-level models cut characters; such a piece keeps its token whatever it is part of.
        let surface = spans.map(|&(start, end)| text.get(start..end).unwrap_or("x"));
        encoding.get_tokens().iter().cloned().zip(surface).collect()
    }

    /// The token ids of a text, special tokens included.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        self.0.encode(text, true).expect("tried in `open`").get_ids().to_vec()
    }

    /// As [`Self::ids`], for many texts on all threads.
    pub fn ids_of(&self, texts: &[&str]) -> Vec<Vec<u32>> {
        texts.par_iter().map(|text| self.ids(text)).collect()
    }

    /// One more than the highest id.
    pub fn size(&self) -> usize {
        self.0.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// A token for messages: its spelling and id.
    pub fn name(&self, id: u32) -> String {
        format!("`{}` ({id})", self.0.id_to_token(id).unwrap_or_default())
    }
}
