//! `tinyglot data`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::config::Source;
use super::embed_images::featured;
use super::interrupt;
use super::progress::Progress;
use super::stdout;
use super::terminal::Terminal;
use crate::config::Config;
use crate::corpus::check::{Report, check};
use crate::corpus::leak::Tokens;
use crate::corpus::{Corpus, SplitName};
use crate::published::{self, Published};
use crate::scenes::ScenesConfig;
use crate::words::{Segmenter, WordVectors};
use crate::{Result, family, scenes};

/// Look into a corpus, or make one
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Say what is in the corpus of a configuration, and what is wrong with it
    #[command(after_help = "\
Prints per language: pictures, captions, tokens, vocabulary, share of rare words, words without a vector, duplicates, and
captions that are longer than the model reads.

Examples:
  tinyglot data check configs/multi30k-8k.toml --set data.root=DIR")]
    Check(Check),
    /// Write the picture corpus: pictures, captions in up to eleven languages, features
    #[command(after_help = "\
The same seed writes the same files.

Examples:
  tinyglot data scenes --out scenes
  tinyglot data scenes --out small --train 200 --val 50 --test 50 --languages en,zh,qu")]
    Scenes(Scenes),
    /// Lay out a published data set as the configurations read it
    #[command(after_help = "\
FROM is the folder of what you downloaded, unpacked or cloned, in whatever folders within:
  multi30k   a clone of https://github.com/multi30k/dataset
  flickr8k   what Flickr8k_text.zip holds, or Karpathy's dataset_flickr8k.json
  flickr30k  Karpathy's dataset_flickr30k.json
  coco       captions_{train,val}2014.json, with COCO-CN and yjcaptions26k_clean.json, or with Karpathy's dataset_coco.json
  xtd10      a clone of https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10
  vectors    FastText's cc.LANGUAGE.300.bin.gz or .vec.gz, or unpacked; unpacked ones are not copied where the disk can name them twice
Counts are held against those of the publication. What is laid out appears as a whole or not at all; other files of DIR stay.
Features of pictures and machine translations are not published: the command says how they are made, and data/README.md where they belong.

Examples:
  tinyglot data lay-out multi30k multi30k-dataset --out data/multi30k
  tinyglot data lay-out vectors downloads --out data/vectors")]
    LayOut(LayOut),
}

#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    pub source: Source,
    /// Folder that keeps features of `data.photos`
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Scenes {
    /// Folder to write; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of the pictures and the captions
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Pictures to train on
    #[arg(long, value_name = "N", default_value_t = 1500)]
    pub train: usize,
    /// Pictures to validate on
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub val: usize,
    /// Pictures to test on
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub test: usize,
    /// Captions per picture and language
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub captions: usize,
    /// Languages of the captions, comma-separated [default: all but qu]
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub languages: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct LayOut {
    /// The data set
    #[arg(value_name = "DATASET", value_parser = dataset())]
    pub dataset: Published,
    /// Folder of what was downloaded
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// Folder to lay it out in; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of the pictures to validate and test on, where `coco` draws them
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

fn dataset() -> impl TypedValueParser<Value = Published> {
    let named = |name: String| Published::ALL.into_iter().find(|published| published.name() == name);
    PossibleValuesParser::new(Published::ALL.map(Published::name))
        .map(move |name| named(name).expect("one of them"))
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    match args.action {
        Action::LayOut(args) => lay_out(args, terminal),
        Action::Check(args) => check_corpus(args, terminal),
        Action::Scenes(args) => write_scenes(args, terminal),
    }
}

fn lay_out(args: LayOut, terminal: &Terminal) -> Result<()> {
    let options = published::Options { seed: args.seed, stop: interrupt::flag() };
    let laid = published::lay_out(args.dataset, &args.from, &args.out, &options)?;
    laid.notes.iter().for_each(|note| terminal.say(note));
    let width = laid.written.iter().map(|written| written.file.len()).max().unwrap_or(0);
    let line = |written: &published::Written| {
        format!("{}/{:width$}  {}\n", args.out.display(), written.file, written.holds.join(", "))
    };
    stdout::print(&laid.written.iter().map(line).collect::<String>())
}

fn check_corpus(args: Check, terminal: &Terminal) -> Result<()> {
    let config = args.source.load()?;
    let report = config
        .names(featured(&config, args.cache.as_deref(), terminal).and_then(|config| report(&config)))?;
    match args.json {
        true => stdout::print(&(serde_json::to_string_pretty(&report).expect("plain data") + "\n")),
        false => stdout::print(&report.to_string()),
    }
}

fn report(config: &Config) -> Result<Report> {
    let corpus = Corpus::of(config)?;
    let segmenters = Segmenter::all(&corpus.languages, config.words(), config.base())?;
    let tokens = |language: usize, text: &str| segmenters[language].segment(text);
    let vectors = vectors(config, &corpus, &tokens)?;
    let known = |language: usize, word: &str| vectors[language].contains(word);
    let report = check(
        &corpus,
        config.embedding().top_k,
        &tokens,
        if vectors.is_empty() { None } else { Some(&known) },
    )?;
    family::of(config).with_lost(config, &corpus, report)
}

/// The vectors of the words in the captions, where the configuration names files; none otherwise.
fn vectors(config: &Config, corpus: &Corpus, tokens: Tokens) -> Result<Vec<WordVectors>> {
    let Some(pattern) = &config.words().vectors else { return Ok(Vec::new()) };
    let open = |(n, language): (usize, &String)| {
        let captions = SplitName::CAPTIONED.iter().flat_map(|&s| &corpus.split(s).captions[n]);
        let needed: HashSet<String> = captions.flat_map(|c| tokens(n, &c.text)).collect();
        let file = config.base().join(pattern.replace("{language}", language));
        WordVectors::open(&file, &|word| needed.contains(word))
    };
    corpus.languages.iter().enumerate().map(open).collect()
}

fn write_scenes(args: Scenes, terminal: &Terminal) -> Result<()> {
    let mut config = ScenesConfig {
        seed: args.seed,
        train: args.train,
        val: args.val,
        test: args.test,
        captions: args.captions,
        ..ScenesConfig::default()
    };
    if !args.languages.is_empty() {
        config.languages = args.languages;
    }
    write_with_progress(&args.out, &config, terminal)
}

pub(super) fn write_with_progress(out: &Path, config: &ScenesConfig, terminal: &Terminal) -> Result<()> {
    let mut bar = Progress::new(terminal, "pictures", (config.train + config.val + config.test) as u64);
    let mut before = 0;
    scenes::write(out, config, &mut |done, _| {
        bar.advance((done - before) as u64);
        before = done;
    })?;
    bar.finish();
    Ok(())
}
