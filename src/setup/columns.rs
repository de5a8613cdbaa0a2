//! What the columns of a table mean: which names the photographs, which hold captions, and in which language.

use serde_json::Value;

use super::languages::known;
use crate::config::CaptionKeys;
use crate::corpus::keys::{IMAGES, LANGUAGE, LANGUAGES, NUMBER, Record, TEXTS, fits};
use crate::corpus::{Names, Table, split_named};
use crate::{Error, Result};

/// What the user says of the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The column that names the photographs.
    pub picture: Option<String>,
    /// The columns of captions; `{language}` and `{n}` stand for a code and a number in them.
    pub texts: Vec<String>,
    /// The column of the language; an empty name reads none.
    pub language: Option<String>,
    /// The column of the split; an empty name reads none.
    pub split: Option<String>,
    /// The languages to take; one, where the table does not say the language.
    pub languages: Vec<String>,
}

/// Captions of one column, or of several whose names are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The name, with `{language}` and `{n}` in it where several columns are meant.
    pub key: String,
    /// Where the language of a caption is told.
    pub language: Told,
}

/// Where the language of a caption is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// In the column of the language.
    InColumn,
    /// In the name of the column: these codes, as the names have them.
    InName(Vec<String>),
    /// By the user.
    Asked(String),
}

/// What the columns of a table mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The column that names the photographs.
    pub picture: String,
    /// Those of captions.
    pub texts: Vec<Text>,
    /// That of the language, where the table has it.
    pub language: Option<String>,
    /// That of the split, where the table has it.
    pub split: Option<String>,
    /// Whether a column `source` says something else than who wrote the captions.
    pub other_source: bool,
}

impl Columns {
    /// Tells what the columns mean, by their names and by what is in them.
    ///
    /// # Errors
    /// Data, naming the columns: none, or too many of them, may be meant. Usage, where one that was asked for is not there, or nobody says the
    /// language.
    pub fn of(table: &Table, photographs: &Names, asked: &Asked) -> Result<Columns> {
        let columns = table.columns();
        let picture = match &asked.picture {
            Some(column) => there(table, column)?,
            None => picture(table, photographs)?,
        };
        let language = match &asked.language {
            Some(column) if column.is_empty() => None,
            Some(column) => Some(there(table, column)?),
            None => language(table),
        };
        let split = match &asked.split {
            Some(column) if column.is_empty() => None,
            Some(column) => Some(there(table, column)?),
            None => split(table),
        };
        let top = |key: &str| key.split('.').next().unwrap_or_default().to_string();
        let others: Vec<&str> = columns
            .into_iter()
            .filter(|column| {
                let taken = [language.as_deref(), split.as_deref()];
                *column != picture && *column != top(&picture) && !taken.contains(&Some(*column))
            })
            .collect();
        let keys = match asked.texts.is_empty() {
            true => texts(table, &others)?,
            false => asked.texts.iter().map(|column| there(table, column)).collect::<Result<Vec<_>>>()?,
        };
        let told = |key: &String| {
            let language = match (key.contains(LANGUAGE), &language, &asked.languages[..]) {
                (true, ..) => Told::InName(codes(table, key)),
                (false, Some(_), _) => Told::InColumn,
                (false, None, [one]) => Told::Asked(one.clone()),
                (false, None, _) => return Err(nobody_says(table, key)),
            };
            Ok(Text { key: key.clone(), language })
        };
        let texts = keys.iter().map(told).collect::<Result<Vec<Text>>>()?;
        let other_source = table.sample.iter().filter_map(|record| record.get("source")).any(|value| {
            !value.is_null() && value.as_str().is_none_or(|value| !["human", "machine"].contains(&value))
        });
        Ok(Columns { picture, texts, language, split, other_source })
    }

    /// The keys of one of the texts, as a configuration has them.
    pub fn keys(&self, text: &Text) -> CaptionKeys {
        let language = match text.language {
            Told::InColumn => self.language.clone(),
            Told::InName(_) | Told::Asked(_) => Some(String::new()),
        };
        CaptionKeys {
            image: Some(self.picture.clone()),
            text: Some(text.key.clone()),
            language,
            source: self.other_source.then(String::new),
            split: self.split.clone(),
        }
    }
}

fn listed(columns: &[&str]) -> String {
    format!("`{}`", columns.join("`, `"))
}

fn nobody_says(table: &Table, key: &str) -> Error {
    Error::usage(format!("nothing says in which language the captions of `{key}` are"))
        .at(&table.file)
        .hint("say it by `--language de`; or name the column that does by `--columns language=NAME`")
}

/// A column that the user named, which some record must have.
fn there(table: &Table, column: &str) -> Result<String> {
    let within = |record: &Record| {
        let mut steps = column.split('.');
        let first = steps.next().unwrap_or_default();
        let found = record.iter().find(|(key, _)| fits(key, first).is_some()).map(|(_, value)| value);
        record.contains_key(column) || found.is_some_and(|value| steps.next().is_none() || !value.is_null())
    };
    match table.sample.iter().any(within) {
        true => Ok(column.to_string()),
        false => Err(Error::usage(format!("there is no column `{column}`"))
            .at(&table.file)
            .hint(format!("the columns are {}", listed(&table.columns())))),
    }
}

/// Every value of a column in the sample, those of lists one by one.
fn values<'t>(table: &'t Table, column: &str) -> Vec<&'t Value> {
    let mut found: Vec<&Value> = Vec::new();
    for record in &table.sample {
        let value = record.get(column).or_else(|| {
            let mut steps = column.split('.');
            let first = record.get(steps.next()?)?;
            steps.try_fold(first, |value, step| value.get(step))
        });
        match value {
            Some(Value::Array(all)) => found.extend(all),
            Some(Value::Null) | None => {}
            Some(one) => found.push(one),
        }
    }
    found
}

/// The column whose values name most photographs.
fn picture(table: &Table, photographs: &Names) -> Result<String> {
    let mut candidates: Vec<String> = Vec::new();
    for column in table.columns() {
        candidates.push(column.to_string());
        candidates.extend(["path", "file_name", "id"].map(|below| format!("{column}.{below}")));
    }
    let hits = |column: &String| {
        let named = values(table, column).into_iter().filter_map(|value| match value {
            Value::String(name) => Some(name.trim().to_string()),
            Value::Number(n) => Some(n.to_string()),
            _ => None,
        });
        named.filter(|name| !matches!(photographs.find(name), Ok(None))).count()
    };
    let known = |column: &str| IMAGES.iter().any(|name| name.eq_ignore_ascii_case(column));
    // The first of those that name as many.
    let best = candidates
        .iter()
        .map(|column| (hits(column), known(column), column))
        .reduce(|best, other| if (other.0, other.1) > (best.0, best.1) { other } else { best });
    if let Some((1.., _, column)) = best {
        return Ok(column.clone());
    }
    let columns = table.columns();
    let named = columns.iter().find(|column| known(column));
    let value =
        named.and_then(|column| values(table, column).first().map(|value| (column, value.to_string())));
    let some = photographs.ids().first().map_or("…", String::as_str);
    let what = match value {
        Some((column, value)) => format!(
            "no column names the photographs: `{column}` holds {value}, and none of the {} photographs is called so, but e.g. `{some}`",
            photographs.ids().len()
        ),
        None => format!(
            "no column names the photographs, which are called e.g. `{some}`: the columns are {}",
            listed(&columns)
        ),
    };
    Err(Error::data(what)
        .at(&table.file)
        .hint("a column must hold the names of the files, with or without folders and endings; `--columns picture=NAME` says which one"))
}

/// The column whose name is one of languages, and whose values are codes.
fn language(table: &Table) -> Option<String> {
    let named = |name: &&str| table.columns().into_iter().find(|column| column.eq_ignore_ascii_case(name));
    let found = LANGUAGES.iter().find_map(named)?;
    let text = |value: &&Value| value.as_str().is_some();
    values(table, found).iter().any(text).then(|| found.to_string())
}

/// The column `split`, where all that is in it names one.
fn split(table: &Table) -> Option<String> {
    let found = table.columns().into_iter().find(|column| column.eq_ignore_ascii_case("split"))?;
    let values = values(table, found);
    let named = |value: &&Value| value.as_str().is_some_and(|name| split_named(name).is_some());
    (!values.is_empty() && values.iter().all(named)).then(|| found.to_string())
}

/// Whether a value is words, rather than a name or a number.
fn prose(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let beyond = text.chars().filter(|&c| c.is_alphabetic() && c > '\u{2e7f}').count();
        (text.trim().contains(char::is_whitespace) && letters > 3) || beyond > 2
    })
}

/// Whether most values of a column are words.
fn is_prose(table: &Table, column: &str) -> bool {
    let values = values(table, column);
    2 * values.iter().filter(|value| prose(value)).count() > values.len()
}

/// The columns of captions.
fn texts(table: &Table, columns: &[&str]) -> Result<Vec<String>> {
    // Objects with a key a language.
    let object = |column: &&str| {
        let values = values(table, column);
        !values.is_empty()
            && values.iter().all(|v| v.as_object().is_some_and(|v| v.keys().all(|key| known(key).is_some())))
    };
    let mut found: Vec<String> = Vec::new();
    for column in columns {
        let pattern = match object(column) {
            true => Some(format!("{column}.{LANGUAGE}")),
            false => pattern(column).filter(|_| is_prose(table, column)),
        };
        if let Some(pattern) = pattern.filter(|pattern| !found.contains(pattern)) {
            found.push(pattern);
        }
    }
    let alone: Vec<&str> =
        found.iter().map(String::as_str).filter(|pattern| !pattern.contains('{')).collect();
    if alone.len() > 1 {
        return Err(several(table, &alone));
    }
    // One that is called as captions are needs no words to be them.
    let plain = |column: &&&str| TEXTS.iter().any(|name| name.eq_ignore_ascii_case(column));
    match (&found[..], columns.iter().find(plain)) {
        ([], Some(column)) => Ok(vec![column.to_string()]),
        ([], None) => by_words(table, columns),
        _ => Ok(found),
    }
}

const SAY: &str =
    "say which holds captions by `--columns text=NAME`; give it several times for several columns";

fn several(table: &Table, columns: &[&str]) -> Error {
    Error::data(format!("{} may all hold captions", listed(columns))).at(&table.file).hint(SAY)
}

/// The codes of languages that names of columns, or keys below one, have in the place of `{language}`.
fn codes(table: &Table, key: &str) -> Vec<String> {
    let steps: Vec<&str> = key.split('.').collect();
    let at = steps.iter().position(|step| step.contains(LANGUAGE)).unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for record in &table.sample {
        let first: Option<&Record> =
            steps[..at].iter().try_fold(record, |at, step| at.get(*step)?.as_object());
        for name in first.into_iter().flat_map(Record::keys) {
            let code = fits(name, steps[at]).flatten().filter(|code| known(code).is_some());
            if let Some(code) = code.filter(|code| !found.iter().any(|other| other == code))
                && (at > 0 || steps.len() > 1 || is_prose(table, name))
            {
                found.push(code.to_string());
            }
        }
    }
    found
}

/// The one column of words, where none is called as captions are.
fn by_words(table: &Table, columns: &[&str]) -> Result<Vec<String>> {
    let words: Vec<&str> = columns.iter().copied().filter(|column| is_prose(table, column)).collect();
    match words[..] {
        [one] => Ok(vec![one.to_string()]),
        [] => Err(Error::data(format!(
            "no column holds captions: beside the photographs' names there are {}",
            listed(columns)
        ))
        .at(&table.file)
        .hint(SAY)),
        _ => Err(several(table, &words)),
    }
}

/// What stands for columns that are called as captions are: `caption_{n}` of `caption_2`, `{language}` of `de`, `text_{language}_{n}` of `text_de_1`.
fn pattern(column: &str) -> Option<String> {
    let (mut pattern, mut named, mut coded, mut rest) = (String::new(), false, false, column);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let word = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let length = match (digits, word) {
            (1.., _) => {
                pattern += NUMBER;
                digits
            }
            (0, 1..) => {
                // A code may have a region, `pt-BR`.
                let with_region = rest[word..]
                    .find(|c: char| !c.is_alphabetic() && c != '-')
                    .map_or(rest.len(), |at| word + at);
                let longest = [with_region, word].into_iter().find(|&end| known(&rest[..end]).is_some());
                let text = TEXTS.iter().any(|name| name.eq_ignore_ascii_case(&rest[..word]));
                match (text, longest) {
                    (true, _) if !named => {
                        named = true;
                        pattern += &rest[..word];
                        word
                    }
                    (false, Some(end))
                        if !coded
                            && (end > 3
                                || TEXT_CODES.iter().all(|no| !no.eq_ignore_ascii_case(&rest[..end]))) =>
                    {
                        coded = true;
                        pattern += LANGUAGE;
                        end
                    }
                    _ => return None,
                }
            }
            _ => {
                let one = rest.chars().next().map_or(1, char::len_utf8);
                pattern += &rest[..one];
                one
            }
        };
        rest = &rest[length..];
    }
    (named || coded).then_some(pattern)
}

/// Words that are codes of three letters, but hardly so in the names of columns.
const TEXT_CODES: [&str; 12] =
    ["img", "url", "alt", "tag", "key", "src", "num", "idx", "set", "use", "raw", "old"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_become_patterns() {
        for (column, expected) in [
            ("caption", Some("caption")),
            ("Caption", Some("Caption")),
            ("caption_2", Some("caption_{n}")),
            ("caption2", Some("caption{n}")),
            ("comment #3", Some("comment #{n}")),
            ("de", Some("{language}")),
            ("text_de", Some("text_{language}")),
            ("pt-BR", Some("{language}")),
            ("caption_pt-BR_1", Some("caption_{language}_{n}")),
            ("en_caption", Some("{language}_caption")),
            ("title", None),
            ("caption_source", None),
            ("split", None),
            ("img", None),
            ("7", None),
            ("größe", None),
        ] {
            assert_eq!(pattern(column).as_deref(), expected, "{column}");
            if let Some(pattern) = pattern(column) {
                assert!(fits(column, &pattern).is_some(), "{column} by {pattern}");
            }
        }
    }
}
