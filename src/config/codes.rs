//! Language codes, as configurations and files write them.

use super::sections::{BEST, CaptionSource, DataConfig, RawConfig, best_in};
pub(super) use crate::names::is_code;

/// Whether two codes are one, in whatever case and with `-` or `_`: `pt-BR`, `pt_BR` and `pt-br`.
pub fn same_code(a: &str, b: &str) -> bool {
    let plain = |c: char| if c == '_' { '-' } else { c.to_ascii_lowercase() };
    a.chars().map(plain).eq(b.chars().map(plain))
}

impl DataConfig {
    /// Whether two codes, ours or of the data, stand for one language.
    pub fn same_language(&self, a: &str, b: &str) -> bool {
        same_code(self.ours(a), self.ours(b))
    }

    /// Whether a source may have captions in a language.
    pub fn names(&self, source: &CaptionSource, language: &str) -> bool {
        source.languages.is_empty() || source.languages.iter().any(|l| self.same_language(l, language))
    }

    /// What we call the language that the data gives this code.
    fn ours<'c>(&'c self, code: &'c str) -> &'c str {
        let has = |(_, theirs): &(&String, &Vec<String>)| theirs.iter().any(|t| same_code(t, code));
        self.codes.iter().find(has).map_or(code, |(ours, _)| ours)
    }
}

/// Writes the code of a language as `data.languages` has it, wherever one of these is named beside the data: whatever looks
/// for a language then finds it.
pub(super) fn settle(raw: &mut RawConfig) {
    let languages = raw.data.languages.clone();
    let ours = |code: &str| languages.iter().find(|l| same_code(l, code)).cloned();
    let readers = raw.data.captions.iter_mut().filter_map(|source| source.read_as.as_mut());
    for code in readers.chain([&mut raw.words.translate_into, &mut raw.acquire.own]) {
        if let Some(ours) = ours(code) {
            *code = ours;
        }
    }
    let best = &mut raw.train.best;
    // `recall.HA` is no slip of `recall.ha`, Hausa.
    if !BEST.contains(&best.as_str())
        && let Some(ours) = best.strip_prefix("recall.").and_then(ours)
    {
        *best = best_in(&ours);
    }
    let counts = &mut raw.train.captions;
    for code in counts.keys().cloned().collect::<Vec<_>>() {
        if let Some(ours) = ours(&code)
            && !counts.contains_key(&ours)
            && let Some(count) = counts.remove(&code)
        {
            counts.insert(ours, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_named_as_the_data_names_them() {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into(), "pt-BR".into()];
        raw.data.captions = vec![CaptionSource { read_as: Some("PT_br".into()), ..CaptionSource::default() }];
        raw.words.translate_into = "EN".into();
        raw.train.captions = [("pt_BR".to_string(), 2), ("de".to_string(), 3)].into();
        settle(&mut raw);
        assert_eq!(raw.data.captions[0].read_as.as_deref(), Some("pt-BR"));
        assert_eq!((raw.words.translate_into.as_str(), raw.train.captions["pt-BR"]), ("en", 2));
        assert_eq!(raw.train.captions.len(), 2);
        let best = |written: &str| {
            raw.train.best = written.into();
            raw.data.languages = vec!["ha".into(), "pt-BR".into()];
            settle(&mut raw);
            raw.train.best.clone()
        };
        let written = ["recall.PT_br", "recall.HA", "recall.ha", "recall.fr"];
        assert_eq!(written.map(best), ["recall.pt-BR", "recall.HA", "recall.ha", "recall.fr"]);
    }

    #[test]
    fn case_and_separator_make_no_other_code() {
        for (a, b) in [("pt-BR", "pt_br"), ("zh-Hans-CN", "ZH_hans-cn"), ("en", "EN")] {
            assert!(same_code(a, b), "{a} {b}");
        }
        for (a, b) in [("pt", "pt-BR"), ("zh-CN", "zh-TW"), ("en", "e"), ("", "en")] {
            assert!(!same_code(a, b), "{a} {b}");
        }
    }

    #[test]
    fn codes_of_the_data_stand_for_ours() {
        let codes = [("zh".to_string(), vec!["zh-CN".to_string(), "cmn".to_string()])].into();
        let data = DataConfig { codes, ..DataConfig::default() };
        for code in ["zh", "ZH", "zh_cn", "zh-CN", "cmn"] {
            assert!(data.same_language("zh", code), "{code}");
        }
        assert!(data.same_language("cmn", "zh-cn"));
        assert!(!data.same_language("zh", "zh-TW"));
    }

    #[test]
    fn a_code_is_made_of_letters_digits_and_hyphens() {
        for code in ["en", "zh-Hans", "pt_BR", "es-419"] {
            assert!(is_code(code), "{code}");
        }
        for code in ["", "-", "../en", "en/us", "en ", "en--us", "é", "_en", "en.txt", "{x}"] {
            assert!(!is_code(code), "{code}");
        }
    }
}
