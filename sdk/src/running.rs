//! One accepted call: its work in a task of its own, and the stream of updates that the caller
//! reads. The stream owns the task: when the caller leaves, the work is dropped. A deadline, a
//! withdrawal and a panic end the work in one place, here, and the last update is the last.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
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

use crate::{
    call::{Asked, CallCx},
    failure::{Effects, Failure, FailureClass},
    limits::Bounds,
    offered::Start,
    outgoing::{failure_update, result_updates},
};

/// Updates that may wait for a slow reader; each is at most 512 KiB.
const WAITING: usize = 4;
/// How long a caller may leave the last updates unread before the call is given up.
const LINGER: Duration = Duration::from_mins(1);

/// What a call needs to begin.
pub(crate) struct Beginning {
    pub(crate) start: Start,
    pub(crate) asked: Asked,
    pub(crate) bounds: Bounds,
    pub(crate) is_read_only: bool,
    pub(crate) instance_id: String,
    /// The plugin's name, for the domain of failures.
    pub(crate) plugin: String,
    /// Held until the work is over and told.
    pub(crate) permit: OwnedSemaphorePermit,
    /// Cancelled when the call must end.
    pub(crate) withdrawn: CancellationToken,
}

/// The updates of one running call.
pub(crate) struct Running {
    updates: mpsc::Receiver<Update>,
    sequence: i32,
    is_over: bool,
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
        let task = AbortOnDropHandle::new(calls.spawn(work(beginning, sender)));
        Self {
            updates,
            sequence: 0,
            is_over: false,
            _withdraw: withdrawn.drop_guard(),
            _task: task,
            _open: calls.token(),
        }
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
    let Beginning { start, asked, bounds, is_read_only, instance_id, plugin, permit, withdrawn } =
        beginning;
    let deadline = Instant::now() + bounds.timeout;
    let accepted = Update::Accepted(CallAccepted { instance_id });
    if updates.send(accepted).await.is_err() {
        return;
    }
    let cx = CallCx::new(withdrawn.clone(), asked, bounds, updates.clone());
    // Making the updates is part of the work: a panic there is one more defect to tell.
    let work =
        async move { start(cx).await.map(|output| result_updates(output, bounds.result_bytes)) };
    let effects = if is_read_only { Effects::None } else { Effects::Maybe };
    let ended = tokio::select! {
        biased;
        () = withdrawn.cancelled() => Err(withdrawn_failure(effects)),
        ended = tokio::time::timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()) => {
            match ended {
                Ok(Ok(ended)) => ended,
                Ok(Err(panic)) => Err(panic_failure(panic.as_ref(), effects)),
                Err(_) => Err(timeout_failure(bounds.timeout, effects)),
            }
        }
    };
    // The work is dropped by now; what it left running elsewhere learns that it is over.
    withdrawn.cancel();
    let last = match ended {
        Ok(last) => last,
        Err(failure) => vec![failure_update(failure, &plugin)],
    };
    let tell = async {
        for update in last {
            if updates.send(update).await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(LINGER, tell).await.is_err() {
        tracing::warn!("the caller does not read the outcome of a call; given up");
    }
    drop(permit);
}

fn withdrawn_failure(effects: Effects) -> Failure {
    let mut failure = Failure::new(FailureClass::Cancelled, "CANCELLED", "the call was withdrawn");
    failure.effects = effects;
    failure
}

fn timeout_failure(timeout: Duration, effects: Effects) -> Failure {
    let message = format!("the work was not done within {timeout:?}");
    let mut failure = Failure::new(FailureClass::Timeout, "TIMEOUT", message);
    failure.effects = effects;
    failure
}

fn panic_failure(panic: &(dyn std::any::Any + Send), effects: Effects) -> Failure {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let mut failure = Failure::bug("PANIC", format!("the tool panicked: {words}"));
    failure.effects = effects;
    failure
}
