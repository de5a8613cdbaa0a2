//! What adding a language to a run has in common, whatever the run's kind: what is asked for, refused, and told.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::checkpoint::ReservedFolder;
use crate::checkpoint::{LEARNING, RunFolder};
use crate::config::{AddedConfig, BEST, CaptionSource, Config, RawConfig, best_in, changes, same_code};
use crate::corpus::SplitName;
use crate::eval::growth::Change;
use crate::eval::{Growth, Retrieval};
use crate::grow::LEAST;
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

/// What an addition that was interrupted has left.
pub(crate) enum Interrupted {
    /// All of it.
    Done(Box<Growth>),
    /// The training of an acquirer.
    Learning(RunFolder),
    /// Nothing to go on with.
    ReservedFolder(ReservedFolder),
}

/// Looks for what was interrupted.
///
/// # Errors
/// Usage, where nothing was, or another language was added.
pub(crate) fn interrupted(addition: &Addition) -> Result<Interrupted> {
    let (out, code) = (addition.out, code(addition.given)?);
    let folder = RunFolder::new(out);
    if folder.is_unbegun() {
        return ReservedFolder::new(out).map(Interrupted::ReservedFolder);
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
        return growth.map(|growth| Interrupted::Done(Box::new(growth))).ok_or_else(nothing);
    }
    match folder.path.join(LEARNING).join("run.json").exists() {
        true => Ok(Interrupted::Learning(folder)),
        false => Err(nothing()),
    }
}

/// The two splits that are reported.
pub(crate) const REPORTED: [SplitName; 2] = [SplitName::Val, SplitName::Test];

pub(crate) type Results = [Vec<(String, Retrieval)>; 2];

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

/// The user asked to stop, where nothing is kept.
pub(crate) fn stopped() -> Error {
    Error::stopped("stopped").hint("nothing was written; the same command begins again")
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
