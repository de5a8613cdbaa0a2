//! What reads the sentences of an acquisition that has not begun.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data::foreign_texts;
use super::words::Words;
use crate::Result;
use crate::config::{AcquireEncoder, Config};
use crate::corpus::Corpus;
use crate::tower::{TowerConfig, TowerTokenizer};

/// What will read the sentences of each language of a corpus; nothing where a checkpoint is not at hand.
pub fn readers(config: &Config, corpus: &Corpus) -> Result<Option<Vec<Arc<TowerTokenizer>>>> {
    let acquire = config.acquire();
    let missing = |folder: &&PathBuf| !folder.join("config.json").exists();
    let Some(tower) = acquire.tower.as_ref().filter(|tower| !missing(tower)) else { return Ok(None) };
    if acquire.embedding.as_ref().is_some_and(|folder| missing(&folder)) {
        return Ok(None);
    }
    let open = |folder: &Path| {
        let sizes = TowerConfig::read(&folder.join("config.json"))?;
        Ok((TowerTokenizer::open(&folder.join("tokenizer.json"), &sizes)?, sizes))
    };
    let (own, sizes) = open(tower)?;
    let words = match &acquire.embedding {
        Some(folder) => open(folder)?.0,
        None => Words::new(config, || foreign_texts(config, corpus))?.tokenizer,
    };
    let words = match acquire.encoder {
        AcquireEncoder::Tower => words.with_context(sizes.tokens()),
        AcquireEncoder::Bert => words,
    };
    let [own, words] = [own, words].map(Arc::new);
    let of = |language: &String| match *language == acquire.own && !acquire.own_too() {
        true => own.clone(),
        false => words.clone(),
    };
    Ok(Some(corpus.languages.iter().map(of).collect()))
}
