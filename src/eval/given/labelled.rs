//! Pictures with classes, and the names of the classes in one language or several.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Known, coded, lines};
use crate::checksum::sha256;
use crate::corpus::PictureSource;
use crate::corpus::input::each_line;
use crate::{Error, Result};

/// Pictures with their classes, and the classes by name.
pub struct Labelled {
    /// What the result is kept by.
    pub name: String,
    /// The classes to choose from by the code of the language that names them, at least one; equally many in all.
    pub classes: Vec<(String, Classes)>,
    /// The pictures, in the order of `labels`.
    pub pictures: Box<dyn PictureSource>,
    /// The class of each picture.
    pub labels: Vec<u32>,
    /// Other pictures, to learn the classes from.
    pub train: Option<Learnt>,
    /// What was passed over, for people.
    pub notes: Vec<String>,
}

impl Labelled {
    /// How many classes there are.
    pub fn count(&self) -> usize {
        self.classes.first().map_or(0, |(_, classes)| classes.names.len())
    }

    /// SHA-256 of what zero-shot classification is measured on: classes, templates, labels and pictures.
    ///
    /// # Errors
    /// Data, where the pictures cannot be read.
    pub fn data(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (language, classes) in &self.classes {
            if self.classes.len() > 1 {
                hash.update(language);
            }
            hash.update(format!("{classes:?}"));
        }
        hash.update(format!("{:?}", self.labels));
        self.pictures.hash_content(&mut hash)?;
        Ok(sha256(hash))
    }

    /// SHA-256 of what probes are measured on: the number of classes, labels and pictures of both sets.
    ///
    /// # Errors
    /// Data, where the pictures cannot be read.
    pub fn learnt_data(&self, learnt: &Learnt) -> Result<String> {
        let (classes, labels) = (self.count(), &self.labels);
        let mut hash = Sha256::new().chain_update(format!("{classes}{labels:?}{:?}", learnt.labels));
        self.pictures.hash_content(&mut hash)?;
        learnt.pictures.hash_content(&mut hash)?;
        Ok(sha256(hash))
    }
}

/// Pictures with classes to learn from.
pub struct Learnt {
    /// In the order of `labels`.
    pub pictures: Box<dyn PictureSource>,
    /// The class of each picture.
    pub labels: Vec<u32>,
}

/// Classes by name, and the prompts that they are looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// One name a class, in the order of their numbers.
    pub names: Vec<String>,
    /// Each with `{}` for the name.
    pub templates: Vec<String>,
}

impl Classes {
    /// Reads names, one a line; and templates, or the name alone.
    ///
    /// # Errors
    /// Data, with file and line: an empty line, no line, a template without `{}`.
    pub fn read(names: &Path, templates: Option<&Path>) -> Result<Classes> {
        let templates = match templates {
            Some(file) => read_templates(file)?,
            None => vec!["{}".to_string()],
        };
        Ok(Classes { names: lines(names)?, templates })
    }

    /// Reads the names of the same classes in several languages, by their places; what the user should know of them is added to `notes`. `names` and `templates`:
    /// patterns with `{language}` or `CODE=FILE`; one plain file has the names in the one language of `asked`, or the templates of all languages.
    /// Only the languages of `asked` are read, where it has any.
    ///
    /// # Errors
    /// Usage: a code that the run does not know, a plain file of names without its language; data: as [`Self::read`], a language without names or
    /// templates, or files with other numbers of classes.
    pub fn by_language(
        names: &[String],
        templates: &[String],
        asked: &[usize],
        known: Known,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(String, Classes)>> {
        let files = match (names, asked) {
            ([file], [language]) if coded(file, known, &mut Vec::new())?.is_none() => {
                BTreeMap::from([(*language, PathBuf::from(file))])
            }
            _ => by_language(names, asked, known, notes)?,
        };
        let prompts = match templates {
            [] => None,
            [file] if coded(file, known, &mut Vec::new())?.is_none() => {
                let file = Path::new(file);
                Some(files.keys().map(|language| (*language, file.to_path_buf())).collect())
            }
            // Languages without names have no need of templates: what is passed over here is no matter.
            _ => Some(by_language(templates, &[], known, &mut Vec::new())?),
        };
        let mut all: Vec<(String, Classes)> = Vec::new();
        let first = files.values().next().cloned().unwrap_or_default();
        for (language, file) in files {
            let code = known.languages[language].clone();
            let prompts = prompts.as_ref().map(|files: &BTreeMap<usize, PathBuf>| {
                files.get(&language).ok_or_else(|| {
                    Error::data(format!(
                        "`--templates` has no prompts in `{code}`, and `--classes` names in it"
                    ))
                    .hint("give a file for each language, or one without `{language}` for all")
                })
            });
            let classes = Classes::read(&file, prompts.transpose()?.map(PathBuf::as_path))?;
            let (count, others) = (classes.names.len(), all.first().map(|(_, first)| first.names.len()));
            if let Some(others) = others.filter(|others| *others != count) {
                let what = format!("holds {count} classes, and `{}` {others}", first.display());
                return Err(Error::data(what)
                    .at(&file)
                    .line(count.min(others) + 1)
                    .hint("line n of every file names the same class"));
            }
            notes.extend(alike(&classes.names, &code));
            all.push((code, classes));
        }
        Ok(all)
    }

    /// Every template with every name, those of a class together.
    pub fn prompts(&self) -> Vec<String> {
        let of = |name: &String| self.templates.iter().map(|t| t.replace("{}", name)).collect::<Vec<_>>();
        self.names.iter().flat_map(of).collect()
    }
}

/// The files of each language, of those of `asked` where it has any.
fn by_language(
    specs: &[String],
    asked: &[usize],
    known: Known,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<usize, PathBuf>> {
    let mut files = BTreeMap::new();
    for spec in specs {
        let there = coded(spec, known, notes)?.ok_or_else(|| {
            Error::usage(format!("`{spec}` does not say its language")).hint(
                "name it with `--language`, the file as CODE=FILE, or several files by a pattern with `{language}`",
            )
        })?;
        for (language, file) in there {
            if let Some(other) = files.insert(language, file.clone()) {
                let what = format!("is a second file of `{}`", known.languages[language]);
                return Err(Error::data(what).at(&file).hint(format!("`{}` is the first", other.display())));
            }
        }
    }
    if let Some(language) = asked.iter().find(|language| !files.contains_key(language)) {
        let what = format!("`{}` has no file in `{}`", specs.join(" "), known.languages[*language]);
        return Err(Error::data(what).hint(known.hint()));
    }
    files.retain(|language, _| asked.is_empty() || asked.contains(language));
    match files.is_empty() {
        true => {
            let what = format!("`{}` has no file in languages that the run knows", specs.join(" "));
            Err(Error::data(what).hint(known.hint()))
        }
        false => Ok(files),
    }
}

/// Classes of one name, which no model tells apart.
fn alike(names: &[String], code: &str) -> Option<String> {
    let mut first = BTreeMap::new();
    let pairs = names.iter().enumerate().filter_map(|(n, name)| Some((first.insert(name, n)?, n, name)));
    let pairs: Vec<(usize, usize, &String)> = pairs.collect();
    let (a, b, name) = pairs.first()?;
    let more = match pairs.len() {
        1 => String::new(),
        count => format!(", and so it is {} times more", count - 1),
    };
    Some(format!(
        "the classes {a} and {b} (from 0) have one name in `{code}`, `{name}`, and cannot be told apart{more}"
    ))
}

fn read_templates(file: &Path) -> Result<Vec<String>> {
    let templates = lines(file)?;
    match templates.iter().position(|t| !t.contains("{}")) {
        Some(n) => {
            let what = format!("`{}` has no {{}}", templates[n]);
            Err(Error::data(what).at(file).line(n + 1).hint("put {} where the class's name belongs"))
        }
        None => Ok(templates),
    }
}

/// Reads the class of each picture: its number from 0, one a line.
///
/// # Errors
/// Data, with file and line: not one for each picture, or no class's number.
pub fn read_labels(file: &Path, images: usize, classes: usize) -> Result<Vec<u32>> {
    let mut labels = Vec::new();
    each_line(file, |number, line| match line.trim().parse::<u32>() {
        Ok(label) if (label as usize) < classes => {
            labels.push(label);
            Ok(())
        }
        _ => {
            let what = format!("is `{}`; expected a number from 0 to {}", line.trim(), classes - 1);
            Err(Error::data(what).at(file).line(number))
        }
    })?;
    if labels.len() != images {
        let what = format!("holds {} labels for {images} pictures", labels.len());
        return Err(Error::data(what).at(file).hint("one a line, in the order of the pictures"));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::DataConfig;

    /// The classes, and the notes.
    type Read = (Vec<(String, Classes)>, Vec<String>);

    fn read(files: &[(&str, &str)], [names, templates]: [&str; 2], asked: &[usize]) -> Result<Read> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (languages, data) = (["en", "de", "fr"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        let [names, templates] = [names, templates].map(|specs| {
            let whole = |spec: &str| spec.replace("DIR", folder.path().to_str().unwrap());
            specs.split_whitespace().map(whole).collect::<Vec<String>>()
        });
        let mut notes = Vec::new();
        let all = Classes::by_language(&names, &templates, asked, known, &mut notes)?;
        Ok((all, notes))
    }

    const NAMES: [(&str, &str); 5] = [
        ("c.deu.txt", "Hund\nKran\nKran\n"),
        ("c.en.txt", "dog\ncrane\ncrane bird\n"),
        ("c.sw.txt", "mbwa\n"),
        ("t.deu.txt", "ein {}\nder {}\n"),
        ("t.en.txt", "a {}\n"),
    ];

    #[test]
    fn classes_have_names_in_several_languages() {
        let (all, notes) = read(&NAMES, ["DIR/c.{language}.txt", "DIR/t.{language}.txt"], &[]).unwrap();
        let codes: Vec<&str> = all.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, ["en", "de"]);
        assert_eq!(all[1].1.prompts()[..4], ["ein Hund", "der Hund", "ein Kran", "der Kran"]);
        assert!(notes[0].contains("`sw` is passed over"), "{notes:?}");
        assert!(notes[1].contains("the classes 1 and 2 (from 0) have one name in `de`"), "{notes:?}");
        // File by file, and some alone.
        let (some, _) = read(&NAMES, ["de=DIR/c.deu.txt eng=DIR/c.en.txt", "DIR/t.en.txt"], &[1]).unwrap();
        assert_eq!((some.len(), &some[0].0[..], &some[0].1.templates[0][..]), (1, "de", "a {}"));
        let (plain, _) = read(&NAMES, ["DIR/c.deu.txt", ""], &[1]).unwrap();
        assert_eq!((&plain[0].0[..], &plain[0].1.templates[0][..]), ("de", "{}"));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        let short = [NAMES[0], ("c.en.txt", "dog\n"), NAMES[3], ("empty.txt", "a\n\nb\n")];
        for (specs, asked, said) in [
            (["DIR/c.{language}.txt", ""], &[][..], "c.deu.txt`:2: holds 3 classes, and `"),
            (["DIR/c.deu.txt", ""], &[], "c.deu.txt` does not say its language"),
            (["de=DIR/c.deu.txt", ""], &[2], "has no file in `fr`"),
            (["DIR/c.deu.txt fr=DIR/c.en.txt", ""], &[1], "does not say its language"),
            (["de=DIR/c.deu.txt deu=DIR/c.en.txt", ""], &[], "c.en.txt`: is a second file of `de`"),
            (["xx=DIR/c.deu.txt", ""], &[], "`xx` is no language of the run"),
            (["en=DIR/c.en.txt", "de=DIR/t.deu.txt"], &[], "`--templates` has no prompts in `en`"),
            (["en=DIR/c.en.txt", "DIR/c.en.txt"], &[], "c.en.txt`:1: `dog` has no {}"),
            (["en=DIR/empty.txt", ""], &[], "empty.txt`:2: is an empty line"),
        ] {
            let error = read(&short, specs, asked).unwrap_err().to_string();
            assert!(error.contains(said), "{specs:?}: {error}");
        }
    }

    #[test]
    fn every_picture_has_a_class_that_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("labels.txt");
        let read = |text: &str, images| {
            fs::write(&file, text).unwrap();
            read_labels(&file, images, 3)
        };
        assert_eq!(read("2\r\n0\n", 2).unwrap(), [2, 0]);
        for (text, images, said) in [
            ("2\n0\n", 3, "holds 2 labels for 3 pictures"),
            ("2\n3\n", 2, ":2: is `3`; expected a number from 0 to 2"),
            ("2\n\n0\n", 2, ":2: is ``"),
        ] {
            let error = read(text, images).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
