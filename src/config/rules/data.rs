//! Rules of `[data]`: languages, where their captions are, and the placeholders in paths.

use std::path::Path;

use super::Rules;
use crate::config::problem::Fault;
use crate::config::sections::*;

pub(super) fn data(data: &DataConfig, rules: &mut Rules) {
    unicode("data.root", &data.root, rules);
    languages(&data.languages, rules);
    features(data, rules);
    for (index, source) in data.captions.iter().enumerate() {
        captions(&format!("data.captions.{index}"), source, &data.languages, rules);
    }
    for language in &data.languages {
        let has = |source: &CaptionSource| source.languages.is_empty() || source.languages.contains(language);
        let fault = Fault::LanguageWithoutCaptions { language: language.clone() };
        rules.need(data.captions.iter().any(has), "data.languages", fault);
    }
    if let Some(file) = &data.images {
        placeholders("data.images", file, &["split", "id"], rules);
    }
    if let Some(file) = &data.parallel {
        placeholders("data.parallel", file, &["split", "language"], rules);
        rules.need(
            file.contains("{language}"),
            "data.parallel",
            Fault::NoLanguageInPath { file: file.clone() },
        );
        rules.need(file.contains("{split}"), "data.parallel", Fault::NoSplitInPath { file: file.clone() });
    }
    if let Some(file) = &data.text {
        placeholders("data.text", file, &["language"], rules);
        let apart = data.languages.len() < 2 || file.contains("{language}");
        rules.need(apart, "data.text", Fault::NoLanguageInPath { file: file.clone() });
    }
}

fn languages(languages: &[String], rules: &mut Rules) {
    rules.need(!languages.is_empty(), "data.languages", Fault::NoLanguages);
    for (index, language) in languages.iter().enumerate() {
        // Codes become parts of file names and of parameter names.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_code = !language.is_empty() && language.chars().all(plain);
        rules.need(is_code, "data.languages", Fault::LanguageCode { language: language.clone() });
        let first = languages.iter().position(|l| l == language) == Some(index);
        rules.need(first, "data.languages", Fault::LanguageTwice { language: language.clone() });
    }
}

fn features(data: &DataConfig, rules: &mut Rules) {
    rules.need(!data.features.is_empty(), "data.features", Fault::NoFiles);
    for file in &data.features {
        placeholders("data.features", file, &["split"], rules);
        // Without ids, one file for all splits would give every split the same pictures.
        let apart = file.contains("{split}") || data.image_ids.is_some();
        rules.need(apart, "data.features", Fault::NoSplitInPath { file: file.clone() });
    }
    if let Some(file) = &data.image_ids {
        placeholders("data.image_ids", file, &["split"], rules);
    }
}

fn captions(key: &str, source: &CaptionSource, languages: &[String], rules: &mut Rules) {
    let (files, named) = (format!("{key}.files"), format!("{key}.languages"));
    rules.need(!source.files.is_empty(), &files, Fault::NoFiles);
    let in_file = source.format == CaptionFormat::Jsonl;
    rules.need(in_file || !source.languages.is_empty(), &named, Fault::SourceWithoutLanguages);
    for (index, language) in source.languages.iter().enumerate() {
        let known = languages.contains(language);
        rules.need(known, &named, Fault::UnknownLanguage { language: language.clone() });
        let first = source.languages.iter().position(|l| l == language) == Some(index);
        rules.need(first, &named, Fault::LanguageTwice { language: language.clone() });
    }
    for file in &source.files {
        placeholders(&files, file, &["split", "language"], rules);
        let apart = in_file || source.languages.len() < 2 || file.contains("{language}");
        rules.need(apart, &files, Fault::NoLanguageInPath { file: file.clone() });
        // Line n speaks of picture n of *the split*: one file would put test captions into training.
        let apart = source.format != CaptionFormat::Lines || file.contains("{split}");
        rules.need(apart, &files, Fault::NoSplitInPath { file: file.clone() });
    }
}

/// A misspelt placeholder would else be looked for on the disk.
pub(super) fn placeholders(key: &str, file: &str, known: &[&str], rules: &mut Rules) {
    let mut rest = file;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        let names: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
        let fault =
            Fault::UnknownPlaceholder { file: file.into(), name: name.into(), known: names.join(" and ") };
        rules.need(known.contains(&name), key, fault);
        rest = after;
    }
}

/// Paths go into the resolved configuration, and TOML is Unicode.
pub(super) fn unicode(key: &str, path: &Path, rules: &mut Rules) {
    let fault = Fault::PathNotUnicode { path: path.display().to_string() };
    rules.need(path.to_str().is_some(), key, fault);
}
