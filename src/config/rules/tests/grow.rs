//! Languages that are added.

use super::*;

rule!(adding_needs_a_batch_of_two, |c| c.grow.images = 1, "`grow.images` is 1; it must be at least 2");
rule!(
    an_adapter_learns_with_own_words,
    |c| (c.grow.rank, c.grow.top_k) = (8, 0),
    "`grow.rank` is 8, but it learns with the language's own words (`grow.top_k`, `grow.epochs`), and these do not; leave this out"
);
rule!(
    a_teacher_teaches_own_words,
    |c| (c.grow.teacher.cosine, c.grow.top_k) = (1.0, 0),
    "`grow.teacher` teaches the language's own words (`grow.top_k`, `grow.epochs`), and there are none; leave this out"
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

rule!(
    a_contrast_of_a_new_language_has_two_pictures,
    |c| c.grow.contrast.images = Some(1),
    "`grow.contrast.images` is 1; it must be at least 2"
);
rule!(
    a_contrast_of_a_new_language_learns_at_a_positive_rate,
    |c| c.grow.contrast.learning_rate = Some(0.0),
    "`grow.contrast.learning_rate` is 0; it must be greater than 0"
);
rule!(
    translations_of_a_new_language_have_no_negative_weight,
    |c| c.grow.contrast.text_text = Some(-1.0),
    "`grow.contrast.text_text` is -1; it must not be negative"
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
    "`grow.neighbourhood` is 0, but `grow.translations` teach through it, or through `grow.teacher`; give one of them a weight"
);
rule!(
    vectors_of_a_teacher_are_compared_at_unit_length,
    |c| (c.grow.teacher.mse, c.grow.teacher.unit) = (1.0, false),
    "`grow.teacher.unit` is false, but the languages of a run are known at unit length; leave it out"
);
rule!(
    a_teacher_of_a_new_language_has_no_negative_weight,
    |c| c.grow.teacher.softmax = -1.0,
    "`grow.teacher.softmax` is -1; it must not be negative"
);

#[test]
fn a_teacher_alone_teaches_an_added_language() {
    let broken = after(|c| {
        c.grow.translations.push(translations());
        (c.grow.neighbourhood, c.grow.teacher.cosine) = (0.0, 1.0);
    });
    assert_eq!(broken, [""; 0]);
    // Of another run, in the language of the known sentences.
    let broken = after(|c| {
        c.grow.translations.push(TranslationSource { language: "fr".into(), ..translations() });
        c.grow.teacher.cosine = 1.0;
        (c.teacher.run, c.teacher.languages) = (Some("/run".into()), vec!["fr".into()]);
    });
    assert_eq!(broken, [""; 0]);
}

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
