//! `tinyglot init`.

use std::path::PathBuf;

use super::progress::Progress;
use super::terminal::Terminal;
use super::{embed_images, interrupt, stdout};
use crate::setup::{Asked, Options, Sizes, Told, init};
use crate::{Error, Result};

/// Make a configuration from photographs and a table of captions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
PHOTOS is a folder (searched in depth), a list or a .tar of photographs, which `--tower` makes features of (see `embed-images`); or a file of
features, .npy or .safetensors, with the names of the pictures in it, in a file beside it that ends in .ids, or in `--ids`.

CAPTIONS is a table whose first line names its columns (CSV, TSV), JSON lines, a JSON list, or Parquet (in a build with it). One column names the
photographs, with or without folders and endings. Captions are in one column; in several that are numbered (caption_1, caption_2); or in one for
each language (en, de or caption_en, caption_de). The language is in the names of these, in a column (language, lang, locale), or said by
`--language`. A column `split` (train, val, test) is obeyed. Columns are told by their names and by what is in them; `--columns` says what is
guessed wrongly.

Written are OUT/NAME.toml (NAME is that of the folder), OUT/splits.tsv, and with a tower OUT/features.npy, .ids and .json. Splits are drawn by
photograph; copies and near copies are on one side. The same command goes on with features that were begun.

Examples:
  tinyglot init photos captions.csv --tower clip-vit-base-patch32 --out pets
  tinyglot init features.npy captions.jsonl --out pets --val 500 --test 1000
  tinyglot init photos captions.tsv --tower siglip --columns picture=file,text=beschreibung --language de --out pets")]
pub struct Args {
    /// Photographs (folder, list or .tar), or their features
    #[arg(value_name = "PHOTOS")]
    photos: PathBuf,
    /// Table of captions
    #[arg(value_name = "CAPTIONS")]
    captions: PathBuf,
    /// Folder to write
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    /// Folder of the picture tower that makes features
    #[arg(long, value_name = "MODEL")]
    tower: Option<PathBuf>,
    /// Names of the pictures of features, one a line
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// What columns mean: picture=NAME, text=NAME (several times for several), language=NAME and split=NAME (language= and split= for none);
    /// {language} and {n} in a text's NAME stand for a code and a number
    #[arg(long, value_name = "WHAT=NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// Language of the captions, where the table does not say it; or the languages to take, e.g. en,de
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    language: Vec<String>,
    /// Photographs to validate on [default: a tenth, at most 1000]
    #[arg(long, value_name = "N")]
    val: Option<usize>,
    /// Photographs to test on [default: a tenth, at most 1000]
    #[arg(long, value_name = "N")]
    test: Option<usize>,
    /// Seed of the splits
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let asked = asked(&args)?;
    let options = Options {
        out: &args.out,
        tower: args.tower.as_deref(),
        ids: args.ids.as_deref(),
        asked: &asked,
        sizes: Sizes { val: args.val, test: args.test, seed: args.seed },
        stop: interrupt::flag(),
    };
    let (mut comparing, mut features) = (None, embed_images::View::new(terminal));
    let config = init(&args.photos, &args.captions, &options, &mut |told| {
        // One bar at a time, and each whole before a line.
        if !matches!(told, Told::Compared(_)) {
            comparing.take().into_iter().for_each(Progress::finish);
        }
        if !matches!(told, Told::Embedding(_)) {
            features.finish();
        }
        match told {
            Told::Line(line) => terminal.say(line),
            Told::Warning(line) => terminal.warn(line),
            Told::Comparing(total) => {
                comparing = Some(Progress::new(terminal, "photographs compared", total as u64));
            }
            Told::Compared(more) => comparing.iter_mut().for_each(|bar| bar.advance(more as u64)),
            Told::Embedding(told) => features.show(told),
        }
    });
    comparing.into_iter().for_each(Progress::finish);
    features.finish();
    let config = config?;
    terminal.say(&format!("next: tinyglot train {}", config.display()));
    stdout::print(&format!("{}\n", config.display()))
}

/// What `--columns` and `--language` say.
fn asked(args: &Args) -> Result<Asked> {
    let mut asked = Asked { languages: args.language.clone(), ..Asked::default() };
    for written in &args.columns {
        let fault = || {
            Error::usage(format!("`--columns {written}` is not understood"))
                .hint("write `picture=NAME`, `text=NAME`, `language=NAME` or `split=NAME`, with commas between them")
        };
        let (what, name) = written.split_once('=').ok_or_else(fault)?;
        let (slot, name) = match (what.trim(), name.trim().to_string()) {
            ("picture", name) if !name.is_empty() => (&mut asked.picture, name),
            ("language", name) => (&mut asked.language, name),
            ("split", name) => (&mut asked.split, name),
            ("text", name) if !name.is_empty() => {
                asked.texts.push(name);
                continue;
            }
            _ => return Err(fault()),
        };
        if slot.replace(name).is_some() {
            return Err(Error::usage(format!("`--columns` names `{what}` twice")).hint("one column holds it"));
        }
    }
    Ok(asked)
}
