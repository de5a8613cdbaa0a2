//! `tinyglot export`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::stdout;
use super::terminal::Terminal;
use crate::export::{self, Card, Pictures, Reader};
use crate::retrieve::{Embedding, Index, PictureFile, Retriever};
use crate::{Error, Result, run};

/// Hand over vectors of pictures to databases, an encoder to sentence-transformers, or a model card
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each kind is a new folder, with a README.md that says how it is loaded:
  npy                    vectors.npy and ids.txt, for NumPy and FAISS
  pgvector               a table of PostgreSQL, its rows for COPY, an HNSW index
  qdrant                 a collection and its points, with a script that loads them
  opensearch, elasticsearch
                         an index and bulk requests, with a script that loads them
  onnx                   both branches of a run of words, with the words that it knows
  static                 a table of words for model2vec, of a run that averages them (text.encoder = \"average\") and one language
  sentence-transformers  the encoder of a contrastive run, as SentenceTransformer and AutoModel read it, with a model card
  card                   README.md: languages, data, scores of each language, licences

Examples:
  tinyglot export RUN --to npy --index photos --out vectors
  tinyglot export RUN --to pgvector --gallery features.npy --out table
  tinyglot export RUN --to card --license apache-2.0 --out card")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// What to write
    #[arg(long, value_enum, value_name = "KIND")]
    pub to: To,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder that `tinyglot index` made, for vectors of pictures
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["gallery", "ids"])]
    pub index: Option<PathBuf>,
    /// Features of the pictures, .npy or .safetensors, for vectors of them
    #[arg(long, value_name = "FILE")]
    pub gallery: Option<PathBuf>,
    /// Ids of the pictures, one a line [default: those in the gallery's file, or beside it in one that ends in .ids, else row numbers from 0]
    #[arg(long, value_name = "FILE", requires = "gallery")]
    pub ids: Option<PathBuf>,
    /// What the pictures are called in a database, or the model on its card [default: pictures, or the run's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Language of a table of words
    #[arg(long, value_name = "CODE")]
    pub language: Option<String>,
    /// Licence of the model, for the card, e.g. apache-2.0
    #[arg(long, value_name = "LICENCE")]
    pub license: Option<String>,
    /// Licence of the captions, for the card
    #[arg(long, value_name = "LICENCE")]
    pub captions_license: Option<String>,
    /// Licence of the pictures, for the card
    #[arg(long, value_name = "LICENCE")]
    pub pictures_license: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    Npy,
    Pgvector,
    Qdrant,
    #[value(name = "opensearch")]
    OpenSearch,
    Elasticsearch,
    Onnx,
    Static,
    SentenceTransformers,
    Card,
}

impl To {
    /// What reads vectors of pictures; nothing for what is no vectors.
    fn reader(self) -> Option<Reader> {
        match self {
            To::Npy => Some(Reader::Npy),
            To::Pgvector => Some(Reader::Pgvector),
            To::Qdrant => Some(Reader::Qdrant),
            To::OpenSearch => Some(Reader::OpenSearch),
            To::Elasticsearch => Some(Reader::Elasticsearch),
            To::Onnx | To::Static | To::SentenceTransformers | To::Card => None,
        }
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    match args.to.reader() {
        Some(reader) => vectors(&args, &*run, reader, terminal)?,
        None => model(&args, &*run)?,
    }
    stdout::print(&format!("{}\n", args.out.display()))
}

fn vectors(args: &Args, run: &dyn Retriever, reader: Reader, terminal: &Terminal) -> Result<()> {
    if args.language.is_some() {
        return Err(
            Error::usage("`--language` is for a table of words, and pictures have none").hint("leave it out")
        );
    }
    if args.license.is_some() || args.captions_license.is_some() || args.pictures_license.is_some() {
        return Err(Error::usage("licences stand on a model card, and these are vectors")
            .hint("leave them out, or give `--to card`"));
    }
    let name = args.name.as_deref().unwrap_or("pictures");
    if let Some(path) = &args.index {
        let index = Index::open(path)?;
        index.check_model(run)?;
        let pictures = Pictures { ids: index.ids(), vectors: &index, index: Some(&index) };
        return export::vectors(&pictures, reader, name, &args.out);
    }
    let Some(gallery) = &args.gallery else {
        return Err(Error::usage("vectors are of pictures, and none are given")
            .hint("give an index by `--index`, or features by `--gallery`"));
    };
    let pictures = PictureFile::open(gallery, args.ids.as_deref())?;
    pictures.note().iter().for_each(|note| terminal.say(note));
    run.check_pictures(&pictures.features)?;
    let ids = pictures.each_once();
    let vectors = Embedding { model: run, pictures: &pictures.features };
    export::vectors(&Pictures { ids: &ids, vectors: &vectors, index: None }, reader, name, &args.out)
}

fn model(args: &Args, run: &dyn Retriever) -> Result<()> {
    if args.index.is_some() || args.gallery.is_some() {
        return Err(Error::usage("pictures are given, and what is written has none")
            .hint("leave `--index` and `--gallery` out"));
    }
    match (args.to, &args.language) {
        (To::Static, Some(language)) => return export::static_table(run, language, &args.out),
        (To::Static, None) => {
            let languages = run.languages().join(", ");
            return Err(
                Error::usage("a table is of one language").hint(format!("give `--language`: {languages}"))
            );
        }
        (_, Some(_)) => {
            return Err(Error::usage("`--language` is for a table of words")
                .hint("leave it out, or give `--to static`"));
        }
        (To::Onnx, None) => return export::onnx(run, &args.out),
        _ => {}
    }
    let card = Card {
        name: args.name.clone(),
        license: args.license.clone(),
        captions_license: args.captions_license.clone(),
        pictures_license: args.pictures_license.clone(),
    };
    match args.to {
        To::SentenceTransformers => export::sentence_transformer(run, &card, &args.out),
        _ => export::card(run, &card, &args.out),
    }
}
