//! The keeper: one thread that owns the writing of memory. What has ended becomes an episode and
//! what people say a feedback: records in the journal, durable first. The trees are folded from the
//! records in their order, so a live run, a start after a crash and a rebuild are the same code. Not
//! a reader's way: recall goes to the index and the trees directly.
//!
//! Order of a write: the records are durable in the journal; the marks of what the trees will hold
//! are made durable there as well; then the trees are written and flushed. A kill in between leaves
//! trees that match the mark before.

mod fold;
mod trees;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{Config, Error, Shared, feedback::Feedback, working::Checkpoint};
use crate::{
    investigation::InvestigationId,
    store::{self, Point, RequestKey},
};

/// Tree of the cases. The first version kept `episodes`, made from events: a tree of another name
/// is dropped, and this one is filled from the records.
pub(super) const CASES: &str = "cases";
/// Tree of checkpoints and notes.
const WORKING: &str = "working";
/// Mark of the files of a closed memory: what noise anywhere in them is found by.
pub(super) const FILES: &str = "files";
/// All trees.
const TREES: &[&str] = &[CASES, WORKING];

/// Jobs that may wait; the next caller waits for a place.
const QUEUE: usize = 256;

/// The handle of the thread. Dropping it ends the thread after what waits is done.
#[derive(Debug)]
pub(super) struct Keeper {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type Answer = oneshot::Sender<Result<(), Error>>;

enum Job {
    /// An investigation has ended; none: whatever has ended since.
    Learn(Option<InvestigationId>, Answer),
    /// People judged an outcome.
    Judge(Box<Feedback>, Option<RequestKey>, Answer),
    /// A round has ended.
    Checkpoint(Checkpoint, Answer),
    /// A reader found something that cannot be: look at the trees again.
    Suspect,
}

/// What is to be written: the value under a key of a tree, `None` to remove it. A map, so that of
/// two changes to one key only the later is left.
type Changes = BTreeMap<(&'static str, Vec<u8>), Option<Vec<u8>>>;

/// The thread's own state.
struct Desk {
    shared: Arc<Shared>,
    config: Config,
    /// What each tree holds, in the order of [`TREES`].
    points: Vec<(&'static str, Point)>,
    /// Newest time heard of: from the caller at the start, then from what ends.
    now: Timestamp,
    /// Set while the trees are made anew: damage then is not mended within the mending.
    mending: bool,
}

// === impl Keeper ===

impl Keeper {
    pub(super) async fn start(
        shared: Arc<Shared>,
        config: Config,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let desk = Desk { shared, config, points: Vec::new(), now, mending: false };
        let thread = thread::Builder::new()
            .name("memory".to_owned())
            .spawn(move || run(desk, ready, waiting))
            .map_err(|source| store::Error::from_io("the memory's thread", source))?;
        let keeper = Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) };
        opened.await.map_err(|_| Error::Closed)??;
        Ok(keeper)
    }

    pub(super) async fn learn(&self, id: InvestigationId) -> Result<(), Error> {
        self.ask(|answer| Job::Learn(Some(id), answer)).await
    }

    pub(super) async fn catch_up(&self) -> Result<(), Error> {
        self.ask(|answer| Job::Learn(None, answer)).await
    }

    pub(super) async fn judge(
        &self,
        feedback: Feedback,
        request: Option<RequestKey>,
    ) -> Result<(), Error> {
        self.ask(|answer| Job::Judge(Box::new(feedback), request, answer)).await
    }

    pub(super) async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), Error> {
        self.ask(|answer| Job::Checkpoint(checkpoint, answer)).await
    }

    /// Tells the thread that something could not be read; does not wait. When its queue is full
    /// the next reader will say it again.
    pub(super) fn suspect(&self) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.try_send(Job::Suspect);
        }
    }

    async fn ask(&self, job: impl FnOnce(Answer) -> Job) -> Result<(), Error> {
        let (answer, heard) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(job(answer)).await.map_err(|_| Error::Closed)?;
        heard.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // At most a queue of work; panics of the trees are caught where they come up.
            let _ = thread.join();
        }
    }
}

fn run(
    mut desk: Desk,
    ready: oneshot::Sender<Result<(), Error>>,
    mut waiting: mpsc::Receiver<Job>,
) {
    let opened = desk.open();
    let failed = opened.is_err();
    if ready.send(opened).is_err() || failed {
        return;
    }
    while let Some(first) = waiting.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < QUEUE
            && let Ok(job) = waiting.try_recv()
        {
            jobs.push(job);
        }
        desk.work(jobs);
    }
    // Before the thread ends: whoever joins it may open the same files.
    desk.close();
}

// === impl Desk ===

impl Desk {
    /// One round of work, with one write for all checkpoints and one for all that was learnt.
    fn work(&mut self, jobs: Vec<Job>) {
        let (mut learnt, mut checkpoints, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            match job {
                Job::Learn(id, answer) => learnt.push((id, answer)),
                Job::Checkpoint(checkpoint, answer) => {
                    checkpoints.push(checkpoint);
                    answers.push(answer);
                }
                Job::Judge(feedback, request, answer) => {
                    let _ = answer.send(self.judge(*feedback, request));
                }
                Job::Suspect => self.check(),
            }
        }
        if !checkpoints.is_empty() {
            let done = self.write_checkpoints(checkpoints);
            for answer in answers {
                // A caller that left does not need the answer.
                let _ = answer.send(done.clone());
            }
        }
        if !learnt.is_empty() {
            let done = self.catch_up();
            for (id, answer) in learnt {
                let _ = answer
                    .send(done.clone().and_then(|()| id.map_or(Ok(()), |id| self.has_ended(id))));
            }
        }
    }

    fn has_ended(&self, id: InvestigationId) -> Result<(), Error> {
        if self.shared.journal.ended(id)? { Ok(()) } else { Err(Error::NotFinished { id }) }
    }

    /// How far the records have been taken in by all trees.
    fn position(&self) -> u64 {
        self.points.iter().map(|(_, point)| point.position).min().unwrap_or(0)
    }
}
