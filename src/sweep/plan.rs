//! The sweep file, and the trials that it stands for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::axes::{self, Axis, MOST};
use crate::cache::Content;
use crate::config::{Config, Document, Fault, Problem, Setting, Shape, join, short};
use crate::{Error, Result, config};

/// A sweep: what is trained, in this order.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which they are started.
    pub trials: Vec<Trial>,
    /// Where trials are dropped on the way; without it all train to the end.
    pub halving: Option<Halving>,
    /// The figure that trials are compared by ([`super::results::figures`]); without it `train.best` on validation.
    pub by: Option<String>,
    /// What each trial is measured by beside recall and consistency on test: arguments of `tinyglot evaluate RUN`, run in [`Self::home`].
    pub evaluate: Vec<Vec<String>>,
    /// The folder of the sweep's file.
    pub home: PathBuf,
}

/// Successive halving (Jamieson & Talwalkar 2016): at each rung the trials that are worse on validation are dropped.
/// Schedules stay those of the whole training.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Epochs after which trials are compared, rising.
    pub rungs: Vec<usize>,
    /// Share of the trials that goes on from each rung, at least one.
    pub keep: f64,
}

impl Halving {
    /// How much of a whole training of so many epochs is left for a trial that has passed so many rungs: what comes after a rung counts as much as
    /// trials go on from it.
    pub fn left(&self, epochs: usize, passed: usize) -> f64 {
        let ends = self.rungs.iter().copied().filter(|&rung| rung < epochs).chain([epochs]);
        let (mut before, mut share, mut left) = (0, 1.0, 0.0);
        for (rung, end) in ends.enumerate() {
            if rung >= passed {
                left += share * (end - before) as f64;
                share *= self.keep;
            }
            before = end;
        }
        left / epochs.max(1) as f64
    }
}

/// Another x axis of the sweep's page, beside parameters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plotted {
    /// A key of the configuration that takes a number, or `languages`: how many there are.
    x: String,
    /// Powers of ten.
    #[serde(default)]
    log: bool,
}

/// Where a trial lies on the x axis that its sweep names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// As in `plot.x`.
    pub x: String,
    /// Whether the axis has powers of ten.
    pub log: bool,
    /// The trial's place on that axis.
    pub value: f64,
}

impl Plotted {
    /// What `plot.x` may name beside keys.
    const LANGUAGES: &str = "languages";

    /// Refuses what is no number.
    fn check(&self, problems: &mut Vec<Problem>) {
        if self.x == Self::LANGUAGES {
            return;
        }
        match Shape::of_key(&self.x) {
            Ok(Shape::Whole | Shape::Number) => {}
            Ok(_) => problems.push(Problem::new("plot.x", Fault::NoNumberToPlot { key: self.x.clone() })),
            Err(nearest) => {
                problems.push(Problem::new("plot.x", Fault::UnknownPlot { key: self.x.clone(), nearest }))
            }
        }
    }

    /// Nothing for a key that is not set.
    fn place(&self, config: &Config) -> Option<Placed> {
        let value = match self.x == Self::LANGUAGES {
            true => config.data().languages.len() as f64,
            false => config::number(config, &self.x)?,
        };
        Some(Placed { x: self.x.clone(), log: self.log, value })
    }
}

/// One training of a sweep.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Eight hexadecimal digits that follow from the configuration alone: what differs from the defaults, less where the
    /// data are and how often checkpoints are saved.
    pub id: String,
    /// The variant and the axes' values, for people; trials that differ in their seed alone have one name.
    pub name: String,
    /// The variant's `family`, or its name; those of one family have one colour on the sweep's page.
    pub family: String,
    /// `seed` of its configuration.
    pub seed: u64,
    /// Each axis' key and value, as TOML writes it.
    pub axes: Vec<(String, String)>,
    /// Its place in the sweep's own plot.
    pub plot: Option<Placed>,
    /// The checked configuration, its seed and axes set.
    pub config: Config,
}

impl Trial {
    /// The name with the seed.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.name, self.seed)
    }
}

/// The file as written, after its shape was checked.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Written {
    base: Option<PathBuf>,
    seeds: Option<Vec<u64>>,
    random_seed: u64,
    set: Table,
    axes: Table,
    variants: Vec<Variant>,
    halving: Option<Halving>,
    plot: Option<Plotted>,
    by: Option<String>,
    evaluate: Vec<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Variant {
    name: String,
    family: Option<String>,
    base: Option<PathBuf>,
    seeds: Option<Vec<u64>>,
    set: Table,
}

fn shape() -> Shape {
    let whole = || Shape::List(Box::new(Shape::Whole));
    let any = || Shape::Map(Box::new(Shape::Any));
    let variant = Shape::table([
        ("name", Shape::Text),
        ("family", Shape::Text),
        ("base", Shape::Text),
        ("seeds", whole()),
        ("set", any()),
    ]);
    Shape::table([
        ("base", Shape::Text),
        ("seeds", whole()),
        ("random_seed", Shape::Whole),
        ("set", any()),
        ("axes", any()),
        ("variants", Shape::List(Box::new(variant))),
        ("halving", Shape::table([("rungs", whole()), ("keep", Shape::Number)])),
        ("plot", Shape::table([("x", Shape::Text), ("log", Shape::Flag)])),
        ("by", Shape::Text),
        ("evaluate", Shape::List(Box::new(Shape::List(Box::new(Shape::Text))))),
    ])
}

impl Plan {
    /// Reads a sweep file and expands it: variants × axes × seeds. `overrides` (`key=value`) hold for all trials.
    ///
    /// # Errors
    /// Config, with the line: unknown keys of the sweep or of the configuration, wrong types, a key that is set twice, a
    /// trial whose configuration breaks a rule, two trials that are the same.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Plan> {
        let document = Document::load(file)?;
        let mut problems = Vec::new();
        let root = shape();
        root.check(&root, "", &Value::Table(document.table.clone()), &mut problems);
        if !problems.is_empty() {
            return Err(document.error(problems));
        }
        let written = Written::deserialize(Value::Table(document.table.clone()))
            .map_err(|e| Error::config(e.message().trim()).at(file))?;
        let reader = Reader { document: &document, overrides };
        reader.expand(&written)
    }
}

struct Reader<'a> {
    document: &'a Document,
    overrides: &'a [String],
}

/// A variant with all that its trials share.
struct Branch {
    name: String,
    family: String,
    /// The configuration file.
    base: PathBuf,
    settings: Vec<Setting>,
    seeds: Option<Vec<u64>>,
}

impl Reader<'_> {
    fn expand(&self, written: &Written) -> Result<Plan> {
        let mut problems = Vec::new();
        let axes = axes::read(&written.axes, self.document, written.random_seed, &mut problems)?;
        let branches = self.branches(written, &axes, &mut problems)?;
        self.check_halving(written, &mut problems);
        if let Some(plot) = &written.plot {
            plot.check(&mut problems);
        }
        if !problems.is_empty() {
            return Err(self.document.error(problems));
        }
        if axes::count(&axes) > MOST {
            return Err(self.too_many());
        }
        let points = axes::points(&axes);
        self.refuse_set_axes(&axes)?;
        let mut trials = Vec::new();
        for branch in &branches {
            for point in &points {
                self.trials(branch, point, &mut trials)?;
            }
        }
        for trial in &mut trials {
            trial.plot = written.plot.as_ref().and_then(|plot| plot.place(&trial.config));
        }
        self.refuse_equal(&trials)?;
        self.refuse_late_rungs(written, &trials)?;
        if written.by.is_none() {
            self.refuse_mixed_metrics(written, &trials)?;
        }
        let home = self.document.path().parent().unwrap_or(Path::new("")).to_path_buf();
        let (halving, by, evaluate) = (written.halving.clone(), written.by.clone(), written.evaluate.clone());
        Ok(Plan { trials, halving, by, evaluate, home })
    }

    fn check_halving(&self, written: &Written, problems: &mut Vec<Problem>) {
        let Some(halving) = &written.halving else { return };
        let rising = halving.rungs.first().is_some_and(|first| *first > 0)
            && halving.rungs.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising {
            problems.push(Problem::new("halving.rungs", Fault::Rungs));
        }
        let keep = halving.keep as f32;
        if !(keep > 0.0 && keep < 1.0) {
            problems.push(Problem::new("halving.keep", Fault::NotAProperShare { value: keep }));
        }
    }

    /// A rung at the end of the training would compare nothing in time.
    fn refuse_late_rungs(&self, written: &Written, trials: &[Trial]) -> Result<()> {
        let last = written.halving.as_ref().and_then(|halving| halving.rungs.last().copied()).unwrap_or(0);
        match trials.iter().find(|trial| trial.config.train().epochs <= last) {
            None => Ok(()),
            Some(trial) => {
                let what = format!("`{}` ends after {} epochs", trial.title(), trial.config.train().epochs);
                Err(Error::config(format!("{what}, with a rung after {last}"))
                    .at(self.document.path())
                    .hint("`halving.rungs` must lie before `train.epochs`"))
            }
        }
    }

    /// A rung compares all trials by one metric.
    fn refuse_mixed_metrics(&self, written: &Written, trials: &[Trial]) -> Result<()> {
        let by = |trial: &Trial| trial.config.train().best.clone();
        let first = trials.first().filter(|_| written.halving.is_some()).map(by);
        match trials.iter().find(|trial| first.as_ref().is_some_and(|first| by(trial) != *first)) {
            None => Ok(()),
            Some(trial) => {
                let what = format!("`{}` chooses by `{}`", trial.title(), by(trial));
                Err(Error::config(format!("{what}, others by `{}`", first.unwrap_or_default()))
                    .at(self.document.path())
                    .hint("with a halving `train.best` must be the same in all trials"))
            }
        }
    }

    fn branches(&self, written: &Written, axes: &[Axis], problems: &mut Vec<Problem>) -> Result<Vec<Branch>> {
        let common = Setting::all("set", &written.set, self.document, problems)?;
        no_seeds("seeds", &written.seeds, problems);
        set_once("set", &common, axes, problems);
        let stem = self.document.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let base = |base: &Option<PathBuf>, problems: &mut Vec<Problem>| {
            let base = base.as_ref().or(written.base.as_ref());
            let missing = Problem::new("base", Fault::NoBase);
            if base.is_none() && !problems.contains(&missing) {
                problems.push(missing);
            }
            let folder = self.document.path().parent().unwrap_or(Path::new(""));
            folder.join(base.cloned().unwrap_or_default())
        };
        if written.variants.is_empty() {
            let base = base(&None, problems);
            let seeds = written.seeds.clone();
            return Ok(vec![Branch { name: String::new(), family: stem, base, settings: common, seeds }]);
        }
        let mut branches: Vec<Branch> = Vec::new();
        for (n, variant) in written.variants.iter().enumerate() {
            let at = format!("variants.{n}");
            let own = Setting::all(&join(&at, "set"), &variant.set, self.document, problems)?;
            no_seeds(&join(&at, "seeds"), &variant.seeds, problems);
            set_once(&join(&at, "set"), &own, axes, problems);
            let name = variant.name.trim().to_string();
            if name.is_empty() {
                problems.push(Problem::new(&join(&at, "name"), Fault::NoName));
            } else if branches.iter().any(|other| other.name == name) {
                problems.push(Problem::new(&join(&at, "name"), Fault::NameTwice { name: name.clone() }));
            }
            branches.push(Branch {
                family: variant.family.clone().unwrap_or_else(|| name.clone()),
                name,
                base: base(&variant.base, problems),
                settings: [&common[..], &own].concat(),
                seeds: variant.seeds.clone().or_else(|| written.seeds.clone()),
            });
        }
        Ok(branches)
    }

    /// The trials of a variant at one point of the axes: one for each seed.
    fn trials(&self, branch: &Branch, point: &[Setting], trials: &mut Vec<Trial>) -> Result<()> {
        let settings = [&branch.settings[..], point].concat();
        let mut words = vec![branch.name.clone()];
        words.extend(point.iter().map(|setting| format!("{}={}", setting.key, short(&setting.value))));
        words.retain(|word| !word.is_empty());
        let name = if words.is_empty() { branch.family.clone() } else { words.join(", ") };
        let seeds: Vec<Option<u64>> = match &branch.seeds {
            Some(seeds) => seeds.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        for seed in seeds {
            let origin = self.document.place("seeds");
            let seed =
                seed.map(|seed| Setting { key: "seed".into(), value: Value::Integer(seed as i64), origin });
            let settings: Vec<Setting> = settings.iter().cloned().chain(seed).collect();
            let config = Config::load_with(&branch.base, &settings, self.overrides)?;
            trials.push(Trial {
                id: id(&config),
                name: name.clone(),
                family: branch.family.clone(),
                seed: config.seed(),
                axes: point.iter().map(|s| (s.key.clone(), s.value.to_string())).collect(),
                plot: None,
                config,
            });
            if trials.len() > MOST {
                return Err(self.too_many());
            }
        }
        Ok(())
    }

    fn too_many(&self) -> Error {
        Error::config(format!("stands for more than {MOST} trials"))
            .at(self.document.path())
            .hint("take fewer values, or draw some at random: `{ random = 50, range = … }`")
    }

    /// `--set` would make all values of an axis one.
    fn refuse_set_axes(&self, axes: &[Axis]) -> Result<()> {
        for written in self.overrides {
            let key = written.split('=').next().unwrap_or_default().trim();
            if key == "seed" || axes.iter().any(|axis| overlap(&axis.key, key)) {
                let what = format!("`--set {written}` would set what the sweep varies");
                return Err(Error::usage(what)
                    .at(self.document.path())
                    .hint("change the sweep's file, or set another key"));
            }
        }
        Ok(())
    }

    fn refuse_equal(&self, trials: &[Trial]) -> Result<()> {
        let mut known: BTreeMap<&str, &Trial> = BTreeMap::new();
        for trial in trials {
            if let Some(other) = known.insert(&trial.id, trial) {
                let what = format!("`{}` and `{}` are the same trial", other.title(), trial.title());
                return Err(Error::config(what)
                    .at(self.document.path())
                    .hint("take one of them out, or let a key differ"));
            }
        }
        Ok(())
    }
}

fn no_seeds(place: &str, seeds: &Option<Vec<u64>>, problems: &mut Vec<Problem>) {
    if seeds.as_ref().is_some_and(Vec::is_empty) {
        problems.push(Problem::new(place, Fault::NoSeeds));
    }
}

/// What an axis varies cannot be set as well, and the seed is not set here.
fn set_once(place: &str, settings: &[Setting], axes: &[Axis], problems: &mut Vec<Problem>) {
    for setting in settings {
        let place = join(place, &setting.key);
        if setting.key == "seed" {
            problems.push(Problem::new(&place, Fault::SeedAxis));
        }
        for axis in axes.iter().filter(|axis| overlap(&axis.key, &setting.key)) {
            problems.push(Problem::new(&place, Fault::SetTwice { by: join("axes", &axis.key) }));
        }
    }
}

/// Whether one key is the other, or below it.
fn overlap(one: &str, other: &str) -> bool {
    let below = |key: &str, above: &str| key.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'));
    one == other || below(one, other) || below(other, one)
}

/// A name that stays when the data are moved, or when a later version of the program adds settings.
fn id(config: &Config) -> String {
    let mut table: Table = config::differences(config).parse().expect("TOML that was just written");
    // It follows from the rest.
    table.remove("family");
    for (section, key) in [("data", "root"), ("data", "images"), ("train", "checkpoint_every")] {
        if let Some(Value::Table(section)) = table.get_mut(section) {
            section.remove(key);
        }
    }
    Content::new(&table.to_string()).name()[..8].to_string()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
