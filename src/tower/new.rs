//! A new CLIP text tower, to be trained.

use super::{Architecture, Block, Tower, TowerConfig};
use crate::init::Init;
use crate::ops::linear::LinearWeights;
use crate::ops::rows::Table;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{matrix, vector};
use crate::ops::transformer::{AttentionWeights, FeedForwardWeights, NormWeights, Projection};
use crate::optim::visit_linear;
use crate::optim::{Adam, Parameter};

/// Standard deviations of token and position embeddings at the start (Radford et al. 2021).
const TOKENS: f32 = 0.02;
const POSITIONS: f32 = 0.01;

/// Names of the tables, whose rows are updated only in steps that read them.
const TABLES: [&str; 2] = ["tower.tokens", "tower.positions"];

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
            Projection::trained(LinearWeights { weight, bias: vector(vec![0.0; outputs]) })
        };
        let norm = || NormWeights {
            scale: vector(vec![1.0; width]),
            shift: vector(vec![0.0; width]),
            epsilon: config.epsilon,
            trained: true,
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
            embedding_norm: None,
            blocks,
            final_norm: Some(norm()),
            projection,
            config,
        }
    }

    /// Every weight of a new tower by name, to be trained, in a fixed order. The projection has no bias.
    pub fn visit_trained(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        for (name, table) in TABLES.into_iter().zip([&mut self.tokens, &mut self.positions]) {
            f(name, Parameter::Table(table));
        }
        let norm = |name: &str, norm: &mut Option<NormWeights>, f: &mut dyn FnMut(&str, Parameter)| {
            if let Some(norm) = norm {
                f(&format!("{name}.scale"), Parameter::Vector(&mut norm.scale));
                f(&format!("{name}.shift"), Parameter::Vector(&mut norm.shift));
            }
        };
        for (n, block) in self.blocks.iter_mut().enumerate() {
            let name = |part: &str| format!("tower.blocks.{n}.{part}");
            norm(&name("attention.norm"), &mut block.attention.norm, f);
            visit_linear(&name("attention.input"), &mut block.attention.input.weights, f);
            visit_linear(&name("attention.output"), &mut block.attention.output.weights, f);
            norm(&name("feed_forward.norm"), &mut block.feed_forward.norm, f);
            visit_linear(&name("feed_forward.inner"), &mut block.feed_forward.inner.weights, f);
            visit_linear(&name("feed_forward.outer"), &mut block.feed_forward.outer.weights, f);
        }
        norm("tower.final_norm", &mut self.final_norm, f);
        if let Some(projection) = &mut self.projection {
            f("tower.projection.weight", Parameter::Matrix(&mut projection.weights.weight));
        }
    }

    /// Brings the embeddings that sentences read up to the optimiser's present step.
    pub fn catch_up(&mut self, adam: &mut Adam, sentences: &Sequences) {
        let longest = (0..sentences.len()).map(|s| sentences.length(s)).max().unwrap_or(0);
        let rows = [super::distinct(&sentences.rows), (0..longest as u32).collect()];
        let tables = [&mut self.tokens, &mut self.positions];
        for ((name, table), rows) in TABLES.into_iter().zip(tables).zip(rows) {
            adam.catch_up(name, table, &rows);
        }
    }
}
