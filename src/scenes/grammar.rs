//! What a caption says, and what a language has to say it with.

use super::dice::Dice;
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
