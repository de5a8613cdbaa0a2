//! `config.json` of a checkpoint: which transformer it holds, and its sizes.

use std::path::Path;

use serde_json::Value;

use crate::ops::transformer::Activation;
use crate::{Error, Result};

/// Which architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The text tower of CLIP (Radford et al. 2021): norms before the layers, a token sees those before it.
    Clip,
    /// BERT (Devlin et al. 2019): norms behind the layers, every token sees every other.
    Bert,
}

/// Whose state stands for the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooled {
    /// The first token: BERT's `[CLS]`.
    First,
    /// The first token with this id: CLIP's end of text.
    Token(u32),
    /// The first token with the highest id: CLIP's end of text where the configuration has a wrong id for it.
    HighestId,
}

/// The sizes of a text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerConfig {
    /// Whose blocks it has.
    pub architecture: Architecture,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Most tokens of a sentence, those for start and end included.
    pub context: usize,
    /// Width of the token vectors and of what goes from block to block.
    pub width: usize,
    /// Width between the two layers of a feed-forward part.
    pub hidden: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of the attention; they divide the width.
    pub heads: usize,
    /// Between the two layers of a feed-forward part.
    pub activation: Activation,
    /// Added to variances.
    pub epsilon: f32,
    /// Whose state stands for the sentence.
    pub pooled: Pooled,
    /// Width of the joint space, if the checkpoint is to have a projection to it.
    pub projection: Option<usize>,
    /// Whether texts are brought into lower case by the rules of their language, as those were that the vocabulary was learnt from.
    /// Other programs' tokenizers know no languages.
    pub case_of_language: bool,
}

/// The key of [`TowerConfig::case_of_language`]; without it there is no such rule.
pub(super) const CASE_OF_LANGUAGE: &str = "tinyglot_case_of_language";

const ARCHITECTURES: &str =
    "text towers are read of CLIP (`clip`, `clip_text_model`) and BERT (`bert`) checkpoints";

impl TowerConfig {
    /// # Errors
    /// Data, for a file that is no such configuration, another architecture, or sizes that make no transformer.
    pub fn read(path: &Path) -> Result<Self> {
        let json = json(path, "config.json, model.safetensors, tokenizer.json")?;
        let config = match json.get("model_type").and_then(Value::as_str) {
            Some("clip") => clip(
                &Keys { json: json.get("text_config").unwrap_or(&Value::Null), path },
                json.get("projection_dim"),
            ),
            Some("clip_text_model") => clip(&Keys { json: &json, path }, None),
            Some("bert") => bert(&Keys { json: &json, path }),
            Some(other) => {
                Err(Error::data(format!("has the architecture `{other}`")).at(path).hint(ARCHITECTURES))
            }
            None => Err(Error::data("names no `model_type`").at(path).hint(ARCHITECTURES)),
        }?;
        config.check(path)?;
        Ok(config)
    }

    /// Numbers of a tower of these sizes, with a bias behind the projection.
    pub fn numbers(&self) -> u128 {
        let [vocabulary, context, width, hidden, layers] =
            [self.vocabulary, self.context, self.width, self.hidden, self.layers].map(|n| n as u128);
        let linear = |inputs: u128, outputs: u128| outputs * (inputs + 1);
        let attention = linear(width, 3 * width) + linear(width, width);
        let block = attention + linear(width, hidden) + linear(hidden, width) + 4 * width;
        let projection = self.projection.map_or(0, |joint| linear(width, joint as u128));
        (vocabulary + context) * width + layers * block + 2 * width + projection
    }

    fn check(&self, path: &Path) -> Result<()> {
        let wrong = |what: String| Err(damaged(what, path));
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("max_position_embeddings", self.context),
            ("hidden_size", self.width),
            ("intermediate_size", self.hidden),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("projection_dim", self.projection.unwrap_or(1)),
        ];
        check_sizes(&sizes, 1 << 24, (self.width, self.heads), path)?;
        if self.context < 3 {
            return wrong(format!("a context of {} has no place for a word", self.context));
        }
        match self.pooled {
            Pooled::Token(id) if id as usize >= self.vocabulary => {
                wrong(format!("`eos_token_id` is {id}, and `vocab_size` {}", self.vocabulary))
            }
            _ => Ok(()),
        }
    }
}

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
        let value = self.json.get("hidden_act").cloned().unwrap_or_else(|| default.into());
        match value.as_str() {
            Some("quick_gelu") => Ok(Activation::QuickGelu),
            Some("gelu") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            _ => Err(self.wrong("hidden_act", &value, "\"quick_gelu\", \"gelu\", \"gelu_new\" or \"relu\"")),
        }
    }

    pub(super) fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        Error::data(format!("`{key}` is {value}; expected {expected}")).at(self.path)
    }
}

fn clip(keys: &Keys, joint: Option<&Value>) -> Result<TowerConfig> {
    let joint = match joint {
        Some(value) => value
            .as_u64()
            .map(|n| n as usize)
            .ok_or_else(|| keys.wrong("projection_dim", value, "a whole number"))?,
        None => keys.number("projection_dim", 512)?,
    };
    // Configurations before 2023 say 2, whatever the tokenizer.
    let pooled = match keys.number("eos_token_id", 49407)? {
        2 => Pooled::HighestId,
        id => Pooled::Token(id as u32),
    };
    Ok(TowerConfig {
        architecture: Architecture::Clip,
        vocabulary: keys.number("vocab_size", 49408)?,
        context: keys.number("max_position_embeddings", 77)?,
        width: keys.number("hidden_size", 512)?,
        hidden: keys.number("intermediate_size", 2048)?,
        layers: keys.number("num_hidden_layers", 12)?,
        heads: keys.number("num_attention_heads", 8)?,
        activation: keys.activation("quick_gelu")?,
        epsilon: keys.float("layer_norm_eps", 1e-5)?,
        pooled,
        projection: Some(joint),
        case_of_language: keys.truth(CASE_OF_LANGUAGE)?,
    })
}

fn bert(keys: &Keys) -> Result<TowerConfig> {
    if let Some(kind) = keys.json.get("position_embedding_type").filter(|k| k.as_str() != Some("absolute")) {
        return Err(keys.wrong("position_embedding_type", kind, "\"absolute\""));
    }
    Ok(TowerConfig {
        architecture: Architecture::Bert,
        vocabulary: keys.number("vocab_size", 30522)?,
        context: keys.number("max_position_embeddings", 512)?,
        width: keys.number("hidden_size", 768)?,
        hidden: keys.number("intermediate_size", 3072)?,
        layers: keys.number("num_hidden_layers", 12)?,
        heads: keys.number("num_attention_heads", 12)?,
        activation: keys.activation("gelu")?,
        epsilon: keys.float("layer_norm_eps", 1e-12)?,
        pooled: Pooled::First,
        projection: None,
        case_of_language: keys.truth(CASE_OF_LANGUAGE)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TowerConfig> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).expect("written");
        TowerConfig::read(&path)
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_said_is_clip_vit_b_32_or_bert_base() {
        let clip =
            read(r#"{"model_type": "clip", "projection_dim": 512, "text_config": {"eos_token_id": 2}}"#)
                .unwrap();
        assert_eq!(
            (clip.vocabulary, clip.context, clip.width, clip.layers, clip.heads),
            (49408, 77, 512, 12, 8)
        );
        assert_eq!(
            (clip.pooled, clip.projection, clip.activation),
            (Pooled::HighestId, Some(512), Activation::QuickGelu)
        );
        let bert = read(r#"{"model_type": "bert", "vocab_size": 119547}"#).unwrap();
        assert_eq!((bert.vocabulary, bert.width, bert.heads, bert.epsilon), (119_547, 768, 12, 1e-12));
        assert_eq!((bert.pooled, bert.projection), (Pooled::First, None));
    }

    #[test]
    fn the_joint_width_of_the_whole_model_counts() {
        let text = r#"{"model_type": "clip", "projection_dim": 768, "text_config":
            {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "projection_dim": 512,
             "hidden_act": "gelu", "eos_token_id": 49407}}"#;
        let config = read(text).unwrap();
        assert_eq!((config.projection, config.pooled), (Some(768), Pooled::Token(49407)));
        assert_eq!(config.activation, Activation::Gelu);
    }

    #[test]
    fn other_architectures_and_sizes_that_make_none_are_refused() {
        let other = refusal(r#"{"model_type": "siglip"}"#);
        assert!(
            other.contains("config.json`: has the architecture `siglip`\nhint: text towers are read of CLIP"),
            "{other}"
        );
        assert!(refusal("{}").contains("names no `model_type`"));
        assert!(refusal("{").contains("config.json`:1: is no configuration"));
        let of = |key: &str| refusal(&format!("{{\"model_type\": \"bert\", {key}}}"));
        assert!(of("\"hidden_act\": \"silu\"").contains("`hidden_act` is \"silu\"; expected \"quick_gelu\""));
        assert!(of("\"num_attention_heads\": 7").contains("a width of 768 does not divide into 7 heads"));
        assert!(
            of("\"hidden_size\": \"wide\"").contains("`hidden_size` is \"wide\"; expected a whole number")
        );
        assert!(of("\"num_hidden_layers\": 0").contains("`num_hidden_layers` is 0"));
        assert!(of("\"max_position_embeddings\": 2").contains("no place for a word"));
        assert!(of("\"position_embedding_type\": \"relative_key\"").contains("expected \"absolute\""));
        let eos = refusal(r#"{"model_type": "clip_text_model", "vocab_size": 100}"#);
        assert!(eos.contains("`eos_token_id` is 49407, and `vocab_size` 100"), "{eos}");
        let missing = TowerConfig::read(Path::new("/nowhere/config.json")).unwrap_err();
        assert_eq!(missing.exit_status(), 4);
    }
}
