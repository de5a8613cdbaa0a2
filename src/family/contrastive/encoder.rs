//! Where an encoder comes from: a checkpoint, another run, or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::RunFolder;
use crate::config::{Config, FamilyName, SentencePooling};
use crate::corpus::Corpus;
use crate::init::Init;
use crate::tower::{Pooled, Tower, TowerConfig, TowerTokenizer};
use crate::words::{HuggingFace, with_dotless};
use crate::write::write_whole;
use crate::{Error, Result};

/// The folder of a run that holds its encoder: sizes, tokenizer, and what else the checkpoint had of small files.
pub(super) const FOLDER: &str = "encoder";
const SIZES: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Files that transformers reads beside these two.
const FURTHER: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];
/// All of them.
pub(super) const FILES: [&str; 4] = [SIZES, TOKENIZER, FURTHER[0], FURTHER[1]];

/// Tokens at the beginning and at the end of a text of an encoder that begins anew, as BERT's.
const ENDS: [&str; 2] = ["[CLS]", "[SEP]"];

/// An encoder by its sizes, and what reads texts for it.
pub(super) struct Encoder {
    /// As the configuration wants them: its pooling.
    pub sizes: TowerConfig,
    /// Cuts sentences to the configuration's context.
    pub tokenizer: TowerTokenizer,
    /// Small files by name, as a run keeps them.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// The folder with the weights, if there is one.
    weights: Option<PathBuf>,
}

/// The folder that the encoder's small files are read from; nothing for one that begins anew.
///
/// # Errors
/// Data, for a run to begin with that is none of this family.
fn source(config: &Config) -> Result<Option<PathBuf>> {
    let contrastive = config.contrastive();
    let Some(run) = &contrastive.start else { return Ok(contrastive.checkpoint.clone()) };
    match RunFolder::new(run).config()?.family() {
        FamilyName::Contrastive => Ok(Some(run.join(FOLDER))),
        other => Err(Error::data(format!("is a run of the family \"{}\"", other.as_str()))
            .at(run)
            .hint("`contrastive.start` takes a run of the family \"contrastive\"")),
    }
}

/// Sizes with the pooling that the configuration wants.
fn pooled(config: &Config, sizes: TowerConfig) -> TowerConfig {
    let pooled = match config.contrastive().pooling {
        None => sizes.pooled,
        Some(SentencePooling::First) => Pooled::First,
        Some(SentencePooling::Mean) => Pooled::Mean,
        Some(SentencePooling::Last) => Pooled::Last,
    };
    TowerConfig { pooled, ..sizes }
}

/// The sizes of an encoder that begins anew, with so many tokens.
fn fresh(config: &Config, vocabulary: usize) -> TowerConfig {
    let (contrastive, fresh) = (config.contrastive(), &config.contrastive().fresh);
    TowerConfig {
        vocabulary,
        context: contrastive.context,
        width: fresh.width,
        hidden: fresh.hidden,
        layers: fresh.layers,
        heads: fresh.heads,
        pooled: Pooled::Mean,
        case_of_language: true,
        ..TowerConfig::bert()
    }
}

/// Refuses towers that are no encoders.
fn read(path: &Path) -> Result<TowerConfig> {
    let sizes = TowerConfig::read(path)?;
    match sizes.architecture.causal() {
        false => Ok(sizes),
        true => Err(Error::data("is the text tower of a CLIP, whose tokens see those before them alone")
            .at(path)
            .hint("give the folder of a multilingual encoder: BERT, RoBERTa, XLM-R or DistilBERT")),
    }
}

impl Encoder {
    /// The sizes that the configuration announces, without reading a text: a vocabulary that is learnt has as many tokens as it may.
    ///
    /// # Errors
    /// Data, where a checkpoint's configuration cannot be read, or a run to begin with is none of this family.
    pub fn announced(config: &Config) -> Result<TowerConfig> {
        match source(config)? {
            Some(folder) => Ok(pooled(config, read(&folder.join(SIZES))?)),
            None => Ok(pooled(config, fresh(config, config.contrastive().fresh.vocabulary))),
        }
    }

    /// The encoder of a configuration, without its weights. A new vocabulary is learnt of the training captions and the sentence pairs.
    ///
    /// # Errors
    /// Data: files of a checkpoint that cannot be used, another run than one of this family, no captions; run, where no tokenizer can be
    /// learnt.
    pub fn sized(config: &Config, corpus: &Corpus) -> Result<Encoder> {
        match source(config)? {
            Some(folder) => {
                let mut files = vec![
                    (SIZES, TowerConfig::whole_file(&folder)?),
                    (TOKENIZER, HuggingFace::read(&folder.join(TOKENIZER))?),
                ];
                for name in FURTHER {
                    let path = folder.join(name);
                    if path.exists() {
                        files.push((name, fs::read(&path).map_err(|e| Error::reading(&path, e))?));
                    }
                }
                let sizes = read(&folder.join(SIZES))?;
                let tokenizer = TowerTokenizer::open(&folder.join(TOKENIZER), &sizes)?;
                Ok(Self::of(config, sizes, tokenizer, files, Some(folder)))
            }
            None => {
                let texts = texts(corpus)?;
                let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
                let words = HuggingFace::train(&texts, config.contrastive().fresh.vocabulary, ENDS)?;
                let sizes = fresh(config, words.size());
                let json = pooled(config, sizes.clone()).to_json(words.id(ENDS[0]).expect("a special token"));
                let files = vec![(SIZES, json.into_bytes()), (TOKENIZER, words.to_json()?.into_bytes())];
                let tokenizer = TowerTokenizer::new(words, Path::new(TOKENIZER), &sizes)?;
                Ok(Self::of(config, sizes, tokenizer, files, None))
            }
        }
    }

    /// The encoder that a run keeps.
    ///
    /// # Errors
    /// Data, where its files cannot be used.
    pub fn kept(config: &Config, run: &Path) -> Result<Encoder> {
        let folder = run.join(FOLDER);
        let sizes = TowerConfig::read(&folder.join(SIZES))?;
        let tokenizer = TowerTokenizer::open(&folder.join(TOKENIZER), &sizes)?;
        Ok(Self::of(config, sizes, tokenizer, Vec::new(), None))
    }

    fn of(
        config: &Config,
        sizes: TowerConfig,
        tokenizer: TowerTokenizer,
        files: Vec<(&'static str, Vec<u8>)>,
        weights: Option<PathBuf>,
    ) -> Encoder {
        let context = config.contrastive().context.min(sizes.tokens());
        // So the folder for sentence-transformers cuts sentences as training did.
        let most_tokens = (context < sizes.context).then_some(context);
        let sizes = TowerConfig { most_tokens, ..pooled(config, sizes) };
        Encoder { sizes, tokenizer: tokenizer.with_context(context), files, weights }
    }

    /// The tower: with the weights of a checkpoint, or as it starts.
    ///
    /// # Errors
    /// Data, where the weights cannot be read.
    pub fn tower(&self, config: &Config, seed: u64) -> Result<Tower> {
        let weights = self.weights.as_ref().filter(|_| config.contrastive().start.is_none());
        match weights {
            None => Ok(Tower::new(self.sizes.clone(), &mut Init::new(seed))),
            Some(folder) => {
                let mut tower = Tower::open(folder)?;
                tower.set_pooling(self.sizes.pooled);
                tower.config.most_tokens = self.sizes.most_tokens;
                Ok(tower)
            }
        }
    }
}

/// Writes an encoder's small files into a run.
///
/// # Errors
/// Run, where one cannot be written.
pub(super) fn write_files(run: &Path, files: &[(&'static str, Vec<u8>)]) -> Result<()> {
    let folder = run.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
    files.iter().try_for_each(|(name, bytes)| write_whole(&folder.join(name), bytes))
}

/// Sentences of the pairs that a vocabulary is learnt from, of each text and language at most: as many as make one that is large enough.
const SENTENCES: u64 = 200_000;

/// What a vocabulary is learnt from: the training captions of all languages and the sentence pairs.
fn texts(corpus: &Corpus) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for (language, captions) in corpus.languages.iter().zip(&corpus.train.captions) {
        texts.extend(captions.iter().map(|c| with_dotless(&c.text, language).into_owned()));
    }
    for (n, text) in corpus.pairs.texts.iter().enumerate() {
        for line in 0..text.lines().min(SENTENCES) {
            for &l in text.languages() {
                let sentence = corpus.pairs.sentence(n, line, l);
                texts.extend(sentence.map(|s| with_dotless(&s, &corpus.languages[l]).into_owned()));
            }
        }
    }
    match texts.is_empty() {
        true => Err(Error::data("the training split has no captions")),
        false => Ok(texts),
    }
}
