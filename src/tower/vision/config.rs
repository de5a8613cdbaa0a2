//! `config.json` of a picture tower: which vision transformer it is, and its sizes.

use std::path::Path;

use serde_json::Value;

use super::super::keys::{Keys, check_sizes, damaged, json};
use crate::ops::transformer::Activation;
use crate::{Error, Result};

/// Which vision transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// CLIP's (Radford et al. 2021): a class token, a norm before the first block, a projection into the joint space.
    Clip,
    /// SigLIP's (Zhai et al. 2023), and SigLIP 2's of a fixed size: no class token, a head that attends to all patches.
    Siglip,
    /// DINOv2 (Oquab et al. 2023): a class token, and what a layer adds is scaled by column.
    Dinov2,
    /// ViT (Dosovitskiy et al. 2021): a class token, and a layer with tanh behind it where the checkpoint has one.
    Vit,
}

/// The sizes of a picture tower.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// Whose layout it has.
    pub architecture: Architecture,
    /// Pixels of a picture's side.
    pub image: usize,
    /// Pixels of a patch's side.
    pub patch: usize,
    /// Numbers of a patch between blocks.
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
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Width of the joint space of CLIP, if the checkpoint is to have a projection to it.
    pub projection: Option<usize>,
}

const ARCHITECTURES: &str = "picture towers are read of CLIP (`clip`, `clip_vision_model`), SigLIP and SigLIP 2 of a fixed size (`siglip`, \
     `siglip_vision_model`), DINOv2 (`dinov2`) and ViT (`vit`) checkpoints";

/// The files that a folder is to hold.
const FILES: &str = "config.json, model.safetensors, preprocessor_config.json";

impl VisionConfig {
    /// # Errors
    /// Data, for a file that is no such configuration, another architecture, or sizes that make no transformer.
    pub fn read(path: &Path) -> Result<Self> {
        let json = json(path, FILES)?;
        let kind = json.get("model_type").and_then(Value::as_str);
        let within = json.get("vision_config").unwrap_or(&Value::Null);
        let config = match kind {
            Some("clip") => clip(&Keys { json: within, path }, &Keys { json: &json, path }),
            Some("clip_vision_model") => clip(&Keys { json: &json, path }, &Keys { json: &json, path }),
            Some("siglip") => siglip(&Keys { json: within, path }),
            Some("siglip_vision_model") => siglip(&Keys { json: &json, path }),
            Some("dinov2") => dinov2(&Keys { json: &json, path }),
            Some("vit") => vit(&Keys { json: &json, path }),
            Some(other) => {
                Err(Error::data(format!("has the architecture `{other}`")).at(path).hint(ARCHITECTURES))
            }
            None => Err(Error::data("names no `model_type`").at(path).hint(ARCHITECTURES)),
        }?;
        config.check(path)?;
        Ok(config)
    }

    /// Patches in a picture's side.
    pub fn grid(&self) -> usize {
        self.image / self.patch
    }

    fn check(&self, path: &Path) -> Result<()> {
        let sizes = [
            ("image_size", self.image),
            ("patch_size", self.patch),
            ("hidden_size", self.width),
            ("intermediate_size", self.hidden),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("projection_dim", self.projection.unwrap_or(1)),
        ];
        check_sizes(&sizes, 1 << 16, (self.width, self.heads), path)?;
        match self.grid() {
            0 => {
                let what = format!("a picture of {} pixels has no patch of {}", self.image, self.patch);
                Err(damaged(what, path))
            }
            _ => Ok(()),
        }
    }
}

/// What all architectures have: the keys of transformers, with the defaults of ViT-B.
fn common(
    keys: &Keys,
    architecture: Architecture,
    patch: usize,
    activation: &str,
    epsilon: f64,
) -> Result<VisionConfig> {
    for (key, expected) in [("num_channels", 3), ("num_register_tokens", 0)] {
        if keys.number(key, expected)? != expected {
            return Err(keys.wrong(key, &keys.json[key], &expected.to_string()));
        }
    }
    Ok(VisionConfig {
        architecture,
        image: keys.number("image_size", 224)?,
        patch: keys.number("patch_size", patch)?,
        width: keys.number("hidden_size", 768)?,
        hidden: keys.number("intermediate_size", 3072)?,
        layers: keys.number("num_hidden_layers", 12)?,
        heads: keys.number("num_attention_heads", 12)?,
        activation: keys.activation(activation)?,
        epsilon: keys.float("layer_norm_eps", epsilon)?,
        qkv_bias: true,
        projection: None,
    })
}

fn clip(keys: &Keys, whole: &Keys) -> Result<VisionConfig> {
    let config = common(keys, Architecture::Clip, 32, "quick_gelu", 1e-5)?;
    Ok(VisionConfig { projection: Some(whole.number("projection_dim", 512)?), ..config })
}

fn siglip(keys: &Keys) -> Result<VisionConfig> {
    if keys.json.get("vision_use_head").is_some() && !keys.truth("vision_use_head")? {
        return Err(keys.wrong("vision_use_head", &Value::Bool(false), "true"));
    }
    common(keys, Architecture::Siglip, 16, "gelu_pytorch_tanh", 1e-6)
}

fn dinov2(keys: &Keys) -> Result<VisionConfig> {
    if keys.truth("use_swiglu_ffn")? {
        return Err(keys.wrong("use_swiglu_ffn", &Value::Bool(true), "false"));
    }
    let config = common(keys, Architecture::Dinov2, 14, "gelu", 1e-6)?;
    let hidden = config.width * keys.number("mlp_ratio", 4)?;
    Ok(VisionConfig { hidden, qkv_bias: qkv_bias(keys)?, ..config })
}

fn vit(keys: &Keys) -> Result<VisionConfig> {
    if let Some(other) = keys.json.get("pooler_act").filter(|act| act.as_str() != Some("tanh")) {
        return Err(keys.wrong("pooler_act", other, "\"tanh\""));
    }
    let config = common(keys, Architecture::Vit, 16, "gelu", 1e-12)?;
    Ok(VisionConfig { qkv_bias: qkv_bias(keys)?, ..config })
}

fn qkv_bias(keys: &Keys) -> Result<bool> {
    Ok(keys.json.get("qkv_bias").is_none() || keys.truth("qkv_bias")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<VisionConfig> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).expect("written");
        VisionConfig::read(&path)
    }

    #[test]
    fn what_is_not_said_is_the_base_model() {
        let clip =
            read(r#"{"model_type": "clip", "projection_dim": 512, "vision_config": {"patch_size": 16}}"#);
        let clip = clip.unwrap();
        assert_eq!((clip.image, clip.patch, clip.grid(), clip.projection), (224, 16, 14, Some(512)));
        assert_eq!((clip.activation, clip.epsilon), (Activation::QuickGelu, 1e-5));
        let siglip =
            read(r#"{"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14}"#).unwrap();
        assert_eq!((siglip.grid(), siglip.activation, siglip.projection), (27, Activation::GeluTanh, None));
        let dino = read(
            r#"{"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6, "qkv_bias": false}"#,
        );
        let dino = dino.unwrap();
        assert_eq!((dino.patch, dino.hidden, dino.qkv_bias), (14, 1536, false));
        assert_eq!(read(r#"{"model_type": "vit"}"#).unwrap().epsilon, 1e-12);
    }

    #[test]
    fn other_architectures_and_variants_are_refused_by_name() {
        let refusal = |text: &str| read(text).unwrap_err().to_string();
        let other = refusal(r#"{"model_type": "siglip2"}"#);
        assert!(
            other.contains("has the architecture `siglip2`\nhint: picture towers are read of"),
            "{other}"
        );
        let of = |kind: &str, key: &str| refusal(&format!("{{\"model_type\": \"{kind}\", {key}}}"));
        assert!(
            of("dinov2", "\"use_swiglu_ffn\": true").contains("`use_swiglu_ffn` is true; expected false")
        );
        assert!(of("vit", "\"num_channels\": 1").contains("`num_channels` is 1; expected 3"));
        assert!(of("vit", "\"pooler_act\": \"relu\"").contains("`pooler_act` is \"relu\""));
        assert!(of("vit", "\"image_size\": 8").contains("a picture of 8 pixels has no patch of 16"));
        assert!(
            of("siglip_vision_model", "\"vision_use_head\": false").contains("`vision_use_head` is false")
        );
        assert!(of("vit", "\"num_attention_heads\": 7").contains("does not divide into 7 heads"));
    }
}
