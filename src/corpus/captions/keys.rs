//! What the keys of a record, or the columns of a table, are called.

use serde_json::{Map, Value};

use crate::config::CaptionKeys;
use crate::{Error, Result};

/// Names of what holds a picture's name, in files of others.
pub(crate) const IMAGES: [&str; 9] = [
    "image",
    "file_name",
    "filename",
    "image_name",
    "image_id",
    "image_ids",
    "image_path",
    "image/key",
    "image_url",
];
/// Names of what holds captions.
pub(crate) const TEXTS: [&str; 8] = [
    "text",
    "caption",
    "captions",
    "sentence",
    "sentences",
    "raw",
    "comment",
    "caption_reference_description",
];
/// Names of what holds the code of the language.
pub(crate) const LANGUAGES: [&str; 4] = ["language", "lang", "language_code", "locale"];
/// The name of what says who wrote a caption.
const SOURCES: [&str; 1] = ["source"];
/// Stands for the code of a language in `keys.text`.
pub(crate) const LANGUAGE: &str = "{language}";
/// Stands for a number in `keys.text`.
pub(crate) const NUMBER: &str = "{n}";

pub(crate) type Record = Map<String, Value>;

/// The keys of a record, for an error.
pub(super) fn listed(record: &Record) -> String {
    let keys: Vec<_> = record.keys().map(|key| format!("`{key}`")).collect();
    match keys.is_empty() {
        true => "none".into(),
        false => keys.join(", "),
    }
}

/// The keys that are read. `image` and `text` may lead into objects: `image.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub image: String,
    pub text: String,
    /// As given; else each record may have one or not.
    language: Option<String>,
    source: Option<String>,
    pub split: Option<String>,
}

impl Keys {
    /// As given; what is not given is found among the names of `sample`.
    ///
    /// # Errors
    /// Where a key is not there, or more than one may be meant.
    pub(super) fn of(given: &CaptionKeys, sample: &Record) -> Result<Keys> {
        let image = match &given.image {
            Some(key) => key.clone(),
            None => match one("image", &IMAGES, sample, |value| !value.is_object()) {
                // A picture itself, as Hugging Face's tables hold it: its file name is beside its bytes.
                Err(_) if sample.get("image").is_some_and(|v| v.get("path").is_some()) => "image.path".into(),
                Err(_) if sample.contains_key("images") || sample.contains_key("annotations") => {
                    return Err(Error::data("is one object of pictures and captions, not a record of one caption")
                        .hint("set `format = \"karpathy\"` where pictures have `sentences`, else `format = \"coco\"`"));
                }
                found => found?,
            },
        };
        let text = match &given.text {
            Some(key) => key.clone(),
            // A key a language, as Crossmodal-3600 has them.
            None if image == "image/key" && !TEXTS.iter().any(|text| sample.contains_key(*text)) => {
                format!("{LANGUAGE}.caption")
            }
            None => {
                let key = one("text", &TEXTS, sample, |_| true)?;
                match sample[&key].is_object() {
                    true => format!("{key}.{LANGUAGE}"),
                    false => key,
                }
            }
        };
        let (language, source, split) = (given.language.clone(), given.source.clone(), given.split.clone());
        Ok(Keys { image, text, language, source, split })
    }

    /// What a record says of its language, and under which key.
    pub(super) fn language<'r>(&'r self, record: &'r Record) -> Option<(&'r str, &'r Value)> {
        self.said(&self.language, &LANGUAGES, record)
    }

    /// What a record says of who wrote it.
    pub(super) fn source<'r>(&'r self, record: &'r Record) -> Option<&'r Value> {
        self.said(&self.source, &SOURCES, record).map(|(_, value)| value)
    }

    /// The value under the given key, else under the first of `names` that the record has; null is none.
    fn said<'r>(
        &self,
        given: &'r Option<String>,
        names: &[&'r str],
        record: &'r Record,
    ) -> Option<(&'r str, &'r Value)> {
        let value = |key: &'r str| record.get(key).map(|value| (key, value));
        let found = match given {
            Some(key) => value(key),
            None => names.iter().find_map(|key| value(key)),
        };
        found.filter(|(_, value)| !value.is_null())
    }

    /// Whether each language has a key of its own.
    pub(super) fn by_language(&self) -> bool {
        self.text.contains(LANGUAGE)
    }

    pub(super) fn image<'r>(&self, record: &'r Record) -> Option<&'r Value> {
        if let Some(value) = record.get(&self.image) {
            return Some(value);
        }
        let mut steps = self.image.split('.');
        let first = record.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }

    /// The texts of a record, those in lists one by one, with the code of the language where the key holds it.
    pub(super) fn texts<'r>(&self, record: &'r Record) -> Vec<(Option<&'r str>, &'r Value)> {
        let mut found = Vec::new();
        match record.get(&self.text) {
            Some(value) => walk(value, &[], None, &mut found),
            None => {
                let path: Vec<&str> = self.text.split('.').collect();
                step(record, &path, None, &mut found);
            }
        }
        found
    }

    /// The keys at the top of a record that anything is read from.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    pub(super) fn reads(&self, top: &str) -> bool {
        let is = |key: &str| key == top || key.split('.').next() == Some(top);
        let said = |given: &Option<String>, names: &[&str]| match given {
            Some(key) => key == top,
            None => names.contains(&top),
        };
        let text = self.text.split('.').next().unwrap_or_default();
        is(&self.image)
            || is(&self.text)
            || fits(top, text).is_some()
            || said(&self.language, &LANGUAGES)
            || said(&self.source, &SOURCES)
            || self.split.as_deref() == Some(top)
    }
}

/// The one name of `names` that a sample has; the first, which is ours, comes before all others.
fn one(what: &str, names: &[&str], sample: &Record, fits: impl Fn(&Value) -> bool) -> Result<String> {
    let there: Vec<&str> =
        names.iter().copied().filter(|name| sample.get(*name).is_some_and(&fits)).collect();
    let hint = |key: &str| format!("say which holds it, e.g. `keys = {{ {what} = \"{key}\" }}`");
    match there[..] {
        [first, ..] if first == names[0] => Ok(first.to_string()),
        [only] => Ok(only.to_string()),
        [] => {
            let meant = match what {
                "image" => "the name of a picture",
                _ => "a caption",
            };
            let first = sample.keys().next().map_or("…", String::as_str);
            Err(Error::data(format!("no key is known to hold {meant}: there are {}", listed(sample)))
                .hint(hint(first)))
        }
        [first, ..] => {
            let what = format!("`{}` may all hold the {what}", there.join("`, `"));
            Err(Error::data(what).hint(hint(first)))
        }
    }
}

fn walk<'r>(
    value: &'r Value,
    path: &[&str],
    code: Option<&'r str>,
    found: &mut Vec<(Option<&'r str>, &'r Value)>,
) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| walk(value, path, code, found)),
        value if path.is_empty() => found.push((code, value)),
        Value::Object(record) => step(record, path, code, found),
        _ => {}
    }
}

fn step<'r>(
    record: &'r Record,
    path: &[&str],
    before: Option<&'r str>,
    found: &mut Vec<(Option<&'r str>, &'r Value)>,
) {
    let Some((first, rest)) = path.split_first() else { return };
    if !first.contains(LANGUAGE) && !first.contains(NUMBER) {
        if let Some(value) = record.get(*first) {
            walk(value, rest, before, found);
        }
        return;
    }
    for (key, value) in record {
        if let Some(code) = fits(key, first) {
            walk(value, rest, code.or(before), found);
        }
    }
}

/// Whether `pattern` stands for a key; if so, the code in the place of `{language}`, where it has that. `{n}` is a number without a digit
/// beside it.
pub(crate) fn fits<'k>(key: &'k str, pattern: &str) -> Option<Option<&'k str>> {
    let Some((before, after)) = pattern.split_once(NUMBER) else {
        let Some((before, after)) = pattern.split_once(LANGUAGE) else {
            return (key == pattern).then_some(None);
        };
        let code = key.strip_prefix(before)?.strip_suffix(after)?;
        return (!code.is_empty()).then_some(Some(code));
    };
    let numbers = key.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at);
    let begins = numbers.filter(|&at| !key[..at].ends_with(|c: char| c.is_ascii_digit()));
    begins.into_iter().find_map(|begin| {
        let end = key[begin..].find(|c: char| !c.is_ascii_digit()).map_or(key.len(), |length| begin + length);
        let (first, second) = (fits(&key[..begin], before)?, fits(&key[end..], after)?);
        Some(first.or(second))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_keys() {
        for (key, pattern, expected) in [
            ("caption", "caption", Some(None)),
            ("caption_12", "caption_{n}", Some(None)),
            ("12", "{n}", Some(None)),
            ("caption_", "caption_{n}", None),
            ("caption_1b", "caption_{n}", None),
            ("en", "{language}", Some(Some("en"))),
            ("text_pt-BR", "text_{language}", Some(Some("pt-BR"))),
            ("text_", "text_{language}", None),
            ("de_3", "{language}_{n}", Some(Some("de"))),
            ("2 of 10 de", "{n} of 10 {language}", Some(Some("de"))),
            ("2_de_10", "2_{language}_{n}", Some(Some("de"))),
        ] {
            assert_eq!(fits(key, pattern), expected, "{key} by {pattern}");
        }
    }

    #[test]
    fn numbered_captions_are_all_read() {
        let record =
            serde_json::json!({"image": "1", "en_1": "a", "en_2": "b", "de_1": ["c", "d"], "en": "e"});
        let given = CaptionKeys { text: Some("{language}_{n}".into()), ..CaptionKeys::default() };
        let record = record.as_object().unwrap();
        let keys = Keys::of(&given, record).unwrap();
        let texts: Vec<_> = keys.texts(record).into_iter().map(|(code, v)| (code, v.as_str())).collect();
        let of = |code, text| (Some(code), Some(text));
        assert_eq!(texts, [of("en", "a"), of("en", "b"), of("de", "c"), of("de", "d")]);
        assert!(keys.by_language() && keys.reads("de_1") && !keys.reads("en"));
    }
}
