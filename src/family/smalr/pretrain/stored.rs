//! A pretraining in a file: each language's layer, the latent vectors, and the layer that scores them, where there is one.

use std::path::Path;

use crate::checkpoint::{Stored, TensorFile, write_tensors};
use crate::ops::linear::LinearWeights;
use crate::ops::tape::{data, data1, matrix, vector};
use crate::{Error, Result};

/// Layers by language, latent vectors, scoring layer.
pub(super) type Stages = (Vec<LinearWeights>, Vec<f32>, Vec<f32>);

/// Writes layers (width, FastText width), latent vectors (latents, width) and the scoring layer (latents, width + 1) or nothing, whole or
/// not at all.
pub(super) fn write(
    path: &Path,
    languages: &[String],
    layers: &[LinearWeights],
    latents: &[f32],
    keys: &[f32],
) -> Result<()> {
    let mut tensors = vec![
        Stored::floats("latents", &[latents.len()], latents),
        Stored::floats("keys", &[keys.len()], keys),
    ];
    for (language, layer) in languages.iter().zip(layers) {
        let (weight, bias) = (data(&layer.weight), data1(&layer.bias));
        let shape = [bias.len(), weight.len() / bias.len()];
        tensors.push(Stored::floats(&format!("{language}.weight"), &shape, weight));
        tensors.push(Stored::floats(&format!("{language}.bias"), &[bias.len()], bias));
    }
    write_tensors(path, tensors)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// Data, for a file that is not whole or of other widths.
pub(super) fn read(path: &Path, languages: &[String], from: usize, to: usize) -> Result<Stages> {
    let file = TensorFile::open(path)?;
    let layer = |language: &String| {
        let (weight, shape) = file.floats(&format!("{language}.weight"))?;
        let (bias, _) = file.floats(&format!("{language}.bias"))?;
        if shape != [to, from] || bias.len() != to {
            let what = format!("`{language}.weight` has shape {shape:?}, not {:?}", [to, from]);
            return Err(Error::data(what).at(path));
        }
        Ok(LinearWeights::new(matrix(weight, to, from), vector(bias)))
    };
    let layers = languages.iter().map(layer).collect::<Result<_>>()?;
    Ok((layers, file.floats("latents")?.0, file.floats("keys")?.0))
}
