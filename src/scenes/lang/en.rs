//! English.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, list, word, words};
use super::super::scene::Setting;

pub(in super::super) struct English;

/// Singular, plural; in the order of `Thing`.
const NOUNS: [&[[&str; 2]]; 12] = [
    &[["ball", "balls"]],
    &[["square", "squares"]],
    &[["triangle", "triangles"]],
    &[["star", "stars"]],
    &[["heart", "hearts"]],
    &[["house", "houses"]],
    &[["tree", "trees"]],
    &[["fish", "fish"]],
    &[["boat", "boats"], ["ship", "ships"], ["sailing boat", "sailing boats"]],
    &[["sun", "suns"]],
    &[["moon", "moons"], ["crescent moon", "crescent moons"]],
    &[["flower", "flowers"], ["blossom", "blossoms"]],
];
const COLOURS: [&[&str]; 8] =
    [&["red"], &["yellow"], &["green"], &["blue"], &["white"], &["black"], &["brown"], &["purple", "violet"]];
const SIZES: [&[&str]; 2] = [&["small", "little", "tiny"], &["big", "large", "huge", "enormous"]];
const PLACES: [&[&str]; 5] = [
    &["on the left", "on the left side"],
    &["on the right", "on the right side"],
    &["at the top", "in the upper part"],
    &["at the bottom", "in the lower part"],
    &["in the middle", "in the centre"],
];
const NUMERALS: [&str; 7] = ["", "", "two", "three", "four", "five", "several"];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("there {verb} {things}.", Case::Subject),
    ("a picture of {things}.", Case::Oblique),
    ("the picture shows {things}.", Case::Object),
    ("you can see {things}.", Case::Object),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting} there {verb} {things}.", Case::Subject),
    ("a picture of {things} {setting}.", Case::Oblique),
    ("{setting} you can see {things}.", Case::Object),
    ("{things}, {setting}.", Case::Subject),
];

impl Grammar for English {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, _case: Case, dice: &mut Dice) -> String {
        let noun = dice.usually(NOUNS[m.thing as usize])[usize::from(m.count > 1)];
        let size = word(&SIZES, m.size.map(|s| s as usize), dice).unwrap_or("");
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).unwrap_or("");
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        let described = words(&[size, colour, noun]);
        let number = match m.count {
            1 if dice.chance(0.15) => "one",
            1 if described.starts_with(['a', 'e', 'i', 'o', 'u']) => "an",
            1 => "a",
            n => NUMERALS[n],
        };
        words(&[number, &described, place])
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        list(things, " and ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["in a meadow", "in a green field"],
            Setting::Sea => &["by the sea", "at sea"],
            Setting::Night => &["at night", "in the dark"],
            Setting::Sand => &["on the sand", "in the desert"],
            Setting::Snow => &["in the snow", "on snow"],
        }
    }

    fn verb(&self, mentions: &[Mention]) -> &'static str {
        if mentions[0].count == 1 { "is" } else { "are" }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::grammar::SEVERAL;
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn number_and_article_agree() {
        says(
            "en",
            &[group(3, Some(Size::Small), Some(Colour::Red), Thing::Star)],
            None,
            "Three small red stars.",
        );
        says("en", &[group(1, Some(Size::Big), None, Thing::House)], None, "There is an enormous house.");
        says("en", &[group(2, None, Some(Colour::Blue), Thing::Fish)], None, "There are two blue fish.");
        let both =
            [at(Place::Left, group(1, None, None, Thing::Sun)), group(SEVERAL, None, None, Thing::Tree)];
        says("en", &both, Some(Setting::Night), "A sun on the left and several trees at night.");
    }
}
