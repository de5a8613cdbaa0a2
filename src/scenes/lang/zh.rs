//! Chinese: every noun has its measure word.

use super::super::dice::Dice;
use super::super::grammar::{Case, Frame, Grammar, Mention, word};
use super::super::scene::{Setting, Size};

pub(in super::super) struct Chinese;

/// Measure word, noun; in the order of `Thing`.
const NOUNS: [&[[&str; 2]]; 12] = [
    &[["个", "球"], ["个", "皮球"]],
    &[["个", "正方形"], ["个", "方块"]],
    &[["个", "三角形"]],
    &[["颗", "星星"]],
    &[["颗", "爱心"], ["个", "心形"]],
    &[["座", "房子"], ["栋", "房子"], ["座", "房屋"]],
    &[["棵", "树"]],
    &[["条", "鱼"]],
    &[["艘", "船"], ["艘", "帆船"]],
    &[["个", "太阳"], ["轮", "太阳"]],
    &[["个", "月亮"], ["弯", "月亮"]],
    &[["朵", "花"], ["朵", "鲜花"]],
];
const COLOURS: [&[&str]; 8] =
    [&["红色"], &["黄色"], &["绿色"], &["蓝色"], &["白色"], &["黑色"], &["棕色", "褐色"], &["紫色"]];
const PLACES: [&[&str]; 5] =
    [&["左边", "左侧"], &["右边", "右侧"], &["上面", "上方"], &["下面", "下方"], &["中间", "中央"]];
const NUMERALS: [&str; 7] = ["", "一", "两", "三", "四", "五", "好几"];

/// With `Subject`, things are clauses with 有; else nouns.
const PLAIN: &[Frame] = &[
    ("图中{things}。", Case::Subject),
    ("画面中{things}。", Case::Subject),
    ("可以看到{things}。", Case::Object),
    ("{things}。", Case::Object),
];
const SET: &[Frame] = &[
    ("{setting}，{things}。", Case::Subject),
    ("{setting}可以看到{things}。", Case::Object),
    ("{setting}，画面中{things}。", Case::Subject),
];

impl Grammar for Chinese {
    fn frames(&self, setting: bool) -> &'static [Frame] {
        if setting { SET } else { PLAIN }
    }

    fn thing(&self, m: &Mention, case: Case, dice: &mut Dice) -> String {
        let [measure, noun] = dice.usually(NOUNS[m.thing as usize]);
        let number = NUMERALS[m.count];
        let colour = word(&COLOURS, m.colour.map(|c| c as usize), dice).unwrap_or("");
        // 的 may only fall before a longer noun: 红色星星, but 红色的花.
        let short = noun.chars().count() == 1;
        let of = if colour.is_empty() || (!short && dice.chance(0.25)) { "" } else { "的" };
        let join = if colour.is_empty() { "" } else { "的" };
        let described = match m.size {
            None => format!("{colour}{of}{noun}"),
            // A size as a word of its own stands before the colour, a bare one at the noun.
            Some(Size::Small) if dice.chance(0.3) => format!("很小的{colour}{of}{noun}"),
            Some(Size::Big) if dice.chance(0.3) => format!("巨大的{colour}{of}{noun}"),
            Some(Size::Small) => format!("{colour}{join}小{noun}"),
            Some(Size::Big) => format!("{colour}{join}大{noun}"),
        };
        let place = word(&PLACES, m.place.map(|p| p as usize), dice).unwrap_or("");
        match (case, place) {
            (Case::Subject, place) => format!("{place}有{number}{measure}{described}"),
            (_, "") => format!("{number}{measure}{described}"),
            (_, place) => format!("{place}的{number}{measure}{described}"),
        }
    }

    fn join(&self, things: &[String], case: Case) -> String {
        match (case, things) {
            (Case::Subject, [first, rest @ ..]) => rest.iter().fold(first.clone(), |text, clause| {
                let also = if clause.starts_with('有') { "还" } else { "" };
                format!("{text}，{also}{clause}")
            }),
            (_, [most @ .., last]) if !most.is_empty() => format!("{}和{last}", most.join("、")),
            _ => things.concat(),
        }
    }

    fn settings(&self, setting: Setting) -> &'static [&'static str] {
        match setting {
            Setting::Meadow => &["草地上", "草原上"],
            Setting::Sea => &["海边", "海上"],
            Setting::Night => &["夜里", "夜晚"],
            Setting::Sand => &["沙地上", "沙漠里"],
            Setting::Snow => &["雪地里", "雪地上"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::{Colour, Place, Thing};
    use super::super::tests::{at, group, says};
    use super::*;

    #[test]
    fn measure_words_and_two() {
        let red = Some(Colour::Red);
        says("zh", &[group(2, Some(Size::Small), red, Thing::Star)], None, "图中有两颗红色的小星星。");
        says("zh", &[group(3, None, Some(Colour::Blue), Thing::Fish)], None, "可以看到三条蓝色的鱼。");
        says("zh", &[group(1, Some(Size::Big), None, Thing::Tree)], None, "一棵大树。");
        let both = [at(Place::Left, group(1, None, None, Thing::House)), group(5, None, None, Thing::Flower)];
        says("zh", &both, Some(Setting::Night), "夜里，左边有一座房子，还有五朵花。");
        says("zh", &both, None, "左边的一座房子和五朵花。");
    }
}
