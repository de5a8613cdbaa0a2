//! Czech: two to four take the plural, five and more the genitive plural; "a picture with" the instrumental.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, SEVERAL, list, word, words};
use super::super::scene::Setting;

pub(in super::super) struct Czech;

use Gender::*;
/// All masculine nouns here are inanimate: their accusative is their nominative.
#[derive(Clone, Copy, PartialEq)]
enum Gender {
    M,
    F,
    N,
}

/// Singular: nominative, accusative, instrumental; plural: nominative (= accusative), genitive, instrumental.
type Noun = (Gender, [&'static str; 6]);
const NOUNS: [&[Noun]; 12] = [
    &[
        (M, ["míč", "míč", "míčem", "míče", "míčů", "míči"]),
        (F, ["koule", "kouli", "koulí", "koule", "koulí", "koulemi"]),
    ],
    &[(M, ["čtverec", "čtverec", "čtvercem", "čtverce", "čtverců", "čtverci"])],
    &[(M, ["trojúhelník", "trojúhelník", "trojúhelníkem", "trojúhelníky", "trojúhelníků", "trojúhelníky"])],
    &[(F, ["hvězda", "hvězdu", "hvězdou", "hvězdy", "hvězd", "hvězdami"])],
    &[(N, ["srdce", "srdce", "srdcem", "srdce", "srdcí", "srdci"])],
    &[(M, ["dům", "dům", "domem", "domy", "domů", "domy"])],
    &[(M, ["strom", "strom", "stromem", "stromy", "stromů", "stromy"])],
    &[(F, ["ryba", "rybu", "rybou", "ryby", "ryb", "rybami"])],
    &[
        (F, ["loď", "loď", "lodí", "lodě", "lodí", "loděmi"]),
        (F, ["loďka", "loďku", "loďkou", "loďky", "loděk", "loďkami"]),
    ],
    &[(N, ["slunce", "slunce", "sluncem", "slunce", "sluncí", "slunci"])],
    &[(M, ["měsíc", "měsíc", "měsícem", "měsíce", "měsíců", "měsíci"])],
    &[
        (F, ["květina", "květinu", "květinou", "květiny", "květin", "květinami"]),
        (M, ["květ", "květ", "květem", "květy", "květů", "květy"]),
    ],
];
/// Stems of hard adjectives.
const COLOURS: [&[&str]; 8] =
    [&["červen"], &["žlut"], &["zelen"], &["modr"], &["bíl"], &["čern"], &["hněd"], &["fialov"]];
const SIZES: [&[&str]; 2] = [&["mal", "maličk", "drobn"], &["velk", "obrovsk"]];
const PLACES: [&[&str]; 5] = [
    &["vlevo", "na levé straně"],
    &["vpravo", "na pravé straně"],
    &["nahoře", "v horní části"],
    &["dole", "v dolní části"],
    &["uprostřed", "ve středu"],
];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("na obrázku {verb} {things}.", Case::Subject),
    ("vidíme {things}.", Case::Object),
    ("obrázek s {things}.", Case::Oblique),
    ("obrázek ukazuje {things}.", Case::Object),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting} {verb} {things}.", Case::Subject),
    ("{setting} vidíme {things}.", Case::Object),
    ("obrázek s {things} {setting}.", Case::Oblique),
];

impl Grammar for Czech {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let &(gender, forms) = dice.usually(NOUNS[m.thing as usize]);
        let noun = match (case, m.count) {
            (Case::Subject, 1) => forms[0],
            (Case::Object, 1) => forms[1],
            (Case::Oblique, 1) => forms[2],
            (Case::Oblique, _) => forms[5],
            (_, 2..=4) => forms[3],
            _ => forms[4],
        };
        // There is no article: "one" is said only at times.
        let number = if m.count > 1 || dice.chance(0.2) { numeral(gender, case, m.count) } else { "" };
        let ending = ending(gender, case, m.count);
        let adjective = |stem: Option<&str>| stem.map_or(String::new(), |stem| format!("{stem}{ending}"));
        let size = adjective(word(&SIZES, m.size.map(|s| s as usize), dice));
        let colour = adjective(word(&COLOURS, m.colour.map(|c| c as usize), dice));
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        words(&[number, &size, &colour, noun, place])
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        list(things, " a ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["na louce", "na zelené louce"],
            Setting::Sea => &["u moře", "na moři"],
            Setting::Night => &["v noci", "ve tmě"],
            Setting::Sand => &["na písku", "v poušti"],
            Setting::Snow => &["ve sněhu", "na sněhu"],
        }
    }

    fn verb(&self, mentions: &[Mention]) -> &'static str {
        if (2..=4).contains(&mentions[0].count) { "jsou" } else { "je" }
    }

    /// "s" becomes "se" before sibilants and some clusters.
    fn finish(&self, sentence: String) -> String {
        const HARD: [&str; 8] = ["s", "z", "š", "ž", "čt", "dv", "tři", "tře"];
        match sentence.split_once("obrázek s ") {
            Some(("", rest)) if HARD.iter().any(|h| rest.starts_with(h)) => format!("obrázek se {rest}"),
            _ => sentence,
        }
    }
}

fn numeral(gender: Gender, case: Case, count: usize) -> &'static str {
    match (case, count, gender) {
        (Case::Oblique, 1, F) => "jednou",
        (Case::Oblique, 1, _) => "jedním",
        (Case::Oblique, 2, _) => "dvěma",
        (Case::Oblique, 3, _) => "třemi",
        (Case::Oblique, 4, _) => "čtyřmi",
        (Case::Oblique, SEVERAL, _) => "několika",
        (Case::Oblique, ..) => "pěti",
        (Case::Object, 1, F) => "jednu",
        (_, 1, M) => "jeden",
        (_, 1, F) => "jedna",
        (_, 1, N) => "jedno",
        (_, 2, M) => "dva",
        (_, 2, _) => "dvě",
        (_, 3, _) => "tři",
        (_, 4, _) => "čtyři",
        (_, SEVERAL, _) => "několik",
        _ => "pět",
    }
}

/// The ending of a hard adjective.
fn ending(gender: Gender, case: Case, count: usize) -> &'static str {
    match (case, count, gender) {
        (Case::Oblique, 1, F) | (Case::Object, 1, F) => "ou",
        (Case::Oblique, 1, _) => "ým",
        (Case::Oblique, ..) => "ými",
        (_, 1, M) => "ý",
        (_, 1, F) => "á",
        (_, 1, N) => "é",
        (_, 2..=4, N) => "á",
        (_, 2..=4, _) => "é",
        _ => "ých",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn two_to_four_differ_from_five() {
        let stars = |n| [group(n, None, Some(Colour::Red), Thing::Star)];
        says("cs", &stars(1), None, "Červená hvězda.");
        says("cs", &stars(1), None, "Vidíme jednu červenou hvězdu.");
        says("cs", &stars(2), None, "Dvě červené hvězdy.");
        says("cs", &stars(4), None, "Na obrázku jsou čtyři červené hvězdy.");
        says("cs", &stars(5), None, "Na obrázku je pět červených hvězd.");
        says("cs", &stars(SEVERAL), None, "Několik červených hvězd.");
    }

    #[test]
    fn gender_and_instrumental() {
        let of = |n, thing| [group(n, Some(Size::Small), Some(Colour::Yellow), thing)];
        says("cs", &of(2, Thing::Heart), None, "Dvě malá žlutá srdce.");
        says("cs", &of(2, Thing::House), None, "Dva malé žluté domy.");
        says("cs", &of(1, Thing::House), None, "Obrázek s malým žlutým domem.");
        says("cs", &of(1, Thing::Fish), None, "Obrázek s jednou malou žlutou rybou.");
        says("cs", &of(2, Thing::Boat), None, "Obrázek se dvěma malými žlutými loděmi.");
        says("cs", &of(5, Thing::Tree), None, "Obrázek s pěti malými žlutými stromy.");
        says("cs", &[group(1, None, None, Thing::Sun)], None, "Obrázek se sluncem.");
        let both = [at(Place::Left, group(3, None, None, Thing::Moon)), group(1, None, None, Thing::Sun)];
        says("cs", &both, Some(Setting::Sea), "U moře jsou tři měsíce vlevo a slunce.");
    }
}
