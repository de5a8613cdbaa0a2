//! A language of a packed run as a file of its own: its words and their slots, vectors, layers, and what its unseen words are guessed from. Everything
//! is kept as it is in the packed run, bit for bit, and fits packed runs whose shared part is the same.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::{
    DAMAGED, ReservedFolder, RunFolder, RunInfo, Stored, TensorFile, TrainState, write_tensors,
    write_tensors_with,
};
use crate::config::{AddedConfig, CaptionSource, Config, RawConfig, same_code};
use crate::error::Kind;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::folder::LexiconFile;
use crate::grow::addition::forget;
use crate::write::{clear_partial_of, write_whole};
use crate::{Error, Result, names};

/// What names the file as ours, and the meaning of its tensors.
const KIND: &str = "language";
const WORDS: &str = "words";
const SLOTS: &str = "slots";
/// Before the ending of the file that unseen words are guessed from.
const VECTORS: &str = "vectors.";
/// Before the names of tensors of the checkpoint and of the scorer.
const MODEL: &str = "model/";
const SCORER: &str = "scorer/";
/// What unseen words may be guessed from in a packed run.
const ENDINGS: [&str; 2] = ["ngrams", "vec"];

/// What a configuration says of a language.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    human: bool,
    /// Where its captions are, from `root`.
    captions: Vec<CaptionSource>,
    root: std::path::PathBuf,
    codes: Option<Vec<String>>,
    added: Option<AddedConfig>,
}

/// A packed run, as it is kept.
struct Parts {
    folder: RunFolder,
    info: RunInfo,
    config: Config,
    lexicon: LexiconFile,
    state: TrainState,
    model: Vec<Stored<'static>>,
    scorer: Vec<Stored<'static>>,
}

/// Whether a tensor of the checkpoint is a language's.
fn is_of(name: &str, code: &str) -> bool {
    [format!("embedding.{code}."), format!("text.adapter.{code}.")]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Whether a tensor of the scorer is a language's.
fn scores(name: &str, code: &str) -> bool {
    name.strip_prefix(code).is_some_and(|rest| rest.starts_with('.'))
}

impl Parts {
    fn open(run: &Path) -> Result<Parts> {
        let folder = RunFolder::new(run);
        let config = folder.config()?;
        folder.refuse_unpacked()?;
        if !matches!(config.family(), crate::config::FamilyName::Smalr) {
            return Err(Error::usage("the run's languages are no parts of it")
                .at(run)
                .hint("those of an acquisition are taken out and put in by `tinyglot acquirer`"));
        }
        // All of it is read once: what follows takes it as it is.
        drop(SmalrRun::open(run, &[])?);
        let (info, lexicon) = (folder.info()?, LexiconFile::read(&folder)?);
        if lexicon.translations.is_some() || lexicon.alphabet.is_some() {
            return Err(Error::usage("the run reads words of one language by those of others")
                .at(run)
                .hint("pack it with the languages that you want"));
        }
        let (state, model) = folder.stored()?;
        let scorer = TensorFile::open(&run.join(SCORES))?.stored()?;
        Ok(Parts { folder, info, config, lexicon, state, model, scorer })
    }

    /// The code of a language as the run writes it.
    fn code(&self, language: &str) -> Result<String> {
        let known = &self.info.languages;
        known.iter().find(|l| same_code(l, language)).cloned().ok_or_else(|| {
            Error::usage(format!("the model does not know the language `{language}`"))
                .at(&self.folder.path)
                .hint(format!("it knows {}", known.join(", ")))
        })
    }

    /// SHA-256 of all that languages share.
    fn base(&self) -> String {
        let mut hash = Sha256::new();
        let own = |name: &str, of: fn(&str, &str) -> bool| self.info.languages.iter().any(|l| of(name, l));
        hash.update(format!("{} latent tokens\n", self.lexicon.latents));
        self.model.iter().filter(|t| !own(t.name(), is_of)).for_each(|t| t.digest(&mut hash));
        self.scorer.iter().filter(|t| !own(t.name(), scores)).for_each(|t| t.digest(&mut hash));
        crate::checksum::sha256(hash)
    }

    /// Takes a language out.
    fn remove(&mut self, code: &str) -> Result<()> {
        let place = self.info.languages.iter().position(|l| l == code).expect("a language of the run");
        self.info.languages.remove(place);
        self.info.human.remove(place);
        self.lexicon.slots.remove(code);
        self.model.retain(|t| !is_of(t.name(), code));
        self.scorer.retain(|t| !scores(t.name(), code));
        let mut raw = self.config.raw().clone();
        forget(&mut raw, code);
        self.configure(raw)
    }

    fn configure(&mut self, raw: RawConfig) -> Result<()> {
        let base = self.config.base().to_path_buf();
        self.config = raw.check(base).map_err(|problems| problems.into_error())?;
        Ok(())
    }

    /// Writes the run anew; files of words come from the run, and `further` ones by their names.
    fn write(self, place: ReservedFolder, further: &[(String, Vec<u8>)]) -> Result<RunFolder> {
        let Parts { folder, info, config, lexicon, state, model, scorer } = self;
        place.fill(|to| {
            let words = to.path.join("words");
            fs::create_dir_all(&words).map_err(|e| Error::writing(&words, e))?;
            for language in &info.languages {
                for file in files_of(&folder, language)? {
                    let name = file.file_name().unwrap_or_default();
                    write_whole(&words.join(name), &fs::read(&file).map_err(|e| Error::reading(&file, e))?)?;
                }
            }
            further.iter().try_for_each(|(name, bytes)| write_whole(&words.join(name), bytes))?;
            lexicon.write(to)?;
            write_tensors(&to.path.join(SCORES), scorer)?;
            to.save_stored(model, &state)?;
            to.write_config(&config)?;
            to.write_info(&info)?;
            match folder
                .fitted(state.step)?
                .filter(|f| f.languages.iter().all(|l| info.languages.contains(l)))
            {
                Some(fitted) => to.write_fitted(&fitted, state.step),
                None => Ok(()),
            }
        })
    }
}

const SCORES: &str = "words/scorer.safetensors";

/// The files of a language's words that are there.
fn files_of(run: &RunFolder, code: &str) -> Result<Vec<std::path::PathBuf>> {
    let words = run.path.join("words");
    let file = |ending: &&str| names::file(&words, code, ending);
    let files = [WORDS].iter().chain(&ENDINGS).map(file).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.exists()).collect())
}

/// Writes a language of a packed run to a file of its own; the run stays as it is.
///
/// # Errors
/// Usage, for a run that is not packed or has no such language, or whose words are not by language; data, for a run that is not whole; run, where the
/// file cannot be written.
pub fn export(run: &Path, language: &str, file: &Path) -> Result<()> {
    let parts = Parts::open(run)?;
    let code = parts.code(language)?;
    let mut tensors = Vec::new();
    for path in files_of(&parts.folder, &code)? {
        let bytes = fs::read(&path).map_err(|e| Error::reading(&path, e))?;
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let name = if ending == WORDS { WORDS.to_string() } else { format!("{VECTORS}{ending}") };
        tensors.push(Stored::bytes(&name, bytes));
    }
    // 0 is a vector of its own.
    let slots: Vec<u32> = parts.lexicon.slots[&code].iter().map(|slot| (slot + 1) as u32).collect();
    tensors.push(Stored::words(SLOTS, &slots));
    let (base, said) = (parts.base(), said(&parts, &code));
    let own = parts.model.into_iter().filter(|t| is_of(t.name(), &code)).map(|t| (MODEL, t));
    let scorer = parts.scorer.into_iter().filter(|t| scores(t.name(), &code)).map(|t| (SCORER, t));
    // Whatever the run calls its language.
    tensors.extend(own.chain(scorer).map(|(of, t)| {
        let name = format!("{of}{}", t.name());
        t.named(name)
    }));
    let about = [("kind", KIND), ("language", &code), ("base", &base), ("said", &said)];
    clear_partial_of(file)?;
    write_tensors_with(file, tensors, &about)
}

/// What the configuration and the description say of a language, as JSON.
fn said(parts: &Parts, code: &str) -> String {
    let (raw, info) = (parts.config.raw(), &parts.info);
    let captions = raw.data.captions.iter().filter(|source| raw.data.names(source, code)).cloned();
    let captions = captions.map(|mut source| {
        source.languages = vec![code.to_string()];
        source
    });
    let said = Said {
        human: info.languages.iter().zip(&info.human).any(|(l, human)| l == code && *human),
        captions: captions.collect(),
        root: raw.data.root.clone(),
        codes: raw.data.codes.get(code).cloned(),
        added: raw.added.get(code).cloned(),
    };
    serde_json::to_string(&said).expect("plain data")
}

/// Makes a packed run with the language of a file added, in `place`; returns its code.
///
/// # Errors
/// Usage, for a run that is not packed, or that knows the language; data, for a file that is none of a language, is of another version or base or not
/// as it was written, or a run that is not whole; run, where the folder cannot be written.
pub fn add(run: &Path, file: &Path, place: ReservedFolder) -> Result<(RunFolder, String)> {
    let mut parts = Parts::open(run)?;
    let given = TensorFile::open(file)?;
    let about = |key: &str| given.about(key).filter(|_| given.about("kind").as_deref() == Some(KIND));
    let (Some(code), Some(base), Some(said)) = (about("language"), about("base"), about("said")) else {
        let hint = "give a file that `tinyglot language export` wrote";
        return Err(Error::data("is no language of a packed run").at(file).hint(hint));
    };
    // It becomes the name of files, and part of the names of tensors.
    names::code(&code, Kind::Data).map_err(|e| e.at(file))?;
    let own = parts.base();
    if base != own {
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        let what = format!(
            "is a language of another base: its hash is {}, that of the run {}",
            short(&base),
            short(&own)
        );
        let hint = "add it to what was packed in the same way from the same run, or export it from that";
        return Err(Error::data(what).at(file).hint(hint));
    }
    if let Some(known) = parts.info.languages.iter().find(|l| same_code(l, &code)) {
        let hint = "`tinyglot language remove` takes it out";
        return Err(Error::usage(format!("the run knows `{known}` already")).at(run).hint(hint));
    }
    let damaged = |what: String| Error::data(what).at(file).hint(DAMAGED);
    let said: Said =
        serde_json::from_str(&said).map_err(|e| damaged("says no more what it is".into()).because(e))?;
    let slots: Vec<i64> = given.words(SLOTS)?.into_iter().map(|slot| i64::from(slot) - 1).collect();
    parts.lexicon.slots.insert(code.clone(), slots);
    let mut further = vec![(format!("{code}.{WORDS}"), given.bytes(WORDS)?)];
    for tensor in given.stored()? {
        let name = tensor.name().to_string();
        if let Some(name) = name.strip_prefix(MODEL).filter(|name| is_of(name, &code)) {
            parts.model.push(tensor.named(name.into()));
        } else if let Some(name) = name.strip_prefix(SCORER).filter(|name| scores(name, &code)) {
            parts.scorer.push(tensor.named(name.into()));
        } else if let Some(ending) = ENDINGS.into_iter().find(|ending| name == format!("{VECTORS}{ending}")) {
            further.push((format!("{code}.{ending}"), given.bytes(&name)?));
        } else if name != WORDS && name != SLOTS {
            return Err(damaged(format!("holds `{name}`, which is no part of a language")));
        }
    }
    parts.info.languages.push(code.clone());
    parts.info.human.push(said.human);
    let mut raw = parts.config.raw().clone();
    raw.data.languages.push(code.clone());
    if said.root == raw.data.root {
        raw.data.captions.extend(said.captions);
    }
    raw.data.codes.extend(said.codes.map(|codes| (code.clone(), codes)));
    raw.added.extend(said.added.map(|added| (code.clone(), added)));
    parts.configure(raw)?;
    Ok((parts.write(place, &further)?, code))
}

/// Makes a packed run without a language, in `place`.
///
/// # Errors
/// Usage, for a run that is not packed, a language that it does not know, or its last one; data, for a run that is not whole; run, where the folder
/// cannot be written.
pub fn remove(run: &Path, language: &str, place: ReservedFolder) -> Result<RunFolder> {
    let mut parts = Parts::open(run)?;
    let code = parts.code(language)?;
    if parts.info.languages.len() == 1 {
        return Err(Error::usage(format!("`{code}` is the only language of the run"))
            .at(run)
            .hint("a run needs a language"));
    }
    parts.remove(&code)?;
    parts.write(place, &[])
}
