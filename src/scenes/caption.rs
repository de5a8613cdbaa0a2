//! What a caption says, and the frame of a sentence that all languages share.

use super::dice::Dice;
use super::lang;
use super::scene::{Colour, Group, Place, Scene, Setting, Size, Thing};

/// The languages of the corpus: the ten of SMALR, then Quechua.
pub const LANGUAGES: [&str; 11] = ["en", "de", "fr", "cs", "zh", "ja", "ar", "af", "ko", "ru", "qu"];

/// The count of a group whose number the caption leaves open ("several"); it stands behind the exact numbers
/// in tables of numerals, and grammars that treat five and more alike treat it the same way.
pub(super) const SEVERAL: usize = 6;

/// What a caption says of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mention {
    pub thing: Thing,
    /// 1 to 5, or [`SEVERAL`].
    pub count: usize,
    pub colour: Option<Colour>,
    pub size: Option<Size>,
    pub place: Option<Place>,
}

/// What a caption says: a part of the truth, in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub mentions: Vec<Mention>,
    pub setting: Option<Setting>,
}

impl Facts {
    /// What one observer notices.
    pub fn sample(scene: &Scene, dice: &mut Dice) -> Facts {
        let mut groups = scene.groups.clone();
        dice.shuffle(&mut groups);
        // The first is always told, each other one mostly.
        let told = 1 + groups[1..].iter().filter(|_| dice.chance(0.8)).count();
        let mentions = groups[..told].iter().map(|group| mention(group, dice)).collect();
        Facts { mentions, setting: dice.chance(0.5).then_some(scene.setting) }
    }
}

fn mention(group: &Group, dice: &mut Dice) -> Mention {
    let several = group.count >= 3 && dice.chance(0.15);
    Mention {
        thing: group.thing,
        count: if several { SEVERAL } else { group.count },
        colour: dice.chance(0.85).then_some(group.colour),
        size: dice.chance(0.5).then_some(group.size),
        place: dice.chance(0.5).then_some(group.place),
    }
}

/// The form that a sentence asks of the things in it. Languages without cases read them as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// The subject.
    Subject,
    /// The object of "see" or "show".
    Object,
    /// After the preposition of "a picture with" or "of".
    Oblique,
}

/// A sentence with gaps: `{things}`, `{verb}`, `{setting}`.
pub(super) type Frame = (&'static str, Case);

/// How a language says the facts.
pub(super) trait Grammar {
    /// Sentences without and with a setting.
    fn frames(&self, setting: bool) -> &'static [Frame];
    /// A group with its number, colour, size and place.
    fn thing(&self, mention: &Mention, case: Case, dice: &mut Dice) -> String;
    /// Several groups in one sentence.
    fn join(&self, things: &[String], case: Case) -> String;
    /// The words for each setting, the plainest first.
    fn settings(&self, setting: Setting) -> &'static [&'static str];
    /// The verb that agrees with what the sentence tells of.
    fn verb(&self, _mentions: &[Mention]) -> &'static str {
        ""
    }
    /// What depends on the neighbouring word, once the sentence stands.
    fn finish(&self, sentence: String) -> String {
        sentence
    }
}

/// The facts as a sentence of the language, in one of its wordings; None for a language that is not in
/// [`LANGUAGES`].
pub(super) fn caption(facts: &Facts, language: &str, dice: &mut Dice) -> Option<String> {
    Some(sentence(lang::grammar(language)?, facts, dice))
}

fn sentence(grammar: &dyn Grammar, facts: &Facts, dice: &mut Dice) -> String {
    let (frame, case) = *dice.pick(grammar.frames(facts.setting.is_some()));
    let things: Vec<String> = facts.mentions.iter().map(|m| grammar.thing(m, case, dice)).collect();
    let mut text = frame.replace("{things}", &grammar.join(&things, case));
    text = text.replace("{verb}", grammar.verb(&facts.mentions));
    if let Some(setting) = facts.setting {
        let words = *dice.usually::<&str>(grammar.settings(setting));
        text = text.replace("{setting}", words);
    }
    capitalise(&grammar.finish(text))
}

/// Words with commas between them and `and` before the last.
pub(super) fn list(things: &[String], and: &str) -> String {
    match things {
        [one] => one.clone(),
        [most @ .., last] => format!("{}{and}{last}", most.join(", ")),
        [] => String::new(),
    }
}

/// The words that are not empty, with spaces between them.
pub(super) fn words(parts: &[&str]) -> String {
    parts.iter().copied().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
}

/// One of the words for a value, or nothing where the caption leaves it out. `table` is in the order of the
/// enum's values.
pub(super) fn word<T: Copy>(table: &[&'static [T]], index: Option<usize>, dice: &mut Dice) -> Option<T> {
    index.map(|i| *dice.usually(table[i]))
}

/// A capital at the beginning; after Afrikaans 'n the next word takes it.
fn capitalise(text: &str) -> String {
    let skip = if text.starts_with("'n ") { 3 } else { 0 };
    let mut rest = text[skip..].chars();
    match rest.next() {
        Some(first) => format!("{}{}{}", &text[..skip], first.to_uppercase(), rest.as_str()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(index: u64) -> Scene {
        Scene::sample(&mut Dice::new([8, 0, index, 0]))
    }

    #[test]
    fn captions_tell_nothing_but_the_truth() {
        for index in 0..300 {
            let scene = scene(index);
            let facts = Facts::sample(&scene, &mut Dice::new([8, 0, index, 2]));
            assert!(!facts.mentions.is_empty());
            assert!(facts.setting.is_none_or(|s| s == scene.setting));
            for m in &facts.mentions {
                let group = scene.groups.iter().find(|g| g.thing == m.thing).unwrap();
                assert!(m.count == group.count || (m.count == SEVERAL && group.count >= 3));
                assert!(m.colour.is_none_or(|c| c == group.colour));
                assert!(m.size.is_none_or(|s| s == group.size));
                assert!(m.place.is_none_or(|p| p == group.place));
            }
        }
    }

    #[test]
    fn every_language_leaves_no_gap_and_knows_every_word() {
        for language in LANGUAGES {
            for index in 0..400 {
                let mut dice = Dice::new([8, 1, index, 7]);
                let text = caption(&Facts::sample(&scene(index), &mut dice), language, &mut dice).unwrap();
                assert!(!text.contains(['{', '}', '\n']) && !text.contains("  "), "{language}: {text}");
                assert!(text.trim() == text && !text.contains(" ."), "{language}: {text}");
            }
        }
        let facts = Facts { mentions: vec![], setting: None };
        assert_eq!(caption(&facts, "tlh", &mut Dice::new([0; 4])), None);
    }

    #[test]
    fn every_language_names_every_thing_differently() {
        for language in LANGUAGES {
            let mut seen = std::collections::BTreeSet::new();
            for &thing in Thing::ALL {
                let one = Mention { thing, count: 1, colour: None, size: None, place: None };
                let facts = Facts { mentions: vec![one], setting: None };
                let all: std::collections::BTreeSet<String> = (0..200)
                    .map(|i| caption(&facts, language, &mut Dice::new([0, 0, i, 0])).unwrap())
                    .collect();
                for text in all {
                    assert!(seen.insert(text.clone()), "{language} says {text} of two things");
                }
            }
        }
    }
}
