//! Which keys two configurations differ in.

use serde::Deserialize;
use toml::{Table, Value};

use super::family::is_or_is_below;
use super::{Config, FamilyName, RawConfig, shape};

/// The dotted keys whose values differ; entries of lists by number, and whole lists where their lengths differ.
pub fn changes(one: &Config, other: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    compare("", &Value::Table(table(&one.raw)), &Value::Table(table(&other.raw)), &mut keys);
    keys
}

/// The number that a dotted key has.
pub(crate) fn number(config: &Config, key: &str) -> Option<f64> {
    let whole = Value::Table(table(&config.raw));
    let value = key.split('.').try_fold(&whole, |at, step| at.get(step))?;
    value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
}

/// As [`changes`], since a configuration was kept as `lasting` gave it; keys that are new since then had their defaults.
///
/// # Errors
/// The table is no configuration.
pub fn changed_since(kept: Table, config: &Config) -> Result<Vec<String>, toml::de::Error> {
    let kept = RawConfig::deserialize(Value::Table(kept))?;
    let mut keys = Vec::new();
    compare("", &Value::Table(table(&kept)), &Value::Table(table(&config.raw)), &mut keys);
    Ok(keys)
}

/// Whether a key may differ when a run goes on: where the data and checkpoints are (what is trained on is compared by content), how
/// long to train and how often to save, what is used only after training, and what the family does not read.
pub fn may_change(family: FamilyName, key: &str) -> bool {
    const FREE: &[&str] = &[
        // Runs from before there were names have none. That the family stays is looked at by itself.
        "family",
        "data.root",
        "data.features",
        "data.photos",
        "data.tower",
        "data.image_ids",
        "data.split",
        "data.images",
        "data.parallel",
        "data.translations",
        "data.dictionary",
        "data.text",
        "data.captions.files",
        "data.pairs.files",
        "words.tokenizer",
        "words.vectors",
        "acquire.tower",
        "acquire.embedding",
        "acquire.sizes",
        "contrastive.checkpoint",
        "contrastive.start",
        "teacher.run",
        "teacher.tower",
        "teacher.texts",
        "train.checkpoint_every",
        "train.patience",
        "train.epochs",
        "consistency",
        "grow",
    ];
    // Files of an entry of `data.captions` or `data.pairs`, whichever it is.
    let key: Vec<&str> = key.split('.').filter(|step| step.parse::<usize>().is_err()).collect();
    let key = key.join(".");
    !family.reads(&key) || FREE.iter().any(|free| is_or_is_below(&key, free))
}

/// What a run was trained with: [`table`] without the keys that may change, among them all paths, and without the data.
pub(crate) fn lasting(config: &Config) -> Table {
    let mut all = table(&config.raw);
    all.remove("data");
    drop_free("", config.family(), &mut all);
    all
}

fn drop_free(above: &str, family: FamilyName, table: &mut Table) {
    table.retain(|name, value| {
        let key = shape::join(above, name);
        if let Value::Table(below) = value {
            drop_free(&key, family, below);
        }
        !may_change(family, &key)
    });
}

/// By way of the text, so that an f32 stays as short as it was written.
pub(crate) fn table(raw: &RawConfig) -> Table {
    let text = toml::to_string(raw).expect("the rules keep to what TOML can say");
    text.parse().expect("TOML that was just written")
}

fn compare(path: &str, one: &Value, other: &Value, keys: &mut Vec<String>) {
    match (one, other) {
        (Value::Table(one), Value::Table(other)) => {
            let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let path = shape::join(path, name);
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => compare(&path, one, other, keys),
                    _ => keys.push(path),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&shape::join(path, &index.to_string()), one, other, keys);
            }
        }
        _ if one == other => {}
        _ => keys.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn differing_keys_are_named() {
        let read = |more: &str| {
            let text = format!(
                "data.languages = ['en']\n[[data.captions]]\nlanguages = ['en']\nfiles = ['{{split}}.en']\n{more}"
            );
            Config::from_toml(&text, Path::new("/nowhere/a.toml")).unwrap()
        };
        let one = read("[train]\nepochs = 3");
        assert_eq!(changes(&one, &one), [""; 0]);
        let other = read("source = 'machine'\n[train]\nepochs = 4\ncaptions = { en = 2 }");
        assert_eq!(changes(&one, &other), ["data.captions.0.source", "train.captions.en", "train.epochs"]);
        let longer = read("[[data.captions]]\nlanguages = ['en']\nfiles = ['{split}.2.en']");
        assert_eq!(changes(&one, &longer), ["data.captions", "train.epochs"]);
    }
}
