//! Which keys there are and what each takes, read off the schema; finds unknown keys and wrong types, all of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value as Json;
use toml::{Table, Value};

use super::problem::{Fault, Problem};
use super::schema;

/// What a key takes.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A table with these keys and no other.
    Table(BTreeMap<String, Shape>),
    /// A table whose keys the user chooses.
    Map(Box<Shape>),
    List(Box<Shape>),
    Choice(Vec<String>),
    Text,
    Whole,
    Number,
    Flag,
    /// Anything; what it may be is decided elsewhere.
    Any,
}

static CONFIG: LazyLock<Shape> = LazyLock::new(|| {
    let document = schema::document();
    Shape::of(&document, &document["$defs"])
});

impl Shape {
    /// The shape of a whole configuration.
    pub fn config() -> &'static Shape {
        &CONFIG
    }

    /// A table of these keys.
    pub fn table<const N: usize>(keys: [(&str, Shape); N]) -> Shape {
        Shape::Table(keys.into_iter().map(|(key, shape)| (key.to_owned(), shape)).collect())
    }

    /// What a dotted key of a configuration takes; the key most alike where there is no such key.
    pub fn of_key(key: &str) -> Result<&'static Shape, String> {
        let (mut shape, mut start) = (Shape::config(), 0);
        for step in key.split('.') {
            let table = key[..start].trim_end_matches('.');
            shape = shape.below(step).ok_or_else(|| Shape::config().nearest(table, &key[start..]))?;
            start += step.len() + 1;
        }
        Ok(shape)
    }

    fn of(schema: &Json, defs: &Json) -> Shape {
        if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            return Shape::of(&defs[name], defs);
        }
        if schema["oneOf"].is_array() || schema["enum"].is_array() {
            return Shape::Choice(choices(schema));
        }
        match schema["type"].as_str() {
            Some("object") => match schema["properties"].as_object() {
                Some(keys) => {
                    Shape::Table(keys.iter().map(|(key, of)| (key.clone(), Shape::of(of, defs))).collect())
                }
                None => Shape::Map(Box::new(Shape::of(&schema["additionalProperties"], defs))),
            },
            Some("array") => Shape::List(Box::new(Shape::of(&schema["items"], defs))),
            Some("string") => Shape::Text,
            Some("integer") => Shape::Whole,
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Flag,
            other => unreachable!("no section holds a field of type {other:?}"),
        }
    }

    /// The shape below `key`; for a list, `key` is an index.
    pub fn below(&self, key: &str) -> Option<&Shape> {
        match self {
            Shape::Table(keys) => keys.get(key),
            Shape::Map(item) => Some(item),
            Shape::List(item) => key.parse::<usize>().ok().map(|_| &**item),
            _ => None,
        }
    }

    /// Adds every unknown key and wrong type in `value`, which stands at `path` of a document of the shape `root`.
    pub fn check(&self, root: &Shape, path: &str, value: &Value, found: &mut Vec<Problem>) {
        match (self, value) {
            (Shape::Table(keys), Value::Table(table)) => {
                for (key, value) in table {
                    match keys.get(key) {
                        Some(shape) => shape.check(root, &join(path, key), value, found),
                        None => found.push(unknown_key(root, path, key)),
                    }
                }
            }
            (Shape::Map(item), Value::Table(table)) => {
                for (key, value) in table {
                    item.check(root, &join(path, key), value, found);
                }
            }
            (Shape::List(item), Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    item.check(root, &join(path, &index.to_string()), value, found);
                }
            }
            (Shape::Any, _) => {}
            (Shape::Choice(names), Value::String(name)) if names.contains(name) => {}
            (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Boolean(_)) => {}
            (Shape::Number, Value::Integer(_) | Value::Float(_)) => {}
            (Shape::Whole, Value::Integer(n)) if *n >= 0 => {}
            _ => found.push(Problem::new(
                path,
                Fault::WrongType { value: short(value), expected: self.to_string() },
            )),
        }
    }

    /// The right key meant by `key` in the table at `path`: one spelt alike there, the same name elsewhere, or else the
    /// path most alike.
    pub fn nearest(&self, path: &str, key: &str) -> String {
        let mut all = Vec::new();
        self.paths("", &mut all);
        // Entries of lists are one shape, whose keys are not among the paths.
        let list = path.split('.').try_fold(self, |shape, step| shape.below(step));
        if let Some(entry @ Shape::Table(_)) = list.filter(|_| !all.iter().any(|known| known == path)) {
            entry.paths(path, &mut all);
        }
        let (table, wanted) = (join(path, ""), join(path, key));
        let name = key.rsplit('.').next().unwrap_or(key);
        let alike = |known: &String| strsim::normalized_damerau_levenshtein(known, &wanted);
        let best = |of: &dyn Fn(&String) -> bool| {
            all.iter().filter(|known| of(known)).max_by(|a, b| alike(a).total_cmp(&alike(b))).cloned()
        };
        let sibling = |known: &String| {
            let sibling = known.strip_prefix(&table).filter(|sibling| !sibling.contains('.'));
            sibling.is_some_and(|sibling| strsim::normalized_damerau_levenshtein(sibling, key) >= 0.6)
        };
        best(&sibling)
            .or_else(|| best(&|known| known.rsplit('.').next() == Some(name)))
            .or_else(|| best(&|_| true))
            .unwrap_or_default()
    }

    /// Every path of a key below, for suggestions.
    fn paths(&self, path: &str, into: &mut Vec<String>) {
        if let Shape::Table(keys) = self {
            for (key, shape) in keys {
                let path = join(path, key);
                shape.paths(&path, into);
                into.push(path);
            }
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::Table(_) | Shape::Map(_) => f.write_str("a table"),
            Shape::List(item) => write!(f, "a list, each entry {item}"),
            Shape::Choice(names) => {
                let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
            Shape::Text => f.write_str("a string"),
            Shape::Whole => f.write_str("a whole number, 0 or more"),
            Shape::Number => f.write_str("a number"),
            Shape::Flag => f.write_str("true or false"),
            Shape::Any => f.write_str("a value"),
        }
    }
}

fn choices(schema: &Json) -> Vec<String> {
    let names = |list: &Json| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let mut all = names(&schema["enum"]);
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        all.extend(one["const"].as_str().map(str::to_owned));
        all.extend(names(&one["enum"]));
    }
    all
}

/// `a.b` below `a`, `b` at the top.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The problem of a key that the table at `path` of a document of the shape `root` does not have.
pub(super) fn unknown_key(root: &Shape, path: &str, key: &str) -> Problem {
    Problem::new(&join(path, key), Fault::UnknownKey { nearest: root.nearest(path, key) })
}

/// A value as written, on one line and not too long.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string().replace('\n', " ");
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Problems of a whole document.
pub(super) fn check(document: &Table) -> Vec<Problem> {
    let mut found = Vec::new();
    let shape = Shape::config();
    shape.check(shape, "", &Value::Table(document.clone()), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    fn faults(text: &str) -> Vec<String> {
        check(&text.parse().unwrap()).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn the_default_configuration_has_the_right_shape() {
        let text = toml::to_string(&RawConfig::default()).unwrap();
        assert_eq!(faults(&text), [""; 0]);
    }

    #[test]
    fn unknown_key_names_the_nearest_key_of_its_table() {
        assert_eq!(
            faults("[loss.triplet]\nmargn = 0.1"),
            ["unknown key `loss.triplet.margn`; did you mean `loss.triplet.margin`?"]
        );
        assert_eq!(faults("trian = {}"), ["unknown key `trian`; did you mean `train`?"]);
        assert_eq!(
            faults("[[data.captions]]\nfile = []"),
            ["unknown key `data.captions.0.file`; did you mean `data.captions.0.files`?"]
        );
    }

    #[test]
    fn key_in_the_wrong_table_is_pointed_to_the_right_one() {
        assert_eq!(faults("margin = 0.1"), ["unknown key `margin`; did you mean `loss.triplet.margin`?"]);
        assert_eq!(
            faults("[text]\nlatents = 1"),
            ["unknown key `text.latents`; did you mean `embedding.latents`?"]
        );
    }

    #[test]
    fn wrong_types_name_value_and_expectation() {
        assert_eq!(faults("seed = \"7\""), ["`seed` is \"7\"; expected a whole number, 0 or more"]);
        assert_eq!(
            faults("[train]\nepochs = 2.5"),
            ["`train.epochs` is 2.5; expected a whole number, 0 or more"]
        );
        assert_eq!(
            faults("[train]\nimages = -3"),
            ["`train.images` is -3; expected a whole number, 0 or more"]
        );
        assert_eq!(faults("loss = 3"), ["`loss` is 3; expected a table"]);
        assert_eq!(
            faults("[text]\nencoder = \"lstm\""),
            ["`text.encoder` is \"lstm\"; expected one of \"gru\", \"average\""]
        );
        assert_eq!(
            faults("[data]\nlanguages = \"en\""),
            ["`data.languages` is \"en\"; expected a list, each entry a string"]
        );
        assert_eq!(faults("[words]\nlowercase = 1"), ["`words.lowercase` is 1; expected true or false"]);
        assert_eq!(
            faults("[train.captions]\nen = \"two\""),
            ["`train.captions.en` is \"two\"; expected a whole number, 0 or more"]
        );
    }

    #[test]
    fn a_whole_number_is_a_number() {
        assert_eq!(faults("[loss.triplet]\nweight = 0"), [""; 0]);
    }
}
