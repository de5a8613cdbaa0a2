//! `tinyglot evaluate`.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde_json::{Map, Value, json};

use super::embed_images::featured;
use super::given::GivenArgs;
use super::labelled::LabelledArgs;
use super::stdout;
use super::terminal::Terminal;
use crate::checkpoint::RunFolder;
use crate::config::{Config, DataConfig, Source};
use crate::corpus::overlap::{compared, overlaps};
use crate::corpus::{Corpus, SplitName, Wanted, fingerprint_of};
use crate::error::{InFile, Kind};
use crate::eval::given::Given;
use crate::eval::task::clip_benchmark::documents;
use crate::eval::task::consistency::Joint;
use crate::eval::task::{Measure, Reads, mteb, table};
use crate::eval::{Evaluation, Scope, Setting, TASKS, Task, TaskResult};
use crate::retrieve::Retriever;
use crate::write::write_whole;
use crate::{Error, Result, run};

/// Measure what a run is worth, by named tasks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Recalls are in percent. mR is the mean of the six recalls of a language, A the mean over languages, HA over those with
captions by people. A language that both people and machines wrote captions in is asked in by those of people alone. On test,
captions that have translations (`data.translations`) ask together with them too (CLC), and so do parallel captions
(`data.parallel`); CLC-C is fitted on validation, and on the run's own data kept in RUN/consistency.json. Only what is asked about is read.

The results are kept by the name of the split or the one that `--name` gives, with `-machine`, `-distractors` or `-folds5` where
they were made so: that of `recall` as RUN/evaluation/NAME.json, that of any other task as RUN/evaluation/TASK/NAME.json. One on
other captions or pictures is not overwritten. Where a result cannot be kept, it is printed all the same, and the exit status is 1.
Sets of others are named by a pattern with {language} or {pair}, by CODE=FILE, or by their folder, and their results are kept by the words of the
file's name, or by --name. Their codes (deu, eng_Latn) mean the run's languages; `--set 'data.codes.zh=[\"zho_Hant\"]'` says what is not known.

With --task and --json each result stands by its task's name, with its protocol and metrics.

Examples:
  tinyglot evaluate runs/demo/run
  tinyglot evaluate runs/demo/run --split val --json > val.json
  tinyglot evaluate RUN --task recall,consistency --json
  tinyglot evaluate RUN --task all --language de --classes classes.txt --images test.npy --labels labels.txt
  tinyglot evaluate RUN --task classification --classes 'classes.{language}.txt' --images test.npy --labels labels.txt --groups groups.toml
  tinyglot evaluate RUN --task bitext --bitext tatoeba --groups groups.toml --table figures.md --mteb results
  tinyglot evaluate RUN --task recall,classification --clip-benchmark results --language de --classes classes.txt --images f.npy --labels l.txt
  tinyglot evaluate RUN --task sts --sts 'stsb-{language}-test.csv'
  tinyglot evaluate RUN --task galleries --galleries wit.toml --protocol first-five
  tinyglot evaluate RUN --task nli --nli-train en=multinli.jsonl --nli-dev xnli.dev.tsv --nli-test xnli.test.tsv
  tinyglot evaluate RUN --task space --bitext 'flores/{language}.devtest' --groups families.toml
  tinyglot evaluate RUN --task cxc --cxc Crisscrossed-Captions/data --cxc-captions dataset_coco.json --cxc-images coco/test.npy
  tinyglot evaluate RUN --captions machine
  tinyglot evaluate RUN --split test_2017_flickr
  tinyglot evaluate RUN --data xtd10.toml
  tinyglot evaluate RUN --folds 5 --set data.root=DIR")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Pictures and captions to evaluate on: `train`, `val`, `test`, or what else stands for `{split}` in the paths of a set
    #[arg(long, value_name = "SPLIT", default_value = "test", value_parser = set)]
    pub split: Set,
    /// Configuration whose `[data]` is read in place of the run's, e.g. of a test set of its own; it may have any of the run's
    /// languages. The result is kept by the name of the file
    #[arg(long, value_name = "CONFIG")]
    pub data: Option<PathBuf>,
    /// Keep the result by this name
    #[arg(long, value_name = "NAME", value_parser = plain)]
    pub name: Option<String>,
    /// What to measure: tasks by name, or all that the data allow [default: recall, and consistency where the data have translations]
    #[arg(long, value_name = "TASK", value_delimiter = ',', value_parser = named())]
    pub task: Vec<String>,
    /// Whose captions ask: `human` are those by people, and in a language without any those by machines; `machine` compares
    /// them with those by machines, of languages that have both. The result is kept beside the other
    #[arg(long, value_enum, default_value_t = Captions::Human)]
    pub captions: Captions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write the figures of all tasks as a table, too: Markdown or CSV, as the name ends in `.md` or `.csv`
    #[arg(long, value_name = "FILE", value_parser = table_file)]
    pub table: Vec<PathBuf>,
    /// Write results of `bitext` and `sts` as mteb lays them out, too: DIR/NAME.json, or TASK-NAME.json where
    /// several results have one name
    #[arg(long, value_name = "DIR")]
    pub mteb: Option<PathBuf>,
    /// Write results of `recall`, `galleries`, `classification` and `probe` as CLIP_benchmark lays them out, too: a file for each language
    #[arg(long, value_name = "DIR")]
    pub clip_benchmark: Option<PathBuf>,
    /// Put the pictures of the split `distractors`, which have no captions, into the gallery too
    #[arg(long, conflicts_with = "folds")]
    pub distractors: bool,
    /// Cut the pictures into so many galleries and take the mean, e.g. 5 for COCO's 1K
    #[arg(long, value_name = "N", default_value = "1")]
    pub folds: NonZeroUsize,
    /// Set a key of `data` or `consistency` over the configuration, e.g. data.root=DIR
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    // Last: what follows would stand under their headings, too.
    #[command(
        flatten,
        next_help_heading = "Pictures with classes, for the tasks `classification` and `probe`"
    )]
    pub labelled: Option<LabelledArgs>,
    #[command(
        flatten,
        next_help_heading = "Data sets of others, for the tasks `bitext`, `space`, `sts`, `galleries`, `nli` and `cxc`"
    )]
    pub given: GivenArgs,
}

/// A file of a table.
fn table_file(name: &str) -> Result<PathBuf, String> {
    match name.ends_with(".md") || name.ends_with(".csv") {
        true => Ok(name.into()),
        false => Err("its name ends in `.md` (Markdown) or `.csv`".into()),
    }
}

/// All tasks that the data allow.
const ALL: &str = "all";

/// The names of the tasks.
fn named() -> Vec<PossibleValue> {
    let tasks = TASKS.iter().map(|task| PossibleValue::new(task.name()).help(task.about()));
    tasks
        .chain([PossibleValue::new(ALL).help("those that the data at hand allow; says what it leaves out")])
        .collect()
}

/// A split, or another set of pictures, which stands in the place of `test`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    split: SplitName,
    other: Option<String>,
}

fn set(name: &str) -> Result<Set, String> {
    if let Some(split) = SplitName::CAPTIONED.into_iter().find(|split| split.to_string() == name) {
        return Ok(Set { split, other: None });
    }
    let slip = |split: &str| split.len() == name.len() && strsim::osa_distance(split, name) == 1;
    match ["train", "val", "test"].into_iter().find(|split| slip(split)) {
        Some(split) => Err(format!("did you mean `{split}`?")),
        None if name == "distractors" => {
            Err("distractors have no captions; `--distractors` adds them".into())
        }
        None => Ok(Set { split: SplitName::Test, other: Some(plain(name)?) }),
    }
}

/// A name that can stand in that of a file.
fn plain(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    match !name.is_empty() && !name.starts_with('.') && name.chars().all(good) {
        true => Ok(name.into()),
        false => Err("a name is of letters, digits, `-`, `_` and `.`".into()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Captions {
    Human,
    Machine,
}

impl From<Captions> for Source {
    fn from(captions: Captions) -> Source {
        match captions {
            Captions::Human => Source::Human,
            Captions::Machine => Source::Machine,
        }
    }
}

/// The tasks that were asked for, and whether to leave out those that the data do not allow.
fn tasks(args: &Args) -> (Vec<&'static dyn Task>, bool) {
    if args.task.iter().any(|name| name == ALL) {
        return (TASKS.to_vec(), true);
    }
    let usual = [Evaluation::NAME, Joint::NAME].map(String::from);
    let names = if args.task.is_empty() { &usual[..] } else { &args.task };
    (
        TASKS.into_iter().filter(|task| names.iter().any(|name| name == task.name())).collect(),
        args.task.is_empty(),
    )
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let (of_data, of_run): (Vec<String>, Vec<String>) = args
        .set
        .iter()
        .cloned()
        .partition(|set| args.data.is_some() && set.trim_start().starts_with("data."));
    let run = run::open(&args.run, &of_run)?;
    let (mut tasks, lenient) = tasks(&args);
    let name_given = args.name.as_deref();
    let labelled = args.labelled.as_ref().map(|given| given.read(name_given, &*run)).transpose()?;
    let set = (args.split.split, args.split.other.clone());
    let given = Given { labelled, ..args.given.read(name_given, &*run, set, args.folds.get())? };
    let reads_captions = tasks.iter().any(|task| task.reads() == Reads::Captions);
    let mut corpus = match reads_captions {
        true => Some(load(&args, &*run, of_data, terminal)?),
        false => None,
    };
    let keep = args.data.is_none() && own_data(&run.folder().config()?, run.config());
    let (by, folds, split) = (args.captions.into(), args.folds.get(), args.split.split);
    let scope = Scope { distractors: args.distractors, by, folds, keep, ..Scope::whole(split) };
    let fingerprint = corpus.as_ref().map(|corpus| fingerprint_of(corpus, split, by)).transpose()?;
    let set = name(&args);
    let data = Setting {
        set: &set,
        config: run.config(),
        parameters: run.parameters(),
        corpus: corpus.as_ref().map(|corpus| (corpus, scope)),
        fingerprint,
        given: &given,
        fitted: &|fitted| run.keep(fitted, scope),
    };
    let mut left_out = Vec::new();
    for task in tasks.clone() {
        let Some(why) = task.lacks(&data) else { continue };
        if !lenient {
            return Err(Error::usage(format!("the task `{}` cannot be run: {why}", task.name())));
        }
        left_out.push((task.name(), why));
    }
    tasks.retain(|task| left_out.iter().all(|(name, _)| *name != task.name()));
    // Of its own splits a run has one, whatever program measured it.
    let own = keep && args.name.is_none() && args.split.other.is_none();
    if let Some(corpus) = &corpus
        && scope.asked(corpus).is_empty()
    {
        return Err(scope.nobody_asks()).in_file(&args.run);
    }
    for task in &tasks {
        let (name, hash) = task.kept(&data)?;
        refuse_other(
            run.folder(),
            task.name(),
            &name,
            hash.as_deref(),
            own && task.reads() == Reads::Captions,
        )?;
    }
    let (encoder, mut seconds) = (run.encoder(), Vec::new());
    let results = tasks.iter().map(|task| {
        let start = Instant::now();
        let result = task.run(&*encoder, &data);
        seconds.push(start.elapsed().as_secs_f64());
        result
    });
    let results = results.collect::<Result<Vec<TaskResult>>>().in_file(&args.run)?;
    let trained_on = match &mut corpus {
        Some(corpus) => compare(corpus, run.config(), split, &set, terminal),
        None => String::new(),
    };
    results.iter().flat_map(|result| &result.warnings).for_each(|warning| terminal.warn(warning));
    if !args.task.is_empty() {
        left_out.iter().for_each(|(name, why)| terminal.say(&format!("`{name}` is left out: {why}")));
    }
    // Printed first: a run that cannot be written to is no reason to lose it.
    print(&args, &tasks, &results, &left_out, &trained_on)?;
    write_tables(&args, &results, &seconds)?;
    write(run.folder(), &results)
}

/// Writes results for others, where that is asked for.
fn write_tables(args: &Args, results: &[TaskResult], seconds: &[f64]) -> Result<()> {
    for file in &args.table {
        let markdown = file.extension().is_some_and(|ending| ending == "md");
        let text = if markdown { table::markdown(results) } else { table::csv(results) };
        write_whole(file, text.as_bytes())?;
    }
    if let Some(folder) = &args.clip_benchmark {
        fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        for (file, document) in results.iter().flat_map(|result| documents(result, &run::name(&args.run))) {
            let text = serde_json::to_string_pretty(&document).expect("plain data") + "\n";
            write_whole(&folder.join(file), text.as_bytes())?;
        }
    }
    let Some(folder) = &args.mteb else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    let split = args.split.other.clone().unwrap_or_else(|| args.split.split.to_string());
    for (result, seconds) in results.iter().zip(seconds) {
        if let Some(document) = mteb::document(result, &split, *seconds) {
            let text = serde_json::to_string_pretty(&document).expect("plain data") + "\n";
            // Sets of several tasks may be of one name, as `--name` gives it.
            let name = match results.iter().filter(|other| other.name == result.name).count() {
                1 => result.name.clone(),
                _ => format!("{}-{}", result.task, result.name),
            };
            write_whole(&folder.join(format!("{name}.json")), text.as_bytes())?;
        }
    }
    Ok(())
}

/// Keeps results that were printed.
pub(super) fn write(folder: &RunFolder, results: &[TaskResult]) -> Result<()> {
    results.iter().try_for_each(|result| folder.write_result(result)).map_err(|e| {
        e.hint("the result is whole as printed, but was not kept; `--json > FILE` puts it elsewhere")
    })
}

/// Reads the captions and pictures that are asked about.
fn load(args: &Args, run: &dyn Retriever, set: Vec<String>, terminal: &Terminal) -> Result<Corpus> {
    let (data, base) = data(run, args.data.as_deref(), set, terminal)?;
    let Set { split, other } = args.split.clone();
    let corpus = Corpus::load_part(&data, &base, Wanted::only(split, other, args.distractors))
        .map_err(moved)
        .in_file_if(Kind::Config, args.data.as_deref().unwrap_or(&args.run.join("config.toml")))?;
    corpus.notes.iter().for_each(|note| terminal.detail(note));
    let read = corpus.read_splits().map(|split| &split.features).chain(&corpus.distractors);
    read.into_iter().try_for_each(|features| run.check_pictures(features))?;
    Ok(corpus)
}

fn print(
    args: &Args,
    tasks: &[&dyn Task],
    results: &[TaskResult],
    left_out: &[(&str, String)],
    trained_on: &str,
) -> Result<()> {
    if args.json {
        let document = match args.task.is_empty() {
            true => as_one(results),
            false => {
                let mut all: Map<String, Value> =
                    results.iter().map(|result| (result.task.clone(), json!(result))).collect();
                if !left_out.is_empty() {
                    let why = left_out.iter().map(|(name, why)| (name.to_string(), json!(why)));
                    all.insert("left_out".into(), Value::Object(why.collect()));
                }
                Value::Object(all)
            }
        };
        return stdout::print(&(serde_json::to_string_pretty(&document).expect("plain data") + "\n"));
    }
    for (n, (task, result)) in tasks.iter().zip(results).enumerate() {
        let (gap, table) = (if n > 0 { "\n" } else { "" }, task.table(result));
        let trained_on = if n == 0 { trained_on } else { "" };
        stdout::print(&format!("{gap}{table}\n{trained_on}"))?;
    }
    Ok(())
}

/// What `recall` has found and, in the same object, what the other tasks have.
fn as_one(results: &[TaskResult]) -> Value {
    let fields = results.iter().filter_map(|result| result.details.as_object());
    Value::Object(fields.flat_map(|fields| fields.clone()).collect())
}

/// What the result is kept by, less how it was asked.
fn name(args: &Args) -> String {
    let Set { split, other } = &args.split;
    let split = other.clone().unwrap_or_else(|| split.to_string());
    let file = args.data.as_ref().and_then(|file| file.file_stem()).map(|stem| stem.to_string_lossy());
    match (&args.name, file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) if split == "test" => file.into_owned(),
        (None, Some(file)) => format!("{file}-{split}"),
        (None, None) => split,
    }
}

/// The `[data]` to read, with the languages of the run, and the folder that its paths start from.
fn data(
    run: &dyn Retriever,
    file: Option<&Path>,
    set: Vec<String>,
    terminal: &Terminal,
) -> Result<(DataConfig, PathBuf)> {
    let Some(file) = file else {
        return Ok((run.config().data().clone(), run.config().base().to_path_buf()));
    };
    let config = Config::load(file, &set)?;
    let config = featured(&config, None, terminal)?;
    let mut data = config.data().clone();
    let known = run.languages();
    let unknown: Vec<String> = data.languages.iter().filter(|l| !known.contains(l)).cloned().collect();
    if unknown.len() == data.languages.len() {
        let what = format!("the run knows none of the languages `{}`", unknown.join("`, `"));
        return Err(Error::config(what).at(file).hint(format!("it knows `{}`", known.join("`, `"))));
    }
    if !unknown.is_empty() {
        terminal.say(&format!("`{}` is passed over: the run does not know it", unknown.join("`, `")));
    }
    // Sources pass over languages that the corpus does not have; those of theirs that this one leaves out do not ask.
    for source in &mut data.captions {
        let asked = |l: &String| data.languages.contains(l) || source.read_as.is_some();
        match source.languages.is_empty() {
            true => source.languages = data.languages.clone(),
            false => source.languages.retain(asked),
        }
    }
    data.languages = known;
    Ok((data, config.base().to_path_buf()))
}

/// Whether the data are those that the run was made with, wherever they are by now, and with whatever translations.
fn own_data(made: &Config, given: &Config) -> bool {
    let (made, given) = (made.data(), given.data().clone());
    let DataConfig { root, parallel, translations, .. } = made.clone();
    DataConfig { root, parallel, translations, ..given } == *made
}

/// Refuses to overwrite a task's result on other data. `own`: one that does not say which data it is of is of these.
pub(super) fn refuse_other(
    folder: &RunFolder,
    task: &str,
    name: &str,
    data: Option<&str>,
    own: bool,
) -> Result<()> {
    let Some(kept) = folder.result(task, name)? else { return Ok(()) };
    let other = match kept.data.as_deref() {
        Some(other) => (Some(other) != data).then_some("holds the result on other captions or pictures"),
        None => (!own).then_some("holds a result that does not say which captions and pictures it is of"),
    };
    match other {
        Some(what) => Err(Error::usage(what)
            .at(folder.result_file(task, name)?)
            .hint("`--name NAME` keeps this one beside it; or remove the file")),
        None => Ok(()),
    }
}

/// Looks for the pictures among those that the run was trained on: warns of those found, and gives a line for people.
fn compare(corpus: &mut Corpus, run: &Config, split: SplitName, name: &str, terminal: &Terminal) -> String {
    if split == SplitName::Train {
        return String::new();
    }
    let not =
        |why: &str| format!("the pictures of `{name}` were not compared with those of `train`: {why}\n");
    match corpus.add_training_pictures(run.data(), run.base()) {
        Ok(true) => {}
        Ok(false) => return not("they have no files of their own here"),
        Err(error) => return not(&error.to_string()),
    }
    let found = overlaps(corpus);
    let found: Vec<_> = found.iter().filter(|o| o.first == split || o.second == split).collect();
    found.iter().for_each(|overlap| terminal.warn(&overlap.to_string()));
    match found.is_empty() {
        true => format!("no picture of `{name}` is in `train`, {}\n", compared(corpus)),
        false => String::new(),
    }
}

/// The run remembers where its data were.
fn moved(error: Error) -> Error {
    error.hint("if the data have moved, `--set data.root=DIR` tells where to")
}
