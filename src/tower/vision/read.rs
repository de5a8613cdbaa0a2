//! From a folder to a picture tower: the names of its tensors, architecture by architecture.

use std::path::Path;

use super::super::{Block, Tensors};
use super::head::Head;
use super::{Architecture, Pool, VisionConfig, VisionTower};
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::tape::{matrix, vector};
use crate::ops::transformer::{AttentionWeights, FeedForwardWeights, NormWeights, Projection};
use crate::{Error, Result};

impl VisionTower {
    /// Reads the picture tower of a checkpoint, for pictures of `size`, width and height; those that it was made for, where none is
    /// given.
    ///
    /// # Errors
    /// Data: another architecture; a missing tensor or one of another shape or type; files that are missing or not whole; pictures
    /// of a size that the tower does not take.
    pub fn open(folder: &Path, size: Option<(usize, usize)>) -> Result<VisionTower> {
        let path = folder.join("config.json");
        let config = VisionConfig::read(&path)?;
        let own = (config.image, config.image);
        let size = size.unwrap_or(own);
        let takes = match config.architecture {
            Architecture::Dinov2 => size.0 >= config.patch && size.1 >= config.patch,
            _ => size == own,
        };
        if !takes {
            let (width, height) = size;
            let what = format!("is for pictures of {0} × {0} pixels, not {width} × {height}", config.image);
            return Err(Error::data(what)
                .at(path)
                .hint("`size` and `crop_size` in `preprocessor_config.json` belong to another model"));
        }
        let tensors = Tensors::open(folder)?;
        let names = Names::of(config.architecture);
        let first = format!("{}.weight", names.patches);
        let prefix = names.prefixes.iter().find(|p| tensors.has(&format!("{p}{first}"))).copied();
        let prefix = prefix.ok_or_else(|| {
            let all: Vec<String> = names.prefixes.iter().map(|p| format!("`{p}{first}`")).collect();
            Error::data(format!("there is neither of the tensors {}", all.join(", ")))
                .at(folder)
                .hint("the checkpoint has no picture tower, or `config.json` belongs to another one")
        })?;
        Reader { tensors: &tensors, config: &config, prefix, names: &names }.tower(size)
    }
}

/// The names of an architecture's tensors, behind one of the prefixes; those of blocks behind their number too.
struct Names {
    prefixes: &'static [&'static str],
    class: Option<&'static str>,
    patches: &'static str,
    /// Whether the convolution of patches has a bias.
    patches_bias: bool,
    positions: &'static str,
    first_norm: Option<&'static str>,
    blocks: &'static str,
    norms: [&'static str; 2],
    qkv: [&'static str; 3],
    output: &'static str,
    layers: [&'static str; 2],
    /// What the two halves of a block add is multiplied with, column by column.
    scales: Option<[&'static str; 2]>,
    last_norm: &'static str,
}

impl Names {
    fn of(architecture: Architecture) -> Names {
        let clip = Names {
            prefixes: &["vision_model.", ""],
            class: Some("embeddings.class_embedding"),
            patches: "embeddings.patch_embedding",
            patches_bias: false,
            positions: "embeddings.position_embedding.weight",
            first_norm: Some("pre_layrnorm"),
            blocks: "encoder.layers",
            norms: ["layer_norm1", "layer_norm2"],
            qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            output: "self_attn.out_proj",
            layers: ["mlp.fc1", "mlp.fc2"],
            scales: None,
            last_norm: "post_layernorm",
        };
        let vit = Names {
            prefixes: &["vit.", ""],
            class: Some("embeddings.cls_token"),
            patches: "embeddings.patch_embeddings.projection",
            patches_bias: true,
            positions: "embeddings.position_embeddings",
            first_norm: None,
            blocks: "encoder.layer",
            norms: ["layernorm_before", "layernorm_after"],
            qkv: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
            output: "attention.output.dense",
            layers: ["intermediate.dense", "output.dense"],
            scales: None,
            last_norm: "layernorm",
        };
        match architecture {
            Architecture::Clip => clip,
            Architecture::Siglip => Names { class: None, patches_bias: true, first_norm: None, ..clip },
            Architecture::Vit => vit,
            Architecture::Dinov2 => Names {
                prefixes: &["dinov2.", ""],
                norms: ["norm1", "norm2"],
                layers: ["mlp.fc1", "mlp.fc2"],
                scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
                ..vit
            },
        }
    }
}

struct Reader<'a> {
    tensors: &'a Tensors,
    config: &'a VisionConfig,
    prefix: &'static str,
    names: &'a Names,
}

impl Reader<'_> {
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.tensors.floats(&format!("{}{name}", self.prefix), shape)
    }

    /// A layer with its numbers, weight (outputs, inputs) and bias (outputs); what comes out is multiplied with `scale`, column by column.
    fn layer(mut weight: Vec<f32>, mut bias: Vec<f32>, scale: Option<Vec<f32>>) -> Projection {
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
        for (n, scale) in scale.iter().flatten().enumerate() {
            weight[n * inputs..(n + 1) * inputs].iter_mut().for_each(|w| *w *= scale);
            bias[n] *= scale;
        }
        let (weight, bias) = (matrix(weight, outputs, inputs), vector(bias));
        Projection::new(LinearWeights { rate: Rate::FROZEN, ..LinearWeights::new(weight, bias) })
    }

    fn linear(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        scale: Option<Vec<f32>>,
    ) -> Result<Projection> {
        let weight = self.floats(&format!("{name}.weight"), &[outputs, inputs])?;
        Ok(Self::layer(weight, self.floats(&format!("{name}.bias"), &[outputs])?, scale))
    }

    fn norm(&self, name: &str) -> Result<NormWeights> {
        let width = self.config.width;
        Ok(NormWeights {
            scale: vector(self.floats(&format!("{name}.weight"), &[width])?),
            shift: vector(self.floats(&format!("{name}.bias"), &[width])?),
            epsilon: self.config.epsilon,
            rate: Rate::FROZEN,
        })
    }

    fn block(&self, n: usize) -> Result<Block> {
        let (config, names) = (self.config, self.names);
        let (width, hidden) = (config.width, config.hidden);
        let name = |part: &str| format!("{}.{n}.{part}", names.blocks);
        let scale =
            |half: usize| names.scales.map(|scales| self.floats(&name(scales[half]), &[width])).transpose();
        let (mut weight, mut bias) = (Vec::new(), vec![0.0; 3 * width]);
        for (part, bias) in names.qkv.iter().zip(bias.chunks_exact_mut(width)) {
            weight.extend(self.floats(&name(&format!("{part}.weight")), &[width, width])?);
            if config.qkv_bias {
                bias.copy_from_slice(&self.floats(&name(&format!("{part}.bias")), &[width])?);
            }
        }
        Ok(Block {
            attention: AttentionWeights {
                norm: Some(self.norm(&name(names.norms[0]))?),
                input: Self::layer(weight, bias, None),
                output: self.linear(&name(names.output), width, width, scale(0)?)?,
                heads: config.heads,
                causal: false,
            },
            attention_norm: None,
            feed_forward: FeedForwardWeights {
                norm: Some(self.norm(&name(names.norms[1]))?),
                inner: self.linear(&name(names.layers[0]), hidden, width, None)?,
                activation: config.activation,
                outer: self.linear(&name(names.layers[1]), width, hidden, scale(1)?)?,
            },
            feed_forward_norm: None,
        })
    }

    /// The layer from patches, the norms, blocks and what is behind them, for pictures of a size.
    fn tower(&self, (width_of, height_of): (usize, usize)) -> Result<VisionTower> {
        let (config, names, tensors) = (self.config, self.names, self.tensors);
        let (width, patch, own) = (config.width, config.patch, config.grid());
        let weight = self.floats(&format!("{}.weight", names.patches), &[width, 3, patch, patch])?;
        let bias = match names.patches_bias {
            true => self.floats(&format!("{}.bias", names.patches), &[width])?,
            false => vec![0.0; width],
        };
        let special = usize::from(names.class.is_some());
        // Tables have two axes, parameters three.
        let rows = own * own + special;
        let table = [rows, width];
        let shape: &[usize] = if names.positions.ends_with(".weight") { &table } else { &[1, rows, width] };
        let mut positions = self.floats(names.positions, shape)?;
        let class = match names.class {
            Some(name) => {
                let shape: &[usize] = if name.ends_with("token") { &[1, 1, width] } else { &[width] };
                let class = self.floats(name, shape)?;
                let place: Vec<f32> = positions.drain(..width).collect();
                Some(class.iter().zip(&place).map(|(c, p)| c + p).collect())
            }
            None => None,
        };
        let grid = (width_of / patch, height_of / patch);
        if grid != (own, own) {
            positions = super::positions::interpolated(&positions, width, own, grid);
        }
        let pool = match config.architecture {
            Architecture::Siglip => Pool::Head(Box::new(self.head()?)),
            Architecture::Vit if tensors.has(&format!("{}pooler.dense.weight", self.prefix)) => {
                Pool::Tanh(self.linear("pooler.dense", width, width, None)?)
            }
            _ => Pool::Class,
        };
        // A vision model saved without its projection has none, whatever its configuration says.
        let projection = match config.projection.filter(|_| tensors.has("visual_projection.weight")) {
            Some(joint) => {
                let weight = tensors.floats("visual_projection.weight", &[joint, width])?;
                Some(Self::layer(weight, vec![0.0; joint], None))
            }
            None => None,
        };
        Ok(VisionTower {
            patches: Self::layer(weight, bias, None),
            class,
            positions,
            grid,
            first_norm: names.first_norm.map(|name| self.norm(name)).transpose()?,
            blocks: (0..config.layers).map(|n| self.block(n)).collect::<Result<_>>()?,
            last_norm: self.norm(names.last_norm)?,
            pool,
            projection,
            config: config.clone(),
        })
    }

    /// SigLIP's pooling.
    fn head(&self) -> Result<Head> {
        let (width, hidden) = (self.config.width, self.config.hidden);
        let probe = self.floats("head.probe", &[1, 1, width])?;
        let mut weight = self.floats("head.attention.in_proj_weight", &[3 * width, width])?;
        let mut bias = self.floats("head.attention.in_proj_bias", &[3 * width])?;
        let keys = weight.split_off(width * width);
        let bias_of_keys = bias.split_off(width);
        // One query asks of every picture.
        let query = weight.chunks_exact(width).zip(&bias);
        let query = query.map(|(w, b)| w.iter().zip(&probe).map(|(w, p)| w * p).sum::<f32>() + b).collect();
        Ok(Head {
            query,
            input: Self::layer(keys, bias_of_keys, None),
            output: self.linear("head.attention.out_proj", width, width, None)?,
            heads: self.config.heads,
            feed_forward: FeedForwardWeights {
                norm: Some(self.norm("head.layernorm")?),
                inner: self.linear("head.mlp.fc1", hidden, width, None)?,
                activation: self.config.activation,
                outer: self.linear("head.mlp.fc2", width, hidden, None)?,
            },
        })
    }
}
