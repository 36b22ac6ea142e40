//! The group committer: one thread that owns the write side. It takes all that waits, writes it as
//! one transaction, answers the waiters and only then wakes the readers. No timer: while a sync
//! runs the next batch gathers by itself.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use super::{Error, Shared};
use crate::store::{self, Write, Written};

/// Writes that may wait; the next caller waits for a place.
const QUEUE: usize = 1024;
/// Most writes in one transaction: bounds what one sync keeps others waiting for.
const BATCH: usize = 256;

type Answer = oneshot::Sender<Result<Written, Error>>;

struct Job {
    write: Write,
    answer: Answer,
}

/// The handle of the thread. Dropping it ends the thread after what waits is written.
#[derive(Debug)]
pub(super) struct Committer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

// === impl Committer ===

impl Committer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(&own, waiting))
            .map_err(|source| store::Error::from_io("the journal's thread", source))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)), shared })
    }

    pub(super) async fn write(&self, write: Write) -> Result<Written, Error> {
        let (answer, heard) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(Job { write, answer }).await.map_err(|_| Error::Closed)?;
        heard.await.map_err(|_| Error::Closed)?
    }

    pub(super) fn write_blocking(&self, write: Write) -> Result<Written, Error> {
        let (answer, heard) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.blocking_send(Job { write, answer }).map_err(|_| Error::Closed)?;
        heard.blocking_recv().map_err(|_| Error::Closed)?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has at most a queue to write, and its panics are caught where they may come up.
            let _ = thread.join();
        }
        self.shared.live.close();
    }
}

fn run(shared: &Shared, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.blocking_recv() {
        let (mut batch, mut answers) = (vec![first.write], vec![first.answer]);
        while batch.len() < BATCH
            && let Ok(Job { write, answer }) = waiting.try_recv()
        {
            batch.push(write);
            answers.push(answer);
        }
        match shared.log.commit(&batch) {
            Ok(written) => {
                for (answer, written) in answers.into_iter().zip(written) {
                    // A caller that left does not need the answer.
                    let _ = answer.send(written.map_err(Error::from));
                }
            }
            Err(error) => {
                let source = Arc::new(error);
                for answer in answers {
                    let _ = answer.send(Err(Error::Lost { source: Arc::clone(&source) }));
                }
            }
        }
        // After a failure too: what a failed sync left on disk may be there after all, and then it
        // must not stay unseen.
        shared.live.wake(&batch);
    }
}
