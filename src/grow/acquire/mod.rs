//! Adding a language to a run of acquisition: its acquirer is trained in the run's own stages, and nothing else.
//!
//! Until it is done, the training stands in NEWRUN's `learning/`, from where an interrupted one goes on. The seed comes from the
//! run's and the language's code, and only what the run was trained on is known to it: several languages can be added in any
//! order.

mod remove;
mod work;

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::LEAST;
use super::add::{self, Addition, REPORTED, Results, code, refuse_other_keys};
use super::lesson::same_pictures;
use crate::batch::derive;
use crate::checkpoint::{RunFolder, RunInfo, TrainState, Which};
use crate::config::{AddedConfig, Config, RawConfig, changes};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, SplitName, fingerprint};
use crate::eval::growth::Pieces;
use crate::eval::{Growth, Retrieval};
use crate::image::Init;
use crate::inference::Scope;
use crate::mla::data::{Source, StageData, Translations, check_width, lines};
use crate::mla::train::Acquisition;
use crate::mla::{Acquirer, Mla};
use crate::optim::Adam;
use crate::run::MlaRun;
use crate::run::start::Place;
use crate::train::{End, Event, Trainer};
use crate::{Error, Result};

pub(super) use remove::remove;
use work::Work;

/// Where NEWRUN keeps the training until it is done.
const LEARNING: &str = "learning";

/// Everything read and checked; nothing computed yet.
struct Checked<'a> {
    run: MlaRun,
    code: &'a str,
    trained_on: Corpus,
    new: Option<Corpus>,
    sources: Vec<Source>,
    /// Whether the new language's pictures are those of the run.
    same: bool,
    /// Hash of all that must stay as it is.
    before: String,
}

/// Makes a new run with the language added, or goes on with one that was interrupted.
///
/// # Errors
/// As `add_language` says; run, where it was interrupted.
pub(super) fn add(addition: &Addition, tell: &mut dyn FnMut(Event)) -> Result<Growth> {
    if let [first, ..] = addition.curve {
        return Err(Error::usage(format!("`--curve {first}` is not for runs of acquisition"))
            .hint("add the language from files with fewer lines"));
    }
    let place = if addition.resume { None } else { Some(Place::new(addition.out)?) };
    let checked = check(addition)?;
    let data = data_hash(&checked)?;
    let Checked { mut run, code, trained_on, new, sources, same, before } = checked;
    let old = results(&mut run, &trained_on)?;
    let mut growth = Growth { language: code.to_string(), ..Growth::default() };
    growth.pieces = pieces(&run, &trained_on, new.as_ref(), &sources, code)?;
    count_base(&mut growth, &run, &trained_on)?;
    let lessons = Lessons::new(&run, new.as_ref(), &sources, &mut growth)?;
    let learning = RunFolder::new(&addition.out.join(LEARNING));
    let acquirer = lessons.teach(addition, &mut growth, run, new.as_ref(), (place, &learning, data), tell)?;
    // As it was, to be written with the new language.
    let mut run = MlaRun::open(addition.run, &[])?;
    run.config = add::merged(&run.config, addition.given, code, same, AddedConfig::default())?;
    run.info.languages.push(code.to_string());
    run.info.human.push(new.as_ref().is_some_and(|c| c.human[0]));
    run.info.shared = Some(before.clone());
    run.mla.add(acquirer);
    growth.shared[0] = before;
    let folder = RunFolder::new(addition.out);
    if let Err(error) = finish(&mut run, &folder, &mut growth, &old, &trained_on, new.as_ref()) {
        // Only what has been learnt stays; the first error is the one to tell.
        let _ = clear(&folder.path);
        return Err(error);
    }
    fs::remove_dir_all(&learning.path).map_err(|e| Error::writing(&learning.path, e))?;
    Ok(growth)
}

fn check<'a>(addition: &Addition<'a>) -> Result<Checked<'a>> {
    let given = addition.given;
    let code = code(given)?;
    let mut allowed = RawConfig { data: given.data().clone(), ..RawConfig::default() };
    allowed.grow.translations = given.grow().translations.clone();
    refuse_other_keys(
        given,
        allowed,
        "only keys of `data`, and `grow.translations`; the stages are those of the run",
    )?;
    let mut run = MlaRun::open(addition.run, &[])?;
    if run.mla.place(code).is_some() {
        return Err(Error::usage(format!("the run knows `{code}` already"))
            .at(addition.run)
            .hint("`tinyglot remove-language` or `tinyglot acquirer remove` takes it out"));
    }
    let before = run.shared_hash();
    if run.info.shared.as_ref().is_some_and(|shared| *shared != before) {
        return Err(Error::data("the parameters are not those that `run.json` speaks of")
            .at(addition.run)
            .hint("the run is damaged: copy it again"));
    }
    let sources = sources(&run, given)?;
    let new = match given.data().captions.is_empty() {
        true => None,
        false => Some(Corpus::load(given.data(), given.base())?),
    };
    if let Some(corpus) = &new {
        check_width(&run.mla, &corpus.train.features)?;
    }
    let acquire = run.config.acquire();
    for (given, epochs, what, stage) in [
        (!sources.is_empty(), acquire.nlt.epochs, "translations", "nlt"),
        (new.is_some(), acquire.le.epochs, "captions", "le"),
    ] {
        if given && epochs == 0 {
            let what = format!("`{code}` has {what}, and the run no stage for them");
            return Err(Error::config(what).at(addition.run).hint(format!(
                "leave them out, or add the language to a run with `acquire.{stage}.epochs` above 0"
            )));
        }
    }
    if sources.is_empty() && new.is_none() {
        return Err(Error::config(format!("there is nothing to learn `{code}` from"))
            .hint("give captions of pictures in `data.captions`, or translations in `grow.translations`"));
    }
    let moved = |e: Error| {
        e.hint("the run's old languages are needed; `data.root` in its `config.toml` says where they are")
    };
    let trained_on = Corpus::load(run.config.data(), run.config.base()).map_err(moved)?;
    refuse_leaks(&run, &trained_on, new.as_ref(), &sources)?;
    let same = new.as_ref().is_some_and(|c| {
        SplitName::CAPTIONED
            .iter()
            .all(|&s| same_pictures(&c.split(s).features, &trained_on.split(s).features))
    });
    Ok(Checked { run, code, trained_on, new, sources, same, before })
}

/// The files of translations; the known language is one that the run was trained on, or the tower's.
fn sources(run: &MlaRun, given: &Config) -> Result<Vec<Source>> {
    let root = given.base().join(&given.data().root);
    let source = |t: &crate::config::TranslationSource| {
        let trained = run.trained_languages();
        let teacher =
            run.mla.place(&t.language).filter(|_| trained.contains(&t.language)).ok_or_else(|| {
                let what =
                    format!("`grow.translations` names `{}`, which the run was not trained on", t.language);
                Error::config(what).hint(format!("give translations of `{}`", trained.join("`, `")))
            })?;
        Ok(Source { teacher, known: root.join(&t.known), new: root.join(&t.new) })
    };
    given.grow().translations.iter().map(source).collect()
}

/// Looks for test captions in the translations.
fn refuse_leaks(run: &MlaRun, trained_on: &Corpus, new: Option<&Corpus>, sources: &[Source]) -> Result<()> {
    let tokens = |_: usize, text: &str| text.split_whitespace().map(String::from).collect();
    let mut known = trained_on.clone();
    for (l, language) in trained_on.languages.iter().enumerate() {
        let place = run.mla.place(language);
        let files = sources.iter().filter(|s| Some(s.teacher) == place).map(|s| s.known.clone());
        let files: Vec<PathBuf> = files.collect();
        known.texts[l] = (!files.is_empty()).then_some(files);
    }
    refuse_test_leak(&known, &tokens)?;
    if let Some(corpus) = new {
        let mut corpus = corpus.clone();
        let files: Vec<PathBuf> = sources.iter().map(|s| s.new.clone()).collect();
        corpus.texts[0] = (!files.is_empty()).then_some(files);
        refuse_test_leak(&corpus, &tokens)?;
    }
    Ok(())
}

/// SHA-256 of what the new language is learnt from, and of what it is learnt on.
fn data_hash(checked: &Checked) -> Result<String> {
    let Checked { run, code, new, sources, before, .. } = checked;
    let mut hash = Sha256::new();
    hash.update(format!("{before} {} {code}\n", run.config.seed()));
    if let Some(corpus) = new {
        hash.update(fingerprint(corpus)?);
    }
    for file in sources.iter().flat_map(|s| [&s.known, &s.new]) {
        let bytes = fs::read(file).map_err(|e| Error::reading(file, e))?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the new language is taught, stage by stage, and where its dice come from.
struct Lessons {
    /// NLT and LE.
    data: [Option<StageData>; 2],
    seed: u64,
}

impl Lessons {
    /// Reads sentences and computes the teachers' vectors.
    fn new(run: &MlaRun, new: Option<&Corpus>, sources: &[Source], growth: &mut Growth) -> Result<Lessons> {
        let seed = derive(run.config.seed(), &format!("grow {}", growth.language), 0);
        let translations = match sources {
            [] => None,
            _ => Some(Translations::read(&run.mla, &[sources.to_vec()])?),
        };
        growth.translations = translations.as_ref().map_or(0, |t| t.languages[0].rows.len());
        growth.captions = new.map_or(0, |corpus| corpus.train.captions[0].len());
        let sentences = growth.captions + growth.translations;
        if sentences < LEAST {
            return Err(Error::data(format!("`{}` has {sentences} training sentences", growth.language))
                .hint(format!("give {LEAST} captions or translations at least")));
        }
        if let Some(translations) = &translations {
            growth.products += Work::of_teachers(&run.mla, translations).products;
        }
        let nlt = translations.map(|t| t.taught(&run.mla, run.config.train().precision));
        let le = match new {
            Some(corpus) => Some(StageData::captions(&run.mla, corpus, &[&growth.language])?),
            None => None,
        };
        Ok(Lessons { data: [nlt, le], seed })
    }

    /// Trains the acquirer in `learning`, from the beginning or on.
    fn teach(
        self,
        addition: &Addition,
        growth: &mut Growth,
        run: MlaRun,
        new: Option<&Corpus>,
        (place, learning, data): (Option<Place>, &RunFolder, String),
        tell: &mut dyn FnMut(Event),
    ) -> Result<Acquirer> {
        let MlaRun { config, info, mut mla, .. } = run;
        let (acquire, code) = (config.acquire(), &growth.language);
        let mut init = Init::new(derive(self.seed, "model", 0));
        let acquirer = Acquirer::new(code, acquire.shape, mla.size(), acquire.hidden, &mut init);
        growth.parameters = vec![("acquirer".into(), acquirer.parameters() as u64)];
        (mla.acquirers, mla.frozen) = (vec![acquirer], true);
        let resumed = place.is_none();
        match place {
            Some(place) => {
                let info = RunInfo { data, languages: vec![code.clone()], shared: None, ..info };
                begin(place, learning, addition.given, &info, &mut mla)?;
            }
            None => go_on(addition, learning, &data)?,
        }
        let validated = new.filter(|corpus| !corpus.val.captions[0].is_empty());
        let learner = Acquisition::of(&config, self.seed, validated, mla, self.data);
        growth.truncated = learner.truncated;
        let mut trainer = Trainer::new(&config, learning, learner);
        if resumed {
            trainer.resume()?;
        }
        let end = trainer.run(addition.stop, tell)?;
        if end == End::Interrupted {
            let what = format!("stopped after step {} of {}", trainer.state.step, trainer.steps());
            return Err(Error::run(what).at(addition.out).hint("`--resume` goes on from there"));
        }
        let work = Work::of_stages(&trainer.learner.mla, trainer.learner.lessons(), trainer.state.step);
        growth.products += work.products;
        growth.sentences_shown = work.sentences;
        growth.seconds = vec![("training".into(), trainer.state.seconds)];
        growth.best_epoch = trainer.epochs_at(trainer.state.best_step) as usize;
        learning.read_model(Which::Best, &mut trainer.learner.mla)?;
        Ok(trainer.learner.mla.acquirers.remove(0))
    }
}

/// Makes the folder of the training.
fn begin(place: Place, learning: &RunFolder, given: &Config, info: &RunInfo, mla: &mut Mla) -> Result<()> {
    place.fill(|_| {
        fs::create_dir_all(&learning.path).map_err(|e| Error::writing(&learning.path, e))?;
        let (fresh, nothing) = (Adam::new(given.train(), 1), Default::default());
        learning.save(Which::Latest, mla, Some((&fresh, &nothing)), &TrainState::start())?;
        learning.write_config(given)?;
        learning.write_info(info)
    })?;
    Ok(())
}

/// Refuses to go on with other data or another configuration.
fn go_on(addition: &Addition, learning: &RunFolder, data: &str) -> Result<()> {
    if !learning.path.join("run.json").exists() {
        return Err(Error::usage("no language is being added here")
            .at(addition.out)
            .hint("`--resume` goes on with a training that was interrupted; leave it out to begin"));
    }
    let free = |key: &str| ["data.root", "data.images", "data.parallel", "data.text"].contains(&key);
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

/// Retrieval of every language on the reported splits.
fn results(run: &mut MlaRun, corpus: &Corpus) -> Result<Results> {
    let mut on = |split: SplitName| -> Result<Vec<(String, Retrieval)>> {
        if corpus.split(split).captions.iter().all(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let scope = Scope { split, distractors: false, translated: false, folds: 1 };
        Ok(run.mla.evaluate(corpus, scope, run.config.train().precision)?.languages)
    };
    Ok([on(REPORTED[0])?, on(REPORTED[1])?])
}

/// How well the frozen tokenizer knows the languages that the run was trained on, and the new one.
fn pieces(
    run: &MlaRun,
    trained_on: &Corpus,
    new: Option<&Corpus>,
    sources: &[Source],
    code: &str,
) -> Result<Vec<Pieces>> {
    let mut pieces = Vec::new();
    let mut add = |language: &str, texts: &[&str]| {
        let ids = run.mla.tokens(1, texts).ids;
        let unknown = run.mla.encoder.tokenizer().unknown();
        // All but those of start and end.
        let tokens = (ids.rows.len() - 2 * ids.len()).max(1) as f64;
        let characters: usize = texts.iter().map(|t| t.chars().filter(|c| !c.is_whitespace()).count()).sum();
        let unknown = ids.rows.iter().filter(|&&id| Some(id) == unknown).count() as f64;
        let language = language.to_string();
        pieces.push(Pieces {
            language,
            characters: characters as f64 / tokens,
            unknown: 100.0 * unknown / tokens,
        });
    };
    let trained = run.trained_languages();
    for (language, captions) in trained_on.languages.iter().zip(&trained_on.train.captions) {
        if *language != run.mla.own && trained.contains(language) {
            add(language, &captions.iter().map(|c| &c.text[..]).collect::<Vec<_>>());
        }
    }
    let mut texts: Vec<String> = Vec::new();
    texts.extend(new.iter().flat_map(|c| &c.train.captions[0]).map(|c| c.text.clone()));
    for source in sources {
        texts.extend(lines(&source.new)?);
    }
    add(code, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(pieces)
}

/// The cost of the base's training: from the record of a language added before, or from its configuration and steps.
fn count_base(growth: &mut Growth, run: &MlaRun, corpus: &Corpus) -> Result<()> {
    if add::known_base(growth, &run.folder, &corpus.languages)? {
        return Ok(());
    }
    let which = if run.folder.has(Which::Latest) { Which::Latest } else { Which::Best };
    let state = run.folder.read_state(which)?;
    let (nlt, le) = (&run.config.acquire().nlt, &run.config.acquire().le);
    let trained = run.trained_languages();
    let acquired: Vec<&str> = trained.iter().map(String::as_str).filter(|l| *l != run.mla.own).collect();
    let mut stages = Vec::new();
    let mut teachers = Work::default();
    if nlt.epochs > 0 {
        let hint = "the base's translations are needed, too, to count what its training took";
        let sources = Source::all(&run.config, &acquired);
        let translations = Translations::read(&run.mla, &sources).map_err(|e| e.hint(hint))?;
        teachers = Work::of_teachers(&run.mla, &translations);
        let languages = translations.languages;
        let data = StageData { languages, vectors: Vec::new(), truncated: 0 };
        stages.push((data, nlt.epochs, nlt.batch));
    }
    if le.epochs > 0 {
        stages.push((StageData::captions(&run.mla, corpus, &acquired)?, le.epochs, le.batch));
    }
    let stages = stages.iter().map(|(data, epochs, batch)| (data, *epochs, *batch));
    let work = Work::of_stages(&run.mla, stages, state.step);
    growth.base_products = work.products + teachers.products;
    growth.base_sentences_shown = work.sentences;
    growth.base_seconds = state.seconds;
    Ok(())
}

/// Writes the new run and compares it with the old one; its description comes last.
fn finish(
    run: &mut MlaRun,
    folder: &RunFolder,
    growth: &mut Growth,
    old: &Results,
    trained_on: &Corpus,
    new: Option<&Corpus>,
) -> Result<()> {
    let before = add::bytes(&run.folder.path);
    let kept = run.folder.growths(&run.info.languages)?;
    run.write(folder)?;
    let mut grown = MlaRun::open(&folder.path, &[])?;
    let now = results(&mut grown, trained_on)?;
    let after = match new {
        Some(corpus) => {
            let alone = results(&mut grown, corpus)?;
            [0, 1].map(|i| alone[i].iter().find(|r| r.0 == growth.language).map(|r| r.1.mr))
        }
        None => [None, None],
    };
    growth.results = add::changed(&trained_on.languages, old, &now, &growth.language, after);
    growth.file_bytes = add::bytes(&folder.path).saturating_sub(before);
    growth.shared[1] = grown.shared_hash();
    if growth.shared[0] != growth.shared[1] || !growth.unchanged() {
        return Err(add::old_ones_changed(folder));
    }
    kept.iter().chain([&*growth]).try_for_each(|g| folder.write_growth(g))
}

/// Removes all of an unfinished run but what has been learnt.
fn clear(run: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(run)? {
        let path = entry?.path();
        match path.is_dir() {
            true if path.ends_with(LEARNING) => {}
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}
