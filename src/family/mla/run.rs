//! The run folder of multilingual acquisition: how it begins and goes on, and the languages added to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo, TrainState, Which, description};
use crate::config::{AcquireEncoder, Config, same_code};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, fingerprint};
use crate::error::Kind;
use crate::eval::{DualEncoder, Parameters};
use crate::family::mla::data::{Source, check_counts, check_width, foreign_texts, translations};
use crate::family::mla::model::Whole;
use crate::family::mla::words::{FILES, Words, small_files};
use crate::family::mla::{Acquirer, Bert, Encoder, Form, InputEmbedding, Mla, sizes};
use crate::init::Init;
use crate::loss::scale::log_scale;
use crate::ops::leaf::Leaf;
use crate::optim::{Adam, digest, freeze, parameters_by_part};
use crate::retrieve::{Retriever, same_languages};
use crate::seed::derive;
use crate::tower::{Tensors, Tower, TowerConfig, TowerTokenizer};
use crate::write::{clear_partial_of, copy_files, write_whole};
use crate::{Error, Result, names};

/// A trained model and its folder.
pub struct MlaRun {
    /// Where it is kept.
    pub folder: RunFolder,
    /// The configuration that the run keeps.
    pub config: Config,
    /// Its `run.json`.
    pub info: RunInfo,
    /// The tower and its acquirers.
    pub mla: Mla,
    /// Numbers of parameters, trained and needed for queries.
    pub parameters: Parameters,
    /// Where training stood at the checkpoint that was read.
    pub state: TrainState,
}

/// Where a run keeps its tower; the tokenizer and sizes of the embedding, or all of M-BERT; the acquirers added to it.
pub(super) const TOWER: &str = "tower";
pub(super) const EMBEDDING: &str = "embedding";
pub(super) const ACQUIRERS: &str = "acquirers";

/// The folder of the tower.
fn tower_of(config: &Config) -> &Path {
    config.acquire().tower.as_deref().expect("a checked configuration of acquisition has a tower")
}

/// The languages that a run was trained on; those added to it have files of their own.
fn trained(config: &Config) -> impl Iterator<Item = &String> {
    config.data().languages.iter().filter(|l| !config.added().contains_key(*l))
}

/// The folder of a whole M-BERT.
fn embedding_of(config: &Config) -> &Path {
    config.acquire().embedding.as_deref().expect("a checked configuration with M-BERT names its folder")
}

/// A frozen tower that is still empty, of the sizes in its folder: that of a packed run.
fn empty_tower(folder: &Path) -> Result<Tower> {
    let mut tower = Tower::new(TowerConfig::read(&folder.join("config.json"))?, &mut Init::new(0));
    freeze(&mut tower, |_| true);
    Ok(tower)
}

/// The model around a tower and an encoder that `open` opens, all else as it starts; `own_too` says whether the tower's language is acquired.
fn around(config: &Config, words: Words, own_too: bool, open: fn(&Path) -> Result<Tower>) -> Result<Mla> {
    let (acquire, folder) = (config.acquire(), tower_of(config));
    let tower = open(folder)?;
    let tokenizer = TowerTokenizer::open(&folder.join("tokenizer.json"), &tower.config)?;
    let mut init = Init::new(derive(config.seed(), "model", 0));
    let encoder = match acquire.encoder {
        AcquireEncoder::Tower => {
            let entering = words.tokenizer.with_context(tower.config.tokens());
            let mut entrance = InputEmbedding::new(entering, words.table, tower.config.width, &mut init);
            if !acquire.train_embedding {
                freeze(&mut entrance, |name| name == "entrance.table");
            }
            Encoder::Tower(Box::new(entrance.with_rank(acquire.rank, &mut init)))
        }
        AcquireEncoder::Bert => {
            let bert = open(embedding_of(config))?;
            Encoder::Bert(Box::new(Bert::new(bert, words.tokenizer, tower.outputs(), &mut init)))
        }
    };
    let scale = acquire.le.learn_temperature.then(|| Leaf::trained(log_scale(acquire.le.temperature)));
    let own = acquire.own.clone();
    let mut mla = Mla { tower, tokenizer, own, encoder, acquirers: Vec::new(), scale };
    let languages = trained(config).filter(|l| own_too || **l != acquire.own);
    let new = |l: &String| Acquirer::new(l, &Form::of(acquire), mla.size(), &mut init);
    mla.acquirers = languages.map(new).collect();
    Ok(mla)
}

impl MlaRun {
    /// Begins a run: writes the folder with the tower, both tokenizers and a checkpoint of step 0.
    ///
    /// # Errors
    /// Data: test captions among what is trained on; translations, features or checkpoints that cannot be used. Config, for sizes that do
    /// not fit; run, where the folder cannot be written.
    pub fn begin(config: &Config, corpus: &Corpus, place: ReservedFolder) -> Result<MlaRun> {
        refuse_test_leak(&translations(config, corpus), &|_, text| {
            text.split_whitespace().map(String::from).collect()
        })?;
        let others: Vec<&str> =
            trained(config).map(String::as_str).filter(|l| *l != config.acquire().own).collect();
        check_counts(&Source::all(config, &others))?;
        let words = Words::new(config, || foreign_texts(config, corpus))?;
        let (files, embedding) = (words.files.clone(), words.sizes.clone());
        let mut mla = around(config, words, config.acquire().own_too(), Tower::open)?;
        sizes::check(config, &mla.tower.config, &embedding)?;
        check_width(&mla, &corpus.train.features)?;
        let (parameters, data) = (mla.parameters(), data_hash(config, corpus)?);
        let info = description(config, corpus, &mut mla, parameters, data);
        let folder = place.fill(|run| {
            let (tower, embedding) = (run.path.join(TOWER), run.path.join(EMBEDDING));
            write_small(&tower, &small_files(tower_of(config))?)?;
            copy_text_tensors(tower_of(config), &tower)?;
            write_small(&embedding, &files)?;
            if config.acquire().encoder == AcquireEncoder::Bert {
                copy_text_tensors(embedding_of(config), &embedding)?;
            }
            let first = (&Adam::new(config.train(), 1), &BTreeMap::new());
            run.save(Which::Latest, &mut mla, Some(first), &TrainState::start())?;
            write_config(run, config)?;
            run.write_info(&info)
        })?;
        let config = folder.config()?;
        Ok(MlaRun { folder, config, info, mla, parameters, state: TrainState::start() })
    }

    /// A run to go on with.
    ///
    /// # Errors
    /// Data: other training data than the run was begun with, or a damaged run; run, where `config.toml` cannot be written.
    pub fn go_on(earlier: Earlier, corpus: &Corpus) -> Result<MlaRun> {
        let hash = data_hash(earlier.config(), corpus)?;
        let (folder, config, _) = earlier.with_data(&hash)?;
        write_config(&folder, &config)?;
        Self::read(folder, Which::Latest, &[])
    }

    /// Opens the best checkpoint, with the languages added to the run.
    ///
    /// # Errors
    /// Data, for a run that is not whole, or an acquirer of another base; usage, for languages set over those of the run; config, for
    /// settings that cannot be used.
    pub fn open(path: &Path, set: &[String]) -> Result<MlaRun> {
        let mut run = Self::read(RunFolder::new(path), Which::Best, set)?;
        let mut files = run.added()?;
        if !files.is_empty() {
            let base = run.mla.base();
            let read = |files: &[PathBuf]| -> Result<Vec<Acquirer>> {
                files.iter().map(|file| run.read_acquirer(file, &base)).collect()
            };
            let mut acquirers = read(&files);
            while acquirers.is_err() && run.added()? != files {
                // One was taken out meanwhile.
                files = run.added()?;
                acquirers = read(&files);
            }
            acquirers?.into_iter().for_each(|acquirer| run.mla.add(acquirer));
            run.parameters = run.mla.parameters();
        }
        match run.config.added().keys().find(|language| run.mla.way(language).is_none()) {
            Some(language) => Err(Error::data(format!("the acquirer of `{language}` is missing"))
                .at(path.join(ACQUIRERS))
                .hint("the run is damaged: copy it again")),
            None => Ok(run),
        }
    }

    pub(super) fn read(folder: RunFolder, which: Which, set: &[String]) -> Result<MlaRun> {
        let (info, config) = (folder.info()?, folder.config_with(set)?);
        if !folder.has(which) {
            return Err(Error::data("the run has no checkpoint to read")
                .at(&folder.path)
                .hint("let it train for an epoch first"));
        }
        same_languages(&folder, &config, &info)?;
        // Before English went through M-BERT too, it went the tower's way; such a run has no acquirer of it.
        let own = format!("acquirer.{}", config.acquire().own);
        let own_too = info.parameters.iter().any(|(part, _)| *part == own);
        let embedding = folder.path.join(EMBEDDING);
        let whole = fs::metadata(embedding.join("model.safetensors")).map_or(0, |file| file.len());
        let (packed, held) = (info.packed.is_some(), whole + folder.model_bytes(which)?);
        // A number takes two bytes at least, and two bits where it was packed.
        let words = Words::kept(&embedding, if packed { held.saturating_mul(4) } else { held / 2 })?;
        let mut mla = around(&config, words, own_too, if packed { empty_tower } else { Tower::open })?;
        let state = match packed {
            true => folder.read_model(which, &mut Whole(&mut mla))?,
            false => folder.read_model(which, &mut mla)?,
        };
        folder.check_config()?;
        [TOWER, EMBEDDING].into_iter().try_for_each(|part| folder.check_files(part))?;
        let parameters = mla.parameters();
        Ok(MlaRun { folder, config, info, mla, parameters, state })
    }

    /// The files of the languages added to the run.
    fn added(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.path.join(ACQUIRERS);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).map_err(|e| Error::reading(&folder, e))?;
        let mut files = Vec::new();
        for entry in entries {
            let file = entry.map_err(|e| Error::reading(&folder, e))?.path();
            if file.extension().is_some_and(|e| e == "safetensors") {
                files.push(file);
            }
        }
        files.sort();
        Ok(files)
    }

    fn read_acquirer(&self, file: &Path, base: &str) -> Result<Acquirer> {
        Acquirer::read(file, self.mla.size(), base)
    }

    /// Writes the acquirer of a language to a file of its own, and beside it, as `.md`, what it is.
    ///
    /// # Errors
    /// Usage, where the run has no acquirer of the language; data, where its evaluations cannot be read; run, where a file cannot be
    /// written.
    pub fn export(&mut self, language: &str, file: &Path) -> Result<()> {
        let base = self.mla.base();
        let acquirer =
            self.mla.acquirers.iter().find(|a| same_code(&a.language, language)).ok_or_else(|| {
                let known: Vec<&str> = self.mla.acquirers.iter().map(|a| &a.language[..]).collect();
                Error::usage(format!("the run has no acquirer of `{language}`"))
                    .hint(format!("it has those of `{}`", known.join("`, `")))
            })?;
        let card = file.with_extension("md");
        clear_partial_of(file).and_then(|()| clear_partial_of(&card))?;
        acquirer.write(file, &base)?;
        write_whole(&card, self.card(acquirer, &base)?.as_bytes())
    }

    /// What an acquirer is, for people: its base, its training, its scores.
    fn card(&self, acquirer: &Acquirer, base: &str) -> Result<String> {
        let (info, language, (width, blocks)) = (&self.info, &acquirer.language, self.mla.size());
        let stands_in = match self.mla.encoder {
            Encoder::Tower(_) => format!("an {} text tower read `{language}` (multilingual", self.mla.own),
            Encoder::Bert(_) => {
                format!("multilingual encoder take `{language}` to an {} tower (cross-modal", self.mla.own)
            }
        };
        let stage = |epochs: usize, batch: usize, rate: f32| match epochs {
            0 => "left out".to_string(),
            n => format!("{n} passes, batches of {batch}, learning rate {rate}"),
        };
        let own = self.config.added().get(language).cloned().unwrap_or_default();
        let acquire = own.over(self.config.acquire());
        let (nlt, le) = (&acquire.nlt, &acquire.le);
        let mut card = format!(
            "# Acquirer of `{language}`\n\n\
             Lets a frozen {stands_in} acquisition). tinyglot {}.\n\n\
             - base: {blocks} blocks of width {width}, SHA-256 `{base}`; it fits no other\n\
             - parameters: {}\n\
             - languages of its run: {}; training data SHA-256 `{}`, seed {}\n\
             - translations (NLT): {}\n\
             - captions (LE): {}\n",
            info.tinyglot,
            acquirer.parameters(),
            info.languages.join(", "),
            info.data,
            info.seed,
            stage(nlt.epochs, nlt.batch, nlt.learning_rate),
            stage(le.epochs, le.batch, le.learning_rate),
        );
        for evaluation in self.folder.evaluations()? {
            if let Some((_, r)) = evaluation.languages.iter().find(|(l, _)| l == language) {
                card += &format!(
                    "- {}: mR {:.1}, text to image R@1 {:.1}, R@10 {:.1} ({} captions, {} pictures)\n",
                    evaluation.name(),
                    r.mr,
                    r.t2i.r1,
                    r.t2i.r10,
                    r.captions,
                    evaluation.images
                );
            }
        }
        Ok(card)
    }

    /// Adds the language of a file to the run, in place of an earlier one; returns its code.
    ///
    /// # Errors
    /// Data, where the file is no acquirer, or one of another base; usage, for a language that the run was trained on; run, where the run
    /// cannot be written, or another process does.
    pub fn add(&mut self, file: &Path) -> Result<String> {
        let base = self.mla.base();
        let mut acquirer = self.read_acquirer(file, &base)?;
        if let Some(earlier) = self.mla.acquirers.iter().find(|a| same_code(&a.language, &acquirer.language))
        {
            acquirer.language.clone_from(&earlier.language);
        }
        let language = acquirer.language.clone();
        if same_code(&language, &self.mla.own) || self.info.languages.contains(&language) {
            return Err(Error::usage(format!("the run was trained on `{language}`"))
                .at(file)
                .hint("add it to a run without this language"));
        }
        let _alone = RunFolder::locked(&self.folder.path)?;
        let folder = self.folder.path.join(ACQUIRERS);
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        acquirer.write(&names::file(&folder, &language, "safetensors")?, &base)?;
        self.mla.add(acquirer);
        self.parameters = self.mla.parameters();
        Ok(language)
    }

    /// Takes an added language out of the run.
    ///
    /// # Errors
    /// Usage, for a text that is no code, or a language that was not added; run, where the run cannot be written, or another process
    /// does.
    pub fn remove(&mut self, language: &str) -> Result<()> {
        names::code(language, Kind::Usage)?;
        let _alone = RunFolder::locked(&self.folder.path)?;
        // As the run writes it.
        let known = self.mla.acquirers.iter().find(|a| same_code(&a.language, language));
        let language = &known.map_or(language, |a| &a.language).to_string();
        let file = names::file(&self.folder.path.join(ACQUIRERS), language, "safetensors")?;
        if !file.exists() || self.info.languages.contains(language) {
            return Err(Error::usage(format!("`{language}` was not added to the run by `acquirer add`"))
                .at(&self.folder.path)
                .hint("`tinyglot remove-language` makes a run without any other language"));
        }
        fs::remove_file(&file).map_err(|e| Error::writing(&file, e))?;
        self.mla.remove(language);
        self.parameters = self.mla.parameters();
        Ok(())
    }
}

impl MlaRun {
    /// The languages that it was trained on, the tower's among them; not those that were added.
    pub fn trained_languages(&self) -> Vec<String> {
        trained(&self.config).cloned().collect()
    }

    /// SHA-256 over the base and all that the languages have that the run was trained on: what adding one must leave as it is.
    pub fn shared_hash(&mut self) -> String {
        let trained: Vec<String> = trained(&self.config).map(|l| format!("acquirer.{l}.")).collect();
        let mut hash = Sha256::new();
        hash.update(self.mla.base());
        digest(&mut self.mla, &mut hash, |name| {
            !name.starts_with("acquirer.") || trained.iter().any(|of| name.starts_with(of))
        });
        crate::checksum::sha256(hash)
    }

    /// Counts its parameters again, after languages came or went.
    pub(super) fn count(&mut self) {
        self.parameters = self.mla.parameters();
        self.info.parameters = parameters_by_part(&mut self.mla);
        self.info.parameters_train = self.parameters.train as usize;
        self.info.parameters_test = self.parameters.test as usize;
    }

    /// Writes it to another folder, as a run that has everything but an optimiser; its description comes last.
    ///
    /// # Errors
    /// Data, where a file of this run cannot be read; run, where the folder cannot be written.
    pub fn write(&mut self, to: &RunFolder) -> Result<()> {
        for part in [TOWER, EMBEDDING] {
            copy_files(&self.folder.path.join(part), &to.path.join(part))?;
        }
        let trained: Vec<String> = self.trained_languages();
        // Those of the checkpoint come first.
        let kept = self.mla.acquirers.iter().filter(|a| trained.contains(&a.language)).count();
        let added = self.mla.acquirers.split_off(kept);
        let saved = to.save(Which::Best, &mut self.mla, None, &self.state);
        self.mla.acquirers.extend(added);
        saved?;
        let (folder, base) = (to.path.join(ACQUIRERS), self.mla.base());
        for acquirer in &self.mla.acquirers[kept..] {
            fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
            acquirer.write(&names::file(&folder, &acquirer.language, "safetensors")?, &base)?;
        }
        write_config(to, &self.config)?;
        self.count();
        self.info.tinyglot = env!("CARGO_PKG_VERSION").into();
        to.write_info(&self.info)
    }
}

impl Retriever for MlaRun {
    fn folder(&self) -> &RunFolder {
        &self.folder
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn step(&self) -> usize {
        self.state.step
    }

    fn parameters(&self) -> Parameters {
        self.parameters
    }

    fn encoder(&self) -> Box<dyn DualEncoder + '_> {
        Box::new(self.mla.encoder(self.config.train().precision))
    }
}

/// SHA-256 of what is trained on: the captions and features of the corpus, and the translations.
fn data_hash(config: &Config, corpus: &Corpus) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(fingerprint(corpus)?);
    for files in translations(config, corpus).texts.iter().flatten() {
        for file in files {
            let bytes = fs::read(file).map_err(|e| Error::reading(file, e))?;
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(&bytes);
        }
    }
    Ok(crate::checksum::sha256(hash))
}

/// Writes `config.toml` with the tower and the tokenizer that the run keeps itself.
pub(super) fn write_config(folder: &RunFolder, config: &Config) -> Result<()> {
    let mut raw = config.raw().clone();
    (raw.acquire.tower, raw.acquire.embedding) = (Some(TOWER.into()), Some(EMBEDDING.into()));
    let text = toml::to_string_pretty(&raw).expect("the rules keep to what TOML can say");
    write_whole(&folder.path.join("config.toml"), text.as_bytes())
}

fn write_small(to: &Path, files: &[Vec<u8>; 2]) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::writing(to, e))?;
    FILES.iter().zip(files).try_for_each(|(name, bytes)| write_whole(&to.join(name), bytes))
}

/// Copies the tensors of a checkpoint, those of pictures left out, as they are.
fn copy_text_tensors(from: &Path, to: &Path) -> Result<()> {
    let bytes = Tensors::of_text(from)?.text_only()?;
    write_whole(&to.join("model.safetensors"), &bytes)
}
