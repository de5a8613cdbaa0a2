//! Facts as a sentence of a language.

use super::dice::Dice;
use super::grammar::{Facts, Grammar};
use super::lang;

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
    use crate::scenes::grammar::{LANGUAGES, Mention, SEVERAL};
    use crate::scenes::scene::{Scene, Thing};

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
