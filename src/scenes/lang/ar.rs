//! Arabic, without vowel marks: singular, dual and plural; plurals of things take feminine singular adjectives.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, SEVERAL, word, words};
use super::super::scene::Setting;

pub(in super::super) struct Arabic;

/// Feminine, singular, plural; in the order of `Thing`.
type Noun = (bool, &'static str, &'static str);
const NOUNS: [&[Noun]; 12] = [
    &[(true, "كرة", "كرات")],
    &[(false, "مربع", "مربعات")],
    &[(false, "مثلث", "مثلثات")],
    &[(true, "نجمة", "نجمات")],
    &[(false, "قلب", "قلوب")],
    &[(false, "بيت", "بيوت"), (false, "منزل", "منازل")],
    &[(true, "شجرة", "أشجار")],
    &[(true, "سمكة", "سمكات")],
    &[(false, "قارب", "قوارب"), (true, "سفينة", "سفن")],
    &[(true, "شمس", "شموس")],
    &[(false, "قمر", "أقمار"), (false, "هلال", "أهلة")],
    &[(true, "زهرة", "زهرات"), (true, "وردة", "وردات")],
];
/// Masculine, feminine.
type Adjective = (&'static str, &'static str);
const COLOURS: [&[Adjective]; 8] = [
    &[("أحمر", "حمراء")],
    &[("أصفر", "صفراء")],
    &[("أخضر", "خضراء")],
    &[("أزرق", "زرقاء")],
    &[("أبيض", "بيضاء")],
    &[("أسود", "سوداء")],
    &[("بني", "بنية")],
    &[("بنفسجي", "بنفسجية")],
];
const SIZES: [&[Adjective]; 2] = [&[("صغير", "صغيرة")], &[("كبير", "كبيرة"), ("ضخم", "ضخمة")]];
const PLACES: [&[&str]; 5] = [
    &["على اليسار", "في الجانب الأيسر"],
    &["على اليمين", "في الجانب الأيمن"],
    &["في الأعلى", "في الجزء العلوي"],
    &["في الأسفل", "في الجزء السفلي"],
    &["في الوسط", "في المنتصف"],
];

const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("في الصورة {things}.", Case::Subject),
    ("هناك {things}.", Case::Subject),
    ("نرى {things}.", Case::Object),
    ("تظهر الصورة {things}.", Case::Object),
    ("صورة ل{things}.", Case::Oblique),
];
const SET: &[Frame] = &[
    ("{things} {setting}.", Case::Subject),
    ("{setting} {things}.", Case::Subject),
    ("في الصورة {things} {setting}.", Case::Subject),
    ("{setting} نرى {things}.", Case::Object),
    ("صورة ل{things} {setting}.", Case::Oblique),
];

impl Grammar for Arabic {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let &(feminine, singular, plural) = dice.usually(NOUNS[m.thing as usize]);
        let size = word(&SIZES, m.size.map(|s| s as usize), dice);
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice);
        let decline = |adjective: Option<Adjective>| match (adjective, m.count) {
            (None, _) => String::new(),
            (Some((he, she)), 1 | 2) => inflect(if feminine { she } else { he }, m.count, case),
            (Some((_, she)), _) => she.to_string(),
        };
        let (mut first, mut second) = (decline(size), decline(colour));
        if dice.chance(0.5) {
            std::mem::swap(&mut first, &mut second);
        }
        let noun = match m.count {
            1 | 2 => inflect(singular, m.count, case),
            n => format!("{} {plural}", numeral(feminine, n)),
        };
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        words(&[&noun, &first, &second, place])
    }

    /// "And" is written onto the next word, and stands before every part.
    fn join(&self, things: &[String], _case: Case) -> String {
        things.join(" و")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["في المرج", "في مرج أخضر"],
            Setting::Sea => &["عند البحر", "في البحر"],
            Setting::Night => &["في الليل", "ليلا"],
            Setting::Sand => &["على الرمل", "في الصحراء"],
            Setting::Snow => &["في الثلج", "على الثلج"],
        }
    }
}

/// A noun or an adjective alone or in the dual. Of the case, writing shows the dual's ending and the alif of
/// an indefinite object; feminine endings and the colours of the form أفعل have no alif.
fn inflect(word: &str, count: usize, case: Case) -> String {
    let feminine = word.strip_suffix('ة');
    if count == 1 {
        let bare = case != Case::Object || feminine.is_some() || word.ends_with('ء') || word.starts_with('أ');
        return if bare { word.to_string() } else { format!("{word}ا") };
    }
    let stem = match (feminine, word.strip_suffix('ء')) {
        (Some(stem), _) => format!("{stem}ت"),
        (_, Some(stem)) => format!("{stem}و"),
        _ => word.to_string(),
    };
    format!("{stem}{}", if case == Case::Subject { "ان" } else { "ين" })
}

/// From three on the numeral takes the gender that the noun has not.
fn numeral(feminine: bool, count: usize) -> &'static str {
    match (count, feminine) {
        (3, true) => "ثلاث",
        (3, false) => "ثلاثة",
        (4, true) => "أربع",
        (4, false) => "أربعة",
        (SEVERAL, _) => "عدة",
        (_, true) => "خمس",
        (_, false) => "خمسة",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn dual_and_plural_agree() {
        let stars = |n| [group(n, None, Some(Colour::Red), Thing::Star)];
        says("ar", &stars(1), None, "نجمة حمراء.");
        says("ar", &stars(2), None, "نجمتان حمراوان.");
        says("ar", &stars(2), None, "نرى نجمتين حمراوين.");
        says("ar", &stars(3), None, "ثلاث نجمات حمراء.");
        says("ar", &stars(SEVERAL), None, "عدة نجمات حمراء.");
        let houses = |n| [group(n, Some(Size::Big), None, Thing::House)];
        says("ar", &houses(2), None, "في الصورة بيتان كبيران.");
        says("ar", &houses(4), None, "أربعة بيوت كبيرة.");
    }

    #[test]
    fn an_indefinite_object_takes_alif_where_it_is_written() {
        says(
            "ar",
            &[group(1, Some(Size::Small), Some(Colour::Blue), Thing::Heart)],
            None,
            "نرى قلبا صغيرا أزرق.",
        );
        says("ar", &[group(1, None, None, Thing::Sun)], None, "نرى شمسا.");
        says("ar", &[group(1, None, None, Thing::Tree)], None, "صورة لشجرة.");
        let both = [at(Place::Left, group(1, None, None, Thing::Fish)), group(2, None, None, Thing::Moon)];
        says("ar", &both, Some(Setting::Night), "في الليل سمكة على اليسار وقمران.");
    }
}
