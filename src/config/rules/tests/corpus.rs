//! Captions and words.

use super::*;

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
    "`data.captions.0.languages` is empty; name the languages of the files (only `csv`, `json`, `jsonl` and \
     `parquet` files say them themselves, in paths without `{language}`)"
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
    "`data.captions.0.files` has `all.{language}` for every split; put `{split}` where their paths differ, or name its one \
     split in `splits`"
);
rule!(
    a_caption_source_has_splits,
    |c| c.data.captions[0].splits.clear(),
    "`data.captions.0.splits` is empty; give it a value"
);
rule!(
    a_caption_source_names_no_split_twice,
    |c| c.data.captions[0].splits = vec![CaptionSplit::Val, CaptionSplit::Test, CaptionSplit::Val],
    "`data.captions.0.splits` names `val` twice"
);
rule!(
    translations_to_ask_with_are_not_for_training_alone,
    |c| {
        c.data.captions[0].languages = vec!["en".into()];
        c.data.languages = vec!["en".into()];
        translated(c, "en");
        c.data.captions[1].splits = vec![CaptionSplit::Train];
    },
    "`data.captions.1.splits` has only `train`, but texts with `read_as` are asked with, in `val` and `test`; name one of \
     these too"
);

#[test]
fn a_file_of_lines_may_be_of_one_split() {
    let broken = after(|c| {
        c.data.captions[0].files = vec!["all.{language}".into()];
        c.data.captions[0].splits = vec![CaptionSplit::Train];
    });
    assert_eq!(broken, [""; 0]);
}
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
    let message = "`data.languages` has `../en`; a language code is made of ASCII letters and digits, with `-` or `_` \
         between them";
    let broken = after(|c| {
        c.data.languages = vec!["../en".into()];
        c.data.captions[0].languages = vec!["../en".into()];
    });
    assert_eq!(broken, [message.into(), message.replace("data.languages", "data.captions.0.languages")]);
}

rule!(
    a_translation_names_a_plain_code,
    |c| c.grow.translations =
        vec![TranslationSource { language: "e/n".into(), known: "a".into(), new: "b".into() }],
    "`grow.translations.0.language` has `e/n`; a language code is made of ASCII letters and digits, with `-` or `_` \
     between them"
);
rule!(
    codes_of_the_data_stand_for_one_language,
    |c| c.data.codes = [("en".to_string(), vec!["de".to_string()])].into(),
    "`data.codes.en` has `de`, which `de` stands for too"
);
rule!(
    only_lines_are_counted,
    |c| (c.data.captions[0].per_picture, c.data.captions[0].format) = (5, CaptionFormat::Coco),
    "`data.captions.0.per_picture` is 5; only the captions of `lines` files are counted, those of other formats name \
     their pictures"
);
rule!(
    a_picture_has_a_line,
    |c| c.data.captions[0].per_picture = 0,
    "`data.captions.0.per_picture` is 0; it must be at least 1"
);
rule!(
    only_records_have_keys,
    |c| c.data.captions[0].keys.text = Some("caption".into()),
    "`data.captions.0.keys` is set, but only records have keys: those of `csv`, `json`, `jsonl` and `parquet`"
);
rule!(
    the_split_is_told_once,
    |c| {
        c.data.captions[0].format = CaptionFormat::Jsonl;
        c.data.captions[0].keys.split = Some("split".into());
    },
    "`data.captions.0.keys.split` is set, but `files` hold `{split}`; leave one of the two out"
);
#[test]
fn codes_may_be_written_in_other_ways() {
    let broken = after(|c| {
        c.data.languages = vec!["pt-BR".into(), "de".into()];
        c.data.captions[0].languages = vec!["pt_br".into(), "DE".into()];
    });
    assert_eq!(broken, [""; 0]);
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
    buckets_are_bounded,
    |c| c.words.fasttext.buckets = 1 << 31,
    "`words.fasttext.buckets` is 2147483648; it must be at most 100000000"
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

/// A configuration with translations of English and German captions, changed.
fn with_translations(change: impl FnOnce(&mut Vec<TranslatedCaptions>)) -> Vec<String> {
    after(|c| {
        let of = |code: &str| TranslatedCaptions {
            of: vec![code.into()],
            files: vec!["mt/{split}.1.{of}-{language}".into()],
            ..TranslatedCaptions::default()
        };
        c.data.translations = vec![of("en"), of("de")];
        change(&mut c.data.translations)
    })
}

#[test]
fn translations_say_what_is_in_their_files() {
    let key = "`data.translations.0";
    assert_eq!(with_translations(|_| {}), [""; 0]);
    assert_eq!(
        with_translations(|t| t[1].of.push("en".into())),
        [
            "`data.translations.1.of` names `en`, whose captions an earlier entry translates; put its files there, or take it out"
        ]
    );
    assert_eq!(with_translations(|t| t[0].of.push("en".into())), [format!("{key}.of` names `en` twice")]);
    assert_eq!(
        with_translations(|t| t[0].languages = vec!["de".into(), "de".into()]),
        [format!("{key}.languages` names `de` twice")]
    );
    assert_eq!(
        with_translations(|t| t[0].files.clear()),
        [format!("{key}.files` is empty; name at least one file")]
    );
    assert_eq!(
        with_translations(|t| {
            t.truncate(1);
            (t[0].of, t[0].files) = (vec!["en".into(), "de".into()], vec!["mt/{split}.1.{language}".into()]);
        }),
        [format!(
            "{key}.files` has `mt/{{split}}.1.{{language}}` for the captions of several languages; put `{{of}}` where their paths differ"
        )]
    );
    assert_eq!(
        with_translations(|t| t[0].files = vec!["mt/1.{language}".into()]),
        [format!(
            "{key}.files` has `mt/1.{{language}}` for every split; put `{{split}}` where their paths differ"
        )]
    );
    assert_eq!(
        with_translations(|t| t[0].files = vec!["mt/{split}.1".into()]),
        [format!(
            "{key}.files` has `mt/{{split}}.1` for several languages; put `{{language}}` where their paths differ"
        )]
    );
    assert_eq!(
        with_translations(|t| t[0].format = TranslationFormat::Jsonl),
        [format!(
            "{key}.files` has `mt/{{split}}.1.{{of}}-{{language}}` with `{{language}}`, but a line of a `jsonl` file has all \
             languages; leave it out"
        )]
    );
    assert_eq!(
        with_translations(|t| t[0].files = vec!["mt/{split}.{of}.{lang}".into()])[0],
        format!(
            "{key}.files` has `mt/{{split}}.{{of}}.{{lang}}` with the unknown placeholder `{{lang}}`; this path may hold \
             `{{split}}` and `{{of}}` and `{{language}}`"
        )
    );
}

// [[data.pairs]]
fn with_pairs(c: &mut RawConfig) -> &mut PairSource {
    c.loss.pairs.weight = 0.5;
    let source = PairSource {
        languages: vec!["en".into(), "de".into()],
        files: vec!["pairs.{language}".into()],
        ..PairSource::default()
    };
    c.data.pairs.push(source);
    &mut c.data.pairs[0]
}
#[test]
fn sentence_pairs_with_their_loss_are_good() {
    assert_eq!(after(|c| _ = with_pairs(c)), [""; 0]);
}
rule!(
    sentence_pairs_need_a_loss,
    |c| {
        with_pairs(c);
        c.loss.pairs.weight = 0.0;
    },
    "`loss.pairs.weight` is 0, but `data.pairs` are given; set a weight, or leave them out"
);
#[test]
fn words_may_learn_from_pairs_alone() {
    let broken = after(|c| {
        with_pairs(c);
        (c.loss.pairs.weight, c.embedding.pairs) = (0.0, 100);
    });
    assert_eq!(broken, [""; 0]);
}
rule!(
    words_of_pairs_need_some,
    |c| c.embedding.pairs = 100,
    "`embedding.pairs` is 100, but there are no `data.pairs`; name some, or leave this out"
);
rule!(
    a_loss_of_pairs_needs_some,
    |c| c.loss.pairs.weight = 0.5,
    "`loss.pairs.weight` is 0.5, but there are no `data.pairs`; name some, or leave this out"
);
rule!(
    a_pair_has_two_languages,
    |c| with_pairs(c).languages.truncate(1),
    "`data.pairs.0.languages` must name two languages or more (one, where `loss.teacher` teaches it); a line is the same sentence in each of them"
);
rule!(
    pairs_by_file_differ_by_language,
    |c| with_pairs(c).files = vec!["pairs.txt".into()],
    "`data.pairs.0.files` has `pairs.txt` for several languages; put `{language}` where their paths differ"
);
rule!(
    pairs_by_line_have_one_file,
    |c| with_pairs(c).format = PairFormat::Tsv,
    "`data.pairs.0.files` has `pairs.{language}` with `{language}`, but a line of it has all languages; leave it out"
);
rule!(
    keys_of_pairs_differ_by_language,
    |c| {
        let source = with_pairs(c);
        (source.format, source.files) = (PairFormat::Jsonl, vec!["pairs.jsonl".into()]);
        source.key = "text".into();
    },
    "`data.pairs.0.key` is `text`; put `{language}` where the names of the languages differ"
);
rule!(
    lines_have_no_keys,
    |c| with_pairs(c).key = "t.{language}".into(),
    "`data.pairs.0.key` is set, but `lines` files have no keys; leave it out"
);
rule!(
    a_step_draws_a_wrong_pair_too,
    |c| c.train.pairs.lines = 1,
    "`train.pairs.lines` is 1; it must be at least 2"
);
#[test]
fn one_thing_alone_says_what_is_in_which_split() {
    let table = |c: &mut RawConfig| {
        c.data.captions[0] =
            CaptionSource { format: CaptionFormat::Csv, files: vec!["all.csv".into()], ..Default::default() };
        (c.data.features, c.data.image_ids) = (vec!["all.npy".into()], Some("ids.txt".into()));
        c.data.split = Some("splits.tsv".into());
    };
    let with = |change: &dyn Fn(&mut DataConfig)| {
        after(|c| {
            table(c);
            change(&mut c.data);
        })
    };
    let says =
        |by: &str| [format!("`data.split` is set, but `{by}` tells the split too; leave one of the two out")];
    assert_eq!(with(&|_| ()), [""; 0]);
    assert_eq!(
        with(&|data| {
            (data.features, data.image_ids) = (vec!["{split}.npy".into()], Some("{split}.txt".into()))
        }),
        [says("data.features"), says("data.image_ids")].concat()
    );
    assert_eq!(
        with(&|data| data.captions[0].files = vec!["{split}.csv".into()]),
        says("data.captions.0.files")
    );
    assert_eq!(
        with(&|data| data.captions[0].keys.split = Some("split".into())),
        says("data.captions.0.keys.split")
    );
    assert_eq!(
        with(&|data| data.captions[0] = CaptionSource {
            format: CaptionFormat::Karpathy,
            languages: vec!["en".into(), "de".into()],
            files: vec!["dataset_{language}.json".into()],
            ..Default::default()
        }),
        says("data.captions.0.format")
    );
    assert_eq!(
        with(&|data| data.split = Some("{split}.tsv".into())),
        ["`data.split` has `{split}.tsv` with the unknown placeholder `{split}`; this path may hold none"]
    );
}

#[test]
fn photographs_have_a_tower_and_no_features_beside_them() {
    let with = |change: &dyn Fn(&mut DataConfig)| {
        after(|c| {
            c.data.captions[0] = CaptionSource {
                format: CaptionFormat::Csv,
                files: vec!["all.csv".into()],
                ..Default::default()
            };
            (c.data.photos, c.data.tower) = (Some("photos".into()), Some("clip".into()));
            c.data.split = Some("splits.tsv".into());
            change(&mut c.data);
        })
    };
    let lacks = ["`data.photos` is set, but `data.tower` is not; set it too, or leave this out"];
    let both = |key: &str| {
        [format!(
            "`{key}` is set, and so is `data.photos`, whose features are made; leave one of the two out"
        )]
    };
    assert_eq!(with(&|_| ()), [""; 0]);
    assert_eq!(with(&|data| data.tower = None), lacks);
    let made = with(&|data| (data.photos, data.features, data.split) = (None, vec!["all.npy".into()], None));
    assert_eq!(made, [""; 0], "the tower that made the features");
    assert_eq!(with(&|data| data.features = vec!["all.npy".into()]), both("data.features"));
    assert_eq!(with(&|data| data.image_ids = Some("ids.txt".into())), both("data.image_ids"));
    let lines = with(&|data| {
        let files = vec!["{split}.{language}".into()];
        let languages = vec!["en".into(), "de".into()];
        (data.captions[0], data.split) = (CaptionSource { languages, files, ..Default::default() }, None);
    });
    assert_eq!(
        lines,
        ["`data.photos` has no `{split}`, but line n of a `lines` file is picture n of its split"]
    );
}
