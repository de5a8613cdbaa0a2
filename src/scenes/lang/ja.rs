//! Japanese: counters, and a verb that tells the living from the lifeless.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, word};
use super::super::scene::{Setting, Thing};

pub(in super::super) struct Japanese;

/// Noun, counter (つ for the native numerals); in the order of `Thing`.
const NOUNS: [&[[&str; 2]]; 12] = [
    &[["ボール", "個"], ["ボール", "つ"]],
    &[["四角", "つ"], ["正方形", "つ"]],
    &[["三角", "つ"], ["三角形", "つ"]],
    &[["星", "つ"], ["星", "個"]],
    &[["ハート", "つ"], ["ハート", "個"]],
    &[["家", "軒"]],
    &[["木", "本"]],
    &[["魚", "匹"]],
    &[["船", "隻"], ["ヨット", "隻"]],
    &[["太陽", "つ"]],
    &[["月", "つ"], ["三日月", "つ"]],
    &[["花", "輪"]],
];
const COLOURS: [&[&str]; 8] = [
    &["赤い"],
    &["黄色い", "黄色の"],
    &["緑の", "緑色の"],
    &["青い"],
    &["白い"],
    &["黒い"],
    &["茶色い", "茶色の"],
    &["紫の", "紫色の"],
];
const SIZES: [&[&str]; 2] = [&["小さな", "小さい"], &["大きな", "大きい", "巨大な"]];
const PLACES: [&[&str]; 5] =
    [&["左", "左側"], &["右", "右側"], &["上", "上の方"], &["下", "下の方"], &["真ん中", "中央"]];
const NATIVE: [&str; 7] = ["", "一つ", "二つ", "三つ", "四つ", "五つ", "いくつか"];
const CHINESE: [&str; 7] = ["", "一", "二", "三", "四", "五", "数"];

/// With `Subject`, the number follows the noun and a verb ends the sentence; else it stands before the noun.
const PLAIN: &[Frame] = &[
    ("{things}{verb}。", Case::Subject),
    ("絵の中には{things}{verb}。", Case::Subject),
    ("{things}。", Case::Object),
    ("{things}が見えます。", Case::Object),
    ("{things}の絵。", Case::Oblique),
];
const SET: &[Frame] = &[
    ("{setting}には、{things}{verb}。", Case::Subject),
    ("{setting}に{things}が見えます。", Case::Object),
    ("{things}、{setting}。", Case::Object),
    ("{setting}の絵。{things}が見えます。", Case::Object),
];

impl Grammar for Japanese {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let [noun, counter] = *dice.usually(NOUNS[m.thing as usize]);
        let number = match counter {
            "つ" => NATIVE[m.count].to_string(),
            counter => format!("{}{counter}", CHINESE[m.count]),
        };
        let size = word(&SIZES, m.size.map(|s| s as usize), dice).unwrap_or("");
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).unwrap_or("");
        let place = word(&PLACES, m.place.map(|p| p as usize), dice);
        match case {
            Case::Subject => {
                let place = place.map_or(String::new(), |p| format!("{p}に"));
                format!("{place}{size}{colour}{noun}が{number}")
            }
            Case::Object | Case::Oblique => {
                let place = place.map_or(String::new(), |p| format!("{p}の"));
                format!("{place}{number}の{size}{colour}{noun}")
            }
        }
    }

    fn join(&self, things: &[String], case: Case) -> String {
        things.join(if case == Case::Subject { "、" } else { "と" })
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["草原", "草の上"],
            Setting::Sea => &["海", "海辺"],
            Setting::Night => &["夜", "夜空の下"],
            Setting::Sand => &["砂の上", "砂漠"],
            Setting::Snow => &["雪の中", "雪の上"],
        }
    }

    /// The verb agrees with the last thing told.
    fn verb(&self, mentions: &[Mention]) -> &'static str {
        if mentions.last().is_some_and(|m| m.thing == Thing::Fish) { "います" } else { "あります" }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::grammar::SEVERAL;
    use super::super::super::scene::{Colour, Place, Size};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn counters_and_the_verb_of_the_living() {
        let stars = [group(2, Some(Size::Small), Some(Colour::Red), Thing::Star)];
        says("ja", &stars, None, "小さな赤い星が二つあります。");
        says("ja", &stars, None, "二つの小さな赤い星。");
        says("ja", &[group(3, None, Some(Colour::Blue), Thing::Fish)], None, "青い魚が三匹います。");
        says("ja", &[group(1, None, None, Thing::House)], None, "一軒の家が見えます。");
        says("ja", &[group(SEVERAL, None, None, Thing::Tree)], None, "数本の木の絵。");
        let both = [at(Place::Left, group(1, None, None, Thing::Fish)), group(4, None, None, Thing::Sun)];
        says("ja", &both, Some(Setting::Night), "夜には、左に魚が一匹、太陽が四つあります。");
    }
}
