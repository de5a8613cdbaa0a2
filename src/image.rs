//! The image branch: features → joint space, by layers or as they are.

use std::ops::Range;

use dfdx::prelude::*;

use crate::Result;
use crate::config::{ImageConfig, ImageInput, PictureBranch, Precision};
use crate::corpus::{PictureSource, same_width};
use crate::device::{Dev, Matrix, Vector};
use crate::init::Init;
use crate::ops::batch_norm::{BatchNormWeights, batch_norm_relu_dropout, dropout};
use crate::ops::linear::{LinearWeights, linear, linear_of_data, unit_rows};
use crate::ops::rows::{signed_root, standardise};
use crate::ops::tape::{data, matrix, vector};
use crate::optim::{Parameter, ParameterTree, visit_batch_norm, visit_linear};

/// Pictures as vectors of the joint space: by layers, or as they are given.
#[derive(Clone)]
pub struct ImageBranch {
    /// None, where features are vectors of the joint space (`image.branch = "given"`).
    pub layers: Option<ImageLayers>,
    /// The layers are those of a teacher: they stay as they are, statistics included, and nothing is dropped.
    pub fixed: bool,
    config: ImageConfig,
    precision: Precision,
}

/// Linear → batch normalisation → ReLU → dropout → linear → unit length.
#[derive(Clone)]
pub struct ImageLayers {
    /// (hidden, width of the features)
    pub hidden: LinearWeights,
    /// (hidden)
    pub norm: BatchNormWeights,
    /// (joint, hidden)
    pub output: LinearWeights,
    /// Subtracted from and multiplied with each feature column when `input = "standard"`.
    pub centre: Vector,
    /// Factor of each column, after `centre` is subtracted: (width of the features)
    pub inverse: Vector,
}

impl ImageBranch {
    /// Layers as they start, if there are any: (hidden, width), (joint, hidden), with `image.hidden` units between them.
    pub fn new(
        config: &ImageConfig,
        width: usize,
        joint: usize,
        precision: Precision,
        init: &mut Init,
    ) -> Self {
        let h = config.hidden;
        let layers = (config.branch == PictureBranch::Layers).then(|| ImageLayers {
            hidden: init.linear(width, h),
            norm: BatchNormWeights::new(h),
            output: init.linear(h, joint),
            centre: vector(vec![0.0; width]),
            inverse: vector(vec![1.0; width]),
        });
        ImageBranch { layers, fixed: false, config: config.clone(), precision }
    }

    /// Learns mean and deviation of each column from the features (rows, width) of the training pictures, if the configuration asks for
    /// it; `row` writes one of them.
    pub fn fit_input(&mut self, rows: usize, width: usize, mut row: impl FnMut(usize, &mut [f32])) {
        let Some(layers) = self.layers.as_mut().filter(|_| self.config.input == ImageInput::Standard) else {
            return;
        };
        let (mut sum, mut square, mut x) = (vec![0f64; width], vec![0f64; width], vec![0f32; width]);
        for i in 0..rows {
            row(i, &mut x);
            for (j, &x) in x.iter().enumerate() {
                sum[j] += x as f64;
                square[j] += x as f64 * x as f64;
            }
        }
        let n = rows.max(1) as f64;
        let deviation = |j: usize| (square[j] / n - (sum[j] / n).powi(2)).max(0.0).sqrt();
        layers.centre = vector(sum.iter().map(|s| (s / n) as f32).collect());
        layers.inverse = vector((0..width).map(|j| (1.0 / deviation(j).max(1e-6)) as f32).collect());
    }

    /// features (pictures, width) → (pictures, joint), unit length. With a tape the running statistics move, unless the layers are fixed.
    pub fn forward<T: Tape<f32, Dev> + 'static>(&mut self, features: Matrix, seed: u64) -> Matrix<T> {
        if T::OWNS_TAPE && self.fixed {
            return self.forward::<NoneTape>(features, seed).put_tape(T::default());
        }
        let (config, precision) = (&self.config, self.precision);
        let Some(layers) = &mut self.layers else { return unit_rows(features).put_tape(T::default()) };
        let x = layers.input(features, config.input).put_tape(T::default());
        let (x, _) = dropout(x, config.input_dropout, seed ^ 1).split_tape();
        let h = linear_of_data::<T>(x, &layers.hidden, precision); // (pictures, hidden)
        let h = batch_norm_relu_dropout(h, &mut layers.norm, config.dropout, seed);
        unit_rows(linear(h, &layers.output, precision))
    }

    /// What becomes of features before the first layer.
    pub fn input_kind(&self) -> ImageInput {
        self.config.input
    }
}

impl ImageLayers {
    /// Features (pictures, width) as the first layer takes them, of the same shape.
    fn input(&self, features: Matrix, input: ImageInput) -> Matrix {
        match input {
            ImageInput::Raw => features,
            ImageInput::Unit => unit_rows(features),
            ImageInput::Root => unit_rows(signed_root(features)),
            ImageInput::Standard => standardise(features, &self.centre, &self.inverse),
        }
    }
}

impl ParameterTree for ImageBranch {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        let Some(layers) = &mut self.layers else { return };
        visit_linear("image.hidden", &mut layers.hidden, f);
        visit_batch_norm("image.norm", &mut layers.norm, f);
        visit_linear("image.output", &mut layers.output, f);
        f("image.centre", Parameter::buffer(&mut layers.centre));
        f("image.inverse", Parameter::buffer(&mut layers.inverse));
    }
}

/// Pictures turned into vectors at a time.
const PICTURES: usize = 256;

/// Some pictures of a source, by their rows, as unit vectors (pictures, joint).
pub fn embed_images(branch: &ImageBranch, pictures: &dyn PictureSource, rows: Range<usize>) -> Vec<f32> {
    // Statistics move in training only; the tensors of a copy are shared.
    let (mut branch, mut out, width) = (branch.clone(), Vec::new(), pictures.width());
    for first in rows.clone().step_by(PICTURES) {
        let count = PICTURES.min(rows.end - first);
        let mut x = vec![0.0; count * width];
        pictures.copy_rows(first, &mut x);
        out.extend_from_slice(&data(&branch.forward::<NoneTape>(matrix(x, count, width), 0)));
    }
    out
}

/// All pictures of a source as unit vectors (pictures, joint).
///
/// # Errors
/// Data, where the pictures are not `expected` wide.
pub fn embed_features(
    branch: &ImageBranch,
    pictures: &dyn PictureSource,
    expected: usize,
) -> Result<Vec<f32>> {
    same_width(pictures, expected)?;
    Ok(embed_images(branch, pictures, 0..pictures.rows()))
}
