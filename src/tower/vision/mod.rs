//! Picture towers: vision transformers read from checkpoints in Hugging Face's layout, kept frozen.
//!
//! A folder holds `config.json`, `model.safetensors` (or shards) and `preprocessor_config.json` ([`crate::pixels`]). A picture's patches
//! are tokens of one sequence; blocks and layers are those of text towers. What comes out is what transformers calls the image embeds
//! of CLIP (`get_image_features`), and the pooler's output of the others.

mod config;
mod head;
mod positions;
mod read;

use std::sync::Arc;

use super::Block;
use crate::config::Precision;
use crate::device::Matrix;
use crate::ops::rows::select;
use crate::ops::sequences::Sequences;
use crate::ops::tape::{data, matrix};
use crate::ops::transformer::{NormWeights, Pass, Projection, layer_norm, project};
use crate::pixels::Rgb;

pub use config::{Architecture, VisionConfig};

/// A vision transformer, frozen.
pub struct VisionTower {
    /// Its sizes and kind.
    pub config: VisionConfig,
    /// (width, 3 · patch²): the convolution of patches as a product.
    patches: Projection,
    /// The class token with its position (width).
    class: Option<Vec<f32>>,
    /// (patches, width)
    positions: Vec<f32>,
    /// Patches across and down.
    grid: (usize, usize),
    /// CLIP's, before the first block.
    first_norm: Option<NormWeights>,
    blocks: Vec<Block>,
    last_norm: NormWeights,
    pool: Pool,
    /// CLIP's layer into the joint space, without bias.
    projection: Option<Projection>,
}

/// What stands for the picture.
enum Pool {
    /// The class token.
    Class,
    /// tanh of a layer of the class token.
    Tanh(Projection),
    Head(Box<head::Head>),
}

/// What each level of each channel stands for.
pub type Levels = [[f32; 256]; 3];

/// Tokens that go through the tower together, at least: enough to use what is read of its weights, few enough for a cache.
const TOGETHER: usize = 256;

impl VisionTower {
    /// Width of the vectors of [`Self::encode`].
    pub fn outputs(&self) -> usize {
        self.projection.as_ref().map_or(self.config.width, Projection::outputs)
    }

    /// Tokens of a picture.
    pub fn tokens(&self) -> usize {
        self.grid.0 * self.grid.1 + usize::from(self.class.is_some())
    }

    /// Pictures as vectors (pictures, [`Self::outputs`]), not of unit length. A picture's vector depends neither on those beside it nor on
    /// the number of threads.
    ///
    /// # Panics
    /// With a picture of another size than the tower was opened for.
    pub fn encode(&self, pictures: &[Rgb], levels: &Levels, precision: Precision) -> Vec<f32> {
        let pass = Pass { precision, recompute: false };
        let group = TOGETHER.div_ceil(self.tokens());
        // Groups on separate threads keep to their caches; on a GPU one follows the other.
        #[cfg(not(feature = "cuda"))]
        {
            use rayon::prelude::*;
            let groups = pictures.par_chunks(group);
            groups.flat_map_iter(|some| self.encode_group(some, levels, pass)).collect()
        }
        #[cfg(feature = "cuda")]
        pictures.chunks(group).flat_map(|some| self.encode_group(some, levels, pass)).collect()
    }

    fn encode_group(&self, pictures: &[Rgb], levels: &Levels, pass: Pass) -> Vec<f32> {
        let (count, tokens) = (pictures.len(), self.tokens());
        let x = self.embed(pictures, levels, pass);
        let mut all = Sequences::new();
        (0..count as u32).for_each(|n| all.push(n * tokens as u32..(n + 1) * tokens as u32));
        let all = Arc::new(all);
        let x = match &self.first_norm {
            Some(norm) => layer_norm(x, norm),
            None => x,
        };
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, &all, pass));
        let class = |x: Matrix| layer_norm(select(x, &all.starts[..count]), &self.last_norm);
        let x = match &self.pool {
            Pool::Class => class(x),
            Pool::Tanh(layer) => {
                let x = project(class(x), layer, pass.precision);
                matrix(data(&x).iter().map(|x| x.tanh()).collect(), count, layer.outputs())
            }
            Pool::Head(head) => head.pool(layer_norm(x, &self.last_norm), count, pass),
        };
        let x = match &self.projection {
            Some(layer) => project(x, layer, pass.precision),
            None => x,
        };
        data(&x).to_vec()
    }

    /// What goes into the first block, or the norm before it: every patch, and its place. (pictures · tokens, width)
    fn embed(&self, pictures: &[Rgb], levels: &Levels, pass: Pass) -> Matrix {
        let (width, patch) = (self.config.width, self.config.patch);
        let (columns, rows) = self.grid;
        let mut pixels = Vec::with_capacity(pictures.len() * columns * rows * 3 * patch * patch);
        for picture in pictures {
            let (wide, high) = (picture.width / patch, picture.height / patch);
            assert_eq!((wide, high), self.grid, "a picture of {} × {}", picture.width, picture.height);
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y * patch, 3 * x * patch))) {
                for (channel, levels) in levels.iter().enumerate() {
                    for row in 0..patch {
                        let row = &picture.row(y + row)[x..x + 3 * patch];
                        pixels.extend(row[channel..].iter().step_by(3).map(|&p| levels[usize::from(p)]));
                    }
                }
            }
        }
        let patches = matrix(pixels, pictures.len() * columns * rows, 3 * patch * patch);
        let patches = project(patches, &self.patches, pass.precision);
        let patches = data(&patches);
        let mut out = Vec::with_capacity(pictures.len() * self.tokens() * width);
        for patches in patches.chunks_exact(self.positions.len()) {
            out.extend(self.class.iter().flatten());
            out.extend(patches.iter().zip(&self.positions).map(|(x, p)| x + p));
        }
        matrix(out, pictures.len() * self.tokens(), width)
    }
}
