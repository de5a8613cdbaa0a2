//! Searches side by side: a queue of bounded length, and the threads that take from it.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::Refusal;
use crate::Result;
use crate::photos::PictureTower;
use crate::retrieve::Retriever;

/// What threads work with.
pub struct Model<'a> {
    pub run: &'a dyn Retriever,
    /// Makes vectors of photographs that are not in the index.
    pub tower: Option<&'a PictureTower>,
}

/// What a thread does with the model.
type Job = Box<dyn FnOnce(&Model) + Send>;

/// Where work waits; whoever asks while it is full is sent away.
#[derive(Clone)]
pub struct Queue {
    jobs: SyncSender<Job>,
    within: Duration,
}

/// The other end of a [`Queue`].
pub struct Jobs(Mutex<Receiver<Job>>);

impl Queue {
    /// A queue of `length` jobs, each of which is waited for `within` this time.
    pub fn new(length: usize, within: Duration) -> (Queue, Jobs) {
        let (jobs, receiver) = sync_channel(length);
        (Queue { jobs, within }, Jobs(Mutex::new(receiver)))
    }

    /// The same queue for work that nobody sits and waits for.
    pub fn patient(&self) -> Queue {
        Queue { jobs: self.jobs.clone(), within: Duration::from_secs(24 * 60 * 60) }
    }

    /// Has work done with the model, and waits for it. Work that nobody waits for any more is not begun.
    ///
    /// # Errors
    /// Refusals: the queue is full, the time is over, or the work broke off.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Model) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, answer) = oneshot::channel();
        let job = move |model: &Model| {
            if !sender.is_closed() {
                let _ = sender.send(work(model));
            }
        };
        self.jobs.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::busy("too many searches at a time: ask again in a second"),
            TrySendError::Disconnected(_) => Refusal::busy("the server is ending"),
        })?;
        match timeout(self.within, answer).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(Refusal::broken()),
            Err(_) => {
                let within = self.within.as_secs();
                Err(Refusal::busy(&format!("no answer within {within} seconds: ask again")))
            }
        }
    }
}

impl Jobs {
    /// Does all jobs until every [`Queue`] is gone, as many at a time as there are threads, which share one pool.
    ///
    /// # Errors
    /// Run, where the threads cannot be started.
    #[cfg(not(feature = "cuda"))]
    pub fn work(&self, model: &Model) -> Result<()> {
        // Not the pool that the command itself waits in.
        let threads = rayon::current_num_threads();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| crate::Error::run("the threads cannot be started").because(e))?;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.each(|job| pool.install(|| job(model))));
            }
        });
        Ok(())
    }

    /// Does all jobs until every [`Queue`] is gone, one after the other: a model on a GPU stays on its thread.
    ///
    /// # Errors
    /// None.
    #[cfg(feature = "cuda")]
    pub fn work(&self, model: &Model) -> Result<()> {
        self.each(|job| job(model));
        Ok(())
    }

    fn each(&self, work: impl Fn(Job)) {
        let next = || self.0.lock().expect("nothing panics while it waits").recv();
        while let Ok(job) = next() {
            // A job that breaks off drops its end, and whoever waits is told.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| work(job)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_the_queue_full_is_sent_away_and_who_waits_too_long_too() {
        let (queue, jobs) = Queue::new(1, Duration::from_millis(20));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let slow = queue.ask(|_| ()).await.unwrap_err();
            assert_eq!(slow.status(), 503);
            assert!(slow.to_string().contains("no answer within"), "{slow}");
            let full = queue.ask(|_| ()).await.unwrap_err();
            assert_eq!(full.status(), 503);
            assert!(full.to_string().contains("too many"), "{full}");
            drop(jobs);
            let ending = queue.ask(|_| ()).await.unwrap_err();
            assert!(ending.to_string().contains("ending"), "{ending}");
        });
    }
}
