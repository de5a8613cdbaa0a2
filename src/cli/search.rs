//! `tinyglot search`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::json;

use super::sentences;
use super::stdout;
use super::terminal::Terminal;
use crate::corpus::{Features, read_ids};
use crate::run::{self, Found};
use crate::{Error, Result};

/// Find the pictures that fit a query
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a query on the command line, queries come from standard input, one a line. The gallery may be larger than memory.
With --json each query gives one line: {\"query\": …, \"language\": …, \"hits\": [{\"id\": …, \"row\": …, \"score\": …}]}.

Examples:
  tinyglot search RUN --language de --gallery features.npy \"ein Hund am Strand\" \"zwei Frauen\"
  tinyglot search RUN --language en --gallery features.npy --ids ids.txt -k 3 < queries.txt")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Language of the queries, e.g. de
    #[arg(long, value_name = "CODE")]
    pub language: String,
    /// Features of the pictures to search, .npy or .safetensors
    #[arg(long, value_name = "FILE")]
    pub gallery: PathBuf,
    /// Ids of the pictures, one a line [default: those in the gallery's file, else row numbers from 0]
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
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

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let mut run = run::open(&args.run, &[])?;
    let language = run.language(&args.language)?;
    let gallery = Features::open(std::slice::from_ref(&args.gallery))?;
    run.check_width(&gallery)?;
    let ids = ids(&args, &gallery)?;
    let queries = match args.queries.iter().position(|query| query.trim().is_empty()) {
        Some(n) => {
            let what = format!("query {} is empty", n + 1);
            return Err(Error::usage(what).hint("say what the picture shows"));
        }
        None if args.queries.is_empty() => sentences::from_stdin()?,
        None => args.queries,
    };
    let vectors = sentences::embedded(&*run, language, &queries, terminal);
    let found = run.search(&gallery, &vectors, args.k.get())?;
    let name = |row: u32| ids.as_ref().map_or(row.to_string(), |ids| ids[row as usize].clone());
    stdout::write(|out| {
        for (query, found) in queries.iter().zip(&found) {
            match args.json {
                true => writeln!(out, "{}", line(query, &args.language, found, &name))?,
                false => write!(out, "{}", table(query, found, &name))?,
            }
        }
        Ok(())
    })
}

fn ids(args: &Args, gallery: &Features) -> Result<Option<Vec<String>>> {
    let Some(file) = &args.ids else { return Ok(gallery.ids()) };
    let ids = read_ids(file)?;
    match ids.len() == gallery.rows() {
        true => Ok(Some(ids)),
        false => {
            let what = format!("holds {} ids, but the gallery has {} pictures", ids.len(), gallery.rows());
            Err(Error::data(what).at(file).hint("one id a line, in the order of the gallery's rows"))
        }
    }
}

fn line(query: &str, language: &str, found: &[Found], name: &dyn Fn(u32) -> String) -> serde_json::Value {
    let hit = |f: &Found| json!({"id": name(f.row), "row": f.row, "score": f.score});
    json!({"query": query, "language": language, "hits": found.iter().map(hit).collect::<Vec<_>>()})
}

/// The query, then rank, cosine and id of each picture.
fn table(query: &str, found: &[Found], name: &dyn Fn(u32) -> String) -> String {
    let rank = |(n, f): (usize, &Found)| format!("{:5}  {:6.3}  {}\n", n + 1, f.score, name(f.row));
    format!("{query}\n") + &found.iter().enumerate().map(rank).collect::<String>()
}
