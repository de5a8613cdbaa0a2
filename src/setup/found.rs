//! What a table of captions says about photographs: read once, before anything is made.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::columns::{Asked, Columns, Told};
use super::languages::known;
use crate::corpus::{Names, Row, SplitName, Table};
use crate::{Error, Result};

/// Examples that are told of a kind.
const MOST: usize = 3;

/// What a table says.
#[derive(Debug)]
pub struct Found {
    /// What its columns mean.
    pub columns: Columns,
    /// The languages, as they come.
    pub languages: Vec<Spoken>,
    /// By column of captions: its languages, by their places.
    pub texts: Vec<Vec<usize>>,
    /// By photograph, the split that its captions say it is in.
    pub splits: Vec<Option<SplitName>>,
    /// Captions of pictures that are no photographs here.
    pub missing: Examples,
    /// Places of records that hold no caption.
    pub empty: Examples,
    /// Captions in languages that were not asked for.
    pub passed_over: usize,
    /// Different words of all languages, as far as spaces and signs tell.
    pub words: usize,
}

/// Captions in one language.
#[derive(Debug)]
pub struct Spoken {
    /// Its code.
    pub code: String,
    /// How many there are of each photograph.
    pub captions: Vec<u32>,
    /// One of them, with its photograph.
    pub example: (u32, String),
}

/// How many there are of a kind, and some examples.
#[derive(Debug, Default)]
pub struct Examples {
    /// How many.
    pub count: usize,
    /// The first of them, each with its place.
    pub examples: Vec<String>,
}

impl Examples {
    fn add(&mut self, count: usize, example: impl FnOnce() -> String) {
        self.count += count;
        if self.examples.len() < MOST {
            let example = example();
            if !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }
}

impl Found {
    /// Reads a table about photographs with these names.
    ///
    /// # Errors
    /// Data, with the place: a record that cannot be used, a language that nobody knows, or no caption at all. As [`Columns::of`].
    pub fn read(table: &Table, photographs: &Names, asked: &Asked) -> Result<Found> {
        let mut languages = Vec::new();
        for code in &asked.languages {
            languages.push(known(code).ok_or_else(|| unknown(code, Error::usage))?);
        }
        let asked = Asked { languages, ..asked.clone() };
        let columns = Columns::of(table, photographs, &asked)?;
        let mut reading = Reading {
            photographs,
            asked: &asked,
            languages: Vec::new(),
            splits: vec![None; photographs.ids().len()],
            missing: Examples::default(),
            empty: Examples::default(),
            passed_over: 0,
            words: HashSet::new(),
            spoken: Vec::new(),
        };
        let mut texts = Vec::new();
        for text in &columns.texts {
            reading.spoken.clear();
            table.each(&columns.keys(text), &mut |row| reading.add(row, &text.language))?;
            texts.push(reading.spoken.clone());
        }
        let Reading { languages, splits, missing, empty, passed_over, words, .. } = reading;
        if languages.is_empty() {
            let what = match missing.count {
                0 => "holds no caption in these languages".to_string(),
                n => format!(
                    "all {n} captions speak of pictures that are not there, e.g. {}",
                    missing.examples.join(", ")
                ),
            };
            let hint = "give the photographs that it speaks of; `--columns picture=NAME` says which column names them";
            return Err(Error::data(what).at(&table.file).hint(hint));
        }
        Ok(Found { columns, languages, texts, splits, missing, empty, passed_over, words: words.len() })
    }

    /// Whether there is a caption of a photograph.
    pub fn has(&self, photograph: usize) -> bool {
        self.languages.iter().any(|spoken| spoken.captions[photograph] > 0)
    }
}

struct Reading<'a> {
    photographs: &'a Names,
    asked: &'a Asked,
    languages: Vec<Spoken>,
    splits: Vec<Option<SplitName>>,
    missing: Examples,
    empty: Examples,
    passed_over: usize,
    words: HashSet<u64>,
    /// Languages of the text that is read.
    spoken: Vec<usize>,
}

impl Reading<'_> {
    fn add(&mut self, row: &Row, told: &Told) -> Result<()> {
        let mut pictures = Vec::new();
        let mut absent = None;
        for name in &row.pictures {
            match self.photographs.find(name).map_err(|e| row.put(e))? {
                Some(picture) => pictures.push(picture),
                None => absent = Some(name),
            }
        }
        self.place(row, &pictures)?;
        for (code, text) in &row.texts {
            let code = match (told, code) {
                (Told::InName(codes), Some(code)) => match codes.iter().any(|known| known == code) {
                    true => *code,
                    false => continue,
                },
                (Told::Asked(code), _) => code,
                _ => match row.language {
                    Some(code) => code,
                    None => {
                        let hint = "write it there, or say it for all captions by `--columns language= --language de`";
                        return Err(row.put(Error::data("the caption has no language").hint(hint)));
                    }
                },
            };
            let code = known(code).ok_or_else(|| row.put(unknown(code, Error::data)))?;
            if !self.asked.languages.is_empty() && !self.asked.languages.contains(&code) {
                self.passed_over += 1;
                continue;
            }
            let Some(text) = text else {
                self.empty.add(1, || row.place());
                continue;
            };
            if let Some(name) = absent {
                self.missing.add(1, || format!("`{name}` ({})", row.place()));
            }
            if let Some(&picture) = pictures.first() {
                self.take(code, text, picture, &pictures);
            }
        }
        Ok(())
    }

    /// Notes the split of a record's photographs, which no other record may contradict.
    fn place(&mut self, row: &Row, pictures: &[u32]) -> Result<()> {
        let Some(split) = row.split else { return Ok(()) };
        for &picture in pictures {
            match self.splits[picture as usize].replace(split) {
                Some(other) if other != split => {
                    let id = &self.photographs.ids()[picture as usize];
                    let what =
                        format!("photograph `{id}` is in split `{split}` here, and in `{other}` before");
                    return Err(row.put(Error::data(what).hint(
                        "a photograph is in one split: correct the table, or have splits drawn by `--columns split=`",
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, code: String, text: &str, picture: u32, pictures: &[u32]) {
        let place = self.languages.iter().position(|spoken| spoken.code == code).unwrap_or_else(|| {
            let captions = vec![0; self.photographs.ids().len()];
            self.languages.push(Spoken { code, captions, example: (picture, text.to_string()) });
            self.languages.len() - 1
        });
        if !self.spoken.contains(&place) {
            self.spoken.push(place);
        }
        pictures.iter().for_each(|&picture| self.languages[place].captions[picture as usize] += 1);
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let mut hasher = DefaultHasher::new();
            (place, word.to_lowercase()).hash(&mut hasher);
            self.words.insert(hasher.finish());
        }
    }
}

fn unknown(code: &str, kind: fn(String) -> Error) -> Error {
    kind(format!("`{code}` is no language that is known")).hint(
        "write the code of ISO 639, such as `de` or `pt-BR`; `--language en,de` takes these languages alone",
    )
}
