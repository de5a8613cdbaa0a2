//! From a folder to a tower: the names of its tensors, architecture by architecture.

use std::path::Path;

use super::{Architecture, Block, Tensors, Tower, TowerConfig};
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{matrix, vector};
use crate::ops::transformer::{AttentionWeights, FeedForwardWeights, NormWeights, Projection};
use crate::optim::freeze;
use crate::{Error, Result};

impl Tower {
    /// Reads the text tower of a checkpoint, all of it frozen.
    ///
    /// # Errors
    /// Data: another architecture; a missing tensor or one of another shape or type; files that are missing or not whole.
    pub fn open(folder: &Path) -> Result<Tower> {
        let config = TowerConfig::read(&folder.join("config.json"))?;
        let tensors = Tensors::open(folder)?;
        let tower = match config.architecture {
            Architecture::Clip => clip(config, &tensors, folder),
            Architecture::Bert => bert(config, &tensors, folder),
        };
        let mut tower = Tower { unused: tensors.unused(), ..tower? };
        freeze(&mut tower, |_| true);
        Ok(tower)
    }
}

/// The token embedding alone (vocabulary, width), e.g. M-BERT's, and its configuration.
///
/// # Errors
/// Data: no such configuration, files that are missing or not whole, or an embedding of another shape or type.
pub fn token_embedding(folder: &Path) -> Result<(TowerConfig, Vec<f32>)> {
    let config = TowerConfig::read(&folder.join("config.json"))?;
    let tensors = Tensors::open(folder)?;
    let (prefixes, name) = match config.architecture {
        Architecture::Clip => (CLIP_PREFIXES, CLIP_TOKENS),
        Architecture::Bert => (BERT_PREFIXES, BERT_TOKENS),
    };
    let prefix = prefix(&tensors, &prefixes, name, folder)?;
    let table = tensors.floats(&format!("{prefix}{name}"), &[config.vocabulary, config.width])?;
    Ok((config, table))
}

/// The names begin with one of these: in whole models, and where the text tower was saved alone.
const CLIP_PREFIXES: [&str; 2] = ["text_model.", ""];
const CLIP_TOKENS: &str = "embeddings.token_embedding.weight";
const BERT_PREFIXES: [&str; 2] = ["bert.", ""];
const BERT_TOKENS: &str = "embeddings.word_embeddings.weight";

fn prefix(tensors: &Tensors, prefixes: &[&'static str], tokens: &str, folder: &Path) -> Result<&'static str> {
    prefixes.iter().find(|p| tensors.has(&format!("{p}{tokens}"))).copied().ok_or_else(|| {
        let names: Vec<String> = prefixes.iter().map(|p| format!("`{p}{tokens}`")).collect();
        Error::data(format!("there is neither of the tensors {}", names.join(", ")))
            .at(folder)
            .hint("the checkpoint is damaged, or `config.json` belongs to another one")
    })
}

/// Layers by name.
struct Layers<'a> {
    tensors: &'a Tensors,
    epsilon: f32,
}

impl Layers<'_> {
    /// Layers of one input below each other: their weights and biases are joined.
    fn linear(&self, names: &[String], outputs: usize, inputs: usize) -> Result<Projection> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(self.tensors.floats(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.tensors.floats(&format!("{name}.bias"), &[outputs])?);
        }
        let outputs = outputs * names.len();
        Ok(Projection::new(LinearWeights::new(matrix(weight, outputs, inputs), vector(bias))))
    }

    fn norm(&self, name: &str, width: usize) -> Result<NormWeights> {
        // Checkpoints that began in TensorFlow call scale and shift gamma and beta.
        let old = self.tensors.has(&format!("{name}.gamma"));
        let (scale, shift) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        Ok(NormWeights {
            scale: vector(self.tensors.floats(&format!("{name}.{scale}"), &[width])?),
            shift: vector(self.tensors.floats(&format!("{name}.{shift}"), &[width])?),
            epsilon: self.epsilon,
            rate: Rate::FROZEN,
        })
    }
}

fn clip(config: TowerConfig, tensors: &Tensors, folder: &Path) -> Result<Tower> {
    let prefix = prefix(tensors, &CLIP_PREFIXES, CLIP_TOKENS, folder)?;
    let (width, hidden) = (config.width, config.hidden);
    let layers = Layers { tensors, epsilon: config.epsilon };
    let block = |n: usize| -> Result<Block> {
        let name = |part: &str| format!("{prefix}encoder.layers.{n}.{part}");
        let qkv = ["q_proj", "k_proj", "v_proj"].map(|p| name(&format!("self_attn.{p}")));
        Ok(Block {
            attention: AttentionWeights {
                norm: Some(layers.norm(&name("layer_norm1"), width)?),
                input: layers.linear(&qkv, width, width)?,
                output: layers.linear(&[name("self_attn.out_proj")], width, width)?,
                heads: config.heads,
                causal: true,
            },
            attention_norm: None,
            feed_forward: FeedForwardWeights {
                norm: Some(layers.norm(&name("layer_norm2"), width)?),
                inner: layers.linear(&[name("mlp.fc1")], hidden, width)?,
                activation: config.activation,
                outer: layers.linear(&[name("mlp.fc2")], width, hidden)?,
            },
            feed_forward_norm: None,
        })
    };
    // A text model saved without its projection has none, whatever its configuration says.
    let projection = match config.projection.filter(|_| tensors.has("text_projection.weight")) {
        Some(joint) => {
            let weight = tensors.floats("text_projection.weight", &[joint, width])?;
            let bias = vector(vec![0.0; joint]);
            Some(Projection::new(LinearWeights::new(matrix(weight, joint, width), bias)))
        }
        None => None,
    };
    let positions = format!("{prefix}embeddings.position_embedding.weight");
    Ok(Tower {
        tokens: Table::new(
            width,
            tensors.floats(&format!("{prefix}{CLIP_TOKENS}"), &[config.vocabulary, width])?,
        ),
        positions: Table::new(width, tensors.floats(&positions, &[config.context, width])?),
        types: None,
        embedding_norm: None,
        blocks: (0..config.layers).map(block).collect::<Result<_>>()?,
        final_norm: Some(layers.norm(&format!("{prefix}final_layer_norm"), width)?),
        projection,
        unused: Vec::new(),
        config,
    })
}

fn bert(config: TowerConfig, tensors: &Tensors, folder: &Path) -> Result<Tower> {
    let prefix = prefix(tensors, &BERT_PREFIXES, BERT_TOKENS, folder)?;
    let (width, hidden) = (config.width, config.hidden);
    let layers = Layers { tensors, epsilon: config.epsilon };
    let block = |n: usize| -> Result<Block> {
        let name = |part: &str| format!("{prefix}encoder.layer.{n}.{part}");
        let qkv = ["query", "key", "value"].map(|p| name(&format!("attention.self.{p}")));
        Ok(Block {
            attention: AttentionWeights {
                norm: None,
                input: layers.linear(&qkv, width, width)?,
                output: layers.linear(&[name("attention.output.dense")], width, width)?,
                heads: config.heads,
                causal: false,
            },
            attention_norm: Some(layers.norm(&name("attention.output.LayerNorm"), width)?),
            feed_forward: FeedForwardWeights {
                norm: None,
                inner: layers.linear(&[name("intermediate.dense")], hidden, width)?,
                activation: config.activation,
                outer: layers.linear(&[name("output.dense")], width, hidden)?,
            },
            feed_forward_norm: Some(layers.norm(&name("output.LayerNorm"), width)?),
        })
    };
    let table = |name: &str, rows: usize| -> Result<Table> {
        Ok(Table::new(width, tensors.floats(&format!("{prefix}{name}"), &[rows, width])?))
    };
    Ok(Tower {
        positions: table("embeddings.position_embeddings.weight", config.context)?,
        types: Some(table("embeddings.token_type_embeddings.weight", 2)?),
        tokens: table(BERT_TOKENS, config.vocabulary)?,
        embedding_norm: Some(layers.norm(&format!("{prefix}embeddings.LayerNorm"), width)?),
        blocks: (0..config.layers).map(block).collect::<Result<_>>()?,
        final_norm: None,
        projection: None,
        unused: Vec::new(),
        config,
    })
}
