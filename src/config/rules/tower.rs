//! The rules of a tower that is trained here.

use super::{Fault, Rules};
use crate::config::sections::{MOST_SCALE, RawConfig};

/// A byte-level vocabulary holds every byte and four special tokens; it must fit into a table.
pub(super) const LEAST_TOKENS: usize = 260;
pub(super) const MOST_TOKENS: usize = 1 << 24;

pub(super) fn tower(raw: &RawConfig, rules: &mut Rules) {
    let tower = &raw.tower;
    rules.at_most("tower.layers", tower.layers, 1 << 10);
    rules.width("tower.width", tower.width);
    rules.width("tower.heads", tower.heads);
    rules.width("tower.hidden", tower.hidden);
    rules.at_least("tower.context", tower.context, 3);
    rules.at_most("tower.context", tower.context, 1 << 16);
    rules.at_least("tower.vocabulary", tower.vocabulary, LEAST_TOKENS);
    rules.at_most("tower.vocabulary", tower.vocabulary, MOST_TOKENS);
    rules.share("tower.dropout", tower.dropout);
    let (width, heads) = (tower.width, tower.heads);
    let equal = heads == 0 || width.is_multiple_of(heads);
    rules.need(equal, "tower.width", Fault::HeadsUnequal { width, heads });
    if tower.layers == 0 {
        return;
    }
    let layers = tower.layers;
    rules.need(raw.acquire.tower.is_none(), "tower.layers", Fault::TowerTwice { layers });
    let (loss, mclm) = (&raw.loss, &raw.loss.mclm);
    let used = (loss.info_nce.weight > 0.0).then_some("loss.info_nce.temperature");
    let temperature = (loss.info_nce.temperature, used.ok_or("`loss.info_nce.weight` is 0"));
    trained_temperature(tower.learn_temperature, "tower.learn_temperature", temperature, rules);
    for (key, value) in [
        ("loss.info_nce.text_weight", loss.info_nce.text_weight),
        ("loss.neighbourhood.words", loss.neighbourhood.words),
        ("loss.neighbourhood.sentences", loss.neighbourhood.sentences),
        ("loss.neighbourhood.within", loss.neighbourhood.within),
        ("loss.mclm.average", mclm.average),
        ("loss.mclm.lstm", mclm.lstm),
        ("loss.mclm.masked_triplet", mclm.masked_triplet),
        ("loss.adversary.weight", loss.adversary.weight),
        ("loss.word_drift", loss.word_drift),
    ] {
        rules.need(value == 0.0, key, Fault::LossOfWords { value });
    }
}

/// A temperature that is to be trained must be used (its key, or the reason why it is not), and not be too low.
pub(super) fn trained_temperature(
    trained: bool,
    key: &str,
    (value, used): (f32, Result<&str, &'static str>),
    rules: &mut Rules,
) {
    match used {
        Ok(temperature) => {
            rules.need(!trained || value >= 1.0 / MOST_SCALE, temperature, Fault::TooCold { value })
        }
        Err(reason) => rules.need(!trained, key, Fault::NoTemperature { reason }),
    };
}

#[cfg(test)]
mod tests {
    use crate::config::{Fault, Problem, RawConfig};

    fn broken(change: impl FnOnce(&mut RawConfig)) -> Vec<Problem> {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into()];
        raw.data.captions = vec![crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        }];
        raw.tower.layers = 2;
        change(&mut raw);
        raw.check("/base".into()).map_or_else(|problems| problems.0, |_| Vec::new())
    }

    fn one(key: &str, fault: Fault) -> Vec<Problem> {
        vec![Problem { key: key.into(), fault }]
    }

    #[test]
    fn heads_divide_the_width() {
        assert_eq!(broken(|_| ()), []);
        let fault = Fault::HeadsUnequal { width: 256, heads: 3 };
        assert_eq!(broken(|raw| raw.tower.heads = 3), one("tower.width", fault));
    }

    #[test]
    fn a_context_has_a_place_for_a_word_and_a_vocabulary_for_every_byte() {
        let short = broken(|raw| raw.tower.context = 2);
        assert_eq!(short, one("tower.context", Fault::TooSmall { value: 2, least: 3 }));
        let few = broken(|raw| raw.tower.vocabulary = 259);
        assert_eq!(few, one("tower.vocabulary", Fault::TooSmall { value: 259, least: 260 }));
    }

    #[test]
    fn a_trained_temperature_is_used_and_at_least_a_hundredth() {
        let learn = |change: fn(&mut RawConfig)| {
            broken(|raw| {
                (raw.tower.learn_temperature, raw.loss.info_nce.weight) = (true, 1.0);
                change(raw);
            })
        };
        assert_eq!(learn(|raw| raw.loss.info_nce.temperature = 0.01), []);
        let cold = learn(|raw| raw.loss.info_nce.temperature = 0.005);
        assert_eq!(cold, one("loss.info_nce.temperature", Fault::TooCold { value: 0.005 }));
        let reason = "`loss.info_nce.weight` is 0";
        let unused = learn(|raw| raw.loss.info_nce.weight = 0.0);
        assert_eq!(unused, one("tower.learn_temperature", Fault::NoTemperature { reason }));
    }

    #[test]
    fn losses_of_words_are_not_for_towers() {
        let found = broken(|raw| raw.loss.mclm.average = 0.5);
        assert!(found.contains(&one("loss.mclm.average", Fault::LossOfWords { value: 0.5 })[0]), "{found:?}");
    }

    #[test]
    fn a_run_trains_a_tower_or_acquires_languages_on_one() {
        let both = broken(|raw| {
            raw.data.languages.push("de".into());
            raw.data.captions[0].languages.push("de".into());
            (raw.acquire.tower, raw.acquire.embedding) = (Some("clip".into()), Some("mbert".into()));
            raw.acquire.nlt.epochs = 0;
        });
        assert_eq!(both, one("tower.layers", Fault::TowerTwice { layers: 2 }));
    }
}
