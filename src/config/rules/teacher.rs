//! The rules of a teacher and of what it teaches by.

use super::data::{placeholders, unicode};
use super::{Fault, Rules};
use crate::config::codes::same_code;
use crate::config::sections::{PictureBranch, RawConfig, TeacherLossConfig};

pub(super) fn teacher(raw: &RawConfig, rules: &mut Rules) {
    let (teacher, loss, grown) = (&raw.teacher, &raw.loss.teacher, &raw.grow.teacher);
    for (section, loss) in [("loss.teacher", loss), ("grow.teacher", grown)] {
        for (key, weight) in loss.weights() {
            rules.not_negative(&format!("{section}.{key}"), weight);
        }
        rules.positive(&format!("{section}.temperature"), loss.temperature);
        rules.positive(&format!("{section}.relational_temperature"), loss.relational_temperature);
    }
    rules.need(grown.unit, "grow.teacher.unit", Fault::TeacherNotAtUnitLength);
    for (key, weight) in loss.weights() {
        let lacks = weight > 0.0 && weight.is_finite() && !teacher.given();
        rules.need(!lacks, &format!("loss.teacher.{key}"), Fault::NoTeacher { value: weight });
    }

    let joined = raw.loss.triplet.weight != 0.0
        || raw.loss.info_nce.weight != 0.0
        || raw.loss.mclm.masked_triplet != 0.0;
    let there = teacher.pictures || raw.image.branch == PictureBranch::Given;
    rules.need(joined || there || !loss.is_on(), "loss.triplet.weight", Fault::NoPictures);

    let kinds = [teacher.run.is_some(), teacher.tower.is_some(), !teacher.texts.is_empty()];
    let first = ["teacher.run", "teacher.tower", "teacher.texts"];
    let given: Vec<&str> = first.iter().zip(kinds).filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    if let [first, others @ ..] = &given[..] {
        others.iter().for_each(|other| {
            rules.need(false, other, Fault::TeacherTwice { first: (*first).into() });
        });
        let weights = [loss, grown].map(TeacherLossConfig::weights);
        let used = weights.as_flattened().iter().any(|(_, weight)| *weight != 0.0) || teacher.pictures;
        rules.need(used, first, Fault::TeacherUnused);
    }
    for (key, file) in [("teacher.run", &teacher.run), ("teacher.tower", &teacher.tower)] {
        file.iter().for_each(|file| unicode(key, file, rules));
    }
    let named = teacher.run.is_some() || !teacher.given() || !teacher.languages.is_empty();
    rules.need(named, "teacher.languages", Fault::TeacherWithoutLanguages);
    for (n, language) in teacher.languages.iter().enumerate() {
        // Of an added language the known sides of its translations count too.
        let translated = raw.grow.translations.iter().map(|source| &source.language);
        let known = raw.data.languages.iter().chain(translated).any(|l| same_code(l, language));
        rules.need(known, "teacher.languages", Fault::NoSuchLanguage { language: language.clone() });
        let twice = teacher.languages[..n].iter().any(|l| same_code(l, language));
        rules.need(!twice, "teacher.languages", Fault::LanguageTwice { language: language.clone() });
    }
    for file in &teacher.texts {
        placeholders("teacher.texts", file, &["language"], rules);
        let apart = teacher.languages.len() < 2 || file.contains("{language}");
        rules.need(apart, "teacher.texts", Fault::NoLanguageInPath { file: file.clone() });
        let text = !file.ends_with(".npy");
        rules.need(text, "teacher.texts", Fault::VectorsForText { file: file.clone() });
    }
    let read = teacher.prefix.is_empty() || teacher.tower.is_some();
    rules.need(read, "teacher.prefix", Fault::OnlyWith { key: "teacher.tower" });
    let drawn = !teacher.pictures || teacher.run.is_some();
    rules.need(drawn, "teacher.pictures", Fault::OnlyWith { key: "teacher.run" });
}

#[cfg(test)]
mod tests {
    use crate::config::{Fault, Problem, RawConfig};

    fn broken(change: impl FnOnce(&mut RawConfig)) -> Vec<Problem> {
        let mut raw = RawConfig::default();
        raw.data.languages = ["en", "de"].map(String::from).to_vec();
        raw.data.captions = vec![crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        }];
        raw.teacher.run = Some("/run".into());
        raw.loss.teacher.cosine = 1.0;
        change(&mut raw);
        raw.check("/base".into()).map_or_else(|problems| problems.0, |_| Vec::new())
    }

    #[track_caller]
    fn one(key: &str, fault: Fault, change: impl FnOnce(&mut RawConfig)) {
        assert_eq!(broken(change), [Problem::new(key, fault)]);
    }

    #[test]
    fn each_kind_of_teacher_keeps_every_rule() {
        assert_eq!(broken(|_| ()), []);
        assert_eq!(broken(|raw| (raw.teacher.pictures, raw.loss.teacher.cosine) = (true, 0.0)), []);
        let tower = |raw: &mut RawConfig| {
            (raw.teacher.run, raw.teacher.tower) = (None, Some("/tower".into()));
            (raw.teacher.languages, raw.teacher.prefix) = (vec!["en".into()], "query: ".into());
        };
        assert_eq!(broken(tower), []);
        let texts = |raw: &mut RawConfig| {
            raw.teacher.run = None;
            raw.teacher.texts = vec!["t/{language}.txt".into()];
            raw.teacher.languages = ["de", "en"].map(String::from).to_vec();
        };
        assert_eq!(broken(texts), []);
    }

    #[test]
    fn a_loss_needs_a_teacher_and_a_teacher_a_loss() {
        one("loss.teacher.cosine", Fault::NoTeacher { value: 1.0 }, |raw| raw.teacher.run = None);
        one("teacher.run", Fault::TeacherUnused, |raw| raw.loss.teacher.cosine = 0.0);
        one("loss.teacher.mse", Fault::Negative { value: -1.0 }, |raw| raw.loss.teacher.mse = -1.0);
        one("loss.teacher.temperature", Fault::NotPositive { value: 0.0 }, |raw| {
            raw.loss.teacher.temperature = 0.0
        });
    }

    #[test]
    fn pictures_are_joined_or_in_the_space() {
        one("loss.triplet.weight", Fault::NoPictures, |raw| raw.loss.triplet.weight = 0.0);
        let pictures = |raw: &mut RawConfig| (raw.loss.triplet.weight, raw.teacher.pictures) = (0.0, true);
        assert_eq!(broken(pictures), []);
        let given = |raw: &mut RawConfig| {
            (raw.loss.triplet.weight, raw.image.branch) = (0.0, crate::config::PictureBranch::Given)
        };
        assert_eq!(broken(given), []);
    }

    #[test]
    fn there_is_one_teacher_that_says_what_it_reads() {
        one("teacher.tower", Fault::TeacherTwice { first: "teacher.run".into() }, |raw| {
            raw.teacher.tower = Some("/tower".into())
        });
        one("teacher.languages", Fault::TeacherWithoutLanguages, |raw| {
            (raw.teacher.run, raw.teacher.tower) = (None, Some("/tower".into()))
        });
        one("teacher.languages", Fault::NoSuchLanguage { language: "fr".into() }, |raw| {
            raw.teacher.languages = vec!["fr".into()]
        });
        one("teacher.languages", Fault::LanguageTwice { language: "en".into() }, |raw| {
            raw.teacher.languages = ["en", "en"].map(String::from).to_vec()
        });
    }

    #[test]
    fn keys_of_one_kind_are_not_for_another() {
        one("teacher.prefix", Fault::OnlyWith { key: "teacher.tower" }, |raw| {
            raw.teacher.prefix = "query: ".into()
        });
        let of_texts = |file: &'static str, pictures: bool| {
            move |raw: &mut RawConfig| {
                (raw.teacher.run, raw.teacher.texts) = (None, vec![file.into()]);
                raw.teacher.languages = ["en", "de"].map(String::from).to_vec();
                raw.teacher.pictures = pictures;
            }
        };
        let file = || "t.txt".to_string();
        one("teacher.texts", Fault::NoLanguageInPath { file: file() }, of_texts("t.txt", false));
        let vectors = "{language}.npy".to_string();
        one("teacher.texts", Fault::VectorsForText { file: vectors }, of_texts("{language}.npy", false));
        one("teacher.pictures", Fault::OnlyWith { key: "teacher.run" }, of_texts("{language}.txt", true));
    }
}
