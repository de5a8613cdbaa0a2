//! From a tower to a folder that sentence-transformers reads, with transformers alone as well.

use std::fs;
use std::path::Path;

use dfdx::prelude::HasShape;
use serde_json::{Value, json};

use super::modules::{ACTIVATIONS, MODULES, pooling_json};
use super::write::Tensors;
use super::{Architecture, Pooled, Tower, TowerConfig};
use crate::building::{build, recover, remove};
use crate::ops::linear::LinearWeights;
use crate::words::HuggingFace;
use crate::write::write_whole;
use crate::{Error, Result};

/// What makes token ids for a tower, as files of the folder that it is written to.
pub struct TokenizerFiles {
    /// `tokenizer.json`
    json: Vec<u8>,
    /// `tokenizer_config.json`, where there is one.
    config: Option<Vec<u8>>,
}

impl TokenizerFiles {
    /// Those of a checkpoint's folder.
    ///
    /// # Errors
    /// Data, where there is no tokenizer, or a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let json = HuggingFace::read(&folder.join("tokenizer.json"))?;
        let path = folder.join("tokenizer_config.json");
        let config = path.exists().then(|| fs::read(&path).map_err(|e| Error::reading(&path, e)));
        Ok(TokenizerFiles { json, config: config.transpose()? })
    }

    /// Those of a tokenizer that was learnt here.
    ///
    /// # Errors
    /// Run, where `tokenizers` refuses.
    pub fn of(tokenizer: &HuggingFace) -> Result<Self> {
        Ok(TokenizerFiles { json: tokenizer.to_json()?.into_bytes(), config: None })
    }

    /// Without a `tokenizer_config.json` transformers takes the tokenizer for one of the kind that the architecture had at first. This one
    /// says that it is what its file says.
    fn plain_config(&self, folder: &Path, config: &TowerConfig) -> Result<Value> {
        let path = folder.join("tokenizer.json");
        let tokenizer = HuggingFace::open(&path)?;
        let [before, behind] = tokenizer.around();
        let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
        let (start, end) = (token(before.first().copied()), token(behind.last().copied()));
        let pad = ["[PAD]", "<pad>"].into_iter().find(|pad| tokenizer.id(pad).is_some());
        Ok(json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.tokens(),
            "bos_token": start, "cls_token": start,
            "eos_token": end, "sep_token": end,
            "unk_token": token(tokenizer.unknown()),
            "pad_token": pad.map(String::from).or(end),
        }))
    }
}

/// A module's folder and class.
struct Module {
    path: &'static str,
    class: &'static str,
}

/// The folders that modules can have.
const FOLDERS: [&str; 6] = ["1_Pooling", "2_Dense", "3_Dense", "2_Normalize", "3_Normalize", "4_Normalize"];

impl Tower {
    /// Writes a folder that `SentenceTransformer(folder)` reads, and `AutoModel.from_pretrained(folder)` without the pooling: the tower,
    /// its tokenizer, its pooling, its own projection, a further linear layer `dense` (outputs, [`Self::outputs`]), and vectors at
    /// unit length. [`Tower::open`] reads it back, unless there are two layers.
    ///
    /// The folder is there whole or not at all; of one that an earlier call wrote, all is replaced. Only one process may do so at a time.
    ///
    /// # Errors
    /// Run, for a CLIP, whose text tower sentence-transformers does not read alone, or where the folder cannot be written; data, for a
    /// folder that holds something else, or a tokenizer that cannot be read.
    ///
    /// # Panics
    /// With a layer of another width than the tower's vectors, or CLIP's pooling.
    pub fn write_sentence_transformer(
        &self,
        folder: &Path,
        tokenizer: &TokenizerFiles,
        dense: Option<&LinearWeights>,
    ) -> Result<()> {
        if self.config.architecture == Architecture::Clip {
            return Err(Error::run("sentence-transformers reads no text tower of a CLIP alone").at(folder));
        }
        let new = !folder.exists();
        fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        recover(folder, MODULES)?;
        let mut entries = fs::read_dir(folder).map_err(|e| Error::reading(folder, e))?;
        if entries.next().is_some() && !folder.join(MODULES).exists() {
            return Err(Error::data("holds other files").at(folder).hint("give a new or an empty folder"));
        }
        let written = build(folder, MODULES, |parts| {
            self.write_parts(parts, tokenizer, dense)?;
            let mut old = FOLDERS.iter().map(|part| folder.join(part));
            old.try_for_each(|part| remove(&part).map_err(|e| Error::writing(&part, e)))
        });
        if written.is_err() && new {
            // The first error is the one to tell.
            let _ = fs::remove_dir(folder);
        }
        written
    }

    fn write_parts(
        &self,
        folder: &Path,
        tokenizer: &TokenizerFiles,
        dense: Option<&LinearWeights>,
    ) -> Result<()> {
        let fits = dense.is_none_or(|layer| layer.weight.shape().1 == self.outputs());
        assert!(fits, "a layer of the tower's vectors");
        // What transformers does not know stands in the modules.
        let config = TowerConfig { pooled: Pooled::First, projection: None, ..self.config.clone() };
        let write = |name: &str, bytes: &[u8]| write_whole(&folder.join(name), bytes);
        write("config.json", &text(&config.plain_json(0)))?;
        write("model.safetensors", &self.tensors().serialised())?;
        write("tokenizer.json", &tokenizer.json)?;
        match &tokenizer.config {
            Some(config) => write("tokenizer_config.json", config)?,
            None => write("tokenizer_config.json", &text(&tokenizer.plain_config(folder, &config)?))?,
        }
        let pooling = pooling_json(self.config.pooled.name(), config.width);
        let mut modules = vec![Module { path: "", class: "Transformer" }];
        modules.push(write_module(folder, "1_Pooling", "Pooling", &pooling, None)?);
        let own = self
            .projection
            .as_ref()
            .map(|own| (&own.weights, self.config.projection_bias, self.config.projection_tanh));
        for (layer, bias, tanh) in own.into_iter().chain(dense.map(|layer| (layer, true, false))) {
            let path = ["2_Dense", "3_Dense"][modules.len() - 2];
            let (outputs, inputs) = *layer.weight.shape();
            let mut tensors = Tensors::default();
            match bias {
                true => tensors.layers(&["linear".into()], layer),
                false => tensors.weight("linear", layer),
            }
            let activation = ACTIVATIONS.iter().find(|(_, own)| *own == tanh).expect("either").0;
            let json = json!({
                "in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": activation,
            });
            modules.push(write_module(folder, path, "Dense", &json, Some(&tensors))?);
        }
        let path = ["2_Normalize", "3_Normalize", "4_Normalize"][modules.len() - 2];
        modules.push(write_module(folder, path, "Normalize", &json!({}), None)?);
        let list = modules.iter().enumerate().map(|(n, Module { path, class })| {
            let class = format!("sentence_transformers.models.{class}");
            json!({ "idx": n, "name": n.to_string(), "path": path, "type": class })
        });
        write(
            "config_sentence_transformers.json",
            &text(&json!({ "prompts": {}, "default_prompt_name": null, "similarity_fn_name": "cosine" })),
        )?;
        let sizes = json!({ "max_seq_length": config.tokens(), "do_lower_case": false });
        write("sentence_bert_config.json", &text(&sizes))?;
        write(MODULES, &text(&list.collect()))
    }
}

fn text(json: &Value) -> Vec<u8> {
    (serde_json::to_string_pretty(json).expect("plain data") + "\n").into_bytes()
}

/// Writes the folder of a module.
fn write_module(
    folder: &Path,
    path: &'static str,
    class: &'static str,
    json: &Value,
    tensors: Option<&Tensors>,
) -> Result<Module> {
    let own = folder.join(path);
    fs::create_dir(&own).map_err(|e| Error::writing(&own, e))?;
    write_whole(&own.join("config.json"), &text(json))?;
    if let Some(tensors) = tensors {
        write_whole(&own.join("model.safetensors"), &tensors.serialised())?;
    }
    Ok(Module { path, class })
}
