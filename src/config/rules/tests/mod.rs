//! One test per rule.

use super::*;

/// A configuration that keeps every rule.
fn good() -> RawConfig {
    let mut raw = RawConfig::default();
    raw.data.languages = vec!["en".into(), "de".into()];
    raw.data.captions = vec![CaptionSource {
        languages: vec!["en".into(), "de".into()],
        files: vec!["task2/{split}.1.{language}".into()],
        ..CaptionSource::default()
    }];
    raw
}

/// What `change` breaks in a good configuration.
fn after(change: impl FnOnce(&mut RawConfig)) -> Vec<String> {
    let mut raw = good();
    change(&mut raw);
    broken(&raw).iter().map(Problem::to_string).collect()
}

macro_rules! rule {
    ($name:ident, |$raw:ident| $change:expr, $message:literal) => {
        #[test]
        fn $name() {
            assert_eq!(
                after(|$raw| {
                    $change;
                }),
                [$message]
            );
        }
    };
}

// They use the macro above.
mod corpus;
mod grow;

#[test]
fn a_good_configuration_breaks_no_rule() {
    assert_eq!(after(|_| {}), [""; 0]);
}

rule!(
    seed_fits_a_toml_integer,
    |c| c.seed = u64::MAX,
    "`seed` is 18446744073709551615; it must be at most 9223372036854775807"
);

// [embedding]
rule!(
    word_width_is_at_most_the_vectors,
    |c| c.embedding.word_width = 301,
    "`embedding.word_width` is 301; the FastText vectors it is reduced from have `words.fasttext.width` = 300"
);
rule!(
    rare_words_need_latents,
    |c| c.embedding.latents = 0,
    "`embedding.latents` is 0; words without a vector of their own need it \
     (or set `embedding.unseen = \"drop\"` and `embedding.top_k` above 0)"
);
rule!(
    top_m_is_at_most_latents,
    |c| c.embedding.latents = 19,
    "`embedding.pretrain.top_m` is 20; it must not be greater than `embedding.latents`, 19"
);

#[test]
fn ready_vectors_may_be_wider_than_trained_ones() {
    let broken = after(|c| {
        c.words.vectors = Some("wide.{language}.vec".into());
        c.embedding.word_width = 512;
    });
    assert_eq!(broken, [""; 0]);
}

#[test]
fn latents_may_be_left_out_when_rare_words_are_dropped() {
    let broken = after(|c| (c.embedding.latents, c.embedding.unseen) = (0, Unseen::Drop));
    assert_eq!(broken, [""; 0]);
}

rule!(
    words_of_characters_are_not_translated,
    |c| {
        (c.embedding.kind, c.words.translate_below) = (EmbeddingKind::Characters, 3);
        c.data.dictionary = Some("{language}-en.dict".into());
    },
    "`words.translate_below` is `3`; words made of characters (`embedding.kind`) have no vocabulary to translate from"
);
rule!(
    words_of_characters_do_not_drift,
    |c| (c.embedding.kind, c.loss.word_drift) = (EmbeddingKind::Characters, 1.0),
    "`loss.word_drift` is 1; it keeps trained word vectors near their start, and the model has none \
     (`embedding.top_k`, `embedding.train_words`)"
);
rule!(
    characters_have_vectors,
    |c| c.embedding.characters.hidden = vec![384, 0],
    "`embedding.characters.hidden` is 0; it must be at least 1"
);

// [text]
rule!(
    a_mean_of_two_directions_has_no_maximum,
    |c| (c.text.bidirectional, c.text.pooling) = (true, Pooling::Max),
    "`text.bidirectional` is true; the mean of two directions is pooled by the GRU's last states or their mean"
);
rule!(
    averages_have_no_directions,
    |c| (c.text.bidirectional, c.text.encoder) = (true, Encoder::Average),
    "`text.bidirectional` is true; the mean of two directions is pooled by the GRU's last states or their mean"
);
rule!(
    without_a_projection_the_state_is_the_joint_vector,
    |c| (c.text.projection, c.text.hidden) = (false, 1024),
    "`text.projection` is false; the pooled sentence has 1024 numbers, and `text.joint` is 512"
);

// [loss]
rule!(
    words_without_trained_vectors_do_not_drift,
    |c| (c.embedding.top_k, c.loss.word_drift) = (0, 1.0),
    "`loss.word_drift` is 1; it keeps trained word vectors near their start, and the model has none \
     (`embedding.top_k`, `embedding.train_words`)"
);
rule!(
    the_hardest_take_over_some_day,
    |c| c.loss.triplet.text_beta = 1.0,
    "`loss.triplet.text_beta` is 1; it must be at least 0 and less than 1"
);
rule!(
    some_loss_joins_text_and_images,
    |c| c.loss.triplet.weight = 0.0,
    "`loss.triplet.weight` is 0, and so are `loss.info_nce.weight` and `loss.mclm.masked_triplet`; \
     nothing would join text and images"
);
rule!(
    mask_is_more_than_none,
    |c| c.loss.mclm.mask = 0.0,
    "`loss.mclm.mask` is 0; it must be greater than 0 and less than 1"
);
rule!(
    mask_is_less_than_all,
    |c| c.loss.mclm.mask = 1.0,
    "`loss.mclm.mask` is 1; it must be greater than 0 and less than 1"
);

#[test]
fn the_masked_triplet_alone_joins_text_and_images() {
    let broken = after(|c| (c.loss.triplet.weight, c.loss.mclm.masked_triplet) = (0.0, 1.0));
    assert_eq!(broken, [""; 0]);
}

#[test]
fn losses_between_languages_need_two() {
    let broken = after(|c| {
        c.data.languages = vec!["en".into()];
        c.data.captions[0].languages = vec!["en".into()];
        c.loss.neighbourhood.words = 0.05;
    });
    assert_eq!(
        broken,
        ["`loss.neighbourhood.words` is 0.05; it compares languages, and `data.languages` has only one"]
    );
}

// [train]
rule!(a_batch_has_two_pictures, |c| c.train.images = 1, "`train.images` is 1; it must be at least 2");
rule!(
    captions_are_of_known_languages,
    |c| c.train.captions.insert("fr".into(), 2),
    "`train.captions.fr` names `fr`, which neither `data.languages` nor `data.captions` has"
);
rule!(
    captions_per_language_are_at_least_one,
    |c| c.train.captions.insert("en".into(), 0),
    "`train.captions.en` is 0; it must be at least 1"
);

/// Sets the number at `key` in a good configuration and says which rules break.
fn with(key: &str, value: f64) -> Vec<String> {
    let mut table = toml::Table::try_from(good()).unwrap();
    let (path, last) = key.rsplit_once('.').unwrap();
    let section = path.split('.').fold(&mut table, |at, step| at[step].as_table_mut().unwrap());
    section[last] = match section[last].is_integer() {
        true => toml::Value::Integer(value as i64),
        false => toml::Value::Float(value),
    };
    let raw: RawConfig = table.try_into().unwrap();
    broken(&raw).iter().map(Problem::to_string).filter(|text| text.starts_with(&format!("`{key}`"))).collect()
}

#[test]
fn counts_are_at_least_one() {
    for key in [
        "words.max_tokens",
        "words.min_count",
        "words.fasttext.epochs",
        "words.fasttext.window",
        "words.fasttext.negatives",
        "words.fasttext.min_count",
        "words.fasttext.min_ngram",
        "words.fasttext.buckets",
        "embedding.pretrain.top_m",
        "loss.triplet.top_n",
        "train.epochs",
        "consistency.iterations",
    ] {
        assert_eq!(with(key, 0.0), [format!("`{key}` is 0; it must be at least 1")]);
        assert_eq!(with(key, 3.0), [""; 0]);
    }
}

#[test]
fn widths_are_at_least_one_and_fit_into_memory() {
    for key in [
        "words.fasttext.width",
        "embedding.width",
        "text.hidden",
        "text.joint",
        "image.hidden",
        "consistency.hidden",
    ] {
        assert_eq!(with(key, 0.0), [format!("`{key}` is 0; it must be at least 1")]);
        assert_eq!(with(key, 1e9), [format!("`{key}` is 1000000000; it must be at most 65536")]);
    }
}

#[test]
fn probabilities_and_decays_are_at_least_0_and_less_than_1() {
    for key in [
        "embedding.pretrain.exploration",
        "text.word_dropout",
        "text.dropout",
        "image.dropout",
        "image.input_dropout",
        "loss.info_nce.label_smoothing",
        "train.beta1",
        "train.beta2",
        "train.average",
    ] {
        assert_eq!(with(key, 1.0), [format!("`{key}` is 1; it must be at least 0 and less than 1")]);
        assert_eq!(with(key, -0.25), [format!("`{key}` is -0.25; it must be at least 0 and less than 1")]);
        assert_eq!(with(key, 0.0), [""; 0]);
    }
}

#[test]
fn rates_margins_temperatures_and_norms_are_positive() {
    for key in [
        "words.fasttext.learning_rate",
        "embedding.norm",
        "embedding.align.learning_rate",
        "embedding.pretrain.learning_rate",
        "embedding.pretrain.temperature",
        "loss.triplet.margin",
        "loss.info_nce.temperature",
        "loss.info_nce.text_temperature",
        "train.learning_rate",
        "consistency.learning_rate",
    ] {
        assert_eq!(with(key, 0.0), [format!("`{key}` is 0; it must be greater than 0")]);
        assert_eq!(with(key, -0.1), [format!("`{key}` is -0.1; it must be greater than 0")]);
    }
}

#[test]
fn weights_are_not_negative() {
    for key in [
        "loss.triplet.weight",
        "loss.triplet.sentence_anchor",
        "loss.info_nce.weight",
        "loss.info_nce.text_weight",
        "loss.neighbourhood.words",
        "loss.neighbourhood.sentences",
        "loss.neighbourhood.within",
        "loss.mclm.average",
        "loss.mclm.lstm",
        "loss.mclm.masked_triplet",
        "loss.adversary.weight",
        "loss.adversary.reversal",
        "train.language_temperature",
        "train.clip",
        "train.weight_decay",
    ] {
        assert_eq!(with(key, -0.1), [format!("`{key}` is -0.1; it must not be negative")]);
    }
}

#[test]
fn every_number_is_finite() {
    fn numbers(path: &str, table: &toml::Table, into: &mut Vec<String>) {
        for (key, value) in table {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value {
                toml::Value::Table(table) => numbers(&path, table, into),
                toml::Value::Float(_) => into.push(path),
                _ => {}
            }
        }
    }
    let mut keys = Vec::new();
    numbers("", &toml::Table::try_from(good()).unwrap(), &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        for (value, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (1e300, "inf")] {
            assert_eq!(with(&key, value), [format!("`{key}` is {name}; it must be a finite number")]);
        }
    }
}

#[test]
fn all_broken_rules_are_found_at_once() {
    let broken = after(|c| {
        c.train.epochs = 0;
        c.loss.triplet.margin = -1.0;
        c.text.joint = 0;
    });
    assert_eq!(broken.len(), 3, "{broken:?}");
}
