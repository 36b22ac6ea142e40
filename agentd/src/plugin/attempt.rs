//! What travels through the call stack: a call asked for, one attempt at it, and what went wrong.
//! [`Record`] is how the engine hears of each attempt exactly once: one `Started` when it is sent,
//! one `Finished` when it is over, however it ends.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{CallCx, CallUpdate, Redact, ear::Ear, member::Seat, schema::Contract};
use crate::tool::{Call, CallOutput, Failure, ToolSpec};

/// A call asked for, on its way to becoming an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// What was cleared.
    pub(crate) call: Arc<Call>,
    /// The tool as declared.
    pub(crate) spec: Arc<ToolSpec>,
    /// What it promises.
    pub(crate) contract: Arc<Contract>,
    /// Bounds and names.
    pub(crate) cx: Arc<CallCx>,
    /// Number of the attempt, from 1.
    pub(crate) attempt: u32,
    /// Refusals by our own rate limit so far; they are no attempts.
    pub(crate) refusals: u32,
    /// Instance that the next attempt is better not made at.
    pub(crate) avoided: Option<String>,
    /// How the engine hears of it.
    pub(crate) record: Record,
    /// Masks secrets in texts.
    pub(crate) redact: Redact,
    /// Listens to the signals of the answer.
    pub(crate) ear: Ear,
}

/// One attempt, with its place at an instance.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What is asked.
    pub(crate) ask: Ask,
    /// Id of the attempt.
    pub(crate) call_id: Uuid,
    /// Place at the instance that runs it.
    pub(crate) seat: Arc<Seat>,
    /// Time it may take.
    pub(crate) timeout: Duration,
}

/// A failure on its way out of the stack, with what the layers need to know about it.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// What the engine will see.
    pub(crate) failure: Failure,
    /// True when an instance was asked, or the only one could not be; false when a layer of ours
    /// refused before, or another instance is there to ask. What was not sent counts for no breaker.
    pub(crate) sent: bool,
    /// True when the wire to the instance broke, so that another one is the better choice.
    pub(crate) broken_wire: bool,
    /// The instance that was asked.
    pub(crate) at: Option<String>,
}

/// Refused by a layer before anything was sent.
impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, sent: false, broken_wire: false, at: None }
    }
}

impl Fault {
    /// What came of asking an instance.
    pub(crate) fn sent(failure: Failure) -> Self {
        Self { failure, sent: true, broken_wire: false, at: None }
    }

    /// The wire broke while asking.
    pub(crate) fn broken(failure: Failure) -> Self {
        Self { failure, sent: true, broken_wire: true, at: None }
    }
}

/// Tells the engine of each attempt. Clones share the one attempt that is open.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    updates: mpsc::Sender<CallUpdate>,
    open: Arc<Mutex<Option<Open>>>,
}

#[derive(Debug, Clone)]
struct Open {
    call_id: Uuid,
    attempt: u32,
    since: Instant,
}

impl Record {
    /// A record that speaks to `updates`.
    pub(crate) fn new(updates: mpsc::Sender<CallUpdate>) -> Self {
        Self { updates, open: Arc::new(Mutex::new(None)) }
    }

    /// An attempt is about to be sent to `instance_id`. Waits while the channel is full.
    pub(crate) async fn started(&self, call_id: Uuid, attempt: u32, instance_id: &str) {
        let told = CallUpdate::Started {
            call_id: call_id.to_string(),
            attempt,
            instance_id: instance_id.to_owned(),
        };
        // A receiver that is gone wants to hear no more; the call itself goes on.
        let _ = self.updates.send(told).await;
        *self.lock() = Some(Open { call_id, attempt, since: Instant::now() });
    }

    /// The attempt got further; dropped when the channel is full.
    pub(crate) fn progressed(&self, call_id: Uuid, fraction: Option<f64>, message: String) {
        let told = CallUpdate::Progressed { call_id: call_id.to_string(), fraction, message };
        let _ = self.updates.try_send(told);
    }

    /// The open attempt is over; nothing is told when none is open. Waits while the channel is
    /// full.
    pub(crate) async fn finished(&self, outcome: Result<CallOutput, Failure>, will_retry: bool) {
        let Some(open) = self.lock().take() else { return };
        let told = CallUpdate::Finished {
            call_id: open.call_id.to_string(),
            attempt: open.attempt,
            duration: open.since.elapsed(),
            outcome: Box::new(outcome),
            will_retry,
            cached: false,
        };
        let _ = self.updates.send(told).await;
    }

    /// The whole call was answered from what was there.
    pub(crate) async fn kept(&self, outcome: Result<CallOutput, Failure>) {
        let call_id = Uuid::new_v4();
        self.started(call_id, 1, "").await;
        self.lock().take();
        let told = CallUpdate::Finished {
            call_id: call_id.to_string(),
            attempt: 1,
            duration: Duration::ZERO,
            outcome: Box::new(outcome),
            will_retry: false,
            cached: true,
        };
        let _ = self.updates.send(told).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
