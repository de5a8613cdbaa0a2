//! Every key of a configuration as a page of Markdown, made of the schema.

use serde_json::{Map, Value};

/// The page.
pub fn page(schema: &Value) -> String {
    let mut page = "# Every key

A configuration holds what differs from these defaults. `tinyglot config schema` prints the same as a JSON Schema for an editor; a key
that is not here, or that the family does not read, is an error with its line. This page is made of the schema.

"
    .to_string();
    Writer { schema, page: &mut page }.section("", &schema["properties"]);
    page
}

struct Writer<'a> {
    schema: &'a Value,
    page: &'a mut String,
}

impl Writer<'_> {
    /// The keys of a table, then the tables in it.
    fn section(&mut self, path: &str, properties: &Value) {
        let properties = properties.as_object().expect("properties");
        let mut tables = Vec::new();
        for (key, property) in properties {
            let (name, definition) = (join(path, key), self.definition(property));
            match definition.get("properties") {
                Some(within) => tables.push((name, text_of(property, definition), within.clone())),
                None => self.key(&name, property, &definition.clone()),
            }
        }
        for (name, text, within) in tables {
            *self.page += &format!("\n## `{name}`\n\n{text}\n\n");
            self.section(&name, &within);
        }
    }

    /// A key: its default, what it is, the values that it may have, and the keys of the tables in its list.
    fn key(&mut self, name: &str, property: &Value, definition: &Value) {
        let default = property.get("default").or_else(|| definition.get("default"));
        let default = default.map(|value| format!(", `{value}`")).unwrap_or_default();
        let text = text_of(property, definition);
        *self.page += &format!("- **`{name}`** ({}{default}): {text}\n", kind(property, definition));
        for value in definition.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
            if let Some(named) = value["const"].as_str() {
                *self.page += &format!("  - `\"{named}\"`: {}\n", flat(&value["description"]));
            }
        }
        let items = [&definition["items"], &definition["additionalProperties"]];
        for item in items.map(|item| self.definition(item).clone()) {
            let Some(within) = item.get("properties").and_then(Value::as_object) else { continue };
            self.items(within);
        }
    }

    /// The keys of the tables in a list, one level further in.
    fn items(&mut self, properties: &Map<String, Value>) {
        for (key, property) in properties {
            let definition = self.definition(property).clone();
            let default = property.get("default").map(|value| format!(", `{value}`")).unwrap_or_default();
            let what = kind(property, &definition);
            *self.page += &format!("  - `{key}` ({what}{default}): {}\n", text_of(property, &definition));
        }
    }

    /// What a property refers to; itself, where it refers to nothing.
    fn definition<'v>(&'v self, property: &'v Value) -> &'v Value {
        let optional =
            property["anyOf"].as_array().and_then(|any| any.iter().find(|one| one.get("$ref").is_some()));
        match optional.unwrap_or(property)["$ref"].as_str() {
            Some(reference) => &self.schema["$defs"][reference.trim_start_matches("#/$defs/")],
            None => property,
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// What a value is, in a word.
fn kind(property: &Value, definition: &Value) -> String {
    let of = |value: &Value| match &value["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several[0].as_str().expect("a type").to_string(),
        _ => String::new(),
    };
    let kind = [of(property), of(definition)].into_iter().find(|kind| !kind.is_empty()).unwrap_or_default();
    match kind.as_str() {
        "" => "one of".into(),
        "array" => "list".into(),
        "object" => "table".into(),
        "integer" => "whole number".into(),
        other => other.into(),
    }
}

/// What is said of the key, then of its type.
fn text_of(property: &Value, definition: &Value) -> String {
    let (key, kind) = (flat(&property["description"]), flat(&definition["description"]));
    if kind.starts_with(&key) {
        kind
    } else if key.contains(&kind) {
        key
    } else {
        format!("{key} {kind}")
    }
}

/// A description on one line.
fn flat(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
