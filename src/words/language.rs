//! Language codes, and what of the way a language is written depends on more than its script.

use std::borrow::Cow;

use crate::{Error, Result};

/// How a language is written, as far as Unicode's own data do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Writing {
    /// Short words end with an apostrophe (`l'eau`, `dell'arte`): the cut is after it. Elsewhere the apostrophe stays in the word
    /// (`don't`, Quechua `p'acha`).
    pub elision: bool,
    /// I and ı, İ and i are the pairs of letters (SpecialCasing.txt: `tr`, `az`).
    pub dotless: bool,
    /// Hebrew points are an aid to reading that few texts have; in Yiddish they are part of the letters.
    pub points: bool,
    /// Arabic vowel signs are an aid to reading that few texts have.
    pub vowel_signs: bool,
    /// Yeh and kaf are U+06CC and U+06A9; Arabic keyboards give U+064A and U+0643.
    pub persian_letters: bool,
}

const ELISION: [&str; 8] = ["fr", "fra", "it", "ita", "ca", "cat", "oc", "oci"];
const DOTLESS: [&str; 7] = ["tr", "tur", "az", "aze", "azj", "crh", "gag"];
/// Those whose Latin alphabet has the dotless letter, but that are mostly written in Cyrillic.
const DOTLESS_IN_LATIN: [&str; 4] = ["kk", "kaz", "tt", "tat"];
const HEBREW: [&str; 3] = ["he", "heb", "iw"];
const ARABIC: [&str; 12] =
    ["ar", "ara", "arb", "arz", "ary", "ars", "apc", "ajp", "apd", "acm", "acq", "aeb"];
const PERSIAN: [&str; 7] = ["fa", "fas", "per", "pes", "prs", "ur", "urd"];

impl Writing {
    /// `language`: two or three letters, then a script, then a region, such as `de`, `deu_Latn`, `tr-TR` or `zh-Hant-TW`.
    ///
    /// # Errors
    /// Config, for anything else.
    pub fn of(language: &str) -> Result<Writing> {
        let wrong = || {
            Error::config(format!("`{language}` is not a language code"))
                .hint("write it like `de`, `deu`, `deu_Latn` or `de-CH`")
        };
        let mut parts = language.split(['_', '-']).peekable();
        let code = parts.next().unwrap_or_default();
        let lower = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase());
        if !matches!(code.len(), 2 | 3) || !lower(code) {
            return Err(wrong());
        }
        let is_script =
            |s: &&str| s.len() == 4 && s.starts_with(|c: char| c.is_ascii_uppercase()) && lower(&s[1..]);
        let script = parts.next_if(is_script);
        let is_region = |s: &&str| match s.len() {
            2 => s.bytes().all(|b| b.is_ascii_uppercase()),
            3 => s.bytes().all(|b| b.is_ascii_digit()),
            _ => false,
        };
        parts.next_if(is_region);
        if parts.next().is_some() {
            return Err(wrong());
        }
        let latin = script == Some("Latn");
        Ok(Writing {
            elision: ELISION.contains(&code),
            dotless: DOTLESS.contains(&code) || latin && DOTLESS_IN_LATIN.contains(&code),
            points: HEBREW.contains(&code),
            vowel_signs: ARABIC.contains(&code) || PERSIAN.contains(&code),
            persian_letters: PERSIAN.contains(&code),
        })
    }
}

/// A text with the letters I and İ in lower case where the language pairs them with ı and i; all others stay as they are, and all
/// of other languages.
pub fn with_dotless<'t>(text: &'t str, language: &str) -> Cow<'t, str> {
    match text.contains(['I', 'İ']) && Writing::of(language).is_ok_and(|writing| writing.dotless) {
        true => dotless(text).into(),
        false => text.into(),
    }
}

/// The letters I and İ, composed or not, as ı and i.
pub(super) fn dotless(text: &str) -> String {
    text.replace("I\u{307}", "i").replace('İ', "i").replace('I', "ı")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turkish_letters_are_paired_as_in_turkish() {
        for (text, lower) in
            [("IŞIK", "ıŞıK"), ("İstanbul", "istanbul"), ("I\u{307}zmir", "izmir"), ("ev", "ev")]
        {
            assert_eq!(with_dotless(text, "tr"), lower);
            assert_eq!(with_dotless(text, "az-Latn"), lower);
            for other in ["de", "kk", "TR", ""] {
                assert_eq!(with_dotless(text, other), text, "{other}");
            }
        }
    }

    #[test]
    fn a_code_may_have_a_script_and_a_region() {
        for language in
            ["tr", "tur", "tr-TR", "tr_TR", "tr-Latn-TR", "tur_Latn", "az-AZ", "az-Latn", "kk-Latn"]
        {
            assert!(Writing::of(language).unwrap().dotless, "{language}");
        }
        for language in ["de", "de-CH", "es-419", "zh-Hant-TW", "kk", "kk-Cyrl-KZ"] {
            assert_eq!(Writing::of(language).unwrap(), Writing::default(), "{language}");
        }
        assert!(Writing::of("fr-CA").unwrap().elision);
        for language in
            ["", "f", "french", "FR", "fr_latn", "fr_Latn_x", "ʼn", "tr-tr", "tr-TR-TR", "tr-TR-Latn"]
        {
            let e = Writing::of(language).expect_err(language);
            assert_eq!(e.exit_status(), 3);
        }
    }
}
