//! `config.json` of a checkpoint: which transformer it holds, and its sizes.

use std::path::Path;

use serde_json::Value;

use super::keys::{Keys, check_sizes, damaged, json};
use super::modules::{Modules, POOLED};
use crate::ops::transformer::Activation;
use crate::{Error, Result};

/// Which architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The text tower of CLIP (Radford et al. 2021): norms before the layers, a token sees those before it.
    Clip,
    /// BERT (Devlin et al. 2019): norms behind the layers, every token sees every other.
    Bert,
    /// RoBERTa (Liu et al. 2019): BERT whose positions begin behind that of padding.
    Roberta,
    /// XLM-R (Conneau et al. 2020), which is RoBERTa of many languages.
    XlmRoberta,
    /// CamemBERT (Martin et al. 2020), which is RoBERTa of French.
    Camembert,
    /// DistilBERT (Sanh et al. 2019): BERT without types of sentences.
    DistilBert,
}

impl Architecture {
    /// All, by their `model_type`; a whole CLIP is `clip`.
    const TYPES: [(&str, Architecture); 6] = [
        ("clip_text_model", Architecture::Clip),
        ("bert", Architecture::Bert),
        ("roberta", Architecture::Roberta),
        ("xlm-roberta", Architecture::XlmRoberta),
        ("camembert", Architecture::Camembert),
        ("distilbert", Architecture::DistilBert),
    ];

    /// The `model_type` of transformers.
    pub fn model_type(self) -> &'static str {
        Self::TYPES.iter().find(|(_, own)| *own == self).expect("all have one").0
    }

    /// Whether a token sees those before it alone.
    pub fn causal(self) -> bool {
        self == Architecture::Clip
    }

    /// Whether norms stand before the layers of a block; else they stand behind the sums.
    pub fn norm_first(self) -> bool {
        self == Architecture::Clip
    }

    /// Whether positions begin at `pad_token_id` + 1.
    fn skips_positions(self) -> bool {
        matches!(self, Architecture::Roberta | Architecture::XlmRoberta | Architecture::Camembert)
    }
}

/// What stands for the sentence: a token's state, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooled {
    /// The first token: BERT's `[CLS]`.
    First,
    /// The mean of all tokens, those of start and end included.
    Mean,
    /// The last token.
    Last,
    /// The first token with this id: CLIP's end of text.
    Token(u32),
    /// The first token with the highest id: CLIP's end of text where the configuration has a wrong id for it.
    HighestId,
}

impl Pooled {
    /// The same, of sentences that another tokenizer made ids of: CLIP's end of text is their last token.
    pub fn by_place(self) -> Pooled {
        match self {
            Pooled::Token(_) | Pooled::HighestId => Pooled::Last,
            other => other,
        }
    }
}

/// The sizes of a text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerConfig {
    /// Whose blocks it has.
    pub architecture: Architecture,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Most tokens of a sentence that there are places for, those for start and end included.
    pub context: usize,
    /// How many of them sentences are cut to, where that is fewer: `max_seq_length` of sentence-transformers.
    pub most_tokens: Option<usize>,
    /// The row of a sentence's first token in the table of positions: 0, and behind that of padding in a RoBERTa.
    pub first_position: usize,
    /// Types of sentences that have an embedding; all sentences are of the first.
    pub types: usize,
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
    /// What stands for the sentence.
    pub pooled: Pooled,
    /// Width of the joint space, if the checkpoint is to have a projection to it.
    pub projection: Option<usize>,
    /// Whether the projection has a bias; CLIP's has none.
    pub projection_bias: bool,
    /// Whether tanh follows the projection, as in LaBSE (Feng et al. 2022).
    pub projection_tanh: bool,
    /// Whether texts are brought into lower case by the rules of their language, as those were that the vocabulary was learnt from.
    /// Other programs' tokenizers know no languages.
    pub case_of_language: bool,
}

/// The key of [`TowerConfig::case_of_language`]; without it there is no such rule.
pub(super) const CASE_OF_LANGUAGE: &str = "tinyglot_case_of_language";
/// That of [`TowerConfig::most_tokens`].
pub(super) const MOST_TOKENS: &str = "tinyglot_max_tokens";
/// Those of what transformers does not know: the pooling, by its name in sentence-transformers, and the projection behind it.
pub(super) const POOLING: &str = "tinyglot_pooling";
pub(super) const PROJECTION_KEYS: [&str; 3] =
    ["tinyglot_projection_dim", "tinyglot_projection_bias", "tinyglot_projection_tanh"];

const ARCHITECTURES: &str = "text towers are read of CLIP (`clip`, `clip_text_model`), BERT (`bert`), RoBERTa (`roberta`, \
     `xlm-roberta`, `camembert`) and DistilBERT (`distilbert`) checkpoints";

/// The keys of sizes, and that of the activation.
pub(super) struct SizeKeys {
    pub width: &'static str,
    pub hidden: &'static str,
    pub layers: &'static str,
    pub heads: &'static str,
    pub activation: &'static str,
}

impl SizeKeys {
    pub(super) fn of(architecture: Architecture) -> SizeKeys {
        match architecture {
            Architecture::DistilBert => SizeKeys {
                width: "dim",
                hidden: "hidden_dim",
                layers: "n_layers",
                heads: "n_heads",
                activation: "activation",
            },
            _ => SizeKeys {
                width: "hidden_size",
                hidden: "intermediate_size",
                layers: "num_hidden_layers",
                heads: "num_attention_heads",
                activation: "hidden_act",
            },
        }
    }
}

impl TowerConfig {
    /// The text tower of CLIP ViT-B/32.
    pub fn clip() -> Self {
        TowerConfig {
            architecture: Architecture::Clip,
            vocabulary: 49_408,
            context: 77,
            most_tokens: None,
            first_position: 0,
            types: 0,
            width: 512,
            hidden: 2048,
            layers: 12,
            heads: 8,
            activation: Activation::QuickGelu,
            epsilon: 1e-5,
            pooled: Pooled::HighestId,
            projection: Some(512),
            projection_bias: false,
            projection_tanh: false,
            case_of_language: false,
        }
    }

    /// BERT-base.
    pub fn bert() -> Self {
        TowerConfig {
            architecture: Architecture::Bert,
            vocabulary: 30_522,
            context: 512,
            types: 2,
            width: 768,
            hidden: 3072,
            heads: 12,
            activation: Activation::Gelu,
            epsilon: 1e-12,
            pooled: Pooled::First,
            projection: None,
            ..Self::clip()
        }
    }

    /// Reads a `config.json`, and what sentence-transformers keeps beside it of a tower that is not CLIP's: `modules.json`, and the
    /// pooling and dense layer that it names.
    ///
    /// # Errors
    /// Data, for a file that is no such configuration, another architecture, or sizes that make no transformer; for modules that are not
    /// read.
    pub fn read(path: &Path) -> Result<Self> {
        let json = json(path, "config.json, model.safetensors, tokenizer.json")?;
        let keys = Keys { json: &json, path };
        let mut config = match json.get("model_type").and_then(Value::as_str) {
            Some("clip") => clip(
                &Keys { json: json.get("text_config").unwrap_or(&Value::Null), path },
                json.get("projection_dim"),
            ),
            Some("clip_text_model") => clip(&keys, None),
            Some(kind) => match Architecture::TYPES.iter().find(|(known, _)| *known == kind) {
                Some(&(_, architecture)) => encoder(&keys, architecture),
                None => {
                    Err(Error::data(format!("has the architecture `{kind}`")).at(path).hint(ARCHITECTURES))
                }
            },
            None => Err(Error::data("names no `model_type`").at(path).hint(ARCHITECTURES)),
        }?;
        let folder = path.parent().unwrap_or(Path::new(""));
        match Modules::of(folder, config.architecture)? {
            Some(modules) => modules.apply(&mut config),
            None => own_keys(&keys, &mut config)?,
        }
        config.check(path)?;
        Ok(config)
    }

    /// The `config.json` of a folder as one file that says all: with what sentence-transformers keeps beside it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn whole_file(folder: &Path) -> Result<Vec<u8>> {
        let path = folder.join("config.json");
        let bytes = std::fs::read(&path).map_err(|e| Error::reading(&path, e))?;
        let config = Self::read(&path)?;
        if Modules::of(folder, config.architecture)?.is_none() {
            return Ok(bytes);
        }
        let mut json = json(&path, "config.json")?;
        config.add_own_keys(&mut json);
        Ok((serde_json::to_string_pretty(&json).expect("plain data") + "\n").into_bytes())
    }

    /// Most tokens that sentences are cut to, those for start and end included.
    pub fn tokens(&self) -> usize {
        self.most_tokens.map_or(self.context, |most| most.min(self.context))
    }

    /// Rows of the table of positions.
    pub fn positions(&self) -> usize {
        self.context + self.first_position
    }

    /// Numbers of a tower of these sizes, with a bias behind the projection.
    pub fn numbers(&self) -> u128 {
        let [vocabulary, positions, types, width, hidden, layers] =
            [self.vocabulary, self.positions(), self.types, self.width, self.hidden, self.layers]
                .map(|n| n as u128);
        let linear = |inputs: u128, outputs: u128| outputs * (inputs + 1);
        let attention = linear(width, 3 * width) + linear(width, width);
        let block = attention + linear(width, hidden) + linear(hidden, width) + 4 * width;
        let projection = self.projection.map_or(0, |joint| linear(width, joint as u128));
        (vocabulary + positions + types) * width + layers * block + 2 * width + projection
    }

    fn check(&self, path: &Path) -> Result<()> {
        let wrong = |what: String| Err(damaged(what, path));
        let keys = SizeKeys::of(self.architecture);
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("max_position_embeddings", self.positions()),
            (keys.width, self.width),
            (keys.hidden, self.hidden),
            (keys.layers, self.layers),
            (keys.heads, self.heads),
            ("projection_dim", self.projection.unwrap_or(1)),
        ];
        check_sizes(&sizes, 1 << 24, (self.width, self.heads), path)?;
        let (context, first) = (self.context, self.first_position);
        if context < 3 {
            return wrong(match first {
                0 => format!("a context of {context} has no place for a word"),
                _ => format!(
                    "`max_position_embeddings` is {}, and its first {first} are of no token: a context of {context} has no place for \
                     a word",
                    self.positions()
                ),
            });
        }
        if let Some(most @ ..3) = self.most_tokens {
            return wrong(format!("sentences are cut to {most} tokens, which has no place for a word"));
        }
        match self.pooled {
            Pooled::Token(id) if id as usize >= self.vocabulary => {
                wrong(format!("`eos_token_id` is {id}, and `vocab_size` {}", self.vocabulary))
            }
            _ => Ok(()),
        }
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
    let default = TowerConfig::clip();
    Ok(TowerConfig {
        vocabulary: keys.number("vocab_size", default.vocabulary)?,
        context: keys.number("max_position_embeddings", default.context)?,
        width: keys.number("hidden_size", default.width)?,
        hidden: keys.number("intermediate_size", default.hidden)?,
        layers: keys.number("num_hidden_layers", default.layers)?,
        heads: keys.number("num_attention_heads", default.heads)?,
        activation: keys.activation("quick_gelu")?,
        epsilon: keys.float("layer_norm_eps", 1e-5)?,
        pooled,
        projection: Some(joint),
        case_of_language: keys.truth(CASE_OF_LANGUAGE)?,
        ..default
    })
}

/// BERT and what came of it.
fn encoder(keys: &Keys, architecture: Architecture) -> Result<TowerConfig> {
    if let Some(kind) = keys.json.get("position_embedding_type").filter(|k| k.as_str() != Some("absolute")) {
        return Err(keys.wrong("position_embedding_type", kind, "\"absolute\""));
    }
    if keys.truth("is_decoder")? {
        return Err(keys.wrong("is_decoder", &true.into(), "false"));
    }
    let (default, sizes) = (TowerConfig::bert(), SizeKeys::of(architecture));
    let distilled = architecture == Architecture::DistilBert;
    let first_position =
        if architecture.skips_positions() { keys.number("pad_token_id", 1)?.saturating_add(1) } else { 0 };
    let positions = keys.number("max_position_embeddings", default.context)?;
    let context = positions.checked_sub(first_position).ok_or_else(|| {
        let what =
            format!("`max_position_embeddings` is {positions}, and positions begin at {first_position}");
        damaged(what + " (`pad_token_id` + 1)", keys.path)
    })?;
    let types = if distilled { 0 } else { keys.number("type_vocab_size", default.types)? };
    if !distilled {
        check_sizes(&[("type_vocab_size", types)], 1 << 24, (1, 1), keys.path)?;
    }
    Ok(TowerConfig {
        architecture,
        vocabulary: keys.number("vocab_size", default.vocabulary)?,
        context,
        first_position,
        types,
        width: keys.number(sizes.width, default.width)?,
        hidden: keys.number(sizes.hidden, default.hidden)?,
        layers: keys.number(sizes.layers, if distilled { 6 } else { default.layers })?,
        heads: keys.number(sizes.heads, default.heads)?,
        activation: keys.activation_at(sizes.activation, "gelu")?,
        // DistilBERT's is no key of its configuration.
        epsilon: if distilled { 1e-12 } else { keys.float("layer_norm_eps", 1e-12)? },
        case_of_language: keys.truth(CASE_OF_LANGUAGE)?,
        ..default
    })
}

/// What transformers does not know of a tower.
fn own_keys(keys: &Keys, config: &mut TowerConfig) -> Result<()> {
    if let Some(value) = keys.json.get(POOLING) {
        let known = POOLED.iter().find(|(name, _)| value.as_str() == Some(name));
        let known = known.ok_or_else(|| keys.wrong(POOLING, value, "\"cls\", \"mean\" or \"lasttoken\""))?;
        config.pooled = known.1;
    }
    config.most_tokens = match keys.number(MOST_TOKENS, usize::MAX)? {
        most if most < config.context => Some(most),
        _ => None,
    };
    let [width, bias, tanh] = PROJECTION_KEYS;
    if config.architecture != Architecture::Clip && keys.json.get(width).is_some() {
        config.projection = Some(keys.number(width, 0)?);
        config.projection_bias = keys.truth(bias)?;
        config.projection_tanh = keys.truth(tanh)?;
    }
    Ok(())
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
