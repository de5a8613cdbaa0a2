//! The words of acquired languages: a multilingual checkpoint's, or new ones.

use std::path::Path;

use crate::config::Config;
use crate::init::Init;
use crate::ops::rows::Table;
use crate::seed::derive;
use crate::tower::{TowerConfig, TowerTokenizer, token_embedding};
use crate::words::HuggingFace;
use crate::{Error, Result};

/// Where sentences of other languages enter: how texts become ids, and the vector of each.
pub struct Words {
    /// `config.json` and `tokenizer.json`, as the run keeps them.
    pub files: [Vec<u8>; 2],
    /// Those of the checkpoint, or of the smallest M-BERT with such an embedding.
    pub sizes: TowerConfig,
    /// What makes ids of texts.
    pub tokenizer: TowerTokenizer,
    /// (vocabulary, width)
    pub table: Table,
}

/// The names of [`Words::files`].
pub const FILES: [&str; 2] = ["config.json", "tokenizer.json"];

impl Words {
    /// Those of `acquire.embedding`; where there is none, new ones for these texts, in the case of their languages.
    ///
    /// # Errors
    /// Data, where the checkpoint's files cannot be used; run, where no tokenizer can be learnt; those of `texts`.
    pub fn new(config: &Config, texts: impl FnOnce() -> Result<Vec<String>>) -> Result<Words> {
        match &config.acquire().embedding {
            Some(folder) => {
                let (sizes, table) = token_embedding(folder)?;
                let tokenizer = TowerTokenizer::open(&folder.join("tokenizer.json"), &sizes)?;
                let table = Table::new(sizes.width, table);
                Ok(Words { files: small_files(folder)?, sizes, tokenizer, table })
            }
            None => Self::fresh(config, &texts()?),
        }
    }

    fn fresh(config: &Config, texts: &[String]) -> Result<Words> {
        let fresh = &config.acquire().fresh;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let words = HuggingFace::train(&texts, fresh.vocabulary, ENDS)?;
        // Nothing but the embedding is read of it.
        let sizes = TowerConfig {
            vocabulary: words.size(),
            width: fresh.width,
            hidden: fresh.width,
            layers: 1,
            heads: 1,
            case_of_language: true,
            ..TowerConfig::bert()
        };
        let files = [sizes.to_json(0).into_bytes(), words.to_json()?.into_bytes()];
        let mut init = Init::new(derive(config.seed(), "embedding", 0));
        let table = Table::new(fresh.width, init.uniform(sizes.vocabulary * fresh.width, START));
        let tokenizer = TowerTokenizer::new(words, Path::new("tokenizer.json"), &sizes)?;
        Ok(Words { files, sizes, tokenizer, table })
    }

    /// Those that a run keeps; the table is still empty. `held`: how many numbers the run has, at most.
    ///
    /// # Errors
    /// Data: a configuration or tokenizer that cannot be used, or an embedding of more numbers than the run holds.
    pub fn kept(folder: &Path, held: u64) -> Result<Words> {
        let path = folder.join("config.json");
        let sizes = TowerConfig::read(&path)?;
        if sizes.vocabulary as u128 * sizes.width as u128 > u128::from(held) {
            let what =
                format!("asks for {} × {} numbers, more than the run has", sizes.vocabulary, sizes.width);
            return Err(Error::data(what).at(&path).hint("the run is damaged: copy it again"));
        }
        let tokenizer = TowerTokenizer::open(&folder.join("tokenizer.json"), &sizes)?;
        let table = Table::new(sizes.width, vec![0.0; sizes.vocabulary * sizes.width]);
        Ok(Words { files: [Vec::new(), Vec::new()], sizes, tokenizer, table })
    }
}

/// Tokens at the beginning and at the end of a text, as M-BERT has them.
const ENDS: [&str; 2] = ["[CLS]", "[SEP]"];
/// Fresh vectors begin uniformly in ± this: as long as M-BERT's, about.
const START: f32 = 0.08;

/// The sizes and the tokenizer of a checkpoint.
///
/// # Errors
/// Data, where one of them cannot be read.
pub fn small_files(from: &Path) -> Result<[Vec<u8>; 2]> {
    Ok([TowerConfig::whole_file(from)?, HuggingFace::read(&from.join(FILES[1]))?])
}
