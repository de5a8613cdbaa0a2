//! German: three genders, three cases, and adjectives after "ein" and after a bare numeral.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, list, word, words};
use super::super::scene::Setting;

pub(in super::super) struct German;

use Gender::*;
#[derive(Clone, Copy, PartialEq)]
enum Gender {
    M,
    F,
    N,
}

/// Gender, singular, dative singular, plural; in the order of `Thing`.
type Noun = (Gender, &'static str, &'static str, &'static str);
const NOUNS: [&[Noun]; 12] = [
    &[(M, "Ball", "Ball", "Bälle"), (F, "Kugel", "Kugel", "Kugeln")],
    &[(N, "Quadrat", "Quadrat", "Quadrate"), (N, "Viereck", "Viereck", "Vierecke")],
    &[(N, "Dreieck", "Dreieck", "Dreiecke")],
    &[(M, "Stern", "Stern", "Sterne")],
    &[(N, "Herz", "Herzen", "Herzen")],
    &[(N, "Haus", "Haus", "Häuser")],
    &[(M, "Baum", "Baum", "Bäume")],
    &[(M, "Fisch", "Fisch", "Fische")],
    &[
        (N, "Boot", "Boot", "Boote"),
        (N, "Schiff", "Schiff", "Schiffe"),
        (N, "Segelboot", "Segelboot", "Segelboote"),
    ],
    &[(F, "Sonne", "Sonne", "Sonnen")],
    &[(M, "Mond", "Mond", "Monde")],
    &[(F, "Blume", "Blume", "Blumen"), (F, "Blüte", "Blüte", "Blüten")],
];
const COLOURS: [&[&str]; 8] =
    [&["rot"], &["gelb"], &["grün"], &["blau"], &["weiß"], &["schwarz"], &["braun"], &["violett", "lila"]];
const SIZES: [&[&str]; 2] = [&["klein", "winzig"], &["groß", "riesig"]];
const PLACES: [&[&str]; 5] = [
    &["links", "auf der linken Seite"],
    &["rechts", "auf der rechten Seite"],
    &["oben", "im oberen Teil"],
    &["unten", "im unteren Teil"],
    &["in der Mitte", "im Zentrum"],
];
const NUMERALS: [&str; 7] = ["", "", "zwei", "drei", "vier", "fünf", "mehrere"];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("hier {verb} {things} zu sehen.", Case::Subject),
    ("man sieht {things}.", Case::Object),
    ("das Bild zeigt {things}.", Case::Object),
    ("ein Bild mit {things}.", Case::Oblique),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting} {verb} {things} zu sehen.", Case::Subject),
    ("{setting} sieht man {things}.", Case::Object),
    ("{setting} gibt es {things}.", Case::Object),
    ("ein Bild mit {things} {setting}.", Case::Oblique),
];

impl Grammar for German {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let &(gender, singular, dative, plural) = dice.usually(NOUNS[m.thing as usize]);
        let many = m.count > 1;
        let noun = match (many, case) {
            (false, Case::Oblique) => dative.to_string(),
            (false, _) => singular.to_string(),
            (true, Case::Oblique) if !plural.ends_with('n') => format!("{plural}n"),
            (true, _) => plural.to_string(),
        };
        let number = match (m.count, case) {
            (1, _) => format!("ein{}", article(gender, case)),
            (n, Case::Oblique) if NUMERALS[n] == "mehrere" => "mehreren".to_string(),
            (n, _) => NUMERALS[n].to_string(),
        };
        let ending = ending(gender, case, many);
        let adjective = |stem: Option<&'static str>| match stem {
            None => String::new(),
            Some("lila") => "lila".to_string(),
            Some(stem) => format!("{stem}{ending}"),
        };
        let size = adjective(word(&SIZES, m.size.map(|s| s as usize), dice));
        let colour = adjective(word(&COLOURS, m.colour.map(|c| c as usize), dice));
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        words(&[&number, &size, &colour, &noun, place])
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        list(things, " und ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["auf einer Wiese", "im Grünen"],
            Setting::Sea => &["am Meer", "auf dem Meer"],
            Setting::Night => &["bei Nacht", "nachts"],
            Setting::Sand => &["im Sand", "in der Wüste"],
            Setting::Snow => &["im Schnee", "auf Schnee"],
        }
    }

    fn verb(&self, mentions: &[Mention]) -> &'static str {
        if mentions.len() == 1 && mentions[0].count == 1 { "ist" } else { "sind" }
    }
}

/// The ending of "ein".
fn article(gender: Gender, case: Case) -> &'static str {
    match (gender, case) {
        (F, Case::Oblique) => "er",
        (M | N, Case::Oblique) => "em",
        (F, _) => "e",
        (M, Case::Object) => "en",
        (M | N, _) => "",
    }
}

/// The ending of an adjective after "ein", and in the plural after a numeral.
fn ending(gender: Gender, case: Case, many: bool) -> &'static str {
    match (many, case, gender) {
        (_, Case::Oblique, _) => "en",
        (true, _, _) => "e",
        (_, Case::Object, M) => "en",
        (_, _, M) => "er",
        (_, _, F) => "e",
        (_, _, N) => "es",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::grammar::SEVERAL;
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn adjectives_agree_in_gender_number_and_case() {
        let stars = |n| [group(n, Some(Size::Small), Some(Colour::Red), Thing::Star)];
        says("de", &stars(1), None, "Ein kleiner roter Stern.");
        says("de", &stars(1), None, "Man sieht einen kleinen roten Stern.");
        says("de", &stars(1), None, "Ein Bild mit einem kleinen roten Stern.");
        says("de", &stars(3), None, "Drei kleine rote Sterne.");
        says("de", &stars(3), None, "Ein Bild mit drei kleinen roten Sternen.");
        says("de", &stars(SEVERAL), None, "Ein Bild mit mehreren kleinen roten Sternen.");
        says(
            "de",
            &[group(1, None, Some(Colour::Blue), Thing::House)],
            None,
            "Das Bild zeigt ein blaues Haus.",
        );
        says("de", &[group(1, None, None, Thing::Heart)], None, "Ein Bild mit einem Herzen.");
        says("de", &[group(1, None, Some(Colour::Purple), Thing::Sun)], None, "Eine lila Sonne.");
    }

    #[test]
    fn the_verb_agrees_and_the_setting_takes_the_first_place() {
        let both = [
            at(Place::Top, group(1, None, None, Thing::Moon)),
            group(1, Some(Size::Big), None, Thing::Flower),
        ];
        says("de", &both, Some(Setting::Snow), "Im Schnee sind ein Mond oben und eine große Blume zu sehen.");
        says("de", &both[..1], None, "Hier ist ein Mond oben zu sehen.");
    }
}
