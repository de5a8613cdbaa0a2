//! Words by Unicode's rules, with dictionaries for Chinese and Japanese: the one file that touches `icu_segmenter`.

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};

use crate::config::TextRules;

/// Word boundaries of Unicode Standard Annex 29; spans of Chinese and Japanese are cut by ICU's dictionary, of Thai, Lao,
/// Khmer and Burmese by its dictionaries or, for [`TextRules::Nfkc`], by its small networks, which join more words and take ten
/// times as long. All data is compiled in.
pub(super) struct UnicodeWords {
    segmenter: WordSegmenterBorrowed<'static>,
    elision: bool,
}

impl UnicodeWords {
    /// `elision`: whether words end with their apostrophe.
    pub(super) fn new(rules: TextRules, elision: bool) -> Self {
        let options = WordBreakInvariantOptions::default();
        let segmenter = match rules {
            TextRules::Nfkc => WordSegmenter::new_auto(options),
            TextRules::Script => WordSegmenter::new_dictionary(options),
        };
        UnicodeWords { segmenter, elision }
    }

    /// All segments in order, spaces and punctuation too, as they are asked for.
    pub(super) fn cut<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let (mut start, elision) = (0, self.elision);
        let segments = self.segmenter.segment_str(text).skip(1).map(move |end| {
            let segment = &text[start..end];
            start = end;
            segment
        });
        segments.flat_map(move |segment| segment.split_inclusive(move |c| elision && c == '\''))
    }
}
