//! Adding a language to a run of acquisition: its acquirer is trained in the run's own stages, and nothing else.
//!
//! Until it is done, the training stands in NEWRUN's `learning/`, from where an interrupted one goes on; so do those on fewer
//! sentences, for a learning curve. The seed comes from the run's and the language's code, and only what the run was trained on
//! is known to it: several languages can be added in any order.

mod cost;
mod remove;
mod training;

use std::fs;
use std::path::PathBuf;

use crate::checkpoint::{RunFolder, Which};
use crate::config::{Config, RawConfig, same_code};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, SplitName};
use crate::eval::Growth;
use crate::eval::growth::{Pieces, Point};
use crate::family::mla::Way;
use crate::family::mla::data::{Source, StageData, Translations, check_width, lines};
use crate::family::mla::learner::shown;
use crate::family::mla::run::MlaRun;
use crate::family::towers::pieces_of;
use crate::grow::addition;
use crate::grow::addition::{Addition, Found, Results, code, refuse_other_keys, refuse_points};
use crate::grow::same_pictures;
use crate::retrieve::Retriever;
use crate::train::Event;
use crate::{Error, Result};

use cost::Cost;
pub(crate) use remove::{leave_out, remove};
use training::{AcquirerTraining, Lessons, own};

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
pub(crate) fn add(addition: &Addition, tell: &mut dyn FnMut(Event)) -> Result<Growth> {
    let place = match addition.find()? {
        Found::Done(growth) => return Ok(*growth),
        Found::Place(place) => place,
    };
    let checked = check(addition)?;
    let data = data_hash(&checked)?;
    place.refuse_other(addition, &data)?;
    let Checked { run, code, trained_on, new, sources, same, before } = checked;
    let old = addition::results(&*run.encoder(), &trained_on, run.parameters)?;
    let mut growth = Growth { language: code.to_string(), ..Growth::default() };
    growth.pieces = pieces(&run, &trained_on, new.as_ref(), &sources, code)?;
    count_base(&mut growth, &run, &trained_on)?;
    let lessons = Lessons::new(&run, new.as_ref(), &sources, &mut growth)?;
    refuse_points(addition.curve, growth.captions + growth.translations)?;
    let folder = place.folder(addition.given, &run.info, data)?;
    let school = AcquirerTraining::new(addition, &run.config, new.as_ref())?;
    let mut mla = run.mla;
    for &sentences in addition.curve {
        let share = sentences as f64 / (growth.captions + growth.translations) as f64;
        let taught = school.teach(lessons.some(share), mla, Some(sentences), tell)?;
        mla = taught.mla;
        growth.curve.push(Point { sentences, mr: school.recalls(&mut mla)? });
    }
    let acquirer = school.teach(lessons, mla, None, tell)?.record(&mut growth);
    addition.refuse_stopped()?;
    // As it was, to be written with the new language.
    let mut run = MlaRun::open(addition.run, &[])?;
    run.config = addition::merged(&run.config, addition.given, code, same, own(addition.given))?;
    run.info.languages.push(code.to_string());
    run.info.human.push(new.as_ref().is_some_and(|c| c.human[0]));
    run.info.shared = Some(before.clone());
    run.mla.add(acquirer);
    growth.shared[0] = before;
    folder.build(|folder| finish(&mut run, folder, &mut growth, &old, &trained_on, new.as_ref()))?;
    let learning = addition.learning().path;
    fs::remove_dir_all(&learning).map_err(|e| Error::writing(&learning, e))?;
    Ok(growth)
}

fn check<'a>(addition: &Addition<'a>) -> Result<Checked<'a>> {
    let given = addition.given;
    let code = code(given)?;
    let mut allowed = RawConfig { data: given.data().clone(), ..RawConfig::default() };
    let grow = given.grow().clone();
    (allowed.grow.translations, allowed.grow.nlt, allowed.grow.le) = (grow.translations, grow.nlt, grow.le);
    let hint =
        "only keys of `data`, `grow.translations`, `grow.nlt` and `grow.le`; the rest is as the run has it";
    refuse_other_keys(given, allowed, hint)?;
    let mut run = MlaRun::open(addition.run, &[])?;
    if run.mla.languages().iter().any(|l| same_code(l, code)) {
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
        false => Some(Corpus::of(given)?),
    };
    if let Some(corpus) = &new {
        for split in corpus.read_splits() {
            run.info.check_maker(&split.features)?;
            check_width(&run.mla, &split.features)?;
        }
    }
    // Captions of other splits measure the language.
    let taught = new.as_ref().is_some_and(|corpus| !corpus.train.captions[0].is_empty());
    let acquire = own(given).over(run.config.acquire());
    // Translations may have a part in the stage of captions.
    let translates = acquire.nlt.epochs > 0 || taught && acquire.le.translates();
    for (given, learns, what, stage) in [
        (!sources.is_empty(), translates, "translations", "nlt"),
        (taught, acquire.le.epochs > 0, "captions", "le"),
    ] {
        if given && !learns {
            let what = format!("`{code}` has {what}, and no stage for them");
            let hint = format!("leave them out, or set `grow.{stage}.epochs` above 0");
            return Err(Error::config(what).at(addition.run).hint(hint));
        }
    }
    if sources.is_empty() && !taught {
        return Err(Error::config(format!("there is nothing to learn `{code}` from"))
            .hint("give captions of pictures in `data.captions`, or translations in `grow.translations`"));
    }
    let moved = |e: Error| {
        e.hint("the run's old languages are needed; `data.root` in its `config.toml` says where they are")
    };
    let trained_on = Corpus::of(&run.config).map_err(moved)?;
    refuse_leaks(&run, &trained_on, new.as_ref(), &sources)?;
    let same = new.as_ref().is_some_and(|c| {
        SplitName::CAPTIONED
            .iter()
            .map(|&s| [c, &trained_on].map(|of| &of.split(s).features))
            .all(|[new, old]| new.rows() == 0 || same_pictures(new, old))
    });
    Ok(Checked { run, code, trained_on, new, sources, same, before })
}

/// The files of translations; the known language is one that the run was trained on, or the tower's.
fn sources(run: &MlaRun, given: &Config) -> Result<Vec<Source>> {
    let root = given.base().join(&given.data().root);
    let source = |t: &crate::config::TranslationSource| {
        let trained = run.trained_languages();
        let teacher =
            run.mla.teacher(&t.language).filter(|_| trained.contains(&t.language)).ok_or_else(|| {
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
        let teacher = run.mla.teacher(language);
        let files = sources.iter().filter(|s| Some(s.teacher) == teacher).map(|s| s.known.clone());
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
    let said = format!("{before} {} {code}\n", run.config.seed());
    let files: Vec<PathBuf> = sources.iter().flat_map(|s| [&s.known, &s.new]).cloned().collect();
    addition::data_hash(&said, &new.iter().collect::<Vec<_>>(), &files)
}

/// How well the frozen tokenizer knows the languages that the run was trained on, and the new one.
fn pieces(
    run: &MlaRun,
    trained_on: &Corpus,
    new: Option<&Corpus>,
    sources: &[Source],
    code: &str,
) -> Result<Vec<Pieces>> {
    let tokenizer = run.mla.encoder.tokenizer();
    let mut all = Vec::new();
    let trained = run.trained_languages();
    for (language, captions) in trained_on.languages.iter().zip(&trained_on.train.captions) {
        let acquired = run.mla.way(language).is_some_and(|way| way != Way::Tower);
        if acquired && trained.contains(language) {
            let texts: Vec<&str> = captions.iter().map(|c| &c.text[..]).collect();
            all.push(pieces_of(tokenizer, language, &texts));
        }
    }
    let mut texts: Vec<String> = Vec::new();
    texts.extend(new.iter().flat_map(|c| &c.train.captions[0]).map(|c| c.text.clone()));
    for source in sources {
        texts.extend(lines(&source.new)?);
    }
    all.push(pieces_of(tokenizer, code, &texts.iter().map(String::as_str).collect::<Vec<_>>()));
    Ok(all)
}

/// The cost of the base's training: from the record of a language added before, or from its configuration and steps.
fn count_base(growth: &mut Growth, run: &MlaRun, corpus: &Corpus) -> Result<()> {
    if addition::known_base(growth, &run.folder, &corpus.languages)? {
        return Ok(());
    }
    let which = if run.folder.has(Which::Latest) { Which::Latest } else { Which::Best };
    let state = run.folder.read_state(which)?;
    let acquire = run.config.acquire();
    let trained = run.trained_languages();
    let acquired = |l: &&str| run.mla.way(l).is_some_and(|way| way != Way::Tower);
    let acquired: Vec<&str> = trained.iter().map(String::as_str).filter(acquired).collect();
    let mut teachers = Cost::default();
    let mut nlt = None;
    if acquire.translates() {
        let hint = "the base's translations are needed, too, to count what its training took";
        let sources = Source::all(&run.config, &acquired);
        let translations = Translations::read(&run.mla, &acquired, &sources).map_err(|e| e.hint(hint))?;
        teachers = Cost::of_teachers(&run.mla, &translations);
        let languages = translations.languages;
        nlt = Some(StageData { languages, vectors: Vec::new(), truncated: 0 });
    }
    let le = match acquire.le.epochs {
        0 => None,
        _ => Some(StageData::captions(&run.mla, corpus, &acquired, true)?),
    };
    let work = Cost::of_stages(&run.mla, &shown(&run.config, [nlt.as_ref(), le.as_ref()]), state.step);
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
    let before = addition::bytes(&run.folder.path);
    let kept = run.folder.growths(&run.info.languages)?;
    run.write(folder)?;
    let mut grown = MlaRun::open(&folder.path, &[])?;
    let results = |corpus: &Corpus| addition::results(&*grown.encoder(), corpus, grown.parameters);
    let now = results(trained_on)?;
    let after = match new {
        Some(corpus) => {
            let alone = results(corpus)?;
            [0, 1].map(|i| alone[i].iter().find(|r| r.0 == growth.language).map(|r| r.1.mr))
        }
        None => [None, None],
    };
    growth.results = addition::changed(&trained_on.languages, old, &now, &growth.language, after);
    growth.file_bytes = addition::bytes(&folder.path).saturating_sub(before);
    growth.shared[1] = grown.shared_hash();
    if growth.shared[0] != growth.shared[1] || !growth.unchanged() {
        return Err(addition::old_ones_changed(folder));
    }
    kept.iter().chain([&*growth]).try_for_each(|g| folder.write_growth(g))
}
