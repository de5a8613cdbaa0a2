//! A new text tower, to be trained.

use super::{Architecture, Block, Tower, TowerConfig};
use crate::init::Init;
use crate::ops::leaf::Rate;
use crate::ops::linear::LinearWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{matrix, vector};
use crate::ops::transformer::{AttentionWeights, FeedForwardWeights, NormWeights, Projection};

/// Standard deviations at the start.
struct Deviations {
    tokens: f32,
    positions: f32,
    /// Of the queries', keys' and values' layers.
    input: f32,
    /// Of the layers that add to x.
    adding: f32,
    inner: f32,
    projection: f32,
}

impl Deviations {
    /// width^−½ in the attention and (2 · width)^−½ behind it, less in layers that add to x, the more of them there are (Radford et
    /// al. 2021).
    fn clip(config: &TowerConfig) -> Self {
        let narrow = (config.width as f32).powf(-0.5);
        Deviations {
            tokens: 0.02,
            positions: 0.01,
            input: narrow,
            adding: narrow * (2.0 * config.layers as f32).powf(-0.5),
            inner: (2.0 * config.width as f32).powf(-0.5),
            projection: narrow,
        }
    }

    /// 0.02 everywhere (Devlin et al. 2019: `initializer_range`).
    fn bert() -> Self {
        let all = 0.02;
        Deviations { tokens: all, positions: all, input: all, adding: all, inner: all, projection: all }
    }
}

impl Tower {
    /// A tower of these sizes with random weights, as CLIP's (Radford et al. 2021) or, of all other architectures, BERT's (Devlin et al. 2019) start, all of it to be
    /// trained. Drawn uniformly, with their standard deviations; biases are 0.
    ///
    /// # Panics
    /// For a CLIP without a projection, or with one that has a bias or tanh.
    pub fn new(config: TowerConfig, init: &mut Init) -> Tower {
        let first = config.architecture.norm_first();
        let deviations = match config.architecture {
            Architecture::Clip => {
                let plain = !config.projection_bias && !config.projection_tanh;
                assert!(config.projection.is_some() && plain, "a new CLIP has a linear projection");
                Deviations::clip(&config)
            }
            _ => Deviations::bert(),
        };
        let (width, hidden) = (config.width, config.hidden);
        let mut floats = |n: usize, deviation: f32| init.uniform(n, deviation * 3f32.sqrt());
        let mut table = |rows: usize, deviation: f32| Table::new(width, floats(rows * width, deviation));
        let tokens = table(config.vocabulary, deviations.tokens);
        let positions = table(config.positions(), deviations.positions);
        let types = (config.types > 0).then(|| table(config.types, deviations.tokens));
        let mut layer = |outputs: usize, inputs: usize, deviation: f32| {
            let weight = matrix(floats(outputs * inputs, deviation), outputs, inputs);
            Projection::new(LinearWeights::new(weight, vector(vec![0.0; outputs])))
        };
        let norm = |there: bool| {
            there.then(|| NormWeights {
                scale: vector(vec![1.0; width]),
                shift: vector(vec![0.0; width]),
                epsilon: config.epsilon,
                rate: Rate::TRAINED,
            })
        };
        let blocks = (0..config.layers).map(|_| Block {
            attention: AttentionWeights {
                norm: norm(first),
                input: layer(3 * width, width, deviations.input),
                output: layer(width, width, deviations.adding),
                heads: config.heads,
                causal: config.architecture.causal(),
            },
            attention_norm: norm(!first),
            feed_forward: FeedForwardWeights {
                norm: norm(first),
                inner: layer(hidden, width, deviations.inner),
                activation: config.activation,
                outer: layer(width, hidden, deviations.adding),
            },
            feed_forward_norm: norm(!first),
        });
        let blocks = blocks.collect();
        let projection = config.projection.map(|joint| layer(joint, width, deviations.projection));
        Tower {
            tokens,
            positions,
            types,
            embedding_norm: norm(!first),
            blocks,
            final_norm: norm(first),
            projection,
            unused: Vec::new(),
            config,
        }
    }
}
