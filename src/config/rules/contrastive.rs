//! The rules of contrastive training.

use super::data::unicode;
use super::tower::{LEAST_TOKENS, MOST_TOKENS, trained_temperature};
use super::{Fault, Rules};
use crate::config::sections::{PictureHead, RawConfig, TextTextSource};

pub(super) fn contrastive(raw: &RawConfig, rules: &mut Rules) {
    let contrastive = &raw.contrastive;
    let (fresh, image_text) = (&contrastive.fresh, &contrastive.image_text);
    let (text_text, triple) = (&contrastive.text_text, contrastive.triple.weight);
    rules.at_most("contrastive.fresh.layers", fresh.layers, 1 << 10);
    rules.width("contrastive.fresh.width", fresh.width);
    rules.width("contrastive.fresh.heads", fresh.heads);
    rules.width("contrastive.fresh.hidden", fresh.hidden);
    rules.at_least("contrastive.fresh.vocabulary", fresh.vocabulary, LEAST_TOKENS);
    rules.at_most("contrastive.fresh.vocabulary", fresh.vocabulary, MOST_TOKENS);
    let (width, heads) = (fresh.width, fresh.heads);
    let divides = heads == 0 || width.is_multiple_of(heads);
    rules.need(divides, "contrastive.fresh.width", Fault::HeadsUnequal { width, heads });
    rules.at_least("contrastive.context", contrastive.context, 3);
    rules.at_most("contrastive.context", contrastive.context, 1 << 16);
    rules.at_least("contrastive.head_layers", contrastive.head_layers, 1);
    rules.at_most("contrastive.head_layers", contrastive.head_layers, 2);
    rules.not_negative("contrastive.frozen_epochs", contrastive.frozen_epochs);
    rules.positive("contrastive.encoder_rate", contrastive.encoder_rate);
    rules.positive("contrastive.text_text.rate", text_text.rate);
    for (part, weight, temperature, margin, smoothing) in [
        (
            "image_text",
            image_text.weight,
            image_text.temperature,
            image_text.margin,
            image_text.label_smoothing,
        ),
        ("text_text", text_text.weight, text_text.temperature, text_text.margin, text_text.label_smoothing),
    ] {
        let key = |of: &str| format!("contrastive.{part}.{of}");
        rules.not_negative(&key("weight"), weight);
        rules.positive(&key("temperature"), temperature);
        rules.not_negative(&key("margin"), margin);
        rules.share(&key("label_smoothing"), smoothing);
    }
    rules.not_negative("contrastive.triple.weight", triple);
    for (key, folder) in
        [("contrastive.checkpoint", &contrastive.checkpoint), ("contrastive.start", &contrastive.start)]
    {
        if let Some(folder) = folder {
            unicode(key, folder, rules);
        }
    }
    let encoders = [contrastive.checkpoint.is_some(), contrastive.start.is_some(), fresh.layers > 0];
    if !contrastive.given() {
        return;
    }
    let one = encoders.iter().filter(|given| **given).count() == 1;
    rules.need(one, "contrastive.checkpoint", Fault::EncoderTwice);
    let alone = raw.tower.layers == 0 && raw.acquire.tower.is_none();
    rules.need(alone, "contrastive.checkpoint", Fault::OtherEncoder);
    let some = image_text.weight > 0.0 || text_text.weight > 0.0 || triple > 0.0;
    rules.need(some, "contrastive.image_text.weight", Fault::NoContrast);
    let linear = contrastive.pictures == PictureHead::Linear;
    rules.need(image_text.unit || linear, "contrastive.image_text.unit", Fault::RawPictures);
    let used = |weight: f32, of: &'static str, reason: &'static str| match weight + triple > 0.0 {
        true => Ok(of),
        false => Err(reason),
    };
    let by_pictures = used(
        image_text.weight,
        "contrastive.image_text.temperature",
        "neither `contrastive.image_text` nor `contrastive.triple` has a weight",
    );
    let key = "contrastive.image_text.learn_temperature";
    trained_temperature(image_text.learn_temperature, key, (image_text.temperature, by_pictures), rules);
    let by_texts = used(
        text_text.weight,
        "contrastive.text_text.temperature",
        "neither `contrastive.text_text` nor `contrastive.triple` has a weight",
    );
    let key = "contrastive.text_text.learn_temperature";
    trained_temperature(text_text.learn_temperature, key, (text_text.temperature, by_texts), rules);
    let given = !raw.data.pairs.is_empty();
    let value = text_text.weight;
    if contrastive.reads_pairs() {
        rules.need(given, "contrastive.text_text.weight", Fault::NoPairs { value });
    }
    rules.need(contrastive.reads_pairs() || !given, "contrastive.text_text.weight", Fault::PairsUnused);
    let from_captions = value > 0.0 && text_text.source == TextTextSource::Captions;
    if raw.data.languages.len() == 1 {
        let key = "contrastive.text_text.weight";
        rules.need(!from_captions, key, Fault::OneLanguage { value });
        rules.need(triple == 0.0, "contrastive.triple.weight", Fault::OneLanguage { value: triple });
    }
    for language in &image_text.languages {
        let known = raw.data.languages.contains(language);
        let fault = Fault::UnknownLanguage { language: language.clone() };
        rules.need(known, "contrastive.image_text.languages", fault);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Fault, Problem, RawConfig, TextTextSource};

    fn broken(change: impl FnOnce(&mut RawConfig)) -> Vec<Problem> {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into(), "de".into()];
        raw.data.captions = vec![crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        }];
        raw.contrastive.fresh.layers = 2;
        change(&mut raw);
        raw.check("/base".into()).map_or_else(|problems| problems.0, |_| Vec::new())
    }

    fn one(key: &str, fault: Fault) -> Vec<Problem> {
        vec![Problem { key: key.into(), fault }]
    }

    #[test]
    fn there_is_one_encoder_and_something_to_minimise() {
        assert_eq!(broken(|_| ()), []);
        let two = broken(|raw| raw.contrastive.checkpoint = Some("e5".into()));
        assert_eq!(two, one("contrastive.checkpoint", Fault::EncoderTwice));
        let none = broken(|raw| raw.contrastive.image_text.weight = 0.0);
        assert_eq!(none, one("contrastive.image_text.weight", Fault::NoContrast));
        let tower = broken(|raw| raw.tower.layers = 2);
        assert!(tower.contains(&one("contrastive.checkpoint", Fault::OtherEncoder)[0]), "{tower:?}");
    }

    #[test]
    fn scores_that_are_no_cosines_need_a_linear_picture_head() {
        let raw = broken(|raw| raw.contrastive.image_text.unit = false);
        assert_eq!(raw, one("contrastive.image_text.unit", Fault::RawPictures));
    }

    #[test]
    fn pairs_come_with_the_loss_that_reads_them_and_two_languages() {
        let none = broken(|raw| raw.contrastive.text_text.weight = 0.1);
        assert_eq!(none, one("contrastive.text_text.weight", Fault::NoPairs { value: 0.1 }));
        let alone = broken(|raw| {
            raw.data.languages.pop();
            raw.data.captions[0].languages.pop();
            raw.contrastive.text_text.weight = 0.1;
            raw.contrastive.text_text.source = TextTextSource::Captions;
        });
        assert_eq!(alone, one("contrastive.text_text.weight", Fault::OneLanguage { value: 0.1 }));
    }

    #[test]
    fn a_trained_temperature_is_used_and_at_least_a_hundredth() {
        let cold = broken(|raw| {
            let image_text = &mut raw.contrastive.image_text;
            (image_text.learn_temperature, image_text.temperature) = (true, 0.005);
        });
        assert_eq!(cold, one("contrastive.image_text.temperature", Fault::TooCold { value: 0.005 }));
        let unused = broken(|raw| raw.contrastive.text_text.learn_temperature = true);
        let reason = "neither `contrastive.text_text` nor `contrastive.triple` has a weight";
        assert_eq!(unused, one("contrastive.text_text.learn_temperature", Fault::NoTemperature { reason }));
    }

    #[test]
    fn languages_that_meet_pictures_are_those_of_the_data() {
        let unknown = broken(|raw| raw.contrastive.image_text.languages = vec!["fr".into()]);
        let fault = Fault::UnknownLanguage { language: "fr".into() };
        assert_eq!(unknown, one("contrastive.image_text.languages", fault));
    }
}
