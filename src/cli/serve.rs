//! `tinyglot serve`.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::terminal::{Terminal, complain};
use super::{interrupt, stdout};
use crate::photos::PictureTower;
use crate::retrieve::Retriever;
use crate::serve::{Options, Server, Told};
use crate::stop::Saves;
use crate::{Error, Result, run};

/// The token, where the command line is read by others.
const TOKEN: &str = "TINYGLOT_TOKEN";

/// Search an index on a page, and over HTTP
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The page searches in every language of the run, among all pictures, or those of a folder or of some days where the index is of photographs, and by a picture
that is dropped on it where there is a picture tower. /api/openapi.json describes the interface of JSON: search, similar pictures, vectors of sentences;
/metrics is for Prometheus. The address is printed when the server answers, and an index that is made again is read again.
Whoever knows the address of another host than this one's own needs the token: `Authorization: Bearer TOKEN`, or once `/?token=TOKEN`.
It speaks HTTP alone: for the open net put it behind a proxy with TLS. Ctrl-C or SIGTERM answers what was asked, and ends it.

Examples:
  tinyglot serve RUN --index photos
  tinyglot serve RUN --index photos --photos PHOTOS --port 8000
  TINYGLOT_TOKEN=$(openssl rand -hex 16) tinyglot serve RUN --index photos --host 0.0.0.0")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Folder that `tinyglot index` made
    #[arg(long, value_name = "INDEX")]
    pub index: PathBuf,
    /// Folder with the pictures' files, whose names are the ids of the index, or those with an ending [default: the page shows the thumbnails of an index of photographs, else names]
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Folder of the picture tower, to search by pictures that are sent [default: the run's `data.tower`, if it is there]
    #[arg(long, value_name = "MODEL")]
    pub tower: Option<PathBuf>,
    /// Port; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
    /// Address to listen on; any other than this machine's own needs a token
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// What requests must know, 16 characters or more [default: the environment's TINYGLOT_TOKEN]
    #[arg(long, value_name = "T")]
    pub token: Option<String>,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let token = args.token.or_else(|| env::var(TOKEN).ok());
    let tower = tower(&*run, args.tower.as_deref(), terminal)?;
    let options = Options { index: args.index, photos: args.photos, host: args.host, port: args.port, token };
    let (of, said) = (run.folder().path.clone(), terminal.clone());
    let server = Server::bind(&*run, tower.as_ref(), &options, Arc::new(move |told| tell(told, &said)))?;
    if let (missing @ 1.., of) = server.missing() {
        terminal.warn(&format!("{missing} of {of} pictures that were looked for have no file in `--photos`"));
    }
    // From here on a signal lets it end well.
    let _saves = Saves::begin();
    terminal.say(&format!("{} pictures of `{}`; Ctrl-C ends", server.pictures(), of.display()));
    stdout::print(&format!("http://{}\n", server.address()))?;
    server.run(interrupt::flag())?;
    Err(Error::stopped("the server has ended"))
}

/// The picture tower, where there is one.
fn tower(run: &dyn Retriever, given: Option<&Path>, terminal: &Terminal) -> Result<Option<PictureTower>> {
    if given.is_none() && run.config().data().tower.is_none() {
        return Ok(None);
    }
    match run::picture_tower(run, given) {
        Ok(tower) => Ok(Some(tower)),
        Err(error) if given.is_some() => Err(error),
        // Whoever serves texts alone need not have it.
        Err(error) => {
            terminal.warn(&format!("pictures cannot be sent to search by: {error}"));
            Ok(None)
        }
    }
}

fn tell(told: Told, terminal: &Terminal) {
    match told {
        Told::Answered { method, path, status, took } => {
            terminal.detail(&format!("{method} {path} {status} {:.1} ms", took.as_secs_f64() * 1e3));
        }
        Told::Failed(error) => complain(error),
        Told::Reloaded(pictures) => terminal.say(&format!("the index was made again: {pictures} pictures")),
        Told::NotReloaded(error) => {
            terminal.warn(&format!(
                "the index has changed and cannot be used, the old one is searched on: {error}"
            ));
        }
    }
}
