//! Which row of which table each word uses, and the distinct rows of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::characters::Spellings;
use crate::error::{Error, Result};
use crate::ops::sequences::Sequences;
use crate::words::{Dictionary, Vocabulary};

/// Where the vector of a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// Row of the shared latent vocabulary, or of the spellings where words are made of characters.
    Latent(u32),
    /// Row of the language's own words.
    Own(u32),
    /// Row of another language's own words.
    Other {
        /// Place of that language.
        language: u32,
        /// Row of its own words.
        row: u32,
    },
}

/// The words of all languages and their slots.
#[derive(Clone)]
pub struct Lexicon {
    /// Language codes, in the order of all lists by language.
    pub languages: Vec<String>,
    /// By language.
    pub vocabularies: Vec<Vocabulary>,
    /// Per language, by word id.
    pub slots: Vec<Vec<Slot>>,
    /// How many latent tokens there are.
    pub latents: usize,
    /// Rare words that are read as words of another language.
    pub translations: Option<Translations>,
    /// What words are made of where they are made of characters; the vocabularies are empty then.
    pub spellings: Option<Arc<Spellings>>,
}

/// Words outside their language's vocabulary, and the words of another language that they are read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translations {
    /// The index of the other language.
    pub into: usize,
    /// Per language: a word and the id of its translation; none for the other language itself.
    pub words: Vec<BTreeMap<String, u32>>,
}

impl Translations {
    /// Gives every word of a dictionary that its language's vocabulary lacks the first translation that the vocabulary of the
    /// language `into` has; none to words that have none.
    pub fn new(into: usize, dictionaries: &[Dictionary], vocabularies: &[Vocabulary]) -> Translations {
        let words = dictionaries.iter().zip(vocabularies).map(|(dictionary, own)| {
            let rare = dictionary.iter().filter(|(word, _)| own.id(word).is_none());
            rare.filter_map(|(word, translations)| {
                let id = translations.iter().find_map(|t| vocabularies[into].id(t))?;
                Some((word.to_string(), id))
            })
            .collect()
        });
        Translations { into, words: words.collect() }
    }
}

impl Lexicon {
    /// The number of words with a vector of their own.
    pub fn own(&self, language: usize) -> usize {
        self.slots[language].iter().filter(|s| matches!(s, Slot::Own(_))).count()
    }

    /// Where the vector of a word, or of its translation, is; nothing for an unknown word.
    pub fn slot(&self, language: usize, word: &str) -> Option<Slot> {
        if let Some(spellings) = &self.spellings {
            return Some(Slot::Latent(spellings.row(word)));
        }
        if let Some(id) = self.vocabularies[language].id(word) {
            return Some(self.slots[language][id as usize]);
        }
        let translations = self.translations.as_ref()?;
        let id = *translations.words[language].get(word)?;
        Some(match self.slots[translations.into][id as usize] {
            Slot::Own(row) => Slot::Other { language: translations.into as u32, row },
            slot => slot,
        })
    }

    /// Forgets a language. Words that are read as words of it are unknown from then on.
    pub fn remove(&mut self, language: usize) {
        self.languages.remove(language);
        self.vocabularies.remove(language);
        self.slots.remove(language);
        self.translations = self.translations.take().filter(|t| t.into != language).map(|mut t| {
            t.words.remove(language);
            t.into -= usize::from(t.into > language);
            t
        });
    }

    /// The index of a language code.
    ///
    /// # Errors
    /// Usage, where the model does not know the language.
    pub fn language(&self, code: &str) -> Result<usize> {
        self.languages.iter().position(|l| crate::config::same_code(l, code)).ok_or_else(|| {
            Error::usage(format!("the model does not know the language `{code}`"))
                .hint(format!("it knows {}", self.languages.join(", ")))
        })
    }
}

/// The distinct rows that a batch reads: latents, then each language's own words, then `[MASK]`. Their order is that of the
/// rows of the embedded matrix.
#[derive(Debug, Clone, Default)]
pub struct TokenRows {
    /// Rows of the latent tokens.
    pub latents: Vec<u32>,
    /// By language: rows of its own words.
    pub own: Vec<Vec<u32>>,
    /// Whether `[MASK]` is among them.
    pub mask: bool,
}

impl TokenRows {
    /// How many distinct rows there are, `[MASK]` included.
    pub fn len(&self) -> usize {
        self.latents.len() + self.own.iter().map(Vec::len).sum::<usize>() + self.mask as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of `[MASK]` in the embedded matrix.
    pub fn mask_row(&self) -> u32 {
        self.len() as u32 - 1
    }
}

/// Collects the sentences of a batch: distinct rows are found once, sentences refer to them.
pub struct Collector {
    rows: TokenRows,
    /// Per table (latents first, then languages): batch index of a table row, or `NONE`.
    seen: Vec<Vec<u32>>,
}

const NONE: u32 = u32::MAX;

impl Collector {
    /// For the tables of a lexicon.
    pub fn new(lexicon: &Lexicon) -> Self {
        let own: Vec<usize> = (0..lexicon.languages.len()).map(|l| lexicon.own(l)).collect();
        Self::with_sizes(lexicon.latents, &own)
    }

    /// For tables of these sizes: latent tokens, and each language's own words.
    pub fn with_sizes(latents: usize, own: &[usize]) -> Self {
        let mut seen = vec![vec![NONE; latents]];
        seen.extend(own.iter().map(|&n| vec![NONE; n]));
        Collector { rows: TokenRows { own: vec![Vec::new(); own.len()], ..Default::default() }, seen }
    }

    /// Takes note of the sentences' slots and returns the distinct rows and every sentence in terms of them.
    ///
    /// `sentences` yields (language, slots).
    pub fn collect<'a>(
        &mut self,
        sentences: impl Iterator<Item = (usize, &'a [Slot])> + Clone,
        mask: bool,
    ) -> (TokenRows, Sequences) {
        for (language, slots) in sentences.clone() {
            for &slot in slots {
                let (table, row) = place(language, slot);
                let seen = &mut self.seen[table];
                if row as usize >= seen.len() {
                    // Spellings grow with the words that are met.
                    seen.resize(row as usize + 1, NONE);
                }
                let known = &mut seen[row as usize];
                if *known == NONE {
                    let list =
                        if table == 0 { &mut self.rows.latents } else { &mut self.rows.own[table - 1] };
                    *known = list.len() as u32;
                    list.push(row);
                }
            }
        }
        let mut first = vec![0, self.rows.latents.len() as u32];
        for own in &self.rows.own {
            first.push(first[first.len() - 1] + own.len() as u32);
        }
        let mut sequences = Sequences::new();
        for (language, slots) in sentences {
            sequences.push(slots.iter().map(|&slot| {
                let (table, row) = place(language, slot);
                first[table] + self.seen[table][row as usize]
            }));
        }
        let empty = TokenRows { own: vec![Vec::new(); self.rows.own.len()], ..Default::default() };
        let mut rows = std::mem::replace(&mut self.rows, empty);
        rows.latents.iter().for_each(|&r| self.seen[0][r as usize] = NONE);
        for (own, seen) in rows.own.iter().zip(&mut self.seen[1..]) {
            own.iter().for_each(|&r| seen[r as usize] = NONE);
        }
        rows.mask = mask;
        (rows, sequences)
    }
}

fn place(language: usize, slot: Slot) -> (usize, u32) {
    match slot {
        Slot::Latent(row) => (0, row),
        Slot::Own(row) => (1 + language, row),
        Slot::Other { language, row } => (1 + language as usize, row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translations_stay_with_their_languages_when_one_goes() {
        let words = |word: &str| Vocabulary::build([&[word.to_string()][..]].into_iter(), 1);
        let read_as = |word: &str| BTreeMap::from([(word.to_string(), 0)]);
        let lexicon = Lexicon {
            languages: ["de", "en", "fr"].map(String::from).into(),
            vocabularies: ["rot", "red", "rouge"].map(words).into(),
            slots: vec![vec![Slot::Own(0)]; 3],
            latents: 0,
            translations: Some(Translations {
                into: 1,
                words: vec![read_as("rötlich"), BTreeMap::new(), read_as("rougeâtre")],
            }),
            spellings: None,
        };
        let red = |language| Some(Slot::Other { language, row: 0 });
        assert_eq!((lexicon.slot(0, "rötlich"), lexicon.slot(2, "rougeâtre")), (red(1), red(1)));
        let mut without = lexicon.clone();
        without.remove(0);
        assert_eq!((without.slot(1, "rougeâtre"), without.slot(1, "rötlich")), (red(0), None));
        let mut without = lexicon.clone();
        without.remove(2);
        assert_eq!(without.slot(0, "rötlich"), red(1));
        assert_eq!(without.translations.map(|t| t.words.len()), Some(2));
        let mut without = lexicon;
        without.remove(1);
        assert_eq!((without.slot(0, "rötlich"), without.translations), (None, None));
    }

    #[test]
    fn distinct_rows_are_found_once_and_the_collector_can_be_used_again() {
        let mut collector = Collector::with_sizes(9, &[4, 4]);
        use Slot::{Latent as L, Other, Own as O};
        let sentences: Vec<(usize, Vec<Slot>)> = vec![
            (0, vec![L(7), O(2), L(7)]),
            (1, vec![O(2), L(3), Other { language: 0, row: 2 }]),
            (0, vec![O(2)]),
        ];
        for _ in 0..2 {
            let (rows, sequences) = collector.collect(sentences.iter().map(|(l, s)| (*l, &s[..])), true);
            assert_eq!(rows.latents, [7, 3]);
            assert_eq!(rows.own, [vec![2], vec![2]]);
            assert_eq!((rows.len(), rows.mask_row()), (5, 4));
            assert_eq!(
                [sequences.get(0), sequences.get(1), sequences.get(2)],
                [&[0, 2, 0][..], &[3, 1, 2], &[2]]
            );
        }
    }
}
