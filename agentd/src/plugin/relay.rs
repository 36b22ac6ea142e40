//! The way to plugins that cannot be dialled: they dial the daemon and park slots, each a stream
//! that carries at most one call (PROTOCOL D2). [`Slots`] are those of one instance; [`serve`] is
//! the life of one slot. A parked slot is spare capacity, so that nothing needs a queue here.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use agent_proto::tool::v1 as pb;
use futures_util::{Stream, StreamExt as _};
use pb::{call_response::Update, serve_request::Message as Heard, serve_response::Message as Said};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::wire;

/// Most slots of one instance.
pub(crate) const MAX_SLOTS: usize = 64;
/// How often an idle slot gives a sign of life: more often than proxies cut what is idle.
const PING: Duration = Duration::from_secs(15);
/// How long a withdrawn call may take to say its last word.
const GRACE: Duration = Duration::from_secs(2);
/// How long the other side may take to read what is said to it, and to close after its last word.
const READING: Duration = Duration::from_secs(3);
/// Updates on their way from a slot to who reads them.
const UPDATES: usize = 4;

/// What a plugin says on a slot, and what it is told.
type Answer = Result<pb::CallResponse, Status>;
pub(crate) type Telling = mpsc::Sender<Result<pb::ServeResponse, Status>>;

/// Why a call on a slot was never made.
#[derive(Debug, thiserror::Error)]
#[error("the call was not sent")]
pub(crate) struct NotSent;

/// One call for one slot.
#[derive(Debug)]
struct Job {
    request: pb::CallRequest,
    updates: mpsc::Sender<Answer>,
    /// Kept for a slot that ends without a word, however it ends.
    broken: Option<mpsc::OwnedPermit<Answer>>,
}

/// The slots of one instance.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    parked: Mutex<VecDeque<oneshot::Sender<Job>>>,
    came: Notify,
    open: AtomicUsize,
}

/// One open slot; counted as long as it is held.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
}

// === impl Slots ===

impl Slots {
    /// Counts one more slot; none when there are as many as there may be.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Slot> {
        let more = |open: usize| (open < MAX_SLOTS).then(|| open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Slot { slots: Arc::clone(self) })
    }

    /// Slots that are there, parked or busy.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Sends a call down a parked slot, and gives what comes back. Waits until `deadline` for one:
    /// the plugin opens a slot anew after each call.
    pub(crate) async fn send(
        &self,
        request: pb::CallRequest,
        deadline: Instant,
    ) -> Option<mpsc::Receiver<Answer>> {
        let (updates, answers) = mpsc::channel(UPDATES);
        let broken = updates.clone().try_reserve_owned().ok();
        let mut job = Job { request, updates, broken };
        loop {
            let came = self.came.notified();
            tokio::pin!(came);
            // Listening begins before looking, so that no slot is missed between the two.
            came.as_mut().enable();
            while let Some(slot) = self.next() {
                match slot.send(job) {
                    Ok(()) => return Some(answers),
                    // It went away while it was parked.
                    Err(back) => job = back,
                }
            }
            timeout_at(deadline, came).await.ok()?;
        }
    }

    fn next(&self) -> Option<oneshot::Sender<Job>> {
        self.lock().pop_front()
    }

    fn park(&self) -> oneshot::Receiver<Job> {
        let (tell, told) = oneshot::channel();
        let mut parked = self.lock();
        parked.retain(|slot| !slot.is_closed());
        parked.push_back(tell);
        drop(parked);
        self.came.notify_one();
        told
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Job>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// It was not sent, and may be made elsewhere.
    fn give_back(&mut self) {
        if let Some(last) = self.broken.take() {
            let mut status = Status::unavailable("the slot went away before the call was sent");
            status.set_source(Arc::new(NotSent));
            last.send(Err(status));
        }
    }

    /// The plugin had its say, or may no longer have one: there is nothing broken to tell.
    fn settle(&mut self) {
        self.broken = None;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(last) = self.broken.take() {
            last.send(Err(Status::unavailable("the slot broke")));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open.fetch_sub(1, Ordering::Relaxed);
    }
}

// === one slot ===

/// Serves one slot from `parked` to its end, which is OK unless the plugin broke a rule. `gone` ends
/// it while it is idle; a call that runs is finished.
pub(crate) async fn serve(
    slot: Slot,
    mut heard: impl Stream<Item = Result<pb::ServeRequest, Status>> + Unpin,
    telling: Telling,
    gone: [CancellationToken; 2],
) {
    let parked = pb::SlotParked { ping_interval: Some(wire::duration_to(PING)) };
    if !say(&telling, Said::Parked(parked)).await {
        return;
    }
    let mut job = slot.slots.park();
    let given = idle(&mut job, &mut heard, &telling, gone).await;
    job.close();
    if let (Ok(None) | Err(_), Ok(mut job)) = (&given, job.try_recv()) {
        // It came as the slot went: nothing was sent.
        job.give_back();
    }
    let ended = match given {
        Ok(Some(job)) => work(job, &mut heard, &telling).await,
        Ok(None) => Ok(()),
        Err(status) => Err(status),
    };
    drop(slot);
    if let Err(status) = ended {
        let _ = timeout(READING, telling.send(Err(status))).await;
    }
}

/// Waits for a call; none when the slot is given back or over.
async fn idle(
    job: &mut oneshot::Receiver<Job>,
    heard: &mut (impl Stream<Item = Result<pb::ServeRequest, Status>> + Unpin),
    telling: &Telling,
    [gone, stopping]: [CancellationToken; 2],
) -> Result<Option<Job>, Status> {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            given = &mut *job => return Ok(given.ok()),
            () = gone.cancelled() => return Ok(None),
            () = stopping.cancelled() => return Ok(None),
            message = heard.next() => return match message {
                None | Some(Err(_)) => Ok(None),
                Some(Ok(said)) => match said.message {
                    Some(Heard::Released(_)) => Ok(None),
                    // An arm that a newer plugin knows.
                    None => continue,
                    Some(Heard::Opened(_) | Heard::Update(_)) => Err(Status::invalid_argument(
                        "an idle slot says nothing but released; updates follow a call",
                    )),
                },
            },
            _ = pings.tick() => {
                if !say(telling, Said::Ping(pb::SlotPing {})).await {
                    return Ok(None);
                }
            }
        }
    }
}

/// Passes a call down and its updates up.
async fn work(
    mut job: Job,
    heard: &mut (impl Stream<Item = Result<pb::ServeRequest, Status>> + Unpin),
    telling: &Telling,
) -> Result<(), Status> {
    if !say(telling, Said::Call(std::mem::take(&mut job.request))).await {
        job.give_back();
        return Ok(());
    }
    // Set once nobody wants the outcome any more.
    let mut over: Option<Instant> = None;
    loop {
        let until = over.unwrap_or_else(Instant::now);
        let message = tokio::select! {
            biased;
            () = job.updates.closed(), if over.is_none() => {
                over = Some(Instant::now() + GRACE);
                let grace = Some(wire::duration_to(GRACE));
                let reason = "the call was withdrawn".to_owned();
                say(telling, Said::Cancelled(pb::CallCancelled { reason, grace })).await;
                continue;
            }
            () = sleep_until(until), if over.is_some() => {
                return Err(Status::deadline_exceeded("a withdrawn call went on for too long"));
            }
            message = heard.next() => message,
        };
        match message.transpose() {
            Err(_) => return Ok(()),
            Ok(None) => {
                job.settle();
                return Ok(());
            }
            Ok(Some(pb::ServeRequest { message: Some(Heard::Update(update)) })) => {
                let last = matches!(update.update, Some(Update::Result(_) | Update::Failure(_)));
                // Who withdrew the call reads no more.
                let _ = job.updates.send(Ok(update)).await;
                if last {
                    job.settle();
                    return closing(heard, &job.updates).await;
                }
            }
            // Given back while the call was on its way: the plugin refuses that itself.
            Ok(Some(pb::ServeRequest { message: Some(Heard::Released(_)) | None })) => {}
            Ok(Some(pb::ServeRequest { message: Some(Heard::Opened(_)) })) => {
                let said = "the plugin opened a slot on a slot that runs a call";
                let _ = job.updates.send(Err(Status::internal(said))).await;
                job.settle();
                return Err(Status::invalid_argument("a slot is opened once"));
            }
        }
    }
}

/// After the last word: what still comes is passed on, since it breaks a rule.
async fn closing(
    heard: &mut (impl Stream<Item = Result<pb::ServeRequest, Status>> + Unpin),
    updates: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    if let Ok(Some(Ok(pb::ServeRequest { message: Some(Heard::Update(more)) }))) =
        timeout(READING, heard.next()).await
    {
        let _ = updates.send(Ok(more)).await;
    }
    Ok(())
}

/// Says something, unless it is not read.
async fn say(telling: &Telling, message: Said) -> bool {
    let told = telling.send(Ok(pb::ServeResponse { message: Some(message) }));
    matches!(timeout(READING, told).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests;
