//! What a user writes (TOML), and the checked type that everything else takes.
//!
//! A file becomes a [`Config`] in four steps: TOML with the line of every key, `--set` over it, the shape (unknown keys
//! and wrong types), the rules. Each step reports all that is wrong in it, with file and line.

mod changes;
mod codes;
mod document;
mod family;
mod iso;
mod overrides;
mod paths;
mod problem;
mod rules;
mod schema;
mod sections;
mod shape;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::error::InFile;
use crate::{Error, Result};

pub use changes::{changed_since, changes, may_change};
pub(crate) use changes::{lasting, number, table};
pub use codes::same_code;
pub(crate) use document::Document;
pub use family::FamilyName;
pub use iso::{Fit, with_script};
pub use overrides::Setting;
pub use problem::{Fault, Problem, Problems};
pub use schema::schema;
pub use sections::*;
pub(crate) use shape::{Shape, join, short};

/// A configuration that keeps every rule. Only [`RawConfig::check`] and the readers make one.
///
/// Two are equal when they say the same, wherever they were read from.
#[derive(Debug, Clone)]
pub struct Config {
    raw: RawConfig,
    base: PathBuf,
    /// Where it was read; nothing for one that was made of another.
    file: Option<PathBuf>,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl RawConfig {
    /// Checks every rule; relative paths start from `base`, the folder of the configuration file (without links, or
    /// `..` would lead elsewhere).
    ///
    /// # Errors
    /// Every rule that is broken; else that `base` is not Unicode.
    pub fn check(mut self, base: PathBuf) -> Result<Config, Problems> {
        codes::settle(&mut self);
        let mut broken = rules::broken(&self);
        broken.extend(self.settle_family().err());
        if !broken.is_empty() {
            return Err(Problems(broken));
        }
        let Some(folder) = base.to_str() else {
            let path = base.display().to_string();
            return Err(Problems(vec![Problem::new("data.root", Fault::PathNotUnicode { path })]));
        };
        let mut raw = self;
        raw.data.root = paths::climb(&base, &raw.data.root);
        raw.words.tokenizer = raw.words.tokenizer.map(|file| paths::climb(&base, &file));
        let contrastive = &mut raw.contrastive;
        for file in [
            &mut raw.acquire.tower,
            &mut raw.acquire.embedding,
            &mut contrastive.checkpoint,
            &mut contrastive.start,
            &mut raw.teacher.run,
            &mut raw.teacher.tower,
        ] {
            *file = file.take().map(|file| paths::climb(&base, &file));
        }
        raw.words.vectors =
            raw.words.vectors.map(|file| paths::climb(folder.as_ref(), file.as_ref()).display().to_string());
        Ok(Config { raw, base, file: None })
    }
}

impl Config {
    /// Reads a file, sets each `key.path=value` of `overrides` over it, and checks the whole.
    ///
    /// Paths in the file start from its folder, those in `overrides` from the current one; the result holds full paths.
    ///
    /// # Errors
    /// Config, with file and line of each problem: not to be read, no TOML, unknown keys, wrong types, broken rules, keys that the family
    /// does not read. Usage, for an override without `=`.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Config> {
        Self::load_with(file, &[], overrides)
    }

    /// As [`Config::load`], with `settings` between the file and `overrides`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(file: &Path, settings: &[Setting], overrides: &[String]) -> Result<Config> {
        Self::read(Document::load(file)?, settings, overrides, true)
    }

    /// As [`Config::load`], for a language that is added to a run: what it reads depends on the run, which refuses the rest.
    ///
    /// # Errors
    /// As [`Config::load`], but for keys that the family does not read.
    pub fn load_addition(file: &Path, overrides: &[String]) -> Result<Config> {
        Self::read(Document::load(file)?, &[], overrides, false)
    }

    /// Reads the configuration that a run keeps, with each `key.path=value` of `overrides` over it. Runs from before
    /// `words.normalisation` do not say it, and keep to the rules there were.
    ///
    /// # Errors
    /// As [`Config::load`], but for keys that the family does not read.
    pub fn load_run(file: &Path, overrides: &[String]) -> Result<Config> {
        let mut document = Document::load(file)?;
        let words = document.table.entry("words").or_insert(Value::Table(Table::new()));
        if let Value::Table(words) = words {
            words.entry("normalisation").or_insert(Value::String("nfkc".into()));
        }
        // Earlier programs passed over what a family does not read.
        Self::read(document, &[], overrides, false)
    }

    /// Reads the text of a configuration file; `file` names it in errors, and its folder is where paths start.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(text: &str, file: &Path) -> Result<Config> {
        Self::read(Document::read(text, file)?, &[], &[], true)
    }

    /// `strict` refuses keys that the family does not read.
    fn read(
        mut document: Document,
        settings: &[Setting],
        overrides: &[String],
        strict: bool,
    ) -> Result<Config> {
        let mut problems = Vec::new();
        for setting in settings {
            setting.apply(&mut document.table, &mut document.origins)?;
        }
        for written in overrides {
            overrides::apply(written, &mut document.table, &mut document.origins, &mut problems)?;
        }
        problems.extend(shape::check(&document.table));
        if !problems.is_empty() {
            return Err(document.error(problems));
        }
        let base = paths::folder_of(document.path())?;
        let given = document.table.clone();
        let mut whole = Value::Table(std::mem::take(&mut document.table));
        paths::anchor("", &mut whole, &base);
        let raw = RawConfig::deserialize(whole)
            .map_err(|e| Error::config(e.message().trim()).at(document.path()))?;
        let config = raw.check(base).map_err(|Problems(problems)| document.error(problems))?;
        let config = Config { file: Some(document.path().to_path_buf()), ..config };
        match strict.then(|| family::unread_keys(&given, &config.raw, config.family())) {
            Some(unread) if !unread.is_empty() => Err(document.error(unread)),
            _ => Ok(config),
        }
    }

    /// The whole configuration, defaults and full paths included; reads back as an equal one.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(&self.raw).expect("the rules keep to what TOML can say")
    }

    /// The family of models that it trains.
    pub fn family(&self) -> FamilyName {
        self.raw.family.expect("a checked configuration has its family")
    }

    /// The seed that all others are derived from.
    pub fn seed(&self) -> u64 {
        self.raw.seed
    }

    /// The section `data`: captions, features and their splits.
    pub fn data(&self) -> &DataConfig {
        &self.raw.data
    }

    /// The section `words`: segmentation, vocabulary and word vectors.
    pub fn words(&self) -> &WordsConfig {
        &self.raw.words
    }

    /// The section `embedding`: the vectors of words (SMALR).
    pub fn embedding(&self) -> &EmbeddingConfig {
        &self.raw.embedding
    }

    /// The section `text`: the sentence encoder.
    pub fn text(&self) -> &TextConfig {
        &self.raw.text
    }

    /// The section `image`: the layers from picture features to the joint space.
    pub fn image(&self) -> &ImageConfig {
        &self.raw.image
    }

    /// The section `loss`: the terms of the loss and their weights.
    pub fn loss(&self) -> &LossConfig {
        &self.raw.loss
    }

    /// The section `teacher`: whose vectors a student imitates.
    pub fn teacher(&self) -> &TeacherConfig {
        &self.raw.teacher
    }

    /// The section `train`: batches, optimiser and schedule.
    pub fn train(&self) -> &TrainConfig {
        &self.raw.train
    }

    /// The section `consistency`: how queries in several languages are joined.
    pub fn consistency(&self) -> &ConsistencyConfig {
        &self.raw.consistency
    }

    /// The section `grow`: how a language is added to a run.
    pub fn grow(&self) -> &GrowConfig {
        &self.raw.grow
    }

    /// Languages that were added, by code.
    pub fn added(&self) -> &std::collections::BTreeMap<String, AddedConfig> {
        &self.raw.added
    }

    /// The section `tower`: the text tower to train.
    pub fn tower(&self) -> &NewTowerConfig {
        &self.raw.tower
    }

    /// The section `contrastive`: a multilingual encoder trained by contrast.
    pub fn contrastive(&self) -> &ContrastiveConfig {
        &self.raw.contrastive
    }

    /// The section `acquire`: languages on a frozen tower (MLA).
    pub fn acquire(&self) -> &AcquireConfig {
        &self.raw.acquire
    }

    /// The folder of the configuration file.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Names the file in errors that name none: that of the configuration where the fault is in it, and where it is in the data,
    /// their folder.
    ///
    /// # Errors
    /// That of `result`.
    pub fn names<T>(&self, result: Result<T>) -> Result<T> {
        let result = result.in_file_if(crate::error::Kind::Data, &self.raw.data.root);
        match &self.file {
            Some(file) => result.in_file_if(crate::error::Kind::Config, file),
            None => result,
        }
    }

    /// The sections, to change some and [`RawConfig::check`] again.
    pub fn raw(&self) -> &RawConfig {
        &self.raw
    }
}

/// What differs from the defaults, as TOML.
pub fn differences(config: &Config) -> String {
    let mut defaults = RawConfig::default();
    defaults.data.root = paths::climb(&config.base, &defaults.data.root);
    defaults.family = Some(FamilyName::Smalr);
    let (mut ours, defaults) = (table(&config.raw), table(&defaults));
    drop_equal(&mut ours, &defaults);
    toml::to_string_pretty(&ours).expect("a TOML table prints")
}

fn drop_equal(ours: &mut Table, defaults: &Table) {
    ours.retain(|key, value| match (value, defaults.get(key)) {
        (Value::Table(ours), Some(Value::Table(defaults))) => {
            drop_equal(ours, defaults);
            !ours.is_empty()
        }
        (value, default) => Some(&*value) != default,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD_VECTORS: &str = "vectors = \"vectors/cc.{language}.bin\"\n";
    const GOOD: &str = "\
seed = 7

[data]
root = \"../pictures\"
languages = [\"en\", \"zh-Hans\"]

[[data.captions]]
languages = [\"en\", \"zh-Hans\"]
files = [\"{split}.{language}\"]

[words]
vectors = \"vectors/cc.{language}.bin\"

[train]
captions = { en = 2 }
learning_rate = 3e-4
";

    fn read(text: &str) -> Result<Config> {
        Config::from_toml(text, Path::new("/nowhere/configs/a.toml"))
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn keys_that_are_not_given_take_their_defaults() {
        let config = read(GOOD).unwrap();
        assert_eq!((config.seed(), config.train().epochs, config.embedding().top_k), (7, 20, 5000));
        assert_eq!(config.train().captions["en"], 2);
        assert_eq!(config.train().learning_rate, 3e-4);
    }

    #[test]
    fn paths_start_from_the_folder_of_the_file() {
        let config = read(GOOD).unwrap();
        assert_eq!(config.base(), Path::new("/nowhere/configs"));
        assert_eq!(config.data().root, Path::new("/nowhere/pictures"));
        assert_eq!(config.words().vectors.as_deref(), Some("/nowhere/configs/vectors/cc.{language}.bin"));
        assert_eq!(config.data().features, ["features/{split}.npy"]);
    }

    #[test]
    fn resolved_text_reads_back_as_an_equal_configuration_in_any_folder() {
        let config = read(GOOD).unwrap();
        let again = Config::from_toml(&config.to_toml(), Path::new("/elsewhere/run/config.toml")).unwrap();
        assert_eq!(again, config);
        assert_eq!(again.to_toml(), config.to_toml());
        assert!(config.to_toml().contains("learning_rate = 0.0003\n"), "{}", config.to_toml());
    }

    #[test]
    fn differences_hold_what_is_not_default_and_read_back() {
        let config = read(GOOD).unwrap();
        let differences = differences(&config);
        assert_eq!(read(&differences).unwrap(), config);
        let keys: Table = differences.parse().unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["data", "seed", "train", "words"]);
        assert_eq!(keys["train"].as_table().unwrap().len(), 2, "{differences}");
        let rooted = read(&GOOD.replace("root = \"../pictures\"\n", "")).unwrap();
        assert!(!super::differences(&rooted).contains("root"));
    }

    #[test]
    fn unknown_key_has_file_line_and_nearest_key() {
        let text = GOOD.replace("learning_rate", "learnin_rate");
        let expected = "`/nowhere/configs/a.toml`:16: unknown key `train.learnin_rate`; did you mean `train.learning_rate`?";
        assert_eq!(error(&text), expected);
    }

    #[test]
    fn wrong_type_in_a_list_of_tables_has_its_own_line() {
        let text = GOOD.replace("files = [", "source = \"robot\"\nfiles = [");
        let expected = "`/nowhere/configs/a.toml`:9: `data.captions.0.source` is \"robot\"; \
                        expected one of \"human\", \"machine\"";
        assert_eq!(error(&text), expected);
    }

    #[test]
    fn broken_rules_come_all_at_once_with_their_lines() {
        let text =
            GOOD.replace("en = 2", "en = 0, fr = 1").replace("seed = 7", "seed = 7\nloss.triplet.margin = 0");
        let expected = "\
`/nowhere/configs/a.toml`: 3 problems
  `/nowhere/configs/a.toml`:2: `loss.triplet.margin` is 0; it must be greater than 0
  `/nowhere/configs/a.toml`:16: `train.captions.en` is 0; it must be at least 1
  `/nowhere/configs/a.toml`:16: `train.captions.fr` names `fr`, which neither `data.languages` nor `data.captions` has";
        assert_eq!(error(&text), expected);
    }

    #[test]
    fn broken_toml_has_its_line() {
        let message = error("seed = 1\n[data\n");
        assert!(message.starts_with("`/nowhere/configs/a.toml`:2: "), "{message}");
        let twice = error("seed = 1\nseed = 2\n");
        assert!(twice.starts_with("`/nowhere/configs/a.toml`:2: duplicate key"), "{twice}");
        let large = error("seed = 99999999999999999999\n");
        assert!(large.starts_with("`/nowhere/configs/a.toml`:1: "), "{large}");
        assert_eq!(read("seed = ").unwrap_err().exit_status(), 3);
    }

    #[test]
    fn a_file_that_is_not_there_or_not_text_is_a_config_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        assert_eq!(Config::load(&file, &[]).unwrap_err().exit_status(), 3);
        std::fs::write(&file, b"seed = \"\xff\"").unwrap();
        let error = Config::load(&file, &[]).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(error.to_string().contains("a.toml"), "{error}");
    }

    #[test]
    fn set_goes_over_the_file_and_is_named_in_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, GOOD).unwrap();
        let set = |written: &[&str]| {
            Config::load(&file, &written.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(set(&["seed=9", "train.captions.en=5"]).unwrap().train().captions["en"], 5);
        let error = set(&["train.epochs=0", "trian.images=0"]).unwrap_err().to_string();
        assert_eq!(error, "`--set trian.images=0`: unknown key `trian.images`; did you mean `train.images`?");
        let error = set(&["train.epochs=many"]).unwrap_err().to_string();
        let expected =
            "`--set train.epochs=many`: `train.epochs` is \"many\"; expected a whole number, 0 or more";
        assert_eq!(error, expected);
        let error = set(&["train.images=1"]).unwrap_err().to_string();
        assert_eq!(error, "`--set train.images=1`: `train.images` is 1; it must be at least 2");
    }

    #[test]
    fn a_family_is_named_or_follows_from_its_sections() {
        assert_eq!(read(GOOD).unwrap().family(), FamilyName::Smalr);
        assert_eq!(read(&format!("family = \"smalr\"\n{GOOD}")).unwrap(), read(GOOD).unwrap());
        let tower =
            read(&GOOD.replace("[words]", "[tower]\nlayers = 2\n[words]").replace(WORD_VECTORS, "")).unwrap();
        assert_eq!(tower.family(), FamilyName::Tower);
        let wrong = error(&format!("family = \"mla\"\n{GOOD}"));
        let expected = "`/nowhere/configs/a.toml`:1: `family` is \"mla\", but the sections that are filled make it \"smalr\"; \
                        set `acquire.tower`";
        assert_eq!(wrong, expected);
    }

    #[test]
    fn a_key_that_the_family_does_not_read_is_refused_with_its_line() {
        let expected = "`/nowhere/configs/a.toml`:18: `acquire.hidden` is not read by the family \"smalr\"; leave it out";
        assert_eq!(error(&format!("{GOOD}[acquire]\nhidden = 3\n")), expected);
        read(&format!("{GOOD}[acquire]\nhidden = {}\n", AcquireConfig::default().hidden))
            .expect("the default says nothing");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, format!("{GOOD}[acquire]\nhidden = 3\n")).unwrap();
        assert!(Config::load(&file, &[]).is_err());
        Config::load_run(&file, &[]).expect("earlier programs passed it over");
    }

    #[test]
    fn a_run_that_names_no_normalisation_keeps_the_one_there_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let whole = read(GOOD).unwrap().to_toml();
        let line = "normalisation = \"script\"\n";
        assert!(whole.contains(line), "a new run names it: {whole}");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Config::load_run(&file, &[]).unwrap().words().normalisation
        };
        assert_eq!(read(&whole), TextRules::Script);
        assert_eq!(read(&whole.replace(line, "")), TextRules::Nfkc);
        assert_eq!(read(GOOD), TextRules::Nfkc);
        assert_eq!(Config::load(&file, &[]).unwrap().words().normalisation, TextRules::Script);
    }

    #[test]
    fn changed_sections_are_checked_again() {
        let config = read(GOOD).unwrap();
        let mut raw = config.raw().clone();
        raw.train.epochs = 3;
        assert_eq!(raw.clone().check(config.base().into()).unwrap().train().epochs, 3);
        raw.train.epochs = 0;
        let problems = raw.check(config.base().into()).unwrap_err();
        assert_eq!(problems.0, [Problem::new("train.epochs", Fault::TooSmall { value: 0, least: 1 })]);
        assert_eq!(problems.into_error().to_string(), "`train.epochs` is 0; it must be at least 1");
    }
}
