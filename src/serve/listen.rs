//! Connections: taken one after the other, limited in number, header and time both ways, and let go of at the end.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Builder;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::slow::{self, Slow};
use super::{State, routes};
use crate::{Error, Result};

/// Connections at a time.
const CONNECTIONS: usize = 512;
/// Bytes of a request's first line and header.
const HEADER: usize = 32 << 10;
/// The longest time from one request to the whole header of the next.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// The longest time that requests are waited for at the end.
const LAST: Duration = Duration::from_secs(10);

/// Answers requests until it is asked to stop.
pub fn until(stop: &AtomicBool, listener: TcpListener, state: Arc<State>) -> Result<()> {
    let failed = |e| Error::run("the server cannot be started").because(e);
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let runtime = runtime.map_err(failed)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        tokio::spawn(state.clone().follow());
        answer(stop, listener, state).await;
        Ok(())
    })
}

async fn answer(stop: &AtomicBool, listener: tokio::net::TcpListener, state: Arc<State>) {
    let service = TowerToHyperService::new(routes::router(state));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEADER).max_header_size(HEADER);
    let (ending, connections) = (GracefulShutdown::new(), Arc::new(Connections::default()));
    while !stop.load(Ordering::SeqCst) {
        if connections.open().len() >= CONNECTIONS {
            // Its place is free when its task has ended, which it does next.
            match connections.end_longest_awaited() {
                true => yield_now().await,
                false => sleep(TICK).await,
            }
            continue;
        }
        let stream = match timeout(TICK, listener.accept()).await {
            Ok(Ok((stream, _))) => stream,
            // No more files may be open: it passes.
            Ok(Err(_)) => {
                sleep(TICK).await;
                continue;
            }
            Err(_) => continue,
        };
        let place = Arc::new(Place::new(&connections));
        let (service, asked) = (service.clone(), place.clone());
        let service = service_fn(move |request| {
            asked.await_request(false);
            let (answer, answered) = (service.call(request), asked.clone());
            async move {
                let answer = answer.await;
                answered.await_request(true);
                answer
            }
        });
        let stream = TokioIo::new(Slow::new(stream, slow::PATIENCE));
        let connection = ending.watch(http.serve_connection(stream, service));
        let number = place.number;
        let task = tokio::spawn(async move {
            // Whoever breaks off a connection knows.
            let _ = connection.await;
            drop(place);
        });
        connections.can_end(number, task.abort_handle());
    }
    drop(listener);
    let _ = timeout(LAST, ending.shutdown()).await;
}

/// Those that are open. When all places are taken, the connection from which a request has been awaited longest is ended: so those that only
/// hold a place cannot keep others out.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<u64, Connection>>);

#[derive(Default)]
struct Connection {
    /// Since when a request is awaited; nothing, while an answer is made. One that is still being taken counts as awaiting.
    awaited: Option<Instant>,
    task: Option<AbortHandle>,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection from which a request has been awaited longest; whether there is one.
    fn end_longest_awaited(&self) -> bool {
        let open = self.open();
        let awaited = open.values().filter_map(|one| Some((one.awaited?, one.task.as_ref()?)));
        let longest = awaited.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, task)| task.abort()).is_some()
    }

    fn can_end(&self, number: u64, task: AbortHandle) {
        self.open().entry(number).and_modify(|one| one.task = Some(task));
    }
}

/// The place of one connection, until it is dropped.
struct Place {
    number: u64,
    connections: Arc<Connections>,
}

impl Place {
    fn new(connections: &Arc<Connections>) -> Place {
        let mut open = connections.open();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, Connection { awaited: Some(Instant::now()), task: None });
        Place { number, connections: connections.clone() }
    }

    /// Says whether a request is awaited, or one is answered.
    fn await_request(&self, awaited: bool) {
        let now = awaited.then(Instant::now);
        self.connections.open().entry(self.number).and_modify(|one| one.awaited = now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(&self.number);
    }
}
