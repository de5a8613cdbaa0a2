//! `tinyglot search`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use super::sentences;
use super::stdout;
use super::terminal::Terminal;
use crate::config::same_code;
use crate::eval::{clc_a, joined};
use crate::retrieve::{Embedding, Hit, Index, PictureFile, PictureVectors, Retriever, search, search_joined};
use crate::{Error, Result, names, run};

/// Find the pictures that fit a query
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a query on the command line, queries come from standard input, one a line. The gallery may be larger than memory.
A picture that stands several times in it, one row after the other (VSE++ has a row for each caption), is found once.
With several languages each query is given once in each of them, in their order, and `--join` says how they become one.
With --json each query gives one line: {\"query\": …, \"language\": …, \"hits\": [{\"id\": …, \"row\": …, \"score\": …}]}, with --photos
a \"path\" too.

Examples:
  tinyglot search RUN --language de --gallery features.npy \"ein Hund am Strand\" \"zwei Frauen\"
  tinyglot search RUN --language en,de --gallery features.npy \"two women\" \"zwei Frauen\"
  tinyglot search RUN --language en,de --join clc-c --gallery features.npy \"two women\" \"zwei Frauen\"
  tinyglot search RUN --language en --gallery features.npy --ids ids.txt -k 3 < queries.txt
  tinyglot search RUN --language en --index photos \"two women\"
  tinyglot search RUN --language en --gallery features.npy --photos photos \"two women\"")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language of the queries, e.g. de; several, e.g. en,de, for queries that are given in each
    #[arg(long, value_name = "CODE", required = true, value_delimiter = ',')]
    pub language: Vec<String>,
    /// How a query in several languages becomes one [default: vectors]
    #[arg(long, value_enum, value_name = "WAY")]
    pub join: Option<JoinBy>,
    /// Features of the pictures to search, .npy or .safetensors
    #[arg(long, value_name = "FILE", required_unless_present = "index")]
    pub gallery: Option<PathBuf>,
    /// Folder that `tinyglot index` made, to search in place of a gallery
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["gallery", "ids"])]
    pub index: Option<PathBuf>,
    /// Ids of the pictures, one a line [default: those in the gallery's file, or beside it in one that ends in .ids, else row numbers from 0]
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Folder of the photographs that the ids name: print their paths in place of their ids, in JSON beside them
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Pictures to show per query
    #[arg(short, value_name = "K", default_value = "10")]
    pub k: NonZeroUsize,
    /// Print JSON, one line per query
    #[arg(long)]
    pub json: bool,
    /// Queries, each one argument
    #[arg(value_name = "QUERY")]
    pub queries: Vec<String>,
}

/// Where the pictures are.
enum Gallery {
    Pictures(PictureFile),
    Index(Box<Index>),
}

impl Gallery {
    fn open(args: &Args, run: &dyn Retriever, terminal: &Terminal) -> Result<Gallery> {
        if let Some(index) = &args.index {
            let index = Index::open(index)?;
            index.check_model(run)?;
            return Ok(Gallery::Index(Box::new(index)));
        }
        let file = args.gallery.as_deref().expect("asked for where there is no index");
        let pictures = PictureFile::open(file, args.ids.as_deref())?;
        pictures.note().iter().for_each(|note| terminal.say(note));
        run.check_pictures(&pictures.features)?;
        Ok(Gallery::Pictures(pictures))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JoinBy {
    /// The vectors are added, weighted as `evaluate` found best on validation (`Weighted`), alike where it found nothing; any of the
    /// run's languages
    Vectors,
    /// The mean of the scores; any of the run's languages
    ClcA,
    /// The network that `train` and `evaluate` fit on validation; all the languages that it was fitted on
    ClcC,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let languages = args.language.iter().map(|code| run.language(code)).collect::<Result<Vec<usize>>>()?;
    let gallery = Gallery::open(&args, &*run, terminal)?;
    let queries = match args.queries.iter().position(|query| query.trim().is_empty()) {
        Some(n) => {
            let what = format!("query {} is empty", n + 1);
            return Err(Error::usage(what).hint("say what the picture shows"));
        }
        None if args.queries.is_empty() => sentences::from_stdin()?,
        None => args.queries.clone(),
    };
    if !queries.len().is_multiple_of(languages.len()) {
        let what =
            format!("{} queries are not the same ones in {} languages", queries.len(), languages.len());
        return Err(
            Error::usage(what).hint("give each query once in each language, in the order of `--language`")
        );
    }
    let queries: Vec<&[String]> = queries.chunks(languages.len()).collect();
    let found = match &gallery {
        Gallery::Index(index) => found(&*run, &args, &languages, &queries, &**index, terminal)?,
        Gallery::Pictures(pictures) => {
            let gallery = Embedding { model: &*run, pictures: &pictures.features };
            let mut found = found(&*run, &args, &languages, &queries, &gallery, terminal)?;
            // As they are counted in the file.
            found.iter_mut().flatten().for_each(|found| found.row *= pictures.times as u32);
            found
        }
    };
    let name = |row: u32| match &gallery {
        Gallery::Index(index) => index.ids()[row as usize].clone(),
        Gallery::Pictures(pictures) => pictures.name(row),
    };
    if let Some(folder) = &args.photos {
        check_paths(folder, &gallery, found.iter().flatten().map(|hit| name(hit.row)))?;
    }
    let shown =
        |row: u32| Shown { id: name(row), path: args.photos.as_ref().map(|folder| folder.join(name(row))) };
    stdout::write(|out| {
        for (query, found) in queries.iter().zip(&found) {
            match args.json {
                true => writeln!(out, "{}", line(query, &args.language, found, &shown))?,
                false => write!(out, "{}", table(&query.join(" | "), found, &shown))?,
            }
        }
        Ok(())
    })
}

/// What a picture is called.
struct Shown {
    id: String,
    /// Where `--photos` says where they are.
    path: Option<PathBuf>,
}

/// Refuses a folder that is none, and ids that are no names of files in it.
fn check_paths(folder: &Path, gallery: &Gallery, ids: impl Iterator<Item = String>) -> Result<()> {
    if !folder.is_dir() {
        return Err(Error::usage("is no folder")
            .at(folder)
            .hint("`--photos` is the folder that the ids are names in"));
    }
    if matches!(gallery, Gallery::Pictures(pictures) if pictures.ids.is_none()) {
        return Err(Error::usage("`--photos` needs the names of the pictures, and the gallery has none")
            .hint("give them by `--ids`"));
    }
    match ids.into_iter().find(|id| !names::stays_inside(id)) {
        Some(id) => {
            Err(Error::data(format!("the picture id `{id}` leads out of the folder of the photographs"))
                .at(folder))
        }
        None => Ok(()),
    }
}

/// The pictures found for each query. `queries`: each in every language.
fn found(
    run: &dyn Retriever,
    args: &Args,
    languages: &[usize],
    queries: &[&[String]],
    gallery: &dyn PictureVectors,
    terminal: &Terminal,
) -> Result<Vec<Vec<Hit>>> {
    let k = args.k.get();
    let by_language: Vec<Vec<f32>> = (0..)
        .zip(languages)
        .map(|(n, &language)| {
            let texts: Vec<String> = queries.iter().map(|query: &&[String]| query[n].clone()).collect();
            sentences::embedded(run, language, &texts, terminal)
        })
        .collect::<Result<_>>()?;
    let by_language: Vec<&[f32]> = by_language.iter().map(Vec::as_slice).collect();
    if let [one] = by_language[..] {
        return match args.join {
            None => search(gallery, one, k),
            Some(_) => Err(Error::usage("`--join` joins several languages, and `--language` has one")
                .hint("give each query in more languages, or leave `--join` out")),
        };
    }
    match args.join.unwrap_or(JoinBy::Vectors) {
        JoinBy::Vectors => {
            let weights = weights(run, &args.language, terminal)?;
            search(gallery, &joined(&by_language, &weights, run.joint()), k)
        }
        JoinBy::ClcA => search_joined(gallery, &by_language, &clc_a, k),
        JoinBy::ClcC => {
            let fitted = run.fitted()?.ok_or_else(|| {
                Error::data("the run has no fitted CLC-C").at(&run.folder().path).hint(
                    "`tinyglot evaluate` fits it where the data have `data.translations` or `data.parallel`",
                )
            })?;
            let inputs = inputs(&fitted.languages, &args.language)?;
            let in_order: Vec<&[f32]> = inputs.into_iter().map(|place| by_language[place]).collect();
            let found = search_joined(gallery, &in_order, &|scores| fitted.clc_c(scores), k)?;
            // Its ReLU makes one score of all that are below 0.
            if let Some(n) =
                found.iter().position(|found| found.first().is_some_and(|best| best.score == 0.0))
            {
                terminal.warn(&format!(
                    "CLC-C scores no picture above 0 for query {}, so the order says nothing; `--join vectors` has no such limit",
                    n + 1
                ));
            }
            Ok(found)
        }
    }
}

/// For each language that CLC-C joins its place among those given.
fn inputs(fitted: &[String], given: &[String]) -> Result<Vec<usize>> {
    let places: Option<Vec<usize>> =
        fitted.iter().map(|code| given.iter().position(|other| same_code(other, code))).collect();
    places.filter(|places| places.len() == given.len()).ok_or_else(|| {
        let what = format!("CLC-C joins {}, and `--language` gives {}", fitted.join(", "), given.join(", "));
        Error::usage(what).hint("give each query once in each of them, or use `--join vectors`")
    })
}

/// A weight for each language, for joined vectors.
fn weights(run: &dyn Retriever, codes: &[String], terminal: &Terminal) -> Result<Vec<f32>> {
    Ok(run.weights(codes)?.unwrap_or_else(|| {
        terminal.say("no evaluation of the run weighs these languages: they count alike");
        vec![1.0; codes.len()]
    }))
}

fn line(
    query: &[String],
    languages: &[String],
    found: &[Hit],
    shown: &dyn Fn(u32) -> Shown,
) -> serde_json::Value {
    let hit = |f: &Hit| {
        let Shown { id, path } = shown(f.row);
        let mut hit = json!({"id": id, "row": f.row, "score": f.score});
        if let Some(path) = path {
            hit["path"] = json!(path.to_string_lossy());
        }
        hit
    };
    let plain = |texts: &[String]| match texts {
        [one] => json!(one),
        several => json!(several),
    };
    let hits: Vec<_> = found.iter().map(hit).collect();
    json!({"query": plain(query), "language": plain(languages), "hits": hits})
}

/// The query, then rank, cosine and id or path of each picture.
fn table(query: &str, found: &[Hit], shown: &dyn Fn(u32) -> Shown) -> String {
    let called = |Shown { id, path }: Shown| path.map_or(id, |path| path.display().to_string());
    let rank = |(n, f): (usize, &Hit)| format!("{:5}  {:6.3}  {}\n", n + 1, f.score, called(shown(f.row)));
    format!("{query}\n") + &found.iter().enumerate().map(rank).collect::<String>()
}
