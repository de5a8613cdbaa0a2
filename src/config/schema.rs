//! The JSON Schema of a configuration: for editors, and the list of keys that the reader itself goes by.

use schemars::schema_for;
use serde_json::{Value, json};

use super::RawConfig;

/// The JSON Schema (2020-12) of a configuration file, pretty-printed.
pub fn schema() -> String {
    serde_json::to_string_pretty(&document()).expect("a JSON value prints")
}

/// The schema with what is right for TOML: no `null`, and `f32` defaults as a person writes them.
pub(super) fn document() -> Value {
    let mut schema = schema_for!(RawConfig).to_value();
    schema["title"] = json!("tinyglot configuration");
    schema["description"] =
        json!("What `tinyglot train` and `tinyglot data check` read; all keys are optional.");
    tidy(&mut schema);
    schema
}

fn tidy(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            // Every setting has at most the 24 bits of an f32, so its shortest decimal is what was meant.
            let short = number.as_f64().map(|wide| (wide as f32).to_string());
            *value = short.and_then(|s| s.parse::<f64>().ok()).map_or(Value::Null, Value::from);
        }
        Value::Array(items) => {
            items.retain(|item| item != "null");
            items.iter_mut().for_each(tidy);
        }
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            // A choice that may be left out.
            if let Some(Value::Array(mut kinds)) = fields.remove("anyOf") {
                kinds.retain(|kind| kind["type"] != "null");
                match (kinds.pop(), kinds.is_empty()) {
                    (Some(Value::Object(only)), true) => fields.extend(only),
                    (last, _) => {
                        kinds.extend(last);
                        fields.insert("anyOf".into(), Value::Array(kinds));
                    }
                }
            }
            fields.values_mut().for_each(tidy);
            if let Some(Value::Array(kinds)) = fields.get("type")
                && let [only] = kinds.as_slice()
            {
                let only = only.clone();
                fields.insert("type".into(), only);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_describes_keys_with_short_defaults_and_no_null() {
        let text = schema();
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["properties"]["loss"]["default"]["triplet"]["margin"], json!(0.05));
        assert_eq!(schema["$defs"]["DataConfig"]["properties"]["parallel"]["type"], json!("string"));
        assert_eq!(schema["$defs"]["DataConfig"]["additionalProperties"], json!(false));
        assert!(!text.contains("null"), "TOML has no null");
        let estimators = schema["$defs"]["Estimator"]["oneOf"].as_array().unwrap();
        assert!(estimators.iter().all(|e| e["description"].is_string()));
    }
}
