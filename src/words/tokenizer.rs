//! Tokens of a Hugging Face `tokenizer.json`: the one file that touches `tokenizers`.

use std::path::Path;

use rayon::prelude::*;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::{Lowercase, NFC, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

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

    /// Learns a byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) of lower-case texts: it encodes any text. A text begins
    /// with the first of `ends` and ends with the other. The order of the texts makes no difference.
    ///
    /// `size`: tokens at most, of which 256 stand for single bytes and 4 are special.
    ///
    /// # Errors
    /// Run, where `tokenizers` refuses.
    pub fn train(texts: &[&str], size: usize, ends: [&str; 2]) -> Result<Self> {
        Self::learn(texts, size, ends)
            .map(|tokenizer| HuggingFace(Box::new(tokenizer)))
            .map_err(|e| Error::run("no tokenizer could be trained").because(e))
    }

    fn learn(texts: &[&str], size: usize, ends: [&str; 2]) -> tokenizers::Result<Tokenizer> {
        // The end must not get the id 2: transformers then takes the state at the highest id for that of the sentence.
        let special = ["[PAD]", "[UNK]", ends[0], ends[1]];
        let mut tokenizer = Tokenizer::new(BPE::default());
        tokenizer.with_normalizer(Some(Sequence::new(vec![NFC.into(), Lowercase.into()])))?;
        tokenizer.with_pre_tokenizer(Some(ByteLevel::default()));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let trainer = BpeTrainer::builder()
            .vocab_size(size)
            .show_progress(false)
            // Without it the order of ids would be that of a hash map.
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(special.map(|token| AddedToken::from(token, true)).to_vec())
            .build();
        tokenizer.train(&mut TrainerWrapper::from(trainer), texts.iter())?;
        let id = |token: &str| (token.to_string(), tokenizer.token_to_id(token).expect("a special token"));
        let around = TemplateProcessing::builder()
            .try_single(format!("{} $A {}", ends[0], ends[1]))?
            .special_tokens(ends.map(id).to_vec())
            .build()?;
        tokenizer.with_post_processor(Some(around));
        Ok(tokenizer)
    }

    /// As `tokenizer.json` holds it.
    pub fn to_json(&self) -> Result<String> {
        self.0.to_string(true).map_err(|e| Error::run("the tokenizer cannot be written").because(e))
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] =
        ["Ein Hund läuft über die Straße.", "Un homme à vélo", "Two dogs run", "Žena v červených šatech"];

    #[test]
    fn what_is_trained_is_the_same_in_any_order_and_reads_back() {
        let train = |texts: &[&str]| HuggingFace::train(texts, 300, ["<s>", "</s>"]).unwrap();
        let one = train(&TEXTS);
        let mut other = TEXTS;
        other.reverse();
        for _ in 0..3 {
            assert_eq!(train(&other).to_json().unwrap(), one.to_json().unwrap());
        }
        assert_eq!(one.size(), 300);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokenizer.json");
        std::fs::write(&file, one.to_json().unwrap()).unwrap();
        let read = HuggingFace::open(&file).unwrap();
        for text in TEXTS.into_iter().chain(["犬が走る。 🐕", ""]) {
            assert_eq!(read.ids(text), one.ids(text));
        }
    }

    #[test]
    fn any_text_is_encoded_between_its_ends() {
        let tokenizer = HuggingFace::train(&TEXTS, 290, ["<s>", "</s>"]).unwrap();
        let (start, end) = (tokenizer.id("<s>").unwrap(), tokenizer.id("</s>").unwrap());
        assert_eq!((start, end), (2, 3));
        assert_eq!(tokenizer.ids(""), [start, end]);
        let ids = tokenizer.ids("犬 HUND");
        assert_eq!((ids[0], ids[ids.len() - 1]), (start, end));
        assert!(!ids.contains(&tokenizer.id("[UNK]").unwrap()));
        assert_eq!(tokenizer.ids("HUND"), tokenizer.ids("hund"));
    }
}
