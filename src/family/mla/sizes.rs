//! Sizes of checkpoints that a configuration says beforehand (`acquire.sizes`).

use crate::config::{Config, SizesConfig};
use crate::tower::TowerConfig;
use crate::{Error, Result};

/// The sizes of the tower and of the embedding, or M-BERT, if they are said.
pub fn said(config: &Config) -> Option<[TowerConfig; 2]> {
    let sizes = &config.acquire().sizes;
    let SizesConfig { width, layers, joint, words, word_width } = *sizes;
    let tower = TowerConfig {
        width,
        hidden: 4 * width,
        layers,
        // It has no part in what is counted.
        heads: 1,
        projection: Some(joint),
        ..TowerConfig::clip()
    };
    let embedding = TowerConfig {
        vocabulary: words,
        width: word_width,
        hidden: 4 * word_width,
        heads: 1,
        ..TowerConfig::bert()
    };
    (width > 0).then_some([tower, embedding])
}

/// Refuses checkpoints that have other sizes than those said.
///
/// # Errors
/// Configuration, naming the first key that is wrong.
pub fn check(config: &Config, tower: &TowerConfig, embedding: &TowerConfig) -> Result<()> {
    let Some([said_tower, said_embedding]) = said(config) else { return Ok(()) };
    let acquire = config.acquire();
    let joint = |tower: &TowerConfig| tower.projection.unwrap_or(tower.width);
    let mut sizes = vec![
        ("width", said_tower.width, tower.width),
        ("layers", said_tower.layers, tower.layers),
        ("joint", joint(&said_tower), joint(tower)),
    ];
    // A new one has the sizes of `acquire.fresh`.
    if acquire.embedding.is_some() {
        sizes.push(("words", said_embedding.vocabulary, embedding.vocabulary));
        sizes.push(("word_width", said_embedding.width, embedding.width));
    }
    match sizes.into_iter().find(|(_, said, there)| said != there) {
        None => Ok(()),
        Some((key, said, there)) => {
            let what = format!("`acquire.sizes.{key}` is {said}, and the checkpoint has {there}");
            Err(Error::config(what).hint("set it to that, or give the checkpoint that was meant"))
        }
    }
}
