//! Words by Unicode's rules, with dictionaries for Chinese and Japanese: the one file that touches `icu_segmenter`.

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};

/// Languages that write short words before an apostrophe (`l'eau`, `dell'arte`): the cut is after it.
/// Elsewhere the apostrophe stays in the word (`don't`, Quechua `p'acha`).
const ELISION: [&str; 8] = ["fr", "fra", "it", "ita", "ca", "cat", "oc", "oci"];

/// Word boundaries of Unicode Standard Annex 29; spans of Chinese and Japanese are cut by ICU's dictionary, of Thai,
/// Lao, Khmer and Burmese by its small network. All data is compiled in.
pub(super) struct UnicodeWords {
    segmenter: WordSegmenterBorrowed<'static>,
    elision: bool,
}

impl UnicodeWords {
    /// `language` is the code without its script: `fr` or `fra`.
    pub(super) fn new(language: &str) -> Self {
        UnicodeWords {
            segmenter: WordSegmenter::new_auto(WordBreakInvariantOptions::default()),
            elision: ELISION.contains(&language),
        }
    }

    /// All segments in order, spaces and punctuation too.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut segments = Vec::new();
        let mut start = 0;
        for end in self.segmenter.segment_str(text).skip(1) {
            let segment = &text[start..end];
            if self.elision {
                segments.extend(segment.split_inclusive('\''));
            } else {
                segments.push(segment);
            }
            start = end;
        }
        segments
    }
}
