//! The words part of a run folder: vocabularies, slots, scorer, FastText vectors. Written once, before training.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::embedding::HybridEmbedding;
use super::embedding::characters::{CharacterWords, Spellings};
use super::embedding::hybrid::OwnWords;
use super::model::Model;
use super::sizes::{self, WordSizes};
use crate::checkpoint::{DAMAGED, MIXED, RunFolder, Stored, TensorFile, VERSION, json, write_tensors};
use crate::checkpoint::{RunInfo, TrainState, Which};
use crate::config::{Config, EmbeddingKind, Unseen};
use crate::family::smalr::embedding::encoder::Encoder;
use crate::family::smalr::embedding::lexicon::Translations;
use crate::family::smalr::embedding::{Lexicon, Scorer, Slot};
use crate::init::Init;
use crate::numbers::Format;
use crate::ops::leaf::Leaf;
use crate::ops::linear::LinearWeights;
use crate::ops::rows::Table;
use crate::ops::tape::{data, data1, matrix, vector};
use crate::words::{Segmenter, Vocabulary, WordVectors};
use crate::write::write_whole;
use crate::{Error, Result, names};

impl RunFolder {
    /// Writes the words part.
    ///
    /// # Errors
    /// Data, where a language is no code; run, where a file cannot be written.
    pub fn write_words(&self, encoder: &Encoder) -> Result<()> {
        self.write_words_as(encoder, [Format::F32; 2])
    }

    /// As [`Self::write_words`], the scorer's layers in the first format, its keys in the second.
    ///
    /// # Errors
    /// As [`Self::write_words`].
    pub fn write_words_as(&self, encoder: &Encoder, formats: [Format; 2]) -> Result<()> {
        let [layers, rows] = formats;
        let folder = self.path.join("words");
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        let lexicon = &encoder.lexicon;
        let mut slots = BTreeMap::new();
        for (l, language) in lexicon.languages.iter().enumerate() {
            lexicon.vocabularies[l].write(&names::file(&folder, language, "words")?)?;
            slots.insert(
                language.clone(),
                lexicon.slots[l]
                    .iter()
                    .map(|s| match s {
                        Slot::Latent(t) => *t as i64,
                        // A word of a vocabulary is of its own language.
                        Slot::Own(_) | Slot::Other { .. } => -1,
                    })
                    .collect(),
            );
            if let Some(vectors) = encoder.vectors.get(l) {
                vectors.save(&names::file(&folder, language, vectors.extension())?)?;
            }
        }
        let translations = lexicon.translations.as_ref().map(|t| {
            let words = lexicon.languages.iter().cloned().zip(t.words.iter().cloned()).collect();
            TranslationsFile { into: lexicon.languages[t.into].clone(), words }
        });
        let alphabet = lexicon.spellings.as_ref().map(|s| s.alphabet().iter().collect());
        let latents = lexicon.latents;
        LexiconFile { version: VERSION, latents, slots, translations, alphabet }.write(self)?;
        let mut tensors = Vec::new();
        for (layer, language) in encoder.scorer.layers.iter().zip(&lexicon.languages) {
            let (rows, columns) = dims(layer);
            let mut push = |part: &str, shape: &[usize], x| {
                tensors.extend(Stored::of(layers, &format!("{language}.{part}"), shape, x));
            };
            push("weight", &[rows, columns], data(&layer.weight));
            push("bias", &[rows], data1(&layer.bias));
        }
        let keys = &encoder.scorer.keys;
        // Earlier programs read a vector; none of them reads other formats.
        let shape = match rows {
            Format::Int8 | Format::Int4 | Format::Pq if !keys.is_empty() => {
                vec![lexicon.latents, keys.len() / lexicon.latents]
            }
            _ => vec![keys.len()],
        };
        tensors.extend(Stored::of(rows, "keys", &shape, keys));
        write_tensors(&folder.join("scorer.safetensors"), tensors)
    }

    /// Reads the words part.
    ///
    /// # Errors
    /// Data, naming the file: missing, not as it was written, or not of this configuration; config, where a segmenter cannot be had.
    pub fn read_words(&self, config: &Config, languages: &[String]) -> Result<Encoder> {
        let folder = self.path.join("words");
        let path = self.path.join(LEXICON);
        let file = LexiconFile::read(self)?;
        let scorer_path = folder.join("scorer.safetensors");
        let stored = TensorFile::open(&scorer_path)?;
        let characters = config.embedding().kind == EmbeddingKind::Characters;
        if characters != file.alphabet.is_some() {
            let what = "the lexicon is not of the configuration's `embedding.kind`";
            return Err(Error::data(what).at(&path).hint(MIXED));
        }
        let length = config.embedding().characters.length;
        let spellings = file.alphabet.map(|a| Arc::new(Spellings::new(a.chars().collect(), length)));
        let (mut vocabularies, mut slots, mut segmenters) = (Vec::new(), Vec::new(), Vec::new());
        let (mut vectors, mut layers) = (Vec::new(), Vec::new());
        for language in languages {
            let vocabulary = Vocabulary::read(&names::file(&folder, language, "words")?)?;
            let list = file.slots.get(language).filter(|s| s.len() == vocabulary.len()).ok_or_else(|| {
                Error::data(format!("the slots of `{language}` do not fit its {} words", vocabulary.len()))
                    .at(&path)
                    .hint(DAMAGED)
            })?;
            slots.push(read_slots(list, file.latents, &path)?);
            vocabularies.push(vocabulary);
            segmenters.push(Segmenter::new(language, config.words(), &self.path)?);
            if spellings.is_some() {
                continue;
            }
            let place = |ending| names::file(&folder, language, ending);
            let [binary, ngrams, text] = [place("bin")?, place("ngrams")?, place("vec")?];
            let file = [&binary, &ngrams].into_iter().find(|file| file.exists()).unwrap_or(&text);
            if !file.exists() && config.embedding().unseen == Unseen::Drop {
                // A packed run that leaves unseen words out.
                continue;
            }
            // Nothing in a run's folder is written over in place: what is made of the run shares the file.
            vectors.push(WordVectors::open_kept(file)?);
            let (weight, shape) = stored.floats(&format!("{language}.weight"))?;
            let (bias, _) = stored.floats(&format!("{language}.bias"))?;
            let (rows, columns) = (config.embedding().width, vectors[vectors.len() - 1].width());
            if shape != [rows, columns] || bias.len() != rows {
                let what = format!("`{language}.weight` has shape {shape:?}, not {:?}", [rows, columns]);
                return Err(Error::data(what).at(&scorer_path).hint(MIXED));
            }
            layers.push(LinearWeights::new(matrix(weight, rows, columns), vector(bias)));
        }
        let (keys, _) = stored.floats("keys")?;
        let score = config.embedding().pretrain.score;
        let key_width = Scorer::key_width(score, config.embedding().width);
        let left_out = keys.is_empty() && vectors.is_empty() && config.embedding().unseen == Unseen::Drop;
        if !left_out && file.latents.checked_mul(key_width) != Some(keys.len()) {
            let what = format!("`keys` has {} numbers for {} latent tokens", keys.len(), file.latents);
            return Err(Error::data(what).at(&scorer_path).hint(MIXED));
        }
        let translations = file.translations.map(|t| t.read(languages, &vocabularies, &path)).transpose()?;
        let lexicon = Lexicon {
            languages: languages.to_vec(),
            vocabularies,
            slots,
            latents: file.latents,
            translations,
            spellings,
        };
        let scorer = Scorer { layers, keys, score };
        self.check_files("words")?;
        Ok(Encoder { lexicon, segmenters, vectors, scorer, unseen: config.embedding().unseen })
    }
}

/// `words/lexicon.json`: −1 for a word with a vector of its own, whose rows have the order of these words, else its latent token, in the order of the
/// vocabulary.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LexiconFile {
    version: u32,
    pub latents: usize,
    pub slots: BTreeMap<String, Vec<i64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translations: Option<TranslationsFile>,
    /// The characters that words are made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alphabet: Option<String>,
}

impl LexiconFile {
    /// That of a run.
    ///
    /// # Errors
    /// Data: missing, of another version, or not as it was written.
    pub fn read(run: &RunFolder) -> Result<LexiconFile> {
        json::read_versioned(&run.path.join(LEXICON), "a lexicon")
    }

    /// Writes it into a run whose folder of words is there.
    ///
    /// # Errors
    /// Run, where the file cannot be written.
    pub fn write(&self, run: &RunFolder) -> Result<()> {
        write_whole(&run.path.join(LEXICON), serde_json::to_string(self).expect("plain data").as_bytes())
    }
}

const LEXICON: &str = "words/lexicon.json";

/// By language, a rare word and the id of the word of the language `into` that it is read as.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TranslationsFile {
    into: String,
    words: BTreeMap<String, BTreeMap<String, u32>>,
}

impl TranslationsFile {
    fn read(
        mut self,
        languages: &[String],
        vocabularies: &[Vocabulary],
        path: &Path,
    ) -> Result<Translations> {
        let damaged = |what: String| Error::data(what).at(path).hint(DAMAGED);
        let into = languages.iter().position(|l| *l == self.into);
        let into = into.ok_or_else(|| damaged(format!("translations into the unknown `{}`", self.into)))?;
        let mut words = Vec::new();
        for language in languages {
            let some = self.words.remove(language);
            words.push(some.ok_or_else(|| damaged(format!("no translations of `{language}`")))?);
        }
        let count = vocabularies[into].len();
        match words.iter().flatten().find(|(_, id)| **id as usize >= count) {
            Some((word, id)) => Err(damaged(format!("`{word}` is translated to word {id} of {count}"))),
            None => Ok(Translations { into, words }),
        }
    }
}

fn read_slots(list: &[i64], latents: usize, path: &Path) -> Result<Vec<Slot>> {
    let mut own = 0;
    let slot = |&t: &i64| match t {
        -1 => {
            own += 1;
            Ok(Slot::Own(own - 1))
        }
        t if t >= 0 && (t as usize) < latents => Ok(Slot::Latent(t as u32)),
        t => Err(Error::data(format!("slot {t} of {latents} latent tokens")).at(path).hint(DAMAGED)),
    };
    list.iter().map(slot).collect()
}

fn dims(layer: &LinearWeights) -> (usize, usize) {
    use dfdx::prelude::HasShape;
    *layer.weight.shape()
}
impl RunFolder {
    /// The model and reader of a finished or running run, without its training data.
    ///
    /// # Errors
    /// As [`Self::open_with`].
    pub fn open(&self, which: Which) -> Result<(Config, RunInfo, Encoder, Model, TrainState)> {
        self.open_with(which, &[])
    }

    /// As [`Self::open`], with `key=value`s set over the configuration.
    ///
    /// # Errors
    /// Data, for a run that is not whole or has no such checkpoint; config or usage, for settings that cannot be used.
    pub fn open_with(
        &self,
        which: Which,
        set: &[String],
    ) -> Result<(Config, RunInfo, Encoder, Model, TrainState)> {
        // The description first: it says whether the rest can be read.
        let (info, config) = (self.info()?, self.config_with(set)?);
        if !self.has(which) {
            return Err(Error::data(format!("the run has no `{}` checkpoint", which.name()))
                .at(&self.path)
                .hint("let it train for an epoch first"));
        }
        let encoder = self.read_words(&config, &info.languages)?;
        let mut model = self.empty_model(which, &config, &info, &encoder)?;
        let state = self.read_model(which, &mut model)?;
        // A change that shows in shapes was told by the model's file.
        self.check_config()?;
        Ok((config, info, encoder, model, state))
    }
}

impl RunFolder {
    /// A model of the right shape, to be filled from a checkpoint.
    ///
    /// # Errors
    /// Data, where the checkpoint holds more or less than such a model: nothing of a wrong size is made.
    pub fn empty_model(
        &self,
        which: Which,
        config: &Config,
        info: &RunInfo,
        encoder: &Encoder,
    ) -> Result<Model> {
        let words = WordSizes::of(&encoder.lexicon, encoder.vector_width());
        let parts = sizes::parts(config, &words, info.features);
        self.check_count(which, parts.iter().map(|part| part.trained + part.fixed).sum())?;
        let embedding = empty_embedding(config, &encoder.lexicon, encoder.vector_width());
        Ok(Model::new(config, embedding, info.features, 0))
    }
}

/// An embedding of the right shape, to be filled from a checkpoint.
pub fn empty_embedding(config: &Config, lexicon: &Lexicon, fasttext: usize) -> HybridEmbedding {
    let e = config.embedding();
    let word_width = if e.word_width == 0 { fasttext } else { e.word_width };
    let zero_layer = |word_width: usize| {
        LinearWeights::new(
            matrix(vec![0.0; e.width * word_width], e.width, word_width),
            vector(vec![0.0; e.width]),
        )
    };
    let own = |l: usize| {
        let rows = lexicon.own(l);
        let width = match config.added().get(&lexicon.languages[l]) {
            Some(added) => added.word_width,
            None => word_width,
        };
        match rows {
            0 => OwnWords::none(),
            _ => OwnWords { words: Table::new(width, vec![0.0; rows * width]), layer: zero_layer(width) },
        }
    };
    let any = e.top_k > 0 || config.added().values().any(|added| added.words > 0);
    let languages = if lexicon.spellings.is_none() && any { lexicon.languages.len() } else { 0 };
    let spelled = |s: &Arc<Spellings>| CharacterWords::new(e, s.clone(), &mut Init::new(0));
    HybridEmbedding {
        latents: Table::new(e.width, vec![0.0; lexicon.latents * e.width]),
        own: (0..languages).map(own).collect(),
        mask: (config.loss().mclm.lstm > 0.0).then(|| Leaf::trained(matrix(vec![0.0; e.width], 1, e.width))),
        characters: lexicon.spellings.as_ref().map(spelled),
    }
}
