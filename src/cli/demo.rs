//! `tinyglot demo`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::progress::time;
use super::terminal::Terminal;
use super::{data, report, stdout, train};
use crate::config::{Config, Source};
use crate::corpus::{Corpus, SplitName, fingerprint_of};
use crate::eval::Evaluation;
use crate::eval::Scope;
use crate::retrieve::{Embedding, Retriever, search};
use crate::scenes::ScenesConfig;
use crate::{Error, Result};

/// Make the picture corpus, train on it, evaluate, write a report and search: about two minutes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tinyglot demo
  tinyglot demo --out /mnt/demo --seed 2
  tinyglot search runs/demo/run --language en --gallery runs/demo/data/features/test.npy \"a red circle\"")]
pub struct Args {
    /// Folder for the corpus and the run
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub out: PathBuf,
    /// Seed of the pictures, the captions and the training
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// The configuration, as it stands in the repository.
const CONFIG: &str = include_str!("../../configs/demo.toml");
/// Pictures shown per query.
const SHOWN: usize = 3;

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let start = Instant::now();
    let (pictures, folder) = (args.out.join("data"), args.out.join("run"));
    if pictures.exists() || folder.exists() {
        let what = "there is a demo already";
        return Err(Error::usage(what).at(&args.out).hint("remove the folder, or give another `--out`"));
    }
    let config = config(&pictures, args.seed)?;
    terminal.say("Little pictures, with captions in eleven languages:");
    let languages = config.data().languages.clone();
    let scenes = ScenesConfig { seed: args.seed, languages, ..ScenesConfig::default() };
    data::write_with_progress(&pictures, &scenes, terminal)?;
    terminal.say("\nA model of them:");
    let run = train::train(&config, &folder, terminal)?;
    let corpus = Corpus::of(run.config())?;
    let mut evaluation = run.evaluate(&corpus, Scope::whole(SplitName::Test))?;
    evaluation.data = Some(fingerprint_of(&corpus, SplitName::Test, Source::Human)?);
    run.folder().write_evaluation(&evaluation)?;
    let page = report::write(&folder, terminal)?;
    stdout::print(&format!("\n{evaluation}\n{}\n", against_chance(&evaluation)))?;
    if let Some(consistency) = &evaluation.consistency {
        stdout::print(&format!("\n{consistency}\n"))?;
    }
    stdout::print(&one_query_each(&*run, &corpus, args.seed)?)?;
    terminal.say(&format!("\nReport: {}\nDone in {}.", page.display(), time(start.elapsed())));
    Ok(())
}

fn config(data: &Path, seed: u64) -> Result<Config> {
    let written = Config::from_toml(CONFIG, Path::new("configs/demo.toml"))?;
    let mut raw = written.raw().clone();
    raw.seed = seed;
    raw.data.root = std::path::absolute(data).map_err(|e| Error::writing(data, e))?;
    raw.check(written.base().to_path_buf()).map_err(|problems| problems.into_error())
}

fn against_chance(evaluation: &Evaluation) -> String {
    let chance = 100.0 * 10.0 / evaluation.images as f64;
    let r10 = evaluation.languages.iter().map(|(l, r)| (r.t2i.r10, l));
    let (least, language) = r10.min_by(|a, b| a.0.total_cmp(&b.0)).expect("an evaluation has languages");
    format!(
        "R@10 of text → image is {:.0} times chance or more in every language ({least:.1} % in `{language}`, chance {chance} %)",
        least / chance
    )
}

/// A query in each language, each for another picture, none of them chosen.
fn one_query_each(run: &dyn Retriever, corpus: &Corpus, seed: u64) -> Result<String> {
    let Some(parallel) = &corpus.parallel else { return Ok(String::new()) };
    let (test, rows) = (&corpus.test, corpus.test.features.rows());
    let mut text = format!("\nA query in each language, and the {SHOWN} pictures found first:\n");
    for (l, language) in corpus.languages.iter().enumerate() {
        let picture = (seed as usize + l * rows / corpus.languages.len()) % rows;
        let Some(query) = parallel.test[l].as_ref().map(|texts| texts[picture].as_str()) else { continue };
        let vectors = run.sentences(l, &[query]).vectors;
        let found =
            search(&Embedding { model: run, pictures: &test.features }, &vectors, rows)?.swap_remove(0);
        let rank = 1 + found.iter().take_while(|f| f.row as usize != picture).count();
        let shown: Vec<&str> = found.iter().take(SHOWN).map(|f| &*test.image_ids[f.row as usize]).collect();
        text += &format!(
            "  {language}  {query}\n      {}; its own is {}, rank {rank} of {rows}\n",
            shown.join(", "),
            test.image_ids[picture]
        );
    }
    Ok(text)
}
