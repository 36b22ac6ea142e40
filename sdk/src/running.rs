//! One accepted call: its work in a task of its own, and the stream of updates that the caller
//! reads. The stream owns the task: when the caller leaves, the work is dropped. A deadline, a
//! withdrawal and a panic end the work in one place, here, and the last update is the last.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use agent_proto::tool::v1::{CallAccepted, CallResponse, call_response::Update};
use futures_util::{FutureExt as _, Stream};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::{AbortOnDropHandle, TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::Status;
use tracing::{Instrument as _, Span};

use crate::{
    call::{Asked, Beyond, CallCx, Marks},
    failure::{Effects, Failure, FailureClass},
    keyed::Keyed,
    limits::Bounds,
    offered::Start,
    outgoing::{failure_update, result_updates},
    shelter::Shelter,
};

/// Updates that may wait for a slow reader; each is at most 512 KiB.
const WAITING: usize = 4;
/// How long a caller may leave the last updates unread before the call is given up.
const LINGER: Duration = Duration::from_mins(1);

/// What a call needs to begin.
pub(crate) struct Beginning {
    pub(crate) start: Start,
    /// Where the call has an idempotency key that counts.
    pub(crate) keyed: Option<Keyed>,
    pub(crate) asked: Asked,
    pub(crate) bounds: Bounds,
    /// Whether nothing can be changed: the tool only reads, or the call is a dry run.
    pub(crate) is_harmless: bool,
    pub(crate) instance_id: String,
    /// The plugin's name, for the domain of failures.
    pub(crate) plugin: String,
    /// Held until the work is over.
    pub(crate) permit: OwnedSemaphorePermit,
    /// Cancelled when the call must end.
    pub(crate) withdrawn: CancellationToken,
    pub(crate) shelter: Shelter,
    /// What the call's log records stand in.
    pub(crate) span: Span,
}

/// The updates of one running call.
pub(crate) struct Running {
    updates: mpsc::Receiver<Update>,
    sequence: i32,
    is_over: bool,
    withdrawn: CancellationToken,
    // Dropped in this order: first the work is told, then it is dropped.
    _withdraw: DropGuard,
    _task: AbortOnDropHandle<()>,
    _open: TaskTrackerToken,
}

impl Running {
    /// Begins the work; `calls` counts it until its last update is read.
    pub(crate) fn begin(beginning: Beginning, calls: &TaskTracker) -> Self {
        let (sender, updates) = mpsc::channel(WAITING);
        let withdrawn = beginning.withdrawn.clone();
        let span = beginning.span.clone();
        let task = calls.spawn(work(beginning, sender).instrument(span));
        Self {
            updates,
            sequence: 0,
            is_over: false,
            withdrawn: withdrawn.clone(),
            _withdraw: withdrawn.drop_guard(),
            _task: AbortOnDropHandle::new(task),
            _open: calls.token(),
        }
    }

    /// Cancelling it ends the work, and the last update says so.
    pub(crate) fn withdrawal(&self) -> CancellationToken {
        self.withdrawn.clone()
    }
}

impl Stream for Running {
    type Item = Result<CallResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.updates.poll_recv(cx).map(|update| {
            let update = update?;
            // A straggler may still hold a sender; after the last update nobody listens.
            self.is_over = matches!(update, Update::Result(_) | Update::Failure(_));
            self.sequence = self.sequence.saturating_add(1);
            Some(Ok(CallResponse { sequence: self.sequence, update: Some(update) }))
        })
    }
}

async fn work(beginning: Beginning, updates: mpsc::Sender<Update>) {
    let Beginning { start, keyed, asked, bounds, is_harmless, permit, withdrawn, shelter, .. } =
        beginning;
    let (instance_id, plugin) = (beginning.instance_id, beginning.plugin);
    let deadline = Instant::now() + bounds.timeout;
    if withdrawn.is_cancelled() {
        let _ = updates.send(failure_update(withdrawn_failure(Effects::None), &plugin)).await;
        return;
    }
    let accepted = Update::Accepted(CallAccepted { instance_id });
    if updates.send(accepted).await.is_err() {
        return;
    }
    let marks = Arc::new(Marks::default());
    let cx = CallCx::new(
        withdrawn.clone(),
        asked,
        bounds,
        Beyond { shelter: shelter.clone(), marks: Arc::clone(&marks) },
        updates.clone(),
    );
    let begun = Arc::clone(&marks);
    // Making the updates is part of the work: a panic there is one more defect to tell.
    let work = async move {
        begun.begun.store(true, Ordering::SeqCst);
        let ended = match keyed {
            None => start(cx).await,
            Some(keyed) => keyed.outcome(&shelter, |told| start(cx.told_by(told))).await,
        };
        ended.map(|output| result_updates(output, bounds.result_bytes))
    };
    let ended = tokio::select! {
        biased;
        () = withdrawn.cancelled() => Err(withdrawn_failure(Effects::Unsaid)),
        ended = tokio::time::timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()) => {
            match ended {
                Ok(Ok(ended)) => ended,
                Ok(Err(panic)) => Err(panic_failure(panic.as_ref())),
                Err(_) => Err(timeout_failure(bounds.timeout)),
            }
        }
    };
    // The work is dropped by now; what it left running elsewhere learns that it is over.
    withdrawn.cancel();
    let last = match ended {
        Ok(last) => last,
        Err(failure) => {
            let failure = failure.said_or(marks.effects(is_harmless));
            vec![failure_update(failure, &plugin)]
        }
    };
    if tokio::time::timeout(LINGER, tell(last, &updates, permit)).await.is_err() {
        tracing::warn!("the caller does not read the outcome of a call; given up");
    }
}

/// Sends the last updates. Whoever reads the very last one may call again at once, so the place is
/// free before it goes out.
async fn tell(last: Vec<Update>, updates: &mpsc::Sender<Update>, permit: OwnedSemaphorePermit) {
    let mut permit = Some(permit);
    let mut rest = last.into_iter().peekable();
    while let Some(update) = rest.next() {
        if rest.peek().is_none() {
            drop(permit.take());
        }
        if updates.send(update).await.is_err() {
            return;
        }
    }
}

fn withdrawn_failure(effects: Effects) -> Failure {
    Failure::new(FailureClass::Cancelled, "CANCELLED", "the call was withdrawn").effects(effects)
}

fn timeout_failure(timeout: Duration) -> Failure {
    let message = format!("the work was not done within {timeout:?}");
    Failure::new(FailureClass::Timeout, "TIMEOUT", message)
}

pub(crate) fn panic_failure(panic: &(dyn std::any::Any + Send)) -> Failure {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Failure::bug("PANIC", format!("the tool panicked: {words}"))
}
