//! From a folder to a tower.

use std::path::Path;

use super::names::{CLIP_PROJECTION, Names, PROJECTION};
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
    /// Data: another architecture; a missing tensor or one of another shape or type; files that are missing or not whole; modules of
    /// sentence-transformers that are not read.
    pub fn open(folder: &Path) -> Result<Tower> {
        let config = TowerConfig::read(&folder.join("config.json"))?;
        let tensors = Tensors::of_text(folder)?;
        let tower = read(config, &tensors, folder)?;
        let mut tower = Tower { unused: tensors.unused(), ..tower };
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
    let names = Names::of(config.architecture);
    let name = format!("{}{}", prefix(&tensors, names, folder)?, names.tokens);
    let table = tensors.floats(&name, &[config.vocabulary, config.width])?;
    Ok((config, table))
}

fn prefix(tensors: &Tensors, names: &Names, folder: &Path) -> Result<&'static str> {
    let Names { prefixes, tokens, .. } = names;
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

    /// A layer with a bias of 0.
    fn unbiased(&self, name: &str, outputs: usize, inputs: usize) -> Result<Projection> {
        let weight = self.tensors.floats(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = vector(vec![0.0; outputs]);
        Ok(Projection::new(LinearWeights::new(matrix(weight, outputs, inputs), bias)))
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

fn read(config: TowerConfig, tensors: &Tensors, folder: &Path) -> Result<Tower> {
    let (names, first) = (Names::of(config.architecture), config.architecture.norm_first());
    let prefix = prefix(tensors, names, folder)?;
    let (width, hidden) = (config.width, config.hidden);
    let layers = Layers { tensors, epsilon: config.epsilon };
    let norm_of = |name: String, there: bool| there.then(|| layers.norm(&name, width)).transpose();
    let block = |n: usize| -> Result<Block> {
        let name = |part: &str| format!("{prefix}{}.{n}.{part}", names.blocks);
        Ok(Block {
            attention: AttentionWeights {
                norm: norm_of(name(names.attention_norm), first)?,
                input: layers.linear(&names.input.map(name), width, width)?,
                output: layers.linear(&[name(names.output)], width, width)?,
                heads: config.heads,
                causal: config.architecture.causal(),
            },
            attention_norm: norm_of(name(names.attention_norm), !first)?,
            feed_forward: FeedForwardWeights {
                norm: norm_of(name(names.feed_forward_norm), first)?,
                inner: layers.linear(&[name(names.inner)], hidden, width)?,
                activation: config.activation,
                outer: layers.linear(&[name(names.outer)], width, hidden)?,
            },
            feed_forward_norm: norm_of(name(names.feed_forward_norm), !first)?,
        })
    };
    let table = |name: &str, rows: usize| -> Result<Table> {
        Ok(Table::new(width, tensors.floats(&format!("{prefix}{name}"), &[rows, width])?))
    };
    let norm =
        |name: Option<&str>| name.map(|name| layers.norm(&format!("{prefix}{name}"), width)).transpose();
    let projection = match (config.architecture, config.projection) {
        (_, None) => None,
        // A text model saved without its projection has none, whatever its configuration says.
        (Architecture::Clip, _) if !tensors.has(&format!("{CLIP_PROJECTION}.weight")) => None,
        (Architecture::Clip, Some(joint)) => Some(layers.unbiased(CLIP_PROJECTION, joint, width)?),
        (_, Some(joint)) if config.projection_bias => {
            Some(layers.linear(&[PROJECTION.to_string()], joint, width)?)
        }
        (_, Some(joint)) => Some(layers.unbiased(PROJECTION, joint, width)?),
    };
    Ok(Tower {
        tokens: table(names.tokens, config.vocabulary)?,
        positions: table(names.positions, config.positions())?,
        types: names.types.map(|name| table(name, config.types)).transpose()?,
        embedding_norm: norm(names.embedding_norm)?,
        blocks: (0..config.layers).map(block).collect::<Result<_>>()?,
        final_norm: norm(names.final_norm)?,
        projection,
        unused: Vec::new(),
        config,
    })
}
