//! Rules of `[data]`: languages, where their captions are, and the placeholders in paths.

use std::path::Path;

use super::Rules;
use crate::config::codes::{is_code, same_code};
use crate::config::problem::Fault;
use crate::config::sections::*;

/// `lacking`: languages that need no captions; `taught`: whether a teacher teaches sentences, which may then stand alone.
pub(super) fn data(data: &DataConfig, lacking: &[&str], taught: bool, rules: &mut Rules) {
    unicode("data.root", &data.root, rules);
    languages(&data.languages, rules);
    codes(data, rules);
    features(data, rules);
    for (index, source) in data.captions.iter().enumerate() {
        let key = format!("data.captions.{index}");
        captions(&key, source, rules);
        records(&key, source, rules);
        read_as(&key, source, data, rules);
    }
    photos(data, rules);
    split(data, rules);
    for language in &data.languages {
        let has = |source: &CaptionSource| data.names(source, language) && source.read_as.is_none();
        let fault = Fault::LanguageWithoutCaptions { language: language.clone() };
        let captioned = lacking.iter().any(|lacking| data.same_language(language, lacking))
            || data.captions.iter().any(has);
        rules.need(captioned, "data.languages", fault);
    }
    translations(&data.translations, rules);
    for (index, source) in data.pairs.iter().enumerate() {
        pairs(&format!("data.pairs.{index}"), source, taught, rules);
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
        code("data.languages", language, rules);
        let first = languages.iter().position(|l| same_code(l, language)) == Some(index);
        rules.need(first, "data.languages", Fault::LanguageTwice { language: language.clone() });
    }
}

/// Codes become parts of file names and of parameter names.
pub(super) fn code(key: &str, language: &str, rules: &mut Rules) {
    rules.need(is_code(language), key, Fault::LanguageCode { language: language.into() });
}

/// A code of the data stands for one language.
fn codes(data: &DataConfig, rules: &mut Rules) {
    for (ours, theirs) in &data.codes {
        let key = format!("data.codes.{ours}");
        code(&key, ours, rules);
        for their in theirs {
            code(&key, their, rules);
            let others = data.codes.iter().filter(|(other, _)| *other < ours);
            let twice =
                others.filter(|(_, codes)| codes.iter().any(|c| same_code(c, their))).map(|(other, _)| other);
            let trained = data.languages.iter().filter(|l| same_code(l, their) && !same_code(l, ours));
            if let Some(other) = twice.chain(trained).next() {
                let fault = Fault::CodeTwice { code: their.clone(), other: other.clone() };
                rules.need(false, &key, fault);
            }
        }
    }
}

/// Photographs have a tower, and no features beside those that are made.
fn photos(data: &DataConfig, rules: &mut Rules) {
    for (key, file) in [("data.photos", &data.photos), ("data.tower", &data.tower)] {
        file.iter().for_each(|file| placeholders(key, file, &[], rules));
    }
    rules.need(data.photos.is_none() || data.tower.is_some(), "data.photos", Fault::PhotosWithoutTower);
    let given = data.features != DataConfig::default().features;
    rules.need(data.photos.is_none() || !given, "data.features", Fault::FeaturesAndPhotos);
    rules.need(data.photos.is_none() || data.image_ids.is_none(), "data.image_ids", Fault::FeaturesAndPhotos);
}

fn features(data: &DataConfig, rules: &mut Rules) {
    if data.photos.is_some() {
        // One matrix for all splits.
        let lines = data.captions.iter().any(|source| source.format == CaptionFormat::Lines);
        rules.need(!lines, "data.photos", Fault::LinesWithoutSplit);
        return;
    }
    rules.need(!data.features.is_empty(), "data.features", Fault::NoFiles);
    for file in &data.features {
        placeholders("data.features", file, &["split"], rules);
    }
    let by_split = data.features.first().is_some_and(|file| file.contains("{split}"));
    let alike = data.features.iter().all(|file| file.contains("{split}") == by_split);
    rules.need(alike, "data.features", Fault::SplitInSome);
    if let Some(file) = &data.image_ids {
        placeholders("data.image_ids", file, &["split"], rules);
        let alike = data.features.is_empty() || file.contains("{split}") == by_split;
        rules.need(alike, "data.image_ids", Fault::IdsUnlikeFeatures { file: file.clone() });
    }
    let lines = data.captions.iter().any(|source| source.format == CaptionFormat::Lines);
    let in_order = by_split || data.features.is_empty() || !lines;
    rules.need(in_order, "data.features", Fault::LinesWithoutSplit);
}

/// A file that says what is in which split, and nothing else that says it.
fn split(data: &DataConfig, rules: &mut Rules) {
    let Some(file) = &data.split else { return };
    placeholders("data.split", file, &[], rules);
    let in_path = |files: &[String]| files.iter().any(|file| file.contains("{split}"));
    let mut told = Vec::new();
    told.extend((data.photos.is_none() && in_path(&data.features)).then(|| "data.features".to_string()));
    told.extend(in_path(data.image_ids.as_slice()).then(|| "data.image_ids".to_string()));
    for (index, source) in data.captions.iter().enumerate() {
        let key = format!("data.captions.{index}");
        told.extend(in_path(&source.files).then(|| format!("{key}.files")));
        told.extend(source.keys.split.is_some().then(|| format!("{key}.keys.split")));
        told.extend((source.format == CaptionFormat::Karpathy).then(|| format!("{key}.format")));
    }
    for by in told {
        rules.need(false, "data.split", Fault::SplitToldTwice { by });
    }
}

fn captions(key: &str, source: &CaptionSource, rules: &mut Rules) {
    let (files, named) = (format!("{key}.files"), format!("{key}.languages"));
    rules.need(!source.files.is_empty(), &files, Fault::NoFiles);
    for (index, language) in source.languages.iter().enumerate() {
        code(&named, language, rules);
        let first = source.languages.iter().position(|l| same_code(l, language)) == Some(index);
        rules.need(first, &named, Fault::LanguageTwice { language: language.clone() });
    }
    let says_language = source.format.has_keys();
    let by_language = |file: &String| file.contains("{language}");
    let nameless = source.languages.is_empty() && (!says_language || source.files.iter().any(by_language));
    rules.need(!nameless, &named, Fault::SourceWithoutLanguages);
    let splits = format!("{key}.splits");
    let asks = source.read_as.is_none() || source.splits.iter().any(|&split| split != CaptionSplit::Train);
    rules.need(!source.splits.is_empty(), &splits, Fault::Empty);
    rules.need(source.splits.is_empty() || asks, &splits, Fault::OnlyTrainingAsked);
    for (index, split) in source.splits.iter().enumerate() {
        let fault = Fault::SplitTwice { split: split.name() };
        rules.need(!source.splits[..index].contains(split), &splits, fault);
    }
    for file in &source.files {
        placeholders(&files, file, &["split", "language"], rules);
        let apart = says_language || source.languages.len() < 2 || by_language(file);
        rules.need(apart, &files, Fault::NoLanguageInPath { file: file.clone() });
        match (source.format, file.contains("{split}")) {
            // Line n speaks of picture n of *the split*: one file would put test captions into training.
            (CaptionFormat::Lines, false) if source.splits.len() > 1 => {
                rules.need(false, &files, Fault::NoSplitOfLines { file: file.clone() })
            }
            (CaptionFormat::Karpathy, true) => {
                rules.need(false, &files, Fault::SplitOfKarpathy { file: file.clone() })
            }
            _ => true,
        };
    }
}

/// What holds for records alone, or for lines alone.
fn records(key: &str, source: &CaptionSource, rules: &mut Rules) {
    let each = format!("{key}.per_picture");
    let (value, lines) = (source.per_picture, source.format == CaptionFormat::Lines);
    rules.at_least(&each, value, 1);
    rules.need(lines || value <= 1, &each, Fault::CountedOfOther { value });
    let keys = format!("{key}.keys");
    let given = source.keys != CaptionKeys::default();
    rules.need(source.format.has_keys() || !given, &keys, Fault::KeysOfOther);
    if let Some(text) = &source.keys.text {
        placeholders(&format!("{keys}.text"), text, &["language", "n"], rules);
    }
    let split = source.keys.split.is_some();
    let in_path = source.files.iter().any(|file| file.contains("{split}"));
    rules.need(!(split && in_path), &format!("{keys}.split"), Fault::SplitInPathToo);
}

/// Translated texts are read as a language of the model, and stand for one that it does not know.
fn read_as(key: &str, source: &CaptionSource, data: &DataConfig, rules: &mut Rules) {
    let Some(reader) = &source.read_as else { return };
    let known = data.languages.iter().any(|l| same_code(l, reader));
    rules.need(known, &format!("{key}.read_as"), Fault::NoSuchLanguage { language: reader.clone() });
    let named = format!("{key}.languages");
    if source.format.has_keys() {
        // For other formats it is a fault anyway.
        rules.need(!source.languages.is_empty(), &named, Fault::SourceWithoutLanguages);
    }
    for language in &source.languages {
        let fault = Fault::ReadAsAndTrained { language: language.clone() };
        let trained = data.languages.iter().any(|l| data.same_language(l, language));
        rules.need(!trained, &named, fault);
    }
}

/// Which file translates what must be said by the paths.
fn translations(sources: &[TranslatedCaptions], rules: &mut Rules) {
    for (index, source) in sources.iter().enumerate() {
        let key = |name: &str| format!("data.translations.{index}.{name}");
        rules.need(!source.of.is_empty(), &key("of"), Fault::NoLanguages);
        rules.need(!source.files.is_empty(), &key("files"), Fault::NoFiles);
        for (n, language) in source.of.iter().enumerate() {
            let once = !source.of[..n].iter().any(|l| same_code(l, language));
            rules.need(once, &key("of"), Fault::LanguageTwice { language: language.clone() });
            let first =
                !sources[..index].iter().flat_map(|earlier| &earlier.of).any(|l| same_code(l, language));
            rules.need(first, &key("of"), Fault::TranslatedTwice { language: language.clone() });
        }
        for (n, language) in source.languages.iter().enumerate() {
            let once = !source.languages[..n].iter().any(|l| same_code(l, language));
            rules.need(once, &key("languages"), Fault::LanguageTwice { language: language.clone() });
        }
        for file in &source.files {
            placeholders(&key("files"), file, &["split", "of", "language"], rules);
            let (file, has) = (file.clone(), |name| file.contains(name));
            let apart = source.of.len() < 2 || has("{of}");
            rules.need(apart, &key("files"), Fault::NoOriginInPath { file: file.clone() });
            match source.format {
                TranslationFormat::Lines => {
                    let fault = Fault::NoLanguageInPath { file: file.clone() };
                    rules.need(has("{language}"), &key("files"), fault);
                    rules.need(has("{split}"), &key("files"), Fault::NoSplitInPath { file: file.clone() });
                }
                TranslationFormat::Jsonl => {
                    let fault = Fault::LanguageOfJsonl { file: file.clone() };
                    rules.need(!has("{language}"), &key("files"), fault);
                }
            }
        }
    }
}

/// Texts that say the same: their languages, and where each of them is.
fn pairs(key: &str, source: &PairSource, taught: bool, rules: &mut Rules) {
    let [files, named, column] = ["files", "languages", "key"].map(|of| format!("{key}.{of}"));
    rules.need(!source.files.is_empty(), &files, Fault::NoFiles);
    let least = if taught { 1 } else { 2 };
    rules.need(source.languages.len() >= least, &named, Fault::NoPairOfLanguages);
    for (index, language) in source.languages.iter().enumerate() {
        code(&named, language, rules);
        let first = source.languages.iter().position(|l| same_code(l, language)) == Some(index);
        rules.need(first, &named, Fault::LanguageTwice { language: language.clone() });
    }
    let lines = source.format == PairFormat::Lines;
    let each = source.has_a_file_each();
    for file in source.files.iter().filter(|_| !each) {
        placeholders(&files, file, &["language"], rules);
        let apart = file.contains("{language}");
        let fault = match lines {
            true => Fault::NoLanguageInPath { file: file.clone() },
            false => Fault::LanguageOfRecords { file: file.clone() },
        };
        rules.need(apart == lines, &files, fault);
    }
    placeholders(&column, &source.key, &["language"], rules);
    let apart = source.key.contains("{language}");
    rules.need(apart, &column, Fault::NoLanguageInKey { key: source.key.clone() });
    let given = source.key != PairSource::default().key;
    rules.need(!(lines && given), &column, Fault::KeyOfLines);
}

/// A misspelt placeholder would else be looked for on the disk.
pub(super) fn placeholders(key: &str, file: &str, known: &[&str], rules: &mut Rules) {
    let mut rest = file;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        let names: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
        let known_names = if names.is_empty() { "none".into() } else { names.join(" and ") };
        let fault = Fault::UnknownPlaceholder { file: file.into(), name: name.into(), known: known_names };
        rules.need(known.contains(&name), key, fault);
        rest = after;
    }
}

/// Paths go into the resolved configuration, and TOML is Unicode.
pub(super) fn unicode(key: &str, path: &Path, rules: &mut Rules) {
    let fault = Fault::PathNotUnicode { path: path.display().to_string() };
    rules.need(path.to_str().is_some(), key, fault);
}
