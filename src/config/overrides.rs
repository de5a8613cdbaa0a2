//! `--set key.path=value`: one value given on the command line over what the file says.

use toml::{Table, Value};

use super::document::Document;
use super::paths;
use super::problem::{Fault, Origins, Problem};
use super::shape::{Shape, join, short};
use crate::{Error, Result};

/// Sets one `key.path=value` in `document`. The value replaces what is there, whole tables and lists too.
///
/// An unknown key is added to `problems`; a `--set` without `=`, or a broken list or table, is an error.
pub(super) fn apply(
    written: &str,
    document: &mut Table,
    origins: &mut Origins,
    problems: &mut Vec<Problem>,
) -> Result<()> {
    let Some((key, text)) = written.split_once('=') else {
        return Err(
            Error::usage(format!("`--set {written}` has no `=`")).hint("write `--set key.path=value`")
        );
    };
    let key = key.trim();
    origins.set(key, &format!("`--set {written}`"));
    let shape = match Shape::of_key(key) {
        Ok(shape) => shape,
        Err(nearest) => {
            problems.push(Problem::new(key, Fault::UnknownKey { nearest }));
            return Ok(());
        }
    };
    let mut value = parse(written, text.trim(), shape)?;
    paths::anchor(key, &mut value, &paths::current()?);
    place(&format!("`--set {written}`"), key, value, document)
}

/// A value for a key, from elsewhere than the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// A dotted key that there is.
    pub key: String,
    /// What the key is set to, with the type that TOML reads.
    pub value: Value,
    /// Where it was given, as errors name it.
    pub origin: String,
}

impl Setting {
    /// Sets the value in `document` as [`apply`] does.
    pub(super) fn apply(&self, document: &mut Table, origins: &mut Origins) -> Result<()> {
        origins.set(&self.key, &self.origin);
        place(&self.origin, &self.key, self.value.clone(), document)
    }

    /// The settings in `table`, which stands at `at` of `file`: dotted keys and tables of keys, in any mixture. A key below
    /// which the user chooses the keys (`train.captions`) is set whole.
    ///
    /// Unknown keys and wrong types are added to `problems`, with their places in `file`. Paths start from its folder.
    pub(crate) fn all(
        at: &str,
        table: &Table,
        file: &Document,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<Setting>> {
        let mut found = Vec::new();
        collect(at, "", table, Shape::config(), file, problems, &mut found)?;
        Ok(found)
    }

    /// The setting of one key, which stands at `place` of `file`; nothing, and a problem, where there is no such key or its
    /// value is of a wrong type.
    pub(crate) fn one(
        place: &str,
        key: &str,
        value: &Value,
        file: &Document,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Setting>> {
        let shape = match Shape::of_key(key) {
            Ok(shape) => shape,
            Err(nearest) => {
                problems.push(Problem::new(place, Fault::UnknownKey { nearest }));
                return Ok(None);
            }
        };
        let before = problems.len();
        shape.check(Shape::config(), place, value, problems);
        if problems.len() > before {
            return Ok(None);
        }
        let mut value = value.clone();
        paths::anchor(key, &mut value, &paths::folder_of(file.path())?);
        Ok(Some(Setting { key: key.to_owned(), value, origin: file.place(place) }))
    }
}

fn collect(
    at: &str,
    above: &str,
    table: &Table,
    shape: &Shape,
    file: &Document,
    problems: &mut Vec<Problem>,
    found: &mut Vec<Setting>,
) -> Result<()> {
    for (name, value) in table {
        let key = join(above, name);
        let below = name.split('.').try_fold(shape, |shape, step| shape.below(step));
        match (below, value) {
            (Some(shape @ Shape::Table(_)), Value::Table(table)) => {
                collect(at, &key, table, shape, file, problems, found)?
            }
            _ => found.extend(Setting::one(&join(at, &key), &key, value, file, problems)?),
        }
    }
    Ok(())
}

/// The value as TOML; a bare word where a string is wanted, or where it is no TOML.
fn parse(written: &str, text: &str, shape: &Shape) -> Result<Value> {
    let parsed = format!("value = {text}").parse::<Table>().map(|mut table| table.remove("value"));
    let wants_text = matches!(shape, Shape::Text | Shape::Choice(_));
    match parsed {
        Ok(Some(value)) if value.is_str() || !wants_text => Ok(value),
        Err(error) if !wants_text && text.starts_with(['[', '{']) => {
            let what = format!("`--set {written}`: {}", error.message());
            Err(Error::config(what)
                .placed()
                .hint("strings in a list or table need quotes, e.g. `'data.languages=[\"en\"]'`"))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// Puts `value` at `key`, making tables on the way; a number steps into an entry of a list that is there.
fn place(origin: &str, key: &str, value: Value, document: &mut Table) -> Result<()> {
    let mut all: Vec<&str> = key.split('.').collect();
    let last = all.pop().unwrap_or_default();
    let mut whole = Value::Table(std::mem::take(document));
    let mut at = &mut whole;
    for step in all {
        if let Value::Table(table) = at {
            at = table.entry(step).or_insert_with(|| Value::Table(Table::new()));
        } else {
            at = entry(origin, at, step)?;
        }
    }
    if let Value::Table(table) = at {
        table.insert(last.to_owned(), value);
    } else {
        *entry(origin, at, last)? = value;
    }
    if let Value::Table(table) = whole {
        *document = table;
    }
    Ok(())
}

fn entry<'v>(origin: &str, list: &'v mut Value, step: &str) -> Result<&'v mut Value> {
    let found = short(list);
    let entry = match list {
        Value::Array(entries) => step.parse::<usize>().ok().and_then(|index| entries.get_mut(index)),
        _ => None,
    };
    entry.ok_or_else(|| {
        Error::config(format!("{origin}: there is no entry `{step}` in {found}"))
            .placed()
            .hint("give the whole list, or add the entry to the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(document: &str, written: &[&str]) -> Result<(String, Vec<Problem>)> {
        let (mut document, mut problems): (Table, _) = (document.parse().unwrap(), Vec::new());
        for written in written {
            apply(written, &mut document, &mut Origins::default(), &mut problems)?;
        }
        Ok((document.to_string(), problems))
    }

    fn ok(document: &str, written: &[&str]) -> String {
        let (text, problems) = set(document, written).unwrap();
        assert_eq!(problems, []);
        text
    }

    #[test]
    fn values_are_toml() {
        assert_eq!(ok("", &["loss.triplet.weight=0"]), "[loss.triplet]\nweight = 0\n");
        assert_eq!(ok("", &["data.languages=[\"en\", \"de\"]"]), "[data]\nlanguages = [\"en\", \"de\"]\n");
        assert_eq!(ok("", &["words.lowercase = false"]), "[words]\nlowercase = false\n");
        assert_eq!(ok("", &["train.captions={en=2}"]), "[train.captions]\nen = 2\n");
    }

    #[test]
    fn bare_words_are_strings_where_a_string_is_wanted() {
        assert_eq!(ok("", &["text.encoder=average"]), "[text]\nencoder = \"average\"\n");
        assert_eq!(ok("", &["data.parallel=2024"]), "[data]\nparallel = \"2024\"\n");
        assert_eq!(ok("", &["data.text=\"a=b\""]), "[data]\ntext = \"a=b\"\n");
        assert_eq!(ok("", &["data.root=/d/x=y"]), "[data]\nroot = \"/d/x=y\"\n");
    }

    #[test]
    fn paths_start_from_the_current_folder() {
        let here = paths::current().unwrap();
        let up = here.parent().unwrap().join("x");
        assert_eq!(ok("", &["data.root=../x"]), format!("[data]\nroot = \"{}\"\n", up.display()));
    }

    #[test]
    fn the_last_value_wins_and_tables_are_replaced_whole() {
        assert_eq!(ok("seed = 1", &["seed=2", "seed=3"]), "seed = 3\n");
        let file = "[loss.triplet]\nweight = 2\nmargin = 1";
        assert_eq!(ok(file, &["loss.triplet.margin=3"]), "[loss.triplet]\nmargin = 3\nweight = 2\n");
        assert_eq!(ok(file, &["loss.triplet={margin=3}"]), "[loss.triplet]\nmargin = 3\n");
    }

    #[test]
    fn numbers_step_into_lists() {
        let file = "[[data.captions]]\nsource = \"human\"";
        let set_to_machine = ok(file, &["data.captions.0.source=machine"]);
        assert_eq!(set_to_machine, "[[data.captions]]\nsource = \"machine\"\n");
        let error = set(file, &["data.captions.1.source=machine"]).unwrap_err().to_string();
        assert!(
            error.starts_with("`--set data.captions.1.source=machine`: there is no entry `1` in [{"),
            "{error}"
        );
    }

    #[test]
    fn unknown_keys_are_problems_with_the_nearest_key() {
        let (_, problems) = set("", &["train.epoch=1", "tain.captions.en=2", "seed.x=1"]).unwrap();
        let said: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            said,
            [
                "unknown key `train.epoch`; did you mean `train.epochs`?",
                "unknown key `tain.captions.en`; did you mean `train.captions`?",
                "unknown key `seed.x`; did you mean `seed`?",
            ]
        );
    }

    #[test]
    fn no_equals_sign_is_wrong_usage() {
        let error = set("", &["seed"]).unwrap_err();
        assert_eq!(
            (error.exit_status(), error.to_string().lines().next()),
            (2, Some("`--set seed` has no `=`"))
        );
    }

    #[test]
    fn broken_lists_say_what_is_broken() {
        let error = set("", &["data.languages=[en,de]"]).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(error.to_string().contains("`--set data.languages=[en,de]`: "), "{error}");
        assert!(error.to_string().contains("need quotes"), "{error}");
    }

    #[test]
    fn a_value_below_something_that_is_no_table_is_refused() {
        let error = set("data = 3", &["data.root=x"]).unwrap_err().to_string();
        assert!(error.contains("there is no entry `root` in 3"), "{error}");
    }
}
