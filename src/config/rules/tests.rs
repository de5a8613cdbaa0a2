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

#[test]
fn a_good_configuration_breaks_no_rule() {
    assert_eq!(after(|_| {}), [""; 0]);
}

rule!(
    seed_fits_a_toml_integer,
    |c| c.seed = u64::MAX,
    "`seed` is 18446744073709551615; it must be at most 9223372036854775807"
);

// [data]
rule!(
    there_is_a_language,
    |c| (c.data.languages.clear(), c.data.captions.clear()),
    "`data.languages` is empty; name at least one language, e.g. [\"en\", \"de\"]"
);
rule!(
    no_language_is_named_twice,
    |c| c.data.languages.push("en".into()),
    "`data.languages` names `en` twice"
);
rule!(
    every_language_has_captions,
    |c| c.data.languages.push("fr".into()),
    "`data.languages` names `fr`, which no entry of `data.captions` has"
);
#[test]
fn fewer_languages_than_the_captions_have_are_good() {
    let broken = after(|c| {
        c.train.captions.insert("de".into(), 2);
        c.data.languages.pop();
    });
    assert_eq!(broken, [""; 0]);
}

rule!(
    a_caption_source_names_no_language_twice,
    |c| c.data.captions[0].languages.push("en".into()),
    "`data.captions.0.languages` names `en` twice"
);
rule!(
    a_caption_source_without_languages_is_jsonl,
    |c| c.data.captions[0].languages.clear(),
    "`data.captions.0.languages` is empty; name the languages of the files (only `jsonl` files say them themselves, \
     in paths without `{language}`)"
);
rule!(
    a_caption_source_has_files,
    |c| c.data.captions[0].files.clear(),
    "`data.captions.0.files` is empty; name at least one file"
);
rule!(
    one_file_does_not_hold_several_languages,
    |c| c.data.captions[0].files = vec!["{split}.txt".into()],
    "`data.captions.0.files` has `{split}.txt` for several languages; put `{language}` where their paths differ"
);
rule!(
    one_file_of_lines_does_not_hold_several_splits,
    |c| c.data.captions[0].files = vec!["all.{language}".into()],
    "`data.captions.0.files` has `all.{language}` for every split; put `{split}` where their paths differ"
);
rule!(there_are_features, |c| c.data.features.clear(), "`data.features` is empty; name at least one file");
rule!(
    features_of_lines_differ_by_split,
    |c| c.data.features = vec!["all.npy".into()],
    "`data.features` has no `{split}`, but line n of a `lines` file is picture n of its split"
);
rule!(
    features_differ_by_split_all_or_none,
    |c| c.data.features.push("all.npy".into()),
    "`data.features` has `{split}` in some files; put it into all or none"
);
rule!(
    ids_differ_by_split_as_features_do,
    |c| c.data.image_ids = Some("ids.txt".into()),
    "`data.image_ids` is `ids.txt`; it must have `{split}` if `data.features` has it, and only then"
);
rule!(
    parallel_captions_differ_by_language,
    |c| c.data.parallel = Some("{split}.txt".into()),
    "`data.parallel` has `{split}.txt` for several languages; put `{language}` where their paths differ"
);
rule!(
    parallel_captions_differ_by_split,
    |c| c.data.parallel = Some("{language}.txt".into()),
    "`data.parallel` has `{language}.txt` for every split; put `{split}` where their paths differ"
);
rule!(
    text_differs_by_language,
    |c| c.data.text = Some("text.txt".into()),
    "`data.text` has `text.txt` for several languages; put `{language}` where their paths differ"
);

#[test]
fn a_language_code_is_plain() {
    let message =
        "`data.languages` has `../en`; a language code is made of ASCII letters, digits, `-` and `_`";
    let broken = after(|c| {
        c.data.languages = vec!["../en".into()];
        c.data.captions[0].languages = vec!["../en".into()];
    });
    assert_eq!(broken, [message]);
}

#[test]
fn a_karpathy_file_holds_all_splits() {
    let karpathy = |file: &str| CaptionSource {
        format: CaptionFormat::Karpathy,
        languages: vec!["en".into(), "de".into()],
        files: vec![file.into()],
        ..Default::default()
    };
    assert_eq!(after(|c| c.data.captions[0] = karpathy("dataset_{language}.json")), [""; 0]);
    assert_eq!(
        after(|c| c.data.captions[0] = karpathy("{split}_{language}.json")),
        ["`data.captions.0.files` has `{split}_{language}.json`, but a `karpathy` file holds all splits; \
         leave `{split}` out"]
    );
}

#[test]
fn jsonl_files_name_languages_and_splits_themselves() {
    let broken = after(|c| {
        c.data.captions[0] = CaptionSource {
            format: CaptionFormat::Jsonl,
            files: vec!["all.jsonl".into()],
            ..Default::default()
        };
        c.data.features = vec!["all.npy".into()];
        c.data.image_ids = Some("ids.txt".into());
    });
    assert_eq!(broken, [""; 0]);
}

#[test]
fn a_placeholder_is_known() {
    let says = |key: &str, file: &str, name: &str, known: &str| {
        vec![format!(
            "`{key}` has `{file}` with the unknown placeholder `{{{name}}}`; this path may hold {known}"
        )]
    };
    assert_eq!(
        after(|c| c.data.images = Some("{name}.png".into())),
        says("data.images", "{name}.png", "name", "`{split}` and `{id}`")
    );
    assert_eq!(
        after(|c| c.data.image_ids = Some("{split}.{language}".into())),
        says("data.image_ids", "{split}.{language}", "language", "`{split}`")
    );
    assert_eq!(
        after(|c| c.words.vectors = Some("cc.{lang}.bin".into())),
        says("words.vectors", "cc.{lang}.bin", "lang", "`{language}`")
    );
}

#[cfg(unix)]
#[test]
fn a_path_is_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let broken = after(|c| c.data.root = path.into());
    assert_eq!(broken, ["`data.root` cannot be written down: the path caf\u{fffd} is not valid Unicode"]);
}

// [words]
rule!(
    segmenter_tokenizer_needs_a_file,
    |c| c.words.segmenter = SegmenterKind::Tokenizer,
    "`words.tokenizer` is not set; `words.segmenter = \"tokenizer\"` needs a `tokenizer.json`"
);
rule!(
    a_tokenizer_is_used,
    |c| c.words.tokenizer = Some("t.json".into()),
    "`words.tokenizer` is set but not used; set `words.segmenter = \"tokenizer\"` too, or leave it out"
);
rule!(
    vectors_are_unpacked,
    |c| c.words.vectors = Some("cc.{language}.300.gz".into()),
    "`words.vectors` is `cc.{language}.300.gz`; vectors are read unpacked, as `.bin` or `.vec` files"
);
rule!(
    ngrams_go_from_short_to_long,
    |c| c.words.fasttext.max_ngram = 2,
    "`words.fasttext.max_ngram` is 2; it must not be less than `words.fasttext.min_ngram`, 3"
);
rule!(
    buckets_fit_32_bits,
    |c| c.words.fasttext.buckets = 1 << 31,
    "`words.fasttext.buckets` is 2147483648; it must be at most 2147483647"
);

rule!(
    subsampling_keeps_some_words,
    |c| c.words.fasttext.subsample = 0.0,
    "`words.fasttext.subsample` is 0; it must be greater than 0 and at most 1"
);
rule!(
    subsampling_is_a_share,
    |c| c.words.fasttext.subsample = 1.5,
    "`words.fasttext.subsample` is 1.5; it must be greater than 0 and at most 1"
);

#[test]
fn ngrams_may_be_left_out() {
    assert_eq!(after(|c| (c.words.fasttext.min_ngram, c.words.fasttext.max_ngram) = (0, 0)), [""; 0]);
}

/// A source of German that is translated into `reader`.
fn translated(raw: &mut RawConfig, reader: &str) {
    raw.data.captions.push(CaptionSource {
        languages: vec!["de".into()],
        files: vec!["translated/{split}.de".into()],
        read_as: Some(reader.into()),
        ..CaptionSource::default()
    });
}

#[test]
fn translated_texts_stand_for_a_language_that_is_not_trained() {
    let alone = |c: &mut RawConfig| c.data.languages = vec!["en".into()];
    let broken = after(|c| {
        alone(c);
        translated(c, "en");
    });
    assert_eq!(broken, [""; 0]);
    let told = "`data.captions.1.languages` names `de`, which `data.languages` trains; \
                take it out there, or leave `read_as` out";
    assert_eq!(after(|c| translated(c, "en")), [told]);
    let told = "`data.captions.1.read_as` is `fr`, which `data.languages` does not have";
    let broken = after(|c| {
        alone(c);
        translated(c, "fr");
    });
    assert_eq!(broken, [told]);
}

#[test]
fn translated_texts_do_not_train_their_language() {
    let broken = after(|c| {
        c.data.captions[0].languages = vec!["en".into()];
        translated(c, "en");
    });
    assert!(
        broken.contains(&"`data.languages` names `de`, which no entry of `data.captions` has".into()),
        "{broken:?}"
    );
}

rule!(
    translating_needs_dictionaries,
    |c| c.words.translate_below = 5,
    "`data.dictionary` is not set; `words.translate_below` needs a dictionary for each language"
);
rule!(
    a_dictionary_is_not_given_in_vain,
    |c| c.data.dictionary = Some("{language}-en.dict".into()),
    "`data.dictionary` is set but not used; set `words.translate_below` too, or leave it out"
);
rule!(
    rare_words_are_translated_into_a_language_of_the_model,
    |c| {
        (c.words.translate_below, c.words.translate_into) = (5, "fr".into());
        c.data.dictionary = Some("{language}-fr.dict".into());
    },
    "`words.translate_into` is `fr`, which `data.languages` does not have"
);
rule!(
    dictionaries_of_several_languages_have_their_own_files,
    |c| {
        c.data.languages.push("fr".into());
        c.data.captions[0].languages.push("fr".into());
        c.data.captions[0].files[0] = "{split}.{language}".into();
        c.words.translate_below = 5;
        c.data.dictionary = Some("to-en.dict".into());
    },
    "`data.dictionary` has `to-en.dict` for several languages; put `{language}` where their paths differ"
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

// [grow]
rule!(adding_needs_a_batch_of_two, |c| c.grow.images = 1, "`grow.images` is 1; it must be at least 2");
rule!(
    an_adapter_learns_with_own_words,
    |c| (c.grow.rank, c.grow.top_k) = (8, 0),
    "`grow.rank` is 8, but it learns with the language's own words (`grow.top_k`, `grow.epochs`), and these do not; leave this out"
);
rule!(own_words_have_a_width, |c| c.grow.word_width = 0, "`grow.word_width` is 0; it must be at least 1");
rule!(
    the_new_language_learns_at_a_positive_rate,
    |c| c.grow.learning_rate = 0.0,
    "`grow.learning_rate` is 0; it must be greater than 0"
);
rule!(
    the_new_language_is_aligned_at_a_positive_rate,
    |c| c.grow.align.learning_rate = -1.0,
    "`grow.align.learning_rate` is -1; it must be greater than 0"
);
rule!(
    unfrozen_passes_have_a_positive_rate,
    |c| c.grow.unfrozen_learning_rate = 0.0,
    "`grow.unfrozen_learning_rate` is 0; it must be greater than 0"
);
rule!(
    a_neighbourhood_is_not_negative,
    |c| c.grow.neighbourhood = -1.0,
    "`grow.neighbourhood` is -1; it must not be negative"
);
rule!(
    a_new_language_is_compared_with_some_captions,
    |c| c.grow.captions = 0,
    "`grow.captions` is 0; it must be at least 1"
);
rule!(
    own_words_of_a_new_language_can_be_counted,
    |c| c.grow.top_k = MOST_ROWS + 1,
    "`grow.top_k` is 2147483648; it must be at most 2147483647"
);

rule!(
    an_own_stage_compares_two_sentences,
    |c| c.grow.nlt.batch = Some(1),
    "`grow.nlt.batch` is 1; it must be at least 2"
);
rule!(
    an_own_stage_learns_at_a_positive_rate,
    |c| c.grow.le.learning_rate = Some(0.0),
    "`grow.le.learning_rate` is 0; it must be greater than 0"
);
rule!(
    an_own_stage_warms_up_for_a_share,
    |c| c.grow.le.warmup = Some(1.0),
    "`grow.le.warmup` is 1; it must be at least 0 and less than 1"
);

fn translations() -> TranslationSource {
    TranslationSource { language: "en".into(), known: "a.en".into(), new: "a.cs".into() }
}

rule!(
    translations_name_both_files,
    |c| c.grow.translations.push(TranslationSource { new: String::new(), ..translations() }),
    "`grow.translations.0.new` is empty; give it a value"
);
rule!(
    translations_teach_through_the_neighbourhood,
    |c| (c.grow.translations.push(translations()), c.grow.neighbourhood = 0.0),
    "`grow.neighbourhood` is 0, but it is the loss through which `grow.translations` teach"
);
#[test]
fn languages_added_or_translated_need_no_captions() {
    let broken = after(|c| {
        c.data.languages.push("cs".into());
        c.added.insert("cs".into(), AddedConfig::default());
    });
    assert_eq!(broken, [""; 0]);
    let broken = after(|c| {
        c.data.captions.clear();
        c.grow.translations.push(translations());
    });
    assert_eq!(broken, [""; 0]);
}
