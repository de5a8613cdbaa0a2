//! French: adjectives agree in gender and number; size stands before the noun, colour behind it.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, list, word, words};
use super::super::scene::Setting;

pub(in super::super) struct French;

/// Feminine, singular, plural; in the order of `Thing`.
type Noun = (bool, &'static str, &'static str);
const NOUNS: [&[Noun]; 12] = [
    &[(false, "ballon", "ballons"), (true, "balle", "balles")],
    &[(false, "carré", "carrés")],
    &[(false, "triangle", "triangles")],
    &[(true, "étoile", "étoiles")],
    &[(false, "cœur", "cœurs")],
    &[(true, "maison", "maisons")],
    &[(false, "arbre", "arbres")],
    &[(false, "poisson", "poissons")],
    &[(false, "bateau", "bateaux"), (false, "voilier", "voiliers"), (true, "barque", "barques")],
    &[(false, "soleil", "soleils")],
    &[(true, "lune", "lunes")],
    &[(true, "fleur", "fleurs")],
];
/// Masculine and feminine singular, masculine and feminine plural.
type Adjective = [&'static str; 4];
const COLOURS: [&[Adjective]; 8] = [
    &[["rouge", "rouge", "rouges", "rouges"]],
    &[["jaune", "jaune", "jaunes", "jaunes"]],
    &[["vert", "verte", "verts", "vertes"]],
    &[["bleu", "bleue", "bleus", "bleues"]],
    &[["blanc", "blanche", "blancs", "blanches"]],
    &[["noir", "noire", "noirs", "noires"]],
    &[["marron", "marron", "marron", "marron"], ["brun", "brune", "bruns", "brunes"]],
    &[["violet", "violette", "violets", "violettes"]],
];
const SIZES: [&[Adjective]; 2] = [
    &[["petit", "petite", "petits", "petites"], ["minuscule", "minuscule", "minuscules", "minuscules"]],
    &[
        ["grand", "grande", "grands", "grandes"],
        ["gros", "grosse", "gros", "grosses"],
        ["énorme", "énorme", "énormes", "énormes"],
    ],
];
const PLACES: [&[&str]; 5] = [
    &["à gauche", "sur la gauche"],
    &["à droite", "sur la droite"],
    &["en haut", "dans la partie supérieure"],
    &["en bas", "dans la partie inférieure"],
    &["au milieu", "au centre"],
];
const NUMERALS: [&str; 7] = ["", "", "deux", "trois", "quatre", "cinq", "plusieurs"];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("il y a {things}.", Case::Object),
    ("on voit {things}.", Case::Object),
    ("une image avec {things}.", Case::Oblique),
    ("l'image montre {things}.", Case::Object),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting}, il y a {things}.", Case::Object),
    ("{setting}, on voit {things}.", Case::Object),
    ("une image avec {things} {setting}.", Case::Oblique),
];

impl Grammar for French {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, _case: Case, dice: &mut Dice) -> String {
        let &(feminine, singular, plural) = dice.usually(NOUNS[m.thing as usize]);
        let many = m.count > 1;
        let form = 2 * usize::from(many) + usize::from(feminine);
        let number = match m.count {
            1 if feminine => "une",
            1 => "un",
            n => NUMERALS[n],
        };
        let size = word(&SIZES, m.size.map(|s| s as usize), dice).map_or("", |a| a[form]);
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).map_or("", |a| a[form]);
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        words(&[number, size, if many { plural } else { singular }, colour, place])
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        list(things, " et ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["dans un pré", "dans une prairie"],
            Setting::Sea => &["au bord de la mer", "en mer"],
            Setting::Night => &["la nuit", "dans le noir"],
            Setting::Sand => &["sur le sable", "dans le désert"],
            Setting::Snow => &["dans la neige", "sur la neige"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn adjectives_agree_and_stand_at_their_side() {
        let small = Some(Size::Small);
        says("fr", &[group(2, small, Some(Colour::Red), Thing::Star)], None, "Deux petites étoiles rouges.");
        says("fr", &[group(1, small, Some(Colour::White), Thing::House)], None, "Une petite maison blanche.");
        says(
            "fr",
            &[group(3, None, Some(Colour::Brown), Thing::Fish)],
            None,
            "On voit trois poissons marron.",
        );
        says(
            "fr",
            &[group(3, None, Some(Colour::Brown), Thing::Fish)],
            None,
            "On voit trois poissons bruns.",
        );
        let both = [at(Place::Top, group(2, None, None, Thing::Boat)), group(1, None, None, Thing::Sun)];
        says("fr", &both, Some(Setting::Night), "La nuit, il y a deux bateaux en haut et un soleil.");
    }
}
