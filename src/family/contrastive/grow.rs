//! Adding a language to a contrastively trained encoder: it is trained on, on the captions and translations of the new language alone.
//!
//! The languages share all of it, so the old ones change, which is the point of comparison with families that keep them (MLA); the record says
//! by how much. What takes pictures to the joint space stays as it is: an index of pictures goes on fitting.

use std::fs;

use sha2::{Digest, Sha256};

use super::encoder::FOLDER;
use super::estimate::Counted;
use super::learner::ContrastiveLearner;
use super::model::ContrastiveEncoder;
use super::run::ContrastiveRun;
use crate::checkpoint::{RunFolder, Which};
use crate::config::{AddedConfig, Config, PairSource, RawConfig, TextTextSource, same_code};
use crate::corpus::leak::refuse_test_leak;
use crate::corpus::{Corpus, SplitName};
use crate::eval::Growth;
use crate::eval::growth::{Change, Pieces};
use crate::family::towers::pieces_of;
use crate::grow::addition::{self, Addition, Found, Results, code, refuse_other_keys};
use crate::grow::same_pictures;
use crate::optim::digest;
use crate::retrieve::Retriever;
use crate::train::{Event, Learner, Trainer};
use crate::write::copy_files;
use crate::{Error, Result, checksum};

/// Everything read and checked; nothing computed yet.
struct Checked<'a> {
    run: ContrastiveRun,
    code: &'a str,
    /// What the encoder is trained on by.
    config: Config,
    /// The new language, and before it those that its translations are in.
    corpus: Corpus,
    trained_on: Corpus,
    /// Whether the new language's pictures are those of the run.
    same: bool,
    /// What makes the run's vectors of pictures.
    pictures_by: String,
}

/// Makes a new run with the language added, or goes on with one that was interrupted.
///
/// # Errors
/// As `add_language` says; run, where it was interrupted.
pub(super) fn add(addition: &Addition, tell: &mut dyn FnMut(Event)) -> Result<Growth> {
    let place = match addition.find()? {
        Found::Done(growth) => return Ok(*growth),
        Found::Place(place) => place,
    };
    let Checked { mut run, code, config, corpus, trained_on, same, pictures_by } = check(addition)?;
    let mut weights = Sha256::new();
    digest(&mut run.model, &mut weights, |_| true);
    let said = format!("{} {} {code}\n", checksum::sha256(weights), run.config.seed());
    let data = addition::data_hash(&said, &[&corpus], &[])?;
    place.refuse_other(addition, &data)?;
    // The new language is read by the encoder as it is, too.
    let mut languages = run.info.languages.clone();
    languages.push(code.to_string());
    let results = |run: &ContrastiveRun, corpus: &Corpus| {
        let model = ContrastiveEncoder { model: &run.model, languages: &languages };
        addition::results(&model, corpus, run.parameters)
    };
    let (old, untaught) = (results(&run, &trained_on)?, results(&run, &corpus)?);
    let mut growth = Growth { language: code.to_string(), unfrozen: true, ..Growth::default() };
    growth.captions = corpus.train.captions.last().map_or(0, Vec::len);
    growth.translations = corpus.pairs.texts.iter().map(|text| text.lines() as usize).sum();
    growth.pieces = pieces(&run, &trained_on, &corpus, code);
    count_base(&mut growth, &run, &trained_on)?;
    let folder = place.folder(addition.given, &run.info, data)?;

    run.model.thaw(config.contrastive(), true);
    run.model.fix_pictures();
    let training = addition.training_folder(None)?;
    let learner = ContrastiveLearner::new(&config, &corpus, run.model);
    growth.truncated = learner.truncated().0;
    let mut trainer = Trainer::new(&config, &training, learner);
    addition.train(&mut trainer, &training, None, tell)?;
    let state = trainer.state.clone();
    growth.best_epoch = trainer.epochs_at(state.best_step) as usize;
    growth.seconds = vec![("training".into(), state.seconds)];
    run.model = trainer.learner.model;
    training.read_model(Which::Best, &mut run.model)?;
    [growth.products, growth.sentences_shown] = taken(&config, &corpus, state.step)?;
    addition.refuse_stopped()?;

    run.config = addition::merged(&run.config, addition.given, code, same, AddedConfig::default())?;
    run.info.languages = languages.clone();
    run.info.human.push(corpus.human.last().copied().unwrap_or(false));
    growth.shared[0] = pictures_by;
    folder.build(|to| {
        let before = addition::bytes(&run.folder.path);
        let kept = run.folder.growths(&run.info.languages)?;
        run.write(to)?;
        let grown = ContrastiveRun::open(&to.path, &[])?;
        grown.hand_over(&trained_on)?;
        let (now, after) = (results(&grown, &trained_on)?, results(&grown, &corpus)?);
        growth.results = changes(&trained_on.languages, &old, &now, code, [&untaught, &after]);
        growth.file_bytes = addition::bytes(&to.path).saturating_sub(before);
        growth.shared[1] = to.pictures_by()?;
        if growth.shared[0] != growth.shared[1] {
            return Err(addition::old_ones_changed(to));
        }
        kept.iter().chain([&growth]).try_for_each(|g| to.write_growth(g))
    })?;
    let learning = addition.learning().path;
    fs::remove_dir_all(&learning).map_err(|e| Error::writing(&learning, e))?;
    Ok(growth)
}

fn check<'a>(addition: &Addition<'a>) -> Result<Checked<'a>> {
    let given = addition.given;
    let code = code(given)?;
    let mut allowed = RawConfig { data: given.data().clone(), ..RawConfig::default() };
    let grow = given.grow().clone();
    (allowed.grow.translations, allowed.grow.contrast) = (grow.translations, grow.contrast);
    let hint = "only keys of `data`, `grow.translations` and `grow.contrast`; the rest is as the run has it";
    refuse_other_keys(given, allowed, hint)?;
    let run = ContrastiveRun::open(addition.run, &[])?;
    let refused = |e: Error| Err(e.at(addition.run));
    if run.info.languages.iter().any(|l| same_code(l, code)) {
        return refused(Error::usage(format!("the run knows `{code}` already")).hint(
            "to train its encoder on, give the run as `contrastive.start` of a new one with the same languages",
        ));
    }
    if !addition.curve.is_empty() {
        let hint = "leave out `--curve`, and add the language from fewer sentences to another `--out`";
        return refused(Error::usage("a run of this family has no learning curve").hint(hint));
    }
    let config = config(&run, given, code)?;
    let corpus = Corpus::of(&config)?;
    for split in corpus.read_splits() {
        run.info.check_maker(&split.features)?;
        run.check_pictures(&split.features)?;
    }
    if !corpus.has_captions() && corpus.pairs.texts.is_empty() {
        let hint = "give training captions in `data.captions`, or translations in `grow.translations`";
        return Err(Error::config(format!("there is nothing to learn `{code}` from")).hint(hint));
    }
    let moved = |e: Error| {
        e.hint("the run's old languages are measured; `data.root` in its `config.toml` says where they are")
    };
    let trained_on = Corpus::of(&run.config).map_err(moved)?;
    let words = |_: usize, text: &str| text.split_whitespace().map(String::from).collect();
    refuse_test_leak(&corpus, &words)?;
    // The known sides of the translations are held against the run's own test captions.
    let mut known = trained_on.clone();
    let root = given.base().join(&given.data().root);
    for (l, language) in trained_on.languages.iter().enumerate() {
        let files = grow_files(given, language).map(|file| root.join(file));
        known.texts[l] = Some(files.collect::<Vec<_>>()).filter(|files| !files.is_empty());
    }
    refuse_test_leak(&known, &words)?;
    let same = SplitName::CAPTIONED
        .iter()
        .map(|&s| [&corpus, &trained_on].map(|of| &of.split(s).features))
        .all(|[new, old]| new.rows() == 0 || same_pictures(new, old));
    let pictures_by = run.pictures_by()?;
    Ok(Checked { run, code, config, corpus, trained_on, same, pictures_by })
}

/// The files of translations whose known side is in a language.
fn grow_files<'c>(given: &'c Config, language: &str) -> impl Iterator<Item = &'c String> {
    let translations = given.grow().translations.iter();
    translations.filter(move |t| same_code(&t.language, language)).map(|t| &t.known)
}

/// The run's configuration, of the new language and those of its translations, with what is given for it.
fn config(run: &ContrastiveRun, given: &Config, code: &str) -> Result<Config> {
    let (mut raw, own) = (run.config.raw().clone(), &given.grow().contrast);
    raw.train.captions.clear();
    raw.data = given.data().clone();
    // With these, languages need no captions of their own.
    raw.grow.translations = given.grow().translations.clone();
    // Captions of the known languages are not learnt from, though files may hold them.
    raw.data.captions.retain_mut(|source| {
        if source.languages.is_empty() {
            source.languages = vec![code.to_string()];
        }
        source.languages.retain(|l| given.data().same_language(l, code));
        !source.languages.is_empty()
    });
    let mut known: Vec<String> = Vec::new();
    for t in &given.grow().translations {
        let Some(language) = run.info.languages.iter().find(|l| same_code(l, &t.language)) else {
            let what = format!("`grow.translations` names `{}`, which the run does not know", t.language);
            let languages = run.info.languages.join("`, `");
            return Err(Error::config(what).hint(format!("give translations of `{languages}`")));
        };
        if !known.contains(language) {
            known.push(language.clone());
        }
        let (languages, files) =
            (vec![language.clone(), code.to_string()], vec![t.known.clone(), t.new.clone()]);
        raw.data.pairs.push(PairSource { languages, files, ..PairSource::default() });
    }
    raw.data.languages = known.into_iter().chain([code.to_string()]).collect();
    let (contrastive, train) = (&mut raw.contrastive, &mut raw.train);
    // The heads are trained already, and pictures in their places.
    (contrastive.frozen_epochs, contrastive.shuffle_pictures) = (0.0, false);
    contrastive.image_text.languages = Vec::new();
    // A triple takes two languages of a picture, and there is one.
    if contrastive.triple.weight > 0.0 {
        contrastive.triple.weight = 0.0;
        contrastive.image_text.weight = contrastive.image_text.weight.max(1.0);
    }
    contrastive.text_text.source = TextTextSource::Pairs;
    if raw.data.pairs.is_empty() {
        contrastive.text_text.weight = 0.0;
    } else {
        contrastive.text_text.weight = own.text_text.unwrap_or(contrastive.text_text.weight);
        if contrastive.text_text.weight == 0.0 {
            return Err(Error::config(
                "the run compares no translations, and `grow.translations` gives some",
            )
            .hint("set `grow.contrast.text_text`, or leave the translations out"));
        }
    }
    contrastive.train = own.train.unwrap_or(contrastive.train);
    train.epochs = own.epochs.unwrap_or(train.epochs);
    train.images = own.images.unwrap_or(train.images);
    train.pairs.lines = own.lines.unwrap_or(train.pairs.lines);
    train.learning_rate = own.learning_rate.unwrap_or(train.learning_rate);
    train.best = RawConfig::default().train.best;
    raw.check(given.base().to_path_buf()).map_err(|problems| problems.into_error())
}

/// How well the tokenizer knows the run's languages, and the new one.
fn pieces(run: &ContrastiveRun, trained_on: &Corpus, corpus: &Corpus, code: &str) -> Vec<Pieces> {
    let texts = |corpus: &Corpus, l: usize| -> Vec<String> {
        corpus.train.captions[l].iter().map(|c| c.text.clone()).collect()
    };
    let of = |language: &str, texts: &[String]| {
        pieces_of(&run.model.tokenizer, language, &texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let languages = trained_on.languages.iter().enumerate();
    let mut all: Vec<Pieces> = languages.map(|(l, language)| of(language, &texts(trained_on, l))).collect();
    let new = corpus.languages.len() - 1;
    let mut own = texts(corpus, new);
    for (n, text) in corpus.pairs.texts.iter().enumerate() {
        let lines = (0..text.lines()).filter_map(|line| corpus.pairs.sentence(n, line, new));
        own.extend(lines.map(|sentence| sentence.into_owned()));
    }
    all.push(of(code, &own));
    all
}

/// What the base's training took.
fn count_base(growth: &mut Growth, run: &ContrastiveRun, trained_on: &Corpus) -> Result<()> {
    if addition::known_base(growth, &run.folder, &run.info.languages)? {
        return Ok(());
    }
    let which = if run.folder.has(Which::Latest) { Which::Latest } else { Which::Best };
    let state = run.folder.read_state(which)?;
    [growth.base_products, growth.base_sentences_shown] = taken(&run.config, trained_on, state.step)?;
    growth.base_seconds = state.seconds;
    Ok(())
}

/// Multiply–adds of so many steps, and the sentences that they saw.
fn taken(config: &Config, corpus: &Corpus, steps: usize) -> Result<[u64; 2]> {
    let counted = Counted::of(config, corpus)?;
    let (updates, products) = counted.products(config);
    let sentences: usize = counted.sentences(config).iter().sum();
    Ok([(products * steps as f64 / updates.max(1) as f64) as u64, (sentences * steps) as u64])
}

/// The old languages, then the new one, which the encoder read before, too.
fn changes(
    languages: &[String],
    old: &Results,
    now: &Results,
    code: &str,
    new: [&Results; 2],
) -> Vec<Change> {
    let of = |all: &Results| [0, 1].map(|i| all[i].iter().find(|r| r.0 == code).map(|r| r.1.mr));
    let mut changes = addition::changed(languages, old, now, code, of(new[1]));
    if let Some(last) = changes.last_mut() {
        last.before = of(new[0]);
    }
    changes
}

impl ContrastiveRun {
    /// Writes a run with this model, to be used: its best checkpoint alone.
    ///
    /// # Errors
    /// Data, where the run's own files cannot be read; run, where a file cannot be written.
    fn write(&mut self, to: &RunFolder) -> Result<()> {
        copy_files(&self.folder.path.join(FOLDER), &to.path.join(FOLDER))?;
        to.save(Which::Best, &mut self.model, None, &self.state)?;
        to.write_config(&self.config)?;
        self.info.tinyglot = env!("CARGO_PKG_VERSION").into();
        to.write_info(&self.info)
    }
}
