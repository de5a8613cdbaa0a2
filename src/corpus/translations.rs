//! Captions that people wrote, each with its translations: queries in several languages at once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::captions::{json_fault, lines, trimmed};
use super::paths::Paths;
use super::{Caption, Split, SplitName};
use crate::config::{DataConfig, Source, TranslatedCaptions, TranslationFormat};
use crate::{Error, Result};

/// The captions by people of one language and split with their translations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The picture of each caption.
    pub image_of: Vec<u32>,
    /// For each language that asks, the text of each caption; the captions themselves in their own language.
    pub texts: Vec<Vec<String>>,
}

/// What asks in several languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translations {
    /// Places of the languages that ask together, rising.
    pub languages: Vec<usize>,
    /// For each language with translated captions its place, and the captions of `val` and `test`.
    pub of: Vec<(usize, [Asked; 2])>,
}

impl Translations {
    /// The captions of `val` or `test` by the place of their language; training has none.
    pub fn split(&self, name: SplitName) -> impl Iterator<Item = (usize, &Asked)> {
        let place = match name {
            SplitName::Val => Some(0),
            SplitName::Test => Some(1),
            SplitName::Train | SplitName::Distractors => None,
        };
        self.of.iter().filter_map(move |(language, asked)| Some((*language, &asked[place?])))
    }

    /// Reads the translations of all captions by people. Nothing where fewer than two languages ask together.
    pub(super) fn read(
        config: &DataConfig,
        paths: &Paths,
        [val, test]: [&Split; 2],
        notes: &mut Vec<String>,
    ) -> Result<Option<Translations>> {
        let in_order = config.features.iter().all(|file| file.contains("{split}"));
        let place = |code: &String| config.languages.iter().position(|l| config.same_language(l, code));
        let mut all = Translations::default();
        for (n, source) in config.translations.iter().enumerate() {
            let of: Vec<usize> = source.of.iter().filter_map(place).collect();
            let left_out: Vec<_> = source.of.iter().filter(|code| place(code).is_none()).collect();
            notes.extend(left_out.into_iter().map(|code| {
                format!("the translations of `{code}` were left out: it is not in `data.languages`")
            }));
            if of.is_empty() {
                continue;
            }
            if source.format == TranslationFormat::Lines && !in_order {
                let what = format!(
                    "`data.translations[{n}]`: line n translates a caption of picture n of its split"
                );
                return Err(Error::config(what)
                    .hint("put `{split}` into `data.features`, or use `format = \"jsonl\"`"));
            }
            let together = together(n, source, config, &of)?;
            if together.len() < 2 {
                continue;
            }
            if !all.of.is_empty() && all.languages != together {
                let codes =
                    |of: &[usize]| of.iter().map(|&l| &*config.languages[l]).collect::<Vec<_>>().join(", ");
                let what = format!(
                    "`data.translations[{n}]` joins {}, an earlier entry {}",
                    codes(&together),
                    codes(&all.languages)
                );
                return Err(Error::config(what).hint("give all entries the same `languages`"));
            }
            all.languages = together;
            for language in of {
                let one = Translator { source, config, paths, language, together: &all.languages };
                let asked = [one.read(SplitName::Val, val)?, one.read(SplitName::Test, test)?];
                all.of.push((language, asked));
            }
        }
        all.of.sort_by_key(|(language, _)| *language);
        notes.extend(all.of.iter().map(|(language, [val, test])| {
            format!(
                "the captions of `{}` ask in {} languages together: {} of val, {} of test",
                config.languages[*language],
                all.languages.len(),
                val.image_of.len(),
                test.image_of.len()
            )
        }));
        Ok((!all.of.is_empty()).then_some(all))
    }
}

/// The places of the languages that ask together; those of the captions must be among them.
fn together(n: usize, source: &TranslatedCaptions, config: &DataConfig, of: &[usize]) -> Result<Vec<usize>> {
    let named = |code: &String| {
        source.languages.is_empty() || source.languages.iter().any(|l| config.same_language(l, code))
    };
    let together: Vec<usize> = (0..config.languages.len()).filter(|&l| named(&config.languages[l])).collect();
    match of.iter().find(|l| !together.contains(l)) {
        None => Ok(together),
        Some(&l) => {
            let what = format!(
                "`data.translations[{n}].languages` lacks `{}`, whose captions are translated",
                config.languages[l]
            );
            Err(Error::config(what).hint("add it there, or leave `languages` out"))
        }
    }
}

/// One language of one entry.
struct Translator<'a> {
    source: &'a TranslatedCaptions,
    config: &'a DataConfig,
    paths: &'a Paths,
    language: usize,
    together: &'a [usize],
}

impl Translator<'_> {
    fn code(&self) -> &str {
        &self.config.languages[self.language]
    }

    fn read(&self, name: SplitName, split: &Split) -> Result<Asked> {
        let own: Vec<&Caption> =
            split.captions[self.language].iter().filter(|c| c.source == Source::Human).collect();
        if own.is_empty() {
            let what = format!("`{}` has no caption by people in split `{name}` to translate", self.code());
            return Err(Error::data(what).hint("take it out of `of` in `data.translations`"));
        }
        let others: Vec<usize> = self.together.iter().copied().filter(|&l| l != self.language).collect();
        let mut translated = match self.source.format {
            TranslationFormat::Lines => self.lines(name, split, &own, &others)?,
            TranslationFormat::Jsonl => self.jsonl(name, &own, &others)?,
        }
        .into_iter();
        let texts = self.together.iter().map(|&l| match l == self.language {
            true => own.iter().map(|c| c.text.clone()).collect(),
            false => translated.next().expect("one list a language"),
        });
        Ok(Asked { texts: texts.collect(), image_of: own.iter().map(|c| c.image).collect() })
    }

    /// For each other language the translation of each caption: line n of file k is that of the k-th caption of picture n.
    fn lines(
        &self,
        name: SplitName,
        split: &Split,
        own: &[&Caption],
        others: &[usize],
    ) -> Result<Vec<Vec<String>>> {
        let (files, rows) = (&self.source.files, split.features.rows());
        let mut numbers = vec![0; rows];
        let places: Vec<(usize, usize)> = own
            .iter()
            .map(|c| {
                let number = &mut numbers[c.image as usize];
                *number += 1;
                (*number - 1, c.image as usize)
            })
            .collect();
        if let Some(image) = numbers.iter().position(|&n| n != files.len()) {
            let what = format!(
                "picture `{}` of split `{name}` has {} captions by people in `{}`, but there are {} files of their translations",
                split.image_ids[image],
                numbers[image],
                self.code(),
                files.len()
            );
            return Err(Error::data(what).hint(
                "`files` of `data.translations` has one file for each caption of a picture; with different numbers use `format = \"jsonl\"`",
            ));
        }
        let into = |&l: &usize| -> Result<Vec<String>> {
            let read = |file: &String| {
                let file = self.resolve(file, name, Some(l))?;
                lines::read(&file, name, rows, 1).map_err(|e| {
                    e.hint(
                        "line n translates a caption of picture n; the file is named in `data.translations`",
                    )
                })
            };
            let mut files = files.iter().map(read).collect::<Result<Vec<Vec<String>>>>()?;
            Ok(places.iter().map(|&(file, line)| std::mem::take(&mut files[file][line])).collect())
        };
        others.iter().map(into).collect()
    }

    /// As [`Self::lines`], from files of captions by their text.
    fn jsonl(&self, name: SplitName, own: &[&Caption], others: &[usize]) -> Result<Vec<Vec<String>>> {
        let mut known: HashMap<String, Vec<String>> = HashMap::new();
        let mut path = PathBuf::new();
        for file in &self.source.files {
            path = self.resolve(file, name, None)?;
            self.read_jsonl(&path, others, &mut known)?;
        }
        let mut texts = vec![Vec::with_capacity(own.len()); others.len()];
        for caption in own {
            let translated = known.get(&caption.text).ok_or_else(|| {
                let what = format!(
                    "has no translation of the `{}` caption `{}` of split `{name}`",
                    self.code(),
                    caption.text
                );
                Error::data(what).at(&path).hint("`text` must be the caption as the caption file has it")
            })?;
            texts.iter_mut().zip(translated).for_each(|(texts, text)| texts.push(text.clone()));
        }
        Ok(texts)
    }

    fn read_jsonl(
        &self,
        path: &Path,
        others: &[usize],
        known: &mut HashMap<String, Vec<String>>,
    ) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Line {
            text: String,
            translations: HashMap<String, String>,
        }
        let file = File::open(path)
            .map_err(|e| Error::reading(path, e).hint("the file is named in `data.translations`"))?;
        for (n, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|e| Error::reading(path, e))?;
            if line.trim().is_empty() {
                continue;
            }
            let fault = |what: String| Error::data(what).at(path).line(n + 1);
            let line: Line = serde_json::from_str(&line).map_err(|e| {
                fault(format!("is no translated caption: {}", json_fault(&e)))
                    .hint("expected {\"text\": \"…\", \"translations\": {\"LANGUAGE\": \"…\"}}")
            })?;
            let into = |&l: &usize| {
                let code = &self.config.languages[l];
                let mut all = line.translations.iter();
                let text =
                    all.find(|(l, _)| self.config.same_language(l, code)).and_then(|(_, text)| trimmed(text));
                text.ok_or_else(|| {
                    fault(format!("has no translation into `{code}`")).hint(
                        "add it, or name the languages that ask together in `languages` of `data.translations`",
                    )
                })
            };
            let translated = others.iter().map(into).collect::<Result<Vec<String>>>()?;
            let text = line.text.trim().to_string();
            if known.get(&text).is_some_and(|earlier| *earlier != translated) {
                let what = format!("translates `{text}` otherwise than an earlier line");
                return Err(fault(what).hint("keep one of the two"));
            }
            known.insert(text, translated);
        }
        Ok(())
    }

    fn resolve(&self, template: &str, split: SplitName, into: Option<usize>) -> Result<PathBuf> {
        let template = template.replace("{of}", self.written(&self.source.of, self.language));
        let into = into.map(|l| self.written(&self.source.languages, l));
        self.paths.resolve(&template, Some(split), into)
    }

    /// The code of a language as a list of this entry writes it.
    fn written<'c>(&'c self, list: &'c [String], language: usize) -> &'c str {
        let ours = &self.config.languages[language];
        list.iter().find(|l| self.config.same_language(l, ours)).unwrap_or(ours)
    }
}
