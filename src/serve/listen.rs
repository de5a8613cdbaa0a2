//! Connections: taken one after the other, limited in number, header and time both ways, and let go of at the end.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::slow::{self, Slow};
use super::{State, routes};
use crate::{Error, Result};

/// Connections at a time; further ones wait to be taken.
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
    let (ending, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    while !stop.load(Ordering::SeqCst) {
        let Ok(place) = places.clone().try_acquire_owned() else {
            sleep(TICK).await;
            continue;
        };
        let stream = match timeout(TICK, listener.accept()).await {
            Ok(Ok((stream, _))) => stream,
            // No more files may be open: it passes.
            Ok(Err(_)) => {
                sleep(TICK).await;
                continue;
            }
            Err(_) => continue,
        };
        let connection = ending
            .watch(http.serve_connection(TokioIo::new(Slow::new(stream, slow::PATIENCE)), service.clone()));
        tokio::spawn(async move {
            // Whoever breaks off a connection knows.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(LAST, ending.shutdown()).await;
}
