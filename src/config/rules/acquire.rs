//! The rules of multilingual acquisition.

use super::data::{placeholders, unicode};
use super::tower::{LEAST_TOKENS, MOST_TOKENS, trained_temperature};
use super::{Fault, Rules, WIDEST};
use crate::config::sections::{
    AcquireConfig, AcquireEncoder, LeConfig, NltConfig, NltTerm, Objective, RawConfig, SizesConfig,
};

pub(super) fn acquire(raw: &RawConfig, rules: &mut Rules) {
    let acquire = &raw.acquire;
    rules.width("acquire.hidden", acquire.hidden);
    rules.share("acquire.dropout", acquire.dropout);
    rules.at_most("acquire.rank", acquire.rank, WIDEST);
    let rank = acquire.rank;
    rules.need(rank == 0 || !acquire.train_embedding, "acquire.rank", Fault::RankUnused { rank });
    rules.at_least("acquire.fresh.vocabulary", acquire.fresh.vocabulary, LEAST_TOKENS);
    rules.at_most("acquire.fresh.vocabulary", acquire.fresh.vocabulary, MOST_TOKENS);
    rules.width("acquire.fresh.width", acquire.fresh.width);
    sizes(acquire, rules);
    let (nlt, le) = (&acquire.nlt, &acquire.le);
    for (stage, epochs, batch, rate, warmup, temperature) in [
        ("nlt", nlt.epochs, nlt.batch, nlt.learning_rate, nlt.warmup, nlt.temperature),
        ("le", le.epochs, le.batch, le.learning_rate, le.warmup, le.temperature),
    ] {
        let key = |of: &str| format!("acquire.{stage}.{of}");
        rules.times(&key("epochs"), epochs, 0);
        rules.times(&key("batch"), batch, 2);
        rules.positive(&key("learning_rate"), rate);
        rules.share(&key("warmup"), warmup);
        rules.positive(&key("temperature"), temperature);
    }
    rules.positive("acquire.le.nlt.temperature", le.nlt.temperature);
    rules.not_negative("acquire.le.nlt.weight", le.nlt.weight);
    for (part, objective, unit, default) in [
        ("nlt", nlt.objective, nlt.unit, NltConfig::default().unit),
        ("le", le.objective, le.unit, LeConfig::default().unit),
        ("le.nlt", le.nlt.objective, le.nlt.unit, NltTerm::default().unit),
    ] {
        let used = objective == Objective::Mse || unit == default;
        rules.need(used, &format!("acquire.{part}.unit"), Fault::DirectionsAlone { value: unit });
    }
    for (key, folder) in [("acquire.tower", &acquire.tower), ("acquire.embedding", &acquire.embedding)] {
        if let Some(folder) = folder {
            unicode(key, folder, rules);
        }
    }
    for (key, file) in [("acquire.nlt.source", &nlt.source), ("acquire.nlt.target", &nlt.target)] {
        if let Some(file) = file {
            placeholders(key, file, &["language"], rules);
        }
    }
    let whole = acquire.embedding.is_some();
    if acquire.tower.is_none() {
        rules.need(!whole, "acquire.embedding", Fault::AcquireUnused);
        let tower = acquire.encoder == AcquireEncoder::Tower;
        rules.need(tower, "acquire.encoder", Fault::AcquireUnused);
        return;
    }
    if acquire.encoder == AcquireEncoder::Bert {
        rules.need(whole, "acquire.embedding", Fault::BertMissing);
        rules.need(!acquire.train_embedding, "acquire.train_embedding", Fault::BertTrained);
        rules.need(rank == 0, "acquire.rank", Fault::BertRank { rank });
        return stages(raw, rules);
    }
    rules.need(whole || acquire.train_embedding, "acquire.train_embedding", Fault::UntrainedFresh);
    stages(raw, rules);
}

/// What is acquired, and in which stages.
fn stages(raw: &RawConfig, rules: &mut Rules) {
    let (acquire, data) = (&raw.acquire, &raw.data);
    let nlt = &acquire.nlt;
    let language = &acquire.own;
    let both = data.languages.contains(language) && data.languages.len() > 1;
    rules.need(both, "acquire.own", Fault::NothingToAcquire { language: language.clone() });
    rules.need(nlt.epochs + acquire.le.epochs > 0, "acquire.nlt.epochs", Fault::NoStage);
    let le = &acquire.le;
    let used = match le.objective {
        Objective::Mse => Err("`acquire.le.objective` is \"mse\""),
        Objective::Nce => Ok("acquire.le.temperature"),
    };
    trained_temperature(le.learn_temperature, "acquire.le.learn_temperature", (le.temperature, used), rules);
    let value = le.nlt.weight;
    rules.need(le.epochs > 0 || value == 0.0, "acquire.le.nlt.weight", Fault::TermWithoutStage { value });
    if acquire.translates() {
        rules.need(nlt.source.is_some(), "acquire.nlt.source", Fault::AcquireMissing);
        rules.need(nlt.target.is_some(), "acquire.nlt.target", Fault::AcquireMissing);
        let each = nlt.target.as_ref().is_none_or(|file| file.contains("{language}"));
        // The tower's own has the English sentences; those that were added had files of their own.
        let taught = data.languages.iter().filter(|l| **l != acquire.own && !raw.added.contains_key(*l));
        rules.need(each || taught.count() <= 1, "acquire.nlt.target", Fault::OneTarget);
    }
}

/// Sizes that are said beforehand.
fn sizes(acquire: &AcquireConfig, rules: &mut Rules) {
    let SizesConfig { width, layers, joint, words, word_width } = acquire.sizes;
    rules.at_most("acquire.sizes.width", width, WIDEST);
    rules.width("acquire.sizes.layers", layers);
    rules.width("acquire.sizes.joint", joint);
    rules.at_least("acquire.sizes.words", words, 1);
    rules.at_most("acquire.sizes.words", words, MOST_TOKENS);
    rules.width("acquire.sizes.word_width", word_width);
    let said = acquire.sizes == SizesConfig::default() || width > 0;
    rules.need(said, "acquire.sizes", Fault::SizeWithoutWidth);
}

#[cfg(test)]
mod tests {
    use crate::config::{AcquireEncoder, Fault, Objective, Problem, RawConfig};

    /// A configuration of acquisition that keeps every rule.
    fn good() -> RawConfig {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into(), "de".into(), "cs".into()];
        raw.data.captions = vec![crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        }];
        raw.acquire.tower = Some("clip".into());
        raw.acquire.embedding = Some("mbert".into());
        raw.acquire.nlt.source = Some("train.en".into());
        raw.acquire.nlt.target = Some("train.{language}".into());
        raw
    }

    fn broken(change: impl FnOnce(&mut RawConfig)) -> Vec<Problem> {
        let mut raw = good();
        change(&mut raw);
        raw.check("/base".into()).map_or_else(|problems| problems.0, |_| Vec::new())
    }

    fn one(key: &str, fault: Fault) -> Vec<Problem> {
        vec![Problem { key: key.into(), fault }]
    }

    #[test]
    fn folders_start_from_that_of_the_configuration() {
        assert_eq!(broken(|_| ()), []);
        let config = good().check("/base".into()).unwrap();
        assert_eq!(config.acquire().tower.as_deref(), Some(std::path::Path::new("/base/clip")));
    }

    #[test]
    fn an_embedding_needs_a_tower_and_a_tower_one_that_is_trained_or_given() {
        assert_eq!(broken(|raw| raw.acquire.embedding = None), []);
        let untrained = broken(|raw| (raw.acquire.embedding, raw.acquire.train_embedding) = (None, false));
        assert_eq!(untrained, one("acquire.train_embedding", Fault::UntrainedFresh));
        let unused = broken(|raw| raw.acquire.tower = None);
        assert_eq!(unused, one("acquire.embedding", Fault::AcquireUnused));
    }

    #[test]
    fn there_must_be_something_to_acquire() {
        let fault = |language: &str| Fault::NothingToAcquire { language: language.into() };
        assert_eq!(broken(|raw| raw.acquire.own = "fr".into()), one("acquire.own", fault("fr")));
        assert_eq!(broken(|raw| raw.data.languages.truncate(1)), one("acquire.own", fault("en")));
    }

    #[test]
    fn at_least_one_stage_trains() {
        let none = broken(|raw| (raw.acquire.nlt.epochs, raw.acquire.le.epochs) = (0, 0));
        assert_eq!(none, one("acquire.nlt.epochs", Fault::NoStage));
        assert_eq!(broken(|raw| raw.acquire.le.epochs = 0), []);
    }

    #[test]
    fn translations_are_named_for_each_language() {
        assert_eq!(
            broken(|raw| raw.acquire.nlt.source = None),
            one("acquire.nlt.source", Fault::AcquireMissing)
        );
        let one_file = broken(|raw| raw.acquire.nlt.target = Some("train.de".into()));
        assert_eq!(one_file, one("acquire.nlt.target", Fault::OneTarget));
        let added = broken(|raw| {
            raw.acquire.nlt.target = Some("train.de".into());
            raw.added.insert("cs".into(), Default::default());
        });
        assert_eq!(added, [], "a language that was added had a file of its own");
        assert_eq!(broken(|raw| (raw.acquire.nlt.target, raw.acquire.nlt.epochs) = (None, 0)), []);
    }

    #[test]
    fn a_trained_temperature_is_used_and_at_least_a_hundredth() {
        let learn = |change: fn(&mut RawConfig)| {
            broken(|raw| {
                raw.acquire.le.learn_temperature = true;
                change(raw);
            })
        };
        assert_eq!(learn(|_| ()), []);
        let cold = learn(|raw| raw.acquire.le.temperature = 0.001);
        assert_eq!(cold, one("acquire.le.temperature", Fault::TooCold { value: 0.001 }));
        let mse = learn(|raw| raw.acquire.le.objective = Objective::Mse);
        let reason = "`acquire.le.objective` is \"mse\"";
        assert_eq!(mse, one("acquire.le.learn_temperature", Fault::NoTemperature { reason }));
    }

    #[test]
    fn a_part_of_translations_in_the_second_stage_needs_that_stage_and_their_files() {
        let term = |change: fn(&mut RawConfig)| {
            broken(|raw| {
                raw.acquire.le.nlt.weight = 1.0;
                change(raw);
            })
        };
        assert_eq!(term(|_| ()), []);
        assert_eq!(term(|raw| raw.acquire.nlt.epochs = 0), []);
        let none = term(|raw| raw.acquire.le.epochs = 0);
        assert_eq!(none, one("acquire.le.nlt.weight", Fault::TermWithoutStage { value: 1.0 }));
        let files = term(|raw| (raw.acquire.nlt.epochs, raw.acquire.nlt.target) = (0, None));
        assert_eq!(files, one("acquire.nlt.target", Fault::AcquireMissing));
        let weight = term(|raw| raw.acquire.le.nlt.weight = -1.0);
        assert_eq!(weight, one("acquire.le.nlt.weight", Fault::Negative { value: -1.0 }));
        let cold = term(|raw| raw.acquire.le.nlt.temperature = 0.0);
        assert_eq!(cold, one("acquire.le.nlt.temperature", Fault::NotPositive { value: 0.0 }));
    }

    #[test]
    fn lengths_are_compared_by_squares_alone() {
        let fault = |value| Fault::DirectionsAlone { value };
        let nce = |change: fn(&mut RawConfig)| {
            broken(|raw| {
                let acquire = &mut raw.acquire;
                (acquire.nlt.objective, acquire.le.nlt.objective) = (Objective::Nce, Objective::Nce);
                change(raw);
            })
        };
        assert_eq!(nce(|_| ()), []);
        assert_eq!(nce(|raw| raw.acquire.nlt.unit = true), one("acquire.nlt.unit", fault(true)));
        assert_eq!(nce(|raw| raw.acquire.le.nlt.unit = true), one("acquire.le.nlt.unit", fault(true)));
        assert_eq!(nce(|raw| raw.acquire.le.unit = false), one("acquire.le.unit", fault(false)));
        assert_eq!(broken(|raw| raw.acquire.nlt.unit = true), []);
        let mse = broken(|raw| (raw.acquire.le.objective, raw.acquire.le.unit) = (Objective::Mse, false));
        assert_eq!(mse, []);
    }

    #[test]
    fn sizes_are_said_with_the_width_of_the_tower() {
        assert_eq!(broken(|raw| raw.acquire.sizes.width = 640), []);
        let alone = broken(|raw| raw.acquire.sizes.joint = 640);
        assert_eq!(alone, one("acquire.sizes", Fault::SizeWithoutWidth));
        let none = broken(|raw| (raw.acquire.sizes.width, raw.acquire.sizes.layers) = (640, 0));
        assert_eq!(none, one("acquire.sizes.layers", Fault::TooSmall { value: 0, least: 1 }));
    }

    #[test]
    fn a_rank_is_for_an_embedding_that_stays_as_it_is() {
        assert_eq!(broken(|raw| raw.acquire.rank = 8), one("acquire.rank", Fault::RankUnused { rank: 8 }));
        assert_eq!(broken(|raw| (raw.acquire.rank, raw.acquire.train_embedding) = (8, false)), []);
    }

    #[test]
    fn a_whole_m_bert_is_given_and_stays_as_it_is() {
        let bert = |change: fn(&mut RawConfig)| {
            broken(|raw| {
                (raw.acquire.encoder, raw.acquire.train_embedding) = (AcquireEncoder::Bert, false);
                change(raw);
            })
        };
        assert_eq!(bert(|_| ()), []);
        assert_eq!(bert(|raw| raw.acquire.embedding = None), one("acquire.embedding", Fault::BertMissing));
        let trained = bert(|raw| raw.acquire.train_embedding = true);
        assert_eq!(trained, one("acquire.train_embedding", Fault::BertTrained));
        assert_eq!(bert(|raw| raw.acquire.rank = 4), one("acquire.rank", Fault::BertRank { rank: 4 }));
        let unused = bert(|raw| (raw.acquire.tower, raw.acquire.embedding) = (None, None));
        assert_eq!(unused, one("acquire.encoder", Fault::AcquireUnused));
        assert_eq!(bert(|raw| raw.data.languages.truncate(1)).len(), 1);
    }

    #[test]
    fn a_fresh_vocabulary_has_a_place_for_every_byte() {
        let few = broken(|raw| raw.acquire.fresh.vocabulary = 200);
        assert_eq!(few, one("acquire.fresh.vocabulary", Fault::TooSmall { value: 200, least: 260 }));
    }

    #[test]
    fn batches_and_rates_of_a_stage_are_checked() {
        assert_eq!(
            broken(|raw| raw.acquire.nlt.batch = 1),
            one("acquire.nlt.batch", Fault::TooSmall { value: 1, least: 2 })
        );
        let rate = broken(|raw| raw.acquire.le.learning_rate = 0.0);
        assert_eq!(rate, one("acquire.le.learning_rate", Fault::NotPositive { value: 0.0 }));
        let warmup = broken(|raw| raw.acquire.le.warmup = 1.0);
        assert_eq!(warmup, one("acquire.le.warmup", Fault::NotAShare { value: 1.0 }));
    }
}
