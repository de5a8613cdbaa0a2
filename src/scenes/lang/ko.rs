//! Korean: counters after the noun, and particles that depend on the last syllable.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, word, words};
use super::super::scene::Setting;

pub(in super::super) struct Korean;

/// Noun, counter; in the order of `Thing`.
const NOUNS: [&[[&str; 2]]; 12] = [
    &[["공", "개"]],
    &[["정사각형", "개"], ["네모", "개"]],
    &[["삼각형", "개"], ["세모", "개"]],
    &[["별", "개"]],
    &[["하트", "개"]],
    &[["집", "채"]],
    &[["나무", "그루"]],
    &[["물고기", "마리"]],
    &[["배", "척"], ["돛단배", "척"]],
    &[["해", "개"], ["태양", "개"]],
    &[["달", "개"], ["초승달", "개"]],
    &[["꽃", "송이"]],
];
const COLOURS: [&[&str]; 8] = [
    &["빨간", "붉은"],
    &["노란"],
    &["초록색", "녹색"],
    &["파란", "푸른"],
    &["하얀", "흰"],
    &["검은", "까만"],
    &["갈색"],
    &["보라색"],
];
const SIZES: [&[&str]; 2] = [&["작은", "조그만"], &["큰", "커다란"]];
const PLACES: [&[&str]; 5] = [
    &["왼쪽에", "왼편에"],
    &["오른쪽에", "오른편에"],
    &["위쪽에", "위에"],
    &["아래쪽에", "아래에"],
    &["가운데에", "중앙에"],
];
const NUMERALS: [&str; 7] = ["", "한", "두", "세", "네", "다섯", "여러"];

/// Pairs of particles stand as `이/가`, first the form after a consonant.
const PLAIN: &[Frame] = &[
    ("{things}.", Case::Subject),
    ("{things}이/가 있습니다.", Case::Subject),
    ("그림에 {things}이/가 있다.", Case::Subject),
    ("{things}이/가 보인다.", Case::Subject),
    ("{things}을/를 그린 그림.", Case::Object),
];
const SET: &[Frame] = &[
    ("{setting} {things}이/가 있습니다.", Case::Subject),
    ("{setting} {things}이/가 보인다.", Case::Subject),
    ("그림을 보면 {setting} {things}이/가 있다.", Case::Subject),
    ("{setting} {things}이/가 보이는 그림.", Case::Subject),
];

impl Grammar for Korean {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, _case: Case, dice: &mut Dice) -> String {
        let [noun, counter] = *dice.usually(NOUNS[m.thing as usize]);
        let size = word(&SIZES, m.size.map(|s| s as usize), dice).unwrap_or("");
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).unwrap_or("");
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        let number = NUMERALS[m.count];
        if dice.chance(0.25) {
            let counted = format!("{counter}의");
            words(&[place, number, &counted, size, colour, noun])
        } else {
            words(&[place, size, colour, noun, number, counter])
        }
    }

    fn join(&self, things: &[String], _case: Case) -> String {
        things.join("와/과 ")
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["풀밭에", "초원에"],
            Setting::Sea => &["바닷가에", "바다에"],
            Setting::Night => &["밤에", "어두운 밤에"],
            Setting::Sand => &["모래 위에", "사막에"],
            Setting::Snow => &["눈 속에", "눈 위에"],
        }
    }

    fn finish(&self, sentence: String) -> String {
        let pairs = [("이/가", "이", "가"), ("을/를", "을", "를"), ("와/과", "과", "와")];
        pairs.iter().fold(sentence, |text, &(pair, closed, open)| {
            let mut parts = text.split(pair);
            let first = parts.next().unwrap_or("").to_string();
            parts.fold(first, |done, rest| {
                let particle = if ends_in_consonant(&done) { closed } else { open };
                done + particle + rest
            })
        })
    }
}

/// Whether the last syllable is closed: Unicode orders Hangul syllables by their 28 endings, none first.
fn ends_in_consonant(text: &str) -> bool {
    text.chars()
        .last()
        .is_some_and(|c| ('가'..='힣').contains(&c) && !(c as u32 - '가' as u32).is_multiple_of(28))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Size, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn counters_and_particles() {
        let small = [group(2, Some(Size::Small), Some(Colour::Red), Thing::Star)];
        says("ko", &small, None, "작은 빨간 별 두 개가 있습니다.");
        says("ko", &[group(3, None, None, Thing::Boat)], None, "배 세 척이 보인다.");
        says("ko", &[group(1, None, None, Thing::Fish)], None, "한 마리의 물고기를 그린 그림.");
        let both = [
            at(Place::Left, group(1, None, None, Thing::House)),
            at(Place::Right, group(4, None, None, Thing::Boat)),
            group(5, None, None, Thing::Flower),
        ];
        says(
            "ko",
            &both,
            Some(Setting::Night),
            "밤에 왼쪽에 집 한 채와 오른쪽에 배 네 척과 꽃 다섯 송이가 있습니다.",
        );
    }
}
