//! A new CLIP text tower, to be trained.

use super::{Architecture, Block, Tower, TowerConfig};
use crate::init::Init;
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{matrix, vector};
use crate::ops::transformer::{AttentionWeights, FeedForwardWeights, NormWeights, Projection};

/// Standard deviations of token and position embeddings at the start (Radford et al. 2021).
const TOKENS: f32 = 0.02;
const POSITIONS: f32 = 0.01;

impl Tower {
    /// A tower of these sizes with random weights, as CLIP's start (Radford et al. 2021): deviations of width^−½ in the attention
    /// and (2 · width)^−½ behind it, less in layers that add to x, the more of them there are. Drawn uniformly.
    ///
    /// # Panics
    /// With sizes of another architecture, or without a projection.
    pub fn new(config: TowerConfig, init: &mut Init) -> Tower {
        assert_eq!(config.architecture, Architecture::Clip, "a new tower is CLIP's");
        let joint = config.projection.expect("a new tower has a projection");
        let (width, hidden) = (config.width, config.hidden);
        let narrow = (width as f32).powf(-0.5);
        let adding = narrow * (2.0 * config.layers as f32).powf(-0.5);
        let mut floats = |n: usize, deviation: f32| init.uniform(n, deviation * 3f32.sqrt());
        let tokens = Table::new(width, floats(config.vocabulary * width, TOKENS));
        let positions = Table::new(width, floats(config.context * width, POSITIONS));
        let mut layer = |outputs: usize, inputs: usize, deviation: f32| {
            let weight = matrix(floats(outputs * inputs, deviation), outputs, inputs);
            Projection::new(LinearWeights::new(weight, vector(vec![0.0; outputs])))
        };
        let norm = || NormWeights {
            scale: vector(vec![1.0; width]),
            shift: vector(vec![0.0; width]),
            epsilon: config.epsilon,
            rate: Rate::TRAINED,
        };
        let blocks = (0..config.layers).map(|_| Block {
            attention: AttentionWeights {
                norm: Some(norm()),
                input: layer(3 * width, width, narrow),
                output: layer(width, width, adding),
                heads: config.heads,
                causal: true,
            },
            attention_norm: None,
            feed_forward: FeedForwardWeights {
                norm: Some(norm()),
                inner: layer(hidden, width, (2.0 * width as f32).powf(-0.5)),
                activation: config.activation,
                outer: layer(width, hidden, adding),
            },
            feed_forward_norm: None,
        });
        let blocks = blocks.collect();
        let projection = Some(layer(joint, width, narrow));
        Tower {
            tokens,
            positions,
            types: None,
            embedding_norm: None,
            blocks,
            final_norm: Some(norm()),
            projection,
            unused: Vec::new(),
            config,
        }
    }
}
