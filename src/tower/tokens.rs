//! From texts to token ids, as a tower was trained on them.

use std::borrow::Cow;
use std::path::Path;

use super::{Architecture, Pooled, TowerConfig};
use crate::ops::sequences::Sequences;
use crate::words::{HuggingFace, with_dotless};
use crate::{Error, Result};

/// The `tokenizer.json` of a checkpoint: texts as ids, those of start and end included.
pub struct TowerTokenizer {
    tokenizer: HuggingFace,
    start: u32,
    end: u32,
    /// Most tokens of a text.
    context: usize,
    case_of_language: bool,
}

/// Texts as token ids.
pub struct Encoded {
    /// Token ids of each text, those for start and end included.
    pub ids: Sequences,
    /// Places of the texts that were longer than the context and lost their end.
    pub truncated: Vec<usize>,
}

/// Tables of embeddings are padded to a multiple of this, at most.
const PADDING: usize = 128;

impl TowerTokenizer {
    /// Reads a tokenizer for a tower.
    ///
    /// # Errors
    /// Data: no tokenizer; more tokens than the tower's embedding has rows, or so few that it belongs to another one; other than one
    /// special token before and one behind a text, or another one behind it than CLIP's.
    pub fn open(path: &Path, config: &TowerConfig) -> Result<Self> {
        Self::new(HuggingFace::open(path)?, path, config)
    }

    /// Takes a tokenizer for a tower; `path` names it in errors, which are those of [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(tokenizer: HuggingFace, path: &Path, config: &TowerConfig) -> Result<Self> {
        let wrong = |what: String| {
            Err(Error::data(what)
                .at(path)
                .hint("give the `tokenizer.json` that the checkpoint was trained with"))
        };
        let (size, rows) = (tokenizer.size(), config.vocabulary);
        if size > rows || size + PADDING <= rows {
            return wrong(format!("has {size} tokens; the tower's embedding has {rows}"));
        }
        let around = tokenizer.around();
        let ([start], [end]) = (&around[0][..], &around[1][..]) else {
            let [before, behind] = around.map(|ids| ids.len());
            return wrong(format!(
                "puts {before} special tokens before a text and {behind} behind it; the tower was trained with one and one"
            ));
        };
        let (start, end) = (*start, *end);
        let name = |id: u32| tokenizer.name(id);
        if start == end {
            return wrong(format!("begins and ends a text with {}", name(start)));
        }
        let expected = match (config.architecture, config.pooled) {
            (Architecture::Clip, Pooled::Token(end)) => end,
            (Architecture::Clip, _) => size as u32 - 1,
            // An encoder's are those that its tokenizer puts there.
            _ => end,
        };
        if end != expected {
            let (end, expected) = (name(end), name(expected));
            return wrong(format!("ends a text with {end}; the tower was trained with {expected}"));
        }
        let (context, case_of_language) = (config.tokens(), config.case_of_language);
        Ok(TowerTokenizer { tokenizer, start, end, context, case_of_language })
    }

    /// The id at the end of every text.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The id of what the tokenizer does not know, if it has one.
    pub fn unknown(&self) -> Option<u32> {
        self.tokenizer.unknown()
    }

    /// The same tokenizer for a tower with another context.
    pub fn with_context(self, context: usize) -> Self {
        TowerTokenizer { context, ..self }
    }

    /// Whether a text of a language is longer than the context.
    pub fn cuts(&self, language: &str, text: &str) -> bool {
        !self.encode(language, &[text]).truncated.is_empty()
    }

    /// Texts of a language as ids; one longer than the context keeps its beginning, and the end token (as CLIP truncates).
    pub fn encode(&self, language: &str, texts: &[&str]) -> Encoded {
        let mut encoded = Encoded { ids: Sequences::new(), truncated: Vec::new() };
        let texts: Vec<Cow<str>> = match self.case_of_language {
            true => texts.iter().map(|text| with_dotless(text, language)).collect(),
            false => texts.iter().map(|&text| text.into()).collect(),
        };
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        for (n, ids) in self.tokenizer.ids_of(&texts).into_iter().enumerate() {
            debug_assert_eq!(ids.first(), Some(&self.start));
            if ids.len() <= self.context {
                encoded.ids.push(ids);
            } else {
                encoded.truncated.push(n);
                let kept = ids[..self.context - 1].iter().copied();
                encoded.ids.push(kept.chain([self.end]));
            }
        }
        encoded
    }
}
