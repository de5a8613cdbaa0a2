//! `tinyglot evaluate`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::stdout;
use super::terminal::Terminal;
use crate::checkpoint::RunFolder;
use crate::config::{Config, DataConfig, Source};
use crate::corpus::overlap::{compared, overlaps};
use crate::corpus::{Corpus, SplitName, Wanted, fingerprint_of};
use crate::error::{InFile, Kind};
use crate::eval::{Evaluation, Scope};
use crate::retrieve::Retriever;
use crate::{Error, Result, eval, run};

/// Measure the retrieval of a run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Recalls are in percent. mR is the mean of the six recalls of a language, A the mean over languages, HA over those with
captions by people. A language that both people and machines wrote captions in is asked in by those of people alone. On test,
captions that have translations (`data.translations`) ask together with them too (CLC), and so do parallel captions
(`data.parallel`); CLC-C is fitted on validation, and on the run's own data kept in RUN/consistency.json. Only what is asked about is read.

The result is kept in RUN/evaluation, by the name of the split or the one that `--name` gives, with `-machine`,
`-distractors` or `-folds5` where it was made so. One on other captions or pictures is not overwritten. Where it cannot be
kept, it is printed all the same, and the exit status is 1.

Examples:
  tinyglot evaluate runs/demo/run
  tinyglot evaluate runs/demo/run --split val --json > val.json
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
    /// Whose captions ask: `human` are those by people, and in a language without any those by machines; `machine` compares
    /// them with those by machines, of languages that have both. The result is kept beside the other
    #[arg(long, value_enum, default_value_t = Captions::Human)]
    pub captions: Captions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Put the pictures of the split `distractors`, which have no captions, into the gallery too
    #[arg(long, conflicts_with = "folds")]
    pub distractors: bool,
    /// Cut the pictures into so many galleries and take the mean, e.g. 5 for COCO's 1K
    #[arg(long, value_name = "N", default_value = "1")]
    pub folds: NonZeroUsize,
    /// Set a key of `data` or `consistency` over the configuration, e.g. data.root=DIR
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let (of_data, of_run): (Vec<String>, Vec<String>) = args
        .set
        .iter()
        .cloned()
        .partition(|set| args.data.is_some() && set.trim_start().starts_with("data."));
    let run = run::open(&args.run, &of_run)?;
    let (data, base) = data(&*run, args.data.as_deref(), of_data, terminal)?;
    let Set { split, other } = args.split.clone();
    let wanted = Wanted::only(split, other, args.distractors);
    let mut corpus = Corpus::load_part(&data, &base, wanted)
        .map_err(moved)
        .in_file_if(Kind::Config, args.data.as_deref().unwrap_or(&args.run.join("config.toml")))?;
    corpus.notes.iter().for_each(|note| terminal.detail(note));
    let (by, folds) = (args.captions.into(), args.folds.get());
    let keep = args.data.is_none() && own_data(&run.folder().config()?, run.config());
    let scope = Scope { distractors: args.distractors, by, folds, keep, ..Scope::whole(split) };
    let (set, identity) = (name(&args), fingerprint_of(&corpus, split, by)?);
    // Of its own splits a run has one, whatever program measured it.
    let own = keep && args.name.is_none() && args.split.other.is_none();
    refuse_other(run.folder(), &eval::name(&set, by, args.distractors, folds), &identity, own)?;
    let evaluation = run.evaluate(&corpus, scope).in_file(&args.run)?;
    let evaluation = Evaluation { split: set, data: Some(identity), ..evaluation };
    let trained_on = compare(&mut corpus, run.config(), split, &evaluation.split, terminal);
    let kept = run.folder().write_evaluation(&evaluation);
    print(&evaluation, &trained_on, args.json)?;
    kept.map_err(|e| {
        e.hint("the result is whole as printed, but was not kept; `--json > FILE` puts it elsewhere")
    })
}

fn print(evaluation: &Evaluation, trained_on: &str, json: bool) -> Result<()> {
    if json {
        let json = serde_json::to_string_pretty(evaluation).expect("plain data");
        return stdout::print(&(json + "\n"));
    }
    stdout::print(&format!("{evaluation}\n{trained_on}"))?;
    if let Some(by_language) = &evaluation.by_language {
        stdout::print(&format!("\n{by_language}\n"))?;
    }
    match &evaluation.consistency {
        Some(consistency) => stdout::print(&format!("\n{consistency}\n")),
        None => Ok(()),
    }
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

/// Refuses to overwrite the result on other data. `own`: one that does not say which data it is of is of these.
fn refuse_other(folder: &RunFolder, name: &str, identity: &str, own: bool) -> Result<()> {
    let Some(kept) = folder.evaluation(name)? else { return Ok(()) };
    let other = match kept.data {
        Some(other) => (other != identity).then_some("holds the result on other captions or pictures"),
        None => (!own).then_some("holds a result that does not say which captions and pictures it is of"),
    };
    match other {
        Some(what) => {
            let file = folder.path.join(format!("evaluation/{name}.json"));
            Err(Error::usage(what)
                .at(file)
                .hint("`--name NAME` keeps this one beside it; or remove the file"))
        }
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
