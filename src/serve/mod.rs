//! A run and an index of pictures for those who only search: a page, and an interface of JSON, over HTTP.
//!
//! The model and the index are opened once. Requests are read on one thread; searches wait in a queue of bounded length for the threads that have
//! the model.

mod answer;
mod api;
mod find;
mod guard;
mod languages;
mod listen;
mod metrics;
mod openapi;
mod page;
mod photos;
mod routes;
mod slow;
mod uploads;
mod work;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use crate::photos::PictureTower;
use crate::retrieve::{Index, Retriever};
use crate::{Error, Result, border};
use answer::Refusal;
use find::Opened;
use guard::Guard;
use metrics::Metrics;
use photos::Photos;
use uploads::Uploads;
use work::{Jobs, Model, Queue};

/// Searches that wait for each thread; beyond them requests are sent away.
const WAITING: usize = 16;
/// The longest time that a search is waited for.
const WITHIN: Duration = Duration::from_secs(30);

/// Where a server listens, and what it gives. It holds the token, so it prints nothing.
#[derive(Clone)]
pub struct Options {
    /// The folder of the index.
    pub index: PathBuf,
    /// The folder with the files of the pictures, which are named by the ids of the index.
    pub photos: Option<PathBuf>,
    /// The address to listen on; any other than this machine's own needs a token.
    pub host: IpAddr,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// What requests must know.
    pub token: Option<String>,
}

/// What happens while a server runs.
#[derive(Debug)]
pub enum Told<'a> {
    /// A request was answered.
    Answered {
        /// Its method.
        method: &'a str,
        /// Its path, without the query.
        path: &'a str,
        /// The status of the answer.
        status: u16,
        /// The time that it took.
        took: Duration,
    },
    /// A request could not be answered, by no fault of its own.
    Failed(&'a Error),
    /// The index was made again, has this many pictures, and is searched from now on.
    Reloaded(usize),
    /// The index was made again and cannot be used: the old one is searched on.
    NotReloaded(&'a Error),
}

/// Who is told.
pub type Teller = Arc<dyn Fn(Told) + Send + Sync>;

/// What all requests share.
struct State {
    languages: Vec<String>,
    joint: usize,
    path: PathBuf,
    opened: RwLock<Arc<Opened>>,
    photos: Option<Photos>,
    /// Whether there is a picture tower.
    sees: bool,
    uploads: Uploads,
    guard: Guard,
    queue: Queue,
    metrics: Metrics,
    told: Teller,
}

impl State {
    fn opened(&self) -> Arc<Opened> {
        self.opened.read().expect("nothing panics while it reads").clone()
    }

    /// Asks the model.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Model) -> Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let work = move |model: &Model| border::command(|| work(model));
        self.queue.ask(work).await?.map_err(|error| {
            Refusal::of(&error).unwrap_or_else(|| {
                (self.told)(Told::Failed(&error));
                Refusal::broken()
            })
        })
    }

    /// Looks from time to time whether the index was made again, for ever.
    async fn follow(self: Arc<State>) {
        let (queue, mut known) = (self.queue.patient(), stamp(&self.path));
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = stamp(&self.path);
            if now.is_none() || now == known {
                continue;
            }
            let path = self.path.clone();
            let Ok(opened) = queue.ask(move |model| open(&path, model.run)).await else { continue };
            known = now;
            match opened {
                Ok(opened) => {
                    let pictures = opened.index.ids().len();
                    *self.opened.write().expect("nothing panics while it writes") = Arc::new(opened);
                    (self.told)(Told::Reloaded(pictures));
                }
                Err(error) => (self.told)(Told::NotReloaded(&error)),
            }
        }
    }
}

/// What tells an index from one that is made later in its place.
fn stamp(index: &Path) -> Option<(SystemTime, u64)> {
    let about = Index::description(index).metadata().ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn open(path: &Path, run: &dyn Retriever) -> Result<Opened> {
    let index = Index::open(path)?;
    index.check_model(run)?;
    Ok(Opened::new(index))
}

/// A server that is bound to its address, and answers when it runs.
pub struct Server<'a> {
    model: Model<'a>,
    listener: TcpListener,
    address: SocketAddr,
    jobs: Jobs,
    state: Arc<State>,
}

impl<'a> Server<'a> {
    /// Opens the index and binds the address. With the picture tower that made the index's features it also searches by photographs that are sent.
    ///
    /// # Errors
    /// Usage: an address of other machines without a token, or a token that can be guessed. Data: the index, the folder of pictures, or another tower
    /// than made the index. Run, where the address cannot be bound.
    pub fn bind(
        run: &'a dyn Retriever,
        tower: Option<&'a PictureTower>,
        options: &Options,
        told: Teller,
    ) -> Result<Server<'a>> {
        if !options.host.is_loopback() && options.token.is_none() {
            let what = format!("others reach `{}`, so the server needs a token", options.host);
            return Err(Error::usage(what).hint("give `--token`, or leave `--host` out"));
        }
        let guard = Guard::new(options.token.as_deref())?;
        let opened = open(&options.index, run)?;
        if let (Some(tower), Some(wanted)) = (tower, opened.index.features_by())
            && tower.made_by() != *wanted
        {
            let what = format!("holds vectors of features by {wanted}, and the tower is {}", tower.made_by());
            return Err(Error::data(what)
                .at(&options.index)
                .hint("give the tower that the index was made with"));
        }
        let photos = options.photos.as_deref().map(Photos::open).transpose()?;
        let (queue, jobs) = Queue::new(WAITING * rayon::current_num_threads(), WITHIN);
        let address = SocketAddr::new(options.host, options.port);
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = bound.map_err(|e| {
            let hint = "give another `--port`; 0 takes any that is free";
            Error::run(format!("cannot listen on {address}")).because(e).hint(hint)
        })?;
        let state = Arc::new(State {
            languages: run.languages(),
            joint: run.joint(),
            path: options.index.clone(),
            opened: RwLock::new(Arc::new(opened)),
            photos,
            sees: tower.is_some(),
            uploads: Uploads::default(),
            guard,
            queue,
            metrics: Metrics::default(),
            told,
        });
        Ok(Server { model: Model { run, tower }, listener, address, jobs, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many pictures it has.
    pub fn pictures(&self) -> usize {
        self.state.opened().index.ids().len()
    }

    /// Of some pictures all over the index, how many have no file in the folder of pictures, and how many were looked for.
    pub fn missing(&self) -> (usize, usize) {
        let Some(photos) = &self.state.photos else { return (0, 0) };
        let opened = self.state.opened();
        let ids = opened.index.ids();
        let some = ids.iter().step_by(ids.len().div_ceil(100).max(1));
        (some.clone().filter(|id| photos.file(id).is_none()).count(), some.count())
    }

    /// Answers requests until it is asked to stop; those that are there are answered before it ends.
    ///
    /// # Errors
    /// Run, where threads cannot be started.
    pub fn run(self, stop: &AtomicBool) -> Result<()> {
        let Server { model, listener, jobs, state, .. } = self;
        std::thread::scope(|scope| {
            // Its end lets go of the queue, and so ends the work.
            let answering = scope.spawn(move || listen::until(stop, listener, state));
            let worked = jobs.work(&model);
            drop(jobs);
            answering.join().expect("the server does not panic")?;
            worked
        })
    }
}
