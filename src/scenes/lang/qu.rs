//! Southern Quechua in the unified spelling: nothing agrees, suffixes do the work. Words before a noun stay
//! bare, and after a numeral so does the noun; -kuna only marks a plural that is not counted.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, SEVERAL, word, words};
use super::super::scene::Setting;

pub(in super::super) struct Quechua;

/// In the order of `Thing`; a square is "four corners", a triangle "three corners".
const NOUNS: [&[&str]; 12] = [
    &["papawki"],
    &["tawak'uchu"],
    &["kimsak'uchu"],
    &["quyllur", "ch'aska"],
    &["sunqu"],
    &["wasi"],
    &["sach'a", "mallki"],
    &["challwa"],
    &["wampu"],
    &["inti"],
    &["killa"],
    &["t'ika"],
];
const COLOURS: [&[&str]; 8] =
    [&["puka"], &["q'illu"], &["q'umir"], &["anqas"], &["yuraq"], &["yana"], &["ch'umpi"], &["kulli"]];
const SIZES: [&[&str]; 2] = [&["huch'uy", "taksa"], &["hatun"]];
const PLACES: [&[&str]; 5] = [
    &["lluq'i ladupi", "lluq'iniqpi"],
    &["paña ladupi", "pañaniqpi"],
    &["hanaqpi", "hanaq ladupi"],
    &["urapi", "uray ladupi"],
    &["chawpipi"],
];
const NUMERALS: [&str; 7] = ["", "huk", "iskay", "kimsa", "tawa", "pichqa", ""];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("{things} kachkan.", Case::Subject),
    ("kay siq'ipi {things} kachkan.", Case::Subject),
    ("kay siq'ipim {things} kan.", Case::Subject),
    ("{things} rikunchik.", Case::Object),
    ("kay siq'ipi {things} rikunchik.", Case::Object),
];
const SET: &[Frame] = &[
    ("{setting} {things}.", Case::Subject),
    ("{setting} {things} kachkan.", Case::Subject),
    ("kay siq'ipi {things} {setting} kachkan.", Case::Subject),
    ("{setting} {things} rikunchik.", Case::Object),
];

impl Grammar for Quechua {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        let size = word(&SIZES, m.size.map(|s| s as usize), dice).unwrap_or("");
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).unwrap_or("");
        let noun = dice.usually(NOUNS[m.thing as usize]);
        let number = if m.count == 1 && dice.chance(0.4) { "" } else { NUMERALS[m.count] };
        let plural = if m.count == SEVERAL { "kuna" } else { "" };
        let object = if case == Case::Object { "ta" } else { "" };
        words(&[place, number, size, colour, &format!("{noun}{plural}{object}")])
    }

    /// "And" is a suffix: -wan on all but the last of subjects, -pas on the last of objects, behind -ta.
    fn join(&self, things: &[String], case: Case) -> String {
        match (case, things) {
            (_, [one]) => one.clone(),
            (Case::Object, _) => format!("{}pas", things.join(", ")),
            (_, [most @ .., last]) => format!("{}wan {last}", most.join("wan ")),
            (_, []) => String::new(),
        }
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["q'achu pampapi", "q'umir pampapi"],
            Setting::Sea => &["mama quchapi", "lamar quchapi"],
            Setting::Night => &["tutapi", "yana tutapi"],
            Setting::Sand => &["aqu pampapi", "aqu patapi"],
            Setting::Snow => &["rit'ipi", "rit'i patapi"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn suffixes_stand_in_their_order() {
        let of = |n| [group(n, Some(Size::Small), Some(Colour::Red), Thing::Star)];
        says("qu", &of(2), None, "Iskay huch'uy puka quyllur.");
        says("qu", &of(SEVERAL), None, "Huch'uy puka quyllurkuna kachkan.");
        says("qu", &of(SEVERAL), None, "Huch'uy puka quyllurkunata rikunchik.");
        let both = [
            at(Place::Middle, group(3, None, None, Thing::House)),
            group(1, None, Some(Colour::Blue), Thing::Fish),
        ];
        says("qu", &both, Some(Setting::Night), "Tutapi chawpipi kimsa wasiwan huk anqas challwa kachkan.");
        says(
            "qu",
            &both,
            Some(Setting::Night),
            "Tutapi chawpipi kimsa wasita, huk anqas challwatapas rikunchik.",
        );
    }
}
