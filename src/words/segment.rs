//! A caption → its tokens.

use std::path::Path;

use super::language::Writing;
use super::normalise::Normaliser;
use super::tokenizer::HuggingFace;
use super::unicode::UnicodeWords;
use crate::config::{SegmenterKind, TextRules, WordsConfig};
use crate::{Error, Result};

/// Cuts the text of one language into tokens: normalised, without spaces and punctuation, at most `words.max_tokens`.
pub struct Segmenter {
    kind: Kind,
    normaliser: Normaliser,
    max_tokens: usize,
}

enum Kind {
    Unicode(UnicodeWords),
    Whitespace,
    Tokenizer(HuggingFace),
}

/// A text as tokens, and what they lack of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens {
    /// In order; none, where the text holds no letter and no digit.
    pub tokens: Vec<String>,
    /// Whether the text was longer than `words.max_tokens` and lost its end.
    pub cut: bool,
    /// Tokens that were longer than [`LONGEST`] and lost their end.
    pub long: usize,
}

/// Letters of a token that count (BERT's WordPiece takes as many): what is longer is no word, and whoever learns from words
/// needs a bound.
pub const LONGEST: usize = 100;

impl Segmenter {
    /// `language` is a code such as `de`, `deu_Latn` or `de-CH`; a relative `words.tokenizer` starts from `base`.
    ///
    /// # Errors
    /// Config, for a malformed code, `max_tokens = 0`, or a tokenizer that is not named; data, when its file cannot be used.
    pub fn new(language: &str, config: &WordsConfig, base: &Path) -> Result<Segmenter> {
        let writing = Writing::of(language)?;
        if config.max_tokens == 0 {
            return Err(Error::config("`words.max_tokens` is 0: nothing would be left of any caption"));
        }
        let kind = match config.segmenter {
            SegmenterKind::Unicode => Kind::Unicode(UnicodeWords::new(config.normalisation, writing.elision)),
            SegmenterKind::Whitespace => Kind::Whitespace,
            SegmenterKind::Tokenizer => {
                let file = config.tokenizer.as_ref().ok_or_else(|| {
                    Error::config("`words.segmenter = \"tokenizer\"` names no file")
                        .hint("set `words.tokenizer` to a `tokenizer.json`")
                })?;
                Kind::Tokenizer(HuggingFace::open(&base.join(file))?)
            }
        };
        let normaliser = Normaliser { rules: config.normalisation, writing, lowercase: config.lowercase };
        Ok(Segmenter { kind, normaliser, max_tokens: config.max_tokens })
    }

    /// One per language, as [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn all(languages: &[String], config: &WordsConfig, base: &Path) -> Result<Vec<Segmenter>> {
        languages.iter().map(|language| Segmenter::new(language, config, base)).collect()
    }

    /// The tokens of `text` in order; none, when it holds no letter and no digit.
    pub fn segment(&self, text: &str) -> Vec<String> {
        self.tokens(text).tokens
    }

    /// As [`Self::segment`], with what was cut off.
    pub fn tokens(&self, text: &str) -> Tokens {
        let text = self.normaliser.apply(text);
        match &self.kind {
            Kind::Unicode(words) => self.keep(words.cut(&text).map(|word| (word.to_string(), word))),
            Kind::Whitespace => self.keep(text.split_whitespace().map(|word| (word.to_string(), word))),
            Kind::Tokenizer(tokens) => self.keep(tokens.cut(&text).into_iter()),
        }
    }

    /// Tokens whose surface has a letter or a digit, as many as allowed.
    fn keep<'t>(&self, all: impl Iterator<Item = (String, &'t str)>) -> Tokens {
        let mut kept = Tokens::default();
        for (mut token, _) in all.filter(|(_, surface)| surface.chars().any(char::is_alphanumeric)) {
            if kept.tokens.len() == self.max_tokens {
                kept.cut = true;
                break;
            }
            if self.normaliser.rules == TextRules::Script
                && let Some((end, _)) = token.char_indices().nth(LONGEST)
            {
                token.truncate(end);
                kept.long += 1;
            }
            token.retain(|c| !c.is_whitespace());
            kept.tokens.push(token);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn unicode(language: &str, text: &str) -> Vec<String> {
        Segmenter::new(language, &WordsConfig::default(), Path::new("")).unwrap().segment(text)
    }

    fn kind(kind: SegmenterKind) -> WordsConfig {
        WordsConfig { segmenter: kind, ..WordsConfig::default() }
    }

    #[test]
    fn words_of_many_scripts() {
        let cases: [(&str, &str, &[&str]); 9] = [
            (
                "en",
                "Two dogs don’t run -- they swim, 3.5 km!",
                &["two", "dogs", "don't", "run", "they", "swim", "3.5", "km"],
            ),
            ("de", "Die Straße über dem Fluß.", &["die", "straße", "über", "dem", "fluß"]),
            ("fr", "L'homme d’à côté", &["l'", "homme", "d'", "à", "côté"]),
            ("ru", "Чёрная собака бежит", &["чёрная", "собака", "бежит"]),
            ("ar", "كلب أسود يجري، اليوم؟", &["كلب", "أسود", "يجري", "اليوم"]),
            ("ko", "두 마리의 개가 달린다.", &["두", "마리의", "개가", "달린다"]),
            ("que", "Iskay p'acha, t’anta", &["iskay", "p'acha", "t'anta"]),
            ("zh", "一只黑色的狗在草地上奔跑。", &["一只", "黑色", "的", "狗", "在", "草地", "上", "奔跑"]),
            ("ja", "黒い犬が公園を走っている。", &["黒い", "犬", "が", "公園", "を", "走", "って", "いる"]),
        ];
        for (language, text, words) in cases {
            assert_eq!(unicode(language, text), words, "{language}");
        }
    }

    #[test]
    fn text_is_nfkc() {
        assert_eq!(unicode("en", "ﬁre ①② Ｆｕｌｌ"), ["fire", "12", "full"]);
        assert_eq!(unicode("cs", "pr\u{30c}i\u{301}telkyne\u{30c}"), ["přítelkyně"]);
        assert_eq!(unicode("ja", "ｲﾇ"), unicode("ja", "イヌ"));
        // Lower-casing İ gives i and a dot above, which stays a normal form.
        let word = unicode("tr", "İzmir").concat();
        assert_eq!(word.nfkc().collect::<String>(), word);
    }

    #[test]
    fn nothing_but_punctuation_is_no_word() {
        assert_eq!(unicode("en", " … --- !? \t\n 。、"), Vec::<String>::new());
        assert_eq!(unicode("en", ""), Vec::<String>::new());
    }

    #[test]
    fn case_is_kept_when_asked() {
        let config = WordsConfig { lowercase: false, ..kind(SegmenterKind::Whitespace) };
        let segmenter = Segmenter::new("de", &config, Path::new("")).unwrap();
        assert_eq!(segmenter.segment("Ein  Hund\u{a0}. U.S. -"), ["Ein", "Hund", "U.S."]);
    }

    #[test]
    fn sentences_are_cut_at_max_tokens() {
        let config = WordsConfig { max_tokens: 3, ..WordsConfig::default() };
        let segmenter = Segmenter::new("en", &config, Path::new("")).unwrap();
        assert_eq!(segmenter.segment("a, b, c, d, e"), ["a", "b", "c"]);
        let config = WordsConfig { max_tokens: 0, ..WordsConfig::default() };
        assert!(Segmenter::new("en", &config, Path::new("")).is_err());
    }

    #[test]
    fn language_codes_in_three_forms() {
        for language in ["fr", "fra", "fra_Latn", "fr-Latn"] {
            assert_eq!(unicode(language, "l'eau"), ["l'", "eau"], "{language}");
        }
        for language in ["", "f", "french", "FR", "fr_latn", "fr_Latn_x", "ʼn"] {
            let e = Segmenter::new(language, &WordsConfig::default(), Path::new("")).err().expect(language);
            assert_eq!(e.exit_status(), 3);
        }
    }

    const WORDPIECE: &str = r###"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
        "pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"decoder":null,
        "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
        "vocab":{"[UNK]":0,"dog":1,"run":2,"##ning":3,",":4,"собака":5}}}"###;

    #[test]
    fn hugging_face_tokens() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), WORDPIECE).unwrap();
        let config =
            WordsConfig { tokenizer: Some("tokenizer.json".into()), ..kind(SegmenterKind::Tokenizer) };
        let segmenter = Segmenter::new("en", &config, folder.path()).unwrap();
        assert_eq!(
            segmenter.segment("Dog, running собака cat!"),
            ["dog", "run", "##ning", "собака", "[UNK]"]
        );
    }

    #[test]
    fn tokenizer_that_cannot_be_used_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = kind(SegmenterKind::Tokenizer);
        assert_eq!(Segmenter::new("en", &config, folder.path()).err().unwrap().exit_status(), 3);
        let config = WordsConfig { tokenizer: Some("t.json".into()), ..config };
        let decoder = WORDPIECE.replace(
            "\"decoder\":null",
            "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}",
        );
        let within = decoder.find("WordPiece\",\"prefix").unwrap();
        let contents = [
            "",
            "{",
            "{}",
            "[]",
            r#"{"version":"1.0","decoder":{"#,
            r#"{"version":"1.0","decoder":{}}"#,
            &decoder[..within + 3],
            &decoder.replacen("\"prefix\"", "\0", 1),
            &WORDPIECE.replace("BertPreTokenizer", "Nothing"),
            &WORDPIECE.replace("\"[UNK]\":0,", ""),
            &WORDPIECE[..WORDPIECE.len() - 5],
        ];
        for content in contents {
            std::fs::write(folder.path().join("t.json"), content).unwrap();
            let e = Segmenter::new("en", &config, folder.path()).err().expect(content);
            assert!(e.to_string().contains("t.json") && e.exit_status() == 4, "{e}");
        }
        // Wherever a file is cut it is refused, and nothing panics.
        for end in 0..decoder.len() {
            let Some(content) = decoder.get(..end) else { continue };
            std::fs::write(folder.path().join("t.json"), content).unwrap();
            assert!(Segmenter::new("en", &config, folder.path()).is_err(), "cut at {end}");
        }
        std::fs::write(folder.path().join("t.json"), &decoder).unwrap();
        assert!(Segmenter::new("en", &config, folder.path()).is_ok());
    }
}
