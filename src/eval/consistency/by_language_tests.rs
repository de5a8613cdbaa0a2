use super::super::tests::{fitted, noisy};
use super::*;
use crate::config::ConsistencyInit;

/// `l0` with all its captions translated, `l1` with some or all.
fn measured(all: bool) -> ByLanguage {
    let (validation, test) =
        ([noisy(&[0.3, 0.5], 30, 1), noisy(&[0.5, 0.3], 20, 2)], noisy(&[0.3, 0.5], 40, 3));
    let fitted = fitted(&validation, ConsistencyInit::Equal);
    let one = Coverage::measure(&fitted, "l0", &test).unwrap();
    let other = match all {
        true => Coverage::measure(&fitted, "l1", &test).unwrap(),
        false => Coverage::lacking(200, 40),
    };
    ByLanguage::new(&fitted, vec![("l0".into(), one), ("l1".into(), other)])
}

#[test]
fn ha_is_the_mean_over_languages_with_all_captions_translated() {
    let all = measured(true);
    let ha = all.ha.unwrap();
    let mean = |way: usize| {
        let mrs = all.languages.iter().map(|(_, c)| c.rows().nth(way).unwrap().1.mr);
        mrs.sum::<f64>() / 2.0
    };
    assert_eq!(ha.values(), [0, 1, 2, 3].map(mean));
    assert_eq!(all.fitted, 50);
    let alone = all.languages[1].1.alone.as_ref().unwrap();
    assert_ne!(Some(alone), all.languages[0].1.alone.as_ref(), "each alone in its own language");
    let text = all.to_string();
    assert_eq!(text.matches("CLC-C  ").count(), 2, "a row for each language: {text}");
    assert!(text.contains("\nHA: alone ") && !text.contains("Not all captions"), "{text}");
}

#[test]
fn a_language_with_captions_without_translations_has_no_row_and_leaves_no_ha() {
    let some = measured(false);
    assert_eq!(some.ha, None);
    let text = some.to_string();
    assert!(text.contains("Not all captions have translations in l1 (40 of 200): no row"), "{text}");
    assert!(!text.contains("HA: ") && text.contains("l0"), "{text}");
}

#[test]
fn json_is_read_as_it_was_written() {
    for all in [true, false] {
        let one = measured(all);
        let json = serde_json::to_string(&one).unwrap();
        assert!(json.contains(r#""l0":{"captions":40,"translated":40,"alone":{"#), "{json}");
        assert_eq!(json.contains(r#""HA":null"#), !all, "{json}");
        assert_eq!(serde_json::from_str::<ByLanguage>(&json).unwrap(), one);
    }
}
