//! The keys of JSON files in a checkpoint.

use std::path::Path;

use serde_json::Value;

use crate::ops::transformer::Activation;
use crate::{Error, Result};

/// Of a checkpoint's configuration that says what no tower has.
pub(super) fn damaged(what: String, path: &Path) -> Error {
    Error::data(what).at(path).hint("the configuration is damaged: copy it again")
}

/// Refuses keys with sizes that no tower has, and a width that its heads do not divide.
pub(super) fn check_sizes(
    sizes: &[(&str, usize)],
    most: usize,
    (width, heads): (usize, usize),
    path: &Path,
) -> Result<()> {
    if let Some((key, value)) = sizes.iter().find(|(_, n)| *n == 0 || *n > most) {
        return Err(damaged(format!("`{key}` is {value}"), path));
    }
    match width.is_multiple_of(heads) {
        true => Ok(()),
        false => Err(damaged(format!("a width of {width} does not divide into {heads} heads"), path)),
    }
}

/// The file, in a folder that is to hold such files.
pub(super) fn json(path: &Path, files: &str) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::reading(path, e).hint(format!("give the folder of a checkpoint: {files}")))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::data("is no configuration of a checkpoint").at(path).line(e.line()).because(e))
}

/// The keys of a part of the file, which has the defaults of transformers where it is silent.
pub(super) struct Keys<'a> {
    pub(super) json: &'a Value,
    pub(super) path: &'a Path,
}

impl Keys<'_> {
    pub(super) fn number(&self, key: &str, default: usize) -> Result<usize> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => {
                value.as_u64().map(|n| n as usize).ok_or_else(|| self.wrong(key, value, "a whole number"))
            }
        }
    }

    pub(super) fn float(&self, key: &str, default: f64) -> Result<f32> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(default as f32),
            Some(value) => value.as_f64().map(|x| x as f32).ok_or_else(|| self.wrong(key, value, "a number")),
        }
    }

    pub(super) fn truth(&self, key: &str) -> Result<bool> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false")),
        }
    }

    pub(super) fn activation(&self, default: &str) -> Result<Activation> {
        self.activation_at("hidden_act", default)
    }

    pub(super) fn activation_at(&self, key: &str, default: &str) -> Result<Activation> {
        let value = self.json.get(key).cloned().unwrap_or_else(|| default.into());
        match value.as_str() {
            Some("quick_gelu") => Ok(Activation::QuickGelu),
            Some("gelu") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            Some("tanh") => Ok(Activation::Tanh),
            _ => {
                let known = "\"quick_gelu\", \"gelu\", \"gelu_new\", \"relu\" or \"tanh\"";
                Err(self.wrong(key, &value, known))
            }
        }
    }

    pub(super) fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        Error::data(format!("`{key}` is {value}; expected {expected}")).at(self.path)
    }
}
