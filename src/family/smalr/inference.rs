//! A model at work: sentences and pictures as vectors.

use std::sync::Arc;

use dfdx::prelude::{NoneTape, OwnedTape};

use crate::config::Precision;
use crate::corpus::Features;
use crate::device::Dev;
use crate::family::smalr::embedding::lexicon::Collector;
use crate::family::smalr::embedding::{Lexicon, Slot};
use crate::family::smalr::model::Model;
use crate::ops::tape::{data, matrix};
use crate::seed::derive;

const SENTENCES: usize = 512;

/// Sentences of one language as unit vectors (sentences, joint).
pub fn embed_sentences(
    model: &Model,
    lexicon: &Lexicon,
    language: usize,
    sentences: &[Vec<Slot>],
    precision: Precision,
) -> Vec<f32> {
    let mut collector = Collector::new(lexicon);
    let mut out = Vec::new();
    // Neighbours in length share their time steps.
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by_key(|&s| sentences[s].len());
    let mut width = 0;
    for some in order.chunks(SENTENCES) {
        let slots = some.iter().map(|&s| (language, &sentences[s][..]));
        let (rows, sequences) = collector.collect(slots, false);
        let tokens = model.embedding.forward::<NoneTape>(&rows, precision);
        let spoken = [(language, 0..some.len())];
        let vectors = model.text.forward(tokens, &Arc::new(sequences), &spoken, 0); // (some, joint)
        place(&mut out, &mut width, &data(&vectors), some, sentences.len());
    }
    out
}

/// Writes `vectors` (sentences, width) to the places of their sentences in `out` (all, width).
fn place(out: &mut Vec<f32>, width: &mut usize, vectors: &[f32], places: &[usize], all: usize) {
    *width = vectors.len() / places.len();
    out.resize(all * *width, 0.0);
    for (&s, row) in places.iter().zip(vectors.chunks(*width)) {
        out[s * *width..(s + 1) * *width].copy_from_slice(row);
    }
}

/// All pictures as training sees them, with the noise of dropout and of batches of `batch` pictures; (pictures, joint), unit
/// length. The model stays as it is.
pub fn embed_features_with_noise(model: &Model, features: &Features, batch: usize, seed: u64) -> Vec<f32> {
    let (mut image, width) = (model.image.clone(), features.width());
    let mut out = Vec::new();
    for first in (0..features.rows()).step_by(batch.max(1)) {
        let count = batch.min(features.rows() - first);
        let mut x = vec![0.0; count * width];
        x.chunks_mut(width).enumerate().for_each(|(i, x)| features.copy_row(first + i, x));
        let seed = derive(seed, "noise", first as u64);
        let vectors = image.forward::<OwnedTape<f32, Dev>>(matrix(x, count, width), seed);
        out.extend_from_slice(&data(&vectors));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;
    use crate::corpus::write_npy;
    use crate::family::smalr::embedding::HybridEmbedding;
    use crate::gradcheck::noise;
    use crate::image::embed_features;
    use crate::ops::rows::Table;

    #[test]
    fn noisy_pictures_come_from_their_seed_and_leave_the_model_as_it_is() {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into()];
        raw.data.captions.push(crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        });
        (raw.embedding.top_k, raw.embedding.width) = (0, 4);
        (raw.text.hidden, raw.text.joint, raw.image.hidden) = (4, 4, 16);
        let config = raw.check(".".into()).expect("a good configuration");
        let embedding = HybridEmbedding {
            latents: Table::new(4, noise(8, 1)),
            own: Vec::new(),
            mask: None,
            characters: None,
        };
        let model = Model::new(&config, embedding, 6, 1);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.npy");
        write_npy(&file, 20, 6, &noise(120, 2)).unwrap();
        let features = Features::open(&[file]).unwrap();
        let clean = embed_features(&model.image, &features, 6).unwrap();
        let noisy = embed_features_with_noise(&model, &features, 8, 3);
        assert_eq!(noisy, embed_features_with_noise(&model, &features, 8, 3));
        assert_ne!(noisy, embed_features_with_noise(&model, &features, 8, 4));
        assert_ne!(noisy, clean);
        assert!(noisy.chunks(4).all(|x| (x.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4));
        assert_eq!(clean, embed_features(&model.image, &features, 6).unwrap(), "statistics did not move");
    }
}
