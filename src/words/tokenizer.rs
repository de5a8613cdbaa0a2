//! Tokens of a Hugging Face `tokenizer.json`: the one file that touches `tokenizers`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFC, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Encoding, Tokenizer};

use super::clip;
use crate::{Error, Result, border};

fn no_tokenizer(path: &Path, reason: String) -> Error {
    Error::data("is not a tokenizer")
        .at(path)
        .because(reason)
        .hint("give a `tokenizer.json` as Hugging Face writes it, whole")
}

/// Letters of a word that a vocabulary is learnt from: every merge goes through whole words, so that one of 700,000 letters
/// takes minutes.
const LONGEST: usize = 200;

/// A text in pieces without longer words: those in which nothing but letters, digits, white space or anything else stands.
fn pieces(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        _ if c.is_whitespace() => 0,
        _ if c.is_alphabetic() => 1,
        _ if c.is_numeric() => 2,
        _ => 3,
    };
    let (mut pieces, mut start, mut run, mut before) = (Vec::new(), 0, 0, None);
    for (at, c) in text.char_indices() {
        run = if before == Some(kind(c)) { run + 1 } else { 1 };
        before = Some(kind(c));
        if run > LONGEST {
            pieces.push(&text[start..at]);
            (start, run) = (at, 1);
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// Soft hyphens, marks of direction and order of bytes, variation selectors: words are the same without them.
const INVISIBLE: &str =
    r"[\x{AD}\x{34F}\x{61C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FE00}-\x{FE0F}\x{FEFF}]";

/// A character that no vocabulary holds (private use).
const UNKNOWN: &str = "\u{10fffd}";

/// A tokenizer that encodes any text.
pub struct HuggingFace {
    tokenizer: Box<Tokenizer>,
    /// What errors name; empty for one that was learnt here.
    path: PathBuf,
}

impl HuggingFace {
    /// Reads a `tokenizer.json`, or where there is none the files of a CLIP beside its place.
    ///
    /// # Errors
    /// Data, when the file cannot be read or is no tokenizer.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = Self::read(path)?;
        // `tokenizers` panics on a file that ends within a decoder.
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
            .map_err(|e| no_tokenizer(path, e.to_string()).line(e.line().max(1)))?;
        Self::of(path, || Tokenizer::from_bytes(&bytes))
    }

    /// The content of a `tokenizer.json`; where it is not there, what the `vocab.json` and `merges.txt` of a CLIP beside its
    /// place are equal to.
    ///
    /// # Errors
    /// Data, when there is neither.
    pub fn read(path: &Path) -> Result<Vec<u8>> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !path.exists()
            && let Some(bytes) = clip::tokenizer_json(folder)?
        {
            return Ok(bytes);
        }
        std::fs::read(path).map_err(|e| {
            Error::reading(path, e).hint(
                "give a `tokenizer.json`; transformers makes it: \
                 `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`",
            )
        })
    }

    /// Takes what `make` makes of the file `path`, where it encodes any text.
    fn of(path: &Path, make: impl FnOnce() -> tokenizers::Result<Tokenizer>) -> Result<Self> {
        let make = || {
            let mut tokenizer = make()?;
            // Cutting is `words.max_tokens`'s business, and sentences are padded in batches.
            tokenizer.with_truncation(None)?;
            tokenizer.with_padding(None);
            tokenizers::Result::Ok(tokenizer)
        };
        let made = border::guarded(make).and_then(|made| made.map_err(|e| e.to_string()));
        let tokenizer = made.map_err(|e| no_tokenizer(path, e))?;
        let this = HuggingFace { tokenizer: Box::new(tokenizer), path: path.to_path_buf() };
        // Some models refuse a text with an unknown character, or lack the tokens to put around it: better now than later.
        for (text, special) in [(UNKNOWN, false), (UNKNOWN, true), ("", true)] {
            this.encode(text, special).map_err(|e| {
                let what = "cannot encode unknown characters";
                Error::data(what).at(path).because(e).hint("give the model an `unk_token`")
            })?;
        }
        Ok(this)
    }

    fn encode(&self, text: &str, special: bool) -> Result<Encoding, String> {
        let encode = || self.tokenizer.encode(text, special).map_err(|e| e.to_string());
        border::guarded(encode).and_then(|encoded| encoded)
    }

    /// Ends the command where the tokenizer breaks off in a text.
    fn encoded(&self, text: &str, special: bool) -> Encoding {
        self.encode(text, special).unwrap_or_else(|e| {
            let start: String = text.chars().take(40).collect();
            let what = format!("cannot encode `{start}`{}", if start.len() < text.len() { "…" } else { "" });
            border::end(
                Error::data(what).at(&self.path).because(e).hint("the tokenizer, or the text, is broken"),
            )
        })
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
            .map(|tokenizer| HuggingFace { tokenizer: Box::new(tokenizer), path: PathBuf::new() })
            .map_err(|e| Error::run("no tokenizer could be trained").because(e))
    }

    fn learn(texts: &[&str], size: usize, ends: [&str; 2]) -> tokenizers::Result<Tokenizer> {
        // The end must not get the id 2: transformers then takes the state at the highest id for that of the sentence.
        let special = ["[PAD]", "[UNK]", ends[0], ends[1]];
        let mut tokenizer = Tokenizer::new(BPE::default());
        let invisible = Replace::new(ReplacePattern::Regex(INVISIBLE.into()), "")?;
        let normalizers = vec![invisible.into(), NFC.into(), Lowercase.into()];
        tokenizer.with_normalizer(Some(Sequence::new(normalizers)))?;
        tokenizer.with_pre_tokenizer(Some(ByteLevel::default()));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let trainer = BpeTrainer::builder()
            .vocab_size(size)
            .show_progress(false)
            // Without it the order of ids would be that of a hash map.
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(special.map(|token| AddedToken::from(token, true)).to_vec())
            .build();
        let pieces = texts.iter().flat_map(|text| pieces(text));
        tokenizer.train(&mut TrainerWrapper::from(trainer), pieces)?;
        let id = |token: &str| (token.to_string(), tokenizer.token_to_id(token).expect("a special token"));
        let around = TemplateProcessing::builder()
            .try_single(format!("{} $A {}", ends[0], ends[1]))?
            .special_tokens(ends.map(id).to_vec())
            .build()?;
        tokenizer.with_post_processor(Some(around));
        Ok(tokenizer)
    }

    /// As `tokenizer.json` holds it.
    ///
    /// # Errors
    /// Run, where `tokenizers` refuses.
    pub fn to_json(&self) -> Result<String> {
        self.tokenizer.to_string(true).map_err(|e| Error::run("the tokenizer cannot be written").because(e))
    }

    /// The tokens as the model spells them (`##ing`, `▁dog`), each with the part of `text` it stands for; no special tokens.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Vec<(String, &'t str)> {
        let encoding = self.encoded(text, false);
        let spans = encoding.get_offsets().iter();
        // Byte-level models cut characters; such a piece keeps its token whatever it is part of.
        let surface = spans.map(|&(start, end)| text.get(start..end).unwrap_or("x"));
        encoding.get_tokens().iter().cloned().zip(surface).collect()
    }

    /// The token ids of a text, special tokens included.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        self.encoded(text, true).get_ids().to_vec()
    }

    /// As [`Self::ids`], for many texts on all threads.
    pub fn ids_of(&self, texts: &[&str]) -> Vec<Vec<u32>> {
        texts.par_iter().map(|text| self.ids(text)).collect()
    }

    /// One more than the highest id.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The id of a token, if it is one.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The special tokens that stand before and behind those of every text, as the tokenizer's post-processor puts them.
    pub fn around(&self) -> [Vec<u32>; 2] {
        let encoding = self.encoded("a", true);
        let (ids, special) = (encoding.get_ids(), encoding.get_special_tokens_mask());
        let before = special.iter().take_while(|&&special| special == 1).count();
        let behind = special[before..].iter().rev().take_while(|&&special| special == 1).count();
        [ids[..before].to_vec(), ids[ids.len() - behind..].to_vec()]
    }

    /// The id of what the model does not know, if it has one.
    pub fn unknown(&self) -> Option<u32> {
        let own = match self.tokenizer.get_model() {
            ModelWrapper::WordPiece(model) => self.id(&model.unk_token),
            ModelWrapper::WordLevel(model) => self.id(&model.unk_token),
            ModelWrapper::BPE(model) => model.unk_token.as_ref().and_then(|token| self.id(token)),
            // It tells nobody but its file.
            ModelWrapper::Unigram(model) => {
                let json = serde_json::to_value(model).expect("plain data");
                json["unk_id"].as_u64().map(|id| id as u32)
            }
        };
        own.or_else(|| ["[UNK]", "<unk>"].into_iter().find_map(|token| self.id(token)))
    }

    /// The spelling of a token, if the id is one's.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// A token for messages: its spelling and id.
    pub fn name(&self, id: u32) -> String {
        format!("`{}` ({id})", self.token(id).unwrap_or_default())
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
    fn endless_words_are_learnt_in_pieces() {
        assert_eq!(pieces("two dogs"), ["two dogs"]);
        assert_eq!(pieces(""), [""]);
        let long = "狗".repeat(450);
        let cut: Vec<usize> = pieces(&format!("a {long} b")).iter().map(|p| p.chars().count()).collect();
        assert_eq!(cut, [202, 200, 52]);
        // Pairs everywhere, in an order that repeats late; and white space, which is a word to the byte-level split.
        let word: String = (0..300_000u64).map(|n| (b'a' + (n * n * 7 / 11 % 26) as u8) as char).collect();
        let start = std::time::Instant::now();
        for text in [word, " ".repeat(300_000), "-".repeat(300_000), "7".repeat(300_000)] {
            let tokenizer = HuggingFace::train(&[&text, "a dog"], 400, ["<s>", "</s>"]).unwrap();
            assert!(tokenizer.ids(&text).len() > 2);
        }
        assert!(start.elapsed().as_secs() < 120, "{:?}", start.elapsed());
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
        assert_eq!(tokenizer.ids("\u{feff}Hu\u{ad}nd\u{200f}"), tokenizer.ids("hund"));
        assert_eq!(tokenizer.ids("ve\u{301}lo"), tokenizer.ids("vélo"));
    }
}
