//! `tinyglot embed`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ArgGroup;

use super::sentences;
use super::stdout;
use super::terminal::Terminal;
use crate::corpus::{Features, NpyWriter};
use crate::retrieve::Retriever;
use crate::{Error, Result, run};

/// Turn sentences or picture features into vectors of the joint space
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("input").required(true))]
#[command(after_help = "\
Sentences come from standard input, one a line; the vectors (f32 .npy, a row each, unit length) go to standard output.
A picture that stands several times in its file, one row after the other (VSE++ has a row for each caption), has one vector.

Examples:
  tinyglot embed runs/demo/run --language de < sentences.txt > sentences.npy
  tinyglot embed runs/demo/run --images features.npy > pictures.npy")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language of the sentences, e.g. de
    #[arg(long, value_name = "CODE", group = "input")]
    pub language: Option<String>,
    /// Picture features, .npy or .safetensors
    #[arg(long, value_name = "FILE", group = "input")]
    pub images: Option<PathBuf>,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    if io::stdout().is_terminal() {
        return Err(Error::usage("the vectors are no text for a terminal")
            .hint("send them to a file: `tinyglot embed … > vectors.npy`"));
    }
    let run = run::open(&args.run, &[])?;
    match (args.language, args.images) {
        (Some(language), _) => embed_sentences(&*run, &language, terminal),
        (None, Some(images)) => embed_pictures(&*run, images, terminal),
        (None, None) => Err(Error::usage("nothing to embed").hint("give `--language` or `--images`")),
    }
}

fn embed_sentences(run: &dyn Retriever, language: &str, terminal: &Terminal) -> Result<()> {
    let language = run.language(language)?;
    let texts = sentences::from_stdin()?;
    let vectors = sentences::embedded(run, language, &texts, terminal)?;
    let (rows, width) = (texts.len(), run.joint());
    stdout::write(|out| NpyWriter::new(out, rows, width)?.write(&vectors))
}

/// Tile by tile: neither features nor vectors need fit into memory.
fn embed_pictures(run: &dyn Retriever, images: PathBuf, terminal: &Terminal) -> Result<()> {
    let rows = Features::open(std::slice::from_ref(&images))?;
    run.check_pictures(&rows)?;
    let (features, times) = rows.each_once(rows.ids().as_deref())?;
    if times > 1 {
        terminal.say(&format!(
            "each picture of `{}` stands {times} times, one after the other, and has one vector",
            images.display()
        ));
    }
    let (rows, width) = (features.rows(), run.joint());
    let failed = |e| Error::writing(Path::new("standard output"), e);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut npy = NpyWriter::new(&mut out, rows, width).map_err(failed)?;
    run.pictures(&features, &mut |_, vectors| npy.write(vectors).map_err(failed))?;
    out.flush().map_err(failed)
}
