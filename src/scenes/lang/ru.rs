//! Russian: two to four take the genitive singular (adjectives the plural), five and more the genitive plural.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, SEVERAL, list, word, words};
use super::super::scene::Setting;

pub(in super::super) struct Russian;

use Gender::*;
#[derive(Clone, Copy, PartialEq)]
enum Gender {
    M,
    F,
    N,
}

/// Nominative, genitive, instrumental singular; genitive, instrumental plural.
type Noun = (Gender, [&'static str; 5]);
const NOUNS: [&[Noun]; 12] = [
    &[(M, ["мяч", "мяча", "мячом", "мячей", "мячами"]), (M, ["шар", "шара", "шаром", "шаров", "шарами"])],
    &[(M, ["квадрат", "квадрата", "квадратом", "квадратов", "квадратами"])],
    &[(M, ["треугольник", "треугольника", "треугольником", "треугольников", "треугольниками"])],
    &[(F, ["звезда", "звезды", "звездой", "звёзд", "звёздами"])],
    &[(N, ["сердце", "сердца", "сердцем", "сердец", "сердцами"])],
    &[(M, ["дом", "дома", "домом", "домов", "домами"])],
    &[(N, ["дерево", "дерева", "деревом", "деревьев", "деревьями"])],
    &[(F, ["рыба", "рыбы", "рыбой", "рыб", "рыбами"])],
    &[
        (F, ["лодка", "лодки", "лодкой", "лодок", "лодками"]),
        (M, ["корабль", "корабля", "кораблём", "кораблей", "кораблями"]),
    ],
    &[(N, ["солнце", "солнца", "солнцем", "солнц", "солнцами"])],
    &[
        (F, ["луна", "луны", "луной", "лун", "лунами"]),
        (M, ["месяц", "месяца", "месяцем", "месяцев", "месяцами"]),
    ],
    &[(M, ["цветок", "цветка", "цветком", "цветков", "цветками"])],
];
/// The stem and the kind of its endings.
type Adjective = (&'static str, Kind);
#[derive(Clone, Copy)]
enum Kind {
    /// красный
    Hard,
    /// синий
    Soft,
    /// маленький
    Velar,
    /// большой
    Stressed,
}
use Kind::*;
const COLOURS: [&[Adjective]; 8] = [
    &[("красн", Hard)],
    &[("жёлт", Hard)],
    &[("зелён", Hard)],
    &[("син", Soft)],
    &[("бел", Hard)],
    &[("чёрн", Hard)],
    &[("коричнев", Hard)],
    &[("фиолетов", Hard)],
];
const SIZES: [&[Adjective]; 2] =
    [&[("маленьк", Velar), ("крошечн", Hard)], &[("больш", Stressed), ("огромн", Hard)]];
const PLACES: [&[&str]; 5] = [
    &["слева", "с левой стороны"],
    &["справа", "с правой стороны"],
    &["вверху", "в верхней части"],
    &["внизу", "в нижней части"],
    &["в середине", "в центре", "посередине"],
];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("на картинке {things}.", Case::Subject),
    ("здесь {things}.", Case::Subject),
    ("картинка с {things}.", Case::Oblique),
    ("рисунок с {things}.", Case::Oblique),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting} {things}.", Case::Subject),
    ("на картинке {things} {setting}.", Case::Subject),
    ("картинка с {things} {setting}.", Case::Oblique),
];

impl Grammar for Russian {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let &(gender, forms) = dice.usually(NOUNS[m.thing as usize]);
        let oblique = case == Case::Oblique;
        let noun = match (oblique, m.count) {
            (false, 1) => forms[0],
            (false, 2..=4) => forms[1],
            (true, 1) => forms[2],
            (false, _) => forms[3],
            (true, _) => forms[4],
        };
        let number = if m.count > 1 || dice.chance(0.2) { numeral(gender, oblique, m.count) } else { "" };
        let form = form(gender, oblique, m.count);
        let adjective = |a: Option<Adjective>| {
            a.map_or(String::new(), |(stem, kind)| format!("{stem}{}", endings(kind)[form]))
        };
        let size = adjective(word(&SIZES, m.size.map(|s| s as usize), dice));
        let colour = adjective(word(&COLOURS, m.colour.map(|c| c as usize), dice));
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        words(&[number, &size, &colour, noun, place])
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        list(things, " и ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["на лугу", "на зелёном лугу"],
            Setting::Sea => &["у моря", "на море"],
            Setting::Night => &["ночью", "в темноте"],
            Setting::Sand => &["на песке", "в пустыне"],
            Setting::Snow => &["на снегу", "в снегу"],
        }
    }

    /// "с" becomes "со" before "зв", the only such cluster in the tables.
    fn finish(&self, sentence: String) -> String {
        sentence.replace(" с зв", " со зв")
    }
}

fn numeral(gender: Gender, oblique: bool, count: usize) -> &'static str {
    match (oblique, count, gender) {
        (false, 1, M) => "один",
        (false, 1, F) => "одна",
        (false, 1, N) => "одно",
        (true, 1, F) => "одной",
        (true, 1, _) => "одним",
        (false, 2, F) => "две",
        (false, 2, _) => "два",
        (true, 2, _) => "двумя",
        (false, 3, _) => "три",
        (true, 3, _) => "тремя",
        (false, 4, _) => "четыре",
        (true, 4, _) => "четырьмя",
        (false, SEVERAL, _) => "несколько",
        (true, SEVERAL, _) => "несколькими",
        (false, ..) => "пять",
        (true, ..) => "пятью",
    }
}

/// Nominative m, f, n; nominative, genitive plural; instrumental m and n, f, plural.
fn endings(kind: Kind) -> [&'static str; 8] {
    match kind {
        Hard => ["ый", "ая", "ое", "ые", "ых", "ым", "ой", "ыми"],
        Soft => ["ий", "яя", "ее", "ие", "их", "им", "ей", "ими"],
        Velar => ["ий", "ая", "ое", "ие", "их", "им", "ой", "ими"],
        Stressed => ["ой", "ая", "ое", "ие", "их", "им", "ой", "ими"],
    }
}

/// Which of the eight endings. After two to four, feminine nouns take the nominative plural of adjectives,
/// the others the genitive plural.
fn form(gender: Gender, oblique: bool, count: usize) -> usize {
    match (oblique, count, gender) {
        (false, 1, M) => 0,
        (false, 1, F) => 1,
        (false, 1, N) => 2,
        (false, 2..=4, F) => 3,
        (false, ..) => 4,
        (true, 1, F) => 6,
        (true, 1, _) => 5,
        (true, ..) => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn numerals_ask_for_their_cases() {
        let stars = |n| [group(n, None, Some(Colour::Red), Thing::Star)];
        says("ru", &stars(1), None, "Красная звезда.");
        says("ru", &stars(2), None, "Две красные звезды.");
        says("ru", &stars(5), None, "Пять красных звёзд.");
        says(
            "ru",
            &[group(2, Some(Size::Big), Some(Colour::Blue), Thing::House)],
            None,
            "Два больших синих дома.",
        );
        says(
            "ru",
            &[group(3, Some(Size::Small), None, Thing::Tree)],
            None,
            "На картинке три маленьких дерева.",
        );
        says("ru", &[group(SEVERAL, None, None, Thing::Flower)], None, "Здесь несколько цветков.");
    }

    #[test]
    fn the_instrumental_agrees() {
        says("ru", &[group(1, None, None, Thing::Star)], None, "Картинка со звездой.");
        says("ru", &[group(1, None, Some(Colour::Blue), Thing::Moon)], None, "Рисунок с синей луной.");
        says(
            "ru",
            &[group(4, Some(Size::Big), None, Thing::Sun)],
            None,
            "Картинка с четырьмя большими солнцами.",
        );
        let both = [
            at(Place::Left, group(1, None, Some(Colour::White), Thing::Heart)),
            group(5, None, None, Thing::Fish),
        ];
        says("ru", &both, Some(Setting::Night), "Ночью белое сердце слева и пять рыб.");
    }
}
