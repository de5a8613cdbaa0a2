//! One spelling for what people read as one: what happens to a text before it is cut into words.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, decompose_compatible};

use super::language::{Writing, dotless};
use crate::config::TextRules;

/// The rules for the texts of one language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normaliser {
    pub rules: TextRules,
    pub writing: Writing,
    pub lowercase: bool,
}

impl Normaliser {
    pub(super) fn apply(&self, text: &str) -> String {
        match self.rules {
            TextRules::Nfkc => nfkc(text, self.lowercase),
            TextRules::Script => self.by_script(text),
        }
    }

    fn by_script(&self, text: &str) -> String {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'`' || b == b' ';
        if text.bytes().all(plain) && !self.writing.dotless {
            return if self.lowercase { text.to_ascii_lowercase() } else { text.to_string() };
        }
        let mut text: String = one_by_one(text).nfc().collect();
        if self.lowercase {
            if self.writing.dotless {
                text = dotless(&text);
            }
            text = text.to_lowercase().nfc().collect();
        }
        let text: Vec<char> = text.chars().collect();
        // What was taken out may have stood between characters that compose.
        self.in_context(&text).nfc().collect()
    }

    /// What depends on the characters before and after.
    fn in_context(&self, text: &[char]) -> String {
        let mut out = String::with_capacity(text.len() * 2);
        let mut before = None;
        let mut rest = text;
        while let [c, after @ ..] = rest {
            let (taken, left): (&[char], &[char]) = match rest {
                // Vowels of Thai and Lao that NFKC cuts, or that are typed in two parts.
                [NIKHAHIT, SARA_AA, ..] => (&rest[..2], &[SARA_AM]),
                [NIKHAHIT, '\u{e48}'..='\u{e4b}', SARA_AA, ..] => (&rest[..3], &[rest[1], SARA_AM]),
                [NIGGAHITA, LAO_AA, ..] => (&rest[..2], &[LAO_AM]),
                [NIGGAHITA, '\u{ec8}'..='\u{ecb}', LAO_AA, ..] => (&rest[..3], &[rest[1], LAO_AM]),
                // Letters that Unicode 4.1 and 5.1 gave a character of their own.
                ['\u{9a4}', '\u{9cd}', ZWJ, ..] => (&rest[..3], &['\u{9ce}']),
                ['\u{d28}', '\u{d4d}', ZWJ, ..] => (&rest[..3], &['\u{d7b}']),
                ['\u{d23}', '\u{d4d}', ZWJ, ..] => (&rest[..3], &['\u{d7a}']),
                ['\u{d30}', '\u{d4d}', ZWJ, ..] => (&rest[..3], &['\u{d7c}']),
                ['\u{d32}', '\u{d4d}', ZWJ, ..] => (&rest[..3], &['\u{d7d}']),
                ['\u{d33}', '\u{d4d}', ZWJ, ..] => (&rest[..3], &['\u{d7e}']),
                ['\u{d15}', '\u{d4d}', ZWJ, ..] => (&rest[..3], &['\u{d7f}']),
                // Marathi's eyelash ra in its two spellings (The Unicode Standard, 12.1, rule R5a).
                ['\u{930}', '\u{94d}', ZWJ, ..] => (&rest[..3], &['\u{931}', '\u{94d}']),
                _ if self.kept(before, *c, after) => (&rest[..1], &rest[..1]),
                _ => (&rest[..1], &[]),
            };
            for &c in left {
                let letter = self.letter(before, c, after);
                out.push(letter);
                before = Some(letter);
            }
            rest = &rest[taken.len()..];
        }
        out
    }

    /// Whether a character says anything where it stands.
    fn kept(&self, before: Option<char>, c: char, after: &[char]) -> bool {
        !match c {
            // i and j have their dot: so is İ in lower case.
            '\u{307}' => matches!(before, Some('i' | 'j' | 'į')),
            // Marks of stress; accented letters of Cyrillic are composed by now.
            '\u{300}' | '\u{301}' => before.is_some_and(|b| ('\u{400}'..='\u{52f}').contains(&b)),
            ZWNJ | ZWJ => !joins(before, c, after.first().copied()),
            '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' => {
                self.writing.points
            }
            '\u{64b}'..='\u{652}' | '\u{656}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6ed}' => {
                self.writing.vowel_signs && canonical_combining_class(c) > 0
            }
            _ => false,
        }
    }

    /// The letter that is meant.
    fn letter(&self, before: Option<char>, c: char, after: &[char]) -> char {
        match c {
            '\u{64a}' if self.writing.persian_letters => '\u{6cc}',
            '\u{643}' if self.writing.persian_letters => '\u{6a9}',
            // Typed for an apostrophe, or the letter that looks like one.
            '`' | '´' | '‘' | 'ʹ' | 'ʻ' | '′'
                if before.is_some_and(char::is_alphanumeric)
                    && after.first().is_some_and(|c| c.is_alphabetic()) =>
            {
                '\''
            }
            _ => c,
        }
    }
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';
const NIKHAHIT: char = '\u{e4d}';
const SARA_AA: char = '\u{e32}';
const SARA_AM: char = '\u{e33}';
const NIGGAHITA: char = '\u{ecd}';
const LAO_AA: char = '\u{eb2}';
const LAO_AM: char = '\u{eb3}';

/// The rules of runs that name none: NFKC, lower case if asked, and one apostrophe for ’ and ʼ.
fn nfkc(text: &str, lowercase: bool) -> String {
    let text: String =
        text.nfkc().map(|c| if matches!(c, '\u{2019}' | '\u{2bc}') { '\'' } else { c }).collect();
    // Lower-casing can take apart what NFKC had composed (İ).
    if lowercase { text.to_lowercase().nfkc().collect() } else { text }
}

/// Compatibility decomposition, as in NFKC, but for characters that it would make others of; without those that nobody sees.
fn one_by_one(text: &str) -> std::vec::IntoIter<char> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let mut parts = Vec::new();
        decompose_compatible(c, |part| parts.push(part));
        match c {
            _ if ignorable(c) => {}
            // Where lines and words may end, in scripts without spaces; the fillers of Hangul are blanks.
            '\u{200b}' | '\u{3164}' | '\u{ffa0}' => out.push(' '),
            _ if c.is_control() && !c.is_whitespace() => out.push(' '),
            // A picture, as ℹ or ㊗ with the selector for emoji.
            _ if rest.peek() == Some(&'\u{fe0f}') && parts != [c] => out.push(' '),
            '\u{2bc}' | '\u{2019}' | '\u{5f3}' | '\u{ff07}' | '\u{1fbd}' => out.push('\''),
            '\u{5f4}' => out.push('"'),
            '\u{2010}' | '\u{2011}' => out.push('-'),
            '\u{309b}' => out.push('\u{3099}'),
            '\u{309c}' => out.push('\u{309a}'),
            // Half-width jamo, as they are in full width.
            '\u{ffa1}'..='\u{ffbe}' => out.push(shifted(c, 0xffa1, 0x3131)),
            '\u{ffc2}'..='\u{ffc7}' => out.push(shifted(c, 0xffc2, 0x314f)),
            '\u{ffca}'..='\u{ffcf}' => out.push(shifted(c, 0xffca, 0x3155)),
            '\u{ffd2}'..='\u{ffd7}' => out.push(shifted(c, 0xffd2, 0x315b)),
            '\u{ffda}'..='\u{ffdc}' => out.push(shifted(c, 0xffda, 0x3161)),
            _ if whole(c) => out.push(c),
            // Arabic signs alone, for which NFKC has a space before.
            '\u{fc5e}'..='\u{fc63}' | '\u{fe70}'..='\u{fe7f}' => {
                out.extend(parts.into_iter().filter(|&part| part != ' ' && part != TATWEEL))
            }
            TATWEEL | '\u{7fa}' => {}
            _ => out.extend(parts),
        }
    }
    out.into_iter()
}

/// Lengthens the line between letters.
const TATWEEL: char = '\u{640}';

fn shifted(c: char, from: u32, to: u32) -> char {
    char::from_u32(c as u32 - from + to).expect("a letter of Hangul")
}

/// Characters without a shape and without a meaning in words (Default_Ignorable_Code_Point, but for joiners and letters), and
/// enclosing marks.
fn ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180d}' | '\u{180f}'
        | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{20dd}'..='\u{20e0}' | '\u{20e2}'..='\u{20e4}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Characters that NFKC makes others of: letters of their own, and signs that would grow into the word beside them.
fn whole(c: char) -> bool {
    matches!(c,
        // Thai and Lao am, Lao ho no and ho mo, the Armenian word for `and`.
        SARA_AM | LAO_AM | '\u{edc}' | '\u{edd}' | '\u{587}'
        // Hangul letters that stand alone (ㅋㅋ), ™ and ℠, ½ behind a digit, Japanese signs in squares, ´.
        | '\u{3131}'..='\u{318e}' | '\u{2122}' | '\u{2120}' | '\u{bc}'..='\u{be}' | '\u{2150}'..='\u{215f}'
        | '\u{2189}' | '\u{1f200}'..='\u{1f265}' | '\u{b4}' | '\u{1ffd}')
}

/// Whether a joiner is part of the spelling: behind a virama, in conjuncts before one, and between Arabic letters of which
/// the first would join the second (RFC 5892, appendix A).
fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let virama = |c: char| canonical_combining_class(c) == 9;
    // In Devanagari it only says which of two shapes a conjunct has.
    let devanagari = |c: char| ('\u{900}'..='\u{97f}').contains(&c);
    let spelt =
        after.is_alphabetic() && (virama(before) || joiner == ZWJ && virama(after)) && !devanagari(before);
    spelt || joiner == ZWNJ && joining(before) && joining(after) && !right_joining(before)
}

/// Letters of scripts in which letters join: Arabic, Syriac, N'Ko.
fn joining(c: char) -> bool {
    let script = matches!(c, '\u{620}'..='\u{7ff}' | '\u{860}'..='\u{8ff}');
    script && c.is_alphabetic() && c != '\u{621}'
}

/// Arabic letters that never join the next one.
fn right_joining(c: char) -> bool {
    matches!(c,
        '\u{622}'..='\u{625}' | '\u{627}' | '\u{629}' | '\u{62f}'..='\u{632}' | '\u{648}' | '\u{671}'..='\u{673}'
        | '\u{675}'..='\u{677}' | '\u{688}'..='\u{699}' | '\u{6c0}' | '\u{6c3}'..='\u{6cb}' | '\u{6cd}'
        | '\u{6cf}' | '\u{6d2}' | '\u{6d3}' | '\u{6d5}' | '\u{6ee}' | '\u{6ef}')
}

#[cfg(test)]
#[path = "normalise_tests.rs"]
mod tests;
