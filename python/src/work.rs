//! Work of the library without the interpreter's lock, on threads of its own, while the thread that called waits and looks for Ctrl-C.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tinyglot::{Result, border};

use crate::error::raised;

/// How long Ctrl-C may wait.
const PAUSE: Duration = Duration::from_millis(50);

/// The threads that all calls share, and the process that they are of: a forked one has none of them.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// The threads that all calls share; `count` makes others.
///
/// # Errors
/// Run, where they cannot be started.
pub fn pool(count: Option<usize>) -> Result<Arc<ThreadPool>> {
    let mut kept = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let (None, Some((of, pool))) = (count, &*kept)
        && *of == process::id()
    {
        return Ok(Arc::clone(pool));
    }
    let made = Arc::new(threads(count.unwrap_or(0))?);
    let before = kept.replace((process::id(), Arc::clone(&made)));
    if let Some((of, pool)) = before
        && of != process::id()
    {
        // Its end would wait for threads that this process does not have.
        std::mem::forget(pool);
    }
    Ok(made)
}

/// So many threads; 0 for as many as there are cores, or the environment says.
fn threads(count: usize) -> Result<ThreadPool> {
    let made = ThreadPoolBuilder::new().num_threads(count).build();
    made.map_err(|e| tinyglot::Error::run("the threads cannot be started").because(e))
}

/// What work sends to the thread that waits for it. `M`: what it tells meanwhile.
enum Sent<T, M> {
    /// It goes on when it is answered: false asks it to stop.
    Told(M, Sender<bool>),
    Done(std::thread::Result<Result<T>>),
}

/// Tells the thread that waits for the work, and waits for its answer.
pub struct Teller<T, M>(Sender<Sent<T, M>>);

impl<T, M> Teller<T, M> {
    /// Tells something; the interpreter hears it on the thread that called.
    ///
    /// # Errors
    /// Stopped, where the work is to end.
    pub fn tell(&mut self, told: M) -> Result<()> {
        let (sender, answer) = channel();
        let heard = self.0.send(Sent::Told(told, sender)).is_ok() && answer.recv() == Ok(true);
        if heard { Ok(()) } else { Err(tinyglot::Error::stopped("stopped by its callback")) }
    }
}

/// Does work that tells of itself, on threads of its own: those that all share are free meanwhile for what `hear` may ask of them. What `hear` raises, and Ctrl-C, raise `stop`, and are raised when the work has ended; a second Ctrl-C does not wait for
/// that.
pub fn heard<T: Send + 'static, M: Send + 'static>(
    py: Python,
    stop: &AtomicBool,
    work: impl FnOnce(Teller<T, M>) -> Result<T> + Send + 'static,
    hear: &mut dyn FnMut(Python, M) -> PyResult<()>,
) -> PyResult<T> {
    let (sender, mut receiver) = channel();
    let own = || pool(None).and_then(|shared| threads(shared.current_num_threads()));
    begin(&py.detach(own).map_err(|error| raised(py, &error))?, sender, work);
    let mut exception = None;
    loop {
        match next(py, &mut receiver) {
            Some(Sent::Done(done)) => return ended(py, exception, done),
            Some(Sent::Told(told, answer)) => {
                if exception.is_none()
                    && let Err(raised) = hear(py, told)
                {
                    stop.store(true, Ordering::SeqCst);
                    exception = Some(raised);
                }
                // Nobody waits any more where the work broke off.
                let _ = answer.send(exception.is_none());
            }
            None => {
                if let Err(interrupt) = py.check_signals() {
                    if exception.is_some() {
                        return Err(interrupt);
                    }
                    stop.store(true, Ordering::SeqCst);
                    exception = Some(interrupt);
                }
            }
        }
    }
}

/// Does work that has nothing to save. After Ctrl-C nobody waits for it any more; it is told so ([`go_on`]), and what it gives is dropped.
pub fn work<T: Send + 'static>(
    py: Python,
    work: impl FnOnce(&AtomicBool) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (sender, mut receiver) = channel::<Sent<T, ()>>();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    begin(&*py.detach(|| pool(None)).map_err(|error| raised(py, &error))?, sender, move |_| work(&asked));
    loop {
        match next(py, &mut receiver) {
            Some(Sent::Done(done)) => return ended(py, None, done),
            Some(Sent::Told(..)) => unreachable!("it has nothing to tell"),
            None => py.check_signals().inspect_err(|_| stop.store(true, Ordering::SeqCst))?,
        }
    }
}

/// Ends work that nobody waits for any more.
///
/// # Errors
/// Stopped, then.
pub fn go_on(stop: &AtomicBool) -> Result<()> {
    match stop.load(Ordering::SeqCst) {
        true => Err(tinyglot::Error::stopped("stopped")),
        false => Ok(()),
    }
}

/// Hands work to threads.
fn begin<T: Send + 'static, M: Send + 'static>(
    threads: &ThreadPool,
    sender: Sender<Sent<T, M>>,
    work: impl FnOnce(Teller<T, M>) -> Result<T> + Send + 'static,
) {
    threads.spawn(move || {
        let teller = Teller(sender.clone());
        let done = panic::catch_unwind(AssertUnwindSafe(|| border::command(|| work(teller))));
        // Nobody waits any more after Ctrl-C.
        let _ = sender.send(Sent::Done(done));
    });
}

/// What is sent next; nothing, where that takes long.
fn next<T: Send, M: Send>(py: Python, receiver: &mut Receiver<Sent<T, M>>) -> Option<Sent<T, M>> {
    py.detach(move || match receiver.recv_timeout(PAUSE) {
        Ok(sent) => Some(sent),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => unreachable!("the end of work is always sent"),
    })
}

fn ended<T>(
    py: Python,
    exception: Option<PyErr>,
    done: Result<Result<T>, Box<dyn Any + Send>>,
) -> PyResult<T> {
    match (exception, done) {
        (_, Err(panic)) => panic::resume_unwind(panic),
        (Some(exception), Ok(_)) => Err(exception),
        (None, Ok(done)) => done.map_err(|error| raised(py, &error)),
    }
}
