//! Adding a language to a trained run: all checks first, then the teaching, then a new run folder that is whole or
//! not there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::{RunFolder, TrainState, Which};
use crate::config::{AddedConfig, Config, RawConfig, TeacherConfig, same_code};
use crate::corpus::leak::{refuse_test_leak, refuse_test_leak_in};
use crate::corpus::{Corpus, SplitName, TeacherVectors};
use crate::eval::Scope;
use crate::eval::growth::{Change, Point};
use crate::eval::task::recall;
use crate::eval::{Growth, Retrieval};
use crate::family::smalr::SmalrRun;
use crate::family::smalr::cost::{Cost, Spoken};
use crate::family::smalr::grow::lesson::read_translations;
use crate::family::smalr::grow::shared::shared_hash;
use crate::family::smalr::grow::{Growing, Material, Translated, base_languages};
use crate::family::smalr::learner::SmalrLearner;
use crate::family::smalr::paired::of_step;
use crate::family::smalr::start::every_language;
use crate::grow::addition::{
    Addition, Found, Place, REPORTED, Results, bytes, changed, code, data_hash, known_base, merged, mr,
    old_ones_changed, refuse_other_keys, refuse_points,
};
use crate::grow::{AskTeacher, LEAST, same_pictures};
use crate::train::Progress;
use crate::train::{Event, Trainer};
use crate::words::Segmenter;
use crate::{Error, Result, checksum};

/// Everything read and checked; nothing computed yet.
struct Checked<'a> {
    run: SmalrRun,
    code: &'a str,
    trained_on: Corpus,
    new: Option<Corpus>,
    translations: Vec<Translated>,
    /// What a teacher says of them, once it is asked.
    teacher: Option<TeacherVectors>,
    /// Whether the new language's pictures are those of the run.
    same: bool,
    before: String,
}

/// Makes a new run with the language added, or goes on with one that was interrupted.
///
/// Until it is done, its trainings stand in NEWRUN's `learning/`: that of the language, those on fewer sentences for a learning curve, and, where
/// everything is trained afterwards, the run as it was before that.
///
/// # Errors
/// As [`crate::run::add_language`].
pub fn add(
    addition: &Addition,
    ask: AskTeacher,
    progress: Progress,
    tell: &mut dyn FnMut(Event),
) -> Result<Growth> {
    let place = match addition.find()? {
        Found::Done(growth) => return Ok(*growth),
        Found::Place(place) => place,
    };
    let mut checked = check(addition)?;
    checked.teacher = taught(&checked, addition.given, ask, progress)?;
    let data = data(&checked, addition.given)?;
    place.refuse_other(addition, &data)?;
    let (code, learning) = (checked.code, addition.learning().path);
    let thawed = match addition.given.grow().unfrozen_epochs {
        0 => None,
        _ => Some(learning.join("unfrozen")),
    };
    let begun =
        thawed.as_ref().filter(|path| path.exists()).map(|path| RunFolder::locked(path)).transpose()?;
    let (folder, growth) = match (place, begun.filter(RunFolder::is_run)) {
        (Place::Learning(folder), Some(begun)) => {
            let growth = begun.growths(&[code.to_string()])?.pop();
            let missing = || Error::data("does not say how its language was learnt").at(&begun.path);
            let growth = growth.ok_or_else(|| missing().hint("give another `--out` to begin again"))?;
            (folder, unfreeze(addition, &begun, growth, tell)?)
        }
        (place, _) => {
            let (folder, learnt) = learn(addition, place, checked, data, progress, tell)?;
            let growth = match &thawed {
                None => folder.build(|folder| learnt.write(folder))?,
                Some(path) => {
                    fs::create_dir_all(path).map_err(|e| Error::writing(path, e))?;
                    let thawed = RunFolder::locked(path)?;
                    let growth = thawed.build(|folder| learnt.write(folder))?;
                    unfreeze(addition, &thawed, growth, tell)?
                }
            };
            (folder, growth)
        }
    };
    if let Some(path) = &thawed {
        let mut run = SmalrRun::open(path, &[])?;
        folder.build(|folder| {
            RunFolder::new(path).copy_to(folder)?;
            run.info.shared = Some(growth.shared[1].clone());
            folder.write_info(&run.info)?;
            folder.write_growth(&growth)
        })?;
    }
    fs::remove_dir_all(&learning).map_err(|e| Error::writing(&learning, e))?;
    Ok(growth)
}

/// A run with its new language, to be written.
struct Learnt {
    run: SmalrRun,
    growth: Growth,
    /// Of the base: its folder and languages, and what they find.
    base: RunFolder,
    languages: Vec<String>,
    old: Results,
    trained_on: Corpus,
    new: Option<Corpus>,
    before: String,
}

/// Teaches the language, in the trainings of its folder.
fn learn(
    addition: &Addition,
    place: Place,
    checked: Checked,
    data: String,
    progress: Progress,
    tell: &mut dyn FnMut(Event),
) -> Result<(RunFolder, Learnt)> {
    let Checked { mut run, code, trained_on, new, translations, teacher, same, before } = checked;
    let (base, languages, given) = (run.folder.clone(), run.info.languages.clone(), addition.given);
    let material = Material { code, given, corpus: new.as_ref(), translations, teacher: teacher.as_ref() };
    let growing = Growing::new(&mut run, &trained_on, material, addition.cache, progress)?;
    let old = results(&run, &trained_on)?;
    let folder = place.folder(given, &run.info, data)?;
    let mut curve = Vec::new();
    for &sentences in addition.curve {
        let language = languages.len();
        growing.teach(addition, &mut run, Some(sentences), tell)?;
        curve.push(Point { sentences, mr: recalls(&run, new.as_ref())?.map(mr) });
        run.drop_language(language);
    }
    let mut growth = growing.teach(addition, &mut run, None, tell)?;
    drop(growing);
    addition.refuse_stopped()?;
    let (words, word_width) = (growth.own_words, growth.word_width);
    let own = AddedConfig { words, word_width, rank: given.grow().rank, ..AddedConfig::default() };
    run.config = merged(&run.config, given, code, same, own)?;
    run.info.languages.push(code.to_string());
    run.info.human.push(new.as_ref().is_some_and(|c| c.human[0]));
    run.info.shared = Some(before.clone());
    growth.curve = curve;
    count_base(&mut growth, &run, &base, &trained_on)?;
    Ok((folder, Learnt { run, growth, base, languages, old, trained_on, new, before }))
}

impl Learnt {
    /// Writes the run, and compares what its languages find with what they found.
    fn write(self, folder: &RunFolder) -> Result<Growth> {
        let Learnt { mut run, mut growth, base, languages, old, trained_on, new, before } = self;
        let (kept, state) = (base.growths(&languages)?, run.state.clone());
        write(folder, &mut run, &state)?;
        let mut grown = SmalrRun::open(&folder.path, &[])?;
        let after = shared_hash(&mut grown);
        growth.results = compared(&mut grown, &old, &trained_on, new.as_ref(), &growth.language)?;
        growth.file_bytes = bytes(&folder.path).saturating_sub(bytes(&base.path));
        growth.shared = [before.clone(), after.clone()];
        if after != before || !growth.unchanged() {
            return Err(old_ones_changed(folder));
        }
        kept.iter().chain([&growth]).try_for_each(|g| folder.write_growth(g))?;
        Ok(growth)
    }
}

/// SHA-256 of what the new language is learnt from, and of what it is learnt on.
fn data(checked: &Checked, given: &Config) -> Result<String> {
    let Checked { run, code, trained_on, new, teacher, before, .. } = checked;
    let vectors = given.words().vectors.as_ref().map(|pattern| pattern.replace("{language}", code));
    let vectors = vectors.map(|file| checksum::of_file(&given.base().join(file))).transpose()?;
    let taught = teacher.as_ref().map_or(String::new(), |teacher| format!(" {}", teacher.hash));
    let said = format!("{before} {} {code} {}{taught}\n", run.config.seed(), vectors.unwrap_or_default());
    let root = given.base().join(&given.data().root);
    let translations = given.grow().translations.iter().flat_map(|t| [&t.known, &t.new]);
    let mut files: Vec<PathBuf> = translations.map(|file| root.join(file)).collect();
    files.extend(new.iter().filter_map(|corpus| corpus.texts[0].clone()).flatten());
    data_hash(&said, &[trained_on].into_iter().chain(new).collect::<Vec<_>>(), &files)
}

fn check<'a>(addition: &Addition<'a>) -> Result<Checked<'a>> {
    let given = addition.given;
    let code = code(given)?;
    let mut read =
        RawConfig { data: given.data().clone(), grow: given.grow().clone(), ..RawConfig::default() };
    read.words.vectors = given.words().vectors.clone();
    // The pictures are those of the run.
    read.teacher = TeacherConfig { pictures: false, ..given.teacher().clone() };
    // The stages of an acquisition.
    (read.grow.nlt, read.grow.le) = Default::default();
    let hint =
        "only keys of `data`, `grow` and `teacher`, and `words.vectors`; the rest is as the run has it";
    refuse_other_keys(given, read, hint)?;
    let mut run = SmalrRun::open(addition.run, &[])?;
    if run.info.languages.iter().any(|l| same_code(l, code)) {
        return Err(Error::usage(format!("the run knows `{code}` already"))
            .at(addition.run)
            .hint("`tinyglot remove-language` takes it out"));
    }
    run.folder.refuse_packed()?;
    refuse_kind(&run, addition.run)?;
    let before = shared_hash(&mut run);
    if run.info.shared.as_ref().is_some_and(|shared| *shared != before) {
        return Err(Error::data("the parameters are not those that `run.json` speaks of")
            .at(addition.run)
            .hint("the run is damaged: copy it again"));
    }
    let base = base_languages(&run);
    let new = match given.data().captions.is_empty() {
        true => None,
        false => Some(Corpus::of(given)?),
    };
    if let Some(corpus) = &new {
        for split in corpus.read_splits() {
            run.info.check_maker(&split.features)?;
            run.check_width(&split.features)?;
        }
        let segmenter = Segmenter::new(code, run.config.words(), &run.folder.path)?;
        refuse_test_leak(corpus, &|_, text| segmenter.segment(text))?;
    }
    let translations = translations(&run, given, &base)?;
    if let Some(corpus) = &new {
        let segmenter = Segmenter::new(code, run.config.words(), &run.folder.path)?;
        let root = given.base().join(&given.data().root);
        let files: Vec<PathBuf> = given.grow().translations.iter().map(|t| root.join(&t.new)).collect();
        refuse_test_leak_in(corpus, &|_, text| segmenter.segment(text), &files)?;
    }
    let captions = new.as_ref().map_or(0, |c| c.train.captions[0].len());
    let sentences = captions + translations.iter().map(|t| t.1.len()).sum::<usize>();
    if sentences < LEAST {
        return Err(Error::data(format!("`{code}` has {sentences} training sentences"))
            .at(&given.data().root)
            .hint(format!("give {LEAST} captions or translations at least; a few hundred teach something")));
    }
    refuse_points(addition.curve, sentences)?;
    let moved = |e: Error| {
        e.hint("the run's old languages are needed; `data.root` in its `config.toml` says where they are")
    };
    let trained_on = Corpus::of(&run.config).map_err(moved)?;
    let same = new.as_ref().is_some_and(|c| {
        // Those that are measured alone, too.
        SplitName::CAPTIONED
            .iter()
            .map(|&s| [c, &trained_on].map(|of| &of.split(s).features))
            .all(|[new, old]| new.rows() == 0 || same_pictures(new, old))
    });
    let taught = new.as_ref().is_some_and(|c| !c.train.captions[0].is_empty());
    if given.grow().unfrozen_epochs > 0 && !(same && taught) {
        return Err(Error::config("`grow.unfrozen_epochs` trains on the captions of all languages together")
            .hint("that needs captions of the run's own pictures; set it to 0"));
    }
    if given.grow().unfrozen_epochs > 0 && run.model.adversary.is_some() {
        return Err(Error::config("`grow.unfrozen_epochs` trains the run's language classifier, too, which has no class for another one")
            .hint("set it to 0, or train the run without `loss.adversary`"));
    }
    Ok(Checked { run, code, trained_on, new, translations, teacher: None, same, before })
}

/// What a teacher says of the sentences that are learnt from, if the language is taught by one: of both sides of the translations, and of the captions.
fn taught(
    checked: &Checked,
    given: &Config,
    ask: AskTeacher,
    progress: Progress,
) -> Result<Option<TeacherVectors>> {
    if !given.grow().teacher.is_on() {
        return Ok(None);
    }
    let (run, code) = (&checked.run, checked.code);
    let base = base_languages(run);
    let captions = checked.new.iter().flat_map(|corpus| &corpus.train.captions[0]).map(|c| &c.text);
    let mut new: Vec<String> = captions.cloned().collect();
    let (mut languages, mut sentences): (Vec<String>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    for (n, pairs) in &checked.translations {
        let known = &run.info.languages[base[*n]];
        let place = languages.iter().position(|l| l == known).unwrap_or_else(|| {
            languages.push(known.clone());
            sentences.push(Vec::new());
            languages.len() - 1
        });
        sentences[place].extend(pairs.iter().map(|(old, _)| old.clone()));
        new.extend(pairs.iter().map(|(_, new)| new.clone()));
    }
    languages.push(code.to_string());
    sentences.push(new);
    let sentences = Corpus::of_sentences(languages, sentences);
    ask(&sentences, run.config.text().joint, progress).map(Some)
}

/// Some kinds of models have no place for the words of another language.
fn refuse_kind(run: &SmalrRun, path: &Path) -> Result<()> {
    let lexicon = &run.encoder.lexicon;
    let (what, hint) = if lexicon.spellings.is_some() {
        (
            "the run makes words of characters, and reads every language",
            "embed and search with one that it knows",
        )
    } else if lexicon.translations.is_some() {
        ("the run reads rare words as translations", "train it without `words.translate_below`")
    } else {
        return Ok(());
    };
    Err(Error::usage(format!("{what}: no language can be added")).at(path).hint(hint))
}

/// The pairs of each source, by the number of its known language among those of the base.
fn translations(run: &SmalrRun, given: &Config, base: &[usize]) -> Result<Vec<Translated>> {
    let root = given.base().join(&given.data().root);
    let read = |source: &crate::config::TranslationSource| {
        let l = run.language(&source.language)?;
        let n = base.iter().position(|&b| b == l).ok_or_else(|| {
            let what = format!("`grow.translations` names `{}`, which was added itself", source.language);
            Error::config(what).hint("give translations of languages that the run was trained on")
        })?;
        Ok((n, read_translations(&root.join(&source.known), &root.join(&source.new))?))
    };
    given.grow().translations.iter().map(read).collect()
}

/// Writes a run that has everything but an optimiser.
pub(crate) fn write(folder: &RunFolder, run: &mut SmalrRun, state: &TrainState) -> Result<()> {
    folder.write_words(&run.encoder)?;
    folder.save(Which::Best, &mut run.model, None, state)?;
    folder.write_config(&run.config)?;
    run.info.parameters = crate::optim::parameters_by_part(&mut run.model);
    (run.info.parameters_train, run.info.parameters_test) = run.model.parameter_counts();
    run.parameters = run.model.parameter_counts().into();
    run.info.tinyglot = env!("CARGO_PKG_VERSION").into();
    folder.write_info(&run.info)
}

/// Retrieval of every language on the reported splits.
fn results(run: &SmalrRun, corpus: &Corpus) -> Result<Results> {
    let on = |split: SplitName| {
        if corpus.split(split).captions.iter().all(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let scope = Scope { translated: false, ..Scope::whole(split) };
        Ok(recall::evaluate(&run, corpus, scope, run.parameters)?.languages)
    };
    Ok([on(REPORTED[0])?, on(REPORTED[1])?])
}

/// Retrieval of the new language on its own pictures.
fn recalls(run: &SmalrRun, new: Option<&Corpus>) -> Result<[Option<Retrieval>; 2]> {
    let [val, test] = new.map_or(Ok(Default::default()), |corpus| results(run, corpus))?;
    let first = |all: Vec<(String, Retrieval)>| all.into_iter().next().map(|(_, retrieval)| retrieval);
    Ok([first(val), first(test)])
}

/// Every language before and after. The old ones are evaluated again, by the run as it was written.
fn compared(
    grown: &mut SmalrRun,
    old: &Results,
    trained_on: &Corpus,
    new: Option<&Corpus>,
    code: &str,
) -> Result<Vec<Change>> {
    let now = results(grown, trained_on)?;
    let after = recalls(grown, new)?.map(mr);
    Ok(changed(&trained_on.languages, old, &now, code, after))
}

/// The cost of the base's training: from the record of a language added before, or from its configuration and steps.
fn count_base(growth: &mut Growth, run: &SmalrRun, base: &RunFolder, corpus: &Corpus) -> Result<()> {
    if known_base(growth, base, &corpus.languages)? {
        return Ok(());
    }
    let which = if base.has(Which::Latest) { Which::Latest } else { Which::Best };
    let state = base.read_state(which)?;
    let work = work_of_training(&run.config, run.info.features, corpus, state.step);
    growth.base_products = work.products;
    growth.base_sentences_shown = work.sentences;
    growth.base_seconds = state.seconds;
    Ok(())
}

/// What so many steps over all languages take; words are counted as what white space separates.
fn work_of_training(config: &Config, features: usize, corpus: &Corpus, steps: usize) -> Cost {
    let languages = corpus.languages.iter().zip(&corpus.train.captions);
    let languages: Vec<Spoken> = languages
        .map(|(language, captions)| Spoken {
            language,
            captions: captions.len(),
            tokens: captions.iter().map(|c| c.text.split_whitespace().count()).sum(),
        })
        .collect();
    let mut work = Cost::of_training(config, features, corpus.train.features.rows(), &languages, 1, steps);
    let (sentences, words) = of_step(config, &corpus.pairs, |_, text| text.split_whitespace().count());
    work.learnt(steps * sentences, steps * words);
    work
}

/// Trains everything on the captions of all languages, from the run as it was written in `folder`, or from where that was stopped, and tells
/// what the old ones lose.
fn unfreeze(
    addition: &Addition,
    folder: &RunFolder,
    mut growth: Growth,
    tell: &mut dyn FnMut(Event),
) -> Result<Growth> {
    let SmalrRun { config, encoder, model, .. } = SmalrRun::open(&folder.path, &[])?;
    let corpus = Corpus::of(&config)?;
    let train = every_language(&encoder, &corpus.train);
    let validation = every_language(&encoder, &corpus.val);
    let learner = SmalrLearner::new(&config, &corpus, &encoder, &train, validation, model);
    let mut trainer = Trainer::new(&config, folder, learner);
    // The run as it was written stays where no epoch is better.
    trainer.begin_with_best()?;
    addition.train(&mut trainer, folder, None, tell)?;
    let TrainState { step: steps, seconds, .. } = trainer.state;
    drop(trainer);
    addition.refuse_stopped()?;
    let mut run = SmalrRun::open(&folder.path, &[])?;
    let now = results(&run, &corpus)?;
    for change in &mut growth.results {
        change.after = [0, 1].map(|i| now[i].iter().find(|r| r.0 == change.language).map(|r| r.1.mr));
    }
    let work = work_of_training(&config, run.info.features, &corpus, steps);
    growth.products += work.products;
    growth.sentences_shown += work.sentences;
    growth.seconds.push(("unfrozen training".into(), seconds));
    growth.unfrozen = true;
    growth.shared[1] = shared_hash(&mut run);
    Ok(growth)
}
