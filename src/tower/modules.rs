//! What sentence-transformers keeps beside a transformer: `modules.json` and a folder for each module.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::{Keys, check_sizes, json};
use super::{Architecture, Pooled, TowerConfig};
use crate::{Error, Result};

/// The file that names the modules.
pub(super) const MODULES: &str = "modules.json";

/// A linear layer behind the pooling.
pub(super) struct DenseModule {
    /// Of its `config.json` and tensors.
    pub folder: PathBuf,
    outputs: usize,
    bias: bool,
    tanh: bool,
}

/// The modules behind the transformer.
pub(super) struct Modules {
    pooled: Pooled,
    /// `max_seq_length`, where it is said.
    most_tokens: Option<usize>,
    pub dense: Option<DenseModule>,
}

const READ: &str = "a transformer, then pooling, then at most one dense layer, then normalisation are read";

impl Modules {
    /// Those of a tower's folder. CLIP's own configuration says all of it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of(folder: &Path, architecture: Architecture) -> Result<Option<Modules>> {
        if architecture == Architecture::Clip { Ok(None) } else { Self::read(folder) }
    }

    /// Those of a folder; nothing, where it has no [`MODULES`].
    ///
    /// # Errors
    /// Data: files that cannot be read, and modules, poolings or layers of other kinds, by name.
    fn read(folder: &Path) -> Result<Option<Modules>> {
        let path = folder.join(MODULES);
        if !path.exists() {
            return Ok(None);
        }
        let json = json(&path, "modules.json, config.json, model.safetensors, tokenizer.json")?;
        let wrong = |what: String| Err(Error::data(what).at(&path).hint(READ));
        let Some(list) = json.as_array() else { return wrong("is no list of modules".into()) };
        let mut modules = Modules { pooled: Pooled::First, most_tokens: None, dense: None };
        let mut before = "";
        for module in list {
            let text = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            // Their paths differ between versions of the library.
            let (kind, part) = (text("type").rsplit('.').next().unwrap_or_default(), text("path"));
            if Path::new(part).components().count() > 1 || part.starts_with(['.', '/']) {
                return wrong(format!("has a module in `{part}`, which is no folder beside it"));
            }
            let folder = folder.join(part);
            match (before, kind) {
                ("", "Transformer") => modules.most_tokens = transformer(&path, &folder, part)?,
                ("Transformer", "Pooling") => modules.pooled = pooling(&folder)?,
                ("Pooling", "Dense") => modules.dense = Some(DenseModule::read(folder)?),
                ("Pooling" | "Dense", "Normalize") => {}
                ("", _) => return wrong(format!("begins with the module `{kind}`")),
                _ => return wrong(format!("has the module `{kind}` behind `{before}`")),
            }
            before = kind;
        }
        match before {
            "" | "Transformer" => wrong("has no pooling".into()),
            _ => Ok(Some(modules)),
        }
    }

    /// Sets what the modules say of a tower, whose `config.json` says nothing of it.
    pub fn apply(&self, config: &mut TowerConfig) {
        config.pooled = self.pooled;
        config.most_tokens = self.most_tokens.filter(|most| *most < config.context);
        let dense = self.dense.as_ref();
        config.projection = dense.map(|dense| dense.outputs);
        config.projection_bias = dense.is_some_and(|dense| dense.bias);
        config.projection_tanh = dense.is_some_and(|dense| dense.tanh);
    }
}

/// The transformer's own settings in this library; how many tokens it cuts sentences to, where that is said: older versions write it here, newer ones as
/// the tokenizer's own.
fn transformer(path: &Path, folder: &Path, part: &str) -> Result<Option<usize>> {
    if !part.is_empty() {
        let hint = "load it with sentence-transformers and `save` it again";
        return Err(Error::data(format!("keeps its transformer in `{part}`")).at(path).hint(hint));
    }
    for (name, key) in
        [("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")]
    {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let json = json(&path, name)?;
        let keys = Keys { json: &json, path: &path };
        if key == "max_seq_length" && keys.truth("do_lower_case")? {
            let hint = "give it a tokenizer that makes texts lower-case itself";
            return Err(Error::data("`do_lower_case` is true; expected false").at(&path).hint(hint));
        }
        // Tokenizers without a limit have one of 10³⁰.
        match json.get(key).and_then(Value::as_f64) {
            Some(most) if most < 3.0 => {
                return Err(keys.wrong(key, &json[key], "3 or more: a word between start and end"));
            }
            Some(most) => return Ok(Some(most as usize)),
            None => {}
        }
    }
    Ok(None)
}

/// The modes of a pooling as older and newer versions name them.
const MODES: [(&str, &str); 6] = [
    ("cls", "pooling_mode_cls_token"),
    ("max", "pooling_mode_max_tokens"),
    ("mean", "pooling_mode_mean_tokens"),
    ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
    ("weightedmean", "pooling_mode_weightedmean_tokens"),
    ("lasttoken", "pooling_mode_lasttoken"),
];

/// The names of [`Pooled`] in sentence-transformers.
pub(super) const POOLED: [(&str, Pooled); 3] =
    [("cls", Pooled::First), ("mean", Pooled::Mean), ("lasttoken", Pooled::Last)];

/// `config.json` of a pooling, which `name` of [`POOLED`] does, in the form that all versions read.
pub(super) fn pooling_json(name: &str, width: usize) -> Value {
    let mut json = serde_json::json!({ "word_embedding_dimension": width, "include_prompt": true });
    MODES.iter().for_each(|(mode, key)| json[key] = (*mode == name).into());
    json
}

/// The pooling of a module's folder.
fn pooling(folder: &Path) -> Result<Pooled> {
    let path = folder.join("config.json");
    let json = json(&path, "modules.json, 1_Pooling/config.json")?;
    let names: Vec<String> = match json.get("pooling_mode") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().unwrap_or_default().to_string()).collect()
        }
        _ => {
            let keys = Keys { json: &json, path: &path };
            let mut on = Vec::new();
            for (name, key) in MODES {
                if keys.truth(key)? {
                    on.push(name.to_string());
                }
            }
            // As the library has it where no mode is set.
            if on.is_empty() { vec!["mean".into()] } else { on }
        }
    };
    let known = |name: &String| POOLED.iter().find(|(known, _)| known == name);
    match &names[..] {
        [name] if known(name).is_some() => Ok(known(name).expect("it is known").1),
        _ => {
            let what = format!("has the pooling `{}`", names.join("`, `"));
            Err(Error::data(what).at(&path).hint("one of `cls`, `mean` and `lasttoken` is read"))
        }
    }
}

/// The activations that a dense layer can have, by their names in PyTorch, and whether they are tanh.
pub(super) const ACTIVATIONS: [(&str, bool); 2] =
    [("torch.nn.modules.linear.Identity", false), ("torch.nn.modules.activation.Tanh", true)];

impl DenseModule {
    fn read(folder: PathBuf) -> Result<DenseModule> {
        let path = folder.join("config.json");
        let json = json(&path, "modules.json, 2_Dense/config.json, 2_Dense/model.safetensors")?;
        let keys = Keys { json: &json, path: &path };
        let expected = |key: &str, value: &str, or: &str| match json.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(own)) if own == value => Ok(()),
            Some(own) => Err(keys.wrong(key, own, or)),
        };
        expected("module_input_name", "sentence_embedding", "\"sentence_embedding\"")?;
        expected("module_output_name", "sentence_embedding", "\"sentence_embedding\"")?;
        if keys.truth("use_residual")? {
            return Err(keys.wrong("use_residual", &true.into(), "false"));
        }
        let tanh = match json.get("activation_function") {
            None => true,
            Some(own) => {
                let known = ACTIVATIONS.iter().find(|(name, _)| own.as_str() == Some(name));
                let [(identity, _), (tanh, _)] = ACTIVATIONS;
                let or = format!("\"{identity}\" or \"{tanh}\"");
                known.ok_or_else(|| keys.wrong("activation_function", own, &or))?.1
            }
        };
        let bias = json.get("bias").is_none_or(Value::is_null) || keys.truth("bias")?;
        let outputs = keys.number("out_features", 0)?;
        check_sizes(&[("out_features", outputs)], 1 << 24, (1, 1), &path)?;
        Ok(DenseModule { outputs, bias, tanh, folder })
    }
}
