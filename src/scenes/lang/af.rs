//! Afrikaans: no gender, no case; only longer adjectives take an ending before the noun.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, list, word, words};
use super::super::scene::Setting;

pub(in super::super) struct Afrikaans;

/// Singular, plural; in the order of `Thing`.
const NOUNS: [&[[&str; 2]]; 12] = [
    &[["bal", "balle"]],
    &[["vierkant", "vierkante"]],
    &[["driehoek", "driehoeke"]],
    &[["ster", "sterre"]],
    &[["hart", "harte"]],
    &[["huis", "huise"]],
    &[["boom", "bome"]],
    &[["vis", "visse"]],
    &[["boot", "bote"], ["skip", "skepe"], ["seilboot", "seilbote"]],
    &[["son", "sonne"]],
    &[["maan", "mane"], ["sekelmaan", "sekelmane"]],
    &[["blom", "blomme"]],
];
const COLOURS: [&[&str]; 8] =
    [&["rooi"], &["geel"], &["groen"], &["blou"], &["wit"], &["swart"], &["bruin"], &["pers"]];
const SIZES: [&[&str]; 2] = [&["klein", "piepklein"], &["groot", "reusagtige", "yslike"]];
const PLACES: [&[&str]; 5] = [
    &["links", "aan die linkerkant"],
    &["regs", "aan die regterkant"],
    &["bo", "in die boonste deel"],
    &["onder", "in die onderste deel"],
    &["in die middel", "in die sentrum"],
];
const NUMERALS: [&str; 7] = ["", "'n", "twee", "drie", "vier", "vyf", "verskeie"];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("daar is {things}.", Case::Subject),
    ("'n prent van {things}.", Case::Oblique),
    ("die prent wys {things}.", Case::Object),
    ("mens sien {things}.", Case::Object),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting} is daar {things}.", Case::Subject),
    ("'n prent van {things} {setting}.", Case::Oblique),
    ("{setting} sien mens {things}.", Case::Object),
];

impl Grammar for Afrikaans {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, _case: Case, dice: &mut Dice) -> String {
        let noun = dice.usually(NOUNS[m.thing as usize])[usize::from(m.count > 1)];
        let size = word(&SIZES, m.size.map(|s| s as usize), dice).unwrap_or("");
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).unwrap_or("");
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        words(&[NUMERALS[m.count], size, colour, noun, place])
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        list(things, " en ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["op 'n grasveld", "in die veld"],
            Setting::Sea => &["by die see", "op die see"],
            Setting::Night => &["in die nag", "snags"],
            Setting::Sand => &["op die sand", "in die woestyn"],
            Setting::Snow => &["in die sneeu", "op die sneeu"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn plurals_and_the_capital_after_the_article() {
        says(
            "af",
            &[group(2, Some(Size::Small), Some(Colour::Red), Thing::Star)],
            None,
            "Twee klein rooi sterre.",
        );
        says("af", &[group(1, Some(Size::Big), None, Thing::House)], None, "'n Yslike huis.");
        says("af", &[group(4, None, None, Thing::Tree)], None, "'n Prent van vier bome.");
        let ship = [at(Place::Right, group(3, None, None, Thing::Boat))];
        says("af", &ship, Some(Setting::Night), "Snags is daar drie skepe regs.");
    }
}
