//! A tool that changes something, and how often it did.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{CallCx, Failure, FailureClass, Output, Spec, Tool};

/// How a [`Ledger`] books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// Books, waits at the gate, and answers.
    #[default]
    Book,
    /// Waits at the gate, unless the call is over first, and then books.
    Heed,
    /// Books in a protected part behind the gate, and then waits at the gate again.
    Protect,
    /// Books and panics in a protected part.
    PanicProtected,
    /// Fails and says that nothing was changed.
    FailClean,
    /// Books, fails and says nothing.
    Fail,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Booking {
    pub(crate) amount: i64,
    #[serde(default)]
    pub(crate) how: How,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Unbooking {
    #[expect(dead_code, reason = "only its schema counts")]
    pub(crate) call_id: Option<String>,
}

/// A tool that books. Its clones share what they count.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) spec: Spec,
    pub(crate) booked: Arc<AtomicUsize>,
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) gate: Arc<Semaphore>,
}

/// The tool that takes a booking back.
pub(crate) struct Unbook;

impl Ledger {
    pub(crate) fn new(spec: impl FnOnce(Spec) -> Spec) -> Self {
        let plain = Spec::reversible("book", "Books.").compensated_by("unbook", true);
        Self {
            spec: spec(plain),
            booked: Arc::default(),
            begun: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    pub(crate) fn booked(&self) -> usize {
        self.booked.load(Ordering::SeqCst)
    }

    /// Waits until so many calls reached the tool.
    pub(crate) async fn begun(&self, count: usize) {
        while self.begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    fn book(&self) -> usize {
        self.booked.fetch_add(1, Ordering::SeqCst) + 1
    }
}

async fn pass(gate: &Semaphore) {
    if let Ok(permit) = gate.acquire().await {
        permit.forget();
    }
}

impl Tool for Ledger {
    type Args = Booking;

    fn spec(&self) -> Spec {
        self.spec.clone()
    }

    async fn call(&self, cx: CallCx, booking: Booking) -> Result<Output, Failure> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if cx.dry_run() {
            let line = format!("would book {}", booking.amount);
            return Ok(Output::new(&json!({ "number": 0 }))?.planned_effect(line));
        }
        let number = match booking.how {
            How::Book => {
                let number = self.book();
                pass(&self.gate).await;
                number
            }
            How::Heed => {
                tokio::select! {
                    biased;
                    () = cx.cancelled() => {
                        let failure = Failure::new(FailureClass::Cancelled, "HEEDED", "stopped");
                        return Err(failure.nothing_changed());
                    }
                    () = pass(&self.gate) => self.book(),
                }
            }
            How::Protect => {
                let this = self.clone();
                let number = cx
                    .protect(async move {
                        pass(&this.gate).await;
                        this.book()
                    })
                    .await;
                pass(&self.gate).await;
                number
            }
            How::PanicProtected => {
                let this = self.clone();
                cx.protect(async move { assert!(this.book() == 0, "torn") }).await;
                0
            }
            How::FailClean => {
                return Err(Failure::external("DOWN", "the bank is closed").nothing_changed());
            }
            How::Fail => {
                self.book();
                return Err(Failure::external("TORN", "the line went dead"));
            }
        };
        let undo = json!({ "call_id": cx.call_id() });
        Ok(Output::new(&json!({ "number": number, "amount": booking.amount }))?.compensation(
            "unbook",
            undo,
            "takes the booking back",
            None,
        ))
    }
}

impl Tool for Unbook {
    type Args = Unbooking;

    fn spec(&self) -> Spec {
        Spec::destructive("unbook", "Takes a booking back.")
    }

    async fn call(&self, _: CallCx, _: Unbooking) -> Result<Output, Failure> {
        Output::new(&json!({}))
    }
}
