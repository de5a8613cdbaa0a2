//! One file per language: its words in tables, and the little grammar that makes them agree.

mod af;
mod ar;
mod cs;
mod de;
mod en;
mod fr;
mod ja;
mod ko;
mod qu;
mod ru;
mod zh;

use super::grammar::Grammar;

/// The grammar of a language by its code.
pub(super) fn grammar(language: &str) -> Option<&'static dyn Grammar> {
    Some(match language {
        "en" => &en::English,
        "de" => &de::German,
        "fr" => &fr::French,
        "cs" => &cs::Czech,
        "zh" => &zh::Chinese,
        "ja" => &ja::Japanese,
        "ar" => &ar::Arabic,
        "af" => &af::Afrikaans,
        "ko" => &ko::Korean,
        "ru" => &ru::Russian,
        "qu" => &qu::Quechua,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::dice::Dice;
    use super::super::grammar::{Facts, Mention};
    use super::super::scene::{Colour, Place, Setting, Size, Thing};
    use crate::scenes::caption::caption;

    pub fn group(count: usize, size: Option<Size>, colour: Option<Colour>, thing: Thing) -> Mention {
        Mention { thing, count, colour, size, place: None }
    }

    pub fn at(place: Place, mention: Mention) -> Mention {
        Mention { place: Some(place), ..mention }
    }

    /// Fails unless the sentence is one of the wordings that the language has for the facts.
    pub fn says(language: &str, mentions: &[Mention], setting: Option<Setting>, expected: &str) {
        let facts = Facts { mentions: mentions.to_vec(), setting };
        let wordings: std::collections::BTreeSet<String> =
            (0..4000).map(|i| caption(&facts, language, &mut Dice::new([0, 0, i, 0])).unwrap()).collect();
        assert!(
            wordings.contains(expected),
            "never `{expected}`, but {:#?}",
            wordings.iter().take(40).collect::<Vec<_>>()
        );
    }
}
