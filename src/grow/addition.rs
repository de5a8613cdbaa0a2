//! What adding a language to a run has in common, whatever the run's kind: what is asked for, refused, and told.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use std::fs;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use crate::checkpoint::{LEARNING, ReservedFolder, RunFolder, RunInfo, Which};
use crate::config::{AddedConfig, BEST, CaptionSource, Config, RawConfig, best_in, changes, same_code};
use crate::corpus::{Corpus, SplitName, TeacherVectors, fingerprint};
use crate::eval::growth::Change;
use crate::eval::task::recall;
use crate::eval::{DualEncoder, Growth, Parameters, Retrieval, Scope};
use crate::grow::LEAST;
use crate::train::{End, Event, Learner, Progress, Trainer};
use crate::{Error, Result};

/// A language to be added to a run.
pub struct Addition<'a> {
    /// Folder of the run.
    pub run: &'a Path,
    /// The new language's configuration.
    pub given: &'a Config,
    /// Keeps trained word vectors.
    pub cache: Option<&'a Path>,
    /// Numbers of sentences at which the language is measured too.
    pub curve: &'a [usize],
    /// Folder of the run to be made.
    pub out: &'a Path,
    /// Go on with what was interrupted there.
    pub resume: bool,
    /// Raised to stop.
    pub stop: &'a AtomicBool,
}

/// Gives a teacher's vectors of sentences ([`Corpus::of_sentences`]) to an addition whose run has vectors of so many numbers.
pub type AskTeacher<'a> = &'a dyn Fn(&Corpus, usize, Progress) -> Result<TeacherVectors>;

/// What is found where an addition begins.
pub(crate) enum Found {
    /// It is done already.
    Done(Box<Growth>),
    Place(Place),
}

/// Where an addition goes on, or begins.
pub(crate) enum Place {
    /// Its trainings stand in the folder.
    Learning(RunFolder),
    /// There is nothing to go on with.
    New(ReservedFolder),
}

impl Addition<'_> {
    /// Looks for what was interrupted.
    ///
    /// # Errors
    /// Usage, where nothing was, or another language was added; for a new addition, as [`ReservedFolder::new`].
    pub(crate) fn find(&self) -> Result<Found> {
        let (out, code) = (self.out, code(self.given)?);
        if !self.resume || RunFolder::new(out).is_unbegun() {
            return Ok(Found::Place(Place::New(ReservedFolder::new(out)?)));
        }
        let nothing = || {
            Error::usage("no language is being added here")
                .at(out)
                .hint("`--resume` goes on with an addition that was interrupted; leave it out to begin")
        };
        if !out.exists() {
            return Err(nothing());
        }
        let folder = RunFolder::locked(out)?;
        if folder.is_run() {
            let last = folder.info()?.languages.last() == Some(code);
            let growth = folder.growths(std::slice::from_ref(code))?.pop().filter(|_| last);
            return growth.map(|growth| Found::Done(Box::new(growth))).ok_or_else(nothing);
        }
        match self.learning().path.join("run.json").exists() {
            true => Ok(Found::Place(Place::Learning(folder))),
            false => Err(nothing()),
        }
    }

    /// Where its trainings stand until it is done.
    pub(crate) fn learning(&self) -> RunFolder {
        RunFolder::new(&self.out.join(LEARNING))
    }

    /// The folder of a training, which is made where it is not there; `sentences` names it, or it has all.
    ///
    /// # Errors
    /// Run, where it cannot be made.
    pub(crate) fn training_folder(&self, sentences: Option<usize>) -> Result<RunFolder> {
        let name = sentences.map_or("all".to_string(), |n| n.to_string());
        let folder = RunFolder::new(&self.learning().path.join(name));
        fs::create_dir_all(&folder.path).map_err(|e| Error::writing(&folder.path, e))?;
        Ok(folder)
    }

    /// Takes a training to its end, from the beginning or from where it was stopped.
    ///
    /// # Errors
    /// Those of the training; stopped, where that was asked for.
    pub(crate) fn train<L: Learner>(
        &self,
        trainer: &mut Trainer<L>,
        folder: &RunFolder,
        sentences: Option<usize>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<()> {
        if folder.has(Which::Latest) {
            trainer.resume()?;
        }
        if trainer.run(self.stop, tell)? == End::Interrupted {
            let of = sentences.map_or(String::new(), |n| format!(", with {n} sentences"));
            let what = format!("stopped after step {} of {}{of}", trainer.state.step, trainer.steps());
            return Err(self.stopped(what));
        }
        Ok(())
    }

    /// # Errors
    /// Stopped, where that was asked for when all was trained.
    pub(crate) fn refuse_stopped(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(self.stopped("stopped after the training, before the run is written".into())),
            false => Ok(()),
        }
    }

    fn stopped(&self, what: String) -> Error {
        Error::stopped(what).at(self.out).hint("`--resume` goes on from there")
    }
}

impl Place {
    /// Refuses to go on with other data or another configuration.
    ///
    /// # Errors
    /// Config or data, where they differ.
    pub(crate) fn refuse_other(&self, addition: &Addition, data: &str) -> Result<()> {
        if let Place::New(_) = self {
            return Ok(());
        }
        let free = |key: &str| {
            ["data.root", "data.images", "data.parallel", "data.text"].contains(&key)
                || key.starts_with("data.translations")
                // What it says is compared.
                || ["teacher.run", "teacher.tower", "teacher.texts"].contains(&key)
        };
        let learning = addition.learning();
        let differing: Vec<String> =
            changes(&learning.config()?, addition.given).into_iter().filter(|key| !free(key)).collect();
        if !differing.is_empty() {
            let what = format!("the training was begun with other values of `{}`", differing.join("`, `"));
            return Err(Error::config(what)
                .at(addition.out)
                .hint("give the configuration it was begun with, or another `--out`"));
        }
        if learning.info()?.data != data {
            return Err(Error::data("the run or the new language's data are not those it was begun with")
                .at(addition.out)
                .hint("give the same again, or another `--out`"));
        }
        Ok(())
    }

    /// The folder of the addition, with that of its trainings in it.
    ///
    /// # Errors
    /// Run, where it cannot be written.
    pub(crate) fn folder(self, given: &Config, info: &RunInfo, data: String) -> Result<RunFolder> {
        let place = match self {
            Place::Learning(folder) => return Ok(folder),
            Place::New(place) => place,
        };
        place.fill(|folder| {
            let learning = RunFolder::new(&folder.path.join(LEARNING));
            fs::create_dir_all(&learning.path).map_err(|e| Error::writing(&learning.path, e))?;
            learning.write_config(given)?;
            let languages = given.data().languages.clone();
            let human = vec![false; languages.len()];
            learning.write_info(&RunInfo { data, languages, human, shared: None, ..info.clone() })
        })
    }
}

/// SHA-256 of what the new language is learnt from, and of what it is learnt on: what is `said` of it, corpora, and files.
///
/// # Errors
/// Data that cannot be read.
pub(crate) fn data_hash(said: &str, corpora: &[&Corpus], files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(said);
    for corpus in corpora {
        hash.update(fingerprint(corpus)?);
    }
    for file in files {
        let bytes = fs::read(file).map_err(|e| Error::reading(file, e))?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(crate::checksum::sha256(hash))
}

/// The two splits that are reported.
pub(crate) const REPORTED: [SplitName; 2] = [SplitName::Val, SplitName::Test];

pub(crate) type Results = [Vec<(String, Retrieval)>; 2];

/// Retrieval of every language that a model knows and a corpus has captions of, on the reported splits; `parameters` are the model's.
///
/// # Errors
/// Data: pictures of another width than the model's, or vectors that are not finite.
pub(crate) fn results(model: &dyn DualEncoder, corpus: &Corpus, parameters: Parameters) -> Result<Results> {
    let on = |split: SplitName| -> Result<Vec<(String, Retrieval)>> {
        if corpus.split(split).captions.iter().all(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let scope = Scope { translated: false, ..Scope::whole(split) };
        Ok(recall::evaluate(model, corpus, scope, parameters)?.languages)
    };
    Ok([on(REPORTED[0])?, on(REPORTED[1])?])
}

/// The language that is to be added.
pub(crate) fn code(given: &Config) -> Result<&String> {
    match &given.data().languages[..] {
        [code] => Ok(code),
        languages => Err(Error::config(format!("`data.languages` has {} languages", languages.len()))
            .hint("name the one that is to be added")),
    }
}

/// The points of a learning curve have fewer sentences than there are, and enough to teach something.
pub(crate) fn refuse_points(curve: &[usize], sentences: usize) -> Result<()> {
    match curve.iter().find(|&&n| n < LEAST || n >= sentences) {
        Some(n) => Err(Error::usage(format!("`--curve` has {n}; there are {sentences} sentences")).hint(
            format!("give numbers from {LEAST} up to fewer than there are; all of them is always measured"),
        )),
        None => Ok(()),
    }
}

/// What adding a language does not read must be left out, or it would be passed over in silence. `read` is what it does, and
/// the defaults of the rest.
pub(crate) fn refuse_other_keys(given: &Config, read: RawConfig, hint: &str) -> Result<()> {
    let read = read.check(given.base().to_path_buf()).map_err(|problems| problems.into_error())?;
    match &changes(&read, given)[..] {
        [] => Ok(()),
        keys => {
            let what = format!("`{}` cannot be set for an added language", keys.join("`, `"));
            Err(Error::config(what).hint(hint))
        }
    }
}

/// The run's configuration with the language in it. Its captions are in it where they speak of the same pictures.
pub(crate) fn merged(
    run: &Config,
    given: &Config,
    code: &str,
    captions: bool,
    own: AddedConfig,
) -> Result<Config> {
    let mut raw = run.raw().clone();
    forget(&mut raw, code);
    // Queries are not translated into the new language: those that ask together stay the same.
    for source in raw.data.translations.iter_mut().filter(|source| source.languages.is_empty()) {
        source.languages = raw.data.languages.clone();
    }
    raw.data.languages.push(code.to_string());
    raw.added.insert(code.to_string(), own);
    let root = given.base().join(&given.data().root);
    let full = |file: &String| match root == run.base().join(&raw.data.root) {
        true => file.clone(),
        false => root.join(file).display().to_string(),
    };
    if captions {
        for source in &given.data().captions {
            if source.read_as.is_some() || !given.data().names(source, code) {
                continue;
            }
            let mut languages = source.languages.clone();
            languages.retain(|l| given.data().same_language(l, code));
            let files = source.files.iter().map(full).collect();
            raw.data.captions.push(CaptionSource { languages, files, ..source.clone() });
        }
        if let Some((_, codes)) = given.data().codes.iter().find(|(ours, _)| same_code(ours, code)) {
            raw.data.codes.insert(code.to_string(), codes.clone());
        }
    }
    let grow = given.grow();
    if grow.unfrozen_epochs > 0 {
        (raw.train.epochs, raw.train.learning_rate) = (grow.unfrozen_epochs, grow.unfrozen_learning_rate);
    }
    raw.check(run.base().to_path_buf()).map_err(|problems| problems.into_error())
}

/// The old languages, then the new one with its mean recalls.
pub(crate) fn changed(
    languages: &[String],
    old: &Results,
    now: &Results,
    code: &str,
    new: [Option<f64>; 2],
) -> Vec<Change> {
    let of = |all: &Results, l: &String| [0, 1].map(|i| all[i].iter().find(|r| r.0 == *l).map(|r| r.1.mr));
    let change = |l: &String| Change { language: l.clone(), before: of(old, l), after: of(now, l) };
    let mut changes: Vec<Change> = languages.iter().map(change).collect();
    changes.push(Change { language: code.to_string(), before: [None, None], after: new });
    changes
}

pub(crate) fn mr(of: Option<Retrieval>) -> Option<f64> {
    of.map(|r| r.mr)
}

/// Takes the cost of the base's training from the record of a language added before; whether there is one.
pub(crate) fn known_base(growth: &mut Growth, base: &RunFolder, languages: &[String]) -> Result<bool> {
    let growths = base.growths(languages)?;
    let Some(earlier) = growths.first() else { return Ok(false) };
    growth.base_products = earlier.base_products;
    growth.base_sentences_shown = earlier.base_sentences_shown;
    growth.base_seconds = earlier.base_seconds;
    Ok(true)
}

/// Bytes of what a run needs: its words, best checkpoint and acquirers.
pub(crate) fn bytes(run: &Path) -> u64 {
    let files = |folder: PathBuf| -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|e| e.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
    };
    ["words", "checkpoints/best", "acquirers"].map(|folder| files(run.join(folder))).iter().sum()
}

/// What must not happen.
pub(crate) fn old_ones_changed(folder: &RunFolder) -> Error {
    Error::run("the old languages would not stay as they are")
        .at(&folder.path)
        .hint("this is a fault of tinyglot: please report it")
}

/// Takes a language out of a configuration: its name, the sources of its captions, and what was set for it.
pub(crate) fn forget(raw: &mut RawConfig, code: &str) {
    let data = raw.data.clone();
    raw.data.languages.retain(|l| !same_code(l, code));
    raw.data.codes.retain(|ours, _| !same_code(ours, code));
    raw.added.remove(code);
    raw.train.captions.remove(code);
    if raw.train.best == best_in(code) {
        raw.train.best = BEST[0].into();
    }
    raw.data.captions.retain_mut(|source| {
        let named = !source.languages.is_empty();
        source.languages.retain(|l| !data.same_language(l, code));
        !(named && source.languages.is_empty())
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn only_the_captions_of_the_new_language_come_with_it() {
        let read = |text: &str| Config::from_toml(text, Path::new("/data/a.toml")).unwrap();
        let source = |languages: &str| {
            format!("[[data.captions]]\nlanguages = {languages}\nfiles = ['{{split}}.{{language}}']\n")
        };
        let run = read(&format!("data.languages = ['en', 'de']\n{}", source("['en', 'de']")));
        let given = read(&format!(
            "data.languages = ['zh']\ndata.codes = {{ zh = ['cmn'] }}\n{}{}",
            source("['de', 'cmn', 'ZH']"),
            source("['fr']")
        ));
        let both = merged(&run, &given, "zh", true, AddedConfig::default()).unwrap();
        let sources: Vec<_> = both.data().captions.iter().map(|s| s.languages.join(" ")).collect();
        assert_eq!(sources, ["en de", "cmn ZH"]);
        assert_eq!(both.data().codes["zh"], ["cmn"]);
        let mut raw = both.raw().clone();
        forget(&mut raw, "zh");
        assert_eq!(&raw.data, &run.raw().data);
    }
}
